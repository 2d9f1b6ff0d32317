//! What only the contexts of a job and of a cron can do: snooze, and finish the job together with its effect.

use std::time::{Duration, Instant};

use crate::app::context::{Ctx, MutationContext};
use crate::app::error::Result;
use crate::app::job::Attempt;
use crate::app::kind::{JobResources, MutationResources, RunsAsJob};
use crate::kernel::fault::Fault;

impl<K: RunsAsJob> Ctx<K> {
    /// Which attempt at which job this is.
    pub fn attempt(&self) -> Attempt {
        K::job(&self.resources).attempt.attempt()
    }

    /// Says how far the job is: `progress` from 0 to 1, and what it does now, in a sentence for those who
    /// follow the job. What is said more often than four times a second is not written each time; what was
    /// said last is. A new attempt begins without progress.
    ///
    /// # Errors
    /// None. What cannot be written is dropped, and said in the node's log.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// #[forge::job]
    /// pub async fn render(ctx: &JobContext, pages: u32) -> Result<u32> {
    ///     for page in 1..=pages {
    ///         ctx.progress(f64::from(page) / f64::from(pages), format!("page {page}")).await?;
    ///     }
    ///     Ok(pages)
    /// }
    /// # fn main() {}
    /// ```
    pub async fn progress(&self, progress: f64, message: impl AsRef<str> + Send) -> Result<()> {
        K::job(&self.resources).attempt.report(progress, message.as_ref());
        // A handler that only computes awaits nothing else, and could not be cut when its job is cancelled.
        tokio::task::coop::consume_budget().await;
        Ok(())
    }

    /// Runs the job again after `delay`, a hundred years at most; the attempt does not count:
    /// `return ctx.snooze(minutes(30));`.
    ///
    /// # Errors
    /// Always: the error is how the request leaves the handler.
    pub fn snooze<T, F: From<Fault>>(&self, delay: Duration) -> std::result::Result<T, F> {
        Err(Fault::snooze(delay).into())
    }

    /// Runs `effect` in a transaction that also finishes the job: both are committed or neither, and only
    /// once, however often the job is run. Its context writes, calls and dispatches as a mutation's does.
    ///
    /// After a success the job does not run again, so nothing that the handler still does is repeated. What
    /// `effect` returns is the job's result, unless the handler returns `()`.
    ///
    /// # Errors
    /// `CONFLICT`, and nothing is committed, when another attempt has taken the job over. The error of
    /// `effect` rolls the transaction back. `INTERNAL` when `effect` returns another type than the handler.
    ///
    /// ```no_run
    /// # use forge_actors::app::{JobContext, Result};
    /// # async fn example(ctx: &JobContext, task: uuid::Uuid) -> Result<()> {
    /// ctx.commit(async |tx| {
    ///     sqlx::query("UPDATE tasks SET reminded = true WHERE id = $1").bind(task).execute(tx.db()).await?;
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub async fn commit<T: 'static>(
        &self,
        effect: impl AsyncFnOnce(&MutationContext) -> Result<T>,
    ) -> Result<T> {
        let JobResources { attempt, result_of_effect, children, .. } = K::job(&self.resources);
        children.check_end()?;
        let scope = self.scope.deeper()?;
        let tx = attempt.begin(self.scope.shared.deadline.saturating_duration_since(Instant::now())).await?;
        let ctx = MutationContext::new(scope, MutationResources { db: tx.db() });
        let effected = effect(&ctx).await.and_then(|value| Ok((result_of_effect(&value)?, value)));
        match effected {
            Ok((result, value)) => {
                attempt.commit(tx, result, self.scope.shared.after_commit.take_queues()).await?;
                Ok(value)
            }
            Err(fault) => {
                tx.rollback().await;
                Err(fault)
            }
        }
    }
}
