//! Runs and jobs that a workflow starts and waits for.

use std::sync::Arc;

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::app::context::WorkflowContext;
use crate::app::enqueue::DispatchableFrom;
use crate::app::error::{CallError, Result};
use crate::app::handler::Handler;
use crate::app::job_end::JobEnd;
use crate::app::job_failure::JobFailure;
use crate::app::job_outcome::{JobOutcome, outcome_of};
use crate::app::job_plan::planned_job;
use crate::app::kind::{Job, Workflow};
use crate::app::new_job::{DispatchOutcome, NewJob};
use crate::app::wire_shape::shape_of_call;
use crate::app::workflow::start::StartableFrom;
use crate::app::workflow_run::branch::{Branch, StepPosition};
use crate::app::workflow_run::journal::{
    JournalEntry, StepIdentity, StepKind, StepStatus, UNCHECKED_SHAPE, outcome_in,
};
use crate::app::workflow_run::limits::WAIT_MAX;
use crate::app::workflow_run::new_run::{NewRun, NewRunParent, StartOutcome};
use crate::app::workflow_run::run::{ActiveRun, Found, entry_of};
use crate::app::workflow_run::store::{FoundRun, StepRow, WaitedEnd};
use crate::kernel::fault::Fault;
use crate::kernel::ids::{JobId, RunId};

impl StartableFrom<Self> for Workflow {
    fn place(ctx: &WorkflowContext) -> Result<Option<StepPosition>> {
        ctx.place().map(Some)
    }

    fn start(
        ctx: &WorkflowContext,
        place: Option<StepPosition>,
        run: NewRun,
    ) -> BoxFuture<'_, Result<StartOutcome>> {
        Box::pin(start_child(ctx, place, run))
    }
}

/// Starts a child, once.
async fn start_child(
    ctx: &WorkflowContext,
    place: Option<StepPosition>,
    child: NewRun,
) -> Result<StartOutcome> {
    let run = ctx.run();
    let place = match place {
        Some(place) => place,
        None => ctx.place()?,
    };
    let name = child.workflow.clone();
    let wanted = StepIdentity { kind: StepKind::Child, name: &name, shape: UNCHECKED_SHAPE };
    match run.find(&place, wanted) {
        Found::Ended(entry) => {
            Branch::current()?.ended(entry.finished_at);
            outcome_in(&entry)
        }
        Found::Never => run.never().await,
        Found::Open(_) | Found::New => {
            run.check_bounds()?;
            let _executing = run.executing();
            let parent = NewRunParent { id: run.id, position: place.position.clone() };
            let mut row = StepRow::new(&place.position, StepKind::Child, &name, UNCHECKED_SHAPE);
            row.number = Some(run.next_number());
            row.input = Some(child.input.expose().clone());
            let mut entry = entry_of(&row);
            let child = NewRun { parent: Some(parent), ..child };
            let (recorded, outcome) = run.store.start_child(row, child).await?;
            entry.awaits = Some(*outcome.run().as_uuid());
            run.note(entry, 0, recorded);
            Branch::current()?.ended(recorded.finished_at);
            Ok(outcome)
        }
    }
}

/// In a workflow each dispatch is a step.
impl DispatchableFrom<Workflow> for Job {
    fn enqueue(ctx: &WorkflowContext, job: NewJob) -> BoxFuture<'_, Result<DispatchOutcome>> {
        Box::pin(dispatch(ctx, job))
    }

    fn enqueue_all(ctx: &WorkflowContext, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Vec<JobId>>> {
        Box::pin(async move {
            let mut ids = Vec::with_capacity(jobs.len());
            for job in jobs {
                ids.push(dispatch(ctx, job).await?.job());
            }
            Ok(ids)
        })
    }
}

