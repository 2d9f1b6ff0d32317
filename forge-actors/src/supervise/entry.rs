//! One path of the tree: counters, state and last error of an actor over all its incarnations.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::address::Address;
use super::duty::{DutyInfo, PeriodicStatus};
use super::meter::Meter;
use super::panic::shorten;
use super::spec::Strategy;
use super::state::RestartBudget;
use super::supervisor::SupervisorCommand;
use super::tree::{ActorInfo, ActorState, CurrentMessage, SupervisorInfo};
use crate::kernel::integer::Int53;
use crate::kernel::limits::CAUSE_BYTES_MAX;
use crate::kernel::time::Timestamp;

/// Shortest time over which a message rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// One path of the tree. It outlives the incarnations of its actor.
#[derive(Debug)]
pub(super) struct TreeEntry {
    pub(super) path: Arc<str>,
    /// Position among all paths that were ever entered, by their first start.
    pub(super) order: u64,
    meter: ArcSwap<Meter>,
    restarts: AtomicU64,
    lifecycle: Mutex<Lifecycle>,
    /// Where a supervisor takes commands; unset for other actors. Set once, since the address outlives the
    /// supervisor's restarts.
    commands: OnceLock<Address<SupervisorCommand>>,
    /// The results of a periodic duty; unset for other actors. Like the address of commands they outlive
    /// restarts.
    duty: OnceLock<watch::Receiver<PeriodicStatus>>,
}

/// What changes a few times in an actor's life.
#[derive(Debug)]
struct Lifecycle {
    state: ActorState,
    last_error: Option<String>,
    started_at: Option<Timestamp>,
    supervisor: Option<(Strategy, RestartBudget)>,
    rate: MessageRate,
}

/// Messages per second between two readings.
#[derive(Debug, Default)]
struct MessageRate {
    /// When the window began, and how many messages had been handled by then.
    began: Option<(Instant, u64)>,
    per_second: f64,
}

impl MessageRate {
    /// The rate over the last full window; ends a window that is old enough.
    fn observe(&mut self, now: Instant, handled: u64) -> f64 {
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

impl TreeEntry {
    pub(super) fn new(path: Arc<str>, order: u64) -> Self {
        let lifecycle = Lifecycle {
            state: ActorState::Stopped,
            last_error: None,
            started_at: None,
            supervisor: None,
            rate: MessageRate::default(),
        };
        Self {
            path,
            order,
            meter: ArcSwap::default(),
            restarts: AtomicU64::new(0),
            lifecycle: Mutex::new(lifecycle),
            commands: OnceLock::new(),
            duty: OnceLock::new(),
        }
    }

    /// A new incarnation starts: fresh counters that continue the totals.
    pub(super) fn begin_incarnation(
        &self,
        kind: &'static str,
        names: &'static [&'static str],
        mailbox_max: usize,
    ) -> Arc<Meter> {
        let meter = Arc::new(self.meter.load().successor(kind, names, mailbox_max));
        self.meter.store(Arc::clone(&meter));
        meter
    }

    /// The incarnation has ended: from now on the counters show an idle actor with an empty mailbox. Returns
    /// the message that the actor was handling, if a kill cut it short.
    pub(super) fn end_incarnation(&self) -> Option<&'static str> {
        let meter = self.meter.load();
        let message = meter.current();
        self.meter.store(Arc::new(meter.idle_successor()));
        message
    }

    pub(super) fn set(&self, state: ActorState) {
        self.change(|lifecycle| lifecycle.state = state);
    }

    pub(super) fn set_running(&self) {
        self.change(|lifecycle| {
            lifecycle.state = ActorState::Running;
            lifecycle.started_at = Some(chrono::Utc::now());
        });
    }

    pub(super) fn count_restart(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }

    pub(super) fn set_failed(&self, cause: &str) {
        self.change(|lifecycle| {
            lifecycle.state = ActorState::Failed;
            lifecycle.last_error = Some(shorten(cause, CAUSE_BYTES_MAX));
        });
    }

    pub(super) fn set_supervisor(&self, strategy: Strategy, budget: &RestartBudget) {
        self.change(|lifecycle| lifecycle.supervisor = Some((strategy, budget.clone())));
    }

    pub(super) fn set_commands(&self, commands: Address<SupervisorCommand>) {
        self.commands.get_or_init(|| commands);
    }

    pub(super) fn commands(&self) -> Option<&Address<SupervisorCommand>> {
        self.commands.get()
    }

    pub(super) fn is_supervisor(&self) -> bool {
        self.commands.get().is_some()
    }

    pub(super) fn set_duty(&self, status: impl FnOnce() -> watch::Receiver<PeriodicStatus>) {
        self.duty.get_or_init(status);
    }

    pub(super) fn kind(&self) -> &'static str {
        self.meter.load().kind()
    }

    /// Moves to `state`, except from [`ActorState::Failed`]: an actor that crashes while it is being stopped
    /// stays shown as failed. `true` when it moved.
    pub(super) fn set_unless_failed(&self, state: ActorState) -> bool {
        let mut lifecycle = self.lifecycle.lock().unwrap_or_else(PoisonError::into_inner);
        let moves = lifecycle.state != ActorState::Failed;
        if moves {
            lifecycle.state = state;
        }
        moves
    }

    fn change(&self, change: impl FnOnce(&mut Lifecycle)) {
        change(&mut self.lifecycle.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The entry as it is read from outside.
    pub(super) fn info(&self) -> ActorInfo {
        let meter = self.meter.load();
        let mut lifecycle = self.lifecycle.lock().unwrap_or_else(PoisonError::into_inner);
        let (handled, depth) = meter.handled_and_depth();
        let current = meter.current().map(|name| CurrentMessage {
            name: name.to_owned(),
            for_ms: Int53::count(meter.current_ms()),
            work: meter.work(),
        });
        let rate = lifecycle.rate.observe(Instant::now(), handled);
        let supervisor = lifecycle.supervisor.as_ref();
        ActorInfo {
            path: self.path.to_string(),
            kind: meter.kind().to_owned(),
            state: lifecycle.state,
            restarts: Int53::count(self.restarts()),
            mailbox_depth: Int53::count(depth),
            mailbox_max: Int53::count(meter.mailbox_max() as u64),
            handled: Int53::count(handled),
            rate,
            busy_ms: Int53::count(meter.busy_total_ns() / 1_000_000),
            current,
            last_error: lifecycle.last_error.clone(),
            started_at: lifecycle.started_at,
            supervisor: supervisor.map(|(strategy, budget)| SupervisorInfo {
                strategy: *strategy,
                restarts_left: budget.left(Instant::now()),
                restarts_max: budget.limits().restarts_max,
                window_ms: Int53::millis(budget.limits().window),
            }),
            duty: self.duty.get().map(|status| DutyInfo::from(&*status.borrow())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_taken_over_a_whole_window() {
        let began = Instant::now();
        let after = |ms: u64| began + Duration::from_millis(ms);
        let mut rate = MessageRate::default();
        assert_eq!(rate.observe(began, 100), 0.0, "one reading is no rate");
        assert_eq!(rate.observe(after(400), 500), 0.0, "the window is not over");
        assert_eq!(rate.observe(after(2_000), 700), 300.0);
        assert_eq!(
            rate.observe(after(2_100), 900),
            300.0,
            "the last window's rate stays until the next one ends"
        );
    }
}
