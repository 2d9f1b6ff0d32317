//! The gateway as a subsystem: HTTP, WebSocket sessions and `/ready`, on nodes with an open port.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;

use super::assets::Assets;
use super::config::GatewayConfig;
use super::paths::{DRAINER, GATEWAY, LISTENER, SESSIONS};
use super::port::Port;
use super::{Gateway, GatewayDeps};
use crate::app::token::Tokens;
use crate::function::Functions;
use crate::kernel::integer::Int53;
use crate::reactor::Reactor;
use crate::session::config::SessionsConfig;
use crate::session::{SessionDeps, Sessions};
use crate::subsystem::{ActorNote, NodeBuilder, Part, Readiness, ReadinessRule, SectionEntry, Subsystem};
use crate::supervise::{ChildSpec, StartError, Strategy, SupervisorSpec};

/// What a gateway needs that exists before the tree.
pub struct GatewayOptions {
    /// The port, which is open: a port in use is reported before anything starts.
    pub port: Arc<Port>,
    /// Renders `/metrics`; the telemetry subsystem keeps it small.
    pub metrics: PrometheusHandle,
    /// Files for browsers.
    pub assets: Assets,
}

/// Hash of the generated client that fits the handlers; sessions send it to pages.
#[derive(Debug, Clone)]
pub struct ClientContract(pub Arc<str>);

/// See the module. Takes [`GatewayOptions`]; without them the node has no gateway.
pub struct GatewaySubsystem;

impl Subsystem for GatewaySubsystem {
    const ROOT: ActorNote =
        ActorNote::new(&GATEWAY, "answers HTTP and WebSocket (with the role `gateway`)").routes_commands();
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&SESSIONS, "one actor for each WebSocket").safe_to_stop_below(),
        ActorNote::new(&DRAINER, "sends clients to another node when this one stops"),
        ActorNote::new(&LISTENER, "accepts connections and serves requests").routes_commands(),
    ];
    const SECTIONS: &'static [SectionEntry] =
        &[SectionEntry::of::<GatewayConfig>(), SectionEntry::of::<SessionsConfig>()];
    const CHECK: Option<ReadinessRule> = Some(ReadinessRule { name: "listener", actors: &[&LISTENER] });

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let Some(GatewayOptions { port, metrics, assets }) = node.take::<GatewayOptions>() else {
            return Ok(None);
        };
        let (sessions, session_children) = Sessions::new(SessionDeps {
            functions: node.get::<Functions>(),
            reactor: node.get::<Reactor>(),
            tokens: node.find::<Tokens>(),
            node: node.profile.id,
            config: node.config::<SessionsConfig>(),
            contract: node.find::<ClientContract>().map(|contract| contract.0),
        });
        let deps = GatewayDeps {
            functions: node.get::<Functions>(),
            tokens: node.find::<Tokens>(),
            readiness: node.get::<Readiness>(),
            metrics,
            sessions: Some(sessions.clone()),
            assets,
        };
        let listener = Gateway::new(node.config::<GatewayConfig>(), deps).listener(port);
        let children = session_children.into_iter().chain([listener]).collect();
        let spec = SupervisorSpec::new(Strategy::OneForOne, children);
        let part = Part::new(ChildSpec::supervisor(GATEWAY.id(), spec));
        let reactor = node.get::<Reactor>();
        Ok(Some(part.stats(move |stats| {
            let open = sessions.stats().open.saturating_sub(reactor.stats().system.clients);
            stats.sessions = Int53::count(open as u64);
        })))
    }
}
