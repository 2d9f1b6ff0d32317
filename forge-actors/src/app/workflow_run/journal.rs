//! The journal of one run: what its steps have returned, and whether the code still fits.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::DeserializeOwned;

use crate::app::job_failure::JobFailure;
use crate::app::wire_shape::is_same_form;
use crate::kernel::fault::Fault;
use crate::kernel::time::Timestamp;

/// A step whose shape is not compared: a migration has written it.
pub const UNCHECKED_SHAPE: u64 = 0;

/// What a start or a dispatch has done, as its entry says.
pub(crate) fn outcome_in<T: DeserializeOwned>(entry: &JournalEntry) -> Result<T, Fault> {
    let output = entry.output.as_deref().unwrap_or("null");
    serde_json::from_str(output).map_err(|error| {
        let text = format!("the journal does not say what the step `{}` has started: {error}", entry.name);
        Fault::internal(text)
    })
}

/// The parts of a position, as numbers: `10` comes after `9`.
pub(crate) fn position_parts(position: &str) -> Vec<u32> {
    position.split('.').map(|part| part.parse().unwrap_or(u32::MAX)).collect()
}

/// What a step does.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// Calls another handler by its message.
    Call,
    /// Runs a closure.
    Closure,
    /// Runs a closure in the transaction that records it.
    Transaction,
    /// Waits for a time.
    Sleep,
    /// Waits for an event.
    Event,
    /// Waits for a signal to the run.
    Signal,
    /// Starts another run, or waits for the end of one.
    Child,
    /// Dispatches a job, and waits for its end when `ctx.run_job` has dispatched it.
    Job,
    /// Which branch of a race has won.
    Race,
    /// Takes back what a step has done.
    Compensation,
}

impl StepKind {
    /// Every value.
    pub const ALL: [Self; 10] = [
        Self::Call,
        Self::Closure,
        Self::Transaction,
        Self::Sleep,
        Self::Event,
        Self::Signal,
        Self::Child,
        Self::Job,
        Self::Race,
        Self::Compensation,
    ];

    /// Reads a label.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == label)
    }

    /// True for the kinds that run something of the application.
    fn executes(self) -> bool {
        matches!(self, Self::Call | Self::Closure | Self::Transaction)
    }

    /// The label in Postgres.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Closure => "closure",
            Self::Transaction => "transaction",
            Self::Sleep => "sleep",
            Self::Event => "event",
            Self::Signal => "signal",
            Self::Child => "child",
            Self::Job => "job",
            Self::Race => "race",
            Self::Compensation => "compensation",
        }
    }
}

/// How far a step is. One enum for the journal and for what people see, who ask for both at once: two of its
/// values are of steps that the journal does not have yet, and are never written.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepStatus {
    /// An attempt has been executing for a while. No row of the journal has this status: people see it.
    Running,
    /// An attempt was executing when its node was lost; the step is executed again. No row of the journal has
    /// this status: people see it.
    Interrupted,
    /// An attempt has failed; the next one comes.
    Retrying,
    /// Waits for a time, an event, a run or a job.
    Waiting,
    /// Has returned a value.
    Completed,
    /// Has failed, after all attempts.
    Failed,
    /// Has failed, and was optional; a wait that ended with its time limit; or a compensation that a person
    /// has skipped.
    Skipped,
    /// Had not ended when its run did.
    Abandoned,
}

impl StepStatus {
    /// Every value.
    pub const ALL: [Self; 8] = [
        Self::Running,
        Self::Interrupted,
        Self::Retrying,
        Self::Waiting,
        Self::Completed,
        Self::Failed,
        Self::Skipped,
        Self::Abandoned,
    ];

    /// Reads a label.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == label)
    }

    /// The label in Postgres.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Retrying => "retrying",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A row of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// Place in the code: `4`; `5.0.1` for the first step of the first branch of a group; `-4` for the
    /// compensation of step `4`.
    pub position: String,
    /// What it does.
    pub kind: StepKind,
    /// How far it is.
    pub status: StepStatus,
    /// The name that the code gives it.
    pub name: String,
    /// Hash of the form of arguments and result; [`UNCHECKED_SHAPE`] fits every code.
    pub shape: u64,
    /// Attempts that were made.
    pub attempts: u32,
    /// The order in which steps have ended, from 1.
    pub number: Option<u32>,
    /// What it has returned, as JSON.
    pub output: Option<String>,
    /// Why it has failed.
    pub error: Option<JobFailure>,
    /// When it ended, by the clock of the database.
    pub finished_at: Option<Timestamp>,
    /// Until when it waits.
    pub due_at: Option<Timestamp>,
    /// The run or job that it waits for.
    pub awaits: Option<uuid::Uuid>,
    /// The position that its row has; `None` for one that a migration adds.
    pub(crate) stored_at: Option<String>,
}

