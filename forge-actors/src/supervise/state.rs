//! What a supervisor decides, without doing it: given an exit, which children stop, which start again, and
//! when.
//!
//! Pure: the clock and the random number come from the caller, nothing awaits. A slot is in one [`Phase`];
//! the diagram stands in the room's `mod.rs`. Invariants, checked by a property test: at most `restarts_max`
//! restarts fall into one window; slots that wait under `rest_for_one` form a tail of the order with one due
//! time, under `one_for_all` all slots wait or none does, so a later sibling never starts before an earlier
//! one.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::spec::{Budget, Restart, Strategy};
use crate::kernel::backoff::Backoff;

/// Names a slot inside its supervisor; keys grow in start order and are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(pub(super) u64);

/// Where a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started yet, or ended for good.
    Down,
    /// Its actor runs.
    Up {
        /// Since when, to tell a healthy stretch.
        since: Instant,
    },
    /// Its actor starts again at `until`.
    Waiting {
        /// When.
        until: Instant,
    },
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExitKind {
    /// It stopped itself.
    Normal,
    /// An error, a panic, a kill, a start that failed, a supervisor that gave up.
    Abnormal,
}

/// What follows from an exit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The child stays down.
    Ended,
    /// Stop `stop` in this order; the waiting slots start again at `until`.
    Restart {
        /// Siblings that run and must stop first, in reverse start order.
        stop: Vec<Key>,
        /// When the group starts again.
        until: Instant,
    },
    /// The budget is spent: stop everything and fail.
    GiveUp,
}

struct SlotState {
    restart: Restart,
    phase: Phase,
    /// Exits in a row without a healthy stretch between them; the exponent of the backoff.
    failures: u32,
}

/// Restarts inside the window.
#[derive(Debug, Clone)]
pub(super) struct BudgetLog {
    budget: Budget,
    restarts: VecDeque<Instant>,
}

impl BudgetLog {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, restarts: VecDeque::new() }
    }

    /// Takes one restart out of the budget; `false` when none is left.
    fn spend(&mut self, now: Instant) -> bool {
        while self.restarts.front().is_some_and(|at| now.saturating_duration_since(*at) >= self.budget.window)
        {
            self.restarts.pop_front();
        }
        let left = self.restarts.len() < self.budget.restarts_max as usize;
        if left {
            self.restarts.push_back(now);
        }
        left
    }

    /// Leaves the time that a restart took to start out of the window: it was no time in which the child ran
    /// well, and children that are slow to fail would otherwise be restarted for ever.
    fn stretch(&mut self, started_for: Duration) {
        for at in &mut self.restarts {
            *at += started_for;
        }
    }

    pub(super) fn budget(&self) -> Budget {
        self.budget
    }

    /// Restarts that are still allowed at `now`.
    pub(super) fn left(&self, now: Instant) -> u32 {
        let spent = self
            .restarts
            .iter()
            .filter(|at| now.saturating_duration_since(**at) < self.budget.window)
            .count();
        self.budget.restarts_max.saturating_sub(u32::try_from(spent).unwrap_or(u32::MAX))
    }
}

/// All slots of one supervisor.
pub(super) struct Slots {
    strategy: Strategy,
    backoff: Backoff,
    /// A child that ran at least this long has proved healthy; its backoff starts anew. The window of the
    /// budget, so that budget and backoff forget at the same time.
    healthy: Duration,
    log: BudgetLog,
    slots: BTreeMap<Key, SlotState>,
    next: u64,
}

impl Slots {
    pub(super) fn new(strategy: Strategy, budget: Budget, backoff: Backoff) -> Self {
        Self {
            strategy,
            backoff,
            healthy: budget.window,
            log: BudgetLog::new(budget),
            slots: BTreeMap::new(),
            next: 0,
        }
    }

    /// Adds a slot after all others.
    pub(super) fn add(&mut self, restart: Restart) -> Key {
        let key = Key(self.next);
        self.next += 1;
        self.slots.insert(key, SlotState { restart, phase: Phase::Down, failures: 0 });
        key
    }

    pub(super) fn remove(&mut self, key: Key) {
        self.slots.remove(&key);
    }

    #[cfg(test)]
    pub(super) fn phase(&self, key: Key) -> Option<Phase> {
        self.slots.get(&key).map(|slot| slot.phase)
    }

    /// The slot's actor has started.
    pub(super) fn started(&mut self, key: Key, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.phase = Phase::Up { since: now };
        }
    }

    /// The slot was stopped on request; nothing follows from it.
    pub(super) fn stopped(&mut self, key: Key) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.phase = Phase::Down;
        }
    }

    /// The slot's actor ended, or did not start. `random` is uniform in `0.0..1.0`.
    pub(super) fn exited(&mut self, key: Key, exit: ExitKind, now: Instant, random: f64) -> Verdict {
        let healthy = self.healthy;
        let Some(slot) = self.slots.get_mut(&key) else { return Verdict::Ended };
        if matches!(slot.phase, Phase::Up { since } if now.saturating_duration_since(since) >= healthy) {
            slot.failures = 0;
        }
        slot.phase = Phase::Down;
        let again = match slot.restart {
            Restart::Permanent => true,
            Restart::Transient => exit == ExitKind::Abnormal,
            Restart::Temporary => false,
        };
        if !again {
            return Verdict::Ended;
        }
        let delay = self.backoff.delay(slot.failures, random);
        slot.failures = slot.failures.saturating_add(1);
        if !self.log.spend(now) {
            return Verdict::GiveUp;
        }
        let until = now + delay;
        let from = match self.strategy {
            Strategy::OneForOne => {
                slot.phase = Phase::Waiting { until };
                return Verdict::Restart { stop: Vec::new(), until };
            }
            Strategy::OneForAll => Key(0),
            Strategy::RestForOne => key,
        };
        let mut stop = Vec::new();
        for (key, slot) in self.slots.range_mut(from..).rev() {
            if matches!(slot.phase, Phase::Up { .. }) {
                stop.push(*key);
            }
            slot.phase =
                if slot.restart == Restart::Temporary { Phase::Down } else { Phase::Waiting { until } };
        }
        Verdict::Restart { stop, until }
    }

    /// A restart was busy starting for this long, whether it succeeded or not.
    pub(super) fn spent_starting(&mut self, started_for: Duration) {
        self.log.stretch(started_for);
    }

    /// The first slot that may start at `now`, in start order.
    pub(super) fn due(&self, now: Instant) -> Option<Key> {
        let ripe = |slot: &SlotState| matches!(slot.phase, Phase::Waiting { until } if until <= now);
        self.slots.iter().find(|(_, slot)| ripe(slot)).map(|(key, _)| *key)
    }

    /// When the next waiting slot is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting().map(|(_, until)| until).min()
    }

    /// The waiting slots.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Key, Instant)> {
        self.slots.iter().filter_map(|(key, slot)| match slot.phase {
            Phase::Waiting { until } => Some((*key, until)),
            Phase::Down | Phase::Up { .. } => None,
        })
    }

    pub(super) fn log(&self) -> &BudgetLog {
        &self.log
    }
}
