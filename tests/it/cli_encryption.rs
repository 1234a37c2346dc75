//! `--encryption`, `--master-key`, `vultus gallery encrypt`, `change-master-key` and `rotate-keys`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use vultus::secrets::MasterKey;

use super::cli::{embeddings, face, failure, json_lines, random_rows, success, text, vultus};
use crate::harness::{Native, Program, Registered};

/// A folder with a data directory to be, a master key, and some rows.
struct Place {
    folder: tempfile::TempDir,
    data: PathBuf,
    rows: PathBuf,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let (data, rows) = (folder.path().join("data"), folder.path().join("rows.npy"));
        embeddings(&rows, &random_rows(50, 32, 3));
        Place { folder, data, rows }
    }

    /// Where a new key is.
    fn key(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, MasterKey::random().1.as_bytes()).unwrap();
        // Or every command warns of it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        format!("file:{}", text(&path))
    }

    fn gallery(&self, verb: &[&str]) -> Output {
        vultus(&[&["gallery"], verb, &["--data-dir", text(&self.data)]].concat())
    }

    fn import(&self, more: &[&str]) {
        let rows = text(&self.rows);
        let import = ["import", rows, "--partition", "bws.1", "--encoder", "test"];
        success(&self.gallery(&[&import[..], more].concat()));
    }

    /// How many templates there are, by a command with these flags.
    fn templates(&self, more: &[&str]) -> usize {
        let said = success(&self.gallery(&[&["info", "--json"], more].concat()));
        json_lines(&said)[0]["templates"].as_u64().unwrap() as usize
    }
}

/// Whether a row stands in a file of a folder.
fn shows(folder: &Path) -> bool {
    let row = &random_rows(50, 32, 3)[0];
    let row: Vec<u8> = row.iter().take(4).flat_map(|it| it.to_le_bytes()).collect();
    let mut files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    files.any(|path| match path.is_dir() {
        true => shows(&path),
        false => fs::read(path).unwrap().windows(16).any(|it| it == row),
    })
}

#[test]
fn a_new_data_directory_is_encrypted_and_every_command_needs_the_key() {
    let place = Place::new();
    let key = place.key("master.key");
    let keyed = ["--master-key", &*key];
    place.import(&[&keyed[..], &["--encryption", "on"]].concat());
    assert!(!shows(&place.data));
    assert_eq!(place.templates(&keyed), 50);
    let said = failure(&place.gallery(&["info"]));
    assert!(said.contains("no master key is given"), "{said}");
    let other = place.key("other.key");
    let said = failure(&place.gallery(&["info", "--master-key", &other]));
    assert!(said.contains("another one"), "{said}");
    // The key in the place of where it is: it is not repeated.
    let digits = fs::read_to_string(place.folder.path().join("master.key")).unwrap();
    let said = failure(&place.gallery(&["info", "--master-key", &digits]));
    assert!(
        said.contains("not shown") && !said.contains(&digits[..8]),
        "{said}"
    );
    let snapshot = place.folder.path().join("a.sealed");
    success(&place.gallery(&[&["snapshot", "--to", text(&snapshot)], &keyed[..]].concat()));
    let check = ["restore", "--check", "--from", text(&snapshot)];
    failure(&place.gallery(&check));
    success(&place.gallery(&[&check[..], &keyed].concat()));
}

#[test]
fn what_is_not_encrypted_takes_no_place_of_what_is() {
    let (place, plain) = (Place::new(), Place::new());
    let key = place.key("master.key");
    let on = ["--master-key", &*key, "--encryption", "on"];
    place.import(&on);
    plain.import(&[]);
    let (forged, other) = (
        place.folder.path().join("forged.tar.zst"),
        place.folder.path().join("other"),
    );
    success(&plain.gallery(&["snapshot", "--to", text(&forged)]));
    // A snapshot that anybody could have made.
    let restored = |more: &[&str]| {
        let from = ["gallery", "restore", "--from", text(&forged)];
        vultus(&[&from[..], &["--data-dir", text(&other)], &on, more].concat())
    };
    for check in [&[][..], &["--check"]] {
        let said = failure(&restored(check));
        assert!(
            said.contains("is not encrypted") && said.contains("--accept-plain"),
            "{said}"
        );
        assert!(!other.exists());
    }
    success(&restored(&["--accept-plain"]));
    // And a data directory.
    let serve = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        text(&other),
    ];
    let said = failure(&vultus(&[&serve[..], &on].concat()));
    assert!(said.contains("is not encrypted"), "{said}");
}

