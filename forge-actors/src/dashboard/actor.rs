//! `forge.actor`: the details of one actor.

use crate::app::node::NodeReport;
use crate::app::{QueryContext, Result};
use crate::dashboard::report;
use crate::dashboard::window::{self, ActorRow};
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::time::{Timestamp, format_duration};
use crate::supervise::{DutyInfo, EventKind, Strategy};
use crate::telemetry::store::{self, RecordedCrash};

/// Crashes in one answer at most.
const CRASHES_MAX: u16 = 10;

/// One actor: its state, its supervision, its newest events and crashes.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct ActorDetail {
    /// The row of the actor table.
    pub row: ActorRow,
    /// For a supervisor: how it restarts its children.
    pub supervisor: Option<Supervision>,
    /// How the actor itself is restarted; `None` for a root.
    pub supervised_by: Option<Supervision>,
    /// For a periodic duty: when it runs, and how the last run ended.
    pub duty: Option<DutyInfo>,
    /// Paths of the supervisors above the actor, from the root down.
    pub chain: Vec<String>,
    /// The newest events of the actor, oldest first, as far as its node still keeps them.
    pub events: Vec<ActorEvent>,
    /// The last crashes of the actor, newest first.
    pub crashes: Vec<RecordedCrash>,
}

/// How a supervisor restarts its children, and how many restarts are left.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct Supervision {
    /// Path of the supervisor.
    pub path: String,
    /// Which siblings restart with a child.
    pub strategy: Strategy,
    /// Restarts within the window at most.
    pub restarts_max: u32,
    /// Restarts that are left now.
    pub restarts_left: u32,
    /// The sliding window, in milliseconds.
    pub window_ms: Int53,
}

/// A change in the life of an actor.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorEvent {
    /// When it happened, by the clock of the node.
    pub at: Timestamp,
    /// The actor's node.
    pub node: NodeId,
    /// Path of the actor.
    pub path: String,
    /// What happened.
    pub kind: ActorEventKind,
    /// The cause or the delay, where the kind has one; otherwise empty.
    pub text: String,
}

/// What happened to an actor.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorEventKind {
    /// It started.
    Started,
    /// It stopped in order, or was killed because it did not.
    Stopped,
    /// It panicked or returned an error.
    Crashed,
    /// Its supervisor will start it again.
    Restarting,
    /// Its supervisor has no restart left.
    BudgetExhausted,
    /// Its supervisor failed to the supervisor above.
    Escalated,
    /// The root failed: the process ends.
    GaveUp,
}

/// One actor. Null when no actor has that path, or when its node sends no report.
#[forge_app_macros::query(name = "forge.actor", role = "admin", refresh = "250ms")]
pub async fn actor(ctx: &QueryContext, node: NodeId, path: String) -> Result<Option<ActorDetail>> {
    let reports = report::all(ctx);
    let Some(report) = reports.iter().find(|report| report.node == node) else { return Ok(None) };
    let Some(actor) = report.actors.iter().find(|actor| actor.path == path) else { return Ok(None) };
    let crashes = store::list_crashes_of(ctx.db(), node, &path, CRASHES_MAX).await?;
    let above = path.rsplit_once('/').map(|(above, _)| above);
    Ok(Some(ActorDetail {
        row: window::row_of(report, actor, chrono::Utc::now()),
        supervisor: supervision(report, &path),
        supervised_by: above.and_then(|above| supervision(report, above)),
        duty: actor.duty.clone(),
        chain: path.match_indices('/').map(|(end, _)| path[..end].to_owned()).collect(),
        events: report
            .events
            .iter()
            .filter(|event| event.path == path)
            .map(|event| actor_event(node, event.at, &event.path, &event.kind))
            .collect(),
        crashes,
    }))
}

fn supervision(report: &NodeReport, path: &str) -> Option<Supervision> {
    let actor = report.actors.iter().find(|actor| actor.path == path)?;
    let supervisor = actor.supervisor.as_ref()?;
    Some(Supervision {
        path: path.to_owned(),
        strategy: supervisor.strategy,
        restarts_max: supervisor.restarts_max,
        restarts_left: supervisor.restarts_left,
        window_ms: supervisor.window_ms,
    })
}

/// An entry of the journal, as people read it.
pub(super) fn actor_event(node: NodeId, at: Timestamp, path: &str, kind: &EventKind) -> ActorEvent {
    let (kind, text) = match kind {
        EventKind::Started => (ActorEventKind::Started, String::new()),
        EventKind::Stopped { killed: false } => (ActorEventKind::Stopped, String::new()),
        EventKind::Stopped { killed: true } => {
            (ActorEventKind::Stopped, "killed: it did not stop in time".to_owned())
        }
        EventKind::Crashed { cause } => (ActorEventKind::Crashed, cause.clone()),
        EventKind::Restarting { after } => {
            (ActorEventKind::Restarting, format!("in {}", format_duration(*after)))
        }
        EventKind::BudgetExhausted => (ActorEventKind::BudgetExhausted, String::new()),
        EventKind::Escalated => (ActorEventKind::Escalated, String::new()),
        EventKind::GaveUp => (ActorEventKind::GaveUp, String::new()),
    };
    ActorEvent { at, node, path: path.to_owned(), kind, text }
}
