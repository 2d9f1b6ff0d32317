//! Many calls in one request: `POST /rpc` with an array of `{id, name, args}`, and `idempotencyKey` where a
//! call has one.
//!
//! Each call has its own admission, its own transaction and its own result. The response has one entry for
//! each call, in order; an error of the request as a whole is one error envelope.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::RequestBody;
use super::headers::IDEMPOTENCY_KEY;
use super::request_context::{RequestContext, new_request_id};
use super::response::{Response, json, mark_refusal};
use super::shared::GatewayShared;
use super::{envelope, origin, rpc};
use crate::kernel::byte_budget::BudgetClient;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::kernel::limits;

/// Calls of one batch that run at the same time; further ones wait for their turn.
const CALLS_RUNNING_MAX: usize = 8;
/// Bytes of a call's `id`, as JSON; a batch with a longer one is refused.
const ID_BYTES_MAX: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchCall<'a> {
    /// Any JSON string or number; it is repeated in the response as it was sent.
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "idempotencyKey")]
    idempotency_key: Option<Cow<'a, str>>,
}

/// Serves `POST /rpc`.
pub(super) async fn serve(
    shared: &GatewayShared,
    context: &RequestContext,
    client: &Arc<BudgetClient<IpAddr>>,
    head: &Parts,
    body: &mut RequestBody,
) -> Result<Response, Fault> {
    origin::check(&shared.cors, &head.headers)?;
    let caller = shared.authenticator.caller(&head.headers, context.ip)?;
    if head.headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(Fault::new(
            Code::BadRequest,
            "one key cannot name several calls: give each call of the batch its `idempotencyKey`",
        ));
    }
    let bytes = body.read_json(&head.headers, &shared.config, &shared.body_capacity).await?;
    let calls = parse(&bytes)?;
    // The futures are made before they run: a stream that borrows through a closure is not provably `Send`
    // (rust-lang/rust#89976).
    let mut running = Vec::with_capacity(calls.len());
    for call in &calls {
        let args = call
            .args
            .map_or_else(|| Bytes::from_static(b"{}"), |args| bytes.slice_ref(args.get().as_bytes()));
        let invocation =
            rpc::invocation(new_request_id(), context.trace.child(), &call.name, args, caller.clone());
        let idempotency_key = call.idempotency_key.as_deref().map(str::parse).transpose()?;
        running.push(rpc::run(shared, Invocation { idempotency_key, ..invocation }));
    }
    let bytes_max = shared.functions.result_bytes_max();
    let mut bytes_left = bytes_max;
    // Results count as used while others of the batch are still made.
    let mut charges = Vec::new();
    let results: Vec<_> = futures::stream::iter(running)
        .buffered(CALLS_RUNNING_MAX)
        .map(|result| {
            let fits = result.and_then(|data| fit(&mut bytes_left, bytes_max, data));
            charges.extend(fits.as_ref().ok().map(|data| client.charge(data.len())));
            fits
        })
        .collect()
        .await;
    let mut answer = vec![b'['];
    for (position, (call, result)) in calls.iter().zip(&results).enumerate() {
        if position > 0 {
            answer.push(b',');
        }
        if let Err(fault) = result {
            fault.log_cause(shared.signals.function(&call.name).name(), context.trace_id());
        }
        envelope::append_item(&mut answer, call.id.get(), result, context.trace_id());
    }
    answer.push(b']');
    let mut response = json(StatusCode::OK, answer.into());
    for fault in results.iter().filter_map(|result| result.as_ref().err()) {
        mark_refusal(&mut response, fault.code());
    }
    Ok(response)
}

/// Takes the bytes of a result from those that are left of `bytes_max`.
fn fit(bytes_left: &mut usize, bytes_max: usize, data: Bytes) -> Result<Bytes, Fault> {
    let Some(left) = bytes_left.checked_sub(data.len()) else {
        let message = format!(
            "the call was made (a mutation is committed), but its result is left out: the results of this \
             batch have more than {bytes_max} bytes together"
        );
        return Err(Fault::new(Code::PayloadTooLarge, message)
            .with_details(serde_json::json!({ "bytesMax": bytes_max }))
            .with_help("send fewer calls in one batch, or raise `functions.result_bytes_max`"));
    };
    *bytes_left = left;
    Ok(data)
}

fn parse(body: &[u8]) -> Result<Vec<BatchCall<'_>>, Fault> {
    let calls: Vec<BatchCall<'_>> = serde_json::from_slice(body).map_err(|error| {
        let message = if error.is_data() {
            "a batch is an array of `{id, name, args}`".to_owned()
        } else {
            format!("the batch is not valid JSON: {error}")
        };
        let help = r#"send `[{"id": 1, "name": "tasks.list", "args": {}}]`"#;
        Fault::new(Code::BadRequest, message).with_help(help)
    })?;
    if calls.len() > limits::BATCH_CALLS_MAX {
        let message = format!("a batch may have at most {} calls", limits::BATCH_CALLS_MAX);
        return Err(Fault::new(Code::PayloadTooLarge, message)
            .with_details(serde_json::json!({ "callsMax": limits::BATCH_CALLS_MAX })));
    }
    let has_id = |call: &BatchCall<'_>| {
        call.id.get().starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())
    };
    // Ids are repeated in the response, so they must be short.
    if !calls.iter().all(|call| has_id(call) && call.id.get().len() <= ID_BYTES_MAX) {
        let message =
            format!("the `id` of each call must be a string or a number of at most {ID_BYTES_MAX} bytes");
        return Err(Fault::new(Code::BadRequest, message));
    }
    Ok(calls)
}
