//! How actors are reached: mailboxes, addresses that survive restarts, calls with deadlines, replies.
//!
//! An [`Address`] names a supervised actor, not one of its incarnations. While the actor is down, sending
//! fails with `Gone`; a message that waits in the mailbox of an actor that ends is lost, and its caller gets
//! `NoReply`. The mailbox is bounded by count: ractor's channel has no bound, so every sender first reserves
//! a place in the incarnation's counters.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ractor::{ACTIVE_STATES, ActorRef};
use tokio::sync::oneshot;

use super::actor::{Actor, Message};
use super::meter::Meter;
use super::panic::Panic;
use super::signals;
use crate::kernel::fault::{Code, Fault};

/// The receiving end of an address. A mailbox is made before its actor, and is given to one
/// [`ChildSpec`](super::ChildSpec), whose actor receives there in all its incarnations.
///
/// Actors that address each other are made in two steps: first all mailboxes, then the actors, each with the
/// addresses of the others. Until the actor has started, a cast to the address returns [`CastError::Gone`].
///
/// ```
/// # use forge_actors::supervise::{Actor, ActorError, ChildSpec, Context, CastError, Mailbox, Message};
/// # #[derive(Debug, PartialEq)]
/// # enum PingMessage { Ping }
/// # impl Message for PingMessage {
/// #     const NAMES: &'static [&'static str] = &["Ping"];
/// #     fn index(&self) -> usize { 0 }
/// # }
/// # struct Pinger;
/// # impl Actor for Pinger {
/// #     type Message = PingMessage;
/// #     type State = ();
/// #     const KIND: &'static str = "pinger";
/// #     async fn start(&self, _: &Context<PingMessage>) -> Result<(), ActorError> { Ok(()) }
/// #     async fn handle(
/// #         &self, _: &Context<PingMessage>, _: PingMessage, (): &mut (),
/// #     ) -> Result<(), ActorError> { Ok(()) }
/// # }
/// let (mailbox, pinger) = Mailbox::of::<Pinger>();
/// assert_eq!(pinger.cast(PingMessage::Ping), Err(CastError::Gone));
/// let child = ChildSpec::with_mailbox("pinger", mailbox, || Pinger);
/// # drop(child);
/// ```
pub struct Mailbox<M: Message> {
    pub(super) target: Arc<AddressTarget<M>>,
}

impl<M: Message> Mailbox<M> {
    /// A mailbox for at most `messages_max` messages that wait, and its address.
    pub fn new(messages_max: usize) -> (Self, Address<M>) {
        let target = AddressTarget::new(messages_max);
        (Self { target: Arc::clone(&target) }, Address::new(target))
    }

    /// A mailbox of the size that `A` declares ([`Actor::MAILBOX_MAX`]), and its address.
    pub fn of<A: Actor<Message = M>>() -> (Self, Address<M>) {
        Self::new(A::MAILBOX_MAX)
    }
}

impl<M: Message> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("messages_max", &self.target.mailbox_max).finish_non_exhaustive()
    }
}

/// Where to send the messages of one supervised actor.
pub struct Address<M: Message> {
    target: Arc<AddressTarget<M>>,
}

impl<M: Message> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self { target: Arc::clone(&self.target) }
    }
}

impl<M: Message> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("mailbox_max", &self.target.mailbox_max).finish_non_exhaustive()
    }
}

impl<M: Message> Address<M> {
    pub(super) fn new(target: Arc<AddressTarget<M>>) -> Self {
        Self { target }
    }

    /// Puts a message into the mailbox. Costs about 100 ns and never waits.
    ///
    /// # Errors
    /// [`CastError`]: the mailbox is full, or the actor is not running. The message is dropped.
    #[inline]
    pub fn cast(&self, message: M) -> Result<(), CastError> {
        let current = self.target.current.load();
        let Some(incarnation) = current.as_ref() else { return Err(CastError::Gone) };
        if !incarnation.meter.reserve(self.target.mailbox_max) {
            return Err(CastError::Full { mailbox_max: self.target.mailbox_max });
        }
        incarnation.send_reserved(Envelope::Message(message))
    }

    /// Wakes the actor: puts a message into the mailbox, or drops the message when the mailbox is full or the
    /// actor is not running.
    ///
    /// For messages that only say "check for work": an actor whose mailbox is full has a wake-up waiting
    /// already, and an actor that starts checks anyway. Messages that a full mailbox drops are counted
    /// ([`NOTIFICATIONS_DROPPED_TOTAL`](super::signals::NOTIFICATIONS_DROPPED_TOTAL)). A message that must
    /// arrive is sent by [`cast`](Self::cast), whose error the sender handles.
    #[inline]
    pub fn notify(&self, message: M) {
        if let Err(CastError::Full { .. }) = self.cast(message) {
            let current = self.target.current.load();
            signals::notification_dropped(
                current.as_ref().map_or("", |incarnation| incarnation.meter.kind()),
            );
        }
    }

    /// Whether the actor runs and takes messages.
    pub fn is_live(&self) -> bool {
        self.target
            .current
            .load()
            .as_ref()
            .is_some_and(|incarnation| ACTIVE_STATES.contains(&incarnation.actor.get_status()))
    }

