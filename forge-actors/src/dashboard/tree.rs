//! `forge.tree`: the actors of all nodes, as much of them as a page shows.

use crate::app::{QueryContext, Result};
use crate::dashboard::report;
use crate::dashboard::window::{self, ActorPage, ActorSort, TreeRequest};
use crate::kernel::ids::NodeId;

/// Rows of one answer at most.
const ROWS_MAX: u32 = 200;

/// A window over the actors of all nodes: `offset` and `limit` (200 at most) count rows, after `search` and
/// the branches in `collapsed` (each `node:path`) have taken theirs away.
#[forge_app_macros::query(name = "forge.tree", role = "admin", refresh = "250ms")]
pub async fn tree(
    ctx: &QueryContext,
    node: Option<NodeId>,
    search: Option<String>,
    sort: Option<ActorSort>,
    collapsed: Option<Vec<String>>,
    offset: u32,
    limit: u32,
) -> Result<ActorPage> {
    let request = TreeRequest {
        node,
        search: search.unwrap_or_default().to_lowercase(),
        sort: sort.unwrap_or_default(),
        collapsed: collapsed.unwrap_or_default().into_iter().collect(),
        offset: offset as usize,
        limit: limit.min(ROWS_MAX) as usize,
    };
    Ok(window::page(&report::all(ctx), &request, chrono::Utc::now()))
}
