//! The command line: which verbs there are and what they take. What they do stands in [`cmd`](crate::cmd).
//!
//! An application's own binary has the verbs of [`Verb`]; `forge-node` adds those of a developer.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use forge_actors::kernel::ids::JobId;

use crate::config::load::Flag;

/// Heads the flags of every verb.
const EVERYWHERE: &str = "Everywhere";

/// Forge: typed functions on an actor runtime and Postgres.
#[derive(Debug, Parser)]
#[command(name = "forge-node", version, propagate_version = true, arg_required_else_help = true)]
pub struct Developer {
    /// Flags of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: DeveloperVerb,
}

/// An application on Forge.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Application {
    /// Flags of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The configuration file [default: forge.toml, when it exists].
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE", env = "FORGE_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Write data and errors as JSON.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// Write errors only.
    #[arg(long, short, global = true, help_heading = EVERYWHERE, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Write more to the log; twice for everything.
    #[arg(long, short, global = true, help_heading = EVERYWHERE, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours; NO_COLOR is respected.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What `forge-node` does.
#[derive(Debug, Subcommand)]
pub enum DeveloperVerb {
    /// Write a new application: the demo, under a name of your own.
    New(New),
    /// The verbs of an application.
    #[command(flatten)]
    Run(Verb),
}

/// What an application's binary does.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start a node.
    Start(Start),
    /// Apply, take back or list migrations.
    Migrate(Migrate),
    /// Call a function of a running node.
    Call(Call),
    /// Print the supervision tree of a running node.
    Actors(Actors),
    /// List, show, retry or cancel jobs.
    Jobs(Jobs),
    /// Look at the nodes of the cluster.
    Cluster(Cluster),
    /// Print a one-time link into the dashboard of a running node.
    Dashboard(Dashboard),
    /// Check what a node needs.
    Doctor,
    /// Print the CREATE statements of the models.
    Schema,
    /// Write the TypeScript, JSON Schema and OpenAPI of the functions.
    Generate(Generate),
    /// Print completions for a shell.
    Completions(Completions),
}

/// `start`.
#[derive(Debug, Clone, Args)]
pub struct Start {
    /// What the node does: gateway, function, worker, scheduler [default: all].
    #[arg(long, value_name = "ROLES")]
    pub roles: Option<String>,
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// What people call the node.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The port that the mesh listens on; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    pub mesh_port: Option<u16>,
    /// The database; without one, an embedded one in .forge/pg.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Development: loopback only, a generated secret, a ready token in the banner.
    #[arg(long)]
    pub dev: bool,
    /// Build the application with optimisations (only where it is built first).
    #[arg(long)]
    pub release: bool,
}

impl Start {
    /// The settings among the flags.
    pub fn flags(&self) -> Vec<Flag> {
        let [port, mesh_port] = [self.port, self.mesh_port].map(|port| port.map(|port| port.to_string()));
        [
            ("--roles", "node.roles", self.roles.clone()),
            ("--host", "gateway.host", self.host.clone()),
            ("--port", "gateway.port", port),
            ("--name", "node.name", self.name.clone()),
            ("--mesh-port", "cluster.port", mesh_port),
            ("--database-url", "database.url", self.database_url.clone()),
        ]
        .into_iter()
        .filter_map(|(flag, key, value)| Some(Flag { flag, key, value: value? }))
        .collect()
    }
}

/// `migrate`.
#[derive(Debug, Clone, Args)]
pub struct Migrate {
    /// What to do.
    #[command(subcommand)]
    pub step: MigrateStep,
    /// The database; without one, that of the configuration.
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
}

/// What `migrate` does.
#[derive(Debug, Clone, Subcommand)]
pub enum MigrateStep {
    /// Apply what is pending.
    Up {
        /// Print the statements and run none.
        #[arg(long)]
        dry_run: bool,
        /// Stop after this version.
        #[arg(long, value_name = "VERSION")]
        to: Option<u32>,
    },
    /// Take back the last ones.
    Down {
        /// Print the statements and run none.
        #[arg(long)]
        dry_run: bool,
        /// Take back everything after this version.
        #[arg(long, value_name = "VERSION", conflicts_with = "steps")]
        to: Option<u32>,
        /// How many to take back [default: 1].
        #[arg(long, value_name = "N")]
        steps: Option<u32>,
    },
    /// List what is applied and what is pending.
    Status,
}

