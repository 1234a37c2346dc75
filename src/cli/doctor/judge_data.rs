//! What to think of the data directory: its disk, who may read it, and what it holds.

use std::time::Duration;

use super::facts::{Contents, DirectoryFacts, FolderFacts, StoreFacts, There};
use super::finding::Finding;
use crate::cli::admin::SocketState;
use crate::cli::machine::{Disk, bytes_text};
use crate::partition::Encryption;

/// File systems on another machine, and those that are made by a program.
const NETWORK: [&str; 15] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "virtiofs",
    "ceph",
    "glusterfs",
    "lustre",
    "afs",
    "beegfs",
    "gpfs",
    "ocfs2",
    "gfs2",
];
/// Those of the image of a container.
const OF_CONTAINERS: [&str; 3] = ["overlay", "aufs", "fuse-overlayfs"];
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// Without this much nothing can be enrolled.
const FREE_BYTES_MIN: u64 = 100_000_000;
/// What a service wants beside the room for merging all that it has.
const FREE_BYTES_USUAL: u64 = 1_000_000_000;
const FREE_FILES_MIN: u64 = 1_000;
/// A disk of its own is faster.
const SYNC_MAX: Duration = Duration::from_millis(30);

pub(super) fn directory(facts: &DirectoryFacts) -> Finding {
    const CHECK: &str = "data directory";
    let path = facts.path.display();
    match facts.there {
        // `permissions` says what to do about it.
        There::Folder if facts.unreadable.is_some() => Finding::skipped(
            CHECK,
            format!("`{path}` cannot be looked into by this user"),
        ),
        There::SomethingElse => Finding::wrong(
            CHECK,
            format!("`{path}` is no folder"),
            "name a folder with `data-dir`",
        ),
        There::DataDirectory => {
            Finding::ok(CHECK, format!("`{path}`, {}", bytes_text(facts.bytes)))
        }
        There::Folder if facts.sync.is_ok() => Finding::ok(
            CHECK,
            format!("`{path}` holds no galleries yet: the first start begins them"),
        ),
        There::Nothing if facts.sync.is_ok() => Finding::ok(
            CHECK,
            format!("`{path}` is not there yet: the first start makes it"),
        ),
        There::Folder | There::Nothing => Finding::wrong(
            CHECK,
            format!("`{path}` holds no galleries yet, and cannot be made or written by this user"),
            format!(
                "make it for the service: `install -d -m 700 -o {} {path}`",
                facts.user
            ),
        ),
    }
}

pub(super) fn disk_kind(facts: &DirectoryFacts) -> Finding {
    const CHECK: &str = "disk kind";
    let Some(mount) = &facts.mount else {
        return Finding::skipped(CHECK, "this system does not say what file system it is");
    };
    let kind = mount.kind.as_str();
    let found = format!("`{kind}` at `{}`", mount.point.display());
    let is_of = |kinds: &[&str]| kinds.contains(&kind);
    if is_of(&NETWORK) || (kind.starts_with("fuse.") && !is_of(&["fuse.fuse-overlayfs"])) {
        Finding::warning(
            CHECK,
            format!("{found}, which is on another machine or made by a program"),
            "use a local disk: locks and synced writes may mean less there, and a lost connection ends \
             the service",
        )
    } else if is_of(&OF_CONTAINERS) || kind == "fuse.fuse-overlayfs" {
        Finding::warning(
            CHECK,
            format!("{found}, which goes when the container goes"),
            "mount a volume there",
        )
    } else if is_of(&IN_MEMORY) {
        Finding::warning(
            CHECK,
            format!("{found}, which is gone when the machine stops"),
            "use a disk, unless nothing is to be kept",
        )
    } else {
        Finding::ok(CHECK, found)
    }
}

pub(super) fn disk_room(facts: &DirectoryFacts) -> Finding {
    const CHECK: &str = "disk room";
    let disk = match &facts.disk {
        Ok(disk) => disk,
        Err(error) => return Finding::skipped(CHECK, format!("cannot be asked for: {error}")),
    };
    let Disk {
        free_bytes,
        free_files,
        ..
    } = *disk;
    let found = format!(
        "{} free, {} in use",
        bytes_text(free_bytes),
        bytes_text(facts.bytes)
    );
    if free_bytes < FREE_BYTES_MIN {
        let advice = "make room: enrolments and deletions are refused when it is full";
        return Finding::wrong(CHECK, found, advice);
    }
    if free_files.is_some_and(|free| free < FREE_FILES_MIN) {
        let found = format!(
            "{found}, and only {} more files fit",
            free_files.unwrap_or(0)
        );
        return Finding::warning(CHECK, found, "remove files that nobody needs");
    }
    if free_bytes < facts.bytes.saturating_add(FREE_BYTES_USUAL) {
        return Finding::warning(
            CHECK,
            found,
            "make room for as much again and 1 GB: segments are merged into new ones before the old go",
        );
    }
    Finding::ok(CHECK, found)
}

