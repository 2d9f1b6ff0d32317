//! The sections of `forge.toml` as types. Each subsystem owns its section; those of the node as a whole are
//! here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use forge_actors::app::token::TokenRules;
use forge_actors::cluster::config::ClusterConfig;
use forge_actors::kernel::label::is_label;
use forge_actors::kernel::resource::ResourceAmounts;
use forge_actors::kernel::secret::SecretText;
use forge_actors::kernel::time::{secs, serde_duration};
use forge_actors::subsystem::{ConfigSection, SectionEntry, SectionError, Sections, read_section};
use forge_actors::tree::SUBSYSTEMS;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest name of a node: as long as a label of a DNS name.
const NODE_NAME_BYTES_MAX: usize = 63;
/// The longest name of an environment, which stands in the head of the dashboard.
const ENVIRONMENT_CHARS_MAX: usize = 32;

/// The whole file. The subsystems own their sections: [`SUBSYSTEMS`] names them.
#[derive(Debug, Clone)]
pub struct Config {
    /// What this node runs.
    pub node: NodeConfig,
    /// How tokens are signed and checked.
    pub auth: AuthConfig,
    /// What is written to the log.
    pub log: LogConfig,
    /// Where generated files go.
    pub generate: GenerateConfig,
    /// The sections of the subsystems.
    pub sections: Sections,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: NodeConfig::default(),
            auth: AuthConfig::default(),
            log: LogConfig::default(),
            generate: GenerateConfig::default(),
            sections: Sections::defaults(sections().copied()),
        }
    }
}

/// The sections of all subsystems, in the order of the table.
pub fn sections() -> impl Iterator<Item = &'static SectionEntry> {
    SUBSYSTEMS.iter().flat_map(|entry| entry.sections)
}

/// The sections of the node as a whole, each with its part of the reference.
pub const NODE_SECTIONS: [(&str, &str); 4] = [
    ("node", include_str!("node.toml")),
    ("auth", include_str!("auth.toml")),
    ("log", include_str!("log.toml")),
    ("generate", include_str!("generate.toml")),
];

impl Config {
    /// Reads the table of a file.
    ///
    /// # Errors
    /// The full name of the first key whose value does not fit it, and what is expected there.
    pub fn read(mut tables: serde_json::Map<String, serde_json::Value>) -> Result<Self, SectionError> {
        let mut config = Self::default();
        for section in sections() {
            if let Some(table) = tables.remove(section.name) {
                config.sections.read(*section, table).map_err(|error| in_section(section.name, error))?;
            }
        }
        Ok(Self {
            node: section(&mut tables, "node")?,
            auth: section(&mut tables, "auth")?,
            log: section(&mut tables, "log")?,
            generate: section(&mut tables, "generate")?,
            ..config
        })
    }

    /// The section of a subsystem.
    pub fn section<C: ConfigSection>(&self) -> C {
        self.sections.get::<C>()
    }

    /// Every section as JSON; secrets are left out.
    pub fn to_json(&self) -> serde_json::Value {
        let mut tables = self.sections.to_json();
        let own = serde_json::json!({
            "node": self.node, "auth": self.auth, "log": self.log, "generate": self.generate,
        });
        tables.extend(own.as_object().cloned().unwrap_or_default());
        serde_json::Value::Object(tables)
    }

    /// Rules between keys; one sentence for each that is broken.
    pub fn validate(&self) -> Vec<String> {
        let mut broken = self.sections.validate();
        broken.extend(self.section::<ClusterConfig>().validate_name(self.node.name.as_deref()));
        if let Some(name) = self.node.name.as_deref().filter(|name| !is_node_name(name)) {
            broken.push(format!(
                "node.name (`{name}`) is not 1 to {NODE_NAME_BYTES_MAX} of the characters a-z, 0-9, `-`, `.`"
            ));
        }
        if self.node.environment.as_deref().is_some_and(|name| !is_environment_name(name)) {
            broken
                .push(format!("node.environment is not 1 to {ENVIRONMENT_CHARS_MAX} characters of one line"));
        }
        if let Some(word) = self.node.capabilities.iter().find(|word| !is_label(word)) {
            broken.push(format!(
                "node.capabilities holds `{word}`; a capability is 1 to 64 of the characters a-z, 0-9, `_`, \
                 `.`, `-`, as in the attribute of a job"
            ));
        }
        if let Err(entry) = ResourceAmounts::parse(&self.node.resources) {
            broken.push(format!(
                "node.resources holds `{entry}`; a resource is a word and a whole number or size, for \
                 example `cpu=8` or `memory=16GiB`"
            ));
        }
        if self.node.roles.is_empty() {
            broken.push(format!(
                "node.roles is empty; name at least one of {}",
                Role::EFFECTIVE.map(Role::as_str).join(", ")
            ));
        }
        broken
    }
}

fn section<C: DeserializeOwned + Default>(
    tables: &mut serde_json::Map<String, serde_json::Value>,
    name: &str,
) -> Result<C, SectionError> {
    let Some(table) = tables.remove(name) else { return Ok(C::default()) };
    read_section(table).map_err(|error| in_section(name, error))
}

/// Names the key with its section.
fn in_section(section: &str, error: SectionError) -> SectionError {
    SectionError { key: format!("{section}.{}", error.key), message: error.message }
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
    /// What this node can do that not every node can: a job with `capability = "gpu"` runs where `gpu` is
    /// among them.
    pub capabilities: Vec<String>,
    /// What jobs may take of this node at a time, besides their workers: `cpu=8`, `memory=16GiB`, `gpu=1`. A
    /// job with `resources(memory = "1GiB")` runs where that much is left. What is not listed is 0, but
    /// `cpu`, which is the number of cores.
    pub resources: Vec<String>,
    /// What the node runs for, as the dashboard shows it. When absent: `development` with `--dev`, otherwise
    /// `production`.
    pub environment: Option<String>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: None,
            roles: Role::EFFECTIVE.to_vec(),
            capabilities: Vec::new(),
            resources: Vec::new(),
            environment: None,
        }
    }
}

fn is_node_name(name: &str) -> bool {
    let clean = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    clean && (1..=NODE_NAME_BYTES_MAX).contains(&name.len())
}

fn is_environment_name(name: &str) -> bool {
    let printable = !name.trim().is_empty() && !name.contains(char::is_control);
    printable && name.chars().count() <= ENVIRONMENT_CHARS_MAX
}

/// What a node can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers HTTP, and runs the functions that are called.
    Gateway,
    /// Accepted and without effect: functions run where they are called.
    Function,
    /// Runs jobs.
    Worker,
    /// Accepted and without effect: duties of the cluster belong to elected leaders.
    Scheduler,
}

impl Role {
    /// The roles that do something.
    pub const EFFECTIVE: [Self; 2] = [Self::Gateway, Self::Worker];

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
    pub secret: Option<SecretText>,
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
