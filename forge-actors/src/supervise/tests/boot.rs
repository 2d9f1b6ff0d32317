//! Start in order, stop in reverse order, and the deadlines of both.

use super::*;
use crate::supervise::{ActorState, Panic, SpecError, StartCut};

async fn failed_start(child: ChildSpec) -> (crate::supervise::StartError, Arc<Tree>) {
    let ((a, _), (z, _)) = (puppet("a"), puppet("z"));
    let inner = ChildSpec::supervisor("inner", quick(Strategy::OneForOne, vec![a, child, z]));
    let tree = Tree::new();
    let error = Root::start("node", quick(Strategy::OneForOne, vec![inner]), Arc::clone(&tree))
        .await
        .expect_err("a child fails");
    assert!(ractor::registry::get_all_pids().is_empty(), "a failed boot leaves no actor behind");
    (error, tree)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_boot_names_the_path_keeps_the_error_and_stops_the_started_children() {
    let (child, _) =
        ChildSpec::actor("b", || Puppet { failing_starts: Arc::new(AtomicU32::new(1)), ..Puppet::default() });
    let (error, tree) = failed_start(child).await;
    assert_eq!(
        (error.path.as_str(), error.source.downcast_ref::<ScriptedError>()),
        ("node/inner/b", Some(&ScriptedError))
    );
    assert_eq!(
        Steps::new(&tree).until("stopped inner/a").await,
        ["started inner/a", "crashed inner/b", "stopped inner/a"]
    );
    let states: Vec<_> = tree.snapshot().into_iter().map(|actor| (actor.path, actor.state)).collect();
    let expected = [
        ("node", ActorState::Failed),
        ("node/inner", ActorState::Failed),
        ("node/inner/a", ActorState::Stopped),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(path, state)| (path.to_owned(), state)).collect();
    assert_eq!(states[..3], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_hangs_is_cut_at_its_deadline() {
    let (mut child, _) = ChildSpec::actor("b", || Puppet { hanging_start: true, ..Puppet::default() });
    child.start_deadline = Some(millis(30));
    let (error, _) = failed_start(child).await;
    assert_eq!(error.source.downcast_ref::<StartCut>(), Some(&StartCut::TooSlow(millis(30))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_factory_that_panics_is_a_failed_start() {
    let (child, _) = ChildSpec::actor("b", || -> Puppet { panic!("no configuration") });
    let (error, _) = failed_start(child).await;
    assert_eq!(
        error.source.downcast_ref::<Panic>().map(|panic| panic.message.as_str()),
        Some("no configuration")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_spec_starts_no_actor() {
    let ((one, _), (two, _)) = (puppet("same"), puppet("same"));
    let tree = Tree::new();
    let error = Root::start("node", quick(Strategy::OneForOne, vec![one, two]), Arc::clone(&tree))
        .await
        .expect_err("refused");
    assert_eq!(
        error.source.downcast_ref::<SpecError>(),
        Some(&SpecError::DuplicateId { id: "same".to_owned() })
    );
    assert!(tree.snapshot().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_hangs_is_killed_at_its_deadline_and_the_others_stop_in_order() {
    let ((a, _), (c, _)) = (puppet("a"), puppet("c"));
    let (b, _) = ChildSpec::actor("b", || Puppet { hanging_stop: true, ..Puppet::default() });
    let b = with_shutdown(b, Shutdown::Deadline(millis(50)));
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![a, b, c])).await;
    finish(root).await;
    assert_eq!(steps.until("stopped node").await, ["stopped c", "killed b", "stopped a", "stopped node"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brutal_child_is_killed_at_once() {
    let (a, address) = ChildSpec::actor("a", || Puppet { hanging_stop: true, ..Puppet::default() });
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![with_shutdown(a, Shutdown::Brutal)])).await;
    address.cast(PuppetMessage::Hang).expect("a runs");
    finish(root).await;
    assert_eq!(steps.until("stopped node").await, ["killed a", "stopped node"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_does_not_stop_in_time_is_killed_and_names_the_late_actors() {
    let (b, _) = ChildSpec::actor("b", || Puppet { hanging_stop: true, ..Puppet::default() });
    let began = std::time::Instant::now();
    let inner = ChildSpec::supervisor(
        "inner",
        quick(Strategy::OneForOne, vec![with_shutdown(b, Shutdown::Deadline(secs(60)))]),
    );
    let (root, steps) = start(quick(Strategy::OneForOne, vec![inner])).await;
    let late = root.stop(millis(50)).await.expect_err("b hangs");
    assert_eq!(late.paths, ["node", "node/inner", "node/inner/b"]);
    assert!(
        began.elapsed() < crate::supervise::KILL_DEADLINE,
        "the kill reaches actors that hang in their stop"
    );
    assert!(steps.tree.snapshot().iter().all(|actor| actor.state == ActorState::Stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_restart_does_not_hold_up_the_stop() {
    let hanging = Arc::new(AtomicU32::new(0));
    let shared = Arc::clone(&hanging);
    let (a, address) = ChildSpec::actor("a", move || Puppet {
        hanging_start: shared.fetch_add(1, SeqCst) > 0,
        ..Puppet::default()
    });
    let inner = ChildSpec::supervisor("inner", quick(Strategy::OneForOne, vec![a]));
    let (root, steps) = start(quick(Strategy::OneForOne, vec![inner])).await;
    address.cast(PuppetMessage::Fail).expect("a runs");
    while hanging.load(SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    // The start deadline is 30 s; the stop does not wait for it.
    tokio::time::timeout(secs(10), finish(root)).await.expect("the pending start is cut");
    assert!(
        steps
            .tree
            .snapshot()
            .iter()
            .all(|actor| !matches!(actor.state, ActorState::Running | ActorState::Stopping))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_stopping_is_recorded_and_does_not_stop_the_stop() {
    let (a, _) = puppet("a");
    let (b, _) = ChildSpec::actor("b", || Puppet { panicking_stop: true, ..Puppet::default() });
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![a, b])).await;
    finish(root).await;
    assert_eq!(steps.until("stopped node").await, ["crashed b", "stopped a", "stopped node"]);
    let crash = steps.tree.journal().crashes_since(0).entries.remove(0);
    assert_eq!((crash.cause.as_str(), crash.message), ("scripted panic in stop", Some("stop")));
    assert_eq!(steps.tree.get("node/b").map(|actor| actor.state), Some(ActorState::Failed));
}
