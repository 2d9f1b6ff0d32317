//! How many connections a node may open, and how many the server grants. A node that may open more than that
//! would be refused under load, so its pools are reduced when it starts.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::config::DatabaseConfig;
use super::database::Database;
use super::error::DatabaseError;

/// The connection of elections, which belongs to no pool.
const ELECTION_CONNECTIONS: usize = 1;
/// The smallest pool with which a node serves: one user may wait for a lock while another works.
const POOL_LEAST: usize = 2;

/// The connections of one node and of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// What one node may open.
    pub node: usize,
    /// The lowest limit.
    pub lowest: ConnectionGrant,
    /// The limit of which the nodes that are connected now leave least.
    pub tightest: ConnectionGrant,
    /// The pools for calls with which a node starts; `None` when the server grants too few connections.
    pub pools: Option<CallPools>,
}

/// A limit of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionGrant {
    /// What the limit is of.
    pub scope: LimitScope,
    /// What the server grants to all programs together that the limit concerns, without what it reserves for
    /// administrators.
    pub granted: usize,
    /// Nodes among them that are connected now.
    pub nodes: usize,
}

/// What a limit of connections is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitScope {
    /// `max_connections` of the server.
    Server,
    /// `CONNECTION LIMIT` of the role.
    Role,
    /// `CONNECTION LIMIT` of the database.
    Database,
}

/// Sizes of the pools that are reduced where the server grants few connections: first those for calls, and
/// when too few are left for these, the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPools {
    /// Connections for mutations.
    pub write: usize,
    /// Connections for queries.
    pub read: usize,
    /// Connections of the job subsystem.
    pub jobs: usize,
    /// Connections for advisory locks.
    pub locks: usize,
}

/// The connections that a node keeps for itself, whatever the size of its pools for calls; `live` are those
/// of its live queries.
fn kept(config: &DatabaseConfig, live: usize) -> usize {
    let own = config.lock_connections_max + config.job_connections_max + config.control_connections_max;
    own + live + ELECTION_CONNECTIONS
}

/// The configuration of a node to which the server grants few connections.
fn with_least(config: &DatabaseConfig) -> DatabaseConfig {
    DatabaseConfig {
        lock_connections_max: config.lock_connections_max.min(POOL_LEAST),
        job_connections_max: config.job_connections_max.min(POOL_LEAST),
        ..config.clone()
    }
}

/// The pools for calls of a node that may open `granted` connections at most, with `live` of them for live
/// queries; `None` when so few are left for calls that the node cannot serve.
fn call_pools(config: &DatabaseConfig, live: usize, granted: usize) -> Option<CallPools> {
    divide(config, live, granted).or_else(|| divide(&with_least(config), live, granted))
}

fn divide(config: &DatabaseConfig, live: usize, granted: usize) -> Option<CallPools> {
    let left = granted.saturating_sub(kept(config, live));
    if left < 2 * POOL_LEAST {
        return None;
    }
    let (write_max, read_max) = (config.write_connections_max, config.read_connections_max);
    // What one pool does not take is for the other one.
    let write = (left / 2).max(left.saturating_sub(read_max)).min(write_max);
    let (jobs, locks) = (config.job_connections_max, config.lock_connections_max);
    Some(CallPools { write, read: (left - write).min(read_max), jobs, locks })
}

impl LimitScope {
    /// The setting of Postgres.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "max_connections",
            Self::Role => "the role's CONNECTION LIMIT",
            Self::Database => "the database's CONNECTION LIMIT",
        }
    }

    /// The statement that raises the limit.
    pub fn help(self) -> &'static str {
        match self {
            Self::Server => "ALTER SYSTEM SET max_connections = …   (then restart the server)",
            Self::Role => "ALTER ROLE … CONNECTION LIMIT …",
            Self::Database => "ALTER DATABASE … CONNECTION LIMIT …",
        }
    }
}

