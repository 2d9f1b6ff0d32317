//! Keeps the capture of tables in line with what their models ask for.
//!
//! ```text
//!   start ─▶ compare ── nothing differs ──▶ at rest
//!               ▲ ▲          │                │ news: definitions changed, or a sweep went by
//!               │ └──────────┼─── SETTLE ◀────┘
//!               │            │ switch table after table
//!               └── RETRY ◀──┘ some were switched: did they stay so? · or were locked or refused, and are polled meanwhile
//! ```
//!
//! Triggers are lost behind the back of a running node: `ALTER TABLE … DISABLE TRIGGER ALL` around a restore,
//! a copy of a table that takes its name, a table that a migration creates after the start. Each of these is
//! DDL, which the reader of changes reports where event triggers may; the compactor's sweeps stand in for it
//! elsewhere.
//!
//! Any number of nodes may do this at once: comparing takes no lock, and under the lock of a table who comes
//! second finds it done. What cannot be switched, or does not stay so, is tried with backoff for as long as
//! the node runs, one try a minute at last.

use std::sync::Arc;
use std::time::Duration;

use crate::db::database::Database;
use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;
use crate::kernel::time::{millis, minutes, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Timer};

use super::hints::Hints;
use super::store;

/// The first comparison is part of the start: what follows it finds captured tables.
const START_DEADLINE: Duration = minutes(2);
/// After tables were switched: what does not stay so is not switched in a loop.
const CONFIRM: Backoff = Backoff::exponential(SETTLE, minutes(1));
/// After news: definitions change in crowds, and one comparison is enough for all.
const SETTLE: Duration = millis(500);
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

/// Compares, and switches what differs. One statement when nothing does; tables that do not exist are left
/// out.
pub async fn reconcile(database: &Database, wanted: &[Wanted]) -> Result<Reconciled, Fault> {
    let names: Vec<&str> = wanted.iter().map(|wanted| wanted.table.as_str()).collect();
    let mut done = Reconciled::default();
    for captured in store::list_captures(&database.reader(), &names).await? {
        let differs = |wanted: &&Wanted| {
            wanted.table == captured.table && if wanted.on { !captured.whole } else { captured.partly }
        };
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
    /// Something may differ.
    Look,
    /// Compare again.
    Compare,
}

/// The actor.
#[derive(Debug, Clone)]
pub struct Captures {
    database: Database,
    wanted: Arc<[Wanted]>,
    hints: Hints,
}

/// Its tries.
pub struct Tries {
    /// Comparisons in a row that found something to do.
    busy: u32,
    /// The next comparison; none at rest.
    next: Option<Timer>,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// All is as it should be.
    Order,
    /// Something that was not, and is now, if it stays so.
    Switched,
    /// Something that could not be switched.
    Refused,
}

impl Captures {
    /// The child that compares in its start, so that later siblings find captured tables, and again whenever
    /// `hints` has news of definitions.
    pub fn spec(database: Database, wanted: Arc<[Wanted]>, hints: Hints) -> ChildSpec {
        let captures = Self { database, wanted, hints };
        let (mut spec, _) = ChildSpec::actor("captures", move || captures.clone());
        spec.start_deadline = Some(START_DEADLINE);
        spec
    }

    /// What fails does not end the node: those tables are polled.
    async fn compare(&self, busy: u32) -> Found {
        let Reconciled { switched, refused } = match reconcile(&self.database, &self.wanted).await {
            Ok(done) => done,
            Err(error) => {
                if busy == 0 {
                    tracing::warn!(%error, "what is captured was not compared with the models; trying again");
                }
                return Found::Refused;
            }
        };
        if switched.is_empty() && refused.is_empty() {
            return Found::Order;
        }
        for Wanted { table, on } in switched {
            tracing::info!(table, on, "switched the capture of changes");
        }
        for (Wanted { table, on }, error) in &refused {
            // Once is enough to be told.
            if busy == 0 {
                tracing::warn!(table, on, %error, "the capture of changes was not switched: live queries on the table are slower; trying again");
            } else {
                tracing::debug!(table, on, %error, "the capture of changes was not switched");
            }
        }
        if refused.is_empty() { Found::Switched } else { Found::Refused }
    }

    /// Compares, and says when to do it again.
    async fn step(&self, cx: &Context<CapturesMessage>, tries: &mut Tries) {
        let pause = match self.compare(tries.busy).await {
            Found::Order => return *tries = Tries { busy: 0, next: None },
            Found::Switched => CONFIRM,
            Found::Refused => RETRY,
        };
        tries.next = Some(cx.send_after(pause.jittered(tries.busy), CapturesMessage::Compare));
        tries.busy = tries.busy.saturating_add(1);
    }
}

impl Actor for Captures {
    type Message = CapturesMessage;
    type State = Tries;
    const KIND: &'static str = "captures";
    /// News only wake.
    const MAILBOX_MAX: usize = 16;

    async fn start(&self, cx: &Context<CapturesMessage>) -> Result<Tries, ActorError> {
        let (mut news, address) = (self.hints.definitions(), cx.address());
        cx.spawn("news", async move {
            while news.changed().await.is_ok() {
                // A full mailbox is full of the same.
                let _told = address.cast(CapturesMessage::Look);
            }
        });
        let mut tries = Tries { busy: 0, next: None };
        self.step(cx, &mut tries).await;
        Ok(tries)
    }

    async fn handle(
        &self,
        cx: &Context<CapturesMessage>,
        message: CapturesMessage,
        tries: &mut Tries,
    ) -> Result<(), ActorError> {
        match message {
            CapturesMessage::Look if tries.next.is_some() => {}
            CapturesMessage::Look => tries.next = Some(cx.send_after(SETTLE, CapturesMessage::Compare)),
            CapturesMessage::Compare => self.step(cx, tries).await,
        }
        Ok(())
    }
}