/// `call`.
#[derive(Debug, Clone, Args)]
pub struct Call {
    /// The function, for example tasks.list.
    pub name: String,
    /// Its arguments, a JSON object.
    #[arg(default_value = "{}", value_name = "JSON")]
    pub args: String,
    /// Where the node is and who asks.
    #[command(flatten)]
    pub target: Target,
    /// Sign a token for this subject with the configured secret.
    #[arg(long = "as", value_name = "SUBJECT", conflicts_with = "token")]
    pub subject: Option<String>,
    /// Roles of the signed token.
    #[arg(long, value_name = "ROLE", requires = "subject")]
    pub role: Vec<String>,
}

/// Where a running node is, and the token for it.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The node [default: http:// and the host and port of the configuration].
    #[arg(long, value_name = "URL", env = "FORGE_URL", hide_env_values = true)]
    pub url: Option<String>,
    /// The token to send [default: the variable FORGE_TOKEN].
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
}

/// `jobs`.
#[derive(Debug, Clone, Args)]
pub struct Jobs {
    /// What to do.
    #[command(subcommand)]
    pub step: JobsStep,
}

/// What `jobs` does.
#[derive(Debug, Clone, Subcommand)]
pub enum JobsStep {
    /// List jobs, newest first.
    Ls {
        /// Only those in this status: pending, claimed, running, completed, retry, failed, dead_letter,
        /// cancelled.
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// Only those of this queue.
        #[arg(long, value_name = "QUEUE")]
        queue: Option<String>,
        /// Only those of this handler.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
        /// Where the node is and who asks.
        #[command(flatten)]
        target: Target,
    },
    /// Show one job with its arguments and its last error.
    Show(OneJob),
    /// Run a job again now, with all of its attempts.
    Retry(OneJob),
    /// End a job that is not finished.
    Cancel(OneJob),
}

/// One job.
#[derive(Debug, Clone, Args)]
pub struct OneJob {
    /// The job's id, as `jobs ls` prints it.
    pub id: JobId,
    /// Where the node is and who asks.
    #[command(flatten)]
    pub target: Target,
}

/// `actors`.
#[derive(Debug, Clone, Args)]
pub struct Actors {
    /// Where the node is and who asks.
    #[command(flatten)]
    pub target: Target,
    /// Print it again every second.
    #[arg(long, short)]
    pub watch: bool,
}

/// `cluster`.
#[derive(Debug, Clone, Args)]
pub struct Cluster {
    /// What to do.
    #[command(subcommand)]
    pub step: ClusterStep,
}

/// What `cluster` does.
#[derive(Debug, Clone, Subcommand)]
pub enum ClusterStep {
    /// List the nodes, and the connections of the one that answers.
    Status(ClusterStatus),
}

/// `cluster status`.
#[derive(Debug, Clone, Args)]
pub struct ClusterStatus {
    /// Where the node is and who asks.
    #[command(flatten)]
    pub target: Target,
}

/// `generate`.
#[derive(Debug, Clone, Args)]
pub struct Generate {
    /// The folder to write into [default: that of the configuration].
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Write nothing; fail when the files are not what would be written.
    #[arg(long)]
    pub check: bool,
    /// Of the node's own functions (forge.*) instead of the application's.
    #[arg(long)]
    pub system: bool,
}

/// `dashboard`.
#[derive(Debug, Clone, Args)]
pub struct Dashboard {
    /// The node [default: http:// and the host and port of the configuration].
    #[arg(long, value_name = "URL", env = "FORGE_URL", hide_env_values = true)]
    pub url: Option<String>,
}

/// `completions`.
#[derive(Debug, Clone, Args)]
pub struct Completions {
    /// The shell: bash, zsh, fish ...
    pub shell: Shell,
}

/// `new`.
#[derive(Debug, Clone, Args)]
pub struct New {
    /// The folder to write; its name becomes the application's.
    pub folder: PathBuf,
    /// Make no git repository.
    #[arg(long)]
    pub no_git: bool,
}
