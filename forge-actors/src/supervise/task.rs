//! The actor behind [`ChildSpec::task`](super::ChildSpec::task): runs one future and ends with it.

use std::future::Future;
use std::sync::Arc;

use super::actor::{Actor, ActorError};
use super::context::Context;

/// Runs the future that `make` returns.
pub(super) struct TaskActor<M> {
    pub(super) make: Arc<M>,
}

/// Messages of the actor, sent by its own future.
#[derive(forge_app_macros::Message)]
pub(super) enum TaskMessage {
    /// The future returned.
    Returned(Result<(), ActorError>),
}

impl<M, F> Actor for TaskActor<M>
where
    M: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), ActorError>> + Send + 'static,
{
    type Message = TaskMessage;
    type State = ();
    const KIND: &'static str = "task";
    const MAILBOX_MAX: usize = 1;

    async fn start(&self, cx: &Context<TaskMessage>) -> Result<(), ActorError> {
        let future = (self.make)();
        cx.spawn_message("task", async move { TaskMessage::Returned(future.await) });
        Ok(())
    }

    async fn handle(
        &self,
        cx: &Context<TaskMessage>,
        message: TaskMessage,
        (): &mut (),
    ) -> Result<(), ActorError> {
        match message {
            TaskMessage::Returned(result) => result?,
        }
        cx.stop("its task returned");
        Ok(())
    }
}
