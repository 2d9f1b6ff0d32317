//! The queues with a limit, as this node knows them.
//!
//! Knowing them is scheduling and nothing else: an ordinary claim takes nothing from such a queue, and a
//! claim within the limit looks at the settings under their lock. So a claim that finds nothing may mean that
//! the queue has got a limit, and the list is read again, once in [`AGE_MAX`] at most.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::{JobShared, LimitedQueues};
use super::store::{ClaimSize, Claimant, JobRecord};
use crate::kernel::fault::Fault;
use crate::kernel::time::secs;

/// How old the list may be when a claim has found nothing.
const AGE_MAX: Duration = secs(1);

impl JobShared {
    /// Whether the queue had a limit when the list was read last.
    pub(super) fn has_limit(&self, queue: &str) -> bool {
        self.limited_queues.get().is_some_and(|known| known.names.contains(queue))
    }

    /// Whether the queue has a limit, for a claim that has found nothing.
    async fn has_got_limit(&self, queue: &str) -> Result<bool, Fault> {
        if self.limited_queues.get().is_none_or(|known| known.read_at.elapsed() >= AGE_MAX) {
            self.read_limited_queues().await?;
        }
        Ok(self.has_limit(queue))
    }

    async fn read_limited_queues(&self) -> Result<(), Fault> {
        let read_at = Instant::now();
        let names = Arc::new(self.store.list_limited_queues().await?);
        self.limited_queues.put(|known| *known = Some(LimitedQueues { names, read_at }));
        Ok(())
    }

    /// Claims from a queue with a limit. `found_nothing`: an ordinary claim has, so that the queue may have
    /// got one. Returns the jobs that are held and how many the limits of their keys have blocked; `None`
    /// when the queue has no limit.
    ///
    /// A slot is worth more than a round trip: no job is claimed ahead of a free worker, since another node
    /// may have one.
    pub(super) async fn claim_within_limit(
        &self,
        queue: &str,
        claimant: Claimant<'_>,
        size: ClaimSize,
        found_nothing: bool,
    ) -> Result<Option<(Vec<JobRecord>, usize)>, Fault> {
        let is_limited = if found_nothing { self.has_got_limit(queue).await? } else { self.has_limit(queue) };
        if !is_limited {
            return Ok(None);
        }
        if size.begin == 0 {
            return Ok(Some((Vec::new(), 0)));
        }
        let size = ClaimSize { limit: size.begin, ..size };
        let fitting = |jobs| self.admissible(jobs, self.resources.left(&self.leases));
        let claim =
            |claimant, size| self.store.claim_within_limit(queue, claimant, size, &self.limits, fitting);
        // A row that the database refuses is found at its begin, as for other queues.
        let claimed = match claim(claimant, size).await {
            Err(fault) if fault.blames_row() => {
                claim(Claimant { batch: None, ..claimant }, ClaimSize { begin: 0, ..size }).await
            }
            claimed => claimed,
        };
        let Some(claimed) = claimed? else {
            self.read_limited_queues().await?;
            return Ok(None);
        };
        self.unblock_later(claimed.opening, claimed.full);
        Ok(Some((claimed.records, claimed.blocked)))
    }
}