/// Dispatches a job, once, and does not wait for it.
async fn dispatch(ctx: &WorkflowContext, job: NewJob) -> Result<DispatchOutcome> {
    let run = ctx.run();
    let place = ctx.place()?;
    let name = job.name.clone();
    let wanted = StepIdentity { kind: StepKind::Job, name: &name, shape: UNCHECKED_SHAPE };
    match run.find(&place, wanted) {
        Found::Ended(entry) => {
            Branch::current()?.ended(entry.finished_at);
            outcome_in(&entry)
        }
        Found::Never => run.never().await,
        Found::Open(_) | Found::New => {
            run.check_bounds()?;
            let _executing = run.executing();
            let mut row = StepRow::new(&place.position, StepKind::Job, &name, UNCHECKED_SHAPE);
            row.number = Some(run.next_number());
            let mut entry = entry_of(&row);
            let (recorded, outcome) = run.store.dispatch(row, job).await?;
            entry.awaits = Some(*outcome.job().as_uuid());
            run.note(entry, 0, recorded);
            Branch::current()?.ended(recorded.finished_at);
            Ok(outcome)
        }
    }
}

/// What a step that waits for an end waits for.
struct AwaitedEnd<'a> {
    place: &'a StepPosition,
    kind: StepKind,
    name: &'a str,
    shape: u64,
}

impl WorkflowContext {
    /// Starts a child and waits for its end. While the run only waits, it leaves memory.
    ///
    /// # Errors
    /// [`CallError::App`] is the own error of the child, [`CallError::Fault`] any other reason for which it
    /// has ended without success.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::workflow] pub async fn ship(_ctx: &WorkflowContext, order: Uuid) -> Result<u32> { Ok(1) }
    /// #[forge::workflow]
    /// pub async fn fulfil(ctx: &WorkflowContext, order: Uuid) -> Result<u32> {
    ///     Ok(ctx.run_child(Ship { order }).await?)
    /// }
    /// # fn main() {}
    /// ```
    pub fn run_child<H>(&self, message: H) -> BoxFuture<'_, JobOutcome<H>>
    where
        H: Handler,
        H::Kind: StartableFrom<Workflow>,
    {
        let start = self.start(message);
        let place = self.place();
        Box::pin(async move {
            let child = start.await.map_err(CallError::Fault)?;
            self.end_of_child::<H>(place, child).await
        })
    }

    /// Waits for the end of a run that this one has started with `ctx.start(..)`, or of any other one. While
    /// the run only waits, it leaves memory.
    ///
    /// # Errors
    /// As [`run_child`](Self::run_child). `NOT_FOUND` when there is no such run, or its history is deleted.
    pub fn result_of<H: Handler>(&self, run: RunId) -> BoxFuture<'_, JobOutcome<H>> {
        let place = self.place();
        Box::pin(self.end_of_child::<H>(place, run))
    }

    async fn end_of_child<H: Handler>(&self, place: Result<StepPosition>, child: RunId) -> JobOutcome<H> {
        let ended = async {
            let place = place?;
            let name = H::META.wire_name();
            let awaited =
                AwaitedEnd { place: &place, kind: StepKind::Child, name: &name, shape: shape_of_call::<H>() };
            awaited.wait(self.run(), Begin::Waiting(*child.as_uuid())).await
        };
        match ended.await {
            Ok(end) => outcome_of::<H>(end),
            Err(fault) => Err(CallError::Fault(fault)),
        }
    }

    /// Dispatches a job and waits for its end.
    pub(in crate::app) fn job_outcome<H: Handler>(&self, message: H) -> BoxFuture<'_, JobOutcome<H>> {
        let place = self.place();
        Box::pin(async move {
            let ended = self.job_end(place, message).await;
            outcome_of::<H>(ended.map_err(CallError::Fault)?)
        })
    }

    async fn job_end<H: Handler>(&self, place: Result<StepPosition>, message: H) -> Result<JobEnd> {
        let place = place?;
        let name = H::META.wire_name();
        let awaited =
            AwaitedEnd { place: &place, kind: StepKind::Job, name: &name, shape: shape_of_call::<H>() };
        let job = planned_job(&message, self.identity())?;
        awaited.wait(self.run(), Begin::Dispatch(Box::new(job))).await
    }
}

/// How a wait for an end begins.
enum Begin {
    /// What is waited for exists.
    Waiting(Uuid),
    /// It is dispatched.
    Dispatch(Box<NewJob>),
}

