//! The workflows of these tests, and the handlers that start them.

use forge::prelude::*;

/// Writes what a step has done.
#[forge::mutation(internal)]
pub(super) async fn note(ctx: &MutationContext, run: RunId, entry: String) -> Result<u32> {
    let insert = "INSERT INTO log (run, entry) VALUES ($1, $2)";
    sqlx::query(insert).bind(run.to_string()).bind(&entry).execute(ctx.db()).await?;
    Ok(entry.len() as u32)
}

/// As [`note`], from outside of any transaction.
#[forge::action(internal)]
pub(super) async fn note_by_action(ctx: &ActionContext, run: RunId, entry: String) -> Result<u32> {
    Ok(ctx.call(Note { run, entry }).await?)
}

/// Fails.
#[forge::action(internal)]
pub(super) async fn refuse(_ctx: &ActionContext) -> Result<u32, FlowError> {
    Err(FlowError::Refused { why: "no".to_owned() })
}

#[forge::error]
pub(super) enum FlowError {
    /// It was refused.
    #[code("REFUSED", status = 409)]
    Refused { why: String },
}

#[forge::event(key = order)]
pub(super) struct Paid {
    pub order: u32,
    pub amount: u32,
}

#[forge::event]
pub(super) struct Nudge {
    pub text: String,
}

/// Three steps.
#[forge::workflow]
pub(super) async fn three(ctx: &WorkflowContext, times: u32) -> Result<u32> {
    let run = ctx.run_id();
    let mut sum = 0;
    for time in 0..times {
        sum += ctx.step("note", Note { run, entry: format!("note {time}") }).await?;
    }
    let doubled = ctx.step("double", || async move { Ok(sum * 2) }).await?;
    let by_action = ctx
        .step("act", move |ctx: ActionContext| async move {
            Ok(ctx.call(Note { run, entry: "by an action".to_owned() }).await?)
        })
        .await?;
    Ok(doubled + by_action)
}

#[forge::mutation(internal)]
pub(super) async fn start_three(ctx: &MutationContext, times: u32) -> Result<RunId> {
    ctx.start(Three { times }).await
}

#[forge::action(internal)]
pub(super) async fn start_three_alone(ctx: &ActionContext, times: u32) -> Result<RunId> {
    ctx.start(Three { times }).await
}

/// Waits for a payment, for an hour at most.
#[forge::workflow]
pub(super) async fn payment(ctx: &WorkflowContext, order: u32) -> Result<Option<u32>> {
    ctx.step("begin", Note { run: ctx.run_id(), entry: "begin".to_owned() }).await?;
    let paid = ctx.wait_for::<Paid>(order).timeout(hours(1)).await?;
    ctx.step("end", Note { run: ctx.run_id(), entry: "end".to_owned() }).await?;
    Ok(paid.map(|paid| paid.amount))
}

/// Waits for two payments of one order.
#[forge::workflow]
pub(super) async fn installments(ctx: &WorkflowContext, order: u32) -> Result<Vec<u32>> {
    let first = ctx.wait_for::<Paid>(order).await?;
    let second = ctx.wait_for::<Paid>(order).await?;
    let both = ctx.parallel((ctx.wait_for::<Paid>(order), ctx.wait_for::<Paid>(order))).await?;
    Ok(vec![first.amount, second.amount, both.0.amount, both.1.amount])
}

/// Sleeps, and says when it was where.
#[forge::workflow]
pub(super) async fn trial(ctx: &WorkflowContext) -> Result<Vec<Timestamp>> {
    let began = ctx.now();
    ctx.sleep(days(45)).await;
    let slept = ctx.now();
    ctx.step("end", Note { run: ctx.run_id(), entry: "end".to_owned() }).await?;
    Ok(vec![began, slept])
}

/// Waits for two signals.
#[forge::workflow]
pub(super) async fn nudged(ctx: &WorkflowContext) -> Result<String> {
    let first = ctx.wait_for_signal::<Nudge>().await?;
    let second = ctx.wait_for_signal::<Nudge>().timeout(days(1)).await?;
    Ok(format!("{} {}", first.text, second.map_or("nothing".to_owned(), |nudge| nudge.text)))
}

#[forge::mutation(internal)]
pub(super) async fn begin_payment(ctx: &MutationContext, order: u32) -> Result<RunId> {
    ctx.start(Payment { order }).id(("payment", order)).await
}

#[forge::mutation(internal)]
pub(super) async fn begin_installments(ctx: &MutationContext, order: u32) -> Result<RunId> {
    ctx.start(Installments { order }).await
}

#[forge::action(internal)]
pub(super) async fn begin_trial(ctx: &ActionContext) -> Result<RunId> {
    ctx.start(Trial {}).await
}

