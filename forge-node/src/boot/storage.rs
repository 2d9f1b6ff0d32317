//! The database of a command: a configured one, or the private one of the folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forge_actors::app::App;
use forge_actors::db::database::Database;
use forge_actors::db::embedded::actor::{Handover, Postgres};
use forge_actors::db::embedded::server::{Embedded, Progress};
use forge_actors::db::migrate::runner::Runner;
use forge_actors::db::migrate::set::MigrationSet;
use forge_actors::db::migrate::system::system_set;
use forge_actors::db::migrator::Migrator;
use forge_actors::db::monitor::{Monitor, wait_for};
use forge_actors::kernel::time::{minutes, secs};
use forge_actors::supervise::{ChildSpec, Shutdown};

use crate::boot::secret::STATE_FOLDER;
use crate::cmd::output;
use crate::cmd::report::Report;
use crate::cmd::scene::Scene;
use crate::config::load::Loaded;

/// How long to wait for another node that migrates.
pub const MIGRATION_LOCK_WAIT: Duration = minutes(5);
/// A restarted server may have to replay its log.
const POSTGRES_START: Duration = minutes(2);
/// A server that stops writes a checkpoint.
const POSTGRES_STOP: Duration = secs(15);

/// A database, and what it takes to have it.
pub struct Storage {
    /// The pools.
    pub database: Database,
    node: String,
    sets: Arc<[MigrationSet]>,
    private: Option<Private>,
    tried: String,
}

/// The private server of a folder.
struct Private {
    root: PathBuf,
    data: String,
    version: String,
    embedded: Embedded,
}

/// What is left of a storage whose server was handed to the tree.
pub struct Facts {
    /// The pools.
    pub database: Database,
    /// The server is a private one of this folder.
    pub embedded: bool,
    /// What and where, for people.
    pub description: String,
    /// What was tried, and where the value came from.
    pub tried: String,
    sets: Arc<[MigrationSet]>,
    node: String,
}

impl Storage {
    /// Pools for the configured database; without one, the private server is started or joined.
    pub async fn open(loaded: &Loaded, node: &str, scene: Scene<'_>) -> Result<Self, Report> {
        let sets = migration_sets(scene.apps)?.into();
        let config = loaded.config.database.clone();
        let (options, private, tried) = match &config.url {
            Some(url) => {
                let tried = format!("{url}   (from {})", loaded.origin("database.url"));
                let options = url.options().map_err(|error| Report::from(error).tried(tried.as_str()))?;
                (options, None, tried)
            }
            None => {
                let root = loaded.folder.join(STATE_FOLDER);
                let embedded = Embedded::start(&root, &|progress| tell(progress, scene)).await?;
                let data = embedded.data().display().to_string();
                let version = embedded.version().to_owned();
                (
                    embedded.options(),
                    Some(Private { root, data, version, embedded }),
                    "the embedded database".to_owned(),
                )
            }
        };
        Ok(Self {
            database: Database::new(options, config, node),
            node: node.to_owned(),
            sets,
            private,
            tried,
        })
    }

    /// Waits until it answers, for a command that needs it now.
    pub async fn ready(&self, scene: Scene<'_>) -> Result<(), Report> {
        let waiting = wait_for(&self.database, |attempt| {
            // The causes of further tries say the same.
            if attempt.number == 1 {
                scene.progress(&format!("waiting for the database: {}", attempt.cause));
            }
        });
        waiting.await.map_err(|error| Report::from(error).tried(self.tried.as_str()))
    }

    /// The migrations, Forge's own first.
    pub fn sets(&self) -> &[MigrationSet] {
        &self.sets
    }

    /// Gives it back; the last one that uses a private server stops it.
    pub async fn close(self) {
        self.database.close().await;
        if let Some(private) = self.private
            && let Err(error) = private.embedded.stop().await
        {
            output::notice(&format!("the embedded database was not stopped in order: {error}"));
        }
    }

    /// The children that keep it usable under supervision, in start order, and what remains to be said about
    /// it.
    pub fn into_children(self) -> (Vec<ChildSpec>, Facts) {
        let Self { database, node, sets, private, tried } = self;
        let embedded = private.is_some();
        let description = match &private {
            Some(private) => format!(
                "embedded PostgreSQL {}, {}   (data is kept; stop with Ctrl-C)",
                private.version, private.data
            ),
            None => tried.split_whitespace().next().unwrap_or_default().to_owned(),
        };
        let migrator = Migrator {
            database: database.clone(),
            sets: Arc::clone(&sets),
            node: node.clone(),
            lock_wait: MIGRATION_LOCK_WAIT,
        };
        let rest = [Monitor::child(database.clone()), migrator.child()];
        let children = private.map(postgres_child).into_iter().chain(rest).collect();
        (children, Facts { database, embedded, description, tried, sets, node })
    }
}

impl Facts {
    /// How many migrations are applied.
    pub async fn migrations_applied(&self) -> Result<usize, Report> {
        let runner = Runner {
            database: &self.database,
            sets: &self.sets,
            node: &self.node,
            lock_wait: MIGRATION_LOCK_WAIT,
        };
        Ok(runner.status().await?.iter().filter(|status| status.applied.is_some()).count())
    }
}

fn postgres_child(private: Private) -> ChildSpec {
    let postgres = Postgres { root: private.root, handover: Handover::new(private.embedded) };
    let (mut child, _) = ChildSpec::actor("postgres", move || postgres.clone());
    child.start_deadline = Some(POSTGRES_START);
    child.shutdown = Shutdown::Deadline(POSTGRES_STOP);
    child
}

/// Forge's own tables, then each application's.
pub fn migration_sets(apps: &[&App]) -> Result<Vec<MigrationSet>, Report> {
    let parsed = apps.iter().map(|app| MigrationSet::parse(app.name, app.migrations));
    let sets: Result<Vec<_>, _> = std::iter::once(Ok(system_set())).chain(parsed).collect();
    Ok(sets?)
}

/// Says on stderr why a start takes its time.
fn tell(progress: Progress<'_>, scene: Scene<'_>) {
    let line = match progress {
        Progress::Fetching { command } => format!("fetching PostgreSQL, once: {command}"),
        Progress::Said { line } => format!("  {line}"),
        Progress::Creating => "creating the embedded database, once".to_owned(),
        Progress::Starting => "starting the embedded database".to_owned(),
        Progress::Waiting => "waiting for the node that looks after the embedded database".to_owned(),
        Progress::Warning { text } => format!("note: {text}"),
    };
    scene.progress(&line);
}
