//! [`Db`]: the handle through which handlers and stores send statements.
//!
//! `&Db` is an sqlx executor: `sqlx::query_as(..).fetch_all(&db)`. Behind it stands either a pool (each
//! statement takes a session for its own duration) or a frame of a transaction.
//!
//! Streams: a stream from a pool keeps its session until it ends; dropping it earlier discards the session.
//! In a transaction a statement's whole answer is read before its first row is returned, so that a statement
//! inside of a row loop never waits for the loop's own statement.
//!
//! Statements that would end the transaction, or change the session for its next user, are refused before
//! they are sent; see `guard`. In a transaction a refused statement counts like a failed one: the frame
//! cannot be kept.

use std::fmt;
use std::sync::Arc;

use async_stream::try_stream;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, Postgres, SqlStr};

use crate::kernel::fault::Fault;

use super::error::{as_read_only_server, is_broken, is_stale};
use super::frame::{Frame, ParentLock};
use super::pool::Pool;
use super::session::Activity;
use super::statement::Statement;

/// One item of a statement's answer, as sqlx streams it.
type AnswerItem = Either<PgQueryResult, PgRow>;

/// Sends statements to a pool or to a frame of a transaction. Cheap to clone.
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

    /// Opens a frame for a nested call. In a transaction the frame is a savepoint, and this handle's other
    /// statements wait until it is closed. Outside of a transaction the nested call uses the same pool.
    ///
    /// With `read_only`, Postgres refuses writes inside the frame.
    ///
    /// # Errors
    /// When a writing call is nested in a handle that reads from the pool, or the transaction has failed or
    /// ended.
    pub async fn nested(&self, read_only: bool) -> Result<NestedFrame, Fault> {
        match &self.0 {
            Backing::Pool { reads_only, .. } if *reads_only && !read_only => {
                Err(Fault::internal("a writing call was nested in one that reads from the pool"))
            }
            Backing::Pool { .. } => Ok(NestedFrame { db: self.clone(), savepoint: None }),
            Backing::Frame(frame) => {
                let (nested, parent_lock) = frame.nest(read_only).await?;
                // In a read-only transaction there is no write mode to restore. There the frame is released,
                // so that its locks stay and show which relations were read.
                let rolled_back_at_end = read_only && !frame.is_read_only();
                let savepoint = OpenSavepoint { rolled_back_at_end, _parent_lock: parent_lock };
                Ok(NestedFrame { db: Self::framed(nested), savepoint: Some(savepoint) })
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
    /// Absent outside of a transaction, and once the frame is closed.
    savepoint: Option<OpenSavepoint>,
}

#[derive(Debug)]
struct OpenSavepoint {
    /// The frame is rolled back even when it succeeds: it is read-only and has nothing to keep, and only a
    /// rollback restores the parent's write mode for certain.
    rolled_back_at_end: bool,
    _parent_lock: ParentLock,
}

impl NestedFrame {
    /// The handle for the nested call's statements.
    pub fn db(&self) -> Db {
        self.db.clone()
    }

    /// Keeps the frame's effects.
    ///
    /// # Errors
    /// When a statement of the frame had failed: the frame's effects are rolled back.
    pub async fn release(mut self) -> Result<(), Fault> {
        match (&self.db.0, &self.savepoint) {
            (Backing::Frame(frame), Some(savepoint)) if savepoint.rolled_back_at_end => frame.undo().await?,
            (Backing::Frame(frame), Some(_)) => frame.release().await?,
            _ => {}
        }
        self.savepoint = None;
        Ok(())
    }

    /// Rolls back the frame's effects.
    ///
    /// # Errors
    /// When the transaction has ended, or its session can only be rolled back as a whole.
    pub async fn rollback(mut self) -> Result<(), Fault> {
        if let (Backing::Frame(frame), Some(_)) = (&self.db.0, &self.savepoint) {
            frame.undo().await?;
        }
        self.savepoint = None;
        Ok(())
    }
}

impl Drop for NestedFrame {
    fn drop(&mut self) {
        if let (Backing::Frame(frame), Some(_)) = (&self.db.0, &self.savepoint) {
            frame.abandon();
        }
    }
}

/// Names the cause of a refused write: in a pool that only reads it is the statement, otherwise the server.
fn explain<T>(result: sqlx::Result<T>, reads_only: bool) -> sqlx::Result<T> {
    if reads_only { result } else { as_read_only_server(result) }
}

/// Runs `$run` with a connection and `$statement`, in the frame or on a session of the pool.
macro_rules! send {
    ($backing:expr, $statement:expr, |$connection:ident, $query:ident| $run:expr) => {{
        let statement: Statement = $statement;
        match $backing {
            Backing::Frame(frame) => {
                let mut guard = frame.lock().await?;
                let effect = guard.check(&statement)?;
                let $query = statement;
                let $connection = guard.session()?.start_statement(effect);
                let result = $run.await;
                let result = guard.explain(result);
                guard.finish_statement(&result)?;
                result
            }
            Backing::Pool { pool, reads_only } => {
                let effect = statement.effect(false)?;
                let mut pooled = pool.acquire().await?;
                // Only a read is sent again, and only when its session waited in the pool: there its socket
                // may have died, or the schema may have changed under its prepared statements.
                let retry = (*reads_only && pooled.was_pooled()).then(|| statement.clone());
                let $query = statement;
                let $connection = pooled.session().start_statement(effect);
                let mut result = explain($run.await, *reads_only);
                pooled.session().finish_request(&result, Activity::Idle);
                if let (Some($query), Err(error)) = (retry, &result)
                    && (is_broken(error) || is_stale(error))
                {
                    drop(pooled);
                    let mut pooled = pool.acquire_fresh().await?;
                    let $connection = pooled.session().start_statement(effect);
                    result = $run.await;
                    pooled.session().finish_request(&result, Activity::Idle);
                }
                result
            }
        }
    }};
}

/// [`send`] for a request that runs no statement, and is never sent again.
macro_rules! send_request {
    ($backing:expr, |$connection:ident| $run:expr) => {
        match $backing {
            Backing::Frame(frame) => {
                let mut guard = frame.lock().await?;
                let $connection = guard.session()?.start_request();
                let result = $run.await;
                guard.finish_statement(&result)?;
                result
            }
            Backing::Pool { pool, .. } => {
                let mut pooled = pool.acquire().await?;
                let $connection = pooled.session().start_request();
                let result = $run.await;
                pooled.session().finish_request(&result, Activity::Idle);
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
        Box::pin(async move { send!(&self.0, statement?, |connection, query| connection.execute(query)) })
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Vec<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let statement = Statement::of(query);
        Box::pin(async move { send!(&self.0, statement?, |connection, query| connection.fetch_all(query)) })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let statement = Statement::of(query);
        Box::pin(
            async move { send!(&self.0, statement?, |connection, query| connection.fetch_optional(query)) },
        )
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<AnswerItem>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let statement = Statement::of(query);
        match &self.0 {
            Backing::Frame(_) => {
                let whole = async move {
                    send!(&self.0, statement?, |connection, query| connection
                        .fetch_many(query)
                        .try_collect::<Vec<_>>())
                };
                stream::once(whole)
                    .map_ok(|items| stream::iter(items.into_iter().map(Ok)))
                    .try_flatten()
                    .boxed()
            }
            Backing::Pool { pool, reads_only } => Box::pin(try_stream! {
                let statement = statement?;
                let effect = statement.effect(false)?;
                let mut pooled = pool.acquire().await?;
                let mut retry = (*reads_only && pooled.was_pooled()).then(|| statement.clone());
                let mut next = Some(statement);
                while let Some(query) = next.take() {
                    let mut result = Ok(());
                    {
                        let mut items = pooled.session().start_statement(effect).fetch_many(query);
                        while let Some(item) = items.next().await {
                            match item {
                                Ok(item) => {
                                    // The caller has this item: sending the statement again would repeat it.
                                    retry = None;
                                    yield item;
                                }
                                Err(error) => {
                                    result = explain(Err(error), *reads_only);
                                    break;
                                }
                            }
                        }
                    }
                    pooled.session().finish_request(&result, Activity::Idle);
                    if let Err(error) = result {
                        next = retry.take().filter(|_| is_broken(&error) || is_stale(&error));
                        if next.is_none() {
                            Err(error)?;
                        }
                        drop(pooled);
                        pooled = pool.acquire_fresh().await?;
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
        Box::pin(async move { send_request!(&self.0, |connection| connection.prepare_with(sql, parameters)) })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<sqlx::Describe<Postgres>>>
    where
        'c: 'e,
    {
        Box::pin(async move { send_request!(&self.0, |connection| connection.describe(sql)) })
    }
}
