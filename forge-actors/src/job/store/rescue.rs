//! Rescues: the ends of leases that have run out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;

use super::{JobStore, LOCK_LIMIT, end, queue_names};
use crate::db::transaction::TransactionOptions;
use crate::job::state;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::halving::{RefusedRow, write_by_halves};
use crate::kernel::ids::{JobId, LeaseId};
use crate::kernel::time::secs;

/// Jobs that one rescue returns; the next rescue returns further ones.
const RESCUE_MAX: i64 = 1_000;
/// A job whose lease expired in attempt n comes back within n - 1 times this, ten times at most.
const RESCUE_SPREAD: Duration = secs(3);
/// How long a job that the database refuses to have rescued is left alone.
const UNRESCUED_WAIT: Duration = secs(300);

/// The result of a rescue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Queues of the jobs that wait again.
    pub queues: BTreeSet<Arc<str>>,
    /// How many jobs lost an attempt and are run again.
    pub retried: usize,
    /// How many jobs had not begun, and lost no attempt.
    pub returned: usize,
    /// How many jobs had no attempt left, and became dead letters.
    pub dead: usize,
    /// Of those, the jobs that others wait for: their ends are to be recorded.
    pub awaited: Vec<JobId>,
    /// How many jobs were in batch leases. They count a loss.
    pub lost: usize,
    /// Jobs whose row the database refuses to change, and why.
    pub refused: BTreeMap<JobId, String>,
}

impl Rescued {
    /// How many jobs were rescued.
    pub fn count(&self) -> usize {
        self.retried + self.returned + self.dead + self.lost
    }

    fn add(&mut self, other: Self) {
        self.queues.extend(other.queues);
        self.retried += other.retried;
        self.returned += other.returned;
        self.dead += other.dead;
        self.awaited.extend(other.awaited);
        self.lost += other.lost;
        self.refused.extend(other.refused);
    }
}

/// What a rescue of rows returns.
struct RescuedRows {
    rescued: Rescued,
    /// Batch leases that have run out.
    expired_leases: Vec<LeaseId>,
}

impl JobStore {
    /// Returns jobs whose lease has run out to their queues; those that lost their last attempt become dead
    /// letters.
    pub async fn rescue(&self) -> Result<Rescued, Fault> {
        let RescuedRows { mut rescued, expired_leases } = match self.rescue_rows(None).await {
            Err(fault) if fault.blames_row() => self.rescue_rows_by_halves().await?,
            rows => rows?,
        };
        for lease in expired_leases {
            rescued.add(self.rescue_batch(lease).await?);
        }
        Ok(rescued)
    }

    /// Rescues the jobs on rows of their own that the database accepts.
    async fn rescue_rows_by_halves(&self) -> Result<RescuedRows, Fault> {
        let list = sqlx::query_scalar(include_str!("../sql/list_expired_jobs.sql")).bind(RESCUE_MAX);
        let expired: Vec<JobId> = list.fetch_all(&self.database.jobs()).await?;
        let batch = write_by_halves(expired.len(), |part| self.rescue_rows(Some(&expired[part]))).await?;
        let mut all = RescuedRows { rescued: Rescued::default(), expired_leases: Vec::new() };
        for rows in batch.written {
            all.rescued.add(rows.rescued);
            all.expired_leases = rows.expired_leases;
        }
        let refusal = |RefusedRow { row, fault }| (expired[row], error_chain(&fault));
        all.rescued.refused = batch.refused.into_iter().map(refusal).collect();
        self.explain_unrescued(&all.rescued.refused).await?;
        Ok(all)
    }

    /// Makes the refusals the last errors of the jobs that cannot be rescued, which are tried again later. A
    /// job of which the database refuses this as well is tried again with the next rescue.
    async fn explain_unrescued(&self, refused: &BTreeMap<JobId, String>) -> Result<(), Fault> {
        let reasons: Vec<(JobId, String)> =
            refused.iter().map(|(job, refusal)| (*job, state::unrescued(refusal))).collect();
        let db = self.database.jobs();
        write_by_halves(reasons.len(), |part| {
            let (jobs, errors): (Vec<_>, Vec<_>) =
                reasons[part].iter().map(|(job, error)| (*job, error.as_str())).unzip();
            let explain = sqlx::query(include_str!("../sql/explain_unrescued_jobs.sql"))
                .bind(jobs)
                .bind(errors)
                .bind(UNRESCUED_WAIT.as_secs_f64());
            let db = &db;
            async move { Ok(explain.execute(db).await?) }
        })
        .await?;
        Ok(())
    }

