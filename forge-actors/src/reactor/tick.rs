//! What a tick does in the database: opens a snapshot with the news in it, runs queries in it, closes it.
//! Everything that is decided in between is the ticker's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::app::context::Observed;
use crate::change::{Batch, Changed, Tail};
use crate::db::runs::Runs;
use crate::db::transaction::Transaction;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::kernel::trace::TraceContext;

use super::messages::{QueryResult, Version};
use super::node::Node;
use super::question::GroupId;
use super::relations::{Reads, Relations};

/// Longest time for a session, its snapshot and the news.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// What Postgres is given beyond the limit of a query, before it cuts the statement by itself.
const STATEMENT_GRACE: Duration = Duration::from_secs(1);

/// A snapshot, and what it holds that is new.
pub(super) struct Open {
    pub(super) stage: Stage,
    pub(super) tail: Tail,
    pub(super) batch: Batch,
    /// Loaded anew, when definitions may have changed.
    pub(super) relations: Option<Relations>,
}

/// How far the snapshot is used.
pub(super) enum Stage {
    /// Nothing has run in it.
    Fresh(Transaction),
    Divided(Runs),
}

/// A group's next execution.
pub(super) struct Run {
    pub(super) group: GroupId,
    pub(super) invocation: Invocation,
}

/// How an execution ended.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) group: GroupId,
    pub(super) result: QueryResult,
    pub(super) observed: Observed,
    pub(super) reads: Reads,
    /// False when a failure hid a part of what was read.
    pub(super) whole: bool,
    pub(super) took: Duration,
}

/// Some executions in one snapshot.
pub(super) struct Round {
    pub(super) stage: Stage,
    pub(super) relations: Arc<Relations>,
    pub(super) ran: Vec<Ran>,
}

/// The snapshot is gone.
pub(super) struct Lost {
    pub(super) fault: Fault,
    /// The group that was running.
    pub(super) during: Option<GroupId>,
}

impl From<Fault> for Lost {
    fn from(fault: Fault) -> Self {
        Self { fault, during: None }
    }
}

/// Opens a snapshot and reads the news in it.
pub(super) async fn open(node: &Node, mut tail: Tail, reload: bool) -> Result<Open, Lost> {
    let opening = async {
        let statement_timeout = node.config.query_timeout.saturating_add(STATEMENT_GRACE);
        let transaction = node.database.live_snapshot("reactor", statement_timeout).await?;
        let batch = tail.read(&transaction.db()).await?;
        // On a session of its own: the locks of the tick's should be those of the queries.
        let relations = match batch.changed {
            Changed::Everything => Some(Relations::load(&node.database.live_reader()).await?),
            Changed::Tables(_) if reload => Some(Relations::load(&node.database.live_reader()).await?),
            Changed::Tables(_) => None,
        };
        Ok(Open { stage: Stage::Fresh(transaction), tail, batch, relations })
    };
    let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await;
    opened.unwrap_or_else(|_| Err(Fault::new(Code::Timeout, "the database did not answer").into()))
}

/// Runs queries one after the other.
pub(super) async fn run(
    node: &Node,
    stage: Stage,
    mut relations: Arc<Relations>,
    list: Vec<Run>,
) -> Result<Round, Lost> {
    let mut runs = match stage {
        Stage::Fresh(transaction) => Runs::begin(transaction, relations.watched()).await?,
        Stage::Divided(runs) => runs,
    };
    let mut ran = Vec::with_capacity(list.len());
    for Run { group, mut invocation } in list {
        let began = Instant::now();
        invocation.deadline = Some(began + node.config.query_timeout);
        let trace = invocation.trace;
        let live = node.functions.run_live(invocation, runs.db()).await;
        let read = runs.end_run().await.map_err(|fault| Lost { fault, during: Some(group) })?;
        if !relations.knows(&read) {
            relations = Arc::new(Relations::load(&node.database.live_reader()).await?);
        }
        let took = began.elapsed();
        let answer = live.answer.and_then(|body| unless_too_large(body, node.config.result_bytes_max));
        // A handler may swallow the failure of a statement; what it made of the rest is no answer.
        let answer = if answer.is_ok() && !read.whole { Err(half_read()) } else { answer };
        let reads = relations.sort(&read);
        ran.push(Ran {
            group,
            result: QueryResult::new(answer, trace),
            observed: live.observed,
            reads,
            whole: read.whole,
            took,
        });
    }
    Ok(Round { stage: Stage::Divided(runs), relations, ran })
}

/// Gives the session back.
pub(super) async fn close(stage: Stage) {
    match stage {
        Stage::Fresh(transaction) => transaction.rollback().await,
        Stage::Divided(runs) => runs.close().await,
    }
}

fn unless_too_large(body: Bytes, bytes_max: usize) -> Result<Bytes, Fault> {
    if body.len() <= bytes_max {
        return Ok(body);
    }
    let message = format!("the result has {} bytes, and a live query's has at most {bytes_max}", body.len());
    Err(Fault::new(Code::PayloadTooLarge, message))
}

fn half_read() -> Fault {
    Fault::internal("a statement failed and its error was ignored")
}

impl QueryResult {
    /// With a version that is the same on every node and in every run, so that a client may come back to
    /// another one.
    pub(super) fn new(outcome: Result<Bytes, Fault>, trace: TraceContext) -> Self {
        let mut hash = Sha256::new();
        match &outcome {
            Ok(body) => {
                hash.update(b"ok");
                hash.update(body);
            }
            Err(fault) => {
                hash.update(b"error");
                hash.update(fault.to_string());
                hash.update(fault.details().map(ToString::to_string).unwrap_or_default());
            }
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (first, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
        Self { version: Version(u64::from_be_bytes(*first)), outcome, trace }
    }
}
