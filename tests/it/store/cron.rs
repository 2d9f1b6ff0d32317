//! The statements of the cron subsystem against a real Postgres, where no leader protects them.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::change::migrate;
use super::cluster::{Scratch, execute, until};

const INSERT: &str = include_str!("../../../forge-actors/src/cron/sql/insert_runs.sql");
const EXPIRE: &str = include_str!("../../../forge-actors/src/cron/sql/delete_old_runs.sql");

async fn cron(scratch: &Scratch) -> Uuid {
    let id = Uuid::new_v4();
    let insert = format!(
        "INSERT INTO forge_crons (id, name, source, handler, expression, timezone, overlap, catch_up, jitter_ms, queue, priority, attempts_max, next_at)
         VALUES ('{id}', 'daily', 'code', 'reports.daily', '@daily', 'UTC', 'skip', 1, 0, 'default', 50, 3, now())"
    );
    execute(&mut scratch.connect().await, &insert).await;
    id
}

/// Inserts one run, as the leader of `epoch` does. Returns how many are new.
async fn insert(connection: &mut PgConnection, cron: Uuid, at: &str, epoch: i64) -> usize {
    let time: chrono::DateTime<chrono::Utc> = at.parse().unwrap();
    let rows = sqlx::query(INSERT)
        .bind(vec![cron])
        .bind(vec![time])
        .bind(vec!["dispatched"])
        .bind(vec![None::<String>])
        .bind(vec![1])
        .bind(vec![time])
        .bind(vec![false])
        .bind(epoch)
        .bind(vec![Some(Uuid::new_v4())])
        .fetch_all(connection)
        .await;
    rows.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_by_force_write_one_run() {
    let scratch = Scratch::new().await;
    migrate(&scratch.database).await;
    let cron = cron(&scratch).await;
    let (mut first, mut second) = (scratch.connect().await, scratch.connect().await);
    let mut open = first.begin().await.unwrap();
    assert_eq!(insert(&mut open, cron, "2026-11-01T00:00:00Z", 1).await, 1);
    let waiting = tokio::spawn(async move { insert(&mut second, cron, "2026-11-01T00:00:00Z", 2).await });
    until("the second leader waits for the first", std::time::Duration::from_secs(30), || async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'";
        let count: i64 = sqlx::query_scalar(waiting).fetch_one(&mut scratch.connect().await).await.unwrap();
        count > 0
    })
    .await;
    open.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), 0, "it gets no run, and so inserts no job");
    assert_eq!(insert(&mut first, cron, "2026-11-01T00:00:00Z", 2).await, 0);
    assert_eq!(insert(&mut first, cron, "2026-11-02T00:00:00Z", 2).await, 1);
    let epochs: Vec<i64> = sqlx::query_scalar("SELECT epoch FROM forge_cron_runs ORDER BY scheduled_at")
        .fetch_all(&mut first)
        .await
        .unwrap();
    assert_eq!(epochs, [1, 2]);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_runs_are_deleted_and_open_ones_are_kept() {
    let scratch = Scratch::new().await;
    migrate(&scratch.database).await;
    let cron = cron(&scratch).await;
    let mut connection = scratch.connect().await;
    for day in 1..=4 {
        insert(&mut connection, cron, &format!("2026-11-0{day}T00:00:00Z"), 1).await;
    }
    let ended = "UPDATE forge_cron_runs SET status = 'completed', finished_at = now() WHERE scheduled_at > '2026-11-01'";
    execute(&mut connection, ended).await;
    let old =
        "UPDATE forge_cron_runs SET created_at = now() - interval '8 days' WHERE scheduled_at < '2026-11-04'";
    execute(&mut connection, old).await;
    let expire = async |connection: &mut PgConnection, limit: i64| {
        let expire = sqlx::query(EXPIRE).bind(7.0 * 86_400.0).bind(limit);
        expire.execute(connection).await.unwrap().rows_affected()
    };
    assert_eq!(expire(&mut connection, 1).await, 1, "in batches");
    assert_eq!(expire(&mut connection, 100).await, 1);
    let left: Vec<String> = sqlx::query_scalar(
        "SELECT to_char(scheduled_at AT TIME ZONE 'UTC', 'DD') FROM forge_cron_runs ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(left, ["01", "04"], "the one that is not finished, and the one that is young");
    scratch.drop().await;
}