    /// Rescues those of these jobs on rows of their own whose lease has run out, or all such jobs.
    async fn rescue_rows(&self, jobs: Option<&[JobId]>) -> Result<RescuedRows, Fault> {
        let rescue = sqlx::query(include_str!("../sql/rescue_jobs.sql"))
            .bind(RESCUE_MAX)
            .bind(RESCUE_SPREAD.as_secs_f64())
            .bind(jobs.map(<[JobId]>::to_vec));
        let row = rescue.fetch_one(&self.database.jobs()).await?;
        let count = |column| row.try_get(column).map(|count: i64| usize::try_from(count).unwrap_or_default());
        let rescued = Rescued {
            queues: queue_names(row.try_get("queues")?),
            retried: count("retried")?,
            returned: count("returned")?,
            dead: count("dead")?,
            awaited: row.try_get::<Option<_>, _>("awaited")?.unwrap_or_default(),
            ..Rescued::default()
        };
        let expired_leases: Option<Vec<LeaseId>> = row.try_get("expired_leases")?;
        Ok(RescuedRows { rescued, expired_leases: expired_leases.unwrap_or_default() })
    }

    /// Rescues the jobs of a batch lease. Those whose rows the database refuses stay in the lease, which is
    /// tried again later.
    async fn rescue_batch(&self, lease: LeaseId) -> Result<Rescued, Fault> {
        let fault = match self.rescue_but(lease, &[]).await {
            Err(fault) if fault.blames_row() => fault,
            rescued => return rescued,
        };
        let held: Vec<JobId> = sqlx::query_scalar(include_str!("../sql/list_held_jobs.sql"))
            .bind(lease)
            .fetch_all(&self.database.jobs())
            .await?;
        let parts = write_by_halves(held.len(), |part| {
            let others: Vec<JobId> =
                held.iter().enumerate().filter(|(at, _)| !part.contains(at)).map(|(_, job)| *job).collect();
            async move { self.rescue_but(lease, &others).await }
        });
        let batch = parts.await?;
        let mut all = Rescued::default();
        for rescued in batch.written {
            all.add(rescued);
        }
        let refusal = |RefusedRow { row, fault }| (held[row], error_chain(&fault));
        all.refused = batch.refused.into_iter().map(refusal).collect();
        sqlx::query(include_str!("../sql/explain_batch_lease.sql"))
            .bind(lease)
            .bind(state::unrescued(&error_chain(&fault)))
            .bind(UNRESCUED_WAIT.as_secs_f64())
            .execute(&self.database.jobs())
            .await?;
        Ok(all)
    }

    /// Rescues the jobs of a batch lease that has run out, but for `left_out`. Two statements, because the
    /// second one must see what the transactions have written that the first one has waited for.
    async fn rescue_but(&self, lease: LeaseId, left_out: &[JobId]) -> Result<Rescued, Fault> {
        let tx = self.database.begin_of_jobs(TransactionOptions::new("forge.jobs", LOCK_LIMIT)).await?;
        let db = tx.db();
        let rescued = async {
            let locked: Vec<LeaseId> = sqlx::query_scalar(include_str!("../sql/lock_expired_leases.sql"))
                .bind(vec![lease])
                .fetch_all(&db)
                .await?;
            if locked.is_empty() {
                return Ok(Rescued::default());
            }
            let row = sqlx::query(include_str!("../sql/rescue_batch_leases.sql"))
                .bind(locked)
                .bind(left_out)
                .fetch_one(&db)
                .await?;
            let lost: i64 = row.try_get("lost")?;
            Ok(Rescued {
                queues: queue_names(row.try_get("queues")?),
                lost: usize::try_from(lost).unwrap_or_default(),
                ..Rescued::default()
            })
        };
        let rescued = rescued.await;
        end(tx, rescued).await
    }
}
