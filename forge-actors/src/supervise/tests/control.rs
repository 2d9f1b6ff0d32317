//! Restarts and stops on request.

use super::*;
use crate::supervise::{ActorState, ChildError, ControlError, DynamicSpec};

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_restarts_on_request_without_costing_the_budget() {
    let (child, address) = puppet("a");
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    let tree = Arc::clone(&steps.tree);
    let before = tree.get("node").and_then(|root| root.supervisor).expect("the root supervises");
    tree.restart_actor("node/a", PATIENCE).await.expect("it restarts");
    steps.until("started a").await;
    assert_eq!(address.call(|reply| PuppetMessage::Echo(5, reply), PATIENCE).await, Ok(5));
    let after = tree.get("node").and_then(|root| root.supervisor).expect("the root supervises");
    assert_eq!(after.restarts_left, before.restarts_left);
    assert_eq!(tree.get("node/a").map(|actor| actor.restarts.get()), Some(1));
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_child_of_a_fixed_supervisor_stays_known_and_comes_back() {
    let (child, address) = puppet("a");
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    let tree = Arc::clone(&steps.tree);
    tree.stop_actor("node/a", PATIENCE).await.expect("it stops");
    steps.until("stopped a").await;
    assert_eq!(tree.get("node/a").map(|actor| actor.state), Some(ActorState::Stopped));
    tree.restart_actor("node/a", PATIENCE).await.expect("it starts again");
    assert_eq!(address.call(|reply| PuppetMessage::Echo(5, reply), PATIENCE).await, Ok(5));
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_dynamic_child_is_removed() {
    let (pool, children) = ChildSpec::dynamic("pool", DynamicSpec::new(5));
    let (root, steps) = start(quick(Strategy::OneForOne, vec![pool])).await;
    children.start_child(puppet("a").0, PATIENCE).await.expect("the limit is five");
    steps.tree.stop_actor("node/pool/a", PATIENCE).await.expect("it stops");
    assert_eq!(steps.tree.get("node/pool/a"), None);
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_child_is_stopped_but_never_restarted() {
    let (pool, children) = ChildSpec::dynamic("pool", DynamicSpec::new(5));
    let (root, steps) = start(quick(Strategy::OneForOne, vec![pool])).await;
    let (child, address) = puppet("a");
    children.start_child(with_restart(child, Restart::Temporary), PATIENCE).await.expect("the limit is five");
    let refused = steps.tree.restart_actor("node/pool/a", PATIENCE).await;
    assert!(matches!(refused, Err(ControlError::Child(ChildError::Temporary { .. }))));
    assert_eq!(address.call(|reply| PuppetMessage::Echo(5, reply), PATIENCE).await, Ok(5), "it goes on");
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_the_root_are_refused() {
    let (root, steps) = start(quick(Strategy::OneForOne, vec![puppet("a").0])).await;
    let unknown = steps.tree.restart_actor("node/b", PATIENCE).await;
    assert!(matches!(unknown, Err(ControlError::Unknown { .. })));
    let below_an_actor = steps.tree.stop_actor("node/a/b", PATIENCE).await;
    assert!(matches!(below_an_actor, Err(ControlError::Unknown { .. })));
    assert!(matches!(steps.tree.stop_actor("node", PATIENCE).await, Err(ControlError::Root { .. })));
    finish(root).await;
}
