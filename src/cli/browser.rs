//! `vultus serve --open`: lets whoever starts the service into its page.
//!
//! Neither a log nor the history of a browser nor the list of processes may show a key. So a browser
//! is given a ticket, which is good once, and only a terminal is told a key.

use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::output;
use crate::access::{ApiKeySecret, NewApiKey, Reach, Scope};
use crate::config::Settings;
use crate::types::Timestamp;
use crate::web::AppState;

const FIRST_NAME: &str = "first key";
/// What keys are called that only a browser has.
const DAY_NAME: &str = "page opened by serve --open";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Opens a browser that is signed in at the service that listens on `address`, and tells a terminal
/// how else to come in.
pub(super) fn let_in(
    settings: &Settings,
    state: &AppState,
    address: SocketAddr,
) -> anyhow::Result<()> {
    let is_told = io::stderr().is_terminal() && !output::is_quiet();
    let page = page(settings, address);
    let (key, is_first) = make_key(state, is_told).context("making a key for the page")?;
    if is_first {
        output::tell!(
            "\n  Key   {}\n        Keep it now: only its hash is stored.",
            key.expose()
        );
    }
    let ticket = state.let_in(key, &mut rand::rng());
    let link = format!("{page}#ticket={}", ticket.expose());
    if is_told {
        output::tell!("\n  Page  {link}\n        This link works once, within ten minutes.\n");
    }
    if !open(&link) && !is_told {
        tracing::warn!("no browser could be opened: open {page} and sign in with a key");
    }
    Ok(())
}

/// A key for everything, and whether it is to be told: the first of an installation, which lasts,
/// and is for a terminal alone. Others are for a browser, and for a day.
fn make_key(state: &AppState, is_told: bool) -> anyhow::Result<(ApiKeySecret, bool)> {
    let (keys, now) = (state.api_keys(), state.clock().now());
    let known = keys.list()?;
    let is_over = |name: &str, expires: Option<Timestamp>| {
        name == DAY_NAME && expires.is_some_and(|expires| now >= expires)
    };
    for key in known.iter().filter(|key| is_over(&key.name, key.expires)) {
        keys.revoke(key.id)?;
    }
    let is_first = known.is_empty() && is_told;
    let new = NewApiKey {
        name: if is_first { FIRST_NAME } else { DAY_NAME }.to_owned(),
        scopes: Scope::ALL.into_iter().collect(),
        reach: Reach::Everything,
        expires: (!is_first).then(|| now.after(DAY)),
    };
    let (_, secret) = keys.create(&new, now, &mut rand::rng())?;
    Ok((secret, is_first))
}

/// The address of the page for a browser on this machine. With TLS it is that which the certificate
/// is most likely for. Browsers give a camera to pages of the machine itself, and to none of
/// `0.0.0.0`.
fn page(settings: &Settings, address: SocketAddr) -> String {
    if let (Some(url), Some(_)) = (&settings.public_url, &settings.tls_certificate) {
        return format!("{}/", url.as_str().trim_end_matches('/'));
    }
    let scheme = match settings.tls_certificate {
        Some(_) => "https",
        None => "http",
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("{scheme}://{}/", SocketAddr::new(ip, address.port()))
}

/// Asks the system to show a page. Tells whether it was asked: what comes of it is seen by whoever
/// sits there.
fn open(link: &str) -> bool {
    let opener = match cfg!(target_os = "macos") {
        true => "open",
        false => "xdg-open",
    };
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    // Without a screen it may begin a browser for terminals, in the middle of the log.
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]
        .into_iter()
        .any(is_set);
    if !has_screen && !cfg!(target_os = "macos") {
        return false;
    }
    let started = Command::new(opener)
        .arg(link)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else {
        return false;
    };
    // The system keeps what is left of a process until somebody asks how it ended.
    let waiting = thread::Builder::new().name("browser".to_owned());
    let _ = waiting.spawn(move || child.wait());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_on_this_machine_is_sent_to_this_machine() {
        let mut settings = Settings::new(1);
        let page = |settings: &Settings, address: &str| page(settings, address.parse().unwrap());
        for (address, expected) in [
            ("127.0.0.1:8040", "http://127.0.0.1:8040/"),
            ("0.0.0.0:80", "http://127.0.0.1:80/"),
            ("[::]:80", "http://[::1]:80/"),
            ("192.0.2.7:80", "http://192.0.2.7:80/"),
        ] {
            assert_eq!(page(&settings, address), expected);
        }
        settings.public_url = Some("https://faces.example.org/a/".parse().unwrap());
        let local = page(&settings, "127.0.0.1:80");
        assert_eq!(local, "http://127.0.0.1:80/", "behind a proxy");
        settings.tls_certificate = Some("certificate.pem".into());
        let public = page(&settings, "127.0.0.1:80");
        assert_eq!(public, "https://faces.example.org/a/");
    }
}
