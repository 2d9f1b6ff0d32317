//! The hosts that a gateway answers for: the defence against DNS rebinding.
//!
//! A page of `evil.example` whose name resolves to this server's address after the page was loaded is, for
//! its browser, a page of this server. Only the host that the browser sends tells it apart. Names of the
//! loopback and addresses cannot be pointed elsewhere by a stranger.

use std::net::IpAddr;

use hyper::http::uri::Authority;

use crate::kernel::fault::{Code, Fault};
use crate::kernel::printable::escape;

/// Characters of an unknown host that an answer repeats.
const SHOWN_CHARS_MAX: usize = 100;

/// The hosts of one gateway.
pub(super) struct AllowedHosts {
    /// The address that the gateway listens on.
    bound: IpAddr,
    /// Empty: every host.
    listed: Vec<String>,
}

impl AllowedHosts {
    /// The list must have passed `GatewayConfig::validate`.
    pub(super) fn new(listed: &[String], bound: IpAddr) -> Self {
        Self { bound, listed: listed.to_vec() }
    }

    /// Checks the hosts that a request names, each perhaps with a port.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` for a host that is neither listed nor this machine's.
    pub(super) fn check<'a>(&self, named: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Fault> {
        if self.listed.is_empty() {
            return Ok(());
        }
        for name in named {
            let allowed = Authority::try_from(name)
                .ok()
                .filter(|authority| !authority.as_str().contains('@'))
                .is_some_and(|authority| self.allows(authority.host()));
            if !allowed {
                let shown = escape(&String::from_utf8_lossy(name), SHOWN_CHARS_MAX);
                let message = format!(
                    "this server does not answer for `{shown}`: gateway.allowed_hosts does not list it"
                );
                return Err(Fault::new(Code::PermissionDenied, message).with_help(
                    "add the host to `gateway.allowed_hosts`, or call the server by its address or as \
                     `localhost`",
                ));
            }
        }
        Ok(())
    }

    fn allows(&self, host: &str) -> bool {
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = literal.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address == self.bound
                || self.bound.is_unspecified()
                || (self.bound.is_loopback() && address.is_loopback())
                || self.listed.iter().any(|listed| listed.parse() == Ok(address));
        }
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        // Browsers resolve these names to the loopback without asking (RFC 6761 §6.3).
        name == "localhost"
            || name.ends_with(".localhost")
            || self.listed.iter().any(|listed| match listed.strip_prefix('*') {
                Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
                None => name == *listed,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bound: &str, listed: &[&str], host: &str, expected: bool) {
        let listed: Vec<_> = listed.iter().map(|host| (*host).to_owned()).collect();
        let hosts = AllowedHosts::new(&listed, bound.parse().expect("an address"));
        assert_eq!(hosts.check([host.as_bytes()]).is_ok(), expected, "{host} at {bound}, {listed:?}");
    }

    #[test]
    fn names_of_this_machine_and_listed_hosts_pass() {
        let listed = &["app.example.com", "*.example.org", "10.0.0.7"];
        for host in
            ["localhost", "LOCALHOST:8080", "app.localhost", "localhost.", "127.0.0.1:80", "[::1]:8080"]
        {
            check("127.0.0.1", listed, host, true);
        }
        for host in
            ["app.example.com", "App.Example.com:443", "a.example.org", "a.b.example.org", "10.0.0.7:80"]
        {
            check("127.0.0.1", listed, host, true);
        }
        let strangers = [
            "evil.test",
            "evil.test:8080",
            "localhost.evil.test",
            "app.example.com.evil.test",
            "example.org",
            "notexample.org",
            "10.0.0.8",
            "app.example.com@evil.test",
            "evil.test/app.example.com",
            "",
        ];
        for host in strangers {
            check("127.0.0.1", listed, host, false);
        }
        check("10.0.0.5", listed, "10.0.0.5:8080", true);
        check("10.0.0.5", listed, "127.0.0.1", false);
        check("0.0.0.0", listed, "192.168.1.4", true);
        check("0.0.0.0", listed, "evil.test", false);
    }

    #[test]
    fn without_a_list_every_host_passes() {
        check("0.0.0.0", &[], "evil.test", true);
    }
}
