//! One activation of a run, as the steps of its function see it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::app::error::Result;
use crate::app::workflow_run::attempts::RunAttempts;
use crate::app::workflow_run::branch::{Branch, StepPosition};
use crate::app::workflow_run::compensation::Compensation;
use crate::app::workflow_run::journal::{Divergence, JournalEntry, JournalIndex, StepIdentity, StepStatus};
use crate::app::workflow_run::limits::{JOURNAL_BYTES_MAX, STEPS_MAX, WAIT_MAX};
use crate::app::workflow_run::store::{
    ActivationStart, Recorded, RunStore, StepConnection, StepPermit, StepRow,
};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::Timestamp;

/// One activation of a run. It is shared by the context of the function, its steps, and the actor of the run.
pub struct ActiveRun {
    /// The run.
    pub id: RunId,
    /// Wire name of its workflow.
    pub workflow: String,
    /// The version that it has.
    pub version: u32,
    pub(in crate::app) store: Arc<dyn RunStore>,
    root: Arc<Branch>,
    /// The clock of the database when it was claimed.
    now: Timestamp,
    activated: Instant,
    is_ending: bool,
    is_check: bool,
    /// Nothing new begins.
    is_stopping: AtomicBool,
    /// Steps that execute something, or are being recorded.
    executing: AtomicUsize,
    /// Steps that can do nothing but wait.
    blocked: AtomicUsize,
    /// Written by steps; the actor of the run reads it when the function has left.
    progress: MergeSlot<Progress>,
    /// Counts what may have come for waits; wakes them.
    arrivals: watch::Sender<u64>,
    /// The attempts that execute now.
    pub(crate) attempts: RunAttempts,
}

/// How far an activation is.
struct Progress {
    journal: JournalIndex,
    /// Positions that the code has asked for.
    visited: HashSet<String>,
    /// Finished steps of the journal that the code has not asked for yet.
    unvisited: usize,
    /// The number of the step that ends next.
    next_number: u32,
    /// Bytes of the journal.
    bytes: usize,
    /// Bytes of results that are being recorded.
    reserved: usize,
    divergence: Option<Divergence>,
    /// Why the run cannot go on, where the code has no place for an error.
    failure: Option<Fault>,
    /// The first step that the code of a check asks for and the journal does not have as ended.
    goes_on_with: Option<String>,
    compensations: Vec<Compensation>,
    /// Until when the steps wait that do nothing else; `None` is for ever.
    waits: BTreeMap<String, Option<Timestamp>>,
    /// When the first of the waits is over with which the function has left.
    due_at: Option<Timestamp>,
    /// The count of arrivals when the function left.
    left_at: Option<u64>,
    attributes: serde_json::Map<String, serde_json::Value>,
    /// Events that a wait of this activation has taken.
    claimed_events: Vec<i64>,
}

/// What the journal says about a step that the code asks for.
pub(in crate::app) enum Found {
    /// The step has ended.
    Ended(JournalEntry),
    /// It has begun: it waits, or attempts have failed.
    Open(JournalEntry),
    /// It has not begun.
    New,
    /// It does not begin or go on in this activation: the code has diverged, the run is stopping or being
    /// compensated, the activation is a check, or the step was abandoned.
    Never,
}

/// Counts one of the steps of a run until it is dropped.
pub(in crate::app) struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, AcqRel);
    }
}

/// A step waits until this is dropped.
pub(in crate::app) struct WaitingStep<'a> {
    run: &'a ActiveRun,
    position: &'a str,
    _blocked: Counted<'a>,
}

/// Bytes of a result that is being recorded, which count until this is dropped.
pub(in crate::app) struct ReservedBytes {
    run: Arc<ActiveRun>,
    bytes: usize,
}

impl Drop for ReservedBytes {
    fn drop(&mut self) {
        self.run.with(|progress| progress.reserved -= self.bytes);
    }
}

