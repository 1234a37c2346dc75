//! How many connections there may be, and how long each may take.

use std::time::Duration;

use super::super::proxies::TrustedProxies;

use super::super::certificates::Certificates;

/// How many connections there may be, and how long each may take.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// The most connections; unless given, what the limit of descriptors allows, up to
    /// [`ConnectionOptions::COUNT_MAX`].
    pub count_max: Option<usize>,
    /// The most connections of one address, or of one IPv6 network of 64 bits; unless given, half
    /// of all.
    pub per_address_max: Option<usize>,
    /// Whose connections are not counted by their address, since they come for others, and who may say
    /// from where requests come.
    pub trusted_proxies: TrustedProxies,
    /// How long a client may take from the connection to the end of its first head, and from the
    /// first byte to the end of every other.
    pub header_wait: Duration,
    /// How long a connection may be idle between two requests.
    pub idle_wait: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub write_wait: Duration,
    /// How long everything goes on when the service is told to stop, but for `/readyz`, which says
    /// so.
    pub stop_delay: Duration,
    /// How long requests at hand may take to be answered when the service stops.
    pub stop_wait: Duration,
    /// What the service speaks TLS with; without it, it speaks plain HTTP.
    pub certificates: Option<Certificates>,
}

impl ConnectionOptions {
    /// The most connections unless a number is given. An idle one takes 18 KB.
    pub const COUNT_MAX: usize = 32_768;
}

impl Default for ConnectionOptions {
    fn default() -> ConnectionOptions {
        ConnectionOptions {
            count_max: None,
            per_address_max: None,
            trusted_proxies: TrustedProxies::default(),
            header_wait: Duration::from_secs(10),
            // Longer than proxies keep idle connections to a service (60 s), so that they close
            // first and never send into one that is just being closed.
            idle_wait: Duration::from_secs(75),
            write_wait: Duration::from_secs(30),
            stop_delay: Duration::ZERO,
            // Below the 10 s that container platforms give.
            stop_wait: Duration::from_secs(8),
            certificates: None,
        }
    }
}
