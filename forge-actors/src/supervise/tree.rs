//! The live tree: who runs under which path, in which state, with how much work behind and before it.
//!
//! One [`Tree`] per node, shared by `Arc`; several nodes in one process do not see each other. Collecting
//! costs nothing while nobody looks: the counters are relaxed atomics that only the actor itself writes
//! (`sent` excepted), and all arithmetic happens in [`Tree::snapshot`]. Busy time is read from the coarse
//! monotonic clock, which stands still for one kernel tick (1 to 4 ms): a single short message measures as
//! nothing or as a tick, and the sum over many is right on average.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use super::address::Address;
use super::journal::{Crash, EventKind, Journal};
use super::panic::shorten;
use super::spec::Strategy;
use super::state::BudgetLog;
use super::supervisor::Order;
use crate::kernel::integer::Int53;
use crate::kernel::limits::CAUSE_BYTES_MAX;
use crate::kernel::time::Timestamp;

/// Shortest time over which a rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// The actors of one node.
#[derive(Debug, Default)]
pub struct Tree {
    entries: DashMap<Arc<str>, Arc<Entry>>,
    /// How many paths were ever entered.
    entered: AtomicU64,
    journal: Journal,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What happened.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// All actors, parents before children, siblings in the order of their first start.
    pub fn snapshot(&self) -> Vec<ActorInfo> {
        let mut actors: Vec<_> = self.entries.iter().map(|entry| entry.info()).collect();
        let orders: HashMap<_, _> =
            self.entries.iter().map(|entry| (Arc::clone(&entry.path), entry.order)).collect();
        // A path's place is that of each of its ancestors, from the root down, and then its own.
        let place = |path: &str| -> Vec<Option<u64>> {
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            ends.map(|end| orders.get(&path[..end]).copied()).collect()
        };
        actors.sort_by_cached_key(|actor| (place(&actor.path), actor.path.to_owned()));
        actors
    }

    /// One actor.
    pub fn get(&self, path: &str) -> Option<ActorInfo> {
        self.entries.get(path).map(|entry| entry.info())
    }

    /// Where the supervisor at `path` takes orders.
    pub(super) fn orders(&self, path: &str) -> Option<Address<Order>> {
        self.entries.get(path).and_then(|entry| entry.orders.get().cloned())
    }

    /// The entry of `path`; the one that is there keeps its counters.
    pub(super) fn enter(&self, path: &str) -> Arc<Entry> {
        let path: Arc<str> = path.into();
        Arc::clone(
            &self
                .entries
                .entry(Arc::clone(&path))
                .or_insert_with(|| Arc::new(Entry::new(path, self.entered.fetch_add(1, Relaxed)))),
        )
    }

    /// Forgets `path` and everything below it. Only a supervisor has something below it, so that an actor
    /// among thousands goes without a look at the others.
    pub(super) fn leave(&self, path: &str) {
        let supervised = self.entries.remove(path).is_some_and(|(_, entry)| entry.is_supervisor());
        if supervised {
            self.entries
                .retain(|known, _| known.strip_prefix(path).is_none_or(|rest| !rest.starts_with('/')));
        }
    }

    /// Everything below `path` has ended without anybody to say so, because its supervisor was killed.
    pub(super) fn ended_below(&self, path: &str) {
        for entry in self
            .entries
            .iter()
            .filter(|entry| entry.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
        {
            entry.set_unless_failed(ActorState::Stopped);
            entry.retire();
        }
    }

    /// Records that the actor of `entry` has started. Its host says so before the first message, since the
    /// supervisor learns it so late that the actor may have crashed again.
    pub(super) fn started(&self, entry: &Entry) {
        entry.running();
        self.journal.record(&entry.path, EventKind::Started);
    }

    /// Records that the actor of `entry` crashed.
    pub(super) fn crashed(&self, entry: &Entry, crash: Crash) {
        entry.fail(&crash.cause);
        let crash = Crash { restarts: entry.restarts.load(Relaxed), ..crash };
        tracing::error!(path = %crash.path, kind = %crash.kind, message = crash.message, restarts = crash.restarts, cause = %crash.cause, "actor crashed");
        let cause = crash.cause.lines().next().unwrap_or_default().to_owned();
        self.journal.record_crash(crash);
        self.journal.record(&entry.path, EventKind::Crashed { cause });
    }
}

/// State of an actor.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[serde(tag = "is")]
pub enum ActorState {
    /// Its `start` runs.
    Starting,
    /// It handles messages.
    Running,
    /// It crashed or stopped with its siblings, and starts again.
    Waiting {
        /// When.
        until: Timestamp,
    },
    /// It was asked to stop.
    Stopping,
    /// It ended as it should.
    Stopped,
    /// It ended by a crash, and nobody has decided yet or it stays so.
    Failed,
}

/// What an actor does just now.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentMessage {
    /// Name of the message's variant.
    pub name: String,
    /// For how long, to the clock's tick.
    pub for_ms: Int53,
}

