//! One activation of a run, from its claim until it leaves this node.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::admin::WorkflowStatus;
use super::follow::failure_of;
use super::migration::{Migrated, migrate};
use super::paths::WORKFLOWS;
use super::rows::{ClaimedRun, End, EndStatus, GoneOn, HeldStep, JournalSize, Leave, RunRequest};
use super::run_store::HeldRun;
use super::shared::{ActiveEntry, StopReason, WorkflowShared};
use super::signals;
use crate::app::job_failure::JobFailure;
use crate::app::workflow::saga::CompensationEnd;
use crate::app::workflow::{ActiveRun, MigrationRegistration};
use crate::app::workflow_run::journal::JournalEntry;
use crate::app::workflow_run::run::RunProgress;
use crate::app::workflow_run::store::ActivationStart;
use crate::app::{Catalog, Registration};
use crate::function::FunctionEnd;
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::{RequestId, RunId};
use crate::kernel::invocation::{Caller, Identity, Invocation};
use crate::kernel::time::{millis, minutes, secs};
use crate::kernel::trace::TraceContext;
use crate::test_signals::{Step, pause_point};

/// A run that waits for its children to be cancelled looks for them so often, besides being woken.
const CHILDREN_POLL: Duration = minutes(1);
/// Between two attempts to go on as a new run while another transaction holds a lock that this needs.
const LOCKED_BACKOFF: Backoff = Backoff::exponential(millis(500), secs(10));

/// One activation of a run. Dropped before it has left, it gives the run back.
pub(super) struct Activation {
    shared: Arc<WorkflowShared>,
    claimed: Option<ClaimedRun>,
    id: RunId,
    claim: i32,
    workflow: String,
    /// Whether an end before the run has left counts as a crash: a panic does, an outage does not.
    is_crash: bool,
}

impl Activation {
    pub(super) fn new(shared: Arc<WorkflowShared>, claimed: ClaimedRun) -> Self {
        let (id, claim, workflow) = (claimed.id, claimed.claim, claimed.workflow.clone());
        Self { shared, claimed: Some(claimed), id, claim, workflow, is_crash: false }
    }

    /// Executes the run until it leaves this node.
    pub(super) async fn run(mut self) {
        let Some(claimed) = self.claimed.clone() else { return };
        // Dropped before this, no activation has begun.
        self.is_crash = true;
        pause_point(Step::WorkflowActivating, &claimed.workflow).await;
        match activate(&self.shared, &claimed).await {
            Ok(()) => self.claimed = None,
            Err(fault) => {
                self.is_crash = !fault.code().is_outage();
                let error = error_chain(&fault);
                let (run, handler) = (claimed.id, &claimed.workflow);
                tracing::warn!(%run, handler, error, "activation failed; the run is claimed again");
            }
        }
    }
}

impl Drop for Activation {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        let given_back = self.claimed.take();
        if let Some(claimed) = &given_back {
            shared.active.remove_if(&claimed.id, |_, entry| entry.claim == claimed.claim);
        }
        match given_back {
            Some(claimed) => shared.give_back(claimed, self.is_crash),
            None => shared.leave_place(self.id, self.claim, &self.workflow),
        }
    }
}

