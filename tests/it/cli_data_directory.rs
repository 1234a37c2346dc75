//! A data directory that somebody has changed behind the program's back: every verb refuses by name
//! what it could only make worse, and loses nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::cli::{embeddings, failure, random_rows, success, text, vultus};
use crate::harness::{Native, Program, Registered, axis};

/// A data directory with one gallery of 200 rows in a segment.
struct Data {
    directory: tempfile::TempDir,
}

impl Data {
    fn new() -> Data {
        let data = Data {
            directory: tempfile::tempdir().unwrap(),
        };
        embeddings(&data.at("rows.npy"), &random_rows(200, 32, 1));
        success(&data.import("bws.1"));
        data
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, verb: &[&str]) -> Output {
        vultus(&[verb, &["--data-dir", text(&self.at("data"))]].concat())
    }

    fn import(&self, gallery: &str) -> Output {
        let rows = self.at("rows.npy");
        let import = [
            "gallery",
            "import",
            "--partition",
            gallery,
            "--encoder",
            "test",
        ];
        self.run(&[&import[..], &[text(&rows)]].concat())
    }
}

/// All files below a directory.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

#[test]
fn no_verb_makes_a_catalog_where_one_is_missing() {
    let data = Data::new();
    fs::remove_file(data.at("data/catalog.redb")).unwrap();
    let before = files(&data.at("data"));
    let rows = data.at("rows.npy");
    let answers = data.at("answers.jsonl");
    let snapshot = data.at("snapshot.tar.zst");
    let import = [
        "gallery",
        "import",
        "--partition",
        "bws.2",
        "--encoder",
        "test",
    ];
    let verbs: Vec<Vec<&str>> = vec![
        vec!["serve", "--listen", "127.0.0.1:0"],
        vec!["app", "create", "--storage", "bws", "--name", "a"],
        vec!["app", "list"],
        vec![
            "key",
            "create",
            "--name",
            "k",
            "--scopes",
            "identify",
            "--everything",
        ],
        vec!["key", "list"],
        [&import[..], &[text(&rows)]].concat(),
        [&import[..], &["--dry-run", text(&rows)]].concat(),
        vec!["gallery", "list"],
        vec!["gallery", "info"],
        vec!["gallery", "verify"],
        vec!["gallery", "compact"],
        vec!["gallery", "snapshot", "--to", text(&snapshot)],
        vec![
            "identify",
            "--partition",
            "bws.1",
            "--embeddings",
            text(&rows),
            "--output",
            text(&answers),
        ],
    ];
    for verb in &verbs {
        let said = failure(&data.run(verb));
        assert!(
            said.contains("catalog.redb` is missing"),
            "{verb:?}: {said}"
        );
        assert!(
            said.contains(".vseg` shows that there was one"),
            "{verb:?}: {said}"
        );
        assert!(
            !said.contains("--data-dir"),
            "it is the right directory: {verb:?}: {said}"
        );
    }
    assert_eq!(files(&data.at("data")), before);
    assert!(!answers.exists() && !snapshot.exists());
}

#[test]
fn a_catalog_is_made_again_of_segments_and_what_is_lost_is_said() {
    let data = Data::new();
    let repair = ["gallery", "repair", "--from-segments"];
    let refused = failure(&data.run(&repair));
    assert!(refused.contains("there is a catalog"), "{refused}");
    let list = ["gallery", "list"];
    let before = success(&data.run(&list));
    fs::remove_file(data.at("data/catalog.redb")).unwrap();
    let output = data.run(&repair);
    assert!(success(&output).contains("bws.1: 200 templates"));
    let said = String::from_utf8(output.stderr).unwrap();
    for lost in ["not sealed", "apps", "keys", "removed"] {
        assert!(said.contains(lost), "{said}");
    }
    assert_eq!(success(&data.run(&list)), before);
    success(&data.run(&["gallery", "verify"]));
    success(&data.import("bws.2"));
    // A segment that lies where it is none keeps the data directory shut, and what is none does not.
    let segment = data.at("data/segments/1/2.vseg");
    let (copied, noted) = ("777.vseg", "notes.vseg");
    fs::copy(&segment, segment.with_file_name(copied)).unwrap();
    fs::copy(&segment, segment.with_file_name(noted)).unwrap();
    fs::remove_file(data.at("data/catalog.redb")).unwrap();
    let output = data.run(&repair);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("move it away").count(), 1, "{said}");
    assert!(
        said.contains("777.vseg` is a segment of something else"),
        "{said}"
    );
    failure(&data.run(&list));
    fs::remove_file(segment.with_file_name(copied)).unwrap();
    assert!(success(&data.run(&list)).contains("bws.1"));
    // Old segments do not say the name of their gallery.
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format/v1");
    let (snapshot, older) = (old.join("snapshot.tar.zst"), data.at("older"));
    let run = |verb: &[&str]| vultus(&[verb, &["--data-dir", text(&older)]].concat());
    success(&run(&["gallery", "restore", "--from", text(&snapshot)]));
    fs::remove_file(older.join("catalog.redb")).unwrap();
    let said = failure(&run(&repair));
    assert!(said.contains("--name 1=STORAGE.PARTITION"), "{said}");
    let named = success(&run(&[&repair[..], &["--name", "1=other.7"]].concat()));
    assert!(
        named.contains("other.7: 5 templates of `test@1/24`"),
        "{named}"
    );
    assert!(success(&run(&list)).contains("other.7"));
}

