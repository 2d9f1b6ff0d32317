//! The commands and their flags. [`cmd`](crate::cmd) has their implementations.
//!
//! An application's own binary has the commands of [`Verb`]; `forge-node` adds those of a developer.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use forge_actors::kernel::time::{Timestamp, parse_duration};

use crate::config::load::Flag;

mod jobs;
mod workflows;

pub use jobs::{ChosenJobs, FilterFlags, Jobs, JobsStep, OneJob, OneQueue, QueueLimit};
pub use workflows::{
    EmitFlags, OneRun, RunFilterFlags, RunName, StartFlags, WaitFlags, Workflows, WorkflowsStep,
};

/// The heading of the flags that every command has.
const EVERYWHERE: &str = "Everywhere";

/// Forge: typed functions on an actor runtime and Postgres.
#[derive(Debug, Parser)]
#[command(name = "forge-node", version, propagate_version = true, arg_required_else_help = true)]
pub struct Developer {
    /// The flags that every command has.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub verb: DeveloperVerb,
}

/// An application on Forge.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Application {
    /// The flags that every command has.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The flags that every command has.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The configuration file [default: forge.toml, when it exists].
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE")]
    #[arg(env = "FORGE_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Write data and errors as JSON.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// Write errors only.
    #[arg(long, short, global = true, help_heading = EVERYWHERE, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Write debug lines to the log; twice for trace lines.
    #[arg(long, short, global = true, help_heading = EVERYWHERE, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours; the variable NO_COLOR switches them off.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "WHEN")]
    #[arg(value_enum, default_value_t = Color::Auto)]
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

/// The commands of `forge-node`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value, made at the start of the process")]
pub enum DeveloperVerb {
    /// Write a new application: the demo, under another name.
    New(New),
    /// The commands of an application.
    #[command(flatten)]
    Run(Verb),
}

/// The commands of an application's binary.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start a node.
    Start(Start),
    /// Apply, undo or list migrations.
    Migrate(Migrate),
    /// Call a function of a running node.
    Call(Call),
    /// Print the supervision tree of a running node.
    Actors(Actors),
    /// List, show, retry or cancel jobs.
    Jobs(Jobs),
    /// List, show, start, signal, cancel or retry runs of workflows; check a binary against them.
    Workflows(Workflows),
    /// List, show, run, pause or resume crons, or print their next times.
    Cron(Cron),
    /// List the nodes of the cluster, or its leaders.
    Cluster(Cluster),
    /// Print a one-time link into the dashboard of a running node.
    Dashboard(Dashboard),
    /// Check that this machine has what a node needs.
    Doctor,
    /// Print the CREATE statements of the models.
    Schema,
    /// List the functions with kind, access and limits.
    Functions(Functions),
    /// Write the TypeScript, JSON Schema and OpenAPI of the functions.
    Generate(Generate),
    /// Print completions for a shell.
    Completions(Completions),
}

/// `start`.
#[derive(Debug, Clone, Args)]
pub struct Start {
    /// What the node does: gateway (answers HTTP), worker (runs jobs) [default: both].
    #[arg(long, value_name = "ROLES")]
    pub roles: Option<String>,
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// The node's name.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The port that the mesh listens on; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    pub mesh_port: Option<u16>,
    /// The database [default: that of the configuration, or an embedded one in .forge/pg].
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Development mode: loopback only, a generated secret, a link into the dashboard, causes in answers.
    #[arg(long)]
    pub dev: bool,
    /// Build the application with optimisations, when `start` builds it.
    #[arg(long)]
    pub release: bool,
}

impl Start {
    /// The flags that set a key of the configuration.
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

/// `functions`.
#[derive(Debug, Clone, Args)]
pub struct Functions {
    /// The node's own functions (`forge.*`) instead of the application's.
    #[arg(long)]
    pub system: bool,
}

/// `migrate`.
#[derive(Debug, Clone, Args)]
pub struct Migrate {
    /// The command.
    #[command(subcommand)]
    pub step: MigrateStep,
    /// The database [default: that of the configuration].
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
}

/// The subcommands of `migrate`.
#[derive(Debug, Clone, Subcommand)]
pub enum MigrateStep {
    /// Apply the pending migrations.
    Up {
        /// Print the statements without running them.
        #[arg(long)]
        dry_run: bool,
        /// Stop after the migration with this number.
        #[arg(long, value_name = "NUMBER")]
        to: Option<u32>,
    },
    /// Undo the last migrations.
    Down {
        /// Print the statements without running them.
        #[arg(long)]
        dry_run: bool,
        /// Undo all migrations after the one with this number.
        #[arg(long, value_name = "NUMBER", conflicts_with = "steps")]
        to: Option<u32>,
        /// The number of migrations to undo [default: 1].
        #[arg(long, value_name = "N")]
        steps: Option<u32>,
    },
    /// List the applied and the pending migrations.
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
    /// The node, and the token for it.
    #[command(flatten)]
    pub target: Target,
    /// Sign a token for this subject with the configured secret.
    #[arg(long = "as", value_name = "SUBJECT", conflicts_with = "token")]
    pub subject: Option<String>,
    /// Roles of the signed token.
    #[arg(long, value_name = "ROLE", requires = "subject")]
    pub role: Vec<String>,
}

/// A running node, and the token for it.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The node [default: http:// and the host and port of the configuration].
    #[arg(long, value_name = "URL", env = "FORGE_URL", hide_env_values = true)]
    pub url: Option<String>,
    /// The token to send [default: the variable FORGE_TOKEN].
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
}

