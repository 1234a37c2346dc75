//! How much a key may learn in a day, and probes that climb.

use std::process::Stdio;

use serde_json::{Value, json};
use vultus::access::{Reach, Scope};
use vultus::budgets::Reaction;
use vultus::intake::OnDuplicate;

use crate::harness::{Answer, Bws, Door, Native, Program, Registered, Service, pictures};

const IDENTIFY: &str = "partitions/bws.1/identify";
const MANY: &str = "partitions/bws.1/identify-many";
const OWN: &str = "sface@2021dec";
const DAY_SECONDS: u64 = 24 * 3600;
const ASKING: [Scope; 3] = [Scope::Identify, Scope::Verify, Scope::Embeddings];

/// An embedding whose cosine with that of `class` is `cosine`, if the class is enrolled with 1.
fn alike(class: usize, cosine: f64) -> Value {
    let mut values = vec![0.0; 128];
    (values[class], values[100]) = (cosine, (1.0 - cosine * cosine).sqrt());
    json!({ "embeddings": [values], "encoder": OWN })
}

fn path(class: usize, verb: &str) -> String {
    format!("partitions/bws.1/classes/{class}/{verb}")
}

fn enroll(service: &impl Native, class: usize) {
    service
        .post(&path(class, "enroll"), alike(class, 1.0))
        .json();
}

fn verify(service: &impl Native, key: &str, class: usize, cosine: f64) -> Answer {
    service.call_by(key, "POST", &path(class, "verify"), alike(class, cosine))
}

fn identify(service: &impl Native, key: &str, class: usize, cosine: f64) -> Answer {
    service.call_by(key, "POST", IDENTIFY, alike(class, cosine))
}

fn asking(service: &Service) -> String {
    service.make_key(&ASKING, Reach::Everything).1
}

/// A service that gives so many answers about one class, with classes 1 and 2.
fn answering(of_class: u64) -> Service {
    let service = Service::with(|settings| settings.budgets.of_class = Some(of_class));
    for class in [1, 2] {
        enroll(&service, class);
    }
    service
}

#[test]
fn a_budget_ends_for_its_key_and_class_until_the_day_does() {
    let service = answering(3);
    let (key, other) = (asking(&service), asking(&service));
    verify(&service, &key, 1, 0.9).json();
    // One who is not accepted counts, too, and so does an identification.
    verify(&service, &key, 1, 0.1).json();
    let found = identify(&service, &key, 1, 0.9).json();
    assert_eq!(found["matches"][0]["class"], "1");
    let many = || service.call_by(&key, "POST", MANY, alike(2, 0.9));
    // Nobody is looked for any more: whether that is refused would tell who it is.
    for answer in [
        verify(&service, &key, 1, 0.9),
        verify(&service, &key, 1, 0.1),
        identify(&service, &key, 1, 0.9),
        identify(&service, &key, 2, 0.9),
        identify(&service, &key, 1, 0.1),
        many(),
    ] {
        answer.problem(429, "budget_spent");
        let after: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=DAY_SECONDS).contains(&after), "{after}");
    }
    verify(&service, &key, 2, 0.9).json();
    verify(&service, &other, 1, 0.9).json();
    identify(&service, &other, 1, 0.9).json();
    let metrics = service.get("metrics").body;
    assert!(
        metrics.contains("vultus_budget_refused_total 6"),
        "{metrics}"
    );
    service.advance(DAY_SECONDS);
    verify(&service, &key, 1, 0.9).json();
    many().json();
}

#[test]
fn everybody_in_a_list_counts_and_not_the_first_alone() {
    let service = answering(2);
    let key = asking(&service);
    let mut both = vec![0.0; 128];
    (both[1], both[2]) = (0.75, 0.66);
    let both = json!({ "embeddings": [both], "encoder": OWN });
    let found = service.call_by(&key, "POST", IDENTIFY, both.clone()).json();
    assert_eq!(found["matches"].as_array().unwrap().len(), 2);
    service.call_by(&key, "POST", MANY, both).json();
    verify(&service, &key, 2, 0.9).problem(429, "budget_spent");
}

#[test]
fn probes_and_scores_have_budgets_of_their_own() {
    let service = Service::with(|settings| {
        settings.budgets.identifications = Some(4);
        settings.budgets.scores = Some(2);
    });
    enroll(&service, 1);
    let key = asking(&service);
    let strangers = || {
        let mut body = alike(1, 0.0);
        let one = body["embeddings"][0].clone();
        body["embeddings"] = json!([one, one, one]);
        service.call_by(&key, "POST", MANY, body)
    };
    assert_eq!(strangers().status, 200);
    strangers().problem(429, "budget_spent");
    // What was refused is not spent.
    identify(&service, &key, 1, 0.9).json();
    identify(&service, &key, 1, 0.9).problem(429, "budget_spent");
    verify(&service, &key, 1, 0.1).json();
    verify(&service, &key, 1, 0.9).json();
    // Whether it would be told a score is no answer either.
    for cosine in [0.9, 0.1] {
        verify(&service, &key, 1, cosine).problem(429, "budget_spent");
    }
}

