//! Deletes the rows of crashes that happened long ago, on the leader of the maintenance.

use std::time::Duration;

use super::store;
use crate::db::database::Database;
use crate::kernel::fault::Fault;
use crate::kernel::time::{days, hours, secs};
use crate::leader::Term;
use crate::supervise::{Duty, RunReport, Schedule};

/// How long the row of a crash is kept.
const RETENTION: Duration = days(30);
/// Pause between two deletions while more rows are left than one statement deletes.
const PAUSE: Duration = secs(1);
/// Longest time of one deletion.
const STATEMENT_TIMEOUT: Duration = secs(10);

pub(super) const SCHEDULE: Schedule = Schedule::every(hours(1));

pub(super) struct ExpireCrashes {
    pub(super) database: Database,
}

impl Duty for ExpireCrashes {
    type Term = Term;
    const KIND: &'static str = "crash_expiry";

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        let transaction = term.begin(&self.database, "expire crashes", STATEMENT_TIMEOUT).await?;
        let deleted = store::delete_old_crashes(&transaction.db(), RETENTION).await?;
        transaction.commit().await?;
        Ok(RunReport::batch(deleted, store::DELETE_MAX, PAUSE))
    }
}
