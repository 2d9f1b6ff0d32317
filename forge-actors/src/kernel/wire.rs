//! The two outputs of a fault: the part that a client reads, and the cause that only the log gets. In
//! development the client, who is the developer, gets the cause as well, and what helps.

use std::error::Error;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use super::error_chain::error_causes;
use super::fault::{Code, Fault};
use super::limits::CAUSE_BYTES_MAX;
use super::log_sampler::LogSampler;
use super::printable::escape;

static SERVER_TROUBLE: LazyLock<LogSampler> = LazyLock::new(LogSampler::new);
static REFUSALS: LazyLock<LogSampler> = LazyLock::new(LogSampler::new);

/// Whether this process runs in development. Set once, at boot; process-wide, because so is the mode.
static DEVELOPMENT: AtomicBool = AtomicBool::new(false);

/// From now on, answers carry the causes of faults, and what helps against them.
pub fn reveal_causes() {
    DEVELOPMENT.store(true, Relaxed);
}

/// True when answers carry the causes of faults.
pub fn reveals_causes() -> bool {
    DEVELOPMENT.load(Relaxed)
}

/// The object under `error` in every answer: code, sentence and details of a fault. Its cause is part of it
/// in development only.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WireFault<'a> {
    code: &'static str,
    message: &'a str,
    details: Option<&'a serde_json::Value>,
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

impl Fault {
    /// The part that the client reads. With the trace id an operator finds the cause in the log.
    pub fn wire<'a>(&'a self, trace_id: &'a str) -> WireFault<'a> {
        self.wire_in(reveals_causes(), trace_id)
    }

    /// The part that the client reads, in development or not.
    pub(super) fn wire_in<'a>(&'a self, development: bool, trace_id: &'a str) -> WireFault<'a> {
        WireFault {
            code: self.code().name(),
            message: self.message(),
            details: self.details(),
            trace_id,
            retry_after_ms: self
                .retry_delay()
                .map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            cause: development.then(|| self.causes()).filter(|cause| !cause.is_empty()),
            help: self.help().filter(|_| development),
        }
    }

    /// Logs the cause, which the client does not get, under the trace id, which the client gets.
    ///
    /// A bug is an error each time. Trouble of the database's server (a full disk, too many connections)
    /// meets many calls at once: the first in a second is a warning. What a client provokes is for debugging;
    /// of what the database refuses, the first of each SQLSTATE in a second is logged without its values,
    /// which may be the client's, and in development each with its cause.
    pub fn log_cause(&self, handler: &str, trace_id: &str) {
        let code = self.code();
        if code == Code::Internal {
            tracing::error!(handler, trace_id, cause = self.causes(), "call failed inside the server");
            return;
        }
        if code == Code::Unavailable && self.is_from_server() {
            let now = chrono::Utc::now().timestamp();
            if let Some(suppressed) = SERVER_TROUBLE.sample(code.name(), now) {
                let cause = self.causes();
                tracing::warn!(
                    handler,
                    trace_id,
                    cause,
                    suppressed,
                    "call failed: error of the database server"
                );
                return;
            }
        }
        if self.source().is_none() {
            return;
        }
        let code = code.name();
        match self.sqlstate() {
            Some(_) if reveals_causes() => {
                return tracing::info!(handler, trace_id, code, cause = self.causes(), "call refused");
            }
            Some(sqlstate) => {
                if let Some(suppressed) = REFUSALS.sample(&sqlstate, chrono::Utc::now().timestamp()) {
                    let position = self.statement_position();
                    tracing::info!(handler, trace_id, code, sqlstate, position, suppressed, "call refused");
                }
            }
            None => {}
        }
        // Written as an argument of the line: the text is not made when nobody reads it.
        tracing::debug!(handler, trace_id, code, cause = self.causes(), "call refused");
    }

    /// True when the server answered, with an error or with what is no answer.
    fn is_from_server(&self) -> bool {
        let error = self.source().and_then(|source| source.downcast_ref::<sqlx::Error>());
        matches!(error, Some(sqlx::Error::Database(_) | sqlx::Error::Protocol(_)))
    }

    /// The causes on one line. Control characters are escaped, because causes quote what clients sent.
    fn causes(&self) -> String {
        escape(&error_causes(self).unwrap_or_default(), CAUSE_BYTES_MAX)
    }
}
