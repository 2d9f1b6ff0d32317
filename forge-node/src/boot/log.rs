//! The node's log: its filter and its format. It goes to stderr, so that programs can read the data on
//! stdout. What a terminal would obey is escaped in both formats, wherever it comes from.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, IsTerminal};

use forge_actors::kernel::printable::{escape_json, escape_lines};
use tracing::Subscriber;
use tracing::field::Field;
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::cli::{Color, Global};
use crate::config::section::{LogConfig, LogFormat};
use crate::terminal::report::{Exit, Report};

/// Limits of libraries that log at `info` what Forge logs itself.
const LIBRARY_LEVELS: &str = "ractor=warn,ractor_cluster=error,hyper=warn,sqlx=warn";

/// Starts the log.
///
/// # Errors
/// When `log.level` is no filter.
pub fn start(config: &LogConfig, global: &Global) -> Result<(), Report> {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => &config.level,
        (_, 1) => "debug",
        (_, _) => "trace",
    };
    // A later directive wins, so a configured filter that names a library replaces its limit.
    let filter: Targets = format!("{LIBRARY_LEVELS},{level}").parse().map_err(|error: ParseError| {
        Report::new(Exit::Config, "config", format!("`log.level`: `{level}` is no filter"))
            .cause(error)
            .help("write error, warn, info, debug or trace; or a list such as info,sqlx=debug")
    })?;
    let colours = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && std::io::stderr().is_terminal()
        }
    };
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.format {
        LogFormat::Pretty => registry.with(pretty(colours, io::stderr)).try_init(),
        LogFormat::Json => registry.with(json(io::stderr)).try_init(),
    };
    started.map_err(|error: TryInitError| {
        Report::new(Exit::Bug, "log", "the log cannot be started").cause(error)
    })
}

/// Lines for a person. tracing-subscriber escapes a part of what a terminal obeys, and in messages alone, so
/// the fields are written here.
pub(super) fn pretty<S, W>(colours: bool, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .fmt_fields(debug_fn(write_field).delimited(" "))
        .with_ansi(colours)
        .with_target(false)
        .with_writer(writer)
}

/// Lines for a program; a person may look at them in a terminal too.
pub(super) fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(EscapedJson { writer })
}

/// Writes `name=value`, or the message alone.
fn write_field(line: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => {}
        name if line.has_ansi_escapes() => write!(line, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
        name => write!(line, "{name}=")?,
    }
    write!(EscapedField { line }, "{value:?}")
}

/// Escapes what a terminal obeys. A line feed stays, and what follows it is indented, so that a line of the
/// log that begins at the margin is an event.
struct EscapedField<'a, 'w> {
    line: &'a mut Writer<'w>,
}

impl fmt::Write for EscapedField<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut lines = text.split('\n');
        if let Some(first) = lines.next() {
            self.line.write_str(&escape_lines(first))?;
        }
        lines.try_for_each(|further| write!(self.line, "\n    {}", escape_lines(further)))
    }
}

/// Makes writers that escape what a terminal obeys in JSON.
struct EscapedJson<W> {
    writer: W,
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for EscapedJson<W> {
    type Writer = EscapedJson<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        EscapedJson { writer: self.writer.make_writer() }
    }
}

impl<W: io::Write> io::Write for EscapedJson<W> {
    /// `event` is a whole event, as tracing-subscriber writes them.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.writer.write_all(escape_json(&String::from_utf8_lossy(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
