//! Live queries: results that are delivered again whenever the database changes.
//!
//! ```text
//!   session ──subscribe──▶ Client ──commands──▶ ticker ◀──hints, polls── poller ◀── hints of commits, timer
//!      ▲                                          │
//!      └──────────── Delivery (Sink) ─────────────┘ one tick = one snapshot
//!                                                 │
//!                                                 └──snapshot──▶ batches in the lanes ──results──▶ ticker
//! ```
//!
//! A tick is one REPEATABLE READ transaction. Its steps come back to the ticker as messages, so that the
//! ticker never waits for the database; `state.rs` draws the phases.
//!
//! 1. *Open*: read the tail of changes in the snapshot, and mark the groups as stale that read what changed.
//! 2. *Run*: run the stale groups and the new ones. Postgres reports what each run read (`db::runs`).
//! 3. *Publish*: send each client all results that are new to it, and which of its mutations the snapshot
//!    contains.
//!
//! A query must not make others wait. So ticks run only queries that are known to be quick; the others run
//! beside them in *lanes*, connections of their own: queries that took longer than `slow_after`, those that
//! have never run, and those that wait for a lock. A tick that has such queries to run and a lane free
//! exports its snapshot, and a *batch* imports it: the batch reads the snapshot of this tick while later
//! ticks go on. A client that has a slow query cannot advance with each tick, or its queries would disagree.
//! Its transition to the batch's snapshot is *frozen* until the last of its queries has run in it
//! (`transitions.rs`); so the client goes from snapshot to snapshot at the pace of its slowest query. A first
//! run holds up nobody: its result is delivered when no later snapshot has found a change of what it read,
//! and the query runs again otherwise. The lanes are shared fairly among callers (`lanes.rs`).
//!
//! A *client* is what has subscriptions here: a WebSocket session of this node. A *query* is a handler and
//! its arguments. A *group* is the subscriptions of a query that share runs. A run that does not read who
//! called serves all callers. The run that first reads the caller splits the query: its subscriptions go into
//! one group per identity, or per connection when the run read the address or the user agent, and the new
//! groups run in the same snapshot before anything is published. So no caller gets what a run made for
//! another caller, and equal subscriptions cost one run.
//!
//! Invariants
//! - Changes are read in the snapshot in which the queries run, so the result of a group that did not run is
//!   valid in this snapshot too. All subscriptions of a client are at one snapshot, and none goes back to an
//!   earlier one.
//! - A frozen transition holds results of its own snapshot only, and nothing of it counts as delivered before
//!   it is; it can be dropped at any time, and its client then advances to a later snapshot.
//! - A result that a run took from a rewritten table (TRUNCATE, ALTER TYPE, DETACH, a swap of names) is
//!   thrown away: Postgres shows such a table to an older snapshot as it never was (`db::runs`). The query
//!   runs again in the next tick, which locks the table before it takes its snapshot, or a table that is
//!   rewritten all the time would never be seen whole.
//! - The tail of changes is the truth. Hints and polls only decide when a tick starts.
//! - A result is encoded once and shared by reference. A result of the same version as the last is not sent.
//! - A result that depends on its caller is sent to callers of that very identity only.
//! - Every subscription is authorized before it joins a group, and again when its client becomes another
//!   caller.
//!
//! Failures: an error, a panic or a timeout of a query is the result of the query, which runs again when
//! what it read changes. A tick whose snapshot is lost (database session killed, database unreachable) is
//! repeated with backoff, and runs all groups that are not suspended; clients keep their results until then.
//! A batch whose session is lost has its groups run again, and frozen transitions that waited for it are
//! dropped. A query that waits for a lock leaves the tick after 100 ms, and has `UNAVAILABLE` as its result
//! after a second more in a lane; it is tried again with backoff of at most 2 s, in one lane for all of
//! them. A query whose handler gets no thread has not run: it keeps its result, leaves the tick after 100 ms
//! and its lane after 2 s, and is tried again; the time that it waited says nothing about it. A group during
//! whose runs the database session broke `groups::FAILURES_MAX` times in a row gets an error and is
//! suspended. When the ticker crashes, every client has to subscribe again. Relations that no trigger
//! captures (system views, foreign tables) are read again every `uncaptured_refresh`.

