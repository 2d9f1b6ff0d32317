//! The duty that deletes the rows of nodes that died long ago, on the leader of the maintenance.

use std::time::Duration;

use tokio::sync::watch;

use super::paths::NODE_EXPIRY;
use super::store;
use crate::db::database::Database;
use crate::kernel::fault::Fault;
use crate::kernel::time::{hours, secs};
use crate::leader::Term;
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// How long the row of a dead node is kept.
const RETENTION: Duration = hours(24);
/// Interval of the deletion of old rows.
const INTERVAL: Duration = hours(1);
/// Longest time of the deletion.
const STATEMENT_TIMEOUT: Duration = secs(5);

struct ExpireNodes {
    database: Database,
}

pub(super) fn spec(database: Database, terms: watch::Receiver<Option<Term>>) -> ChildSpec {
    let make = move || ExpireNodes { database: database.clone() };
    ChildSpec::elected(NODE_EXPIRY.id(), Schedule::every(INTERVAL), terms, make).0
}

impl Duty for ExpireNodes {
    type Term = Term;
    const KIND: &'static str = "node_expiry";

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        let transaction = term.begin(&self.database, "node expiry", STATEMENT_TIMEOUT).await?;
        let deleted = store::forget(&transaction.db(), RETENTION).await?;
        transaction.commit().await?;
        Ok(RunReport::handled(deleted))
    }
}
