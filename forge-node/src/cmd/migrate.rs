//! `migrate`: up, down, status, for Forge's own tables and the application's.

use std::time::Duration;

use forge_actors::app::model::ModelRegistration;
use forge_actors::change::captures::{CaptureSetting, Reconciled, reconcile};
use forge_actors::change::config::CaptureConfig;
use forge_actors::db::database::Database;
use forge_actors::db::migrate::plan::{Direction, DownTo, Status, Step};
use forge_actors::db::migrate::runner::{Done, Progress, Runner};
use forge_actors::db::migrate::set::MigrationSet;
use forge_actors::kernel::time::{format_duration, secs};
use serde_json::json;

use crate::boot::storage::{MIGRATION_LOCK_WAIT, Storage};
use crate::cli::{Migrate, MigrateStep};
use crate::cmd::output;
use crate::cmd::report::{Exit, Report};
use crate::cmd::scene::{Palette, Scene};
use crate::config::load::Flag;

/// How long to wait for the database: a person sits before it, where a starting node has all the time.
const PATIENCE_MAX: Duration = secs(3);
/// What the bookkeeping calls whoever runs this.
const NODE: &str = "command line";

/// Runs one step.
pub async fn run(args: &Migrate, scene: Scene<'_>) -> Result<(), Report> {
    let flags = args.database_url.iter().map(|url| Flag {
        flag: "--database-url",
        key: "database.url",
        value: url.clone(),
    });
    let mut loaded = scene.load(&flags.collect::<Vec<_>>())?;
    let patience = &mut loaded.config.database.start_patience;
    *patience = PATIENCE_MAX.min(*patience);
    let storage = Storage::open(&loaded, NODE, scene).await?;
    let outcome = match storage.ready(scene).await {
        Ok(()) => step(&args.step, &storage.database, storage.sets(), scene).await,
        Err(report) => Err(report),
    };
    let outcome = match (outcome, &args.step) {
        (Ok(()), MigrateStep::Up { dry_run: false, .. }) => {
            capture(&storage.database, &loaded.config.capture, scene).await
        }
        (outcome, _) => outcome,
    };
    storage.close().await;
    outcome
}

async fn step(
    step: &MigrateStep,
    database: &Database,
    sets: &[MigrationSet],
    scene: Scene<'_>,
) -> Result<(), Report> {
    let runner = Runner { database, sets, node: NODE, lock_wait: MIGRATION_LOCK_WAIT };
    // The application's own set is the one that a number means: Forge's tables follow the version of the
    // binary.
    let set = sets.last().map(|set| set.name.as_str()).unwrap_or_default();
    let progress = |progress: Progress<'_>| tell(progress, scene);
    match step {
        MigrateStep::Up { dry_run: true, to } => {
            print_plan(&runner.plan_up(to.map(|to| (set, to))).await?, scene)
        }
        MigrateStep::Up { to, .. } => {
            print_done(&runner.up(to.map(|to| (set, to)), progress).await?, "nothing is pending", scene)
        }
        MigrateStep::Down { dry_run, to, steps } => {
            let back = to.map_or(DownTo::Steps(steps.unwrap_or(1)), DownTo::Number);
            match dry_run {
                true => print_plan(&runner.plan_down(set, back).await?, scene),
                false => print_done(&runner.down(set, back, progress).await?, "nothing was applied", scene),
            }
        }
        MigrateStep::Status => return print_status(&runner.status().await?, scene),
    }
    Ok(())
}

/// Switches the capture of changes of new tables on, as a starting node would. What cannot be switched now is
/// left to the nodes.
async fn capture(database: &Database, config: &CaptureConfig, scene: Scene<'_>) -> Result<(), Report> {
    let wanted =
        config.settings(ModelRegistration::all().into_iter().map(|model| (model.table, model.reactive)));
    let failed = |error| {
        Report::new(Exit::Database, "captures", "what is captured was not compared with the models")
            .cause(error)
    };
    let Reconciled { switched, refused } = reconcile(database, &wanted).await.map_err(failed)?;
    for CaptureSetting { table, on } in switched {
        scene.progress(&format!(
            "{} the capture of changes of {table}",
            if on { "switched on" } else { "switched off" }
        ));
    }
    for (CaptureSetting { table, .. }, fault) in refused {
        output::notice(&format!(
            "the capture of changes of {table} is not as its model asks, and is left to the nodes: {fault}"
        ));
    }
    Ok(())
}

/// Says on stderr what is going on.
fn tell(progress: Progress<'_>, scene: Scene<'_>) {
    match progress {
        Progress::WaitingForLock { waited } => {
            scene.progress(&format!("another node migrates; waiting since {}", format_duration(waited)))
        }
        Progress::Running(step) => scene.progress(&format!("{} {}", verb(&step), step.migration.title())),
        Progress::Ran(_) => {}
    }
}

fn verb(step: &Step<'_>) -> &'static str {
    match step.direction {
        Direction::Up => "applying",
        Direction::Down => "taking back",
    }
}

fn print_plan(steps: &[Step<'_>], scene: Scene<'_>) {
    if scene.global.json {
        let step = |step: &Step<'_>| json!({ "set": step.set, "title": step.migration.title(), "direction": step.direction, "sql": step.section.sql });
        return output::data(&json!(steps.iter().map(step).collect::<Vec<_>>()).to_string());
    }
    for step in steps {
        output::data(&format!(
            "-- {} {} {}\n{}\n\n",
            verb(step),
            step.set,
            step.migration.title(),
            step.section.sql.trim()
        ));
    }
    if steps.is_empty() {
        output::data("-- nothing to do");
    }
}

fn print_done(done: &[Done], nothing: &str, scene: Scene<'_>) {
    if scene.global.json {
        return output::data(&json!(done).to_string());
    }
    for Done { set, title, execution_ms, .. } in done {
        output::data(&format!("{set:<12} {title:<40} {execution_ms:>6} ms"));
    }
    if done.is_empty() {
        output::data(nothing);
    }
}

fn print_status(all: &[Status], scene: Scene<'_>) -> Result<(), Report> {
    if scene.global.json {
        let row = |status: &Status| {
            let applied = status
                .applied
                .as_ref()
                .map(|applied| json!({ "at": applied.at, "executionMs": applied.execution_ms, "node": applied.node }));
            json!({ "set": status.set, "number": status.number, "name": status.name, "applied": applied, "problem": status.problem })
        };
        output::data(&json!(all.iter().map(row).collect::<Vec<_>>()).to_string());
    } else {
        for status in all {
            output::data(&status_line(status, scene.palette()));
        }
    }
    match all.iter().find_map(|status| status.problem.as_ref()) {
        Some(problem) => {
            Err(Report::new(Exit::Drift, "migrations-drift", "files and database do not agree")
                .cause(problem))
        }
        None => Ok(()),
    }
}

fn status_line(status: &Status, palette: Palette) -> String {
    let state = match (&status.problem, &status.applied) {
        (Some(problem), _) => palette.red(problem),
        (None, Some(applied)) => palette.dim(&format!(
            "applied {} in {} ms",
            applied.at.format("%Y-%m-%d %H:%M:%S"),
            applied.execution_ms
        )),
        (None, None) => palette.yellow("pending"),
    };
    format!("{:<12} {:04}_{:<32} {state}", status.set, status.number, status.name)
}
