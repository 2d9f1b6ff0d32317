//! One call: `POST /rpc/{name}` with the arguments object as body, `GET /rpc/{name}?args=` for queries.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, VARY};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::body::RequestBody;
use super::headers::IDEMPOTENCY_KEY;
use super::request_context::RequestContext;
use super::response::{Response, RouteError, empty, json};
use super::shared::GatewayShared;
use super::{envelope, etag, origin};
use crate::app::handler::{Access, Meta};
use crate::app::kind::KindName;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::idempotency_key::IdempotencyKey;
use crate::kernel::ids::RequestId;
use crate::kernel::invocation::{Caller, Invocation};
use crate::kernel::trace::TraceContext;

const NO_ARGUMENTS: Bytes = Bytes::from_static(b"{}");

/// Serves `/rpc/{name}`.
pub(super) async fn serve(
    shared: &GatewayShared,
    context: &RequestContext,
    head: &Parts,
    body: &mut RequestBody,
    name: &str,
) -> Result<Response, RouteError> {
    match head.method {
        Method::POST => post(shared, context, head, body, name).await.map_err(RouteError::from),
        Method::GET => get(shared, context, head, name).await,
        _ if visible_kind(shared, name).is_some_and(|kind| kind != KindName::Query) => {
            Err(RouteError::method_not_allowed("POST"))
        }
        _ => Err(RouteError::method_not_allowed("GET, POST")),
    }
}

/// The kind of a function. One that is not visible from outside is answered like one that does not exist.
fn visible_kind(shared: &GatewayShared, name: &str) -> Option<KindName> {
    let known = shared.functions.catalog().get(name).map(|known| &known.meta);
    known.filter(|meta| meta.access != Access::Internal).map(Meta::kind)
}

async fn post(
    shared: &GatewayShared,
    context: &RequestContext,
    head: &Parts,
    body: &mut RequestBody,
    name: &str,
) -> Result<Response, Fault> {
    origin::check(&shared.cors, &head.headers)?;
    let caller = shared.authenticator.caller(&head.headers, context.ip)?;
    let args = body.read_json(&head.headers, &shared.config, &shared.body_capacity).await?;
    let args = if args.is_empty() { NO_ARGUMENTS } else { args };
    let idempotency_key = idempotency_key(&head.headers)?;
    let call = invocation(context.request_id, context.trace, name, args, caller);
    let data = run(shared, Invocation { idempotency_key, ..call }).await?;
    Ok(json(StatusCode::OK, envelope::data(&data)))
}

/// Runs a query. The client may keep the answer, and asks each time whether it is still current: the entity
/// tag is a hash of the data.
async fn get(
    shared: &GatewayShared,
    context: &RequestContext,
    head: &Parts,
    name: &str,
) -> Result<Response, RouteError> {
    let caller = shared.authenticator.caller(&head.headers, context.ip)?;
    if visible_kind(shared, name).is_some_and(|kind| kind != KindName::Query) {
        return Err(RouteError::method_not_allowed("POST"));
    }
    let args = query_args(head.uri.query().unwrap_or_default())?;
    let data = run(shared, invocation(context.request_id, context.trace, name, args, caller)).await?;
    let tag = etag::of(&data);
    let mut response = if etag::is_current(&head.headers, &tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        json(StatusCode::OK, envelope::data(&data))
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("authorization"));
    headers.insert(ETAG, tag);
    Ok(response)
}

/// The key of the header `Idempotency-Key`. Clients send it with quotes or without.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Fault> {
    let Some(header) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = header.to_str().unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    Ok(Some(key.parse()?))
}

/// The invocation of `name` by `caller`.
pub(super) fn invocation(
    id: RequestId,
    trace: TraceContext,
    name: &str,
    args: Bytes,
    caller: Caller,
) -> Invocation {
    Invocation { id, name: name.into(), args, caller, trace, deadline: None, idempotency_key: None }
}

/// Runs a call and measures it.
pub(super) async fn run(shared: &GatewayShared, invocation: Invocation) -> Result<Bytes, Fault> {
    let started = Instant::now();
    let signals = shared.signals.function(&invocation.name);
    let result = shared.functions.call(invocation).await;
    signals.ended(&result, started.elapsed());
    result
}

/// The parameter `args`. Any other parameter is refused rather than ignored, above all a token; its value is
/// not repeated in the answer.
fn query_args(query: &str) -> Result<Bytes, Fault> {
    let mut args = None;
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    for (key, value) in pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
        if key != "args" || args.is_some() {
            let message =
                "the only query parameter is `args`, once: the arguments object as percent-encoded JSON";
            return Err(Fault::new(Code::BadRequest, message));
        }
        args = Some(form_decode(value));
    }
    Ok(args.filter(|args| !args.is_empty()).unwrap_or(NO_ARGUMENTS))
}

/// The value of a form's field (WHATWG URL §5.1, as `URLSearchParams` writes it): a plus is a space.
fn form_decode(value: &str) -> Bytes {
    let spaced: Cow<'_, str> =
        if value.contains('+') { value.replace('+', " ").into() } else { value.into() };
    Bytes::from(percent_decode_str(&spaced).collect::<Vec<u8>>())
}
