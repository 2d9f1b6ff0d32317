//! `ctx.call(message)`: a handler runs another one.
//!
//! From a query or a mutation the callee runs inside of the caller's snapshot or transaction. From an action,
//! a job or a cron it runs as a call of its own, through [`Invoke`](crate::app::context::Invoke).

use futures::future::BoxFuture;

use crate::app::context::Ctx;
use crate::app::decoded::HandlerKind;
use crate::app::error::{AppError, CallError};
use crate::app::handler::Handler;
use crate::app::kind::{Action, Cron, HasDatabase, Job, Kind, KindName, Mutation, Query, RunsInside};
use crate::app::wire_type::WireType;
use crate::kernel::fault::Fault;
use crate::kernel::invocation::Invocation;

/// Which kind may run which by `ctx.call`.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Caller}>` cannot call a handler of kind `{Self}`",
    label = "not callable from here",
    note = "queries call queries; mutations call queries and mutations (in their own transaction); actions, \
            jobs and crons call all three, a workflow runs them as steps, `ctx.step(..)`; a job is not \
            called but dispatched, a workflow is started, `ctx.start(..)`, a cron runs on its schedule"
)]
pub trait CallableFrom<Caller: Kind>: HandlerKind {
    /// Runs a handler of this kind for `ctx`.
    #[doc(hidden)]
    fn call<H: Handler<Kind = Self>>(
        ctx: &Ctx<Caller>,
        message: H,
    ) -> BoxFuture<'_, Result<H::Output, CallError<H::Error>>>;
}

macro_rules! calls {
    ($($caller:ident calls [$($callee:ident),+] by $way:ident;)+) => {$($(
        impl CallableFrom<$caller> for $callee {
            fn call<H: Handler<Kind = Self>>(
                ctx: &Ctx<$caller>,
                message: H,
            ) -> BoxFuture<'_, Result<H::Output, CallError<H::Error>>> {
                // Boxed, so that handlers may call each other without an infinite type.
                Box::pin(ctx.$way(message))
            }
        }
    )+)+};
}

calls! {
    Query calls [Query] by call_inside;
    Mutation calls [Query, Mutation] by call_inside;
    Action calls [Query, Mutation, Action] by call_outside;
    Job calls [Query, Mutation, Action] by call_outside;
    Cron calls [Query, Mutation, Action] by call_outside;
}

impl<K: Kind> Ctx<K> {
    /// Runs another handler and waits for its result. Who may call the other one from outside (`role`,
    /// `internal`) is not checked: this handler answers for the call.
    ///
    /// From a query or mutation the callee runs in the caller's snapshot or transaction; a query called by a
    /// mutation is still refused any write by Postgres. From an action or a job each call is a transaction of
    /// its own.
    ///
    /// # Errors
    /// [`CallError::App`] is the callee's own error. `?` passes either variant on with its code.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// #[forge::query]
    /// pub async fn title(ctx: &QueryContext) -> Result<String> {
    ///     Ok(sqlx::query_scalar("SELECT title FROM settings").fetch_one(ctx.db()).await?)
    /// }
    ///
    /// #[forge::action]
    /// pub async fn title_length(ctx: &ActionContext) -> Result<u32> {
    ///     Ok(ctx.call(Title {}).await?.len() as u32)
    /// }
    /// # fn main() {}
    /// ```
    pub fn call<H>(&self, message: H) -> BoxFuture<'_, Result<H::Output, CallError<H::Error>>>
    where
        H: Handler,
        H::Kind: CallableFrom<K>,
    {
        H::Kind::call(self, message)
    }

    /// Runs the callee in this handler's snapshot or transaction, in a subtransaction of its own.
    pub(super) async fn call_inside<H>(&self, message: H) -> Result<H::Output, CallError<H::Error>>
    where
        K: HasDatabase,
        H: Handler<Kind: RunsInside>,
    {
        let scope = self.scope.deeper().map_err(CallError::Fault)?;
        let read_only = H::Kind::NAME == KindName::Query;
        let nested = self.db().nested(read_only).await.map_err(CallError::Fault)?;
        let ctx = Ctx::<H::Kind>::new(scope, H::Kind::inside(nested.db()));
        let running: BoxFuture<'_, _> = Box::pin(message.run(&ctx));
        match running.await {
            Ok(output) => nested.release().await.map(|()| output).map_err(CallError::Fault),
            Err(failure) => {
                nested.rollback().await.map_err(CallError::Fault)?;
                Err(CallError::from_fault(failure.into_fault()))
            }
        }
    }

    /// Runs the callee as a call of its own.
    pub(super) async fn call_outside<H: Handler>(
        &self,
        message: H,
    ) -> Result<H::Output, CallError<H::Error>> {
        let scope = self.scope.deeper().map_err(CallError::Fault)?;
        let shared = &scope.shared;
        let args = message.to_json().map_err(|error| CallError::Fault(error.into()))?;
        let invocation = Invocation {
            id: shared.invocation.id,
            name: H::META.wire_name().into(),
            args: args.into(),
            caller: shared.invocation.caller.clone(),
            trace: shared.invocation.trace.child(),
            deadline: Some(shared.deadline),
            idempotency_key: None,
        };
        let output =
            shared.services.invoke.invoke(invocation, scope.depth).await.map_err(CallError::from_fault)?;
        H::Output::from_json(&output).map_err(|error| CallError::Fault(Fault::internal(error)))
    }
}
