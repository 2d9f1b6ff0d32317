//! What only the context of a workflow can do, beside steps and waits.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::app::context::{MutationContext, WorkflowContext};
use crate::app::error::Result;
use crate::app::handler::Handler;
use crate::app::job_failure::JobFailure;
use crate::app::kind::{MutationResources, RunsAsStep};
use crate::app::wire_shape::shape_of;
use crate::app::wire_type::WireType;
use crate::app::workflow::attempt::{Attempted, StepRecorder, compensation_call, recorded_before};
use crate::app::workflow::execution::end_of;
use crate::app::workflow::step::written;
use crate::app::workflow_run::branch::{Branch, StepPosition};
use crate::app::workflow_run::compensation::Compensation;
use crate::app::workflow_run::journal::{StepIdentity, StepKind, StepStatus};
use crate::app::workflow_run::limits::{PUBLISHED_BYTES_MAX, attributes_too_large};
use crate::app::workflow_run::run::{ActiveRun, Found};
use crate::app::workflow_run::store::{StepConnection, StepRow};
use crate::db::error::lost_race;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;
use crate::kernel::limits::CALL_TRIES_MAX;
use crate::kernel::time::{millis, minutes, secs};
use crate::test_signals::{Step as Signal, pause_point};

/// Time limit of a transaction of a step.
const TRANSACTION_LIMIT: Duration = minutes(1);
/// Between two tries of a transaction.
const AGAIN_BACKOFF: Backoff = Backoff::exponential(millis(20), secs(10));
/// Tries of a transaction that fails by an outage: of the database, or of a node that is full.
const OUTAGE_TRIES_MAX: u32 = 60;

impl WorkflowContext {
    /// The run.
    pub fn run_id(&self) -> RunId {
        self.run().id
    }

    /// The version of the workflow that the run has.
    pub fn workflow_version(&self) -> u32 {
        self.run().version
    }

