//! The limits of live queries, and how subscriptions beyond them are refused.

use std::sync::Arc;

use forge_actors::app::Handler;
use forge_actors::change::HintHub;
use forge_actors::dashboard::overview::Overview;
use forge_actors::kernel::invocation::{Caller, Invocation};
use forge_actors::reactor::config::ReactivityConfig;
use forge_actors::reactor::{Delivery, Reactor, ReactorDeps, Sink, SubscriptionId};
use serde_json::json;

use super::consistency::ACCOUNTS;
use super::queries::{Idle, List, Long, Rows, Sum};
use super::stage::{PATIENCE, Stage, caller};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_subscribed_to_is_refused_at_once() {
    let stage = Stage::open(ACCOUNTS).await;
    let page = stage.page();
    let refused = |name: &str, args: String| {
        let invocation = Invocation::new(name, args, page.caller.clone());
        page.client.subscribe(SubscriptionId(1), invocation, None).unwrap_err().code().name()
    };
    assert_eq!(refused("queries.no_such", "{}".into()), "NOT_FOUND");
    assert_eq!(refused("queries.rows", "{}".into()), "VALIDATION");
    assert_eq!(refused("queries.rows", r#"{"sql":"x","more":1}"#.into()), "VALIDATION");
    assert_eq!(refused("queries.rows", "[".into()), "BAD_REQUEST");
    assert_eq!(
        refused("queries.rows", format!(r#"{{"sql":"{}"}}"#, "x".repeat(2 << 20))),
        "PAYLOAD_TOO_LARGE"
    );
    assert_eq!(refused(&Idle::META.wire_name(), "{}".into()), "VALIDATION");
    assert_eq!(stage.reactor.stats().subscriptions, 0);
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_subscription_too_many_is_refused() {
    let config =
        ReactivityConfig { client_subscriptions_max: 2, subscriptions_max: 3, ..ReactivityConfig::default() };
    let stage = Stage::with(ACCOUNTS, config).await;
    let (first, second) = (stage.page(), stage.page());
    let code = |refused: Result<(), forge_actors::kernel::fault::Fault>| refused.unwrap_err().code().name();
    first.subscribe(1, List {});
    first.subscribe(2, Sum {});
    assert_eq!(code(first.try_subscribe(3, List {})), "OVERLOADED");
    first.subscribe(2, List {});
    second.subscribe(1, List {});
    assert_eq!(code(second.try_subscribe(2, Sum {})), "OVERLOADED");
    first.client.unsubscribe(SubscriptionId(1));
    first.client.unsubscribe(SubscriptionId(1));
    second.subscribe(2, Sum {});
    assert_eq!(stage.reactor.stats().subscriptions, 3);
    drop(first);
    assert_eq!(stage.reactor.stats().subscriptions, 2);
    drop(second);
    assert_eq!(stage.reactor.stats().subscriptions, 0);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_group_too_many_is_refused() {
    let config = ReactivityConfig { groups_max: 2, ..ReactivityConfig::default() };
    let stage = Stage::with(ACCOUNTS, config).await;
    let mut page = stage.page();
    page.subscribe(1, List {});
    page.subscribe(2, Sum {});
    page.until(|page| page.view.len() == 2).await;
    let query = || Rows { sql: "SELECT 1 AS x".into() };
    assert_eq!(page.try_subscribe(3, query()).unwrap_err().code().name(), "OVERLOADED");
    page.client.unsubscribe(SubscriptionId(1));
    forge_tests::until("the group is freed", PATIENCE, || async {
        (stage.reactor.stats().groups == 1).then_some(())
    })
    .await;
    page.subscribe(3, query());
    page.sees(3, json!([{ "x": 1 }])).await;
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_a_result_is_an_error() {
    let config = ReactivityConfig { result_bytes_max: 1_000, ..ReactivityConfig::default() };
    let stage = Stage::with(ACCOUNTS, config).await;
    let mut page = stage.page();
    page.subscribe(1, Long { bytes: 998 });
    page.subscribe(2, Long { bytes: 999 });
    page.until(|page| page.view.len() == 2).await;
    assert!(page.data(1).is_some());
    assert_eq!(page.code(2), Some("PAYLOAD_TOO_LARGE"));
    let details = page.view[&2].outcome.as_ref().err().and_then(|fault| fault.details());
    assert!(details.is_some_and(|details| details["bytesMax"] == 1_000), "{details:?}");
    drop(page);
    stage.close().await;
}

/// A client may have a quarter of the memory for results, less an eighth of that: 87,500 bytes.
async fn stage_with_little_memory() -> Stage {
    let config = ReactivityConfig { results_bytes_max: 400_000, ..ReactivityConfig::default() };
    Stage::with(ACCOUNTS, config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_without_memory_is_an_error_until_some_is_free() {
    let stage = stage_with_little_memory().await;
    let (mut page, mut other) = (stage.page(), stage.page_of(caller("ana", &[])));
    page.subscribe(1, Long { bytes: 40_001 });
    page.subscribe(2, Long { bytes: 40_002 });
    page.until(|page| page.view.len() == 2).await;
    page.subscribe(3, Long { bytes: 40_003 });
    page.until(|page| page.view.len() == 3).await;
    assert_eq!(page.code(3), Some("OVERLOADED"));
    other.subscribe(1, Long { bytes: 40_004 });
    other.until(|other| other.view.len() == 1).await;
    assert!(other.data(1).is_some(), "another client has a part of its own");
    // A subscriber with memory of its own left pays for the same query, and everyone has its result.
    let mut third = stage.page_of(caller("bo", &[]));
    third.subscribe(1, Long { bytes: 40_003 });
    third.until(|third| third.data(1).is_some()).await;
    page.until(|page| page.data(3).is_some()).await;
    page.subscribe(4, Long { bytes: 40_005 });
    page.until(|page| page.view.contains_key(&4)).await;
    assert_eq!(page.code(4), Some("OVERLOADED"));
    // The result is in memory until the last client that has not written it lets it go.
    page.client.unsubscribe(SubscriptionId(1));
    page.view.remove(&1);
    let waited = tokio::time::timeout(PATIENCE, page.until(|page| page.data(4).is_some())).await;
    assert!(waited.is_ok(), "the query is tried again");
    drop((page, other, third));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_refused_while_too_many_wait_for_the_ticker() {
    let stage = Stage::open(ACCOUNTS).await;
    let (functions, database) = (stage.functions.clone(), stage.scratch.database.clone());
    let deps =
        ReactorDeps { functions, database, hints: HintHub::new(), config: ReactivityConfig::default() };
    // Its actors never start, so nothing takes what clients ask for.
    let (reactor, _never_started) = Reactor::new(deps);
    let client = reactor.attach(Arc::new(Discarding));
    let asked = (0..1_000_000).find_map(|asked| {
        let invocation = Invocation::new(List::META.wire_name(), "{}", Caller::default());
        // Each subscription takes the place of the one before, so no other limit is reached.
        let refused = client.subscribe(SubscriptionId(1), invocation, None).err()?;
        Some((asked, refused.code().name(), refused.retry_delay().is_some()))
    });
    assert_eq!(asked, Some((64 * 1024, "OVERLOADED", true)));
    assert_eq!(reactor.stats().subscriptions, 1);
    drop(client);
    stage.close().await;
}

/// A client that takes nothing.
struct Discarding;

impl Sink for Discarding {
    fn deliver(&self, _: Delivery) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn running_a_query_again_needs_no_memory_for_a_second_result() {
    let stage = stage_with_little_memory().await;
    let mut page = stage.page();
    let padded = |what: &str, bytes: u32| Rows {
        sql: format!("SELECT rpad({what}::text, {bytes}, ' ') AS text FROM accounts WHERE id = 1"),
    };
    page.subscribe(1, padded("balance", 55_000));
    page.subscribe(2, padded("id", 25_000));
    page.until(|page| page.view.len() == 2).await;
    for _ in 0..3 {
        // A client that was sent a result does not hold it any more.
        page.view.remove(&1);
        stage.write("UPDATE accounts SET balance = balance + 1 WHERE id = 1").await;
        page.until(|page| page.view.contains_key(&1)).await;
        assert_eq!((page.code(1), page.code(2)), (None, None), "one has changed, and one is as it was");
    }
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_watches_needs_no_memory_that_clients_have_used_up() {
    let stage = stage_with_little_memory().await;
    // Large results leave the last eighth, and small ones use it up. A text has two bytes more than is asked.
    let sizes = [vec![87_000], vec![87_000], vec![87_000], vec![87_000], vec![16_000, 16_001, 16_002, 3_000]];
    let mut pages = Vec::new();
    for (number, sizes) in sizes.into_iter().enumerate() {
        let mut page = stage.page_of(caller(&format!("client {number}"), &[]));
        for (id, size) in (0..).zip(sizes) {
            page.subscribe(id, Long { bytes: size + number as u32 });
            page.until(|page| page.data(id).is_some()).await;
        }
        pages.push(page);
    }
    let mut stranger = stage.page_of(caller("stranger", &[]));
    stranger.subscribe(1, Long { bytes: 5_000 });
    stranger.until(|page| page.view.len() == 1).await;
    assert_eq!(stranger.code(1), Some("OVERLOADED"), "the node's memory is used up");
    let mut dashboard = stage.page_of(caller("root", &["admin"]));
    dashboard.subscribe(1, Overview {});
    dashboard.until(|page| page.view.len() == 1).await;
    assert!(dashboard.data(1).is_some(), "{:?}", dashboard.code(1));
    drop((pages, stranger, dashboard));
    stage.close().await;
}
