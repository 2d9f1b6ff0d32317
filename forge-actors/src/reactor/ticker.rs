//! The `ticker` actor: owns questions, groups and subscriptions, and takes ticks through their steps. It
//! waits for nothing: what a tick does in the database runs beside it and comes back as a message.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::{Duration, Instant};

use crate::change::{Changed, Hint, Tail, Topic, TopicKind, TopicSet};
use crate::db::error::is_stale;
use crate::kernel::commit::Snapshot;
use crate::kernel::fault::Fault;
use crate::kernel::time::format_duration;
use crate::supervise::{Actor, ActorError, Context, Timer};

use super::messages::{Delivery, Modification, MutationId, QueryResult, Tick};
use super::node::{Heard, Node, Order};
use super::pace::Pace;
use super::poller::PollerMessage;
use super::question::{ClientId, GroupId, Live, Persona, Place};
use super::relations::{Blind, Relations};
use super::signals;
use super::table::Table;
use super::tick::{self, Lost, Open, Ran, Round, Run, Stage};

/// Between two complaints about slow ticks.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// What the ticker receives.
#[derive(forge_app_macros::Message)]
pub(super) enum TickerMessage {
    /// Clients have left orders.
    Look,
    /// Something was committed.
    Heard,
    /// There may be changes that nobody announced.
    Poll,
    /// The timer has fired.
    Due,
    /// A snapshot is open.
    Opened(Box<Result<Open, Lost>>),
    /// Queries have run.
    Ran(Box<Result<Round, Lost>>),
    /// The snapshot's session is back.
    Closed,
}

pub(super) struct Ticker {
    pub(super) node: Arc<Node>,
}

pub(super) struct TickerState {
    table: Table,
    pace: Pace,
    timer: Option<(Instant, Timer)>,
    /// Missing while a tick has it, and after one was lost: a new one reports everything as changed.
    tail: Option<Tail>,
    relations: Arc<Relations>,
    tick: Progress,
    /// The last one that was told.
    snapshot: Option<Snapshot>,
    /// Clients that wait for mutations.
    awaiting: HashSet<ClientId>,
    /// What was announced since the last tick began, if it concerns anybody.
    heard: Option<Heard>,
    /// The next tick is a look for changes that nobody announced.
    polled: bool,
    /// Relations that the log was warned of.
    warned: BTreeSet<Blind>,
    complained: Option<Instant>,
}

/// The tick that is under way.
#[derive(Default)]
struct Progress {
    began: Option<Instant>,
    /// It was caused by a look, not by anything that was announced.
    polled: bool,
    /// There were changes that concern somebody.
    found: bool,
    snapshot: Option<Snapshot>,
    /// When the first commit was announced that made it begin.
    heard: Option<Instant>,
    /// The run that took longest.
    slowest: Option<(Arc<str>, Duration)>,
}

impl Actor for Ticker {
    type Message = TickerMessage;
    type State = TickerState;
    const KIND: &'static str = "reactor ticker";

    async fn start(&self, cx: &Context<TickerMessage>) -> Result<TickerState, ActorError> {
        let node = &self.node;
        // The first incarnation meets nobody here. A later one: what they had was lost with the one before.
        let clients: Vec<_> =
            node.clients.iter().map(|client| (*client.key(), Arc::clone(&client))).collect();
        clients.iter().for_each(|(_, client)| client.sink.deliver(Delivery::Reset));
        node.hints.set_interest(TopicKind::Tables, TopicSet::default());
        // What was announced meanwhile is seen by the first tick; orders may have come while there was nobody
        // to wake.
        drop(node.take_heard());
        cx.address().cast(TickerMessage::Look)?;
        let awaiting =
            clients.into_iter().filter(|(_, client)| client.is_waiting()).map(|(id, _)| id).collect();
        Ok(TickerState {
            table: Table::default(),
            pace: Pace::new(node.config.tick_min),
            timer: None,
            tail: None,
            relations: Arc::default(),
            tick: Progress::default(),
            snapshot: None,
            awaiting,
            heard: None,
            polled: false,
            warned: BTreeSet::new(),
            complained: None,
        })
    }

    async fn handle(
        &self,
        cx: &Context<TickerMessage>,
        message: TickerMessage,
        state: &mut TickerState,
    ) -> Result<(), ActorError> {
        match message {
            TickerMessage::Look => self.obey(state),
            TickerMessage::Heard => self.heard(state),
            TickerMessage::Poll => poll(state),
            TickerMessage::Due => state.timer = None,
            TickerMessage::Opened(opened) => self.opened(cx, state, *opened),
            TickerMessage::Ran(round) => self.ran(cx, state, *round),
            TickerMessage::Closed => self.closed(state),
        }
        self.advance(cx, state);
        Ok(())
    }
}

