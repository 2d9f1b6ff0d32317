//! `migrate`: applies, undoes or lists the migrations of Forge and of the application.

use std::time::Duration;

use forge_actors::change::captures::{CaptureSetting, Reconciled, reconcile};
use forge_actors::change::config::CaptureConfig;
use forge_actors::db::database::Database;
use forge_actors::db::migrate::plan::{Direction, DownTo, MigrationStatus, MigrationStep, NEWER_MIGRATION};
use forge_actors::db::migrate::runner::{CompletedMigration, MigrationProgress, Runner};
use forge_actors::db::migrate::set::MigrationSet;
use forge_actors::kernel::time::{format_duration, secs};
use serde_json::json;

use crate::boot::storage::{MIGRATION_LOCK_WAIT, Storage};
use crate::cli::{Migrate, MigrateStep};
use crate::config::load::Flag;
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::text::Text;
use forge_actors::db::config::DatabaseConfig;
use forge_actors::tree::reactive_tables;

/// Time to wait for the database. It is shorter than a starting node's, because a person waits for the
/// command.
const START_TIMEOUT_MAX: Duration = secs(3);
/// The name of this process in `forge_migrations.node`.
const NODE: &str = "command line";

/// Runs the subcommand.
pub async fn run(args: &Migrate, context: CommandContext<'_>) -> Result<(), Report> {
    let flags = args.database_url.iter().map(|url| Flag {
        flag: "--database-url",
        key: "database.url",
        value: url.clone(),
    });
    let mut loaded = context.load(&flags.collect::<Vec<_>>())?;
    let mut database = loaded.config.section::<DatabaseConfig>();
    database.start_timeout = START_TIMEOUT_MAX.min(database.start_timeout);
    loaded.config.sections.set(database);
    let storage = Storage::open(&loaded, NODE, context).await?;
    let result = match storage.ready(context).await {
        Ok(()) => step(&args.step, &storage.database, storage.sets(), context).await,
        Err(report) => Err(report),
    };
    let result = match (result, &args.step) {
        (Ok(()), MigrateStep::Up { dry_run: false, .. }) => {
            capture(&storage.database, &loaded.config.section(), context).await
        }
        (result, _) => result,
    };
    storage.close().await;
    result
}

async fn step(
    step: &MigrateStep,
    database: &Database,
    sets: &[MigrationSet],
    context: CommandContext<'_>,
) -> Result<(), Report> {
    let runner = Runner { database, sets, node: NODE, lock_wait: MIGRATION_LOCK_WAIT };
    // `--to` and `--steps` count the application's own migrations. Forge's own follow the version of the
    // binary.
    let set = sets.last().map(|set| set.name.as_str()).unwrap_or_default();
    let progress = |progress: MigrationProgress<'_>| report_progress(progress, context);
    match step {
        MigrateStep::Up { dry_run: true, to } => {
            print_plan(&runner.plan_up(to.map(|to| (set, to))).await?, context)
        }
        MigrateStep::Up { to, .. } => print_completed(
            &runner.up(to.map(|to| (set, to)), progress).await?,
            "nothing is pending",
            context,
        ),
        MigrateStep::Down { dry_run, to, steps } => {
            let back = to.map_or(DownTo::Steps(steps.unwrap_or(1)), DownTo::Number);
            match dry_run {
                true => print_plan(&runner.plan_down(set, back).await?, context),
                false => {
                    print_completed(&runner.down(set, back, progress).await?, "nothing was applied", context)
                }
            }
        }
        MigrateStep::Status => return print_status(&runner.status().await?, context),
    }
    Ok(())
}

/// Switches the capture of changes on for new tables, as a starting node would. A table whose capture cannot
/// be switched now is left to the nodes.
async fn capture(
    database: &Database,
    config: &CaptureConfig,
    context: CommandContext<'_>,
) -> Result<(), Report> {
    let wanted = config.settings(reactive_tables().0);
    let failed = |error| {
        Report::new(
            Exit::Database,
            "captures",
            "the capture of changes could not be compared with the models",
        )
        .cause(error)
    };
    let Reconciled { switched, refused } = reconcile(database, &wanted).await.map_err(failed)?;
    for CaptureSetting { table, on } in switched {
        context.progress(&format!("{} change capture for {table}", if on { "enabled" } else { "disabled" }));
    }
    for (CaptureSetting { table, .. }, fault) in refused {
        output::notice(format!(
            "change capture for {table} could not be enabled or disabled; the nodes try again: {fault}"
        ));
    }
    Ok(())
}

