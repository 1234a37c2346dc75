//! Everybody in a picture, on the command line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use vultus::engine::Engine;
use vultus::partition::Store;
use vultus::search::Pool;
use vultus::types::{ClassId, RecordChange};

use crate::cli::{failure, json_lines, success, text, vultus};
use crate::harness::pictures;

/// A data directory with one person, and pictures beside it.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place {
            directory: tempfile::tempdir().unwrap(),
        };
        place.write("obama.jpg", &pictures::file("obama-portrait"));
        place
    }

    fn with_obama() -> Place {
        let place = Place::new();
        success(&place.run(&["enroll", "--class", "44"], &["obama.jpg"]));
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn run(&self, verb: &[&str], files: &[&str]) -> Output {
        let files: Vec<PathBuf> = files.iter().map(|file| self.at(file)).collect();
        let files: Vec<&str> = files.iter().map(|file| text(file)).collect();
        vultus(&[verb, &self.common(), &files].concat())
    }

    fn data(&self) -> PathBuf {
        self.at("data")
    }

    fn common(&self) -> [&str; 4] {
        let data: &'static str = Box::leak(text(&self.data()).to_owned().into_boxed_str());
        ["--data-dir", data, "--partition", "bws.1"]
    }
}

/// Runs a verb that reads a picture from stdin.
fn with_stdin(arguments: &[&str], bytes: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that refuses its arguments reads nothing.
    drop(stdin.write_all(bytes));
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn everybody_in_a_group_is_told_in_one_table_and_drawn() {
    let place = Place::with_obama();
    place.write("photos/group.jpg", &pictures::group());
    place.write("photos/again.jpg", &pictures::file("obama-white-house"));
    place.write("photos/notes.txt", b"no picture");
    place.write("photos/.hidden.jpg", b"no picture");
    let drawn = place.at("drawn");
    let verb = ["identify", "--annotate", text(&drawn)];
    let answer = place.run(&verb, &["photos"]);
    let table = success(&answer);
    assert_eq!(table.matches("similarity").count(), 1, "one table: {table}");
    let rows: Vec<&str> = table.lines().filter(|line| line.contains(".jpg")).collect();
    assert_eq!(rows.len(), 4, "{table}");
    for (row, words) in rows.iter().zip([
        ["again.jpg", " 1 ", "44"],
        ["group.jpg", " 1 ", "44"],
        ["group.jpg", " 2 ", "unknown"],
        ["group.jpg", " 3 ", "44"],
    ]) {
        assert!(
            words.iter().all(|word| row.contains(word)),
            "{words:?}: {row}"
        );
    }
    let file = image::open(drawn.join("group.jpg")).unwrap().to_rgb8();
    assert_eq!(file.dimensions(), (1000, 600));
    let before = image::load_from_memory(&pictures::group())
        .unwrap()
        .to_rgb8();
    let changed = file.pixels().zip(before.pixels());
    let changed = changed
        .filter(|(a, b)| a.0[0].abs_diff(b.0[0]) > 60)
        .count();
    assert!((2000..120_000).contains(&changed), "{changed}");
    assert!(drawn.join("again.jpg").exists());
    // What is there is not replaced without a word.
    let again = place.run(&verb, &["photos/group.jpg"]);
    assert!(failure(&again).contains("--overwrite"));
}

#[test]
fn a_group_as_json_has_a_box_and_a_decision_for_each() {
    let place = Place::with_obama();
    place.write("group.jpg", &pictures::group());
    let out = place.at("out.png");
    let verb = ["identify", "--json", "--annotate", text(&out)];
    let answers = json_lines(&success(&place.run(&verb, &["group.jpg"])));
    let [answer] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(
        (&answer["width"], &answer["height"]),
        (&json!(1000), &json!(600))
    );
    let faces = answer["faces"].as_array().unwrap();
    let decisions: Vec<&Value> = faces.iter().map(|face| &face["decision"]).collect();
    assert_eq!(decisions, ["known", "unknown", "known"]);
    assert_eq!(faces[0]["matches"][0]["class"], 44);
    // Who is listed only because all are is not known by that.
    let all = place.run(&["identify", "--json", "--all"], &["group.jpg"]);
    let all = json_lines(&success(&all));
    for (face, decision) in all[0]["faces"].as_array().unwrap().iter().zip(decisions) {
        assert_eq!(&face["decision"], decision);
        assert_eq!(face["matches"][0]["class"], 44);
    }
    assert!(faces[0]["box"]["width"].as_u64().unwrap() > 50);
    assert_eq!(answer["matches"], Value::Null, "whose would they be?");
    assert!(out.exists());

    // One is as before, and says more.
    let one = place.run(&["identify", "--json", "--faces", "one"], &["obama.jpg"]);
    let one = json_lines(&success(&one));
    assert_eq!(one[0]["matches"], one[0]["faces"][0]["matches"]);
    let refused = place.run(&["identify", "--faces", "one"], &["group.jpg"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("faces were found"),
        "{}",
        said(&refused)
    );
}

/// Says who a class is.
fn name(data: &Path, class: i64, name: &str) {
    let store = Store::open(data).unwrap();
    let engine = Engine::new(Arc::new(store), Pool::new(1));
    let gallery = engine.enrolled(&"bws.1".parse().unwrap()).unwrap().unwrap();
    let change = RecordChange {
        name: Some(Some(name.parse().unwrap())),
        external_id: Some(Some("staff-7".parse().unwrap())),
        ..RecordChange::default()
    };
    gallery.change_record(ClassId(class), change).unwrap();
}

#[test]
fn people_are_called_by_their_names() {
    let place = Place::with_obama();
    name(&place.data(), 44, "Zoë Ångström");
    place.write("group.jpg", &pictures::group());
    let out = place.at("out.png");
    let table = success(&place.run(&["identify", "--annotate", text(&out)], &["group.jpg"]));
    assert_eq!(table.matches("Zoë Ångström (44)").count(), 2, "{table}");
    let one = success(&place.run(&["identify"], &["obama.jpg"]));
    assert!(one.contains("Zoë Ångström (44)"), "{one}");
    let answers = place.run(&["identify", "--json"], &["obama.jpg"]);
    let answers = json_lines(&success(&answers));
    for found in [
        &answers[0]["matches"][0],
        &answers[0]["faces"][0]["matches"][0],
    ] {
        assert_eq!(found["name"], "Zoë Ångström");
        assert_eq!(found["external_id"], "staff-7");
        assert_eq!(found["class"], 44);
    }
}

#[test]
fn one_of_several_is_enrolled_by_its_box() {
    let place = Place::with_obama();
    place.write("group.jpg", &pictures::group());
    let found = vultus(&["detect", "--json", text(&place.at("group.jpg"))]);
    let found = json_lines(&success(&found)).remove(0);
    let number = |name: &str| found["faces"][1]["box"][name].as_u64().unwrap().to_string();
    let named = ["left", "top", "width", "height"].map(number).join(",");
    let verb = ["enroll", "--class", "46", "--box", &named];
    success(&place.run(&verb, &["group.jpg"]));
    let answers = place.run(&["identify", "--json"], &["group.jpg"]);
    let answers = json_lines(&success(&answers));
    let classes: Vec<&Value> = answers[0]["faces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|face| &face["matches"][0]["class"])
        .collect();
    assert_eq!(classes, [44, 46, 44]);
    for (wrong, code, words) in [
        ("0,0,NaN,9", 2, "four numbers"),
        ("0,0,-5,9", 2, "more than 0"),
        ("1,2,3", 2, "four numbers"),
        ("5000,5000,10,10", 1, "outside of the picture"),
        ("-900,-900,10,10", 1, "outside of the picture"),
        ("700,5,20,20", 1, "no face was found in the box"),
    ] {
        let verb = ["enroll", "--class", "47", "--box", wrong];
        let output = place.run(&verb, &["group.jpg"]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{wrong}: {}",
            said(&output)
        );
        assert!(said(&output).contains(words), "{wrong}: {}", said(&output));
    }
    let two = place.run(&verb, &["group.jpg", "obama.jpg"]);
    assert!(failure(&two).contains("--box"));
}

#[test]
fn a_picture_is_read_from_stdin() {
    let place = Place::with_obama();
    let identify = [&["identify", "--json"][..], &place.common(), &["-"]].concat();
    let group = with_stdin(&identify, &pictures::group());
    let group = json_lines(&success(&group));
    assert_eq!(group[0]["picture"], "-");
    assert_eq!(group[0]["faces"].as_array().unwrap().len(), 3);
    let empty = with_stdin(&identify, b"");
    assert_eq!(empty.status.code(), Some(1));
    assert!(
        printed(&empty).contains("the picture is empty"),
        "{}",
        printed(&empty)
    );
    let twice = [&identify[..], &["-"]].concat();
    assert!(failure(&with_stdin(&twice, b"")).contains("stdin"));
    let enroll = ["enroll", "--class", "45"];
    let enroll = [&enroll[..], &place.common(), &["-"]].concat();
    success(&with_stdin(&enroll, &pictures::file("biden-portrait")));
}

#[test]
fn where_it_is_drawn_is_checked_before_anything_is_looked_at() {
    let place = Place::with_obama();
    place.write("group.jpg", b"no picture");
    place.write("other.jpg", b"no picture");
    let group = place.at("group.jpg");
    for (target, files, words) in [
        (text(&group), &["group.jpg"][..], "one of the pictures"),
        ("out.gif", &["group.jpg"], ".jpg or .png"),
        ("out.jpg", &["group.jpg", "other.jpg"], "name a folder"),
        (text(&place.at("other.jpg")), &["group.jpg"], "--overwrite"),
    ] {
        let output = place.run(&["identify", "--annotate", target], files);
        assert!(
            failure(&output).contains(words),
            "{target}: {}",
            said(&output)
        );
    }
    assert!(!Path::new("out.gif").exists());
    let alone = place.run(&["identify", "--overwrite"], &["group.jpg"]);
    assert_eq!(alone.status.code(), Some(2));
}

#[test]
fn faces_become_rows_with_the_names_of_their_pictures() {
    let place = Place::with_obama();
    place.write("photos/group.jpg", &pictures::group());
    place.write("photos/biden.jpg", &pictures::file("biden-portrait"));
    place.write("photos/broken.jpg", b"no picture");
    let (photos, out) = (place.at("photos"), place.at("faces.npy"));
    let embed = |out: &Path| vultus(&["embed", text(&photos), "--output", text(out)]);
    let made = embed(&out);
    assert_eq!(
        made.status.code(),
        Some(1),
        "one is refused: {}",
        said(&made)
    );
    assert!(
        said(&made).contains("wrote 4 faces of 3 pictures"),
        "{}",
        said(&made)
    );
    let names = std::fs::read_to_string(place.at("faces.csv")).unwrap();
    let rows: Vec<&str> = names.lines().collect();
    assert_eq!(rows.len(), 5, "{names}");
    assert!(rows[1].contains("biden.jpg,1,"), "{names}");
    assert!(
        rows[2].contains("group.jpg#1,") && rows[4].contains("group.jpg#3,"),
        "{names}"
    );
    assert!(
        failure(&embed(&out)).contains("faces.npy"),
        "it is not replaced"
    );
    assert!(failure(&embed(&place.at("faces.txt"))).contains(".parquet"));

    // They are probes, by their names.
    let table = place.at("faces.parquet");
    embed(&table);
    let verb = ["identify", "--json", "--embeddings", text(&table)];
    let answers = json_lines(&success(&place.run(&verb, &[])));
    let found: Vec<(bool, bool)> = answers
        .iter()
        .map(|answer| {
            let id = answer["id"].as_str().unwrap();
            (
                id.contains("group.jpg#"),
                answer["matches"][0]["class"] == 44,
            )
        })
        .collect();
    assert_eq!(
        found,
        [(false, false), (true, true), (true, false), (true, true)]
    );
}

#[test]
fn two_pictures_are_one_person_or_not() {
    let place = Place::new();
    place.write("again.jpg", &pictures::file("obama-white-house"));
    place.write("biden.jpg", &pictures::file("biden-portrait"));
    place.write("group.jpg", &pictures::group());
    place.write("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    let run = |more: &[&str], one: &str, other: &str| {
        let (one, other) = (place.at(one), place.at(other));
        vultus(&[&["compare"], more, &[text(&one), text(&other)]].concat())
    };
    let same = run(&["--json"], "obama.jpg", "again.jpg");
    let same = json_lines(&success(&same)).remove(0);
    assert_eq!(same["accepted"], true);
    assert!(same["similarity"].as_f64().unwrap() > 0.65, "{same}");
    let other = run(&[], "obama.jpg", "biden.jpg");
    assert_eq!(other.status.code(), Some(1));
    assert!(
        printed(&other).starts_with("not one person: similarity"),
        "{}",
        printed(&other)
    );
    for (picture, words) in [
        ("group.jpg", "faces were found"),
        ("missing.jpg", "missing.jpg"),
        (
            "photo.heic",
            "HEIC is not read here: convert it to JPEG first",
        ),
    ] {
        let output = run(&[], "obama.jpg", picture);
        assert_eq!(output.status.code(), Some(2), "{picture}");
        assert!(said(&output).contains(words), "{}", said(&output));
    }
    let twice = vultus(&["compare", "-", "-"]);
    assert!(failure(&twice).contains("stdin"));
}

#[test]
fn strangers_who_are_often_there_are_suggested_and_sorted() {
    let place = Place::with_obama();
    for name in ["obama-white-house", "obama-speech", "biden-portrait"] {
        place.write(&format!("photos/{name}.jpg"), &pictures::file(name));
    }
    place.write("photos/group.jpg", &pictures::group());
    place.write("photos/copy.jpg", &pictures::group());
    let photos = place.at("photos");
    let all = vultus(&["people", "suggest", "--json", text(&photos)]);
    let groups = json_lines(&success(&all));
    let counts: Vec<usize> = groups
        .iter()
        .map(|group| group["faces"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [4, 2], "{groups:?}");
    assert_eq!(groups[0]["group"], "unknown-a");
    // So it is in a gallery in which nobody is yet.
    let new = ["people", "suggest", "--json", "--partition", "bws.9"];
    let data = place.data();
    let new = vultus(&[&new[..], &["--data-dir", text(&data), text(&photos)]].concat());
    assert_eq!(json_lines(&success(&new)).len(), 2);

    // Those who are enrolled are none.
    let into = place.at("found");
    let verb = ["people", "suggest", "--into", text(&into)];
    let some = place.run(&verb, &["photos"]);
    let table = success(&some);
    assert!(
        table.contains("unknown-a") && !table.contains("unknown-b"),
        "{table}"
    );
    let mut files: Vec<String> = std::fs::read_dir(into.join("unknown-a"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["biden-portrait.jpg", "copy.png"]);
    let folder = into.join("unknown-a");
    success(&place.run(&["enroll", "--class", "46", text(&folder)], &[]));
    let nobody = place.run(&["people", "suggest"], &["photos"]);
    assert_eq!(nobody.status.code(), Some(1), "{}", printed(&nobody));
    let again = place.run(&verb, &["photos"]);
    assert!(failure(&again).contains("is not empty"));
}

#[test]
fn pictures_that_come_into_a_folder_are_answered_as_they_come() {
    let place = Place::with_obama();
    place.write("camera/first.jpg", &pictures::file("biden-portrait"));
    let camera = place.at("camera");
    let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(["identify", "--watch"])
        .args(place.common())
        .arg(&camera)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let first = next();
    assert!(first.ends_with("first.jpg, face 1: unknown"), "{first}");
    // One that is written slowly, under the name that it keeps.
    let picture = pictures::file("obama-white-house");
    place.write("camera/second.jpg", &picture[..picture.len() / 2]);
    place.write("camera/second.jpg", &picture);
    let mut second = next();
    // A machine that stood still in between took half of it for all.
    while !second.contains("second.jpg, face 1: 44 (0.7") {
        second = next();
    }
    // Another name for the same is none.
    std::fs::rename(camera.join("first.jpg"), camera.join("other.jpg")).unwrap();
    place.write("camera/third.jpg", &pictures::group());
    let third = [next(), next(), next()];
    assert!(
        third.iter().all(|line| line.contains("third.jpg, face ")),
        "{third:?}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn pictures_that_come_into_class_folders_are_enrolled_as_they_come() {
    let place = Place::new();
    std::fs::create_dir_all(place.at("people")).unwrap();
    let people = place.at("people");
    let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(["enroll", "--watch", "--json"])
        .args(place.common())
        .arg(&people)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    place.write("people/44/a.jpg", &pictures::file("obama-portrait"));
    let first = next();
    assert_eq!(
        (&first["class"], &first["accepted"]),
        (&json!(44), &json!(true))
    );
    place.write("people/46/a.jpg", &pictures::group());
    let refused = next();
    assert_eq!(
        (&refused["class"], &refused["accepted"]),
        (&json!(46), &json!(false))
    );
    place.write("people/46/b.jpg", &pictures::file("biden-portrait"));
    let second = next();
    assert_eq!(
        (&second["class"], &second["accepted"]),
        (&json!(46), &json!(true))
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let info = vultus(&[
        "gallery",
        "info",
        "--json",
        "--data-dir",
        text(&place.data()),
    ]);
    assert_eq!(json_lines(&success(&info))[0]["classes"], 2);
}

#[test]
fn a_folder_that_is_not_there_is_not_watched() {
    let place = Place::with_obama();
    for verb in ["identify", "enroll"] {
        let output = place.run(&[verb, "--watch"], &["missing"]);
        assert!(failure(&output).contains("missing"), "{}", said(&output));
    }
}
