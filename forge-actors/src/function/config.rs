//! `[functions]` in forge.toml.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// How long a stopping node waits for calls that run; then it cancels them.
    #[serde(with = "serde_duration")]
    pub drain_timeout: Duration,
}

impl Default for FunctionConfig {
    fn default() -> Self {
        Self { calls_max: 1_024, drain_timeout: Duration::from_secs(20) }
    }
}

impl ConfigSection for FunctionConfig {
    const NAME: &'static str = "functions";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let refuses_all =
            (self.calls_max == 0).then(|| "functions.calls_max is 0: every call would be refused".to_owned());
        refuses_all.into_iter().collect()
    }
}
