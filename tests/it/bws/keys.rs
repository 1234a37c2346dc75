//! Replacing the key for tokens while the service runs.

use vultus::access::{Retire, ServerKey};

use crate::harness::{Bws, Door, Service, pictures};

fn rotate(service: &Service, retire: Retire) {
    let directory = service.store.directory();
    ServerKey::rotate(directory, retire, service.clock.now(), &mut rand::rng()).unwrap();
    assert!(service.state.renew_key().unwrap());
}

#[test]
fn tokens_and_apps_live_on_when_the_key_is_replaced() {
    let mut service = Service::new();
    let old = service.ready("bcid=bws.1.7&task=enroll");
    rotate(&service, Retire::Keep);
    let new = service.token("bcid=bws.1.7&task=identify");
    // Its sample, its tries and its result, under the key that is no longer used.
    assert_eq!(service.task(&old, "enroll").body, r#"{"Success":true}"#);
    service.accepted(&new, pictures::obama());
    assert_eq!(service.task(&new, "identify").status, 200);
    let result = format!("result?access_token={old}");
    assert_eq!(service.ask("GET", &result).status, 200);
    // Also after a restart, which reads both keys from the file.
    service.server_key = ServerKey::open(service.store.directory()).unwrap().unwrap();
    service.restart();
    for token in [&old, &new] {
        assert_eq!(service.upload(token, pictures::obama()).status, 200);
    }
    service.advance(600);
    service
        .upload(&old, pictures::obama())
        .refuses(401, "expired");
    assert_eq!(service.ask("GET", &result).status, 200);
}

#[test]
fn a_key_that_is_forgotten_takes_its_tokens_with_it_and_no_app() {
    let service = Service::new();
    let old = service.ready("bcid=bws.1.7&task=enroll");
    rotate(&service, Retire::Forget);
    service.task(&old, "enroll").refuses(401, "not ours");
    let new = service.ready("bcid=bws.1.7&task=enroll");
    assert_eq!(service.task(&new, "enroll").body, r#"{"Success":true}"#);
}

#[test]
fn a_key_of_another_installation_or_a_damaged_one_is_not_taken() {
    let service = Service::new();
    let token = service.ready("bcid=bws.1.7&task=enroll");
    let path = service.store.directory().join(ServerKey::FILE_NAME);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..20]).unwrap();
    service.state.renew_key().unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(!service.state.renew_key().unwrap());
    ServerKey::open_or_create(service.store.directory(), &mut rand::rng()).unwrap();
    assert!(!service.state.renew_key().unwrap());
    assert_eq!(service.task(&token, "enroll").status, 200);
}
