//! Brings the capture of tables in line with what their models ask for: a transient child that is gone when there is nothing left to do.
//!
//! ```text
//!   start ─▶ compare ─▶ nothing differs ─▶ gone
//!               ▲           │ switch table after table
//!               └── later ◀─┴─ one was locked or refused; it is polled meanwhile
//! ```
//!
//! Any number of nodes may do this at once: comparing takes no lock, and under the lock of a table who comes second finds it done.

use std::sync::Arc;
use std::time::Duration;

use crate::db::database::Database;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::time::{minutes, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Restart, Timer};

use super::store;

/// The first comparison is part of the start: what follows it finds captured tables.
const START_DEADLINE: Duration = minutes(2);
/// Between tries for tables that could not be switched.
const RETRY: Backoff = Backoff::exponential(secs(5), minutes(1));

/// A table and whether its changes shall be captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The table's name.
    pub table: String,
    /// Captured, or not.
    pub on: bool,
}

/// What became of [`reconcile`].
#[derive(Debug, Default)]
pub struct Reconciled {
    /// Tables that were switched.
    pub switched: Vec<Wanted>,
    /// Tables that could not be, and why.
    pub refused: Vec<(Wanted, Fault)>,
}

/// Compares, and switches what differs. One statement when nothing does; tables that do not exist are left out.
pub async fn reconcile(database: &Database, wanted: &[Wanted]) -> Result<Reconciled, Fault> {
    let names: Vec<&str> = wanted.iter().map(|wanted| wanted.table.as_str()).collect();
    let mut done = Reconciled::default();
    for captured in store::list_captures(&database.reader(), &names).await? {
        let differs = |wanted: &&Wanted| wanted.table == captured.table && if wanted.on { !captured.whole } else { captured.partly };
        let Some(wanted) = wanted.iter().find(differs) else { continue };
        match store::set_capture(database, &wanted.table, wanted.on).await {
            Ok(()) => done.switched.push(wanted.clone()),
            Err(fault) => done.refused.push((wanted.clone(), fault)),
        }
    }
    Ok(done)
}

/// Messages of the actor.
#[derive(forge_app_macros::Message)]
pub enum CapturesMessage {
    /// Compare again.
    Compare,
    /// Nothing is left to do: end.
    Finish,
}

/// The actor.
#[derive(Debug, Clone)]
pub struct Captures {
    database: Database,
    wanted: Arc<[Wanted]>,
}

/// Its tries.
pub struct Tries {
    failed: u32,
    next: Timer,
}

impl Captures {
    /// The child that compares in its start, so that later siblings find captured tables.
    pub fn spec(database: Database, wanted: Arc<[Wanted]>) -> ChildSpec {
        let captures = Self { database, wanted };
        let (mut spec, _) = ChildSpec::actor("captures", move || captures.clone());
        spec.restart = Restart::Transient;
        spec.start_deadline = Some(START_DEADLINE);
        spec
    }

    /// True when nothing is left to do. What fails does not end the node: those tables are polled.
    async fn compare(&self, failed: u32) -> bool {
        let Reconciled { switched, refused } = match reconcile(&self.database, &self.wanted).await {
            Ok(done) => done,
            Err(error) => {
                tracing::warn!(%error, "what is captured was not compared with the models");
                return false;
            }
        };
        for Wanted { table, on } in switched {
            tracing::info!(table, on, "switched the capture of changes");
        }
        for (Wanted { table, on }, error) in &refused {
            // Once is enough to be told.
            if failed == 0 {
                tracing::warn!(table, on, %error, "the capture of changes was not switched: live queries on the table are slower; trying again");
            } else {
                tracing::debug!(table, on, %error, "the capture of changes was not switched");
            }
        }
        refused.is_empty()
    }

    /// Compares, and says when to do what next.
    async fn step(&self, cx: &Context<CapturesMessage>, failed: u32) -> Timer {
        if self.compare(failed).await {
            cx.send_after(Duration::ZERO, CapturesMessage::Finish)
        } else {
            cx.send_after(RETRY.jittered(failed), CapturesMessage::Compare)
        }
    }
}

impl Actor for Captures {
    type Message = CapturesMessage;
    type State = Tries;
    const KIND: &'static str = "captures";

    async fn start(&self, cx: &Context<CapturesMessage>) -> Result<Tries, ActorError> {
        Ok(Tries { failed: 0, next: self.step(cx, 0).await })
    }

    async fn handle(&self, cx: &Context<CapturesMessage>, message: CapturesMessage, tries: &mut Tries) -> Result<(), ActorError> {
        match message {
            CapturesMessage::Compare => {
                tries.failed = tries.failed.saturating_add(1);
                tries.next = self.step(cx, tries.failed).await;
            }
            CapturesMessage::Finish => cx.stop("every model's table is as it asks"),
        }
        Ok(())
    }
}
