//! The history of a run as a file: an operator exports it (`forge-node workflows history`), an author commits
//! it, and a test replays it against the code.
//!
//! The table `forge_workflow_history` is something else: it has the rows of runs that have ended.
//!
//! A replay is that of `workflows check`: no step is executed, and nothing is written. It also compares how
//! the function ends with how the run has ended.

use serde::{Deserialize, Serialize};

use super::activation::code_of;
use super::admin::{HistoryRun, HistoryStep, WorkflowHistoryPart, WorkflowStatus};
use super::replay::{ReplayEnd, Replayed, ReplayedRun, replay};
use crate::app::job_failure::CANCELLED;
use crate::app::workflow_run::journal::{JournalEntry, position_parts};
use crate::app::workflow_run::limits::{JOURNAL_BYTES_MAX, STEPS_MAX};
use crate::function::Functions;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Identity;

/// The form of the file that this version of Forge writes and reads.
const FORMAT: u32 = 1;
/// Bytes of a file: those of a journal, and as many again for quotes and names. A longer one is refused.
const FILE_BYTES_MAX: usize = 2 * JOURNAL_BYTES_MAX;
/// Rows of a journal: each step may have one more for its compensation. More are refused.
const ROWS_MAX: usize = 2 * STEPS_MAX;
/// Characters of a result that a sentence repeats.
const SHOWN_MAX: usize = 200;

/// The history of a run: what its replay needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkflowHistory {
    /// The form of the file.
    pub format: u32,
    /// The run.
    pub run: HistoryRun,
    /// Its journal, in the order of the code; compensations come last.
    pub steps: Vec<HistoryStep>,
}

/// Why a history cannot be replayed, or how the code differs from it.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The text is no such file.
    #[error("this is no history of a run, as `forge-node workflows history <ID> --json` prints it: {0}")]
    Form(String),
    /// The file is larger than a journal.
    #[error("the history has {found} {what}, and may have {most} at most")]
    TooLarge {
        /// Bytes or steps.
        what: &'static str,
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },
    /// The parts of a history were read while the run went on.
    #[error("the run went on while its history was read")]
    Moved,
    /// The binary has no such workflow.
    #[error("the history is of the workflow `{workflow}`, and this binary has: {known}")]
    UnknownWorkflow {
        /// Its wire name.
        workflow: String,
        /// Those that the binary has.
        known: String,
    },
    /// The binary has neither that version of the workflow nor a migration from it.
    #[error(
        "the history is of version {version} of `{workflow}`: this binary has {known} of it, and no \
         migration from version {version}"
    )]
    UnknownVersion {
        /// Its wire name.
        workflow: String,
        /// The version of the run.
        version: u32,
        /// Those that the binary has.
        known: String,
    },
    /// The code does not fit the history.
    #[error("the code does not fit the history of the run {run} of `{workflow}`: {difference}")]
    Differs {
        /// Id of the run.
        run: String,
        /// Its wire name.
        workflow: String,
        /// The difference, in a sentence.
        difference: String,
    },
    /// The replay itself has failed.
    #[error("the history cannot be replayed")]
    Failed(#[from] Fault),
}

/// A history that the code fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedHistory {
    /// How many rows the journal of the run has.
    pub steps: usize,
    /// The run had not ended when its history was read: how it ends is not compared, and the code may ask for
    /// more than was recorded.
    pub was_open: bool,
    /// The step that the code goes on with behind the journal; `None` when the code has come to its end.
    pub goes_on_with: Option<String>,
}

