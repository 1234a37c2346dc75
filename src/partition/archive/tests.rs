use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};

use super::write::{AddError, ArchiveStream};
use super::*;
use crate::partition::segment::Edits;
use crate::partition::{Keys, private};

const CREATED: i64 = 1_790_000_000_123;

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let numbers = |count: usize| (0..count).map(|at| (at * at / 7) as u8).collect();
    vec![
        ("catalog.redb", numbers(700)),
        ("segments/1/2.vseg", numbers(512)),
        ("segments/1/3.vseg", Vec::new()),
        ("server.key", b"a secret".to_vec()),
    ]
}

fn manifest_of(files: &[(&str, Vec<u8>)]) -> Manifest {
    let partition = PartitionContents {
        partition: "bws.1".to_owned(),
        encoder: "test@1/16".to_owned(),
        templates: 3,
        segments: 2,
    };
    let archived = files.iter().map(|(name, bytes)| ArchivedFile {
        name: (*name).to_owned(),
        bytes: bytes.len() as u64,
    });
    Manifest::new(CREATED, None, vec![partition], archived.collect())
}

fn create(
    path: &Path,
    overwrite: bool,
    files: &[(&str, Vec<u8>)],
) -> Result<ArchiveWriter, StoreError> {
    ArchiveDraft::create(path, overwrite)?.begin(manifest_of(files))
}

/// Writes an archive of the files in a directory.
fn archive(directory: &Path) -> PathBuf {
    let path = directory.join("a.tar.zst");
    let mut writer = create(&path, false, &files()).unwrap();
    let mut progress = 0;
    for (name, bytes) in files() {
        let mut progress = |bytes| progress += bytes;
        let added = writer.add(name, Path::new(name), &mut &bytes[..], &mut progress);
        added.unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(progress, manifest_of(&files()).bytes());
    path
}

fn restore(path: &Path, target: &Path) -> Result<Manifest, StoreError> {
    extract(path, target, &Keys::default(), |_| Ok(()), &mut |_, _| {})
}

/// Every file below a directory, by name.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    fn collect(directory: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                collect(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(directory, "", &mut found);
    found
}

