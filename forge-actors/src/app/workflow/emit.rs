//! `ctx.emit(event)` and `ctx.signal(run, event)`: what workflows wait for becomes a row.
//! `ctx.cancel_run(run)` asks a run to end.

use std::future::IntoFuture;

use futures::future::BoxFuture;

use crate::app::call::CallableFrom;
use crate::app::context::{Ctx, MutationContext};
use crate::app::error::Result;
use crate::app::kind::{Action, Cron, Job, Kind, Mutation, Workflow};
use crate::app::secret::Secret;
use crate::app::workflow::event::{Event, key_text};
use crate::app::workflow::start::payload_of;
use crate::app::workflow_run::new_run::NewEvent;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;

/// Bytes of the idempotency key of an event.
const ONCE_BYTES_MAX: usize = 512;

/// The kinds that emit events.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` emits no events",
    label = "no `emit()`, `signal()` or `cancel_run()` here",
    note = "an event is a row, and a query only reads: mutations, actions, jobs, crons and workflows emit"
)]
pub trait Emits: Kind {
    #[doc(hidden)]
    fn emit(ctx: &Ctx<Self>, event: NewEvent) -> BoxFuture<'_, Result<bool>>;

    #[doc(hidden)]
    fn cancel(ctx: &Ctx<Self>, run: RunId) -> BoxFuture<'_, Result<bool>>;
}

impl Emits for Mutation {
    fn emit(ctx: &MutationContext, event: NewEvent) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move { insert(ctx, &event).await })
    }

    fn cancel(ctx: &MutationContext, run: RunId) -> BoxFuture<'_, Result<bool>> {
        Box::pin(request_cancel(ctx, run))
    }
}

macro_rules! emits_alone {
    ($($kind:ident)+) => {$(
        impl Emits for $kind {
            fn emit(ctx: &Ctx<Self>, event: NewEvent) -> BoxFuture<'_, Result<bool>> {
                Box::pin(emit_alone(ctx, event))
            }

            fn cancel(ctx: &Ctx<Self>, run: RunId) -> BoxFuture<'_, Result<bool>> {
                Box::pin(async move { Ok(ctx.call(CancelRun { run }).await?) })
            }
        }
    )+};
}

emits_alone! { Action Job Cron }

impl Emits for Workflow {
    /// A step, whose transaction emits the event.
    fn emit(ctx: &Ctx<Self>, event: NewEvent) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let name = format!("emit {}", event.name);
            Ok(ctx.step(&name, InsertNewEvent { event }).await?)
        })
    }

    fn cancel(ctx: &Ctx<Self>, run: RunId) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move { Ok(ctx.step("cancel run", CancelRun { run }).await?) })
    }
}

/// An event about to be emitted; awaiting this does it.
#[must_use = "an event is not emitted until this is awaited"]
pub struct Emit<'a, K: Kind> {
    ctx: &'a Ctx<K>,
    event: Result<NewEvent>,
}

impl<K: Emits> Ctx<K> {
    /// Emits an event, for the workflows that wait for its key now or later. In a mutation the event exists
    /// if and only if the mutation commits; elsewhere it commits on its own. In a workflow it is a step.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when it has more than 256 KiB as JSON, or its key more than 1 KiB.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::event(key = user)] pub struct EmailVerified { pub user: Uuid }
    /// #[forge::mutation]
    /// pub async fn verify_email(ctx: &MutationContext, user: Uuid) -> Result<()> {
    ///     ctx.emit(EmailVerified { user }).once("verified").await?;
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    pub fn emit<E: Event>(&self, event: E) -> Emit<'_, K> {
        let new = key_text(event.key()).and_then(|key| {
            let payload = Secret::new(payload_of(&event)?);
            Ok(NewEvent { name: E::name(), key, run: None, once: None, payload })
        });
        Emit { ctx: self, event: new }
    }

    /// Sends a signal to one run, which receives it with `ctx.wait_for_signal::<E>()`, now or later. A signal
    /// to a run that has ended changes nothing.
    ///
    /// # Errors
    /// As for [`emit`](Self::emit).
    pub fn signal<E: Event>(&self, run: impl Into<RunId>, signal: E) -> Emit<'_, K> {
        let run = run.into();
        let new = payload_of(&signal).map(|payload| NewEvent {
            name: E::name(),
            key: run.to_string(),
            run: Some(run),
            once: None,
            payload: Secret::new(payload),
        });
        Emit { ctx: self, event: new }
    }
}

