//! Pools: no session comes back inside a transaction, an abandoned one is gone, and acquiring one costs
//! nothing.

use std::time::{Duration, Instant};

use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::connections::{ConnectionGrant, LimitScope};
use forge_actors::db::database::Database;
use forge_actors::db::error::DatabaseError;
use forge_actors::db::transaction::TransactionOptions;
use forge_actors::kernel::fault::{Code, Fault};
use forge_actors::kernel::ids::NodeId;
use futures::TryStreamExt;

use super::cluster::{Scratch, execute, until};

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn begins_that_are_cut_off_leave_no_transaction_and_lose_no_insert() {
    let config = DatabaseConfig { write_connections_max: 8, ..DatabaseConfig::default() };
    let scratch = Scratch::with(config).await;
    execute(&mut scratch.connect().await, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let (mut cut, mut acknowledged) = (0, 0);
    for round in 0..300i32 {
        let database = scratch.database.clone();
        let begin = database.begin(TransactionOptions::new("cut", LIMIT));
        // From "before anything was sent" to "after the answer came": a turn of the scheduler is about a
        // microsecond.
        let turns = async {
            for _ in 0..(round % 60) * 8 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = turns => cut += 1,
            begun = begin => drop(begun.unwrap()),
        }
        sqlx::query("INSERT INTO t VALUES ($1)").bind(round).execute(&database.writer()).await.unwrap();
        acknowledged += 1;
    }
    assert!(cut >= 60, "only {cut} begins were cut off, so this run proves little");
    until("no session in a transaction", LIMIT, async || {
        scratch.sessions("state LIKE 'idle in transaction%'").await == 0
    })
    .await;
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut scratch.connect().await).await.unwrap();
    assert_eq!(rows, acknowledged);
    println!("{cut} of 300 begins cut off, {acknowledged} inserts acknowledged, {rows} there");
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_statement_is_gone_from_the_server_within_a_second() {
    let scratch = Scratch::new().await;
    let reader = scratch.database.reader();
    let sleeping = sqlx::query("SELECT pg_sleep(600)").execute(&reader);
    assert!(tokio::time::timeout(Duration::from_millis(100), sleeping).await.is_err());
    let gone = until("the backend ends", Duration::from_secs(1), async || {
        scratch.sessions("query LIKE '%pg_sleep(600)%'").await == 0
    })
    .await;
    println!("gone after {gone:?}");
    assert_eq!(scratch.database.usage().read.open, 0, "the session is not pooled again");
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_transaction_leaves_nothing_running_and_keeps_its_connection() {
    let scratch = Scratch::new().await;
    let transaction = scratch.database.begin(TransactionOptions::new("sleeper", LIMIT)).await.unwrap();
    let (db, pid) = (transaction.db(), transaction.pid());
    let sleeping = sqlx::query("SELECT pg_sleep(600)").execute(&db);
    assert!(tokio::time::timeout(Duration::from_millis(100), sleeping).await.is_err());
    assert_eq!(scratch.sessions("application_name = 'forge sleeper' AND state = 'active'").await, 1);
    let started = Instant::now();
    transaction.abort().await;
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(scratch.sessions("state <> 'idle'").await, 0);
    let again = scratch.database.begin(TransactionOptions::new("next", LIMIT)).await.unwrap();
    assert_eq!(again.pid(), pid, "the connection went back to the pool");
    again.commit().await.unwrap();
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_reaches_a_statement_that_another_task_waits_for() {
    let scratch = Scratch::new().await;
    let transaction = scratch.database.begin(TransactionOptions::new("sleeper", LIMIT)).await.unwrap();
    let db = transaction.db();
    let sleeper =
        tokio::spawn(async move { sqlx::query("SELECT pg_sleep(600)").execute(&db).await.map(drop) });
    until("it sleeps", LIMIT, async || {
        scratch.sessions("query LIKE '%pg_sleep(600)%' AND state = 'active'").await == 1
    })
    .await;
    transaction.abort().await;
    let error = tokio::time::timeout(Duration::from_secs(1), sleeper).await.unwrap().unwrap().unwrap_err();
    assert_eq!(Fault::from(error).code(), Code::Timeout);
    until("no transaction stays", LIMIT, async || scratch.sessions("state <> 'idle'").await == 0).await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_dropped_half_way_gives_its_session_up() {
    let scratch = Scratch::new().await;
    let reader = scratch.database.reader();
    {
        let mut rows = sqlx::query("SELECT * FROM generate_series(1, 1000000)").fetch(&reader);
        assert!(rows.try_next().await.unwrap().is_some());
    }
    until("the backend ends", LIMIT, async || scratch.sessions("query LIKE '%generate_series%'").await == 0)
        .await;
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM generate_series(1, 10)").fetch_one(&reader).await.unwrap();
    assert_eq!(count, 10);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_cannot_write_and_a_failed_statement_does_not_cost_the_session() {
    let scratch = Scratch::new().await;
    execute(&mut scratch.connect().await, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let reader = scratch.database.reader();
    let refused =
        sqlx::query("INSERT INTO t VALUES (1)").execute(&reader).await.map_err(Fault::from).unwrap_err();
    assert_eq!(refused.sqlstate().as_deref(), Some("25006"));
    let pid = |reader| async move {
        sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(reader).await.unwrap()
    };
    let before = pid(&reader).await;
    assert!(sqlx::query("SELECT 1 / 0").execute(&reader).await.is_err());
    assert_eq!(pid(&reader).await, before);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_pool_refuses_in_time_and_does_not_starve_the_control_pool() {
    let config = DatabaseConfig { read_connections_max: 2, ..DatabaseConfig::default() };
    let scratch = Scratch::with(config).await;
    let sleepers: Vec<_> = (0..2)
        .map(|_| {
            let reader = scratch.database.reader();
            tokio::spawn(async move { sqlx::query("SELECT pg_sleep(10)").execute(&reader).await.map(drop) })
        })
        .collect();
    until("both sleep", LIMIT, async || {
        scratch.sessions("query LIKE '%pg_sleep(10)%' AND state = 'active'").await == 2
    })
    .await;
    let started = Instant::now();
    let fault =
        sqlx::query("SELECT 1").execute(&scratch.database.reader()).await.map_err(Fault::from).unwrap_err();
    assert_eq!(fault.code(), Code::Overloaded);
    // The limit is three seconds; a busy machine is late, and never as late as the sleepers.
    assert!((2_900..6_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    let started = Instant::now();
    sqlx::query("SELECT 1").execute(&scratch.database.control()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
    for sleeper in sleepers {
        sleeper.abort();
    }
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_killed_while_it_lay_in_the_pool_is_replaced_unnoticed() {
    let scratch = Scratch::new().await;
    let (reader, database) = (scratch.database.reader(), scratch.database.clone());
    for _ in 0..5 {
        sqlx::query("SELECT $1::int").bind(1).execute(&reader).await.unwrap();
        database.begin(TransactionOptions::new("warm", LIMIT)).await.unwrap().commit().await.unwrap();
        execute(
            &mut scratch.connect().await,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        let number: i32 = sqlx::query_scalar("SELECT $1::int").bind(7).fetch_one(&reader).await.unwrap();
        assert_eq!(number, 7);
        database.begin(TransactionOptions::new("warm", LIMIT)).await.unwrap().commit().await.unwrap();
    }
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_one_caller_does_to_a_session_reaches_the_next() {
    let scratch = Scratch::new().await;
    let reader = scratch.database.reader();
    for sql in [
        "begin",
        "set default_transaction_read_only = off",
        "set local app.tenant = 'a'",
        "listen x",
        "/* */ discard all",
        "prepare p as select 1",
    ] {
        let refused = sqlx::query(sql).execute(&reader).await.unwrap_err();
        assert!(refused.to_string().contains("the statement was not sent: "), "{sql}: {refused}");
        assert!(
            sqlx::raw_sql(sql).fetch_all(&reader).await.is_err()
                && sqlx::query(sql).fetch(&reader).try_next().await.is_err(),
            "{sql}"
        );
    }
    assert!(sqlx::raw_sql("SELECT 1; BEGIN; SELECT 1 / 0").execute(&reader).await.is_err());
    let pid =
        async || sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&reader).await.unwrap();
    let before = pid().await;
    assert!(sqlx::raw_sql("SELECT 1; SELECT 1 / 0; SELECT 2").execute(&reader).await.is_err());
    sqlx::query("SELECT set_config('app.tenant', $1, true)").bind("a").execute(&reader).await.unwrap();
    assert_eq!(pid().await, before, "what leaves nothing behind costs no session");
    let state = "SELECT coalesce(current_setting('app.tenant', true), '') || current_setting('default_transaction_read_only') \
                 || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')";
    let marks = [
        "SELECT set_config('app.tenant', 'a', false)",
        "SELECT set_config('default_transaction_read_only', 'off', 'no'::bool)",
        "SELECT pg_advisory_lock(7)",
        "DO $$ BEGIN SET app.tenant = 'a'; END $$",
    ];
    for sql in marks {
        let before = pid().await;
        sqlx::query(sql).execute(&reader).await.unwrap();
        assert_ne!(pid().await, before, "{sql}");
        until("nothing is left", LIMIT, async || {
            sqlx::query_scalar::<_, String>(state).fetch_one(&reader).await.unwrap() == "on0"
        })
        .await;
    }
    until("no session in a transaction", LIMIT, async || {
        scratch.sessions("state LIKE 'idle in transaction%'").await == 0
    })
    .await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_no_full_pool() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(silent.local_addr().unwrap().port());
    let limit = Duration::from_millis(300);
    let config = DatabaseConfig {
        read_connections_max: 1,
        acquire_timeout: limit,
        connect_timeout: Duration::from_secs(2),
        ..DatabaseConfig::default()
    };
    let database = Database::new(options, config, "test");
    let ask = async || sqlx::query("SELECT 1").execute(&database.reader()).await.map(drop);
    // The second one waits for the first, which waits for the server.
    let (first, second) = tokio::join!(ask(), ask());
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert!(matches!(error, sqlx::Error::Io(_)), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_shrink_to_what_the_server_grants_and_a_node_without_any_is_refused() {
    let scratch = Scratch::new().await;
    let limit = async |connections: i32| {
        let sql = format!("ALTER DATABASE \"{}\" CONNECTION LIMIT {connections}", scratch.name);
        execute(&mut scratch.connect().await, &sql).await;
    };
    let sizes = || (scratch.database.usage().write.max, scratch.database.usage().read.max);
    scratch.database.fit_connections().await.unwrap();
    assert_eq!(sizes(), (16, 16));
    limit(10).await;
    let refused = scratch.database.fit_connections().await;
    assert!(
        matches!(refused, Err(DatabaseError::TooFewConnections { granted: 10, least: 16, .. })),
        "{refused:?}"
    );
    limit(20).await;
    scratch.database.fit_connections().await.unwrap();
    assert_eq!(sizes(), (4, 4));
    // The smaller pool still serves more callers than it has connections.
    let calls = (0..20).map(|_| async {
        let sql = "SELECT pg_sleep(0.01)";
        sqlx::query(sql).execute(&scratch.database.writer()).await.map(drop)
    });
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let limits = scratch.database.connection_limits().await.unwrap();
    let own = ConnectionGrant { scope: LimitScope::Database, granted: 20, nodes: 1 };
    assert_eq!((limits.node, limits.lowest), (50, own), "nodes of other databases do not count");
    limit(-1).await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pool_reports_its_use_and_closes_what_is_unused() {
    let config = DatabaseConfig { connection_idle_max: Duration::from_nanos(1), ..DatabaseConfig::default() };
    let scratch = Scratch::with(config).await;
    let database = &scratch.database;
    database.reserve_lanes(4);
    for pool in [database.writer(), database.reader(), database.live_reader(), database.control()] {
        sqlx::query("SELECT 1").execute(&pool).await.unwrap();
    }
    let open = || {
        let usage = database.usage();
        [usage.write, usage.read, usage.live.expect("this version reports it"), usage.control]
            .map(|pool| pool.open)
    };
    assert_eq!(open(), [1; 4]);
    assert_eq!(database.usage().live.map(|live| live.max), Some(7), "a lane has a connection of its own");
    database.prune();
    assert_eq!(open(), [0; 4]);
    scratch.drop().await;
}

/// A node that another one takes for dead may only have later heartbeats than the other one expects.
#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_a_node_are_ended_only_when_they_are_silent() {
    let scratch = Scratch::new().await;
    let (id, stranger) = (NodeId::new(), NodeId::new());
    let node = Database::of_node(scratch.options(), DatabaseConfig::default(), "late", id);
    let open = node.begin(TransactionOptions::new("held", LIMIT)).await.unwrap();
    let end = async |node, silent_for| scratch.database.end_sessions_of(node, silent_for).await.unwrap();
    assert_eq!(end(id, Duration::from_secs(3_600)).await, 0, "it was at work a moment ago");
    assert_eq!(end(stranger, Duration::ZERO).await, 0);
    assert_eq!(end(id, Duration::ZERO).await, 1);
    until("the transaction is gone", LIMIT, async || {
        scratch.sessions("state LIKE 'idle in transaction%'").await == 0
    })
    .await;
    drop((open, node));
    scratch.drop().await;
}
