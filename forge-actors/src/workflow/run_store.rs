//! A run that this node holds, as its steps write it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::insert::{StartedRun, insert_run};
use super::rows::{ClaimedRun, HeldStep};
use super::shared::{StopReason, WorkflowShared};
use super::signals;
use super::store;
use crate::app::Result;
use crate::app::follower::follower;
use crate::app::job::DependencyKind;
use crate::app::job_end::JobEnd;
use crate::app::job_failure::JobFailure;
use crate::app::new_job::{DispatchOutcome, NewDependency, NewJob};
use crate::app::workflow_run::journal::{JournalEntry, outcome_in};
use crate::app::workflow_run::new_run::{NewRun, StartOutcome};
use crate::app::workflow_run::store::{
    FoundRun, Recorded, RunStore, StepConnection, StepPermit, StepRow, TakenEvent, WaitedEnd,
};
use crate::db::handle::Db;
use crate::db::transaction::{Transaction, TransactionOptions};
use crate::job::{ends_of, status_of};
use crate::kernel::commit::Receipt;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::{JobId, RunId};
use crate::kernel::invocation::Identity;
use crate::kernel::time::{millis, secs};
use crate::test_signals::{Step, pause_point};

/// Time limit of the transactions of starts and dispatches.
const START_LIMIT: Duration = secs(10);
/// Between two tries of such a transaction.
const RETRY_PAUSE: Duration = millis(200);
/// SQLSTATE of a row that breaks a unique index.
const UNIQUE_VIOLATION: &str = "23505";

/// A run that this node holds.
pub(super) struct HeldRun {
    shared: Arc<WorkflowShared>,
    run: RunId,
    claim: i32,
    workflow: String,
    identity: Option<String>,
    trace: String,
    /// What its steps may execute at the same time.
    attempts: Arc<Semaphore>,
}

impl HeldRun {
    pub(super) fn new(shared: Arc<WorkflowShared>, claimed: &ClaimedRun) -> Self {
        Self {
            run: claimed.id,
            claim: claimed.claim,
            workflow: claimed.workflow.clone(),
            identity: claimed.identity.clone(),
            trace: claimed.trace.clone().unwrap_or_default(),
            attempts: shared.admission.of_run(),
            shared,
        }
    }

    fn step(&self, row: StepRow) -> HeldStep {
        HeldStep { run: self.run, claim: self.claim, row }
    }

    /// Stops the run, because this node does not hold it any more. Never returns: the function is dropped.
    async fn stop_as_lost<T>(&self) -> T {
        if let Some(entry) = self.shared.active.get(&self.run).filter(|entry| entry.claim == self.claim) {
            entry.stop_for(StopReason::Lost);
        }
        std::future::pending().await
    }

    async fn record_one(&self, row: StepRow) -> Result<Recorded> {
        let mut recorded = self.write_one(row).await?;
        recorded.finished_at = self.shared.on_run_clock(recorded.finished_at);
        Ok(recorded)
    }

    /// Writes a row; the times of the answer are those of the database's clock.
    async fn write_one(&self, row: StepRow) -> Result<Recorded> {
        let (position, output, status) = (row.position.clone(), row.output.clone(), row.status);
        match self.shared.recorder.submit(self.step(row)).await {
            Ok(Some(recorded)) => return Ok(recorded),
            Ok(None) => {}
            // Another wait has consumed the event: the journal is not what this activation believes.
            Err(fault) if fault.sqlstate().as_deref() == Some(UNIQUE_VIOLATION) => {
                return self.stop_as_outdated().await;
            }
            Err(fault) => return Err(fault),
        }
        let Some(lease) = self.shared.living_lease() else { return self.stop_as_lost().await };
        match self.shared.store.find_held_step(lease, (self.run, self.claim), &position).await? {
            // The answer to an earlier write of this row got lost.
            Some(entry) if entry.output == output && entry.status == status => {
                Ok(Recorded { finished_at: entry.finished_at, due_at: entry.due_at })
            }
            // An earlier activation has recorded another result, which counts.
            Some(_) => self.stop_as_outdated().await,
            None => self.stop_as_lost().await,
        }
    }

    /// Stops this activation, because the journal has a row that it does not know; the run is claimed again
    /// and reads its journal anew. Never returns: the function is dropped.
    async fn stop_as_outdated<T>(&self) -> T {
        if let Some(entry) = self.shared.active.get(&self.run).filter(|entry| entry.claim == self.claim) {
            entry.stop_for(StopReason::Outdated);
        }
        std::future::pending().await
    }

    async fn record_on(&self, db: &Db, row: &StepRow) -> Result<Recorded> {
        let Some(lease) = self.shared.living_lease() else { return Err(not_held()) };
        let step = self.step(row.clone());
        let written = store::record(db, lease, &[&step], true).await?;
        let mut recorded = written.into_iter().next().flatten().ok_or_else(not_held)?;
        recorded.finished_at = self.shared.on_run_clock(recorded.finished_at);
        Ok(recorded)
    }

