//! `actors`: prints the supervision tree of a running node.

use std::time::Duration;

use forge_actors::dashboard::actors::NodeActors;
use forge_actors::supervise::{ActorInfo, ActorState, CurrentMessage};
use serde_json::json;

use crate::cli::Actors;
use crate::cmd::client::{Client, decode};
use crate::terminal::context::{CommandContext, Palette, understands_escapes};
use crate::terminal::output;
use crate::terminal::report::Report;
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;

/// Time between two prints of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Characters of an actor's last error; the rest is cut.
const ERROR_CHARS_MAX: usize = 60;

/// Prints the tree, once or every second.
pub async fn run(args: &Actors, context: CommandContext<'_>) -> Result<(), Report> {
    let client = Client::of_administrator(&args.target, context)?;
    loop {
        let data = client.call("forge.actors", &json!({})).await?;
        let text = if context.global.json {
            Text::json(&data)
        } else {
            let tree: NodeActors = decode(&data)?;
            let drawn = render(&tree, context.palette());
            if args.watch && understands_escapes() { drawn.redrawn() } else { drawn }
        };
        let is_open = output::write_data(&text);
        if !args.watch || !is_open {
            return Ok(());
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

const COLUMNS: [Column; 9] = [
    Column::Left("actor"),
    Column::Left("kind"),
    Column::Left("state"),
    Column::Right("restarts"),
    Column::Right("mailbox"),
    Column::Right("messages"),
    Column::Right("busy"),
    Column::Left("current"),
    Column::Left("last error"),
];

/// The tree, one actor a line.
pub(super) fn render(tree: &NodeActors, palette: Palette) -> Text {
    let rows: Vec<_> =
        tree.actors.iter().enumerate().map(|(index, actor)| row(&tree.actors, index, actor)).collect();
    table::render(COLUMNS, &rows, palette, |index, line| match tree.actors[index].state {
        ActorState::Failed => palette.red(line),
        ActorState::Waiting { .. } => palette.yellow(line),
        ActorState::Starting | ActorState::Running | ActorState::Stopping | ActorState::Stopped => line,
    })
}

fn row(actors: &[ActorInfo], index: usize, actor: &ActorInfo) -> [String; COLUMNS.len()] {
    let error = actor.last_error.as_deref().and_then(|error| error.lines().next()).unwrap_or_default();
    [
        branch(actors, index, actor),
        kind(actor),
        state(actor),
        actor.restarts.to_string(),
        format!("{}/{}", actor.mailbox_depth, actor.mailbox_max),
        actor.handled.to_string(),
        format!("{:.1}s", actor.busy_ms.get() as f64 / 1_000.0),
        actor.current.as_ref().map_or_else(String::new, current),
        error.chars().take(ERROR_CHARS_MAX).collect(),
    ]
}

/// The message that is being handled, or the job that it runs, and for how long.
fn current(message: &CurrentMessage) -> String {
    match &message.work {
        Some(work) => format!("{} {} {}ms of {}ms", work.handler, work.id, work.for_ms, work.limit_ms),
        None => format!("{} {}ms", message.name, message.for_ms),
    }
}

/// The actor's own name, after the branches of the drawn tree.
fn branch(actors: &[ActorInfo], index: usize, actor: &ActorInfo) -> String {
    let parts: Vec<_> = actor.path.split('/').collect();
    let name = parts.last().copied().unwrap_or_default();
    let mut branches = String::new();
    for depth in 1..parts.len() {
        let ancestor = parts[..=depth].join("/");
        let parent = parts[..depth].join("/");
        let more = has_later_sibling(&actors[index + 1..], &ancestor, &parent);
        branches.push_str(match (depth + 1 == parts.len(), more) {
            (true, true) => "├ ",
            (true, false) => "└ ",
            (false, true) => "│ ",
            (false, false) => "  ",
        });
    }
    branches + name
}

fn has_later_sibling(later: &[ActorInfo], path: &str, parent: &str) -> bool {
    let below =
        |of: &str, actor: &ActorInfo| actor.path.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'));
    later
        .iter()
        .take_while(|actor| below(parent, actor))
        .any(|actor| actor.path != path && !below(path, actor))
}

/// The actor's kind; for a supervisor its strategy and the restarts that its budget has left.
fn kind(actor: &ActorInfo) -> String {
    match &actor.supervisor {
        Some(supervisor) => format!("{} {} left", supervisor.strategy.as_str(), supervisor.restarts_left),
        None => actor.kind.clone(),
    }
}

fn state(actor: &ActorInfo) -> String {
    match actor.state {
        ActorState::Starting => "starting".to_owned(),
        ActorState::Running => "running".to_owned(),
        ActorState::Waiting { until } => format!("restarts at {}", until.format("%H:%M:%S")),
        ActorState::Stopping => "stopping".to_owned(),
        ActorState::Stopped => "stopped".to_owned(),
        ActorState::Failed => "failed".to_owned(),
    }
}
