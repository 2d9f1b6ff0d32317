//! What the database holds of the queue, and what its statements do. Each function is one statement, or one
//! transaction whose first statement locks everything that its second one depends on.
//!
//! A statement that reads the history beside a row that it had to lock takes the history as its snapshot saw
//! it, a parameter here: the snapshot may be older than the lock.

/// Jobs of the model.
pub(super) const JOBS: usize = 3;
/// Batch leases that exist at a time, at most.
pub(super) const LEASES: usize = 3;

/// The rows of a job that a snapshot saw in the history: bit `j` for job `j`.
pub(super) type HistorySnapshot = u8;

/// What a job takes along wherever its row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JobRow {
    /// Attempts that are spent.
    pub(super) attempt: u8,
    /// Grows with each claim of the row.
    pub(super) claim: u8,
    /// A holder was lost while it may have run the job, which is claimed on its own row from now on.
    pub(super) was_lost: bool,
}

/// The row of a job in `forge_jobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueRow {
    /// Nobody holds the job.
    Waiting(JobRow),
    /// A node has claimed the row.
    Claimed {
        /// The row.
        row: JobRow,
        /// The attempt is counted, so that its handler may start.
        begun: bool,
        /// `lease_until` has passed, by the database's clock.
        expired: bool,
    },
}

/// The row of a job in `forge_job_history`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HistoryRow {
    /// The job has succeeded.
    Completed,
    /// The job is a dead letter or was cancelled: a person may have it run again.
    Unsuccessful(JobRow),
    /// The job has succeeded, and its row was deleted when its retention was over. No statement sees it.
    Deleted,
}

/// A row of `forge_job_leases`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchLease {
    /// The rows that the claim has taken out of `forge_jobs`.
    pub(super) jobs: [Option<JobRow>; JOBS],
    /// Those of them that another statement than a finish has taken out.
    pub(super) gone: [bool; JOBS],
    /// `lease_until` has passed, by the database's clock.
    pub(super) expired: bool,
}

/// What a write names to prove that its sender still holds the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fence {
    /// The batch lease in this slot; `None` when that lease was deleted.
    Lease(Option<usize>),
    /// The number of the claim.
    Claim(u8),
}

/// What becomes of a job that leaves its holder and is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Return {
    /// The attempt failed: it is spent, and the job waits for the next one or is a dead letter.
    Failed,
    /// The node gives the job back: the attempt does not count.
    Given,
}

/// The tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) attempts_max: [u8; JOBS],
    pub(super) queue: [Option<QueueRow>; JOBS],
    pub(super) history: [Option<HistoryRow>; JOBS],
    pub(super) leases: [Option<BatchLease>; LEASES],
}

impl BatchLease {
    /// The row of a job that no statement but a finish has taken out.
    pub(super) fn carried(&self, job: usize) -> Option<JobRow> {
        self.jobs[job].filter(|_| !self.gone[job])
    }
}

impl Database {
    pub(super) fn new(attempts_max: [u8; JOBS]) -> Self {
        Self { attempts_max, queue: [None; JOBS], history: [None; JOBS], leases: [None; LEASES] }
    }

    /// What a statement that starts now sees of the history.
    pub(super) fn history_snapshot(&self) -> HistorySnapshot {
        (0..JOBS).filter(|job| self.is_in_history(*job)).map(|job| 1 << job).sum()
    }

    pub(super) fn is_in_history(&self, job: usize) -> bool {
        matches!(self.history[job], Some(HistoryRow::Completed | HistoryRow::Unsuccessful(_)))
    }

    pub(super) fn lease(&self, fence: Fence) -> Option<&BatchLease> {
        match fence {
            Fence::Lease(slot) => self.leases[slot?].as_ref(),
            Fence::Claim(_) => None,
        }
    }

    /// In how many places the job is: waiting or claimed in the queue, carried by a lease, in the history. A
    /// success leaves the job in its lease, where the history hides it.
    pub(super) fn places(&self, job: usize) -> usize {
        let carried = match self.history[job] {
            Some(HistoryRow::Completed | HistoryRow::Deleted) => 0,
            Some(HistoryRow::Unsuccessful(_)) | None => {
                self.leases.iter().flatten().filter(|lease| lease.carried(job).is_some()).count()
            }
        };
        usize::from(self.queue[job].is_some()) + usize::from(self.history[job].is_some()) + carried
    }