/// The code that executes a run.
pub(super) enum RunCode {
    /// The function of its version.
    Linked(&'static Registration),
    /// The function of a newer version, after this migration.
    Migrated(&'static Registration, &'static MigrationRegistration),
}

/// The code that a binary has for the runs of a version.
pub(super) fn code_of(catalog: &Catalog, workflow: &str, version: u32) -> Option<RunCode> {
    if let Some(registration) = catalog.workflow(workflow, version) {
        return Some(RunCode::Linked(registration));
    }
    let (_, _, migration) =
        catalog.workflow_migrations().find(|(name, from, _)| *name == workflow && *from == version)?;
    let registration = catalog.workflow(workflow, migration.to)?;
    Some(RunCode::Migrated(registration, migration))
}

/// Executes the function of a run, and writes what becomes of the run.
async fn activate(shared: &Arc<WorkflowShared>, claimed: &ClaimedRun) -> Result<(), Fault> {
    let mut claimed = claimed.clone();
    let mut entries = match claimed.claim {
        // What was never claimed has recorded nothing.
        1 => Vec::new(),
        _ => shared.store.journals(&[claimed.id]).await?.remove(&claimed.id).unwrap_or_default(),
    };
    if let Some(before) = claimed.continues.filter(|_| entries.is_empty()) {
        shared.store.adopt_signals(before, claimed.id).await?;
    }
    let registration = match code_of(shared.functions.catalog(), &claimed.workflow, claimed.version) {
        Some(RunCode::Linked(registration)) => registration,
        Some(RunCode::Migrated(registration, migration)) => {
            match migrate(shared, &mut claimed, entries, migration).await? {
                Migrated::Written(migrated) => entries = migrated,
                Migrated::Refused(error) => {
                    leave(shared, &claimed, "diverged", None, Some(error), false).await;
                    return Ok(());
                }
                Migrated::NotHeld => return Ok(()),
            }
            registration
        }
        None => return Err(Fault::internal("a run was claimed that this binary has no code for")),
    };
    let active = ActiveActivation::enter(shared, claimed, entries, registration);
    active.run().await
}

async fn leave(
    shared: &Arc<WorkflowShared>,
    claimed: &ClaimedRun,
    status: &'static str,
    progress: Option<&RunProgress>,
    error: Option<String>,
    answers_request: bool,
) {
    pause_point(Step::WorkflowLeaving, &claimed.workflow).await;
    // What came after the waits have looked last makes the run due at once: -1 equals no count of wakes.
    let seen = |entry: &ActiveEntry| if entry.run.has_missed() { -1 } else { entry.wakes };
    let wakes = shared.active.get(&claimed.id).map_or(claimed.wakes, |entry| seen(&entry));
    let row = Leave {
        run: claimed.id,
        claim: claimed.claim,
        status,
        due_at: progress.and_then(|progress| progress.due_at),
        wakes,
        error,
        size: progress.map(|progress| JournalSize { steps: progress.steps, bytes: progress.journal_bytes }),
        answers_request,
    };
    let due_at = row.due_at;
    match shared.leaver.submit(row).await {
        Ok(Some(())) => {
            if let Some(due_at) = due_at {
                shared.due_soon(due_at, claimed.now);
            }
        }
        Ok(None) => {
            tracing::debug!(run = %claimed.id, "the status of a run was not written: its lease is lost")
        }
        Err(fault) => {
            let error = error_chain(&fault);
            let (run, handler) = (claimed.id, &claimed.workflow);
            tracing::error!(%run, handler, error, "writing a status failed; the run is claimed again later");
        }
    }
}

/// An activation whose function is executed.
struct ActiveActivation {
    shared: Arc<WorkflowShared>,
    claimed: ClaimedRun,
    registration: &'static Registration,
    run: Arc<ActiveRun>,
    stop: watch::Receiver<Option<StopReason>>,
    began: Instant,
}

impl Drop for ActiveActivation {
    fn drop(&mut self) {
        self.shared.active.remove_if(&self.claimed.id, |_, entry| entry.claim == self.claimed.claim);
    }
}

impl ActiveActivation {
    fn enter(
        shared: &Arc<WorkflowShared>,
        claimed: ClaimedRun,
        mut entries: Vec<JournalEntry>,
        registration: &'static Registration,
    ) -> Self {
        for entry in &mut entries {
            entry.finished_at = shared.on_run_clock(entry.finished_at);
        }
        let held = HeldRun::new(Arc::clone(shared), &claimed);
        let activation = ActivationStart {
            id: claimed.id,
            workflow: claimed.workflow.clone(),
            version: claimed.version,
            begun_at: claimed.begun_at + shared.time_passed(),
            now: claimed.now,
            entries,
            is_ending: claimed.ending.is_some(),
            is_check: false,
            attributes: claimed.attributes.clone(),
        };
        let run = ActiveRun::new(activation, Arc::new(held));
        let (stop, stopping) = watch::channel(None);
        let entry = ActiveEntry { claim: claimed.claim, run: Arc::clone(&run), stop, wakes: claimed.wakes };
        if claimed.ending.is_none() && claimed.deadline_at.is_some_and(|deadline| deadline <= claimed.now) {
            entry.stop_for(StopReason::TimedOut);
        }
        if let Some(request) = claimed.request {
            entry.stop_for(StopReason::Requested(request));
        }
        shared.active.insert(claimed.id, entry);
        Self { shared: Arc::clone(shared), claimed, registration, run, stop: stopping, began: Instant::now() }
    }

