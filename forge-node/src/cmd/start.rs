//! `start`: runs a node until a signal ends it.

use crate::boot::{log, node};
use crate::cli::Start;
use crate::terminal::context::CommandContext;
use crate::terminal::report::Report;

/// Runs a node until a signal ends it, or its supervision tree gives up.
pub async fn run(args: &Start, context: CommandContext<'_>) -> Result<(), Report> {
    let loaded = context.load(&args.flags())?;
    log::start(&loaded.config.log, context.global)?;
    // The demo without a configuration runs in development mode, so that `start` alone works in a fresh
    // clone.
    let dev = args.dev || (context.developer && loaded.file.is_none() && loaded.config.auth.secret.is_none());
    node::run(loaded, dev, context).await
}
