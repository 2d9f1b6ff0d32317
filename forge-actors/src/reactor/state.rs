//! The decisions of the reactor, as `step(state, input) -> effects`. Pure: no clock, no database, no actor.
//!
//! ```text
//!   Idle ──requested──▶ Opening ──opened──▶ Running ──finished──▶ Closing ──closed──▶ Idle
//!     ▲                    │                 │   ▲  │
//!     │                    │                 │   └──┘ a query was split
//!     └───── backoff ◀─────┴──────lost───────┘
//! ```
//!
//! When a run has split a query, the new groups run in the same snapshot before anything is published.
//!
//! The ticker feeds inputs and carries out the effects in their order. A tick that finds nothing to run goes
//! from Opening to Closing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use crate::change::{Batch, Changed};
use crate::kernel::commit::{Snapshot, TableId};

use super::config::ReactivityConfig;
use super::delivery::{AwaitedCommit, Modification, MutationId, QueryResult, Version};
use super::groups::{AppliedResult, SubscriptionTable};
use super::pace::Pace;
use super::query_key::{CallerKey, ClientId, GroupId, QueryKey, SubscriptionKey};
use super::relations::Untracked;
use super::tick::{FinishedRun, QueryRun};
use super::updates::{ClientUpdate, TickUpdates};

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
    Opened(Batch),
    /// Queries have run in the snapshot.
    RunsFinished(Vec<FinishedRun>),
    /// The snapshot is closed.
    Closed,
    /// The snapshot was lost, `during` a run of this group. `jitter` is uniform in `0.0..1.0`.
    Lost {
        during: Option<GroupId>,
        jitter: f64,
    },
}

/// What the ticker has to do.
#[derive(Debug)]
pub(super) enum ReactorEffect {
    /// Open a snapshot and read the changes in it; load the relations when `reload_relations` is set.
    OpenSnapshot { reload_relations: bool },
    /// Run these queries in the open snapshot.
    RunQueries(Vec<QueryRun>),
    /// Deliver the results of the tick that began at `began`. The first hint that it answers arrived at
    /// `hinted`.
    Publish { updates: TickUpdates, began: Instant, hinted: Option<Instant> },
    /// Close the snapshot.
    CloseSnapshot,
    /// Tell the poller that a tick ended.
    EndTick { polled: bool, found: bool },
    /// Deliver to one client outside of a tick.
    Deliver(ClientUpdate),
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
    /// Log that a handler's query reads a relation whose changes are not reported.
    WarnUntracked { handler: Arc<str>, relation: Untracked },
}

/// The subscriptions of a node, and the tick that is under way.
#[derive(Debug)]
pub(super) struct ReactorState {
    pub(super) table: SubscriptionTable,
    config: ReactivityConfig,
    pace: Pace,
    phase: TickPhase,
    /// The snapshot that was published last.
    published: Option<Snapshot>,
    /// Mutations that clients await.
    awaited: BTreeMap<ClientId, Vec<AwaitedCommit>>,
    /// Hints since the last tick began, as far as they may concern a live query.
    hint: Option<PendingHint>,
    /// True when a poll has requested the next tick.
    polled: bool,
    /// Relations that the log was warned of.
    warned: BTreeSet<Untracked>,
    /// The time that the ticker's timer is set to.
    timer: Option<Instant>,
}

