//! A network of IP addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The addresses that begin with the same bits. An IPv4 address that is written as an IPv6 one
/// (`::ffff:10.0.0.1`) counts as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNetwork {
    first: IpAddr,
    prefix: u8,
}

/// Why a text names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpNetworkError {
    /// Neither an address nor a network.
    #[error("`{0}` is no network; write for example \"10.0.0.0/8\", \"2001:db8::/32\" or \"10.0.0.7\"")]
    Unreadable(String),
    /// The address is not the first one of the network.
    #[error("`{text}` is in the network {network}: write that")]
    NotFirst {
        /// The text.
        text: String,
        /// The network that contains the address.
        network: IpNetwork,
    },
}

impl IpNetwork {
    /// True when the network contains `ip`.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.first.is_ipv4() && first_of(ip, self.prefix) == self.first
    }
}

/// The first address of the network with `prefix` that contains `ip`.
fn first_of(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

impl FromStr for IpNetwork {
    type Err = IpNetworkError;

    fn from_str(text: &str) -> Result<Self, IpNetworkError> {
        let unreadable = || IpNetworkError::Unreadable(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| unreadable())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= longest).ok_or_else(unreadable)?,
            None => longest,
        };
        if address.to_canonical() != address {
            return Err(unreadable());
        }
        let network = Self { first: first_of(address, prefix), prefix };
        if network.first != address {
            return Err(IpNetworkError::NotFirst { text: text.to_owned(), network });
        }
        Ok(network)
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl Serialize for IpNetwork {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpNetwork {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let network: IpNetwork = network.parse().expect("a network");
        for (addresses, expected) in [(inside, true), (outside, false)] {
            for address in addresses {
                let ip = address.parse().expect("an address");
                assert_eq!(network.contains(ip), expected, "{network} {address}");
            }
        }
    }

    #[test]
    fn a_network_contains_the_addresses_that_begin_like_it() {
        check(
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["11.0.0.0", "::", "::a00:1"],
        );
        check("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]);
        check("0.0.0.0/0", &["1.2.3.4", "255.255.255.255"], &["::1"]);
        check("2001:db8::/33", &["2001:db8::1", "2001:db8:7fff::"], &["2001:db8:8000::", "10.0.0.1"]);
        check("::/0", &["::1", "2001:db8::"], &["10.0.0.1", "::ffff:10.0.0.1"]);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0/8", "a/8", "::ffff:10.0.0.1"]
        {
            let refused = text.parse::<IpNetwork>().expect_err(text);
            assert_eq!(refused, IpNetworkError::Unreadable(text.to_owned()));
        }
        let refused = "10.1.2.3/8".parse::<IpNetwork>().expect_err("bits behind the prefix");
        assert_eq!(refused.to_string(), "`10.1.2.3/8` is in the network 10.0.0.0/8: write that");
    }
}