/// Prints the progress of a run on stderr.
fn report_progress(progress: MigrationProgress<'_>, context: CommandContext<'_>) {
    match progress {
        MigrationProgress::WaitingForLock { waited } => context.progress(&format!(
            "waiting for another node that migrates, for {} so far",
            format_duration(waited)
        )),
        MigrationProgress::Newer(row) => {
            output::notice(format!("{} of `{}` was {NEWER_MIGRATION}", row.title(), row.set))
        }
        MigrationProgress::TableLocked { step, lock, waited } => context.progress(&format!(
            "{} is waiting for a lock ({}), for {} so far",
            step.migration.title(),
            lock.unwrap_or("of a table"),
            format_duration(secs(waited.as_secs()))
        )),
        MigrationProgress::Started(step) => {
            context.progress(&format!("{} {}", verb(&step), step.migration.title()))
        }
        MigrationProgress::Completed(_) => {}
    }
}

fn verb(step: &MigrationStep<'_>) -> &'static str {
    match step.direction {
        Direction::Up => "applying",
        Direction::Down => "undoing",
    }
}

fn print_plan(steps: &[MigrationStep<'_>], context: CommandContext<'_>) {
    if context.global.json {
        let step = |step: &MigrationStep<'_>| {
            let (title, sql) = (step.migration.title(), &step.section.sql);
            json!({ "set": step.set, "title": title, "direction": step.direction, "sql": sql })
        };
        return output::data(Text::json(&json!(steps.iter().map(step).collect::<Vec<_>>())));
    }
    for step in steps {
        output::document(&format!(
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

fn print_completed(completed: &[CompletedMigration], if_none: &str, context: CommandContext<'_>) {
    if context.global.json {
        return output::data(Text::json(&json!(completed)));
    }
    for CompletedMigration { set, title, execution_ms, .. } in completed {
        output::data(format!("{set:<12} {title:<40} {execution_ms:>6} ms"));
    }
    if completed.is_empty() {
        output::data(if_none);
    }
}

fn print_status(all: &[MigrationStatus], context: CommandContext<'_>) -> Result<(), Report> {
    if context.global.json {
        let row = |status: &MigrationStatus| {
            let applied = status.applied.as_ref().map(|applied| {
                let (at, milliseconds) = (applied.at, applied.execution_ms);
                json!({ "at": at, "executionMs": milliseconds, "node": applied.node })
            });
            let (number, name) = (status.number, &status.name);
            let problem = &status.problem;
            json!({
                "set": status.set, "number": number, "name": name, "applied": applied, "problem": problem,
                "newer": status.newer
            })
        };
        output::data(Text::json(&json!(all.iter().map(row).collect::<Vec<_>>())));
    } else {
        for status in all {
            output::data(status_line(status, context.palette()));
        }
    }
    match all.iter().find_map(|status| status.problem.as_ref()) {
        Some(problem) => {
            Err(Report::new(Exit::Drift, "migrations-drift", "the migration files do not match the database")
                .cause(problem))
        }
        None => Ok(()),
    }
}

fn status_line(status: &MigrationStatus, palette: Palette) -> Text {
    let state = match (&status.problem, &status.applied) {
        (Some(problem), _) => palette.red(problem),
        (None, Some(_)) if status.newer => palette.yellow("applied by a newer binary"),
        (None, Some(applied)) => palette.dim(format!(
            "applied {} in {} ms",
            applied.at.format("%Y-%m-%d %H:%M:%S"),
            applied.execution_ms
        )),
        (None, None) => palette.yellow("pending"),
    };
    let migration = format!("{:<12} {:04}_{:<32} ", status.set, status.number, status.name);
    [migration.into(), state].into_iter().collect()
}
