//! Folders of pictures as people have them: nobody is merged with another, left out or named by
//! somebody else's number without a word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::cli::{face, failure, json_lines, success, text, vultus};

/// A folder in which people's folders are made, with a data directory beside them.
struct People {
    directory: tempfile::TempDir,
}

impl People {
    fn new() -> People {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("people")).unwrap();
        People { directory }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a portrait there.
    fn put(&self, portrait: &str, name: &str) {
        let path = self.at("people").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(face(portrait), path).unwrap();
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.at("people").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn run(&self, verb: &[&str], paths: &[&Path]) -> Output {
        let data = self.at("data");
        let common = ["--data-dir", text(&data), "--partition", "bws.1"];
        let paths: Vec<&str> = paths.iter().map(|path| text(path)).collect();
        vultus(&[verb, &common, &paths].concat())
    }

    fn enroll(&self, more: &[&str]) -> Output {
        self.run(&[&["enroll"], more].concat(), &[&self.at("people")])
    }

    /// Classes and templates.
    fn counts(&self) -> (u64, u64) {
        let data = self.at("data");
        let info = ["gallery", "info", "--data-dir", text(&data), "--json"];
        let info = json_lines(&success(&vultus(&info))).remove(0);
        let number = |name: &str| info[name].as_u64().unwrap();
        (number("classes"), number("templates"))
    }
}

const OBAMA: &str = "obama-portrait.jpg";
const BIDEN: &str = "biden-portrait.jpg";
const HEIC: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";

#[test]
fn what_can_be_read_is_enrolled_and_the_rest_is_named() {
    let people = People::new();
    people.put(OBAMA, "17/2024/a.jfif");
    people.put(BIDEN, "bob18/picture");
    people.write("17/b.HEIC", HEIC);
    people.write("17/c.jpg", HEIC);
    people.write("loose.png", b"");
    people.write("19/notes.txt", b"nothing");
    people.write("@eaDir/17/a.jpg", b"");
    people.write("17/._a.jfif", b"");
    let enrolled = people.enroll(&["--json"]);
    let said = String::from_utf8(enrolled.stderr).unwrap();
    assert_eq!(enrolled.status.code(), Some(1), "{said}");
    for name in [
        "b.HEIC",
        "c.jpg",
        "loose.png",
        "people/19",
        "@eaDir",
        "._a.jfif",
    ] {
        assert!(said.contains(name), "{name}: {said}");
    }
    let lines = json_lines(&String::from_utf8(enrolled.stdout).unwrap());
    let accepted = lines.iter().filter(|line| line["accepted"] == true);
    assert_eq!(accepted.count(), 2);
    let passed = lines[2]["passed_over"].as_array().unwrap();
    assert_eq!(passed[0]["kind"], "HEIC");
    assert_eq!(passed[0]["count"], 2);
    assert_eq!(people.counts(), (2, 2));

    let only_junk = People::new();
    only_junk.put(OBAMA, "17/a.JPG");
    only_junk.write(".thumbs/17.jpg", b"");
    only_junk.write("Thumbs.db", b"");
    let enrolled = only_junk.enroll(&[]);
    let said = String::from_utf8(enrolled.stderr.clone()).unwrap();
    success(&enrolled);
    assert!(said.contains("2 hidden or system files"), "{said}");
}

#[test]
fn people_are_never_merged_by_the_names_of_their_folders() {
    for (one, other) in [("anna17", "bob17"), ("7", "007"), ("id-3", "X3")] {
        let people = People::new();
        people.put(OBAMA, &format!("{one}/a.jpg"));
        people.put(BIDEN, &format!("{other}/a.jpg"));
        let said = failure(&people.enroll(&[]));
        assert!(
            said.contains(&format!("/{one}`")) && said.contains(&format!("/{other}`")),
            "{said}"
        );
        let pictures = [Path::new("--pictures"), &people.at("people")];
        let said = failure(&people.run(&["gallery", "import"], &pictures));
        assert!(said.contains(one) && said.contains(other), "{said}");
        assert!(!people.at("data").exists(), "nothing is begun");
    }
    let people = People::new();
    people.put(OBAMA, "1/a.jpg");
    people.put(BIDEN, "2/a.jpg");
    let said = failure(&people.enroll(&["--class", "7"]));
    assert!(
        said.contains("people/1`") && said.contains("people/2`"),
        "{said}"
    );
    people.put(BIDEN, "-2/a.jpg");
    let said = failure(&people.enroll(&[]));
    assert!(
        said.contains("people/-2`") && said.contains("--class"),
        "{said}"
    );
    assert!(!people.at("data").exists(), "nothing is begun");
}

#[test]
fn nothing_enrolled_is_never_a_success() {
    let people = People::new();
    people.write("17/a.heic", HEIC);
    let said = failure(&people.enroll(&[]));
    assert!(said.contains("a.heic"), "{said}");
    people.write("17/b.jpg", b"no picture");
    assert_eq!(people.enroll(&[]).status.code(), Some(1));
}

/// A name that is no text costs no answer.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_told_with_their_bytes() {
    use std::os::unix::ffi::OsStrExt;

