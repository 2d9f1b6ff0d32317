//! Words that every room shares, and no IO: identifiers, durations, faults, limits, backoff, trace context,
//! the invocation.
//!
//! Nothing here imports another room of this crate; everything else may import this one.

pub mod backoff;
pub mod commit;
pub mod diagnose;
pub mod envelope;
pub mod fault;
pub mod idempotency_key;
pub mod ids;
pub mod integer;
pub mod invocation;
pub mod limits;
pub mod node;
pub mod secret;
pub mod slot;
pub mod time;
pub mod token_bucket;
pub mod trace;
pub mod wait_cell;
pub mod wire;

#[cfg(test)]
mod tests;
