//! Credentials that deployed clients have already are taken over.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{admin, done, prepared, status_of_app};
use crate::cli::{failure, text};
use crate::harness::{Credentials, Program};

/// Gives a command something to read.
fn admin_reading(data: &Path, verb: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(verb)
        .args(["--data-dir", text(data)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What is refused at once is not read.
    let _unread = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn deployed_clients_keep_their_credentials() {
    let (_directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let create = |data: &Path, id: &str, input: &[u8]| {
        let verb = [
            "app",
            "create",
            "--name",
            "old",
            "--storage",
            "bws",
            "--id",
            id,
        ];
        admin_reading(data, &[&verb[..], &["--secret-stdin"]].concat(), input)
    };
    let known = [
        ("1234567890.12345.app.bioid.com", "Yd3/8+kQ1w=="),
        (
            "3B241101-E2BB-4255-8CAF-4136C566A962",
            "s/+=s/+=s/+=s/+=s/+=s/+=",
        ),
        ("an_id~with!odd*letters", "with: a colon and \"quotes\""),
    ];
    for (id, secret) in known {
        let created = create(&data, id, format!("{secret}\r\n").as_bytes());
        let told = [&created.stdout[..], &created.stderr].concat();
        assert!(
            created.status.success(),
            "{}",
            String::from_utf8_lossy(&told)
        );
        assert!(!String::from_utf8_lossy(&told).contains(secret), "{id}");
        let app = |secret: &str| Credentials {
            id: id.to_owned(),
            secret: secret.to_owned(),
        };
        assert_eq!(status_of_app(&server, &app(secret)), 200, "{id}");
        assert_eq!(status_of_app(&server, &app("Yd3/8+kQ1w=")), 401, "{id}");
        let again = failure(&create(&data, &id.to_lowercase(), b"another secret"));
        assert!(again.contains("there is an app `"), "{again}");
        assert_eq!(status_of_app(&server, &app(secret)), 200, "{id}");
    }
    for (id, input, expected) in [
        ("a:b", &b"long enough"[..], "no colon"),
        ("a b", b"long enough", "no spaces"),
        ("", b"long enough", "1 to 128 bytes"),
        ("fine", b"", "8 to 256"),
        ("fine", b"short\n", "8 to 256"),
        ("fine", &[b's'; 2_000], "8 to 256"),
        ("fine", b"one line\nand another", "one line"),
        ("fine", b"\xff\xfe long enough", "UTF-8"),
    ] {
        let refused = failure(&create(&data, id, input));
        assert!(refused.contains(expected), "{id:?}: {refused}");
        assert!(!refused.contains("long enough"), "{refused}");
    }
    let id = known[0].0;
    done(&data, &["app", "remove", id]);
    let app = Credentials {
        id: id.to_owned(),
        secret: known[0].1.to_owned(),
    };
    assert_eq!(status_of_app(&server, &app), 401);
    for missing in [&["--id", "x"][..], &["--secret-stdin"]] {
        let verb = ["app", "create", "--name", "old", "--storage", "bws"];
        failure(&admin(&data, &[&verb[..], missing].concat()));
    }
    // Nothing of a secret is in a file.
    assert_eq!(server.terminate(), Some(0));
    let catalog = fs::read(data.join("catalog.redb")).unwrap();
    for (_, secret) in known {
        assert!(
            !catalog
                .windows(secret.len())
                .any(|it| it == secret.as_bytes())
        );
    }
    // And alone.
    assert!(
        create(&data, "alone.example.org", b"12345678")
            .status
            .success()
    );
}
