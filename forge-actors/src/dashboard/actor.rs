//! `forge.actor`: everything that is known of one actor.

use std::fmt::Write as _;

use crate::app::node::NodeReport;
use crate::app::{QueryContext, Result};
use crate::dashboard::crashes::RecordedCrash;
use crate::dashboard::report;
use crate::dashboard::window::{self, Row};
use crate::kernel::ids::NodeId;
use crate::kernel::integer::Int53;
use crate::kernel::time::{Timestamp, format_duration};
use crate::supervise::{EventKind, Strategy};

/// Crashes of one answer.
const CRASHES: i64 = 10;

/// One actor, its supervisor's view of it, and what happened to it.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct ActorDetail {
    /// As in the table.
    pub row: Row,
    /// Of a supervisor: how it restarts its children.
    pub supervisor: Option<Supervision>,
    /// Of a supervised actor: how it is restarted itself.
    pub supervised_by: Option<Supervision>,
    /// The paths above it, from the root down.
    pub chain: Vec<String>,
    /// The newest steps of its life, oldest first, as far as its node still has them.
    pub events: Vec<LifeEvent>,
    /// Its last crashes, newest first.
    pub crashes: Vec<RecordedCrash>,
}

/// How a supervisor restarts, and how often it still may.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct Supervision {
    /// Its path.
    pub path: String,
    /// Which siblings restart with a child.
    pub strategy: Strategy,
    /// Restarts within the window.
    pub restarts_max: u32,
    /// How many of them are left now.
    pub restarts_left: u32,
    /// The window.
    pub window_ms: Int53,
}

/// A step in the life of an actor.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifeEvent {
    /// When.
    pub at: Timestamp,
    /// Its node.
    pub node: NodeId,
    /// Whose.
    pub path: String,
    /// What: `started`, `stopped`, `crashed`, `restarting`, `budgetExhausted`, `escalated`, `gaveUp`.
    pub kind: String,
    /// What more there is to say of it.
    pub text: String,
}

/// One actor; null when there is none of that path, or its node is not heard.
#[forge_app_macros::query(name = "forge.actor", role = "admin", refresh = "250ms")]
pub async fn actor(ctx: &QueryContext, node: NodeId, path: String) -> Result<Option<ActorDetail>> {
    let reports = report::all(ctx);
    let Some(report) = reports.iter().find(|report| report.node == node) else { return Ok(None) };
    let Some(actor) = report.actors.iter().find(|actor| actor.path == path) else { return Ok(None) };
    let crashes =
        sqlx::query_as(include_str!("sql/list_crashes_of.sql")).bind(node).bind(&path).bind(CRASHES);
    let above = path.rsplit_once('/').map(|(above, _)| above);
    Ok(Some(ActorDetail {
        row: window::row_of(report, actor, chrono::Utc::now()),
        supervisor: supervision(report, &path),
        supervised_by: above.and_then(|above| supervision(report, above)),
        chain: path.match_indices('/').map(|(end, _)| path[..end].to_owned()).collect(),
        events: report
            .events
            .iter()
            .filter(|event| event.path == path)
            .map(|event| life_event(node, event.at, &event.path, &event.kind))
            .collect(),
        crashes: crashes.fetch_all(ctx.db()).await?,
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

/// An entry of the journal, for people.
pub(super) fn life_event(node: NodeId, at: Timestamp, path: &str, kind: &EventKind) -> LifeEvent {
    let mut text = String::new();
    let kind = match kind {
        EventKind::Started => "started",
        EventKind::Stopped { killed } => {
            text.push_str(if *killed { "killed: it did not stop in time" } else { "" });
            "stopped"
        }
        EventKind::Crashed { cause } => {
            text.push_str(cause);
            "crashed"
        }
        EventKind::Restarting { after } => {
            write!(text, "in {}", format_duration(*after)).expect("writing to a String");
            "restarting"
        }
        EventKind::BudgetExhausted => "budgetExhausted",
        EventKind::Escalated => "escalated",
        EventKind::GaveUp => "gaveUp",
    };
    LifeEvent { at, node, path: path.to_owned(), kind: kind.to_owned(), text }
}