    let people = People::new();
    people.put(OBAMA, "17/a.jpg");
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"b\xff.jpg"));
    let odd = people.at("people/17").join(odd);
    fs::copy(face("obama-speech.jpg"), &odd).unwrap();
    let lines = json_lines(&success(&people.enroll(&["--json"])));
    assert_eq!(lines.len(), 2);
    assert!(lines[0].get("picture_bytes").is_none());
    assert!(
        lines[1]["picture"]
            .as_str()
            .unwrap()
            .ends_with("b\u{fffd}.jpg")
    );
    let bytes = lines[1]["picture_bytes"].as_str().unwrap();
    assert!(bytes.ends_with("62ff2e6a7067"), "{bytes}");
    let identified = people.run(&["identify", "--json"], &[&people.at("people")]);
    let lines = json_lines(&success(&identified));
    assert_eq!(lines[1]["matches"][0]["class"], 17);
    assert!(lines[1]["picture_bytes"].is_string());
    let fused = people.run(&["identify", "--json", "--fuse"], &[&people.at("people")]);
    let lines = json_lines(&success(&fused));
    assert_eq!(lines[0]["pictures_bytes"].as_array().unwrap().len(), 2);
    fs::write(&odd, b"no picture").unwrap();
    let import = ["gallery", "import", "--json"];
    let import = people.run(&import, &[Path::new("--pictures"), &people.at("people")]);
    assert_eq!(import.status.code(), Some(1));
    let report = fs::read_to_string(people.at("people.refused.jsonl")).unwrap();
    assert!(report.contains("62ff2e6a7067"), "{report}");
}

/// The pictures of a folder are those of its person, and whoever is not is named.
#[test]
fn somebody_else_in_a_folder_is_refused_by_name() {
    let people = People::new();
    people.put(OBAMA, "17/a.jpg");
    people.put(BIDEN, "17/stranger.jpg");
    people.put("obama-white-house.jpg", "17/c.jpg");
    people.put(BIDEN, "18/b.jpg");
    let enrolled = people.enroll(&["--json"]);
    assert_eq!(enrolled.status.code(), Some(1));
    let lines = json_lines(text_of(&enrolled.stdout));
    let refused: Vec<&serde_json::Value> = lines
        .iter()
        .filter(|line| line["accepted"] == false)
        .collect();
    assert_eq!(refused.len(), 1, "{lines:?}");
    assert!(
        refused[0]["picture"]
            .as_str()
            .unwrap()
            .ends_with("17/stranger.jpg")
    );
    assert!(refused[0]["error"].as_str().unwrap().contains("class 17"));
    assert_eq!(people.counts(), (2, 3));
    // Of two, nobody knows who is whom.
    let people = People::new();
    people.put(OBAMA, "17/a.jpg");
    people.put(BIDEN, "17/2024/b.jpg");
    let enrolled = people.enroll(&[]);
    assert_eq!(enrolled.status.code(), Some(1));
    let said = text_of(&enrolled.stderr);
    assert!(
        said.contains("a.jpg`: it does not look") && said.contains("b.jpg`: it does not look"),
        "{said}"
    );
    // `--class` names one person, whatever is given.
    let both = [
        people.at("people/17/a.jpg"),
        people.at("people/17/2024/b.jpg"),
    ];
    let both: Vec<&Path> = both.iter().map(PathBuf::as_path).collect();
    assert_eq!(
        people.run(&["enroll", "--class", "5"], &both).status.code(),
        Some(1)
    );
}

