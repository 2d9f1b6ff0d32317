//! Starts a node, waits, and stops it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forge_actors::app::node::Build;
use forge_actors::app::{App, Catalog};
use forge_actors::db::database::Database;
use forge_actors::gateway::assets::{Assets, Site};
use forge_actors::gateway::port::Port;
use forge_actors::gateway::starting::answer_while_starting;
use forge_actors::kernel::ids::NodeId;
use forge_actors::kernel::node::ApplicationInfo;
use forge_actors::kernel::resource::ResourceAmounts;
use forge_actors::kernel::time::{format_duration, secs};
use forge_actors::kernel::wire::reveal_causes;
use forge_actors::supervise::{RootExit, StopTimeout};
use forge_actors::tree::{NodeOptions, RunningNode};
use forge_ts::problem::Refused;
use forge_ts::{Audience, Contract, build_hash};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::boot::banner::Banner;
use crate::boot::signal::{self, StopSignals};
use crate::boot::storage::{Storage, StorageFacts};
use crate::boot::{drift, mesh, pages, security};
use crate::config::load::Loaded;
use crate::config::section::{Config, NodeConfig, Role};
use crate::terminal::context::CommandContext;
use crate::terminal::report::{Exit, Report};
use forge_actors::function::config::FunctionConfig;
use forge_actors::gateway::config::GatewayConfig;
use forge_actors::gateway::subsystem::GatewayOptions;
use forge_actors::job::config::JobConfig;
use forge_actors::session::config::SessionsConfig;
use forge_actors::subsystem::{NodeProfile, Sections};

/// Time for all other parts of the node to stop, the embedded database among them, beyond the configured
/// drain times.
const STOP_MARGIN: Duration = secs(20);
/// Problems that the log line quotes; further ones are counted.
const PROBLEMS_SHOWN: usize = 3;
/// Upper bounds of the buckets of every histogram, in seconds.
const SECONDS_BUCKETS: [f64; 12] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Runs a node until a signal ends it, or its supervision tree gives up.
pub async fn run(loaded: Loaded, dev: bool, context: CommandContext<'_>) -> Result<(), Report> {
    let began = Instant::now();
    let mut signals = StopSignals::take()?;
    if dev {
        reveal_causes();
    }
    let catalog = Arc::new(Catalog::build()?);
    let contract = contract_of(&catalog);
    let build = Build(build_hash(&catalog).into());
    let security = security::establish(&loaded, dev)?;
    let id = NodeId::new();
    let Config { node: NodeConfig { name, roles, capabilities, resources, environment }, sections, .. } =
        loaded.config.clone();
    let sections = resolved(sections, &loaded, dev);
    let serves = roles.contains(&Role::Gateway);
    let gateway = serves.then(|| open_gateway(&loaded, sections.get(), context)).transpose()?;
    let name = name.unwrap_or_else(|| short_name(id));
    let mesh = mesh::open(&loaded, sections.get(), &name, security.cluster_key)?;
    let port = gateway.as_ref().map(|gateway| Arc::clone(&gateway.port));
    let mut answering = Box::pin(answer_on(port));
    let storage = tokio::select! {
        never = &mut answering => match never {},
        opened = Storage::open_for_node(&loaded, &name, id, context) => opened?,
        signal = signals.next() => return Err(interrupted_start(signal)),
    };
    let (database_children, facts) = storage.into_children();
    let profile = NodeProfile {
        id,
        name: name.clone(),
        roles: effective(&roles).map(|role| role.as_str().to_owned()).collect(),
        capabilities,
        resources: ResourceAmounts::parse(&resources).unwrap_or_default().or_set("cpu", cores()),
        application: application(context.apps, environment, dev),
    };
    let options = NodeOptions {
        profile: profile.clone(),
        sections,
        catalog: Arc::clone(&catalog),
        database: facts.database.clone(),
        database_children,
        tokens: Some(security.tokens),
        http: http_client()?,
        mesh,
        gateway,
        contract,
        build,
    };
    let mut node = tokio::select! {
        never = &mut answering => match never {},
        started = RunningNode::start(options) => {
            started.map_err(|error| with_database_origin(Report::of_start(&error), &facts))?
        }
        signal = signals.next() => return Err(interrupted_start(signal)),
    };
    // It may still hold a handle of the port, which a drain has to close.
    drop(answering);
    warn_of_drift(&facts.database).await;
    if !context.global.quiet {
        let code = security.dashboard_code.as_deref();
        let banner = Banner::of(effective(&roles).collect(), &profile, &node, &facts, code, context);
        banner.print(began.elapsed(), context);
    }
    let signal = tokio::select! {
        exit = node.wait() => return Err(gave_up(exit)),
        signal = signals.next() => signal,
    };
    drain(node, signal, signals, &loaded.config).await
}

