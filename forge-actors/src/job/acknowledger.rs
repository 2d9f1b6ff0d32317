//! The acknowledger: writes what workers report, and renews the leases of what this node holds. Both in
//! batches, and never at the same time, so that its statements cannot wait for each other.
//!
//! While one batch is under way the next one gathers: a lone end is written at once, and the busier the node,
//! the larger the batches. What gathers is bounded by what the node may hold. While the database is away
//! everything is kept; the claims decide later what still counts.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::claimer::ClaimerMessage;
use super::held::Ticket;
use super::messages::Room;
use super::signals;
use super::state::Verdict;
use crate::app::job::JobStatus;
use crate::change::Hint;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, Address, CastError, ChildSpec, Context, Shutdown, Timer};

/// Between two attempts to write while the database does not answer.
const AWAY_BACKOFF: Backoff = Backoff::exponential(millis(100), secs(2));
/// On the way out: time to write what is left. What is not written by then is run again when its lease has
/// run out.
const LAST_WRITE: Duration = secs(3);

/// The end of an attempt.
pub(super) struct End {
    pub(super) ticket: Ticket,
    pub(super) verdict: Verdict,
}

/// Messages of the acknowledger.
#[derive(forge_app_macros::Message)]
pub(super) enum AcknowledgerMessage {
    /// An attempt has ended; its end lies in the room.
    Ended,
    /// Time to renew the leases.
    Renew,
    /// The statement that was under way has ended.
    Written(Result<(), Fault>),
    /// Time to try again after a failure.
    Resume,
}

pub(super) struct Acknowledger {
    room: Arc<Room>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Renewal,
    Batch,
}

pub(super) struct State {
    /// The batch that is under way; kept until it is written.
    writing: Option<Arc<Vec<End>>>,
    /// The statement that is under way.
    busy: Option<Work>,
    renewal_due: bool,
    failures: u32,
    _renew: Timer,
    resume: Option<Timer>,
}

impl Acknowledger {
    pub(super) fn spec(room: Arc<Room>) -> (ChildSpec, Address<AcknowledgerMessage>) {
        let (mut spec, address) = ChildSpec::actor("acknowledger", move || Self { room: Arc::clone(&room) });
        spec.shutdown = Shutdown::Deadline(LAST_WRITE + secs(2));
        (spec, address)
    }

    /// Starts the next statement, when none is under way. Leases come first: they do not wait.
    fn proceed(&self, cx: &Context<AcknowledgerMessage>, state: &mut State) {
        if state.busy.is_some() || state.resume.is_some() {
            return;
        }
        let (room, acknowledger) = (Arc::clone(&self.room), cx.address());
        let report = move |result| {
            // It is only gone when it ends, and then it has written the batch itself.
            let _: Result<(), CastError> = acknowledger.cast(AcknowledgerMessage::Written(result));
        };
        if state.renewal_due {
            state.busy = Some(Work::Renewal);
            cx.spawn("renew", async move { report(renew(&room).await) });
        } else if let Some(batch) = state.writing.take().or_else(|| room.ends.try_take().map(Arc::new)) {
            state.busy = Some(Work::Batch);
            state.writing = Some(Arc::clone(&batch));
            let again = state.failures > 0;
            cx.spawn("write", async move {
                let written = write(&room, &batch, again).await;
                // Before the report: what a ticket holds must be free when the claimer hears of it.
                drop(batch);
                report(written);
            });
        }
    }

    fn written(&self, cx: &Context<AcknowledgerMessage>, state: &mut State, result: Result<(), Fault>) {
        let work = state.busy.take();
        match (result, work) {
            (Ok(()), Some(Work::Renewal) | None) => state.renewal_due = false,
            (Ok(()), Some(Work::Batch)) => {
                let written = state.writing.take();
                let scheduled =
                    written.iter().flat_map(|batch| batch.iter()).any(|end| !end.verdict.after.is_zero());
                drop(written);
                self.room.tell_claimer(ClaimerMessage::Settled { scheduled });
            }
            (Err(fault), _) => {
                if state.failures == 0 {
                    tracing::warn!(
                        ?fault,
                        "ends of jobs and leases cannot be written; trying again until they can"
                    );
                }
                state.resume =
                    Some(cx.send_after(AWAY_BACKOFF.jittered(state.failures), AcknowledgerMessage::Resume));
                state.failures = state.failures.saturating_add(1);
                return;
            }
        }
        if std::mem::take(&mut state.failures) > 0 {
            tracing::info!("ends of jobs and leases are written again");
        }
    }
}

