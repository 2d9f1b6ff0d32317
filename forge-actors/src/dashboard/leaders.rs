//! `forge.leaders`: which node leads each leadership, and the terms that ended last.

use std::time::Duration;

use crate::app::{QueryContext, Result};
use crate::kernel::time::Timestamp;
use crate::leader::config::LeaderConfig;
use crate::leader::store::{self, EndedTerm, LeaderInfo};

/// Ended terms in one answer at most.
const ENDED_MAX: u32 = 20;

/// The leaderships of the cluster.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterLeaders {
    /// When, by the database's clock, as all times here.
    pub at: Timestamp,
    /// Every leadership that ever had a leader, by name.
    pub leaders: Vec<LeaderInfo>,
    /// The terms that ended last, newest first.
    pub ended: Vec<EndedTerm>,
}

/// The leader of each leadership, and the terms that ended last. Whether a leader's lease has expired is
/// judged by the lease of the node that answers.
#[forge_app_macros::query(name = "forge.leaders", role = "admin", refresh = "1s")]
pub async fn leaders(ctx: &QueryContext) -> Result<ClusterLeaders> {
    let at = sqlx::query_scalar(include_str!("sql/read_clock.sql")).fetch_one(ctx.db()).await?;
    let election = ctx.node().stats().election;
    let lease = election.map_or(LeaderConfig::default().lease, |election| {
        Duration::from_millis(election.lease_ms.get().unsigned_abs())
    });
    let leaders = store::list_leaders(ctx.db(), lease).await?;
    let ended = store::list_terms(ctx.db(), ENDED_MAX).await?;
    Ok(ClusterLeaders { at, leaders, ended })
}
