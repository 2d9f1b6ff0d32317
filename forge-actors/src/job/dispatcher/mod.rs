//! Inserts dispatched jobs, and gathers those of calls that have no transaction. Runs on every node.
//!
//! ```text
//!   call in a transaction ───────────────▶ inserted in that transaction
//!   dispatch_all without one ────────────▶ inserted by the call, a thousand in a commit
//!   call without one ──no other call inserts──▶ inserted by the call, in a commit of its own
//!          └───────────another call inserts───▶ gathered ──▶ dispatcher: one statement, one commit for all
//! ```
//!
//! A lone dispatch waits for nobody. While a call inserts, what others dispatch goes to the dispatcher, which
//! writes one batch at a time: the busier the node, the larger the batches (the idea of group commit). So at
//! most two connections insert single jobs for calls without a transaction, however many there are.
//! Those of `dispatch_all` take two more; a call that waits for long takes a mutation.
//!
//! Invariants:
//! - A call is answered after the commit that wrote its job, and with what the database said about that job:
//!   a job that the database refuses is found by halving its batch, and fails its own call only.
//! - What gathers is bounded by count and bytes; a call beyond that waits until it may insert by itself.
//! - No call waits behind an outage: a failure that no job has caused is the answer to its batch, and jobs
//!   that have gathered for long are answered as `UNAVAILABLE`.
//! - When the dispatcher crashes, calls of the batch that was under way get `OUTCOME_UNKNOWN`; those that
//!   still gather are written after the restart. When it stops, it ends the write that is under way, and
//!   answers the others as `UNAVAILABLE`; until it starts again, calls insert by themselves in turn.

#[cfg(test)]
mod tests;

mod inserter;
pub mod subsystem;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::OptionFuture;
use tokio::sync::oneshot;

use super::insert::{DispatchedJob, insert_rows};
use super::paths::JOB_DISPATCHER;
use crate::app::Result;
use crate::app::new_job::NewJob;
use crate::change::{Hint, HintHub};
use crate::db::database::Database;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::halving::Halving;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, Address, ChildSpec, Context, Mailbox};

pub use inserter::JobInserter;

/// Jobs of one batch.
const BATCH_MAX: usize = 500;
/// Bytes of one batch; a larger job is a batch of its own.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Jobs that gather.
const GATHERED_MAX: usize = 10_000;
/// Bytes of the jobs that gather; a larger one is inserted by its call.
const GATHERED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// After a failure that no job has caused, jobs that have gathered for longer are not tried.
const GATHERED_AGE_MAX: Duration = secs(5);
/// On a stop: time for the write that is under way.
const LAST_WRITE: Duration = secs(2);

/// Messages of the dispatcher.
#[derive(forge_app_macros::Message)]
enum DispatcherMessage {
    /// A job has been put into [`DispatcherShared::gathered`].
    Gathered,
    /// The calls of a batch are answered.
    BatchEnded,
}

/// What calls and the dispatcher share.
struct DispatcherShared {
    database: Database,
    hints: HintHub,
    /// Put by calls; the dispatcher, which is woken with a message, takes a batch at a time.
    gathered: MergeSlot<Gathered>,
    dispatcher: Address<DispatcherMessage>,
}

/// The jobs that gather, the oldest first.
#[derive(Default)]
struct Gathered {
    jobs: VecDeque<GatheredJob>,
    /// Their bytes.
    bytes: usize,
    /// The dispatcher has stopped, and has not started again.
    is_closed: bool,
}

struct GatheredJob {
    job: DispatchedJob,
    since: Instant,
    reply: oneshot::Sender<Result<()>>,
}

impl GatheredJob {
    /// Its size, without names and keys, whose sizes are limited.
    fn bytes(&self) -> usize {
        let DispatchedJob { job, identity, trace } = &self.job;
        job.args.expose().len() + identity.as_ref().map_or(0, String::len) + trace.len()
    }
}

