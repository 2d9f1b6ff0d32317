//! The statements about runs that this node holds, or is about to. Those of starts are in `insert`.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::admin::WorkflowStatus;
use super::follow::failure_of;
use super::rows::{
    Arrival, CancelledChildren, ClaimableVersion, ClaimedRun, End, EndStatus, Ended, FoundWork, GoneOn,
    HeldAttempt, HeldStep, Leave, ReleasedRun, Routed, RunRequest,
};
use crate::app::job_failure::JobFailure;
use crate::app::workflow_run::journal::{JournalEntry, StepKind, StepStatus};
use crate::app::workflow_run::limits::{CONSUMED_EVENTS_MAX, CRASHES_MAX};
use crate::app::workflow_run::run::RunProgress;
use crate::app::workflow_run::store::{FoundRun, Recorded, StepRow, TakenEvent, WaitedEnd};
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::{NodeId, RunId};
use crate::kernel::sqlstate::SqlStateClass;

/// The tables of workflows. Cheap to clone.
#[derive(Clone)]
pub(super) struct WorkflowStore {
    database: Database,
}

impl WorkflowStore {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    fn db(&self) -> Db {
        self.database.jobs()
    }

    pub(super) async fn register(&self, node: NodeId, name: &str, lease: Duration) -> Result<i64, Fault> {
        let register = sqlx::query_scalar(include_str!("sql/register_owner.sql"));
        let register = register.bind(node).bind(name).bind(lease.as_secs_f64());
        Ok(register.fetch_one(&self.database.control()).await?)
    }

    /// False when the lease was lost.
    pub(super) async fn renew(&self, lease: i64, duration: Duration) -> Result<bool, Fault> {
        let renew = sqlx::query(include_str!("sql/renew_owner.sql")).bind(lease);
        let renewed = renew.bind(duration.as_secs_f64()).fetch_optional(&self.database.control()).await?;
        Ok(renewed.is_some())
    }

    /// Gives a lease up. One with which runs were claimed meanwhile stays as lost, and its runs are released.
    pub(super) async fn resign(&self, lease: i64) -> Result<(), Fault> {
        let db = self.database.control();
        sqlx::query(include_str!("sql/resign_owner.sql")).bind(lease).execute(&db).await?;
        self.forget_owners().await
    }

    pub(super) async fn claim(
        &self,
        lease: i64,
        of: &[ClaimableVersion],
        limit: usize,
    ) -> Result<Vec<ClaimedRun>, Fault> {
        let count = |limit: usize| i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query(include_str!("sql/claim_runs.sql"))
            .bind(lease)
            .bind(of.iter().map(|version| version.workflow.as_str()).collect::<Vec<_>>())
            .bind(of.iter().map(|version| version.version).collect::<Vec<_>>())
            .bind(of.iter().map(|version| count(version.limit)).collect::<Vec<_>>())
            .bind(count(limit))
            .fetch_all(&self.db())
            .await?;
        rows.iter().map(claimed).collect()
    }

    pub(super) async fn find_work(
        &self,
        names: &[String],
        versions: &[i32],
        node: NodeId,
        suspect_after: Duration,
    ) -> Result<FoundWork, Fault> {
        let find = sqlx::query(include_str!("sql/find_work.sql")).bind(names).bind(versions).bind(node);
        let row = find.bind(suspect_after.as_secs_f64()).fetch_one(&self.db()).await?;
        let duration = |secs: Option<f64>| {
            secs.map(|secs| Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(Duration::MAX))
        };
        Ok(FoundWork {
            next_due: duration(row.try_get("next_due")?),
            next_suspect: duration(row.try_get("next_suspect")?),
            has_events: row.try_get("has_events")?,
        })
    }

    /// The journals of runs.
    pub(super) async fn journals(&self, runs: &[RunId]) -> Result<HashMap<RunId, Vec<JournalEntry>>, Fault> {
        let load = sqlx::query(include_str!("sql/load_journals.sql")).bind(runs);
        let mut journals: HashMap<RunId, Vec<JournalEntry>> = HashMap::new();
        for row in load.fetch_all(&self.db()).await? {
            journals.entry(row.try_get("run_id")?).or_default().push(entry(&row)?);
        }
        Ok(journals)
    }

