//! Steps side by side: `parallel` and `join_all` wait for all of their branches, `race` for the first.

use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::task::Poll;

use futures::future::{BoxFuture, join_all};

use crate::app::context::WorkflowContext;
use crate::app::error::{AppError, CallError, Result};
use crate::app::workflow_run::branch::{Branch, InBranch, StepPosition};
use crate::app::workflow_run::journal::{StepIdentity, StepKind, UNCHECKED_SHAPE};
use crate::app::workflow_run::limits::BRANCHES_MAX;
use crate::app::workflow_run::run::Found;
use crate::app::workflow_run::store::StepRow;
use crate::kernel::fault::{Code, Fault};

/// The error of a branch.
pub trait BranchError: Send {
    #[doc(hidden)]
    fn into_branch_fault(self) -> Fault;
}

impl<E: AppError> BranchError for E {
    fn into_branch_fault(self) -> Fault {
        self.into_fault()
    }
}

impl<E: AppError> BranchError for CallError<E> {
    fn into_branch_fault(self) -> Fault {
        self.into()
    }
}

/// Two to eight steps, waits or `async` blocks that return a `Result`, as a tuple.
#[diagnostic::on_unimplemented(
    message = "these are no branches of a workflow",
    label = "not a tuple of two to eight steps, waits or `async` blocks that return a `Result`",
    note = "`ctx.parallel((ctx.step(..), ctx.step(..)))`; of more than eight, or a number that varies, \
            `ctx.join_all(..)` takes an iterator"
)]
pub trait Branches<'a> {
    /// What they return.
    type Output: Send + 'a;

    #[doc(hidden)]
    fn join(self, place: StepPosition) -> BoxFuture<'a, Result<Self::Output>>;
}

macro_rules! branches {
    ($($name:ident $value:ident $error:ident $index:tt),+) => {
        impl<'a, $($name, $value, $error),+> Branches<'a> for ($($name,)+)
        where
            $(
                $name: IntoFuture<Output = Result<$value, $error>, IntoFuture: Send + 'a>,
                $value: Send + 'a,
                $error: BranchError + 'a,
            )+
        {
            type Output = ($($value,)+);

            fn join(self, place: StepPosition) -> BoxFuture<'a, Result<Self::Output>> {
                let parent = Arc::clone(&place.branch);
                let branches = [$(Branch::of_group(&place, $index, false)),+];
                let futures = ($(
                    InBranch::<'a, Result<$value, $error>>::new(
                        Arc::clone(&branches[$index]),
                        Box::pin(self.$index.into_future()),
                    ),
                )+);
                Box::pin(async move {
                    // All of them are awaited, also after a failure: what they complete is known then, and is
                    // compensated.
                    let ended: ($(Result<$value, $error>,)+) = futures::join!($(futures.$index),+);
                    parent.joined(branches.iter());
                    Ok(($(ended.$index.map_err(BranchError::into_branch_fault)?,)+))
                })
            }
        }
    };
}

branches!(A TA EA 0, B TB EB 1);
branches!(A TA EA 0, B TB EB 1, C TC EC 2);
branches!(A TA EA 0, B TB EB 1, C TC EC 2, D TD ED 3);
branches!(A TA EA 0, B TB EB 1, C TC EC 2, D TD ED 3, F TF EF 4);
branches!(A TA EA 0, B TB EB 1, C TC EC 2, D TD ED 3, F TF EF 4, G TG EG 5);
branches!(A TA EA 0, B TB EB 1, C TC EC 2, D TD ED 3, F TF EF 4, G TG EG 5, H TH EH 6);
branches!(A TA EA 0, B TB EB 1, C TC EC 2, D TD ED 3, F TF EF 4, G TG EG 5, H TH EH 6, I TI EI 7);

/// Which branch of a race of two has won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Winner2<A, B> {
    /// The first one.
    First(A),
    /// The second one.
    Second(B),
}

/// Which branch of a race of three has won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Winner3<A, B, C> {
    /// The first one.
    First(A),
    /// The second one.
    Second(B),
    /// The third one.
    Third(C),
}

/// Two or three steps, waits or `async` blocks, as a tuple.
#[diagnostic::on_unimplemented(
    message = "these are no branches of a race",
    label = "not a tuple of two or three steps, waits or `async` blocks",
    note = "`ctx.race((ctx.wait_for::<Paid>(order), ctx.sleep(days(3))))`; of more, `ctx.race_all(..)` takes \
            an iterator"
)]
pub trait Racers<'a> {
    /// The winner.
    type Winner: Send + 'a;

    #[doc(hidden)]
    fn futures(self) -> Vec<BoxFuture<'a, Self::Winner>>;
}

