//! One attempt at a step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::context::{CallScope, RecordInTransaction};
use crate::app::error::Result;
use crate::app::handler::Handler;
use crate::app::kind::KindName;
use crate::app::wire_shape::shape_of_call;
use crate::app::workflow_run::compensation::{CompensationCall, StepCall};
use crate::app::workflow_run::journal::JournalEntry;
use crate::app::workflow_run::limits::STEP_RESULT_BYTES_MAX;
use crate::app::workflow_run::run::{ActiveRun, ReservedBytes, entry_of};
use crate::app::workflow_run::store::{Recorded, StepConnection, StepRow};
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::kernel::merge_slot::MergeSlot;
use crate::supervise::catch_unwind;

/// What an attempt has brought.
pub(super) enum Attempted {
    /// A result that is not recorded.
    Returned(String),
    /// A result that its transaction has recorded.
    Recorded { output: String, number: u32, recorded: Recorded },
}

/// Calls a handler as an attempt at a step, and records the step in its transaction if it has one.
pub(super) async fn attempt_call(
    call: &StepCall,
    run: &Arc<ActiveRun>,
    scope: &CallScope,
    row: &StepRow,
    limit: Duration,
) -> Result<Attempted> {
    let shared = &scope.shared;
    let invocation = Invocation {
        id: shared.invocation.id,
        name: Arc::clone(&call.name),
        args: call.args.clone(),
        caller: shared.invocation.caller.clone(),
        trace: shared.invocation.trace.child(),
        deadline: Some(shared.deadline.min(Instant::now() + limit)),
        idempotency_key: None,
    };
    let invoke = &shared.services.invoke;
    if call.connection != StepConnection::Write {
        let output = invoke.invoke_step(invocation, scope.depth, None).await?;
        return Ok(Attempted::Returned(text_of(&output)?));
    }
    let recorder = Arc::new(StepRecorder::new(run, row));
    let recording = Arc::clone(&recorder) as Arc<dyn RecordInTransaction>;
    match invoke.invoke_step(invocation, scope.depth, Some(recording)).await {
        Ok(output) => recorder.attempted(text_of(&output)?),
        Err(fault) => recorded_before(run, &row.position, fault).await,
    }
}

/// A message as a step calls it.
pub(super) fn step_call<H: Handler>(message: &H) -> Result<StepCall> {
    let connection = match H::META.kind() {
        KindName::Mutation => StepConnection::Write,
        KindName::Query => StepConnection::Read,
        KindName::Action | KindName::Job | KindName::Cron | KindName::Workflow => StepConnection::None,
    };
    let args = Bytes::from(message.to_json()?);
    Ok(StepCall { name: Arc::from(H::META.wire_name()), args, connection })
}

/// A message that takes back what a step has done.
pub(super) fn compensation_call<H: Handler>(message: &H) -> Result<CompensationCall> {
    Ok(CompensationCall { call: step_call(message)?, shape: shape_of_call::<H>(), timeout: H::META.timeout })
}

/// The outcome of a transaction that has failed: its step may have been recorded all the same, by it or by an
/// earlier attempt whose answer got lost.
pub(super) async fn recorded_before(run: &ActiveRun, position: &str, fault: Fault) -> Result<Attempted> {
    if !matches!(fault.code(), Code::OutcomeUnknown | Code::Conflict) {
        return Err(fault);
    }
    match run.store.reread(position).await? {
        Some(entry) if entry.is_finished() && entry.error.is_none() => {
            let recorded = Recorded { finished_at: entry.finished_at, due_at: None };
            let (output, number) = (entry.output.clone(), entry.number.unwrap_or(0));
            let bytes = output.as_ref().map_or(0, String::len);
            run.note(JournalEntry { output: None, ..entry }, bytes, recorded);
            Ok(Attempted::Recorded { output: output.unwrap_or_else(|| "null".to_owned()), number, recorded })
        }
        _ => Err(fault),
    }
}

fn text_of(json: &Bytes) -> Result<String> {
    String::from_utf8(json.to_vec()).map_err(Fault::internal)
}

/// Reserves bytes of the journal for the result of a step.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` when the result is larger than one may be, or does not fit into the journal.
pub(super) fn reserve_result(run: &Arc<ActiveRun>, bytes: usize) -> Result<ReservedBytes> {
    if bytes > STEP_RESULT_BYTES_MAX {
        let text =
            format!("the result of the step has {bytes} bytes, and may have {STEP_RESULT_BYTES_MAX} at most");
        return Err(Fault::new(Code::PayloadTooLarge, text)
            .with_help("keep what is large in a table or a file, and return its id")
            .without_retry());
    }
    run.reserve(bytes)
}

/// Records a step in the transaction of its effect.
pub(super) struct StepRecorder {
    run: Arc<ActiveRun>,
    row: StepRow,
    began: Instant,
    written: MergeSlot<(u32, Recorded, ReservedBytes)>,
}

impl StepRecorder {
    pub(super) fn new(run: &Arc<ActiveRun>, row: &StepRow) -> Self {
        let (run, row) = (Arc::clone(run), row.clone());
        Self { run, row, began: Instant::now(), written: MergeSlot::new() }
    }

    /// Writes the row of the step on `db`.
    pub(super) async fn write(&self, db: &Db, output: &Bytes) -> Result<()> {
        let reserved = reserve_result(&self.run, output.len())?;
        let number = self.run.next_number();
        let row = StepRow {
            number: Some(number),
            output: Some(text_of(output)?),
            elapsed: self.began.elapsed(),
            ..self.row.clone()
        };
        let recorded = self.run.store.record_in(db, &row).await?;
        self.written.put(|written| *written = Some((number, recorded, reserved)));
        Ok(())
    }

    /// The transaction has committed, and the step has returned this.
    pub(super) fn attempted(&self, output: String) -> Result<Attempted> {
        let Some((number, recorded, reserved)) = self.written.try_take() else {
            return Err(Fault::internal("a transaction was committed without the record of its step"));
        };
        let entry = JournalEntry { number: Some(number), ..entry_of(&self.row) };
        self.run.note(entry, output.len(), recorded);
        drop(reserved);
        Ok(Attempted::Recorded { output, number, recorded })
    }
}

impl RecordInTransaction for StepRecorder {
    fn record<'a>(&'a self, db: &'a Db, output: &'a Bytes) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write(db, output))
    }
}

/// Runs a closure of the application; a panic is a failure.
pub(super) async fn unwound<T>(running: BoxFuture<'_, Result<T>>) -> Result<T> {
    match catch_unwind(running).await {
        Ok(ended) => ended,
        Err(panic) => {
            tracing::error!(panic = %panic.message, "a step of a workflow panicked");
            Err(Fault::internal(format!("the step panicked: {}", panic.message)))
        }
    }
}
