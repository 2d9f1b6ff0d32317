//! Workflows whose steps leave traces: each execution of a step's body is a row of its own, written and
//! committed apart from the journal, so that what was executed twice is seen.

use std::time::Duration;

use forge::prelude::*;

use super::blocking::sleep_until;
use super::jobs::Note;

/// Steps of a saga of [`start_mix`].
const STEPS: u32 = 6;
/// The step after which every third of them fails.
const FAILS_AT: u32 = 4;

/// Writes down that a step is executed, for a while does nothing, and returns which process has done it.
#[forge::action(internal, timeout = "2m")]
pub async fn act(ctx: &ActionContext, key: String, what: String, ms: u32) -> Result<i64> {
    ctx.call(Note { key, what }).await?;
    tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
    Ok(i64::from(std::process::id()))
}

/// Steps `do 1`, `do 2` and so on, each with a compensation; it fails after the step `fails_at`, if there is
/// one.
#[forge::workflow]
pub async fn saga(ctx: &WorkflowContext, steps: u32, fails_at: u32, ms: u32) -> Result<u32> {
    let key = ctx.run_id().to_string();
    for n in 1..=steps {
        let name = format!("do {n}");
        let undo = Act { key: key.clone(), what: format!("undo {n}"), ms: 0 };
        ctx.step(&name, Act { key: key.clone(), what: name.clone(), ms }).compensate(move |_| undo).await?;
        if n == fails_at {
            return Err(Fault::new(Code::Conflict, "the saga fails, as asked"));
        }
    }
    Ok(steps)
}

/// Steps whose effects are committed together with their records, `put 1`, `tx 1`, `put 2` and so on; and one
/// step `do 1` whose effect is not.
#[forge::workflow]
pub async fn transactional(ctx: &WorkflowContext, steps: u32) -> Result<u32> {
    let key = ctx.run_id().to_string();
    for n in 1..=steps {
        let put = format!("put {n}");
        ctx.step(&put, Note { key: key.clone(), what: put.clone() }).await?;
        let (name, key) = (format!("tx {n}"), key.clone());
        let what = name.clone();
        ctx.tx_step(&name, async move |tx| {
            sqlx::query("insert into probe_effects (key, what, pid) values ($1, $2, $3)")
                .bind(&key)
                .bind(&what)
                .bind(i64::from(std::process::id()))
                .execute(tx.db())
                .await?;
            Ok(())
        })
        .await?;
    }
    ctx.step("do 1", Act { key, what: "do 1".into(), ms: 0 }).await?;
    Ok(steps)
}

/// What waiters wait for.
#[forge::event(key = bell)]
pub struct Rung {
    /// Which bell.
    pub bell: u32,
    /// Its number among those that were emitted.
    pub n: u32,
}

/// What listeners wait for.
#[forge::event]
pub struct Nudge {
    /// Its number among those that were sent.
    pub n: u32,
}

/// Takes an event within a time limit, or else whenever it comes. Returns whether it came within the limit; a
/// second event is an error.
#[forge::workflow]
pub async fn waiter(ctx: &WorkflowContext, bell: u32, limit_ms: u32, before_ms: u32) -> Result<bool> {
    let key = ctx.run_id().to_string();
    ctx.step("do 1", Act { key, what: "do 1".into(), ms: before_ms }).await?;
    let limit = Duration::from_millis(u64::from(limit_ms));
    let in_time = ctx.wait_for::<Rung>(bell).timeout(limit).await?.is_some();
    if !in_time {
        ctx.wait_for::<Rung>(bell).await?;
    }
    match ctx.wait_for::<Rung>(bell).timeout(Duration::from_millis(1)).await? {
        None => Ok(in_time),
        Some(_) => Err(Fault::new(Code::Conflict, "the bell has rung twice")),
    }
}

/// Takes two signals, whose numbers it returns.
#[forge::workflow]
pub async fn listener(ctx: &WorkflowContext) -> Result<(u32, u32)> {
    let first = ctx.wait_for_signal::<Nudge>().await?;
    let second = ctx.wait_for_signal::<Nudge>().await?;
    Ok((first.n, second.n))
}

/// Runs children side by side.
#[forge::workflow]
pub async fn parent(ctx: &WorkflowContext, children: u32) -> Result<u32> {
    let children = (0..children).map(|_| ctx.run_child(Saga { steps: 2, fails_at: 0, ms: 0 }));
    Ok(ctx.join_all(children).await?.into_iter().sum())
}

/// Does a step, and goes on as a new run until nothing is left.
#[forge::workflow]
pub async fn chain(ctx: &WorkflowContext, key: String, left: u32) -> Result<u32> {
    let link = format!("link {left}");
    ctx.step("link", Note { key: key.clone(), what: link }).await?;
    match left.checked_sub(1) {
        Some(left) => ctx.continue_as_new(Chain { key, left }),
        None => Ok(left),
    }
}

/// Where a tour is.
#[forge::data]
pub struct Stop {
    /// Runs that it goes on as.
    pub left: u32,
}

/// A tour's own error.
#[forge::error]
pub enum TourError {
    /// The tour is full, as asked.
    #[code("TOUR_FULL", status = 409)]
    Full {
        /// Which bell has rung last.
        bell: u32,
    },
}

