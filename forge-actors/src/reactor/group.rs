//! Groups and subscriptions: their fields, and what a run makes of a group. Pure: the time is passed in.
//!
//! ```text
//!                ┌──── a table that it read has changed · refresh is due ────┐
//!                ▼                                                           │
//!   new ──▶ Stale · Waiting ──▶ (InLane) ─────── has run ────────────────▶ Current
//!                │ ▲                                                         │
//!                │ └── time is up ── Suspended ◀── timeout, locked too long, ┘
//!                └──────────────────────▲          has no memory, breaks the session, or got no thread
//! ```
//!
//! The placement of a group says where it runs. A group of the placement `Tick` is `Stale` until it has run
//! in a tick. The others are `Waiting` until a lane is free, and `InLane` while they run there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::kernel::backoff::Backoff;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::{days, millis, secs};

use super::config::ReactivityConfig;
use super::delivery::{QueryResult, Version};
use super::query_key::{BatchId, CallerKey, GroupId, QueryKey, SubscriptionKey};
use super::relations::ReadTables;
use super::tick::{FinishedRun, OVERLOADED_PAUSE, RunEnd};

/// A query that was cancelled at its time limit is suspended for this many times the duration of the run.
const TIMEOUT_PAUSE_FACTOR: u32 = 10;
/// A query with a refresh interval is slow after `slow_after` divided by this, because it runs again without
/// a change, and each of its runs in a tick would hold up the results of all other clients.
const REFRESH_DIVISOR: u32 = 10;
/// Between two attempts of a query that waits for a lock.
const LOCK_RETRY: Backoff = Backoff::exponential(millis(250), secs(2));
/// The longest time ahead that is scheduled.
const SCHEDULE_MAX: Duration = days(365);

/// Subscriptions that share runs.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) query: Arc<QueryKey>,
    /// The caller whose calls the runs are; all members may share the results.
    pub(super) caller: Arc<CallerKey>,
    pub(super) phase: GroupPhase,
    pub(super) placement: RunPlacement,
    pub(super) result: Option<Arc<QueryResult>>,
    pub(super) reads: ReadTables,
    pub(super) members: BTreeSet<SubscriptionKey>,
    /// Sessions that broke in a row during runs of this group.
    pub(super) failures: u32,
    /// Runs in a row that waited for a lock for too long.
    pub(super) lock_timeouts: u32,
}

/// Whether the result of a group is valid in the newest snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupPhase {
    /// The group has to run in a tick: it is new, or a table that it read has changed.
    Stale,
    /// The group has to run, and waits for a lane.
    Waiting,
    /// The group runs in a lane, in the snapshot of the batch.
    InLane(BatchId),
    /// The result is valid.
    Current {
        /// When the group has to run again although no change is reported.
        refresh_at: Option<Instant>,
    },
    /// The last run timed out, waited for a lock for too long, broke its session, found no memory for its
    /// result, or got no thread. Its error counts as the result until `until`.
    Suspended { until: Instant },
}

/// Where a group runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunPlacement {
    /// In a lane: how long its runs take is not known yet.
    FirstRun,
    /// In the ticks.
    Tick,
    /// In a lane: its runs take longer than others should wait.
    Slow,
    /// In a lane: its last run waited for a lock for too long. Its subscribers have an error meanwhile.
    Locked,
}

/// When a group has to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    At(Instant),
    /// In this tick, or in the next when the tick's runs have begun. Ordered after every `At`, so the last
    /// entry of the agenda tells whether there is one.
    NextRun,
}

/// One subscription of a client.
#[derive(Debug)]
pub(super) struct LiveSubscription {
    pub(super) group: GroupId,
    pub(super) query: Arc<QueryKey>,
    pub(super) caller: Arc<CallerKey>,
    pub(super) delivered: Delivered,
}

/// The result that a client has of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// Nothing was delivered. The client may have kept a result of an earlier subscription.
    Nothing { kept: Option<Version> },
    /// The result of this version.
    Version(Version),
}

impl Group {
    pub(super) fn new(query: Arc<QueryKey>, caller: Arc<CallerKey>, placement: RunPlacement) -> Self {
        Self {
            query,
            caller,
            phase: placement.phase_to_run(),
            placement,
            result: None,
            reads: ReadTables::default(),
            members: BTreeSet::new(),
            failures: 0,
            lock_timeouts: 0,
        }
    }

