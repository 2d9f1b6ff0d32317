//! What a supervisor decides, without doing it. Pure: clock and random number come from the caller, and
//! nothing awaits.
//!
//! Decisions have two levels. [`next`] is the state machine of one child; its diagram is in `mod.rs`.
//! [`ChildStates`] knows all children of one supervisor: it takes each restart out of the budget, and the
//! strategy chooses the siblings that restart along with a child.
//!
//! Invariants, checked by a property test: at most `restarts_max` restarts fall into one window; children
//! that wait under `rest_for_one` form a tail of the start order with one due time, and under `one_for_all`
//! either all children wait or none does, so that no child starts before a sibling that precedes it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::{Duration, Instant};

use super::spec::{Budget, Restart, Strategy};
use crate::kernel::backoff::Backoff;

/// Names a child inside its supervisor; keys grow in start order and are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChildKey(pub(super) u64);

/// State of a child, as its supervisor keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildState {
    /// Not started yet, stopped on request, or ended for good.
    Stopped,
    /// Its actor runs.
    Running {
        /// When its start returned: a child that ran for long enough counts as healthy.
        since: Instant,
    },
    /// Its actor starts again at `until`.
    Waiting {
        /// When the restart is due.
        until: Instant,
    },
}

/// What happens to one child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildEvent {
    /// Its `start` returned.
    Started { now: Instant },
    /// It ended, or its `start` failed. `restart_at` is unset when it is not restarted.
    Ended { restart_at: Option<Instant> },
    /// A sibling ended, and the strategy restarts this child along with it.
    SiblingEnded { restart_at: Instant },
    /// The supervisor was asked to stop the child.
    StopRequested,
    /// The supervisor was asked to restart the child, which stops now, and [`Self::StartRequested`]
    /// follows.
    RestartRequested,
    /// The second half of a restart on request.
    StartRequested,
    /// Time passes: waiting children may have become due.
    Tick { now: Instant },
}

/// What the supervisor has to do with a child after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildAction {
    Nothing,
    /// Start its actor.
    Start,
    /// Stop its actor, if it runs, and cancel a pending restart.
    Stop,
    /// Refuse the request: a temporary child does not start twice.
    Refuse,
}

/// The state machine of one child: its new state, and what the supervisor has to do.
pub(super) fn next(state: ChildState, restart: Restart, event: ChildEvent) -> (ChildState, ChildAction) {
    match (event, state) {
        (ChildEvent::Started { now }, _) => (ChildState::Running { since: now }, ChildAction::Nothing),
        (ChildEvent::Ended { restart_at: Some(until) }, _) => {
            (ChildState::Waiting { until }, ChildAction::Nothing)
        }
        (ChildEvent::Ended { restart_at: None }, _) => (ChildState::Stopped, ChildAction::Nothing),
        (ChildEvent::SiblingEnded { restart_at }, state) => {
            let after = match restart {
                Restart::Temporary => ChildState::Stopped,
                Restart::Permanent | Restart::Transient => ChildState::Waiting { until: restart_at },
            };
            let runs = matches!(state, ChildState::Running { .. });
            (after, if runs { ChildAction::Stop } else { ChildAction::Nothing })
        }
        (ChildEvent::StopRequested, _) => (ChildState::Stopped, ChildAction::Stop),
        (ChildEvent::RestartRequested, state) if restart == Restart::Temporary => {
            (state, ChildAction::Refuse)
        }
        (ChildEvent::RestartRequested, _) => (ChildState::Stopped, ChildAction::Stop),
        (ChildEvent::StartRequested, ChildState::Running { .. }) => (state, ChildAction::Nothing),
        (ChildEvent::StartRequested, _) => (state, ChildAction::Start),
        (ChildEvent::Tick { now }, ChildState::Waiting { until }) if until <= now => {
            (state, ChildAction::Start)
        }
        (ChildEvent::Tick { .. }, state) => (state, ChildAction::Nothing),
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExitKind {
    /// It stopped itself.
    Normal,
    /// An error, a panic, a kill, a start that failed, or a supervisor whose budget was exhausted.
    Abnormal,
}

impl Restart {
    /// Whether a child with this policy starts again after `exit`.
    fn restarts_after(self, exit: ExitKind) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => exit == ExitKind::Abnormal,
            Self::Temporary => false,
        }
    }
}

/// What a supervisor does about the end of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RestartDecision {
    /// The child is not restarted.
    StayStopped,
    /// The child starts again at `until`.
    Restart {
        /// Siblings that run and restart along with it, in the order in which they have to be stopped.
        stop: Vec<ChildKey>,
        /// When the group starts again.
        until: Instant,
    },
    /// No restart is left in the budget: the supervisor stops all children and fails.
    GiveUp,
}

/// The restarts of one supervisor inside the sliding window.
#[derive(Debug, Clone)]
pub(super) struct RestartBudget {
    limits: Budget,
    restarts: VecDeque<Instant>,
}

impl RestartBudget {
    pub(super) fn new(limits: Budget) -> Self {
        Self { limits, restarts: VecDeque::new() }
    }

    /// Takes one restart out of the budget; `false` when none is left.
    fn spend(&mut self, now: Instant) -> bool {
        while self.restarts.front().is_some_and(|at| now.saturating_duration_since(*at) >= self.limits.window)
        {
            self.restarts.pop_front();
        }
        let left = self.restarts.len() < self.limits.restarts_max as usize;
        if left {
            self.restarts.push_back(now);
        }
        left
    }

