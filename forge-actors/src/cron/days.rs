//! What became of the times of the last day, cron by cron, in half hours: for strips that people compare.

use std::time::Duration;

use chrono::{DurationRound, TimeDelta};
use sqlx::Row;

use super::state::MISSED_AFTER;
use super::store;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::CronId;
use crate::kernel::integer::Int53;
use crate::kernel::time::{Timestamp, minutes};

/// Length of a slot.
const SLOT: Duration = minutes(30);
/// Slots of a day.
const SLOTS: u32 = 48;
/// Runs of one cron that are counted at most, the newest ones: more than a day of one that runs each minute.
const RUNS_MAX: i64 = 1_500;
/// Crons of one answer at most.
pub const CRONS_MAX: usize = 100;

/// What became of the times of several crons since the same moment.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct CronDays {
    /// Start of the first slot, by the database's clock.
    pub from: Timestamp,
    /// Milliseconds of a slot.
    pub slot_ms: Int53,
    /// How many slots the day has. The last one contains now.
    pub slots: u32,
    /// By the ids of the crons.
    pub crons: Vec<CronDay>,
}

/// What became of the times of one cron.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct CronDay {
    /// The cron.
    pub cron: CronId,
    /// Times up to this one are not counted: the cron has more of them than are counted.
    pub known_from: Option<Timestamp>,
    /// The slots in which a time came, in their order.
    pub slots: Vec<CronSlot>,
}

/// What became of the times of one slot.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CronSlot {
    /// Its place in the day, from 0.
    pub index: u32,
    /// Runs that succeeded and had begun in time.
    pub completed: u32,
    /// Runs that succeeded and had begun late.
    pub late: u32,
    /// Runs that failed, or that a person ended.
    pub failed: u32,
    /// Times that no leader saw, and that nothing made up for.
    pub missed: u32,
    /// Times that were skipped because of the runs before.
    pub overlapped: u32,
    /// Runs that wait or are under way.
    pub unfinished: u32,
    /// Runs of whose end nothing is known.
    pub unknown: u32,
}

/// The last day of each of `crons`, of which the first [`CRONS_MAX`] count.
pub async fn list_days(db: &Db, mut crons: Vec<CronId>) -> Result<CronDays, Fault> {
    crons.truncate(CRONS_MAX);
    let from = start_of_day(store::read_clock(db).await?)?;
    let rows = sqlx::query(include_str!("sql/count_day_runs.sql"))
        .bind(crons)
        .bind(RUNS_MAX)
        .bind(from.timestamp() as f64)
        .bind(SLOT.as_secs_f64())
        .bind(MISSED_AFTER.as_secs_f64())
        .fetch_all(db)
        .await?;
    let mut days: Vec<CronDay> = Vec::new();
    for row in &rows {
        let cron = row.try_get("id")?;
        if days.last().is_none_or(|day| day.cron != cron) {
            let slots = (0..SLOTS).map(|index| CronSlot { index, ..CronSlot::default() }).collect();
            days.push(CronDay { cron, known_from: row.try_get("known_from")?, slots });
        }
        if let Some(day) = days.last_mut()
            && let Some(outcome) = row.try_get("outcome")?
        {
            let times: i64 = row.try_get("times")?;
            let times = u32::try_from(times).unwrap_or(u32::MAX);
            add(&mut day.slots, row.try_get("first_slot")?, row.try_get("last_slot")?, outcome, times)?;
        }
    }
    for day in &mut days {
        day.slots.retain(|slot| *slot != CronSlot { index: slot.index, ..CronSlot::default() });
    }
    Ok(CronDays { from, slot_ms: Int53::millis(SLOT), slots: SLOTS, crons: days })
}

/// Start of the first slot of the day that ends with the slot of `now`. Slots begin at full and half hours of
/// UTC, so that the counts of a slot stay while the next ones come.
fn start_of_day(now: Timestamp) -> Result<Timestamp, Fault> {
    let slot = TimeDelta::from_std(SLOT).map_err(Fault::internal)?;
    Ok(now.duration_trunc(slot).map_err(Fault::internal)? - SLOT * (SLOTS - 1))
}

/// Adds times that had the same outcome. Those of several slots are spread over them evenly, as the times of
/// most schedules are; what came before the first slot of the day is left out.
fn add(slots: &mut [CronSlot], first: i32, last: i32, outcome: &str, times: u32) -> Result<(), Fault> {
    let length = last.abs_diff(first) + 1;
    for index in first.max(0)..=last {
        let Some(slot) = usize::try_from(index).ok().and_then(|index| slots.get_mut(index)) else { continue };
        *slot.count_of(outcome)? += times / length + u32::from(index.abs_diff(first) < times % length);
    }
    Ok(())
}

impl CronSlot {
    /// The count to which runs of this status belong, or times of this reason.
    fn count_of(&mut self, outcome: &str) -> Result<&mut u32, Fault> {
        match outcome {
            "completed" => Ok(&mut self.completed),
            "late" => Ok(&mut self.late),
            "failed" | "dead_letter" | "cancelled" => Ok(&mut self.failed),
            "missed" => Ok(&mut self.missed),
            "overlap" | "queue_full" => Ok(&mut self.overlapped),
            "waiting" | "dispatched" => Ok(&mut self.unfinished),
            "unknown" => Ok(&mut self.unknown),
            other => Err(Fault::internal(format!("`{other}` is no outcome of a run"))),
        }
    }
}
