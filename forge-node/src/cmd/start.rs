//! `start`: runs a node until a signal ends it.

use forge_actors::test_signals;

use crate::boot::{log, node};
use crate::cli::Start;
use crate::terminal::context::CommandContext;
use crate::terminal::report::{Exit, Report};

/// Runs a node until a signal ends it, or its supervision tree gives up.
pub async fn run(args: &Start, context: CommandContext<'_>) -> Result<(), Report> {
    let loaded = context.load(&args.flags())?;
    log::start(&loaded.config.log, context.global)?;
    test_signals::listen_if_asked().map_err(|error| {
        let message = format!("the folder of {} cannot be written to", test_signals::FOLDER_VARIABLE);
        Report::new(Exit::Config, "config", message).cause(error)
    })?;
    // The demo without a configuration runs in development mode, so that `start` alone works in a fresh
    // clone.
    let dev = args.dev || (context.developer && loaded.file.is_none() && loaded.config.auth.secret.is_none());
    node::run(loaded, dev, context).await
}