#[forge::action(internal)]
pub(super) async fn begin_nudged(ctx: &ActionContext) -> Result<RunId> {
    ctx.start(Nudged {}).id("nudged").with_signal(Nudge { text: "now".to_owned() }).await
}

#[forge::mutation(internal)]
pub(super) async fn pay(ctx: &MutationContext, order: u32, amount: u32) -> Result<bool> {
    ctx.emit(Paid { order, amount }).once(&amount.to_string()).await
}

#[forge::mutation(internal)]
pub(super) async fn nudge_run(ctx: &MutationContext, run: RunId, text: String) -> Result<bool> {
    ctx.signal(run, Nudge { text }).await
}

/// Three steps to be taken back, then a failure.
#[forge::workflow]
pub(super) async fn saga(ctx: &WorkflowContext, fails: bool) -> Result<u32, FlowError> {
    let run = ctx.run_id();
    let undo = move |entry: &str| Note { run, entry: format!("undo {entry}") };
    let write = move |entry: &str| Note { run, entry: entry.to_owned() };
    ctx.step("one", write("one")).compensate(move |_| undo("one")).await?;
    ctx.parallel((ctx.step("two", write("two")).compensate(move |_| undo("two")), async {
        ctx.step("three", NoteByAction { run, entry: "three".to_owned() })
            .compensate(move |_| undo("three"))
            .await?;
        ctx.step("four", write("four")).compensate(move |_| undo("four")).await
    }))
    .await?;
    ctx.step("maybe", Refuse {}).optional().await?;
    ctx.sleep(days(1)).await;
    if fails {
        ctx.step("refused", Refuse {}).await?;
    }
    Ok(7)
}

#[forge::action(internal)]
pub(super) async fn begin_saga(ctx: &ActionContext, fails: bool) -> Result<RunId> {
    ctx.start(Saga { fails }).await
}

/// Races a payment against a pause.
#[forge::workflow]
pub(super) async fn race(ctx: &WorkflowContext, order: u32) -> Result<String> {
    let raced = ctx.race((ctx.wait_for::<Paid>(order), async {
        ctx.sleep(hours(1)).await;
        ctx.step("late", Note { run: ctx.run_id(), entry: "late".to_owned() }).await
    }));
    let winner = match raced.await? {
        Winner2::First(paid) => format!("paid {}", paid?.amount),
        Winner2::Second(late) => format!("late {}", late?),
    };
    ctx.sleep(hours(1)).await;
    Ok(winner)
}

/// Doubles numbers, side by side.
#[forge::workflow]
pub(super) async fn doubles(ctx: &WorkflowContext, count: u32) -> Result<u32> {
    let doubled = ctx
        .join_all((0..count).map(|number| ctx.step("double", move || async move { Ok(number * 2) })))
        .await?;
    Ok(doubled.into_iter().sum())
}

#[forge::action(internal)]
pub(super) async fn begin_race(ctx: &ActionContext, order: u32) -> Result<RunId> {
    ctx.start(Race { order }).await
}

#[forge::action(internal)]
pub(super) async fn begin_doubles(ctx: &ActionContext, count: u32) -> Result<RunId> {
    ctx.start(Doubles { count }).await
}

/// Fails with its own error, or ends with twice the number.
#[forge::workflow]
pub(super) async fn double_or_fail(ctx: &WorkflowContext, number: u32) -> Result<u32, FlowError> {
    ctx.sleep(secs(3_600)).await;
    if number == 13 {
        return Err(FlowError::Refused { why: "unlucky".to_owned() });
    }
    Ok(number * 2)
}

#[forge::job]
pub(super) async fn triple(_ctx: &JobContext, number: u32) -> Result<u32> {
    Ok(number * 3)
}

/// Waits for a child, for one that fails, and for a job.
#[forge::workflow]
pub(super) async fn family(ctx: &WorkflowContext) -> Result<Vec<String>> {
    let child = ctx.run_child(DoubleOrFail { number: 4 }).await?;
    let failed = match ctx.run_child(DoubleOrFail { number: 13 }).await {
        Err(CallError::App(FlowError::Refused { why })) => why,
        other => format!("{other:?}"),
    };
    let job = ctx.run_job(Triple { number: 5 }).await?;
    let dispatched = ctx.dispatch(Triple { number: 6 }).await?;
    Ok(vec![child.to_string(), failed, job.to_string(), dispatched.to_string()])
}

#[forge::action(internal)]
pub(super) async fn begin_family(ctx: &ActionContext) -> Result<RunId> {
    ctx.start(Family {}).await
}

