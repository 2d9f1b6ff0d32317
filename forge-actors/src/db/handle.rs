//! [`Db`]: what handlers and stores send statements through, wherever these run.
//!
//! `&Db` is an sqlx executor: `sqlx::query_as(..).fetch_all(&db)`. Behind it stands either a pool (each
//! statement takes a session for its own duration) or a frame of a transaction.
//!
//! Streams: a pooled one holds its session until it ends; dropping it earlier discards the session. A
//! transaction reads a statement's whole answer before it hands out the first row, so that a statement inside
//! of a row loop never waits for itself.
//!
//! Statements that would end the transaction or change the session for others are refused before they are
//! sent; see `guard`. In a transaction such a refusal counts like a failed statement: the frame cannot be
//! kept.

use std::fmt;
use std::sync::Arc;

use async_stream::try_stream;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, Postgres, SqlStr};
use tokio::sync::OwnedMutexGuard;

use crate::kernel::fault::Fault;

use super::error::{is_broken, is_stale};
use super::frame::Frame;
use super::pool::Pool;
use super::session::Activity;
use super::statement::Statement;

type Step = Either<PgQueryResult, PgRow>;

/// Where statements go: a pool or a frame of a transaction. Cheap to clone.
#[derive(Clone)]
pub struct Db(Backing);

#[derive(Clone)]
enum Backing {
    Pool { pool: Pool, reads_only: bool },
    Frame(Arc<Frame>),
}

impl Db {
    pub(super) fn pooled(pool: Pool, reads_only: bool) -> Self {
        Self(Backing::Pool { pool, reads_only })
    }

    pub(super) fn framed(frame: Arc<Frame>) -> Self {
        Self(Backing::Frame(frame))
    }

    /// True inside of a transaction, where all statements see each other's effects.
    pub fn in_transaction(&self) -> bool {
        matches!(self.0, Backing::Frame(_))
    }

    /// Opens a frame for a nested call. In a transaction it is a savepoint, and this handle's other
    /// statements wait until it is closed; a pooled reader is handed on as it is.
    ///
    /// With `read_only`, Postgres refuses writes inside the frame.
    pub async fn nested(&self, read_only: bool) -> Result<NestedFrame, Fault> {
        match &self.0 {
            Backing::Pool { reads_only, .. } if *reads_only && !read_only => {
                Err(Fault::internal("a writing call was nested in one that reads from the pool"))
            }
            Backing::Pool { .. } => Ok(NestedFrame { db: self.clone(), open: None }),
            Backing::Frame(frame) => {
                let (nested, parent) = frame.nest(read_only).await?;
                // In a read-only transaction there is no write mode to restore, and what is kept shows what
                // was read.
                let undone = read_only && !frame.is_read_only();
                Ok(NestedFrame { db: Self::framed(nested), open: Some(Open { undone, _parent: parent }) })
            }
        }
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Backing::Pool { reads_only, .. } => {
                f.debug_struct("Db").field("reads_only", reads_only).finish_non_exhaustive()
            }
            Backing::Frame(frame) => f.debug_struct("Db").field("pid", &frame.pid()).finish_non_exhaustive(),
        }
    }
}

/// A nested call's part of a transaction. Dropped without [`release`](Self::release), its effects are undone.
#[derive(Debug)]
#[must_use = "a nested frame that is dropped is rolled back"]
pub struct NestedFrame {
    db: Db,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    /// Closed by going back even when it succeeded.
    undone: bool,
    _parent: OwnedMutexGuard<()>,
}

impl NestedFrame {
    /// Where the nested call sends its statements.
    pub fn db(&self) -> Db {
        self.db.clone()
    }

    /// Keeps the frame's effects. Fails, and undoes them, when a statement of the frame failed and nobody
    /// said so.
    pub async fn release(mut self) -> Result<(), Fault> {
        match (&self.db.0, &self.open) {
            // A read-only frame has nothing to keep, and only the way back restores the parent's write mode
            // for certain.
            (Backing::Frame(frame), Some(open)) if open.undone => frame.undo().await?,
            (Backing::Frame(frame), Some(_)) => frame.release().await?,
            _ => {}
        }
        self.open = None;
        Ok(())
    }

    /// Undoes the frame's effects.
    pub async fn rollback(mut self) -> Result<(), Fault> {
        if let (Backing::Frame(frame), Some(_)) = (&self.db.0, &self.open) {
            frame.undo().await?;
        }
        self.open = None;
        Ok(())
    }
}