/// Publishes where it is, packs, waits for a bell, and goes on as a new run, which waits for the next bell,
/// until none is left. Then it returns the number of the bell, or fails.
#[forge::workflow]
pub async fn tour(ctx: &WorkflowContext, bell: u32, left: u32, fails: bool) -> Result<u32, TourError> {
    ctx.publish(&Stop { left }).await?;
    ctx.step("pack", Note { key: ctx.run_id().to_string(), what: "pack".into() }).await?;
    ctx.wait_for::<Rung>(bell).await?;
    match left.checked_sub(1) {
        Some(left) => ctx.continue_as_new(Tour { bell: bell + 1, left, fails }),
        None if fails => Err(TourError::Full { bell }),
        None => Ok(bell),
    }
}

/// Starts a tour that its caller follows.
#[forge::mutation]
pub async fn follow_tour(
    ctx: &MutationContext,
    bell: u32,
    left: u32,
    fails: bool,
) -> Result<WorkflowHandle<Tour>> {
    ctx.start(Tour { bell, left, fails }).handle().await
}

/// The same from a call without a transaction, for callers without a token.
#[forge::action(public)]
pub async fn follow_publicly(ctx: &ActionContext, bell: u32) -> Result<WorkflowHandle<Tour>> {
    ctx.start(Tour { bell, left: 0, fails: false }).handle().await
}

/// Starts a tour with a handle, and fails: the answer names the run that there is not.
#[forge::mutation]
pub async fn start_in_vain(ctx: &MutationContext, bell: u32) -> Result<()> {
    let tour = ctx.start(Tour { bell, left: 0, fails: false }).handle().await?;
    let fault = Fault::new(Code::Conflict, "the start is rolled back, as asked");
    Err(fault.with_details(serde_json::json!({ "run": tour.id() })))
}

/// A step that sleeps on its thread until a file exists.
#[forge::workflow]
pub async fn blocked(ctx: &WorkflowContext, gate: String) -> Result<()> {
    let key = ctx.run_id().to_string();
    ctx.step("block", move |ctx: ActionContext| {
        let (key, gate) = (key.clone(), gate.clone());
        async move {
            ctx.call(Note { key, what: "block".into() }).await?;
            sleep_until(&gate);
            Ok(())
        }
    })
    .timeout(minutes(2))
    .await
}

/// Starts sagas, of which none fails.
#[forge::mutation(timeout = "1m")]
pub async fn start_sagas(ctx: &MutationContext, count: u32, steps: u32, ms: u32) -> Result<Vec<RunId>> {
    let mut runs = Vec::new();
    for _ in 0..count {
        // Clients follow them: what they see is checked with the journals.
        runs.push(ctx.start(Saga { steps, fails_at: 0, ms }).handle().await?.id());
    }
    Ok(runs)
}

/// Starts runs of several workflows: `scale` times six sagas of which two fail, three transactional ones,
/// three waiters for the bell, two parents of two children, and two chains of three links.
#[forge::mutation(timeout = "1m")]
pub async fn start_mix(ctx: &MutationContext, bell: u32, scale: u32) -> Result<()> {
    for n in 0..scale {
        for saga in 0..6 {
            let fails_at = if saga % 3 == 2 { FAILS_AT } else { 0 };
            ctx.start(Saga { steps: STEPS, fails_at, ms: 0 }).handle().await?;
        }
        for _ in 0..3 {
            ctx.start(Transactional { steps: 3 }).await?;
            ctx.start(Waiter { bell, limit_ms: 600_000, before_ms: 0 }).await?;
        }
        for half in 0..2 {
            ctx.start(Parent { children: 2 }).await?;
            ctx.start(Chain { key: format!("chain {bell} {n} {half}"), left: 2 }).handle().await?;
        }
    }
    Ok(())
}

/// Starts waiters, one for each of the bells from the number `first` on.
#[forge::mutation(timeout = "1m")]
pub async fn start_waiters(
    ctx: &MutationContext,
    first: u32,
    count: u32,
    limit_ms: u32,
    before_ms: u32,
) -> Result<()> {
    for bell in first..first + count {
        ctx.start(Waiter { bell, limit_ms, before_ms }).await?;
    }
    Ok(())
}

/// Starts listeners.
#[forge::mutation]
pub async fn start_listeners(ctx: &MutationContext, count: u32) -> Result<Vec<RunId>> {
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push(ctx.start(Listener {}).await?);
    }
    Ok(runs)
}

/// Starts a run whose step blocks its thread.
#[forge::mutation]
pub async fn start_blocked(ctx: &MutationContext, gate: String) -> Result<RunId> {
    ctx.start(Blocked { gate }).await
}

/// Rings bells after a while, each once however often this is called. Returns how many were new.
#[forge::action(timeout = "1m")]
pub async fn ring(ctx: &ActionContext, first: u32, count: u32, after_ms: u32) -> Result<u32> {
    tokio::time::sleep(Duration::from_millis(u64::from(after_ms))).await;
    let mut new = 0;
    for bell in first..first + count {
        new += u32::from(ctx.emit(Rung { bell, n: 1 }).once("rung").await?);
    }
    Ok(new)
}

/// Sends a signal to runs, each once however often this is called.
#[forge::mutation(timeout = "1m")]
pub async fn nudge(ctx: &MutationContext, runs: Vec<RunId>, n: u32) -> Result<()> {
    for run in runs {
        ctx.signal(run, Nudge { n }).once(&n.to_string()).await?;
    }
    Ok(())
}