impl<'a, A, B> Racers<'a> for (A, B)
where
    A: IntoFuture<Output: Send + 'a, IntoFuture: Send + 'a>,
    B: IntoFuture<Output: Send + 'a, IntoFuture: Send + 'a>,
{
    type Winner = Winner2<A::Output, B::Output>;

    fn futures(self) -> Vec<BoxFuture<'a, Self::Winner>> {
        let (first, second) = (self.0.into_future(), self.1.into_future());
        vec![
            Box::pin(async move { Winner2::First(first.await) }),
            Box::pin(async move { Winner2::Second(second.await) }),
        ]
    }
}

impl<'a, A, B, C> Racers<'a> for (A, B, C)
where
    A: IntoFuture<Output: Send + 'a, IntoFuture: Send + 'a>,
    B: IntoFuture<Output: Send + 'a, IntoFuture: Send + 'a>,
    C: IntoFuture<Output: Send + 'a, IntoFuture: Send + 'a>,
{
    type Winner = Winner3<A::Output, B::Output, C::Output>;

    fn futures(self) -> Vec<BoxFuture<'a, Self::Winner>> {
        let (first, second, third) = (self.0.into_future(), self.1.into_future(), self.2.into_future());
        vec![
            Box::pin(async move { Winner3::First(first.await) }),
            Box::pin(async move { Winner3::Second(second.await) }),
            Box::pin(async move { Winner3::Third(third.await) }),
        ]
    }
}

impl WorkflowContext {
    /// Runs branches side by side and waits for all of them: a tuple of steps, waits or `async` blocks. Each
    /// branch has its own order of steps.
    ///
    /// # Errors
    /// The failure of the first branch, by their order, that has failed. The others have ended then too, and
    /// what they completed is compensated if the run fails.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::action] pub async fn register(_ctx: &ActionContext) -> Result<u32> { Ok(1) }
    /// # #[forge::action] pub async fn welcome(_ctx: &ActionContext) -> Result<()> { Ok(()) }
    /// #[forge::workflow]
    /// pub async fn onboard(ctx: &WorkflowContext) -> Result<u32> {
    ///     let (crm, _mail) = ctx
    ///         .parallel((ctx.step("crm", Register {}), ctx.step("mail", Welcome {}).optional()))
    ///         .await?;
    ///     Ok(crm)
    /// }
    /// # fn main() {}
    /// ```
    pub fn parallel<'a, B: Branches<'a>>(&'a self, branches: B) -> BoxFuture<'a, Result<B::Output>> {
        match self.place() {
            Ok(place) => branches.join(place),
            Err(fault) => Box::pin(async move { Err(fault) }),
        }
    }

    /// As [`parallel`](Self::parallel), for any number of branches of one type, a thousand at most.
    ///
    /// # Errors
    /// As `parallel`; `PAYLOAD_TOO_LARGE` for more than a thousand branches, none of which has begun then.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::action] pub async fn resize(_ctx: &ActionContext, width: u32) -> Result<u32> { Ok(width) }
    /// #[forge::workflow]
    /// pub async fn publish(ctx: &WorkflowContext, widths: Vec<u32>) -> Result<Vec<u32>> {
    ///     ctx.join_all(widths.into_iter().map(|width| ctx.step("resize", Resize { width }))).await
    /// }
    /// # fn main() {}
    /// ```
    pub fn join_all<'a, F, T, E>(
        &'a self,
        branches: impl IntoIterator<Item = F>,
    ) -> BoxFuture<'a, Result<Vec<T>>>
    where
        F: IntoFuture<Output = Result<T, E>, IntoFuture: Send + 'a>,
        T: Send + 'a,
        E: BranchError + 'a,
    {
        let place = self.place().and_then(|place| {
            let futures = in_branches(&place, branches.into_iter().map(IntoFuture::into_future), false)?;
            Ok((place, futures))
        });
        Box::pin(async move {
            let (place, (branches, futures)) = place?;
            let ended = join_all(futures).await;
            place.branch.joined(branches.iter());
            ended.into_iter().map(|ended| ended.map_err(BranchError::into_branch_fault)).collect()
        })
    }

