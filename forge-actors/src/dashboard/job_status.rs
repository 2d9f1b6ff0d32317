//! `forge.jobStatus` and `forge.cancelMyJob`: a job as its dispatcher sees it. `useJob(handle)` and
//! `forge.job(handle)` of the clients call them.
//!
//! Anyone may call them: they answer for the jobs that the caller has dispatched with a handle, and for every
//! such job when the caller is an administrator. A job that was dispatched without a token may be seen by
//! everyone who knows its id. For all others there is no such job.

use crate::app::follower::Viewer;
use crate::app::{MutationContext, QueryContext, Result};
use crate::job::admin::{self, JobAction};
use crate::job::follow::{self, FollowedJob};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;

/// How far a job is that the caller has dispatched with a handle. A live query of it follows the job.
#[forge_app_macros::query(name = "forge.jobStatus", public)]
pub async fn follow_job(ctx: &QueryContext, id: JobId) -> Result<FollowedJob> {
    follow::find(ctx.db(), id, &Viewer::of(ctx)).await?.ok_or_else(|| unknown(id))
}

/// Ends a job that the caller has dispatched with a handle. One that runs is cut within seconds; one that has
/// ended is not changed.
#[forge_app_macros::mutation(name = "forge.cancelMyJob", public)]
pub async fn cancel_my_job(ctx: &MutationContext, id: JobId) -> Result<FollowedJob> {
    let viewer = Viewer::of(ctx);
    follow::find(ctx.db(), id, &viewer).await?.ok_or_else(|| unknown(id))?;
    let who = ctx.auth().identity().map_or("its dispatcher", |identity| identity.subject.as_str());
    let changed = admin::apply(ctx.db(), JobAction::Cancel, &[id], who).await?;
    changed.wake.iter().for_each(|queue| ctx.wake_workers(queue));
    follow::find(ctx.db(), id, &viewer).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: JobId) -> Fault {
    Fault::new(Code::NotFound, format!("there is no job {id} that you have dispatched with a handle"))
}
