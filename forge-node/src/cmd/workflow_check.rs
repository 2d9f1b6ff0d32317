//! `workflows check`: compares the workflows of this binary with the runs that have not ended, before a
//! deploy. It reads the database itself, and needs no node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forge_actors::app::Catalog;
use forge_actors::app::context::Services;
use forge_actors::app::node::NodeView;
use forge_actors::change::HintHub;
use forge_actors::cron::begin::CronRunBeginner;
use forge_actors::db::database::Database;
use forge_actors::function::config::FunctionConfig;
use forge_actors::function::{FunctionDeps, Functions};
use forge_actors::job::buffer::{BufferPlace, JobBuffer};
use forge_actors::job::dispatcher::JobInserter;
use forge_actors::job::ends::JobEnds;
use forge_actors::kernel::error_chain::error_chain;
use forge_actors::kernel::ids::NodeId;
use forge_actors::kernel::time::secs;
use forge_actors::supervise::Tree;
use forge_actors::tree::SUBSYSTEMS;
use forge_actors::workflow::check::{CheckProgress, CheckedCode, CheckedVersion, WorkflowCheck, check};
use forge_actors::workflow::starter::WorkflowStarter;
use serde_json::json;
use tokio::sync::watch;

use crate::boot::storage::Storage;
use crate::config::load::Flag;
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;
use crate::terminal::width;

/// The name of this process.
const NODE: &str = "command line";
/// The code of its reports.
const CODE: &str = "workflows-check";
/// Between two lines that say how far it has come.
const PROGRESS_EVERY: Duration = secs(2);

/// Compares, prints, and fails when the binary does not fit the runs.
pub(super) async fn run(
    database_url: Option<&str>,
    limit: Option<u32>,
    context: CommandContext<'_>,
) -> Result<(), Report> {
    let flag = |url: &str| Flag { flag: "--database-url", key: "database.url", value: url.to_owned() };
    let loaded = context.load(&database_url.map(flag).into_iter().collect::<Vec<_>>())?;
    let storage = Storage::open(&loaded, NODE, context).await?;
    let checked = match storage.ready(context).await {
        Ok(()) => compare(&storage.database, limit, context).await,
        Err(report) => Err(report),
    };
    storage.close().await;
    let found = checked?;
    output::data(match context.global.json {
        true => Text::json(&json!(found)),
        false => render(&found, context.palette()),
    });
    if found.is_sound() {
        return Ok(());
    }
    let missing = found.versions.iter().filter(|version| version.code == CheckedCode::Missing).count();
    let diverged: u64 = found.versions.iter().map(|version| u64::from(version.diverged)).sum();
    let cause = format!("{missing} versions without code, {diverged} runs diverge");
    Err(Report::new(Exit::Drift, CODE, "this binary does not fit the runs that have not ended")
        .cause(cause)
        .help("keep the old version beside the new one (`version = 1, deprecated`), or write a migration"))
}

async fn compare(
    database: &Database,
    limit: Option<u32>,
    context: CommandContext<'_>,
) -> Result<WorkflowCheck, Report> {
    let functions = functions(database).map_err(|error| {
        Report::new(Exit::Failed, CODE, "the handlers of this binary cannot be run").cause(error)
    })?;
    let mut shown_at = Instant::now();
    let on_progress = |CheckProgress { checked, runs }: CheckProgress| {
        if shown_at.elapsed() >= PROGRESS_EVERY {
            context.progress(&format!("compared {checked} of {runs} runs"));
            shown_at = Instant::now();
        }
    };
    check(database, &functions, limit, on_progress).await.map_err(|fault| {
        Report::new(Exit::Database, CODE, "the runs could not be read").cause(error_chain(&fault))
    })
}

/// What executes the functions of this binary, without the actors of a node.
fn functions(database: &Database) -> Result<Functions, Box<dyn std::error::Error + Send + Sync>> {
    let (tree, hints) = (Tree::new(), HintHub::new());
    let deps = FunctionDeps {
        database: database.clone(),
        tree: Arc::clone(&tree),
        hints: hints.clone(),
        terms: watch::channel(None).1,
        config: FunctionConfig::default(),
    };
    let (inserter, _) = JobInserter::new(database.clone(), hints.clone());
    let (job_ends, _) = JobEnds::new(database.clone(), hints.clone());
    let (job_buffer, _) = JobBuffer::new(BufferPlace::none(), database.clone(), hints.clone());
    let (starter, _) = WorkflowStarter::new(database.clone(), hints);
    let services = |invoke, blocking| Services {
        node: NodeView::new(NodeId::new(), NODE, tree, SUBSYSTEMS),
        invoke,
        jobs: Arc::new(inserter),
        job_ends: Arc::new(job_ends),
        job_buffer: Arc::new(job_buffer),
        workflows: Arc::new(starter),
        crons: Arc::new(CronRunBeginner),
        tokens: None,
        http: reqwest::Client::new(),
        blocking,
        result_bytes_max: usize::MAX,
    };
    let (functions, _) = Functions::new(Arc::new(Catalog::build()?), deps, services)?;
    Ok(functions)
}

const COLUMNS: [Column; 4] =
    [Column::Left("workflow"), Column::Right("version"), Column::Right("runs"), Column::Left("code")];

/// The versions, one a line, and the runs that diverge.
fn render(found: &WorkflowCheck, palette: Palette) -> Text {
    if found.versions.is_empty() {
        return "no runs that have not ended".into();
    }
    let cells: Vec<_> = found.versions.iter().map(cells).collect();
    let mut text =
        table::render_within(width::columns(), COLUMNS, &cells, palette, |index, line| {
            match found.versions[index].code {
                CheckedCode::Missing => palette.red(line),
                CheckedCode::Linked | CheckedCode::Migrated => line,
            }
        });
    for divergence in &found.divergences {
        let (run, name, version) = (divergence.run, &divergence.workflow, divergence.version);
        text.push(palette.red(format!("run {run} of {name} v{version}: {}", divergence.difference)));
        text.push("\n");
    }
    let diverged: u64 = found.versions.iter().map(|version| u64::from(version.diverged)).sum();
    let listed = found.divergences.len() as u64;
    if listed < diverged {
        text.push(palette.red(format!("and {} older runs that diverge too", diverged - listed)));
        text.push("\n");
    }
    if found.unchecked > 0 {
        let unchecked = found.unchecked;
        text.push(palette.yellow(format!("{unchecked} older runs were not looked at, because of --limit")));
        text.push("\n");
    }
    text
}

fn cells(version: &CheckedVersion) -> [String; COLUMNS.len()] {
    let code = match (version.code, version.migrated_to) {
        (CheckedCode::Linked, _) => "linked".to_owned(),
        (CheckedCode::Migrated, Some(to)) => format!("migrated to {to}"),
        (CheckedCode::Migrated, None) => "migrated".to_owned(),
        (CheckedCode::Missing, _) => "missing: no code in this binary".to_owned(),
    };
    let part = (version.diverged > 0).then(|| format!("; {} diverge", version.diverged));
    [
        version.workflow.to_owned(),
        version.version.to_string(),
        version.runs.to_string(),
        format!("{code}{}", part.unwrap_or_default()),
    ]
}
