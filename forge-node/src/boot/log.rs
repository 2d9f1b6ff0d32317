//! The node's log: what is written, and how it looks. It goes to stderr, so that data on stdout stay readable
//! for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::cli::{Color, Global};
use crate::cmd::report::{Exit, Report};
use crate::config::section::{LogConfig, LogFormat};

/// Libraries that talk at `info` about what Forge reports itself.
const QUIETER: &str = "ractor=warn,ractor_cluster=error,hyper=warn,sqlx=warn";

/// Starts the log.
pub fn start(config: &LogConfig, global: &Global) -> Result<(), Report> {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => &config.level,
        (_, 1) => "debug",
        (_, _) => "trace",
    };
    // What stands later wins: a filter that names a library itself is respected.
    let filter = EnvFilter::try_new(format!("{QUIETER},{level}")).map_err(|error| {
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