impl AwaitedEnd<'_> {
    fn waiting(&self, awaits: Uuid) -> StepRow {
        let mut row = StepRow::new(&self.place.position, self.kind, self.name, self.shape);
        row.status = StepStatus::Waiting;
        row.awaits = Some(awaits);
        row
    }

    fn awaits(&self, run: &ActiveRun) -> Option<Uuid> {
        run.with_entry(&self.place.position).and_then(|entry| entry.awaits)
    }

    async fn begin(&self, run: &ActiveRun, begin: Begin) -> Result<()> {
        match begin {
            Begin::Waiting(awaits) => drop(run.record(self.waiting(awaits)).await?),
            Begin::Dispatch(job) => {
                let row = self.waiting(*job.id.as_uuid());
                let entry = entry_of(&row);
                let recorded = run.store.dispatch_awaited(row, *job).await?;
                run.note(entry, 0, recorded);
            }
        }
        Ok(())
    }

    async fn find_end(&self, run: &ActiveRun) -> Result<Option<WaitedEnd>> {
        loop {
            let Some(awaits) = self.awaits(run) else { return Ok(None) };
            if self.kind == StepKind::Job {
                return run.store.find_job_end(awaits).await;
            }
            match run.store.find_run_end(RunId::from_uuid(awaits)).await? {
                FoundRun::Ended(end) => return Ok(Some(end)),
                FoundRun::Open(newest) if *newest.as_uuid() == awaits => return Ok(None),
                // It goes on as that run, which may end before the row says that it is waited for.
                FoundRun::Open(newest) => drop(run.record(self.waiting(*newest.as_uuid())).await?),
            }
        }
    }

    /// Begins what is waited for, unless the journal says that it has begun, and waits for its end.
    async fn wait(&self, run: &Arc<ActiveRun>, begin: Begin) -> Result<JobEnd> {
        let wanted = StepIdentity { kind: self.kind, name: self.name, shape: self.shape };
        match run.find(self.place, wanted) {
            Found::Ended(entry) => {
                Branch::current()?.ended(entry.finished_at);
                return Ok(recorded_end(entry));
            }
            Found::Never => return run.never().await,
            Found::Open(_) => {}
            Found::New => {
                run.check_bounds()?;
                let _executing = run.executing();
                self.begin(run, begin).await?;
            }
        }
        let mut arrivals = run.arrivals();
        loop {
            arrivals.borrow_and_update();
            {
                let _executing = run.executing();
                if let Some(end) = self.find_end(run).await? {
                    return self.record(run, end).await;
                }
            }
            let _waiting = run.waiting(&self.place.position, None);
            tokio::select! {
                // The sender lives as long as the run.
                _ = arrivals.changed() => {}
                () = tokio::time::sleep(WAIT_MAX) => {}
            }
        }
    }

    async fn record(&self, run: &Arc<ActiveRun>, end: WaitedEnd) -> Result<JobEnd> {
        let mut row = StepRow::new(&self.place.position, self.kind, self.name, self.shape);
        row.awaits = self.awaits(run);
        row.number = Some(run.next_number());
        let mut reserved = None;
        let end = match end {
            WaitedEnd::Completed(output) => {
                reserved = Some(run.reserve(output.len())?);
                row.output = Some(output.clone());
                JobEnd::Completed(Some(output.into()))
            }
            WaitedEnd::Failed(failure) => {
                row.status = StepStatus::Failed;
                row.error = Some(failure.clone());
                JobEnd::Failed(serde_json::from_str(&failure).map_err(Fault::internal)?)
            }
        };
        let recorded = run.record(row).await?;
        drop(reserved);
        Branch::current()?.ended(recorded.finished_at);
        Ok(end)
    }
}

fn recorded_end(entry: JournalEntry) -> JobEnd {
    match (entry.status, entry.error) {
        (StepStatus::Failed, Some(failure)) => JobEnd::Failed(failure),
        (StepStatus::Failed, None) => JobEnd::Failed(JobFailure {
            code: "INTERNAL".to_owned(),
            message: "the step has failed without a reason".to_owned(),
            details: None,
            is_own: false,
        }),
        _ => JobEnd::Completed(entry.output.map(Into::into)),
    }
}
