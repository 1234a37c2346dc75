//! The real program, killed while it writes galleries anew with other keys, or encrypts them for the first time,
//! alone and beside a service.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use vultus::partition::{Encryption, Keys, Pace, Store};
use vultus::secrets::MasterKey;

use crate::cli::{embeddings, random_rows, success, text, vultus};
use crate::damage::copy;
use crate::harness::{Program, Registered};

const GALLERIES: usize = 3;
const ROWS: usize = 3_000;
const DIMENSION: usize = 64;

/// Row by row: its class, and the bits of its values.
type Rows = BTreeSet<(i64, Vec<u32>)>;

/// A data directory with people in several galleries.
struct Place {
    folder: tempfile::TempDir,
    data: PathBuf,
    keys: Keys,
    /// The setting that says where the master key is.
    source: String,
    registered: Registered,
    random: StdRng,
}

impl Place {
    fn new(flags: &[&str]) -> Place {
        let chosen = std::env::var("VULTUS_SEED").ok();
        let seed = chosen.map_or_else(|| rand::rng().next_u64(), |text| text.parse().unwrap());
        println!("VULTUS_SEED={seed}");
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let (master, digits) = MasterKey::random();
        let path = folder.path().join("master.key");
        fs::write(&path, digits.as_bytes()).unwrap();
        let source = format!("--master-key=file:{}", path.display());
        let flags = [flags, &[&*source]].concat();
        for gallery in 0..GALLERIES {
            let rows = folder.path().join("rows.npy");
            embeddings(&rows, &random_rows(ROWS, DIMENSION, gallery as u64));
            let partition = format!("bws.{gallery}");
            let import = ["gallery", "import", text(&rows), "--encoder", "test"];
            let into = ["--partition", &partition, "--data-dir", text(&data)];
            success(&vultus(&[&import[..], &into, &flags].concat()));
        }
        let registered = Registered::create_with(&data, &flags);
        Place {
            folder,
            data,
            keys: Keys {
                master: Some(master),
                encrypt_new: false,
            },
            source,
            registered,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Starts `vultus gallery VERB`.
    fn begin(&self, verb: &str) -> Child {
        let program = env!("CARGO_BIN_EXE_vultus");
        Command::new(program)
            .args(["gallery", verb, "--data-dir", text(&self.data)])
            .arg(&self.source)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Does `vultus gallery VERB` to its end, and returns how long that took.
    fn complete(&self, verb: &str) -> Duration {
        let began = Instant::now();
        success(&vultus(&[
            "gallery",
            verb,
            "--data-dir",
            text(&self.data),
            &self.source,
        ]));
        began.elapsed()
    }

    fn serve(&self) -> Program {
        let flags = [&*self.source];
        Program::start_with(&self.data, &self.registered, &flags, Stdio::null())
    }

    /// Waits until a command has begun with something that is seen in files, or has ended, and then for some
    /// part of the time that it takes.
    fn wait(&mut self, command: &mut Child, took: Duration, has_begun: impl Fn() -> bool) {
        while !has_begun() && command.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(took.mul_f64(self.random.random_range(0.0..1.0)));
    }

    /// All rows, of which every byte was compared, as whoever looks on sees them.
    fn rows(&self, context: &str) -> Rows {
        let store = Store::open_read_only_with(&self.data, &self.keys);
        let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
        let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
        let damage = verified.damage;
        assert!(damage.is_empty(), "{context}: {damage:?}");
        let mut rows = Rows::new();
        for id in store.partitions().unwrap() {
            let snapshot = store.partition(&id).unwrap().unwrap().snapshot();
            for row in snapshot.live_rows() {
                let bits = row.values().unwrap().iter().map(|it| it.to_bits());
                rows.insert((row.class().unwrap().0, bits.collect()));
            }
        }
        rows
    }

    fn encryption(&self) -> Encryption {
        let store = Store::open_read_only_with(&self.data, &self.keys).unwrap();
        store.encryption().unwrap()
    }

    fn key_file(&self) -> PathBuf {
        self.data.join("gallery.keys")
    }
}

/// Whether a key file has keys of before: it has another version then.
fn is_changing(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.get(8) == Some(&2))
}

#[test]
#[ignore = "takes a minute; CI runs it by name"]
fn nobody_is_lost_by_kills_of_a_rotation_and_no_key_of_before_is_left() {
    const ALONE: usize = 16;
    const BESIDE: usize = 8;
    let mut place = Place::new(&["--encryption=on"]);
    let key_file = place.key_file();
    let mut before = BTreeSet::from([fs::read(&key_file).unwrap()]);
    let took = place.complete("rotate-keys");
    let expected = place.rows("before any kill");
    assert_eq!(expected.len(), GALLERIES * ROWS);
    let mut broken_off = 0;
    for kill in 1..=ALONE + BESIDE {
        before.insert(fs::read(&key_file).unwrap());
        let server = (kill > ALONE).then(|| place.serve());
        let mut command = place.begin("rotate-keys");
        place.wait(&mut command, took, || is_changing(&key_file));
        match &server {
            // The command is told that the service ended.
            Some(server) => server.kill(),
            None => command.kill().unwrap(),
        }
        command.wait().unwrap();
        broken_off += usize::from(is_changing(&key_file));
        let found = place.rows(&format!("after kill {kill}"));
        assert!(found == expected, "after kill {kill}");
        before.insert(fs::read(&key_file).unwrap());
    }
    println!("{ALONE} and {BESIDE} kills, {broken_off} in the middle");
    assert!(broken_off > 0, "none came in the middle");
    place.complete("rotate-keys");
    assert!(place.rows("in the end") == expected);
    let newest = fs::read(&key_file).unwrap();
    let count = newest[12..16].first_chunk().unwrap();
    let expected_count = GALLERIES as u32;
    assert_eq!(u32::from_le_bytes(*count), expected_count, "keys");
    assert!(!is_changing(&key_file));
    for older in &before {
        fs::write(&key_file, older).unwrap();
        let opened = Store::open_read_only_with(&place.data, &place.keys);
        let said = opened.unwrap_err().to_string();
        assert!(
            said.contains("older one") || said.contains("sealed with the keys"),
            "{said}"
        );
    }
    fs::write(&key_file, newest).unwrap();
    assert!(place.rows("with the last keys") == expected);
}

#[test]
#[ignore = "takes a minute; CI runs it by name"]
fn nobody_is_lost_by_kills_of_an_encryption_which_goes_on() {
    const ALONE: usize = 10;
    const BESIDE: usize = 4;
    let mut place = Place::new(&[]);
    let plain = place.folder.path().join("plain");
    copy(&place.data, &plain);
    let expected = place.rows("plain");
    let took = place.complete("encrypt");
    assert!(place.rows("encrypted") == expected);
    let (mut broken_off, mut refused) = (0, 0);
    for kill in 1..=ALONE + BESIDE {
        fs::remove_dir_all(&place.data).unwrap();
        copy(&plain, &place.data);
        let server = (kill > ALONE).then(|| place.serve());
        let key_file = place.key_file();
        let mut command = place.begin("encrypt");
        place.wait(&mut command, took, || key_file.exists());
        match &server {
            Some(server) => server.kill(),
            None => command.kill().unwrap(),
        }
        command.wait().unwrap();
        let context = format!("after kill {kill}");
        let opened = Store::open_existing_with(&place.data, &place.keys);
        let is_refused = opened.is_err();
        match opened {
            Ok(store) => {
                broken_off += usize::from(store.encryption().unwrap() == Encryption::Partly);
                drop(store);
                assert!(place.rows(&context) == expected, "{context}");
            }
            // Between its keys and its catalog: only the next try opens it.
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("vultus gallery encrypt"), "{context}: {said}");
                refused += 1;
            }
        }
        match kill > ALONE && place.key_file().exists() && !is_refused {
            // The next service goes on by itself.
            true => {
                let server = place.serve();
                let until = Instant::now() + Duration::from_secs(60);
                while place.encryption() != Encryption::On {
                    assert!(
                        Instant::now() < until,
                        "{context}: the service does not go on"
                    );
                    thread::sleep(Duration::from_millis(20));
                }
                server.terminate();
            }
            false => drop(place.complete("encrypt")),
        }
        assert_eq!(place.encryption(), Encryption::On, "{context}");
        assert!(place.rows(&context) == expected, "{context}");
        let without = Store::open_read_only(&place.data).unwrap_err().to_string();
        assert!(without.contains("no master key is given"), "{without}");
    }
    println!(
        "{ALONE} and {BESIDE} kills, {broken_off} in the middle, {refused} before the catalog"
    );
}
