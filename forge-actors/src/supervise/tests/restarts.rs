//! Which siblings restart, in which order, and when the budget is exhausted.

use super::*;
use crate::supervise::{ActorState, DynamicSpec};

async fn check_strategy(strategy: Strategy, message: PuppetMessage, expected: &[&str]) {
    let (children, [_, to_b, _]) = three();
    let (root, mut steps) = start(quick(strategy, children)).await;
    to_b.cast(message).expect("b runs");
    let last = expected.last().expect("a step");
    assert_eq!(steps.until(last).await, expected, "{strategy:?}");
    assert_eq!(
        to_b.call(|reply| PuppetMessage::Echo(7, reply), PATIENCE).await,
        Ok(7),
        "the address survives the restart"
    );
    finish(root).await;
    assert_eq!(steps.until("stopped node").await, ["stopped c", "stopped b", "stopped a", "stopped node"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_for_one_restarts_only_the_child() {
    check_strategy(Strategy::OneForOne, PuppetMessage::Panic, &["crashed b", "restarting b", "started b"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_for_all_stops_in_reverse_and_starts_in_order() {
    let steps =
        ["crashed b", "restarting b", "stopped c", "stopped a", "started a", "started b", "started c"];
    check_strategy(Strategy::OneForAll, PuppetMessage::Fail, &steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_for_one_restarts_the_child_and_those_after_it() {
    check_strategy(
        Strategy::RestForOne,
        PuppetMessage::Panic,
        &["crashed b", "restarting b", "stopped c", "started b", "started c"],
    )
    .await;
}

async fn check_restart(restart: Restart, message: PuppetMessage, expected: &[&str]) {
    let (child, address) = puppet("a");
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![with_restart(child, restart)])).await;
    address.cast(message).expect("a runs");
    let mut seen = steps.until(expected.last().expect("a step")).await;
    finish(root).await;
    seen.extend(steps.until("stopped node").await);
    let again = expected.len() > 1;
    let goodbye: &[&str] = if again { &["stopped a", "stopped node"] } else { &["stopped node"] };
    assert_eq!(seen, [expected, goodbye].concat(), "{restart:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn permanent_children_restart_after_every_end() {
    check_restart(Restart::Permanent, PuppetMessage::Stop, &["stopped a", "restarting a", "started a"]).await;
    check_restart(Restart::Permanent, PuppetMessage::Fail, &["crashed a", "restarting a", "started a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_children_restart_after_a_crash() {
    check_restart(Restart::Transient, PuppetMessage::Stop, &["stopped a"]).await;
    check_restart(Restart::Transient, PuppetMessage::Panic, &["crashed a", "restarting a", "started a"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_children_never_restart() {
    check_restart(Restart::Temporary, PuppetMessage::Stop, &["stopped a"]).await;
    check_restart(Restart::Temporary, PuppetMessage::Fail, &["crashed a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_is_a_crash_that_names_the_interrupted_message() {
    let (child, address) = puppet("a");
    let (root, mut steps) =
        start(quick(Strategy::OneForOne, vec![with_restart(child, Restart::Transient)])).await;
    address.cast(PuppetMessage::Hang).expect("a runs");
    while steps.tree.get("node/a").is_none_or(|actor| actor.current.is_none()) {
        tokio::task::yield_now().await;
    }
    let children = ractor::registry::get_all_pids();
    let actor = children.iter().find(|cell| cell.get_children().is_empty()).expect("the puppet");
    actor.kill();
    assert_eq!(steps.until("started a").await, ["crashed a", "restarting a", "started a"]);
    let crash = steps.tree.journal().crashes_since(0).entries.remove(0);
    assert_eq!((crash.cause.as_str(), crash.message), ("killed", Some("Hang")));
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_restart_counts_and_is_tried_again() {
    let failing = Arc::new(AtomicU32::new(0));
    let shared = Arc::clone(&failing);
    let (child, address) =
        ChildSpec::actor("a", move || Puppet { failing_starts: Arc::clone(&shared), ..Puppet::default() });
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    failing.store(2, SeqCst);
    address.cast(PuppetMessage::Fail).expect("a runs");
    let again = ["crashed a", "restarting a"];
    assert_eq!(steps.until("started a").await, [&again[..], &again[..], &again[..], &["started a"]].concat());
    let actor = steps.tree.get("node/a").expect("known");
    assert_eq!((actor.restarts.get(), actor.last_error.as_deref()), (3, Some("scripted error")));
    let crashes = steps.tree.journal().crashes_since(0).entries;
    assert_eq!(crashes.iter().map(|crash| crash.restarts).collect::<Vec<_>>(), [0, 1, 2]);
    let root_info = steps.tree.get("node").and_then(|actor| actor.supervisor).expect("a supervisor");
    assert_eq!(root_info.restarts_left, 2);
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_budget_escalates_until_the_root_gives_up() {
    let starts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&starts);
    // It crashes itself after every start, so it restarts until the budget is exhausted.
    struct Crasher(Arc<AtomicU32>);
    impl Actor for Crasher {
        type Message = PuppetMessage;
        type State = ();
        const KIND: &'static str = "crasher";
        async fn start(&self, cx: &Context<PuppetMessage>) -> Result<(), ActorError> {
            self.0.fetch_add(1, SeqCst);
            Ok(cx.address().cast(PuppetMessage::Panic)?)
        }
        async fn handle(
            &self,
            _: &Context<PuppetMessage>,
            _: PuppetMessage,
            (): &mut (),
        ) -> Result<(), ActorError> {
            panic!("crash number {}", self.0.load(SeqCst))
        }
    }
    let (crasher, _) = ChildSpec::actor("crasher", move || Crasher(Arc::clone(&counted)));
    let (calm, _) = puppet("calm");
    let budget = Budget { restarts_max: 2, window: secs(5) };
    let inner = SupervisorSpec { budget, ..quick(Strategy::OneForOne, vec![calm, crasher]) };
    let budget = Budget { restarts_max: 1, window: secs(5) };
    let outer =
        SupervisorSpec { budget, ..quick(Strategy::OneForOne, vec![ChildSpec::supervisor("inner", inner)]) };
    let tree = Tree::new();
    let mut root = Root::start("node", outer, Arc::clone(&tree)).await.expect("it starts");
    let exit = ended(&mut root).await;
    assert_eq!(
        exit,
        RootExit::GaveUp {
            path: "node/inner/crasher".to_owned(),
            cause: "panicked at ".to_owned() + &place(&tree) + ": crash number 6"
        }
    );
    let steps = Steps::new(&tree).until("gave up node").await;
    let crash = ["crashed inner/crasher", "restarting inner/crasher", "started inner/crasher"];
    let burst = [
        &crash[..],
        &crash[..],
        &["crashed inner/crasher", "exhausted inner", "stopped inner/calm", "escalated inner"],
    ]
    .concat();
    let boot = ["started inner/calm", "started inner/crasher"];
    let first: Vec<_> = steps
        .iter()
        .map(String::as_str)
        .filter(|step| *step != "started node" && *step != "started inner")
        .collect();
    let expected = [
        &boot[..],
        &burst[..],
        &["restarting inner"],
        &boot[..],
        &burst[..],
        &["exhausted node", "gave up node"],
    ]
    .concat();
    assert_eq!(first, expected);
    assert_eq!(starts.load(SeqCst), 6);
    assert!(ractor::registry::get_all_pids().is_empty(), "no actor outlives a root that gave up");
    assert_eq!(tree.get("node").map(|root| root.state), Some(ActorState::Failed));
}

fn place(tree: &Tree) -> String {
    tree.journal().crashes_since(0).entries[0].location.clone().expect("a panic has a place")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_more_siblings_replaces_a_pending_one() {
    let (children, [to_a, _, to_c]) = three();
    // Delays long enough that the second crash comes while the first restart waits.
    let slow = Backoff::exponential(millis(400), millis(400));
    let (root, mut steps) =
        start(SupervisorSpec { backoff: slow, ..quick(Strategy::RestForOne, children) }).await;
    to_c.cast(PuppetMessage::Panic).expect("c runs");
    assert_eq!(steps.until("restarting c").await, ["crashed c", "restarting c"]);
    to_a.cast(PuppetMessage::Panic).expect("a runs");
    let expected = ["crashed a", "restarting a", "stopped b", "started a", "started b", "started c"];
    assert_eq!(steps.until("started c").await, expected);
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_a_restart_is_pending_does_not_wait_for_it() {
    let (child, address) = puppet("a");
    let slow = Backoff::exponential(secs(50), secs(50));
    let budget = Budget { restarts_max: 1, window: secs(100) };
    let (root, mut steps) =
        start(SupervisorSpec { backoff: slow, budget, ..quick(Strategy::OneForOne, vec![child]) }).await;
    address.cast(PuppetMessage::Fail).expect("a runs");
    steps.until("restarting a").await;
    while !matches!(steps.tree.get("node/a").map(|actor| actor.state), Some(ActorState::Waiting { .. })) {
        tokio::task::yield_now().await;
    }
    assert_eq!(address.cast(PuppetMessage::Fail), Err(crate::supervise::CastError::Gone));
    finish(root).await;
    assert_eq!(steps.tree.get("node/a").map(|actor| actor.state), Some(ActorState::Stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_wait_longer_and_longer() {
    let (child, address) = puppet("a");
    let backoff = Backoff::exponential(millis(20), millis(80));
    let (root, mut steps) =
        start(SupervisorSpec { backoff, ..quick(Strategy::OneForOne, vec![child]) }).await;
    for _ in 0..4 {
        address.cast(PuppetMessage::Fail).expect("a runs");
        steps.until("started a").await;
    }
    let events = steps.tree.journal().events_since(0).entries;
    let delays = events.iter().filter_map(|event| match event.kind {
        EventKind::Restarting { after } => Some(after),
        _ => None,
    });
    for (delay, ceiling) in delays.zip([20, 40, 80, 80].map(millis)) {
        assert!(delay >= ceiling / 2 && delay <= ceiling, "{delay:?} is jittered down from {ceiling:?}");
    }
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynamic_supervisor_that_gives_up_escalates_too() {
    let spec = DynamicSpec { budget: Budget { restarts_max: 0, window: secs(5) }, ..DynamicSpec::new(3) };
    let (child, children) = ChildSpec::dynamic("pool", spec);
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    let (worker, address) = puppet("worker");
    children.start_child(worker, PATIENCE).await.expect("it starts");
    address.cast(PuppetMessage::Panic).expect("it runs");
    let expected = [
        "started pool/worker",
        "crashed pool/worker",
        "exhausted pool",
        "escalated pool",
        "restarting pool",
        "started pool",
    ];
    assert_eq!(steps.until("started pool").await, expected);
    assert_eq!(children.list(PATIENCE).await, Ok(Vec::new()), "a dynamic supervisor restarts empty");
    finish(root).await;
}
