//! The messages of the reactor's actors.

use std::sync::Arc;

use crate::db::live_snapshot::ExportedSnapshot;

use super::delivery::Version;
use super::query_key::{BatchId, CallerKey, ClientId, QueryKey, SubscriptionKey};
use super::tick::{FinishedRuns, LostSnapshot, OpenedTick, SnapshotTransaction};

/// Messages of the ticker.
#[derive(forge_app_macros::Message)]
pub(super) enum TickerMessage {
    /// Clients have left commands in `ReactorShared`.
    CommandsLeft,
    /// A hint lies in `ReactorShared`.
    Hinted,
    /// The time of the next poll for changes without a hint has come.
    PollDue,
    /// The timer for the next tick has fired.
    TimerFired,
    /// A snapshot is open, or could not be opened.
    SnapshotOpened(Box<Result<OpenedTick, LostSnapshot>>),
    /// The snapshot of the tick is exported, or lost.
    SnapshotExported(Box<Result<(SnapshotTransaction, ExportedSnapshot), LostSnapshot>>),
    /// Queries have run, or their snapshot was lost.
    RunsFinished(Box<Result<FinishedRuns, LostSnapshot>>),
    /// The session of the tick is back in the pool.
    SnapshotClosed,
    /// A session has imported the snapshot of the batch, or could not.
    BatchOpened(BatchId, Box<Result<SnapshotTransaction, LostSnapshot>>),
    /// A query has run in the batch, or the batch was lost.
    LaneRunFinished(BatchId, Box<Result<FinishedRuns, LostSnapshot>>),
    /// The session of the batch is back in the pool.
    BatchClosed(BatchId),
}

/// Messages of the poller.
#[derive(forge_app_macros::Message)]
pub(super) enum PollerMessage {
    /// The interval since the last poll is over.
    Poll,
    /// A tick ended.
    TickEnded {
        /// True when only a poll had caused the tick.
        polled: bool,
        /// True when the tick found changes that concern live queries.
        found: bool,
    },
}

/// A command of a client to the ticker.
pub(super) enum ClientCommand {
    /// Add a subscription, or replace the one of the same key.
    Subscribe {
        key: SubscriptionKey,
        query: Arc<QueryKey>,
        caller: Arc<CallerKey>,
        /// The version of the result that the client has kept.
        kept: Option<Version>,
    },
    /// End a subscription.
    Unsubscribe(SubscriptionKey),
    /// The client awaits mutations, which `AttachedClient` holds.
    AwaitCommits(ClientId),
    /// The client is another caller from now on.
    Identify { client: ClientId, caller: Arc<CallerKey> },
    /// The client is gone.
    Detach(ClientId),
}