impl JournalEntry {
    /// The position that its row has, whatever a migration has made of it.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.stored_at.as_deref()
    }

    /// Bytes of what it has returned, and of why it has failed.
    pub(in crate::app) fn bytes(&self) -> usize {
        let error = self.error.as_ref().and_then(|error| serde_json::to_string(error).ok());
        self.output.as_ref().map_or(0, String::len) + error.map_or(0, |error| error.len())
    }

    /// True for what takes back a step.
    pub(in crate::app) fn is_compensation(&self) -> bool {
        self.kind == StepKind::Compensation
    }

    /// A step that a migration adds.
    pub(in crate::app) fn completed(position: String, name: &str, output: String) -> Self {
        Self {
            position,
            kind: StepKind::Closure,
            status: StepStatus::Completed,
            name: name.to_owned(),
            shape: UNCHECKED_SHAPE,
            attempts: 1,
            number: None,
            output: Some(output),
            error: None,
            finished_at: None,
            due_at: None,
            awaits: None,
            stored_at: None,
        }
    }
}

/// What the code asks for at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepIdentity<'a> {
    /// What it does.
    pub kind: StepKind,
    /// Its name.
    pub name: &'a str,
    /// The form of its arguments and result.
    pub shape: u64,
}

/// How the code differs from a journal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Divergence {
    /// Where.
    pub position: String,
    /// The step that the journal has there.
    pub expected: String,
    /// What the code does there; `None` when it ended without asking for that step.
    pub found: Option<String>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, expected, found } = self;
        match found {
            Some(found) => write!(f, "expected step {position} {expected}, found {found}"),
            None => write!(f, "expected step {position} {expected}, and the code ended before it"),
        }
    }
}

/// The rows of one run by position.
#[derive(Debug, Default)]
pub struct JournalIndex {
    entries: HashMap<String, JournalEntry>,
}

impl JournalIndex {
    /// Of these rows.
    pub fn of(entries: impl IntoIterator<Item = JournalEntry>) -> Self {
        Self { entries: entries.into_iter().map(|entry| (entry.position.clone(), entry)).collect() }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True for a run that has recorded nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = &JournalEntry> {
        self.entries.values()
    }

    /// Writes a row, in place of the one at its position.
    pub fn put(&mut self, entry: JournalEntry) {
        self.entries.insert(entry.position.clone(), entry);
    }

    /// The row at a position.
    pub fn get(&self, position: &str) -> Option<&JournalEntry> {
        self.entries.get(position)
    }

    /// The first step that has ended and is not among the positions that the code has asked for. Branches of
    /// races may end without their steps.
    pub(in crate::app) fn unvisited(&self, visited: &HashSet<String>) -> Option<Divergence> {
        let races = self.iter().filter(|entry| entry.kind == StepKind::Race);
        let races: Vec<String> = races.map(|race| format!("{}.", race.position)).collect();
        let is_missing = |entry: &&JournalEntry| {
            entry.is_finished()
                && !entry.is_compensation()
                && !visited.contains(&entry.position)
                && !races.iter().any(|race| entry.position.starts_with(race))
        };
        let missing = self.iter().filter(is_missing).min_by_key(|entry| position_parts(&entry.position))?;
        Some(Divergence {
            position: missing.position.clone(),
            expected: format!("`{}` ({})", missing.name, missing.kind.as_str()),
            found: None,
        })
    }

    /// The row of a step, if the journal has one and it is the step that the code asks for.
    ///
    /// # Errors
    /// The difference, when the journal has another step there.
    pub fn find(
        &self,
        position: &str,
        wanted: StepIdentity<'_>,
    ) -> Result<Option<&JournalEntry>, Divergence> {
        let Some(entry) = self.entries.get(position) else { return Ok(None) };
        // What a migration has written fits whatever executes a step of that name.
        let is_unchecked = [entry.shape, wanted.shape].contains(&UNCHECKED_SHAPE);
        let fits_shape = is_unchecked || is_same_form(entry.shape, wanted.shape);
        let fits_kind =
            entry.kind == wanted.kind || is_unchecked && entry.kind.executes() && wanted.kind.executes();
        if fits_kind && fits_shape && entry.name == wanted.name {
            return Ok(Some(entry));
        }
        let is_only_shape = entry.kind == wanted.kind && entry.name == wanted.name;
        let describe = |kind: StepKind, name: &str, what: &str| match is_only_shape {
            true => format!("`{name}` ({}) {what}", kind.as_str()),
            false => format!("`{name}` ({})", kind.as_str()),
        };
        Err(Divergence {
            position: position.to_owned(),
            expected: describe(entry.kind, &entry.name, "with the arguments and result of its run"),
            found: Some(describe(wanted.kind, wanted.name, "with other arguments or another result")),
        })
    }
}
