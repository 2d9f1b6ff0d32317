//! Starts a node, waits, and stops it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forge_actors::app::Catalog;
use forge_actors::gateway::server::Port;
use forge_actors::kernel::ids::NodeId;
use forge_actors::kernel::time::secs;
use forge_actors::supervise::{Exit as RootExit, StopTimeout};
use forge_actors::tree::{GatewayOptions, NodeOptions, RunningNode};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::boot::banner::Banner;
use crate::boot::security;
use crate::boot::signal::{self, StopSignals};
use crate::boot::storage::Storage;
use crate::cmd::report::{Exit, Report};
use crate::cmd::scene::Scene;
use crate::config::load::Loaded;
use crate::config::section::{Config, Role};

/// Time beyond the configured drains for everything else to stop, the embedded database among it.
const STOP_MARGIN: Duration = secs(20);

/// Runs a node until a signal ends it, or it gives itself up.
pub async fn run(loaded: Loaded, dev: bool, scene: Scene<'_>) -> Result<(), Report> {
    let began = Instant::now();
    let mut signals = StopSignals::take()?;
    let catalog = Arc::new(Catalog::build()?);
    let security = security::establish(&loaded, dev)?;
    let id = NodeId::new();
    let serves = loaded.config.node.roles.contains(&Role::Gateway);
    let gateway = serves.then(|| open_gateway(&loaded)).transpose()?;
    let storage = Storage::new(&loaded, scene.apps, id)?;
    let options = NodeOptions {
        id,
        catalog: Arc::clone(&catalog),
        database: storage.database.clone(),
        database_children: storage.children(),
        functions: loaded.config.functions.clone(),
        tokens: Some(security.tokens),
        http: reqwest::Client::new(),
        gateway,
    };
    let mut node = tokio::select! {
        started = RunningNode::start(options) => started?,
        signal = signals.next() => return Err(Report::new(Exit::Interrupted, "interrupted", format!("{signal} ended the node while it was starting"))),
    };
    if !scene.global.quiet {
        let banner = Banner::of(&loaded, &node, &storage, security.ready_token, scene).await;
        banner.print(began.elapsed(), scene);
    }
    tokio::select! {
        exit = node.wait() => Err(gave_up(exit)),
        signal = signals.next() => drain(node, signal, signals, &loaded.config).await,
    }
}

fn open_gateway(loaded: &Loaded) -> Result<GatewayOptions, Report> {
    let config = loaded.config.gateway.clone();
    let port = Port::open(&config).map_err(|error| {
        let origins = format!("{}   (host from {}, port from {})", config.address(), loaded.origin("gateway.host"), loaded.origin("gateway.port"));
        Report::from(error).tried(origins)
    })?;
    let metrics = PrometheusBuilder::new().install_recorder();
    let metrics = metrics.map_err(|error| Report::new(Exit::Bug, "metrics", "metrics cannot be recorded").cause(error))?;
    Ok(GatewayOptions { config, port: Arc::new(port), metrics })
}

/// Lets what runs end and stops everything in reverse order; a second signal cuts it short.
async fn drain(node: RunningNode, signal: &str, mut signals: StopSignals, config: &Config) -> Result<(), Report> {
    tracing::info!(signal, "draining; a second signal ends the node at once");
    let gateway = config.gateway.drain_delay.saturating_add(config.gateway.drain_timeout);
    let deadline = gateway.saturating_add(config.functions.drain_timeout).saturating_add(STOP_MARGIN);
    tokio::select! {
        stopped = node.stop(deadline) => stopped.map_err(|StopTimeout { deadline, paths }| {
            let message = format!("not everything stopped within {}", forge_actors::kernel::time::format_duration(deadline));
            Report::new(Exit::Timeout, "stop-timeout", message).cause(format!("killed: {}", paths.join(", ")))
        }),
        _ = signals.next() => Err(signal::interrupted()),
    }
}

fn gave_up(exit: RootExit) -> Report {
    let report = Report::new(Exit::Bug, "gave-up", "the supervision tree gave up: an actor failed more often than its restart budget allows");
    match exit {
        RootExit::GaveUp { path, cause } => report.tried(path).cause(cause).help("the log above has every crash with its backtrace"),
        RootExit::Stopped => report.cause("it ended without a word"),
    }
}