#[test]
fn one_that_is_there_is_encrypted_and_gets_another_key() {
    let place = Place::new();
    place.import(&[]);
    assert!(shows(&place.data));
    let key = place.key("master.key");
    let keyed = ["--master-key", &*key];
    failure(&place.gallery(&["encrypt"]));
    assert_eq!(place.templates(&[]), 50);
    let info = json_lines(&success(&place.gallery(&["info", "--json"])));
    assert_eq!(info[0]["encryption"], "off");
    assert!(!success(&place.gallery(&["info"])).contains("encrypted"));
    success(&place.gallery(&[&["encrypt"], &keyed[..]].concat()));
    assert!(!shows(&place.data));
    assert_eq!(place.templates(&keyed), 50);
    let info = json_lines(&success(
        &place.gallery(&[&["info", "--json"], &keyed[..]].concat()),
    ));
    assert_eq!(info[0]["encryption"], "on");
    let table = success(&place.gallery(&[&["info"], &keyed[..]].concat()));
    assert!(
        table.contains("encrypted") && table.contains("yes"),
        "{table}"
    );
    let new = place.key("new.key");
    success(&place.gallery(&[&["change-master-key", "--to", &*new], &keyed[..]].concat()));
    failure(&place.gallery(&[&["info"], &keyed[..]].concat()));
    assert_eq!(place.templates(&["--master-key", &*new]), 50);
}

#[test]
fn a_snapshot_of_before_the_master_key_was_changed_mends_with_the_key_of_then() {
    let place = Place::new();
    let (old, new) = (place.key("old.key"), place.key("new.key"));
    place.import(&["--master-key", &old, "--encryption", "on"]);
    let snapshot = place.folder.path().join("before.sealed");
    success(&place.gallery(&["snapshot", "--to", text(&snapshot), "--master-key", &old]));
    success(&place.gallery(&["change-master-key", "--to", &new, "--master-key", &old]));
    let keyed = ["--master-key", &*new];
    // A value in the middle of the only segment.
    let folder = fs::read_dir(place.data.join("segments")).unwrap().next();
    let segment = fs::read_dir(folder.unwrap().unwrap().path())
        .unwrap()
        .next();
    let segment = segment.unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0x55);
    fs::write(&segment, bytes).unwrap();
    assert_eq!(
        place
            .gallery(&["verify", "--master-key", &new])
            .status
            .code(),
        Some(1)
    );

    let repair = ["repair", "--from", text(&snapshot)];
    let repaired = |more: &[&str]| place.gallery(&[&repair[..], more, &keyed].concat());
    let said = failure(&repaired(&[]));
    assert!(said.contains("--from-master-key"), "{said}");
    let said = failure(&repaired(&["--from-master-key", &place.key("other.key")]));
    assert!(said.contains("another one"), "{said}");
    let said = failure(&repaired(&["--from-master-key", "0123456789abcdef"]));
    assert!(
        said.contains("expected `file:PATH`") && !said.contains("0123"),
        "{said}"
    );
    assert!(failure(&repaired(&["--from-master-key", "file:/nowhere"])).contains("cannot open"));
    success(&repaired(&["--from-master-key", &old]));
    success(&place.gallery(&[&["verify"], &keyed[..]].concat()));
    assert_eq!(place.templates(&keyed), 50);
    // Of no use without a snapshot.
    failure(&place.gallery(&[&["repair", "--from-master-key", &old], &keyed[..]].concat()));
}

#[test]
fn a_plain_snapshot_mends_what_is_encrypted_only_where_somebody_says_so() {
    let place = Place::new();
    place.import(&[]);
    let snapshot = place.folder.path().join("plain.tar.zst");
    success(&place.gallery(&["snapshot", "--to", text(&snapshot)]));
    let key = place.key("master.key");
    let keyed = ["--master-key", &*key];
    success(&place.gallery(&[&["encrypt"], &keyed[..]].concat()));
    let repair = ["repair", "--from", text(&snapshot)];
    let said = failure(&place.gallery(&[&repair[..], &keyed].concat()));
    assert!(said.contains("--accept-plain"), "{said}");
    success(&place.gallery(&[&repair[..], &["--accept-plain"], &keyed].concat()));
}

