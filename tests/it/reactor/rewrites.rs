//! Tables that are rewritten while live queries read them: no client sees a state that never was.

use std::sync::atomic::{AtomicBool, Ordering};

use forge_actors::kernel::time::{millis, secs};
use forge_actors::reactor::config::ReactivityConfig;
use serde_json::{Value, json};

use super::queries::Rows;
use super::stage::{PATIENCE, Page, Stage};

const SCHEMA: &str = "CREATE TABLE bell (n int NOT NULL); INSERT INTO bell VALUES (0); \
    CREATE TABLE fence (n int NOT NULL); INSERT INTO fence VALUES (0); \
    CREATE TABLE filled (n int NOT NULL); INSERT INTO filled SELECT generate_series(1, 20); \
    CREATE TABLE parts (n int NOT NULL) PARTITION BY RANGE (n); \
    CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10); \
    CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10) TO (20); \
    INSERT INTO parts SELECT generate_series(0, 19); \
    CREATE MATERIALIZED VIEW totals AS SELECT n FROM filled; \
    SELECT forge_enable_reactivity(t::regclass) FROM unnest('{bell,fence,filled,parts}'::text[]) AS t";

const BELL: u32 = 1;
const COUNT: u32 = 2;
const FENCE: u32 = 3;

/// In the query of the bell the tick waits, and in this time the table is rewritten.
fn unhurried() -> ReactivityConfig {
    ReactivityConfig { slow_after: secs(4), tick_budget: secs(4), ..ReactivityConfig::default() }
}

/// Fails unless `count` is what belongs to the state of the fence: half of the rows while it is odd.
fn is_whole(page: &Page, halved: bool) {
    let (Some(count), Some(fence)) = (page.data(COUNT), page.data(FENCE)) else { return };
    let odd = fence[0]["n"].as_i64().unwrap() % 2 == 1;
    let expected = if halved && odd { 10 } else { 20 };
    assert_eq!(count[0]["count"], json!(expected), "a state that never was: {count} beside fence {fence}");
}