#[test]
fn more_pictures_than_a_class_keeps_are_said_and_the_same_are_known() {
    let people = People::new();
    for (at, name) in [OBAMA, "obama-white-house.jpg", "obama-speech.jpg"]
        .iter()
        .enumerate()
    {
        let picture = image::open(face(name)).unwrap();
        for lighter in 0..4 {
            let name = people.at(&format!("people/17/{at}-{lighter}.png"));
            fs::create_dir_all(name.parent().unwrap()).unwrap();
            picture.brighten(8 * lighter).save(name).unwrap();
        }
    }
    let said = text_of(&people.enroll(&[]).stderr).to_owned();
    assert!(
        said.contains("enrolled 12 of 12 pictures of 1 person"),
        "{said}"
    );
    assert!(said.contains("kept 10 of 12"), "{said}");
    assert_eq!(people.counts(), (1, 10));
    let people = People::new();
    people.put(OBAMA, "17/a.jpg");
    people.put(OBAMA, "17/copy.jpg");
    let said = text_of(&people.enroll(&[]).stderr).to_owned();
    assert!(said.contains("1 of them there already"), "{said}");
    let said = text_of(&people.enroll(&[]).stderr).to_owned();
    assert!(said.contains("2 of them there already"), "{said}");
    assert_eq!(people.counts(), (1, 1));
}

fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What is enrolled into a class that somebody has already is told, and refused if that is asked for.
#[test]
fn somebody_else_in_a_class_that_is_there_is_told_or_refused() {
    let people = People::new();
    people.put(OBAMA, "17/a.jpg");
    people.put(BIDEN, "18/a.jpg");
    let lines = json_lines(&success(&people.enroll(&["--json"])));
    assert!(
        lines
            .iter()
            .all(|line| line.get("similarity_to_class").is_none())
    );
    // Somebody else, the same person again, and a new class.
    fs::remove_dir_all(people.at("people")).unwrap();
    people.put(BIDEN, "17/b.jpg");
    people.put("obama-speech.jpg", "19/c.jpg");
    people.put(BIDEN, "18/a.jpg");
    let refused = people.enroll(&["--json", "--refuse-unlike"]);
    assert_eq!(refused.status.code(), Some(1));
    let lines = json_lines(text_of(&refused.stdout));
    let of = |class: i64| lines.iter().find(|line| line["class"] == class).unwrap();
    assert_eq!(of(17)["accepted"], false);
    assert!(
        of(17)["error"]
            .as_str()
            .unwrap()
            .contains("do not look like")
    );
    assert!(
        of(17)["similarity_to_class"].as_f64().unwrap() < 0.2,
        "{}",
        of(17)
    );
    assert!(
        of(18)["similarity_to_class"].as_f64().unwrap() > 0.999,
        "{}",
        of(18)
    );
    assert!(of(19).get("similarity_to_class").is_none() && of(19)["accepted"] == true);
    assert_eq!(people.counts(), (3, 3));
    let warned = people.enroll(&[]);
    success(&warned);
    let said = text_of(&warned.stderr);
    assert!(
        said.contains("warning: the new pictures do not look like those that class 17"),
        "{said}"
    );
    assert!(
        !said.contains("class 18") && !said.contains("class 19"),
        "{said}"
    );
    assert_eq!(people.counts(), (3, 4));
    let replaced = people.run(
        &["enroll", "--class", "19", "--replace"],
        &[&people.at("people/18/a.jpg")],
    );
    assert!(
        text_of(&replaced.stderr).contains("class 19"),
        "also where it is replaced"
    );
}