    async fn start(&self, row: StepRow, child: NewRun) -> Result<(Recorded, StartOutcome)> {
        let label = child.workflow.clone();
        let _permit = self.permit(StepConnection::Write).await;
        let tx = self.shared.database.begin(TransactionOptions::new(&label, START_LIMIT)).await?;
        let started = StartedRun { run: child, identity: self.identity.clone(), trace: self.trace.clone() };
        let written = async {
            let outcome = insert_run(&tx.db(), &started).await?;
            let output = serde_json::to_string(&outcome).map_err(Fault::internal)?;
            let row = StepRow { output: Some(output), awaits: Some(*outcome.run().as_uuid()), ..row };
            Ok((self.record_on(&tx.db(), &row).await?, outcome))
        };
        let written = match written.await {
            Ok(written) => written,
            Err(fault) => {
                tx.rollback().await;
                return Err(fault);
            }
        };
        pause_point(Step::WorkflowStarting, &label).await;
        let receipt = tx.commit().await?;
        self.shared.announce(receipt, BTreeSet::new());
        self.shared.run_ready();
        Ok(written)
    }

    async fn dispatch_job(
        &self,
        row: StepRow,
        job: NewJob,
        is_awaited: bool,
    ) -> Result<(Recorded, DispatchOutcome)> {
        let _permit = self.permit(StepConnection::Write).await;
        let tx = self.shared.database.begin(TransactionOptions::new(&job.name, START_LIMIT)).await?;
        let mut queues = BTreeSet::from([Arc::from(job.queue.as_str())]);
        let written = async {
            let db = tx.db();
            let job = if is_awaited { job.awaited() } else { job };
            let jobs = &self.shared.jobs;
            let outcome = jobs.insert(&db, &job, self.identity.clone(), self.trace.clone()).await?;
            if job.followed {
                let identity: Option<Identity> = self
                    .identity
                    .as_deref()
                    .map(serde_json::from_str)
                    .transpose()
                    .map_err(Fault::internal)?;
                jobs.follow(&db, outcome.job(), follower(identity.as_ref())).await?;
            }
            let mut row = StepRow { awaits: Some(*outcome.job().as_uuid()), ..row };
            if is_awaited {
                let notifier = super::job_end::end_notifier(self.run, job.id)?;
                queues.insert(Arc::from(notifier.queue.as_str()));
                jobs.insert(&db, &notifier, None, self.trace.clone()).await?;
                let awaited = std::slice::from_ref(&job);
                let dependencies = NewDependency::of(notifier.id, DependencyKind::Member, 0, awaited);
                jobs.depend(&db, &dependencies).await?;
            } else {
                row.output = Some(serde_json::to_string(&outcome).map_err(Fault::internal)?);
            }
            Ok((self.record_on(&db, &row).await?, outcome))
        };
        let written = match written.await {
            Ok(written) => written,
            Err(fault) => {
                tx.rollback().await;
                return Err(fault);
            }
        };
        let receipt = tx.commit().await?;
        self.shared.announce(receipt, queues);
        Ok(written)
    }

    /// Dispatches a job until that has succeeded, or the journal says that an earlier try has.
    async fn dispatch_once(
        &self,
        row: StepRow,
        job: NewJob,
        is_awaited: bool,
    ) -> Result<(Recorded, DispatchOutcome)> {
        loop {
            let fault = match self.dispatch_job(row.clone(), job.clone(), is_awaited).await {
                Ok(dispatched) => return Ok(dispatched),
                Err(fault) => fault,
            };
            if let Some(entry) = self.reread(&row.position).await? {
                let recorded = Recorded { finished_at: entry.finished_at, due_at: entry.due_at };
                // The row of a job that is awaited has no output yet.
                let outcome = match is_awaited {
                    true => DispatchOutcome::New(job.id),
                    false => outcome_in(&entry)?,
                };
                return Ok((recorded, outcome));
            }
            self.pause_before_retry(&row.position, fault).await?;
        }
    }

    /// Waits until a transaction that has failed may be tried again.
    ///
    /// # Errors
    /// `fault`, when another try would fail as well.
    async fn pause_before_retry(&self, position: &str, fault: Fault) -> Result<()> {
        if !fault.code().is_outage() && fault.code() != Code::Conflict {
            return Err(fault);
        }
        let Some(lease) = self.shared.living_lease() else { return self.stop_as_lost().await };
        let held = (self.run, self.claim);
        if fault.code() == Code::Conflict
            && self.shared.store.find_held_step(lease, held, position).await?.is_none()
        {
            return Err(fault);
        }
        tokio::time::sleep(RETRY_PAUSE).await;
        Ok(())
    }
}

