//! Metrics of the database as this node finds it.

/// Gauge, seconds: how long the oldest commit has waited for a synchronous standby, once it has waited for
/// longer than five; 0 without one.
pub const COMMIT_WAIT_SECONDS: &str = "forge_database_commit_wait_seconds";
/// Gauge, seconds: the database's clock minus this machine's, as of the last ping.
pub const CLOCK_OFFSET_SECONDS: &str = "forge_clock_offset_seconds";
/// Gauge, seconds: the age of the oldest transaction of the database that holds vacuum back; 0 without one.
pub const OLDEST_TRANSACTION_SECONDS: &str = "forge_database_oldest_transaction_seconds";
/// Gauge: 1 while the database takes writes, 0 while it does not answer or is read-only.
pub const WRITABLE: &str = "forge_database_writable";
