//! What supervision costs: a call through an [`Address`] against a call to a plain ractor actor, both with a
//! deadline.
//!
//! Both actors do the same (add, answer), run in one process on one runtime, and take turns in short rounds,
//! so that whatever disturbs the machine disturbs both; the ratio is the median over pairs of neighbouring
//! rounds. Sequential is one caller that waits for each answer; parallel is 64 callers at one actor.

use std::future::Future;
use std::time::{Duration, Instant};

use forge_actors::supervise::{
    Actor, ActorError, Address, ChildSpec, Context, Message, Reply, Root, Strategy, SupervisorSpec, Tree,
};
use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::task::JoinSet;

use crate::goal::{Goal, median};

const ROUNDS: usize = 41;
const CALLS_PER_ROUND: usize = 10_000;
const CALLERS: usize = 64;
const DEADLINE: Duration = Duration::from_secs(5);

struct Plain;

struct PlainAdd(u64, RpcReplyPort<u64>);

impl ractor::Message for PlainAdd {}

impl ractor::Actor for Plain {
    type Msg = PlainAdd;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<PlainAdd>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<PlainAdd>,
        PlainAdd(amount, reply): PlainAdd,
        sum: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        *sum += amount;
        let _ = reply.send(*sum);
        Ok(())
    }
}

struct Supervised;

struct Add(u64, Reply<u64>);

impl Message for Add {
    const NAMES: &'static [&'static str] = &["Add"];

    fn index(&self) -> usize {
        0
    }
}

impl Actor for Supervised {
    type Message = Add;
    type State = u64;
    const KIND: &'static str = "adder";

    async fn start(&self, _: &Context<Add>) -> Result<u64, ActorError> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: &Context<Add>,
        Add(amount, reply): Add,
        sum: &mut u64,
    ) -> Result<(), ActorError> {
        *sum += amount;
        reply.send(*sum);
        Ok(())
    }
}

/// The ratios; fails when an actor cannot be reached.
pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let mut goals = Vec::new();
    let (plain, plain_task) = ractor::Actor::spawn(None, Plain, ()).await?;
    let (child, address) = ChildSpec::actor("adder", || Supervised);
    let root =
        Root::start("bench", SupervisorSpec::new(Strategy::OneForOne, vec![child]), Tree::new()).await?;
    for (name, callers) in [("1 caller", 1), ("64 callers", CALLERS)] {
        // Warms caches and the allocator; not counted.
        round_of(callers, |calls| call_plain(plain.clone(), calls)).await;
        round_of(callers, |calls| call_supervised(address.clone(), calls)).await;
        let mut rates = (Vec::new(), Vec::new());
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            // Who goes first alternates, since the first of a pair finds the colder caches.
            let (bare, ours) = if round % 2 == 0 {
                let bare = round_of(callers, |calls| call_plain(plain.clone(), calls)).await;
                (bare, round_of(callers, |calls| call_supervised(address.clone(), calls)).await)
            } else {
                let ours = round_of(callers, |calls| call_supervised(address.clone(), calls)).await;
                (round_of(callers, |calls| call_plain(plain.clone(), calls)).await, ours)
            };
            rates.0.push(bare);
            rates.1.push(ours);
            ratios.push(ours / bare);
        }
        let (bare, ours, ratio) = (median(rates.0), median(rates.1), median(ratios));
        println!("actor call, {name}: {ours:.0}/s supervised, {bare:.0}/s plain ractor");
        goals.push(Goal::at_least(
            format!("actor calls/s, supervised / plain ractor, {name}"),
            ratio,
            "×",
            0.9,
        ));
    }
    root.stop(DEADLINE).await?;
    plain.stop(None);
    plain_task.await?;
    Ok(goals)
}

async fn call_plain(actor: ActorRef<PlainAdd>, calls: usize) {
    for _ in 0..calls {
        let answer = actor.call(|reply| PlainAdd(1, reply), Some(DEADLINE)).await;
        assert!(matches!(answer, Ok(ractor::rpc::CallResult::Success(_))), "the plain actor answers");
    }
}

async fn call_supervised(address: Address<Add>, calls: usize) {
    for _ in 0..calls {
        let answer = address.call(|reply| Add(1, reply), DEADLINE).await;
        assert!(answer.is_ok(), "the supervised actor answers: {answer:?}");
    }
}

/// Calls per second. The callers are tasks of the runtime, as requests are; a caller on the main thread would
/// measure wake-ups.
async fn round_of<F: Future<Output = ()> + Send + 'static>(
    callers: usize,
    caller: impl Fn(usize) -> F,
) -> f64 {
    let calls = CALLS_PER_ROUND / callers;
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..callers {
        tasks.spawn(caller(calls));
    }
    tasks.join_all().await;
    (calls * callers) as f64 / began.elapsed().as_secs_f64()
}
