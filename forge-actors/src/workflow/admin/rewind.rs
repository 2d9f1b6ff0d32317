//! Runs that execute a part of their journal again: one that has ended without success is brought back, or a
//! new one begins with a copy of the first steps of another one.

use std::collections::HashSet;

use sqlx::{FromRow, Row};

use super::missing::missing;
use super::status::WorkflowStatus;
use crate::app::workflow::{StepKind, StepStatus};
use crate::app::workflow_run::journal::position_parts;
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;
use crate::kernel::time::Timestamp;

/// A new run that was forked from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkedRun {
    /// The new run.
    pub id: RunId,
    /// Steps that it does not execute again.
    pub steps: usize,
    /// The run that it was forked from has not ended.
    pub source_is_live: bool,
}

/// Brings back a run that has ended without success: the steps from `from` on, a position or a name, are
/// executed again. Without `from` it is the step whose failure has ended the run; a run that was cancelled or
/// terminated goes on behind its last step. False when the run has not ended, or has ended well.
///
/// # Errors
/// `NOT_FOUND` when there is no such run or step. `CONFLICT` when a step that stays was compensated, when
/// another run has the id of the application, or when the step to begin with is not clear.
pub async fn retry_from(db: &Db, run: RunId, from: Option<&str>) -> Result<bool, Fault> {
    let source = SourceRun::lock(db, run, false).await?;
    let Some(source) = source else { return Ok(false) };
    if !matches!(
        source.status,
        WorkflowStatus::Failed | WorkflowStatus::Cancelled | WorkflowStatus::Terminated
    ) {
        return Ok(false);
    }
    if let Some(key) = &source.key {
        let lock = sqlx::query_scalar(include_str!("../sql/lock_run_key.sql"));
        let lock = lock.bind(&source.workflow).bind(key).bind(run).bind(&source.tenant);
        let holder: RunId = lock.fetch_one(db).await?;
        if holder != run {
            let text = format!("the run {holder} was started later with the same id of the application");
            return Err(Fault::new(Code::Conflict, text));
        }
    }
    let rewind = Rewind::of(&steps_of(db, run).await?, source.status, from)?;
    let delete = sqlx::query(include_str!("../sql/delete_steps.sql")).bind(run).bind(&rewind.gone);
    delete.execute(db).await?;
    sqlx::query(include_str!("../sql/reopen_steps.sql")).bind(run).execute(db).await?;
    let reopen = sqlx::query(include_str!("../sql/reopen_run.sql")).bind(run);
    Ok(reopen.fetch_optional(db).await?.is_some())
}

/// Starts a run of the same workflow, of `version` where one is given, with a copy of the steps that have
/// ended before `from`, a position or a name; without it, of those before the step whose failure has ended
/// the run, or of all.
///
/// # Errors
/// As [`retry_from`].
pub async fn fork(db: &Db, run: RunId, from: Option<&str>, version: Option<u32>) -> Result<ForkedRun, Fault> {
    let source = SourceRun::lock(db, run, true).await?.ok_or_else(|| missing(run))?;
    let rewind = Rewind::of(&steps_of(db, run).await?, source.status, from)?;
    let id = RunId::new();
    let insert = sqlx::query(include_str!("../sql/fork_run.sql")).bind(run).bind(id);
    let insert = insert.bind(version.map(|version| i32::try_from(version).unwrap_or(i32::MAX)));
    if insert.fetch_optional(db).await?.is_none() {
        return Err(missing(run));
    }
    let copy = sqlx::query(include_str!("../sql/copy_steps.sql")).bind(run).bind(id).bind(&rewind.kept);
    copy.execute(db).await?;
    Ok(ForkedRun { id, steps: rewind.kept.len(), source_is_live: !source.status.is_ended() })
}

/// The run whose journal is used.
struct SourceRun {
    workflow: String,
    key: Option<String>,
    /// Empty for none.
    tenant: String,
    status: WorkflowStatus,
}

impl SourceRun {
    async fn lock(db: &Db, run: RunId, may_be_live: bool) -> Result<Option<Self>, Fault> {
        let lock = sqlx::query(include_str!("../sql/lock_source_run.sql")).bind(run).bind(may_be_live);
        let Some(row) = lock.fetch_optional(db).await? else { return Ok(None) };
        let status = super::rows::status(&row)?;
        let (workflow, key, tenant) = (row.try_get("workflow")?, row.try_get("key")?, row.try_get("tenant")?);
        Ok(Some(Self { workflow, key, tenant, status }))
    }
}

/// A row of a journal, as far as it decides what stays.
#[derive(Debug, Clone)]
struct RecordedStep {
    position: String,
    kind: StepKind,
    status: StepStatus,
    name: String,
    number: Option<i32>,
    started_at: Timestamp,
}