fn poll(state: &mut TickerState) {
    // A tick sees everything, so that one which runs is as good.
    if !state.pace.is_ticking() && !state.table.groups.is_empty() {
        state.polled = true;
        state.pace.ask();
    }
}

/// The steps of a tick.
impl Ticker {
    fn heard(&self, state: &mut TickerState) {
        let Some(heard) = self.node.take_heard() else { return };
        // What a running tick's queries read is known when it is over; then it is decided.
        let ticking = state.pace.is_ticking();
        if !ticking && !state.table.concerns(&heard.tables) {
            return;
        }
        match &mut state.heard {
            Some(held) => held.merge(heard),
            None => state.heard = Some(heard),
        }
        if !ticking {
            state.pace.ask();
        }
    }

    /// Begins a tick when it is time, or sets the timer for when it is.
    fn advance(&self, cx: &Context<TickerMessage>, state: &mut TickerState) {
        let now = Instant::now();
        let due = state.table.next_due();
        if due.is_some_and(|due| due <= now) {
            state.pace.ask();
        }
        if state.pace.start(now) {
            return self.begin(cx, state, now);
        }
        let wakes = state.pace.wakes_at().into_iter().chain(due).min().filter(|_| !state.pace.is_ticking());
        let Some(wakes) = wakes else { return };
        if state.timer.as_ref().is_none_or(|(set, _)| wakes < *set) {
            let pause = wakes.saturating_duration_since(now);
            state.timer = Some((wakes, cx.send_after(pause, TickerMessage::Due)));
        }
    }

    fn begin(&self, cx: &Context<TickerMessage>, state: &mut TickerState, now: Instant) {
        let heard = state.heard.take().map(|heard| heard.first);
        let polled = std::mem::take(&mut state.polled) && heard.is_none();
        state.tick = Progress { began: Some(now), polled, heard, ..Progress::default() };
        // Whether capture was enabled meanwhile shows in the list of relations only.
        let reload = state.table.is_blind_due(now);
        let (node, address) = (Arc::clone(&self.node), cx.address());
        let tail = state.tail.take().unwrap_or_default();
        cx.spawn("open", async move {
            let opened = tick::open(&node, tail, reload).await;
            let _restarting = address.cast(TickerMessage::Opened(Box::new(opened)));
        });
    }

    fn opened(&self, cx: &Context<TickerMessage>, state: &mut TickerState, opened: Result<Open, Lost>) {
        let Open { stage, tail, batch, relations } = match opened {
            Ok(open) => open,
            Err(lost) => return failed(state, &self.node, &lost),
        };
        state.tail = Some(tail);
        state.tick.snapshot = Some(batch.snapshot);
        if let Some(relations) = relations {
            state.relations = Arc::new(relations);
        }
        match &batch.changed {
            Changed::Everything => {
                state.tick.found = true;
                state.table.mark_all();
                self.node.hints.publish(Hint::of([Topic::Definitions]));
            }
            Changed::Tables(tables) => {
                state.tick.found = state.table.concerns(tables);
                state.table.mark(tables);
            }
        }
        state.table.mark_due(Instant::now());
        // Those who came just now are answered from this snapshot.
        self.obey(state);
        let runs = state.table.runs();
        self.proceed(cx, state, stage, runs);
    }

    fn ran(&self, cx: &Context<TickerMessage>, state: &mut TickerState, round: Result<Round, Lost>) {
        let Round { stage, relations, ran } = match round {
            Ok(round) => round,
            Err(lost) => return failed(state, &self.node, &lost),
        };
        state.relations = relations;
        let now = Instant::now();
        let mut divided: Vec<GroupId> = Vec::new();
        for ran in ran {
            self.note(state, &ran);
            divided.extend(state.table.settle(ran, now, &self.node.config));
        }
        let runs = state.table.runs_of(&divided);
        self.proceed(cx, state, stage, runs);
    }