/// Everything below a directory, and it, with its permissions.
fn modes(path: &Path) -> Vec<(PathBuf, u32)> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::symlink_metadata(path).unwrap();
    let mut found = vec![(path.to_owned(), metadata.permissions().mode() & 0o777)];
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(modes(&entry.unwrap().path()));
        }
    }
    found
}

/// Runs the program in a directory, with a umask that takes nothing away.
fn run_open(directory: &Path, arguments: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_vultus");
    let mut shell = std::process::Command::new("sh");
    let script = format!("umask 000 && exec '{program}' {arguments}");
    shell
        .current_dir(directory)
        .args(["-c", &script])
        .output()
        .unwrap()
}

#[test]
fn all_that_is_made_is_for_its_owner_alone_whatever_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("made");
    fs::create_dir(&made).unwrap();
    let mut rows = random_rows(50, 32, 1);
    embeddings(&directory.path().join("good.npy"), &rows);
    rows.push(vec![0.0; 32]);
    embeddings(&directory.path().join("rows.npy"), &rows);
    let data = "--data-dir data";
    let verbs = [
        "gallery import --partition bws.1 --encoder test --refused refused.jsonl ../rows.npy",
        "app create --storage bws --name a",
        "key create --name k --scopes identify --everything",
        "key rotate",
        "gallery compact",
        "gallery export --partition bws.1 --output rows.parquet",
        "gallery export --partition bws.1 --output rows.jsonl",
        "identify --partition bws.1 --embeddings ../good.npy --output answers.jsonl --threshold -1",
        "identify --partition bws.1 --embeddings ../good.npy --output answers.parquet --threshold -1",
        "gallery snapshot --to a.tar.zst",
    ];
    for verb in verbs {
        let output = run_open(&made, &format!("{verb} {data}"));
        // An embedding of zeros is refused, which makes it 1.
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code().is_some_and(|code| code < 2),
            "{verb}: {said}"
        );
        assert!(!said.contains("others can read"), "{verb}: {said}");
    }
    success(&run_open(
        &made,
        "gallery restore --from a.tar.zst --data-dir restored",
    ));
    for (path, mode) in modes(&made).into_iter().skip(1) {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
    assert!(made.join("refused.jsonl").exists() && made.join("rows.parquet").exists());
}

