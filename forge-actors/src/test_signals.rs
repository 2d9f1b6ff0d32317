//! Test signals: the code announces the steps that it reaches. A test waits for a step, or holds the code at
//! one.
//!
//! ```text
//!   the code                                a folder of the test              the test
//!   announce(step, key)    ── adds to ────▶ steps: a line `step key`  ──────▶ waits for the nth line
//!   pause_point(step, key) ── adds to ────▶ steps
//!                          ── waits for the end of ▶ hold.step.key ◀───────── makes and removes the file
//! ```
//!
//! The folder serves a test whose actors run in its own process ([`listen`]) and one whose node is a child
//! process ([`listen_if_asked`]) alike. What a process announced can be read after it was killed.
//!
//! Without a listener, a step costs one atomic load; its key is not formatted. Only a build with debug
//! assertions can have a listener: in a release, [`ENABLED`] is the constant `false`, the compiler drops the
//! code behind it, and no variable of the environment holds up a node. A cargo feature would not do, since a
//! build of the whole workspace enables it for the binary that ships as well.
//!
//! The steps of this list are those that no row, metric, log line or answer shows to a test.
//!
//! Where the idea comes from: River's `rivershared/testsignal`, and the pause points of Convex.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// True in builds that can have a listener.
pub const ENABLED: bool = cfg!(debug_assertions);
/// The variable of the environment that names the folder of a child process.
pub const FOLDER_VARIABLE: &str = "FORGE_TEST_SIGNALS";
/// The file of the folder that has a line for each announcement.
pub const STEPS_FILE: &str = "steps";
/// Between two checks whether the test still holds the code.
const HOLD_POLL: Duration = Duration::from_millis(5);

/// A step that the code announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Pause point: a handler has returned, and its effects are committed; the result of the attempt is not
    /// written. The key is the job's wire name.
    JobAttemptEnded,
    /// Pause point: the effect and the end of a job are in one transaction, whose commit follows. The key is
    /// the job's wire name.
    JobCommitting,
    /// Pause point: that commit is confirmed; the handler does not know yet. The key is the job's wire name.
    JobCommitted,
    /// Pause point: an operator's action on many jobs has committed a batch, and goes on. The key is `bulk`.
    JobBatchChanged,
    /// Pause point: jobs have ended, and their ends are not recorded yet for the jobs that wait for them. The
    /// key is `jobs`.
    JobsSettling,
    /// Pause point: a part of a file of buffered jobs is dispatched, and the keeper of the file does not know
    /// yet. The key is `jobs`.
    JobBufferDispatched,
    /// Pause point: the local deadline of a term has not passed; the check by the database follows. The key
    /// is the term, for example `jobs.3`.
    TermChecked,
    /// Pause point: the database has checked the term; the leader's write follows. The key is the term.
    TermLocked,
    /// Pause point: an attempt at a step of a workflow begins. The key is the name of the step.
    WorkflowStepStarting,
    /// Pause point: the body of a step has returned; the step is not recorded. The key is its name.
    WorkflowStepRan,
    /// Pause point: a step is recorded, and its workflow does not know yet. The key is its name.
    WorkflowStepRecorded,
    /// Pause point: an attempt at a compensation begins. The key is the name of the step.
    WorkflowCompensating,
    /// Pause point: a run was claimed, and its function has not begun. The key is its wire name.
    WorkflowActivating,
    /// Pause point: a run is about to leave its owner. The key is its wire name.
    WorkflowLeaving,
    /// Pause point: the transaction that starts a child, or goes on as a new run, is about to be committed.
    /// The key is the wire name of what starts.
    WorkflowStarting,
    /// A session holds back all results: its token has expired, or another one is being checked. The key is
    /// the session's id.
    SessionHoldsResults,
}

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::JobAttemptEnded => "job_attempt_ended",
            Self::JobCommitting => "job_committing",
            Self::JobCommitted => "job_committed",
            Self::JobBatchChanged => "job_batch_changed",
            Self::JobsSettling => "jobs_settling",
            Self::JobBufferDispatched => "job_buffer_dispatched",
            Self::TermChecked => "term_checked",
            Self::TermLocked => "term_locked",
            Self::WorkflowStepStarting => "workflow_step_starting",
            Self::WorkflowStepRan => "workflow_step_ran",
            Self::WorkflowStepRecorded => "workflow_step_recorded",
            Self::WorkflowCompensating => "workflow_compensating",
            Self::WorkflowActivating => "workflow_activating",
            Self::WorkflowLeaving => "workflow_leaving",
            Self::WorkflowStarting => "workflow_starting",
            Self::SessionHoldsResults => "session_holds_results",
        }
    }

    /// The line that announces this step.
    pub fn line(self, key: impl Display) -> String {
        format!("{} {key}\n", self.as_str())
    }

    /// The file that holds the code at this step while it exists. Keys of pause points contain no `/`.
    pub fn hold_file(self, folder: &Path, key: impl Display) -> PathBuf {
        folder.join(format!("hold.{}.{key}", self.as_str()))
    }
}

struct Listener {
    folder: PathBuf,
    /// Opened for appending: a line is one write, so lines of several threads do not mix.
    steps: File,
}

/// Set once, by a test or at the start of a node.
static LISTENER: OnceLock<Listener> = OnceLock::new();

fn listener() -> Option<&'static Listener> {
    if ENABLED { LISTENER.get() } else { None }
}

/// Announces the steps of this process in `folder` from now on.
///
/// # Errors
/// When the folder cannot be written to, or the process has a listener already.
pub fn listen(folder: &Path) -> std::io::Result<()> {
    if !ENABLED {
        return Ok(());
    }
    let steps = OpenOptions::new().create(true).append(true).open(folder.join(STEPS_FILE))?;
    let listener = Listener { folder: folder.to_owned(), steps };
    LISTENER.set(listener).map_err(|_| std::io::ErrorKind::AlreadyExists.into())
}

/// Announces the steps of this process in the folder that [`FOLDER_VARIABLE`] names, if it is set.
///
/// # Errors
/// When the folder cannot be written to.
pub fn listen_if_asked() -> std::io::Result<()> {
    if !ENABLED {
        return Ok(());
    }
    std::env::var_os(FOLDER_VARIABLE).map_or(Ok(()), |folder| listen(Path::new(&folder)))
}

/// Announces that `step` was reached for `key`.
pub fn announce(step: Step, key: impl Display) {
    if let Some(listener) = listener() {
        let line = step.line(key);
        // Losing a line without a word would leave its test waiting without a cause.
        (&listener.steps).write_all(line.as_bytes()).expect("the folder of the test signals is there");
    }
}

/// Announces that `step` was reached for `key`, and waits there while a test holds it.
pub async fn pause_point(step: Step, key: impl Display) {
    let Some(listener) = listener() else { return };
    announce(step, &key);
    let hold = step.hold_file(&listener.folder, key);
    while hold.exists() {
        tokio::time::sleep(HOLD_POLL).await;
    }
}