    /// Runs branches side by side until the first one ends, and drops the others. Which one has won is
    /// recorded. A step of another branch that was under way may have had its effect.
    ///
    /// # Errors
    /// None of its own: what the winner returns, failures included, is inside of the result.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::event(key = order)] pub struct Paid { pub order: Uuid }
    /// #[forge::workflow]
    /// pub async fn await_payment(ctx: &WorkflowContext, order: Uuid) -> Result<bool> {
    ///     match ctx.race((ctx.wait_for::<Paid>(order), ctx.sleep(days(3)))).await? {
    ///         Winner2::First(paid) => paid.map(|_| true),
    ///         Winner2::Second(()) => Ok(false),
    ///     }
    /// }
    /// # fn main() {}
    /// ```
    pub fn race<'a, R: Racers<'a>>(&'a self, racers: R) -> BoxFuture<'a, Result<R::Winner>> {
        let place = self.place();
        let futures = racers.futures();
        Box::pin(async move { race(self, &place?, futures).await.map(|(_, winner)| winner) })
    }

    /// As [`race`](Self::race), for any number of branches of one type, a thousand at most: the place of the
    /// winner and what it returned.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` for more than a thousand branches, `BAD_REQUEST` for none.
    pub fn race_all<'a, F>(
        &'a self,
        racers: impl IntoIterator<Item = F>,
    ) -> BoxFuture<'a, Result<(usize, F::Output)>>
    where
        F: IntoFuture<Output: Send + 'a, IntoFuture: Send + 'a>,
    {
        let place = self.place();
        let futures: Vec<BoxFuture<'a, F::Output>> = racers
            .into_iter()
            .take(BRANCHES_MAX + 1)
            .map(|racer| Box::pin(racer.into_future()) as BoxFuture<'a, _>)
            .collect();
        Box::pin(async move {
            if futures.is_empty() {
                return Err(Fault::new(Code::BadRequest, "a race without branches has no winner"));
            }
            race(self, &place?, futures).await
        })
    }
}

type Branched<'a, T> = (Vec<Arc<Branch>>, Vec<InBranch<'a, T>>);

/// Puts each future into a branch of its own.
fn in_branches<'a, F>(
    place: &StepPosition,
    futures: impl Iterator<Item = F>,
    is_race: bool,
) -> Result<Branched<'a, F::Output>>
where
    F: Future + Send + 'a,
{
    let (mut branches, mut inside) = (Vec::new(), Vec::new());
    for (index, future) in futures.enumerate() {
        if index >= BRANCHES_MAX {
            let text = format!("a group of steps has at most {BRANCHES_MAX} branches");
            return Err(Fault::new(Code::PayloadTooLarge, text)
                .with_help("run them in parts, or start child workflows")
                .without_retry());
        }
        let branch = Branch::of_group(place, index, is_race);
        branches.push(Arc::clone(&branch));
        inside.push(InBranch::new(branch, Box::pin(future)));
    }
    Ok((branches, inside))
}

async fn race<T: Send>(
    ctx: &WorkflowContext,
    place: &StepPosition,
    futures: Vec<BoxFuture<'_, T>>,
) -> Result<(usize, T)> {
    let run = ctx.run();
    let (branches, mut racers) = in_branches(place, futures.into_iter(), true)?;
    let wanted = StepIdentity { kind: StepKind::Race, name: "race", shape: UNCHECKED_SHAPE };
    let decided = match run.find(place, wanted) {
        Found::Ended(entry) => entry.output.and_then(|winner| winner.parse::<usize>().ok()),
        Found::Never => {
            // The steps that have completed are visited, for their compensations.
            join_all(racers).await;
            return run.never().await;
        }
        Found::Open(_) | Found::New => None,
    };
    if let Some(winner) = decided.filter(|winner| *winner < racers.len()) {
        let value = racers.swap_remove(winner).await;
        place.branch.joined(branches.get(winner).into_iter());
        return Ok((winner, value));
    }
    let (winner, value) = std::future::poll_fn(|cx| {
        for (index, racer) in racers.iter_mut().enumerate() {
            if let Poll::Ready(value) = std::pin::Pin::new(racer).poll(cx) {
                return Poll::Ready((index, value));
            }
        }
        Poll::Pending
    })
    .await;
    let _executing = run.executing();
    drop(racers);
    run.check_bounds()?;
    let mut row = StepRow::new(&place.position, StepKind::Race, "race", UNCHECKED_SHAPE);
    row.number = Some(run.next_number());
    row.output = Some(winner.to_string());
    run.record(row).await?;
    // What the other branches wait for is of no interest any more. What a crash leaves open here is closed
    // when the run ends.
    for (index, _) in branches.iter().enumerate().filter(|(index, _)| *index != winner) {
        for open in run.open_steps(&format!("{}.{index}.", place.position)) {
            run.record(open).await?;
        }
    }
    place.branch.joined(branches.get(winner).into_iter());
    Ok((winner, value))
}
