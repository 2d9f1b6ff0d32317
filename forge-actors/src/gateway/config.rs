//! Section `[gateway]` of the configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use serde::{Deserialize, Serialize};

use crate::kernel::ip_network::IpNetwork;
use crate::kernel::time::{secs, serde_duration};
use crate::subsystem::ConfigSection;

/// The smallest read buffer that hyper's HTTP/1.1 codec accepts, and so the smallest `header_bytes_max`.
const HEADER_BYTES_LEAST: usize = 8 * 1024;

/// Schemes of origins on the web.
const WEB_SCHEMES: [&str; 2] = ["http", "https"];
/// Schemes of the pages of applications and of browser extensions.
const APP_SCHEMES: [&str; 5] = ["tauri", "capacitor", "ionic", "chrome-extension", "moz-extension"];

/// The smallest `responses_bytes_max`: a quarter of it, less an eighth of that, must hold a part of a file.
const RESPONSES_BYTES_LEAST: usize = 1024 * 1024;

/// The HTTP server of a node, and its limits. Each limit says what happens when it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Address to listen on. `127.0.0.1` is this machine only, `0.0.0.0` or `::` every interface.
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Open connections; for one more an idle one is closed, and when none is idle, the new one is answered
    /// 503 with `Retry-After` and closed.
    pub connections_max: usize,
    /// Open connections from one address (of IPv6, from one /64), so that one client does not take all of
    /// them; one more is answered 503 with `Retry-After` and closed. Trusted proxies are exempt.
    pub address_connections_max: usize,
    /// Networks of the proxies in front of this node, as `10.0.0.0/8` or as a single address. For requests
    /// from these, the client's address is the last one in `Forwarded` or `X-Forwarded-For` that is no
    /// trusted proxy's; it counts for every limit by address, and is what handlers and the audit see. From
    /// anyone else these headers are ignored. Empty by default.
    pub trusted_proxies: Vec<IpNetwork>,
    /// Bytes of a request's head (line and headers); more is answered 431. At least 8192.
    pub header_bytes_max: usize,
    /// Bytes of a request's body; more is answered 413, by `Content-Length` before anything is read.
    pub body_bytes_max: usize,
    /// Bytes of all bodies in memory, those of a few KiB not counted; above this limit larger bodies are
    /// answered 503 with `Retry-After`. At least `body_bytes_max`.
    pub bodies_bytes_max: usize,
    /// Bytes of all responses that wait for clients to take them: those of calls as a whole, 64 KiB of each
    /// file. Clients of one address get a quarter. At the limit a file waits up to 5 s for others to be
    /// taken and is then answered 503 with `Retry-After`; a call is refused before it runs (`OVERLOADED`,
    /// sent after 1 to 2 s). Responses of up to 16 KiB may use all of it, larger ones leave an eighth free.
    /// At least 1 MiB.
    pub responses_bytes_max: usize,
    /// Time from the first byte of a request (on a new connection: from its opening) to the end of its head;
    /// then the connection is closed.
    #[serde(with = "serde_duration")]
    pub header_timeout: Duration,
    /// Time for the whole body of a request; then the request is answered 400 and the connection is closed.
    #[serde(with = "serde_duration")]
    pub body_timeout: Duration,
    /// Time for which a client may take nothing of a response, prolonged by one second for each 4 KiB that
    /// the client takes; bytes in buffers between both count as taken, up to 128 KiB of the kernel's and 1
    /// MiB of an HTTP/2 window. Then the connection is closed, or the HTTP/2 stream is reset; the eighth
    /// stalled stream within a minute closes its connection.
    #[serde(with = "serde_duration")]
    pub write_timeout: Duration,
    /// Time for which a connection may be idle between requests; then it is closed.
    #[serde(with = "serde_duration")]
    pub keep_alive: Duration,
    /// Requests that run at the same time on one HTTP/2 connection; the client waits before it sends more.
    pub http2_streams_max: u32,
    /// Origins whose pages may call this server, each exactly as a browser sends it: of the web
    /// (`https://app.example.com`), of an application (`tauri://localhost`, `capacitor://localhost`) or of an
    /// extension (`chrome-extension://…`, `moz-extension://…`). None by default.
    pub cors_origins: Vec<String>,
    /// Hosts that this server answers for, without ports; `*.example.com` stands for every subdomain. A
    /// request for another host is answered 403, so that a stranger's name that resolves to this
    /// address (DNS rebinding) reaches nothing. The names of the loopback and the address of `host` always
    /// pass. Empty by default, which answers for every host; in development, the names that always pass.
    pub allowed_hosts: Vec<String>,
    /// Folder of the page that is served at `/`; a relative path starts at the folder of the configuration
    /// file. None by default.
    pub assets: Option<PathBuf>,
    /// Serve `/metrics` to everyone; otherwise a token with the role `admin` is needed.
    pub metrics_public: bool,
    /// On shutdown: time between `/ready` answering 503 and the port being closed and WebSocket clients being
    /// sent away, for load balancers to stop sending requests. Kubernetes sends SIGTERM at the moment at
    /// which it begins to take the pod out of its endpoints, which reaches every proxy within a few seconds.
    /// Zero in development unless it is set.
    #[serde(with = "serde_duration")]
    pub drain_delay: Duration,
    /// On shutdown: time for running requests to finish; then their connections are cut.
    #[serde(with = "serde_duration")]
    pub drain_timeout: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8080,
            connections_max: 10_000,
            address_connections_max: 1_000,
            trusted_proxies: Vec::new(),
            header_bytes_max: 16 * 1024,
            body_bytes_max: 1024 * 1024,
            bodies_bytes_max: 256 * 1024 * 1024,
            responses_bytes_max: 128 * 1024 * 1024,
            header_timeout: secs(10),
            body_timeout: secs(15),
            write_timeout: secs(10),
            keep_alive: secs(75),
            http2_streams_max: 128,
            cors_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            assets: None,
            metrics_public: false,
            drain_delay: secs(5),
            drain_timeout: secs(30),
        }
    }
}

