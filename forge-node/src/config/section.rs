//! The sections of `forge.toml` as types. Each subsystem owns its section; those of the node as a whole are
//! here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use forge_actors::app::token::TokenRules;
use forge_actors::change::config::CaptureConfig;
use forge_actors::cluster::config::ClusterConfig;
use forge_actors::db::config::DatabaseConfig;
use forge_actors::function::config::FunctionConfig;
use forge_actors::gateway::config::GatewayConfig;
use forge_actors::job::config::JobConfig;
use forge_actors::kernel::secret::Secret;
use forge_actors::kernel::time::{secs, serde_duration};
use forge_actors::leader::config::LeaderConfig;
use forge_actors::reactor::config::ReactivityConfig;
use forge_actors::session::config::SessionsConfig;
use serde::{Deserialize, Serialize};

/// The longest name of a node: as long as a label of a DNS name.
const NODE_NAME_BYTES_MAX: usize = 63;

/// The whole file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What this node runs.
    pub node: NodeConfig,
    /// Where and how the node answers HTTP.
    pub gateway: GatewayConfig,
    /// Where the database is.
    pub database: DatabaseConfig,
    /// How tokens are signed and checked.
    pub auth: AuthConfig,
    /// Which tables' changes are captured for live queries.
    pub capture: CaptureConfig,
    /// Limits of WebSocket clients.
    pub sessions: SessionsConfig,
    /// How live queries run.
    pub reactivity: ReactivityConfig,
    /// How many calls run at a time.
    pub functions: FunctionConfig,
    /// How the node runs jobs.
    pub jobs: JobConfig,
    /// How the node takes part in the cluster.
    pub cluster: ClusterConfig,
    /// How leaders of the cluster's duties are elected.
    pub leader: LeaderConfig,
    /// What is written to the log.
    pub log: LogConfig,
    /// Where generated files go.
    pub generate: GenerateConfig,
}

impl Config {
    /// Checks the rules between keys; one sentence for each broken rule.
    pub fn validate(&self) -> Vec<String> {
        let mut broken = self.database.validate();
        broken.extend(self.gateway.validate().err().into_iter().flatten());
        broken.extend(self.functions.validate());
        broken.extend(self.jobs.validate());
        broken.extend(self.capture.validate());
        broken.extend(self.sessions.validate());
        broken.extend(self.reactivity.validate());
        broken.extend(self.leader.validate());
        broken.extend(self.cluster.validate(self.node.name.as_deref()));
        if let Some(name) = self.node.name.as_deref().filter(|name| !is_node_name(name)) {
            broken.push(format!(
                "node.name (`{name}`) is not 1 to {NODE_NAME_BYTES_MAX} of the characters a-z, 0-9, `-`, `.`"
            ));
        }
        if self.node.roles.is_empty() {
            broken.push(format!(
                "node.roles is empty; name at least one of {}",
                Role::ALL.map(Role::as_str).join(", ")
            ));
        }
        broken
    }
}

/// The `[node]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// The node's name in logs and in the dashboard, and the name in its certificate when the mesh uses TLS.
    /// When absent, each start generates one.
    pub name: Option<String>,
    /// What the node does.
    pub roles: Vec<Role>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self { name: None, roles: Role::ALL.to_vec() }
    }
}

fn is_node_name(name: &str) -> bool {
    let clean = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    clean && (1..=NODE_NAME_BYTES_MAX).contains(&name.len())
}

/// What a node can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers HTTP, and runs the functions that are called.
    Gateway,
    /// Runs functions for other nodes.
    Function,
    /// Runs jobs.
    Worker,
    /// Starts crons.
    Scheduler,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Function, Self::Worker, Self::Scheduler];

    /// The name in configuration and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Function => "function",
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The `[auth]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Signs and verifies tokens (HS256).
    pub secret: Option<Secret>,
    /// `iss` that tokens carry and must carry.
    pub issuer: Option<String>,
    /// `aud` that tokens carry and must carry.
    pub audience: Option<String>,
    /// The difference between clocks that is tolerated.
    #[serde(with = "serde_duration")]
    pub leeway: Duration,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { secret: None, issuer: None, audience: None, leeway: secs(5) }
    }
}

impl AuthConfig {
    /// The claims that tokens carry and must carry.
    pub fn rules(&self) -> TokenRules {
        TokenRules { issuer: self.issuer.clone(), audience: self.audience.clone(), leeway: self.leeway }
    }
}

/// The `[log]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The format of log lines.
    pub format: LogFormat,
    /// Which lines are written: a level, or a filter such as `info,sqlx=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, level: "info".to_owned() }
    }
}

/// The `[generate]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateConfig {
    /// The folder, relative to that of the configuration file.
    pub out: PathBuf,
}

impl Default for GenerateConfig {
    fn default() -> Self {
        Self { out: "web/src/forge".into() }
    }
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Readable lines.
    Pretty,
    /// One JSON object a line.
    Json,
}