/// Answers on the port of a starting node, if it opens one.
async fn answer_on(port: Option<Arc<Port>>) -> Infallible {
    match port {
        Some(port) => answer_while_starting(&port).await,
        None => std::future::pending().await,
    }
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// The roles that do something.
fn effective(roles: &[Role]) -> impl Iterator<Item = Role> {
    Role::EFFECTIVE.into_iter().filter(move |role| roles.contains(role))
}

/// What the node serves, for the dashboard. Of several applications the version is that of the first.
fn application(apps: &[&App], environment: Option<String>, dev: bool) -> ApplicationInfo {
    let default = if dev { "development" } else { "production" };
    let names: Vec<_> = apps.iter().map(|app| app.name).collect();
    ApplicationInfo {
        name: names.join(", "),
        version: apps.first().map(|app| app.version.to_owned()).unwrap_or_default(),
        environment: environment.unwrap_or_else(|| default.to_owned()),
    }
}

/// The sections with what depends on the folder of the configuration file, and on the mode.
fn resolved(mut sections: Sections, loaded: &Loaded, dev: bool) -> Sections {
    sections.set(security::gateway(loaded, dev));
    sections.set(mesh::config(loaded));
    sections.set(job_config(loaded));
    sections
}

/// The configuration of jobs, with the folder of their buffer resolved from that of the configuration file.
fn job_config(loaded: &Loaded) -> JobConfig {
    let config = loaded.config.section::<JobConfig>();
    JobConfig { buffer: loaded.folder.join(&config.buffer), ..config }
}

/// Warns of models that do not match their tables. The node runs, because most of its functions may work.
async fn warn_of_drift(database: &Database) {
    match drift::differences(database).await {
        Ok(differences) => differences
            .iter()
            .for_each(|difference| tracing::warn!("model does not match its table: {difference}")),
        Err(report) => tracing::warn!("comparing the models with their tables failed: {report}"),
    }
}

/// The hash of the functions' types, by which a page built for another version is recognised. `None` when a
/// function has types that no client can be generated for; such functions still answer calls.
fn contract_of(catalog: &Catalog) -> Option<Arc<str>> {
    match Contract::of(catalog, Audience::Application) {
        Ok(contract) => Some(contract.hash.into()),
        Err(Refused(problems)) => {
            let first: Vec<String> = problems.iter().take(PROBLEMS_SHOWN).map(ToString::to_string).collect();
            let first = first.join("; ");
            tracing::warn!(
                problems = problems.len(),
                first,
                "no client can be generated; `forge-node generate` lists all problems"
            );
            None
        }
    }
}

fn http_client() -> Result<reqwest::Client, Report> {
    reqwest::Client::builder().build().map_err(|error| {
        Report::new(Exit::Failed, "http-client", "the HTTP client cannot be made").cause(error)
    })
}

fn interrupted_start(signal: &str) -> Report {
    Report::new(Exit::Interrupted, "interrupted", format!("{signal} ended the node while it was starting"))
}

/// Adds the database's address, and where it was configured, to a report about the database.
fn with_database_origin(report: Report, facts: &StorageFacts) -> Report {
    if report.exit == Exit::Database { report.tried(facts.tried.as_str()) } else { report }
}

/// A name from the end of the id, which is random, so that nodes that start together have different names.
fn short_name(id: NodeId) -> String {
    let text = id.to_string();
    format!("node-{}", text.get(text.len().saturating_sub(4)..).unwrap_or(&text))
}

/// Opens the port and starts the metrics, before any actor starts.
fn open_gateway(
    loaded: &Loaded,
    config: GatewayConfig,
    context: CommandContext<'_>,
) -> Result<GatewayOptions, Report> {
    let port = Port::open(&config).map_err(|error| {
        let origins = format!(
            "{}   (host from {}, port from {})",
            config.address(),
            loaded.origin("gateway.host"),
            loaded.origin("gateway.port")
        );
        Report::from(error).tried(origins)
    })?;
    let metrics =
        PrometheusBuilder::new().set_buckets(&SECONDS_BUCKETS).and_then(PrometheusBuilder::install_recorder);
    let metrics = metrics
        .map_err(|error| Report::new(Exit::Bug, "metrics", "metrics cannot be recorded").cause(error))?;
    let own = config.assets.as_ref().map(|folder| site(loaded.folder.join(folder)));
    let site = own.or_else(|| context.developer.then(|| Site::embedded(pages::DEMO)));
    let assets = Assets { site, dashboard: Some(Site::embedded(pages::DASHBOARD)) };
    Ok(GatewayOptions { port: Arc::new(port), metrics, assets })
}

/// The page in `folder`. It may be built while the node runs, so a missing page is only a warning.
fn site(folder: PathBuf) -> Site {
    if !folder.join("index.html").is_file() {
        tracing::warn!(
            folder = %folder.display(),
            "gateway.assets has no index.html; / answers 404 until it has one"
        );
    }
    Site::folder(folder)
}

/// Waits for running work to end, and stops all actors in reverse order. A second signal ends the node at
/// once.
async fn drain(
    node: RunningNode,
    signal: &str,
    mut signals: StopSignals,
    config: &Config,
) -> Result<(), Report> {
    tracing::info!(signal, "draining; a second signal ends the node at once");
    let (gateway, functions) = (config.section::<GatewayConfig>(), config.section::<FunctionConfig>());
    let requests = gateway.drain_delay.saturating_add(gateway.drain_timeout);
    let calls = functions.drain_timeout.saturating_add(config.section::<JobConfig>().drain_timeout);
    let sessions = config.section::<SessionsConfig>().go_away_after.saturating_add(functions.drain_timeout);
    let deadline = requests.saturating_add(sessions).saturating_add(calls).saturating_add(STOP_MARGIN);
    tokio::select! {
        stopped = node.stop(deadline) => stopped.map_err(|StopTimeout { deadline, paths }| {
            let message = format!("the node did not stop within {}", format_duration(deadline));
            Report::new(Exit::Timeout, "stop-timeout", message).cause(format!("killed: {}", paths.join(", ")))
        }),
        _ = signals.next() => Err(signal::interrupted()),
    }
}

fn gave_up(exit: RootExit) -> Report {
    let report = Report::new(
        Exit::Bug,
        "gave-up",
        "the supervision tree gave up: an actor failed more often than its restart budget allows",
    );
    match exit {
        RootExit::GaveUp { path, cause } => {
            report.tried(path).cause(cause).help("the log above has every crash with its backtrace")
        }
        RootExit::Stopped => report.cause("the tree stopped without an error"),
    }
}