impl Drop for WaitingStep<'_> {
    fn drop(&mut self) {
        self.run.with(|progress| progress.waits.remove(self.position));
    }
}

/// An event that a wait has taken.
pub(in crate::app) struct ClaimedEvent<'a> {
    run: &'a ActiveRun,
    event: Option<i64>,
}

impl ClaimedEvent<'_> {
    /// The journal says that the wait has consumed it.
    pub(in crate::app) fn keep(mut self) {
        self.event = None;
    }
}

impl Drop for ClaimedEvent<'_> {
    fn drop(&mut self) {
        if let Some(event) = self.event {
            self.run.with(|progress| progress.claimed_events.retain(|claimed| *claimed != event));
        }
    }
}

/// What an activation leaves behind.
pub struct RunProgress {
    /// How the code differs from the journal.
    pub divergence: Option<Divergence>,
    /// When the first of its waits is over; `None` when all of them are for ever.
    pub due_at: Option<Timestamp>,
    /// Rows of its journal.
    pub steps: usize,
    /// Bytes of its journal.
    pub journal_bytes: usize,
}

impl ActiveRun {
    /// An activation that begins.
    pub fn new(activation: ActivationStart, store: Arc<dyn RunStore>) -> Arc<Self> {
        let ActivationStart {
            id,
            workflow,
            version,
            begun_at,
            now,
            entries,
            is_ending,
            is_check,
            attributes,
        } = activation;
        let numbers = entries.iter().filter_map(|entry| entry.number);
        let next_number = numbers.max().unwrap_or(0) + 1;
        let bytes = entries.iter().map(JournalEntry::bytes).sum();
        let unvisited =
            entries.iter().filter(|entry| entry.is_finished() && !entry.is_compensation()).count();
        let progress = Progress {
            journal: JournalIndex::of(entries),
            visited: HashSet::new(),
            unvisited,
            next_number,
            bytes,
            reserved: 0,
            divergence: None,
            failure: None,
            goes_on_with: None,
            compensations: Vec::new(),
            waits: BTreeMap::new(),
            due_at: None,
            left_at: None,
            attributes: attributes.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
            claimed_events: Vec::new(),
        };
        let slot = MergeSlot::new();
        slot.put(|value| *value = Some(progress));
        Arc::new(Self {
            id,
            workflow,
            version,
            store,
            root: Branch::root(begun_at),
            now,
            activated: Instant::now(),
            is_ending,
            is_check,
            is_stopping: AtomicBool::new(false),
            executing: AtomicUsize::new(0),
            blocked: AtomicUsize::new(0),
            progress: slot,
            arrivals: watch::Sender::new(0),
            attempts: RunAttempts::default(),
        })
    }

    /// The branch of the function itself.
    pub fn root(&self) -> &Arc<Branch> {
        &self.root
    }

    /// When the last step of the present branch ended.
    pub(crate) fn now_in_branch(&self) -> Timestamp {
        Branch::current().map_or_else(|_| self.root.now(), |branch| branch.now())
    }

    /// Something may have come that a step waits for.
    pub fn wake(&self) {
        self.arrivals.send_modify(|count| *count += 1);
    }

    /// True when every step that the function awaits can do nothing but wait.
    pub fn is_idle(&self) -> bool {
        self.executing.load(Acquire) == 0 && self.blocked.load(Acquire) > 0
    }

    /// The function leaves with the waits that it has now; they end when it is dropped.
    pub fn leave(&self) {
        let seen = *self.arrivals.borrow();
        self.with(|progress| {
            progress.due_at = progress.waits.values().copied().flatten().min();
            progress.left_at = Some(seen);
        });
    }

    /// True when something has come since the function has left, which its waits have not looked at.
    pub fn has_missed(&self) -> bool {
        let left_at = self.with(|progress| progress.left_at);
        left_at.is_some_and(|seen| *self.arrivals.borrow() != seen)
    }

