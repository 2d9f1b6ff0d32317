//! Mailboxes before actors, loops as children, repeating timers, notifications.

use tokio::sync::Semaphore;

use super::*;
use crate::supervise::{ActorState, CastError, Mailbox};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_exists_before_its_actor() {
    let (mailbox, address) = Mailbox::<PuppetMessage>::new(2);
    assert_eq!(address.cast(PuppetMessage::Stop), Err(CastError::Gone));
    address.notify(PuppetMessage::Stop);
    let child = ChildSpec::with_mailbox("a", mailbox, Puppet::default);
    let (root, steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    assert_eq!(address.call(|reply| PuppetMessage::Echo(1, reply), PATIENCE).await, Ok(1));
    let actor = steps.tree.get("node/a").expect("it runs");
    assert_eq!(actor.mailbox_max.get(), 2, "the mailbox decides, not the actor");
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_finds_a_full_mailbox_is_dropped() {
    let (child, address) = puppet("a");
    let (root, steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    let gate = Arc::new(Semaphore::new(0));
    let mut slow =
        Box::pin(address.call(|reply| PuppetMessage::SlowEcho(Arc::clone(&gate), reply), PATIENCE));
    assert!(futures::poll!(slow.as_mut()).is_pending());
    for _ in 0..10 {
        address.notify(PuppetMessage::Stop);
    }
    let actor = steps.tree.get("node/a").expect("it runs");
    assert_eq!(actor.mailbox_depth, actor.mailbox_max);
    gate.add_permits(1);
    assert_eq!(slow.await, Ok(false));
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_restarts_after_an_error_or_a_panic_and_rests_when_it_returns() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let child = ChildSpec::task("loop", move || {
        let run = counted.fetch_add(1, SeqCst);
        async move {
            match run {
                0 => Err(ScriptedError.into()),
                1 => panic!("the loop panics"),
                _ => Ok(()),
            }
        }
    });
    let (root, mut steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    steps.until("stopped loop").await;
    let crashes = steps.tree.journal().crashes_since(0).entries;
    let causes: Vec<_> = crashes.iter().map(|crash| crash.cause.as_str()).collect();
    assert_eq!(causes, ["scripted error", "the loop panics"]);
    assert_eq!(runs.load(SeqCst), 3);
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_cut_when_it_is_stopped() {
    let child = ChildSpec::task("loop", || async {
        loop {
            pending::<()>().await;
        }
    });
    let (root, steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    finish(root).await;
    assert_eq!(steps.tree.get("node/loop").map(|actor| actor.state), Some(ActorState::Stopped));
}

/// Sends itself ticks every millisecond, and is slow to handle the first of them.
struct Metronome {
    gate: Arc<Semaphore>,
}

enum Beat {
    Tick,
    Count(Reply<u32>),
}

impl Message for Beat {
    const NAMES: &'static [&'static str] = &["Tick", "Count"];
    fn index(&self) -> usize {
        usize::from(matches!(self, Self::Count(_)))
    }
}

impl Actor for Metronome {
    type Message = Beat;
    type State = (Timer, u32);
    const KIND: &'static str = "metronome";
    async fn start(&self, cx: &Context<Beat>) -> Result<(Timer, u32), ActorError> {
        Ok((cx.send_every(millis(1), || Beat::Tick), 0))
    }
    async fn handle(
        &self,
        _: &Context<Beat>,
        message: Beat,
        (_, ticks): &mut (Timer, u32),
    ) -> Result<(), ActorError> {
        match message {
            Beat::Tick => {
                self.gate.acquire().await?.forget();
                *ticks += 1;
            }
            Beat::Count(reply) => {
                reply.send(*ticks);
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_a_slow_actor_misses_are_skipped() {
    let metronome = |id: &str, gate: &Arc<Semaphore>| {
        let (mailbox, address) = Mailbox::of::<Metronome>();
        let gate = Arc::clone(gate);
        (ChildSpec::with_mailbox(id, mailbox, move || Metronome { gate: Arc::clone(&gate) }), address)
    };
    let gate = Arc::new(Semaphore::new(0));
    let ((slow, address), (quick_one, ticking)) =
        (metronome("a", &gate), metronome("b", &Arc::new(Semaphore::new(1_000_000))));
    let (root, steps) = start(quick(Strategy::OneForOne, vec![slow, quick_one])).await;
    // One tick is being handled and one waits, however many ticks an actor that is quick gets meanwhile.
    while steps.tree.get("node/a").is_none_or(|actor| actor.mailbox_depth.get() < 2) {
        tokio::task::yield_now().await;
    }
    let ticks = async || ticking.call(Beat::Count, PATIENCE).await.expect("it runs");
    let before = ticks().await;
    while ticks().await < before + 20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(steps.tree.get("node/a").map(|actor| actor.mailbox_depth.get()), Some(2));
    gate.add_permits(1_000);
    while address.call(Beat::Count, PATIENCE).await.expect("it runs") < 4 {
        tokio::task::yield_now().await;
    }
    finish(root).await;
}
