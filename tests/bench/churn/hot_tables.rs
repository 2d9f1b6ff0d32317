//! The tables that each job passes through: their sizes, and their row versions that no vacuum has removed.

use sqlx::postgres::PgConnection;

const MIB: f64 = 1024.0 * 1024.0;

/// `forge_jobs`, `forge_job_leases` and what belongs to them, at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HotTables {
    /// Of the tables, their indexes and their TOAST tables.
    pub(super) bytes: f64,
    /// Dead row versions, as the server's statistics say: about a second old.
    pub(super) dead: f64,
    /// How often autovacuum was through with one of them.
    pub(super) vacuums: i64,
}

const READ: &str = "
    select sum(pg_relation_size(oid) + pg_indexes_size(oid))::float8, sum(n_dead_tup)::float8,
           sum(autovacuum_count)::int8
    from (
        select oid from pg_class where oid in ('forge_jobs'::regclass, 'forge_job_leases'::regclass)
        union all
        select reltoastrelid from pg_class where oid in ('forge_jobs'::regclass, 'forge_job_leases'::regclass)
    ) as hot
    join pg_stat_all_tables on relid = oid";

const PARTS: &str = "
    with hot as (
        select oid, relname::text as name, reltoastrelid from pg_class
        where oid in ('forge_jobs'::regclass, 'forge_job_leases'::regclass)
    )
    select name, bytes::float8
    from (
        select name, pg_relation_size(oid) as bytes from hot
        union all
        select name || '''s TOAST', pg_total_relation_size(reltoastrelid) from hot
        union all
        select indexrelid::regclass::text, pg_relation_size(indexrelid)
        from hot join pg_index on indrelid = oid
    ) as part
    where bytes >= 1024 * 1024
    order by bytes desc";

impl HotTables {
    pub(super) async fn read(connection: &mut PgConnection) -> anyhow::Result<Self> {
        let (bytes, dead, vacuums) = sqlx::query_as(READ).fetch_one(connection).await?;
        Ok(Self { bytes, dead, vacuums })
    }

    pub(super) fn mib(self) -> f64 {
        self.bytes / MIB
    }

    /// The larger figures of two moments.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            dead: self.dead.max(other.dead),
            vacuums: self.vacuums.max(other.vacuums),
        }
    }
}

/// Each table and index above 1 MiB with its size, in words.
pub(super) async fn parts(connection: &mut PgConnection) -> anyhow::Result<String> {
    let parts: Vec<(String, f64)> = sqlx::query_as(PARTS).fetch_all(connection).await?;
    let shown: Vec<_> = parts.iter().map(|(name, bytes)| format!("{name} {:.0} MiB", bytes / MIB)).collect();
    Ok(shown.join(", "))
}