fn not_held() -> Fault {
    Fault::new(Code::Conflict, "this node does not hold the run any more, or the step has ended already")
}

impl RunStore for HeldRun {
    fn record(&self, row: StepRow) -> BoxFuture<'_, Result<Recorded>> {
        Box::pin(self.record_one(row))
    }

    fn record_in<'a>(&'a self, db: &'a Db, row: &'a StepRow) -> BoxFuture<'a, Result<Recorded>> {
        Box::pin(self.record_on(db, row))
    }

    fn start_child(&self, row: StepRow, child: NewRun) -> BoxFuture<'_, Result<(Recorded, StartOutcome)>> {
        Box::pin(async move {
            loop {
                let fault = match self.start(row.clone(), child.clone()).await {
                    Ok(started) => return Ok(started),
                    Err(fault) => fault,
                };
                if let Some(entry) = self.reread(&row.position).await?.filter(JournalEntry::is_finished) {
                    let recorded = Recorded { finished_at: entry.finished_at, due_at: None };
                    return Ok((recorded, outcome_in(&entry)?));
                }
                self.pause_before_retry(&row.position, fault).await?;
            }
        })
    }

    fn dispatch(&self, row: StepRow, job: NewJob) -> BoxFuture<'_, Result<(Recorded, DispatchOutcome)>> {
        Box::pin(self.dispatch_once(row, job, false))
    }

    fn dispatch_awaited(&self, row: StepRow, job: NewJob) -> BoxFuture<'_, Result<Recorded>> {
        Box::pin(async move { Ok(self.dispatch_once(row, job, true).await?.0) })
    }

    fn reread<'a>(&'a self, position: &'a str) -> BoxFuture<'a, Result<Option<JournalEntry>>> {
        Box::pin(async move {
            // What another owner has recorded would let the function go on, and execute what comes next.
            if self.shared.living_lease().is_none() {
                return self.stop_as_lost().await;
            }
            let found = self.shared.store.find_step(self.run, position).await?;
            Ok(found.map(|mut entry| {
                entry.finished_at = self.shared.on_run_clock(entry.finished_at);
                entry
            }))
        })
    }

    fn find_event<'a>(
        &'a self,
        event: &'a str,
        key: &'a str,
        except: &'a [i64],
    ) -> BoxFuture<'a, Result<Option<TakenEvent>>> {
        Box::pin(self.shared.store.find_event(self.run, event, key, except))
    }

    fn find_run_end(&self, run: RunId) -> BoxFuture<'_, Result<FoundRun>> {
        Box::pin(self.shared.store.find_run_end(run))
    }

    fn find_job_end(&self, job: Uuid) -> BoxFuture<'_, Result<Option<WaitedEnd>>> {
        Box::pin(async move {
            let job = JobId::from_uuid(job);
            let db = self.shared.database.jobs();
            let end = ends_of(&db, &[job]).await?.remove(&job);
            if end.is_none() && status_of(&db, job).await?.is_none() {
                // Deleted by hand, or with its history while the run was paused.
                let text = format!("there is no job {job}, or its history is deleted");
                let failure = JobFailure::json_of(&Fault::new(Code::NotFound, text))?;
                return Ok(Some(WaitedEnd::Failed(failure)));
            }
            Ok(match end {
                None => None,
                Some(JobEnd::Completed(output)) => {
                    let json = output.map(|json| String::from_utf8_lossy(&json).into_owned());
                    Some(WaitedEnd::Completed(json.unwrap_or_else(|| "null".to_owned())))
                }
                Some(JobEnd::Failed(failure)) => {
                    Some(WaitedEnd::Failed(serde_json::to_string(&failure).map_err(Fault::internal)?))
                }
            })
        })
    }

    fn publish(&self, published: Option<String>, attributes: Option<String>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let Some(lease) = self.shared.living_lease() else { return self.stop_as_lost().await };
            let held = (self.run, self.claim);
            let (published, attributes) = (published.as_deref(), attributes.as_deref());
            match self.shared.store.publish(lease, held, published, attributes).await? {
                true => Ok(()),
                false => self.stop_as_lost().await,
            }
        })
    }

    fn permit(&self, connection: StepConnection) -> BoxFuture<'_, StepPermit> {
        Box::pin(self.shared.admission.attempt(&self.workflow, &self.attempts, connection))
    }

    fn begin<'a>(&'a self, label: &'a str, limit: Duration) -> BoxFuture<'a, Result<Transaction>> {
        Box::pin(self.shared.database.begin(TransactionOptions::new(label, limit)))
    }

    fn attempted(&self, has_failed: bool) {
        signals::attempted(&self.workflow, has_failed);
    }

    fn time_passed(&self) -> Duration {
        self.shared.time_passed()
    }

    fn committed(&self, receipt: Receipt, queues: BTreeSet<Arc<str>>) {
        self.shared.announce(receipt, queues);
    }
}
