//! The statements behind `ctx.start(..)`, `ctx.emit(..)` and `ctx.signal(..)`.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Postgres, Row};

use super::follow;
use crate::app::Result;
use crate::app::secret::Secret;
use crate::app::workflow_run::new_run::{IdConflict, NewEvent, NewRun, StartOutcome};
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;
use crate::kernel::invocation::Identity;

/// A run that is to be inserted, with what it carries of its starter.
#[derive(Debug, Clone)]
pub struct StartedRun {
    /// The run.
    pub run: NewRun,
    /// JSON of the identity that it runs with.
    pub identity: Option<String>,
    /// The `traceparent` that it belongs to.
    pub trace: String,
}

impl StartedRun {
    /// The tenant of its starter, within which its id names one run; empty for none.
    fn tenant(&self) -> Result<String> {
        let identity: Option<Identity> =
            self.identity.as_deref().map(serde_json::from_str).transpose().map_err(Fault::internal)?;
        Ok(identity.and_then(|identity| identity.tenant).unwrap_or_default())
    }
}

/// Inserts a run on `db`, unless its id names one already, and lets its starter follow it.
pub(super) async fn insert_run(db: &Db, started: &StartedRun) -> Result<StartOutcome> {
    let outcome = match &started.run.key {
        Some(key) => insert_keyed(db, started, key).await?,
        None => {
            insert_rows(&[started], None).execute(db).await?;
            StartOutcome::New(started.run.id)
        }
    };
    if let Some(signal) = &started.run.signal {
        let run = outcome.run();
        let event = NewEvent {
            name: signal.name.clone(),
            key: run.to_string(),
            run: Some(run),
            once: None,
            payload: Secret::new(signal.payload.expose().clone()),
        };
        insert_event(db, &event).await?;
    }
    if started.run.followed {
        follow::follow(db, outcome.run(), started.identity.as_deref()).await?;
    }
    Ok(outcome)
}

async fn insert_keyed(db: &Db, started: &StartedRun, key: &str) -> Result<StartOutcome> {
    let NewRun { id, workflow, signal, on_conflict, .. } = &started.run;
    let tenant = started.tenant()?;
    let lock = sqlx::query_scalar(include_str!("sql/lock_run_key.sql"));
    let found: RunId = lock.bind(workflow).bind(key).bind(id).bind(&tenant).fetch_one(db).await?;
    if found != *id {
        let find = sqlx::query(include_str!("sql/find_run_status.sql")).bind(found);
        let status = find.fetch_optional(db).await?;
        let is_live = status.as_ref().map(|row| row.try_get::<bool, _>("is_live")).transpose()?;
        match (is_live, on_conflict) {
            (Some(true), IdConflict::Return | IdConflict::ReturnRunning) => {
                return Ok(StartOutcome::Existing(found));
            }
            // A run that has ended receives no signal.
            (Some(false), IdConflict::Return) if signal.is_none() => {
                return Ok(StartOutcome::Existing(found));
            }
            (Some(_), IdConflict::Fail) => {
                let text = format!("the id names the run {found} of `{workflow}` already");
                let details = serde_json::json!({ "run": found });
                return Err(Fault::new(Code::Conflict, text).with_details(details));
            }
            (Some(true), IdConflict::Replace) => {
                request_cancel(db, found).await?;
            }
            (Some(false), IdConflict::Return | IdConflict::ReturnRunning | IdConflict::Replace)
            | (None, _) => {}
        }
        let take = sqlx::query(include_str!("sql/take_run_key.sql"));
        take.bind(workflow).bind(key).bind(id).bind(&tenant).execute(db).await?;
    }
    insert_rows(&[started], None).execute(db).await?;
    Ok(StartOutcome::New(*id))
}

/// Asks a run to be cancelled. False when it is not changed by that.
pub(super) async fn request_cancel(db: &Db, run: RunId) -> Result<bool> {
    let cancel = sqlx::query(include_str!("sql/request_cancel.sql")).bind(vec![run]).bind(None::<&str>);
    Ok(cancel.fetch_optional(db).await?.is_some())
}

/// The statement that inserts runs, whose keys are locked. Those that are followed need their row of progress
/// too. `begins`: a lease, and for each run whether it is begun under that lease; without it, all runs are to
/// be claimed.
pub(super) fn insert_rows<'a>(
    started: &[&'a StartedRun],
    begins: Option<(i64, &[bool])>,
) -> Query<'a, Postgres, PgArguments> {
    fn all<'a, T>(started: &[&'a StartedRun], of: impl Fn(&'a NewRun) -> T) -> Vec<T> {
        started.iter().map(|started| of(&started.run)).collect()
    }
    sqlx::query(include_str!("sql/insert_runs.sql"))
        .bind(all(started, |run| run.id))
        .bind(all(started, |run| run.workflow.as_str()))
        .bind(all(started, |run| i32::try_from(run.version).unwrap_or(i32::MAX)))
        .bind(all(started, |run| run.key.as_deref()))
        .bind(all(started, |run| run.after_secs))
        .bind(all(started, |run| run.input.expose().as_str()))
        .bind(started.iter().map(|started| started.identity.as_deref()).collect::<Vec<_>>())
        .bind(started.iter().map(|started| started.trace.as_str()).collect::<Vec<_>>())
        .bind(all(started, |run| run.timeout_secs.map(|timeout| timeout + run.after_secs)))
        .bind(all(started, |run| run.parent.as_ref().map(|parent| parent.id)))
        .bind(all(started, |run| run.parent.as_ref().map(|parent| parent.position.as_str())))
        .bind(all(started, |run| run.parent.as_ref().map(|_| run.policy.as_str())))
        .bind(all(started, |run| run.followed))
        .bind(all(started, |run| run.retain_secs))
        .bind(all(started, |run| run.attributes.as_deref()))
        .bind(all(started, |run| run.continues))
        .bind(begins.map(|(lease, _)| lease))
        .bind(begins.map_or_else(|| vec![false; started.len()], |(_, begins)| begins.to_vec()))
}

/// Inserts an event. False when there is one with its idempotency key.
pub(super) async fn insert_event(db: &Db, event: &NewEvent) -> Result<bool> {
    let insert = sqlx::query(include_str!("sql/insert_event.sql"))
        .bind(&event.name)
        .bind(&event.key)
        .bind(event.run)
        .bind(event.once.as_deref())
        .bind(event.payload.expose());
    Ok(insert.fetch_optional(db).await?.is_some())
}
