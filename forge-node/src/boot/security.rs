//! The secret, tokens and keys of a node: from a configured secret, or in development mode on the loopback.

use std::time::Duration;

use forge_actors::app::token::{SECRET_BYTES_MIN, Tokens};
use forge_actors::cluster::ClusterKey;
use forge_actors::gateway::config::GatewayConfig;
use forge_actors::kernel::secret::SecretText;
use forge_actors::kernel::time::minutes;

use crate::boot::secret;
use crate::boot::weak_secret::weakness;
use crate::config::error::Origin;
use crate::config::load::Loaded;
use crate::terminal::report::{Exit, Report};
use forge_actors::cluster::config::ClusterConfig;

/// Makes a secret for this shell.
pub const MAKE_SECRET: &str = "export FORGE_AUTH__SECRET=$(openssl rand -hex 32)";
/// Makes a secret of the mesh, which all nodes must have.
const MAKE_CLUSTER_SECRET: &str =
    "openssl rand -hex 32, and the result as FORGE_CLUSTER__SECRET of every node";

/// The name of this machine for itself, which a gateway with a list of hosts always answers for.
const LOOPBACK: &str = "localhost";

/// Time in which a link into the dashboard can be used.
pub const DASHBOARD_LINK_TTL: Duration = minutes(10);

/// The secrets that a node signs and verifies with.
pub struct Security {
    /// The keys of tokens.
    pub tokens: Tokens,
    /// Authenticates the nodes of the cluster to each other.
    pub cluster_key: ClusterKey,
    /// The code of a one-time link into the dashboard, in development only.
    pub dashboard_code: Option<String>,
}

/// Checks the rules of the secret, and makes the keys.
///
/// # Errors
/// Without a secret outside of development mode, or with one that strangers know or guess; with a short one,
/// and in development mode on an address other than the loopback.
pub fn establish(loaded: &Loaded, dev: bool) -> Result<Security, Report> {
    let auth = &loaded.config.auth;
    let gateway = loaded.config.section::<GatewayConfig>();
    let secret = match (&auth.secret, dev) {
        (Some(secret), _) => secret.clone(),
        (None, true) => secret::existing_or_new(&loaded.folder)?,
        (None, false) => return Err(no_secret(loaded)),
    };
    if dev && !gateway.host.is_loopback() {
        return Err(Report::new(
            Exit::Config,
            "dev-not-loopback",
            "development mode listens on the loopback only",
        )
        .tried(format!("{}   (from {})", gateway.host, loaded.origin("gateway.host")))
        .cause("its answers carry causes, and everyone who reads the log could use the link that it prints")
        .help("leave --dev out and set auth.secret, or listen on 127.0.0.1"));
    }
    let tokens = Tokens::new(secret.expose().as_bytes(), auth.rules()).map_err(|error| {
        Report::new(Exit::Config, "short-secret", error.to_string())
            .tried(format!("auth.secret   (from {})", loaded.origin("auth.secret")))
            .help(MAKE_SECRET)
    })?;
    let cluster_secret = loaded.config.section::<ClusterConfig>().secret;
    if !dev {
        refuse_weak("auth.secret", &secret, MAKE_SECRET, loaded)?;
        if let Some(secret) = &cluster_secret {
            refuse_weak("cluster.secret", secret, MAKE_CLUSTER_SECRET, loaded)?;
        }
    }
    let dashboard_code = dev.then(|| dashboard_code(&tokens)).transpose()?;
    let cluster_key =
        cluster_secret.as_ref().map_or_else(|| ClusterKey::derived_from(&secret), ClusterKey::new);
    Ok(Security { tokens, cluster_key, dashboard_code })
}

/// A code that opens the dashboard once, as an administrator.
pub fn dashboard_code(tokens: &Tokens) -> Result<String, Report> {
    let code = tokens.issue_link(DASHBOARD_LINK_TTL);
    code.map_err(|error| Report::new(Exit::Bug, "token", "no link can be signed").cause(error))
}

/// The link into the dashboard of the node at `url`; with a code, one that signs in.
pub fn dashboard_link(url: &str, code: Option<&str>) -> String {
    let query = code.map(|code| format!("?code={code}")).unwrap_or_default();
    format!("{}/_dashboard/{query}", url.trim_end_matches('/'))
}

/// The gateway's configuration. Development listens on the loopback only, so everyone may read `/metrics` and
/// no load balancer has to notice that the node stops, unless the configuration says otherwise. Requests must
/// name the loopback or a host of `gateway.allowed_hosts`: a developer's browser shows strangers' pages too,
/// whose names may resolve to the loopback (DNS rebinding).
pub fn gateway(loaded: &Loaded, dev: bool) -> GatewayConfig {
    let mut config = loaded.config.section::<GatewayConfig>();
    let is_open = |key: &str| dev && loaded.origin(key) == Origin::Default;
    config.metrics_public |= is_open("gateway.metrics_public");
    if is_open("gateway.drain_delay") {
        config.drain_delay = Duration::ZERO;
    }
    if dev && config.allowed_hosts.is_empty() {
        config.allowed_hosts.push(LOOPBACK.to_owned());
    }
    config
}

/// Refuses a secret that strangers know or guess.
fn refuse_weak(key: &str, secret: &SecretText, remedy: &str, loaded: &Loaded) -> Result<(), Report> {
    let Some(why) = weakness(secret.expose()) else { return Ok(()) };
    Err(Report::new(Exit::Config, "weak-secret", format!("{key} is no secret: {why}"))
        .tried(format!("{key}   (from {})", loaded.origin(key)))
        .cause("a stranger who knows or guesses it can act as any user, or join as a node")
        .help(remedy))
}

fn no_secret(loaded: &Loaded) -> Report {
    let tried = match loaded.origin("auth.secret") {
        Origin::Default => "auth.secret, FORGE_AUTH__SECRET".to_owned(),
        origin => format!("auth.secret   (from {origin})"),
    };
    Report::new(
        Exit::Config,
        "no-secret",
        format!("a node needs a secret of at least {SECRET_BYTES_MIN} bytes to sign tokens with"),
    )
    .tried(tried)
    .cause("none is configured; without a secret, anyone could sign a token for any user")
    .help(format!("{MAKE_SECRET}, or start with --dev"))
}
