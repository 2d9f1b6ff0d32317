//! From a request to its answer: routes, the headers that every answer has, and the port to the function
//! room.
//!
//! Hand-written on hyper: every request passes here, and the benchmark gate (0.85 of a bare handler) leaves
//! no room for layers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use metrics_exporter_prometheus::PrometheusHandle;
use tracing::{Instrument, Span, field};

use super::assets::Assets;
use super::auth::Authenticator;
use super::body::{BodyRoom, RequestBody};
use super::config::GatewayConfig;
use super::cors::Cors;
use super::exchange::Exchange;
use super::readiness::Readiness;
use super::signals::{RouteLabel, Signals};
use super::upgrade::{self, Upgrade};
use super::{batch, envelope, rpc};
use crate::app::Catalog;
use crate::app::token::Tokens;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::session::messages::Sessions;

/// An answer: always complete when it is sent, so the client knows its length.
pub type Response = hyper::Response<Full<Bytes>>;

/// What the gateway needs of the function room.
pub trait Border: Clone + Send + Sync + 'static {
    /// Every handler of the node.
    fn catalog(&self) -> &Catalog;

    /// Runs a call from outside: existence, access, size of the arguments, admission, the handler. Dropping
    /// the future gives the call up where that leaves nothing half-done: the client is gone.
    fn call(&self, invocation: Invocation) -> impl Future<Output = Result<Bytes, Fault>> + Send;
}

/// Answers requests. A clone is a handle to the same gateway.
pub struct Gateway<B> {
    inner: Arc<Inner<B>>,
}

struct Inner<B> {
    config: GatewayConfig,
    border: B,
    authenticator: Authenticator,
    body_room: BodyRoom,
    readiness: Readiness,
    metrics: PrometheusHandle,
    cors: Cors,
    signals: Signals,
    sessions: Option<Sessions>,
    assets: Assets,
}

/// What a gateway stands before.
pub struct GatewayNeeds<B> {
    /// Runs calls.
    pub border: B,
    /// `None` when no secret is configured: then nobody is ever signed in.
    pub tokens: Option<Tokens>,
    /// What `/ready` shows.
    pub readiness: Readiness,
    /// What `/metrics` shows. Installed before the gateway is made, or that counts into nothing.
    pub metrics: PrometheusHandle,
    /// Serves `/ws`; without them there is nothing at that path.
    pub sessions: Option<Sessions>,
    /// Files for browsers.
    pub assets: Assets,
}

/// An answer, and what follows it.
pub(super) struct Answer {
    pub(super) response: Response,
    /// The request's body was not read to the end.
    pub(super) unread: bool,
    /// The connection becomes a session.
    pub(super) upgrade: Option<Upgrade>,
}

impl<B> Clone for Gateway<B> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

/// A request that was not served: why, and which methods would be.
pub(super) struct Refused {
    fault: Fault,
    allow: Option<&'static str>,
}

impl Refused {
    pub(super) fn method(allow: &'static str) -> Self {
        Self {
            fault: Fault::new(Code::MethodNotAllowed, format!("this path answers {allow}")),
            allow: Some(allow),
        }
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self { fault, allow: None }
    }
}