    pub(super) fn dispatch(&mut self, job: usize) {
        let row = JobRow { attempt: 0, claim: 0, was_lost: false };
        self.queue[job] = Some(QueueRow::Waiting(row));
    }

    /// The row of a waiting job that is claimed with others, without a write at its begin: it was never lost,
    /// and another attempt is left after the next one.
    pub(super) fn plain(&self, job: usize) -> Option<JobRow> {
        match self.queue[job] {
            Some(QueueRow::Waiting(row)) if !row.was_lost && row.attempt + 1 < self.attempts_max[job] => {
                Some(row)
            }
            _ => None,
        }
    }

    /// Moves all plain jobs into a new lease.
    pub(super) fn claim_batch(&mut self) -> Option<usize> {
        let jobs = std::array::from_fn(|job| self.plain(job));
        let slot = self.leases.iter().position(Option::is_none)?;
        for job in (0..JOBS).filter(|job| jobs[*job].is_some()) {
            self.queue[job] = None;
        }
        self.leases[slot] = Some(BatchLease { jobs, gone: [false; JOBS], expired: false });
        Some(slot)
    }

    /// Claims the row of one job that is not plain. Returns the number of the claim.
    pub(super) fn claim_row(&mut self, job: usize) -> Option<u8> {
        let Some(QueueRow::Waiting(mut row)) = self.queue[job] else { return None };
        row.claim += 1;
        self.queue[job] = Some(QueueRow::Claimed { row, begun: false, expired: false });
        Some(row.claim)
    }

    /// Counts the attempt of a claimed row. A repeated begin counts once.
    pub(super) fn begin(&mut self, job: usize, fence: Fence) -> bool {
        let Some((mut row, begun)) = self.claimed(job, fence) else { return false };
        row.attempt += u8::from(!begun);
        self.queue[job] = Some(QueueRow::Claimed { row, begun: true, expired: false });
        true
    }

    /// The row that `fence` is the claim of, and whether its attempt has begun.
    fn claimed(&self, job: usize, fence: Fence) -> Option<(JobRow, bool)> {
        match self.queue[job]? {
            QueueRow::Claimed { row, begun, .. } if fence == Fence::Claim(row.claim) => Some((row, begun)),
            QueueRow::Claimed { .. } | QueueRow::Waiting(_) => None,
        }
    }

    /// Prolongs the lease of a claimed row. False when the row is another claim's, or nobody's.
    pub(super) fn renew_row(&mut self, job: usize, fence: Fence) -> bool {
        let Some((row, begun)) = self.claimed(job, fence) else { return false };
        self.queue[job] = Some(QueueRow::Claimed { row, begun, expired: false });
        true
    }

    /// Whether the lease still carries the job, or the row is still that of the claim.
    pub(super) fn is_held(&self, job: usize, fence: Fence) -> bool {
        match fence {
            Fence::Lease(_) => self.lease(fence).is_some_and(|lease| lease.carried(job).is_some()),
            Fence::Claim(_) => self.claimed(job, fence).is_some(),
        }
    }

    /// Writes the success of a job. The primary key of the history refuses a second row. What conflicts with
    /// the locks of the finish (the lease `FOR KEY SHARE`, or the row) waits, so that the finish and its
    /// commit are one step.
    pub(super) fn finish(&mut self, job: usize, fence: Fence) -> bool {
        if self.is_in_history(job) {
            return false;
        }
        if let Fence::Claim(_) = fence {
            self.queue[job] = None;
        }
        self.history[job] = Some(HistoryRow::Completed);
        true
    }

