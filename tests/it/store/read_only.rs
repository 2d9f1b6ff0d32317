//! A write that is refused as read-only: the mistake of a query, or the wrong server.

use std::time::Duration;

use forge_actors::db::handle::Db;
use forge_actors::db::transaction::TransactionOptions;
use forge_actors::kernel::fault::{Code, Fault};
use forge_tests::PostgresProcess;

use super::cluster::{Scratch, execute, until};

const LIMIT: Duration = Duration::from_secs(5);
const INSERT: &str = "INSERT INTO t VALUES (1)";

/// Makes the server read-only by its configuration, or ends that; waits until a new session sees it.
async fn set_read_only(scratch: &Scratch, on: bool) {
    let setting = if on { "on" } else { "off" };
    let mut connection = scratch.connect().await;
    execute(&mut connection, &format!("ALTER SYSTEM SET default_transaction_read_only = {setting}")).await;
    execute(&mut connection, "SELECT pg_reload_conf()").await;
    until("the configuration is read", LIMIT, async || {
        let show = sqlx::query_scalar("SELECT current_setting('default_transaction_read_only')");
        let seen: String = show.fetch_one(&mut scratch.connect().await).await.unwrap();
        seen == setting
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_costs_its_sessions_and_a_query_that_writes_does_not() {
    let postgres = PostgresProcess::start().await;
    let scratch = Scratch::in_cluster(&postgres.url()).await;
    execute(&mut scratch.connect().await, "CREATE TABLE t (id int)").await;
    let database = &scratch.database;
    let (reader, writer) = (database.reader(), database.writer());
    let pid =
        async |db: &Db| -> i32 { sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(db).await.unwrap() };
    let insert = async |db: &Db| sqlx::query(INSERT).execute(db).await.map(drop).map_err(Fault::from);
    let unavailable = |refused: Result<(), Fault>, whom: &str| {
        let fault = refused.expect_err(whom);
        assert_eq!(
            (fault.code(), fault.retry_delay().is_some()),
            (Code::Unavailable, true),
            "{whom}: {fault:?}"
        );
    };
    let mistaken = |refused: Result<(), Fault>, whom: &str| {
        let fault = refused.expect_err(whom);
        assert_eq!(fault.code(), Code::Internal, "{whom}: {fault:?}");
        assert_eq!(fault.sqlstate().as_deref(), Some("25006"), "{whom}");
    };
    insert(&writer).await.unwrap();
    let before = (pid(&reader).await, pid(&writer).await);

    // Queries that write, on a server that takes writes: in the pool, in a snapshot, nested in a mutation.
    mistaken(insert(&reader).await, "the reader");
    let snapshot = database.snapshot("test", LIMIT).await.unwrap();
    mistaken(insert(&snapshot.db()).await, "a snapshot");
    snapshot.rollback().await;
    let mutation = database.begin(TransactionOptions::new("test", LIMIT)).await.unwrap();
    let nested = mutation.db().nested(true).await.unwrap();
    mistaken(insert(&nested.db()).await, "a query in a mutation");
    nested.rollback().await.unwrap();
    let nested = mutation.db().nested(true).await.unwrap();
    let deeper = nested.db().nested(false).await.unwrap();
    mistaken(insert(&deeper.db()).await, "a call in a query in a mutation");
    deeper.rollback().await.unwrap();
    nested.rollback().await.unwrap();
    insert(&mutation.db()).await.unwrap();
    mutation.commit().await.unwrap();
    assert_eq!((pid(&reader).await, pid(&writer).await), before, "no session was discarded");

    set_read_only(&scratch, true).await;
    mistaken(insert(&reader).await, "the reader of a read-only server");
    unavailable(insert(&writer).await, "the writer");
    unavailable(insert(&database.control()).await, "the control pool");
    let mutation = database.begin(TransactionOptions::new("test", LIMIT)).await.unwrap();
    unavailable(insert(&mutation.db()).await, "a mutation");
    assert!(mutation.commit().await.is_err(), "it is not committed");
    set_read_only(&scratch, false).await;
    insert(&writer).await.unwrap();
    let after = (pid(&reader).await, pid(&writer).await);
    assert!(
        before.0 != after.0 && before.1 != after.1,
        "{before:?} {after:?}: each session may lead to the wrong server"
    );
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&reader).await.unwrap();
    assert_eq!(rows, 3);
    scratch.drop().await;
}
