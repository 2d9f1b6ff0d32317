//! What ticks and batches do in the database. A tick opens a snapshot and reads the changes in it, runs
//! queries in it, and closes it; a batch does the same in the snapshot that a tick has exported. `state.rs`
//! decides what happens in between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::app::context::Observed;
use crate::change::{ChangeSet, Changed, Tail};
use crate::db::database::Database;
use crate::db::live_snapshot::{ExportedSnapshot, LiveSnapshot, RewrittenRelation};
use crate::db::runs::{ReadSet, Runs};
use crate::db::transaction::Transaction;
use crate::function::{Functions, LiveLimits};
use crate::kernel::byte_budget::{BudgetFull, ByteBudget, Charge};
use crate::kernel::commit::TableId;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Invocation, is_system};
use crate::kernel::time::{millis, secs};
use crate::kernel::trace::TraceContext;

use super::config::ReactivityConfig;
use super::delivery::QueryResult;
use super::query_key::GroupId;
use super::relations::{ReadTables, Relations, locked_tables};
use super::share_key::ShareKey;
use super::signals;

/// Pause between two attempts of a query whose run was `OVERLOADED`: no memory for its result, or another
/// limit.
pub(super) const OVERLOADED_PAUSE: Duration = secs(2);
/// Time limit for a session, its snapshot and the changes in it.
const OPEN_TIMEOUT: Duration = secs(10);
/// Time limit for a session that imports the snapshot of a tick, whose end waits for it.
const IMPORT_TIMEOUT: Duration = secs(2);
/// How much later than the time limit of a query Postgres cuts a statement by itself.
const STATEMENT_GRACE: Duration = secs(1);
/// Longest wait of a tick for a lock. All live queries wait with it.
const TICK_LOCK_TIMEOUT: Duration = millis(100);
/// Longest wait of a batch for a lock.
const BATCH_LOCK_TIMEOUT: Duration = secs(1);
/// Longest wait of a query in a tick for a thread. All live queries wait with it.
pub(super) const TICK_THREAD_WAIT_MAX: Duration = millis(100);
/// Longest wait of a query in a batch for a thread. The lane is taken meanwhile.
pub(super) const BATCH_THREAD_WAIT_MAX: Duration = secs(2);
/// Rewritten relations that are locked before the next snapshot; there are more only while a whole
/// schema is rewritten.
pub(super) const LOCKED_MAX: usize = 16;

/// Runs queries in snapshots of the database.
pub(super) struct QueryExecutor {
    pub(super) functions: Functions,
    pub(super) database: Database,
    pub(super) config: ReactivityConfig,
    /// The memory budget of all results: those of the groups, and those that wait for clients.
    pub(super) results: Arc<ByteBudget<Arc<ShareKey>>>,
}

/// An open snapshot and the changes that it contains.
pub(super) struct OpenedTick {
    pub(super) transaction: SnapshotTransaction,
    /// The tables that are locked in the transaction.
    pub(super) locked: Vec<RewrittenRelation>,
    pub(super) tail: Tail,
    pub(super) changes: ChangeSet,
    /// Loaded when definitions may have changed.
    pub(super) relations: Option<Relations>,
}

/// The transaction of a tick or a batch: all of its queries read one snapshot.
pub(super) enum SnapshotTransaction {
    /// No query has run in the transaction yet.
    Unused(Transaction),
    /// The transaction is divided into runs.
    Divided(Runs),
}

/// The next run of a group.
#[derive(Debug)]
pub(super) struct QueryRun {
    pub(super) group: GroupId,
    pub(super) invocation: Invocation,
    /// Whose part of the memory the result may take: the first that has enough left.
    pub(super) shares: Vec<Arc<ShareKey>>,
    /// The result of the run before.
    pub(super) former: Option<Arc<QueryResult>>,
}

/// A run that has ended.
#[derive(Debug)]
pub(super) struct FinishedRun {
    pub(super) group: GroupId,
    pub(super) handler: Arc<str>,
    pub(super) result: Arc<QueryResult>,
    /// What of its caller the run has read.
    pub(super) observed: Observed,
    pub(super) reads: ReadTables,
    /// False when a failed statement hid a part of the reads.
    pub(super) complete: bool,
    pub(super) took: Duration,
    pub(super) end: RunEnd,
}