    /// Runs what has to run, or tells everybody what is new when there is nothing left to run.
    fn proceed(&self, cx: &Context<TickerMessage>, state: &mut TickerState, stage: Stage, runs: Vec<Run>) {
        let (node, address) = (Arc::clone(&self.node), cx.address());
        if runs.is_empty() {
            self.publish(state);
            cx.spawn("close", async move {
                tick::close(stage).await;
                let _restarting = address.cast(TickerMessage::Closed);
            });
            return;
        }
        let relations = Arc::clone(&state.relations);
        cx.spawn("run", async move {
            let round = tick::run(&node, stage, relations, runs).await;
            let _restarting = address.cast(TickerMessage::Ran(Box::new(round)));
        });
    }

    fn closed(&self, state: &mut TickerState) {
        state.pace.ended();
        let Progress { polled, found, .. } = std::mem::take(&mut state.tick);
        self.node.tell_poller(if polled { PollerMessage::Looked { found } } else { PollerMessage::Ticked });
        state.heard.take_if(|heard| !state.table.concerns(&heard.tables));
        // Subscriptions that moved while it ran are run by the next one.
        if state.heard.is_some() || state.table.is_behind() || !state.awaiting.is_empty() {
            state.pace.ask();
        }
    }

    fn note(&self, state: &mut TickerState, ran: &Ran) {
        self.node.counts.executions.fetch_add(1, Relaxed);
        let Some(group) = state.table.groups.get(&ran.group) else { return };
        let (name, refresh) = (&group.live.question.name, group.live.refresh);
        signals::executed(name);
        if state.tick.slowest.as_ref().is_none_or(|(_, slowest)| *slowest < ran.took) {
            state.tick.slowest = Some((Arc::clone(name), ran.took));
        }
        // Who says how often to run again knows that nobody reports changes.
        for blind in ran.reads.blind.iter().filter(|_| refresh.is_none()) {
            if state.warned.insert(Blind::clone(blind)) {
                warn_of(blind, name, self.node.config.uncaptured_refresh);
            }
        }
    }
}

/// What clients want, and what they are told.
impl Ticker {
    fn obey(&self, state: &mut TickerState) {
        for order in self.node.take_orders() {
            match order {
                Order::Subscribe { place, live, version } => {
                    if self.node.client(place.client).is_some() {
                        state.table.subscribe(place, live, version);
                        state.pace.ask();
                    }
                }
                Order::Unsubscribe(place) => drop(state.table.unsubscribe(place)),
                Order::Await(client) => self.await_commits(state, client),
                Order::Identify { client, persona } => self.identify(state, client, &persona),
                Order::Detach(client) => {
                    state.table.detach(client);
                    state.awaiting.remove(&client);
                }
            }
        }
        self.count(state);
    }

    fn await_commits(&self, state: &mut TickerState, client: ClientId) {
        state.awaiting.insert(client);
        let applied =
            if state.table.torn().contains(&client) { Vec::new() } else { self.reached(state, client) };
        if !applied.is_empty() {
            self.deliver(client, Vec::new(), applied);
        }
        if state.awaiting.contains(&client) {
            state.pace.ask();
        }
    }

    /// Mutations that `client` waits for and that are part of what it has.
    fn reached(&self, state: &mut TickerState, client: ClientId) -> Vec<MutationId> {
        let Some(attached) = self.node.client(client) else {
            state.awaiting.remove(&client);
            return Vec::new();
        };
        // Who has subscribed to nothing has nothing that could be older.
        let has_nothing = !state.table.clients.contains_key(&client);
        let snapshot = state.snapshot.as_ref();
        let applied =
            attached.reached(|xid| has_nothing || snapshot.is_some_and(|snapshot| snapshot.contains(xid)));
        if !attached.is_waiting() {
            state.awaiting.remove(&client);
        }
        applied
    }

    fn identify(&self, state: &mut TickerState, client: ClientId, persona: &Arc<Persona>) {
        let mut refused = Vec::new();
        for id in state.table.ids_of(client) {
            let place = Place { client, id };
            let Some(live) = state.table.live(place) else { continue };
            let invocation = Live { persona: Arc::clone(persona), ..Live::clone(live) }.invocation();
            match self.node.functions.prepare_live(&invocation) {
                Ok(_) => state.table.identify(place, persona),
                Err(fault) => {
                    state.table.unsubscribe(place);
                    self.node.release(place);
                    let result = QueryResult::new(Err(fault), invocation.trace);
                    result.log_error(&invocation.name);
                    refused.push(Modification { subscription: id, result: Arc::new(result) });
                }
            }
        }
        if !refused.is_empty() {
            self.count(state);
            self.deliver(client, refused, Vec::new());
        }
        state.pace.ask();
    }

