//! Everything of a client stands at one snapshot, and its own writes are named when they are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::queries::{Idle, List, Sum, Transfer};
use super::stage::Stage;

const ACCOUNTS_MAX: i32 = 20;
const TOTAL: i64 = 2_000;

pub(super) const ACCOUNTS: &str = "CREATE TABLE accounts (id int PRIMARY KEY, balance int8 NOT NULL); \
    INSERT INTO accounts SELECT n, 100 FROM generate_series(1, 20) AS n; SELECT forge_enable_reactivity('accounts')";

const SUM: u32 = 1;
const LIST: u32 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn no_delivery_is_torn() {
    let stage = Arc::new(Stage::open(ACCOUNTS).await);
    let stopped = Arc::new(AtomicBool::new(false));
    let mut pages: Vec<_> = (0..10).map(|_| stage.page()).collect();
    for page in &pages {
        page.subscribe(SUM, Sum {});
        page.subscribe(LIST, List {});
    }
    let (writing, stop) = (Arc::clone(&stage), Arc::clone(&stopped));
    let writer = tokio::spawn(async move {
        let mut from = 1;
        while !stop.load(Ordering::Acquire) {
            let to = from % ACCOUNTS_MAX + 1;
            writing.call(Transfer { from, to, amount: 1 }).await;
            from = to;
        }
        // A transfer that changes the sum would be seen: this one does, on purpose.
        writing.write("UPDATE accounts SET balance = balance + 1 WHERE id = 1").await;
    });
    let mut seen = 0;
    for page in &mut pages {
        page.until(|page| page.view.len() == 2).await;
        for _ in 0..100 {
            page.next().await;
            let list = page.data(LIST).unwrap();
            let sum: i64 = list.as_array().unwrap().iter().filter_map(Value::as_i64).sum();
            assert_eq!((sum, page.data(SUM)), (TOTAL, Some(json!(TOTAL))), "torn");
            seen += 1;
        }
    }
    assert_eq!(seen, 1_000);
    stopped.store(true, Ordering::Release);
    writer.await.unwrap();
    pages[0].sees(SUM, json!(TOTAL + 1)).await;
    drop(pages);
    Arc::into_inner(stage).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_is_named_when_its_effects_are_there() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut page = stage.page();
    page.subscribe(LIST, List {});
    page.until(|page| page.view.contains_key(&LIST)).await;
    for mutation in 1..=30 {
        let (answer, receipt) = stage.submit(Transfer { from: 1, to: 2, amount: 1 }).await;
        answer.unwrap();
        page.await_commit(mutation, &receipt);
        page.until(|page| page.applied.contains(&mutation)).await;
        let expected = 100 - i64::from(mutation);
        assert_eq!(page.data(LIST).unwrap()[0], json!(expected), "named before its effects were there");
    }
    // Nothing that is watched, and nothing at all.
    stage.write("CREATE TABLE aside (id int)").await;
    let (_, receipt) = stage.submit(Idle {}).await;
    page.await_commit(31, &receipt);
    page.until(|page| page.applied.contains(&31)).await;
    assert_eq!(page.applied, (1..=31).collect::<Vec<_>>(), "each is named once, in order");
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_subscriptions_waits_for_nothing() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut page = stage.page();
    let (_, receipt) = stage.submit(Transfer { from: 1, to: 2, amount: 1 }).await;
    assert!(receipt.xid.is_some());
    page.await_commit(7, &receipt);
    page.until(|page| page.applied == [7]).await;
    drop(page);
    stage.close().await;
}
