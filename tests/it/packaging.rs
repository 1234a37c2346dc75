//! What is handed out beside the program: that `docs/operations.md` shows it word for word, and that it
//! fits the settings that it speaks of.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use vultus::config::{SETTINGS, Settings};

const PAGE: &str = "docs/operations.md";
/// The files of `packaging` that the page shows, and what their fences say they are.
const SHOWN: [(&str, &str); 4] = [
    ("vultus.toml", "toml"),
    ("nginx.conf", "nginx"),
    ("Caddyfile", "caddyfile"),
    ("kubernetes.yaml", "yaml"),
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The page with each of its fences of these languages as the file is.
fn renewed(mut page: String) -> String {
    for (name, language) in SHOWN {
        let opening = format!("```{language}\n");
        let (before, rest) = page.split_once(&opening).unwrap();
        let (_, after) = rest.split_once("```").unwrap();
        page = format!(
            "{before}{opening}{}```{after}",
            read(&format!("packaging/{name}"))
        );
    }
    page
}

#[test]
fn the_page_shows_the_files_that_are_run() {
    let page = read(PAGE);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(path(PAGE), renewed(page)).unwrap();
        return;
    }
    for (name, language) in SHOWN {
        let shown = format!("```{language}\n{}```", read(&format!("packaging/{name}")));
        assert!(
            page.contains(&shown),
            "{PAGE} does not show packaging/{name} as it is: run this test with UPDATE_FIXTURES=1"
        );
    }
}

/// The number that follows `before`.
fn number(text: &str, before: &str) -> u64 {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("{before} is missing"));
    let digits = rest.trim_start_matches([' ', '"']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap();
    digits[..end].parse().unwrap()
}

#[test]
fn every_variable_that_is_set_is_a_setting() {
    let known: BTreeSet<String> = SETTINGS.iter().map(|setting| setting.variable()).collect();
    for name in ["Dockerfile", "packaging/kubernetes.yaml"] {
        let text = read(name);
        let set = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let words =
            set.flat_map(|line| line.split(|c: char| !(c.is_ascii_uppercase() || c == '_')));
        let ours: Vec<&str> = words.filter(|word| word.starts_with("VULTUS_")).collect();
        assert!(!ours.is_empty(), "{name}");
        for variable in ours {
            assert!(
                known.contains(variable),
                "{name} sets `{variable}`, which sets nothing"
            );
        }
    }
}

#[test]
fn the_settings_file_is_one_that_is_taken() {
    let file = path("packaging/vultus.toml").into_os_string();
    Settings::read(vec![], [("VULTUS_CONFIG".into(), file)], 2).unwrap();
}

#[test]
fn proxies_and_platforms_wait_as_long_as_the_service_does() {
    let service = Settings::new(2).service;
    let (idle_seconds, body_mib) = (
        service.connections.idle_wait.as_secs(),
        (service.body_bytes_max >> 20) as u64,
    );
    let nginx = read("packaging/nginx.conf");
    assert!(number(&nginx, "keepalive_timeout ") < idle_seconds);
    assert!(number(&nginx, "client_max_body_size ") > body_mib);
    let caddy = read("packaging/Caddyfile");
    assert!(number(&caddy, "keepalive ") < idle_seconds);
    assert!(number(&caddy, "max_size ") > body_mib);
    let picture_seconds = service.picture_time_max.as_secs();
    // Of a crowd of a hundred each gets a twentieth more.
    let crowd_seconds = 6 * picture_seconds;
    assert!(number(&nginx, "proxy_read_timeout ") > crowd_seconds);
    assert!(number(&caddy, "response_header_timeout ") > crowd_seconds);
    let kubernetes = read("packaging/kubernetes.yaml");
    let value = |name: &str| number(&kubernetes, &format!("{name}, value: "));
    let stopping = value("VULTUS_STOP_DELAY_SECONDS") + value("VULTUS_STOP_WAIT_SECONDS");
    assert!(number(&kubernetes, "terminationGracePeriodSeconds: ") > stopping);
    let unit = read("packaging/vultus.service");
    let standard = service.connections.stop_wait + service.connections.stop_delay;
    assert!(number(&unit, "TimeoutStopSec=") > standard.as_secs());
}

/// What an image must not hold by chance, and what its build needs.
#[test]
fn an_image_is_built_of_the_sources_alone() {
    let ignored = read(".dockerignore");
    let lines: Vec<&str> = ignored
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(lines[0], "*", "nothing is taken that is not named");
    let taken: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "data",
        "benches",
        "examples",
        "LICENSE",
    ] {
        assert!(taken.contains(needed), "{needed}");
    }
    for name in &taken {
        assert!(path(name).exists(), "{name} is not there");
    }
    let dockerfile = read("Dockerfile");
    for line in ["USER 65532:65532", "VOLUME /data", "STOPSIGNAL SIGTERM"] {
        assert!(dockerfile.lines().any(|found| found == line), "{line}");
    }
    // The toolchain is at least the one that the crate wants.
    let wanted = number(&read("Cargo.toml"), "rust-version = \"1.");
    assert!(number(&dockerfile, "FROM rust:1.") >= wanted);
}
