//! A running node has exactly the actors that its subsystems name: the tree in the docs, the protection
//! against stops and the readiness checks rest on those names.

use std::collections::BTreeSet;

use forge_actors::subsystem::{READINESS_NOTE, SubsystemEntry};
use forge_actors::tree::SUBSYSTEMS;
use forge_tests::{Database, probe};
use serde_json::json;

use super::peers::member;

/// Whose children come and go, or are numbered.
const DYNAMIC: [&str; 3] = ["node/gateway/sessions/", "node/cluster/mesh/links/", "node/jobs/workers/"];

/// A configured database has no embedded server.
const ABSENT: &str = "node/database/postgres";

#[tokio::test]
async fn a_node_runs_the_actors_that_its_subsystems_name() {
    let database = Database::create().await;
    let node = member(&database, "only").start().await;
    let reply = node.call("forge.actors", json!({}), Some(&probe::admin_token())).await;
    let actors = reply.json()["data"]["actors"].as_array().expect("actors").clone();
    let paths = actors.iter().map(|actor| actor["path"].as_str().expect("a path").to_owned());
    let fixed = paths.filter(|path| path != "node" && !DYNAMIC.iter().any(|start| path.starts_with(start)));
    let named = SUBSYSTEMS.iter().flat_map(SubsystemEntry::actors).chain([&READINESS_NOTE]);
    let named = named.map(|note| note.path.to_string()).filter(|path| path != ABSENT);
    assert_eq!(fixed.collect::<BTreeSet<_>>(), named.collect::<BTreeSet<_>>());
}
