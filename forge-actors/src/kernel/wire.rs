//! A fault on its way out: what a client reads of it, and what only the log does.

use std::error::Error;

use serde::Serialize;

use crate::kernel::fault::{Code, Fault};
use crate::kernel::limits;

/// The object that stands under `error` in every answer: code, sentence and details of a fault, never its
/// cause.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WireFault<'a> {
    code: &'static str,
    message: &'a str,
    details: Option<&'a serde_json::Value>,
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Fault {
    /// What the client reads. The trace id finds the cause in the log.
    pub fn wire<'a>(&'a self, trace_id: &'a str) -> WireFault<'a> {
        WireFault {
            code: self.code().name(),
            message: self.message(),
            details: self.details(),
            trace_id,
            retry_after_ms: self
                .retry_delay()
                .map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// What the client is not told goes to the log, under the trace id that the client was told.
    pub fn log_hidden(&self, function: &str, trace_id: &str) {
        if self.code() == Code::Internal {
            tracing::error!(function, trace_id, cause = self.causes(), "a call failed inside the server");
        } else if self.source().is_some() {
            tracing::debug!(
                function,
                trace_id,
                code = self.code().name(),
                cause = self.causes(),
                "a call was refused"
            );
        }
    }

    /// The chain of sources on one line; causes quote what clients sent, so control characters are escaped.
    fn causes(&self) -> String {
        let mut text = String::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let separator = if text.is_empty() { "" } else { ": " };
            text.push_str(&format!("{separator}{cause}"));
            next = cause.source();
        }
        escape(&text, limits::CAUSE_BYTES_MAX)
    }
}

/// At most `chars_max` characters of `text`, control characters as escapes: safe to log.
pub fn escape(text: &str, chars_max: usize) -> String {
    let mut escaped = String::new();
    for c in text.chars().take(chars_max) {
        if c.is_control() { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    escaped
}
