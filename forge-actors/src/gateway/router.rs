//! From a request to its response: the routes, and what is logged and measured about every request.
//!
//! Written by hand on hyper: every request passes through this file, and the benchmark's goal (0.85 of a bare
//! handler) leaves no time for layers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tracing::{Instrument, Span, field};

use super::body::RequestBody;
use super::cors::Cors;
use super::request_context::RequestContext;
use super::response::{Response, RouteError, add_common_headers, json};
use super::shared::GatewayShared;
use super::signals::RouteLabel;
use super::upgrade::{self, Upgrade};
use super::{batch, head, rpc};
use crate::kernel::byte_budget::{BudgetClient, BudgetFull};
use crate::kernel::fault::Fault;
use crate::kernel::refusals::responses_full;
use crate::kernel::time::fractional_millis;

/// A request, served.
pub(super) struct ServedRequest {
    pub(super) response: Response,
    /// The client may still be sending the body.
    pub(super) body_unread: bool,
    /// The connection becomes a session when the response is written.
    pub(super) upgrade: Option<Upgrade>,
}

/// The body of `/health`.
pub(super) const LIVE: &[u8] = br#"{"status":"live"}"#;

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

    /// Asked by load balancers, some of which send HTTP/1.0 without a host.
    fn is_probe(&self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    /// What is called, in the spelling of the catalog and never in the client's, so that it can be logged.
    fn loggable_name<'s>(&self, shared: &'s GatewayShared) -> &'s str {
        match self {
            Route::Call(name) => shared.signals.function(name).name(),
            other => other.label().as_str(),
        }
    }
}

/// Serves one request of a client at `ip`, whose response is charged to `client`.
pub(super) async fn serve(
    shared: &Arc<GatewayShared>,
    request: Request<Incoming>,
    ip: IpAddr,
    client: &Arc<BudgetClient<IpAddr>>,
) -> ServedRequest {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let mut body = RequestBody::new(body);
    let context = RequestContext::of(&head.headers, ip);
    let route = Route::of(head.uri.path());
    let span = span(shared, &route, &context);
    let result = match (head::check(&head, &shared.hosts, route.is_probe()), &route) {
        (Err(fault), _) => Err(fault.into()),
        (Ok(()), Route::Socket) => {
            upgrade(shared, &context, client, &head).map(|(response, upgrade)| (response, Some(upgrade)))
        }
        (Ok(()), _) => serve_route(shared, &route, &context, client, &head, &mut body)
            .instrument(span.clone())
            .await
            .map(|response| (response, None)),
    };
    let (mut response, upgrade, fault) = match result {
        Ok((response, upgrade)) => (response, upgrade, None),
        Err(error) => (error.response(&context), None, Some(error.fault)),
    };
    if let Some(fault) = &fault {
        fault.log_cause(route.loggable_name(shared), context.trace_id());
    }
    add_common_headers(&context, response.headers_mut());
    shared.cors.add_headers(&head.headers, response.headers_mut());
    let elapsed = started.elapsed();
    span.record("status", response.status().as_u16()).record("ms", fractional_millis(elapsed));
    span.in_scope(|| shared.signals.answered(route.label(), response.status(), fault.as_ref(), elapsed));
    ServedRequest { response, body_unread: body.is_unread(), upgrade }
}

/// The span of a call. Other requests have none.
fn span(shared: &GatewayShared, route: &Route<'_>, context: &RequestContext) -> Span {
    if !matches!(route, Route::Call(_) | Route::Batch) {
        return Span::none();
    }
    let handler = route.loggable_name(shared);
    let trace_id = context.trace_id();
    tracing::info_span!("rpc", handler, trace_id, status = field::Empty, ms = field::Empty)
}

async fn serve_route(
    shared: &GatewayShared,
    route: &Route<'_>,
    context: &RequestContext,
    client: &Arc<BudgetClient<IpAddr>>,
    head: &Parts,
    body: &mut RequestBody,
) -> Result<Response, RouteError> {
    if Cors::is_preflight(&head.method, &head.headers) {
        return Ok(shared.cors.preflight(&head.headers)?);
    }
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    let refuse = |full| RouteError::from(refuse(shared, full));
    // Checked before the call runs: its response must be sent afterwards, whatever memory is left.
    if matches!(route, Route::Call(_) | Route::Batch)
        && let Some(full) = client.full()
    {
        return Err(refuse(full));
    }
    match route {
        Route::Call(name) => rpc::serve(shared, context, head, body, name).await,
        Route::Batch if head.method == Method::POST => {
            Ok(batch::serve(shared, context, client, head, body).await?)
        }
        Route::Batch => Err(RouteError::method_not_allowed("POST")),
        Route::File(path) if is_read => {
            let served = shared.assets.serve(path, head, client).await.map_err(refuse)?;
            served.ok_or_else(RouteError::not_found)
        }
        Route::File(_) | Route::Unknown | Route::Socket => Err(RouteError::not_found()),
        Route::Health | Route::Ready | Route::Metrics if !is_read => {
            Err(RouteError::method_not_allowed("GET, HEAD"))
        }
        Route::Health => Ok(json(StatusCode::OK, Bytes::from_static(LIVE))),
        Route::Ready => Ok(ready(shared)),
        Route::Metrics => Ok(metrics(shared, client, head)?),
    }
}

/// Refuses a request while the responses that wait for clients use up their memory.
fn refuse(shared: &GatewayShared, full: BudgetFull) -> Fault {
    shared.signals.response_refused();
    responses_full(full)
}

fn upgrade(
    shared: &GatewayShared,
    context: &RequestContext,
    client: &Arc<BudgetClient<IpAddr>>,
    head: &Parts,
) -> Result<(Response, Upgrade), RouteError> {
    let sessions = shared.sessions.as_ref().ok_or_else(RouteError::not_found)?;
    upgrade::accept(sessions, &shared.cors, context, client, head)
}

fn ready(shared: &GatewayShared) -> Response {
    let report = shared.readiness.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, serde_json::to_vec(&report).expect("a report has only string keys").into())
}

/// With `metrics_public = false`, administrators get the metrics also when the memory of responses is used
/// up: they show it.
fn metrics(shared: &GatewayShared, client: &BudgetClient<IpAddr>, head: &Parts) -> Result<Response, Fault> {
    if !shared.config.metrics_public {
        shared.authenticator.require_admin(&head.headers)?;
    } else if let Some(full) = client.full() {
        return Err(refuse(shared, full));
    }
    shared.signals.set_response_bytes(shared.responses.used());
    let mut response = Response::new(shared.metrics.render().into());
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    Ok(response)
}