    async fn run(mut self) -> Result<(), Fault> {
        let invocation = self.invocation()?;
        let end = {
            let functions = &self.shared.functions;
            let run = Arc::clone(&self.run);
            let lost = lost(self.stop.clone());
            let execution = functions.workflow(&WORKFLOWS, self.registration, invocation.clone(), run, lost);
            tokio::select! {
                biased;
                end = execution => end,
                never = self.time_out() => match never {},
            }
        };
        signals::activation_ended(&self.claimed.workflow, self.began.elapsed());
        let stop = *self.stop.borrow();
        match stop {
            Some(StopReason::Lost) => return Ok(()),
            Some(StopReason::Outdated) => {
                self.leave("ready", &self.run.progress(false), None, false).await;
                return Ok(());
            }
            _ => {}
        }
        if let Some(ending) = self.claimed.ending {
            return self.compensate(invocation, ending, None).await;
        }
        match end {
            FunctionEnd::Returned(output) => self.returned(invocation, output).await,
            FunctionEnd::Continued(args) => self.continued(invocation, args).await,
            FunctionEnd::Failed(fault) => {
                let progress = self.run.progress(true);
                if progress.divergence.is_some() {
                    return self.diverged(&progress).await;
                }
                self.compensate(invocation, EndStatus::Failed, Some(JobFailure::json_of(&fault)?)).await
            }
            FunctionEnd::InvalidArguments(fault) => {
                let asked = RunRequest::when_diverged(self.asked());
                let text = format!("the arguments do not fit this version: {}{asked}", fault.message());
                let error = JobFailure::json_of(&Fault::new(Code::Conflict, text))?;
                self.leave("diverged", &self.run.progress(false), Some(error), false).await;
                Ok(())
            }
            FunctionEnd::Left | FunctionEnd::Interrupted => self.left(invocation, stop).await,
        }
    }

    /// The function only waits, or was stopped.
    async fn left(&mut self, invocation: Invocation, stop: Option<StopReason>) -> Result<(), Fault> {
        let progress = self.run.progress(false);
        if progress.divergence.is_some() {
            return self.diverged(&progress).await;
        }
        match stop {
            Some(StopReason::Requested(RunRequest::Cancel)) => {
                let error = cancelled()?;
                self.compensate(invocation, EndStatus::Cancelled, Some(error)).await
            }
            Some(StopReason::TimedOut) => {
                let fault = Fault::new(Code::Timeout, "the run has reached its time limit");
                self.compensate(invocation, EndStatus::Failed, Some(JobFailure::json_of(&fault)?)).await
            }
            Some(StopReason::Requested(RunRequest::Pause)) => {
                self.leave("paused", &progress, None, true).await;
                Ok(())
            }
            Some(StopReason::Drain) => {
                self.leave("ready", &progress, None, false).await;
                Ok(())
            }
            None | Some(StopReason::Lost | StopReason::Outdated) => {
                self.leave("waiting", &progress, None, false).await;
                Ok(())
            }
        }
    }

    async fn returned(&mut self, invocation: Invocation, output: bytes::Bytes) -> Result<(), Fault> {
        let progress = self.run.progress(true);
        if progress.divergence.is_some() {
            return self.diverged(&progress).await;
        }
        let output = String::from_utf8(output.into()).map_err(Fault::internal)?;
        if self.end(EndStatus::Completed, Some(output), None, &progress).await? {
            return Ok(());
        }
        // A person has asked for the run to be cancelled before it ended, or it is not held any more.
        let error = cancelled()?;
        self.compensate(invocation, EndStatus::Cancelled, Some(error)).await
    }

    async fn continued(&mut self, invocation: Invocation, args: String) -> Result<(), Fault> {
        let progress = self.run.progress(true);
        if progress.divergence.is_some() {
            return self.diverged(&progress).await;
        }
        pause_point(Step::WorkflowStarting, &self.claimed.workflow).await;
        let mut tries = 0;
        loop {
            let Some(lease) = self.shared.living_lease() else { return Ok(()) };
            let (store, retention) = (&self.shared.store, self.shared.config.retention);
            match store.continue_as(lease, retention, &self.claimed, &args, &progress).await? {
                GoneOn::AsNew => {
                    self.shared.run_ready();
                    self.shared.events_ready();
                    return Ok(());
                }
                GoneOn::Not => {
                    let error = cancelled()?;
                    return self.compensate(invocation, EndStatus::Cancelled, Some(error)).await;
                }
                GoneOn::Locked => {}
            }
            tokio::select! {
                biased;
                () = lost_or_drained(self.stop.clone()) => {
                    self.leave("ready", &progress, None, false).await;
                    return Ok(());
                }
                () = tokio::time::sleep(LOCKED_BACKOFF.jittered(tries)) => tries += 1,
            }
        }
    }

