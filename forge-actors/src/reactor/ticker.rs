//! The `ticker` actor: turns messages into inputs of [`ReactorState`], and carries out the effects that come
//! back. The actor never waits: the database work of a tick runs in tasks beside the actor, whose results
//! come back as messages.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::{Duration, Instant};

use crate::change::{Hint, InterestOf, Tail, Topic, TopicSet};
use crate::db::error::is_stale;
use crate::db::live_snapshot::{ExportedSnapshot, RewrittenRelation};
use crate::kernel::error_chain::error_chain;
use crate::kernel::invocation::is_system;
use crate::supervise::{Actor, ActorError, Context, Timer};

use super::delivery::{Delivery, QueryResult, Tick};
use super::groups::FAILURES_MAX;
use super::messages::{ClientCommand, PollerMessage, TickerMessage};
use super::query_key::{BatchId, CallerKey, ClientId};
use super::relations::Relations;
use super::shared::ReactorShared;
use super::signals;
use super::state::ReactorState;
use super::step::{ReactorEffect, ReactorInput};
use super::tick::{
    FinishedRuns, LOCKED_MAX, LostSnapshot, OpenedTick, RunEnd, RunsReport, SnapshotTransaction,
};
use super::updates::{ClientUpdate, TickUpdates};

/// The least time between two warnings about slow ticks.
const SLOW_TICK_WARNING_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Ticker {
    pub(super) shared: Arc<ReactorShared>,
}

pub(super) struct TickerState {
    reactor: ReactorState,
    timer: Option<Timer>,
    /// `None` while a tick is opening, and after a tick was lost: a new tail reports all tables as changed.
    pub(super) tail: Option<Tail>,
    pub(super) relations: Arc<Relations>,
    /// The open transaction of the tick under way, while no task uses it.
    pub(super) transaction: Option<SnapshotTransaction>,
    /// The snapshot that the tick under way has exported.
    pub(super) exported: Option<Arc<ExportedSnapshot>>,
    /// The tables that the tick under way has locked.
    pub(super) locked: Arc<[RewrittenRelation]>,
    /// What was found rewritten since the snapshot in which it was read: the next tick locks it.
    pub(super) rewritten: Vec<RewrittenRelation>,
    /// The open transactions of batches, while no task uses them.
    pub(super) batches: HashMap<BatchId, SnapshotTransaction>,
    /// The handler and the duration of the longest run in the tick under way.
    slowest: Option<(Arc<str>, Duration)>,
    /// True when a query of the application has run in the tick under way, or runs in its snapshot.
    ran_application: bool,
    /// When a slow tick was last logged.
    slow_tick_logged: Option<Instant>,
}

impl Actor for Ticker {
    type Message = TickerMessage;
    type State = TickerState;
    const KIND: &'static str = "ticker";

    async fn start(&self, cx: &Context<TickerMessage>) -> Result<TickerState, ActorError> {
        let shared = &self.shared;
        // Clients that are attached already have lost the subscriptions that an earlier incarnation of the
        // ticker held.
        let mut awaited = BTreeMap::new();
        // Collected first: a sink is foreign code, which may attach and detach clients.
        let clients: Vec<_> =
            shared.clients.iter().map(|client| (*client.key(), Arc::clone(&client))).collect();
        for (id, client) in clients {
            client.sink.deliver(Delivery::Reset);
            let commits = client.awaited();
            if !commits.is_empty() {
                awaited.insert(id, commits);
            }
        }
        shared.hints.set_interest(InterestOf::LiveQueries, TopicSet::default());
        // The first tick reads all tables, whatever hints say.
        drop(shared.take_hint());
        // Commands may have been left while there was no ticker to wake.
        cx.address().cast(TickerMessage::CommandsLeft)?;
        Ok(TickerState {
            reactor: ReactorState::new(
                shared.executor.config.clone(),
                awaited,
                Tick(shared.counters.last_tick.load(Relaxed)),
            ),
            timer: None,
            tail: None,
            relations: Arc::default(),
            transaction: None,
            exported: None,
            locked: Arc::default(),
            rewritten: Vec::new(),
            batches: HashMap::new(),
            slowest: None,
            ran_application: false,
            slow_tick_logged: None,
        })
    }

