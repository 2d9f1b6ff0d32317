//! Transactions and the frames in them: what is kept, what is undone, and what a broken commit is called.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use forge_actors::db::database::Database;
use forge_actors::db::handle::Db;
use forge_actors::db::transaction::{Isolation, Transaction, TransactionOptions};
use forge_actors::kernel::commit::{Receipt, TableId};
use forge_actors::kernel::fault::{Code, Fault};
use futures::TryStreamExt;

use super::cluster::{Scratch, execute, until};
use super::proxy::{OnCommit, Proxy};

const LIMIT: Duration = Duration::from_secs(5);

async fn scratch_with_table() -> Scratch {
    let scratch = Scratch::new().await;
    execute(&mut scratch.connect().await, "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
        .await;
    scratch
}

async fn begin(database: &Database) -> Transaction {
    database.begin(TransactionOptions::new("test", LIMIT)).await.unwrap()
}

async fn insert(db: &Db, id: i32) -> Result<(), Fault> {
    sqlx::query("INSERT INTO t VALUES ($1)").bind(id).execute(db).await?;
    Ok(())
}

async fn ids(db: &Db) -> Vec<i32> {
    sqlx::query_scalar("SELECT id FROM t ORDER BY id").fetch_all(db).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_keeps_and_everything_else_undoes() {
    let scratch = scratch_with_table().await;
    let database = &scratch.database;
    let transaction = begin(database).await;
    insert(&transaction.db(), 1).await.unwrap();
    transaction.commit().await.unwrap();
    let transaction = begin(database).await;
    insert(&transaction.db(), 2).await.unwrap();
    transaction.rollback().await;
    let transaction = begin(database).await;
    insert(&transaction.db(), 3).await.unwrap();
    drop(transaction);
    assert_eq!(ids(&database.reader()).await, [1]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_settings_hold_inside_and_are_gone_outside() {
    let scratch = scratch_with_table().await;
    let show = "SELECT current_setting('transaction_isolation') || ' ' || current_setting('statement_timeout') || ' ' || current_setting('application_name')";
    let options = TransactionOptions {
        isolation: Isolation::Serializable,
        ..TransactionOptions::new("tasks.create", LIMIT)
    };
    let transaction = scratch.database.begin(options).await.unwrap();
    let inside: String = sqlx::query_scalar(show).fetch_one(&transaction.db()).await.unwrap();
    assert_eq!(inside, "serializable 5s forge tasks.create");
    transaction.commit().await.unwrap();
    let outside: String = sqlx::query_scalar(show).fetch_one(&scratch.database.writer()).await.unwrap();
    assert_eq!(outside, "read committed 10min forge test write");
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nested_frame_is_kept_undone_or_undone_when_forgotten() {
    let scratch = scratch_with_table().await;
    let transaction = begin(&scratch.database).await;
    let db = transaction.db();
    insert(&db, 1).await.unwrap();
    let kept = db.nested(false).await.unwrap();
    insert(&kept.db(), 2).await.unwrap();
    kept.release().await.unwrap();
    let undone = db.nested(false).await.unwrap();
    insert(&undone.db(), 3).await.unwrap();
    undone.rollback().await.unwrap();
    let forgotten = db.nested(false).await.unwrap();
    let deeper = forgotten.db().nested(false).await.unwrap();
    insert(&deeper.db(), 4).await.unwrap();
    drop(deeper);
    insert(&forgotten.db(), 5).await.unwrap();
    drop(forgotten);
    insert(&db, 6).await.unwrap();
    let last = db.nested(false).await.unwrap();
    insert(&last.db(), 7).await.unwrap();
    assert!(insert(&last.db(), 7).await.is_err());
    let orphan = last.db().nested(false).await;
    assert!(orphan.is_err(), "nothing can be opened where a statement failed");
    drop(last);
    transaction.commit().await.unwrap();
    assert_eq!(ids(&scratch.database.reader()).await, [1, 2, 6]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_inside_a_frame_spares_the_transaction() {
    let scratch = scratch_with_table().await;
    let transaction = begin(&scratch.database).await;
    let db = transaction.db();
    insert(&db, 1).await.unwrap();
    let failing = db.nested(false).await.unwrap();
    assert_eq!(insert(&failing.db(), 1).await.unwrap_err().code(), Code::Conflict);
    failing.rollback().await.unwrap();
    let ignoring = db.nested(false).await.unwrap();
    insert(&ignoring.db(), 2).await.unwrap();
    assert!(insert(&ignoring.db(), 1).await.is_err());
    assert_eq!(
        ignoring.release().await.unwrap_err().code(),
        Code::Internal,
        "a swallowed failure is reported"
    );
    insert(&db, 3).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(ids(&scratch.database.reader()).await, [1, 3]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swallowed_failure_is_no_silent_rollback() {
    let scratch = scratch_with_table().await;
    let transaction = begin(&scratch.database).await;
    insert(&transaction.db(), 1).await.unwrap();
    assert!(insert(&transaction.db(), 1).await.is_err());
    assert_eq!(transaction.commit().await.unwrap_err().code(), Code::Internal);
    assert_eq!(ids(&scratch.database.reader()).await, [0; 0]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_frame_refuses_writes_and_gives_the_right_to_write_back() {
    let scratch = scratch_with_table().await;
    let transaction = begin(&scratch.database).await;
    let db = transaction.db();
    for (id, finish) in [(1, true), (2, false)] {
        insert(&db, id).await.unwrap();
        let reading = db.nested(true).await.unwrap();
        assert!(ids(&reading.db()).await.contains(&id), "a frame sees what its transaction wrote");
        if !finish {
            assert_eq!(insert(&reading.db(), 9).await.unwrap_err().sqlstate().as_deref(), Some("25006"));
            reading.rollback().await.unwrap();
        } else {
            reading.release().await.unwrap();
        }
    }
    let reading = db.nested(true).await.unwrap();
    let deeper = reading.db().nested(false).await.unwrap();
    assert_eq!(
        insert(&deeper.db(), 9).await.unwrap_err().sqlstate().as_deref(),
        Some("25006"),
        "a frame in a read-only one cannot write"
    );
    drop(deeper);
    drop(reading);
    insert(&db, 3).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(ids(&scratch.database.reader()).await, [1, 2, 3]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joined_frames_take_turns() {
    let scratch = scratch_with_table().await;
    let transaction = begin(&scratch.database).await;
    let db = transaction.db();
    let call = async |first: i32, keep: bool| {
        let frame = db.nested(false).await.unwrap();
        for id in first..first + 5 {
            insert(&frame.db(), id).await.unwrap();
            tokio::task::yield_now().await;
        }
        if keep { frame.release().await.unwrap() } else { frame.rollback().await.unwrap() }
    };
    tokio::join!(call(10, true), call(20, false), call(30, true), async { insert(&db, 1).await.unwrap() });
    transaction.commit().await.unwrap();
    assert_eq!(ids(&scratch.database.reader()).await, [1, 10, 11, 12, 13, 14, 30, 31, 32, 33, 34]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_inside_a_row_loop_does_not_wait_for_itself() {
    let scratch = scratch_with_table().await;
    let transaction = begin(&scratch.database).await;
    let db = transaction.db();
    let mut rows = sqlx::query_scalar::<_, i32>("SELECT * FROM generate_series(1, 3)").fetch(&db);
    while let Some(id) = rows.try_next().await.unwrap() {
        tokio::time::timeout(LIMIT, insert(&db, id)).await.unwrap().unwrap();
    }
    drop(rows);
    transaction.commit().await.unwrap();
    assert_eq!(ids(&scratch.database.reader()).await, [1, 2, 3]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_cut_off_inside_a_transaction_forbids_its_commit() {
    let scratch = scratch_with_table().await;
    let transaction = begin(&scratch.database).await;
    let db = transaction.db();
    insert(&db, 1).await.unwrap();
    let slow = sqlx::query("SELECT pg_sleep(30)").execute(&db);
    tokio::select! {
        _ = slow => panic!("the statement takes half a minute"),
        _ = until("the statement runs", LIMIT, async || {
            scratch.sessions("query LIKE '%pg_sleep(30)%' AND state = 'active'").await > 0
        }) => {}
    }
    assert!(insert(&db, 2).await.is_err());
    assert_eq!(transaction.commit().await.unwrap_err().code(), Code::Internal);
    assert_eq!(ids(&scratch.database.reader()).await, [0; 0]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_that_outlives_its_transaction_is_refused() {
    let scratch = scratch_with_table().await;
    let transaction = begin(&scratch.database).await;
    let db = transaction.db();
    let frame = db.nested(false).await.unwrap();
    let inner = frame.db();
    frame.release().await.unwrap();
    assert!(insert(&inner, 1).await.is_err());
    transaction.commit().await.unwrap();
    assert!(insert(&db, 2).await.is_err());
    assert_eq!(ids(&scratch.database.reader()).await, [0; 0]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serialization_failure_is_reported_as_one() {
    let scratch = scratch_with_table().await;
    execute(&mut scratch.connect().await, "INSERT INTO t VALUES (1), (2)").await;
    let options =
        TransactionOptions { isolation: Isolation::Serializable, ..TransactionOptions::new("race", LIMIT) };
    let first = scratch.database.begin(options).await.unwrap();
    let second = scratch.database.begin(options).await.unwrap();
    for (transaction, id) in [(&first, 1), (&second, 2)] {
        let sum: i64 = sqlx::query_scalar("SELECT sum(n) FROM t").fetch_one(&transaction.db()).await.unwrap();
        assert_eq!(sum, 0);
        sqlx::query("UPDATE t SET n = 1 WHERE id = $1").bind(id).execute(&transaction.db()).await.unwrap();
    }
    first.commit().await.unwrap();
    let lost = second.commit().await.unwrap_err();
    assert_eq!((lost.code(), lost.sqlstate().as_deref()), (Code::Conflict, Some("40001")));
    assert_eq!(scratch.sessions("state LIKE 'idle in%'").await, 0);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_constraint_that_fails_at_commit_is_a_plain_refusal() {
    let scratch = scratch_with_table().await;
    execute(
        &mut scratch.connect().await,
        "CREATE TABLE c (id int REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    let transaction = begin(&scratch.database).await;
    sqlx::query("INSERT INTO c VALUES (9)").execute(&transaction.db()).await.unwrap();
    let refused = transaction.commit().await.unwrap_err();
    assert_eq!(refused.sqlstate().as_deref(), Some("23503"));
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_does_not_move() {
    let scratch = scratch_with_table().await;
    let snapshot = scratch.database.snapshot("list", LIMIT).await.unwrap();
    assert_eq!(ids(&snapshot.db()).await, [0; 0]);
    execute(&mut scratch.connect().await, "INSERT INTO t VALUES (1)").await;
    assert_eq!(ids(&snapshot.db()).await, [0; 0]);
    assert!(insert(&snapshot.db(), 2).await.is_err());
    snapshot.rollback().await;
    assert_eq!(ids(&scratch.database.reader()).await, [1]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_neither_done_nor_failed() {
    let scratch = scratch_with_table().await;
    for (forward, expected) in [(true, vec![1]), (false, vec![1])] {
        let proxy =
            Proxy::start(&scratch, if forward { OnCommit::SwallowAnswer } else { OnCommit::Cut }).await;
        let transaction = begin(&proxy.database).await;
        insert(&transaction.db(), if forward { 1 } else { 2 }).await.unwrap();
        assert_eq!(transaction.commit().await.unwrap_err().code(), Code::OutcomeUnknown);
        assert_eq!(ids(&scratch.database.reader()).await, expected);
    }
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_before_commit_commits_nothing_and_says_so() {
    let scratch = scratch_with_table().await;
    let transaction = begin(&scratch.database).await;
    insert(&transaction.db(), 1).await.unwrap();
    execute(&mut scratch.connect().await, &format!("SELECT pg_terminate_backend({})", transaction.pid()))
        .await;
    let broken = insert(&transaction.db(), 2).await.unwrap_err();
    assert_eq!(broken.code(), Code::Unavailable);
    let later = insert(&transaction.db(), 3).await.unwrap_err();
    assert_eq!(later.code(), Code::Unavailable, "no fault of its handler: {later:?}");
    assert_eq!(transaction.commit().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(ids(&scratch.database.reader()).await, [0; 0]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_ends_with_the_frame_around_it() {
    let scratch = scratch_with_table().await;
    let transaction = begin(&scratch.database).await;
    let db = transaction.db();
    let outer = db.nested(false).await.unwrap();
    let inner = outer.db().nested(false).await.unwrap();
    drop(outer);
    insert(&db, 1).await.unwrap();
    assert!(insert(&inner.db(), 2).await.is_err());
    drop(inner);
    transaction.commit().await.unwrap();
    assert_eq!(ids(&scratch.database.reader()).await, [1]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn round_trips_are_what_they_must_be() {
    let scratch = scratch_with_table().await;
    let proxy = Proxy::start(&scratch, OnCommit::Forward).await;
    let database = &proxy.database;
    let count = async |what: &str, expected: u32| {
        // The first round opens the connection and prepares the statements.
        for warm in [false, true] {
            let before = proxy.requests.load(Ordering::Relaxed);
            for _ in 0..20 {
                match what {
                    "read" => drop(
                        sqlx::query("SELECT id FROM t WHERE id = $1")
                            .bind(1)
                            .fetch_optional(&database.reader())
                            .await
                            .unwrap(),
                    ),
                    _ => {
                        let transaction = begin(database).await;
                        sqlx::query("UPDATE t SET n = n + 1 WHERE id = $1")
                            .bind(1)
                            .execute(&transaction.db())
                            .await
                            .unwrap();
                        if what == "nested read" {
                            let frame = transaction.db().nested(true).await.unwrap();
                            sqlx::query("SELECT id FROM t WHERE id = $1")
                                .bind(1)
                                .fetch_optional(&frame.db())
                                .await
                                .unwrap();
                            frame.release().await.unwrap();
                        }
                        transaction.commit().await.unwrap();
                    }
                }
            }
            if warm {
                assert_eq!(proxy.requests.load(Ordering::Relaxed) - before, 20 * expected, "{what}");
            }
        }
    };
    count("read", 1).await;
    count("write", 3).await;
    count("nested read", 6).await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_ends_its_transaction_by_hand_is_refused_and_stores_nothing() {
    let scratch = scratch_with_table().await;
    for (round, sql) in
        ["rollback", "commit", "/* */ END", "begin", "savepoint a", "SET TRANSACTION READ ONLY"]
            .into_iter()
            .enumerate()
    {
        let transaction = begin(&scratch.database).await;
        let (db, pid) = (transaction.db(), transaction.pid());
        let id = i32::try_from(round).unwrap();
        insert(&db, id).await.unwrap();
        let refused = sqlx::query(sql).execute(&db).await.unwrap_err().to_string();
        assert!(refused.contains("the statement was not sent: ") && refused.len() > 80, "{refused}");
        // Code that goes on regardless believes something about its transaction that is not so.
        insert(&db, id + 100).await.unwrap();
        assert!(db.nested(false).await.is_err());
        let fault = transaction.commit().await.unwrap_err();
        assert_eq!(fault.code(), Code::Internal, "{sql}");
        let next = begin(&scratch.database).await;
        assert_eq!(next.pid(), pid, "the session is as good as new");
        next.rollback().await;
    }
    let transaction = begin(&scratch.database).await;
    insert(&transaction.db(), 1_000).await.unwrap();
    let nested = transaction.db().nested(false).await.unwrap();
    insert(&nested.db(), 1_001).await.unwrap();
    assert!(sqlx::raw_sql("INSERT INTO t VALUES (1002); COMMIT").execute(&nested.db()).await.is_err());
    assert!(nested.release().await.is_err(), "only the nested call fails");
    transaction.commit().await.unwrap();
    assert_eq!(ids(&scratch.database.reader()).await, [1_000]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_leftovers_of_a_transaction_end_with_it() {
    let scratch = scratch_with_table().await;
    let pid_after = async |sql: &'static str| {
        let transaction = begin(&scratch.database).await;
        let pid = transaction.pid();
        sqlx::raw_sql(sql).execute(&transaction.db()).await.unwrap();
        transaction.commit().await.unwrap();
        let next = begin(&scratch.database).await;
        let state: String = sqlx::query_scalar("SELECT coalesce(current_setting('app.tenant', true), '')")
            .fetch_one(&next.db())
            .await
            .unwrap();
        assert_eq!(state, "", "{sql}");
        let same = next.pid() == pid;
        next.rollback().await;
        same
    };
    assert!(pid_after("SET LOCAL app.tenant = 'a'").await);
    assert!(pid_after("SELECT set_config('app.tenant', 'a', true)").await);
    assert!(pid_after("CREATE TEMP TABLE x (id int) ON COMMIT DROP").await);
    assert!(!pid_after("SELECT set_config('app.tenant', 'a', false)").await);
    assert!(!pid_after("CREATE TEMP TABLE x (id int)").await);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commit_is_one_that_only_an_intact_transaction_passes() {
    let scratch = scratch_with_table().await;
    let mut connection = scratch.connect().await;
    let commit = "SAVEPOINT forge_end; COMMIT";
    let sqlstate =
        |outcome: sqlx::Result<sqlx::postgres::PgQueryResult>| Fault::from(outcome.unwrap_err()).sqlstate();
    let outside = sqlx::raw_sql(commit).execute(&mut connection).await;
    assert_eq!(sqlstate(outside).as_deref(), Some("25P01"), "a bare COMMIT only warns here");
    assert!(
        sqlx::raw_sql("BEGIN; INSERT INTO t VALUES (1); SELECT 1 / 0")
            .execute(&mut connection)
            .await
            .is_err()
    );
    let failed = sqlx::raw_sql(commit).execute(&mut connection).await;
    assert_eq!(sqlstate(failed).as_deref(), Some("25P02"), "a bare COMMIT rolls back here and looks well");
    sqlx::raw_sql("ROLLBACK; BEGIN; INSERT INTO t VALUES (2)").execute(&mut connection).await.unwrap();
    sqlx::raw_sql(commit).execute(&mut connection).await.unwrap();
    assert_eq!(ids(&scratch.database.reader()).await, [2]);
    drop(connection);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_says_what_was_written() {
    let scratch = scratch_with_table().await;
    let database = &scratch.database;
    let transaction = begin(database).await;
    assert!(ids(&transaction.db()).await.is_empty());
    assert_eq!(
        transaction.commit().await.unwrap(),
        Receipt::default(),
        "a transaction that wrote nothing has no id"
    );
    let transaction = begin(database).await;
    insert(&transaction.db(), 1).await.unwrap();
    sqlx::query("SELECT set_config('forge.changed', '7,12', true)").execute(&transaction.db()).await.unwrap();
    let own: String =
        sqlx::query_scalar("SELECT pg_current_xact_id()::text").fetch_one(&transaction.db()).await.unwrap();
    let receipt = transaction.commit().await.unwrap();
    assert_eq!(receipt.xid.map(|xid| xid.to_string()), Some(own));
    assert_eq!(receipt.tables, BTreeSet::from([TableId(7), TableId(12)]));
}