fn expected() -> BTreeMap<String, Vec<u8>> {
    let files = files().into_iter();
    files
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// An archive of whatever somebody puts together, with a manifest in a frame of its own.
fn raw_archive(frame_1: &[(tar::Header, &[u8])], frame_2: &[(tar::Header, &[u8])]) -> Vec<u8> {
    let mut bytes = frame(&tar_bytes(frame_1));
    let end = [0; 2 * TAR_BLOCK_BYTES];
    bytes.extend(frame(&[&tar_bytes(frame_2)[..], &end].concat()));
    bytes
}

fn tar_bytes(entries: &[(tar::Header, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (header, contents) in entries {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(contents);
        bytes.resize(bytes.len() + padding(contents.len() as u64), 0);
    }
    bytes
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn plain(name: &str, contents: &[u8]) -> tar::Header {
    header(name, contents.len() as u64, CREATED)
}

/// The checksums of a manifest and of files, as an archive ends with.
fn checksums(manifest: &[u8], files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let manifest = (MANIFEST, manifest.to_vec());
    let entries = std::iter::once(&manifest).chain(files);
    let entry = |(name, bytes): &(&str, Vec<u8>)| ChecksumOf {
        name: (*name).to_owned(),
        bytes: bytes.len() as u64,
        checksum: format!("{:016x}", crate::partition::segment::checksum(bytes)),
    };
    let checksums = Checksums {
        algorithm: ALGORITHM.to_owned(),
        entries: entries.map(entry).collect(),
    };
    serde_json::to_vec(&checksums).unwrap()
}

/// What an archive is made of, for somebody to change.
struct Parts {
    manifest: Vec<u8>,
    entries: Vec<(tar::Header, Vec<u8>)>,
}

impl Parts {
    fn honest() -> Parts {
        Parts::of(&manifest_of(&files()), &files())
    }

    fn of(manifest: &Manifest, files: &[(&str, Vec<u8>)]) -> Parts {
        let manifest = serde_json::to_vec(manifest).unwrap();
        let checksums = checksums(&manifest, files);
        let mut entries: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (plain_or_odd(name, bytes), bytes.clone()))
            .collect();
        entries.push((plain(CHECKSUMS, &checksums), checksums));
        Parts { manifest, entries }
    }

    fn bytes(&self) -> Vec<u8> {
        let entries = self.entries.iter();
        let entries: Vec<_> = entries.map(|(h, bytes)| (h.clone(), &bytes[..])).collect();
        let manifest = (plain(MANIFEST, &self.manifest), &self.manifest[..]);
        raw_archive(&[manifest], &entries)
    }
}

/// A header with a name that the `tar` crate would refuse to write.
fn plain_or_odd(name: &str, bytes: &[u8]) -> tar::Header {
    let mut odd = plain("catalog.redb", bytes);
    odd.as_old_mut().name[..100].fill(0);
    odd.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    odd.set_cksum();
    odd
}

/// Asserts that an archive is refused and nothing is left of the attempt. Returns the refusal.
fn refused(bytes: &[u8]) -> StoreError {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar.zst");
    fs::write(&path, bytes).unwrap();
    let error = restore(&path, &directory.path().join("data")).unwrap_err();
    assert_eq!(names(directory.path()), ["a.tar.zst"], "{error}");
    let verified = verify_archive(&path, &mut |_, _| {}).unwrap_err();
    assert_eq!(verified.to_string(), error.to_string());
    error
}

#[test]
fn what_is_restored_is_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = archive(directory.path());
    assert_eq!(names(directory.path()), ["a.tar.zst"]);
    assert_eq!(
        verify_archive(&path, &mut |_, _| {}).unwrap(),
        manifest_of(&files())
    );
    let target = directory.path().join("data");
    let mut progress = (0, 0);
    let manifest = extract(
        &path,
        &target,
        &Keys::default(),
        |_| Ok(()),
        &mut |done, total| {
            progress = (done, total);
        },
    )
    .unwrap();
    assert_eq!(manifest, manifest_of(&files()));
    assert_eq!(progress, (manifest.bytes(), manifest.bytes()));
    assert_eq!(contents(&target), expected());
    assert_eq!(names(directory.path()), ["a.tar.zst", "data"]);
}

#[cfg(unix)]
#[test]
fn an_archive_and_what_is_restored_of_it_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = tempfile::tempdir().unwrap();
    let path = archive(directory.path());
    assert_eq!(mode(&path), 0o600);
    let target = directory.path().join("data");
    restore(&path, &target).unwrap();
    assert_eq!(mode(&target.join("segments/1/2.vseg")), 0o600);
    assert_eq!(mode(&target.join("server.key")), 0o600);
    assert_eq!(mode(&target.join("segments")), 0o700);
    assert_eq!(mode(&target), 0o700);
    // Also where a directory was made for the purpose.
    let made = directory.path().join("made");
    fs::create_dir(&made).unwrap();
    fs::set_permissions(&made, fs::Permissions::from_mode(0o750)).unwrap();
    restore(&path, &made).unwrap();
    assert_eq!(mode(&made), 0o700);
}

#[test]
fn other_programs_can_list_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = File::open(archive(directory.path())).unwrap();
    let mut tar = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let listed = tar.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        (name, entry.size())
    });
    let listed: Vec<(String, u64)> = listed.collect();
    let mut expected: Vec<(String, u64)> = manifest_of(&files())
        .files
        .into_iter()
        .map(|file| (file.name, file.bytes))
        .collect();
    expected.insert(0, (MANIFEST.to_owned(), listed[0].1));
    expected.push((CHECKSUMS.to_owned(), listed[5].1));
    assert_eq!(listed, expected);
}

#[test]
fn every_flipped_byte_is_an_error_or_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::read(archive(directory.path())).unwrap();
    let path = directory.path().join("flipped");
    let target = directory.path().join("data");
    for at in 0..whole.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            let read = read_bytes(&bytes);
            // Above all not "newer than this build".
            assert!(
                !matches!(read, Err(StoreError::ArchiveVersion { .. })),
                "byte {at}"
            );
            // Some bits of a compressed stream say the same either way.
            let is_whole = read.is_ok();
            assert_honest(read, &expected());
            if at % 8 == 0 && mask == 16 {
                fs::write(&path, &bytes).unwrap();
                assert_eq!(restore(&path, &target).is_ok(), is_whole, "byte {at}");
                if is_whole {
                    fs::remove_dir_all(&target).unwrap();
                }
                assert_eq!(names(directory.path()), ["a.tar.zst", "flipped"]);
            }
        }
    }
}

