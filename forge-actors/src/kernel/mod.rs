//! Types that every other module of this crate may use, without any IO: identifiers, durations, faults,
//! limits, backoff, trace context, the invocation.
//!
//! The kernel imports no other module of this crate.

pub mod backoff;
pub mod byte_budget;
pub mod commit;
pub mod compact_json;
pub mod connection_limiter;
pub mod diagnose;
pub mod envelope;
pub mod error_chain;
pub mod fair_limit;
pub mod fault;
pub mod halving;
pub mod idempotency_key;
pub mod ids;
pub mod integer;
pub mod invocation;
pub mod ip_network;
pub mod label;
pub mod limits;
pub mod log_sampler;
pub mod merge_slot;
pub mod node;
pub mod printable;
pub mod refusals;
pub mod remedy;
pub mod resource;
pub mod secret;
pub mod similar;
pub mod sqlstate;
pub mod storable;
pub mod time;
pub mod token_bucket;
pub mod trace;
pub mod wait_cell;
pub mod wire;

#[cfg(test)]
mod tests;
