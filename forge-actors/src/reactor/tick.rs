//! What a tick does in the database: it opens a snapshot and reads the changes in it, runs queries in it,
//! and closes it. `state.rs` decides what happens in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::app::context::Observed;
use crate::change::{Batch, Changed, Tail};
use crate::db::database::Database;
use crate::db::runs::Runs;
use crate::db::transaction::Transaction;
use crate::function::Functions;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;

use super::config::ReactivityConfig;
use super::delivery::QueryResult;
use super::query_key::GroupId;
use super::relations::{ReadTables, Relations};

/// Time limit for a session, its snapshot and the changes in it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How much later than the time limit of a query Postgres cuts a statement by itself.
const STATEMENT_GRACE: Duration = Duration::from_secs(1);

/// Runs queries in snapshots of the database.
pub(super) struct QueryExecutor {
    pub(super) functions: Functions,
    pub(super) database: Database,
    pub(super) config: ReactivityConfig,
}

/// An open snapshot and the changes that it contains.
pub(super) struct OpenedTick {
    pub(super) transaction: TickTransaction,
    pub(super) tail: Tail,
    pub(super) batch: Batch,
    /// Loaded when definitions may have changed.
    pub(super) relations: Option<Relations>,
}

/// The transaction of a tick, whose queries all read one snapshot.
pub(super) enum TickTransaction {
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
}

/// A run that has ended.
#[derive(Debug)]
pub(super) struct FinishedRun {
    pub(super) group: GroupId,
    pub(super) handler: Arc<str>,
    pub(super) result: QueryResult,
    /// What of its caller the run has read.
    pub(super) observed: Observed,
    pub(super) reads: ReadTables,
    /// False when a failed statement hid a part of the reads.
    pub(super) complete: bool,
    pub(super) took: Duration,
}

/// Runs that have ended in one snapshot.
pub(super) struct FinishedRuns {
    pub(super) transaction: TickTransaction,
    pub(super) relations: Arc<Relations>,
    pub(super) finished: Vec<FinishedRun>,
}

/// The snapshot of a tick is lost, and with it the tick.
pub(super) struct LostTick {
    pub(super) fault: Fault,
    /// The group whose query was running.
    pub(super) during: Option<GroupId>,
}

impl From<Fault> for LostTick {
    fn from(fault: Fault) -> Self {
        Self { fault, during: None }
    }
}

impl QueryExecutor {
    /// Opens a snapshot and reads the changes in it. `reload_relations` loads the relations anew, also when
    /// no definition changed.
    pub(super) async fn open(&self, mut tail: Tail, reload_relations: bool) -> Result<OpenedTick, LostTick> {
        let opening = async {
            let statement_timeout = self.config.query_timeout.saturating_add(STATEMENT_GRACE);
            let transaction = self.database.live_snapshot("reactor", statement_timeout).await?;
            let batch = tail.read(&transaction.db()).await?;
            let relations = if reload_relations || batch.changed == Changed::Everything {
                // On another session: the locks of this session have to be those of the queries.
                Some(Relations::load(&self.database.live_reader()).await?)
            } else {
                None
            };
            Ok(OpenedTick { transaction: TickTransaction::Unused(transaction), tail, batch, relations })
        };
        let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await;
        opened.unwrap_or_else(|_| Err(Fault::new(Code::Timeout, "the database did not answer").into()))
    }

    /// Runs queries in the transaction of a tick, one after the other.
    pub(super) async fn run(
        &self,
        transaction: TickTransaction,
        mut relations: Arc<Relations>,
        queries: Vec<QueryRun>,
    ) -> Result<FinishedRuns, LostTick> {
        let mut runs = match transaction {
            TickTransaction::Unused(transaction) => Runs::begin(transaction, relations.watched()).await?,
            TickTransaction::Divided(runs) => runs,
        };
        let mut finished = Vec::with_capacity(queries.len());
        for QueryRun { group, mut invocation } in queries {
            let began = Instant::now();
            invocation.deadline = Some(began + self.config.query_timeout);
            let (handler, trace) = (Arc::clone(&invocation.name), invocation.trace);
            let live = self.functions.run_live(invocation, runs.db()).await;
            let read = runs.end_run().await.map_err(|fault| LostTick { fault, during: Some(group) })?;
            if !relations.knows(&read) {
                relations = Arc::new(Relations::load(&self.database.live_reader()).await?);
            }
            let outcome = live.answer.and_then(|body| limit_size(body, self.config.result_bytes_max));
            // A handler may ignore the failure of a statement. Its output is then based on a part of the
            // data.
            let outcome = if outcome.is_ok() && !read.complete { Err(ignored_failure()) } else { outcome };
            finished.push(FinishedRun {
                group,
                handler,
                result: QueryResult::new(outcome, trace),
                observed: live.observed,
                reads: relations.sort(&read),
                complete: read.complete,
                took: began.elapsed(),
            });
        }
        Ok(FinishedRuns { transaction: TickTransaction::Divided(runs), relations, finished })
    }
}

impl TickTransaction {
    /// Ends the transaction and returns its session to the pool.
    pub(super) async fn close(self) {
        match self {
            Self::Unused(transaction) => transaction.rollback().await,
            Self::Divided(runs) => runs.close().await,
        }
    }
}

fn limit_size(body: Bytes, bytes_max: usize) -> Result<Bytes, Fault> {
    if body.len() <= bytes_max {
        return Ok(body);
    }
    let message = format!("the result has {} bytes, and a live query's has at most {bytes_max}", body.len());
    Err(Fault::new(Code::PayloadTooLarge, message))
}

fn ignored_failure() -> Fault {
    Fault::internal("a statement failed and its error was ignored")
}
