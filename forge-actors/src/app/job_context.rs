//! What only the contexts of a job and of a cron can do: snooze, and finish the job together with its effect.

use std::time::{Duration, Instant};

use crate::app::context::{Ctx, MutationContext};
use crate::app::error::Result;
use crate::app::job::Attempt;
use crate::app::kind::{MutationResources, RunsAsJob};
use crate::kernel::fault::Fault;

impl<K: RunsAsJob> Ctx<K> {
    /// Which attempt at which job this is.
    pub fn attempt(&self) -> Attempt {
        K::job(&self.resources).completer.attempt()
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
    /// After a success the job does not run again, so nothing that the handler still does is repeated.
    ///
    /// # Errors
    /// `CONFLICT`, and nothing is committed, when another attempt has taken the job over. The error of
    /// `effect` rolls the transaction back.
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
    pub async fn commit<T>(&self, effect: impl AsyncFnOnce(&MutationContext) -> Result<T>) -> Result<T> {
        let completer = &K::job(&self.resources).completer;
        let scope = self.scope.deeper()?;
        let tx =
            completer.begin(self.scope.shared.deadline.saturating_duration_since(Instant::now())).await?;
        let ctx = MutationContext::new(scope, MutationResources { db: tx.db() });
        match effect(&ctx).await {
            Ok(value) => {
                completer.commit(tx, self.scope.shared.after_commit.take_queues()).await?;
                Ok(value)
            }
            Err(fault) => {
                tx.rollback().await;
                Err(fault)
            }
        }
    }
}