fn limit_of(row: &PgRow) -> sqlx::Result<ConnectionGrant> {
    let scope = match row.try_get("scope")? {
        "role" => LimitScope::Role,
        "database" => LimitScope::Database,
        _ => LimitScope::Server,
    };
    let (granted, nodes): (i32, i64) = (row.try_get("granted")?, row.try_get("nodes")?);
    let (granted, nodes) =
        (usize::try_from(granted).unwrap_or_default(), usize::try_from(nodes).unwrap_or_default());
    Ok(ConnectionGrant { scope, granted, nodes })
}

impl Database {
    /// Reads how many connections the server grants, and how many nodes share them.
    ///
    /// # Errors
    /// Those of the statement.
    pub async fn connection_limits(&self) -> sqlx::Result<ConnectionLimits> {
        let sql = include_str!("sql/read_connection_limits.sql");
        let rows = sqlx::query(sql).fetch_all(&self.control()).await?;
        let limits = rows.iter().map(limit_of).collect::<sqlx::Result<Vec<_>>>()?;
        let (config, live) = (self.config(), self.live_connections_max());
        let node = config.write_connections_max + config.read_connections_max + kept(config, live);
        let left = |limit: &&ConnectionGrant| limit.granted.saturating_sub(limit.nodes * node);
        let (lowest, tightest) =
            (limits.iter().min_by_key(|limit| limit.granted), limits.iter().min_by_key(left));
        let (Some(lowest), Some(tightest)) = (lowest, tightest) else { return Err(sqlx::Error::RowNotFound) };
        let pools = call_pools(config, live, lowest.granted);
        Ok(ConnectionLimits { node, lowest: *lowest, tightest: *tightest, pools })
    }

    /// Reduces the pools for calls to what the server grants.
    ///
    /// # Errors
    /// `TooFewConnections` when too few are left for them; `Statement` when the database does not answer.
    pub async fn fit_connections(&self) -> Result<(), DatabaseError> {
        let doing = || "reading how many connections the server grants".to_owned();
        let limits = self.connection_limits().await;
        let ConnectionLimits { node, lowest, pools, .. } =
            limits.map_err(|source| DatabaseError::Statement { doing: doing(), source })?;
        let ConnectionGrant { scope, granted, .. } = lowest;
        if node <= granted {
            return Ok(());
        }
        let address = self.address();
        let least = kept(&with_least(self.config()), self.live_connections_max()) + 2 * POOL_LEAST;
        let pools = pools.ok_or(DatabaseError::TooFewConnections { address, granted, least })?;
        tracing::warn!(
            node_connections = node,
            granted,
            write_connections = pools.write,
            read_connections = pools.read,
            job_connections = pools.jobs,
            lock_connections = pools.locks,
            limit = scope.name(),
            "the server grants fewer connections than this node may open: its pools are reduced; \
             raise the limit, or lower database.write_connections_max and database.read_connections_max"
        );
        self.resize(pools.write, pools.read, pools.jobs, pools.locks);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_for_calls_take_what_the_server_grants() {
        let config = DatabaseConfig::default();
        let check = |config: &DatabaseConfig, granted: usize, expected: Option<(usize, usize)>| {
            let pools = call_pools(config, 3, granted);
            assert_eq!(pools.map(|pools| (pools.write, pools.read)), expected, "{granted}");
            let all = |pools: CallPools| {
                pools.write + pools.read + pools.jobs + pools.locks + config.control_connections_max + 3 + 1
            };
            assert!(pools.is_none_or(|pools| all(pools) <= granted));
        };
        check(&config, 220, Some((16, 16)));
        check(&config, 50, Some((16, 16)));
        check(&config, 49, Some((15, 16)));
        check(&config, 23, Some((2, 3)));
        check(&config, 22, Some((2, 2)));
        check(&config, 21, Some((4, 5)));
        check(&config, 16, Some((2, 2)));
        check(&config, 15, None);
        check(&config, 0, None);
        let readers = DatabaseConfig { write_connections_max: 2, read_connections_max: 40, ..config };
        check(&readers, 48, Some((2, 28)));
    }
}