    /// Notes how the code differs from what the run has received, unless it differs already.
    pub(in crate::app) fn diverge(&self, divergence: Divergence) {
        self.with(|progress| {
            progress.divergence.get_or_insert(divergence);
        });
    }

    /// Whether the code differs from the journal.
    pub fn has_diverged(&self) -> bool {
        self.with(|progress| progress.divergence.is_some())
    }

    /// Lets the function fail for this reason at once, in place of the step that it waits for.
    pub(in crate::app) fn fail(&self, fault: Fault) {
        self.with(|progress| progress.failure = Some(fault));
    }

    /// Why the function fails at once.
    pub fn take_failure(&self) -> Option<Fault> {
        self.with(|progress| progress.failure.take())
    }

    /// The step with which the code of a check goes on behind its journal.
    pub fn goes_on_with(&self) -> Option<String> {
        self.with(|progress| progress.goes_on_with.clone())
    }

    /// True while the code repeats what the journal holds.
    pub(in crate::app) fn is_replaying(&self) -> bool {
        self.is_check || self.is_ending || self.with(|progress| progress.unvisited > 0)
    }

    /// How far the activation has come. With `is_over` the function has ended, and must have asked for every
    /// step of the journal.
    pub fn progress(&self, is_over: bool) -> RunProgress {
        self.with(|progress| {
            if is_over && progress.divergence.is_none() {
                progress.divergence = progress.journal.unvisited(&progress.visited);
            }
            RunProgress {
                divergence: progress.divergence.clone(),
                due_at: progress.due_at,
                steps: progress.journal.len(),
                journal_bytes: progress.bytes,
            }
        })
    }

    /// Lets the function begin nothing new: what is under way ends, and then the function leaves.
    pub fn stop(&self) {
        self.is_stopping.store(true, Release);
        self.wake();
    }

    /// What closes the steps that have begun and end no more, of those whose positions begin with `prefix`.
    pub fn open_steps(&self, prefix: &str) -> Vec<StepRow> {
        let is_open = |entry: &&JournalEntry| {
            !entry.is_finished()
                && entry.status != StepStatus::Abandoned
                && entry.position.starts_with(prefix)
        };
        self.with(|progress| progress.journal.iter().filter(is_open).map(StepRow::abandoned).collect())
    }

    /// Whether a completed step has something to be taken back.
    pub fn has_compensations(&self) -> bool {
        self.with(|progress| !progress.compensations.is_empty())
    }

