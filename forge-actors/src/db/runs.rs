//! Several runs of reads on one snapshot, one after the other; for each run Postgres reports which relations
//! it read.
//!
//! ```text
//!   snapshot ── SAVEPOINT ── run ── read its locks, ROLLBACK TO ── run ── read its locks, ROLLBACK TO ── …
//! ```
//!
//! The relations that a run read are those that Postgres locked for it, whatever the text of its statements:
//! views, functions, policies, dynamic SQL and cached plans take their locks anew each time. Rolling back to
//! the savepoint frees these locks, so that the locks of the next run are its own, and repairs a transaction
//! that a run made fail. One part of a run escapes: a part that was itself rolled back (an exception block, a
//! failed nested call) has lost its locks before they are read, and shows only in the backend's scan
//! counters, which no rollback resets. Therefore locks and counters are both read, in the round trip that
//! ends the run.
//!
//! A run that failed in Postgres has lost its locks too. Its read set then names only the relations that it
//! scanned, and [`ReadSet::complete`] is false.
//!
//! A snapshot does not show every relation as it was. Postgres finds the file, the name and the partitions of
//! a relation in the newest catalog, whatever the snapshot: after a TRUNCATE, an ALTER TYPE or a REFRESH that
//! committed since, a run reads a table that is empty although it never was; after a DETACH it misses rows;
//! after two renames it reads another table. [`Runs::rewritten`] tells such relations. A run's locks do not
//! keep them off, since they are freed when the run ends, and the first lock is taken after the snapshot.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::kernel::fault::Fault;

use super::error::no_answer;
use super::frame::{EndedRun, Frame, ParentLock};
use super::handle::Db;
use super::live_snapshot::RewrittenRelation;
use super::transaction::Transaction;

const READS: &str = include_str!("sql/read_reads.sql");
const CHECK_RELATIONS: &str = include_str!("sql/check_relations.sql");
const FIND_REWRITTEN: &str = include_str!("sql/find_rewritten.sql");
/// Relations with smaller ids are the server's own (`FirstNormalObjectId`).
const USER_RELATION_MIN: u32 = 16_384;
/// Time for a statement that a run left behind to end; after it the snapshot is given up.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The watched relations that were scanned, each with its scan count.
type Scans = Vec<(u32, i64)>;

/// The relations that one run read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// Relations by `oid`: tables, indexes, views, sequences, catalogs.
    pub relations: BTreeSet<u32>,
    /// False when a failure had rolled the run back before its locks were read, so that `relations` may lack
    /// some.
    pub complete: bool,
    /// True when a statement waited for a lock for longer than the transaction's limit.
    pub lock_timed_out: bool,
}

/// A snapshot divided into runs.
#[derive(Debug)]
#[must_use = "close it, or its session is discarded"]
pub struct Runs {
    /// The frame of the current run.
    frame: Arc<Frame>,
    /// The transaction's own statements wait until the runs are over.
    parent_lock: ParentLock,
    transaction: Transaction,
    /// Relations that were locked before the first run, and are not what the runs read: those with which the
    /// changes were read.
    before: BTreeSet<u32>,
    /// The scan counts of the watched relations at the end of the run before.
    scanned: HashMap<u32, i64>,
}

impl Runs {
    /// Divides the following statements of `transaction` into runs. `watched` are the relations whose scans
    /// are counted: user tables and indexes. User tables that the transaction locked before its snapshot
    /// count as read by every run, since a lock does not tell who took it.
    ///
    /// # Errors
    /// When the transaction has failed or ended, or the database does not answer.
    pub async fn begin(transaction: Transaction, watched: &[u32]) -> Result<Self, Fault> {
        let watched: Vec<String> = watched.iter().map(u32::to_string).collect();
        let sql = format!(
            "SELECT set_config('forge.watched', '{{{}}}', true); {READS}; SAVEPOINT forge_1",
            watched.join(",")
        );
        let (frame, parent_lock, rows) = transaction.root().first_run(sql).await?;
        let (mut before, scanned) = reads(rows.last())?;
        for table in transaction.locked_tables() {
            before.remove(table);
        }
        Ok(Self { frame, parent_lock, transaction, before, scanned: scanned.into_iter().collect() })
    }

    /// The handle for the current run's statements. It is closed when the run ends: tasks that the run left
    /// behind cannot send statements into the next run.
    pub fn db(&self) -> Db {
        Db::framed(Arc::clone(&self.frame))
    }