/// How a run ended, apart from its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// The result is that of the snapshot.
    Whole,
    /// A relation that the run read was rewritten since the snapshot: the result is of a state that never
    /// was.
    Torn,
    /// The run took longer than a run in a tick may take; there is no result.
    TimedOut,
    /// A statement waited for a lock for too long; the result is an error that says so.
    Locked,
    /// No thread was free for the handler, so it has not run; the result is an error that says so.
    NoThread,
}

/// Runs that have ended in one snapshot.
pub(super) struct FinishedRuns {
    pub(super) transaction: SnapshotTransaction,
    pub(super) relations: Arc<Relations>,
    pub(super) report: RunsReport,
    /// What was found rewritten since the snapshot.
    pub(super) rewritten: Vec<RewrittenRelation>,
}

/// How the runs of one round have ended.
#[derive(Debug, Default)]
pub(super) struct RunsReport {
    pub(super) finished: Vec<FinishedRun>,
    /// Those that did not run, because one before them waited for a lock.
    pub(super) unrun: Vec<GroupId>,
    /// The tables that others had locked then.
    pub(super) locked: BTreeSet<TableId>,
}

impl FinishedRun {
    /// The run of a group that reads a locked table.
    pub(super) fn locked(group: GroupId, handler: &Arc<str>) -> Self {
        Self {
            group,
            handler: Arc::clone(handler),
            result: Arc::new(QueryResult::new(Err(locked_fault()), TraceContext::new_root())),
            observed: Observed::Nothing,
            reads: ReadTables::default(),
            complete: false,
            took: Duration::ZERO,
            end: RunEnd::Locked,
        }
    }

    /// The run of a group after another one that got no thread: both would wait for the same threads.
    pub(super) fn without_thread(group: GroupId, handler: &Arc<str>) -> Self {
        let fault = Fault::new(Code::Overloaded, "no thread of the node was free for the query");
        let result = Arc::new(QueryResult::new(Err(fault), TraceContext::new_root()));
        Self { result, end: RunEnd::NoThread, ..Self::locked(group, handler) }
    }
}

/// The snapshot of a tick or a batch is lost.
pub(super) struct LostSnapshot {
    pub(super) fault: Fault,
    /// The group whose query was running.
    pub(super) during: Option<GroupId>,
}

impl From<Fault> for LostSnapshot {
    fn from(fault: Fault) -> Self {
        Self { fault, during: None }
    }
}

impl QueryExecutor {
    /// Opens a snapshot and reads the changes in it. `reload_relations` loads the relations anew, also when
    /// no definition changed. `rewritten` was rewritten under an earlier snapshot, and is locked before this
    /// one is taken, so that this one shows it as it is.
    pub(super) async fn open(
        &self,
        mut tail: Tail,
        reload_relations: bool,
        rewritten: Vec<RewrittenRelation>,
    ) -> Result<OpenedTick, LostSnapshot> {
        let opening = async {
            let begun = self.begin(None, TICK_LOCK_TIMEOUT, &rewritten).await;
            let (transaction, locked) = match begun {
                Ok(transaction) => (transaction, rewritten),
                // The tables are still being rewritten, or are gone.
                Err(_) if !rewritten.is_empty() => {
                    (self.begin(None, TICK_LOCK_TIMEOUT, &[]).await?, Vec::new())
                }
                Err(fault) => return Err(LostSnapshot::from(fault)),
            };
            let changes = tail.read(&transaction.db()).await?;
            let relations = if reload_relations || changes.changed == Changed::Everything {
                // On another session: the locks of this session have to be those of the queries.
                Some(Relations::load(&self.database.live_reader()).await?)
            } else {
                None
            };
            let transaction = SnapshotTransaction::Unused(transaction);
            Ok(OpenedTick { transaction, locked, tail, changes, relations })
        };
        let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await;
        opened.unwrap_or_else(|_| Err(Fault::new(Code::Timeout, "the database did not answer").into()))
    }

    /// Exports the snapshot of a tick in which nothing has run yet.
    pub(super) async fn export(
        &self,
        transaction: &SnapshotTransaction,
    ) -> Result<ExportedSnapshot, LostSnapshot> {
        match transaction {
            SnapshotTransaction::Unused(transaction) => Ok(transaction.export_snapshot().await?),
            SnapshotTransaction::Divided(_) => Err(Fault::internal("the snapshot is divided already").into()),
        }
    }