impl ConfigSection for GatewayConfig {
    const NAME: &'static str = "gateway";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let sizes = [
            ("connections_max", self.connections_max, 1),
            ("address_connections_max", self.address_connections_max, 1),
            ("body_bytes_max", self.body_bytes_max, 1),
            ("header_bytes_max", self.header_bytes_max, HEADER_BYTES_LEAST),
            ("responses_bytes_max", self.responses_bytes_max, RESPONSES_BYTES_LEAST),
            ("http2_streams_max", self.http2_streams_max as usize, 1),
        ];
        mistakes.extend(
            sizes
                .iter()
                .filter(|(_, value, least)| value < least)
                .map(|(key, value, least)| format!("gateway.{key} is {value}; it must be at least {least}")),
        );
        if self.bodies_bytes_max < self.body_bytes_max {
            let (all, one) = (self.bodies_bytes_max, self.body_bytes_max);
            mistakes.push(format!(
                "gateway.bodies_bytes_max ({all}) is less than gateway.body_bytes_max ({one}): no large body \
                 would be read"
            ));
        }
        let times = [
            ("header_timeout", self.header_timeout),
            ("body_timeout", self.body_timeout),
            ("write_timeout", self.write_timeout),
            ("keep_alive", self.keep_alive),
        ];
        mistakes.extend(
            times
                .iter()
                .filter(|(_, value)| value.is_zero())
                .map(|(key, _)| format!("gateway.{key} is zero, which would close every connection at once")),
        );
        mistakes.extend(self.cors_origins.iter().filter_map(|origin| refuse_origin(origin)));
        mistakes.extend(self.allowed_hosts.iter().filter_map(|host| refuse_host(host)));
        mistakes
    }
}

impl GatewayConfig {
    /// The address to listen on.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

/// An origin is scheme, host and port as browsers write them (RFC 6454 §6.1): no path, no wildcard, a host of
/// the web in lower case.
fn refuse_origin(origin: &str) -> Option<String> {
    let canonical = origin.parse::<Uri>().ok().and_then(|uri| {
        let scheme = uri.scheme_str()?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains(['@', '*']))?;
        if WEB_SCHEMES.contains(&scheme) {
            Some(format!("{scheme}://{authority}").to_ascii_lowercase())
        } else {
            APP_SCHEMES.contains(&scheme).then(|| format!("{scheme}://{authority}"))
        }
    });
    (canonical.as_deref() != Some(origin)).then(|| {
        format!(
            "gateway.cors_origins has `{origin}`; write an origin as a browser sends it, for example \
             \"https://app.example.com\" or \"tauri://localhost\""
        )
    })
}

/// A host is a name or an address in lower case, without port; or `*.` and a name.
fn refuse_host(host: &str) -> Option<String> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_address = host.parse::<IpAddr>().is_ok();
    let is_label = |label: &str| {
        let of_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        !label.is_empty() && label.chars().all(of_label)
    };
    (!is_address && !name.split('.').all(is_label)).then(|| {
        format!(
            "gateway.allowed_hosts has `{host}`; write a host without scheme and port, in lower case, for \
             example \"app.example.com\" or \"*.example.com\""
        )
    })
}
