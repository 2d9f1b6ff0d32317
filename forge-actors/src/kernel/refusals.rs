//! Refusals of a client for a limit that HTTP and WebSockets share.

use super::byte_budget::BudgetFull;
use super::connection_limiter::ConnectionLimit;
use super::fault::{Code, Fault};
use super::time::secs;

/// Refuses a call of a client that does not take the responses to earlier ones
/// (`gateway.responses_bytes_max`).
pub fn responses_full(full: BudgetFull) -> Fault {
    let message = match full {
        BudgetFull::Client => "too many responses to this address wait to be taken",
        BudgetFull::Node => "too many responses of the node wait to be taken",
    };
    Fault::new(Code::Overloaded, message)
        .with_help("read the responses that are under way, or raise `gateway.responses_bytes_max`")
        .retry_after(secs(1))
}

/// Refuses a connection beyond a limit of the configuration's `section`. `what` are such connections:
/// `WebSockets`, for example.
pub fn connections_full(limit: ConnectionLimit, what: &str, section: &str) -> Fault {
    let (who, help) = match limit {
        ConnectionLimit::Node => ("the node", format!("raise `{section}.connections_max`")),
        ConnectionLimit::Network => (
            "this address",
            format!(
                "keep fewer {what} open; behind a proxy set `gateway.trusted_proxies`, behind a NAT raise \
                 `{section}.address_connections_max`"
            ),
        ),
    };
    let message = format!("{who} has its maximum of {what} open");
    Fault::new(Code::Overloaded, message).with_help(help).retry_after(secs(1))
}
