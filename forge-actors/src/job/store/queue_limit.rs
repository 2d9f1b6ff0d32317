//! Claims from queues of which an operator lets only so many jobs be held at a time, by all nodes together.
//!
//! A slot is a job that is held, by its own row or by a batch lease: nothing else counts slots, so none can
//! leak. A claim locks the settings of the queue in one statement and counts in the next, whose snapshot is
//! newer than the wait. Every other claim takes nothing from such a queue, so that a claimer which does not
//! know of the limit yet cannot exceed it. Only a claim that was under way when the limit was set can.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::Row;

use super::limited::claim_limited;
use super::{ClaimSize, Claimant, ClaimedJobs, JobStore, LOCK_LIMIT, LimitedClaim, claim, end, queue_names};
use crate::db::transaction::TransactionOptions;
use crate::job::limits::{LimitTable, LimitedJob};
use crate::kernel::fault::Fault;

impl JobStore {
    /// Claims as many jobs of the queue as its limit lets be held, and `size` at most, of those that need
    /// resources the `fitting` ones. `None`: the queue has no limit.
    pub async fn claim_within_limit(
        &self,
        queue: &str,
        claimant: Claimant<'_>,
        size: ClaimSize,
        limits: &LimitTable,
        fitting: impl Fn(Vec<LimitedJob>) -> Vec<LimitedJob>,
    ) -> Result<Option<LimitedClaim>, Fault> {
        let tx = self.database.begin_of_jobs(TransactionOptions::new("forge.jobs", LOCK_LIMIT)).await?;
        let db = tx.db();
        // Keys without a row, whose jobs the next claim takes.
        let mut missing: Vec<String> = Vec::new();
        let claimed = async {
            let lock = sqlx::query(include_str!("../sql/lock_queue_limit.sql")).bind(queue);
            let Some(settings) = lock.fetch_optional(&db).await? else { return Ok(None) };
            let concurrency_max: Option<i32> = settings.try_get("concurrency_max")?;
            let Some(concurrency_max) = concurrency_max else { return Ok(None) };
            if settings.try_get("is_paused")? {
                return Ok(Some(LimitedClaim::default()));
            }
            let held: i64 = sqlx::query_scalar(include_str!("../sql/count_held_in_queue.sql"))
                .bind(queue)
                .fetch_one(&db)
                .await?;
            let left = usize::try_from(i64::from(concurrency_max) - held).unwrap_or_default();
            if left == 0 {
                return Ok(Some(LimitedClaim::default()));
            }
            let size = ClaimSize { limit: size.limit.min(left), ..size };
            let ClaimedJobs { mut records, limited } = claim(&db, queue, claimant, size, true).await?;
            let limited = fitting(limited);
            if limited.is_empty() {
                return Ok(Some(LimitedClaim { records, ..LimitedClaim::default() }));
            }
            let passed = claim_limited(&db, &limited, Claimant { batch: None, ..claimant }, limits).await?;
            let LimitedClaim { records: passed, blocked, opening, full } = passed.unwrap_or_else(|| {
                missing.extend(limited.iter().flat_map(LimitedJob::keys).map(str::to_owned));
                LimitedClaim::default()
            });
            records.extend(passed);
            Ok(Some(LimitedClaim { records, blocked, opening, full }))
        };
        let claimed = claimed.await;
        let claimed = end(tx, claimed).await?;
        if !missing.is_empty() {
            self.insert_keys(missing.iter().map(String::as_str)).await?;
        }
        Ok(claimed)
    }

    /// The queues that have a limit.
    pub(in crate::job) async fn list_limited_queues(&self) -> Result<BTreeSet<Arc<str>>, Fault> {
        let queues = sqlx::query_scalar(include_str!("../sql/list_limited_queues.sql"))
            .fetch_all(&self.database.reader())
            .await?;
        Ok(queue_names(Some(queues)))
    }
}