    /// Opens a batch in the snapshot that a tick has exported, with the locks of the tick.
    pub(super) async fn import(
        &self,
        exported: &ExportedSnapshot,
        locked: &[RewrittenRelation],
    ) -> Result<SnapshotTransaction, LostSnapshot> {
        let importing = self.begin(Some(exported), BATCH_LOCK_TIMEOUT, locked);
        let imported = tokio::time::timeout(IMPORT_TIMEOUT, importing).await;
        let no_answer = |_| Err(Fault::new(Code::Timeout, "the database did not answer"));
        Ok(SnapshotTransaction::Unused(imported.unwrap_or_else(no_answer)?))
    }

    async fn begin(
        &self,
        imported: Option<&ExportedSnapshot>,
        lock_timeout: Duration,
        locked: &[RewrittenRelation],
    ) -> Result<Transaction, Fault> {
        let statement_timeout = self.config.query_timeout.saturating_add(STATEMENT_GRACE);
        let snapshot = LiveSnapshot { statement_timeout, lock_timeout, imported, locked };
        self.database.live_snapshot(snapshot).await
    }

    /// Runs queries in the transaction of a tick or a batch, one after the other, each within `limits`. After
    /// a run that waited for a lock in vain the others are left: they may wait for the same lock. After one
    /// that waited for a thread in vain, only the node's own are run, which need none.
    pub(super) async fn run(
        &self,
        transaction: SnapshotTransaction,
        mut relations: Arc<Relations>,
        queries: Vec<QueryRun>,
        limits: LiveLimits,
    ) -> Result<FinishedRuns, LostSnapshot> {
        let mut runs = match transaction {
            SnapshotTransaction::Unused(transaction) => Runs::begin(transaction, relations.watched()).await?,
            SnapshotTransaction::Divided(runs) => runs,
        };
        let mut report = RunsReport { finished: Vec::with_capacity(queries.len()), ..RunsReport::default() };
        let mut read_by_run = Vec::with_capacity(queries.len());
        let mut queries = queries.into_iter();
        for query in queries.by_ref() {
            let group = query.group;
            let no_thread = report.finished.iter().any(|run| run.end == RunEnd::NoThread);
            if no_thread && !is_system(&query.invocation.name) {
                report.finished.push(FinishedRun::without_thread(group, &query.invocation.name));
                read_by_run.push((group, BTreeSet::new()));
                continue;
            }
            let (mut run, read) = self.run_one(&mut runs, query, limits).await?;
            if !relations.knows(&read) {
                relations = Arc::new(Relations::load(&self.database.live_reader()).await?);
            }
            run.reads = relations.sort(&read);
            let locked = run.end == RunEnd::Locked;
            report.finished.push(run);
            read_by_run.push((group, read.relations));
            if locked {
                report.locked = locked_tables(&self.database.live_reader()).await?;
                break;
            }
        }
        report.unrun = queries.map(|query| query.group).collect();
        let read: BTreeSet<u32> = read_by_run.iter().flat_map(|(_, read)| read).copied().collect();
        let rewritten = runs.rewritten(&read).await?;
        if !rewritten.is_empty() {
            for (run, (_, read)) in report.finished.iter_mut().zip(&read_by_run) {
                if rewritten.iter().any(|relation| read.contains(&relation.id)) {
                    run.end = RunEnd::Torn;
                }
            }
        }
        Ok(FinishedRuns { transaction: SnapshotTransaction::Divided(runs), relations, report, rewritten })
    }