    /// Leaves the time that a start took out of the window. The child did not run meanwhile; if this time
    /// counted, children that are slow to fail would be restarted for ever.
    fn extend(&mut self, started_for: Duration) {
        for at in &mut self.restarts {
            *at += started_for;
        }
    }

    pub(super) fn limits(&self) -> Budget {
        self.limits
    }

    /// Restarts that are still allowed at `now`.
    pub(super) fn left(&self, now: Instant) -> u32 {
        let spent = self
            .restarts
            .iter()
            .filter(|at| now.saturating_duration_since(**at) < self.limits.window)
            .count();
        self.limits.restarts_max.saturating_sub(u32::try_from(spent).unwrap_or(u32::MAX))
    }
}

/// One child of a supervisor.
struct TrackedChild {
    restart: Restart,
    state: ChildState,
    /// Ends in a row without a healthy run between them; the exponent of the backoff.
    failures: u32,
}

impl TrackedChild {
    fn apply(&mut self, event: ChildEvent) -> ChildAction {
        let (state, action) = next(self.state, self.restart, event);
        self.state = state;
        action
    }
}

/// The states of all children of one supervisor.
pub(super) struct ChildStates {
    strategy: Strategy,
    backoff: Backoff,
    /// A child that ran for at least this long is healthy, and its backoff starts anew. Equal to the window
    /// of the budget, so that budget and backoff forget at the same time.
    healthy_after: Duration,
    budget: RestartBudget,
    children: BTreeMap<ChildKey, TrackedChild>,
    next_key: u64,
}

impl ChildStates {
    pub(super) fn new(strategy: Strategy, budget: Budget, backoff: Backoff) -> Self {
        Self {
            strategy,
            backoff,
            healthy_after: budget.window,
            budget: RestartBudget::new(budget),
            children: BTreeMap::new(),
            next_key: 0,
        }
    }

    /// Adds a child, in state [`ChildState::Stopped`], after all others.
    pub(super) fn add(&mut self, restart: Restart) -> ChildKey {
        let key = ChildKey(self.next_key);
        self.next_key += 1;
        self.children.insert(key, TrackedChild { restart, state: ChildState::Stopped, failures: 0 });
        key
    }

    pub(super) fn remove(&mut self, key: ChildKey) {
        self.children.remove(&key);
    }

    #[cfg(test)]
    pub(super) fn state(&self, key: ChildKey) -> Option<ChildState> {
        self.children.get(&key).map(|child| child.state)
    }

    /// Moves one child by `event`. For the end of a child see [`ended`](Self::ended).
    pub(super) fn apply(&mut self, key: ChildKey, event: ChildEvent) -> ChildAction {
        self.children.get_mut(&key).map_or(ChildAction::Nothing, |child| child.apply(event))
    }

    /// The child ended, or its `start` failed: decides about its restart and moves it and its siblings.
    /// `random` is uniform in `0.0..1.0`.
    pub(super) fn ended(
        &mut self,
        key: ChildKey,
        exit: ExitKind,
        now: Instant,
        random: f64,
    ) -> RestartDecision {
        let healthy_after = self.healthy_after;
        let Some(child) = self.children.get_mut(&key) else { return RestartDecision::StayStopped };
        let ran_for = |since| now.saturating_duration_since(since);
        if matches!(child.state, ChildState::Running { since } if ran_for(since) >= healthy_after) {
            child.failures = 0;
        }
        if !child.restart.restarts_after(exit) {
            child.apply(ChildEvent::Ended { restart_at: None });
            return RestartDecision::StayStopped;
        }
        let delay = self.backoff.delay(child.failures, random);
        child.failures = child.failures.saturating_add(1);
        if !self.budget.spend(now) {
            child.apply(ChildEvent::Ended { restart_at: None });
            return RestartDecision::GiveUp;
        }
        let until = now + delay;
        child.apply(ChildEvent::Ended { restart_at: Some(until) });
        RestartDecision::Restart { stop: self.restart_siblings(key, until), until }
    }

    /// Moves the siblings that the strategy restarts along with `key`; returns those that run, in reverse
    /// start order.
    fn restart_siblings(&mut self, key: ChildKey, restart_at: Instant) -> Vec<ChildKey> {
        let from = match self.strategy {
            Strategy::OneForOne => return Vec::new(),
            Strategy::OneForAll => Bound::Unbounded,
            Strategy::RestForOne => Bound::Excluded(key),
        };
        let mut stop = Vec::new();
        for (sibling, child) in self.children.range_mut((from, Bound::Unbounded)).rev() {
            if *sibling != key && child.apply(ChildEvent::SiblingEnded { restart_at }) == ChildAction::Stop {
                stop.push(*sibling);
            }
        }
        stop
    }

    /// A restart spent this long in `start`, whether the start succeeded or not.
    pub(super) fn spent_starting(&mut self, started_for: Duration) {
        self.budget.extend(started_for);
    }

    /// The first child whose restart is due at `now`, in start order.
    pub(super) fn due(&self, now: Instant) -> Option<ChildKey> {
        let starts = |child: &TrackedChild| {
            next(child.state, child.restart, ChildEvent::Tick { now }).1 == ChildAction::Start
        };
        self.children.iter().find(|(_, child)| starts(child)).map(|(key, _)| *key)
    }

    /// When the next waiting child is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting().map(|(_, until)| until).min()
    }

    /// The waiting children, and when they are due.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (ChildKey, Instant)> {
        self.children.iter().filter_map(|(key, child)| match child.state {
            ChildState::Waiting { until } => Some((*key, until)),
            ChildState::Stopped | ChildState::Running { .. } => None,
        })
    }

    pub(super) fn budget(&self) -> &RestartBudget {
        &self.budget
    }
}