    async fn handle(
        &self,
        cx: &Context<TickerMessage>,
        message: TickerMessage,
        state: &mut TickerState,
    ) -> Result<(), ActorError> {
        // Before every message, so that new subscriptions are part of the snapshot that has just been
        // opened, and so that a dropped wake-up costs no more than the time to the next message.
        self.take_commands(cx, state);
        self.take_hint(cx, state);
        match message {
            TickerMessage::CommandsLeft | TickerMessage::Hinted => {}
            TickerMessage::PollDue => self.step(cx, state, ReactorInput::PollDue),
            TickerMessage::TimerFired => self.step(cx, state, ReactorInput::TimerFired),
            TickerMessage::SnapshotOpened(opened) => self.opened(cx, state, *opened),
            TickerMessage::SnapshotExported(exported) => self.exported(cx, state, *exported),
            TickerMessage::RunsFinished(finished) => self.runs_finished(cx, state, *finished),
            TickerMessage::SnapshotClosed => self.step(cx, state, ReactorInput::Closed),
            TickerMessage::BatchOpened(batch, opened) => self.batch_opened(cx, state, batch, *opened),
            TickerMessage::LaneRunFinished(batch, finished) => {
                self.lane_run_finished(cx, state, batch, *finished);
            }
            TickerMessage::BatchClosed(batch) => self.step(cx, state, ReactorInput::BatchClosed(batch)),
        }
        Ok(())
    }
}

/// From messages to inputs.
impl Ticker {
    fn take_commands(&self, cx: &Context<TickerMessage>, state: &mut TickerState) {
        let commands = self.shared.take_commands();
        if commands.is_empty() {
            return;
        }
        for command in commands {
            match command {
                ClientCommand::Subscribe { key, query, caller, kept } => {
                    // A client that is gone has left the command to detach it as well.
                    if self.shared.client(key.client).is_some() {
                        self.step(cx, state, ReactorInput::Subscribe { key, query, caller, kept });
                    }
                }
                ClientCommand::Unsubscribe(key) => self.step(cx, state, ReactorInput::Unsubscribe(key)),
                ClientCommand::AwaitCommits(client) => {
                    if let Some(attached) = self.shared.client(client) {
                        let awaited = attached.awaited();
                        self.step(cx, state, ReactorInput::AwaitCommits { client, awaited });
                    }
                }
                ClientCommand::Identify { client, caller } => self.identify(cx, state, client, caller),
                ClientCommand::Detach(client) => self.step(cx, state, ReactorInput::Detach(client)),
            }
        }
        self.report_sizes();
    }

    /// Authorizes the subscriptions of a client for its new caller.
    fn identify(
        &self,
        cx: &Context<TickerMessage>,
        state: &mut TickerState,
        client: ClientId,
        caller: Arc<CallerKey>,
    ) {
        let mut refused = Vec::new();
        for (key, query) in state.reactor.table.queries_of(client) {
            let invocation = query.invocation(&caller);
            if let Err(fault) = self.shared.executor.functions.prepare_live(&invocation) {
                refused.push((key, Arc::new(QueryResult::new(Err(fault), invocation.trace))));
            }
        }
        self.step(cx, state, ReactorInput::Identify { client, caller, refused });
    }

    fn take_hint(&self, cx: &Context<TickerMessage>, state: &mut TickerState) {
        if let Some(hint) = self.shared.take_hint() {
            self.step(cx, state, ReactorInput::Hinted(hint));
        }
    }

    fn opened(
        &self,
        cx: &Context<TickerMessage>,
        state: &mut TickerState,
        opened: Result<OpenedTick, LostSnapshot>,
    ) {
        match opened {
            Ok(OpenedTick { transaction, locked, tail, changes, relations }) => {
                state.transaction = Some(transaction);
                state.locked = locked.into();
                state.tail = Some(tail);
                if let Some(relations) = relations {
                    state.relations = Arc::new(relations);
                }
                self.step(cx, state, ReactorInput::Opened(changes));
            }
            Err(lost) => self.lost(cx, state, &lost),
        }
    }

    fn exported(
        &self,
        cx: &Context<TickerMessage>,
        state: &mut TickerState,
        exported: Result<(SnapshotTransaction, ExportedSnapshot), LostSnapshot>,
    ) {
        match exported {
            Ok((transaction, snapshot)) => {
                state.transaction = Some(transaction);
                state.exported = Some(Arc::new(snapshot));
                self.step(cx, state, ReactorInput::Exported);
            }
            Err(lost) => self.lost(cx, state, &lost),
        }
    }

    fn runs_finished(
        &self,
        cx: &Context<TickerMessage>,
        state: &mut TickerState,
        finished: Result<FinishedRuns, LostSnapshot>,
    ) {
        match finished {
            Ok(runs) => {
                for run in &runs.report.finished {
                    state.ran_application |= !is_system(&run.handler);
                    if state.slowest.as_ref().is_none_or(|(_, slowest)| *slowest < run.took) {
                        state.slowest = Some((Arc::clone(&run.handler), run.took));
                    }
                }
                let (transaction, report) = self.take_report(state, runs);
                state.transaction = Some(transaction);
                self.step(cx, state, ReactorInput::RunsFinished(report));
            }
            Err(lost) => self.lost(cx, state, &lost),
        }
    }

