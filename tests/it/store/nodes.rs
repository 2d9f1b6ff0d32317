//! The rows of nodes.

use forge_actors::cluster::store::{self, NodeIdentity};
use forge_actors::kernel::ids::NodeId;
use forge_actors::kernel::node::NodeState;
use forge_actors::kernel::resource::ResourceAmounts;

use super::job::Bench;

fn identity(name: &str) -> NodeIdentity {
    NodeIdentity {
        id: NodeId::new(),
        name: name.to_owned(),
        roles: vec!["worker".to_owned()],
        capabilities: Vec::new(),
        resources: ResourceAmounts::default(),
        address: None,
        mesh_address: None,
        build: None,
        job_names: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_returns_the_nodes_as_a_listing_does() {
    let bench = Bench::open().await;
    let db = bench.scratch.database.control();
    let own = identity("own");
    let others = ["active", "lost", "replaced", "replaced", "own"].map(identity);
    store::join(&db, &own, NodeState::Joining).await.unwrap();
    for other in &others {
        store::join(&db, other, NodeState::Active).await.unwrap();
    }
    let [_, lost, replaced, ..] = &others;
    bench
        .run(&format!(
            "UPDATE forge_nodes SET started_at = now() - interval '2 h' WHERE id IN ('{0}', '{1}');
             UPDATE forge_nodes SET seen_at = now() - interval '10 min' WHERE id IN ('{0}', '{1}')",
            lost.id, replaced.id
        ))
        .await;
    store::declare_dead(&db, own.id, std::time::Duration::from_secs(60)).await.unwrap();
    let beaten = store::beat(&db, own.id, NodeState::Active, None).await.unwrap().expect("it is not dead");
    let listed = store::list(&db).await.unwrap();
    assert_eq!(beaten, listed);
    let names = |state| listed.iter().filter(move |node| node.state == state).map(|node| node.name.as_str());
    assert_eq!(names(NodeState::Dead).collect::<Vec<_>>(), ["lost"], "the other dead one has a successor");
    assert_eq!(names(NodeState::Active).count(), 4);
    store::leave(&db, own.id).await.unwrap();
    assert!(store::beat(&db, own.id, NodeState::Active, None).await.unwrap().is_none(), "it is dead");
    bench.scratch.drop().await;
}