#[test]
fn every_shortened_or_lengthened_archive_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::read(archive(directory.path())).unwrap();
    for length in 0..whole.len() {
        let error = read_bytes(&whole[..length]).unwrap_err();
        assert!(
            matches!(error, StoreError::Archive { .. }),
            "{length}: {error}"
        );
        if length % 16 == 0 {
            refused(&whole[..length]);
        }
    }
    let twice = [&whole[..], &whole].concat();
    for longer in [[&whole[..], &[0]].concat(), twice] {
        assert!(matches!(refused(&longer), StoreError::Archive { .. }));
    }
}

#[test]
fn the_parts_of_the_following_tests_make_an_archive() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar.zst");
    fs::write(&path, Parts::honest().bytes()).unwrap();
    let target = directory.path().join("data");
    restore(&path, &target).unwrap();
    assert_eq!(contents(&target), expected());
}

#[test]
fn a_newer_archive_is_named_as_such() {
    for version in [0, 2, u32::MAX] {
        let mut manifest = manifest_of(&files());
        manifest.version = version;
        let error = refused(&Parts::of(&manifest, &files()).bytes());
        assert!(
            matches!(error, StoreError::ArchiveVersion { found, newest: 1, .. } if found == version),
            "{error}"
        );
        assert!(error.to_string().contains("use a newer build"), "{error}");
    }
    // All that every version has in common.
    let mut parts = Parts::honest();
    parts.manifest = br#"{"version":2,"shards":[]}"#.to_vec();
    assert!(matches!(
        refused(&parts.bytes()),
        StoreError::ArchiveVersion { .. }
    ));
}

#[test]
fn names_that_a_data_directory_does_not_have_are_refused() {
    for name in [
        "../escaped",
        "/etc/passwd",
        "segments/../../escaped",
        "segments/1/../2.vseg",
        "segments/1/2.vseg/",
        "./catalog.redb",
        "segments/01/2.vseg",
        "segments/+1/2.vseg",
        "segments/1/2.vseg\0",
        "segments\\1\\2.vseg",
        "segments/99999999999999999999/2.vseg",
        "segments//2.vseg",
        "segments/1/.vseg",
        "checksums.json",
        "other",
        "",
    ] {
        let files = [files(), vec![(name, b"x".to_vec())]].concat();
        let error = refused(&Parts::of(&manifest_of(&files), &files).bytes());
        assert!(
            error.to_string().contains("name of a file"),
            "{name}: {error}"
        );
    }
}

#[test]
fn files_that_come_twice_or_not_at_all_are_refused() {
    let honest = manifest_of(&files());
    let mut twice = files();
    twice.push(twice[1].clone());
    refused(&Parts::of(&manifest_of(&twice), &twice).bytes());
    refused(&Parts::of(&honest, &twice).bytes());
    let without_catalog = &files()[1..];
    refused(&Parts::of(&manifest_of(without_catalog), without_catalog).bytes());
    refused(&Parts::of(&honest, &files()[..2]).bytes());
    let mut swapped = files();
    swapped.swap(1, 3);
    refused(&Parts::of(&honest, &swapped).bytes());
    let mut more = files();
    more.push(("segments/1/4.vseg", vec![1]));
    refused(&Parts::of(&honest, &more).bytes());
}

#[test]
fn lengths_that_lie_are_refused() {
    for bytes in [0, 511, 513, 1 << 40, u64::MAX] {
        let mut manifest = manifest_of(&files());
        manifest.files[1].bytes = bytes;
        // In the manifest alone, and in the header as well.
        let mut parts = Parts::of(&manifest, &files());
        refused(&parts.bytes());
        parts.entries[1].0 = header("segments/1/2.vseg", bytes, CREATED);
        refused(&parts.bytes());
    }
}

#[test]
fn what_is_no_plain_file_is_refused() {
    use tar::EntryType::{Block, Char, Directory, Fifo, GNULongName, GNUSparse, Link, Symlink};
    for kind in [
        Symlink,
        Link,
        Char,
        Block,
        Directory,
        Fifo,
        GNUSparse,
        GNULongName,
    ] {
        let mut parts = Parts::honest();
        let header = &mut parts.entries[1].0;
        header.set_entry_type(kind);
        header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
        header.set_cksum();
        let error = refused(&parts.bytes());
        assert!(error.to_string().contains("segments/1/2.vseg"), "{error}");
    }
}