    fn publish(&self, state: &mut TickerState) {
        state.snapshot = state.tick.snapshot.take();
        self.node.counts.ticks.fetch_add(1, AcqRel);
        let torn = state.table.torn();
        let mut news = state.table.news(&torn);
        let mut applied: BTreeMap<ClientId, Vec<MutationId>> = BTreeMap::new();
        for client in state.awaiting.difference(&torn).copied().collect::<Vec<_>>() {
            let reached = self.reached(state, client);
            if !reached.is_empty() {
                applied.insert(client, reached);
                news.mods.entry(client).or_default();
            }
        }
        for place in news.ended {
            self.node.release(place);
        }
        // Counted before it is told, so that whoever was told finds it counted.
        self.count(state);
        signals::delivered(news.mods.values().map(Vec::len).sum());
        for (client, mods) in news.mods {
            self.deliver(client, mods, applied.remove(&client).unwrap_or_default());
        }
        if std::mem::take(&mut state.table.readers_changed) {
            let tables = state.table.tables().into_iter().collect();
            self.node.hints.set_interest(TopicKind::Tables, tables);
        }
        self.measure(state);
    }

    fn deliver(&self, client: ClientId, mods: Vec<Modification>, applied: Vec<MutationId>) {
        let tick = Tick(self.node.counts.ticks.load(Relaxed));
        if let Some(attached) = self.node.client(client) {
            attached.sink.deliver(Delivery::Advanced { tick, mods, applied });
        }
    }

    fn count(&self, state: &TickerState) {
        let counts = &self.node.counts;
        counts.groups.store(state.table.groups.len(), Relaxed);
        signals::sizes(counts.subscriptions.load(Relaxed), state.table.groups.len());
    }

    fn measure(&self, state: &mut TickerState) {
        let took = state.tick.began.map_or(Duration::ZERO, |began| began.elapsed());
        let lag = state.tick.heard.filter(|_| state.tick.found).map(|heard| heard.elapsed());
        let slow = took > self.node.config.tick_budget;
        signals::ticked(took, lag, slow);
        self.node.counts.tick_us.store(micros(took), Relaxed);
        if let Some(lag) = lag {
            self.node.counts.lag_us.store(micros(lag), Relaxed);
        }
        if slow && state.complained.is_none_or(|last| last.elapsed() > COMPLAIN_EVERY) {
            state.complained = Some(Instant::now());
            let (handler, longest) = state.tick.slowest.take().unwrap_or_else(|| ("".into(), Duration::ZERO));
            let (took, longest) = (format_duration(took), format_duration(longest));
            tracing::warn!(%took, %handler, %longest, "a tick took longer than reactivity.tick_budget; all live queries wait for the slowest");
        }
    }
}

fn failed(state: &mut TickerState, node: &Node, lost: &Lost) {
    let now = Instant::now();
    (state.tail, state.tick) = (None, Progress::default());
    if let Some(group) = lost.during {
        state.table.strike(group, now, &node.config);
    }
    let fault: &Fault = &lost.fault;
    if fault.source().and_then(|source| source.downcast_ref()).is_some_and(is_stale) {
        // Somebody migrates: the next tick has a session that knows the new definitions.
        tracing::debug!(?fault, "the schema changed under a tick, which is repeated");
    } else if state.pace.failures() == 0 {
        // Once for an outage: the monitor says how it goes on.
        tracing::warn!(?fault, "a tick was lost and is repeated; live queries stay as they are until then");
    } else {
        tracing::debug!(?fault, failures = state.pace.failures(), "a tick was lost again");
    }
    signals::tick_failed();
    state.pace.failed(now, fastrand::f64());
}

fn warn_of(blind: &Blind, handler: &str, every: Duration) {
    let every = format_duration(every);
    match blind {
        Blind::Uncaptured(table) => tracing::warn!(
            handler,
            %table,
            "a live query reads a table whose changes are not captured, and runs again every {every}; enable it: select forge_enable_reactivity('{table}')"
        ),
        Blind::Loose(relation) => tracing::warn!(
            handler,
            %relation,
            "a live query reads what no trigger can watch (a materialised view, a foreign table, a sequence), and runs again every {every}; \
             say how often by #[query(refresh = \"..\")]"
        ),
        Blind::System => tracing::warn!(
            handler,
            "a live query reads the server's own views, and runs again every {every}; say how often by #[query(refresh = \"..\")]"
        ),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
