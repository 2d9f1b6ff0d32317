//! The settler runs on the leader of [`JOB_SETTLEMENT`]. It copies the states of followed jobs into their
//! progress, and records ends of jobs for the jobs that wait for them, where the node that ended the job did
//! not: it crashed, it runs an older version, or one statement changed many jobs. Each check reads a bounded
//! part and keeps a cursor.
//!
//! ```text
//!                      nothing is open          15 s, or a sign
//!   checks every 2 s ─────────────────▶ idle ─────────────────────▶ checks every 2 s
//! ```
//!
//! Something is open while a followed job is not finished, or a job waits for jobs: only then an end can be
//! missed. The signs are a new term, a change of the table of progress (a client follows a job), and leases
//! of a lost node that the rescuer of this node has seen. A run first reads the signs, which are in memory;
//! it sends statements only when a check is due.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::watch;

use super::dependencies::{self, DependencyPlace};
use super::paths::SETTLER;
use super::shared::JobShared;
use super::store::sync_progress;
use crate::change::{Hint, HintReceiver, InterestOf, TopicKind, TopicSet};
use crate::db::transaction::Transaction;
use crate::kernel::commit::TableId;
use crate::kernel::fault::Fault;
use crate::kernel::halving::write_by_halves;
use crate::kernel::ids::JobId;
use crate::kernel::time::secs;
use crate::leader::{Leadership, Term};
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Its leader records ends that were missed. Nodes with the role `worker` stand for it. It is not that of
/// the other duties of jobs: a node of the version before, which may lead them during an upgrade, settles
/// nothing.
pub const JOB_SETTLEMENT: Leadership = Leadership::new("job_ends");
/// Between two runs, and between two checks while something is open.
const INTERVAL: Duration = secs(2);
/// Between two checks while nothing is open.
const IDLE_INTERVAL: Duration = secs(15);
/// Longest time of one statement.
const STATEMENT_TIMEOUT: Duration = secs(5);

pub(super) struct Settler {
    shared: Arc<JobShared>,
    /// Where the last check of progress ended.
    progress: Option<JobId>,
    /// Where the last check of dependencies ended.
    dependencies: Option<DependencyPlace>,
    /// The term of the last run.
    term: Option<Term>,
    pace: SettlerPace,
    /// Tables that have changed since the last run.
    hints: HintReceiver,
    /// The table of progress, once it is known.
    table: Option<TableId>,
}

/// When the settler checks.
#[derive(Debug, Default)]
pub(super) struct SettlerPace {
    /// Set when nothing was open at the last check: until then the settler checks only after a sign. `None`
    /// while something is open, and after a check that failed.
    idle_until: Option<Instant>,
}

impl SettlerPace {
    /// Whether a run checks. `has_sign`: an end may have been missed since the last run.
    pub(super) fn take_due(&mut self, now: Instant, has_sign: bool) -> bool {
        let is_due = has_sign || self.idle_until.is_none_or(|until| now >= until);
        if is_due {
            self.idle_until = None;
        }
        is_due
    }

    /// A check has succeeded. `is_open`: an end can be missed.
    pub(super) fn checked(&mut self, now: Instant, is_open: bool) {
        self.idle_until = (!is_open).then(|| now + IDLE_INTERVAL);
    }
}

impl Settler {
    pub(super) fn spec(shared: Arc<JobShared>, terms: watch::Receiver<Option<Term>>) -> ChildSpec {
        let make = move || Self {
            hints: shared.hints.subscribe(TopicKind::Tables),
            shared: Arc::clone(&shared),
            progress: None,
            dependencies: None,
            term: None,
            pace: SettlerPace::default(),
            table: None,
        };
        ChildSpec::elected(SETTLER.id(), Schedule::every(INTERVAL), terms, make).0
    }
}

impl Duty for Settler {
    type Term = Term;
    const KIND: &'static str = "settler";

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        let has_sign = self.take_sign(&term);
        if !self.pace.take_due(Instant::now(), has_sign) {
            return Ok(RunReport::NOTHING);
        }
        self.check(&term).await
    }
}

impl Settler {
    /// True when an end may have been missed since the last run, although nothing was open before.
    fn take_sign(&mut self, term: &Term) -> bool {
        let is_new = self.term.replace(term.clone()).is_none_or(|last| last != *term);
        // Taken in each run, also when the table is not known yet: old hints are no signs later.
        let hint = self.hints.next().now_or_never();
        let is_followed = self.table.is_some_and(|table| {
            hint.is_some_and(|hint| hint.topics.tables().any(|changed| changed == table))
        });
        let has_lost_node = self.shared.has_lost_node.swap(false, Ordering::AcqRel);
        is_new || is_followed || has_lost_node
    }

    async fn check(&mut self, term: &Term) -> Result<RunReport, Fault> {
        let transaction = self.begin(term).await?;
        let (store, db) = (&self.shared.store, transaction.db());
        let unsettled = store.find_unsettled(&db, self.progress).await?;
        sync_progress(&db, &unsettled.jobs).await?;
        if !unsettled.gone.is_empty() {
            store.delete_progress(&db, &unsettled.gone).await?;
        }
        let missed = dependencies::find_missed(&db, self.dependencies).await?;
        let woken = dependencies::wake(&db, &missed.stranded).await?;
        let receipt = transaction.commit().await?;
        self.progress = unsettled.next;
        self.shared.hints.publish(Hint::of_commit(receipt, woken));
        let ended: Vec<JobId> = missed.jobs.iter().chain(&missed.parents).copied().collect();
        self.record_ends(term, &ended).await?;
        self.dependencies = missed.next;
        if self.table != unsettled.table {
            self.table = unsettled.table;
            // Stays declared after the term: a node that has led once may lead again.
            self.shared.hints.set_interest(InterestOf::Settler, TopicSet::from_iter(self.table));
        }
        self.pace.checked(Instant::now(), unsettled.is_open || missed.is_open);
        Ok(RunReport::handled((unsettled.jobs.len() + unsettled.gone.len() + ended.len()) as u64))
    }

    /// Records how these jobs have ended for the jobs that wait for them. What the database refuses holds up
    /// no other job.
    async fn record_ends(&self, term: &Term, ended: &[JobId]) -> Result<(), Fault> {
        let settle = |part: Range<usize>| self.settle(term, &ended[part]);
        let batch = write_by_halves(ended.len(), settle).await?;
        dependencies::log_refused(ended, &batch.refused);
        batch.written.into_iter().for_each(|hint| self.shared.hints.publish(hint));
        Ok(())
    }

    async fn settle(&self, term: &Term, ended: &[JobId]) -> Result<Hint, Fault> {
        let transaction = self.begin(term).await?;
        let settled = dependencies::settle(&transaction.db(), ended).await?;
        let receipt = transaction.commit().await?;
        Ok(Hint::of_commit(receipt, settled.queues))
    }

    async fn begin(&self, term: &Term) -> Result<Transaction, Fault> {
        Ok(term.begin(&self.shared.database, JOB_SETTLEMENT.name(), STATEMENT_TIMEOUT).await?)
    }
}
