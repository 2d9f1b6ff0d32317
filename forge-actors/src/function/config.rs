//! `[functions]` in forge.toml.

use std::num::NonZero;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::fair_limit::Shares;
use crate::kernel::time::serde_duration;
use crate::subsystem::ConfigSection;

/// Limits of the calls that a node runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FunctionConfig {
    /// Calls that run at the same time on this node; further ones are refused with `OVERLOADED` (503,
    /// Retry-After). Calls that actions and jobs make count separately, with the same limit; calls inside of
    /// a transaction are part of their caller's.
    pub calls_max: u32,
    /// Part of `calls_max` that one function may take, more than 0 and at most 1, so that a flood of one
    /// function (sign-ins, for example) leaves places to the others. A call beyond it is refused with
    /// `OVERLOADED`.
    pub function_share: f64,
    /// Part of `calls_max` that one caller may take: an identity, or the address of an anonymous client (of
    /// IPv6, its /64). A proxy is one address, unless `gateway.trusted_proxies` names it. A call beyond it is
    /// refused with `OVERLOADED`.
    pub caller_share: f64,
    /// Pieces of blocking work (`ctx.blocking`, hashes of passwords) that run or wait for a core; as many run
    /// at a time as the machine has cores, less one (at least one). Work beyond this number is refused with
    /// `OVERLOADED`. One function and one caller may take the same parts of it as of `calls_max`. A call that
    /// waits here holds none of the node's places.
    pub blocking_max: u32,
    /// Bytes of a handler's result, as JSON: writing stops there, and the call is answered with
    /// `PAYLOAD_TOO_LARGE` (413), a mutation rolled back. Also of all results of one batch together. Live
    /// queries and WebSockets have further limits (`reactivity.result_bytes_max`,
    /// `sessions.result_bytes_max`).
    pub result_bytes_max: usize,
    /// Threads that run handlers, beside as many for the rest of the node as the machine has cores. Handlers
    /// that block all of these threads hold up all other handlers: after about 4 s `/ready` is 503 and calls
    /// are refused with `OVERLOADED`, until a thread is free. When absent, one for each core.
    pub threads: Option<NonZero<usize>>,
    /// How long a stopping node waits for calls that run; then it cancels them.
    #[serde(with = "serde_duration")]
    pub drain_timeout: Duration,
}

impl Default for FunctionConfig {
    fn default() -> Self {
        Self {
            calls_max: 1_024,
            function_share: 0.5,
            caller_share: 0.25,
            blocking_max: 128,
            result_bytes_max: 64 * 1024 * 1024,
            threads: None,
            drain_timeout: Duration::from_secs(20),
        }
    }
}

impl ConfigSection for FunctionConfig {
    const NAME: &'static str = "functions";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let limits =
            [("calls_max", self.calls_max, "call"), ("blocking_max", self.blocking_max, "piece of work")];
        let refuse_all = limits.iter().filter(|(_, max, _)| *max == 0);
        let mut mistakes: Vec<_> = refuse_all
            .map(|(key, _, what)| format!("functions.{key} is 0: every {what} would be refused"))
            .collect();
        let shares = [("function_share", self.function_share), ("caller_share", self.caller_share)];
        let impossible = shares.iter().filter(|(_, share)| !(*share > 0.0 && *share <= 1.0));
        mistakes.extend(
            impossible.map(|(key, share)| {
                format!("functions.{key} is {share}; it must be more than 0 and at most 1")
            }),
        );
        if self.result_bytes_max == 0 {
            mistakes.push("functions.result_bytes_max is 0: every result would be too large".to_owned());
        }
        mistakes
    }
}

impl FunctionConfig {
    /// The parts of each limit that one function and one caller may take.
    pub(super) fn shares(&self) -> Shares {
        Shares { function: self.function_share, caller: self.caller_share }
    }
}