impl Gathered {
    /// Adds a job; false when that would exceed a bound, or the dispatcher has stopped.
    fn push(&mut self, job: GatheredJob) -> bool {
        let bytes = self.bytes + job.bytes();
        let is_full = self.jobs.len() >= GATHERED_MAX || bytes > GATHERED_BYTES_MAX;
        if self.is_closed || is_full {
            return false;
        }
        self.bytes = bytes;
        self.jobs.push_back(job);
        true
    }

    /// Takes out the jobs that came before `before`.
    fn take_older(&mut self, before: Instant) -> Vec<GatheredJob> {
        let mut older = Vec::new();
        while let Some(job) = self.jobs.pop_front_if(|job| job.since < before) {
            self.bytes -= job.bytes();
            older.push(job);
        }
        older
    }

    /// Takes out the next batch, without the jobs whose calls have ended.
    fn take_batch(&mut self) -> Vec<GatheredJob> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_MAX
            && let Some(next) = self.jobs.front()
            && (batch.is_empty() || bytes + next.bytes() <= BATCH_BYTES_MAX)
            && let Some(next) = self.jobs.pop_front()
        {
            self.bytes -= next.bytes();
            if !next.reply.is_closed() {
                bytes += next.bytes();
                batch.push(next);
            }
        }
        batch
    }
}

impl DispatcherShared {
    /// Puts a job where the dispatcher takes it. Returns where the answer comes; `None` when nothing may
    /// gather now.
    fn gather(&self, job: DispatchedJob) -> Option<oneshot::Receiver<Result<()>>> {
        let (reply, answer) = oneshot::channel();
        let mut gathers = false;
        self.gathered.put(|gathered| {
            let job = GatheredJob { job, since: Instant::now(), reply };
            gathers = gathered.get_or_insert_default().push(job);
        });
        self.dispatcher.notify(DispatcherMessage::Gathered);
        gathers.then_some(answer)
    }

    /// Writes a batch and answers its calls.
    async fn write(&self, batch: Vec<GatheredJob>) {
        let mut halving = Halving::of(batch.len());
        let mut batch: Vec<_> = batch.into_iter().map(Some).collect();
        while let Some(part) = halving.part() {
            let jobs: Vec<_> = batch[part.clone()].iter().flatten().map(|gathered| &gathered.job).collect();
            let rows = jobs.iter().map(|dispatched| dispatched.row()).collect();
            let written = self.database.write_alone(insert_rows(rows)).await.map(drop);
            match &written {
                Ok(()) => {
                    self.publish(jobs.iter().map(|dispatched| &dispatched.job));
                    halving.written();
                }
                // A bug, as of a trigger, may concern one of the jobs as well.
                Err(fault) if fault.blames_row() || fault.code() == Code::Internal => {
                    // Of several jobs, each half is written next.
                    if halving.refused().is_none() {
                        continue;
                    }
                }
                Err(_) => {
                    batch[part].iter_mut().for_each(|job| answer(job.take(), written.clone()));
                    let before = Instant::now().checked_sub(GATHERED_AGE_MAX);
                    let gathered = self.gathered.take_part(|gathered| Some(gathered.take_older(before?)));
                    let untried = batch.into_iter().flatten().chain(gathered.into_iter().flatten());
                    return untried.for_each(|job| answer(Some(job), Err(untried_fault())));
                }
            }
            batch[part].iter_mut().for_each(|job| answer(job.take(), written.clone()));
        }
    }

    /// Wakes the claimers of the queues of these jobs.
    fn publish<'a>(&self, jobs: impl IntoIterator<Item = &'a NewJob>) {
        let queues = waking_queues(jobs);
        if !queues.is_empty() {
            self.hints.publish(Hint::of(queues));
        }
    }
}