enum Route<'a> {
    Call(&'a str),
    Batch,
    Health,
    Ready,
    Metrics,
    Socket,
    File(&'a str),
    Unknown,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Self {
        match path {
            "/rpc" => Self::Batch,
            "/health" => Self::Health,
            "/ready" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/ws" => Self::Socket,
            _ => match path.strip_prefix("/rpc/") {
                Some(name) if !name.is_empty() && !name.contains('/') => Self::Call(name),
                Some(_) => Self::Unknown,
                None => Self::File(path),
            },
        }
    }

    fn label(&self) -> RouteLabel {
        match self {
            Self::Call(_) => RouteLabel::Rpc,
            Self::Batch => RouteLabel::Batch,
            Self::Health => RouteLabel::Health,
            Self::Ready => RouteLabel::Ready,
            Self::Metrics => RouteLabel::Metrics,
            Self::Socket => RouteLabel::Socket,
            Self::File(_) => RouteLabel::File,
            Self::Unknown => RouteLabel::Unknown,
        }
    }
}

impl<B: Border> Gateway<B> {
    /// A gateway in front of what it needs.
    pub fn new(config: GatewayConfig, needs: GatewayNeeds<B>) -> Self {
        let GatewayNeeds { border, tokens, readiness, metrics, sessions, assets } = needs;
        let (cors, signals) = (Cors::new(&config.cors_origins), Signals::new(border.catalog()));
        let (authenticator, body_room) = (Authenticator::new(tokens), BodyRoom::new(config.bodies_bytes_max));
        Self {
            inner: Arc::new(Inner {
                config,
                border,
                authenticator,
                body_room,
                readiness,
                metrics,
                cors,
                signals,
                sessions,
                assets,
            }),
        }
    }

    pub(super) fn config(&self) -> &GatewayConfig {
        &self.inner.config
    }

    pub(super) fn border(&self) -> &B {
        &self.inner.border
    }

    pub(super) fn authenticator(&self) -> &Authenticator {
        &self.inner.authenticator
    }

    pub(super) fn body_room(&self) -> &BodyRoom {
        &self.inner.body_room
    }

    pub(super) fn readiness(&self) -> &Readiness {
        &self.inner.readiness
    }

    pub(super) fn signals(&self) -> &Signals {
        &self.inner.signals
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>, ip: IpAddr) -> Answer {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        let mut body = RequestBody::new(body);
        let exchange = Exchange::begin(&head.headers, ip);
        let route = Route::of(head.uri.path());
        let span = self.span(&route, &exchange);
        let result = match route {
            Route::Socket => {
                self.upgrade(&exchange, &head).map(|(response, upgrade)| (response, Some(upgrade)))
            }
            _ => self
                .route(&route, &exchange, &head, &mut body)
                .instrument(span.clone())
                .await
                .map(|response| (response, None)),
        };
        let (mut response, upgrade, fault) = match result {
            Ok((response, upgrade)) => (response, upgrade, None),
            Err(refused) => (refusal(&refused, &exchange), None, Some(refused.fault)),
        };
        if let Some(fault) = &fault {
            fault.log_hidden(self.name(&route), exchange.trace_id());
        }
        self.dress(&exchange, &head, &mut response);
        let elapsed = started.elapsed();
        span.record("status", response.status().as_u16()).record("ms", elapsed.as_secs_f64() * 1_000.0);
        span.in_scope(|| self.signals().answered(route.label(), response.status(), fault.as_ref(), elapsed));
        Answer { response, unread: body.unread(), upgrade }
    }

    /// What is called, in the catalog's spelling and never in the client's.
    fn name(&self, route: &Route<'_>) -> &str {
        match route {
            Route::Call(name) => self.signals().function(name).name(),
            other => other.label().as_str(),
        }
    }

    /// Only calls have a span.
    fn span(&self, route: &Route<'_>, exchange: &Exchange) -> Span {
        if !matches!(route, Route::Call(_) | Route::Batch) {
            return Span::none();
        }
        let name = self.name(route);
        tracing::info_span!(
            "rpc",
            name,
            trace_id = exchange.trace_id(),
            status = field::Empty,
            ms = field::Empty
        )
    }

    async fn route(
        &self,
        route: &Route<'_>,
        exchange: &Exchange,
        head: &Parts,
        body: &mut RequestBody,
    ) -> Result<Response, Refused> {
        if Cors::is_preflight(&head.method, &head.headers) {
            return Ok(self.inner.cors.preflight(&head.headers)?);
        }
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        match route {
            Route::Call(name) => rpc::serve(self, exchange, head, body, name).await,
            Route::Batch if head.method == Method::POST => {
                Ok(batch::serve(self, exchange, head, body).await?)
            }
            Route::Batch => Err(Refused::method("POST")),
            Route::File(path) if reads => {
                Ok(self.inner.assets.answer(path, &head.headers).await.ok_or_else(nothing_here)?)
            }
            Route::File(_) | Route::Unknown | Route::Socket => Err(nothing_here().into()),
            Route::Health | Route::Ready | Route::Metrics if !reads => Err(Refused::method("GET, HEAD")),
            Route::Health => Ok(json(StatusCode::OK, Bytes::from_static(br#"{"status":"live"}"#))),
            Route::Ready => Ok(self.ready()),
            Route::Metrics => Ok(self.metrics(head)?),
        }
    }

    fn upgrade(&self, exchange: &Exchange, head: &Parts) -> Result<(Response, Upgrade), Refused> {
        let sessions = self.inner.sessions.as_ref().ok_or_else(nothing_here)?;
        upgrade::accept(sessions, &self.inner.cors, exchange, head)
    }

    fn ready(&self) -> Response {
        let report = self.readiness().report();
        let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, serde_json::to_vec(&report).expect("a report has only string keys").into())
    }

    fn metrics(&self, head: &Parts) -> Result<Response, Fault> {
        if !self.config().metrics_public {
            self.authenticator().require_admin(&head.headers)?;
        }
        let mut response = Response::new(self.inner.metrics.render().into());
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
        Ok(response)
    }

    /// The headers that every answer has. Nothing is kept by caches unless the route says so.
    fn dress(&self, exchange: &Exchange, head: &Parts, response: &mut Response) {
        let headers = response.headers_mut();
        exchange.name(headers);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        self.inner.cors.decorate(&head.headers, headers);
    }
}

fn nothing_here() -> Fault {
    Fault::new(Code::NotFound, "there is nothing at this path")
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // Room for the headers of every answer, so that the map grows once.
    headers.reserve(12);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The client's copy still holds (RFC 9110 §13.1.2: weak comparison).
pub(super) fn holds(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    // Compared weakly (RFC 9110 §13.1.2).
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|sent| sent == "*" || opaque(sent) == opaque(tag))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn refusal(refused: &Refused, exchange: &Exchange) -> Response {
    let fault = &refused.fault;
    let status = StatusCode::from_u16(fault.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, envelope::error(fault, exchange.trace_id()));
    let headers = response.headers_mut();
    if let Some(delay) = fault.retry_delay() {
        headers.insert(RETRY_AFTER, envelope::retry_after_seconds(delay).into());
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(allow) = refused.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}