/// What a supervisor has left.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorInfo {
    /// Which siblings restart with a child.
    pub strategy: Strategy,
    /// Restarts before it fails itself.
    pub restarts_left: u32,
    /// Restarts that it makes within the window.
    pub restarts_max: u32,
    /// The window, sliding.
    pub window_ms: Int53,
}

/// One actor, as seen at one moment; counters of a running actor are not read at the same instant.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct ActorInfo {
    /// Ids from the root down, for example `node/database/monitor`.
    pub path: String,
    /// What it is.
    pub kind: String,
    /// State of its life.
    pub state: ActorState,
    /// How often it was started again.
    pub restarts: Int53,
    /// Messages that wait or are being handled.
    pub mailbox_depth: Int53,
    /// Depth at which senders are refused.
    pub mailbox_max: Int53,
    /// Messages handled since its first start.
    pub handled: Int53,
    /// Messages handled per second, over the last second or longer in which somebody looked; 0 at the first
    /// look.
    pub rate: f64,
    /// Time spent in handling them.
    pub busy_ms: Int53,
    /// The message that is being handled.
    pub current: Option<CurrentMessage>,
    /// Cause of the last crash.
    pub last_error: Option<String>,
    /// When it started last.
    pub started_at: Option<Timestamp>,
    /// Set for supervisors.
    pub supervisor: Option<SupervisorInfo>,
}

/// Counters of one incarnation. `sent` is written by all senders, everything else by the actor alone.
#[derive(Debug, Default)]
pub(super) struct Meter {
    sent: AtomicU64,
    handled: AtomicU64,
    busy_ns: AtomicU64,
    /// Index of the message's variant plus one; 0 while idle.
    current: AtomicU32,
    since_ns: AtomicU64,
    /// Totals of the incarnations before.
    handled_before: u64,
    busy_before_ns: u64,
    kind: &'static str,
    names: &'static [&'static str],
    mailbox_max: usize,
}

impl Meter {
    /// Takes a place in the mailbox; `false` when it is full.
    #[inline]
    pub(super) fn reserve(&self, mailbox_max: usize) -> bool {
        let sent = self.sent.fetch_add(1, Relaxed);
        // Between the two reads others may have sent, and the actor handled, any number of messages.
        let depth = sent.saturating_sub(self.handled.load(Relaxed));
        let free = depth < mailbox_max as u64;
        if !free {
            self.release();
        }
        free
    }

    /// Takes a place even in a full mailbox.
    pub(super) fn reserve_always(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// Gives the place back: the message was not sent.
    pub(super) fn release(&self) {
        self.sent.fetch_sub(1, Relaxed);
    }

    #[inline]
    pub(super) fn begin(&self, index: usize) -> u64 {
        let now = coarse_ns();
        self.since_ns.store(now, Relaxed);
        self.current.store(index as u32 + 1, Relaxed);
        now
    }

    #[inline]
    pub(super) fn end(&self, began: u64) {
        // Single writer: a load and a store, where an atomic addition would cost a locked instruction.
        let busy = coarse_ns().saturating_sub(began);
        if busy > 0 {
            self.busy_ns.store(self.busy_ns.load(Relaxed) + busy, Relaxed);
        }
        self.current.store(0, Relaxed);
        self.handled.store(self.handled.load(Relaxed) + 1, Relaxed);
    }

    /// Kind of the actor.
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// The message that is being handled.
    pub(super) fn current(&self) -> Option<&'static str> {
        let current = self.current.load(Relaxed).checked_sub(1)?;
        self.names.get(current as usize).copied()
    }

    fn handled_total(&self) -> u64 {
        self.handled_before + self.handled.load(Relaxed)
    }

    fn busy_total_ns(&self) -> u64 {
        self.busy_before_ns + self.busy_ns.load(Relaxed)
    }
}

/// One path of the tree. It outlives the incarnations of its actor.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: Arc<str>,
    /// Its number among all paths that were entered.
    order: u64,
    meter: ArcSwap<Meter>,
    restarts: AtomicU64,
    life: Mutex<Life>,
    /// Set for supervisors.
    orders: OnceLock<Address<Order>>,
}

/// What changes a few times in an actor's life.
#[derive(Debug)]
struct Life {
    state: ActorState,
    last_error: Option<String>,
    started_at: Option<Timestamp>,
    supervisor: Option<(Strategy, BudgetLog)>,
    rate: Rate,
}

/// How many messages were handled between two looks.
#[derive(Debug, Default)]
struct Rate {
    /// When the window began, and how many had been handled by then.
    began: Option<(Instant, u64)>,
    per_second: f64,
}

