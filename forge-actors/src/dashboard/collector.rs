//! The collector: asks the peers for their reports, four times a second, while somebody looks at them.
//!
//! ```text
//!   asleep ──somebody looked──▶ collecting ──nobody looked for 5 s──▶ asleep
//! ```
//!
//! A peer that does not answer in time is left out of this round; its last report stays until it is too old.
//! A round that takes long is followed by a pause of the same length, so that collecting never takes more
//! than half of the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::app::node::{NodeReport, NodeView, Peers};
use crate::kernel::ids::NodeId;
use crate::kernel::invocation::{Caller, Invocation};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Never};

/// Between two rounds.
const EVERY: Duration = Duration::from_millis(250);
/// How long a peer has to answer.
const DEADLINE: Duration = Duration::from_secs(1);
/// Nobody looked for this long: the collector sleeps.
const WATCHED_WITHIN: Duration = Duration::from_secs(5);

/// The actor that collects.
pub struct Collector {
    view: NodeView,
    peers: Arc<dyn Peers>,
}

impl Collector {
    /// The child that collects the reports of `peers`, for those who look at `view`.
    pub fn spec(view: NodeView, peers: Arc<dyn Peers>) -> ChildSpec {
        ChildSpec::actor("collector", move || Self { view: view.clone(), peers: Arc::clone(&peers) }).0
    }
}

impl Actor for Collector {
    type Message = Never;
    type State = ();
    const KIND: &'static str = "collector";

    async fn start(&self, cx: &Context<Never>) -> Result<(), ActorError> {
        let (board, peers) = (Arc::clone(&self.view.board), Arc::clone(&self.peers));
        cx.spawn("collect", async move {
            loop {
                board.wanted().await;
                while board.is_watched(WATCHED_WITHIN) {
                    let began = Instant::now();
                    board.put_up(round(&*peers).await);
                    tokio::time::sleep(EVERY.max(began.elapsed())).await;
                }
            }
        });
        Ok(())
    }

    async fn handle(&self, _: &Context<Never>, message: Never, (): &mut ()) -> Result<(), ActorError> {
        match message {}
    }
}

async fn round(peers: &dyn Peers) -> Vec<NodeReport> {
    let linked = peers.list().into_iter().filter(|peer| peer.linked);
    join_all(linked.map(|peer| ask(peers, peer.node))).await.into_iter().flatten().collect()
}

async fn ask(peers: &dyn Peers, node: NodeId) -> Option<NodeReport> {
    let invocation = Invocation::new("forge.report", "{}", Caller::default());
    let answer = peers.invoke(node, invocation, DEADLINE).await;
    let report = answer
        .map_err(|fault| fault.to_string())
        .and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string()));
    report.inspect_err(|error| tracing::debug!(%node, error, "a peer did not report")).ok()
}
