//! The database of a command: the configured one, or the embedded one of the folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use forge_actors::app::App;
use forge_actors::db::database::Database;
use forge_actors::db::embedded::actor::{Handover, Postgres};
use forge_actors::db::embedded::progress::EmbeddedProgress;
use forge_actors::db::embedded::server::Embedded;
use forge_actors::db::migrate::set::MigrationSet;
use forge_actors::db::migrate::system::system_sets;
use forge_actors::db::migrator::Migrator;
use forge_actors::db::monitor::{Monitor, wait_for};
use forge_actors::kernel::error_chain::error_chain;
use forge_actors::kernel::ids::NodeId;
use forge_actors::kernel::time::{minutes, secs};
use forge_actors::supervise::{ChildSpec, Shutdown};

use crate::boot::secret::STATE_FOLDER;
use crate::boot::watchdog;
use crate::config::load::Loaded;
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::Report;
use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::paths::POSTGRES;

/// Time to wait for another node that migrates.
pub const MIGRATION_LOCK_WAIT: Duration = minutes(5);
/// Time for the server to start: it may have to replay its write-ahead log.
const POSTGRES_START: Duration = minutes(2);
/// Time for the server to stop: it writes a checkpoint.
const POSTGRES_STOP: Duration = secs(15);

/// An open database, and its server when it is embedded.
pub struct Storage {
    /// The pools.
    pub database: Database,
    node: String,
    sets: Arc<[MigrationSet]>,
    embedded: Option<EmbeddedServer>,
    tried: String,
}

/// The embedded server of a folder.
struct EmbeddedServer {
    root: PathBuf,
    data: String,
    version: String,
    server: Embedded,
}

/// Facts about a database whose server is supervised by the tree.
pub struct StorageFacts {
    /// The pools.
    pub database: Database,
    /// True when the database is the embedded one of this folder.
    pub embedded: bool,
    /// What the database is and where, for the banner.
    pub description: String,
    /// The database's address, and where it was configured.
    pub tried: String,
    /// The number of migrations of this binary. When the supervision tree has started, all of them are
    /// applied.
    pub migrations: usize,
}

impl Storage {
    /// Makes the pools for the configured database. Without one, the embedded server is started or joined.
    ///
    /// # Errors
    /// When the configured URL is none, or the embedded server cannot be started.
    pub async fn open(loaded: &Loaded, name: &str, context: CommandContext<'_>) -> Result<Self, Report> {
        Self::open_with(loaded, name, None, context).await
    }

