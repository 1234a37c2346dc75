//! Where the service listens.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// A host, by address or by name, and a port. A name is looked up when the service starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress(String);

/// The most characters of a name.
const NAME_LENGTH_MAX: usize = 253;

impl ListenAddress {
    /// What a text must be.
    pub const EXPECTED: &'static str = "a host and a port: `127.0.0.1:8040` for this machine \
        alone, `0.0.0.0:8040` for all its addresses, or a name as in `localhost:8040`; port 0 takes a \
        free one";

    /// Whether both cannot be listened on at once, as far as the texts tell.
    pub fn is_same_port_as(&self, other: &ListenAddress) -> bool {
        // Port 0 is another one each time.
        self.0.eq_ignore_ascii_case(&other.0) && !self.0.ends_with(":0")
    }

    /// The host and the port, as [`std::net::ToSocketAddrs`] takes them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// This machine alone, at the port that everything here speaks of.
impl Default for ListenAddress {
    fn default() -> ListenAddress {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 8040)).into()
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> ListenAddress {
        ListenAddress(address.to_string())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not [`ListenAddress::EXPECTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", ListenAddress::EXPECTED)]
pub struct ListenAddressError;

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    /// A port alone is refused, with or without a colon before it: programs differ in whether that
    /// means this machine or all its addresses, and faces are not shown to a network by chance.
    fn from_str(text: &str) -> Result<ListenAddress, ListenAddressError> {
        let is_address = text.parse::<SocketAddr>().is_ok();
        let is_named = text.rsplit_once(':').is_some_and(|(host, port)| {
            let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
            is_name(host) && is_port && port.parse::<u16>().is_ok()
        });
        if is_address || is_named {
            Ok(ListenAddress(text.to_owned()))
        } else {
            Err(ListenAddressError)
        }
    }
}

/// Whether it can be the name of a host. One of digits and dots would be a mistyped address.
fn is_name(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_letter = |byte: u8| byte.is_ascii_alphabetic();
    host.len() <= NAME_LENGTH_MAX && host.bytes().all(allowed) && host.bytes().any(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_are_needed() {
        for good in [
            "127.0.0.1:8040",
            "0.0.0.0:0",
            "[::1]:8040",
            "[::]:65535",
            "localhost:8040",
            "faces.example.org:80",
        ] {
            assert_eq!(good.parse::<ListenAddress>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            ":",
            ":8040",
            "8040",
            "localhost",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "127.0.0.1:-1",
            "127.0.0.1:+80",
            "127.0.0.256:80",
            "::1:8040",
            "[::1]",
            "[::1",
            "http://127.0.0.1:8040",
            "localhost:8040/",
            "local host:8040",
            " localhost:8040",
            "localhost:8040\n",
            "*:8040",
        ] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad:?}");
        }
    }
}
