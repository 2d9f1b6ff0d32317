mod arrivals;
mod client_states;
mod frames;
mod readers;
mod states;

use std::sync::Arc;

use bytes::Bytes;

use super::client_state::OpenedSubscription;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::trace::TraceContext;
use crate::reactor::{Modification, QueryResult, SubscriptionId, Version};

fn modification(id: u32, result: QueryResult) -> Modification {
    Modification { subscription: SubscriptionId(id), result: Arc::new(result) }
}

/// A result whose version is a hash of its body.
fn answered(body: &'static str) -> QueryResult {
    let output = Bytes::from_static(body.as_bytes());
    QueryResult::uncounted(version_of(body), Ok(output), TraceContext::new_root())
}

fn failed(code: Code) -> QueryResult {
    let version = Version(code.status().into());
    QueryResult::uncounted(version, Err(Fault::new(code, "as asked")), TraceContext::new_root())
}

fn version_of(body: &str) -> Version {
    Version(body.bytes().fold(7, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))))
}

fn opened(id: u32, client_subscription: u32) -> OpenedSubscription {
    OpenedSubscription { id: SubscriptionId(id), client_subscription, version: None, replaces: None }
}