/// `cron`.
#[derive(Debug, Clone, Args)]
pub struct Cron {
    /// The command.
    #[command(subcommand)]
    pub step: CronStep,
}

/// The subcommands of `cron`.
#[derive(Debug, Clone, Subcommand)]
pub enum CronStep {
    /// List crons by name, with their last run and their next time.
    Ls {
        /// Only crons of this handler.
        #[arg(long, value_name = "NAME")]
        handler: Option<String>,
        /// Only crons of this tenant.
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// The largest number of crons to list.
        #[arg(long, value_name = "N", default_value_t = 100)]
        #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000), allow_negative_numbers = true)]
        limit: u16,
        /// The node, and the token for it.
        #[command(flatten)]
        target: Target,
    },
    /// Show one cron with its last runs.
    Show {
        /// The cron.
        #[command(flatten)]
        cron: OneCron,
        /// How many runs to show.
        #[arg(long, value_name = "N", default_value_t = 20)]
        #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000), allow_negative_numbers = true)]
        runs: u16,
    },
    /// Run a cron now, also one that is paused.
    Run(OneCron),
    /// Stop a cron until it is resumed.
    Pause(OneCron),
    /// Let a paused cron run again, from now on.
    Resume(OneCron),
    /// Print the next times of a cron, in its time zone and in UTC.
    Next {
        /// The cron.
        #[command(flatten)]
        cron: OneCron,
        /// How many times to print.
        #[arg(long, short = 'n', value_name = "N", default_value_t = 5)]
        #[arg(value_parser = clap::value_parser!(u16).range(1..=100), allow_negative_numbers = true)]
        count: u16,
    },
}

/// One cron.
#[derive(Debug, Clone, Args)]
pub struct OneCron {
    /// The cron's name or id, as `cron ls` prints them.
    pub cron: String,
    /// The node, and the token for it.
    #[command(flatten)]
    pub target: Target,
}

/// `actors`.
#[derive(Debug, Clone, Args)]
pub struct Actors {
    /// The node, and the token for it.
    #[command(flatten)]
    pub target: Target,
    /// Print the tree again every second.
    #[arg(long, short)]
    pub watch: bool,
}

/// `cluster`.
#[derive(Debug, Clone, Args)]
pub struct Cluster {
    /// The command.
    #[command(subcommand)]
    pub step: ClusterStep,
}

/// The subcommands of `cluster`.
#[derive(Debug, Clone, Subcommand)]
pub enum ClusterStep {
    /// List the nodes, the mesh connections of the node that answers, and the leaders.
    Status {
        /// The node, and the token for it.
        #[command(flatten)]
        target: Target,
    },
    /// List the leaders, and the terms that ended last.
    Leaders {
        /// The node, and the token for it.
        #[command(flatten)]
        target: Target,
    },
}

/// `generate`.
#[derive(Debug, Clone, Args)]
pub struct Generate {
    /// The folder to write into [default: that of the configuration].
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Write nothing; fail when the files are not up to date.
    #[arg(long)]
    pub check: bool,
    /// Write those of the node's own functions (forge.*) instead of the application's.
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
    /// The shell, for example bash, zsh or fish.
    pub shell: Shell,
}

/// `new`.
#[derive(Debug, Clone, Args)]
pub struct New {
    /// The folder to write; its name becomes the application's name.
    pub folder: PathBuf,
    /// Make no git repository.
    #[arg(long)]
    pub no_git: bool,
}

fn moment(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| "a time is written 2030-01-31T09:00:00Z, or with an offset: +01:00")
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

fn one_of<const N: usize>(labels: [&str; N]) -> String {
    format!("it is one of {}", labels.join(", "))
}