    /// Takes a job that is not finished out of its lease, which is locked `FOR UPDATE`, or out of its claim.
    /// False when the sender does not hold the job any more.
    pub(super) fn give_back(&mut self, job: usize, fence: Fence, how: Return) -> bool {
        let row = match fence {
            Fence::Lease(slot) => {
                let Some(lease) = slot.and_then(|slot| self.leases[slot].as_mut()) else { return false };
                let Some(row) = lease.carried(job) else { return false };
                lease.gone[job] = true;
                JobRow { attempt: row.attempt + u8::from(how == Return::Failed), ..row }
            }
            Fence::Claim(_) => {
                let Some((row, begun)) = self.claimed(job, fence) else { return false };
                JobRow { attempt: row.attempt - u8::from(begun && how == Return::Given), ..row }
            }
        };
        let is_spent = how == Return::Failed && row.attempt >= self.attempts_max[job];
        self.queue[job] = (!is_spent).then_some(QueueRow::Waiting(row));
        if is_spent {
            self.history[job] = Some(HistoryRow::Unsuccessful(row));
        }
        true
    }

    /// Deletes a lease. Its jobs that are neither gone nor in `history` wait again.
    pub(super) fn rescue_lease(&mut self, slot: usize, history: HistorySnapshot) {
        let Some(lease) = self.leases[slot].take() else { return };
        for job in (0..JOBS).filter(|job| history & 1 << job == 0) {
            if let Some(row) = lease.carried(job) {
                self.queue[job] = Some(QueueRow::Waiting(JobRow { was_lost: true, ..row }));
            }
        }
    }

    /// Ends the claim of a row whose lease has expired. A lost attempt that had begun is spent.
    pub(super) fn rescue_row(&mut self, job: usize) {
        let Some(QueueRow::Claimed { row, begun, expired: true }) = self.queue[job] else { return };
        let row = JobRow { was_lost: row.was_lost || begun, ..row };
        if begun && row.attempt >= self.attempts_max[job] {
            self.queue[job] = None;
            self.history[job] = Some(HistoryRow::Unsuccessful(row));
        } else {
            self.queue[job] = Some(QueueRow::Waiting(row));
        }
    }

    /// Cancels a job whose row a snapshot saw in the queue. False when the row has left the queue since.
    pub(super) fn cancel_row(&mut self, job: usize) -> bool {
        let Some(QueueRow::Waiting(row) | QueueRow::Claimed { row, .. }) = self.queue[job].take() else {
            return false;
        };
        self.history[job] = Some(HistoryRow::Unsuccessful(row));
        true
    }

    /// Cancels a job that a snapshot saw in a lease. False when the lease carries the job no more.
    pub(super) fn cancel_carried(&mut self, job: usize, slot: usize) -> bool {
        let Some(lease) = &mut self.leases[slot] else { return false };
        let Some(row) = lease.carried(job) else { return false };
        lease.gone[job] = true;
        // The primary key of the history: a job that has succeeded stays so.
        self.history[job].get_or_insert(HistoryRow::Unsuccessful(row));
        true
    }

    /// Has a job without success run again, at a person's command, with all of its attempts.
    pub(super) fn retry(&mut self, job: usize) {
        if let Some(HistoryRow::Unsuccessful(row)) = self.history[job] {
            self.history[job] = None;
            self.queue[job] = Some(QueueRow::Waiting(JobRow { attempt: 0, was_lost: false, ..row }));
        }
    }

    /// Whether all jobs that were dispatched end when all nodes and statements are lost now and one node
    /// comes back: every lease expires and is rescued, every job is claimed and finished.
    pub(super) fn recovers(mut self, dispatched: usize) -> bool {
        for slot in 0..LEASES {
            self.rescue_lease(slot, self.history_snapshot());
        }
        for job in 0..dispatched {
            if let Some(QueueRow::Claimed { expired, .. }) = &mut self.queue[job] {
                *expired = true;
            }
            self.rescue_row(job);
        }
        let lease = Fence::Lease(self.claim_batch());
        (0..dispatched).all(|job| {
            if let Some(claim) = self.claim_row(job) {
                let fence = Fence::Claim(claim);
                return self.begin(job, fence) && self.finish(job, fence);
            }
            self.history[job].is_some() || (self.is_held(job, lease) && self.finish(job, lease))
        })
    }
}