#[test]
fn probes_that_climb_are_found_and_refused_and_others_are_not() {
    for is_identified in [false, true] {
        let service = Service::with(|settings| settings.budgets.climb = Reaction::Refuse);
        for class in [1, 2] {
            enroll(&service, class);
        }
        let key = asking(&service);
        let ask = |class: usize, cosine: f64| {
            service.advance(10);
            match is_identified {
                false => verify(&service, &key, class, cosine),
                true => identify(&service, &key, class, cosine),
            }
        };
        for n in 0..60_u32 {
            // Pictures of a person are alike now more, now less.
            let cosine = 0.6 + f64::from(n * 7 % 60) / 200.0;
            assert_eq!(ask(2, cosine).status, 200, "{is_identified}");
        }
        let climbing = |n: u32| ask(1, 0.5 + f64::from(n) / 500.0);
        let refused = (0..100).position(|n| climbing(n).status == 429).unwrap();
        assert!((10..40).contains(&refused), "{is_identified} {refused}");
        climbing(0).problem(429, "budget_spent");
        verify(&service, &key, 2, 0.7).json();
        let metrics = service.get("metrics").body;
        for line in [
            "vultus_climbs_total{outcome=\"found\"} 1",
            "vultus_climbs_total{outcome=\"refused\"} 2",
            "vultus_budget_refused_total 0",
        ] {
            assert!(metrics.contains(line), "{is_identified}: {line}");
        }
    }
}

#[test]
fn the_classic_api_has_the_same_budgets() {
    let service = Service::with(|settings| settings.budgets.of_class = Some(2));
    service.enroll("bws.1.5", pictures::obama());
    service.enroll("bws.1.6", pictures::biden());
    let ask = |class: &str, task: &str| {
        let token = service.ready(&format!("bcid=bws.1.{class}&task={task}"));
        service.task(&token, task)
    };
    for _ in 0..2 {
        // It lists everybody, however little alike, and so counts for all of them.
        let found = ask("5", "identify").result();
        assert_eq!(found["Matches"].as_array().unwrap().len(), 2, "{found}");
    }
    for (class, task) in [("5", "verify"), ("6", "verify"), ("5", "identify")] {
        ask(class, task).refuses(429, "day");
    }
}

#[test]
fn an_enrolment_counts_as_what_it_tells() {
    let service = answering(2);
    let scopes = [Scope::Enroll, Scope::Verify, Scope::Embeddings];
    let (_, key) = service.make_key(&scopes, Reach::Everything);
    let ask = || {
        let path = path(1, "enroll");
        service.call_by(&key, "POST", &path, alike(1, 0.9)).json()
    };
    for _ in 0..2 {
        assert_eq!(ask()["looks_like_class"], true);
    }
    // It is enrolled all the same.
    let silent = ask();
    let told = ["looks_like_class", "similarity_to_class"].map(|name| &silent[name]);
    assert_eq!(told, [&Value::Null, &Value::Null]);
    verify(&service, &key, 1, 0.9).problem(429, "budget_spent");
}

#[test]
fn who_is_enrolled_twice_is_no_oracle_without_end() {
    let service = Service::with(|settings| {
        settings.duplicates.action = OnDuplicate::Refuse;
        settings.budgets.of_class = Some(2);
    });
    enroll(&service, 1);
    let (_, key) = service.make_key(&[Scope::Enroll], Reach::Everything);
    let ask = |cosine: f64| service.call_by(&key, "POST", &path(7, "enroll"), alike(1, cosine));
    for _ in 0..2 {
        let problem = ask(0.9).problem(409, "already_enrolled");
        assert!(!problem["detail"].as_str().unwrap().contains("class 1"));
    }
    for cosine in [0.9, 0.1] {
        ask(cosine).problem(429, "budget_spent");
    }
}

/// With the real program: what it keeps when it ends, and that a kill harms nothing.
#[test]
#[cfg(unix)]
fn a_restart_gives_nobody_a_new_budget() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let start = || {
        let flags = ["--budget-class-answers", "12"];
        Program::start_with(&data, &registered, &flags, Stdio::null())
    };
    let service = start();
    let key = service.key();
    enroll(&service, 1);
    for _ in 0..12 {
        verify(&service, &key, 1, 0.9).json();
    }
    verify(&service, &key, 1, 0.9).problem(429, "budget_spent");
    assert_eq!(service.terminate(), Some(0));
    let service = start();
    verify(&service, &key, 1, 0.9).problem(429, "budget_spent");
    service.kill();
    let service = start();
    verify(&service, &key, 1, 0.9).problem(429, "budget_spent");
}
