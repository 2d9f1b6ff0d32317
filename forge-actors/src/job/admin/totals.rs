//! How many jobs there are: exact up to a bound, so that counting costs the same however many wait.

use std::collections::BTreeMap;

use sqlx::Row;

use crate::app::JobStatus;
use crate::db::handle::Db;
use crate::job::state::is_finished;
use crate::job::store;
use crate::kernel::fault::Fault;

/// Jobs that are counted of each part for the tabs of a page.
const COUNTED_MAX: u32 = 5_000;
/// The same for the overview.
const OVERVIEW_MAX: u32 = 1_000;

/// A number that is exact up to a bound.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BoundedCount {
    /// So many.
    pub count: u32,
    /// There are more; `count` is how many were counted.
    pub is_more: bool,
}

impl BoundedCount {
    /// What was counted with one more than `most` as the limit.
    pub(super) fn of(counted: i64, most: u32) -> Self {
        let counted = u32::try_from(counted).unwrap_or(u32::MAX);
        Self { count: counted.min(most), is_more: counted > most }
    }

    fn and(self, other: Self) -> Self {
        Self { count: self.count.saturating_add(other.count), is_more: self.is_more || other.is_more }
    }
}

/// How many jobs are in a status.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusCount {
    /// The status.
    pub status: JobStatus,
    /// How many.
    pub count: BoundedCount,
}

/// How many jobs there are.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTotals {
    /// Every status, in the order in which Postgres has them.
    pub statuses: Vec<StatusCount>,
    /// Jobs in status `pending` or `retry` that wait for a worker.
    pub due: BoundedCount,
    /// Jobs in status `pending` or `retry` that wait for their time.
    pub scheduled: BoundedCount,
    /// Jobs in status `pending` or `retry` that wait for a concurrency or rate limit.
    pub blocked: BoundedCount,
}

/// Numbers of jobs, by state.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCounts {
    /// Jobs that wait for a worker, for their scheduled time or for a limit.
    pub pending: u32,
    /// Jobs that a node has claimed (status `claimed` or `running`), whether their attempt has begun or not.
    /// All of them are counted.
    pub running: u32,
    /// Jobs that wait for their next attempt.
    pub retry: u32,
    /// Jobs in status `failed` or `dead_letter` that ended within the last 24 hours.
    pub failed: u32,
    /// There are more of some than these numbers say: many jobs are not counted to the last.
    pub is_more: bool,
}

/// Counts the jobs for the tabs of a page.
pub async fn totals(db: &Db) -> Result<JobTotals, Fault> {
    Ok(CountedParts::read(db, COUNTED_MAX).await?.totals())
}

/// Counts the jobs for the overview.
pub async fn count(db: &Db) -> Result<JobCounts, Fault> {
    let totals = CountedParts::read(db, OVERVIEW_MAX).await?.totals();
    let failed: i64 = sqlx::query_scalar(include_str!("../sql/count_recent_failures.sql"))
        .bind(i64::from(OVERVIEW_MAX) + 1)
        .fetch_one(db)
        .await?;
    let of = |wanted: JobStatus| {
        let found = totals.statuses.iter().find(|found| found.status == wanted);
        found.map_or(BoundedCount::default(), |found| found.count)
    };
    let (pending, retry) = (of(JobStatus::Pending), of(JobStatus::Retry));
    let failed = BoundedCount::of(failed, OVERVIEW_MAX);
    Ok(JobCounts {
        pending: pending.count,
        running: of(JobStatus::Claimed).and(of(JobStatus::Running)).count,
        retry: retry.count,
        failed: failed.count,
        is_more: pending.is_more || retry.is_more || failed.is_more,
    })
}

/// What sql/count_jobs.sql has counted: jobs by part and status.
struct CountedParts {
    jobs: BTreeMap<(String, JobStatus), i64>,
    most: u32,
}

impl CountedParts {
    async fn read(db: &Db, most: u32) -> Result<Self, Fault> {
        let rows = sqlx::query(include_str!("../sql/count_jobs.sql"))
            .bind(i64::from(most) + 1)
            .fetch_all(db)
            .await?;
        let counted = rows.iter().map(|row| {
            let part: String = row.try_get("part")?;
            Ok(((part, store::status(row)?), row.try_get("jobs")?))
        });
        Ok(Self { jobs: counted.collect::<sqlx::Result<_>>()?, most })
    }

    fn totals(&self) -> JobTotals {
        JobTotals {
            statuses: JobStatus::ALL
                .into_iter()
                .map(|status| StatusCount { status, count: self.status(status) })
                .collect(),
            due: self.whole("due"),
            scheduled: self.whole("scheduled"),
            blocked: self.whole("blocked"),
        }
    }

    /// All jobs of a part.
    fn whole(&self, part: &str) -> BoundedCount {
        let jobs = self.jobs.iter().filter(|((of, _), _)| of == part);
        BoundedCount::of(jobs.map(|(_, jobs)| *jobs).sum(), self.most)
    }

    /// The jobs of a part that are in a status. There may be more of them when the part was not read whole.
    fn of(&self, part: &str, status: JobStatus) -> BoundedCount {
        let jobs = self.jobs.get(&(part.to_owned(), status)).copied().unwrap_or_default();
        let counted = BoundedCount::of(jobs, self.most);
        BoundedCount { is_more: self.whole(part).is_more, ..counted }
    }

    fn status(&self, status: JobStatus) -> BoundedCount {
        match status {
            JobStatus::Pending => {
                self.of("due", status).and(self.of("scheduled", status)).and(self.of("blocked", status))
            }
            JobStatus::Retry => self.of("failing", status),
            JobStatus::Claimed | JobStatus::Running => {
                let held = ["held", "leased"].map(|part| self.jobs.get(&(part.to_owned(), status)));
                BoundedCount::of(held.into_iter().flatten().sum(), u32::MAX)
            }
            JobStatus::Completed => self.of("finished", status),
            ended => {
                debug_assert!(is_finished(ended), "the others are above");
                let jobs = self.jobs.get(&("ended".to_owned(), ended)).copied().unwrap_or_default();
                BoundedCount::of(jobs, self.most)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_to_its_end_is_more() {
        use JobStatus::{Claimed, Completed, DeadLetter, Failed, Pending, Retry, Running};
        let jobs = [
            ("due", Pending, 3),
            ("due", Retry, 1),
            ("scheduled", Pending, 2),
            ("scheduled", Retry, 9),
            ("failing", Pending, 2),
            ("failing", Retry, 4),
            ("held", Running, 30),
            ("leased", Running, 2),
            ("leased", Claimed, 5),
            ("finished", Completed, 9),
            ("finished", Failed, 2),
            ("ended", Failed, 11),
            ("ended", DeadLetter, 10),
        ];
        let jobs = jobs.into_iter().map(|(part, status, jobs)| ((part.to_owned(), status), jobs)).collect();
        let totals = CountedParts { jobs, most: 10 }.totals();
        let exactly = |count| BoundedCount { count, is_more: false };
        let at_least = |count| BoundedCount { count, is_more: true };
        let expected = [
            // The scheduled jobs were not read to their end, and the others of them may be pending.
            at_least(5),
            exactly(5),
            exactly(32),
            at_least(9),
            exactly(4),
            at_least(10),
            exactly(10),
            exactly(0),
        ];
        let statuses: Vec<BoundedCount> = totals.statuses.iter().map(|status| status.count).collect();
        assert_eq!(statuses, expected);
        assert_eq!((totals.due, totals.scheduled, totals.blocked), (exactly(4), at_least(10), exactly(0)));
    }
}