impl<K: Emits> Ctx<K> {
    /// Asks a run to take back what it has completed, and to end as `cancelled`; so do the children that end
    /// with it. In a mutation it is asked if and only if the mutation commits; elsewhere at once. In a
    /// workflow it is a step. The handler decides whose runs its caller may cancel: nothing else is checked.
    ///
    /// False when there is no such run any more, or it is compensated or was asked already.
    ///
    /// # Errors
    /// When the database fails.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// #[forge::mutation]
    /// pub async fn withdraw(ctx: &MutationContext, invitation: Uuid) -> Result<bool> {
    ///     let run: RunId = sqlx::query_scalar("SELECT run FROM invitations WHERE id = $1 AND inviter = $2")
    ///         .bind(invitation)
    ///         .bind(ctx.auth().user::<Uuid>()?)
    ///         .fetch_one(ctx.db())
    ///         .await?;
    ///     ctx.cancel_run(run).await
    /// }
    /// # fn main() {}
    /// ```
    pub fn cancel_run(&self, run: impl Into<RunId>) -> BoxFuture<'_, Result<bool>> {
        K::cancel(self, run.into())
    }
}

impl<K: Kind> Emit<'_, K> {
    /// Of all events of this name and key with the same idempotency key, the first one counts.
    pub fn once(mut self, key: &str) -> Self {
        self.event = self.event.and_then(|event| {
            check_once(key)?;
            Ok(NewEvent { once: Some(key.to_owned()), ..event })
        });
        self
    }
}

/// Checks the idempotency key of an event.
///
/// # Errors
/// `BAD_REQUEST` when it is empty, longer than 512 bytes, or has the character U+0000.
pub(crate) fn check_once(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > ONCE_BYTES_MAX || key.contains('\0') {
        let text = format!("the idempotency key of an event has 1 to {ONCE_BYTES_MAX} bytes");
        return Err(Fault::new(Code::BadRequest, text));
    }
    Ok(())
}

impl<'a, K: Emits> IntoFuture for Emit<'a, K> {
    /// False when an event with the same idempotency key exists.
    type Output = Result<bool>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { K::emit(self.ctx, self.event?).await })
    }
}

async fn insert(ctx: &MutationContext, event: &NewEvent) -> Result<bool> {
    let shared = &ctx.scope.shared;
    let is_new = shared.services.workflows.emit(ctx.db(), event).await?;
    if is_new {
        shared.after_commit.wake(super::EVENTS_TOPIC);
    }
    Ok(is_new)
}

async fn emit_alone<K>(ctx: &Ctx<K>, event: NewEvent) -> Result<bool>
where
    K: Kind,
    Mutation: CallableFrom<K>,
{
    Ok(ctx.call(InsertNewEvent { event }).await?)
}

/// Emits an event in a transaction of its own, for callers that have none.
#[forge_app_macros::mutation(name = "forge.insertEvent", internal, input_max = "1MiB")]
pub async fn insert_new_event(ctx: &MutationContext, event: NewEvent) -> Result<bool> {
    insert(ctx, &event).await
}

async fn request_cancel(ctx: &MutationContext, run: RunId) -> Result<bool> {
    let shared = &ctx.scope.shared;
    let is_asked = shared.services.workflows.cancel(ctx.db(), run).await?;
    if is_asked {
        shared.after_commit.wake(super::WORKFLOWS_TOPIC);
    }
    Ok(is_asked)
}

/// Asks a run to be cancelled in a transaction of its own, for callers that have none.
#[forge_app_macros::mutation(name = "forge.requestCancel", internal)]
pub async fn cancel_run(ctx: &MutationContext, run: RunId) -> Result<bool> {
    request_cancel(ctx, run).await
}
