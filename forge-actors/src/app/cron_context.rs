//! What only the context of a cron knows: the time that it runs for.

use chrono::NaiveDateTime;

use crate::app::context::CronContext;
use crate::kernel::ids::CronId;
use crate::kernel::time::{Timestamp, secs};

/// A run that starts later than this after it was due is late.
const LATE_AFTER: std::time::Duration = secs(10);

impl CronContext {
    /// The schedule that brought this run. Handlers that serve many schedules tell them apart by it.
    pub fn cron(&self) -> CronId {
        self.resources.run.cron
    }

    /// The name of that schedule.
    pub fn cron_name(&self) -> &str {
        &self.resources.run.name
    }

    /// The time that this run is for, and the same in every attempt. A report about "yesterday" counts from
    /// here, and not from the present.
    ///
    /// Of a run that a person asked for, it is the time at which they asked.
    pub fn scheduled_time(&self) -> Timestamp {
        self.resources.run.scheduled_at
    }

    /// The same time on the clock of the schedule's zone: `ctx.local_time().date()` is the day that people
    /// there call today.
    pub fn local_time(&self) -> NaiveDateTime {
        self.resources.run.local_at
    }

    /// When this attempt began, by the database's clock.
    pub fn execution_time(&self) -> Timestamp {
        self.resources.began_at
    }

    /// How long after the scheduled time this attempt began.
    pub fn delay(&self) -> std::time::Duration {
        (self.execution_time() - self.scheduled_time()).to_std().unwrap_or_default()
    }

    /// True when this attempt began more than 10 s after it was due; the jitter does not count.
    pub fn is_late(&self) -> bool {
        let late = self.execution_time() - self.resources.run.due_at;
        late.to_std().is_ok_and(|late| late > LATE_AFTER)
    }

    /// True when the time was missed, because no node could run the cron, and this run makes up for it.
    pub fn is_catch_up(&self) -> bool {
        self.resources.run.catch_up
    }

    /// True when a person asked for this run.
    pub fn is_requested(&self) -> bool {
        self.resources.run.requested
    }
}
