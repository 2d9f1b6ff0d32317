//! The acknowledger: writes what workers report, and renews the leases of what this node holds. Both in batches, and never at the same time, so
//! that its statements cannot wait for each other.
//!
//! While one batch is under way the next one gathers: a lone end is written at once, and the busier the node, the larger the batches. What
//! gathers is bounded by what the node may hold. While the database is away everything is kept; the claims decide later what still counts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::claimer::ClaimerMessage;
use super::held::Ticket;
use super::messages::Room;
use super::signals;
use super::state::Verdict;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, Address, CastError, ChildSpec, Context, Shutdown, Timer};

/// Between two attempts to write while the database does not answer.
const AWAY_BACKOFF: Backoff = Backoff::exponential(millis(100), secs(2));
/// On the way out: time to write what is left. What is not written by then is run again when its lease has run out.
const LAST_WRITE: Duration = secs(3);

/// The end of an attempt.
pub(super) struct End {
    pub(super) ticket: Ticket,
    pub(super) verdict: Verdict,
}

/// Messages of the acknowledger.
#[derive(forge_app_macros::Message)]
pub(super) enum AcknowledgerMessage {
    /// An attempt has ended.
    Ended(Box<End>),
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
    gathering: Vec<End>,
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
        } else if !state.gathering.is_empty() || state.writing.is_some() {
            state.busy = Some(Work::Batch);
            let batch = Arc::clone(state.writing.get_or_insert_with(|| Arc::new(std::mem::take(&mut state.gathering))));
            cx.spawn("write", async move { report(write(&room, &batch).await) });
        }
    }

    fn written(&self, cx: &Context<AcknowledgerMessage>, state: &mut State, result: Result<(), Fault>) {
        let work = state.busy.take();
        match (result, work) {
            (Ok(()), Some(Work::Renewal) | None) => state.renewal_due = false,
            (Ok(()), Some(Work::Batch)) => {
                state.writing = None;
                self.room.tell_claimer(ClaimerMessage::Settled);
            }
            (Err(fault), _) => {
                if state.failures == 0 {
                    tracing::warn!(%fault, "ends of jobs and leases cannot be written; trying again until they can");
                }
                state.resume = Some(cx.send_after(AWAY_BACKOFF.jittered(state.failures), AcknowledgerMessage::Resume));
                state.failures = state.failures.saturating_add(1);
                return;
            }
        }
        if std::mem::take(&mut state.failures) > 0 {
            tracing::info!("ends of jobs and leases are written again");
        }
    }
}

/// Writes one batch; what is not accepted belongs to somebody else.
async fn write(room: &Room, batch: &[End]) -> Result<(), Fault> {
    let accepted: HashSet<JobId> = room.store.settle(batch.iter().map(|end| (&end.ticket.job, &end.verdict))).await?.into_iter().collect();
    for End { ticket, verdict } in batch {
        if accepted.contains(&ticket.job.id) {
            signals::finished(&ticket.job.name, verdict.status);
        } else {
            metrics::counter!(signals::JOBS_REFUSED_TOTAL).increment(1);
            tracing::warn!(job = %ticket.job.id, name = %ticket.job.name, claim = ticket.job.claim, "refused: the end of an attempt that has lost its job");
        }
    }
    Ok(())
}

async fn renew(room: &Room) -> Result<(), Fault> {
    let (claims, asked) = (room.held.claims(), Instant::now());
    metrics::gauge!(signals::JOBS_HELD).set(claims.len() as f64);
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
        Ok(State { gathering: Vec::new(), writing: None, busy: None, renewal_due: false, failures: 0, _renew: renew, resume: None })
    }

    async fn handle(&self, cx: &Context<AcknowledgerMessage>, message: AcknowledgerMessage, state: &mut State) -> Result<(), ActorError> {
        match message {
            AcknowledgerMessage::Ended(end) => state.gathering.push(*end),
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
                write(&self.room, &batch).await?;
            }
            write(&self.room, &std::mem::take(&mut state.gathering)).await
        };
        match tokio::time::timeout(LAST_WRITE, last).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::warn!(%fault, "the last ends of jobs are not written; these jobs are run again"),
            Err(_) => tracing::warn!("the last ends of jobs took too long to write; these jobs are run again"),
        }
    }
}
