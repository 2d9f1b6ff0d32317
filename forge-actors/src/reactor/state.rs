//! The decisions of the reactor, as `step(state, input) -> effects`. Pure: no clock, no database, no actor.
//!
//! ```text
//!   Idle ──requested──▶ Opening ──opened──▶ Running ──finished──▶ Importing ──▶ Closing ──closed──▶ Idle
//!     ▲                    │  └─▶ Exporting ──▲  ▲  │
//!     │                    │          │      │  └──┘ a query was split, or others wait for a lock
//!     └───── backoff ◀─────┴─────lost─┴──────┘
//! ```
//!
//! When a run has split a query, the new groups run in the same snapshot before anything is published. A tick
//! exports its snapshot when batches start in it, and stays open until they have imported it. What batches do
//! is in `lane_runs.rs`, what clients ask for beside subscriptions in `requests.rs`.
//!
//! The ticker feeds inputs and carries out the effects in their order. A tick that finds nothing to run goes
//! from Opening to Closing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::change::{ChangeSet, Changed};
use crate::kernel::commit::Snapshot;
use crate::kernel::time::minutes;

use super::config::ReactivityConfig;
use super::delivery::{AwaitedCommit, Tick};
use super::group::{GroupPhase, RunPlacement};
use super::groups::{AppliedResult, SubscriptionTable};
use super::lanes::BatchPhase;
use super::pace::Pace;
use super::query_key::{ClientId, GroupId, SubscriptionKey};
use super::relations::Untracked;
use super::step::{PendingHint, ReactorEffect, ReactorInput};
use super::tick::{FinishedRun, QueryRun, RunEnd, RunsReport};

/// The least time between two log lines about the slow query of one handler.
const SLOW_LOG_EVERY: Duration = minutes(1);

/// The subscriptions of a node, and the tick that is under way.
#[derive(Debug)]
pub(super) struct ReactorState {
    pub(super) table: SubscriptionTable,
    pub(super) config: ReactivityConfig,
    pub(super) pace: Pace,
    phase: TickPhase,
    /// The number of the tick that was opened last.
    opened: Tick,
    /// The tick and the snapshot that were published last.
    pub(super) published: Option<(Tick, Arc<Snapshot>)>,
    /// Mutations that clients await.
    pub(super) awaited: BTreeMap<ClientId, Vec<AwaitedCommit>>,
    /// Hints since the last tick began, as far as they may concern a live query.
    hint: Option<PendingHint>,
    /// True when a poll has requested the next tick.
    polled: bool,
    /// Relations that the log has a warning about.
    warned: BTreeSet<Untracked>,
    /// When the log last named a handler for a slow query.
    slow_logged: HashMap<Arc<str>, Instant>,
    /// The time that the ticker's timer is set to.
    timer: Option<Instant>,
}

#[derive(Debug)]
enum TickPhase {
    Idle,
    Opening(TickCause),
    Exporting(OpenTick),
    Running(OpenTick),
    Importing { polled: bool, found: bool },
    Closing { polled: bool, found: bool },
}