    pub(super) async fn find_step(&self, run: RunId, position: &str) -> Result<Option<JournalEntry>, Fault> {
        let find = sqlx::query(include_str!("sql/find_step.sql")).bind(run).bind(position);
        find.fetch_optional(&self.database.writer()).await?.as_ref().map(entry).transpose()
    }

    pub(super) async fn record(
        &self,
        lease: i64,
        steps: &[&HeldStep],
    ) -> Result<Vec<Option<Recorded>>, Fault> {
        record(&self.db(), lease, steps, false).await
    }

    pub(super) async fn leave(&self, lease: i64, leaves: &[&Leave]) -> Result<Vec<Option<()>>, Fault> {
        fn all<'a, T>(leaves: &[&'a Leave], of: impl Fn(&'a Leave) -> T) -> Vec<T> {
            leaves.iter().map(|leave| of(leave)).collect()
        }
        let rows = sqlx::query(include_str!("sql/leave_runs.sql"))
            .bind(lease)
            .bind(all(leaves, |leave| leave.run))
            .bind(all(leaves, |leave| leave.claim))
            .bind(all(leaves, |leave| leave.status))
            .bind(all(leaves, |leave| leave.due_at))
            .bind(all(leaves, |leave| leave.wakes))
            .bind(all(leaves, |leave| leave.error.as_deref()))
            .bind(all(leaves, |leave| leave.size.map(|size| i32::try_from(size.steps).unwrap_or(i32::MAX))))
            .bind(all(leaves, |leave| leave.size.map(|size| i64::try_from(size.bytes).unwrap_or(i64::MAX))))
            .bind(all(leaves, |leave| leave.answers_request))
            .fetch_all(&self.db())
            .await?;
        let left = rows.iter().map(|row| row.try_get("id")).collect::<Result<Vec<RunId>, _>>()?;
        Ok(leaves.iter().map(|leave| left.contains(&leave.run).then_some(())).collect())
    }

    pub(super) async fn end(
        &self,
        lease: i64,
        retention: Duration,
        ends: &[&End],
    ) -> Result<Vec<Option<Ended>>, Fault> {
        fn all<'a, T>(ends: &[&'a End], of: impl Fn(&'a End) -> T) -> Vec<T> {
            ends.iter().map(|end| of(end)).collect()
        }
        let rows = sqlx::query(include_str!("sql/end_runs.sql"))
            .bind(lease)
            .bind(retention.as_secs_f64())
            .bind(all(ends, |end| end.run))
            .bind(all(ends, |end| end.claim))
            .bind(all(ends, |end| end.status.as_str()))
            .bind(all(ends, |end| end.output.as_deref()))
            .bind(all(ends, |end| end.error.as_deref()))
            .bind(all(ends, |end| i32::try_from(end.steps).unwrap_or(i32::MAX)))
            .bind(all(ends, |end| i64::try_from(end.journal_bytes).unwrap_or(i64::MAX)))
            .bind(all(ends, |end| end.expected.map(EndStatus::as_str)))
            .fetch_all(&self.db())
            .await?;
        let mut ended = HashMap::with_capacity(rows.len());
        for row in rows {
            let end = Ended { is_awaited: row.try_get("is_awaited")? };
            ended.insert(row.try_get::<RunId, _>("id")?, end);
        }
        Ok(ends.iter().map(|end| ended.get(&end.run).copied()).collect())
    }

    /// False when the run is not held any more.
    pub(super) async fn begin_ending(
        &self,
        lease: i64,
        (run, claim): (RunId, i32),
        status: EndStatus,
        error: &str,
    ) -> Result<bool, Fault> {
        let begin = sqlx::query(include_str!("sql/begin_ending.sql")).bind(lease).bind(run).bind(claim);
        let begun = begin.bind(status.as_str()).bind(error).fetch_optional(&self.db()).await?;
        Ok(begun.is_some())
    }

    /// False when the run is not held any more.
    pub(super) async fn publish(
        &self,
        lease: i64,
        (run, claim): (RunId, i32),
        published: Option<&str>,
        attributes: Option<&str>,
    ) -> Result<bool, Fault> {
        let publish = sqlx::query(include_str!("sql/publish_run.sql")).bind(lease).bind(run).bind(claim);
        let written = publish.bind(published).bind(attributes).fetch_optional(&self.db()).await?;
        Ok(written.is_some())
    }

    pub(super) async fn find_event(
        &self,
        run: RunId,
        event: &str,
        key: &str,
        except: &[i64],
    ) -> Result<Option<TakenEvent>, Fault> {
        let find = sqlx::query(include_str!("sql/find_event.sql")).bind(run).bind(event).bind(key);
        let found = find.bind(except).fetch_optional(&self.db()).await?;
        let taken = |row: PgRow| {
            Ok::<_, sqlx::Error>(TakenEvent { id: row.try_get("id")?, payload: row.try_get("payload")? })
        };
        Ok(found.map(taken).transpose()?)
    }

    /// How a run has ended, or which run goes on as it; the end of that one writes an event.
    pub(super) async fn find_run_end(&self, run: RunId) -> Result<FoundRun, Fault> {
        let db = self.db();
        let mut awaited = run;
        let row = loop {
            sqlx::query(include_str!("sql/await_run.sql")).bind(awaited).execute(&db).await?;
            let find = sqlx::query(include_str!("sql/find_run_end.sql")).bind(run);
            let Some(row) = find.fetch_optional(&db).await? else {
                let text = format!("there is no run {run}, or its history is deleted");
                return Err(Fault::new(Code::NotFound, text).without_retry());
            };
            if !row.try_get("is_open")? {
                break row;
            }
            let newest = row.try_get("id")?;
            if newest == awaited {
                return Ok(FoundRun::Open(newest));
            }
            awaited = newest;
        };
        let (status, output, error): (String, Option<String>, Option<String>) =
            (row.try_get("status")?, row.try_get("output")?, row.try_get("error")?);
        if status == EndStatus::Completed.as_str() {
            return Ok(FoundRun::Ended(WaitedEnd::Completed(output.unwrap_or_else(|| "null".to_owned()))));
        }
        let error = match (error, WorkflowStatus::parse(&status).and_then(failure_of)) {
            (Some(error), _) if status == EndStatus::Failed.as_str() => error,
            // Who has cancelled or terminated a run, and why, is for operators, and not for other runs.
            (_, Some(failure)) => serde_json::to_string(&failure).map_err(Fault::internal)?,
            (_, None) => JobFailure::json_of(&Fault::new(Code::Conflict, format!("the run was {status}")))?,
        };
        Ok(FoundRun::Ended(WaitedEnd::Failed(error)))
    }

    pub(super) async fn arrivals(&self, lease: i64) -> Result<Vec<Arrival>, Fault> {
        let list = sqlx::query(include_str!("sql/list_arrivals.sql")).bind(lease);
        let arrival = |row: &PgRow| {
            Ok(Arrival {
                run: row.try_get("id")?,
                claim: row.try_get("claim")?,
                wakes: row.try_get("wakes")?,
                request: RunRequest::parse(row.try_get("request")?),
            })
        };
        list.fetch_all(&self.database.control()).await?.iter().map(arrival).collect()
    }

    pub(super) async fn route(&self, limit: i64) -> Result<Routed, Fault> {
        let route = sqlx::query(include_str!("sql/route_events.sql")).bind(limit);
        let row = route.fetch_one(&self.db()).await?;
        let (events, ready): (i64, i64) = (row.try_get("events")?, row.try_get("ready")?);
        Ok(Routed {
            events: events.unsigned_abs(),
            held: row.try_get::<Option<Vec<RunId>>, _>("held")?.unwrap_or_default(),
            ready: ready.unsigned_abs(),
        })
    }

    /// How many runs have not ended, by status: `limit` at most of the newest ones, and of each parked
    /// status.
    pub(super) async fn count_unfinished(&self, limit: i64) -> Result<Vec<(String, i64)>, Fault> {
        let count = sqlx::query_as(include_str!("sql/count_unfinished_runs.sql")).bind(limit);
        Ok(count.fetch_all(&self.database.reader()).await?)
    }

    /// Writes which attempts of this lease are under way; what else the table has of it is deleted.
    pub(super) async fn write_attempts(&self, lease: i64, attempts: &[HeldAttempt]) -> Result<(), Fault> {
        fn all<'a, T>(attempts: &'a [HeldAttempt], of: impl Fn(&'a HeldAttempt) -> T) -> Vec<T> {
            attempts.iter().map(of).collect()
        }
        let number = |attempt: u32| i32::try_from(attempt).unwrap_or(i32::MAX);
        sqlx::query(include_str!("sql/write_attempts.sql"))
            .bind(lease)
            .bind(all(attempts, |attempt| attempt.run))
            .bind(all(attempts, |attempt| attempt.claim))
            .bind(all(attempts, |attempt| attempt.step.position.as_str()))
            .bind(all(attempts, |attempt| attempt.step.kind.as_str()))
            .bind(all(attempts, |attempt| attempt.step.name.as_str()))
            .bind(all(attempts, |attempt| number(attempt.step.attempt)))
            .bind(all(attempts, |attempt| attempt.step.elapsed.as_secs_f64()))
            .execute(&self.database.control())
            .await?;
        Ok(())
    }

    /// Names of the nodes whose leases are lost now.
    pub(super) async fn lose_owners(
        &self,
        suspect_after: Duration,
        by_sessions: bool,
        own_suffix: &str,
    ) -> Result<Vec<String>, Fault> {
        let lose = sqlx::query_scalar(include_str!("sql/lose_owners.sql"));
        let lose = lose.bind(suspect_after.as_secs_f64()).bind(by_sessions).bind(own_suffix);
        Ok(lose.fetch_all(&self.db()).await?)
    }

    /// Releases runs of lost leases.
    pub(super) async fn release(&self, limit: i64) -> Result<Vec<ReleasedRun>, Fault> {
        self.release_runs(limit, None, &[]).await
    }

    /// Releases runs of this node whose activations have failed. Those that it does not hold any more are not
    /// in the answer.
    pub(super) async fn give_back(
        &self,
        lease: i64,
        runs: &[(RunId, i32)],
    ) -> Result<Vec<ReleasedRun>, Fault> {
        self.release_runs(0, Some(lease), runs).await
    }

    async fn release_runs(
        &self,
        limit: i64,
        lease: Option<i64>,
        runs: &[(RunId, i32)],
    ) -> Result<Vec<ReleasedRun>, Fault> {
        let text = format!(
            "paused after {CRASHES_MAX} executions in a row that ended without progress: the node was lost, \
             or the execution failed (the log says `activation failed`). Resume the run to try again, or \
             cancel or terminate it"
        );
        let rows = sqlx::query(include_str!("sql/release_runs.sql"))
            .bind(limit)
            .bind(lease)
            .bind(runs.iter().map(|(run, _)| *run).collect::<Vec<_>>())
            .bind(runs.iter().map(|(_, claim)| *claim).collect::<Vec<_>>())
            .bind(i32::try_from(CRASHES_MAX).unwrap_or(i32::MAX))
            .bind(JobFailure::json_of(&Fault::new(Code::Internal, text))?)
            .fetch_all(&self.db())
            .await?;
        let released = |row: &PgRow| {
            Ok(ReleasedRun {
                id: row.try_get("id")?,
                workflow: row.try_get("workflow")?,
                crashes: row.try_get::<i32, _>("crashes")?.unsigned_abs(),
                is_paused: row.try_get::<&str, _>("status")? == "paused",
            })
        };
        rows.iter().map(released).collect()
    }

    pub(super) async fn forget_owners(&self) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/forget_owners.sql")).execute(&self.db()).await?;
        Ok(())
    }

    /// A step of a held run, if it has ended.
    pub(super) async fn find_held_step(
        &self,
        lease: i64,
        (run, claim): (RunId, i32),
        position: &str,
    ) -> Result<Option<JournalEntry>, Fault> {
        let find = sqlx::query(include_str!("sql/find_held_step.sql")).bind(lease).bind(run);
        let found = find.bind(claim).bind(position).fetch_optional(&self.db()).await?;
        found.as_ref().map(entry).transpose()
    }

    /// The runs that this node holds.
    pub(super) async fn held(&self, lease: i64) -> Result<Vec<(RunId, i32)>, Fault> {
        let list = sqlx::query(include_str!("sql/list_held_runs.sql")).bind(lease);
        let held = |row: &PgRow| Ok((row.try_get("id")?, row.try_get("claim")?));
        list.fetch_all(&self.database.control()).await?.iter().map(held).collect()
    }

    /// Ends a run, and starts the one that it goes on as. A lock that it needs and does not get within a
    /// second is an answer of its own.
    pub(super) async fn continue_as(
        &self,
        lease: i64,
        retention: Duration,
        run: &ClaimedRun,
        input: &str,
        progress: &RunProgress,
    ) -> Result<GoneOn, Fault> {
        let next = RunId::new();
        let goes_on = sqlx::query(include_str!("sql/continue_run.sql"))
            .bind(lease)
            .bind(run.id)
            .bind(run.claim)
            .bind(next)
            .bind(input)
            .bind(retention.as_secs_f64())
            .bind(i32::try_from(progress.steps).unwrap_or(i32::MAX))
            .bind(i64::try_from(progress.journal_bytes).unwrap_or(i64::MAX))
            .bind(CONSUMED_EVENTS_MAX);
        match goes_on.fetch_optional(&self.db()).await {
            Ok(Some(_)) => Ok(GoneOn::AsNew),
            Ok(None) => Ok(GoneOn::Not),
            Err(error) if SqlStateClass::of_error(&error) == Some(SqlStateClass::LockNotAvailable) => {
                Ok(GoneOn::Locked)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives `run` the signals that `before`, for which it goes on, has not received.
    pub(super) async fn adopt_signals(&self, before: RunId, run: RunId) -> Result<(), Fault> {
        let adopt = sqlx::query(include_str!("sql/adopt_signals.sql")).bind(before).bind(run);
        adopt.execute(&self.db()).await?;
        Ok(())
    }

    /// Asks the children of a run that end with it to be cancelled.
    pub(super) async fn cancel_children(
        &self,
        lease: i64,
        run: RunId,
        claim: i32,
    ) -> Result<CancelledChildren, Fault> {
        let mut asked = false;
        loop {
            let cancel = sqlx::query(include_str!("sql/cancel_own_children.sql"));
            let row = cancel.bind(lease).bind(run).bind(claim).fetch_one(&self.db()).await?;
            asked |= row.try_get::<bool, _>("asked")?;
            // A run that is not held any more asks nobody.
            if !row.try_get::<bool, _>("is_missed")? || !row.try_get::<bool, _>("is_held")? {
                return Ok(CancelledChildren { asked, is_open: row.try_get("is_open")? });
            }
        }
    }
}

/// Writes rows of the journal on `db`; with `locks_runs` nobody else writes their runs until the transaction
/// of `db` has ended. `None` for those of runs that are not held any more, and for those that have ended
/// already.
pub(super) async fn record(
    db: &Db,
    lease: i64,
    steps: &[&HeldStep],
    locks_runs: bool,
) -> Result<Vec<Option<Recorded>>, Fault> {
    let statement = match locks_runs {
        true => include_str!("sql/record_step_of_transaction.sql"),
        false => include_str!("sql/record_steps.sql"),
    };
    fn all<'a, T>(steps: &[&'a HeldStep], of: impl Fn(&'a StepRow) -> T) -> Vec<T> {
        steps.iter().map(|step| of(&step.row)).collect()
    }
    let rows = sqlx::query(statement)
        .bind(lease)
        .bind(steps.iter().map(|step| step.run).collect::<Vec<_>>())
        .bind(steps.iter().map(|step| step.claim).collect::<Vec<_>>())
        .bind(all(steps, |row| row.position.as_str()))
        .bind(all(steps, |row| row.kind.as_str()))
        .bind(all(steps, |row| row.status.as_str()))
        .bind(all(steps, |row| row.name.as_str()))
        .bind(all(steps, |row| row.shape.cast_signed()))
        .bind(all(steps, |row| i32::try_from(row.attempts).unwrap_or(i32::MAX)))
        .bind(all(steps, |row| row.number.map(|number| i32::try_from(number).unwrap_or(i32::MAX))))
        .bind(all(steps, |row| row.input.as_deref()))
        .bind(all(steps, |row| row.output.as_deref()))
        .bind(all(steps, |row| row.error.as_deref()))
        .bind(all(steps, |row| row.elapsed.as_secs_f64()))
        .bind(all(steps, |row| row.due_in.map(|due| due.as_secs_f64())))
        .bind(all(steps, |row| row.event.as_ref().map(|(event, _)| event.as_str())))
        .bind(all(steps, |row| row.event.as_ref().map(|(_, key)| key.as_str())))
        .bind(all(steps, |row| row.event_id))
        .bind(all(steps, |row| row.awaits))
        .bind(all(steps, |row| row.due_at))
        .fetch_all(db)
        .await?;
    let mut written: HashMap<(RunId, String), Recorded> = HashMap::with_capacity(rows.len());
    for row in rows {
        let recorded = Recorded { finished_at: row.try_get("finished_at")?, due_at: row.try_get("due_at")? };
        written.insert((row.try_get("run_id")?, row.try_get("position")?), recorded);
    }
    let find = |step: &&HeldStep| written.remove(&(step.run, step.row.position.clone()));
    Ok(steps.iter().map(find).collect())
}

fn claimed(row: &PgRow) -> Result<ClaimedRun, Fault> {
    let ending: Option<&str> = row.try_get("ending")?;
    Ok(ClaimedRun {
        id: row.try_get("id")?,
        workflow: row.try_get("workflow")?,
        version: row.try_get::<i32, _>("version")?.unsigned_abs(),
        claim: row.try_get("claim")?,
        wakes: row.try_get("wakes")?,
        request: RunRequest::parse(row.try_get("request")?),
        ending: match ending {
            Some("failed") => Some(EndStatus::Failed),
            Some("cancelled") => Some(EndStatus::Cancelled),
            _ => None,
        },
        input: row.try_get("input")?,
        identity: row.try_get("identity")?,
        trace: row.try_get("trace")?,
        begun_at: row.try_get("begun_at")?,
        deadline_at: row.try_get("deadline_at")?,
        attributes: row.try_get("attributes")?,
        continues: row.try_get("continues")?,
        due_at: row.try_get("due_at")?,
        now: row.try_get("now")?,
    })
}

/// Reads a row of the journal.
fn entry(row: &PgRow) -> Result<JournalEntry, Fault> {
    let (kind, status): (&str, &str) = (row.try_get("kind")?, row.try_get("status")?);
    let unknown = |what: &str, label: &str| {
        Fault::internal(format!("`{label}` is no {what} of a step that this version of Forge knows"))
    };
    let error: Option<&str> = row.try_get("error")?;
    Ok(JournalEntry {
        position: row.try_get("position")?,
        kind: StepKind::parse(kind).ok_or_else(|| unknown("kind", kind))?,
        status: StepStatus::parse(status).ok_or_else(|| unknown("status", status))?,
        name: row.try_get("name")?,
        shape: row.try_get::<i64, _>("shape")?.cast_unsigned(),
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        number: row.try_get::<Option<i32>, _>("number")?.map(i32::unsigned_abs),
        output: row.try_get("output")?,
        error: error.map(serde_json::from_str).transpose().map_err(Fault::internal)?,
        finished_at: row.try_get("finished_at")?,
        due_at: row.try_get("due_at")?,
        awaits: row.try_get::<Option<Uuid>, _>("awaits")?,
        stored_at: row.try_get("position")?,
    })
}

#[cfg(test)]
mod tests {
    /// A statement without its comments.
    fn code(statement: &str) -> String {
        statement.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn both_statements_record_steps_alike_but_for_the_lock() {
        let of_transaction = code(include_str!("sql/record_step_of_transaction.sql"));
        let without_lock = of_transaction.replace("\n        FOR SHARE\n", "\n        OFFSET 0\n");
        assert_ne!(without_lock, of_transaction);
        assert_eq!(without_lock, code(include_str!("sql/record_steps.sql")));
    }

    #[test]
    fn children_are_asked_to_end_alike_whoever_ends_their_parent() {
        let asks = |statement: &str| {
            let (_, update) =
                statement.split_once("UPDATE forge_workflow_runs run").expect("it updates runs");
            let (changes, _) = update.split_once("FROM wanted").expect("those that are wanted");
            changes.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let by_owner = asks(include_str!("sql/cancel_own_children.sql"));
        assert_eq!(asks(include_str!("sql/cancel_children.sql")), by_owner);
    }
}