#[test]
fn folders_and_lines_named_after_people_are_imported_under_their_names() {
    let people = People::new();
    people.put(OBAMA, "Barack Obama/a.jpg");
    people.put(BIDEN, "Joe Biden/b.jpg");
    let import = |more: &[&str], kind: &str, path: &Path| {
        let verb = ["gallery", "import", "--json", "--overwrite"];
        people.run(&[&verb, more].concat(), &[Path::new(kind), path])
    };
    let listed = || {
        let data = people.at("data");
        let list = ["people", "list", "--json", "--data-dir", text(&data)];
        let list = [&list[..], &["--partition", "bws.1"]].concat();
        let listed = json_lines(&success(&vultus(&list)));
        let person = |one: &serde_json::Value| {
            let labels = one["labels"]["site"].as_str().unwrap_or_default();
            format!(
                "{} {} {labels}",
                one["class"],
                one["name"].as_str().unwrap()
            )
        };
        listed.iter().map(person).collect::<Vec<String>>()
    };
    let done = |output: Output| {
        let done = json_lines(&success(&output)).remove(0);
        (
            done["imported"].as_u64().unwrap(),
            done["known"].as_u64().unwrap(),
        )
    };
    let dry = done(import(&["--dry-run"], "--pictures", &people.at("people")));
    assert_eq!(dry, (2, 0));
    assert!(!people.at("data").exists(), "nothing is begun");
    let folders = || done(import(&[], "--pictures", &people.at("people")));
    assert_eq!(folders(), (2, 0));
    assert_eq!(listed(), ["1 Barack Obama ", "2 Joe Biden "]);
    // They are known by their names, and their pictures, too.
    assert_eq!(folders(), (0, 2));
    assert_eq!(people.counts(), (2, 2));
    // A manifest says who it is by the name, by the class, or by both.
    let manifest = people.at("people/list.csv");
    let lines = "picture,name,class,labels\n\
        Barack Obama/a.jpg,BARACK OBAMA,,site:berlin\n\
        Joe Biden/b.jpg,,2,site:paris\n\
        Joe Biden/b.jpg,Somebody Else,2,\n\
        Joe Biden/b.jpg,,,site:rome\n\
        Joe Biden/b.jpg,Joe,,site\n";
    fs::write(&manifest, lines).unwrap();
    let output = import(&[], "--manifest", &manifest);
    assert_eq!(output.status.code(), Some(1));
    let report = people.at("people/list.csv.refused.jsonl");
    let report = json_lines(&fs::read_to_string(report).unwrap());
    let refused = report.iter().map(|line| {
        let reason = line["reason"].as_str().unwrap();
        (line["line"].as_u64().unwrap(), reason)
    });
    let refused: Vec<(u64, &str)> = refused.collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    for (line, said) in [
        (4, "class 2 has another name in the gallery"),
        (5, "whom does it show?"),
        (6, "no colon"),
    ] {
        let is_there = |(at, reason): &&(u64, &str)| *at == line && reason.contains(said);
        assert!(
            refused.iter().any(|it| is_there(&it)),
            "{line}: {refused:?}"
        );
    }
    assert_eq!(listed(), ["1 Barack Obama berlin", "2 Joe Biden paris"]);
    assert_eq!(people.counts(), (2, 2));
    // Two of a name, and a folder with the number of somebody who has another one.
    people.put(BIDEN, "1/c.jpg");
    let said = failure(&import(&[], "--pictures", &people.at("people")));
    assert!(said.contains("class 1"), "{said}");
}