#[derive(Debug)]
enum TickPhase {
    Idle,
    Opening(TickCause),
    Running {
        cause: TickCause,
        snapshot: Snapshot,
        /// True when there were changes that concern live queries.
        found: bool,
    },
    Closing {
        polled: bool,
        found: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct TickCause {
    began: Instant,
    /// True when only a poll has caused the tick.
    polled: bool,
    /// When the first hint arrived that has caused the tick.
    hinted: Option<Instant>,
}

impl ReactorState {
    /// A state without subscriptions. `awaited` are the mutations that clients of a former incarnation
    /// await.
    pub(super) fn new(config: ReactivityConfig, awaited: BTreeMap<ClientId, Vec<AwaitedCommit>>) -> Self {
        Self {
            table: SubscriptionTable::default(),
            pace: Pace::new(config.tick_min),
            config,
            phase: TickPhase::Idle,
            published: None,
            awaited,
            hint: None,
            polled: false,
            warned: BTreeSet::new(),
            timer: None,
        }
    }

    /// Takes an input, and returns what has to be done because of it.
    pub(super) fn step(&mut self, now: Instant, input: ReactorInput) -> Vec<ReactorEffect> {
        let mut effects = Vec::new();
        match input {
            ReactorInput::Subscribe { key, query, caller, kept } => {
                self.table.subscribe(key, query, caller, kept);
                self.pace.request();
            }
            ReactorInput::Unsubscribe(key) => drop(self.table.unsubscribe(key)),
            ReactorInput::AwaitCommits { client, awaited } => {
                self.await_commits(client, awaited, &mut effects)
            }
            ReactorInput::Identify { client, caller, refused } => {
                self.identify(client, &caller, refused, &mut effects);
            }
            ReactorInput::Detach(client) => {
                self.table.detach(client);
                self.awaited.remove(&client);
            }
            ReactorInput::Hinted(hint) => self.hinted(hint),
            ReactorInput::PollDue => self.poll_due(),
            ReactorInput::TimerFired => self.timer = None,
            ReactorInput::Opened(batch) => self.opened(now, batch, &mut effects),
            ReactorInput::RunsFinished(finished) => self.runs_finished(now, finished, &mut effects),
            ReactorInput::Closed => self.closed(&mut effects),
            ReactorInput::Lost { during, jitter } => self.lost(now, during, jitter, &mut effects),
        }
        self.start_tick(now, &mut effects);
        effects
    }

    /// Ticks that were lost in a row.
    pub(super) fn failures(&self) -> u32 {
        self.pace.failures()
    }

    fn is_idle(&self) -> bool {
        matches!(self.phase, TickPhase::Idle)
    }

    fn hinted(&mut self, hint: PendingHint) {
        // What the queries of a tick under way read is known when it has ended; `closed` decides then.
        if self.is_idle() {
            if !self.table.concerns(&hint.tables) {
                return;
            }
            self.pace.request();
        }
        match &mut self.hint {
            Some(pending) => pending.merge(hint),
            None => self.hint = Some(hint),
        }
    }

    fn poll_due(&mut self) {
        // A tick under way sees whatever this poll would see.
        if self.is_idle() && !self.table.groups.is_empty() {
            self.polled = true;
            self.pace.request();
        }
    }

    /// Starts a tick when one is requested and may start, or sets the timer for it.
    fn start_tick(&mut self, now: Instant, effects: &mut Vec<ReactorEffect>) {
        if !self.is_idle() {
            return;
        }
        let due = self.table.next_due();
        if due.is_some_and(|due| due <= now) {
            self.pace.request();
        }
        if self.pace.start(now) {
            let hinted = self.hint.take().map(|hint| hint.first);
            let polled = std::mem::take(&mut self.polled) && hinted.is_none();
            self.phase = TickPhase::Opening(TickCause { began: now, polled, hinted });
            // Only the list of relations shows that the capture of a table was enabled.
            let reload_relations = self.table.is_untracked_due(now);
            effects.push(ReactorEffect::OpenSnapshot { reload_relations });
            return;
        }
        let Some(wake) = self.pace.starts_at().or(due) else { return };
        if self.timer.is_none_or(|timer| wake < timer) {
            self.timer = Some(wake);
            effects.push(ReactorEffect::SetTimer(wake));
        }
    }

    fn opened(&mut self, now: Instant, batch: Batch, effects: &mut Vec<ReactorEffect>) {
        let TickPhase::Opening(cause) = self.phase else { return };
        let found = match &batch.changed {
            Changed::Everything => {
                self.table.mark_all();
                effects.push(ReactorEffect::PublishDefinitions);
                true
            }
            Changed::Tables(tables) => {
                let found = self.table.concerns(tables);
                self.table.mark(tables);
                found
            }
        };
        self.table.mark_due(now);
        self.phase = TickPhase::Running { cause, snapshot: batch.snapshot, found };
        let runs = self.table.runs();
        self.run_or_publish(runs, effects);
    }

    fn runs_finished(&mut self, now: Instant, finished: Vec<FinishedRun>, effects: &mut Vec<ReactorEffect>) {
        let mut split: Vec<GroupId> = Vec::new();
        for run in finished {
            self.warn_untracked(&run, effects);
            let AppliedResult { changed, split: groups } = self.table.apply_result(run, now, &self.config);
            self.log_error(changed, effects);
            split.extend(groups);
        }
        let runs = self.table.runs_of(&split);
        self.run_or_publish(runs, effects);
    }

    fn run_or_publish(&mut self, runs: Vec<QueryRun>, effects: &mut Vec<ReactorEffect>) {
        if runs.is_empty() { self.publish(effects) } else { effects.push(ReactorEffect::RunQueries(runs)) }
    }

    fn publish(&mut self, effects: &mut Vec<ReactorEffect>) {
        let TickPhase::Running { cause, snapshot, found } =
            std::mem::replace(&mut self.phase, TickPhase::Idle)
        else {
            return;
        };
        self.phase = TickPhase::Closing { polled: cause.polled, found };
        self.published = Some(snapshot);
        let inconsistent = self.table.inconsistent_clients();
        let mut updates = self.table.take_updates(&inconsistent);
        self.add_applied(&inconsistent, &mut updates);
        if !updates.ended.is_empty() {
            effects.push(ReactorEffect::Release(std::mem::take(&mut updates.ended)));
        }
        let hinted = cause.hinted.filter(|_| found);
        effects.push(ReactorEffect::Publish { updates, began: cause.began, hinted });
        effects.extend(self.table.reads.take_changed_tables().map(ReactorEffect::DeclareInterest));
        effects.push(ReactorEffect::CloseSnapshot);
    }

    fn closed(&mut self, effects: &mut Vec<ReactorEffect>) {
        let TickPhase::Closing { polled, found } = self.phase else { return };
        self.phase = TickPhase::Idle;
        self.pace.succeeded();
        effects.push(ReactorEffect::EndTick { polled, found });
        self.hint.take_if(|hint| !self.table.concerns(&hint.tables));
        // Groups that were joined while the tick ran, and commits that its snapshot does not contain.
        if self.hint.is_some() || self.table.has_stale_groups() || !self.awaited.is_empty() {
            self.pace.request();
        }
    }

    fn lost(&mut self, now: Instant, during: Option<GroupId>, jitter: f64, effects: &mut Vec<ReactorEffect>) {
        self.phase = TickPhase::Idle;
        self.pace.failed(now, jitter);
        let Some(group) = during else { return };
        let Some(AppliedResult { changed, .. }) = self.table.session_broke(group, now, &self.config) else {
            return;
        };
        if let Some(group) = self.table.groups.get(&group) {
            effects.push(ReactorEffect::LogSuspended { handler: Arc::clone(&group.query.name) });
        }
        self.log_error(changed, effects);
    }

    fn log_error(&self, changed: Option<GroupId>, effects: &mut Vec<ReactorEffect>) {
        let Some(group) = changed.and_then(|id| self.table.groups.get(&id)) else { return };
        if let Some(result) = group.result.as_ref().filter(|result| result.outcome.is_err()) {
            let (handler, result) = (Arc::clone(&group.query.name), Arc::clone(result));
            effects.push(ReactorEffect::LogError { handler, result });
        }
    }

    fn warn_untracked(&mut self, run: &FinishedRun, effects: &mut Vec<ReactorEffect>) {
        let Some(group) = self.table.groups.get(&run.group) else { return };
        // A handler with a refresh interval of its own expects that changes are not reported.
        for relation in run.reads.untracked.iter().filter(|_| group.query.refresh.is_none()) {
            if self.warned.insert(Untracked::clone(relation)) {
                let (handler, relation) = (Arc::clone(&group.query.name), Untracked::clone(relation));
                effects.push(ReactorEffect::WarnUntracked { handler, relation });
            }
        }
    }
}

/// What clients ask for beside subscriptions.
impl ReactorState {
    fn await_commits(
        &mut self,
        client: ClientId,
        awaited: Vec<AwaitedCommit>,
        effects: &mut Vec<ReactorEffect>,
    ) {
        self.awaited.insert(client, awaited);
        if self.table.is_up_to_date(client) {
            // A client without subscriptions has no results that could lack the effects.
            let applied = if self.table.has_subscriptions(client) {
                self.take_applied(client)
            } else {
                self.awaited.remove(&client).into_iter().flatten().map(|commit| commit.mutation).collect()
            };
            if !applied.is_empty() {
                effects.push(ReactorEffect::Deliver(ClientUpdate {
                    client,
                    modifications: Vec::new(),
                    applied,
                }));
            }
        }
        if self.awaited.get(&client).is_some_and(Vec::is_empty) {
            self.awaited.remove(&client);
        }
        if self.awaited.contains_key(&client) {
            self.pace.request();
        }
    }

    /// Takes the awaited mutations of `client` whose effects the published snapshot contains, in their
    /// order.
    fn take_applied(&mut self, client: ClientId) -> Vec<MutationId> {
        let Some(awaited) = self.awaited.get_mut(&client) else { return Vec::new() };
        let contains = |xid| self.published.as_ref().is_some_and(|snapshot| snapshot.contains(xid));
        let applied = awaited.extract_if(.., |commit| commit.xid.is_none_or(contains));
        applied.map(|commit| commit.mutation).collect()
    }

    /// Adds the applied mutations of all clients that are not `inconsistent`.
    fn add_applied(&mut self, inconsistent: &HashSet<ClientId>, updates: &mut TickUpdates) {
        let clients: Vec<ClientId> =
            self.awaited.keys().filter(|client| !inconsistent.contains(client)).copied().collect();
        let with_results = updates.clients.len();
        for client in clients {
            let applied = self.take_applied(client);
            if applied.is_empty() {
                continue;
            }
            match updates.clients[..with_results].binary_search_by_key(&client, |update| update.client) {
                Ok(at) => updates.clients[at].applied = applied,
                Err(_) => {
                    updates.clients.push(ClientUpdate { client, modifications: Vec::new(), applied });
                }
            }
        }
        self.awaited.retain(|_, awaited| !awaited.is_empty());
    }

    fn identify(
        &mut self,
        client: ClientId,
        caller: &Arc<CallerKey>,
        refused: Vec<(SubscriptionKey, Arc<QueryResult>)>,
        effects: &mut Vec<ReactorEffect>,
    ) {
        let mut modifications = Vec::with_capacity(refused.len());
        let mut ended = Vec::with_capacity(refused.len());
        for (key, result) in refused {
            if let Some(subscription) = self.table.unsubscribe(key) {
                let handler = Arc::clone(&subscription.query.name);
                effects.push(ReactorEffect::LogError { handler, result: Arc::clone(&result) });
                modifications.push(Modification { subscription: key.id, result });
                ended.push(key);
            }
        }
        self.table.identify(client, caller);
        if !ended.is_empty() {
            effects.push(ReactorEffect::Release(ended));
            effects.push(ReactorEffect::Deliver(ClientUpdate { client, modifications, applied: Vec::new() }));
        }
        self.pace.request();
    }
}
