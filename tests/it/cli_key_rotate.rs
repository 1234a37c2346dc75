//! `vultus key rotate`, beside a service that runs.

use super::cli::{failure, success, text, vultus};
use crate::harness::{Bws, Program, Registered};

const QUERY: &str = "bcid=bws.1.0&task=identify";

fn refused(server: &Program, token: &str) -> bool {
    server.task(token, "identify").status == 401
}

#[test]
fn a_service_that_runs_takes_the_new_key_and_honours_the_old_one_unless_it_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let server = Program::start(data, &Registered::create(data));
    let old = server.token(QUERY);
    let rotate = ["key", "rotate", "--data-dir", text(data)];
    success(&vultus(&rotate));
    assert!(!refused(&server, &old));
    success(&vultus(&[&rotate[..], &["--forget"]].concat()));
    // At the next call: the service was told.
    assert!(refused(&server, &old), "the old key is still good");
    // The secret of the app is not touched.
    let new = server.token(QUERY);
    assert!(!refused(&server, &new));
}

#[test]
fn without_a_key_there_is_nothing_to_replace() {
    let directory = tempfile::tempdir().unwrap();
    let rotate = ["key", "rotate", "--data-dir", text(directory.path())];
    let said = failure(&vultus(&rotate));
    assert!(said.contains("server.key"), "{said}");
}