/// A tick whose snapshot is open and not published.
#[derive(Debug)]
struct OpenTick {
    cause: TickCause,
    snapshot: Arc<Snapshot>,
    /// True when there were changes that concern live queries.
    found: bool,
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
    /// A state without subscriptions. `awaited` are the mutations that clients of a former incarnation await,
    /// and `last` is the last tick that it delivered.
    pub(super) fn new(
        config: ReactivityConfig,
        awaited: BTreeMap<ClientId, Vec<AwaitedCommit>>,
        last: Tick,
    ) -> Self {
        Self {
            table: SubscriptionTable::new(config.lanes_max),
            pace: Pace::new(config.tick_min),
            config,
            phase: TickPhase::Idle,
            opened: last,
            published: None,
            awaited,
            hint: None,
            polled: false,
            warned: BTreeSet::new(),
            slow_logged: HashMap::new(),
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
            ReactorInput::Unsubscribe(key) => self.unsubscribe(key),
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
            ReactorInput::Opened(changes) => self.opened(now, changes, &mut effects),
            ReactorInput::Exported => self.exported(&mut effects),
            ReactorInput::RunsFinished(report) => self.runs_finished(now, report, &mut effects),
            ReactorInput::Closed => self.closed(&mut effects),
            ReactorInput::Lost { during, jitter } => self.lost(now, during, jitter, &mut effects),
            ReactorInput::BatchOpened(batch) => self.batch_opened(now, batch, &mut effects),
            ReactorInput::LaneRunFinished { batch, report } => {
                self.lane_run_finished(now, batch, report, &mut effects);
            }
            ReactorInput::BatchClosed(batch) => self.batch_closed(batch),
            ReactorInput::BatchLost { batch, during, jitter } => {
                self.batch_lost(now, batch, during, jitter, &mut effects);
            }
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

    /// True when results are valid in a snapshot that is not published yet.
    pub(super) fn is_publishing_later(&self) -> bool {
        matches!(self.phase, TickPhase::Exporting(_) | TickPhase::Running(_))
    }

    fn unsubscribe(&mut self, key: SubscriptionKey) {
        self.table.unsubscribe(key);
        // It may have held the others up.
        if self.table.has_undelivered(key.client) {
            self.pace.request();
        }
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
        if due.is_some_and(|due| due <= now) || self.table.may_start_batch(now) {
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
        let retry = self.table.lanes.retry_at(now);
        let Some(wake) = self.pace.starts_at().or(due).into_iter().chain(retry).min() else { return };
        if self.timer.is_none_or(|timer| wake < timer) {
            self.timer = Some(wake);
            effects.push(ReactorEffect::SetTimer(wake));
        }
    }

    fn opened(&mut self, now: Instant, changes: ChangeSet, effects: &mut Vec<ReactorEffect>) {
        let TickPhase::Opening(cause) = self.phase else { return };
        let found = match &changes.changed {
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
        self.table.lanes.note_changes(&changes.changed);
        self.opened = Tick(self.opened.0 + 1);
        let snapshot = Arc::new(changes.snapshot);
        let exports = self.table.start_batches(self.opened, &snapshot, now);
        let tick = OpenTick { cause, snapshot, found };
        if exports {
            self.phase = TickPhase::Exporting(tick);
            effects.push(ReactorEffect::ExportSnapshot);
        } else {
            self.phase = TickPhase::Running(tick);
            let runs = self.table.runs();
            self.run_or_publish(runs, effects);
        }
    }

    fn exported(&mut self, effects: &mut Vec<ReactorEffect>) {
        let TickPhase::Exporting(tick) = std::mem::replace(&mut self.phase, TickPhase::Idle) else { return };
        self.phase = TickPhase::Running(tick);
        for (id, batch) in &mut self.table.lanes.batches {
            if batch.phase == BatchPhase::Chosen {
                batch.phase = BatchPhase::Importing;
                effects.push(ReactorEffect::OpenBatch(*id));
            }
        }
        let runs = self.table.runs();
        self.run_or_publish(runs, effects);
    }

    fn runs_finished(&mut self, now: Instant, report: RunsReport, effects: &mut Vec<ReactorEffect>) {
        // Those that have not run go on in the same snapshot, unless they read what is locked.
        let mut runs = report.unrun;
        let mut finished = report.finished;
        finished.extend(self.table.locked_runs(&report.locked, &runs));
        for run in finished {
            self.warn_untracked(&run, effects);
            self.note_slow(&run, now, effects);
            match run.end {
                // In a lane the run may wait for longer.
                RunEnd::Locked | RunEnd::TimedOut if self.table.lanes.exist() => {
                    self.table.move_to_lane(run.group)
                }
                // A run in a lane may wait for a thread for longer. The placement stays: the run says nothing
                // about how long the query takes.
                RunEnd::NoThread if self.table.lanes.exist() => {
                    self.table.set_phase(run.group, GroupPhase::Waiting);
                }
                // The group stays stale, and runs in the next tick.
                RunEnd::Torn => {}
                RunEnd::Whole | RunEnd::Locked | RunEnd::TimedOut | RunEnd::NoThread => {
                    self.apply(run, now, &mut runs, effects)
                }
            }
        }
        let runs = self.table.runs_of(&runs);
        self.run_or_publish(runs, effects);
    }

    /// Stores the result of a run in the tick. The groups of a query that the run splits are added to `runs`.
    fn apply(
        &mut self,
        run: FinishedRun,
        now: Instant,
        runs: &mut Vec<GroupId>,
        effects: &mut Vec<ReactorEffect>,
    ) {
        let AppliedResult { group, changed, split } = self.table.apply_result(run, now, &self.config);
        self.log_error(group.filter(|_| changed), effects);
        self.table.set_stale(&split);
        runs.extend(split);
    }

    fn run_or_publish(&mut self, runs: Vec<QueryRun>, effects: &mut Vec<ReactorEffect>) {
        if runs.is_empty() { self.publish(effects) } else { effects.push(ReactorEffect::RunQueries(runs)) }
    }

    fn publish(&mut self, effects: &mut Vec<ReactorEffect>) {
        let TickPhase::Running(tick) = std::mem::replace(&mut self.phase, TickPhase::Idle) else { return };
        let OpenTick { cause, snapshot, found } = tick;
        self.phase = TickPhase::Importing { polled: cause.polled, found };
        self.published = Some((self.opened, snapshot));
        let mut updates = self.table.take_updates(self.opened);
        self.table.freeze_transitions(self.opened);
        self.add_applied(&mut updates);
        if !updates.ended.is_empty() {
            effects.push(ReactorEffect::Release(std::mem::take(&mut updates.ended)));
        }
        let hinted = cause.hinted.filter(|_| found);
        effects.push(ReactorEffect::Publish { updates, began: cause.began, hinted });
        effects.extend(self.table.reads.take_changed_tables().map(ReactorEffect::DeclareInterest));
        self.close_once_imported(effects);
    }

    /// Closes the published snapshot, unless a batch still imports it.
    pub(super) fn close_once_imported(&mut self, effects: &mut Vec<ReactorEffect>) {
        let TickPhase::Importing { polled, found } = self.phase else { return };
        if !self.table.lanes.is_importing() {
            self.phase = TickPhase::Closing { polled, found };
            effects.push(ReactorEffect::CloseSnapshot);
        }
    }

    fn closed(&mut self, effects: &mut Vec<ReactorEffect>) {
        let TickPhase::Closing { polled, found } = self.phase else { return };
        self.phase = TickPhase::Idle;
        self.pace.succeeded();
        effects.push(ReactorEffect::EndTick { polled, found });
        self.hint.take_if(|hint| !self.table.concerns(&hint.tables));
        // Groups that were joined while the tick ran, and commits that its snapshot does not contain.
        if self.hint.is_some() || self.table.has_stale_groups() || self.awaits_snapshot() {
            self.pace.request();
        }
    }

    fn lost(&mut self, now: Instant, during: Option<GroupId>, jitter: f64, effects: &mut Vec<ReactorEffect>) {
        self.phase = TickPhase::Idle;
        self.pace.failed(now, jitter);
        // The next tick reads with a new tail. Until then, no result of the lost tick counts as one of the
        // published snapshot.
        self.table.mark_all();
        self.table.lanes.note_changes(&Changed::Everything);
        for batch in self.table.lanes.in_phase(BatchPhase::Chosen) {
            self.table.end_batch(batch);
        }
        self.session_broke(now, during, effects);
    }

    /// Notes that a session broke during a run of a group.
    pub(super) fn session_broke(
        &mut self,
        now: Instant,
        during: Option<GroupId>,
        effects: &mut Vec<ReactorEffect>,
    ) {
        let Some(id) = during else { return };
        let Some(AppliedResult { changed, .. }) = self.table.session_broke(id, now, &self.config) else {
            return;
        };
        if let Some(group) = self.table.groups.get(&id) {
            effects.push(ReactorEffect::LogSuspended { handler: Arc::clone(&group.query.name) });
        }
        self.log_error(changed.then_some(id), effects);
    }

    pub(super) fn log_error(&self, changed: Option<GroupId>, effects: &mut Vec<ReactorEffect>) {
        let Some(group) = changed.and_then(|id| self.table.groups.get(&id)) else { return };
        if let Some(result) = group.result.as_ref().filter(|result| result.outcome.is_err()) {
            let (handler, result) = (Arc::clone(&group.query.name), Arc::clone(result));
            effects.push(ReactorEffect::LogError { handler, result });
        }
    }

    /// Logs the handler of a query that has become slow, at most once a minute.
    pub(super) fn note_slow(&mut self, run: &FinishedRun, now: Instant, effects: &mut Vec<ReactorEffect>) {
        let Some(group) = self.table.groups.get(&run.group) else { return };
        let is_slow = match run.end {
            RunEnd::TimedOut => true,
            RunEnd::Whole => self.table.lanes.exist() && run.took >= self.config.slow_after,
            RunEnd::Torn | RunEnd::Locked | RunEnd::NoThread => false,
        };
        if !is_slow || group.placement == RunPlacement::Slow {
            return;
        }
        let last = self.slow_logged.get(&run.handler);
        if last.is_none_or(|last| now.saturating_duration_since(*last) >= SLOW_LOG_EVERY) {
            self.slow_logged.insert(Arc::clone(&run.handler), now);
            let anonymous = group.caller.caller.identity.is_none();
            let handler = Arc::clone(&run.handler);
            effects.push(ReactorEffect::LogSlow { handler, took: run.took, anonymous });
        }
    }

    pub(super) fn warn_untracked(&mut self, run: &FinishedRun, effects: &mut Vec<ReactorEffect>) {
        let Some(group) = self.table.groups.get(&run.group) else { return };
        // A handler with a refresh interval of its own expects that changes are not reported.
        for relation in run.reads.untracked.iter().filter(|_| group.query.refresh.is_none()) {
            if self.warned.insert(relation.clone()) {
                let (handler, relation) = (Arc::clone(&group.query.name), relation.clone());
                effects.push(ReactorEffect::WarnUntracked { handler, relation });
            }
        }
    }
}