#[test]
fn init_makes_an_encrypted_data_directory_and_leaves_one_that_is_there() {
    let place = Place::new();
    let (key, other) = (place.key("a.key"), place.key("b.key"));
    let init = |more: &[&str]| vultus(&[&["init", "--data-dir", text(&place.data)], more].concat());
    let made = |output: &Output| {
        let said = json_lines(&success(output)).remove(0);
        let is = |name: &str| said[name].as_bool().unwrap();
        (is("made"), is("encrypted"))
    };
    let said = failure(&init(&["--encrypt"]));
    assert!(said.contains("openssl rand -hex 32"), "{said}");
    assert!(!place.data.exists(), "nothing is half-made");
    let encrypt = ["--encrypt", "--master-key", &key, "--json"];
    assert_eq!(made(&init(&encrypt)), (true, true));
    assert_eq!(made(&init(&encrypt)), (false, true));
    assert_eq!(made(&init(&encrypt[1..])), (false, true));
    failure(&init(&["--encrypt", "--master-key", &other]));
    failure(&init(&[]));
    // What comes into it is encrypted without another word.
    place.import(&["--master-key", &key]);
    assert!(!shows(&place.data));
    assert_eq!(place.templates(&["--master-key", &key]), 50);
}

#[test]
fn init_makes_a_plain_data_directory_and_does_not_pass_one_off_as_encrypted() {
    let place = Place::new();
    let key = place.key("a.key");
    let init = |more: &[&str]| vultus(&[&["init", "--data-dir", text(&place.data)], more].concat());
    let told = |output: &Output| {
        success(output);
        String::from_utf8(output.stderr.clone()).unwrap()
    };
    assert!(told(&init(&[])).starts_with("made the data directory"));
    place.import(&[]);
    assert!(told(&init(&[])).contains("left as it is"));
    let said = failure(&init(&["--encrypt", "--master-key", &key]));
    assert!(said.contains("vultus gallery encrypt"), "{said}");
    let said = failure(&init(&["--master-key", &key, "--encryption", "on"]));
    assert!(said.contains("vultus gallery encrypt"), "{said}");
    assert_eq!(place.templates(&[]), 50);
    // A file in its place is told.
    let file = text(&place.rows);
    failure(&vultus(&["init", "--data-dir", file]));
}

#[test]
fn portraits_are_stored_encrypted_or_not_at_all_and_removed_by_a_command() {
    let place = Place::new();
    let people = place.folder.path().join("people/17");
    fs::create_dir_all(&people).unwrap();
    fs::copy(face("obama-portrait.jpg"), people.join("a.jpg")).unwrap();
    let folder = text(people.parent().unwrap());
    let on = ["--data-dir", text(&place.data), "--store-portraits", "true"];
    let enroll = ["enroll", "--partition", "people.1", folder];
    for refused in [&enroll[..], &["serve", "--listen", "127.0.0.1:0"]] {
        let said = failure(&vultus(&[refused, &on].concat()));
        assert!(
            said.contains("`store-portraits` is on") && said.contains("is not encrypted"),
            "{said}"
        );
    }
    success(&vultus(&[
        "gallery",
        "info",
        "--data-dir",
        text(&place.data),
    ]));
    let place = Place::new();
    let key = place.key("master.key");
    let keyed = [
        "--data-dir",
        text(&place.data),
        "--master-key",
        &key,
        "--encryption",
        "on",
    ];
    let portraits = ["--store-portraits", "true"];
    success(&vultus(&[&enroll[..], &keyed, &portraits].concat()));
    let flags = &keyed[2..];
    let registered = Registered::create_with(&place.data, flags);
    let path = "partitions/people.1/classes/17/portrait";
    let run = |more: &[&str]| {
        let flags = [flags, more].concat();
        Program::start_with(
            &place.data,
            &registered,
            &flags,
            std::process::Stdio::null(),
        )
    };
    let program = run(&portraits);
    let shown = program.get(path);
    assert_eq!(
        (shown.status, shown.header("content-type")),
        (200, "image/jpeg")
    );
    // Beside the service, as it does.
    let other = text(&people).to_owned();
    let named = ["enroll", "--partition", "people.1", "--class", "18", &other];
    success(&vultus(&[&named[..], &keyed, &portraits].concat()));
    assert_eq!(
        program
            .get("partitions/people.1/classes/18/portrait")
            .status,
        200
    );
    let remove = ["people", "remove-portraits", "--json"];
    let removed = json_lines(&success(&vultus(&[&remove[..], &keyed].concat())));
    assert_eq!(removed[0]["removed"], 2);
    assert_eq!(removed[0]["overwritten"], true);
    program.get(path).problem(404, "portrait_not_found");
    program.terminate();
    // A service that stores none takes none from a command either.
    let program = run(&[]);
    let said = failure(&vultus(
        &[&named[..], &keyed, &portraits, &["--replace"]].concat(),
    ));
    assert!(said.contains("off for the service"), "{said}");
    program.terminate();
}

