//! `doctor`
use crate::cmd::report::Report;
use crate::cmd::scene::Scene;
/// x
pub async fn run(_scene: Scene<'_>) -> Result<(), Report> { Ok(()) }
