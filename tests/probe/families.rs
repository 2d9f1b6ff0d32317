//! Jobs that wait for jobs.

use forge::prelude::*;

use super::jobs::Note;

/// Dispatches a job with children.
#[forge::mutation]
pub async fn start_parent(
    ctx: &MutationContext,
    key: String,
    children: u32,
    ms: u32,
) -> Result<JobHandle<Parent>> {
    ctx.dispatch(Parent { key, children, ms }).handle().await
}

/// Dispatches a job with two children of different handlers, and one more after them.
#[forge::mutation]
pub async fn start_mixed(ctx: &MutationContext, key: String) -> Result<JobHandle<Mixed>> {
    ctx.dispatch(Mixed { key }).handle().await
}

/// Dispatches a batch, of which the member `fails` fails.
#[forge::action]
pub async fn start_batch(
    ctx: &ActionContext,
    key: String,
    count: u32,
    fails: u32,
) -> Result<JobHandle<Finale>> {
    let members = (1..=count).map(|n| Child { key: key.clone(), n, ms: 0, fails: n == fails });
    ctx.batch(members).then(Finale { key: key.clone() }).await
}

/// Dispatches a chain of three jobs, of which the second one fails while no row says otherwise.
#[forge::mutation]
pub async fn start_chain(ctx: &MutationContext, key: String) -> Result<JobHandle<Link>> {
    let link = |n: u32| Link { key: key.clone(), n };
    ctx.chain(link(1)).then(link(2)).then(link(3)).await
}

/// Dispatches a chain whose second job has children.
#[forge::mutation]
pub async fn start_chain_of_parents(ctx: &MutationContext, key: String) -> Result<JobHandle<Parent>> {
    let parent = Parent { key: key.clone(), children: 3, ms: 0 };
    ctx.chain(Link { key, n: 1 }).then(parent).await
}

/// Returns the sum of what its children return.
#[forge::job(queue = "work", attempts = 2)]
pub async fn parent(ctx: &JobContext, key: String, children: u32, ms: u32) -> Result<u32> {
    ctx.call(Note { key: key.clone(), what: "parent".into() }).await?;
    let children = (1..=children).map(|n| Child { key: key.clone(), n, ms, fails: false });
    let returned = ctx.join(children.collect::<Vec<_>>()).await?;
    let mut sum = 0;
    for child in returned {
        sum += child?;
    }
    Ok(sum)
}

/// Returns its number, and writes down that it has run, exactly once.
#[forge::job(queue = "children", attempts = 3, backoff = fixed("50ms"), timeout = "2m")]
pub async fn child(ctx: &JobContext, key: String, n: u32, ms: u32, fails: bool) -> Result<u32> {
    sleep(millis(u64::from(ms))).await;
    if fails {
        return Err(Fault::new(Code::Conflict, "the child fails, as asked"));
    }
    ctx.commit(async |tx| {
        tx.call(Note { key: format!("{key}-{n}"), what: "child".into() }).await?;
        Ok(n)
    })
    .await
}

/// Waits twice, and asks for children of two handlers.
#[forge::job(queue = "work")]
pub async fn mixed(ctx: &JobContext, key: String) -> Result<String> {
    let number = ctx.dispatch_child(Child { key: key.clone(), n: 7, ms: 0, fails: false }).await?;
    let failing = ctx.dispatch_child(Child { key: key.clone(), n: 8, ms: 0, fails: true }).await?;
    let link = ctx.dispatch_child(Link { key: key.clone(), n: 1 }).await?;
    ctx.wait_for_jobs().await?;
    ctx.call(Note { key: key.clone(), what: "first wait over".into() }).await?;
    let Err(CallError::Fault(failure)) = ctx.result(failing).await else {
        return Err(Fault::internal("the child was to fail"));
    };
    let last = ctx.dispatch_child(Child { key: key.clone(), n: 9, ms: 0, fails: false }).await?;
    ctx.wait_for_jobs().await?;
    let (number, link, last) = (ctx.result(number).await?, ctx.result(link).await?, ctx.result(last).await?);
    let counts = ctx.waited_counts().await?;
    let all = ctx.waited_results::<Child>().await?.len();
    Ok(format!(
        "{number} {link} {last}; {} completed, {} failed, {all} of one handler; {}",
        counts.completed,
        counts.failed,
        failure.message()
    ))
}

/// Dispatches a child, and ends without waiting for it, by `commit` or not.
#[forge::job(queue = "work", attempts = 1)]
pub async fn forgetful(ctx: &JobContext, key: String, commits: bool) -> Result<()> {
    ctx.dispatch_child(Link { key, n: 1 }).await?;
    if commits {
        ctx.commit(async |_| Ok(())).await?;
    }
    Ok(())
}

/// Dispatches a forgetful job.
#[forge::mutation]
pub async fn start_forgetful(
    ctx: &MutationContext,
    key: String,
    commits: bool,
) -> Result<JobHandle<Forgetful>> {
    ctx.dispatch(Forgetful { key, commits }).handle().await
}

/// The last job of a batch: counts the members and adds what they returned.
#[forge::job(queue = "work")]
pub async fn finale(ctx: &JobContext, key: String) -> Result<String> {
    ctx.call(Note { key, what: "finale".into() }).await?;
    let counts = ctx.waited_counts().await?;
    let sum: u32 = ctx.waited_results::<Child>().await?.into_iter().filter_map(std::result::Result::ok).sum();
    Ok(format!("{} completed, {} failed, sum {sum}", counts.completed, counts.failed))
}

/// A job of a chain: adds its number to what the one before has returned.
#[forge::job(queue = "work", attempts = 1)]
pub async fn link(ctx: &JobContext, key: String, n: u32) -> Result<String> {
    if n == 2 {
        let mended = "select count(*) > 0 from probe_effects where key = $1 and what = 'mended'";
        if !sqlx::query_scalar::<_, bool>(mended).bind(&key).fetch_one(ctx.db()).await? {
            return Err(Fault::new(Code::Conflict, "the second job of the chain fails, as asked"));
        }
    }
    match ctx.waited_results::<Link>().await?.pop() {
        Some(before) => Ok(format!("{}{n}", before?)),
        None => Ok(n.to_string()),
    }
}