    async fn diverged(&self, progress: &RunProgress) -> Result<(), Fault> {
        let Some(divergence) = &progress.divergence else { return Ok(()) };
        let ClaimedRun { id, workflow, version, .. } = &self.claimed;
        tracing::error!(
            run = %id,
            handler = %workflow,
            version,
            %divergence,
            "the code does not fit the journal of the run; it is parked"
        );
        signals::diverged(&self.claimed.workflow);
        let text = format!("{divergence}{}", RunRequest::when_diverged(self.asked()));
        let fault = Fault::new(Code::Conflict, text)
            .with_details(serde_json::to_value(divergence).map_err(Fault::internal)?);
        self.leave("diverged", progress, Some(JobFailure::json_of(&fault)?), false).await;
        Ok(())
    }

    /// Takes back what has completed, and ends the run. `error` says why when that is not written yet.
    async fn compensate(
        &mut self,
        invocation: Invocation,
        ending: EndStatus,
        mut error: Option<String>,
    ) -> Result<(), Fault> {
        let progress = self.run.progress(false);
        if progress.divergence.is_some() {
            return self.diverged(&progress).await;
        }
        if self.run.has_compensations() {
            if let Some(error) = error.take() {
                let Some(lease) = self.shared.living_lease() else { return Ok(()) };
                let held = (self.claimed.id, self.claimed.claim);
                if !self.shared.store.begin_ending(lease, held, ending, &error).await? {
                    return Ok(());
                }
                self.claimed.ending = Some(ending);
            }
            if self.cancel_children().await? {
                // What they have done came after what is compensated here. Their ends wake the run.
                let mut progress = self.run.progress(false);
                progress.due_at = Some(self.claimed.now + self.began.elapsed() + CHILDREN_POLL);
                self.leave("waiting", &progress, None, false).await;
                return Ok(());
            }
            let (functions, run) = (&self.shared.functions, Arc::clone(&self.run));
            let compensating = functions.compensate(&WORKFLOWS, self.registration, invocation, run);
            let end = tokio::select! {
                biased;
                end = compensating => end?,
                () = lost_or_drained(self.stop.clone()) => {
                    let progress = self.run.progress(false);
                    self.leave("ready", &progress, None, false).await;
                    return Ok(());
                }
            };
            let mut progress = self.run.progress(false);
            match end {
                CompensationEnd::Done => {}
                CompensationEnd::Waits(due_at) => {
                    progress.due_at = Some(due_at);
                    self.leave("waiting", &progress, None, false).await;
                    return Ok(());
                }
                CompensationEnd::Failed { name, fault } => {
                    let (run, handler) = (self.claimed.id, &self.claimed.workflow);
                    let error = error_chain(&fault);
                    tracing::error!(
                        %run,
                        handler,
                        step = name,
                        error,
                        "compensation failed; a person has to retry or skip it"
                    );
                    signals::compensation_failed(&self.claimed.workflow);
                    self.leave("compensation_failed", &progress, None, false).await;
                    return Ok(());
                }
            }
        }
        let progress = self.run.progress(false);
        self.end(ending, None, error, &progress).await?;
        Ok(())
    }

    /// Marks the open steps of the run as abandoned: waits of races that it has not won, the wait in which it
    /// was cancelled. The router would otherwise find them for each event until the history is deleted.
    async fn abandon_open_steps(&self) -> Result<(), Fault> {
        let (run, claim) = (self.claimed.id, self.claimed.claim);
        let rows = self.run.open_steps("").into_iter().map(|row| HeldStep { run, claim, row });
        // A `None`, for a run that is not held, needs no check: `end` is refused then too.
        let written = rows.map(|step| self.shared.recorder.submit(step));
        futures::future::try_join_all(written).await?;
        Ok(())
    }

