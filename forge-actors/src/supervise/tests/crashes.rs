//! Crash records, and that recording them is cheap and bounded.

use super::*;
use crate::kernel::limits::JOURNAL_ENTRIES_MAX;
use crate::supervise::{ActorJournal, Crash, catch_unwind};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_recorded_with_cause_place_message_and_backtrace() {
    let (child, address) = puppet("a");
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    for _ in 0..2 {
        address.cast(PuppetMessage::Panic).expect("a runs");
        steps.until("started a").await;
    }
    let crashes = steps.tree.journal().crashes_after(0).await.entries;
    let crash = &crashes[0];
    assert_eq!(
        (crash.path.as_str(), crash.kind.as_str(), crash.cause.as_str()),
        ("node/a", "puppet", "scripted panic")
    );
    assert_eq!((crash.message, crash.restarts, crashes[1].restarts), (Some("Panic"), 0, 1));
    assert!(crash.location.as_ref().is_some_and(|place| place.contains("tests.rs")), "{:?}", crash.location);
    let stack = crash.backtrace.as_ref().expect("a panic has a stack");
    assert!(stack.contains("Puppet"), "the stack names the actor: {stack}");
    let same = crashes[1].backtrace.as_ref().is_some_and(|other| Arc::ptr_eq(stack, other));
    assert!(same, "an equal panic reuses the symbolised stack");
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_task_of_the_actor_is_its_crash() {
    let (child, address) = puppet("a");
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    address.cast(PuppetMessage::TaskPanics).expect("a runs");
    assert_eq!(steps.until("started a").await, ["crashed a", "restarting a", "started a"]);
    let crash = steps.tree.journal().crashes_since(0).entries.remove(0);
    assert_eq!((crash.cause.as_str(), crash.message), ("the task panics", Some("side task")));
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_end_with_their_actor() {
    struct Owner(Arc<()>);
    impl Actor for Owner {
        type Message = PuppetMessage;
        type State = ();
        const KIND: &'static str = "owner";
        async fn start(&self, cx: &Context<PuppetMessage>) -> Result<(), ActorError> {
            let held = Arc::clone(&self.0);
            cx.spawn("holder", async move {
                pending::<()>().await;
                drop(held);
            });
            Ok(())
        }
        async fn handle(
            &self,
            _: &Context<PuppetMessage>,
            _: PuppetMessage,
            (): &mut (),
        ) -> Result<(), ActorError> {
            Err(ScriptedError.into())
        }
    }
    let held = Arc::new(());
    let shared = Arc::clone(&held);
    let (child, address) = ChildSpec::actor("owner", move || Owner(Arc::clone(&shared)));
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    let alive = Arc::strong_count(&held);
    address.cast(PuppetMessage::Fail).expect("it runs");
    steps.until("started owner").await;
    assert_eq!(
        Arc::strong_count(&held),
        alive,
        "the task of the first incarnation is dropped before the second one starts"
    );
    finish(root).await;
    assert_eq!(Arc::strong_count(&held), 1, "nothing is held after the stop");
}

#[tokio::test]
async fn catching_nests_and_sees_panics_without_a_hook() {
    let inner = catch_unwind(async {
        let nested = catch_unwind(async { panic!("inner") }).await;
        assert_eq!(nested.expect_err("it panics").message, "inner");
        panic!("{} {}", "outer", 2)
    });
    let panic = inner.await.expect_err("it panics");
    assert_eq!(panic.message, "outer 2");
    assert!(panic.location.contains("crashes.rs"));
    let resumed =
        catch_unwind(async { std::panic::resume_unwind(Box::new("resumed")) }).await.expect_err("it unwinds");
    assert_eq!((resumed.message.as_str(), resumed.location.as_str()), ("resumed", ""));
}

#[tokio::test]
async fn ten_thousand_equal_panics_are_cheap() {
    let caught = || catch_unwind(async { panic!("again") });
    let first = caught().await.expect_err("it panics").backtrace;
    let began = std::time::Instant::now();
    for _ in 0..10_000 {
        let panic = caught().await.expect_err("it panics");
        assert!(Arc::ptr_eq(&panic.backtrace, &first));
    }
    // With a symbolised stack for each panic this would take minutes.
    assert!(began.elapsed() < secs(6), "{:?}", began.elapsed());
}

#[test]
fn the_journal_is_bounded_and_counts_the_entries_that_a_reader_missed() {
    let journal = ActorJournal::default();
    for number in 1..=JOURNAL_ENTRIES_MAX as u64 + 10 {
        assert_eq!(journal.record_crash(Crash::new("fn/list", "query", &"x".repeat(10_000))), number);
    }
    let all = journal.crashes_since(0);
    assert_eq!((all.entries.len(), all.lost, all.entries[0].seq), (JOURNAL_ENTRIES_MAX, 10, 11));
    assert!(
        all.entries[0].cause.len() <= crate::kernel::limits::CAUSE_BYTES_MAX
            && all.entries[0].cause.ends_with("(cut)")
    );
    let newest = journal.crashes_since(JOURNAL_ENTRIES_MAX as u64 + 8);
    assert_eq!((newest.entries.len(), newest.lost), (2, 0));
    let future = journal.crashes_since(u64::MAX);
    assert_eq!((future.entries.len(), future.lost), (0, 0));
}