    async fn run_one(
        &self,
        runs: &mut Runs,
        query: QueryRun,
        limits: LiveLimits,
    ) -> Result<(FinishedRun, ReadSet), LostSnapshot> {
        let QueryRun { group, invocation, shares, former } = query;
        let began = Instant::now();
        let (handler, trace) = (Arc::clone(&invocation.name), invocation.trace);
        let live = self.functions.run_live(invocation, runs.db(), limits).await;
        // A handler that has not run has broken no session.
        let during = live.waited.map(|_| group);
        let read = runs.end_run().await.map_err(|fault| LostSnapshot { fault, during })?;
        let took = began.elapsed().saturating_sub(live.waited.unwrap_or_default());
        let run_max = limits.run_max;
        let end = if live.waited.is_none() {
            RunEnd::NoThread
        } else if read.lock_timed_out {
            RunEnd::Locked
        } else if run_max < self.config.query_timeout && took >= run_max {
            RunEnd::TimedOut
        } else {
            RunEnd::Whole
        };
        let outcome = live.answer.and_then(|body| limit_size(body, self.config.result_bytes_max));
        let outcome = match outcome {
            _ if read.lock_timed_out => Err(locked_fault()),
            // A handler may ignore the failure of a statement. Its output is then based on a part of the
            // data.
            Ok(_) if !read.complete => Err(ignored_failure()),
            outcome => outcome,
        };
        let result = QueryResult::new(outcome, trace);
        let result = self.charge(result, former, &shares, is_system(&handler));
        let (observed, complete) = (live.observed, read.complete && !read.lock_timed_out);
        let reads = ReadTables::default();
        Ok((FinishedRun { group, handler, result, observed, reads, complete, took, end }, read))
    }

    /// Charges the output of a run to the budget, unless the former result is equal and stays. An output for
    /// which there is no memory becomes an error; one of the node's own queries is for administrators, and is
    /// never refused.
    fn charge(
        &self,
        result: QueryResult,
        former: Option<Arc<QueryResult>>,
        shares: &[Arc<ShareKey>],
        system: bool,
    ) -> Arc<QueryResult> {
        if let Some(former) = former.as_ref().filter(|former| former.version == result.version) {
            return Arc::clone(former);
        }
        let Ok(body) = &result.outcome else { return Arc::new(result) };
        let charged = match self.reserve(body.len(), former.as_ref(), shares, system) {
            Ok(charge) => result.charged(charge),
            Err(full) => {
                signals::result_refused();
                QueryResult::new(Err(memory_fault(full)), result.trace)
            }
        };
        Arc::new(charged)
    }

    fn reserve(
        &self,
        bytes: usize,
        former: Option<&Arc<QueryResult>>,
        shares: &[Arc<ShareKey>],
        system: bool,
    ) -> Result<Charge<Arc<ShareKey>>, BudgetFull> {
        // Held by the group and the run alone, it ends when the group gets the new result.
        let ending =
            former.filter(|former| Arc::strong_count(former) <= 2).and_then(|former| former.charge());
        let mut refused = BudgetFull::Node;
        for share in shares {
            let client = self.results.client(Arc::clone(share));
            if system {
                return Ok(client.charge(bytes));
            }
            match client.try_reserve(bytes, ending) {
                Ok(charge) => return Ok(charge),
                Err(full) => refused = full,
            }
        }
        Err(refused)
    }
}

impl SnapshotTransaction {
    /// Ends the transaction and returns its session to the pool.
    pub(super) async fn close(self) {
        match self {
            Self::Unused(transaction) => transaction.rollback().await,
            Self::Divided(runs) => runs.close().await,
        }
    }
}

fn memory_fault(full: BudgetFull) -> Fault {
    let message = match full {
        BudgetFull::Client => "too many live results of this client are in memory",
        BudgetFull::Node => "too many live results of the node are in memory",
    };
    Fault::new(Code::Overloaded, message)
        .with_help("subscribe to less at a time, or raise `reactivity.results_bytes_max`")
        .retry_after(OVERLOADED_PAUSE)
}

fn limit_size(body: Bytes, bytes_max: usize) -> Result<Bytes, Fault> {
    if body.len() <= bytes_max {
        return Ok(body);
    }
    let message = format!("the result has {} bytes, and a live query's has at most {bytes_max}", body.len());
    Err(Fault::new(Code::PayloadTooLarge, message)
        .with_details(serde_json::json!({ "bytesMax": bytes_max }))
        .with_help("return less, for example a page, or raise `reactivity.result_bytes_max`"))
}

/// The result of a query that waits for a lock. The name of the table is not the client's to know.
fn locked_fault() -> Fault {
    Fault::new(Code::Unavailable, "the query waits for a lock in the database, and is tried again")
}

fn ignored_failure() -> Fault {
    Fault::internal("a statement failed and its error was ignored")
}
