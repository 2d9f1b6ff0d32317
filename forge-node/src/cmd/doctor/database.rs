//! Checks of the database: it answers, it is migrated, its clock agrees with this machine's, and its tables
//! are those that the models describe.

use forge_actors::app::model::ModelRegistration;
use forge_actors::change::config::CaptureConfig;
use forge_actors::db::clock::CLOCK_DIFFERENCE_MAX;
use forge_actors::db::connections::{CallPools, ConnectionGrant, ConnectionLimits};
use forge_actors::db::database::{CheckError, Database};
use forge_actors::db::migrate::plan::{MigrationStatus, NEWER_MIGRATION};
use forge_actors::db::migrate::runner::Runner;
use forge_actors::reactor::config::ReactivityConfig;

use super::{Finding, Level};
use crate::boot::drift::{differences, refused_read};
use crate::boot::secret::STATE_FOLDER;
use crate::boot::storage::{MIGRATION_LOCK_WAIT, Storage};
use crate::config::load::Loaded;
use crate::terminal::context::CommandContext;
use crate::terminal::report::{Exit, Report};
use forge_actors::db::config::DatabaseConfig;

/// The name of this process in `pg_stat_activity`.
const NODE: &str = "doctor";
/// A file that exists from the first start of an embedded database on.
const EMBEDDED_MARKER: &str = "nodes.lock";

/// Checks the configured database, or an embedded one that exists already; `doctor` makes none.
pub(super) async fn examine(loaded: &Loaded, context: CommandContext<'_>) -> Vec<Finding> {
    let embedded = loaded.config.section::<DatabaseConfig>().url.is_none();
    if embedded && !loaded.folder.join(STATE_FOLDER).join(EMBEDDED_MARKER).exists() {
        return vec![Finding::good("the first start will make the embedded database")];
    }
    let storage = match Storage::open(loaded, NODE, context).await {
        Ok(storage) => storage,
        Err(report) => return vec![report.into()],
    };
    storage.database.reserve_lanes(loaded.config.section::<ReactivityConfig>().lanes_max);
    let findings = match check(&storage.database).await {
        Ok(()) => {
            let mut findings =
                vec![Finding::good(format!("the database at {} answers", storage.database.address()))];
            findings.push(clock(&storage.database).await.unwrap_or_else(Finding::from));
            findings.push(connections(&storage.database).await.unwrap_or_else(Finding::from));
            let migrations = migrations(&storage).await;
            // While migrations are pending, tables are missing, and every model would differ from its table.
            // A schema that is newer than this binary has all tables.
            if migrations.first().is_some_and(|finding| finding.level == Level::Good) {
                findings.extend(models(&storage.database).await.unwrap_or_else(|report| vec![report.into()]));
                findings.extend(
                    replicated(&storage.database, loaded).await.unwrap_or_else(|report| vec![report.into()]),
                );
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
        CheckError::Unreachable(error) => Report::new(
            Exit::Database,
            "database-unreachable",
            format!("the database at {} is not reachable", database.address()),
        )
        .cause(error)
        .help(reachability(&database.address())),
        CheckError::ReadOnly(cause) => Report::new(
            Exit::Database,
            "database-read-only",
            format!("the database at {} takes no writes: {cause}", database.address()),
        )
        .help("point database.url at the server that takes writes"),
    })
}

/// The command that shows whether a server answers at `address` (`host:port/database`).
pub(super) fn reachability(address: &str) -> String {
    let server = address.rsplit_once('/').map_or(address, |(server, _)| server);
    let (host, port) = server.rsplit_once(':').unwrap_or((server, "5432"));
    format!("pg_isready -h {host} -p {port}   (then start the server, or correct database.url)")
}

/// The first finding is good when every migration of this binary is applied.
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
    let pending = all.iter().filter(|status: &&MigrationStatus| status.applied.is_none()).count();
    let mut findings = match (problems.is_empty(), pending) {
        (false, _) => problems,
        (true, 0) => vec![Finding::good(format!("{} migrations are applied, none is pending", all.len()))],
        (true, _) => vec![Finding::note(
            format!("{pending} of {} migrations are pending", all.len()),
            "forge-node migrate up",
        )],
    };
    findings.extend(newer_schema(&all));
    findings
}

