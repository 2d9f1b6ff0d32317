//! Addresses, mailboxes, deadlines, counters.

use tokio::sync::Semaphore;

use super::*;
use crate::supervise::meter::Meter;
use crate::supervise::{ActorCallError, ActorState, CastError, StopTimeout, Work, WorkGuard};

async fn one() -> (Root, Steps, Address<PuppetMessage>) {
    let (child, address) = puppet("a");
    let (root, steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    (root, steps, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_refuses_and_a_stopped_actor_is_gone() -> Result<(), StopTimeout> {
    let (root, steps, address) = one().await;
    let gate = Arc::new(Semaphore::new(0));
    let slow = || address.call(|reply| PuppetMessage::SlowEcho(Arc::clone(&gate), reply), PATIENCE);
    let (mut waiting, mut refused) = (Vec::new(), None);
    for _ in 0..4 {
        let mut call = Box::pin(slow());
        match futures::poll!(call.as_mut()) {
            std::task::Poll::Pending => waiting.push(call),
            std::task::Poll::Ready(answer) => refused = Some(answer),
        }
    }
    assert_eq!((waiting.len(), refused), (3, Some(Err(ActorCallError::Full { mailbox_max: 3 }))));
    let actor = steps.tree.get("node/a").expect("known");
    assert_eq!((actor.mailbox_depth.get(), actor.mailbox_max.get()), (3, 3));
    gate.add_permits(1);
    assert_eq!(futures::future::join_all(waiting).await, [Ok(false); 3]);
    root.stop(PATIENCE).await?;
    assert_eq!(address.cast(PuppetMessage::Stop), Err(CastError::Gone));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_timed_out_is_closed_for_its_handler() {
    let (root, _, address) = one().await;
    let gate = Arc::new(Semaphore::new(0));
    let (sent, blocking) = tokio::sync::oneshot::channel();
    // The first call is being handled; the second one times out in the mailbox.
    let blocker = tokio::spawn({
        let (address, gate) = (address.clone(), Arc::clone(&gate));
        async move {
            let _ = sent.send(());
            address.call(|reply| PuppetMessage::SlowEcho(gate, reply), PATIENCE).await
        }
    });
    blocking.await.expect("the blocker runs");
    let abandoned = address.call(|reply| PuppetMessage::SlowEcho(Arc::clone(&gate), reply), millis(20)).await;
    assert_eq!(abandoned, Err(ActorCallError::TimedOut { deadline: millis(20) }));
    gate.add_permits(1);
    assert_eq!(blocker.await.expect("it ends"), Ok(false));
    assert_eq!(address.call(|reply| PuppetMessage::Echo(1, reply), PATIENCE).await, Ok(1));
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_knows_that_its_caller_does_not_wait() {
    let (sender, receiver) = std::sync::mpsc::channel();
    struct Holder;
    struct Hold(std::sync::mpsc::Sender<Reply<()>>, Reply<()>);
    impl Message for Hold {
        const NAMES: &'static [&'static str] = &["Hold"];
        fn index(&self) -> usize {
            0
        }
    }
    impl Actor for Holder {
        type Message = Hold;
        type State = ();
        const KIND: &'static str = "holder";
        async fn start(&self, _: &Context<Hold>) -> Result<(), ActorError> {
            Ok(())
        }
        async fn handle(
            &self,
            _: &Context<Hold>,
            Hold(out, reply): Hold,
            (): &mut (),
        ) -> Result<(), ActorError> {
            Ok(out.send(reply)?)
        }
    }
    let (child, address) = ChildSpec::actor("holder", || Holder);
    let (root, _) = start(quick(Strategy::OneForOne, vec![child])).await;
    let answer = address.call(|reply| Hold(sender, reply), millis(20)).await;
    assert_eq!(answer, Err(ActorCallError::TimedOut { deadline: millis(20) }));
    let reply = receiver.recv().expect("the handler passed it out");
    assert!(reply.is_closed());
    assert!(!reply.send(()));
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_answers_the_waiting_callers() {
    let (root, mut steps, address) = one().await;
    address.cast(PuppetMessage::Fail).expect("a runs");
    let answer = address.call(|reply| PuppetMessage::Echo(1, reply), PATIENCE).await;
    assert!(matches!(answer, Ok(1) | Err(ActorCallError::NoReply | ActorCallError::Gone)), "{answer:?}");
    steps.until("started a").await;
    assert_eq!(address.call(|reply| PuppetMessage::Echo(2, reply), PATIENCE).await, Ok(2));
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_counts_messages_over_restarts_and_shows_the_current_one() {
    let (root, mut steps, address) = one().await;
    for number in 0..5 {
        assert_eq!(address.call(|reply| PuppetMessage::Echo(number, reply), PATIENCE).await, Ok(number));
    }
    address.cast(PuppetMessage::Fail).expect("a runs");
    steps.until("started a").await;
    assert_eq!(address.call(|reply| PuppetMessage::Echo(9, reply), PATIENCE).await, Ok(9));
    address.cast(PuppetMessage::Hang).expect("a runs");
    let get = || steps.tree.get("node/a").expect("known");
    while get().current.is_none_or(|current| current.name != "Hang") {
        tokio::task::yield_now().await;
    }
    // Read again: the figures of one read are not of one moment.
    let hanging = get();
    assert_eq!(
        (hanging.handled.get(), hanging.mailbox_depth.get(), hanging.restarts.get(), hanging.kind.as_str()),
        (7, 1, 1, "puppet")
    );
    assert_eq!((hanging.state, hanging.mailbox_max.get()), (ActorState::Running, 3));
    let json = serde_json::to_value(&hanging).expect("it serializes");
    assert_eq!(
        (&json["mailboxDepth"], &json["state"]["is"], &json["current"]["name"]),
        (&1.into(), &"running".into(), &"Hang".into())
    );
    assert_eq!(serde_json::from_value::<crate::supervise::ActorInfo>(json).expect("it reads back"), hanging);
    root.stop(millis(50)).await.expect_err("a hangs for its five seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_time_is_measured_to_the_tick() {
    let (root, steps, address) = one().await;
    let gate = Arc::new(Semaphore::new(0));
    let call = tokio::spawn({
        let (address, gate) = (address.clone(), Arc::clone(&gate));
        async move { address.call(|reply| PuppetMessage::SlowEcho(gate, reply), PATIENCE).await }
    });
    while steps
        .tree
        .get("node/a")
        .is_none_or(|actor| actor.current.is_none_or(|current| current.for_ms.get() < 30))
    {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    call.await.expect("it ends").expect("it is answered");
    finish(root).await;
    assert!(
        steps
            .tree
            .get("node/a")
            .is_some_and(|actor| actor.busy_ms.get() >= 30 && actor.mailbox_depth.get() == 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_fire_once_and_a_dropped_one_never() {
    let (root, mut steps, address) = one().await;
    let later = async |timers| {
        address.call(|reply| PuppetMessage::Later(timers, reply), PATIENCE).await.expect("it sets the timers")
    };
    later(vec![(millis(1), PuppetMessage::Stop)]).await;
    assert_eq!(steps.until("started a").await, ["stopped a", "restarting a", "started a"]);
    // The dropped timer would fire first, and crash the actor.
    later(vec![(millis(1), PuppetMessage::Panic), (millis(40), PuppetMessage::Stop)]).await;
    assert_eq!(steps.until("started a").await, ["stopped a", "restarting a", "started a"]);
    finish(root).await;
}

#[test]
fn senders_that_race_never_see_a_full_mailbox() {
    let meter = Meter::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200_000 {
                    assert!(meter.reserve(1_000_000), "the mailbox is not full");
                    meter.release();
                }
            });
        }
    });
    assert!(meter.reserve(1) && !meter.reserve(1));
    let began = meter.begin(0);
    meter.end(began);
    // More handled than this sender has seen sent.
    let began = meter.begin(0);
    meter.end(began);
    assert!(meter.reserve(1));
}

#[test]
fn work_is_shown_for_as_long_as_it_lasts() {
    let meter = Meter::default();
    assert_eq!(meter.work(), None);
    let work = Work { handler: "mail.send".into(), id: "job 7".to_owned(), limit: secs(5) };
    let guard = WorkGuard::new(&meter, work);
    let shown = meter.work().expect("it is shown");
    assert_eq!(
        (shown.handler.as_str(), shown.id.as_str(), shown.limit_ms.get()),
        ("mail.send", "job 7", 5_000)
    );
    drop(guard);
    assert_eq!(meter.work(), None);
}