/// Writes one batch; what is not accepted belongs to somebody else, or was accepted by an earlier try
/// (`again`) whose answer got lost.
async fn write(room: &Room, batch: &[End], again: bool) -> Result<(), Fault> {
    let accepted: HashSet<JobId> = room
        .store
        .settle(batch.iter().map(|end| (&*end.ticket.job, &end.verdict)))
        .await?
        .into_iter()
        .collect();
    let mut queues = BTreeSet::new();
    for End { ticket, verdict } in batch {
        let job = &ticket.job;
        if !accepted.contains(&job.id) && !again {
            metrics::counter!(signals::JOBS_REFUSED_TOTAL).increment(1);
            tracing::warn!(job = %job.id, name = %job.name, claim = job.claim, "refused: the end of an attempt that has lost its job");
            continue;
        }
        signals::finished(&job.name, verdict.status);
        if verdict.status == JobStatus::Pending && verdict.after.is_zero() {
            queues.insert(Arc::from(job.queue.as_str()));
        }
    }
    // What was handed back is for others.
    room.hints.publish(Hint::of(queues));
    Ok(())
}

async fn renew(room: &Room) -> Result<(), Fault> {
    let (claims, asked) = (room.held.claims(), Instant::now());
    metrics::gauge!(signals::JOBS_HELD).set(room.held.len() as f64);
    if claims.is_empty() {
        return Ok(());
    }
    let renewed: HashSet<JobId> = room.store.renew(&claims, room.config.lease).await?.into_iter().collect();
    let lost = room.held.renewed(&claims, &renewed, asked, room.config.lease);
    if lost > 0 {
        tracing::warn!(lost, "jobs of this node were cancelled, or taken over by others");
    }
    Ok(())
}

impl Actor for Acknowledger {
    type Message = AcknowledgerMessage;
    type State = State;
    const KIND: &'static str = "acknowledger";

    async fn start(&self, cx: &Context<AcknowledgerMessage>) -> Result<State, ActorError> {
        let renew = cx.send_after(self.room.config.renew_every(), AcknowledgerMessage::Renew);
        // What a predecessor did not come to.
        cx.address().cast(AcknowledgerMessage::Ended)?;
        Ok(State { writing: None, busy: None, renewal_due: false, failures: 0, _renew: renew, resume: None })
    }

    async fn handle(
        &self,
        cx: &Context<AcknowledgerMessage>,
        message: AcknowledgerMessage,
        state: &mut State,
    ) -> Result<(), ActorError> {
        match message {
            AcknowledgerMessage::Ended => {}
            AcknowledgerMessage::Renew => {
                state.renewal_due = true;
                state._renew = cx.send_after(self.room.config.renew_every(), AcknowledgerMessage::Renew);
            }
            AcknowledgerMessage::Written(result) => self.written(cx, state, result),
            AcknowledgerMessage::Resume => state.resume = None,
        }
        self.proceed(cx, state);
        Ok(())
    }

    async fn stop(&self, _cx: &Context<AcknowledgerMessage>, state: &mut State) {
        // A batch that is under way may be written twice: the second time its claims are gone.
        let last = async {
            if let Some(batch) = state.writing.take() {
                write(&self.room, &batch, true).await?;
            }
            write(&self.room, &self.room.ends.try_take().unwrap_or_default(), false).await
        };
        match tokio::time::timeout(LAST_WRITE, last).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => {
                tracing::warn!(?fault, "the last ends of jobs are not written; these jobs are run again")
            }
            Err(_) => {
                tracing::warn!("the last ends of jobs took too long to write; these jobs are run again")
            }
        }
    }
}
