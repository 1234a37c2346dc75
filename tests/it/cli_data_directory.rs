//! A data directory that somebody has changed behind the program's back: every verb refuses by name
//! what it could only make worse, and loses nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::cli::{embeddings, failure, random_rows, success, text, vultus};

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
