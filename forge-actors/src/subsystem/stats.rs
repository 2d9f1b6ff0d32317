//! What a node says of its load: figures that every dashboard shows by name, and a list for all others.

use crate::kernel::integer::Int53;

/// How busy a node is with its application: gauges of this moment, and counters since its start. The traffic
/// of the dashboard itself is left out: sessions, subscriptions, groups, ticks and calls of `forge.*` alone.
#[forge_app_macros::data]
#[derive(Debug, Clone, Default)]
pub struct NodeStats {
    /// Open WebSocket sessions.
    pub sessions: Int53,
    /// Live queries that sessions are subscribed to.
    pub subscriptions: Int53,
    /// Groups of those subscriptions; the subscriptions of one group share their runs.
    pub query_groups: Int53,
    /// Ticks of the reactor that ran queries, since the node started.
    pub ticks: Int53,
    /// Duration of the last of them.
    pub last_tick_ms: f64,
    /// Of the last tick that answered hints: time from the oldest of them to the last of its deliveries.
    pub change_lag_ms: f64,
    /// Milliseconds since that tick; `None` when there was none.
    pub change_lag_age_ms: Option<f64>,
    /// Calls since the node started.
    pub calls: Int53,
    /// Calls among them that failed by the node's fault: panics, timeouts, internal errors.
    pub errors: Int53,
    /// Calls that run now.
    pub in_flight: Int53,
    /// True while the database answers.
    pub database_up: bool,
    /// Use of the connection pools.
    pub database: Option<DatabaseUsage>,
    /// The node's part in the elections of leaders.
    pub election: Option<ElectionStats>,
    /// Figures of subsystems that the fields above do not name.
    pub figures: Vec<Figure>,
}

/// How a node takes part in the elections of leaders.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionStats {
    /// How long a leader may be silent before another node takes over: `leader.lease` of this node.
    pub lease_ms: Int53,
    /// Why this node cannot lead, and what helps; `None` when nothing stands in the way.
    pub obstacle: Option<String>,
}

/// A number that a subsystem shows in the overview.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The subsystem.
    pub subsystem: String,
    /// What is counted or measured, as people read it.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: FigureUnit,
}

/// The unit of a figure.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureUnit {
    /// A number of things.
    Count,
    /// Milliseconds.
    Ms,
    /// Bytes.
    Bytes,
    /// A share between 0 and 1.
    Ratio,
}

/// How full the pools are.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseUsage {
    /// Connections of transactions.
    pub write: PoolUsage,
    /// Connections of queries.
    pub read: PoolUsage,
    /// Connections of live queries. `None` from a node of the version before, which does not report them.
    pub live: Option<PoolUsage>,
    /// Connections of the job subsystem. `None` from a node of the version before, which has none.
    pub jobs: Option<PoolUsage>,
    /// Connections of advisory locks.
    pub locks: PoolUsage,
    /// Connections of health checks, cancellation, heartbeats, and begins and leases of jobs.
    pub control: PoolUsage,
}

/// How full a pool is.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUsage {
    /// Connections that exist.
    pub open: u32,
    /// Connections in use.
    #[serde(rename = "lent")]
    pub in_use: u32,
    /// Callers that wait for one.
    pub waiting: u32,
    /// Connections at most.
    pub max: u32,
}
