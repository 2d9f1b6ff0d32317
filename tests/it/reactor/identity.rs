//! Results are shared only between callers for whom a run gives the same: no client sees what a run made for
//! another caller.

use std::net::IpAddr;

use forge_actors::kernel::invocation::Caller;
use serde_json::json;

use super::queries::{Editors, Mine, MineInside, MineWhenPrivate, Peer};
use super::stage::{Page, Stage, caller};

const NOTES: &str = "CREATE TABLE notes (owner text NOT NULL, text text NOT NULL); \
    INSERT INTO notes VALUES ('ana', 'a1'), ('bob', 'b1'); CREATE TABLE switch (private bool NOT NULL); INSERT INTO switch VALUES (false); \
    SELECT forge_enable_reactivity('notes'); SELECT forge_enable_reactivity('switch')";

/// Takes deliveries until the subscription shows `expected`. Fails when a delivery contains `never`.
async fn shows(page: &mut Page, expected: serde_json::Value, never: &str) {
    page.until(|page| {
        let shown = page.data(1);
        assert!(!shown.as_ref().is_some_and(|data| data.to_string().contains(never)), "shows {shown:?}");
        shown.as_ref() == Some(&expected)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_with_the_same_query_have_their_own_rows() {
    let stage = Stage::open(NOTES).await;
    let (mut ana, mut bob) = (stage.page_of(caller("ana", &[])), stage.page_of(caller("bob", &[])));
    let mut second = stage.page_of(caller("ana", &[]));
    for page in [&ana, &bob, &second] {
        page.subscribe(1, Mine {});
    }
    shows(&mut ana, json!(["a1"]), "b").await;
    shows(&mut bob, json!(["b1"]), "a").await;
    shows(&mut second, json!(["a1"]), "b").await;
    assert_eq!(stage.reactor.stats().groups, 2, "one for each identity, not for each client");
    for round in 2..=20 {
        stage.write(&format!("INSERT INTO notes VALUES ('ana', 'a{round}'), ('bob', 'b{round}')")).await;
        let notes = |owner: char| {
            let mut notes: Vec<String> = (1..=round).map(|n| format!("{owner}{n}")).collect();
            notes.sort();
            json!(notes)
        };
        shows(&mut ana, notes('a'), "b").await;
        shows(&mut bob, notes('b'), "a").await;
        shows(&mut second, notes('a'), "b").await;
    }
    drop((ana, bob, second));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_reads_the_caller_splits_the_group() {
    let stage = Stage::open(NOTES).await;
    let (mut ana, mut bob) = (stage.page_of(caller("ana", &[])), stage.page_of(caller("bob", &[])));
    ana.subscribe(1, MineWhenPrivate {});
    bob.subscribe(1, MineWhenPrivate {});
    shows(&mut ana, json!(["a1", "b1"]), "none").await;
    shows(&mut bob, json!(["a1", "b1"]), "none").await;
    assert_eq!(stage.reactor.stats().groups, 1, "no run has asked who called");
    // No delivery to one caller may contain the new secret of the other.
    stage
        .write(
            "BEGIN; UPDATE switch SET private = true; INSERT INTO notes VALUES ('ana', 'secret of ana'), \
                ('bob', 'secret of bob'); COMMIT",
        )
        .await;
    shows(&mut ana, json!(["a1", "secret of ana"]), "secret of bob").await;
    shows(&mut bob, json!(["b1", "secret of bob"]), "secret of ana").await;
    assert_eq!(stage.reactor.stats().groups, 2);
    // A later subscription has a group of its own as well.
    let mut eve = stage.page_of(caller("eve", &[]));
    eve.subscribe(1, MineWhenPrivate {});
    shows(&mut eve, json!([]), "secret").await;
    // The groups stay apart, also when later runs do not read the caller.
    stage.write("UPDATE switch SET private = false").await;
    let everything = json!(["a1", "b1", "secret of ana", "secret of bob"]);
    for page in [&mut ana, &mut bob, &mut eve] {
        page.sees(1, everything.clone()).await;
    }
    assert_eq!(stage.reactor.stats().groups, 3);
    drop((ana, bob, eve));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nested_call_that_reads_the_caller_counts() {
    let stage = Stage::open(NOTES).await;
    let (mut ana, mut bob) = (stage.page_of(caller("ana", &[])), stage.page_of(caller("bob", &[])));
    ana.subscribe(1, MineInside {});
    bob.subscribe(1, MineInside {});
    shows(&mut ana, json!(["a1"]), "b").await;
    shows(&mut bob, json!(["b1"]), "a").await;
    drop((ana, bob));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_the_address_has_one_group_per_address() {
    let stage = Stage::open(NOTES).await;
    let from = |ip: &str| Caller { ip: Some(ip.parse::<IpAddr>().unwrap()), ..Caller::default() };
    let mut pages =
        [stage.page_of(from("10.0.0.1")), stage.page_of(from("10.0.0.2")), stage.page_of(from("10.0.0.2"))];
    for page in &pages {
        page.subscribe(1, Peer {});
    }
    for (page, ip) in pages.iter_mut().zip(["10.0.0.1", "10.0.0.2", "10.0.0.2"]) {
        page.until(|page| page.view.contains_key(&1)).await;
        assert_eq!(page.data(1), Some(json!(ip)));
    }
    drop(pages);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_caller_is_authorized_again() {
    let stage = Stage::open(NOTES).await;
    let mut page = stage.page_of(caller("ana", &["editor"]));
    page.subscribe(1, Mine {});
    page.subscribe(2, Editors {});
    page.until(|page| page.view.len() == 2).await;
    assert_eq!((page.data(1), page.data(2)), (Some(json!(["a1"])), Some(json!(2))));
    // Bob is no editor, and has notes of his own.
    page.client.identify(caller("bob", &[]));
    page.until(|page| page.code(2).is_some() && page.data(1) == Some(json!(["b1"]))).await;
    assert_eq!(page.code(2), Some("PERMISSION_DENIED"));
    assert_eq!(stage.reactor.stats().subscriptions, 1, "what was refused has ended");
    // An anonymous caller.
    page.client.identify(Caller::default());
    page.until(|page| page.code(1).is_some()).await;
    assert_eq!(page.code(1), Some("UNAUTHENTICATED"));
    assert_eq!((stage.reactor.stats().subscriptions, stage.reactor.stats().groups), (0, 0));
    drop(page);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_caller_does_not_join() {
    let stage = Stage::open(NOTES).await;
    let editor = stage.page_of(caller("ana", &["editor"]));
    editor.subscribe(1, Editors {});
    let other = stage.page_of(caller("bob", &[]));
    assert_eq!(other.try_subscribe(1, Editors {}).unwrap_err().code().name(), "PERMISSION_DENIED");
    let nobody = stage.page();
    assert_eq!(nobody.try_subscribe(1, Mine {}).unwrap_err().code().name(), "UNAUTHENTICATED");
    drop((editor, other, nobody));
    stage.close().await;
}
