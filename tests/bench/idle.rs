//! What a node with every role costs its database and its machine while nobody uses it.

use std::time::{Duration, Instant};

use forge_tests::{Binary, Database, Node, PostgresProcess, cpu_time_of, probe};
use sqlx::{Connection, PgConnection};

use crate::goal::Goal;

/// After the start: leaders are elected, duties have run once, polls have become less frequent, and the
/// server has looked through the new tables.
const SETTLING: Duration = Duration::from_secs(100);
const MEASURED: Duration = Duration::from_secs(120);

/// Counted from another database of the cluster, since a reader's own transactions would count too. A
/// session reports its transactions up to ten seconds late.
const COUNT: &str = "select (xact_commit + xact_rollback)::float8, (pg_current_wal_lsn() - '0/0')::float8
    from pg_stat_database where datname = $1";

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let mut node =
        Node::builder(Binary::Probe).database(&database).file("forge.toml", probe::CONFIG).start().await;
    let mut outside = PgConnection::connect(&postgres.url()).await?;
    tokio::time::sleep(SETTLING).await;
    let pid = node.process().pid();
    let (began, cpu, before) = (Instant::now(), cpu_time_of(pid), count(&mut outside, &database).await?);
    tokio::time::sleep(MEASURED).await;
    let (took, after) = (began.elapsed().as_secs_f64(), count(&mut outside, &database).await?);
    let busy = cpu_time_of(pid).saturating_sub(cpu).as_secs_f64();
    Ok(vec![
        Goal::at_most("transactions/s of an idle node with every role", (after.0 - before.0) / took, "", 3.0),
        Goal::at_most("WAL of an idle node a second", (after.1 - before.1) / took, " B", 92.0),
        Goal::at_most("a core that an idle node keeps busy", busy / took * 100.0, " %", 0.5),
    ])
}

/// Transactions, and bytes of WAL.
async fn count(outside: &mut PgConnection, database: &Database) -> anyhow::Result<(f64, f64)> {
    Ok(sqlx::query_as(COUNT).bind(database.name()).fetch_one(outside).await?)
}
