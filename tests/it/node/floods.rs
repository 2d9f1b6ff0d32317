//! Floods of calls: whoever sends one is refused, and nobody else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use forge_tests::{Binary, Database, Node, until};
use serde_json::json;
use tokio::task::JoinSet;

use super::stage::PATIENCE;

/// Many more than the node has places.
const FLOOD: usize = 300;
const OTHERS: usize = 20;
const CONFIG: &str = "[auth]\nsecret = \"c2b7a90e4f5d41689d03e7b1862fa54c\"\n\n[functions]\ncalls_max = 64\n";

#[tokio::test]
async fn a_flood_of_sign_ins_leaves_the_other_calls_alone() {
    let database = Database::create().await;
    let node = Node::builder(Binary::Forge).database(&database).file("forge.toml", CONFIG).start().await;
    let person = json!({ "email": "ana@example.com", "name": "Ana", "password": "a long password" });
    let signed_up = node.call("users.sign_up", person, None).await.data();
    let token = signed_up["token"].as_str().expect("a token");

    let (refused, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut flood = JoinSet::new();
    for _ in 0..FLOOD {
        let (client, refused, over) = (node.client().clone(), Arc::clone(&refused), Arc::clone(&over));
        flood.spawn(async move {
            let guess = json!({ "email": "bob@example.com", "password": "not the password" });
            while !over.load(Ordering::Relaxed) {
                let reply = client.try_call("users.sign_in", guess.clone(), None).await;
                if reply.is_ok_and(|reply| reply.status == 503) {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    until("the flood is refused", PATIENCE, || async {
        (refused.load(Ordering::Relaxed) > FLOOD).then_some(())
    })
    .await;
    for _ in 0..OTHERS {
        let reply = node.call("projects.list", json!({}), Some(token)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    over.store(true, Ordering::Relaxed);
    flood.join_all().await;
}
