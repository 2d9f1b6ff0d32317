//! Several reads of one snapshot, one after the other, each undone as soon as Postgres has said what it read.
//!
//! ```text
//!   snapshot ── SAVEPOINT ── run ── what did it read? ROLLBACK TO ── run ── what did it read? ROLLBACK TO ── …
//! ```
//!
//! What a run read is what Postgres locked for it, whatever its text: views, functions, policies, dynamic SQL
//! and cached plans take their locks anew each time. Rolling back to the savepoint frees these locks, so that
//! the next run's are its own; and it mends a transaction that a run broke. The one hole is a part of a run
//! that was itself rolled back (an exception block, a failed nested call): its locks are gone before anybody
//! can look, and it shows only in the backend's scan counters, which no rollback touches. Hence both are
//! asked, in the round trip that ends the run.
//!
//! A run that failed in Postgres has lost its locks: what is told of it is only what it scanned, and
//! [`ReadSet::whole`] says so.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::OwnedMutexGuard;

use crate::kernel::fault::Fault;

use super::error::no_answer;
use super::frame::{Frame, RunEnd};
use super::handle::Db;
use super::transaction::Transaction;

const READS: &str = include_str!("sql/read_reads.sql");
/// Time for what a run left under way to end; after it the snapshot is given up.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// How much of each watched relation was scanned, as far as any was.
type Scans = Vec<(u32, i64)>;

/// What one run read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// Relations by `oid`: tables, indexes, views, sequences, catalogs.
    pub relations: BTreeSet<u32>,
    /// False when a failure had undone the run before it was looked at, so that `relations` may lack some.
    pub whole: bool,
}

/// A snapshot divided into runs.
#[derive(Debug)]
#[must_use = "close it, or its session is discarded"]
pub struct Runs {
    frame: Arc<Frame>,
    /// The transaction's own statements wait until the runs are over.
    parent: OwnedMutexGuard<()>,
    transaction: Transaction,
    /// Locked before the first run.
    before: BTreeSet<u32>,
    scanned: HashMap<u32, i64>,
}

impl Runs {
    /// Divides what follows in `transaction` into runs. `watched` are the relations whose scans are counted:
    /// user tables and indexes.
    pub async fn begin(transaction: Transaction, watched: &[u32]) -> Result<Self, Fault> {
        let watched: Vec<String> = watched.iter().map(u32::to_string).collect();
        let sql = format!(
            "SELECT set_config('forge.watched', '{{{}}}', true); {READS}; SAVEPOINT forge_1",
            watched.join(",")
        );
        let (frame, parent, rows) = transaction.root().first_run(sql).await?;
        let (before, scanned) = reads(rows.last())?;
        Ok(Self { frame, parent, transaction, before, scanned: scanned.into_iter().collect() })
    }

    /// Where the current run sends its statements. Closed when the run ends: what the run left behind cannot
    /// reach into the next one.
    pub fn db(&self) -> Db {
        Db::framed(Arc::clone(&self.frame))
    }

    /// Ends the current run, also one whose future was dropped half-way, says what it read, and undoes it. An
    /// error means that the snapshot is lost.
    pub async fn end_run(&mut self) -> Result<ReadSet, Fault> {
        if self.frame.is_busy() {
            self.cut().await?;
        }
        let ending = tokio::time::timeout(END_TIMEOUT, self.frame.next_run(READS)).await;
        let RunEnd { next, rows, failed, stale } = ending.map_err(|_| no_answer(END_TIMEOUT))??;
        self.frame = next;
        if stale {
            return Err(Fault::internal("the schema changed under what the session had prepared"));
        }
        let (mut relations, scanned) = reads(rows.last())?;
        relations.retain(|relation| !self.before.contains(relation));
        for (relation, count) in scanned {
            if self.scanned.insert(relation, count).unwrap_or(0) < count {
                relations.insert(relation);
            }
        }
        Ok(ReadSet { relations, whole: !failed })
    }

    /// Ends the transaction.
    pub async fn close(self) {
        self.frame.close();
        drop(self.parent);
        self.transaction.rollback().await;
    }

    /// Cancels the statement that an abandoned run left under way.
    async fn cut(&self) -> Result<(), Fault> {
        self.transaction.database().cancel(self.transaction.pid()).await?;
        let drained = tokio::time::timeout(END_TIMEOUT, self.frame.drain()).await;
        Ok(drained.map_err(|_| no_answer(END_TIMEOUT))??)
    }
}

/// Reads what [`READS`] answered: locked relations, and how much of each watched one was scanned.
fn reads(row: Option<&PgRow>) -> Result<(BTreeSet<u32>, Scans), Fault> {
    let row = row.ok_or_else(|| Fault::internal("Postgres did not say what was read"))?;
    let text = |column: &str| row.try_get::<Option<String>, _>(column).map(Option::unwrap_or_default);
    let (locked, scanned) = (text("locked")?, text("scanned")?);
    let parse = || {
        let locked = words(&locked).map(|oid| oid.parse().ok()).collect::<Option<_>>()?;
        let count = |entry: &str| {
            entry.split_once(':').and_then(|(oid, count)| Some((oid.parse().ok()?, count.parse().ok()?)))
        };
        Some((locked, words(&scanned).map(count).collect::<Option<_>>()?))
    };
    parse()
        .ok_or_else(|| Fault::internal(format!("what was read is not told in numbers: {locked} {scanned}")))
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|word| !word.is_empty())
}
