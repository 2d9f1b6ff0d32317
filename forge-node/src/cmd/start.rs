//! `start`: a node, until a signal ends it.

use crate::boot::{log, node};
use crate::cli::Start;
use crate::cmd::report::Report;
use crate::cmd::scene::Scene;

/// Runs a node to its end.
pub async fn run(args: &Start, scene: Scene<'_>) -> Result<(), Report> {
    let loaded = scene.load(&args.flags())?;
    log::start(&loaded.config.log, scene.global)?;
    // The demo without a configuration is a first look at Forge, and that is development.
    let dev = args.dev || (scene.developer && loaded.file.is_none() && loaded.config.auth.secret.is_none());
    node::run(loaded, dev, scene).await
}
