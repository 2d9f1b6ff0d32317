//! The duty that deletes old rows of a table in batches, on the leader.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

use super::term::Term;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::time::secs;
use crate::subsystem::ActorPath;
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Pause after a full batch: one node deletes what all nodes insert.
const PAUSE: Duration = secs(1);
/// Longest time of one batch.
const STATEMENT_TIMEOUT: Duration = secs(5);

/// The rows of a table that are deleted when they are old.
pub trait OldRows: Clone + Send + Sync + 'static {
    /// Names the duty: the kind of its actor, the label of its metrics, and its transactions in
    /// `pg_stat_activity`.
    const KIND: &'static str;
    /// Time between two runs.
    const INTERVAL: Duration;
    /// Rows that one batch deletes at most; `u32::MAX` when a batch is all of them.
    const BATCH_MAX: u32;

    /// Deletes a batch through `db`. Returns the number of rows.
    fn delete(&self, db: &Db) -> impl Future<Output = Result<u64, Fault>> + Send;

    /// Notes that a batch of so many rows is committed. One whose commit failed is deleted again.
    fn committed(&self, _deleted: u64) {}
}

/// The child at `path` that deletes `rows`, idle until `terms` has a term of this node.
pub fn expiry<R: OldRows>(
    path: &ActorPath,
    database: Database,
    terms: watch::Receiver<Option<Term>>,
    rows: R,
) -> ChildSpec {
    let make = move || Expiry { database: database.clone(), rows: rows.clone() };
    ChildSpec::elected(path.id(), Schedule::every(R::INTERVAL), terms, make).0
}

struct Expiry<R> {
    database: Database,
    rows: R,
}

impl<R: OldRows> Duty for Expiry<R> {
    type Term = Term;
    const KIND: &'static str = R::KIND;

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        let transaction = term.begin(&self.database, R::KIND, STATEMENT_TIMEOUT).await?;
        let deleted = self.rows.delete(&transaction.db()).await?;
        transaction.commit().await?;
        self.rows.committed(deleted);
        Ok(RunReport::batch(deleted, R::BATCH_MAX, PAUSE))
    }
}
