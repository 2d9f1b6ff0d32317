//! Claims of jobs with a limit.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde_json::json;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{Claimant, JobRecord, JobStore, end};
use crate::db::handle::Db;
use crate::db::transaction::TransactionOptions;
use crate::job::limits::{
    KeyState, LimitDecision, LimitKind, LimitTable, LimitedJob, OpenKey, RateBucket, admit,
};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::time::{Timestamp, secs};

/// Attempts to lock keys. The duty `history_expiry` may delete a key between its insert and its lock.
pub(super) const LOCK_TRIES: usize = 5;
/// Statement timeout of a claim that waits for keys: the claims of other queues wait behind it.
const CLAIM_LIMIT: Duration = secs(2);
/// Further ready jobs of a key whose limit is reached that one claim blocks.
const BLOCKED_MAX: i32 = 5_000;

/// The states of keys, and the time of the database at which they were read.
pub(super) struct LockedKeys {
    pub(super) states: HashMap<String, KeyState>,
    pub(super) now: Timestamp,
}

/// What a claim of jobs with a limit, or from a queue with one, has done.
#[derive(Debug, Default)]
pub struct LimitedClaim {
    /// The jobs that are held now.
    pub records: Vec<JobRecord>,
    /// How many of the candidates the limits of their keys have blocked.
    pub(in crate::job) blocked: usize,
    /// The keys of rate limits that have blocked a job.
    pub(in crate::job) opening: Vec<OpeningKey>,
    /// The keys of concurrency limits that have blocked a job. A job of such a key may have ended before this
    /// claim was committed; the unblocker of its node then saw no blocked job.
    pub(in crate::job) full: BTreeMap<String, OpenKey>,
}

/// A key of a rate limit that lets no further job pass for some time.
#[derive(Debug)]
pub(in crate::job) struct OpeningKey {
    pub(in crate::job) key: String,
    /// A handler whose limit it is.
    pub(in crate::job) handler: String,
    /// Until it opens.
    pub(in crate::job) wait: Duration,
}

impl JobStore {
    /// Claims those of `jobs` that their limits let pass, and blocks the others.
    pub(in crate::job) async fn claim_limited(
        &self,
        jobs: &[LimitedJob],
        claimant: Claimant<'_>,
        limits: &LimitTable,
    ) -> Result<LimitedClaim, Fault> {
        for _ in 0..LOCK_TRIES {
            let tx = self.database.begin_of_jobs(TransactionOptions::new("forge.jobs", CLAIM_LIMIT)).await?;
            let claimed = claim_limited(&tx.db(), jobs, claimant, limits).await;
            if let Some(claim) = end(tx, claimed).await? {
                return Ok(claim);
            }
            self.insert_keys(jobs.iter().flat_map(LimitedJob::keys)).await?;
        }
        Err(keys_vanish())
    }

    /// Makes the rows of keys that have none, in a transaction of its own: a transaction that has locked keys
    /// must not wait for one that makes others.
    pub(super) async fn insert_keys(&self, keys: impl Iterator<Item = &str>) -> Result<(), Fault> {
        let keys: BTreeSet<&str> = keys.collect();
        let insert = sqlx::query(include_str!("../sql/insert_limit_keys.sql"));
        insert.bind(keys.into_iter().collect::<Vec<_>>()).execute(&self.database.jobs()).await?;
        Ok(())
    }
}

/// The fault when keys cannot be locked.
pub(super) fn keys_vanish() -> Fault {
    Fault::new(
        Code::Conflict,
        format!("keys of limits were deleted {LOCK_TRIES} times before they were locked"),
    )
}

/// [`JobStore::claim_limited`] in the transaction of `db`; `None` when keys have no row, and nothing was
/// done.
pub(super) async fn claim_limited(
    db: &Db,
    jobs: &[LimitedJob],
    claimant: Claimant<'_>,
    limits: &LimitTable,
) -> Result<Option<LimitedClaim>, Fault> {
    let keys: BTreeSet<&str> = jobs.iter().flat_map(LimitedJob::keys).collect();
    let keys: Vec<&str> = keys.into_iter().collect();
    let has_rates = jobs.iter().any(|job| job.rate_key.is_some());
    let Some(LockedKeys { mut states, now }) = lock_keys(db, &keys, has_rates).await? else {
        return Ok(None);
    };
    // What another claim has taken since must not count twice.
    let jobs = &lock_candidates(db, jobs).await?;
    count_held(db, jobs, &mut states).await?;
    let decision = admit(limits, jobs, states, now);
    let opening = jobs.iter().filter_map(|job| {
        let key = job.rate_key.as_ref()?;
        let wait = (decision.rates.get(key)?.opens_at? - now).to_std().unwrap_or_default();
        Some((key, OpeningKey { key: key.clone(), handler: job.name.clone(), wait }))
    });
    let opening: HashMap<_, _> = opening.collect();
    let opening = opening.into_values().collect();
    let blocked_by: HashMap<JobId, &str> =
        decision.blocked.iter().map(|(job, key)| (*job, key.as_str())).collect();
    let full = jobs.iter().filter_map(|job| {
        let key = job.concurrency_key.as_ref()?;
        let kind = LimitKind::Concurrency;
        (blocked_by.get(&job.id) == Some(&key.as_str()))
            .then(|| (key.clone(), OpenKey { kind, handler: job.name.clone(), tenant: None }))
    });
    let full = full.collect();
    let records = write(db, jobs, &decision, claimant, &keys).await?;
    Ok(Some(LimitedClaim { records, blocked: decision.blocked.len(), opening, full }))
}

