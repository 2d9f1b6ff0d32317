//! Concurrency and rate limits: decides which of the jobs that a claim has read may be held. Pure; the time
//! is passed in.
//!
//! ```text
//!                    the limit of its key is reached: blocked_by = key
//!     waits, ready ─────────────────────────────────────▶ blocked, not seen by claims
//!       ▲     │                                             │
//!       │     │ claim, under the lock of its key            │ a job of the key has ended (`unblocker.rs`),
//!       │     ▼                                             │ or the window of a rate limit has capacity
//!       │   held: counts for its key                        │
//!       └───────────────────────────────────────────────────┘
//! ```
//!
//! A dispatch of a key that has blocked jobs inserts its job blocked. `retry` and a debounced dispatch
//! unblock a job without looking at its limits; the next claim blocks the job again when its limit is
//! reached.
//!
//! A held row of `forge_jobs` is a slot of its concurrency limit. No counter is kept, so no slot can leak. A
//! job that was snoozed or waits for its next attempt has no slot; a job of a lost node has one until its
//! lease is rescued. Jobs with a limit are held by their own rows and never by a batch lease.
//!
//! A rate limit is a sliding window of `per`, counted in buckets of `per` / [`BUCKETS`]. A claim counts until
//! `per` after the end of its bucket: up to one bucket too long, never too short. So at most `requests` jobs
//! are claimed in any window of `per`, and up to a 64th of the rate is lost.
//!
//! A claim locks its keys (rows of `forge_job_limits`) in one statement and counts in the next, whose
//! snapshot is newer than the wait for the locks: two claims of one key never count the same free slot.
//! Unblocking only lets a job be claimed; the claim keeps the limit, and may block the job again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::DateTime;

use crate::app::{Catalog, JobLimits, Registration};
use crate::kernel::ids::JobId;
use crate::kernel::time::Timestamp;

/// Buckets of the window of a rate limit.
const BUCKETS: i64 = 64;

/// The limits of one handler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HandlerLimits {
    /// Jobs with one key that are held at a time.
    pub(super) concurrency: Option<u32>,
    /// Jobs with one key that are claimed in a time.
    pub(super) rate: Option<RateLimit>,
}

/// The rate limit of one handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateLimit {
    pub(super) requests: u32,
    pub(super) per: Duration,
}

/// Which of a handler's limits a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitKind {
    Concurrency,
    Rate,
}

/// A key that may let further jobs pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenKey {
    pub(super) kind: LimitKind,
    /// A handler whose limit the key belongs to.
    pub(super) handler: String,
    /// The tenant of the job that has ended: the others are next.
    pub(super) tenant: Option<String>,
}

/// The limits of the handlers of this binary.
#[derive(Debug, Default)]
pub struct LimitTable {
    handlers: HashMap<String, HandlerLimits>,
    /// Wire names of the handlers with a limit, aliases included.
    names: Vec<String>,
}

/// A job that a claim has looked at, and whose keys are to be locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitedJob {
    /// The job.
    pub id: JobId,
    /// Wire name of its handler.
    pub name: String,
    /// Key of its concurrency limit.
    pub concurrency_key: Option<String>,
    /// Key of its rate limit.
    pub rate_key: Option<String>,
    /// A worker is free for it, so that its attempt begins with the claim.
    pub begins: bool,
}

/// Claims that were made in one bucket of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateBucket {
    pub(super) ends_at: Timestamp,
    pub(super) claims: u32,
}

/// The state of a key, read under its lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyState {
    /// What an operator has set in the place of the handler's limit.
    pub(super) limit_override: Option<u32>,
    /// Jobs that are held.
    pub(super) held: u32,
    /// Claims of a rate limit, the oldest first.
    pub(super) buckets: Vec<RateBucket>,
    /// The tenant whose job was unblocked last.
    pub(super) last_tenant: Option<String>,
}

/// The buckets of a key, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RateUsage {
    pub(super) buckets: Vec<RateBucket>,
    /// When the window has capacity again; set when a job is blocked.
    pub(super) opens_at: Option<Timestamp>,
}

/// The decision about each candidate of a claim.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LimitDecision {
    /// Jobs to hold.
    pub(super) admitted: Vec<JobId>,
    /// Jobs to block, each with the key whose limit is reached.
    pub(super) blocked: Vec<(JobId, String)>,
    /// Keys of rate limits whose rows are to be written.
    pub(super) rates: BTreeMap<String, RateUsage>,
}

