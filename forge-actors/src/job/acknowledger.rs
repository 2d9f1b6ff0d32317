//! The acknowledger: writes what becomes of the jobs that this node is done with, and renews the leases of
//! those that it holds. Both are batches, and never under way at the same time, so that they cannot wait for
//! each other's row locks.
//!
//! While one batch is under way, the next one gathers: a lone result is written at once, and the busier the
//! node, the larger the batches. After a batch of [`BUSY_FROM`] results the next one gathers for [`GATHER`]
//! more, unless it is full before: a statement costs the server as much as dozens of results. At most as many
//! results gather as the node may hold jobs. While the database is unreachable all results are kept; the
//! claim of each decides later whether it still counts.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::messages::{AcknowledgerMessage, ClaimerMessage, ReleasedJob};
use super::paths::ACKNOWLEDGER;
use super::result_batch::write_batch;
use super::shared::{BATCH_FULL, JobShared};
use super::signals;
use crate::app::job::JobStatus;
use crate::change::Hint;
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::halving::{RefusedRow, write_by_halves};
use crate::kernel::ids::JobId;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Mailbox, Shutdown, Timer};

/// Between two attempts to write while the database does not answer.
const AWAY_BACKOFF: Backoff = Backoff::exponential(millis(100), secs(2));
/// A batch of so many results shows that the node is busy.
const BUSY_FROM: usize = 32;
/// How long a busy node lets a batch gather.
const GATHER: Duration = millis(3);
/// On a stop: time to write the remaining results. A job whose result is not written by then is run again
/// when its lease has run out.
const LAST_WRITE: Duration = secs(3);

pub(super) struct Acknowledger {
    shared: Arc<JobShared>,
}

/// The purpose of the statement that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PendingStatement {
    Renewal,
    Batch,
}

pub(super) struct AcknowledgerState {
    /// The batch that is under way or failed; kept until it is written.
    batch: Option<Arc<Vec<ReleasedJob>>>,
    /// The statement that is under way.
    statement: Option<PendingStatement>,
    renewal_due: bool,
    /// Failures since the last success.
    failures: u32,
    _renew: Timer,
    /// The pause after a failure.
    resume: Option<Timer>,
    /// Results of the last batch.
    last_batch: usize,
    /// While a batch gathers.
    gather: Option<Timer>,
}

impl Acknowledger {
    pub(super) fn spec(shared: Arc<JobShared>, mailbox: Mailbox<AcknowledgerMessage>) -> ChildSpec {
        let make = move || Self { shared: Arc::clone(&shared) };
        let mut spec = ChildSpec::with_mailbox(ACKNOWLEDGER.id(), mailbox, make);
        spec.shutdown = Shutdown::Deadline(LAST_WRITE + secs(2));
        spec
    }

    /// Starts the next statement, when none is under way. A due renewal goes before a batch.
    fn proceed(&self, cx: &Context<AcknowledgerMessage>, state: &mut AcknowledgerState) {
        if state.statement.is_some() || state.resume.is_some() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        if state.renewal_due {
            state.statement = Some(PendingStatement::Renewal);
            cx.spawn_message(
                "renew",
                async move { AcknowledgerMessage::StatementEnded(renew(&shared).await) },
            );
            return;
        }
        if self.is_gathering(cx, state) {
            return;
        }
        if let Some(batch) = state.batch.take().or_else(|| shared.released.try_take().map(Arc::new)) {
            state.last_batch = batch.len();
            state.gather = None;
            state.statement = Some(PendingStatement::Batch);
            state.batch = Some(Arc::clone(&batch));
            let repeated = state.failures > 0;
            cx.spawn_message("write", async move {
                let written = write(&shared, &batch, repeated).await;
                // The batch is dropped before the message is sent, so that its leases are gone when the
                // claimer learns that there are free places.
                drop(batch);
                AcknowledgerMessage::StatementEnded(written)
            });
        }
    }

    /// Whether the results that wait are left to gather, until `Gathered` or the result that fills the batch.
    fn is_gathering(&self, cx: &Context<AcknowledgerMessage>, state: &mut AcknowledgerState) -> bool {
        let waiting = self.shared.released.take_part(|results| Some(results.len())).unwrap_or_default();
        let gathers =
            state.batch.is_none() && (1..BATCH_FULL).contains(&waiting) && state.last_batch >= BUSY_FROM;
        if gathers && state.gather.is_none() {
            state.gather = Some(cx.send_after(GATHER, AcknowledgerMessage::Gathered));
        }
        gathers
    }