#[test]
fn a_removed_gallery_cannot_be_read_even_with_its_files_and_the_master_key() {
    let place = Place::new();
    let key = place.key("master.key");
    let keyed = ["--master-key", &*key];
    place.import(&[&keyed[..], &["--encryption", "on"]].concat());
    let rows = text(&place.rows);
    let other = ["import", rows, "--partition", "bws.2", "--encoder", "test"];
    success(&place.gallery(&[&other[..], &keyed].concat()));
    let remove = ["remove", "--partition", "bws.1", "--json", "--confirm"];
    let said = failure(&place.gallery(&[&remove[..], &["bws.2"], &keyed].concat()));
    assert!(said.contains("nothing was removed"), "{said}");
    let typed = place.gallery(&[&["remove", "--partition", "bws.1"], &keyed[..]].concat());
    assert!(failure(&typed).contains("--confirm"));
    // What somebody else has copied before.
    let copied = place.folder.path().join("copied");
    let segments = place.data.join("segments");
    let mut folders = fs::read_dir(&segments)
        .unwrap()
        .map(|it| it.unwrap().path());
    let names: Vec<PathBuf> = folders.by_ref().collect();
    let first = names.iter().min().unwrap();
    let segment = fs::read_dir(first).unwrap().next().unwrap().unwrap().path();
    fs::copy(&segment, &copied).unwrap();

    let removed = place.gallery(&[&remove[..], &["bws.1"], &keyed].concat());
    let said = &json_lines(&success(&removed))[0];
    assert_eq!(
        (
            &said["templates"],
            &said["key_destroyed"],
            &said["overwritten"]
        ),
        (&50.into(), &true.into(), &true.into())
    );
    let receipt = place.folder.path().join("receipt.json");
    fs::write(&receipt, said["receipt"].to_string()).unwrap();
    let verified = vultus(&[
        "audit",
        "verify-receipt",
        text(&receipt),
        "--data-dir",
        text(&place.data),
    ]);
    let verified = success(&verified);
    assert!(
        verified.contains("all of bws.1, 50 templates"),
        "{verified}"
    );
    assert!(verified.contains("partition removed"), "{verified}");
    assert!(!segment.exists());
    let again = place.gallery(&[&remove[..], &["bws.1"], &keyed].concat());
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(
        place.templates(&[&keyed[..], &["--partition", "bws.2"]].concat()),
        50
    );
    // With the copy back in its place nobody can open what there was.
    assert!(!first.exists(), "its folder goes, too");
    fs::create_dir(first).unwrap();
    fs::copy(&copied, &segment).unwrap();
    fs::remove_file(place.data.join("catalog.redb")).unwrap();
    let rebuild = ["repair", "--from-segments"];
    let named =
        |path: &Path, name: &str| format!("{}={name}", path.file_name().unwrap().to_str().unwrap());
    let last = names.iter().max().unwrap();
    let names = [named(first, "bws.1"), named(last, "bws.2")];
    let names = ["--name", &names[0], "--name", &names[1]];
    let said = failure(&place.gallery(&[&rebuild[..], &names, &keyed].concat()));
    assert!(said.contains("no key of gallery number"), "{said}");
}

#[test]
fn galleries_get_other_keys_alone_and_beside_a_service() {
    let place = Place::new();
    let key = place.key("master.key");
    let keyed = ["--master-key", &*key];
    let said = failure(&place.gallery(&[&["rotate-keys"], &keyed[..]].concat()));
    assert!(said.contains("no data directory"), "{said}");
    place.import(&[&keyed[..], &["--encryption", "on"]].concat());
    let segment = || {
        let folder = fs::read_dir(place.data.join("segments")).unwrap();
        let folder = folder.map(|it| it.unwrap().path()).next().unwrap();
        let mut files = fs::read_dir(folder).unwrap();
        files.next().unwrap().unwrap().path()
    };
    let rotate = |more: &[&str]| {
        let output = place.gallery(&[&["rotate-keys", "--json"], &keyed[..], more].concat());
        let said = json_lines(&success(&output)).remove(0);
        let count = |name: &str| said[name].as_u64().unwrap();
        (
            count("partitions"),
            count("segments"),
            said["catalog"].as_bool().unwrap(),
        )
    };
    let (first, keys) = (
        segment(),
        fs::read(place.data.join("gallery.keys")).unwrap(),
    );
    let said = failure(&place.gallery(&["rotate-keys"]));
    assert!(said.contains("no master key is given"), "{said}");
    let none = ["rotate-keys", "--partition", "bws.9"];
    let said = failure(&place.gallery(&[&none[..], &keyed].concat()));
    assert!(said.contains("there is no gallery `bws.9`"), "{said}");
    assert_eq!(segment(), first);
    assert_eq!(rotate(&[]), (1, 1, true));
    assert!(!first.exists());
    assert_eq!(place.templates(&keyed), 50);
    // Beside a service, which goes on.
    let registered = Registered::create_with(&place.data, &keyed);
    let null = std::process::Stdio::null();
    let program = Program::start_with(&place.data, &registered, &keyed, null);
    let second = segment();
    assert_eq!(rotate(&["--partition", "bws.1"]), (1, 1, false));
    assert_eq!(rotate(&[]), (1, 1, true));
    assert!(!second.exists());
    assert_eq!(program.get("partitions/bws.1").status, 200);
    // What cannot be done beside it says what to do.
    let change = ["change-master-key", "--to", &*key];
    let said = failure(&place.gallery(&[&change[..], &keyed].concat()));
    assert!(said.contains("stop the service, run"), "{said}");
    assert_eq!(place.templates(&keyed), 50);
    program.terminate();
    assert!(!shows(&place.data));
    // The keys of before open nothing.
    fs::write(place.data.join("gallery.keys"), keys).unwrap();
    let said = failure(&place.gallery(&[&["info"], &keyed[..]].concat()));
    assert!(said.contains("older one"), "{said}");
}