#[test]
fn checksums_that_do_not_fit_are_refused() {
    let honest = String::from_utf8(Parts::honest().entries[4].1.clone()).unwrap();
    let number = &honest[honest.rfind("\":\"").unwrap() + 3..][..16];
    for (from, to) in [
        (number, "0123456789abcdef"),
        (number, "no number at all"),
        ("CRC-64/NVME", "CRC-64/ECMA"),
        ("server.key", "server.kez"),
        ("[", "[["),
    ] {
        let lie = honest.replace(from, to).into_bytes();
        let mut parts = Parts::honest();
        parts.entries[4] = (plain(CHECKSUMS, &lie), lie);
        refused(&parts.bytes());
    }
    let mut parts = Parts::honest();
    parts.entries.pop();
    refused(&parts.bytes());
}

#[test]
fn other_arrangements_are_refused() {
    let Parts { manifest, entries } = Parts::honest();
    let first = (plain(MANIFEST, &manifest), &manifest[..]);
    let rest: Vec<_> = entries
        .iter()
        .map(|(h, bytes)| (h.clone(), &bytes[..]))
        .collect();
    // A manifest that is not first, is not alone in its frame, or is missing.
    let all: Vec<_> = std::iter::once(first.clone()).chain(rest.clone()).collect();
    refused(&raw_archive(&rest[..1], &rest));
    refused(&raw_archive(&all, &[]));
    refused(&raw_archive(&[first.clone(), rest[0].clone()], &rest[1..]));
    refused(&raw_archive(&[], &all));
    // A header of a manifest that says something else.
    let mut odd = first.clone();
    odd.0.set_mode(0o4755);
    odd.0.set_cksum();
    refused(&raw_archive(&[odd], &rest));
    // No end, or something behind it.
    let frame_1 = frame(&tar_bytes(std::slice::from_ref(&first)));
    refused(&[&frame_1[..], &frame(&tar_bytes(&rest))].concat());
    let behind = [&tar_bytes(&rest)[..], &[0; 1024], b"more"].concat();
    refused(&[&frame_1[..], &frame(&behind)].concat());
    refused(&frame_1);
    refused(b"");
    refused(b"hello, world");
}

#[test]
fn zeros_without_end_are_not_read() {
    // 64 MiB that take a few kilobytes: as a manifest, as checksums, and behind the end.
    let zeros = vec![0; 64 << 20];
    let Parts { manifest, entries } = Parts::honest();
    refused(&frame(&zeros));
    refused(&raw_archive(&[(plain(MANIFEST, &zeros), &zeros)], &[]));
    let first = [(plain(MANIFEST, &manifest), &manifest[..])];
    let mut rest: Vec<_> = entries
        .iter()
        .map(|(h, bytes)| (h.clone(), &bytes[..]))
        .collect();
    rest.push((plain("server.key", &zeros), &zeros));
    refused(&raw_archive(&first, &rest));
    rest.pop();
    rest[4] = (plain(CHECKSUMS, &zeros), &zeros);
    refused(&raw_archive(&first, &rest));
}

#[test]
fn a_target_that_is_taken_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = archive(directory.path());
    let occupied = directory.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("notes.txt"), b"mine").unwrap();
    for target in [&occupied, &occupied.join("notes.txt"), &path] {
        let error = restore(&path, target).unwrap_err();
        assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
    }
    assert_eq!(fs::read(occupied.join("notes.txt")).unwrap(), b"mine");
    // Somebody fills the target while the archive is being read.
    let late = directory.path().join("late");
    let fill = |_: &Path| {
        fs::create_dir(&late).unwrap();
        fs::write(late.join("notes.txt"), b"mine").unwrap();
        Ok(())
    };
    let error = extract(&path, &late, &Keys::default(), fill, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert_eq!(names(&late), ["notes.txt"]);
    assert_eq!(names(directory.path()), ["a.tar.zst", "late", "occupied"]);
}

#[test]
fn an_empty_target_and_a_link_to_one_are_filled() {
    let directory = tempfile::tempdir().unwrap();
    let path = archive(directory.path());
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    #[cfg(unix)]
    let target = {
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&empty, &link).unwrap();
        link
    };
    #[cfg(not(unix))]
    let target = empty.clone();
    restore(&path, &target).unwrap();
    assert_eq!(contents(&empty), expected());
}

