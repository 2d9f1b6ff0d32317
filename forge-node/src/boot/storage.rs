//! The database of a command: where it is, what it is made of, what its schema should be.

use forge_actors::app::App;
use forge_actors::db::database::Database;
use forge_actors::db::migrate::set::MigrationSet;
use forge_actors::db::migrate::system::system_set;
use forge_actors::kernel::ids::NodeId;
use forge_actors::supervise::ChildSpec;

use crate::cmd::report::Report;
use crate::config::load::Loaded;

/// A database that is not connected yet.
pub struct Storage {
    /// The pools.
    pub database: Database,
    node: String,
}

impl Storage {
    /// Pools for the configured database.
    pub fn new(loaded: &Loaded, _apps: &[&App], id: NodeId) -> Result<Self, Report> {
        let config = loaded.config.database.clone();
        let node = short_name(id);
        let url = config.url.as_ref().expect("url");
        let options = url.options()?;
        Ok(Self { database: Database::new(options, config, &node), node })
    }

    /// How the node is called in the banner and in `pg_stat_activity`.
    pub fn node_name(&self) -> String {
        self.node.clone()
    }

    /// x
    pub fn children(&self) -> Vec<ChildSpec> {
        Vec::new()
    }

    /// x
    pub fn is_embedded(&self) -> bool {
        false
    }

    /// x
    pub async fn describe(&self) -> String {
        self.database.place()
    }

    /// x
    pub async fn migrations_applied(&self) -> usize {
        0
    }

    /// x
    pub async fn open(loaded: &Loaded) -> Result<Self, Report> {
        Self::new(loaded, &[], NodeId::new())
    }

    /// x
    pub async fn close(self) {}
}

/// Forge's own tables, then each application's.
pub fn migration_sets(apps: &[&App]) -> Result<Vec<MigrationSet>, Report> {
    let parsed = apps.iter().map(|app| MigrationSet::parse(app.name, app.migrations));
    let sets: Result<Vec<_>, _> = std::iter::once(Ok(system_set())).chain(parsed).collect();
    Ok(sets?)
}

/// The end of the id, which is its random part: two nodes that start together still differ.
fn short_name(id: NodeId) -> String {
    let text = id.to_string();
    format!("node-{}", text.get(text.len().saturating_sub(4)..).unwrap_or(&text))
}