pub(super) fn disk_sync(facts: &DirectoryFacts) -> Finding {
    const CHECK: &str = "disk sync";
    let at = facts.looked_at.display();
    if facts.disk.as_ref().is_ok_and(|disk| disk.is_read_only) {
        return Finding::wrong(
            CHECK,
            format!("`{at}` is on a file system that is read-only"),
            "mount it to be written, or see in the log of the system why it no longer is; looking on works \
             (`gallery info`, `export`, `identify`)",
        );
    }
    match &facts.sync {
        Err(error) => Finding::wrong(
            CHECK,
            format!("cannot write into `{at}`: {error}"),
            "let the user of the service write there, or run this as that user",
        ),
        Ok(time) => {
            let text = format!(
                "{:.1} ms until a write is on disk",
                time.as_secs_f64() * 1e3
            );
            match *time > SYNC_MAX {
                true => Finding::warning(
                    CHECK,
                    text,
                    "use a faster disk (SSD, or a controller with a battery): each enrolment waits for it",
                ),
                false => Finding::ok(CHECK, text),
            }
        }
    }
}

pub(super) fn permissions(facts: &DirectoryFacts) -> Finding {
    const CHECK: &str = "permissions";
    let path = facts.path.display();
    if !matches!(facts.there, There::DataDirectory | There::Folder) {
        return Finding::skipped(CHECK, "there is nothing to be read yet");
    }
    if let Some((unreadable, error)) = &facts.unreadable {
        return Finding::wrong(
            CHECK,
            format!(
                "user {} cannot read `{}`: {error}",
                facts.user,
                unreadable.display()
            ),
            format!(
                "run this as the user of the service, or `chown -R {} {path}`",
                facts.user
            ),
        );
    }
    let owner = facts.owner.unwrap_or(facts.user);
    if let Some((foreign, other)) = &facts.foreign {
        let found = format!(
            "`{}` belongs to user {other}, and the data directory to user {owner}",
            foreign.display()
        );
        let advice = format!("`chown -R {owner} {path}`: a service of that user may not read it");
        // The superuser can read everything.
        return match owner {
            0 => Finding::warning(CHECK, found, advice),
            _ => Finding::wrong(CHECK, found, advice),
        };
    }
    if facts.user != owner && facts.user != 0 {
        return Finding::wrong(
            CHECK,
            format!(
                "it belongs to user {owner}, and this is user {}",
                facts.user
            ),
            format!(
                "run this as the user of the service, or `chown -R {} {path}`",
                facts.user
            ),
        );
    }
    if let Some(open) = &facts.open_to_others {
        return Finding::wrong(
            CHECK,
            format!("others can read `{}`", open.display()),
            format!("`chmod -R go-rwx {path}`"),
        );
    }
    Finding::ok(
        CHECK,
        format!("all belongs to user {owner}, and nobody else can read it"),
    )
}

pub(super) fn server_key(facts: &DirectoryFacts) -> Finding {
    const CHECK: &str = "server key";
    match &facts.key {
        Ok(true) => Finding::ok(CHECK, "whole"),
        Ok(false) => Finding::ok(CHECK, "none yet: it is made when it is first needed"),
        Err(error) => Finding::wrong(
            CHECK,
            error,
            "put the one of a snapshot back, or let this user read it",
        ),
    }
}

/// `is_being_written` is whether a process has the data directory open to change it.
pub(super) fn socket(facts: &DirectoryFacts, is_being_written: Option<bool>) -> Finding {
    const CHECK: &str = "admin socket";
    let path = facts.path.join(SocketState::NAME);
    let path = path.display();
    match facts.socket {
        SocketState::Answers => Finding::ok(CHECK, "a service takes commands"),
        SocketState::Nothing => Finding::ok(CHECK, "none: no service takes commands"),
        SocketState::Stale if is_being_written == Some(true) => Finding::warning(
            CHECK,
            format!("nobody listens at `{path}`, though a process has the data directory open"),
            "if that is a service, restart it: its log says why commands cannot be given beside it",
        ),
        SocketState::Stale => Finding::warning(
            CHECK,
            format!("`{path}` was left by a service that was killed"),
            "nothing: the next start replaces it, and its log tells how the last one ended",
        ),
        SocketState::Foreign { user } => Finding::wrong(
            CHECK,
            format!(
                "`{path}` belongs to user {user}, and this is user {}",
                facts.user
            ),
            "run the service and its commands as one user; if no service runs, remove it",
        ),
        SocketState::Open { mode } => Finding::wrong(
            CHECK,
            format!("others may connect to `{path}`, whose mode is {mode:o}"),
            format!("`chmod 600 {path}`"),
        ),
        SocketState::NoSocket => Finding::wrong(
            CHECK,
            format!("`{path}` is no socket"),
            "move it away: no command can be given beside a service before",
        ),
    }
}