#[test]
fn a_check_that_fails_and_a_parent_that_is_missing_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = archive(directory.path());
    let target = directory.path().join("data");
    let check = |draft: &Path| {
        let mut shown = contents(draft);
        assert_eq!(shown.remove(".vultus-restoring"), Some(Vec::new()));
        assert_eq!(shown, expected(), "it is shown when it is whole");
        assert!(!target.exists());
        Err(StoreError::Catalog {
            path: draft.to_owned(),
            what: "no".to_owned(),
        })
    };
    let error = extract(&path, &target, &Keys::default(), check, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, StoreError::Catalog { .. }), "{error}");
    let error = restore(&path, &directory.path().join("a/b")).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert_eq!(names(directory.path()), ["a.tar.zst"]);
}

#[test]
fn what_a_crash_left_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let mut half = private::create(&directory.path().join("a.tar.zst.new")).unwrap();
    half.write_all(b"half").unwrap();
    let path = archive(directory.path());
    let left = directory.path().join("data.restoring");
    fs::create_dir_all(left.join("segments/9")).unwrap();
    fs::write(left.join(".vultus-restoring"), b"").unwrap();
    fs::write(left.join("segments/9/9.vseg"), b"half").unwrap();
    fs::write(left.join("catalog.redb"), b"half").unwrap();
    let target = directory.path().join("data");
    restore(&path, &target).unwrap();
    assert_eq!(contents(&target), expected());
    assert_eq!(names(directory.path()), ["a.tar.zst", "data"]);
}

/// What may stand at the name of a draft, made by somebody else of `victim`, a directory with a file.
type Put = fn(&Path, &Path);

#[test]
fn nothing_is_emptied_or_written_that_this_program_did_not_leave() {
    use std::os::unix::fs::symlink;
    let puts: [(&str, Put); 4] = [
        ("a link to a directory", |draft, victim| {
            symlink(victim, draft).unwrap();
        }),
        ("a directory", |draft, victim| {
            fs::rename(victim, draft).unwrap();
        }),
        ("a file", |draft, victim| {
            fs::rename(victim.join("catalog.redb"), draft).unwrap();
        }),
        ("a link to a file", |draft, victim| {
            symlink(victim.join("catalog.redb"), draft).unwrap();
        }),
    ];
    for (what, put) in puts {
        let directory = tempfile::tempdir().unwrap();
        let path = archive(directory.path());
        let victim = directory.path().join("victim");
        let is_precious = |at: &Path| fs::read(at).is_ok_and(|bytes| bytes == b"precious");
        for draft in ["data.restoring", "b.tar.zst.new"] {
            fs::create_dir(&victim).unwrap();
            fs::write(victim.join("catalog.redb"), b"precious").unwrap();
            let draft = directory.path().join(draft);
            put(&draft, &victim);
            let refused = match draft.extension().is_some_and(|it| it == "restoring") {
                true => restore(&path, &directory.path().join("data")).map(drop),
                false => create(&directory.path().join("b.tar.zst"), true, &files()).map(drop),
            };
            let said = refused.unwrap_err().with_causes();
            assert!(said.contains("move it away"), "{what}: {said}");
            assert!(said.contains(&*draft.to_string_lossy()), "{what}: {said}");
            let places = [
                victim.join("catalog.redb"),
                draft.join("catalog.redb"),
                draft.clone(),
            ];
            assert!(places.iter().any(|at| is_precious(at)), "{what}");
            if draft.is_symlink() || draft.is_file() {
                fs::remove_file(&draft).unwrap();
            } else {
                fs::remove_dir_all(&draft).unwrap();
            }
            let _ = fs::remove_dir_all(&victim);
        }
    }
}

#[cfg(unix)]
#[test]
fn two_do_not_write_the_same_thing() {
    let directory = tempfile::tempdir().unwrap();
    let path = archive(directory.path());
    let second = || create(&path, true, &files());
    let first = second().unwrap();
    assert!(matches!(second(), Err(StoreError::Busy { .. })));
    drop(first);
    drop(second().unwrap());
    let target = directory.path().join("data");
    let meanwhile = |_: &Path| {
        let error = restore(&path, &target).unwrap_err();
        assert!(matches!(error, StoreError::Busy { .. }), "{error}");
        Ok(())
    };
    extract(&path, &target, &Keys::default(), meanwhile, &mut |_, _| {}).unwrap();
    assert_eq!(contents(&target), expected());
}