impl FromRow<'_, sqlx::postgres::PgRow> for RecordedStep {
    fn from_row(row: &sqlx::postgres::PgRow) -> sqlx::Result<Self> {
        let (kind, status): (&str, &str) = (row.try_get("kind")?, row.try_get("status")?);
        let unknown = |label: &str| sqlx::Error::Decode(format!("`{label}` is unknown here").into());
        Ok(Self {
            position: row.try_get("position")?,
            kind: StepKind::parse(kind).ok_or_else(|| unknown(kind))?,
            status: StepStatus::parse(status).ok_or_else(|| unknown(status))?,
            name: row.try_get("name")?,
            number: row.try_get("number")?,
            started_at: row.try_get("started_at")?,
        })
    }
}

async fn steps_of(db: &Db, run: RunId) -> Result<Vec<RecordedStep>, Fault> {
    let list = sqlx::query_as(include_str!("../sql/list_recorded_steps.sql")).bind(run);
    Ok(list.fetch_all(db).await?)
}

/// What becomes of the rows of a journal.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rewind {
    /// Positions of the steps that have ended and are not executed again.
    kept: Vec<String>,
    /// Positions of the rows that are deleted.
    gone: Vec<String>,
}

impl Rewind {
    fn of(all: &[RecordedStep], status: WorkflowStatus, from: Option<&str>) -> Result<Self, Fault> {
        let is_compensation = |step: &&RecordedStep| step.kind == StepKind::Compensation;
        let (compensations, steps): (Vec<&RecordedStep>, Vec<&RecordedStep>) =
            all.iter().partition(is_compensation);
        let from = match from {
            Some(from) => Some(named(&steps, from)?),
            None if status == WorkflowStatus::Failed => last_failed(&steps)?,
            None => None,
        };
        let mut rewind = Self::default();
        for step in &steps {
            let runs_again = from.is_some_and(|from| comes_after(step, from));
            // What was under way is attempted anew; what was only waited for is still waited for.
            let is_cut_off = step.number.is_none()
                && matches!(step.kind, StepKind::Call | StepKind::Closure | StepKind::Transaction);
            match (runs_again || is_cut_off, step.number) {
                (true, _) => rewind.gone.push(step.position.to_owned()),
                (false, Some(_)) => rewind.kept.push(step.position.to_owned()),
                (false, None) => {}
            }
        }
        let gone: HashSet<&str> = rewind.gone.iter().map(String::as_str).collect();
        let known: HashSet<&str> = steps.iter().map(|step| &*step.position).collect();
        let mut undone = Vec::new();
        for compensation in compensations {
            let of = compensation.position.trim_start_matches('-');
            let runs_again = match known.contains(of) {
                true => gone.contains(of),
                // It was registered between two steps.
                false => from.is_some_and(|from| position_parts(of) >= position_parts(&from.position)),
            };
            if compensation.status == StepStatus::Completed && !runs_again {
                let RecordedStep { position, name, .. } = compensation;
                let text = format!(
                    "step {} `{name}` was compensated, so its result does not hold any more: begin with it, \
                     or with a step before it",
                    position.trim_start_matches('-')
                );
                return Err(Fault::new(Code::Conflict, text));
            }
            undone.push(compensation.position.to_owned());
        }
        rewind.gone.extend(undone);
        Ok(rewind)
    }
}

/// Whether a step has ended, or begun, at or behind `from`.
fn comes_after(step: &RecordedStep, from: &RecordedStep) -> bool {
    match (step.number, from.number) {
        (Some(number), Some(first)) => number >= first,
        (None, _) => step.position == from.position || step.started_at >= from.started_at,
        // Nothing that has ended comes after a step that has not.
        (Some(_), None) => false,
    }
}

/// The step that a person names by its position or its name.
fn named<'a>(steps: &[&'a RecordedStep], from: &str) -> Result<&'a RecordedStep, Fault> {
    if let Some(step) = steps.iter().find(|step| step.position == from) {
        return Ok(step);
    }
    let found: Vec<&RecordedStep> = steps.iter().copied().filter(|step| step.name == from).collect();
    match *found {
        [step] => Ok(step),
        [] => Err(Fault::new(Code::NotFound, format!("the journal of the run has no step `{from}`"))),
        _ => {
            let mut positions: Vec<&str> = found.iter().map(|step| &*step.position).collect();
            positions.sort_by_key(|position| position_parts(position));
            let text = format!(
                "several steps are called `{from}`: name one by its position, {}",
                positions.join(", ")
            );
            Err(Fault::new(Code::Conflict, text))
        }
    }
}