    /// The compensations of the steps that have completed, the last one first, without those that the journal
    /// has as ended.
    pub fn take_compensations(&self) -> Vec<Compensation> {
        self.with(|progress| {
            let mut compensations = std::mem::take(&mut progress.compensations);
            compensations.sort_by_key(|compensation| Reverse(compensation.order));
            let is_open = |compensation: &Compensation| {
                !progress.journal.get(&compensation.position).is_some_and(JournalEntry::is_finished)
            };
            compensations.retain(is_open);
            compensations
        })
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Progress) -> T) -> T {
        self.progress.take_part(|progress| Some(use_it(progress))).expect("the slot is filled at its making")
    }

    /// Notes that a step executes something, until the result is dropped.
    pub(in crate::app) fn executing(&self) -> Counted<'_> {
        self.executing.fetch_add(1, AcqRel);
        Counted(&self.executing)
    }

    /// Notes that a step waits until this moment, until the result is dropped.
    pub(in crate::app) fn waiting<'a>(
        &'a self,
        position: &'a str,
        until: Option<Timestamp>,
    ) -> WaitingStep<'a> {
        self.blocked.fetch_add(1, AcqRel);
        self.with(|progress| progress.waits.insert(position.to_owned(), until));
        WaitingStep { run: self, position, _blocked: Counted(&self.blocked) }
    }

    /// Waits until the run is activated again.
    pub(in crate::app) async fn never<T>(&self) -> T {
        self.blocked.fetch_add(1, AcqRel);
        let _blocked = Counted(&self.blocked);
        std::future::pending().await
    }

    /// True when nothing new may begin.
    pub(in crate::app) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Acquire)
    }

    /// Waits until an attempt at a step may execute. `None` when nothing new may begin any more.
    pub(in crate::app) async fn permit(&self, connection: StepConnection) -> Option<StepPermit> {
        let mut arrivals = self.arrivals();
        let stopped = async {
            // The sender lives in `self`, so waiting for the value cannot fail.
            let _value = arrivals.wait_for(|_| self.is_stopping()).await;
        };
        tokio::select! {
            biased;
            () = stopped => None,
            permit = self.store.permit(connection) => Some(permit),
        }
    }

    pub(in crate::app) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// What the journal says about a step.
    pub(in crate::app) fn find(&self, place: &StepPosition, wanted: StepIdentity<'_>) -> Found {
        let is_passive = self.is_ending || self.is_check || self.is_stopping.load(Acquire);
        self.with(|progress| {
            if progress.divergence.is_some() {
                return Found::Never;
            }
            let is_first = progress.visited.insert(place.position.clone());
            match progress.journal.find(&place.position, wanted) {
                Err(divergence) => {
                    progress.divergence = Some(divergence);
                    Found::Never
                }
                Ok(Some(entry)) if entry.is_finished() => {
                    let entry = entry.clone();
                    if is_first {
                        progress.unvisited = progress.unvisited.saturating_sub(1);
                    }
                    Found::Ended(entry)
                }
                Ok(Some(entry)) if entry.status == StepStatus::Abandoned => Found::Never,
                Ok(_) if is_passive => {
                    if self.is_check && progress.goes_on_with.is_none() {
                        let (position, StepIdentity { name, kind, .. }) = (&place.position, wanted);
                        progress.goes_on_with = Some(format!("step {position} `{name}` ({})", kind.as_str()));
                    }
                    Found::Never
                }
                Ok(Some(entry)) => Found::Open(entry.clone()),
                Ok(None) => Found::New,
            }
        })
    }

    /// The number of the step that ends now.
    pub(in crate::app) fn next_number(&self) -> u32 {
        self.with(|progress| {
            let number = progress.next_number;
            progress.next_number += 1;
            number
        })
    }

    /// Whether one more step may be recorded.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when the journal has reached a limit.
    pub(in crate::app) fn check_bounds(&self) -> Result<()> {
        let (steps, bytes) = self.with(|progress| (progress.journal.len(), progress.bytes));
        let which = match (steps >= STEPS_MAX, bytes >= JOURNAL_BYTES_MAX) {
            (false, false) => return Ok(()),
            (true, _) => format!("{STEPS_MAX} steps"),
            (false, true) => format!("{} MiB", JOURNAL_BYTES_MAX / (1024 * 1024)),
        };
        let text = format!("the journal of this run has reached its limit of {which}");
        Err(Fault::new(Code::PayloadTooLarge, text)
            .with_help("end the run with `ctx.continue_as_new(..)`, which begins a new journal")
            .without_retry())
    }

    /// Reserves bytes of the journal for a result that is about to be recorded.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when the journal would have more bytes than it may.
    pub(in crate::app) fn reserve(self: &Arc<Self>, bytes: usize) -> Result<ReservedBytes> {
        let fits = self.with(|progress| {
            let fits = progress.bytes + progress.reserved + bytes <= JOURNAL_BYTES_MAX;
            progress.reserved += if fits { bytes } else { 0 };
            fits
        });
        if fits {
            return Ok(ReservedBytes { run: Arc::clone(self), bytes });
        }
        let most = JOURNAL_BYTES_MAX / (1024 * 1024);
        let text = format!(
            "this result of {bytes} bytes does not fit into the journal of the run, which has {most} MiB at \
             most"
        );
        Err(Fault::new(Code::PayloadTooLarge, text)
            .with_help("keep what is large in a table or a file, and return its id")
            .without_retry())
    }

    /// Writes a row of the journal. What it returns is known here afterwards.
    pub(in crate::app) async fn record(&self, row: StepRow) -> Result<Recorded> {
        let entry = entry_of(&row);
        let bytes = row.output.as_ref().map_or(0, String::len) + row.error.as_ref().map_or(0, String::len);
        let recorded = self.store.record(row).await?;
        self.note(entry, bytes, recorded);
        Ok(recorded)
    }

    /// Notes a row that was written by other means than [`record`](Self::record).
    pub(in crate::app) fn note(&self, mut entry: JournalEntry, bytes: usize, recorded: Recorded) {
        entry.finished_at = recorded.finished_at;
        entry.due_at = recorded.due_at;
        self.with(|progress| {
            progress.bytes += bytes;
            progress.visited.insert(entry.position.clone());
            progress.journal.put(entry);
        });
    }

    pub(in crate::app) fn add_compensation(&self, compensation: Compensation) {
        self.with(|progress| progress.compensations.push(compensation));
    }

    /// The number of the last step that has ended, and how many compensations were registered.
    pub(in crate::app) fn compensation_order(&self) -> (u32, usize) {
        self.with(|progress| (progress.next_number - 1, progress.compensations.len()))
    }

    /// Sets an attribute; the text of all of them. `None` when that has more bytes than `bytes_max`: then
    /// nothing is changed.
    pub(in crate::app) fn set_attribute(
        &self,
        name: &str,
        value: serde_json::Value,
        bytes_max: usize,
    ) -> Option<String> {
        self.with(|progress| {
            let mut attributes = progress.attributes.clone();
            attributes.insert(name.to_owned(), value);
            let text = serde_json::to_string(&attributes).ok().filter(|text| text.len() <= bytes_max)?;
            progress.attributes = attributes;
            Some(text)
        })
    }

    /// The moment of the database's clock at which a wait is over that ends at `moment` of the run's clock: a
    /// hundred years from now at most, and none before 1970.
    pub(in crate::app) fn due_at(&self, moment: Timestamp) -> Timestamp {
        let passed = self.store.time_passed();
        let moment = moment.max(Timestamp::UNIX_EPOCH + passed) - passed;
        moment.min(self.now + WAIT_MAX)
    }

    /// How long from now until this moment of the database's clock.
    pub(in crate::app) fn time_until(&self, moment: Timestamp) -> Duration {
        let from_claim = (moment - self.now).to_std().unwrap_or_default();
        from_claim.saturating_sub(self.activated.elapsed())
    }

    /// Events that waits of this activation have taken.
    pub(in crate::app) fn claimed_events(&self) -> Vec<i64> {
        self.with(|progress| progress.claimed_events.clone())
    }

    /// Takes an event for a wait; `None` when another wait of this activation has it. A wait that is dropped
    /// before it has recorded the event leaves it to others.
    pub(in crate::app) fn claim_event(&self, event: i64) -> Option<ClaimedEvent<'_>> {
        self.with(|progress| {
            let is_new = !progress.claimed_events.contains(&event);
            if is_new {
                progress.claimed_events.push(event);
            }
            is_new.then_some(ClaimedEvent { run: self, event: Some(event) })
        })
    }

    /// The row of the journal at a position.
    pub(in crate::app) fn with_entry(&self, position: &str) -> Option<JournalEntry> {
        self.with(|progress| progress.journal.get(position).cloned())
    }
}

/// The row of a step as the journal in memory keeps it: without its result, which its future has.
pub(in crate::app) fn entry_of(row: &StepRow) -> JournalEntry {
    JournalEntry {
        position: row.position.clone(),
        kind: row.kind,
        status: row.status,
        name: row.name.clone(),
        shape: row.shape,
        attempts: row.attempts,
        number: row.number,
        output: None,
        error: None,
        finished_at: None,
        due_at: None,
        awaits: row.awaits,
        stored_at: None,
    }
}