mod batches;
pub mod config;
mod delivery;
mod frozen;
mod group;
mod groups;
mod lane_runs;
mod lanes;
mod messages;
mod pace;
pub mod paths;
mod poller;
mod query_key;
mod read_index;
mod relations;
mod requests;
mod share_key;
mod shared;
pub mod signals;
mod state;
mod step;
pub mod subsystem;
mod tasks;
mod tick;
mod ticker;
mod transitions;
mod updates;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::Functions;
use crate::kernel::byte_budget::ByteBudget;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::Fault;
use crate::kernel::invocation::{Caller, Invocation, is_system};
use crate::supervise::{ChildSpec, Mailbox, Strategy, SupervisorSpec};

use config::ReactivityConfig;
use delivery::AwaitedCommit;
pub use delivery::{Delivery, Modification, MutationId, QueryResult, Sink, SubscriptionId, Tick, Version};
use messages::ClientCommand;
use poller::Poller;
use query_key::{CallerKey, ClientId, QueryKey, SubscriptionKey};
use shared::ReactorShared;
pub use shared::SystemStats;
use tick::QueryExecutor;
use ticker::Ticker;

/// Figures about the live queries of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReactorStats {
    /// Attached clients, also those without subscriptions.
    pub clients: usize,
    /// Subscriptions of all clients.
    pub subscriptions: usize,
    /// Groups: subscriptions of one group share their runs.
    pub groups: usize,
    /// What of these belongs to the node's own queries.
    pub system: SystemStats,
    /// Ticks since the node started.
    pub ticks: u64,
    /// Ticks among them that ran a query of the application, or whose snapshot one was run in.
    pub application_ticks: u64,
    /// Runs of queries since the node started.
    pub executions: u64,
    /// The duration of the last tick in `application_ticks`, up to its last delivery.
    pub last_tick: Duration,
    /// Of the last tick that answered hints: from the arrival of the oldest of them to the last delivery.
    pub lag: Duration,
    /// How long ago that tick ended; `None` when there was none.
    pub lag_age: Option<Duration>,
}

/// Runs live queries. Cheap to clone; all clones are the same reactor.
#[derive(Clone)]
pub struct Reactor {
    shared: Arc<ReactorShared>,
}

/// What [`Reactor::new`] needs.
pub struct ReactorDeps {
    /// Runs the queries.
    pub functions: Functions,
    /// The database that snapshots are taken of.
    pub database: Database,
    /// Reports commits, and takes the tables that live queries read.
    pub hints: HintHub,
    /// Pace and limits.
    pub config: ReactivityConfig,
}

impl Reactor {
    /// The reactor, and the child spec of its supervisor.
    pub fn new(deps: ReactorDeps) -> (Self, ChildSpec) {
        let ReactorDeps { functions, database, hints, config } = deps;
        let (ticker_mailbox, ticker) = Mailbox::of::<Ticker>();
        let (poller_mailbox, poller) = Mailbox::of::<Poller>();
        let results = ByteBudget::new(config.results_bytes_max);
        let executor = QueryExecutor { functions, database, config, results };
        executor.database.reserve_lanes(executor.config.lanes_max);
        let shared = Arc::new(ReactorShared::new(executor, hints, ticker, poller));
        let (of_ticker, of_poller) = (Arc::clone(&shared), Arc::clone(&shared));
        let ticker = move || Ticker { shared: Arc::clone(&of_ticker) };
        let poller = move || Poller { shared: Arc::clone(&of_poller) };
        let children = vec![
            ChildSpec::with_mailbox(paths::TICKER.id(), ticker_mailbox, ticker),
            ChildSpec::with_mailbox(paths::POLLER.id(), poller_mailbox, poller),
        ];
        let spec = SupervisorSpec::new(Strategy::OneForOne, children);
        (Self { shared }, ChildSpec::supervisor(paths::REACTOR.id(), spec))
    }