    fn statement_ended(
        &self,
        cx: &Context<AcknowledgerMessage>,
        state: &mut AcknowledgerState,
        result: Result<(), Fault>,
    ) {
        let statement = state.statement.take();
        match (result, statement) {
            (Ok(()), Some(PendingStatement::Renewal) | None) => state.renewal_due = false,
            (Ok(()), Some(PendingStatement::Batch)) => {
                let written = state.batch.take();
                let scheduled = written
                    .iter()
                    .flat_map(|batch| batch.iter())
                    .any(|released| !released.transition.delay.is_zero());
                let records = written.iter().flat_map(|batch| batch.iter()).map(|ended| &*ended.job.record);
                let needing = records.filter(|record| !record.resources.is_empty());
                let queues: BTreeSet<_> = needing.map(|record| Arc::clone(&record.queue)).collect();
                drop(written);
                self.shared.resources_freed(queues);
                // A claimer that is not running claims when it starts.
                self.shared.claimer.notify(ClaimerMessage::ResultsWritten { scheduled });
            }
            (Err(fault), _) => {
                if state.failures == 0 {
                    let error = error_chain(&fault);
                    tracing::warn!(error, "writing job results or renewing leases failed; retrying");
                }
                // Leases are renewed before the rescuers of other nodes, which wait for one lease after an
                // outage, take their jobs.
                let pause = AWAY_BACKOFF.jittered(state.failures).min(self.shared.config.renew_every());
                state.resume = Some(cx.send_after(pause, AcknowledgerMessage::Resume));
                state.failures = state.failures.saturating_add(1);
                return;
            }
        }
        if std::mem::take(&mut state.failures) > 0 {
            tracing::info!("writing job results and renewing leases recovered");
        }
    }
}

/// Writes one batch. A result that is not accepted is of a claim that no longer holds, or was accepted by an
/// earlier try whose answer got lost; the latter only if the batch is `repeated`.
async fn write(shared: &JobShared, batch: &[ReleasedJob], repeated: bool) -> Result<(), Fault> {
    let leases = &shared.leases;
    let ended = leases.batches.take_ended();
    let result = write_batch(&shared.store, batch, &ended).await;
    if !result.as_ref().is_ok_and(|written| written.has_deleted_ended) {
        leases.batches.put_back(ended);
    }
    let written = result?;
    let (mut queues, mut ended) = (BTreeSet::new(), Vec::new());
    let mut ended_attempts: HashMap<(&str, JobStatus), u64> = HashMap::new();
    for released in batch {
        let record = &released.job.record;
        // A job about which nothing can be written was logged. Its lease runs out, and it is rescued.
        let Some(transition) = written.transition(released) else {
            released.job.left();
            continue;
        };
        match transition.status {
            JobStatus::Completed => released.job.finished(),
            _ => released.job.left(),
        }
        if !written.accepted.contains(&record.id) && !repeated {
            metrics::counter!(signals::JOBS_REFUSED_TOTAL).increment(1);
            tracing::warn!(
                job = %record.id,
                handler = %record.name,
                claim = record.claim,
                "result refused: the attempt has lost its job"
            );
            continue;
        }
        shared.free_slots(record);
        ended.extend(released.ended(transition.status));
        if record.begun {
            *ended_attempts.entry((&record.name, transition.status)).or_default() += 1;
        }
        if transition.status == JobStatus::Pending && transition.delay.is_zero() {
            queues.insert(Arc::clone(&record.queue));
        }
    }
    for ((handler, status), count) in ended_attempts {
        signals::attempts_ended(handler, status, count);
    }
    shared.wake_reporter(shared.reports.ended(&ended));
    // Other nodes may claim the returned jobs at once.
    shared.hints.publish(Hint::of(queues));
    Ok(())
}

async fn renew(shared: &JobShared) -> Result<(), Fault> {
    metrics::gauge!(signals::JOBS_HELD).set(shared.leases.len() as f64);
    let lost = renew_rows(shared).await? + renew_batches(shared).await?;
    if lost > 0 {
        tracing::warn!(lost, "leases lost: jobs were cancelled, or other nodes took them over");
    }
    release_abandoned(shared).await
}