impl WorkflowHistory {
    /// The history whose parts these are, all of them.
    ///
    /// # Errors
    /// When the run has gone on between two parts.
    pub fn of(parts: Vec<WorkflowHistoryPart>) -> Result<Self, HistoryError> {
        let mut parts = parts.into_iter();
        let first = parts.next().ok_or_else(|| HistoryError::Form("it has no part".to_owned()))?;
        let (run, mut steps) = (first.run, first.steps);
        for part in parts {
            if part.run != run {
                return Err(HistoryError::Moved);
            }
            steps.extend(part.steps);
        }
        if steps.len() != run.steps as usize {
            return Err(HistoryError::Moved);
        }
        steps.sort_by_key(|step| position_parts(&step.position));
        Ok(Self { format: FORMAT, run, steps })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When the text is no history, or larger than a journal may be.
    pub fn parse(text: &str) -> Result<Self, HistoryError> {
        #[derive(Deserialize)]
        struct Form {
            format: Option<u32>,
        }
        let form = |error: serde_json::Error| HistoryError::Form(error.to_string());
        within("bytes", text.len(), FILE_BYTES_MAX)?;
        match serde_json::from_str::<Form>(text).map_err(form)?.format {
            Some(FORMAT) => {}
            Some(format) => {
                let text = format!("it has the format {format}, and this version of Forge reads {FORMAT}");
                return Err(HistoryError::Form(text));
            }
            None => return Err(HistoryError::Form("it has no `format`".to_owned())),
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let history: Self = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| HistoryError::Form(format!("{}: {}", error.path(), error.inner())))?;
        within("steps", history.steps.len(), ROWS_MAX)?;
        Ok(history)
    }

    /// Whether the run had not ended when its history was read.
    pub fn is_open(&self) -> bool {
        !self.run.status.is_ended()
    }

    /// The journal of a replay.
    fn entries(&self) -> Result<Vec<JournalEntry>, HistoryError> {
        let entry = |step: &HistoryStep| {
            let shape = step.form().ok_or_else(|| {
                HistoryError::Form(format!("steps: `{}` is no shape of 16 hexadecimal digits", step.shape))
            })?;
            Ok(JournalEntry {
                position: step.position.to_owned(),
                kind: step.kind,
                status: step.status,
                name: step.name.to_owned(),
                shape,
                attempts: 1,
                number: step.number,
                output: step.output.to_owned(),
                error: step.error.to_owned(),
                finished_at: step.finished_at,
                due_at: None,
                awaits: step.awaits,
                stored_at: None,
            })
        };
        self.steps.iter().map(entry).collect()
    }

    fn identity(&self) -> Option<Identity> {
        let HistoryRun { subject, tenant, roles, .. } = &self.run;
        Some(Identity {
            subject: subject.to_owned()?,
            roles: roles.to_vec(),
            tenant: tenant.to_owned(),
            claims: serde_json::Map::new(),
        })
    }

    /// How the end of the function differs from that of the run.
    fn difference(&self, end: &ReplayEnd) -> Option<String> {
        let HistoryRun { status, error, output, is_output_redacted, .. } = &self.run;
        let code = error.as_ref().map(|error| error.code.as_str()).unwrap_or_default();
        let fits = match (status, end) {
            // A cancellation or a termination ends a run wherever its function is.
            (WorkflowStatus::Cancelled | WorkflowStatus::Terminated, _) => true,
            // The time limit ended the run before its function did, or a branch of it was cancelled.
            (WorkflowStatus::Failed, ReplayEnd::GoesOn(_)) => {
                code == Code::Timeout.name() || code == CANCELLED
            }
            (WorkflowStatus::Failed, ReplayEnd::Failed(fault)) => fault.code().name() == code,
            (WorkflowStatus::Completed, ReplayEnd::Returned(found)) => {
                let read = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).ok();
                *is_output_redacted || read(output.as_deref().unwrap_or("null").as_bytes()) == read(found)
            }
            (WorkflowStatus::Continued, ReplayEnd::Continued) => true,
            (WorkflowStatus::Completed | WorkflowStatus::Failed | WorkflowStatus::Continued, _) => false,
            (
                WorkflowStatus::Ready
                | WorkflowStatus::Running
                | WorkflowStatus::Waiting
                | WorkflowStatus::Compensating
                | WorkflowStatus::Paused
                | WorkflowStatus::Diverged
                | WorkflowStatus::CompensationFailed,
                _,
            ) => true,
        };
        let has_ended = match (status, output, error) {
            (WorkflowStatus::Completed, Some(output), _) => format!("returned {}", shortened(output)),
            (WorkflowStatus::Continued, ..) => "gone on as a new run".to_owned(),
            (_, _, Some(error)) => format!("failed with {}: {}", error.code, error.message),
            _ => status.as_str().to_owned(),
        };
        let ends = match end {
            ReplayEnd::Returned(json) => format!("returns {}", shortened(&String::from_utf8_lossy(json))),
            ReplayEnd::Continued => "goes on as a new run".to_owned(),
            ReplayEnd::Failed(fault) => format!("fails with {}: {}", fault.code().name(), fault.message()),
            ReplayEnd::GoesOn(Some(step)) => format!("goes on with {step}, which was not recorded"),
            ReplayEnd::GoesOn(None) => "goes on".to_owned(),
        };
        (!fits).then(|| format!("the run has {has_ended}, and the code {ends}"))
    }

