//! What an actor is: its messages, its state, its start and its stop.

use std::error::Error;
use std::future::Future;

use super::context::Context;

/// Any error. An `Err` from [`Actor::handle`] ends the actor as a crash, and its supervisor restarts it.
pub type ActorError = Box<dyn Error + Send + Sync>;

/// The messages of an actor: an enum whose variants have names. Derived by `#[derive(Message)]`.
pub trait Message: Send + 'static {
    /// Names of the variants, in order of [`index`](Self::index).
    const NAMES: &'static [&'static str];

    /// Position of this variant in [`NAMES`](Self::NAMES).
    fn index(&self) -> usize;
}

/// A supervised actor. `self` is configuration and [`State`](Self::State) is what changes; a restart makes
/// both anew.
///
/// ```
/// use forge_actors::supervise::{Actor, ActorError, Context, Message, Reply};
///
/// struct Counter;
///
/// enum CounterMessage {
///     Increment,
///     Read { reply: Reply<u64> },
/// }
/// # impl Message for CounterMessage {
/// #     const NAMES: &'static [&'static str] = &["Increment", "Read"];
/// #     fn index(&self) -> usize { 0 }
/// # }
///
/// impl Actor for Counter {
///     type Message = CounterMessage;
///     type State = u64;
///     const KIND: &'static str = "counter";
///
///     async fn start(&self, _: &Context<CounterMessage>) -> Result<u64, ActorError> {
///         Ok(0)
///     }
///
///     async fn handle(
///         &self,
///         _: &Context<CounterMessage>,
///         message: CounterMessage,
///         count: &mut u64,
///     ) -> Result<(), ActorError> {
///         match message {
///             CounterMessage::Increment => *count += 1,
///             CounterMessage::Read { reply } => drop(reply.send(*count)),
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Actor: Send + Sync + 'static {
    /// The messages that the actor receives.
    type Message: Message;
    /// What changes while the actor runs.
    type State: Send + 'static;
    /// What the actor is, for people: shown in the tree and in crash records.
    const KIND: &'static str;
    /// Messages that may wait in the mailbox; one more is refused with `Full`.
    const MAILBOX_MAX: usize = 10_000;

    /// Makes the state. The supervisor waits for the start before it starts the next sibling, so a slow
    /// connect belongs into a first message.
    ///
    /// # Errors
    /// An error fails the boot. On a restart it counts as a crash.
    fn start(
        &self,
        cx: &Context<Self::Message>,
    ) -> impl Future<Output = Result<Self::State, ActorError>> + Send;

    /// Handles one message. Expected outcomes are replies.
    ///
    /// # Errors
    /// An error ends this incarnation as a crash.
    fn handle(
        &self,
        cx: &Context<Self::Message>,
        message: Self::Message,
        state: &mut Self::State,
    ) -> impl Future<Output = Result<(), ActorError>> + Send;

    /// Runs when the actor is stopped, not after a crash or a kill. The stop deadline includes it.
    fn stop(&self, cx: &Context<Self::Message>, state: &mut Self::State) -> impl Future<Output = ()> + Send {
        let _ = (cx, state);
        async {}
    }
}
