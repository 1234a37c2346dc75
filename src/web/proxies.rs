//! Which proxies may say whom they speak for, and whom they say that is.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName, header};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that may say from where a request came. None unless given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    /// How many bits are the same.
    bits: u32,
}

/// A text is no [`TrustedProxies::EXPECTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", TrustedProxies::EXPECTED)]
pub struct ProxyError;

/// From where a request came, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) client: IpAddr,
    pub(super) told: Told,
}

/// What became of what a head says of the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It says nothing.
    Nothing,
    /// It is believed.
    Believed,
    /// It comes from somebody who may not say it, and is passed over.
    NotTrusted,
    /// It comes from a proxy that may, and cannot be understood, or contradicts itself.
    Unclear,
}

impl Told {
    /// What it is counted as, if it is.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Told::Nothing => None,
            Told::Believed => Some("believed"),
            Told::NotTrusted => Some("not_trusted"),
            Told::Unclear => Some("unclear"),
        }
    }
}

impl TrustedProxies {
    /// What each must be.
    pub const EXPECTED: &'static str = "addresses such as `10.0.0.7` or `fd00::7`, or networks such \
        as `10.0.0.0/8`, whose other bits are zero";

    /// Those in a list of addresses and networks.
    ///
    /// # Errors
    ///
    /// If one is neither.
    pub fn only<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<TrustedProxies, ProxyError> {
        let networks: Result<_, ProxyError> = list.into_iter().map(str::parse).collect();
        networks.map(TrustedProxies)
    }

    /// Whether it is one of them.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// From where a request came that `peer` sends with such a head.
    pub(super) fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Origin {
        let peer = peer.to_canonical();
        let has = |name: &HeaderName| headers.contains_key(name);
        let (has_usual, has_standard) = (has(&X_FORWARDED_FOR), has(&header::FORWARDED));
        let by_peer = |told| Origin { client: peer, told };
        if !has_usual && !has_standard {
            return by_peer(Told::Nothing);
        }
        if !self.contains(peer) {
            return by_peer(Told::NotTrusted);
        }
        // An empty header says nothing beside one that does.
        let walk = |hops: Vec<_>| (!hops.is_empty()).then(|| self.walk(peer, &hops));
        let usual = walk(hops(headers, &X_FORWARDED_FOR, address_of));
        let standard = walk(hops(headers, &header::FORWARDED, for_of));
        match (usual, standard) {
            // A proxy that writes the one may pass on the other as a client made it up.
            (Some(usual), Some(standard)) if usual.client != standard.client => {
                by_peer(Told::Unclear)
            }
            (Some(told), _) | (None, Some(told)) => told,
            (None, None) => by_peer(Told::Unclear),
        }
    }

    /// Goes from hop to hop as long as the one that tells of the next is trusted.
    fn walk(&self, peer: IpAddr, hops: &[Option<IpAddr>]) -> Origin {
        let mut client = peer;
        for hop in hops.iter().rev() {
            let Some(address) = hop else {
                let told = Told::Unclear;
                return Origin { client, told };
            };
            client = *address;
            if !self.contains(client) {
                break;
            }
        }
        let told = Told::Believed;
        Origin { client, told }
    }
}

/// What each hop says of the one before it, the nearest last; `None` for what is no address.
fn hops(
    headers: &HeaderMap,
    name: &HeaderName,
    read: fn(&str) -> Option<IpAddr>,
) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    for value in headers.get_all(name) {
        // What a client has written to the left must not hide what a proxy says of it to the right.
        let read = |hop: &[u8]| str::from_utf8(hop).ok().and_then(|hop| read(hop.trim()));
        let value = value.as_bytes();
        if !value.trim_ascii().is_empty() {
            hops.extend(value.split(|byte| *byte == b',').map(read));
        }
    }
    hops
}

