//! `forge.report`: what a node says of itself to its peers.

use crate::app::node::NodeReport;
use crate::app::{QueryContext, Result};

/// Events that a report carries: more than the feed of the overview shows, which leaves some out.
pub(super) const EVENTS: usize = 200;

/// This node as it is now, for its peers.
#[forge_app_macros::query(name = "forge.report", internal)]
pub async fn report(ctx: &QueryContext) -> Result<NodeReport> {
    Ok(ctx.node().report(EVENTS))
}

/// All nodes: this one as it is now, the others as they were collected, in the order of their names.
pub(super) fn all(ctx: &QueryContext) -> Vec<std::sync::Arc<NodeReport>> {
    let view = ctx.node();
    let mut reports = view.reports.read();
    reports.retain(|report| report.node != view.id);
    reports.push(std::sync::Arc::new(view.report(EVENTS)));
    reports.sort_by(|a, b| (&a.name, a.node).cmp(&(&b.name, b.node)));
    reports
}