#[test]
fn a_data_directory_that_others_can_read_is_warned_of_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt;
    let data = Data::new();
    let set = |name: &str, mode| {
        fs::set_permissions(data.at(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let said = || String::from_utf8(data.run(&["gallery", "verify"]).stderr).unwrap();
    assert!(!said().contains("chmod"), "{}", said());
    for (name, mode) in [
        ("data", 0o755),
        ("data/catalog.redb", 0o640),
        ("data/segments", 0o711),
    ] {
        set(name, mode);
        assert!(said().contains("chmod -R go-rwx"), "{name}: {}", said());
        assert!(said().contains(&format!("{name}`")), "{name}: {}", said());
        set(name, if name.ends_with("redb") { 0o600 } else { 0o700 });
    }
}

#[test]
fn nothing_is_written_through_a_link_at_the_name_of_a_draft() {
    use std::os::unix::fs::symlink;
    let data = Data::new();
    let rows = data.at("rows.npy");
    let victim = data.at("victim");
    fs::write(&victim, b"precious").unwrap();
    let export = |name: &'static str| {
        let path = data.at(name);
        data.run(&[
            "gallery",
            "export",
            "--partition",
            "bws.1",
            "--output",
            text(&path),
        ])
    };
    let identify = |name: &'static str| {
        let (rows, path) = (text(&rows), data.at(name));
        let verb = [
            "identify",
            "--partition",
            "bws.1",
            "--embeddings",
            rows,
            "--threshold",
            "-1",
        ];
        data.run(&[&verb[..], &["--overwrite", "--output", text(&path)]].concat())
    };
    type Run<'a> = &'a dyn Fn() -> Output;
    let runs: [(&str, Run<'_>); 6] = [
        ("a.jsonl.new", &|| export("a.jsonl")),
        ("a.parquet.new", &|| export("a.parquet")),
        ("b.jsonl.partial", &|| identify("b.jsonl")),
        ("c.jsonl.progress.new", &|| identify("c.jsonl")),
        ("d.parquet.new", &|| identify("d.parquet")),
        ("e.tar.zst.new", &|| {
            let path = data.at("e.tar.zst");
            data.run(&["gallery", "snapshot", "--to", text(&path)])
        }),
    ];
    for (draft, run) in runs {
        for is_soft in [true, false] {
            match is_soft {
                true => symlink(&victim, data.at(draft)).unwrap(),
                false => fs::hard_link(&victim, data.at(draft)).unwrap(),
            }
            let said = failure(&run());
            assert!(
                said.contains("move it away") && said.contains(draft),
                "{draft}: {said}"
            );
            assert_eq!(fs::read(&victim).unwrap(), b"precious", "{draft}");
            fs::remove_file(data.at(draft)).unwrap();
        }
    }
}

/// A data directory with a gallery and an app, an older copy of all its files, and another one that
/// was made in the same way.
struct Pair {
    data: Data,
    older: BTreeMap<PathBuf, Vec<u8>>,
    newer: BTreeMap<PathBuf, Vec<u8>>,
    other: Data,
}

const CREATE_APP: [&str; 6] = ["app", "create", "--storage", "bws", "--name", "a"];
const IDENTIFY: [&str; 5] = ["identify", "--partition", "bws.1", "--threshold", "-1"];

impl Pair {
    fn new() -> Pair {
        let [data, other] = [Data::new(), Data::new()];
        for one in [&data, &other] {
            success(&one.run(&CREATE_APP));
        }
        let older = files(&data.at("data"));
        success(&data.import("bws.2"));
        success(&data.run(&CREATE_APP));
        let newer = files(&data.at("data"));
        Pair {
            data,
            older,
            newer,
            other,
        }
    }

    /// The file of a kind, and its name in the other data directory.
    fn file(&self, name: &str) -> PathBuf {
        let mut files = self.newer.keys();
        let found =
            files.find(|path| path.ends_with(name) || (name == "segment" && is_segment(path)));
        found.unwrap().clone()
    }

    fn do_to(&self, name: &str, done: Done) {
        let path = self.file(name);
        match done {
            Done::Deleted => fs::remove_file(&path).unwrap(),
            Done::Older => fs::write(&path, &self.older[&path]).unwrap(),
            Done::Swapped => {
                let name = path.strip_prefix(self.data.at("data")).unwrap();
                fs::copy(self.other.at("data").join(name), &path).unwrap();
            }
            Done::Garbage => fs::write(&path, b"no such thing").unwrap(),
        };
    }

    fn undo(&self) {
        for path in files(&self.data.at("data")).into_keys() {
            fs::remove_file(path).unwrap();
        }
        for (path, bytes) in &self.newer {
            fs::write(path, bytes).unwrap();
        }
    }

    /// All that somebody could miss.
    fn held(&self) -> Vec<String> {
        let mut held = vec![success(&self.data.run(&["app", "list"]))];
        for gallery in ["bws.1", "bws.2"] {
            let to = self.data.at("held.jsonl");
            let export = ["gallery", "export", "--partition", gallery, "--overwrite"];
            success(
                &self
                    .data
                    .run(&[&export[..], &["--output", text(&to)]].concat()),
            );
            held.push(fs::read_to_string(to).unwrap());
        }
        held
    }

    /// What is said first by verbs that look on, change, and serve.
    fn refusals(&self, verbs: &[&[&str]]) -> Vec<Option<String>> {
        let rows = self.data.at("rows.npy");
        let tell = |verb: &&[&str]| {
            let embeddings: &[&str] = &["--embeddings", text(&rows)];
            let more = if verb[0] == "identify" {
                embeddings
            } else {
                &[]
            };
            let output = self.data.run(&[verb, more].concat());
            let said = [output.stdout, output.stderr].concat();
            (!output.status.success()).then(|| String::from_utf8(said).unwrap())
        };
        verbs.iter().map(tell).collect()
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "vseg")
}

/// Some verbs, with their arguments.
type Verbs = &'static [&'static [&'static str]];

#[derive(Clone, Copy, Debug)]
enum Done {
    Deleted,
    Swapped,
    Older,
    Garbage,
}

/// What is said where a file is not what it was, and by whom; `None` where nobody can miss anything.
#[rustfmt::skip]
const SAID: &[(&str, Done, Verbs, Option<&str>)] = &[
    ("catalog.redb", Done::Deleted, ALL_VERBS, Some("catalog.redb` is missing")),
    ("catalog.redb", Done::Swapped, ALL_VERBS, Some("is of data directory")),
    ("catalog.redb", Done::Older, ALL_VERBS, Some("is an older one")),
    ("catalog.redb", Done::Garbage, ALL_VERBS, Some("catalog.redb` is damaged")),
    ("segment", Done::Deleted, READERS, Some(".vseg`")),
    ("segment", Done::Swapped, READERS, Some("belongs to another data directory")),
    ("segment", Done::Garbage, READERS, Some(".vseg` is damaged")),
    ("writer.lock", Done::Deleted, ALL_VERBS, None),
    ("writer.lock", Done::Swapped, ALL_VERBS, Some("writer.lock` of")),
    ("writer.lock", Done::Older, ALL_VERBS, None),
    ("writer.lock", Done::Garbage, ALL_VERBS, None),
    ("readers.lock", Done::Deleted, ALL_VERBS, None),
    ("readers.lock", Done::Garbage, ALL_VERBS, None),
    ("catalog.lock", Done::Deleted, ALL_VERBS, None),
    ("catalog.lock", Done::Garbage, ALL_VERBS, None),
    ("server.key", Done::Deleted, &[&CREATE_APP], Some("server.key` is missing")),
    ("server.key", Done::Swapped, &[&CREATE_APP], Some("is not the one")),
    ("server.key", Done::Garbage, &[&CREATE_APP], Some("server.key` is damaged")),
];
const ALL_VERBS: Verbs = &[&["gallery", "list"], &IDENTIFY, &["gallery", "compact"]];
const READERS: Verbs = &[&["gallery", "verify", "--partition", "bws.1"], &IDENTIFY];

#[test]
fn every_kind_of_file_that_is_gone_swapped_or_older_is_refused_by_name_and_nothing_is_lost() {
    let pair = Pair::new();
    let held = pair.held();
    for (name, done, verbs, said) in SAID {
        pair.do_to(name, *done);
        for refusal in pair.refusals(verbs) {
            match (said, &refusal) {
                (Some(said), Some(refusal)) => {
                    assert!(refusal.contains(said), "{name} {done:?}: {refusal}");
                }
                (None, None) => {}
                _ => panic!("{name} {done:?}: {refusal:?}"),
            }
        }
        if said.is_none() {
            assert_eq!(pair.held(), held, "{name} {done:?}");
        }
        pair.undo();
        assert_eq!(pair.held(), held, "{name} {done:?}");
    }
}

/// What reads each file of a data directory, and what writes it.
const PIPED: &[(&str, &[&[&str]])] = &[
    ("catalog.redb", &[&["gallery", "list"], COMPACT]),
    // Whoever only reads can do without it.
    ("catalog.lock", &[COMPACT]),
    ("readers.lock", &[&["gallery", "list"], COMPACT]),
    ("writer.lock", &[&["gallery", "list"], COMPACT]),
    ("gallery.keys", &[&["gallery", "list"], COMPACT]),
    ("server.key", &[&["key", "rotate"], SERVE]),
    (AUDIT, &[&["audit", "verify"], SERVE]),
];
const COMPACT: &[&str] = &["gallery", "compact"];
const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--audit", "on"];
const AUDIT: &str = "audit/00000000000000000001.jsonl";

#[test]
fn nobody_waits_for_a_pipe_in_the_place_of_a_file() {
    let data = Data::new();
    let made = data.at("data");
    fs::create_dir(made.join("audit")).unwrap();
    for (name, verbs) in PIPED {
        let path = made.join(name);
        let before = fs::read(&path).ok();
        let _ = fs::remove_file(&path);
        let pipe = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(pipe.unwrap().success());
        for verb in *verbs {
            let output = data.run(verb);
            assert_eq!(output.status.code(), Some(2), "{name} {verb:?}: {output:?}");
            // A service may warn of something before.
            let refused = String::from_utf8(output.stderr).unwrap();
            for part in [*name, "expected a file, found "] {
                assert!(refused.contains(part), "{name} {verb:?}: {refused}");
            }
        }
        for verb in [["gallery", "list"], ["gallery", "info"]] {
            data.run(&verb);
        }
        data.run(&["doctor"]);
        fs::remove_file(&path).unwrap();
        if let Some(before) = before {
            fs::write(path, before).unwrap();
        }
    }
    let archive = data.at("archive");
    let pipe = std::process::Command::new("mkfifo").arg(&archive).status();
    assert!(pipe.unwrap().success());
    let restored = data.at("restored");
    let restore = ["gallery", "restore", "--from", text(&archive)];
    let to = ["--data-dir", text(&restored)];
    let refused = failure(&vultus(&[&restore[..], &to].concat()));
    assert!(
        refused.contains("expected a file, found a pipe"),
        "{refused}"
    );
    assert_eq!(success(&data.run(&["gallery", "list"])), "bws.1\n");
}

#[test]
fn an_older_catalog_is_refused_with_the_way_out_and_taken_when_asked() {
    let pair = Pair::new();
    let list = ["gallery", "list"];
    pair.do_to("catalog.redb", Done::Older);
    let said = failure(&pair.data.run(&list));
    for part in [
        "catalog.redb` is an older one",
        "writer.lock`",
        "restore a snapshot",
        "gallery repair --accept-catalog",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // What the older one does not name would be left behind: it is not taken while that is there.
    let accept = ["gallery", "repair", "--accept-catalog"];
    let output = pair.data.run(&accept);
    success(&output);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("changes are lost"), "{told}");
    assert!(told.contains("may be missing"), "{told}");
    let said = failure(&pair.data.run(&list));
    assert!(said.contains("does not know the segment"), "{said}");
    for path in pair
        .newer
        .keys()
        .filter(|path| !pair.older.contains_key(*path))
    {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(success(&pair.data.run(&list)), "bws.1\n");
    let output = pair.data.run(&accept);
    success(&output);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("nothing was changed"), "{told}");
    pair.do_to("writer.lock", Done::Swapped);
    let output = pair.data.run(&[&accept[..], &["--json"]].concat());
    let told: serde_json::Value = serde_json::from_str(&success(&output)).unwrap();
    assert_eq!(
        (&told["was_of_another"], &told["changes_expected"]),
        (&true.into(), &serde_json::Value::Null)
    );
    success(&pair.data.run(&["gallery", "verify"]));
}

#[test]
fn what_is_none_of_ours_among_the_segments_is_counted_and_left_alone() {
    let data = Data::new();
    let strays = [
        "segments/notes.txt",
        "segments/1/copy of 2.vseg",
        "segments/1/777.vseg",
        "segments/old/3.vseg",
    ];
    let catalog = data.at("data/catalog.redb");
    let inspect = || vultus(&["inspect", "--json", text(&catalog)]);
    let told = |output: &Output| -> serde_json::Value {
        let value: serde_json::Value = serde_json::from_str(&success(output)).unwrap();
        value["left_alone"].clone()
    };
    let verify = ["gallery", "verify", "--json"];
    let nothing = serde_json::json!({ "files": 0, "bytes": 0, "first": [] });
    assert_eq!(told(&data.run(&verify)), nothing);
    assert_eq!(told(&inspect()), nothing);
    for (at, name) in strays.iter().enumerate() {
        let path = data.at("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![7; 10 + at]).unwrap();
    }
    for output in [data.run(&verify), inspect()] {
        let told = told(&output);
        assert_eq!(
            (&told["files"], &told["bytes"]),
            (&4.into(), &46.into()),
            "{told}"
        );
        let first = told["first"].to_string();
        assert!(strays.iter().all(|name| first.contains(name)), "{first}");
    }
    let said = success(&data.run(&["gallery", "verify"]));
    assert!(said.contains("4 files among the segments"), "{said}");
    assert!(success(&vultus(&["inspect", text(&catalog)])).contains("4 files among the segments"));
    success(&data.run(&["gallery", "compact"]));
    assert!(
        strays
            .iter()
            .all(|name| data.at("data").join(name).exists())
    );
}

/// The calls of a service whose data directory somebody has changed.
fn status(server: &Program) -> serde_json::Value {
    let status = server.get("status").json();
    status["storage"].clone()
}

#[test]
fn a_service_tells_at_once_of_a_gallery_that_it_cannot_open_and_serves_the_others() {
    let [data, other] = [Data::new(), Data::new()];
    success(&data.import("bws.2"));
    let registered = Registered::create(&data.at("data"));
    let segment = |data: &Data, gallery: usize| {
        let all = files(&data.at("data/segments")).into_keys();
        all.filter(|path| is_segment(path)).nth(gallery).unwrap()
    };
    let theirs = fs::read(segment(&other, 0)).unwrap();
    let own = fs::read(segment(&data, 0)).unwrap();
    let wrong: [(&str, Option<&[u8]>); 4] = [
        ("belongs to another data directory", Some(&theirs)),
        ("cannot open", None),
        ("is damaged", Some(&own[..5000])),
        ("is damaged", Some(&[0; 9000])),
    ];
    let probe = serde_json::json!({ "encoder": "test", "embeddings": [vec![0.5; 32]] });
    for (said, bytes) in wrong {
        let path = segment(&data, 0);
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let server = Program::start(&data.at("data"), &registered);
        // Before anybody has asked for it.
        let storage = status(&server);
        assert_eq!(storage["good"], false, "{said}: {storage}");
        assert_eq!(storage["damaged"][0]["partition"], "bws.1");
        let damage = storage["damaged"][0]["damage"].as_str().unwrap();
        assert!(
            damage.contains(said) && damage.contains(".vseg`"),
            "{damage}"
        );
        let found = server.post("partitions/bws.2/identify", &probe);
        assert_eq!(found.status, 200, "{}", found.body);
        assert_eq!(server.post("partitions/bws.1/identify", &probe).status, 500);
        // Somebody puts it back meanwhile.
        fs::write(&path, &own).unwrap();
        assert_eq!(server.post("partitions/bws.1/identify", &probe).status, 200);
        assert_eq!(status(&server)["good"], true, "{said}");
    }
}

#[test]
fn an_older_catalog_is_refused_after_kills_as_after_ends() {
    let data = Data::new();
    let registered = Registered::create(&data.at("data"));
    let catalog = data.at("data/catalog.redb");
    let alive = |work: &dyn Fn(&Program)| {
        let server = Program::start(&data.at("data"), &registered);
        work(&server);
        server.kill();
        fs::read(&catalog).unwrap()
    };
    let enroll = |server: &Program, class| server.enroll_embedding("bws.9", class, &axis(0));
    let older = alive(&|server| enroll(server, 1));
    let newer = alive(&|server| {
        server.delete("partitions/bws.9/classes/1").json();
        enroll(server, 2);
    });
    fs::write(&catalog, &older).unwrap();
    let said = failure(&data.run(&["serve", "--listen", "127.0.0.1:0"]));
    assert!(said.contains("is an older one"), "{said}");
    fs::write(&catalog, &newer).unwrap();
    alive(&|server| {
        let classes = server.get("partitions/bws.9/classes").json();
        assert_eq!(classes["classes"].as_array().unwrap().len(), 1, "{classes}");
        assert_eq!(classes["classes"][0]["class"], "2");
    });
    // The machine went down, and nothing of the file reached the disk.
    fs::write(data.at("data/writer.lock"), b"").unwrap();
    alive(&|server| enroll(server, 3));
    fs::write(&catalog, &newer).unwrap();
    let said = failure(&data.run(&["gallery", "list"]));
    assert!(said.contains("is an older one"), "{said}");
}