/// An address, with or without a port and the brackets of IPv6.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|both| both.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The address in an element of `Forwarded` (RFC 7239), such as `for="[2001:db8::1]:80";proto=https`.
fn for_of(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.trim().split_once('=')?;
        if name.eq_ignore_ascii_case("for") {
            let quoted = value
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'));
            if found
                .replace(address_of(quoted.unwrap_or(value))?)
                .is_some()
            {
                return None;
            }
        }
    }
    found
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let other = first.to_bits() ^ address.to_bits();
                other.checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let other = first.to_bits() ^ address.to_bits();
                other.checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Whether all bits behind the common ones are zero.
    fn is_whole(self) -> bool {
        match self.first {
            IpAddr::V4(first) => first.to_bits().checked_shl(self.bits).unwrap_or(0) == 0,
            IpAddr::V6(first) => first.to_bits().checked_shl(self.bits).unwrap_or(0) == 0,
        }
    }
}

impl FromStr for Network {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Network, ProxyError> {
        let (first, bits) = match text.split_once('/') {
            Some((first, bits)) => (first, Some(bits)),
            None => (text, None),
        };
        let first: IpAddr = first.parse().map_err(|_| ProxyError)?;
        let is_mapped = first.is_ipv6() && first.to_canonical().is_ipv4();
        let bits_max = if first.is_ipv4() { 32 } else { 128 };
        let is_number = |bits: &&str| bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            None => bits_max,
            Some(bits) => {
                let bits = Some(bits).filter(is_number).ok_or(ProxyError)?;
                bits.parse().map_err(|_| ProxyError)?
            }
        };
        if bits > bits_max || is_mapped && bits < 96 {
            return Err(ProxyError);
        }
        let network = Network {
            first: first.to_canonical(),
            bits: if is_mapped { bits - 96 } else { bits },
        };
        network.is_whole().then_some(network).ok_or(ProxyError)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn head(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_proxy_is_an_address_or_a_whole_network() {
        for (text, inside, outside) in [
            ("10.0.0.7", "10.0.0.7", "10.0.0.8"),
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("10.0.0.7/32", "::ffff:10.0.0.7", "10.0.0.6"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
            ("::1", "::1", "::2"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("::/0", "2001:db8::1", "1.2.3.4"),
        ] {
            let proxies = TrustedProxies::only([text]).unwrap();
            assert!(proxies.contains(address(inside)), "{text}");
            assert!(!proxies.contains(address(outside)), "{text}");
        }
        for bad in [
            "",
            "10",
            "10.0.0",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.0/-1",
            "::/129",
            "fd00::1/8",
            "::ffff:0:0/8",
            "localhost",
            "10.0.0.1:80",
            "[::1]",
            " ::1",
            "*",
        ] {
            assert!(TrustedProxies::only([bad]).is_err(), "{bad}");
        }
        assert!(!TrustedProxies::default().contains(address("127.0.0.1")));
    }

    #[test]
    fn what_a_client_writes_to_the_left_does_not_hide_it() {
        let proxies = TrustedProxies::only(["10.0.0.0/8"]).unwrap();
        for value in [
            &b"\xe9, 1.2.3.4"[..],
            b"\xff\xfe,\xe9,1.2.3.4",
            b"nobody, , 1.2.3.4, 10.0.0.2",
        ] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.append("x-forwarded-for", value);
            headers.append("forwarded", HeaderValue::from_static(""));
            let found = proxies.origin(address("10.0.0.1"), &headers);
            assert_eq!(found.client, address("1.2.3.4"));
            assert_eq!(found.told, Told::Believed);
        }
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"1.2.3.4, \xe9").unwrap();
        headers.append("x-forwarded-for", value);
        let found = proxies.origin(address("10.0.0.1"), &headers);
        assert_eq!(
            (found.client, found.told),
            (address("10.0.0.1"), Told::Unclear)
        );
    }

    #[test]
    fn the_last_hop_that_is_not_trusted_is_the_client() {
        let proxies = TrustedProxies::only(["10.0.0.0/8", "fd00::/8"]).unwrap();
        let usual = "X-Forwarded-For";
        for (peer, lines, client, told) in [
            ("10.0.0.1", &[][..], "10.0.0.1", Told::Nothing),
            ("10.0.0.1", &[(usual, "1.2.3.4")], "1.2.3.4", Told::Believed),
            (
                "::ffff:10.0.0.1",
                &[(usual, "1.2.3.4")],
                "1.2.3.4",
                Told::Believed,
            ),
            // The left of it is what a client made up.
            (
                "10.0.0.1",
                &[(usual, "6.6.6.6, 1.2.3.4")],
                "1.2.3.4",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[(usual, "6.6.6.6, 1.2.3.4, 10.9.9.9")],
                "1.2.3.4",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[(usual, "6.6.6.6"), (usual, "1.2.3.4")],
                "1.2.3.4",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[(usual, "rubbish, 1.2.3.4")],
                "1.2.3.4",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[(usual, "10.0.0.3, fd00::2")],
                "10.0.0.3",
                Told::Believed,
            ),
            (
                "fd00::1",
                &[(usual, "2001:db8::7")],
                "2001:db8::7",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[(usual, "[2001:db8::7]:4711")],
                "2001:db8::7",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[(usual, "[2001:db8::7]")],
                "2001:db8::7",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[(usual, "1.2.3.4:4711")],
                "1.2.3.4",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[(usual, "::ffff:1.2.3.4")],
                "1.2.3.4",
                Told::Believed,
            ),
            // Who may not say it.
            (
                "1.2.3.4",
                &[(usual, "10.0.0.1")],
                "1.2.3.4",
                Told::NotTrusted,
            ),
            (
                "1.2.3.4",
                &[("Forwarded", "for=5.6.7.8")],
                "1.2.3.4",
                Told::NotTrusted,
            ),
            (
                "2001:db8::1",
                &[(usual, "")],
                "2001:db8::1",
                Told::NotTrusted,
            ),
            // What cannot be understood ends the walk at who said it.
            ("10.0.0.1", &[(usual, "")], "10.0.0.1", Told::Unclear),
            (
                "10.0.0.1",
                &[(usual, "1.2.3.4, unknown")],
                "10.0.0.1",
                Told::Unclear,
            ),
            (
                "10.0.0.1",
                &[(usual, "1.2.3.4, , 10.0.0.2")],
                "10.0.0.2",
                Told::Unclear,
            ),
            (
                "10.0.0.1",
                &[(usual, "1.2.3.4,")],
                "10.0.0.1",
                Told::Unclear,
            ),
            (
                "10.0.0.1",
                &[(usual, "1.2.3.4 5.6.7.8")],
                "10.0.0.1",
                Told::Unclear,
            ),
            (
                "10.0.0.1",
                &[(usual, "1.2.3.\u{e4}")],
                "10.0.0.1",
                Told::Unclear,
            ),
            // The standard.
            (
                "10.0.0.1",
                &[("Forwarded", "for=1.2.3.4")],
                "1.2.3.4",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[(
                    "Forwarded",
                    "For=6.6.6.6, proto=https;FOR=\"[2001:db8::7]:80\";by=x",
                )],
                "2001:db8::7",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[("Forwarded", "for=_hidden")],
                "10.0.0.1",
                Told::Unclear,
            ),
            (
                "10.0.0.1",
                &[("Forwarded", "proto=https")],
                "10.0.0.1",
                Told::Unclear,
            ),
            (
                "10.0.0.1",
                &[("Forwarded", "for=1.2.3.4;for=5.6.7.8")],
                "10.0.0.1",
                Told::Unclear,
            ),
            // Both, of which a client may have made one up.
            (
                "10.0.0.1",
                &[(usual, "1.2.3.4"), ("Forwarded", "for=1.2.3.4;proto=https")],
                "1.2.3.4",
                Told::Believed,
            ),
            (
                "10.0.0.1",
                &[(usual, "1.2.3.4"), ("Forwarded", "for=6.6.6.6")],
                "10.0.0.1",
                Told::Unclear,
            ),
        ] {
            let origin = proxies.origin(address(peer), &head(lines));
            let expected = Origin {
                client: address(client),
                told,
            };
            assert_eq!(origin, expected, "{peer} {lines:?}");
        }
    }
}