    /// Ends the current run, also one whose future was dropped half-way, rolls it back, and returns the
    /// relations that it read.
    ///
    /// # Errors
    /// Any error means that the snapshot is lost.
    pub async fn end_run(&mut self) -> Result<ReadSet, Fault> {
        if self.frame.is_busy() {
            self.cancel_abandoned_statement().await?;
        }
        let ending = tokio::time::timeout(END_TIMEOUT, self.frame.next_run(READS)).await;
        let EndedRun { next, rows, failed, is_stale, lock_timed_out } =
            ending.map_err(|_| no_answer(END_TIMEOUT))??;
        self.frame = next;
        if is_stale {
            return Err(Fault::internal("the schema changed under what the session had prepared"));
        }
        let (mut relations, scanned) = reads(rows.last())?;
        relations.retain(|relation| !self.before.contains(relation));
        for (relation, count) in scanned {
            if self.scanned.insert(relation, count).unwrap_or(0) < count {
                relations.insert(relation);
            }
        }
        Ok(ReadSet { relations, complete: !failed, lock_timed_out })
    }

    /// Which of `relations` the snapshot no longer shows as they were. Called when the runs that read them
    /// have ended: a relation that was whole then is whole in their results.
    ///
    /// # Errors
    /// Any error means that the snapshot is lost.
    pub async fn rewritten(&mut self, relations: &BTreeSet<u32>) -> Result<Vec<RewrittenRelation>, Fault> {
        let mut unknown: BTreeSet<u32> = relations.range(USER_RELATION_MIN..).copied().collect();
        let mut rewritten = Vec::new();
        for row in self.query_for(CHECK_RELATIONS, &unknown).await? {
            let relation = rewritten_relation(&row)?;
            if !row.try_get::<bool, _>("parent")? {
                unknown.remove(&relation.id);
            }
            if row.try_get("rewritten")? {
                unknown.remove(&relation.id);
                rewritten.push(relation);
            }
        }
        for row in self.query_for(FIND_REWRITTEN, &unknown).await? {
            rewritten.push(rewritten_relation(&row)?);
        }
        Ok(rewritten)
    }

    /// Runs a statement about relations, `$1` of its text, as a run of its own.
    async fn query_for(&mut self, sql: &str, relations: &BTreeSet<u32>) -> Result<Vec<PgRow>, Fault> {
        if relations.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = relations.iter().map(u32::to_string).collect();
        let sql = sql.replace("$1", &format!("'{{{}}}'", ids.join(",")));
        let ending = tokio::time::timeout(END_TIMEOUT, self.frame.next_run(&sql)).await;
        let EndedRun { next, rows, .. } = ending.map_err(|_| no_answer(END_TIMEOUT))??;
        self.frame = next;
        Ok(rows)
    }

    /// Ends the transaction.
    pub async fn close(self) {
        self.frame.close();
        drop(self.parent_lock);
        self.transaction.rollback().await;
    }

    /// Cancels the statement of a run whose future was dropped.
    async fn cancel_abandoned_statement(&self) -> Result<(), Fault> {
        self.transaction.cancel_statement().await?;
        let drained = tokio::time::timeout(END_TIMEOUT, self.frame.drain()).await;
        Ok(drained.map_err(|_| no_answer(END_TIMEOUT))??)
    }
}

/// Reads the answer to [`READS`]: the locked relations, and the scan counts of the watched ones.
fn reads(row: Option<&PgRow>) -> Result<(BTreeSet<u32>, Scans), Fault> {
    let row = row.ok_or_else(|| Fault::internal("Postgres did not answer which relations were read"))?;
    let text = |column: &str| row.try_get::<Option<String>, _>(column).map(Option::unwrap_or_default);
    let (locked, scanned) = (text("locked")?, text("scanned")?);
    let parse = || {
        let locked = words(&locked).map(|oid| oid.parse().ok()).collect::<Option<_>>()?;
        let count = |entry: &str| {
            entry.split_once(':').and_then(|(oid, count)| Some((oid.parse().ok()?, count.parse().ok()?)))
        };
        Some((locked, words(&scanned).map(count).collect::<Option<_>>()?))
    };
    parse().ok_or_else(|| {
        Fault::internal(format!("the answer with the relations read is malformed: {locked} {scanned}"))
    })
}

fn rewritten_relation(row: &PgRow) -> Result<RewrittenRelation, Fault> {
    let id: i64 = row.try_get("id")?;
    Ok(RewrittenRelation { id: u32::try_from(id).map_err(Fault::internal)?, table: row.try_get("name")? })
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|word| !word.is_empty())
}