#[test]
fn an_archive_that_exists_is_replaced_on_demand_and_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar.zst");
    fs::write(&path, b"precious").unwrap();
    let create = |overwrite| create(&path, overwrite, &files()[..1]);
    assert!(matches!(create(false), Err(StoreError::Exists { .. })));
    let add = |writer: &mut ArchiveWriter, length| {
        let bytes = vec![1; length];
        writer.add(
            "catalog.redb",
            Path::new("source"),
            &mut &bytes[..],
            &mut |_| {},
        )
    };
    for length in [699, 701] {
        let error = add(&mut create(true).unwrap(), length).unwrap_err();
        let named =
            matches!(&error, StoreError::Damaged { path, .. } if path == Path::new("source"));
        assert!(named, "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let mut writer = create(true).unwrap();
    add(&mut writer, 700).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    writer.finish().unwrap();
    verify_archive(&path, &mut |_, _| {}).unwrap();
    assert_eq!(names(directory.path()), ["a.tar.zst"]);
}

/// A disk that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_noticed_wherever_it_happens() {
    let write = |room: usize| -> Result<(), AddError> {
        let mut stream =
            ArchiveStream::begin(Full(room), manifest_of(&files())).map_err(AddError::Write)?;
        for (name, bytes) in files() {
            stream.add(name, &mut &bytes[..], &mut |_| {})?;
        }
        stream.finish().map_err(AddError::Write).map(drop)
    };
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::metadata(archive(directory.path())).unwrap().len() as usize;
    for room in 0..whole {
        assert!(matches!(write(room), Err(AddError::Write(_))), "{room}");
    }
    write(whole).unwrap();
}

/// Keeps what it is given.
#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>, String);

impl Sink for Memory {
    fn begin(&mut self, file: &ArchivedFile) -> Result<(), StoreError> {
        self.1.clone_from(&file.name);
        self.0.insert(file.name.clone(), Vec::new());
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.get_mut(&self.1).unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn read_bytes(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
    let mut memory = Memory::default();
    let reader = ArchiveReader::new(Path::new("fuzz"), bytes)?;
    reader.read_verified(&mut memory, &mut |_, _| {})?;
    Ok(memory.0)
}

/// Asserts that an archive was read as `expected`, or refused for what is in it.
fn assert_honest(
    read: Result<BTreeMap<String, Vec<u8>>, StoreError>,
    expected: &BTreeMap<String, Vec<u8>>,
) {
    match read {
        Ok(found) => assert_eq!(found, *expected),
        Err(StoreError::Archive { .. } | StoreError::ArchiveVersion { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn fuzz_what_is_in_the_frames() {
    let target = |input: &[u8]| {
        let mut edits = Edits::new(input);
        let mut parts = Parts::honest();
        let mode = edits.byte().unwrap_or(0);
        let last = parts.entries.len() - 1;
        loop {
            // Which of the parts is changed: manifest, headers, contents, checksums.
            let which = usize::from(edits.byte().unwrap_or(0));
            let entry = &mut parts.entries[which / 4 % (last + 1)];
            let changed = match which % 4 {
                0 => edits.change(&mut parts.manifest),
                1 => edits.change(entry.0.as_mut_bytes()),
                _ => edits.change(&mut entry.1),
            };
            if !changed {
                break;
            }
        }
        let names = files().into_iter().map(|(name, _)| name);
        let contents: Vec<_> = names
            .zip(parts.entries.iter().map(|it| it.1.clone()))
            .collect();
        if mode & 1 != 0 {
            for (header, _) in &mut parts.entries {
                header.set_cksum();
            }
        }
        if mode & 2 != 0 {
            let checksums = checksums(&parts.manifest, &contents);
            parts.entries[last] = (plain(CHECKSUMS, &checksums), checksums);
        }
        let contents = contents
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), bytes));
        assert_honest(read_bytes(&parts.bytes()), &contents.collect());
    };
    target(&[]);
    // Changed contents with the right checksums are an archive, too.
    target(&[2, 2, 0, 0, 0, 200]);
    bolero::check!()
        .with_iterations(2_000)
        .with_max_len(64)
        .for_each(target);
}

#[test]
fn fuzz_the_compressed_bytes() {
    let valid = Parts::honest().bytes();
    let expected = expected();
    let target = |input: &[u8]| {
        let mut bytes = valid.clone();
        let mut edits = Edits::new(input);
        while edits.change(&mut bytes) {}
        assert_honest(read_bytes(&bytes), &expected);
        // A frame of whatever bytes.
        assert!(read_bytes(&frame(input)).is_err());
        assert!(read_bytes(&[&ZSTD_MAGIC, input].concat()).is_err());
    };
    target(&[]);
    bolero::check!()
        .with_iterations(3_000)
        .with_max_len(2_000)
        .for_each(target);
}