pub(super) fn galleries(facts: &StoreFacts) -> Finding {
    const CHECK: &str = "galleries";
    match &facts.contents {
        Err(error) => Finding::wrong(
            CHECK,
            error,
            "see `vultus gallery verify`, and docs/operations.md for what mends it",
        ),
        Ok(Contents {
            galleries,
            templates,
            damaged,
            ..
        }) => {
            let found = format!("{galleries} with {templates} templates");
            match damaged.first() {
                None => Finding::ok(CHECK, found),
                Some((name, error)) => Finding::wrong(
                    CHECK,
                    format!(
                        "{found}, {} cannot be opened, first `{name}`: {error}",
                        damaged.len()
                    ),
                    "`vultus gallery verify` says what is damaged, `vultus gallery repair` mends it",
                ),
            }
        }
    }
}

pub(super) fn encryption(facts: &StoreFacts) -> Finding {
    const CHECK: &str = "encryption";
    if let Ok(Some(half)) = facts
        .contents
        .as_ref()
        .map(|contents| contents.half_of_keys)
    {
        return Finding::warning(
            CHECK,
            format!("the key file: {half}; all galleries depend on the other one"),
            "it is written anew when a service, or a command that changes something, next opens the data directory",
        );
    }
    match facts.contents.as_ref().map(|contents| contents.encryption) {
        // `galleries` says why.
        Err(_) => Finding::skipped(CHECK, "the data directory cannot be opened"),
        Ok(Encryption::Off) => Finding::ok(CHECK, "off: whoever has the files has the templates"),
        Ok(Encryption::On) => Finding::ok(CHECK, "on: catalog and segments need the master key"),
        Ok(Encryption::Partly) => Finding::warning(
            CHECK,
            "some segments are not encrypted yet: an encryption is at work, or was broken off",
            "a service goes on where it was, and so does `vultus gallery encrypt`",
        ),
    }
}

pub(super) fn writer(facts: &StoreFacts) -> Finding {
    const CHECK: &str = "in use";
    match facts.is_being_written {
        Some(true) => Finding::ok(
            CHECK,
            "a process has it open to change it; it was only looked at",
        ),
        Some(false) => Finding::ok(CHECK, "no process has it open to change it"),
        None => Finding::skipped(CHECK, "this system does not say who holds locks"),
    }
}