/// Renews the leases of the jobs that their own rows hold. Returns how many are lost.
async fn renew_rows(shared: &JobShared) -> Result<usize, Fault> {
    let mut claims = shared.leases.claims();
    let sent = Instant::now();
    let lease = shared.config.lease;
    let batch = write_by_halves(claims.len(), |part| shared.store.renew(&claims[part], lease)).await?;
    // A lease that cannot be renewed is not lost yet: the job may end before it runs out.
    for RefusedRow { row, fault } in batch.refused.into_iter().rev() {
        let claim = claims.remove(row);
        let error = error_chain(&fault);
        tracing::error!(job = %claim.job, error, "lease renewal refused by the database");
    }
    let renewed: HashSet<JobId> = batch.written.into_iter().flatten().collect();
    Ok(shared.leases.apply_renewal(&claims, &renewed, sent, lease))
}

/// Renews the batch leases, and deletes those that hold no job. Returns how many jobs are lost.
async fn renew_batches(shared: &JobShared) -> Result<usize, Fault> {
    let renewal = shared.leases.batch_renewal();
    let sent = Instant::now();
    let lease = shared.config.lease;
    match shared.store.renew_batches(&renewal, lease).await {
        Ok(renewed) => Ok(shared.leases.apply_batch_renewal(&renewal, renewed, sent, lease)),
        Err(fault) => {
            shared.leases.batches.put_back(renewal.ended);
            Err(fault)
        }
    }
}

/// Takes jobs out of their batch leases that an actor of this node has lost. Other jobs keep these leases
/// from running out.
async fn release_abandoned(shared: &JobShared) -> Result<(), Fault> {
    let abandoned = shared.leases.batches.abandoned();
    if abandoned.is_empty() {
        return Ok(());
    }
    shared.store.release_lost(&abandoned).await?;
    shared.leases.batches.released(&abandoned);
    tracing::warn!(jobs = abandoned.len(), "jobs of crashed actors released; they run again");
    Ok(())
}

impl Actor for Acknowledger {
    type Message = AcknowledgerMessage;
    type State = AcknowledgerState;
    const KIND: &'static str = "acknowledger";

    async fn start(&self, cx: &Context<AcknowledgerMessage>) -> Result<AcknowledgerState, ActorError> {
        let renew = cx.send_every(self.shared.config.renew_every(), || AcknowledgerMessage::Renew);
        // Writes the results that wait since before a restart.
        cx.address().cast(AcknowledgerMessage::ResultWaiting)?;
        Ok(AcknowledgerState {
            batch: None,
            statement: None,
            renewal_due: false,
            failures: 0,
            _renew: renew,
            resume: None,
            last_batch: 0,
            gather: None,
        })
    }

    async fn handle(
        &self,
        cx: &Context<AcknowledgerMessage>,
        message: AcknowledgerMessage,
        state: &mut AcknowledgerState,
    ) -> Result<(), ActorError> {
        match message {
            AcknowledgerMessage::ResultWaiting => {}
            AcknowledgerMessage::Renew => state.renewal_due = true,
            AcknowledgerMessage::StatementEnded(result) => self.statement_ended(cx, state, result),
            AcknowledgerMessage::Resume => state.resume = None,
            AcknowledgerMessage::Gathered => {
                state.gather = None;
                state.last_batch = 0;
            }
        }
        self.proceed(cx, state);
        Ok(())
    }

    async fn stop(&self, _cx: &Context<AcknowledgerMessage>, state: &mut AcknowledgerState) {
        let last = async {
            // A batch that is under way may be written twice: the second time its claims are gone.
            if let Some(batch) = state.batch.take() {
                write(&self.shared, &batch, true).await?;
            }
            write(&self.shared, &self.shared.released.try_take().unwrap_or_default(), false).await
        };
        match tokio::time::timeout(LAST_WRITE, last).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => {
                let error = error_chain(&fault);
                tracing::warn!(error, "the last results of jobs were not written; these jobs are run again")
            }
            Err(_) => {
                tracing::warn!("the last results of jobs took too long to write; these jobs are run again")
            }
        }
    }
}
