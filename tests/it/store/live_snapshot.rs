//! Snapshots of live queries: several transactions read one, and tables are locked before it is taken.

use forge_actors::db::live_snapshot::{LiveSnapshot, RewrittenRelation};
use forge_actors::db::transaction::Transaction;
use forge_actors::kernel::time::{millis, secs};

use super::cluster::{Scratch, execute};

const NEWEST: LiveSnapshot<'static> =
    LiveSnapshot { statement_timeout: secs(5), lock_timeout: millis(100), imported: None, locked: &[] };

async fn count(snapshot: &Transaction) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&snapshot.db()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_read_by_those_who_import_it_also_after_its_end() {
    let scratch = Scratch::new().await;
    let mut writer = scratch.connect().await;
    execute(&mut writer, "CREATE TABLE t (id int)").await;
    let first = scratch.database.live_snapshot(NEWEST).await.unwrap();
    let exported = first.export_snapshot().await.unwrap();
    execute(&mut writer, "INSERT INTO t VALUES (1)").await;
    let imported = LiveSnapshot { imported: Some(&exported), ..NEWEST };
    let second = scratch.database.live_snapshot(imported).await.unwrap();
    first.rollback().await;
    execute(&mut writer, "INSERT INTO t VALUES (2)").await;
    assert_eq!(count(&second).await, 0, "it reads what the first transaction read");
    second.rollback().await;
    // The exporting transaction has ended: the import fails, and leaves no session inside of a transaction.
    for _ in 0..10 {
        assert_eq!(
            scratch.database.live_snapshot(imported).await.unwrap_err().sqlstate().as_deref(),
            Some("22023")
        );
    }
    let newest = scratch.database.live_snapshot(NEWEST).await.unwrap();
    assert_eq!(count(&newest).await, 2);
    newest.rollback().await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_to_be_had_fails_the_snapshot_and_nothing_else() {
    let scratch = Scratch::new().await;
    let mut writer = scratch.connect().await;
    execute(&mut writer, "CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await;
    let locked = [RewrittenRelation { id: 1, table: Some("t".into()) }];
    let snapshot = LiveSnapshot { locked: &locked, ..NEWEST };
    execute(&mut writer, "BEGIN; TRUNCATE t; INSERT INTO t VALUES (1), (2)").await;
    assert_eq!(
        scratch.database.live_snapshot(snapshot).await.unwrap_err().sqlstate().as_deref(),
        Some("55P03")
    );
    // One that waits until the writer has committed sees what it has written.
    let patient = LiveSnapshot { lock_timeout: secs(5), ..snapshot };
    let (waited, ()) = tokio::join!(scratch.database.live_snapshot(patient), async {
        forge_tests::until("the snapshot waits for the lock", secs(20), || async {
            (scratch.sessions("wait_event_type = 'Lock'").await > 0).then_some(())
        })
        .await;
        execute(&mut writer, "COMMIT").await;
    });
    let waited = waited.unwrap();
    assert_eq!(count(&waited).await, 2);
    waited.rollback().await;
    scratch.drop().await;
}