    /// Ends the run. False when it must not complete, or is not held any more.
    async fn end(
        &self,
        status: EndStatus,
        output: Option<String>,
        error: Option<String>,
        progress: &RunProgress,
    ) -> Result<bool, Fault> {
        if status != EndStatus::Completed {
            let _has_live = self.cancel_children().await?;
        }
        self.abandon_open_steps().await?;
        pause_point(Step::WorkflowLeaving, &self.claimed.workflow).await;
        let row = End {
            run: self.claimed.id,
            claim: self.claimed.claim,
            status,
            output,
            error,
            steps: progress.steps,
            journal_bytes: progress.journal_bytes,
            expected: self.claimed.ending,
        };
        let Some(ended) = self.shared.ender.submit(row).await? else { return Ok(false) };
        signals::ended(&self.claimed.workflow, status.as_str());
        if ended.is_awaited {
            self.shared.events_ready();
        }
        Ok(true)
    }

    /// Asks the children that end with the run to be cancelled, before it is compensated and before it ends:
    /// a crash afterwards leaves a run that asks them again. True while some of them have not ended.
    async fn cancel_children(&self) -> Result<bool, Fault> {
        let Some(lease) = self.shared.living_lease() else { return Ok(false) };
        let children = self.shared.store.cancel_children(lease, self.claimed.id, self.claimed.claim).await?;
        if children.asked {
            self.shared.run_ready();
        }
        Ok(children.is_open)
    }

    async fn leave(
        &self,
        status: &'static str,
        progress: &RunProgress,
        error: Option<String>,
        answers_request: bool,
    ) {
        leave(&self.shared, &self.claimed, status, Some(progress), error, answers_request).await;
    }

    /// What a person has asked of the run.
    fn asked(&self) -> Option<RunRequest> {
        match *self.stop.borrow() {
            Some(StopReason::Requested(request)) => Some(request),
            _ => None,
        }
    }

    /// Stops the run when its time limit passes.
    async fn time_out(&self) -> Infallible {
        if let Some(deadline_at) = self.claimed.deadline_at.filter(|_| self.claimed.ending.is_none()) {
            let left = (deadline_at - self.claimed.now).to_std().unwrap_or_default();
            tokio::time::sleep(left).await;
            let entry = self.shared.active.get(&self.claimed.id);
            if let Some(entry) = entry.filter(|entry| entry.claim == self.claimed.claim) {
                entry.stop_for(StopReason::TimedOut);
            }
        }
        std::future::pending().await
    }

    fn invocation(&self) -> Result<Invocation, Fault> {
        let ClaimedRun { id, workflow, input, identity, trace, .. } = &self.claimed;
        let identity: Option<Identity> =
            identity.as_deref().map(serde_json::from_str).transpose().map_err(Fault::internal)?;
        let trace = trace.as_deref().and_then(TraceContext::parse);
        Ok(Invocation {
            id: RequestId::from_uuid(*id.as_uuid()),
            name: workflow.as_str().into(),
            args: input.clone().into(),
            caller: Caller { identity: identity.map(Arc::new), ..Caller::default() },
            trace: trace.map_or_else(TraceContext::new_root, |trace| trace.child()),
            deadline: None,
            idempotency_key: None,
        })
    }
}

fn cancelled() -> Result<String, Fault> {
    serde_json::to_string(&failure_of(WorkflowStatus::Cancelled)).map_err(Fault::internal)
}

/// Waits until the lease is lost, or the journal is not what the activation believes.
async fn lost(mut stop: watch::Receiver<Option<StopReason>>) {
    let is_lost = |stop: &Option<StopReason>| matches!(stop, Some(StopReason::Lost | StopReason::Outdated));
    // The sender is in the table of active runs, from which only this activation removes it.
    if stop.wait_for(is_lost).await.is_err() {
        std::future::pending().await
    }
}

/// Waits until the lease is lost, the journal is not what the activation believes, or the node stops.
async fn lost_or_drained(mut stop: watch::Receiver<Option<StopReason>>) {
    let is_end = |stop: &Option<StopReason>| {
        matches!(stop, Some(StopReason::Lost | StopReason::Outdated | StopReason::Drain))
    };
    if stop.wait_for(is_end).await.is_err() {
        std::future::pending().await
    }
}