    fn batch_opened(
        &self,
        cx: &Context<TickerMessage>,
        state: &mut TickerState,
        batch: BatchId,
        opened: Result<SnapshotTransaction, LostSnapshot>,
    ) {
        match opened {
            Ok(transaction) => {
                state.batches.insert(batch, transaction);
                self.step(cx, state, ReactorInput::BatchOpened(batch));
            }
            Err(lost) => self.batch_lost(cx, state, batch, &lost),
        }
    }

    fn lane_run_finished(
        &self,
        cx: &Context<TickerMessage>,
        state: &mut TickerState,
        batch: BatchId,
        finished: Result<FinishedRuns, LostSnapshot>,
    ) {
        match finished {
            Ok(runs) => {
                runs.report.finished.iter().for_each(|run| signals::lane_run(run.took));
                let (transaction, report) = self.take_report(state, runs);
                state.batches.insert(batch, transaction);
                self.step(cx, state, ReactorInput::LaneRunFinished { batch, report });
            }
            Err(lost) => self.batch_lost(cx, state, batch, &lost),
        }
    }

    fn take_report(&self, state: &mut TickerState, runs: FinishedRuns) -> (SnapshotTransaction, RunsReport) {
        let FinishedRuns { transaction, relations, report, rewritten } = runs;
        // A tick may have loaded them anew while the batch was running.
        state.relations = Relations::newer(Arc::clone(&state.relations), relations);
        for run in report.finished.iter().filter(|run| run.end != RunEnd::NoThread) {
            self.shared.counters.executions.fetch_add(1, Relaxed);
            signals::executed(&run.handler);
        }
        if !rewritten.is_empty() {
            tracing::debug!(?rewritten, "tables were rewritten under a live query, which is repeated");
            // Behind what was found now, so that the limit drops what was found before.
            let mut known = std::mem::replace(&mut state.rewritten, rewritten);
            known.retain(|known| state.rewritten.iter().all(|it| it.id != known.id));
            state.rewritten.extend(known);
            state.rewritten.truncate(LOCKED_MAX);
        }
        (transaction, report)
    }

    fn lost(&self, cx: &Context<TickerMessage>, state: &mut TickerState, lost: &LostSnapshot) {
        state.tail = None;
        state.slowest = None;
        state.ran_application = false;
        signals::tick_failed();
        let (fault, failures) = (&lost.fault, state.reactor.failures());
        let error = error_chain(fault);
        if fault.source().and_then(|source| source.downcast_ref()).is_some_and(is_stale) {
            // The next tick takes a session that knows the new definitions.
            tracing::debug!(error, "the schema changed during a tick, which is repeated");
        } else if failures == 0 {
            // Logged once for an outage, whose course the database monitor logs.
            tracing::warn!(error, "live query tick failed; retrying");
        } else {
            tracing::debug!(error, failures, "live query tick failed again; retrying");
        }
        self.step(cx, state, ReactorInput::Lost { during: lost.during, jitter: fastrand::f64() });
    }

    fn batch_lost(
        &self,
        cx: &Context<TickerMessage>,
        state: &mut TickerState,
        batch: BatchId,
        lost: &LostSnapshot,
    ) {
        state.batches.remove(&batch);
        // The database monitor logs an outage, and the tick that meets the same one as well.
        let error = error_chain(&lost.fault);
        tracing::debug!(error, "a batch of live queries in a lane failed; retrying");
        let (during, jitter) = (lost.during, fastrand::f64());
        self.step(cx, state, ReactorInput::BatchLost { batch, during, jitter });
    }
}

/// From effects to actions.
impl Ticker {
    fn step(&self, cx: &Context<TickerMessage>, state: &mut TickerState, input: ReactorInput) {
        let effects = state.reactor.step(Instant::now(), input);
        // Before the deliveries, so that a client that gets a result finds it in the statistics.
        let table = &state.reactor.table;
        self.shared.counters.groups.store(table.groups.len(), Relaxed);
        self.shared.counters.system_groups.store(table.system_groups, Relaxed);
        for effect in effects {
            self.carry_out(cx, state, effect);
        }
    }