impl HandlerLimits {
    fn of(limits: &JobLimits) -> Self {
        Self {
            concurrency: limits.concurrency.map(|concurrency| concurrency.limit),
            rate: limits.rate.map(|rate| RateLimit { requests: rate.requests, per: rate.per }),
        }
    }
}

impl LimitTable {
    pub(super) fn of(catalog: &Catalog) -> Self {
        let limited = |(name, known): (&str, &'static Registration)| {
            let limits = known.meta.job_meta()?.limits;
            limits.limits_claims().then(|| (name.to_owned(), HandlerLimits::of(&limits)))
        };
        Self::new(catalog.queued().filter_map(limited))
    }

    pub(super) fn new(handlers: impl IntoIterator<Item = (String, HandlerLimits)>) -> Self {
        let handlers: HashMap<_, _> = handlers.into_iter().collect();
        Self { names: handlers.keys().cloned().collect(), handlers }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The limits of a handler, which may have none.
    pub(super) fn of_handler(&self, handler: &str) -> HandlerLimits {
        self.handlers.get(handler).copied().unwrap_or_default()
    }
}

impl LimitedJob {
    /// Its keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.concurrency_key.as_deref().into_iter().chain(self.rate_key.as_deref())
    }
}

impl KeyState {
    /// Whether another job of the key may be held.
    fn is_open(&self, limit: u32) -> bool {
        self.held < self.limit_override.unwrap_or(limit)
    }

    /// How many further jobs of the key may be claimed now.
    pub(super) fn rate_left(&self, rate: RateLimit, now: Timestamp) -> u32 {
        let within = self.buckets.iter().filter(|bucket| bucket.ends_at + rate.per > now);
        let spent: u32 = within.map(|bucket| bucket.claims).sum();
        self.limit_override.unwrap_or(rate.requests).saturating_sub(spent)
    }

    /// When the first bucket leaves the window; `None` when the window is empty.
    fn rate_opens(&self, rate: RateLimit, now: Timestamp) -> Option<Timestamp> {
        self.buckets.iter().map(|bucket| bucket.ends_at + rate.per).find(|end| *end > now)
    }

    fn count_claim(&mut self, rate: RateLimit, now: Timestamp) {
        let end = end_of_bucket(now, rate.per);
        match self.buckets.last_mut() {
            Some(last) if last.ends_at == end => last.claims += 1,
            _ => self.buckets.push(RateBucket { ends_at: end, claims: 1 }),
        }
    }
}

/// The end of the bucket in which `now` is.
fn end_of_bucket(now: Timestamp, per: Duration) -> Timestamp {
    let bucket = (i64::try_from(per.as_micros()).unwrap_or(i64::MAX) / BUCKETS).max(1);
    let end = (now.timestamp_micros().div_euclid(bucket) + 1).saturating_mul(bucket);
    DateTime::from_timestamp_micros(end).unwrap_or(now)
}

/// Decides which of `jobs`, in the order in which they are to run, to hold and which to block. `states`: the
/// state of each key; a key without an entry is unused.
pub(super) fn admit(
    table: &LimitTable,
    jobs: &[LimitedJob],
    mut states: HashMap<String, KeyState>,
    now: Timestamp,
) -> LimitDecision {
    let mut decision = LimitDecision::default();
    for job in jobs {
        let limits = table.of_handler(&job.name);
        let concurrency = job.concurrency_key.as_ref().zip(limits.concurrency);
        let rate = job.rate_key.as_ref().zip(limits.rate);
        if let Some((key, limit)) = concurrency
            && !states.entry(key.clone()).or_default().is_open(limit)
        {
            decision.blocked.push((job.id, key.clone()));
            continue;
        }
        if let Some((key, rate)) = rate {
            let state = states.entry(key.clone()).or_default();
            state.buckets.retain(|bucket| bucket.ends_at + rate.per > now);
            if state.rate_left(rate, now) == 0 {
                let opens_at = state.rate_opens(rate, now);
                decision.rates.insert(key.clone(), RateUsage { buckets: state.buckets.clone(), opens_at });
                decision.blocked.push((job.id, key.clone()));
                continue;
            }
            state.count_claim(rate, now);
            decision.rates.insert(key.clone(), RateUsage { buckets: state.buckets.clone(), opens_at: None });
        }
        if let Some((key, _)) = concurrency {
            states.entry(key.clone()).or_default().held += 1;
        }
        decision.admitted.push(job.id);
    }
    decision
}