impl Rate {
    /// The rate over the last full window; ends a window that is old enough.
    fn look(&mut self, now: Instant, handled: u64) -> f64 {
        match self.began {
            Some((began, before)) if now.saturating_duration_since(began) >= RATE_WINDOW => {
                self.per_second = handled.saturating_sub(before) as f64
                    / now.saturating_duration_since(began).as_secs_f64();
                self.began = Some((now, handled));
            }
            Some(_) => {}
            None => self.began = Some((now, handled)),
        }
        self.per_second
    }
}

impl Entry {
    fn new(path: Arc<str>, order: u64) -> Self {
        let life = Life {
            state: ActorState::Stopped,
            last_error: None,
            started_at: None,
            supervisor: None,
            rate: Rate::default(),
        };
        Self {
            path,
            order,
            meter: ArcSwap::default(),
            restarts: AtomicU64::new(0),
            life: Mutex::new(life),
            orders: OnceLock::new(),
        }
    }

    /// A new incarnation starts: fresh counters that continue the totals.
    pub(super) fn incarnate(
        &self,
        kind: &'static str,
        names: &'static [&'static str],
        mailbox_max: usize,
    ) -> Arc<Meter> {
        let before = self.meter.load();
        let meter = Arc::new(Meter {
            handled_before: before.handled_total(),
            busy_before_ns: before.busy_total_ns(),
            kind,
            names,
            mailbox_max,
            ..Meter::default()
        });
        self.meter.store(Arc::clone(&meter));
        meter
    }

    pub(super) fn set(&self, state: ActorState) {
        self.change(|life| life.state = state);
    }

    fn running(&self) {
        self.change(|life| {
            life.state = ActorState::Running;
            life.started_at = Some(chrono::Utc::now());
        });
    }

    pub(super) fn restarting(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    pub(super) fn fail(&self, cause: &str) {
        self.change(|life| {
            life.state = ActorState::Failed;
            life.last_error = Some(shorten(cause, CAUSE_BYTES_MAX));
        });
    }

    pub(super) fn supervises(&self, strategy: Strategy, log: &BudgetLog) {
        self.change(|life| life.supervisor = Some((strategy, log.clone())));
    }

    /// The address outlives the supervisor's restarts, so it is set once.
    pub(super) fn takes_orders(&self, orders: Address<Order>) {
        self.orders.get_or_init(|| orders);
    }

    fn is_supervisor(&self) -> bool {
        self.orders.get().is_some()
    }

    pub(super) fn kind(&self) -> &'static str {
        self.meter.load().kind
    }

    /// The incarnation has ended: from now on the counters show an idle actor with an empty mailbox. Returns
    /// the message that it was handling, if a kill cut it short.
    pub(super) fn retire(&self) -> Option<&'static str> {
        let meter = self.meter.load();
        let message = meter.current();
        self.incarnate(meter.kind, meter.names, meter.mailbox_max);
        message
    }

    /// Moves to `state`, unless the last word is a crash. An incarnation ends once, stopped or crashed, also
    /// when it crashes while it is being stopped.
    pub(super) fn set_unless_failed(&self, state: ActorState) -> bool {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = life.state != ActorState::Failed;
        if alive {
            life.state = state;
        }
        alive
    }

    fn change(&self, change: impl FnOnce(&mut Life)) {
        change(&mut self.life.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn info(&self) -> ActorInfo {
        let meter = self.meter.load();
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        // `handled` first: a message that is sent and handled in between then counts as waiting, never as
        // less than nothing.
        let handled = meter.handled.load(Relaxed);
        let current = meter.current().map(|name| {
            let for_ms = Int53::count(coarse_ns().saturating_sub(meter.since_ns.load(Relaxed)) / 1_000_000);
            CurrentMessage { name: name.to_owned(), for_ms }
        });
        let total = meter.handled_before + handled;
        let rate = life.rate.look(Instant::now(), total);
        let supervisor = life.supervisor.as_ref();
        ActorInfo {
            path: self.path.to_string(),
            kind: meter.kind.to_owned(),
            state: life.state,
            restarts: Int53::count(self.restarts.load(Relaxed)),
            mailbox_depth: Int53::count(meter.sent.load(Relaxed).saturating_sub(handled)),
            mailbox_max: Int53::count(meter.mailbox_max as u64),
            handled: Int53::count(total),
            rate,
            busy_ms: Int53::count(meter.busy_total_ns() / 1_000_000),
            current,
            last_error: life.last_error.clone(),
            started_at: life.started_at,
            supervisor: supervisor.map(|(strategy, log)| SupervisorInfo {
                strategy: *strategy,
                restarts_left: log.left(Instant::now()),
                restarts_max: log.budget().restarts_max,
                window_ms: Int53::count(u64::try_from(log.budget().window.as_millis()).unwrap_or(u64::MAX)),
            }),
        }
    }
}

/// The coarse clock costs a few nanoseconds, a precise one several times that, twice for every message.
fn coarse_ns() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::MonotonicCoarse;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(CLOCK);
    u64::try_from(Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32).as_nanos())
        .unwrap_or(u64::MAX)
}
