//! The database: reachable, migrated, with a clock that agrees, and with the tables that the models describe.

use std::time::Duration;

use forge_actors::app::model::ModelRegistration;
use forge_actors::db::database::{CheckError, Database};
use forge_actors::db::migrate::plan::Status;
use forge_actors::db::migrate::runner::Runner;
use forge_actors::kernel::time::{Timestamp, format_duration, millis};

use super::{Finding, Level};
use crate::boot::drift::differences;
use crate::boot::secret::STATE_FOLDER;
use crate::boot::storage::{MIGRATION_LOCK_WAIT, Storage};
use crate::cmd::report::{Exit, Report};
use crate::cmd::scene::Scene;
use crate::config::load::Loaded;

/// What the bookkeeping calls whoever runs this.
const NODE: &str = "doctor";
/// Clocks that differ by more disturb tokens, and later leases.
const CLOCK_DIFFERENCE_MAX: Duration = millis(1_000);
/// The file that an embedded database leaves behind from its first start on.
const EMBEDDED_TRACE: &str = "nodes.lock";

/// Examines the configured database, or the embedded one where there was one before: a doctor makes none.
pub(super) async fn examine(loaded: &Loaded, scene: Scene<'_>) -> Vec<Finding> {
    let embedded = loaded.config.database.url.is_none();
    if embedded && !loaded.folder.join(STATE_FOLDER).join(EMBEDDED_TRACE).exists() {
        return vec![Finding::good("the embedded database will be made by the first start")];
    }
    let storage = match Storage::open(loaded, NODE, scene).await {
        Ok(storage) => storage,
        Err(report) => return vec![report.into()],
    };
    let findings = match check(&storage.database).await {
        Ok(()) => {
            let mut findings =
                vec![Finding::good(format!("the database at {} answers", storage.database.place()))];
            findings.push(clock(&storage.database).await.unwrap_or_else(Finding::from));
            let migrations = migrations(&storage).await;
            // Tables that are still to be made differ from every model, and that is no news.
            if migrations.iter().all(|finding| finding.level == Level::Good) {
                findings.extend(models(&storage.database).await.unwrap_or_else(|report| vec![report.into()]));
            }
            findings.extend(migrations);
            findings
        }
        Err(report) => vec![report.into()],
    };
    storage.close().await;
    findings
}

async fn check(database: &Database) -> Result<(), Report> {
    database.check().await.map_err(|error| match error {
        CheckError::Permanent(error) => error.into(),
        CheckError::Away(error) => Report::new(
            Exit::Database,
            "database-unreachable",
            format!("the database at {} is not reachable", database.place()),
        )
        .cause(error)
        .help(reachability(&database.place())),
    })
}

/// The command that shows whether a server answers at a place, `host:port/name`.
pub(super) fn reachability(place: &str) -> String {
    let server = place.rsplit_once('/').map_or(place, |(server, _)| server);
    let (host, port) = server.rsplit_once(':').unwrap_or((server, "5432"));
    format!("pg_isready -h {host} -p {port}   (then start it, or correct database.url)")
}

async fn migrations(storage: &Storage) -> Vec<Finding> {
    let runner = Runner {
        database: &storage.database,
        sets: storage.sets(),
        node: NODE,
        lock_wait: MIGRATION_LOCK_WAIT,
    };
    let all = match runner.status().await {
        Ok(all) => all,
        Err(error) => return vec![Report::from(error).into()],
    };
    let problems = all.iter().filter_map(|status| status.problem.as_ref());
    let problems: Vec<_> =
        problems.map(|problem| Finding::bad(Exit::Drift, problem, "forge-node migrate status")).collect();
    let pending = all.iter().filter(|status: &&Status| status.applied.is_none()).count();
    match (problems.is_empty(), pending) {
        (false, _) => problems,
        (true, 0) => vec![Finding::good(format!("{} migrations are applied, none is pending", all.len()))],
        (true, _) => vec![Finding::note(
            format!("{pending} of {} migrations are pending", all.len()),
            "forge-node migrate up",
        )],
    }
}

async fn clock(database: &Database) -> Result<Finding, Report> {
    let before = local_now();
    let theirs: Timestamp =
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&database.reader()).await.map_err(failed)?;
    let after = local_now();
    // Their moment lies somewhere between ours: only what sticks out is certain to be a difference.
    let ahead = (theirs - after).to_std().unwrap_or_default();
    let behind = (before - theirs).to_std().unwrap_or_default();
    let difference = ahead.max(behind);
    Ok(if difference > CLOCK_DIFFERENCE_MAX {
        let text = format!(
            "this machine's clock differs from the database's by {}",
            format_duration(millis(difference.as_millis() as u64))
        );
        Finding::bad(Exit::Failed, text, "timedatectl set-ntp true")
    } else {
        Finding::good("this machine's clock agrees with the database's")
    })
}

fn local_now() -> Timestamp {
    std::time::SystemTime::now().into()
}

async fn models(database: &Database) -> Result<Vec<Finding>, Report> {
    let differences = differences(database).await?;
    Ok(match differences.is_empty() {
        true => {
            vec![Finding::good(format!("{} models agree with their tables", ModelRegistration::all().len()))]
        }
        false => differences
            .into_iter()
            .map(|difference| Finding::bad(Exit::Drift, difference, "forge-node schema"))
            .collect(),
    })
}

fn failed(error: sqlx::Error) -> Report {
    Report::new(Exit::Database, "database", "the database answers, and refuses a read").cause(error)
}
