//! The client's address behind proxies: the headers `Forwarded` (RFC 7239) and `X-Forwarded-For`.
//!
//! Each proxy appends the address that it was called from, and anyone may send such a header. So the hops are
//! read from the right, from the proxy that is connected, and the first address that belongs to no trusted
//! proxy is the client's: whatever stands to the left of it was written by the client.
//!
//! A proxy appends to one of the two headers and passes the other on as the client wrote it. When both are
//! present and do not agree, it cannot be known which one is the proxy's, and the client is the peer: then
//! all who send both share the limits of the proxy's own address. So do all requests whose headers cannot be
//! read.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{FORWARDED, HeaderMap, HeaderName};

use crate::kernel::ip_network::IpNetwork;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose headers are believed.
pub(super) struct TrustedProxies {
    networks: Vec<IpNetwork>,
}

impl TrustedProxies {
    pub(super) fn new(networks: &[IpNetwork]) -> Self {
        Self { networks: networks.to_vec() }
    }

    pub(super) fn trusts(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }

    /// The address of the client whose request came from `peer`.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let forwarded = self.named_by(headers, &FORWARDED, forwarded_hops);
        let x_forwarded_for = self.named_by(headers, &X_FORWARDED_FOR, listed_hops);
        let client = match (forwarded, x_forwarded_for) {
            (Hop::Unnamed, hop) | (hop, Hop::Unnamed) => hop,
            (one, other) if one == other => one,
            _ => Hop::Unknown,
        };
        match client {
            Hop::Client(ip) => ip,
            Hop::Unnamed | Hop::Unknown => peer,
        }
    }

    fn named_by(
        &self,
        headers: &HeaderMap,
        name: &HeaderName,
        hops_of: impl Fn(&str, &mut Vec<Option<IpAddr>>) -> Option<()>,
    ) -> Hop {
        let mut hops = Vec::new();
        for value in headers.get_all(name) {
            if value.to_str().ok().and_then(|text| hops_of(text, &mut hops)).is_none() {
                return Hop::Unknown;
            }
        }
        let mut leftmost = Hop::Unnamed;
        for hop in hops.into_iter().rev() {
            match hop {
                // A proxy may hide the address that it was called from.
                None => return Hop::Unknown,
                Some(ip) if self.trusts(ip) => leftmost = Hop::Client(ip),
                Some(ip) => return Hop::Client(ip),
            }
        }
        leftmost
    }
}

/// What a header says about the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    /// The header names nobody.
    Unnamed,
    /// The header cannot be read, or the hop is hidden.
    Unknown,
    Client(IpAddr),
}

/// `192.0.2.1, [2001:db8::1]:4711`. An entry that is no address makes the hop unknown.
fn listed_hops(text: &str, hops: &mut Vec<Option<IpAddr>>) -> Option<()> {
    hops.extend(text.split(',').map(|entry| address(entry.trim())));
    Some(())
}

/// `for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"`. `None` when the header is malformed.
fn forwarded_hops(text: &str, hops: &mut Vec<Option<IpAddr>>) -> Option<()> {
    let mut rest = text;
    loop {
        let mut hop = None;
        loop {
            let (name, value, after) = pair(rest.trim_start())?;
            if name.eq_ignore_ascii_case("for") {
                // Twice in one element: which of them is meant is not known.
                if hop.is_some() {
                    return None;
                }
                hop = Some(address(&value));
            }
            rest = after.trim_start();
            match rest.strip_prefix(';') {
                Some(next) => rest = next,
                None => break,
            }
        }
        hops.push(hop.flatten());
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return rest.is_empty().then_some(()),
        }
    }
}

/// A name, its value, and what follows.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([';', ',', ' ', '\t']).unwrap_or(rest.len());
        let (value, rest) = rest.split_at(end);
        return Some((name, value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((name, value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

/// An address, with a port or without: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    parsed.ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48"].map(|network| network.parse().expect("a network"));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header's value"));
        }
        TrustedProxies::new(&networks).client(peer.parse().expect("an address"), &map).to_string()
    }

    fn listed(value: &str) -> String {
        client(PROXY, &[("x-forwarded-for", value)])
    }

    fn forwarded(value: &str) -> String {
        client(PROXY, &[("forwarded", value)])
    }

    #[test]
    fn the_client_is_the_rightmost_hop_that_is_not_trusted() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1, 10.9.9.9", "192.0.2.1"),
            ("10.0.0.5, 10.9.9.9", "10.0.0.5"),
            (" 192.0.2.1:4711 ", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:4711, 2001:db8:1::7", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("nonsense, 192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(listed(value), expected, "{value}");
        }
        assert_eq!(
            client(PROXY, &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.1")]),
            "192.0.2.1"
        );
        for (value, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("FOR=\"192.0.2.1:80\";proto=https;by=10.0.0.1", "192.0.2.1"),
            ("for=6.6.6.6;host=\"a,b;\\\"c\" , proto=http; for=\"[2001:db8::1]:80\"", "2001:db8::1"),
            ("for=192.0.2.1, for=10.3.3.3", "192.0.2.1"),
        ] {
            assert_eq!(forwarded(value), expected, "{value}");
        }
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client() {
        let lies = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(client("203.0.113.9", &lies), "203.0.113.9");
        assert_eq!(client("2001:db8:2::1", &lies), "2001:db8:2::1");
        assert_eq!(client("::ffff:10.0.0.1", &lies), "192.0.2.1");
    }

    #[test]
    fn headers_that_do_not_name_the_client_leave_the_peer() {
        for value in ["", ",", "unknown", "192.0.2.1, unknown", "192.0.2.1,", "999.0.0.1", "\u{fc}", "::1::"]
        {
            assert_eq!(listed(value), PROXY, "{value}");
        }
        for value in [
            "",
            "for",
            "for=",
            "for=unknown",
            "for=_hidden",
            "for=192.0.2.1, proto=http",
            "for=192.0.2.1;for=192.0.2.2",
            "for=\"192.0.2.1",
            "for=\"192.0.2.1\\",
            "for=192.0.2.1,",
            "for=192.0.2.1 x",
            "for=\"\u{fc}\"",
        ] {
            assert_eq!(forwarded(value), PROXY, "{value}");
        }
        assert_eq!(client(PROXY, &[]), PROXY);
    }

    #[test]
    fn two_headers_must_agree() {
        let both =
            |forwarded, listed| client(PROXY, &[("forwarded", forwarded), ("x-forwarded-for", listed)]);
        assert_eq!(both("for=192.0.2.1", "6.6.6.6, 192.0.2.1"), "192.0.2.1");
        assert_eq!(both("for=6.6.6.6", "192.0.2.1"), PROXY, "one of them is the client's invention");
        assert_eq!(both("nonsense", "192.0.2.1"), PROXY);
        assert_eq!(both("for=192.0.2.1", "unknown"), PROXY);
    }
}
