//! All results of a client come from one snapshot, and its mutations are named with the snapshot that
//! contains them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use forge_actors::reactor::Version;
use serde_json::{Value, json};

use super::queries::{Deposit, Idle, List, Sum, Transfer};
use super::stage::Stage;

const ACCOUNTS_MAX: i32 = 20;
const PAGES: usize = 100;
/// Deliveries to each page that are checked: 100,000 in all.
const DELIVERIES: usize = 1_000;

pub(super) const ACCOUNTS: &str = "CREATE TABLE accounts (id int PRIMARY KEY, balance int8 NOT NULL); \
    INSERT INTO accounts SELECT n, 100 FROM generate_series(1, 20) AS n; \
    SELECT forge_enable_reactivity('accounts')";

const SUM: u32 = 1;
const LIST: u32 = 2;

/// Transfers change the list, deposits the list and the sum. A delivery is inconsistent when the sum
/// is not that of the list.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_deliveries_are_consistent() {
    let stage = Arc::new(Stage::open(ACCOUNTS).await);
    let stopped = Arc::new(AtomicBool::new(false));
    let mut pages: Vec<_> = (0..PAGES).map(|_| stage.page()).collect();
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
            writing.call(Deposit { id: to, amount: 1 }).await;
            from = to;
        }
    });
    // Most pages get the same results, which are added up once.
    let mut known: HashMap<(Version, Version), bool> = HashMap::new();
    let mut seen = 0;
    for page in &mut pages {
        page.until(|page| page.view.len() == 2).await;
        for _ in 0..DELIVERIES {
            page.next().await;
            let whole =
                known.entry((page.view[&SUM].version, page.view[&LIST].version)).or_insert_with(|| {
                    let list = page.data(LIST).unwrap();
                    let sum: i64 = list.as_array().unwrap().iter().filter_map(Value::as_i64).sum();
                    Some(json!(sum)) == page.data(SUM)
                });
            assert!(*whole, "inconsistent: {:?} and {:?}", page.data(SUM), page.data(LIST));
            seen += 1;
        }
    }
    assert_eq!(seen, PAGES * DELIVERIES);
    assert!(known.len() >= DELIVERIES / 2, "only {} different states were seen", known.len());
    stopped.store(true, Ordering::Release);
    writer.await.unwrap();
    drop(pages);
    Arc::into_inner(stage).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_is_named_when_its_effects_are_visible() {
    let stage = Stage::open(ACCOUNTS).await;
    let mut page = stage.page();
    page.subscribe(LIST, List {});
    page.until(|page| page.view.contains_key(&LIST)).await;
    let mut waits = Vec::new();
    for mutation in 1..=30 {
        let (answer, receipt) = stage.submit(Transfer { from: 1, to: 2, amount: 1 }).await;
        answer.unwrap();
        let committed = Instant::now();
        page.await_commit(mutation, &receipt);
        page.until(|page| page.applied.contains(&mutation)).await;
        waits.push(committed.elapsed());
        let expected = 100 - i64::from(mutation);
        assert_eq!(page.data(LIST).unwrap()[0], json!(expected), "named before its effects were visible");
    }
    waits.sort_unstable();
    println!("from commit to delivery: {:?} in the median, {:?} at most", waits[15], waits[29]);
    // A mutation that wrote nothing is named as well.
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