    /// Attaches a client, whose deliveries go to `sink`. The client ends when the handle is dropped.
    pub fn attach(&self, sink: Arc<dyn Sink>) -> Client {
        let id = self.shared.attach(sink);
        Client { id, shared: Arc::clone(&self.shared), caller: ArcSwapOption::empty() }
    }

    /// True while the ticker runs. Between two incarnations of the ticker it is false for a moment.
    pub fn is_running(&self) -> bool {
        self.shared.ticker.is_live()
    }

    /// The present figures.
    pub fn stats(&self) -> ReactorStats {
        let counters = &self.shared.counters;
        ReactorStats {
            clients: self.shared.clients.len(),
            subscriptions: counters.subscriptions.load(Relaxed),
            groups: counters.groups.load(Relaxed),
            system: self.shared.system_stats(),
            ticks: counters.ticks.load(Relaxed),
            application_ticks: counters.application_ticks.load(Relaxed),
            executions: counters.executions.load(Relaxed),
            last_tick: Duration::from_micros(counters.tick_us.load(Relaxed)),
            lag: Duration::from_micros(counters.lag_us.load(Relaxed)),
            lag_age: counters.lag_at.load().as_deref().map(Instant::elapsed),
        }
    }
}

/// The subscriptions of one client. Dropping the handle ends them all.
pub struct Client {
    id: ClientId,
    shared: Arc<ReactorShared>,
    /// The caller of the last subscription. Most clients have one caller for all subscriptions.
    caller: ArcSwapOption<CallerKey>,
}

impl Client {
    /// Subscribes to a query. The result comes with the next tick, and again whenever it has changed. A
    /// subscription of the same `id` is replaced. `version` names the result that the client has kept from
    /// an earlier subscription.
    ///
    /// # Errors
    /// At once, when the handler does not exist or is no query, the caller is not authorized, the arguments
    /// do not fit the handler, or a limit is reached.
    pub fn subscribe(
        &self,
        id: SubscriptionId,
        invocation: Invocation,
        version: Option<Version>,
    ) -> Result<(), Fault> {
        let live = self.shared.executor.functions.prepare_live(&invocation)?;
        let key = self.key(id);
        self.shared.take_place(key, is_system(&invocation.name))?;
        let query = Arc::new(QueryKey { name: invocation.name, args: live.args, refresh: live.refresh });
        let caller = self.caller_key(invocation.caller);
        self.shared.command(ClientCommand::Subscribe { key, query, caller, kept: version });
        Ok(())
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, id: SubscriptionId) {
        let key = self.key(id);
        if self.shared.release_place(key) {
            self.shared.command(ClientCommand::Unsubscribe(key));
        }
    }

    /// Names a committed mutation in `applied` of the first delivery whose snapshot contains its effects. A
    /// mutation that wrote nothing is named in the next delivery.
    pub fn await_commit(&self, mutation: MutationId, receipt: &Receipt) {
        if let Some(client) = self.shared.client(self.id) {
            client.await_commit(AwaitedCommit { mutation, xid: receipt.xid });
            self.shared.command(ClientCommand::AwaitCommits(self.id));
        }
    }

    /// Makes the client another caller: its subscriptions are authorized again, and run as calls of the new
    /// caller. Subscriptions that the new caller may not have get the refusal as their result, and end.
    /// (Sessions reopen their subscriptions instead.)
    pub fn identify(&self, caller: Caller) {
        let caller = self.caller_key(caller);
        self.shared.command(ClientCommand::Identify { client: self.id, caller });
    }

    fn key(&self, id: SubscriptionId) -> SubscriptionKey {
        SubscriptionKey { client: self.id, id }
    }

    fn caller_key(&self, caller: Caller) -> Arc<CallerKey> {
        if let Some(known) = self.caller.load_full().filter(|known| known.caller == caller) {
            return known;
        }
        let key = Arc::new(CallerKey::new(caller));
        self.caller.store(Some(Arc::clone(&key)));
        key
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.detach(self.id);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}