    fn carry_out(&self, cx: &Context<TickerMessage>, state: &mut TickerState, effect: ReactorEffect) {
        match effect {
            ReactorEffect::OpenSnapshot { reload_relations } => {
                self.open_snapshot(cx, state, reload_relations)
            }
            ReactorEffect::ExportSnapshot => self.export_snapshot(cx, state),
            ReactorEffect::RunQueries(runs) => self.run_queries(cx, state, runs),
            ReactorEffect::OpenBatch(batch) => {
                state.ran_application |= state.reactor.table.runs_application(batch);
                self.open_batch(cx, state, batch);
            }
            ReactorEffect::RunInLane { batch, run } => self.run_in_lane(cx, state, batch, run),
            ReactorEffect::CloseBatch(batch) => self.close_batch(cx, state, batch),
            ReactorEffect::Publish { updates, began, hinted } => self.publish(state, updates, began, hinted),
            ReactorEffect::CloseSnapshot => self.close_snapshot(cx, state),
            ReactorEffect::EndTick { polled, found } => {
                self.shared.poller.notify(PollerMessage::TickEnded { polled, found });
            }
            ReactorEffect::Deliver(updates) => self.deliver(updates),
            ReactorEffect::Release(ended) => {
                for key in ended {
                    self.shared.release_place(key);
                }
            }
            ReactorEffect::DeclareInterest(tables) => {
                self.shared.hints.set_interest(InterestOf::LiveQueries, tables.into_iter().collect());
            }
            ReactorEffect::PublishDefinitions => self.shared.hints.publish(Hint::of([Topic::Definitions])),
            ReactorEffect::SetTimer(at) => {
                let pause = at.saturating_duration_since(Instant::now());
                state.timer = Some(cx.send_after(pause, TickerMessage::TimerFired));
            }
            ReactorEffect::LogError { handler, result } => result.log_error(&handler),
            ReactorEffect::LogSuspended { handler } => tracing::error!(
                %handler,
                "live query suspended: it broke its database session {FAILURES_MAX} times in a row"
            ),
            ReactorEffect::LogSlow { handler, took, anonymous } => {
                signals::log_slow(&handler, took, anonymous)
            }
            ReactorEffect::WarnUntracked { handler, relation } => {
                signals::warn_untracked(&handler, &relation, self.shared.executor.config.uncaptured_refresh);
            }
        }
    }

    fn publish(
        &self,
        state: &mut TickerState,
        updates: TickUpdates,
        began: Instant,
        hinted: Option<Instant>,
    ) {
        let counters = &self.shared.counters;
        counters.ticks.fetch_add(1, AcqRel);
        // Before the deliveries, like the sizes: who gets a result finds its tick in the statistics.
        let of_application = std::mem::take(&mut state.ran_application);
        counters.application_ticks.fetch_add(u64::from(of_application), Relaxed);
        self.report_sizes();
        let table = &state.reactor.table;
        signals::lanes(table.lanes.waiting(), table.frozen.len());
        self.deliver(updates);
        let (took, lag) = (began.elapsed(), hinted.map(|hinted| hinted.elapsed()));
        let slow = took > self.shared.executor.config.tick_budget;
        signals::tick_succeeded(took, lag, slow);
        if of_application {
            counters.tick_us.store(micros(took), Relaxed);
            if let Some(lag) = lag {
                counters.lag_us.store(micros(lag), Relaxed);
                counters.lag_at.store(Some(Arc::new(Instant::now())));
            }
        }
        let slowest = state.slowest.take();
        if slow && state.slow_tick_logged.is_none_or(|last| last.elapsed() > SLOW_TICK_WARNING_EVERY) {
            state.slow_tick_logged = Some(Instant::now());
            signals::log_slow_tick(took, slowest);
        }
    }

    fn report_sizes(&self) {
        let counters = &self.shared.counters;
        let (subscriptions, groups) = (&counters.subscriptions, &counters.groups);
        let result_bytes = self.shared.executor.results.used();
        signals::sizes(subscriptions.load(Relaxed), groups.load(Relaxed), result_bytes);
    }

    fn deliver(&self, updates: TickUpdates) {
        signals::delivered(updates.clients.iter().map(|update| update.modifications.len()).sum());
        signals::resumed(updates.resumed_unchanged, updates.resumed_changed);
        for update in updates.clients {
            self.shared.counters.last_tick.fetch_max(update.tick.0, Relaxed);
            let Some(client) = self.shared.client(update.client) else { continue };
            let ClientUpdate { tick, modifications, applied, .. } = update;
            if !applied.is_empty() {
                client.remove_awaited(&applied);
            }
            client.sink.deliver(Delivery::Advanced { tick, mods: modifications, applied });
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