/// Rewrites `table` by `rewrite` while a tick is between its snapshot and the run that reads the table.
async fn rewrite(table: &str, halved: bool, rewrites: &[&str]) {
    let stage = Stage::with(SCHEMA, unhurried()).await;
    let mut page = stage.page();
    page.subscribe(
        BELL,
        Rows { sql: "SELECT n, pg_sleep(CASE WHEN n > 0 THEN 0.3 ELSE 0 END) FROM bell".into() },
    );
    page.until(|page| page.view.contains_key(&BELL)).await;
    page.subscribe(COUNT, Rows { sql: format!("SELECT bell.n, (SELECT count(*) FROM {table}) FROM bell") });
    page.subscribe(FENCE, Rows { sql: "SELECT n FROM fence".into() });
    page.until(|page| page.view.len() == 3).await;
    for (round, rewrite) in (1..).zip(rewrites) {
        stage.write(&format!("UPDATE bell SET n = {round}")).await;
        forge_tests::until("a tick waits in the query of the bell", PATIENCE, || async {
            (stage.scratch.sessions("state = 'active' AND query LIKE '%pg_sleep(CASE%'").await > 0)
                .then_some(())
        })
        .await;
        stage.write(&format!("BEGIN; {rewrite}; UPDATE fence SET n = {round}; COMMIT")).await;
        page.until(|page| {
            is_whole(page, halved);
            page.data(FENCE) == Some(json!([{ "n": round }]))
                && page.data(COUNT).is_some_and(|count| count[0]["n"] == json!(round))
        })
        .await;
        is_whole(&page, halved);
    }
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_truncated_and_filled_again_is_never_empty() {
    let refill = "TRUNCATE filled; INSERT INTO filled SELECT generate_series(1, 20)";
    rewrite("filled", false, &[refill, refill]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_another_type_hides_no_rows() {
    // Postgres changes no column that a view reads.
    let wider = "DROP MATERIALIZED VIEW totals; ALTER TABLE filled ALTER COLUMN n TYPE int8";
    let types = [wider, "ALTER TABLE filled ALTER COLUMN n TYPE int4"];
    rewrite("filled", false, &types).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_attached_and_detached_with_its_transaction() {
    let detach = "ALTER TABLE parts DETACH PARTITION parts_high";
    let attach = "ALTER TABLE parts ATTACH PARTITION parts_high FOR VALUES FROM (10) TO (20)";
    rewrite("parts", true, &[detach, attach]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_takes_the_name_of_another_takes_it_with_its_transaction() {
    let swap = "CREATE TABLE refilled AS SELECT generate_series(1, 20) AS n; DROP MATERIALIZED VIEW IF EXISTS totals; \
        ALTER TABLE filled RENAME TO emptied; DELETE FROM emptied; ALTER TABLE refilled RENAME TO filled";
    rewrite("filled", false, &[swap]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_refreshed_with_its_transaction() {
    let less = "DELETE FROM filled WHERE n > 10; REFRESH MATERIALIZED VIEW totals";
    let more = "INSERT INTO filled SELECT generate_series(11, 20); REFRESH MATERIALIZED VIEW totals";
    rewrite("totals", true, &[less, more]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_advance_while_a_table_is_truncated_all_the_time() {
    let stage = Stage::open(SCHEMA).await;
    let mut page = stage.page();
    page.subscribe(COUNT, Rows { sql: "SELECT count(*) FROM filled".into() });
    page.subscribe(FENCE, Rows { sql: "SELECT n FROM fence".into() });
    page.until(|page| page.view.len() == 2).await;
    let stopped = AtomicBool::new(false);
    let truncating = async {
        while !stopped.load(Ordering::Acquire) {
            let refill = "TRUNCATE filled; INSERT INTO filled SELECT generate_series(1, 20)";
            stage.write(&format!("BEGIN; {refill}; UPDATE fence SET n = n + 1; COMMIT")).await;
        }
    };
    let watching = async {
        for _ in 0..50 {
            page.next().await;
            let count = page.data(COUNT);
            // A lock that lasts for long is an error, and no empty table.
            assert!(
                count.is_none() || count == Some(json!([{ "count": 20 }])),
                "a table that never was: {count:?}"
            );
            assert!(page.data(FENCE).is_some_and(|fence| fence != Value::Null));
        }
        stopped.store(true, Ordering::Release);
    };
    tokio::join!(truncating, watching);
    let last: i32 = stage.value("SELECT n FROM fence").await;
    page.sees(FENCE, json!([{ "n": last }])).await;
    page.sees(COUNT, json!([{ "count": 20 }])).await;
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_holds_up_no_query_of_another_table() {
    let stage = Stage::open(SCHEMA).await;
    let (mut page, mut other) = (stage.page(), stage.page());
    page.subscribe(BELL, Rows { sql: "SELECT n FROM bell".into() });
    page.subscribe(COUNT, Rows { sql: "SELECT bell.n, (SELECT count(*) FROM filled) FROM bell".into() });
    other.subscribe(BELL, Rows { sql: "SELECT n FROM bell".into() });
    page.until(|page| page.view.len() == 2).await;
    other.until(|page| page.view.len() == 1).await;
    let mut locker = stage.scratch.connect().await;
    crate::store::cluster::execute(&mut locker, "BEGIN; LOCK TABLE filled IN ACCESS EXCLUSIVE MODE").await;
    for n in 1..=5 {
        stage.write(&format!("UPDATE bell SET n = {n}")).await;
        other.sees(BELL, json!([{ "n": n }])).await;
    }
    page.until(|page| page.code(COUNT) == Some("UNAVAILABLE")).await;
    stage.write("UPDATE bell SET n = 6").await;
    page.sees(BELL, json!([{ "n": 6 }])).await;
    assert_eq!(page.code(COUNT), Some("UNAVAILABLE"));
    crate::store::cluster::execute(&mut locker, "COMMIT").await;
    page.sees(COUNT, json!([{ "n": 6, "count": 20 }])).await;
    stage.write("UPDATE bell SET n = 7").await;
    page.sees(COUNT, json!([{ "n": 7, "count": 20 }])).await;
    assert_eq!(page.data(BELL), Some(json!([{ "n": 7 }])));
    drop((page, other, locker));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_query_holds_up_no_other_client() {
    let stage =
        Stage::with(SCHEMA, ReactivityConfig { slow_after: millis(50), ..ReactivityConfig::default() }).await;
    let (mut slow, mut fast) = (stage.page(), stage.page());
    slow.subscribe(COUNT, Rows { sql: "SELECT n, pg_sleep(2) FROM bell".into() });
    slow.subscribe(BELL, Rows { sql: "SELECT n FROM bell".into() });
    fast.subscribe(BELL, Rows { sql: "SELECT n FROM bell".into() });
    // The first run holds up nobody, not even its own client.
    slow.until(|page| page.view.contains_key(&BELL)).await;
    slow.until(|page| page.view.len() == 2).await;
    fast.until(|page| page.view.len() == 1).await;
    let executions = stage.reactor.stats().executions;
    let mut seen = 0;
    for n in 1..=10 {
        stage.write(&format!("UPDATE bell SET n = {n}")).await;
        fast.sees(BELL, json!([{ "n": n }])).await;
        seen += 1;
    }
    assert_eq!(seen, 10);
    assert!(stage.reactor.stats().executions >= executions + 10);
    // Its own client has both queries at one snapshot, whatever comes first.
    slow.until(|page| {
        let (count, bell) = (page.data(COUNT).unwrap(), page.data(BELL).unwrap());
        assert_eq!(count[0]["n"], bell[0]["n"], "two snapshots in one view");
        bell == json!([{ "n": 10 }])
    })
    .await;
    drop((slow, fast));
    stage.close().await;
}
