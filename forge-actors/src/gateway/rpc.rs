//! One call: `POST /rpc/{name}` with the arguments object as body, `GET /rpc/{name}?args=` for queries.

use std::time::Instant;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue, VARY};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use sha2::{Digest, Sha256};

use super::body::RequestBody;
use super::envelope;
use super::exchange::Exchange;
use super::routes::{Border, Gateway, Refused, Response, holds, json};
use crate::app::handler::Access;
use crate::app::kind::KindName;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::idempotency_key::IdempotencyKey;
use crate::kernel::ids::RequestId;
use crate::kernel::invocation::{Caller, Invocation};
use crate::kernel::trace::TraceContext;

/// Header of a call's idempotency key.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const NO_ARGUMENTS: Bytes = Bytes::from_static(b"{}");

/// Serves `/rpc/{name}`.
pub(super) async fn serve<B: Border>(
    gateway: &Gateway<B>,
    exchange: &Exchange,
    head: &Parts,
    body: &mut RequestBody,
    name: &str,
) -> Result<Response, Refused> {
    match head.method {
        Method::POST => post(gateway, exchange, head, body, name).await.map_err(Refused::from),
        Method::GET => get(gateway, exchange, head, name).await,
        _ => Err(Refused::method("GET, POST")),
    }
}

async fn post<B: Border>(
    gateway: &Gateway<B>,
    exchange: &Exchange,
    head: &Parts,
    body: &mut RequestBody,
    name: &str,
) -> Result<Response, Fault> {
    let caller = gateway.authenticator().caller(&head.headers, exchange.ip)?;
    let args = body.read_json(&head.headers, gateway.config(), gateway.body_room()).await?;
    let args = if args.is_empty() { NO_ARGUMENTS } else { args };
    let idempotency_key = idempotency_key(&head.headers)?;
    let call = call(exchange.request_id, exchange.trace, name, args, caller);
    let data = run(gateway, Invocation { idempotency_key, ..call }).await?;
    Ok(json(StatusCode::OK, envelope::data(&data)))
}

/// Answers may be kept by the client, who asks each time whether they still hold: the entity tag is a hash of
/// the data.
async fn get<B: Border>(
    gateway: &Gateway<B>,
    exchange: &Exchange,
    head: &Parts,
    name: &str,
) -> Result<Response, Refused> {
    let caller = gateway.authenticator().caller(&head.headers, exchange.ip)?;
    // What does not exist from outside must not be told apart by this answer, so the border speaks for it.
    let visible = gateway
        .border()
        .catalog()
        .get(name)
        .map(|known| &known.meta)
        .filter(|meta| meta.access != Access::Internal);
    if visible.is_some_and(|meta| meta.kind != KindName::Query) {
        return Err(Refused::method("POST"));
    }
    let args = query_args(head.uri.query().unwrap_or_default())?;
    let data = run(gateway, call(exchange.request_id, exchange.trace, name, args, caller)).await?;
    let tag = entity_tag(&data);
    let mut response = if holds(&head.headers, &tag) {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        json(StatusCode::OK, envelope::data(&data))
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("authorization"));
    headers.insert(ETAG, HeaderValue::from_str(&tag).expect("a quoted hash is a header value"));
    Ok(response)
}

/// The key of the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). Clients send it with
/// quotes or without.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Fault> {
    let Some(header) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = header.to_str().unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    Ok(Some(key.parse()?))
}

/// The call of `name` by `caller`.
pub(super) fn call(
    id: RequestId,
    trace: TraceContext,
    name: &str,
    args: Bytes,
    caller: Caller,
) -> Invocation {
    Invocation { id, name: name.into(), args, caller, trace, deadline: None, idempotency_key: None }
}

/// Runs a call and measures it.
pub(super) async fn run<B: Border>(gateway: &Gateway<B>, invocation: Invocation) -> Result<Bytes, Fault> {
    let started = Instant::now();
    let measured = gateway.signals().function(&invocation.name);
    let result = gateway.border().call(invocation).await;
    measured.ended(&result, started.elapsed());
    result
}

/// The only parameter is `args`. Others are refused rather than ignored, above all tokens; their values are
/// not repeated.
fn query_args(query: &str) -> Result<Bytes, Fault> {
    let mut args = None;
    for (key, value) in query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    {
        if key != "args" || args.is_some() {
            let message =
                "the only query parameter is `args`, once: the arguments object as percent-encoded JSON";
            return Err(Fault::new(Code::BadRequest, message));
        }
        args = Some(
            percent_decode(value, true)
                .ok_or_else(|| Fault::new(Code::BadRequest, "`args` is not percent-encoded text"))?,
        );
    }
    Ok(args.filter(|args| !args.is_empty()).unwrap_or(NO_ARGUMENTS))
}

/// Percent-encoding; of a form (WHATWG URL §5.1, as `URLSearchParams` writes it) a plus is a space.
pub(super) fn percent_decode(text: &str, of_a_form: bool) -> Option<Bytes> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' if of_a_form => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    Some(decoded.into())
}

/// 128 bits of SHA-256: enough that two answers with one tag do not happen.
pub(super) fn entity_tag(data: &[u8]) -> String {
    let hash = Sha256::digest(data);
    let (half, _) = hash.split_first_chunk::<16>().expect("SHA-256 has 32 bytes");
    format!("\"{:032x}\"", u128::from_be_bytes(*half))
}