impl Drop for NestedFrame {
    fn drop(&mut self) {
        if let (Backing::Frame(frame), Some(_)) = (&self.db.0, &self.open) {
            frame.abandon();
        }
    }
}

/// What one statement asks for; the session lends itself to it.
macro_rules! once {
    ($backing:expr, $statement:expr, |$connection:ident, $query:ident| $run:expr) => {{
        let statement: Statement = $statement;
        match $backing {
            Backing::Frame(frame) => {
                let mut turn = frame.turn().await?;
                let effect = turn.judge(&statement)?;
                let $query = statement;
                let $connection = turn.session()?.engage_for(effect);
                let result = $run.await;
                turn.settle(&result)?;
                result
            }
            Backing::Pool { pool, reads_only } => {
                let effect = statement.effect(false)?;
                let mut lease = pool.acquire().await?;
                // Only a read may be repeated, and only when the socket may have died before the statement
                // was sent, or the schema changed under a prepared statement.
                let spare = (*reads_only && lease.was_pooled()).then(|| statement.clone());
                let $query = statement;
                let $connection = lease.session().engage_for(effect);
                let mut result = $run.await;
                lease.session().settle(&result, Activity::Idle);
                if let (Some($query), Err(error)) = (spare, &result)
                    && (is_broken(error) || is_stale(error))
                {
                    drop(lease);
                    let mut lease = pool.acquire_fresh().await?;
                    let $connection = lease.session().engage_for(effect);
                    result = $run.await;
                    lease.session().settle(&result, Activity::Idle);
                }
                result
            }
        }
    }};
}

/// A request that runs no statement, and is not repeated.
macro_rules! aside {
    ($backing:expr, |$connection:ident| $run:expr) => {
        match $backing {
            Backing::Frame(frame) => {
                let mut turn = frame.turn().await?;
                let $connection = turn.session()?.engage();
                let result = $run.await;
                turn.settle(&result)?;
                result
            }
            Backing::Pool { pool, .. } => {
                let mut lease = pool.acquire().await?;
                let $connection = lease.session().engage();
                let result = $run.await;
                lease.session().settle(&result, Activity::Idle);
                result
            }
        }
    };
}

impl<'c> Executor<'c> for &'c Db {
    type Database = Postgres;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<PgQueryResult>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let statement = Statement::of(query);
        Box::pin(async move { once!(&self.0, statement?, |connection, query| connection.execute(query)) })
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Vec<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let statement = Statement::of(query);
        Box::pin(async move { once!(&self.0, statement?, |connection, query| connection.fetch_all(query)) })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let statement = Statement::of(query);
        Box::pin(
            async move { once!(&self.0, statement?, |connection, query| connection.fetch_optional(query)) },
        )
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let statement = Statement::of(query);
        match &self.0 {
            Backing::Frame(_) => {
                let whole = async move {
                    once!(&self.0, statement?, |connection, query| connection
                        .fetch_many(query)
                        .try_collect::<Vec<_>>())
                };
                stream::once(whole)
                    .map_ok(|steps| stream::iter(steps.into_iter().map(Ok)))
                    .try_flatten()
                    .boxed()
            }
            Backing::Pool { pool, reads_only } => Box::pin(try_stream! {
                let statement = statement?;
                let effect = statement.effect(false)?;
                let mut lease = pool.acquire().await?;
                let mut spare = (*reads_only && lease.was_pooled()).then(|| statement.clone());
                let mut next = Some(statement);
                while let Some(query) = next.take() {
                    let mut outcome = Ok(());
                    {
                        let mut steps = lease.session().engage_for(effect).fetch_many(query);
                        while let Some(step) = steps.next().await {
                            match step {
                                Ok(step) => {
                                    // What was handed out cannot be taken back.
                                    spare = None;
                                    yield step;
                                }
                                Err(error) => {
                                    outcome = Err(error);
                                    break;
                                }
                            }
                        }
                    }
                    lease.session().settle(&outcome, Activity::Idle);
                    if let Err(error) = outcome {
                        next = spare.take().filter(|_| is_broken(&error));
                        if next.is_none() {
                            Err(error)?;
                        }
                        drop(lease);
                        lease = pool.acquire_fresh().await?;
                    }
                }
            }),
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        Box::pin(async move { aside!(&self.0, |connection| connection.prepare_with(sql, parameters)) })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<sqlx::Describe<Postgres>>>
    where
        'c: 'e,
    {
        Box::pin(async move { aside!(&self.0, |connection| connection.describe(sql)) })
    }
}
