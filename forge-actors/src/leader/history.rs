//! The duty that deletes terms which ended long ago.

use std::time::Duration;

use tokio::sync::watch;

use super::paths::HISTORY;
use super::store;
use super::term::Term;
use crate::db::database::Database;
use crate::kernel::fault::Fault;
use crate::kernel::time::{hours, secs};
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Between two deletions.
const INTERVAL: Duration = hours(1);
/// Between two parts of a long deletion.
const PAUSE: Duration = secs(1);
/// Of one statement.
const STATEMENT_TIMEOUT: Duration = secs(5);

struct DeleteTerms {
    database: Database,
    retention: Duration,
}

/// The child, idle until `terms` has a term of this node.
pub(super) fn spec(
    database: Database,
    retention: Duration,
    terms: watch::Receiver<Option<Term>>,
) -> ChildSpec {
    let make = move || DeleteTerms { database: database.clone(), retention };
    ChildSpec::elected(HISTORY.id(), Schedule::every(INTERVAL), terms, make).0
}

impl Duty for DeleteTerms {
    type Term = Term;
    const KIND: &'static str = "history";

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        let transaction = term.begin(&self.database, "leader history", STATEMENT_TIMEOUT).await?;
        let deleted = store::delete_old_terms(&transaction.db(), self.retention).await?;
        transaction.commit().await?;
        Ok(RunReport::batch(deleted, store::DELETE_MAX, PAUSE))
    }
}
