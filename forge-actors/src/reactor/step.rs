//! What the reactor decides on, and what it decides: the inputs and the effects of
//! [`ReactorState::step`](super::state::ReactorState::step).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::change::ChangeSet;
use crate::kernel::commit::TableId;

use super::delivery::{AwaitedCommit, QueryResult, Version};
use super::query_key::{BatchId, CallerKey, ClientId, GroupId, QueryKey, SubscriptionKey};
use super::relations::Untracked;
use super::tick::{QueryRun, RunsReport};
use super::updates::TickUpdates;

/// Commits that hints have reported.
#[derive(Debug)]
pub(super) struct PendingHint {
    /// The tables that the commits wrote.
    pub(super) tables: BTreeSet<TableId>,
    /// When the first of the hints arrived.
    pub(super) first: Instant,
}

impl PendingHint {
    pub(super) fn merge(&mut self, other: Self) {
        self.tables.extend(other.tables);
        self.first = self.first.min(other.first);
    }
}

/// What happened.
#[derive(Debug)]
pub(super) enum ReactorInput {
    /// A client subscribes; it has kept the result of version `kept`.
    Subscribe {
        key: SubscriptionKey,
        query: Arc<QueryKey>,
        caller: Arc<CallerKey>,
        kept: Option<Version>,
    },
    Unsubscribe(SubscriptionKey),
    /// All mutations that a client awaits now.
    AwaitCommits {
        client: ClientId,
        awaited: Vec<AwaitedCommit>,
    },
    /// A client is another caller, who may not have the subscriptions in `refused`.
    Identify {
        client: ClientId,
        caller: Arc<CallerKey>,
        refused: Vec<(SubscriptionKey, Arc<QueryResult>)>,
    },
    /// A client is gone.
    Detach(ClientId),
    Hinted(PendingHint),
    PollDue,
    TimerFired,
    /// The snapshot of the tick is open.
    Opened(ChangeSet),
    /// The snapshot is exported.
    Exported,
    /// Queries have run in the snapshot.
    RunsFinished(RunsReport),
    /// The snapshot is closed.
    Closed,
    /// The snapshot was lost, `during` a run of this group. `jitter` is uniform in `0.0..1.0`.
    Lost {
        during: Option<GroupId>,
        jitter: f64,
    },
    /// A session has imported the snapshot of the batch.
    BatchOpened(BatchId),
    /// A query has run in the batch.
    LaneRunFinished {
        batch: BatchId,
        report: RunsReport,
    },
    /// The session of the batch is back in the pool.
    BatchClosed(BatchId),
    /// The session of the batch was lost, as with `Lost`.
    BatchLost {
        batch: BatchId,
        during: Option<GroupId>,
        jitter: f64,
    },
}

/// What the ticker has to do.
#[derive(Debug)]
pub(super) enum ReactorEffect {
    /// Open a snapshot and read the changes in it; load the relations when `reload_relations` is set.
    OpenSnapshot { reload_relations: bool },
    /// Export the open snapshot.
    ExportSnapshot,
    /// Run these queries in the open snapshot.
    RunQueries(Vec<QueryRun>),
    /// Begin a batch in the exported snapshot.
    OpenBatch(BatchId),
    /// Run a query in a batch.
    RunInLane { batch: BatchId, run: QueryRun },
    /// End a batch.
    CloseBatch(BatchId),
    /// Deliver the results of the tick that began at `began`. The first hint that it answers arrived at
    /// `hinted`.
    Publish { updates: TickUpdates, began: Instant, hinted: Option<Instant> },
    /// Close the snapshot.
    CloseSnapshot,
    /// Tell the poller that a tick ended.
    EndTick { polled: bool, found: bool },
    /// Deliver to clients outside of a tick.
    Deliver(TickUpdates),
    /// Give back the places of subscriptions that ended.
    Release(Vec<SubscriptionKey>),
    /// Live queries read these tables from now on.
    DeclareInterest(BTreeSet<TableId>),
    /// Publish the topic `Definitions`, upon which `change/captures` compares triggers with models.
    PublishDefinitions,
    /// Set the timer, in place of an earlier one that would fire later.
    SetTimer(Instant),
    /// Log that the result of a handler's query became an error.
    LogError { handler: Arc<str>, result: Arc<QueryResult> },
    /// Log that a handler's query breaks its database session and is suspended.
    LogSuspended { handler: Arc<str> },
    /// Log that a handler's query took so long that it is moved to the lanes.
    LogSlow { handler: Arc<str>, took: Duration, anonymous: bool },
    /// Log that a handler's query reads a relation whose changes are not reported.
    WarnUntracked { handler: Arc<str>, relation: Untracked },
}
