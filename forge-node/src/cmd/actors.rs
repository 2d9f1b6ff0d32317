//! `actors`: the supervision tree of a running node, as a tree.

use std::time::Duration;

use forge_actors::dashboard::actors::NodeActors;
use forge_actors::supervise::{ActorInfo, ActorState};

use crate::cli::Actors;
use crate::cmd::client::{Asker, Client};
use crate::cmd::output;
use crate::cmd::report::{Exit, Report};
use crate::cmd::scene::{Palette, Scene};

/// Time between two pictures of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Moves to the top left and clears what is below: a picture replaces the last one without flicker.
const REDRAW: &str = "\x1b[H\x1b[J";
/// Characters of an actor's last error that fit beside the tree.
const ERROR_CHARS_MAX: usize = 60;

/// Prints the tree, once or again and again.
pub async fn run(args: &Actors, scene: Scene<'_>) -> Result<(), Report> {
    let loaded = scene.load(&[])?;
    let client = Client::new(&loaded, &args.target, Asker::Administrator)?;
    loop {
        let answer = client.post("/rpc/forge.actors", "{}".to_owned()).await?;
        let data = answer.get("data").cloned().unwrap_or_default();
        let text = if scene.global.json {
            data.to_string()
        } else {
            let tree: NodeActors = serde_json::from_value(data).map_err(|error| {
                Report::new(Exit::Drift, "other-version", "the node's answer is of another version of Forge")
                    .cause(error)
            })?;
            let top = if args.watch { REDRAW } else { "" };
            format!("{top}{}", render(&tree, scene.palette()))
        };
        let is_read = output::offer(&text);
        if !args.watch || !is_read {
            return Ok(());
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// The tree with its columns, aligned.
pub(super) fn render(tree: &NodeActors, palette: Palette) -> String {
    let head = ["actor", "kind", "state", "restarts", "mailbox", "messages", "busy", "current", "last error"]
        .map(str::to_owned);
    let rows: Vec<_> =
        tree.actors.iter().enumerate().map(|(index, actor)| row(&tree.actors, index, actor)).collect();
    let widths: Vec<_> = (0..head.len())
        .map(|column| rows.iter().chain([&head]).map(|row| width(&row[column])).max().unwrap_or(0))
        .collect();
    let mut text = palette.dim(&line(&head, &widths)) + "\n";
    for (row, actor) in rows.iter().zip(&tree.actors) {
        let line = line(row, &widths);
        text.push_str(&match actor.state {
            ActorState::Failed => palette.red(&line),
            ActorState::Waiting { .. } => palette.yellow(&line),
            ActorState::Starting | ActorState::Running | ActorState::Stopping | ActorState::Stopped => line,
        });
        text.push('\n');
    }
    text
}

fn row(actors: &[ActorInfo], index: usize, actor: &ActorInfo) -> [String; 9] {
    let error = actor.last_error.as_deref().and_then(|error| error.lines().next()).unwrap_or_default();
    [
        branch(actors, index, actor),
        kind(actor),
        state(actor),
        actor.restarts.to_string(),
        format!("{}/{}", actor.mailbox_depth, actor.mailbox_max),
        actor.handled.to_string(),
        format!("{:.1}s", actor.busy_ms.get() as f64 / 1_000.0),
        actor
            .current
            .as_ref()
            .map_or_else(String::new, |current| format!("{} {}ms", current.name, current.for_ms)),
        error.chars().take(ERROR_CHARS_MAX).collect(),
    ]
}

/// The actor's own name behind the branches that lead to it.
fn branch(actors: &[ActorInfo], index: usize, actor: &ActorInfo) -> String {
    let parts: Vec<_> = actor.path.split('/').collect();
    let name = parts.last().copied().unwrap_or_default();
    let mut drawn = String::new();
    for depth in 1..parts.len() {
        let ancestor = parts[..=depth].join("/");
        let parent = parts[..depth].join("/");
        let more = has_later_sibling(&actors[index + 1..], &ancestor, &parent);
        drawn.push_str(match (depth + 1 == parts.len(), more) {
            (true, true) => "├ ",
            (true, false) => "└ ",
            (false, true) => "│ ",
            (false, false) => "  ",
        });
    }
    drawn + name
}

fn has_later_sibling(later: &[ActorInfo], path: &str, parent: &str) -> bool {
    let below =
        |of: &str, actor: &ActorInfo| actor.path.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'));
    later
        .iter()
        .take_while(|actor| below(parent, actor))
        .any(|actor| actor.path != path && !below(path, actor))
}

/// What it is; of a supervisor, how it restarts its children and how often it still may.
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
        ActorState::Waiting { until } => format!("waits until {}", until.format("%H:%M:%S")),
        ActorState::Stopping => "stopping".to_owned(),
        ActorState::Stopped => "stopped".to_owned(),
        ActorState::Failed => "failed".to_owned(),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// One line; the first column and texts stand left, numbers right.
fn line(row: &[String; 9], widths: &[usize]) -> String {
    let padded = row.iter().zip(widths).enumerate().map(|(column, (text, &wanted))| {
        let space = " ".repeat(wanted - width(text));
        if matches!(column, 3..=6) { format!("{space}{text}") } else { format!("{text}{space}") }
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}