    /// True when the client of `subscription` may not advance before this group has run: its result is not
    /// valid, and the client has an older one, or the group is known to be slow. A slow group holds its
    /// client up before its first delivery too, because under constant changes only a frozen transition can
    /// deliver it. While a query waits for a lock, the error is its result.
    pub(super) fn holds_up_client(&self, subscription: &LiveSubscription) -> bool {
        let known_slow = self.placement == RunPlacement::Slow;
        let was_delivered = matches!(subscription.delivered, Delivered::Version(_));
        !self.has_valid_result() && (known_slow || was_delivered)
    }

    /// True when the result of the group is valid in the newest snapshot, or counts as such: the error of a
    /// query that waits for a lock does also while it is tried again.
    pub(super) fn has_valid_result(&self) -> bool {
        self.phase.is_settled() || self.placement == RunPlacement::Locked
    }

    /// Counts lock timeouts, and returns the placement of the next run and the phase after this one.
    pub(super) fn record_run(
        &mut self,
        run: &FinishedRun,
        now: Instant,
        config: &ReactivityConfig,
    ) -> (RunPlacement, GroupPhase) {
        if run.end == RunEnd::Locked {
            let pause = LOCK_RETRY.ceiling(self.lock_timeouts);
            self.lock_timeouts += 1;
            let placement = if config.lanes_max == 0 { RunPlacement::Tick } else { RunPlacement::Locked };
            return (placement, GroupPhase::Suspended { until: later(now, pause) });
        }
        if run.end == RunEnd::NoThread {
            // How long it runs is not known.
            return (self.placement, GroupPhase::Suspended { until: later(now, OVERLOADED_PAUSE) });
        }
        self.lock_timeouts = 0;
        // Half the limit on the way back, so that a query at the limit does not change its place with each
        // run.
        let slow_after = match self.query.refresh {
            Some(_) => config.slow_after / REFRESH_DIVISOR,
            None => config.slow_after,
        };
        let limit = if self.placement == RunPlacement::Slow { slow_after / 2 } else { slow_after };
        let slow = config.lanes_max > 0 && run.took >= limit;
        let placement = if slow { RunPlacement::Slow } else { RunPlacement::Tick };
        (placement, self.phase_after(run, now, config))
    }

    fn phase_after(&self, run: &FinishedRun, now: Instant, config: &ReactivityConfig) -> GroupPhase {
        let pause = match run.result.outcome.as_ref().err().map(Fault::code) {
            Some(Code::Overloaded) => Some(OVERLOADED_PAUSE),
            Some(Code::Timeout) => Some(run.took.saturating_mul(TIMEOUT_PAUSE_FACTOR)),
            _ => None,
        };
        if let Some(pause) = pause {
            return GroupPhase::Suspended { until: later(now, pause) };
        }
        let refresh = self.query.refresh;
        // An incomplete list of reads may lack tables whose changes concern the group.
        let polls = !run.complete || (refresh.is_none() && !run.reads.untracked.is_empty());
        let interval = if polls { Some(config.uncaptured_refresh) } else { refresh };
        GroupPhase::Current { refresh_at: interval.map(|interval| later(now, interval)) }
    }
}

impl RunPlacement {
    /// The phase of a group of this placement that has to run.
    pub(super) fn phase_to_run(self) -> GroupPhase {
        if self == Self::Tick { GroupPhase::Stale } else { GroupPhase::Waiting }
    }
}

impl GroupPhase {
    /// True when the result of the group is valid in the newest snapshot, or counts as such.
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Self::Current { .. } | Self::Suspended { .. })
    }

    pub(super) fn due(self) -> Option<Due> {
        match self {
            Self::Stale => Some(Due::NextRun),
            // The lanes know these.
            Self::Waiting | Self::InLane(_) => None,
            Self::Current { refresh_at } => refresh_at.map(Due::At),
            Self::Suspended { until } => Some(Due::At(until)),
        }
    }
}

/// `now + pause`, with the pause capped at [`SCHEDULE_MAX`] so that the sum cannot overflow.
pub(super) fn later(now: Instant, pause: Duration) -> Instant {
    now + pause.min(SCHEDULE_MAX)
}
