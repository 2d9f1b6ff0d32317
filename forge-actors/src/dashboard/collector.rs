//! The collector: asks the other nodes for their reports, four times a second, while a dashboard is open.
//!
//! ```text
//!   asleep ──reports are read──▶ collecting ──none was read for 5 s──▶ asleep
//! ```
//!
//! A node that does not answer in time is left out of the round; its last report stays in the cache until it
//! is too old. The pause after a round is at least as long as the round, so collecting takes at most half of
//! the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::app::node::{NodeReport, NodeView, Peers};
use crate::kernel::ids::NodeId;
use crate::kernel::invocation::{Caller, Invocation};
use crate::kernel::time::{millis, secs};
use crate::supervise::{ActorError, ChildSpec};

/// Shortest pause between two rounds.
const PAUSE: Duration = millis(250);
/// How long another node has to answer.
const ANSWER_MAX: Duration = secs(1);
/// The collector sleeps when no report was read for this long.
const READ_WITHIN: Duration = secs(5);

/// The child that keeps the reports of `peers` in the cache of `view`.
pub(super) fn child(id: &str, view: NodeView, peers: Arc<dyn Peers>) -> ChildSpec {
    ChildSpec::task(id, move || run(view.clone(), Arc::clone(&peers)))
}

async fn run(view: NodeView, peers: Arc<dyn Peers>) -> Result<(), ActorError> {
    let cache = &view.reports;
    loop {
        cache.requested().await;
        while cache.was_read_within(READ_WITHIN) {
            let began = Instant::now();
            cache.store(round(&*peers).await);
            tokio::time::sleep(PAUSE.max(began.elapsed())).await;
        }
    }
}

async fn round(peers: &dyn Peers) -> Vec<NodeReport> {
    let linked = peers.list().into_iter().filter(|peer| peer.linked);
    join_all(linked.map(|peer| report_of(peers, peer.node))).await.into_iter().flatten().collect()
}

async fn report_of(peers: &dyn Peers, node: NodeId) -> Option<NodeReport> {
    let invocation = Invocation::new("forge.report", "{}", Caller::default());
    let answer = peers.invoke(node, invocation, ANSWER_MAX).await;
    let report = answer
        .map_err(|fault| fault.to_string())
        .and_then(|json| read_report(&json).map_err(|error| error.to_string()));
    report.inspect_err(|error| tracing::debug!(%node, error, "node did not send its report")).ok()
}

/// Reads a report, also one of the version before, which has no list of figures.
pub(super) fn read_report(json: &[u8]) -> serde_json::Result<NodeReport> {
    let mut report: Value = serde_json::from_slice(json)?;
    if let Some(stats) = report.get_mut("vitals").and_then(Value::as_object_mut) {
        stats.entry("figures").or_insert_with(|| json!([]));
    }
    serde_json::from_value(report)
}