#[forge::job(unique(by = number))]
pub(super) async fn single(_ctx: &JobContext, number: u32) -> Result<u32> {
    Ok(number * 4)
}

/// Starts and dispatches what is there already. Returns what it has seen of that the first time, what it sees
/// when it goes on from its journal, and the result of a job of its own.
#[forge::workflow]
pub(super) async fn latecomer(ctx: &WorkflowContext) -> Result<(String, String, u32)> {
    let started = [ctx.start(DoubleOrFail { number: 1 }).id("shared").outcome().await?];
    let found = ctx.start(DoubleOrFail { number: 1 }).id("shared").outcome().await?;
    let dispatched = ctx.dispatch(Single { number: 1 }).after(hours(10)).outcome().await?;
    let known = ctx.dispatch(Single { number: 1 }).outcome().await?;
    let sees = format!("{started:?} {found:?} {dispatched:?} {known:?}");
    let seen = sees.clone();
    let first = ctx.step("see", move || {
        let seen = seen.clone();
        async move { Ok(seen) }
    });
    let first = first.await?;
    ctx.sleep(days(1)).await;
    let tripled = ctx.run_job(Single { number: 1 }).await?;
    Ok((first, sees, tripled))
}

#[forge::action(internal)]
pub(super) async fn begin_latecomer(ctx: &ActionContext) -> Result<RunId> {
    ctx.start(Latecomer {}).await
}

/// Goes on as a new run until nothing is left.
#[forge::workflow]
pub(super) async fn countdown(ctx: &WorkflowContext, left: u32) -> Result<String> {
    ctx.step("note", Note { run: ctx.run_id(), entry: left.to_string() }).await?;
    if left > 0 {
        return ctx.continue_as_new(Countdown { left: left - 1 });
    }
    Ok("done".to_owned())
}

#[forge::action(internal)]
pub(super) async fn begin_countdown(ctx: &ActionContext, left: u32) -> Result<RunId> {
    ctx.start(Countdown { left }).id("countdown").await
}

/// Waits for a run that somebody else has started.
#[forge::workflow]
pub(super) async fn spectator(ctx: &WorkflowContext, run: RunId) -> Result<String> {
    Ok(ctx.result_of::<Countdown>(run).await?)
}

/// Waits for a child that goes on as a new run.
#[forge::workflow]
pub(super) async fn launch(ctx: &WorkflowContext) -> Result<String> {
    Ok(ctx.run_child(Countdown { left: 3 }).await?)
}

#[forge::action(internal)]
pub(super) async fn begin_spectator(ctx: &ActionContext, run: RunId) -> Result<RunId> {
    ctx.start(Spectator { run }).await
}

#[forge::action(internal)]
pub(super) async fn begin_launch(ctx: &ActionContext) -> Result<RunId> {
    ctx.start(Launch {}).await
}

/// Receives a signal in each of its runs.
#[forge::workflow]
pub(super) async fn relay(ctx: &WorkflowContext, received: Vec<String>) -> Result<Vec<String>> {
    let nudge = ctx.wait_for_signal::<Nudge>().await?;
    let received = [received, vec![nudge.text]].concat();
    if received.len() < 2 {
        return ctx.continue_as_new(Relay { received });
    }
    Ok(received)
}

#[forge::mutation(internal)]
pub(super) async fn begin_relay(ctx: &MutationContext) -> Result<RunId> {
    let run = ctx.start(Relay { received: Vec::new() }).await?;
    for text in ["one", "two"] {
        ctx.signal(run, Nudge { text: text.to_owned() }).await?;
    }
    Ok(run)
}

/// Writes in a transaction that also records the step.
#[forge::workflow]
pub(super) async fn reserve(ctx: &WorkflowContext) -> Result<Int64> {
    let run = ctx.run_id();
    let id = ctx
        .tx_step("reserve", async |tx| {
            let insert = "INSERT INTO log (run, entry) VALUES ($1, 'reserved') RETURNING id";
            let id: i64 = sqlx::query_scalar(insert).bind(run.to_string()).fetch_one(tx.db()).await?;
            Ok(Int64::from(id))
        })
        .await?;
    let refused = ctx
        .tx_step("refused", async |tx| {
            sqlx::query("INSERT INTO log (run, entry) VALUES ($1, 'lost')")
                .bind(run.to_string())
                .execute(tx.db())
                .await?;
            Err::<u32, _>(Fault::new(Code::Conflict, "no"))
        })
        .await;
    assert_eq!(refused.map_err(|fault| fault.code()).err(), Some(Code::Conflict));
    Ok(id)
}

#[forge::action(internal)]
pub(super) async fn begin_reserve(ctx: &ActionContext) -> Result<RunId> {
    ctx.start(Reserve {}).await
}
