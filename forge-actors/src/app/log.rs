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
///
/// The last lines of a job, but for `debug`, are kept with the job as well: `forge-node jobs show` and the
/// dashboard show them.
#[derive(Clone)]
pub struct Log {
    handler: Arc<str>,
    /// `name=value`, separated by spaces.
    fields: String,
    /// Keeps the lines of a job.
    keeper: Option<Arc<dyn KeepLines>>,
}

/// How grave a line is that a job has logged.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobLogLevel {
    /// An event of normal operation.
    Info,
    /// Something is wrong, and the job goes on.
    Warn,
    /// Something failed.
    Error,
}

impl JobLogLevel {
    /// The label in Postgres and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Reads a label.
    pub fn parse(label: &str) -> Option<Self> {
        [Self::Info, Self::Warn, Self::Error].into_iter().find(|level| level.as_str() == label)
    }
}

/// Keeps the lines that a job logs. The job subsystem implements it.
pub trait KeepLines: Send + Sync + 'static {
    /// Keeps one line.
    fn keep_line(&self, level: JobLogLevel, line: String);
}

macro_rules! levels {
    ($($(#[$doc:meta])+ $level:ident $(kept as $kept:ident)?;)+) => {$(
        $(#[$doc])+
        pub fn $level(&self, message: impl AsRef<str>) {
            let fields = (!self.fields.is_empty()).then_some(self.fields.as_str());
            tracing::$level!(target: "app", handler = %self.handler, fields, "{}", message.as_ref());
            $(self.keep(JobLogLevel::$kept, message.as_ref());)?
        }
    )+};
}

impl Log {
    pub(crate) fn new(handler: &Arc<str>, keeper: Option<Arc<dyn KeepLines>>) -> Self {
        Self { handler: Arc::clone(handler), fields: String::new(), keeper }
    }

    fn keep(&self, level: JobLogLevel, message: &str) {
        let Some(keeper) = &self.keeper else { return };
        let line = match self.fields.as_str() {
            "" => message.to_owned(),
            fields => format!("{message} {fields}"),
        };
        keeper.keep_line(level, line);
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
        let keeper = self.keeper.as_ref().map(Arc::clone);
        Self { handler: Arc::clone(&self.handler), fields, keeper }
    }

    levels! {
        /// For the developer; off in production by default.
        debug;
        /// An event of normal operation.
        info kept as Info;
        /// Something is wrong, and the call goes on.
        warn kept as Warn;
        /// Something failed.
        error kept as Error;
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
