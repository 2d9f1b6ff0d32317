//! The reporter: writes what the attempts of this node say about their jobs, copies the state of jobs
//! for their followers, and records ends for the jobs that wait for them.
//!
//! ```text
//!            reports wait                     written
//!   Idle ────────────────▶ Writing ──────────────────────▶ Pausing ── the pause is over ──▶ Idle
//!                             ▲                               │
//!                             └── a job has begun or ended ───┘
//! ```
//!
//! One statement writes the reports of all jobs, and the next one comes [`PAUSE`] later, so that a job's
//! progress is written four times a second at most. A begin or an end is written at once; what its job has
//! said before goes with it. The end of a job is copied from the tables of jobs after the commit that wrote
//! it there, so no report delays or fails a job; it is recorded then for the jobs that wait for it. The
//! settler does what a crash has left undone.
//!
//! While the database is unreachable, reports gather, and newer ones replace older ones.

use std::sync::Arc;
use std::time::Duration;

use super::dependencies;
use super::messages::ReporterMessage;
use super::paths::REPORTER;
use super::report::ReportsWaiting;
use super::shared::JobShared;
use super::store::JobReport;
use crate::change::{Hint, TopicSet};
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::halving::{RefusedRow, write_by_halves};
use crate::kernel::ids::JobId;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Mailbox, Shutdown, Timer};

/// Between two writes of progress.
const PAUSE: Duration = millis(250);
/// Between two attempts to write while the database does not answer.
const AWAY_BACKOFF: Backoff = Backoff::exponential(millis(250), secs(5));
/// On a stop: time to write the last reports.
const LAST_WRITE: Duration = secs(3);

pub(super) struct Reporter {
    shared: Arc<JobShared>,
}

pub(super) struct ReporterState {
    is_writing: bool,
    /// Something urgent came while a write was under way.
    is_urgent: bool,
    /// Failures since the last success.
    failures: u32,
    pause: Option<Timer>,
}

impl Reporter {
    pub(super) fn spec(shared: Arc<JobShared>, mailbox: Mailbox<ReporterMessage>) -> ChildSpec {
        let make = move || Self { shared: Arc::clone(&shared) };
        let mut spec = ChildSpec::with_mailbox(REPORTER.id(), mailbox, make);
        spec.shutdown = Shutdown::Deadline(LAST_WRITE + secs(2));
        spec
    }

    /// Starts the next write, when none is under way and no pause forbids it.
    fn proceed(&self, cx: &Context<ReporterMessage>, state: &mut ReporterState) {
        let is_away = state.failures > 0;
        if state.is_writing || state.pause.is_some() && (is_away || !state.is_urgent) {
            return;
        }
        let only_urgent = state.pause.is_some();
        state.is_urgent = false;
        let reports = self.shared.reports.take(only_urgent);
        if reports.is_empty() {
            return;
        }
        state.is_writing = true;
        let shared = Arc::clone(&self.shared);
        cx.spawn_message("write", async move { ReporterMessage::Written(write(&shared, reports).await) });
    }

    fn written(&self, cx: &Context<ReporterMessage>, state: &mut ReporterState, result: Result<(), Fault>) {
        state.is_writing = false;
        let Err(fault) = result else {
            if std::mem::take(&mut state.failures) > 0 {
                tracing::info!("writing the progress of jobs recovered");
                state.pause = None;
            }
            if state.pause.is_none() {
                state.pause = Some(cx.send_after(PAUSE, ReporterMessage::PauseEnded));
            }
            return;
        };
        if state.failures == 0 {
            let error = error_chain(&fault);
            tracing::warn!(error, "writing the progress and the ends of jobs failed; retrying");
        }
        let pause = AWAY_BACKOFF.jittered(state.failures);
        state.pause = Some(cx.send_after(pause, ReporterMessage::PauseEnded));
        state.failures = state.failures.saturating_add(1);
        // What could not be written is tried again after the pause.
        state.is_urgent = true;
    }
}

/// Writes reports, and records ends for the jobs that wait for them.
///
/// # Errors
/// When the database does not answer; what is not written waits again.
pub(super) async fn write(shared: &JobShared, reports: Vec<(JobId, JobReport)>) -> Result<(), Fault> {
    let awaited: Vec<(JobId, JobReport)> = reports
        .iter()
        .filter(|(_, report)| report.is_awaited)
        .map(|(job, report)| (*job, report.of_end()))
        .collect();
    // Most awaited jobs have no followers: their end is recorded, and nothing else.
    let reported = reports.into_iter().filter(|(_, report)| report.is_running || report.has_ended).collect();
    let written = write_reports(shared, reported).await;
    let ended: Vec<JobId> = awaited.iter().map(|(job, _)| *job).collect();
    let settled = dependencies::record_ends(shared, &ended).await;
    if settled.is_err() {
        shared.reports.put_back(awaited);
    }
    written.and(settled)
}

/// Writes reports. Those of a job that the database refuses are dropped, and hold up no other one.
async fn write_reports(shared: &JobShared, reports: Vec<(JobId, JobReport)>) -> Result<(), Fault> {
    let lines_max = shared.config.log_lines_max as usize;
    let written = write_by_halves(reports.len(), |part| shared.store.report(&reports[part], lines_max));
    let batch = match written.await {
        Ok(batch) => batch,
        Err(fault) => {
            shared.reports.put_back(reports);
            return Err(fault);
        }
    };
    for RefusedRow { row, fault } in batch.refused {
        let (job, error) = (reports[row].0, error_chain(&fault));
        tracing::warn!(%job, error, "progress of a job refused by the database");
    }
    for receipt in batch.written {
        shared.hints.publish(Hint { xid: receipt.xid, topics: TopicSet::from_iter(receipt.tables) });
    }
    Ok(())
}

impl Actor for Reporter {
    type Message = ReporterMessage;
    type State = ReporterState;
    const KIND: &'static str = "reporter";

    async fn start(&self, cx: &Context<ReporterMessage>) -> Result<ReporterState, ActorError> {
        // Writes the reports that wait since before a restart.
        cx.address().cast(ReporterMessage::Waiting(ReportsWaiting::Urgent))?;
        Ok(ReporterState { is_writing: false, is_urgent: false, failures: 0, pause: None })
    }

    async fn handle(
        &self,
        cx: &Context<ReporterMessage>,
        message: ReporterMessage,
        state: &mut ReporterState,
    ) -> Result<(), ActorError> {
        match message {
            ReporterMessage::Waiting(ReportsWaiting::Some) => {}
            ReporterMessage::Waiting(ReportsWaiting::Urgent) => state.is_urgent = true,
            ReporterMessage::Written(result) => self.written(cx, state, result),
            ReporterMessage::PauseEnded => state.pause = None,
        }
        self.proceed(cx, state);
        Ok(())
    }

    async fn stop(&self, _cx: &Context<ReporterMessage>, _state: &mut ReporterState) {
        let last = write(&self.shared, self.shared.reports.take(false));
        match tokio::time::timeout(LAST_WRITE, last).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => {
                let error = error_chain(&fault);
                tracing::warn!(error, "the last progress of jobs was not written");
            }
            Err(_) => tracing::warn!("the last progress of jobs took too long to write"),
        }
    }
}
