//! What all requests of a gateway share. Nothing in it changes after the start but what the fields themselves
//! guard: remembered tokens, the memory of bodies and responses, readiness and metrics.

use std::net::IpAddr;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;

use super::assets::Assets;
use super::auth::Authenticator;
use super::body::BodyCapacity;
use super::config::GatewayConfig;
use super::cors::Cors;
use super::hosts::AllowedHosts;
use super::proxies::TrustedProxies;
use super::signals::GatewaySignals;
use crate::app::token::Tokens;
use crate::function::Functions;
use crate::kernel::byte_budget::{BudgetClient, ByteBudget};
use crate::kernel::connection_limiter::client_network;
use crate::session::Sessions;
use crate::subsystem::Readiness;

/// What a gateway needs of the node.
pub struct GatewayDeps {
    /// Runs the calls.
    pub functions: Functions,
    /// Verifies tokens; `None` accepts no token.
    pub tokens: Option<Tokens>,
    /// The report of `/ready`.
    pub readiness: Readiness,
    /// The text of `/metrics`. The recorder must be installed before the gateway is made, or the gateway's
    /// metrics are lost.
    pub metrics: PrometheusHandle,
    /// Serves `/ws`; without sessions that path answers 404.
    pub sessions: Option<Sessions>,
    /// Files for browsers.
    pub assets: Assets,
}

pub(super) struct GatewayShared {
    pub(super) config: GatewayConfig,
    pub(super) functions: Functions,
    pub(super) authenticator: Authenticator,
    pub(super) body_capacity: BodyCapacity,
    /// The bytes of `gateway.responses_bytes_max`; a client is a network.
    pub(super) responses: Arc<ByteBudget<IpAddr>>,
    /// Permits to send a refusal after a pause; without one it is sent at once. Never closed.
    pub(super) refusal_pauses: Semaphore,
    pub(super) readiness: Readiness,
    pub(super) metrics: PrometheusHandle,
    pub(super) cors: Cors,
    pub(super) hosts: AllowedHosts,
    pub(super) proxies: TrustedProxies,
    pub(super) signals: GatewaySignals,
    pub(super) sessions: Option<Sessions>,
    pub(super) assets: Assets,
}

impl GatewayShared {
    pub(super) fn new(config: GatewayConfig, deps: GatewayDeps) -> Self {
        let GatewayDeps { functions, tokens, readiness, metrics, sessions, assets } = deps;
        Self {
            cors: Cors::new(&config.cors_origins),
            hosts: AllowedHosts::new(&config.allowed_hosts, config.host),
            proxies: TrustedProxies::new(&config.trusted_proxies),
            signals: GatewaySignals::new(functions.catalog()),
            authenticator: Authenticator::new(tokens),
            body_capacity: BodyCapacity::new(config.bodies_bytes_max),
            responses: ByteBudget::new(config.responses_bytes_max),
            refusal_pauses: Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS)),
            config,
            functions,
            readiness,
            metrics,
            sessions,
            assets,
        }
    }

    /// The part of the client at `ip` of `gateway.responses_bytes_max`.
    pub(super) fn budget_client(&self, ip: IpAddr) -> Arc<BudgetClient<IpAddr>> {
        self.responses.client(client_network(ip))
    }
}
