//! A failure of one query or session does not affect other queries, and ends with its cause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use forge_actors::app::Handler;
use forge_actors::kernel::commit::{Receipt, Xid};
use forge_actors::kernel::invocation::{Caller, Invocation};
use forge_actors::reactor::config::ReactivityConfig;
use forge_actors::reactor::{Delivery, Sink, SubscriptionId};
use forge_actors::supervise::ActorState;
use forge_tests::{Disturbance, PostgresProcess};
use serde_json::json;

use super::consistency::ACCOUNTS;
use super::queries::{Counted, Fragile, List, Rows, Slow, Suicidal, Sum, Transfer};
use super::stage::{PATIENCE, Stage};
use crate::store::cluster::{Scratch, execute};

const SWITCH: &str = "CREATE TABLE switch (private bool NOT NULL); INSERT INTO switch VALUES (false); \
    SELECT forge_enable_reactivity('switch'); CREATE TABLE pause (seconds float8 NOT NULL); \
    INSERT INTO pause VALUES (0); SELECT forge_enable_reactivity('pause')";

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_a_result_and_affects_no_other_query() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut page = stage.page();
    page.subscribe(1, Rows { sql: "SELECT 100 / min(balance) AS x FROM accounts".into() });
    page.subscribe(2, List {});
    page.sees(1, json!([{ "x": 1 }])).await;
    stage.write("UPDATE accounts SET balance = 0 WHERE id = 1").await;
    page.until(|page| page.code(1) == Some("INTERNAL")).await;
    assert_eq!(page.data(2).unwrap()[0], json!(0), "the other one advanced in the same delivery");
    stage.write("UPDATE accounts SET balance = 50 WHERE id = 1").await;
    page.sees(1, json!([{ "x": 2 }])).await;
    // A query that fails from the start, and works when its table is created.
    page.subscribe(3, Rows { sql: "SELECT * FROM to_come".into() });
    page.until(|page| page.code(3).is_some()).await;
    stage.write("CREATE TABLE to_come AS SELECT 1 AS x").await;
    page.sees(3, json!([{ "x": 1 }])).await;
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_result_and_a_row_in_the_journal() {
    let stage = Stage::open(SWITCH).await;
    let mut page = stage.page();
    page.subscribe(1, Fragile {});
    page.subscribe(2, Rows { sql: "SELECT private FROM switch".into() });
    page.sees(1, json!("whole")).await;
    stage.write("UPDATE switch SET private = true").await;
    page.until(|page| page.code(1) == Some("INTERNAL")).await;
    assert_eq!(page.data(2), Some(json!([{ "private": true }])));
    let crashes = stage.tree.journal().crashes_since(0).entries;
    assert!(
        crashes.iter().any(|crash| crash.path == "node/functions/queries.fragile"
            && crash.cause.contains("fragile on purpose"))
    );
    stage.write("UPDATE switch SET private = false").await;
    page.sees(1, json!("whole")).await;
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_query_is_cut_and_suspended() {
    let stage = Stage::open(SWITCH).await;
    let mut page = stage.page();
    page.subscribe(1, Slow {});
    page.subscribe(2, Rows { sql: "SELECT seconds FROM pause".into() });
    page.sees(1, json!(1)).await;
    stage.write("UPDATE pause SET seconds = 30").await;
    page.until(|page| page.code(1) == Some("TIMEOUT")).await;
    assert_eq!(page.data(2), Some(json!([{ "seconds": 30 }])), "the snapshot survived the cut");
    // While the query is suspended, other results are delivered at once.
    stage.write("UPDATE pause SET seconds = 0").await;
    page.sees(2, json!([{ "seconds": 0 }])).await;
    assert_eq!(page.code(1), Some("TIMEOUT"));
    page.sees(1, json!(1)).await;
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_session_loses_no_change() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut page = stage.page();
    page.subscribe(1, Sum {});
    page.subscribe(2, List {});
    // Makes every tick long enough to be met by the kill.
    page.subscribe(3, Rows { sql: "SELECT min(balance) AS x, pg_sleep(0.05) FROM accounts".into() });
    page.until(|page| page.view.len() == 3).await;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'forge reactor' AND state <> 'idle'";
    for round in 1..=20 {
        stage.call(Transfer { from: 1, to: 2, amount: 1 }).await;
        forge_tests::until("a session is killed in the middle of a tick", PATIENCE, || async {
            (stage.value::<i64>(kill).await > 0).then_some(())
        })
        .await;
        let expected = 100 - round;
        page.until(|page| page.data(2).unwrap()[0] == json!(expected)).await;
        assert_eq!(page.data(1), Some(json!(2_000)));
    }
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_breaks_its_session_is_suspended() {
    let stage = Stage::open(SWITCH).await;
    let mut page = stage.page();
    page.subscribe(1, Suicidal {});
    page.subscribe(2, Rows { sql: "SELECT private FROM switch".into() });
    page.sees(1, json!(false)).await;
    stage.write("UPDATE switch SET private = true").await;
    page.sees(2, json!([{ "private": true }])).await;
    assert_eq!(page.code(1), Some("INTERNAL"));
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_changes_under_prepared_statements_is_no_fault() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut page = stage.page();
    page.subscribe(1, Rows { sql: "SELECT * FROM accounts WHERE id = 1".into() });
    page.sees(1, json!([{ "id": 1, "balance": 100 }])).await;
    stage.write("ALTER TABLE accounts ADD COLUMN note text DEFAULT 'n'").await;
    let widened = json!([{ "id": 1, "balance": 100, "note": "n" }]);
    page.until(|page| {
        assert_eq!(page.code(1), None, "the client sees the error of a statement that was prepared before");
        page.data(1).as_ref() == Some(&widened)
    })
    .await;
    page.subscribe(2, List {});
    page.until(|page| page.view.contains_key(&2)).await;
    // The handler reads an int8, so another type is an error of the handler, and only of this one.
    stage.write("ALTER TABLE accounts ALTER COLUMN balance TYPE int4").await;
    page.until(|page| page.code(2).is_some()).await;
    assert_eq!((page.code(1), page.code(2)), (None, Some("INTERNAL")));
    stage.write("ALTER TABLE accounts ALTER COLUMN balance TYPE int8").await;
    page.until(|page| page.data(2).is_some()).await;
    assert_eq!(page.data(1), Some(widened));
    drop(page);
    stage.close().await;
}

/// Panics in the first delivery of results, which is in the reactor's own actor.
struct BreaksOnce(AtomicBool);

impl Sink for BreaksOnce {
    fn deliver(&self, delivery: Delivery) {
        let first = matches!(delivery, Delivery::Advanced { .. }) && !self.0.swap(true, Ordering::AcqRel);
        assert!(!first, "broken on purpose");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_of_the_ticker_every_client_subscribes_again() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut pages = [stage.page(), stage.page()];
    for page in &mut pages {
        page.subscribe(1, List {});
        page.until(|page| page.view.contains_key(&1)).await;
    }
    // The pages await a transaction that commits only after the crash.
    let mut writer = stage.scratch.connect().await;
    execute(&mut writer, "BEGIN; UPDATE accounts SET balance = 99 WHERE id = 1").await;
    let sql = "SELECT pg_current_xact_id()::text";
    let xid: String = sqlx::query_scalar(sql).fetch_one(&mut writer).await.unwrap();
    let receipt = Receipt { xid: Some(Xid(xid.parse().unwrap())), ..Receipt::default() };
    pages.iter().for_each(|page| page.await_commit(1, &receipt));
    let path = "node/reactor/ticker";
    let restarts = stage.tree.get(path).unwrap().restarts.get();
    let broken = stage.reactor.attach(Arc::new(BreaksOnce(AtomicBool::new(false))));
    broken
        .subscribe(SubscriptionId(1), Invocation::new(List::META.wire_name(), "{}", Caller::default()), None)
        .unwrap();
    for page in &mut pages {
        page.until(|page| page.resets == 1).await;
        page.subscribe(1, List {});
        page.until(|page| page.data(1).unwrap()[0] == json!(100) && page.deliveries > 2).await;
        assert_eq!(page.applied, [] as [u32; 0], "its effects cannot be seen yet");
    }
    execute(&mut writer, "COMMIT").await;
    for page in &mut pages {
        page.until(|page| page.applied == [1]).await;
        assert_eq!(page.data(1).unwrap()[0], json!(99));
    }
    let info = stage.tree.get(path).unwrap();
    assert_eq!((info.state, info.restarts.get()), (ActorState::Running, restarts + 1));
    let crashes = stage.tree.journal().crashes_since(0).entries;
    assert!(crashes.iter().any(|crash| crash.path == path && crash.cause.contains("broken on purpose")));
    assert_eq!(stage.reactor.stats().subscriptions, 3, "the same subscriptions, counted once");
    drop((pages, broken, writer));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_everything_is_run_again() {
    let postgres = PostgresProcess::start().await;
    let stage =
        Stage::over(Scratch::in_cluster(&postgres.url()).await, ACCOUNTS, ReactivityConfig::default()).await;
    let mut page = stage.page();
    page.subscribe(1, List {});
    page.until(|page| page.view.contains_key(&1)).await;
    let before = page.deliveries;
    postgres.crash();
    postgres.restart().await;
    stage.write("UPDATE accounts SET balance = 1 WHERE id = 1").await;
    page.until(|page| page.data(1).unwrap()[0] == json!(1)).await;
    assert_eq!(page.deliveries, before + 1, "the outage changed no result");
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_reset_loses_no_change() {
    let (scratch, proxy) = Scratch::behind_proxy().await;
    let stage = Stage::over(scratch, ACCOUNTS, ReactivityConfig::default()).await;
    let mut page = stage.page();
    page.subscribe(1, List {});
    page.until(|page| page.view.contains_key(&1)).await;
    proxy.set(Disturbance::Reset);
    forge_tests::until("every session is cut", PATIENCE, || async {
        (stage.scratch.sessions("true").await == 0).then_some(())
    })
    .await;
    proxy.set(Disturbance::None);
    stage.write("UPDATE accounts SET balance = 1 WHERE id = 1").await;
    page.until(|page| page.data(1).unwrap()[0] == json!(1)).await;
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_no_table_is_refreshed_at_intervals() {
    let stage = Stage::open("SELECT 1").await;
    let mut page = stage.page();
    page.subscribe(1, Counted {});
    let (mut last, mut grown) = (None, 0);
    while grown < 5 {
        page.next().await;
        let counted = page.data(1).and_then(|counted| counted.as_u64());
        grown += u32::from(counted > last);
        last = counted;
    }
    drop(page);
    stage.close().await;
}