pub(super) fn snapshots(facts: &FolderFacts, data_bytes: u64) -> Finding {
    const CHECK: &str = "snapshots";
    let path = facts.path.display();
    if let Err(error) = &facts.writable {
        return Finding::wrong(
            CHECK,
            format!("cannot write into `{path}`: {error}"),
            format!("make the folder for the service: `install -d -m 700 -o USER {path}`"),
        );
    }
    if let Some(latest) = facts.later.first() {
        return Finding::warning(
            CHECK,
            format!(
                "`{path}` has {} later than now, the latest of them `{latest}`",
                facts.later.len()
            ),
            "correct the clock if it is wrong; else move them away: they count as none, and are never \
             removed by themselves",
        );
    }
    let free = facts.free_bytes.unwrap_or(u64::MAX);
    let found = format!("`{path}`, {} free", bytes_text(free));
    match free < data_bytes {
        true => Finding::warning(
            CHECK,
            found,
            format!("make room: a snapshot may need {}", bytes_text(data_bytes)),
        ),
        false => Finding::ok(CHECK, found),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::finding::Verdict::{Ok as Good, Skipped, Warning, Wrong};
    use super::super::finding::expect;
    use super::*;
    use crate::cli::machine::Mount;

    fn facts() -> DirectoryFacts {
        DirectoryFacts {
            path: "/data".into(),
            there: There::DataDirectory,
            looked_at: "/data".into(),
            mount: None,
            disk: Ok(Disk {
                free_bytes: 1 << 40,
                free_files: None,
                is_read_only: false,
            }),
            sync: Ok(Duration::from_millis(1)),
            bytes: 5_000_000_000,
            open_to_others: None,
            owner: Some(1000),
            foreign: None,
            unreadable: None,
            user: 1000,
            key: Ok(true),
            socket: SocketState::Nothing,
        }
    }

    #[test]
    fn a_directory_is_there_or_can_be_made() {
        let of = |there, is_writable: bool| {
            let sync = is_writable
                .then_some(Duration::ZERO)
                .ok_or("denied".to_owned());
            directory(&DirectoryFacts {
                there,
                sync,
                ..facts()
            })
        };
        expect(&of(There::DataDirectory, true), Good, "5.0 GB");
        expect(&of(There::DataDirectory, false), Good, "`/data`");
        expect(&of(There::Nothing, true), Good, "not there yet");
        expect(
            &of(There::Nothing, false),
            Wrong,
            "install -d -m 700 -o 1000 /data",
        );
        expect(
            &of(There::Folder, false),
            Wrong,
            "cannot be made or written",
        );
        expect(&of(There::SomethingElse, true), Wrong, "is no folder");
        let closed = DirectoryFacts {
            there: There::Folder,
            unreadable: Some(("/data".into(), "denied".to_owned())),
            ..facts()
        };
        expect(&directory(&closed), Skipped, "looked into");
    }

    #[test]
    fn file_systems_that_lose_or_lie_are_told() {
        let of = |kind: &str| {
            let point = PathBuf::from("/data");
            let kind = kind.to_owned();
            disk_kind(&DirectoryFacts {
                mount: Some(Mount { kind, point }),
                ..facts()
            })
        };
        for kind in ["ext4", "xfs", "btrfs", "zfs"] {
            expect(&of(kind), Good, kind);
        }
        for kind in ["nfs4", "cifs", "9p", "fuse.sshfs", "fuse.s3fs"] {
            expect(&of(kind), Warning, "another machine");
        }
        for kind in ["overlay", "fuse.fuse-overlayfs"] {
            expect(&of(kind), Warning, "mount a volume");
        }
        expect(&of("tmpfs"), Warning, "when the machine stops");
        expect(&disk_kind(&facts()), Skipped, "");
    }

    #[test]
    fn there_is_room_for_a_merge() {
        let of = |free_bytes, free_files| {
            disk_room(&DirectoryFacts {
                disk: Ok(Disk {
                    free_bytes,
                    free_files,
                    is_read_only: false,
                }),
                ..facts()
            })
        };
        expect(&of(6_000_000_000, Some(1_000)), Good, "6.0 GB");
        expect(&of(5_999_999_999, None), Warning, "as much again");
        expect(&of(99_999_999, None), Wrong, "make room");
        expect(&of(1 << 40, Some(999)), Warning, "999 more files");
        let unknown = DirectoryFacts {
            disk: Err("denied".to_owned()),
            ..facts()
        };
        expect(&disk_room(&unknown), Skipped, "denied");
    }

    #[test]
    fn a_disk_takes_writes_and_soon() {
        let of = |sync: Result<u64, &str>, is_read_only| {
            disk_sync(&DirectoryFacts {
                sync: sync.map(Duration::from_millis).map_err(str::to_owned),
                disk: Ok(Disk {
                    free_bytes: 0,
                    free_files: None,
                    is_read_only,
                }),
                ..facts()
            })
        };
        expect(&of(Ok(30), false), Good, "30.0 ms");
        expect(&of(Ok(31), false), Warning, "faster disk");
        expect(&of(Err("denied"), false), Wrong, "denied");
        expect(&of(Err("denied"), true), Wrong, "read-only");
    }

    #[test]
    fn all_is_this_users_alone() {
        expect(&permissions(&facts()), Good, "user 1000");
        let unreadable = DirectoryFacts {
            unreadable: Some(("/data/catalog.redb".into(), "denied".to_owned())),
            ..facts()
        };
        expect(&permissions(&unreadable), Wrong, "`chown -R 1000 /data`");
        let foreign = |owner, user| DirectoryFacts {
            owner: Some(owner),
            foreign: Some(("/data/server.key".into(), 7)),
            user,
            ..facts()
        };
        for user in [1000, 0] {
            let found = permissions(&foreign(1000, user));
            expect(&found, Wrong, "`chown -R 1000 /data`");
            expect(&found, Wrong, "belongs to user 7");
        }
        expect(&permissions(&foreign(0, 0)), Warning, "belongs to user 7");
        let of_others = |user| DirectoryFacts {
            owner: Some(7),
            user,
            ..facts()
        };
        let found = permissions(&of_others(1000));
        expect(&found, Wrong, "belongs to user 7, and this is user 1000");
        expect(&permissions(&of_others(0)), Good, "user 7");
        let open = DirectoryFacts {
            open_to_others: Some("/data".into()),
            ..facts()
        };
        expect(&permissions(&open), Wrong, "`chmod -R go-rwx /data`");
        let nothing = DirectoryFacts {
            there: There::Nothing,
            ..open
        };
        expect(&permissions(&nothing), Skipped, "");
    }

    #[test]
    fn a_key_is_whole_or_not_made_yet() {
        for (key, verdict, part) in [
            (Ok(true), Good, "whole"),
            (Ok(false), Good, "none yet"),
            (Err("is damaged".to_owned()), Wrong, "is damaged"),
        ] {
            expect(
                &server_key(&DirectoryFacts { key, ..facts() }),
                verdict,
                part,
            );
        }
    }

    #[test]
    fn a_socket_is_that_of_a_service_that_runs() {
        let of = |state, is_being_written| {
            let facts = DirectoryFacts {
                socket: state,
                ..facts()
            };
            socket(&facts, is_being_written)
        };
        expect(&of(SocketState::Answers, Some(true)), Good, "commands");
        expect(&of(SocketState::Nothing, None), Good, "none");
        let killed = "`/data/admin.sock` was left by a service that was killed";
        expect(&of(SocketState::Stale, Some(false)), Warning, killed);
        expect(&of(SocketState::Stale, None), Warning, killed);
        expect(&of(SocketState::Stale, Some(true)), Warning, "restart it");
        let foreign = SocketState::Foreign { user: 7 };
        expect(&of(foreign, Some(true)), Wrong, "belongs to user 7");
        let open = SocketState::Open { mode: 0o666 };
        expect(&of(open, Some(true)), Wrong, "chmod 600 /data/admin.sock");
        expect(&of(SocketState::NoSocket, None), Wrong, "move it away");
    }

    #[test]
    fn galleries_that_cannot_be_opened_are_named() {
        let of = |contents, is_being_written| StoreFacts {
            contents,
            is_being_written,
        };
        let whole = Contents {
            galleries: 2,
            templates: 7,
            ..Contents::default()
        };
        let damaged = Contents {
            damaged: vec![("bws.1".to_owned(), "is cut".to_owned())],
            ..Contents::default()
        };
        expect(&galleries(&of(Ok(whole), None)), Good, "2 with 7 templates");
        expect(&galleries(&of(Ok(damaged), None)), Wrong, "`bws.1`: is cut");
        let failed = of(Err("has format 9".to_owned()), Some(true));
        expect(&galleries(&failed), Wrong, "has format 9");
        expect(&writer(&failed), Good, "only looked at");
        expect(
            &writer(&of(Ok(Contents::default()), Some(false))),
            Good,
            "no process",
        );
        expect(&writer(&of(Ok(Contents::default()), None)), Skipped, "");
    }

    #[test]
    fn an_encryption_that_was_broken_off_is_told() {
        let of = |contents| {
            encryption(&StoreFacts {
                contents,
                is_being_written: None,
            })
        };
        let contents = |encryption| {
            Ok(Contents {
                encryption,
                ..Contents::default()
            })
        };
        expect(&of(contents(Encryption::Off)), Good, "off");
        expect(&of(contents(Encryption::On)), Good, "master key");
        let partly = of(contents(Encryption::Partly));
        expect(&partly, Warning, "`vultus gallery encrypt`");
        expect(&of(Err("no master key".to_owned())), Skipped, "");
        let half = contents(Encryption::On).map(|contents| Contents {
            half_of_keys: Some("its second half is damaged"),
            ..contents
        });
        expect(&of(half), Warning, "second half is damaged");
    }

    #[test]
    fn snapshots_need_a_folder_and_room() {
        let of = |writable: Result<(), &str>, free_bytes| {
            let facts = FolderFacts {
                path: "/backups".into(),
                writable: writable.map_err(str::to_owned),
                free_bytes,
                later: Vec::new(),
            };
            snapshots(&facts, 1_000)
        };
        let later = FolderFacts {
            path: "/backups".into(),
            writable: Ok(()),
            free_bytes: Some(1_000),
            later: vec!["vultus-9.tar.zst".to_owned(), "vultus-8.tar.zst".to_owned()],
        };
        expect(&snapshots(&later, 1_000), Warning, "2 later than now");
        expect(&snapshots(&later, 1_000), Warning, "`vultus-9.tar.zst`");
        expect(&of(Ok(()), Some(1_000)), Good, "`/backups`");
        expect(&of(Ok(()), Some(999)), Warning, "1 kB");
        expect(&of(Err("missing"), None), Wrong, "missing");
    }
}
