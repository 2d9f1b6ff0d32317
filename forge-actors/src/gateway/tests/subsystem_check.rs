//! The readiness checks of subsystems follow the state of their actors in the supervision tree.

use std::sync::Arc;
use std::time::Duration;

use crate::gateway::readiness::Readiness;
use crate::gateway::subsystem_check::{FUNCTIONS_CHECK, REACTOR_CHECK, SubsystemCheck};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Never, Root, Strategy, SupervisorSpec, Tree};

const LIMIT: Duration = Duration::from_secs(10);

struct Idle;

impl Actor for Idle {
    type Message = Never;
    type State = ();
    const KIND: &'static str = "idle";

    async fn start(&self, _: &Context<Never>) -> Result<(), ActorError> {
        Ok(())
    }

    async fn handle(&self, _: &Context<Never>, message: Never, (): &mut ()) -> Result<(), ActorError> {
        match message {}
    }
}

fn idle(name: &str) -> ChildSpec {
    ChildSpec::actor(name, || Idle).0
}

/// Waits until exactly these checks fail.
async fn fails(readiness: &Readiness, expected: &[&str]) {
    let mut reports = readiness.subscribe();
    let failing = |report: &crate::gateway::readiness::ReadinessReport| {
        report.checks.iter().filter(|check| !check.ready).map(|check| check.name).eq(expected.iter().copied())
    };
    let reached = tokio::time::timeout(LIMIT, reports.wait_for(failing)).await;
    reached.expect("the checks follow the tree").expect("the sender of the reports is alive");
}

#[tokio::test]
async fn a_node_is_ready_while_its_subsystems_run() {
    let (tree, readiness) = (Tree::new(), Readiness::new(&[FUNCTIONS_CHECK, REACTOR_CHECK]));
    let reactor = SupervisorSpec::new(Strategy::OneForOne, vec![idle("ticker"), idle("poller")]);
    let check = SubsystemCheck::spec(Arc::clone(&tree), readiness.clone());
    let children = vec![idle("functions"), ChildSpec::supervisor("reactor", reactor), check];
    assert!(!readiness.is_ready(), "no check was reported yet");
    let root = Root::start("node", SupervisorSpec::new(Strategy::OneForOne, children), Arc::clone(&tree))
        .await
        .expect("starts");
    fails(&readiness, &[]).await;
    for (path, check) in [
        ("node/functions", FUNCTIONS_CHECK),
        ("node/reactor/ticker", REACTOR_CHECK),
        ("node/reactor", REACTOR_CHECK),
    ] {
        tree.stop_actor(path, LIMIT).await.expect("stops");
        fails(&readiness, &[check]).await;
        tree.restart_actor(path, LIMIT).await.expect("starts again");
        fails(&readiness, &[]).await;
    }
    assert!(readiness.is_ready());
    root.stop(LIMIT).await.expect("stops in order");
}
