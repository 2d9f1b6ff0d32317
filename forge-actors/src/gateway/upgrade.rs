//! From HTTP to a session: `GET /ws` (RFC 6455, section 4.2).
//!
//! A page of another origin is refused before anything else is looked at: the browser would send its user's
//! address and cookies along, and CORS does not cover WebSockets. Programs that are no browsers send no
//! `Origin`.

use std::time::Duration;

use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, StatusCode, Version};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tungstenite::handshake::derive_accept_key;

use super::auth;
use super::connection::Watched;
use super::cors::Cors;
use super::exchange::Exchange;
use super::routes::{Refused, Response};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::secs;
use crate::session::messages::{Peer, SUBPROTOCOL, Seat, Sessions};

/// Time between the answer 101 and the socket being free; then the connection is closed.
const UPGRADE_PATIENCE: Duration = secs(5);
/// A key is 16 bytes in base64.
const KEY_LENGTH: usize = 24;

/// A connection that becomes a session once its answer is written.
pub(super) struct Upgrade {
    on: OnUpgrade,
    sessions: Sessions,
    peer: Peer,
    seat: Seat,
}

/// Answers `GET /ws`.
pub(super) fn accept(
    sessions: &Sessions,
    cors: &Cors,
    exchange: &Exchange,
    head: &Parts,
) -> Result<(Response, Upgrade), Refused> {
    if head.method != Method::GET {
        return Err(Refused::method("GET"));
    }
    if !may_connect(cors, &head.headers) {
        return Err(Fault::new(
            Code::PermissionDenied,
            "pages of this origin may not connect to this server",
        )
        .into());
    }
    if head.uri.query().is_some() {
        return Err(bad("`/ws` takes no parameters; a token is sent in the frame `hello`").into());
    }
    let key = handshake(head)?;
    let on = head
        .extensions
        .get::<OnUpgrade>()
        .cloned()
        .ok_or_else(|| bad("this connection cannot be upgraded"))?;
    let peer = Peer { ip: exchange.ip, user_agent: head.headers.get(USER_AGENT).map(auth::printable) };
    let upgrade = Upgrade { on, sessions: sessions.clone(), peer, seat: sessions.admit(exchange.ip)? };
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let accept = derive_accept_key(key.as_bytes());
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64 is a header value"));
    Ok((response, upgrade))
}

/// Checks what the client asks for; its key.
fn handshake(head: &Parts) -> Result<&HeaderValue, Fault> {
    let headers = &head.headers;
    if head.version != Version::HTTP_11 {
        return Err(bad("a WebSocket needs HTTP/1.1"));
    }
    if !lists(headers, &CONNECTION, "upgrade") || !lists(headers, &UPGRADE, "websocket") {
        return Err(bad("this path upgrades to a WebSocket, and the request does not ask for it"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(bad("`Sec-WebSocket-Version` must be 13"));
    }
    if !lists(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(bad(format!("`Sec-WebSocket-Protocol` must offer {SUBPROTOCOL}")));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_LENGTH);
    key.ok_or_else(|| bad("`Sec-WebSocket-Key` must be 16 bytes in base64"))
}

fn bad(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(Code::BadRequest, message)
}

/// The header's lists have this item.
fn lists(headers: &HeaderMap, name: &HeaderName, item: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(item))
}

/// The page is of this server or of a listed origin, or there is no page.
fn may_connect(cors: &Cors, headers: &HeaderMap) -> bool {
    if !headers.contains_key(ORIGIN) || cors.allows(headers) {
        return true;
    }
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    let (Some(origin), Some(host)) = (only(ORIGIN), only(HOST)) else { return false };
    is_same_origin(origin, host)
}

/// Whether TLS ended before this server is not known, so the scheme tells only which port is meant when none
/// is written.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let (authority, default_port) = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
        (Some(authority), _) => (authority, ":443"),
        (None, Some(authority)) => (authority, ":80"),
        (None, None) => return false,
    };
    let bare = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

impl Upgrade {
    /// Waits until the answer is written, and hands the socket over.
    pub(super) async fn finish(self) {
        let Self { on, sessions, peer, seat } = self;
        let upgraded = match tokio::time::timeout(UPGRADE_PATIENCE, on).await {
            Ok(Ok(upgraded)) => upgraded,
            Ok(Err(error)) => return tracing::debug!(%error, "a connection ended during its upgrade"),
            Err(_) => return tracing::debug!("a connection was not upgraded in time"),
        };
        match downcast::<TokioIo<Watched>>(upgraded) {
            Ok(parts) => sessions.open(parts.io.into_inner().into_stream(), parts.read_buf, peer, seat).await,
            Err(_) => tracing::error!("an upgraded connection is not one of this server's"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_server_and_of_listed_origins_may_connect() {
        let cors = Cors::new(&["https://app.example.com".to_owned()]);
        let check = |origins: &[&'static str], host: &'static str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            for origin in origins {
                headers.append(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(may_connect(&cors, &headers), expected, "{origins:?} to {host}");
        };
        check(&[], "a.test", true);
        check(&["http://a.test"], "a.test", true);
        check(&["http://A.test"], "a.TEST:80", true);
        check(&["https://a.test"], "a.test:443", true);
        check(&["http://a.test:8080"], "a.test:8080", true);
        check(&["http://[::1]:8080"], "[::1]:8080", true);
        check(&["https://app.example.com"], "a.test", true);
        check(&["http://a.test:8080"], "a.test", false);
        check(&["http://a.test"], "a.test:443", false);
        check(&["http://evil.test"], "a.test", false);
        check(&["http://a.test.evil.test"], "a.test", false);
        check(&["https://evil-app.example.com"], "a.test", false);
        check(&["null"], "a.test", false);
        check(&["null"], "null", false);
        check(&["http://"], "", false);
        check(&["http://a.test", "http://evil.test"], "a.test", false);
        check(&["https://app.example.com", "https://app.example.com"], "a.test", false);
    }
}
