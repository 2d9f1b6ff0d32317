//! Equal subscriptions share one execution, and unchanged results are not delivered.

use std::sync::atomic::Ordering;
use std::time::Duration;

use forge_actors::dashboard::overview::Overview;
use forge_actors::kernel::invocation::Invocation;
use forge_actors::reactor::SystemStats;
use forge_actors::reactor::config::ReactivityConfig;
use serde_json::json;

use super::consistency::ACCOUNTS;
use super::queries::{COUNTED, Counted, CountedByName, List, Moods, Rows, Sum, Transfer};
use super::stage::{PATIENCE, Stage, caller};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_equal_subscriptions_are_one_execution_a_change() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut pages: Vec<_> = (0..1_000).map(|_| stage.page()).collect();
    for page in &pages {
        page.subscribe(1, List {});
    }
    for page in &mut pages {
        page.until(|page| page.view.contains_key(&1)).await;
    }
    let stats = stage.reactor.stats();
    assert_eq!((stats.clients, stats.subscriptions, stats.groups), (1_000, 1_000, 1));
    let before = stage.reactor.stats().executions;
    for amount in 1..=5 {
        stage.call(Transfer { from: 1, to: 2, amount }).await;
        let expected = stage.call(List {}).await;
        let executions = stage.reactor.stats().executions;
        for page in &mut pages {
            page.sees(1, expected.clone()).await;
        }
        assert!(stage.reactor.stats().executions <= executions + 1);
    }
    assert_eq!(stage.reactor.stats().executions - before, 5, "one execution for each change");
    drop(pages);
    forge_tests::until("the groups are freed", PATIENCE, || async {
        let stats = stage.reactor.stats();
        ((stats.clients, stats.subscriptions, stats.groups) == (0, 0, 0)).then_some(())
    })
    .await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queries_of_a_dashboard_are_counted_apart() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut dashboard = stage.page_of(caller("root", &["admin"]));
    dashboard.subscribe(1, Overview {});
    dashboard.until(|page| page.data(1).is_some()).await;
    let stats = stage.reactor.stats();
    assert_eq!(stats.system, SystemStats { clients: 1, subscriptions: 1, groups: 1 });
    assert_eq!((stats.application_ticks, stats.lag_age), (0, None));

    let mut page = stage.page();
    page.subscribe(1, List {});
    page.until(|page| page.view.contains_key(&1)).await;
    let stats = stage.reactor.stats();
    assert_eq!((stats.clients, stats.subscriptions, stats.groups), (2, 2, 2));
    assert_eq!(stats.system, SystemStats { clients: 1, subscriptions: 1, groups: 1 });
    assert_eq!(stats.application_ticks, 1);

    dashboard.subscribe(2, Sum {});
    let system = stage.reactor.stats().system;
    assert_eq!((system.clients, system.subscriptions), (0, 1), "a client of both is one of the application");
    drop(dashboard);
    forge_tests::until("the groups are freed", PATIENCE, || async {
        (stage.reactor.stats().system == SystemStats::default()).then_some(())
    })
    .await;

    let calls = stage.functions.counts().calls;
    let own = Invocation::new("forge.overview", "{}", caller("root", &["admin"]));
    stage.functions.submit(own).await.0.expect("an overview");
    assert_eq!(stage.functions.counts().calls, calls, "a call of the dashboard is none of the application's");
    stage.call(List {}).await;
    assert_eq!(stage.functions.counts().calls, calls + 1);
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_result_is_not_delivered() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut page = stage.page();
    page.subscribe(1, Sum {});
    page.subscribe(2, List {});
    page.until(|page| page.view.len() == 2).await;
    let (sum, before) = (page.view[&1].version, page.deliveries);
    stage.call(Transfer { from: 1, to: 2, amount: 5 }).await;
    page.next().await;
    assert_eq!((page.view[&1].version, page.deliveries), (sum, before + 1));
    assert_eq!(page.data(2).unwrap()[0], json!(95));
    // Another table's change runs nothing.
    stage.write("CREATE TABLE aside (id int); SELECT forge_enable_reactivity('aside')").await;
    page.subscribe(3, Rows { sql: "SELECT count(*) FROM aside".into() });
    page.sees(3, json!([{ "count": 0 }])).await;
    let executions = stage.reactor.stats().executions;
    stage.write("INSERT INTO aside VALUES (1)").await;
    page.sees(3, json!([{ "count": 1 }])).await;
    assert_eq!(stage.reactor.stats().executions, executions + 1);
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_in_another_order_is_the_same_result() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut page = stage.page();
    page.subscribe(1, CountedByName {});
    page.subscribe(2, List {});
    page.until(|page| page.view.len() == 2).await;
    let (version, before) = (page.view[&1].version, stage.reactor.stats().executions);
    stage.call(Transfer { from: 1, to: 2, amount: 5 }).await;
    let balances = stage.call(List {}).await;
    page.sees(2, balances).await;
    assert!(stage.reactor.stats().executions >= before + 2, "both were run again");
    assert_eq!(page.view[&1].version, version);
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_mean_the_same_are_the_same() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut page = stage.page();
    for (id, args) in [
        (1, r#"{"sql":"SELECT 1 AS x"}"#),
        (2, r#" { "sql" : "SELECT 1 AS x" } "#),
        (3, r#"{"sql":"SELECT 2 AS x"}"#),
    ] {
        let invocation =
            forge_actors::kernel::invocation::Invocation::new("queries.rows", args, page.caller.clone());
        page.client.subscribe(forge_actors::reactor::SubscriptionId(id), invocation, None).unwrap();
    }
    page.until(|page| page.view.len() == 3).await;
    assert_eq!(stage.reactor.stats().groups, 2);
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_driver_looks_up_is_not_what_the_query_reads() {
    let script = "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TYPE pair AS (left_one mood, right_one \
        mood); \
        CREATE TABLE moods (mood mood NOT NULL, pair pair NOT NULL, span int8range NOT NULL); \
        INSERT INTO moods VALUES ('good', ('good', 'bad'), '[1,2)'); SELECT forge_enable_reactivity('moods')";
    let config =
        ReactivityConfig { uncaptured_refresh: Duration::from_millis(50), ..ReactivityConfig::default() };
    let stage = Stage::with(script, config).await;
    let mut page = stage.page();
    page.subscribe(1, Moods {});
    page.sees(1, json!(1)).await;
    page.subscribe(2, Counted {});
    let first = COUNTED.load(Ordering::Relaxed);
    page.until(|page| {
        page.data(2).and_then(|counted| counted.as_u64()).is_some_and(|counted| counted >= first + 5)
    })
    .await;
    // One of those may not be counted yet; moods alone would have run eight times.
    let executions = stage.reactor.stats().executions;
    let runs_of_counted = COUNTED.load(Ordering::Relaxed) - first;
    assert!(
        executions <= runs_of_counted + 2,
        "{executions} runs, {runs_of_counted} of them counted: moods ran again and again"
    );
    drop(page);
    stage.close().await;
}