/// Locks the rows of these keys; `None` when some have none. `has_rates`: some are of rate limits, for which
/// the clock is read once they are locked.
pub(super) async fn lock_keys(db: &Db, keys: &[&str], has_rates: bool) -> Result<Option<LockedKeys>, Fault> {
    let rows = match keys.is_empty() {
        true => Vec::new(),
        false => sqlx::query(include_str!("../sql/lock_limit_keys.sql")).bind(keys).fetch_all(db).await?,
    };
    if rows.len() < keys.len() {
        return Ok(None);
    }
    let now = match has_rates {
        true => sqlx::query_scalar(include_str!("../sql/read_clock.sql")).fetch_one(db).await?,
        false => Timestamp::default(),
    };
    let states = rows.iter().map(key_state).collect::<sqlx::Result<_>>()?;
    Ok(Some(LockedKeys { states, now }))
}

/// Locks the rows of those of `jobs` that nothing holds and no other transaction has locked.
async fn lock_candidates(db: &Db, jobs: &[LimitedJob]) -> Result<Vec<LimitedJob>, Fault> {
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let lock = sqlx::query_scalar(include_str!("../sql/lock_candidates.sql")).bind(ids);
    let locked: HashSet<JobId> = lock.fetch_all(db).await?.into_iter().collect();
    Ok(jobs.iter().filter(|job| locked.contains(&job.id)).cloned().collect())
}

fn key_state(row: &PgRow) -> sqlx::Result<(String, KeyState)> {
    let (ends, claims): (Vec<Timestamp>, Vec<i32>) =
        (row.try_get("bucket_ends")?, row.try_get("bucket_claims")?);
    let bucket = |(ends_at, claims): (Timestamp, i32)| RateBucket { ends_at, claims: claims.unsigned_abs() };
    let buckets = ends.into_iter().zip(claims).map(bucket).collect();
    let limit_override: Option<i32> = row.try_get("limit_override")?;
    let limit_override = limit_override.map(i32::unsigned_abs);
    let last_tenant = row.try_get("last_tenant")?;
    Ok((row.try_get("key")?, KeyState { limit_override, held: 0, buckets, last_tenant }))
}

async fn count_held(
    db: &Db,
    jobs: &[LimitedJob],
    states: &mut HashMap<String, KeyState>,
) -> Result<(), Fault> {
    let keys: BTreeSet<&str> = jobs.iter().filter_map(|job| job.concurrency_key.as_deref()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = keys.into_iter().collect();
    let rows = sqlx::query(include_str!("../sql/count_held_by_key.sql")).bind(keys).fetch_all(db).await?;
    for row in rows {
        let (key, held): (String, i64) = (row.try_get("key")?, row.try_get("held")?);
        states.entry(key).or_default().held = u32::try_from(held).unwrap_or(u32::MAX);
    }
    Ok(())
}

async fn write(
    db: &Db,
    jobs: &[LimitedJob],
    decision: &LimitDecision,
    claimant: Claimant<'_>,
    keys: &[&str],
) -> Result<Vec<JobRecord>, Fault> {
    let begins: HashMap<_, _> = jobs.iter().map(|job| (job.id, job.begins)).collect();
    let rates: Vec<_> = decision
        .rates
        .iter()
        .map(|(key, rate)| {
            let ends: Vec<_> = rate.buckets.iter().map(|bucket| bucket.ends_at.to_rfc3339()).collect();
            let claims: Vec<_> = rate.buckets.iter().map(|bucket| bucket.claims).collect();
            let opens_at = rate.opens_at.map(|at| at.to_rfc3339());
            json!({ "key": key, "bucket_ends": ends, "bucket_claims": claims, "opens_at": opens_at })
        })
        .collect();
    let rows = sqlx::query(include_str!("../sql/claim_limited_jobs.sql"))
        .bind(&decision.admitted)
        .bind(decision.admitted.iter().map(|job| begins[job]).collect::<Vec<_>>())
        .bind(claimant.node)
        .bind(claimant.lease.as_secs_f64())
        .bind(decision.blocked.iter().map(|(job, _)| *job).collect::<Vec<_>>())
        .bind(decision.blocked.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>())
        .bind(serde_json::Value::from(rates))
        .bind(keys)
        .bind(BLOCKED_MAX)
        .fetch_all(db)
        .await?;
    Ok(rows.iter().map(|row| JobRecord::from_row(row, None)).collect::<sqlx::Result<_>>()?)
}
