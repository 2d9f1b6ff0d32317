//! `ctx.log` and `ctx.metrics`: the call's own view of the node's log and metrics.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

/// Writes log lines that carry the handler's name, inside the call's span (which carries the trace id).
///
/// ```no_run
/// # use forge_actors::app::MutationContext;
/// # fn example(ctx: &MutationContext, task: forge_actors::kernel::ids::JobId) {
/// ctx.log.info("task assigned");
/// ctx.log.with("task", task).with("attempt", 3).warn("the assignee is on leave");
/// # }
/// ```
#[derive(Clone)]
pub struct Log {
    handler: Arc<str>,
    /// `name=value`, separated by spaces.
    fields: String,
}

macro_rules! levels {
    ($($(#[$doc:meta])+ $level:ident;)+) => {$(
        $(#[$doc])+
        pub fn $level(&self, message: impl AsRef<str>) {
            let fields = (!self.fields.is_empty()).then_some(self.fields.as_str());
            tracing::$level!(target: "app", handler = %self.handler, fields, "{}", message.as_ref());
        }
    )+};
}

impl Log {
    pub(crate) fn new(handler: &Arc<str>) -> Self {
        Self { handler: Arc::clone(handler), fields: String::new() }
    }

    /// A log whose lines carry this field too, as `name=value`. The value is written by its `Display`, so a
    /// secret stays `[redacted]`; a value with spaces, quotes or `=` is put in quotes.
    #[must_use = "the field is on the lines that the returned log writes"]
    pub fn with(&self, name: &'static str, value: impl fmt::Display) -> Self {
        let mut fields = self.fields.clone();
        if !fields.is_empty() {
            fields.push(' ');
        }
        let value = value.to_string();
        let plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"' || c == '=');
        let written =
            if plain { write!(fields, "{name}={value}") } else { write!(fields, "{name}={value:?}") };
        written.expect("writing to a String cannot fail");
        Self { handler: Arc::clone(&self.handler), fields }
    }

    levels! {
        /// For the developer; off in production by default.
        debug;
        /// An event of normal operation.
        info;
        /// Something is wrong, and the call goes on.
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
