//! `ctx.log` and `ctx.metrics`: the call's own view of the node's log and metrics.

use std::sync::Arc;
use std::time::Duration;

/// Writes events that carry the handler's name, inside the call's span (which carries the trace id).
#[derive(Clone)]
pub struct Log {
    handler: Arc<str>,
}

macro_rules! levels {
    ($($(#[$doc:meta])+ $level:ident;)+) => {$(
        $(#[$doc])+
        pub fn $level(&self, message: impl AsRef<str>) {
            tracing::$level!(target: "app", handler = %self.handler, "{}", message.as_ref());
        }
    )+};
}

impl Log {
    pub(crate) fn new(handler: &Arc<str>) -> Self {
        Self { handler: Arc::clone(handler) }
    }

    levels! {
        /// For the developer; off in production by default.
        debug;
        /// Something happened.
        info;
        /// Something is off, and the call goes on.
        warn;
        /// Something failed.
        error;
    }
}

/// Counts and measures; each name becomes a Prometheus series `app_<name>` with the label `handler`. Names
/// are `&'static str`, so that the number of series stays bounded.
#[derive(Clone)]
pub struct Metrics {
    handler: Arc<str>,
}

impl Metrics {
    pub(crate) fn new(handler: &Arc<str>) -> Self {
        Self { handler: Arc::clone(handler) }
    }

    /// Adds to a counter.
    pub fn add(&self, name: &'static str, count: u64) {
        metrics::counter!(format!("app_{name}"), "handler" => self.handler.to_string()).increment(count);
    }

    /// Sets a gauge.
    pub fn set(&self, name: &'static str, value: f64) {
        metrics::gauge!(format!("app_{name}"), "handler" => self.handler.to_string()).set(value);
    }

    /// Records a duration, in seconds.
    pub fn record(&self, name: &'static str, duration: Duration) {
        metrics::histogram!(format!("app_{name}"), "handler" => self.handler.to_string()).record(duration);
    }
}
