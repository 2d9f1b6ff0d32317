mod frames;
mod states;
mod views;

use std::sync::Arc;

use bytes::Bytes;

use super::outlet::{News, Opened};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::trace::TraceContext;
use crate::reactor::{MutationId, QueryResult, SubscriptionId, Tick, Version};

/// What the reactor tells at `tick`: bodies by subscription; the version is the body's length and first byte.
fn news(tick: u64, results: &[(u32, &'static str)], applied: &[u32]) -> News {
    let results = results.iter().map(|(id, body)| (SubscriptionId(*id), Arc::new(answered(body))));
    News {
        tick: Some(Tick(tick)),
        results: results.collect(),
        applied: applied.iter().copied().map(MutationId).collect(),
    }
}

fn answered(body: &'static str) -> QueryResult {
    QueryResult {
        version: version_of(body),
        outcome: Ok(Bytes::from_static(body.as_bytes())),
        trace: TraceContext::new_root(),
    }
}

fn failed(code: Code) -> QueryResult {
    QueryResult {
        version: Version(code.status().into()),
        outcome: Err(Fault::new(code, "as asked")),
        trace: TraceContext::new_root(),
    }
}

fn version_of(body: &str) -> Version {
    Version(body.bytes().fold(7, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))))
}

fn opened(id: u32, wire: u32) -> Opened {
    Opened { id: SubscriptionId(id), wire, version: None, replaces: None }
}
