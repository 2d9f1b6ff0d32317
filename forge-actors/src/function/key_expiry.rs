//! The duty that deletes old idempotency keys, on the leader of the maintenance.

use std::time::Duration;

use tokio::sync::watch;

use super::idempotency;
use super::paths::KEY_EXPIRY;
use crate::db::database::Database;
use crate::kernel::fault::Fault;
use crate::kernel::time::{minutes, secs};
use crate::leader::Term;
use crate::supervise::{ChildSpec, Duty, RunReport, Schedule};

/// Interval of the deletion.
const INTERVAL: Duration = minutes(10);
/// Pause between two deletions while more rows are left than one statement deletes: one node deletes what
/// all nodes add.
const PAUSE: Duration = secs(1);
/// Longest time of a deletion.
const STATEMENT_TIMEOUT: Duration = secs(10);

struct ExpireKeys {
    database: Database,
}

pub(super) fn spec(database: Database, terms: watch::Receiver<Option<Term>>) -> ChildSpec {
    let make = move || ExpireKeys { database: database.clone() };
    ChildSpec::elected(KEY_EXPIRY.id(), Schedule::every(INTERVAL), terms, make).0
}

impl Duty for ExpireKeys {
    type Term = Term;
    const KIND: &'static str = "key_expiry";

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        let transaction = term.begin(&self.database, "expire keys", STATEMENT_TIMEOUT).await?;
        let deleted = idempotency::delete_old_keys(&transaction.db()).await?;
        transaction.commit().await?;
        Ok(RunReport::batch(deleted, idempotency::DELETE_MAX, PAUSE))
    }
}
