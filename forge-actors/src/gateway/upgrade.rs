//! From HTTP to a session: `GET /ws` (RFC 6455, section 4.2).
//!
//! A page of another origin is refused before the rest of the request is checked, since CORS does not cover
//! WebSockets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, StatusCode, Version};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tungstenite::handshake::derive_accept_key;

use super::cors::Cors;
use super::monitored_stream::MonitoredStream;
use super::request_context::RequestContext;
use super::response::{Response, RouteError, empty};
use super::{auth, origin};
use crate::kernel::byte_budget::BudgetClient;
use crate::kernel::connection_limiter::ConnectionPermit;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::secs;
use crate::session::{AcceptedSocket, RemoteClient, Sessions, Subprotocol};

/// Time for hyper to hand over the socket after the response 101; then the connection is closed.
const UPGRADE_TIMEOUT: Duration = secs(5);
/// Length of `Sec-WebSocket-Key`: 16 bytes in base64.
const KEY_LENGTH: usize = 24;

/// A connection that becomes a session when its response is written.
pub(super) struct Upgrade {
    upgraded: OnUpgrade,
    sessions: Sessions,
    subprotocol: Subprotocol,
    client: RemoteClient,
    permit: ConnectionPermit,
    responses: Arc<BudgetClient<IpAddr>>,
}

/// What the client asks for.
struct Handshake<'a> {
    key: &'a HeaderValue,
    subprotocol: Subprotocol,
}

/// Answers `GET /ws`. `responses` counts the client's bytes that wait.
pub(super) fn accept(
    sessions: &Sessions,
    cors: &Cors,
    context: &RequestContext,
    responses: &Arc<BudgetClient<IpAddr>>,
    head: &Parts,
) -> Result<(Response, Upgrade), RouteError> {
    if head.method != Method::GET {
        return Err(RouteError::method_not_allowed("GET"));
    }
    origin::check(cors, &head.headers)?;
    if head.uri.query().is_some() {
        return Err(bad("`/ws` takes no parameters; a token is sent in the frame `hello`").into());
    }
    let Handshake { key, subprotocol } = handshake(head)?;
    let upgraded = head
        .extensions
        .get::<OnUpgrade>()
        .cloned()
        .ok_or_else(|| bad("this connection cannot be upgraded"))?;
    let client =
        RemoteClient { ip: context.ip, user_agent: head.headers.get(USER_AGENT).map(auth::printable) };
    let permit = sessions.admit(context.ip)?;
    let responses = Arc::clone(responses);
    let upgrade = Upgrade { upgraded, sessions: sessions.clone(), subprotocol, client, permit, responses };
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol.name()));
    let accept = derive_accept_key(key.as_bytes());
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64 is a header value"));
    Ok((response, upgrade))
}

/// Checks the handshake.
fn handshake(head: &Parts) -> Result<Handshake<'_>, Fault> {
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
    let is_offered = |subprotocol: &Subprotocol| lists(headers, &SEC_WEBSOCKET_PROTOCOL, subprotocol.name());
    let subprotocol = Subprotocol::ALL.into_iter().find(is_offered).ok_or_else(|| {
        let names = Subprotocol::ALL.map(Subprotocol::name).join(" or ");
        bad(format!("`Sec-WebSocket-Protocol` must offer {names}"))
    })?;
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == KEY_LENGTH)
        .ok_or_else(|| bad("`Sec-WebSocket-Key` must be 16 bytes in base64"))?;
    Ok(Handshake { key, subprotocol })
}

fn bad(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(Code::BadRequest, message)
}

/// One of the headers `name` lists `item`.
fn lists(headers: &HeaderMap, name: &HeaderName, item: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(item))
}

impl Upgrade {
    /// Waits until the response is written, and hands the socket over.
    pub(super) async fn finish(self) {
        let Self { upgraded, sessions, subprotocol, client, permit, responses } = self;
        let upgraded = match tokio::time::timeout(UPGRADE_TIMEOUT, upgraded).await {
            Ok(Ok(upgraded)) => upgraded,
            Ok(Err(error)) => return tracing::debug!(%error, "a connection ended during its upgrade"),
            Err(_) => return tracing::debug!("a connection was not upgraded in time"),
        };
        match downcast::<TokioIo<MonitoredStream>>(upgraded) {
            Ok(parts) => {
                let stream = parts.io.into_inner().into_stream();
                let accepted = AcceptedSocket { stream, early_bytes: parts.read_buf, permit, responses };
                sessions.open(accepted, subprotocol, client).await
            }
            Err(_) => tracing::error!("an upgraded connection is not a socket of this server"),
        }
    }
}
