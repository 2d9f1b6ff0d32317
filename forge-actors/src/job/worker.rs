//! One worker: runs one job at a time, decides what becomes of it, and says that it is free again.

use std::error::Error;
use std::sync::Arc;

use super::acknowledger::End;
use super::claimer::ClaimerMessage;
use super::conclude::Conclusion;
use super::held::Ticket;
use super::messages::Room;
use super::signals;
use super::state::{Ending, judge};
use crate::app::job::{JobMeta, JobStatus};
use crate::function::AttemptResult;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RequestId;
use crate::kernel::invocation::{Caller, Identity, Invocation};
use crate::kernel::limits::CAUSE_BYTES_MAX;
use crate::kernel::time::secs;
use crate::kernel::trace::TraceContext;
use crate::supervise::{Actor, ActorError, Address, ChildSpec, Context, Shutdown};

/// After the drain: time to drop a handler that was cut.
const CUT_GRACE: std::time::Duration = secs(5);

/// Messages of a worker.
#[derive(forge_app_macros::Message)]
pub(super) enum WorkerMessage {
    /// There is something on the desk.
    Run,
    /// A claimer has started, and knows nobody.
    Report,
}

pub(super) struct Worker {
    room: Arc<Room>,
    index: usize,
}

impl Worker {
    pub(super) fn spec(room: Arc<Room>, index: usize) -> (ChildSpec, Address<WorkerMessage>) {
        let drain = room.config.drain_timeout + CUT_GRACE;
        let make = move || Self { room: Arc::clone(&room), index };
        let (mut spec, address) = ChildSpec::actor(format!("worker-{}", index + 1), make);
        spec.shutdown = Shutdown::Deadline(drain);
        (spec, address)
    }

    /// Runs what is on the desk, which is one job unless a claimer has lost count.
    async fn clear_desk(&self) {
        for ticket in self.room.desks[self.index].try_take().into_iter().flatten() {
            self.run(ticket).await;
        }
    }

    async fn run(&self, ticket: Ticket) {
        if !ticket.is_fresh() {
            // Its lease may have run out while it waited here. If nobody has taken it over, it gets its
            // attempt back.
            tracing::info!(job = %ticket.job.id, name = %ticket.job.name, "not started: its lease was not renewed in time");
            return self.room.hand_back(ticket);
        }
        metrics::histogram!(signals::JOB_WAIT_SECONDS, "queue" => ticket.job.queue.clone())
            .record(ticket.job.waited);
        let conclusion = Arc::new(Conclusion::new(Arc::clone(&self.room), Arc::clone(&ticket.job)));
        let ending = tokio::select! {
            biased;
            ending = self.attempt(&ticket, Arc::clone(&conclusion)) => ending,
            () = ticket.lost.cancelled() => None,
            () = self.room.drained() => Some(Ending::HandedBack),
        };
        let job = &ticket.job;
        if conclusion.is_committed() {
            if !matches!(ending, Some(Ending::Done)) {
                tracing::warn!(job = %job.id, name = %job.name, ?ending, "the job is finished: what its handler said after `commit` changes nothing");
            }
            return signals::finished(&job.name, JobStatus::Completed);
        }
        let Some(ending) = ending else {
            return tracing::warn!(job = %job.id, name = %job.name, claim = job.claim, "cut: the job was cancelled, or another node took it over");
        };
        let meta = self
            .room
            .functions
            .catalog()
            .get(&job.name)
            .and_then(|known| known.meta.job)
            .unwrap_or(JobMeta::DEFAULT);
        let verdict = judge(ending, job.attempt, job.attempts_max, meta.backoff, fastrand::f64());
        if let Some(error) = &verdict.error {
            let trace_id = job.trace.map(|trace| trace.trace_id_hex());
            tracing::warn!(trace_id, job = %job.id, name = %job.name, attempt = job.attempt, of = job.attempts_max, status = verdict.status.as_str(), %error, "an attempt failed");
        }
        self.room.end(End { ticket, verdict });
    }

    /// Runs the handler; `None` when its end says nothing about the job.
    async fn attempt(&self, ticket: &Ticket, conclusion: Arc<Conclusion>) -> Option<Ending> {
        let job = &ticket.job;
        let identity: Option<Identity> = match job.identity.as_deref().map(serde_json::from_str).transpose() {
            Ok(identity) => identity,
            // Another version wrote it, and may yet run it.
            Err(error) => {
                return Some(Ending::Failed(format!(
                    "the identity of its dispatcher cannot be read: {error}"
                )));
            }
        };
        let invocation = Invocation {
            id: RequestId::new(),
            name: job.name.as_str().into(),
            args: job.args.clone(),
            caller: Caller { identity: identity.map(Arc::new), ..Caller::default() },
            trace: job.trace.map_or_else(TraceContext::new_root, TraceContext::child),
            deadline: None,
            idempotency_key: None,
        };
        Some(match self.room.functions.attempt(invocation, conclusion).await {
            AttemptResult::Succeeded => Ending::Done,
            AttemptResult::Snoozed(delay) => Ending::Snoozed(delay),
            AttemptResult::Refused(fault) => Ending::Refused(text(&fault)),
            AttemptResult::Failed(fault) => Ending::Failed(text(&fault)),
            AttemptResult::Interrupted => Ending::HandedBack,
        })
    }
}

impl Actor for Worker {
    type Message = WorkerMessage;
    type State = ();
    const KIND: &'static str = "worker";
    /// Messages only wake, and a few of them wake as well as many.
    const MAILBOX_MAX: usize = 16;

    async fn start(&self, cx: &Context<WorkerMessage>) -> Result<(), ActorError> {
        // A job may have been put here while nobody was; and if not, the claimer learns that somebody is.
        cx.address().cast(WorkerMessage::Run)?;
        Ok(())
    }

    async fn handle(
        &self,
        _cx: &Context<WorkerMessage>,
        message: WorkerMessage,
        (): &mut (),
    ) -> Result<(), ActorError> {
        match message {
            WorkerMessage::Run => self.clear_desk().await,
            WorkerMessage::Report => {}
        }
        self.room.tell_claimer(ClaimerMessage::Idle { worker: self.index });
        Ok(())
    }

    /// What was put on the desk and not begun is handed back.
    async fn stop(&self, _cx: &Context<WorkerMessage>, (): &mut ()) {
        let left = self.room.desks[self.index].try_take();
        left.into_iter().flatten().for_each(|ticket| self.room.hand_back(ticket));
    }
}

/// What a person should read: the fault with its causes, without what Postgres cannot store.
fn text(fault: &Fault) -> String {
    let mut source = fault.source();
    // What an internal fault says is meant for those who must not see its causes.
    let hidden = fault.code() == Code::Internal && source.is_some();
    let mut text = if hidden { fault.code().to_string() } else { fault.to_string() };
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    let text = text.replace('\0', "\u{fffd}");
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > CAUSE_BYTES_MAX) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}