    /// A UUID that is the same each time the run comes to this place. It follows from the run's id, so it is
    /// no secret.
    ///
    /// # Errors
    /// `INTERNAL` in a task that the workflow has spawned.
    pub fn uuid(&self) -> Result<Uuid> {
        let digest = self.digest()?;
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// A number from 0 to 1 that is the same each time the run comes to this place. It follows from the run's
    /// id, so it is no secret.
    ///
    /// # Errors
    /// `INTERNAL` in a task that the workflow has spawned.
    pub fn random(&self) -> Result<f64> {
        let digest = self.digest()?;
        let bits = u64::from_be_bytes(digest[16..24].try_into().map_err(Fault::internal)?);
        // The 53 bits that a double holds.
        Ok((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }

    fn digest(&self) -> Result<[u8; 32]> {
        let StepPosition { position, .. } = self.place()?;
        let mut hash = Sha256::new();
        hash.update(self.run().id.as_uuid().as_bytes());
        hash.update(position.as_bytes());
        Ok(hash.finalize().into())
    }

    /// Shows a value to those who look at the run: `forge.workflow`, the dashboard, clients that follow it.
    /// The newest value is kept; 64 KiB as JSON.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` for a larger one.
    pub async fn publish<T: WireType + Sync>(&self, state: &T) -> Result<()> {
        let json = state.to_json_within(PUBLISHED_BYTES_MAX)?;
        let run = self.run();
        if run.is_replaying() {
            return Ok(());
        }
        let _executing = run.executing();
        let text = String::from_utf8(json).map_err(Fault::internal)?;
        run.store.publish(Some(text), None).await
    }

    /// Sets an attribute, by which operators find the run.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when all attributes have more than 64 KiB as JSON.
    pub async fn set_attribute(&self, name: &str, value: impl Into<Value> + Send) -> Result<()> {
        let run = self.run();
        let Some(text) = run.set_attribute(name, value.into(), PUBLISHED_BYTES_MAX) else {
            return Err(attributes_too_large());
        };
        if run.is_replaying() {
            return Ok(());
        }
        let _executing = run.executing();
        run.store.publish(None, Some(text)).await
    }

    /// Ends the run, and goes on as a new one of the same workflow and id with these arguments and an empty
    /// journal: `return ctx.continue_as_new(Poll { cursor });`. What was registered for compensation is
    /// forgotten.
    ///
    /// # Errors
    /// Always: the error is how the request leaves the function.
    pub fn continue_as_new<T, H: Handler, F: From<Fault>>(&self, message: H) -> std::result::Result<T, F> {
        if H::META.wire_name() != self.run().workflow {
            let text = format!("a run of `{}` goes on as a run of the same workflow", self.run().workflow);
            return Err(Fault::internal(text).without_retry().into());
        }
        let continued = message.to_json().map_err(Fault::from).map(Fault::continued);
        Err(continued.unwrap_or_else(|fault| fault).into())
    }

    /// From here on, calls this message when the run fails or is cancelled, after the compensations of what
    /// completes later. [`compensate`](crate::app::workflow::StepBuilder::compensate) says the same beside a
    /// step.
    ///
    /// # Errors
    /// When the message has no form in JSON.
    pub fn on_failure<H>(&self, name: &str, message: H) -> Result<()>
    where
        H: Handler,
        H::Kind: RunsAsStep,
    {
        let StepPosition { position, .. } = self.place()?;
        let order = self.run().compensation_order();
        let call = compensation_call(&message)?;
        self.run().add_compensation(Compensation::of(&position, name, order, call));
        Ok(())
    }

    /// Runs `effect` in a transaction that also records the step: both are committed or neither, and only
    /// once, however often the run is resumed. Its context writes, calls and dispatches as a mutation's does.
    /// A transaction that lost a race, or met an outage, is run again.
    ///
    /// # Errors
    /// The failure of `effect`, which is recorded; its transaction is rolled back.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// #[forge::workflow]
    /// pub async fn reserve(ctx: &WorkflowContext, seat: i32) -> Result<()> {
    ///     ctx.tx_step("reserve", async |tx| {
    ///         sqlx::query("UPDATE seats SET taken = true WHERE id = $1").bind(seat).execute(tx.db()).await?;
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// # fn main() {}
    /// ```
    pub fn tx_step<T: WireType + Sync>(
        &self,
        name: &str,
        effect: impl AsyncFnOnce(&MutationContext) -> Result<T>,
    ) -> impl Future<Output = Result<T>> {
        let place = self.place();
        async move {
            let place = place?;
            let run = self.run();
            let wanted = StepIdentity { kind: StepKind::Transaction, name, shape: shape_of::<T>() };
            let read = |json: &str| {
                T::from_json(json.as_bytes()).map_err(|error| {
                    let text = format!("the recorded result of the step `{name}` cannot be read: {error}");
                    Fault::new(Code::Conflict, text)
                })
            };
            let tries = match run.find(&place, wanted) {
                Found::Ended(entry) => {
                    Branch::current()?.ended(entry.finished_at);
                    return read(end_of(entry)?.output.as_deref().unwrap_or("null"));
                }
                Found::Never => return run.never().await,
                Found::Open(entry) => entry.attempts + 1,
                Found::New => {
                    run.check_bounds()?;
                    1
                }
            };
            let executing = run.executing();
            let Some(permit) = run.permit(StepConnection::Write).await else {
                drop(executing);
                return run.never().await;
            };
            let began = Instant::now();
            pause_point(Signal::WorkflowStepStarting, name).await;
            let mut row = StepRow::new(&place.position, StepKind::Transaction, name, wanted.shape);
            row.attempts = tries;
            let recorder = Arc::new(StepRecorder::new(run, &row));
            let attempting = run.attempts.begin(&row);
            let attempted = self.transaction(name, run, &recorder, &place, effect).await;
            drop((permit, attempting));
            run.store.attempted(attempted.is_err());
            let fault = match attempted {
                Ok(Attempted::Recorded { output, recorded, .. }) => {
                    Branch::current()?.ended(recorded.finished_at);
                    return read(&output);
                }
                Ok(Attempted::Returned(_)) => Fault::internal("a transaction did not record its step"),
                Err(fault) => fault,
            };
            row.error = Some(JobFailure::json_of(&fault)?);
            row.elapsed = began.elapsed();
            let is_outage = fault.code().is_outage() && tries < OUTAGE_TRIES_MAX;
            if is_outage || tries < CALL_TRIES_MAX && lost_race(&fault) {
                row.status = StepStatus::Retrying;
                row.due_in = Some(AGAIN_BACKOFF.jittered(tries));
                let due_at = run.record(row).await?.due_at;
                // This activation has consumed `effect`; the next one of the run calls it again.
                let _waiting = run.waiting(&place.position, due_at);
                drop(executing);
                return std::future::pending().await;
            }
            row.status = StepStatus::Failed;
            row.number = Some(run.next_number());
            let recorded = run.record(row).await?;
            Branch::current()?.ended(recorded.finished_at);
            Err(fault)
        }
    }

    /// One try of a transaction.
    async fn transaction<T: WireType>(
        &self,
        name: &str,
        run: &Arc<ActiveRun>,
        recorder: &Arc<StepRecorder>,
        place: &StepPosition,
        effect: impl AsyncFnOnce(&MutationContext) -> Result<T>,
    ) -> Result<Attempted> {
        let scope = self.scope.deeper()?;
        let tx = run.store.begin(name, TRANSACTION_LIMIT).await?;
        let ctx = MutationContext::new(scope, MutationResources { db: tx.db() });
        let effected = async {
            let json = written(&effect(&ctx).await?)?;
            recorder.write(&tx.db(), &json).await?;
            Ok(json)
        };
        let json = match effected.await {
            Ok(json) => json,
            Err(fault) => {
                tx.rollback().await;
                return recorded_before(run, &place.position, fault).await;
            }
        };
        pause_point(Signal::WorkflowStepRan, name).await;
        match tx.commit().await {
            Ok(receipt) => {
                run.store.committed(receipt, self.scope.shared.after_commit.take_queues());
                recorder.attempted(String::from_utf8(json.into()).map_err(Fault::internal)?)
            }
            Err(fault) => recorded_before(run, &place.position, fault).await,
        }
    }
}
