//! The node's log: its filter and its format. It goes to stderr, so that programs can read the data on
//! stdout.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
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
    let filter = EnvFilter::try_new(format!("{LIBRARY_LEVELS},{level}")).map_err(|error| {
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
        LogFormat::Pretty => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .with_ansi(colours)
                    .with_target(false)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false);
            registry.with(layer.with_writer(std::io::stderr)).try_init()
        }
    };
    started.map_err(|error: TryInitError| {
        Report::new(Exit::Bug, "log", "the log cannot be started").cause(error)
    })
}
