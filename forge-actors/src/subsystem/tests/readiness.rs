//! The readiness checks of subsystems follow the state of their actors, and the health of their part.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::subsystem::{
    ActorPath, HealthVerdict, NODE, Part, Readiness, ReadinessReport, ReadinessRule, ReadinessWatcher,
};
use crate::supervise::{ChildSpec, Root, Strategy, SupervisorSpec, Tree};

const LIMIT: Duration = Duration::from_secs(10);

static SHOP: ActorPath = NODE.child("shop");
static STORE: ActorPath = NODE.child("store");
static FRONT: ActorPath = STORE.child("front");
static BACK: ActorPath = STORE.child("back");

const SHOP_RULE: ReadinessRule = ReadinessRule { name: "shop", actors: &[&SHOP] };
const STORE_RULE: ReadinessRule = ReadinessRule { name: "store", actors: &[&FRONT, &BACK] };

fn idle(path: &ActorPath) -> ChildSpec {
    ChildSpec::task(path.id(), std::future::pending)
}

/// Waits until exactly these checks fail.
async fn fails(readiness: &Readiness, expected: &[&str]) {
    let mut reports = readiness.subscribe();
    let failing = |report: &ReadinessReport| {
        report.checks.iter().filter(|check| !check.ready).map(|check| check.name).eq(expected.iter().copied())
    };
    let reached = tokio::time::timeout(LIMIT, reports.wait_for(failing)).await;
    reached.expect("the checks follow the tree").expect("the sender of the reports is alive");
}

#[tokio::test]
async fn a_node_is_ready_while_its_subsystems_run_and_are_healthy() {
    let (tree, readiness) = (Tree::new(), Readiness::new(&["shop", "store"]));
    let (open, health) = watch::channel(true);
    let shop = Part::new(idle(&SHOP)).health(health, |open| {
        if *open {
            HealthVerdict::Remark("is open".into())
        } else {
            HealthVerdict::Broken("is closed".into())
        }
    });
    let rules = [(SHOP_RULE, shop.health), (STORE_RULE, Vec::new())];
    let watcher = ReadinessWatcher::new(Arc::clone(&tree), readiness.clone(), rules);
    let store = SupervisorSpec::new(Strategy::OneForOne, vec![idle(&FRONT), idle(&BACK)]);
    let children = vec![shop.child, ChildSpec::supervisor(STORE.id(), store), watcher.clone().child()];
    assert!(!readiness.is_ready(), "no check was compared yet");
    watcher.compare();
    assert!(!readiness.is_ready(), "nothing runs yet");
    let root = SupervisorSpec::new(Strategy::OneForOne, children);
    let root = Root::start(NODE.id(), root, Arc::clone(&tree)).await.expect("starts");
    fails(&readiness, &[]).await;
    for (path, check) in [(&SHOP, "shop"), (&FRONT, "store"), (&STORE, "store")] {
        let path = path.to_string();
        tree.stop_actor(&path, LIMIT).await.expect("stops");
        fails(&readiness, &[check]).await;
        tree.restart_actor(&path, LIMIT).await.expect("starts again");
        fails(&readiness, &[]).await;
    }
    open.send_replace(false);
    fails(&readiness, &["shop"]).await;
    assert_eq!(readiness.report().checks[0].reason.as_deref(), Some("is closed"));
    open.send_replace(true);
    fails(&readiness, &[]).await;
    assert!(readiness.is_ready());
    assert_eq!(readiness.report().checks[0].reason.as_deref(), Some("is open"), "a remark fails nothing");
    readiness.drain();
    assert!(!readiness.is_ready(), "a drain overrules the checks");
    root.stop(LIMIT).await.expect("stops in order");
}