/// A note about migrations that a newer binary applied. This binary can run on their schema, as it does while
/// nodes are replaced one by one.
fn newer_schema(all: &[MigrationStatus]) -> Option<Finding> {
    let titles: Vec<_> = all
        .iter()
        .filter(|status| status.newer)
        .map(|status| format!("{:04}_{} of `{}`", status.number, status.name, status.set))
        .collect();
    let text = format!("{} {NEWER_MIGRATION}", titles.join(", "));
    (!titles.is_empty()).then(|| Finding::note(text, "forge-node migrate status"))
}

async fn clock(database: &Database) -> Result<Finding, Report> {
    // Only what is a difference for sure counts, however long the reading took.
    let difference = database.read_clock().await.map_err(refused_read)?;
    Ok(if difference.certain > CLOCK_DIFFERENCE_MAX {
        Finding::bad(Exit::Failed, difference.warning(), "timedatectl set-ntp true")
    } else {
        Finding::good("this machine's clock agrees with the database's")
    })
}

async fn connections(database: &Database) -> Result<Finding, Report> {
    let limits = database.connection_limits().await.map_err(refused_read)?;
    Ok(connection_finding(limits))
}

pub(super) fn connection_finding(limits: ConnectionLimits) -> Finding {
    let ConnectionLimits { node, lowest, tightest, pools } = limits;
    let text = |limit: ConnectionGrant| {
        let (granted, name) = (limit.granted, limit.scope.name());
        format!("a node may open {node} connections, and the server grants {granted} ({name})")
    };
    let ConnectionGrant { scope, nodes, .. } = tightest;
    match pools {
        None => {
            Finding::bad(Exit::Database, format!("{}: too few to serve", text(lowest)), lowest.scope.help())
        }
        Some(CallPools { write, read, jobs, locks }) if node > lowest.granted => {
            let pools = format!(
                "a node starts with write_connections_max reduced to {write} and read_connections_max to \
                 {read}; job_connections_max is {jobs} then, and lock_connections_max {locks}"
            );
            Finding::note(format!("{}: {pools}", text(lowest)), lowest.scope.help())
        }
        Some(_) if node * nodes > tightest.granted => Finding::note(
            format!("{}: {nodes} nodes are connected, which may open {}", text(tightest), node * nodes),
            scope.help(),
        ),
        Some(_) => Finding::good(text(tightest)),
    }
}

async fn models(database: &Database) -> Result<Vec<Finding>, Report> {
    let differences = differences(database).await?;
    Ok(match differences.is_empty() {
        true => {
            vec![Finding::good(format!("{} models match their tables", ModelRegistration::all().len()))]
        }
        false => differences
            .into_iter()
            .map(|difference| Finding::bad(Exit::Drift, difference, "forge-node schema"))
            .collect(),
    })
}

/// A note for each live table that logical replication writes to. Postgres fires no statement triggers for
/// what a subscription applies, so those changes are not captured.
async fn replicated(database: &Database, loaded: &Loaded) -> Result<Vec<Finding>, Report> {
    let models = ModelRegistration::all().into_iter().map(|model| (model.table, model.reactive));
    let settings = loaded.config.section::<CaptureConfig>().settings(models);
    let live: Vec<_> =
        settings.into_iter().filter(|setting| setting.on).map(|setting| setting.table).collect();
    let read = sqlx::query_scalar(include_str!("sql/list_subscribed_tables.sql")).bind(live);
    let tables: Vec<String> = read.fetch_all(&database.reader()).await.map_err(refused_read)?;
    let note = |table| {
        Finding::note(
            format!("live queries miss what the logical replication subscription writes to `{table}`"),
            "give the queries that read it `refresh = \"10s\"`, or its model `reactive = false`",
        )
    };
    Ok(tables.into_iter().map(note).collect())
}
