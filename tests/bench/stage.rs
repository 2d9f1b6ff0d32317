//! A Postgres of its own, a probe node on it, rows to read, a token to read them with.

use std::net::SocketAddr;

use forge_tests::{Binary, Database, Load, Node, PostgresProcess, probe};
use serde_json::json;

/// Connections of each pool, on both sides of a comparison.
pub(crate) const CONNECTIONS: u32 = 16;
/// Rows to choose from.
const ROWS: i64 = 1_000;

/// Dropped in this order: node, database, cluster.
pub(crate) struct Stage {
    pub(crate) node: Node,
    pub(crate) token: String,
    pub(crate) database: Database,
    pub(crate) postgres: PostgresProcess,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::with(probe::CONFIG).await
    }

    /// The same under a configuration of one's own.
    pub(crate) async fn with(config: &str) -> Self {
        let postgres = PostgresProcess::start().await;
        let database = Database::create_in(&postgres.url(), None).await;
        let node = Node::builder(Binary::Probe).database(&database).file("forge.toml", config).start().await;
        database
            .execute(&format!(
                "insert into probe_rows select n, 'row ' || n, n % 2 = 0 from generate_series(1, {ROWS}) n"
            ))
            .await;
        database.execute("vacuum analyze probe_rows").await;
        Self { node, token: probe::token("bench"), database, postgres }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.node
            .client()
            .base()
            .trim_start_matches("http://")
            .parse()
            .expect("the node's base is an address")
    }

    /// The bytes of the one-row query.
    pub(crate) fn one(&self) -> Vec<u8> {
        Load::request("/rpc/probe.one", &json!({ "id": ROWS / 2 }).to_string(), Some(&self.token))
    }
}