#[test]
fn what_is_not_encrypted_has_no_keys_to_be_replaced() {
    let place = Place::new();
    place.import(&[]);
    let said = failure(&place.gallery(&["rotate-keys"]));
    assert!(
        said.contains("not encrypted") && said.contains("nothing has got another key"),
        "{said}"
    );
    assert_eq!(place.templates(&[]), 50);
}

/// What `vultus gallery encrypt` with these flags has done: whether the catalog, and how many segments.
fn encrypted(place: &Place, more: &[&str]) -> (bool, u64) {
    let output = place.gallery(&[&["encrypt", "--json"], more].concat());
    let said = json_lines(&success(&output)).remove(0);
    assert_eq!(said["overwritten"], true);
    (
        said["catalog"].as_bool().unwrap(),
        said["segments"].as_u64().unwrap(),
    )
}

#[test]
fn a_plain_data_directory_is_encrypted_beside_a_service_which_goes_on() {
    let place = Place::new();
    place.import(&[]);
    let (key, other) = (place.key("master.key"), place.key("other.key"));
    let keyed = ["--master-key", &*key];
    let registered = Registered::create(&place.data);
    let start = |flags: &[&str]| {
        let null = std::process::Stdio::null();
        Program::start_with(&place.data, &registered, flags, null)
    };
    // It could not open again what it has no key for.
    let program = start(&[]);
    let said = failure(&place.gallery(&[&["encrypt"], &keyed[..]].concat()));
    assert!(
        said.contains("the service has no master key") && said.contains("restart"),
        "{said}"
    );
    program.terminate();
    let program = start(&keyed);
    let status = || program.get("status").json()["storage"]["encryption"].clone();
    let said = failure(&place.gallery(&["encrypt", "--master-key", &other]));
    assert!(said.contains("another master key"), "{said}");
    let said = failure(&place.gallery(&["encrypt", "--master-key", "file:/nowhere"]));
    assert!(said.contains("cannot open"), "{said}");
    assert_eq!(status(), "off");
    let segments = place.data.join("segments");
    assert!(!place.data.join("gallery.keys").exists() && shows(&segments));
    assert_eq!(encrypted(&place, &keyed), (true, 1));
    assert_eq!(status(), "on");
    assert!(!shows(&segments));
    // Once more, also without a key, which the service has.
    assert_eq!(encrypted(&place, &[]), (false, 0));
    let rows = text(&place.rows);
    let import = ["import", rows, "--partition", "bws.2", "--encoder", "test"];
    success(&place.gallery(&[&import[..], &keyed].concat()));
    assert_eq!(program.get("partitions/bws.1").status, 200);
    let snapshot = place.folder.path().join("a.sealed");
    success(&place.gallery(&[&["snapshot", "--to", text(&snapshot)], &keyed[..]].concat()));
    let check = ["restore", "--check", "--from", text(&snapshot)];
    assert!(failure(&place.gallery(&check)).contains("master key"));
    program.terminate();
    assert!(!shows(&place.data));
    assert_eq!(place.templates(&keyed), 50);
    success(&place.gallery(&[&["verify"], &keyed[..]].concat()));
    let said = failure(&place.gallery(&["info"]));
    assert!(said.contains("no master key is given"), "{said}");
    // And without a service.
    assert_eq!(encrypted(&place, &keyed), (false, 0));
}
