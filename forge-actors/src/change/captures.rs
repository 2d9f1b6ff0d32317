//! Keeps the capture triggers of tables in line with the models.
//!
//! ```text
//!   start ──▶ compare ── in sync ─────────▶ idle
//!              ▲  ▲         │                │ hint: definitions changed, or `capture_check` is due
//!              │  └─────────┼─── SETTLE ◀────┘
//!              │            │ triggers were switched (CONFIRM) or could not be (RETRY)
//!              └────────────┘
//! ```
//!
//! A running node can lose triggers: `ALTER TABLE … DISABLE TRIGGER ALL` around a restore, a copy of a table
//! that takes the table's name, a table that a migration creates after the start. Each of these is DDL.
//! Where the role may create event triggers, the table of changes reports DDL; elsewhere the hints of
//! `capture_check`, which come at intervals, stand in for the report.
//!
//! Any number of nodes may compare at once: comparing takes no lock, and a node that gets the lock of a
//! table second finds its triggers in place. Tables that could not be switched, or that do not stay
//! switched, are tried again with backoff for as long as the node runs, at last once a minute; until then
//! they are polled.

use std::sync::Arc;
use std::time::Duration;

use crate::db::database::Database;
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::time::{millis, minutes, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Timer};

use super::hints::{HintHub, TopicKind};
use super::paths::CAPTURES;
use super::store;

/// The first comparison is part of the start, so that the children that start later find captured tables.
const START_DEADLINE: Duration = minutes(2);
/// How long to wait after a hint, since definitions change many at a time and one comparison serves for all.
const SETTLE: Duration = millis(500);
/// Before the comparison that confirms a switch. Grows, so that a switch that does not last is no busy loop.
const CONFIRM: Backoff = Backoff::exponential(SETTLE, minutes(1));
/// Between attempts to switch a table.
const RETRY: Backoff = Backoff::exponential(secs(5), minutes(1));

/// Whether the changes of a table have to be captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureSetting {
    /// The table's name.
    pub table: String,
    /// True to capture, false to capture no more.
    pub on: bool,
}

/// The result of [`reconcile`].
#[derive(Debug, Default)]
pub struct Reconciled {
    /// Tables whose capture was switched.
    pub switched: Vec<CaptureSetting>,
    /// Tables whose capture could not be switched, and why.
    pub refused: Vec<(CaptureSetting, Fault)>,
}

/// Compares the tables with `settings`, and switches the capture of those that differ. Tables that do not
/// exist are left out. Costs one statement when nothing differs.
///
/// # Errors
/// When the database cannot say which tables are captured.
pub async fn reconcile(database: &Database, settings: &[CaptureSetting]) -> Result<Reconciled, Fault> {
    let names: Vec<&str> = settings.iter().map(|setting| setting.table.as_str()).collect();
    let mut done = Reconciled::default();
    for status in store::list_captures(&database.reader(), &names).await? {
        let differs = |setting: &&CaptureSetting| {
            setting.table == status.table && if setting.on { !status.whole } else { status.partly }
        };
        let Some(setting) = settings.iter().find(differs) else { continue };
        match store::set_capture(database, &setting.table, setting.on).await {
            Ok(()) => done.switched.push(setting.clone()),
            Err(fault) => done.refused.push((setting.clone(), fault)),
        }
    }
    Ok(done)
}

/// Messages of [`CaptureReconciler`].
#[derive(forge_app_macros::Message)]
pub enum CapturesMessage {
    /// Definitions may have changed.
    DefinitionsChanged,
    /// The time of the next comparison has come.
    Compare,
}

/// Compares the triggers of all tables with the settings, and switches what differs.
#[derive(Debug, Clone)]
pub struct CaptureReconciler {
    database: Database,
    settings: Arc<[CaptureSetting]>,
    hints: HintHub,
}

/// When the next comparison is due.
pub struct ReconcilerState {
    /// Comparisons in a row that were not in sync.
    attempts: u32,
    /// The timer of the next comparison; `None` while the actor is idle.
    next: Option<Timer>,
}

/// The result of one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    InSync,
    Switched,
    Refused,
}

impl CaptureReconciler {
    /// The child spec. The actor compares while it starts, so that later siblings find captured tables, and
    /// again after each hint about definitions.
    pub fn spec(database: Database, settings: Arc<[CaptureSetting]>, hints: HintHub) -> ChildSpec {
        let reconciler = Self { database, settings, hints };
        let mut spec = ChildSpec::unaddressed(CAPTURES.id(), move || reconciler.clone());
        spec.start_deadline = Some(START_DEADLINE);
        spec
    }

    /// Compares once. A failure does not end the actor, because live queries poll tables without capture.
    async fn compare(&self, attempts: u32) -> Comparison {
        let Reconciled { switched, refused } = match reconcile(&self.database, &self.settings).await {
            Ok(done) => done,
            Err(error) => {
                if attempts == 0 {
                    let error = error_chain(&error);
                    tracing::warn!(error, "comparing captured tables with the models failed; trying again");
                }
                return Comparison::Refused;
            }
        };
        if switched.is_empty() && refused.is_empty() {
            return Comparison::InSync;
        }
        for CaptureSetting { table, on } in switched {
            tracing::info!(table, on, "switched the capture of changes");
        }
        for (CaptureSetting { table, on }, error) in &refused {
            let error = error_chain(error);
            // The first of several failures in a row is a warning, the others are not.
            if attempts == 0 {
                tracing::warn!(
                    table,
                    on,
                    error,
                    "switching the capture of changes failed: live queries on the table are slower; \
                     trying again"
                );
            } else {
                tracing::debug!(table, on, error, "switching the capture of changes failed again");
            }
        }
        if refused.is_empty() { Comparison::Switched } else { Comparison::Refused }
    }

    /// Compares, and sets the timer of the next comparison unless all tables are in sync.
    async fn reconcile(&self, cx: &Context<CapturesMessage>, state: &mut ReconcilerState) {
        let backoff = match self.compare(state.attempts).await {
            Comparison::InSync => return *state = ReconcilerState { attempts: 0, next: None },
            Comparison::Switched => CONFIRM,
            Comparison::Refused => RETRY,
        };
        state.next = Some(cx.send_after(backoff.jittered(state.attempts), CapturesMessage::Compare));
        state.attempts = state.attempts.saturating_add(1);
    }
}

impl Actor for CaptureReconciler {
    type Message = CapturesMessage;
    type State = ReconcilerState;
    const KIND: &'static str = "captures";
    /// Hints are wake-ups, which may be dropped while others wait.
    const MAILBOX_MAX: usize = 16;

    async fn start(&self, cx: &Context<CapturesMessage>) -> Result<ReconcilerState, ActorError> {
        let (definitions, address) = (self.hints.subscribe(TopicKind::Definitions), cx.address());
        cx.spawn("hints", async move {
            loop {
                definitions.next().await;
                address.notify(CapturesMessage::DefinitionsChanged);
            }
        });
        let mut state = ReconcilerState { attempts: 0, next: None };
        self.reconcile(cx, &mut state).await;
        Ok(state)
    }

    async fn handle(
        &self,
        cx: &Context<CapturesMessage>,
        message: CapturesMessage,
        state: &mut ReconcilerState,
    ) -> Result<(), ActorError> {
        match message {
            CapturesMessage::DefinitionsChanged if state.next.is_some() => {}
            CapturesMessage::DefinitionsChanged => {
                state.next = Some(cx.send_after(SETTLE, CapturesMessage::Compare));
            }
            CapturesMessage::Compare => self.reconcile(cx, state).await,
        }
        Ok(())
    }
}