/// The step whose failure has ended the run; `None` when it ended for another reason.
fn last_failed<'a>(steps: &[&'a RecordedStep]) -> Result<Option<&'a RecordedStep>, Fault> {
    let failed = steps.iter().copied().filter(|step| step.status == StepStatus::Failed);
    let Some(failed) = failed.max_by_key(|step| step.number) else { return Ok(None) };
    let later = steps.iter().find(|step| step.number > failed.number && step.status == StepStatus::Completed);
    match later {
        None => Ok(Some(failed)),
        Some(later) => {
            let text = format!(
                "step {} `{}` has failed, and step {} `{}` has completed after it: say from which step on \
                 the run executes again",
                failed.position, failed.name, later.position, later.name
            );
            Err(Fault::new(Code::Conflict, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal: position, name, status, number; a compensation has a minus sign before its position.
    fn journal(rows: &[(&str, &str, StepStatus, Option<i32>)]) -> Vec<RecordedStep> {
        let step =
            |(at, (position, name, status, number)): (usize, &(&str, &str, StepStatus, Option<i32>))| {
                let kind = match (position.starts_with('-'), *name) {
                    (true, _) => StepKind::Compensation,
                    (false, "wait") => StepKind::Event,
                    (false, _) => StepKind::Call,
                };
                let started_at = Timestamp::from_timestamp(at as i64, 0).expect("a moment");
                let (position, name) = ((*position).to_owned(), (*name).to_owned());
                RecordedStep { position, kind, status: *status, name, number: *number, started_at }
            };
        rows.iter().enumerate().map(step).collect()
    }

    fn check(
        rows: &[(&str, &str, StepStatus, Option<i32>)],
        (status, from): (WorkflowStatus, Option<&str>),
        expected: Result<(&[&str], &[&str]), Code>,
    ) {
        let found = Rewind::of(&journal(rows), status, from);
        let found = found.as_ref().map_err(Fault::code);
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let expected = expected.map(|(kept, gone)| Rewind { kept: texts(kept), gone: texts(gone) });
        assert_eq!(found, expected.as_ref().map_err(|code| *code), "{rows:?} {from:?}");
    }

    #[test]
    fn steps_from_the_named_one_on_run_again() {
        use StepStatus::{Abandoned, Completed, Failed, Waiting};
        use WorkflowStatus as Run;
        let plain =
            [("1", "a", Completed, Some(1)), ("2", "b", Completed, Some(2)), ("3", "c", Failed, Some(3))];
        check(&plain, (Run::Failed, None), Ok((&["1", "2"], &["3"])));
        check(&plain, (Run::Failed, Some("b")), Ok((&["1"], &["2", "3"])));
        check(&plain, (Run::Failed, Some("1")), Ok((&[], &["1", "2", "3"])));
        check(&plain, (Run::Cancelled, None), Ok((&["1", "2", "3"], &[])));
        check(&plain, (Run::Failed, Some("d")), Err(Code::NotFound));
        let twice = [("9", "a", Completed, Some(1)), ("10", "a", Completed, Some(2))];
        check(&twice, (Run::Failed, Some("a")), Err(Code::Conflict));
        check(&twice, (Run::Failed, Some("10")), Ok((&["9"], &["10"])));
        let handled = [("1", "a", Failed, Some(1)), ("2", "b", Completed, Some(2))];
        check(&handled, (Run::Failed, None), Err(Code::Conflict));
        let terminated = [
            ("1", "a", Completed, Some(1)),
            ("2.0.1", "wait", Abandoned, None),
            ("2.1.1", "b", Abandoned, None),
        ];
        check(&terminated, (Run::Terminated, None), Ok((&["1"], &["2.1.1"])));
        check(&terminated, (Run::Terminated, Some("wait")), Ok((&["1"], &["2.0.1", "2.1.1"])));
        let live = [("1", "a", Completed, Some(1)), ("2", "wait", Waiting, None)];
        check(&live, (Run::Waiting, None), Ok((&["1"], &[])));
    }

    #[test]
    fn a_step_that_was_compensated_does_not_stay() {
        use StepStatus::{Completed, Failed, Retrying, Skipped};
        use WorkflowStatus as Run;
        let saga = |first: StepStatus| {
            [
                ("1", "a", Completed, Some(1)),
                ("2", "b", Completed, Some(2)),
                ("3", "c", Failed, Some(3)),
                ("-2", "b", Completed, Some(4)),
                ("-1", "a", first, None),
            ]
        };
        check(&saga(Retrying), (Run::Failed, None), Err(Code::Conflict));
        check(&saga(Retrying), (Run::Failed, Some("b")), Ok((&["1"], &["2", "3", "-2", "-1"])));
        check(&saga(Skipped), (Run::Failed, Some("b")), Ok((&["1"], &["2", "3", "-2", "-1"])));
        check(&saga(Completed), (Run::Failed, Some("b")), Err(Code::Conflict));
        check(&saga(Completed), (Run::Failed, Some("a")), Ok((&[], &["1", "2", "3", "-2", "-1"])));
        // Registered between the steps 1 and 3.
        let between =
            [("1", "a", Completed, Some(1)), ("3", "c", Failed, Some(2)), ("-2", "undo", Completed, Some(3))];
        check(&between, (Run::Failed, None), Err(Code::Conflict));
        check(&between, (Run::Failed, Some("1")), Ok((&[], &["1", "3", "-2"])));
    }
}
