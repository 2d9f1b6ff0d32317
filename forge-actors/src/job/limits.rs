//! Limits of jobs: which of the jobs that a claim has looked at may be held. Pure; the clock is passed in.
//!
//! ```text
//!                    its key is full: blocked_by = key
//!     waits, ready ─────────────────────────────────────▶ blocked, out of the sight of claims
//!       ▲     │                                             │
//!       │     │ claim, under the lock of its key            │ a job of the key has ended (`unblocker.rs`),
//!       │     ▼                                             │ or the time of a rate limit has passed
//!       │   held: counts for its key                        │
//!       └───────────────────────────────────────────────────┘
//! ```
//!
//! A slot of a concurrency limit is a row of `forge_jobs` that is held: nothing else counts slots, so none
//! can leak. A job that is lost, snoozed or waits for its next attempt holds none. Jobs with a limit are held
//! by their own rows and never by a batch lease.
//!
//! A rate limit remembers its claims in *lots*, at most [`LOTS`] for its time. A lot ends with its part of
//! the time, so that it is forgotten up to a part too late and never too early: within any `per` no more than
//! `requests` jobs are claimed, and no less than that within `per` and a 64th.
//!
//! A claim takes the locks of its keys (rows of `forge_job_limits`) in one statement and counts in the next,
//! whose snapshot is newer than the wait: two claims of one key never count the same free slot. Who unblocks
//! jobs decides nothing: a job that is unblocked too early is blocked again by the next claim.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::DateTime;

use crate::app::Catalog;
use crate::kernel::ids::JobId;
use crate::kernel::time::Timestamp;

/// Lots that a rate limit remembers for its time.
const LOTS: i64 = 64;

/// The limits of one handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Jobs of a rate limit that were claimed in one part of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lot {
    /// The end of the part.
    pub(super) at: Timestamp,
    pub(super) size: u32,
}

/// The state of a key, read under its lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyState {
    /// What an operator has set in the place of the handler's limit.
    pub(super) set_max: Option<u32>,
    /// Jobs that are held.
    pub(super) held: u32,
    /// Claims of a rate limit, the oldest first.
    pub(super) lots: Vec<Lot>,
    /// The tenant whose job was unblocked last.
    pub(super) last_tenant: Option<String>,
}

/// The lots of a key after a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpentRate {
    pub(super) lots: Vec<Lot>,
    /// When the next job may be claimed, when one is blocked.
    pub(super) next_at: Option<Timestamp>,
}

/// What becomes of the jobs that a claim has looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LimitDecision {
    /// These are held.
    pub(super) admitted: Vec<JobId>,
    /// These are blocked, each by its key.
    pub(super) blocked: Vec<(JobId, String)>,
    /// What is written about keys of rate limits.
    pub(super) rates: BTreeMap<String, SpentRate>,
}

impl LimitTable {
    pub(super) fn of(catalog: &Catalog) -> Self {
        let limited = |(name, known): (&str, &'static crate::app::Registration)| {
            let limits = known.meta.job_meta()?.limits;
            limits.limits_claims().then(|| (name.to_owned(), limits))
        };
        let all: Vec<_> = catalog.queued().filter_map(limited).collect();
        let handlers = all.iter().map(|(name, limits)| {
            let rate = limits.rate.map(|rate| RateLimit { requests: rate.requests, per: rate.per });
            let concurrency = limits.concurrency.map(|concurrency| concurrency.limit);
            (name.clone(), HandlerLimits { concurrency, rate })
        });
        Self { handlers: handlers.collect(), names: all.iter().map(|(name, _)| name.clone()).collect() }
    }

    #[cfg(test)]
    pub(super) fn with<const N: usize>(handlers: [(&str, HandlerLimits); N]) -> Self {
        let handlers: HashMap<_, _> =
            handlers.into_iter().map(|(name, limits)| (name.to_owned(), limits)).collect();
        Self { names: handlers.keys().cloned().collect(), handlers }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn find(&self, handler: &str) -> Option<HandlerLimits> {
        self.handlers.get(handler).copied()
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
        self.held < self.set_max.unwrap_or(limit)
    }

    /// How many further jobs of the key may be claimed now.
    pub(super) fn rate_left(&self, rate: RateLimit, now: Timestamp) -> u32 {
        let within = self.lots.iter().filter(|lot| lot.at + rate.per > now);
        let spent: u32 = within.map(|lot| lot.size).sum();
        self.set_max.unwrap_or(rate.requests).saturating_sub(spent)
    }

    /// When the oldest claim of the time is over; `None` when no claim is in the way.
    fn rate_opens(&self, rate: RateLimit, now: Timestamp) -> Option<Timestamp> {
        self.lots.iter().map(|lot| lot.at + rate.per).find(|end| *end > now)
    }

    fn spend(&mut self, rate: RateLimit, now: Timestamp) {
        let end = end_of_part(now, rate.per);
        match self.lots.last_mut() {
            Some(last) if last.at == end => last.size += 1,
            _ => self.lots.push(Lot { at: end, size: 1 }),
        }
    }
}

/// The end of the part of a rate limit's time in which `now` is.
fn end_of_part(now: Timestamp, per: Duration) -> Timestamp {
    let part = (i64::try_from(per.as_micros()).unwrap_or(i64::MAX) / LOTS).max(1);
    let end = (now.timestamp_micros().div_euclid(part) + 1).saturating_mul(part);
    DateTime::from_timestamp_micros(end).unwrap_or(now)
}

/// Decides which of `jobs`, in the order in which they are to run, may be held. `states`: the states of all
/// of their keys.
pub(super) fn admit(
    table: &LimitTable,
    jobs: &[LimitedJob],
    mut states: HashMap<String, KeyState>,
    now: Timestamp,
) -> LimitDecision {
    let mut decision = LimitDecision::default();
    for job in jobs {
        let limits = table.find(&job.name).unwrap_or(HandlerLimits { concurrency: None, rate: None });
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
            state.lots.retain(|lot| lot.at + rate.per > now);
            if state.rate_left(rate, now) == 0 {
                let next_at = state.rate_opens(rate, now);
                decision.rates.insert(key.clone(), SpentRate { lots: state.lots.clone(), next_at });
                decision.blocked.push((job.id, key.clone()));
                continue;
            }
            state.spend(rate, now);
            decision.rates.insert(key.clone(), SpentRate { lots: state.lots.clone(), next_at: None });
        }
        if let Some((key, _)) = concurrency {
            states.entry(key.clone()).or_default().held += 1;
        }
        decision.admitted.push(job.id);
    }
    decision
}