/// The queues of those jobs that a claimer must learn of.
fn waking_queues<'a>(jobs: impl IntoIterator<Item = &'a NewJob>) -> BTreeSet<Arc<str>> {
    let waking: BTreeSet<&str> =
        jobs.into_iter().filter(|job| job.wakes_claimers()).map(|job| job.queue.as_str()).collect();
    waking.into_iter().map(Arc::from).collect()
}

fn answer(job: Option<GatheredJob>, written: Result<()>) {
    if let Some(GatheredJob { reply, .. }) = job {
        // The call may have ended meanwhile.
        let _gone = reply.send(written);
    }
}

fn untried_fault() -> Fault {
    let text = "the database failed for another dispatch of this node; this one was not tried";
    Fault::new(Code::Unavailable, text).retry_after(secs(1))
}

fn stopping() -> Fault {
    Fault::new(Code::Unavailable, "the node is stopping; the job was not dispatched").retry_after(secs(1))
}

struct Dispatcher {
    shared: Arc<DispatcherShared>,
}

#[derive(Default)]
struct DispatcherState {
    /// The write of a batch that is under way; it ends when the calls are answered.
    write: Option<oneshot::Receiver<()>>,
}

impl Dispatcher {
    /// The child of a node, and what calls share with it.
    fn spec(database: Database, hints: HintHub) -> (Arc<DispatcherShared>, ChildSpec) {
        let (mailbox, dispatcher) = Mailbox::of::<Self>();
        let shared = Arc::new(DispatcherShared { database, hints, gathered: MergeSlot::new(), dispatcher });
        let of_dispatcher = Arc::clone(&shared);
        let make = move || Self { shared: Arc::clone(&of_dispatcher) };
        (shared, ChildSpec::with_mailbox(JOB_DISPATCHER.id(), mailbox, make))
    }

    fn proceed(&self, cx: &Context<DispatcherMessage>, state: &mut DispatcherState) {
        if state.write.is_some() {
            return;
        }
        let batch = self.shared.gathered.take_part(|gathered| Some(gathered.take_batch()));
        let Some(batch) = batch.filter(|batch| !batch.is_empty()) else { return };
        let (ended, write) = oneshot::channel();
        state.write = Some(write);
        let shared = Arc::clone(&self.shared);
        cx.spawn_message("write", async move {
            shared.write(batch).await;
            // Fails when the dispatcher is gone.
            let _gone = ended.send(());
            DispatcherMessage::BatchEnded
        });
    }
}

impl Actor for Dispatcher {
    type Message = DispatcherMessage;
    type State = DispatcherState;
    const KIND: &'static str = "job_dispatcher";

    async fn start(
        &self,
        cx: &Context<DispatcherMessage>,
    ) -> std::result::Result<DispatcherState, ActorError> {
        self.shared.gathered.put(|gathered| gathered.get_or_insert_default().is_closed = false);
        // Jobs may have gathered before a restart.
        cx.address().cast(DispatcherMessage::Gathered)?;
        Ok(DispatcherState::default())
    }

    async fn handle(
        &self,
        cx: &Context<DispatcherMessage>,
        message: DispatcherMessage,
        state: &mut DispatcherState,
    ) -> std::result::Result<(), ActorError> {
        match message {
            DispatcherMessage::Gathered => {}
            DispatcherMessage::BatchEnded => state.write = None,
        }
        self.proceed(cx, state);
        Ok(())
    }

    async fn stop(&self, _cx: &Context<DispatcherMessage>, state: &mut DispatcherState) {
        let mut gathered = Gathered::default();
        self.shared.gathered.put(|all| {
            let closed = Gathered { is_closed: true, ..Gathered::default() };
            gathered = all.replace(closed).unwrap_or_default();
        });
        gathered.jobs.into_iter().for_each(|job| answer(Some(job), Err(stopping())));
        let write = OptionFuture::from(state.write.take());
        if tokio::time::timeout(LAST_WRITE, write).await.is_err() {
            tracing::warn!("the last dispatches took too long to write; their outcome is unknown");
        }
    }
}
