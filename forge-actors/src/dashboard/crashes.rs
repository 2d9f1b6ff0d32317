//! `forge.crashes`: the crash journal, newest first.

use crate::app::{QueryContext, Result};
use crate::kernel::ids::NodeId;
use crate::telemetry::store::{self, RecordedCrash};

/// Rows in one answer at most.
const ROWS_MAX: u16 = 1_000;

/// Crashes of all nodes, or of one, newest first: 100 unless `limit` says otherwise, 1,000 at most.
#[forge_app_macros::query(name = "forge.crashes", role = "admin", refresh = "2s")]
pub async fn crashes(
    ctx: &QueryContext,
    limit: Option<u16>,
    node: Option<NodeId>,
) -> Result<Vec<RecordedCrash>> {
    Ok(store::list_crashes(ctx.db(), node, limit.unwrap_or(100).min(ROWS_MAX)).await?)
}