    /// [`open`](Self::open) for the node `id` called `name`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn open_for_node(
        loaded: &Loaded,
        name: &str,
        id: NodeId,
        context: CommandContext<'_>,
    ) -> Result<Self, Report> {
        Self::open_with(loaded, name, Some(id), context).await
    }

    async fn open_with(
        loaded: &Loaded,
        name: &str,
        id: Option<NodeId>,
        context: CommandContext<'_>,
    ) -> Result<Self, Report> {
        let sets = migration_sets(context.apps)?.into();
        let config = loaded.config.section::<DatabaseConfig>();
        let (options, embedded, tried) = match &config.url {
            Some(url) => {
                let tried = format!("{url}   (from {})", loaded.origin("database.url"));
                let options = url.options().map_err(|error| Report::from(error).tried(tried.as_str()))?;
                (options, None, tried)
            }
            None => {
                let root = loaded.folder.join(STATE_FOLDER);
                let progress = |progress: EmbeddedProgress<'_>| report_progress(progress, context);
                let server = Embedded::start(&root, watchdog::program().as_ref(), &progress).await?;
                let data = server.data().display().to_string();
                let version = server.version().to_owned();
                (
                    server.options(),
                    Some(EmbeddedServer { root, data, version, server }),
                    "the embedded database".to_owned(),
                )
            }
        };
        Ok(Self {
            database: match id {
                Some(id) => Database::of_node(options, config, name, id),
                None => Database::new(options, config, name),
            },
            node: name.to_owned(),
            sets,
            embedded,
            tried,
        })
    }

    /// Waits until the database answers.
    ///
    /// # Errors
    /// When it does not answer within `database.start_timeout`, or a person must mend the cause.
    pub async fn ready(&self, context: CommandContext<'_>) -> Result<(), Report> {
        let waiting = wait_for(&self.database, |attempt| {
            // The causes of further attempts are the same.
            if attempt.number == 1 {
                context.progress(&format!("waiting for the database: {}", attempt.cause));
            }
        });
        waiting.await.map_err(|error| Report::from(error).tried(self.tried.as_str()))
    }

    /// The migrations, Forge's own first.
    pub fn sets(&self) -> &[MigrationSet] {
        &self.sets
    }

    /// Closes the pools. An embedded server is stopped by the last process that uses it.
    pub async fn close(self) {
        self.database.close().await;
        if let Some(embedded) = self.embedded
            && let Err(error) = embedded.server.stop().await
        {
            output::notice(format!("stopping the embedded database failed: {}", error_chain(&error)));
        }
    }

    /// The children that keep the database usable under supervision, in start order, and the facts about it.
    pub fn into_children(self) -> (Vec<ChildSpec>, StorageFacts) {
        let Self { database, node, sets, embedded, tried } = self;
        let is_embedded = embedded.is_some();
        let description = match &embedded {
            Some(embedded) => {
                format!("embedded PostgreSQL {} in {}", embedded.version, from_here(&embedded.data))
            }
            None => tried.split_whitespace().next().unwrap_or_default().to_owned(),
        };
        let migrations = sets.iter().map(|set| set.migrations().len()).sum();
        let migrator = Migrator { database: database.clone(), sets, node, lock_wait: MIGRATION_LOCK_WAIT };
        let rest = [Monitor::child(database.clone()), migrator.child()];
        let children = embedded.map(postgres_child).into_iter().chain(rest).collect();
        let facts = StorageFacts { database, embedded: is_embedded, description, tried, migrations };
        (children, facts)
    }
}

/// A path as seen from the folder of the process, when it is below that.
fn from_here(path: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    Path::new(path).strip_prefix(&here).unwrap_or(Path::new(path)).display().to_string()
}

fn postgres_child(embedded: EmbeddedServer) -> ChildSpec {
    let EmbeddedServer { root, server, .. } = embedded;
    let postgres = Postgres { root, watchdog: watchdog::program(), handover: Handover::new(server) };
    let mut child = ChildSpec::unaddressed(POSTGRES.id(), move || postgres.clone());
    child.start_deadline = Some(POSTGRES_START);
    child.shutdown = Shutdown::Deadline(POSTGRES_STOP);
    child
}

/// Forge's own migrations, then those of each application.
pub fn migration_sets(apps: &[&App]) -> Result<Vec<MigrationSet>, Report> {
    let parsed = apps.iter().map(|app| MigrationSet::parse(app.name, app.migrations));
    let sets: Result<Vec<_>, _> = system_sets().into_iter().map(Ok).chain(parsed).collect();
    Ok(sets?)
}

/// Prints on stderr why a start takes time.
fn report_progress(progress: EmbeddedProgress<'_>, context: CommandContext<'_>) {
    let line = match progress {
        EmbeddedProgress::Fetching { command } => format!("fetching PostgreSQL, once: {command}"),
        EmbeddedProgress::Output { line } => format!("  {line}"),
        EmbeddedProgress::Creating => "creating the embedded database, once".to_owned(),
        EmbeddedProgress::Starting => "starting the embedded database".to_owned(),
        EmbeddedProgress::Waiting => "waiting for the node that owns the embedded database".to_owned(),
        EmbeddedProgress::Warning { text } => format!("note: {text}"),
    };
    context.progress(&line);
}
