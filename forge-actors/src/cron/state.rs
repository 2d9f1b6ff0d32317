//! Which times have come, and what becomes of each: pure decisions.
//!
//! ```text
//!   next_at ──▶ times until now ─┬─ missed: all but the newest `catch_up` ─▶ skipped, one row for all
//!                                ├─ missed: the newest `catch_up` ─────────▶ dispatched, or waiting
//!                                └─ on time ──▶ dispatched · waiting (queue) · skipped (skip)
//!   waiting ── the run before is finished ──▶ dispatched
//! ```

use std::time::Duration;

use crate::app::CronOverlap;
use crate::kernel::ids::CronId;
use crate::kernel::time::{Timestamp, secs};

use super::timetable::{Timetable, TimetableError};

/// A time that is seen later than this was missed. A leader that is lost is replaced sooner, so its times are
/// not missed by that alone.
pub const MISSED_AFTER: Duration = secs(10);
/// Runs of one cron that wait for the one before; further ones are skipped.
pub const WAITING_MAX: usize = 100;
/// Times of one cron that one transaction looks at. What is left comes with the next one.
pub(super) const TIMES_MAX: usize = 5_000;

/// What a cron does with its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CronRules {
    /// What becomes of a run while the one before is not finished.
    pub overlap: CronOverlap,
    /// How many missed times run afterwards.
    pub catch_up: usize,
}

/// Runs of a cron that are not finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenRuns {
    /// Their jobs are not finished.
    pub dispatched: usize,
    /// They wait for the run before.
    pub waiting: usize,
}

/// Why a time has no run.
#[forge_app_macros::data]
#[serde(rename_all = "snake_case")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronSkipReason {
    /// No leader saw it in time, and newer times are made up for.
    Missed,
    /// The run before was not finished.
    Overlap,
    /// As many runs waited as may wait.
    QueueFull,
}

impl CronSkipReason {
    /// Every reason, in the order of the type in Postgres.
    pub const ALL: [Self; 3] = [Self::Missed, Self::Overlap, Self::QueueFull];

    /// The label in Postgres and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Overlap => "overlap",
            Self::QueueFull => "queue_full",
        }
    }
}

/// What becomes of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStart {
    /// Its job is dispatched.
    Now,
    /// It waits for the run before.
    Waits,
    /// It has no run.
    Skipped(CronSkipReason),
}

/// A time that has come, or several in a row that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedRun {
    /// The time, or the first one.
    pub scheduled_at: Timestamp,
    /// The last one.
    pub last_at: Timestamp,
    /// How many times.
    pub times: usize,
    /// The time was missed, and is made up for.
    pub catch_up: bool,
    /// What becomes of it.
    pub start: RunStart,
}

/// What becomes of the times until now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronPlan {
    /// In the order of their times.
    pub runs: Vec<PlannedRun>,
    /// The first time that was not looked at, or why there is none.
    pub next_at: Result<Timestamp, TimetableError>,
}

impl CronPlan {
    /// Decides about the times from `next_at` to `now`. `open` are the runs that are not finished now, and
    /// `times_max` says how many times may be looked at.
    pub fn until(
        timetable: &Timetable,
        rules: CronRules,
        next_at: Timestamp,
        now: Timestamp,
        mut open: OpenRuns,
        times_max: usize,
    ) -> Self {
        let (mut times, mut next) = (Vec::new(), Ok(next_at));
        while let Ok(time) = &next
            && *time <= now
            && times.len() < times_max
        {
            times.push(*time);
            next = timetable.next_after(*time);
        }
        let is_missed = |time: &Timestamp| (now - *time).to_std().is_ok_and(|late| late > MISSED_AFTER);
        let missed = times.partition_point(is_missed);
        let (missed, on_time) = times.split_at(missed);
        let (skipped, mut caught_up) = missed.split_at(missed.len().saturating_sub(rules.catch_up));
        if times.len() == times_max
            && on_time.is_empty()
            && let Some(first) = caught_up.first()
            && next.as_ref().is_ok_and(|next| *next <= now)
        {
            // There are more, and the newest ones may be among them.
            next = Ok(*first);
            caught_up = &[];
        }
        let mut runs = Vec::new();
        if let (Some(first), Some(last)) = (skipped.first(), skipped.last()) {
            let start = RunStart::Skipped(CronSkipReason::Missed);
            let (scheduled_at, last_at, times) = (*first, *last, skipped.len());
            runs.push(PlannedRun { scheduled_at, last_at, times, catch_up: false, start });
        }
        let times = caught_up.iter().map(|time| (*time, true));
        for (time, catch_up) in times.chain(on_time.iter().map(|time| (*time, false))) {
            let start = rules.start(&mut open, catch_up);
            runs.push(PlannedRun { scheduled_at: time, last_at: time, times: 1, catch_up, start });
        }
        Self { runs, next_at: next }
    }
}

impl CronRules {
    /// Decides about one time, and counts it among the open runs.
    fn start(self, open: &mut OpenRuns, catch_up: bool) -> RunStart {
        let is_busy = open.dispatched + open.waiting > 0;
        let start = match self.overlap {
            CronOverlap::Allow => RunStart::Now,
            CronOverlap::Skip | CronOverlap::Queue if !is_busy => RunStart::Now,
            // Times that are made up for would all but one be skipped, since they are seen together.
            CronOverlap::Skip if !catch_up => RunStart::Skipped(CronSkipReason::Overlap),
            CronOverlap::Skip | CronOverlap::Queue if open.waiting < WAITING_MAX => RunStart::Waits,
            CronOverlap::Skip | CronOverlap::Queue => RunStart::Skipped(CronSkipReason::QueueFull),
        };
        match start {
            RunStart::Now => open.dispatched += 1,
            RunStart::Waits => open.waiting += 1,
            RunStart::Skipped(_) => {}
        }
        start
    }
}

/// How much later than its time a run starts: a part of `jitter` that is always the same for one time of one
/// cron, and spreads the crons that share a time.
pub fn jitter_of(cron: CronId, scheduled_at: Timestamp, jitter: Duration) -> Duration {
    let key = cron.as_uuid().as_u128() ^ u128::from(scheduled_at.timestamp().cast_unsigned());
    // The finisher of MurmurHash3: neighbouring keys have unrelated values.
    let mut hash = (key as u64) ^ ((key >> 64) as u64);
    for multiplier in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(multiplier);
    }
    hash ^= hash >> 33;
    jitter.mul_f64((hash >> 11) as f64 / (1_u64 << 53) as f64)
}
