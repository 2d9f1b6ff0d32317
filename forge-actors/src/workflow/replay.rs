//! Executes the function of a run against its journal, to see whether the code fits. No step is executed, and
//! nothing is written.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::activation::RunCode;
use super::check_store::CheckedRun;
use super::paths::WORKFLOWS;
use crate::app::Registration;
use crate::app::workflow::ActiveRun;
use crate::app::workflow::migration::JournalContents;
use crate::app::workflow_run::journal::{JournalEntry, position_parts};
use crate::app::workflow_run::store::ActivationStart;
use crate::function::{FunctionEnd, Functions};
use crate::kernel::fault::Fault;
use crate::kernel::ids::{RequestId, RunId};
use crate::kernel::invocation::{Caller, Identity, Invocation};
use crate::kernel::time::{Timestamp, secs};
use crate::kernel::trace::TraceContext;

/// A function that has not come to the end of its journal within this time waits for something that is no
/// step.
const REPLAY_MAX: Duration = secs(10);

/// A run whose journal is compared with the code.
pub(super) struct ReplayedRun {
    pub(super) id: RunId,
    pub(super) workflow: String,
    /// The version that the run has. A migration of `RunCode` leads to another one.
    pub(super) version: u32,
    pub(super) input: String,
    pub(super) identity: Option<Identity>,
    pub(super) attributes: Option<String>,
    pub(super) is_ending: bool,
    pub(super) begun_at: Timestamp,
    pub(super) now: Timestamp,
    pub(super) entries: Vec<JournalEntry>,
}

/// What the comparison has found.
pub(super) enum Replayed {
    /// The code does not fit, which this sentence says.
    Diverged(String),
    /// It fits, and comes to this end.
    Fits(ReplayEnd),
}

/// How a function ends that fits its journal.
pub(super) enum ReplayEnd {
    /// It has returned this, as JSON.
    Returned(Bytes),
    /// It goes on as a new run.
    Continued,
    /// It has failed.
    Failed(Fault),
    /// It goes on with this step, which the journal does not have as ended.
    GoesOn(Option<String>),
}

/// Executes the function of a run against its journal.
///
/// # Errors
/// When the arguments are no JSON, or the function cannot be executed at all.
pub(super) async fn replay(
    functions: &Functions,
    code: &RunCode,
    mut run: ReplayedRun,
) -> Result<Replayed, Fault> {
    let registration = match fitted(code, &mut run)? {
        Ok(registration) => registration,
        Err(difference) => return Ok(Replayed::Diverged(difference)),
    };
    let invocation = Invocation {
        id: RequestId::from_uuid(*run.id.as_uuid()),
        name: run.workflow.as_str().into(),
        args: run.input.into(),
        caller: Caller { identity: run.identity.map(Arc::new), ..Caller::default() },
        trace: TraceContext::new_root(),
        deadline: None,
        idempotency_key: None,
    };
    let active = ActiveRun::new(
        ActivationStart {
            id: run.id,
            workflow: run.workflow,
            version: run.version,
            begun_at: run.begun_at,
            now: run.now,
            entries: run.entries,
            is_ending: run.is_ending,
            is_check: true,
            attributes: run.attributes,
        },
        Arc::new(CheckedRun),
    );
    let (functions, replayed) = (functions.clone(), Arc::clone(&active));
    let replay = functions.clone().spawn_attempts(async move {
        let too_long = tokio::time::sleep(REPLAY_MAX);
        functions.workflow(&WORKFLOWS, registration, invocation, replayed, too_long).await
    });
    let end = match replay.await.map_err(Fault::internal)? {
        FunctionEnd::InvalidArguments(fault) => {
            return Ok(Replayed::Diverged(format!("its arguments do not fit: {}", fault.message())));
        }
        FunctionEnd::Interrupted => {
            let limit = REPLAY_MAX.as_secs();
            let text = format!(
                "its function did not reach the end of the journal in {limit} s: it awaits something that is \
                 no step, or is slow"
            );
            return Ok(Replayed::Diverged(text));
        }
        FunctionEnd::Left => ReplayEnd::GoesOn(active.goes_on_with()),
        FunctionEnd::Returned(output) => ReplayEnd::Returned(output),
        FunctionEnd::Continued(_) => ReplayEnd::Continued,
        FunctionEnd::Failed(fault) => ReplayEnd::Failed(fault),
    };
    let is_over = !matches!(end, ReplayEnd::GoesOn(_));
    Ok(match active.progress(is_over).divergence {
        Some(divergence) => Replayed::Diverged(divergence.to_string()),
        None => Replayed::Fits(end),
    })
}

/// The function that executes a run. `run` is then of its version; the inner error says why the migration has
/// failed.
fn fitted(code: &RunCode, run: &mut ReplayedRun) -> Result<Result<&'static Registration, String>, Fault> {
    let (registration, migration) = match code {
        RunCode::Linked(registration) => return Ok(Ok(*registration)),
        RunCode::Migrated(registration, migration) => (*registration, migration),
    };
    let mut entries = std::mem::take(&mut run.entries);
    entries.sort_by_key(|entry| position_parts(&entry.position));
    let input = serde_json::from_str(&run.input).map_err(Fault::internal)?;
    Ok(match (migration.migrate)(JournalContents { input, entries }) {
        Ok(migrated) => {
            run.input = migrated.input.to_string();
            run.entries = migrated.entries;
            run.version = migration.to;
            Ok(registration)
        }
        Err(fault) => {
            let (from, to) = (migration.from, migration.to);
            Err(format!("the migration from version {from} to {to} has failed: {}", fault.message()))
        }
    })
}