    /// What a reader of a difference must know about a history that lacks something.
    fn lacking(&self) -> String {
        let mut lacking: Vec<String> = Vec::new();
        lacking.extend(self.run.is_input_redacted.then(|| "its arguments".to_owned()));
        let redacted = self.steps.iter().filter(|step| step.is_redacted);
        lacking.extend(redacted.map(|step| format!("the result of step {} `{}`", step.position, step.name)));
        match lacking.is_empty() {
            true => String::new(),
            false => format!(
                "; the history lacks the secrets of {}: where the code depends on them, write a fitting \
                 value into the file",
                lacking.join(", ")
            ),
        }
    }

    fn differs(&self, difference: &str) -> HistoryError {
        HistoryError::Differs {
            run: self.run.id.to_string(),
            workflow: self.run.workflow.to_owned(),
            difference: format!("{difference}{}", self.lacking()),
        }
    }
}

/// Replays a history against the code that `functions` has. No step is executed.
///
/// # Errors
/// When the code differs from the history, or the binary has no code for it.
pub async fn replay_history(
    functions: &Functions,
    history: &WorkflowHistory,
) -> Result<ReplayedHistory, HistoryError> {
    let HistoryRun { id, workflow, version, input, is_ending, attributes, begun_at, .. } = &history.run;
    let catalog = functions.catalog();
    let code = code_of(catalog, workflow, *version).ok_or_else(|| {
        let mut versions: Vec<String> = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        for (name, known, _) in catalog.workflows() {
            names.push(name);
            versions.extend((name == workflow).then(|| known.to_string()));
        }
        names.dedup();
        let listed = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        match versions.is_empty() {
            true => HistoryError::UnknownWorkflow {
                workflow: workflow.to_owned(),
                known: listed(&names.iter().map(ToString::to_string).collect::<Vec<_>>()),
            },
            false => HistoryError::UnknownVersion {
                workflow: workflow.to_owned(),
                version: *version,
                known: listed(&versions),
            },
        }
    })?;
    let run = ReplayedRun {
        id: *id,
        workflow: workflow.to_owned(),
        version: *version,
        input: input.to_owned(),
        identity: history.identity(),
        attributes: attributes.to_owned(),
        is_ending: *is_ending,
        begun_at: *begun_at,
        now: *begun_at,
        entries: history.entries()?,
    };
    let end = match replay(functions, &code, run).await? {
        Replayed::Diverged(difference) => return Err(history.differs(&difference)),
        Replayed::Fits(end) => end,
    };
    if let Some(difference) = history.difference(&end) {
        return Err(history.differs(&difference));
    }
    let goes_on_with = match end {
        ReplayEnd::GoesOn(step) => step,
        ReplayEnd::Returned(_) | ReplayEnd::Continued | ReplayEnd::Failed(_) => None,
    };
    Ok(ReplayedHistory { steps: history.steps.len(), was_open: history.is_open(), goes_on_with })
}

fn within(what: &'static str, found: usize, most: usize) -> Result<(), HistoryError> {
    match found <= most {
        true => Ok(()),
        false => Err(HistoryError::TooLarge { what, found, most }),
    }
}

/// The beginning of a text.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_history_is_refused_with_the_reason() {
        let long = " ".repeat(FILE_BYTES_MAX + 1);
        for (text, expected) in [
            ("{", "EOF while parsing"),
            ("[]", "invalid"),
            ("{}", "it has no `format`"),
            (r#"{"format": 2}"#, "it has the format 2, and this version of Forge reads 1"),
            (r#"{"format": 1, "run": {"id": 7}, "steps": []}"#, "run.id: "),
            (r#"{"format": 1, "steps": [{"kind": "dance"}]}"#, "steps[0].kind: unknown variant `dance`"),
            (long.as_str(), "134217729 bytes, and may have 134217728 at most"),
        ] {
            let refused = WorkflowHistory::parse(text).expect_err("a wrong text").to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