    /// Sends the message that `build` makes around a [`Reply`], and waits for the answer until `deadline`.
    ///
    /// After a timeout the message may still be in the mailbox; its handler can ask [`Reply::is_closed`] and
    /// skip the work.
    ///
    /// # Errors
    /// [`ActorCallError`]: the message was not sent, the actor ended, or `deadline` passed.
    pub async fn call<T>(
        &self,
        build: impl FnOnce(Reply<T>) -> M,
        deadline: Duration,
    ) -> Result<T, ActorCallError> {
        let (sender, receiver) = oneshot::channel();
        self.cast(build(Reply(sender)))?;
        match tokio::time::timeout(deadline, receiver).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(ActorCallError::NoReply),
            Err(_) => Err(ActorCallError::TimedOut { deadline }),
        }
    }
}

/// The caller of an [`Address::call`], as the handler of the message sees it. Dropping a reply without
/// sending gives the caller [`ActorCallError::NoReply`].
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// Sends the answer. `false` when the caller does not wait any more, which most handlers ignore.
    pub fn send(self, value: T) -> bool {
        self.0.send(value).is_ok()
    }

    /// Whether the caller does not wait any more, so that the work can be skipped.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CastError {
    /// The mailbox has reached its limit.
    #[error("the actor's mailbox is full: {mailbox_max} messages wait")]
    Full {
        /// The limit.
        mailbox_max: usize,
    },
    /// The actor is not running: not started yet, between two incarnations, or stopped.
    #[error("the actor is not running")]
    Gone,
}

/// Why a call brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActorCallError {
    /// The mailbox has reached its limit; the message was not sent.
    #[error("the actor's mailbox is full: {mailbox_max} messages wait")]
    Full {
        /// The limit.
        mailbox_max: usize,
    },
    /// The actor is not running; the message was not sent.
    #[error("the actor is not running")]
    Gone,
    /// The actor ended, or its handler dropped the reply; the message may have been handled.
    #[error("the actor ended without an answer")]
    NoReply,
    /// No answer in time; the message may still be handled.
    #[error("the actor did not answer within {}", crate::kernel::time::format_duration(*.deadline))]
    TimedOut {
        /// How long the caller waited.
        deadline: Duration,
    },
}

impl From<CastError> for ActorCallError {
    fn from(error: CastError) -> Self {
        match error {
            CastError::Full { mailbox_max } => Self::Full { mailbox_max },
            CastError::Gone => Self::Gone,
        }
    }
}

impl From<ActorCallError> for Fault {
    fn from(error: ActorCallError) -> Self {
        let (code, message) = match error {
            ActorCallError::Full { .. } => (Code::Overloaded, "too many calls wait inside the server"),
            ActorCallError::Gone | ActorCallError::NoReply => {
                (Code::Unavailable, "a part of the server is restarting")
            }
            ActorCallError::TimedOut { .. } => (Code::Timeout, "a part of the server did not answer in time"),
        };
        Self::new(code, message).because(error)
    }
}

/// What an address points to: the incarnation that runs now, if there is one.
pub(super) struct AddressTarget<M: Message> {
    pub(super) current: ArcSwapOption<Incarnation<M>>,
    pub(super) mailbox_max: usize,
}

impl<M: Message> AddressTarget<M> {
    pub(super) fn new(mailbox_max: usize) -> Arc<Self> {
        Arc::new(Self { current: ArcSwapOption::empty(), mailbox_max })
    }
}

/// What ractor carries. A type of its own, so that messages of actors need no ractor trait and are never
/// remotable.
pub(super) enum Envelope<M> {
    Message(M),
    /// A message of a repeating timer. Boxed, like the panic below, because the size of the largest variant
    /// is moved with every message.
    Tick(Box<TimerTick<M>>),
    /// A task of the actor panicked: the task's name and the panic.
    TaskPanicked(Box<(&'static str, Panic)>),
}

impl<M: Message> ractor::Message for Envelope<M> {}

/// A message of a repeating timer. While it waits in the mailbox, the timer sends no other.
pub(super) struct TimerTick<M> {
    pub(super) message: M,
    pub(super) waits: Arc<AtomicBool>,
}

impl<M> TimerTick<M> {
    /// Takes the message out; from now on the timer may send the next one.
    pub(super) fn open(self) -> M {
        self.waits.store(false, Ordering::Release);
        self.message
    }
}

/// One life of an actor, from a start to its end.
pub(super) struct Incarnation<M: Message> {
    pub(super) actor: ActorRef<Envelope<M>>,
    pub(super) meter: Arc<Meter>,
}

impl<M: Message> Incarnation<M> {
    /// Sends a message for which a place in the mailbox is reserved.
    #[inline]
    fn send_reserved(&self, envelope: Envelope<M>) -> Result<(), CastError> {
        self.actor.send_message(envelope).map_err(|_| {
            self.meter.release();
            CastError::Gone
        })
    }

    /// Sends a message even to a full mailbox: for the actor's own timers and tasks, whose messages must not
    /// be lost because other senders fill the mailbox.
    pub(super) fn send_always(&self, message: M) -> Result<(), CastError> {
        self.meter.reserve_always();
        self.send_reserved(Envelope::Message(message))
    }

    /// Sends a message of a repeating timer even to a full mailbox.
    pub(super) fn send_tick(&self, tick: Box<TimerTick<M>>) -> Result<(), CastError> {
        self.meter.reserve_always();
        self.send_reserved(Envelope::Tick(tick))
    }
}
