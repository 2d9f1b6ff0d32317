//! Begins and renewals.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::record::waited;
use super::{HeldInBatch, JobStore};
use crate::kernel::fault::Fault;
use crate::kernel::ids::{JobId, LeaseId};

/// A claim of a job on its own row. Its number grows with each claim, so that a write which names an older
/// one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// The number of the claim.
    pub number: i32,
}

/// An attempt whose begin is written: from now on it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BegunAttempt {
    /// The job.
    pub job: JobId,
    /// The attempt that begins, the first is 1.
    pub attempt: u32,
    /// How long the job waited for a worker after its time had come.
    pub waited: Duration,
}

/// What a renewal writes about the batch leases of a node.
#[derive(Debug, Default)]
pub struct BatchRenewal {
    /// Those that hold jobs: their leases are renewed.
    pub held: Vec<LeaseId>,
    /// Those that hold no job any more: they are deleted.
    pub ended: Vec<LeaseId>,
    /// Jobs of those that hold some, whose attempt has begun.
    pub begun: Vec<HeldInBatch>,
    /// Jobs of those that hold some, that are in the history.
    pub finished: Vec<HeldInBatch>,
}

/// A job of a batch lease whose worker was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostJob {
    /// The lease.
    pub lease: LeaseId,
    /// The job.
    pub job: JobId,
    /// Attempts that are spent; the one that was lost is not.
    pub attempts: u32,
}

/// A batch lease that still holds.
#[derive(Debug)]
pub struct RenewedBatch {
    /// The lease.
    pub lease: LeaseId,
    /// Jobs that it does not hold any more.
    pub gone: HashSet<JobId>,
}

impl JobStore {
    /// Begins an attempt of each of these claims, and renews their leases. Returns those that still hold.
    pub async fn begin(&self, claims: &[Claim], lease: Duration) -> Result<Vec<BegunAttempt>, Fault> {
        let _turn = self.turn().await;
        let rows = sqlx::query(include_str!("../sql/begin_jobs.sql"))
            .bind(claims.iter().map(|claim| claim.job).collect::<Vec<_>>())
            .bind(claims.iter().map(|claim| claim.number).collect::<Vec<_>>())
            .bind(lease.as_secs_f64())
            .fetch_all(&self.database.control())
            .await?;
        let begun = |row: &PgRow| {
            let attempt: i32 = row.try_get("attempt")?;
            Ok(BegunAttempt {
                job: row.try_get("id")?,
                attempt: attempt.unsigned_abs(),
                waited: waited(row)?,
            })
        };
        Ok(rows.iter().map(begun).collect::<sqlx::Result<_>>()?)
    }

    /// Renews the leases of these claims. Returns the jobs whose claim still holds.
    pub async fn renew(&self, claims: &[Claim], lease: Duration) -> Result<Vec<JobId>, Fault> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let _turn = self.turn().await;
        let renewed = sqlx::query_scalar(include_str!("../sql/renew_leases.sql"))
            .bind(claims.iter().map(|claim| claim.job).collect::<Vec<_>>())
            .bind(claims.iter().map(|claim| claim.number).collect::<Vec<_>>())
            .bind(lease.as_secs_f64())
            .fetch_all(&self.database.control())
            .await?;
        Ok(renewed)
    }

    /// Renews batch leases, and deletes those that have ended. Returns those that still hold.
    pub async fn renew_batches(
        &self,
        renewal: &BatchRenewal,
        lease: Duration,
    ) -> Result<Vec<RenewedBatch>, Fault> {
        if renewal.held.is_empty() && renewal.ended.is_empty() {
            return Ok(Vec::new());
        }
        let begun = renewal.begun.iter().map(|(lease, job)| (*lease, *job, true));
        let finished = renewal.finished.iter().map(|(lease, job)| (*lease, *job, false));
        let (mut leases, mut jobs, mut have_begun) = (Vec::new(), Vec::new(), Vec::new());
        for (lease, job, has_begun) in begun.chain(finished) {
            leases.push(lease);
            jobs.push(job);
            have_begun.push(has_begun);
        }
        let rows = sqlx::query(include_str!("../sql/renew_batch_leases.sql"))
            .bind(&renewal.held)
            .bind(lease.as_secs_f64())
            .bind(&renewal.ended)
            .bind(leases)
            .bind(jobs)
            .bind(have_begun)
            .fetch_all(&self.database.control())
            .await?;
        let renewed = |row: &PgRow| {
            let gone: Vec<JobId> = row.try_get("gone")?;
            Ok(RenewedBatch { lease: row.try_get("id")?, gone: gone.into_iter().collect() })
        };
        Ok(rows.iter().map(renewed).collect::<sqlx::Result<_>>()?)
    }
}
