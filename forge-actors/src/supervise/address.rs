//! How others reach an actor: an address that survives restarts, calls that always have a deadline, replies.
//!
//! An [`Address`] names the supervised slot, not one incarnation. While the slot is down, sending fails with
//! `Gone`; a message that waits in the mailbox of an actor that ends is lost, and its caller sees `NoReply`.
//! The mailbox is bounded by count: ractor's channel has no bound, so a place is reserved in the
//! incarnation's counters first.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ractor::{ACTIVE_STATES, ActorRef};
use tokio::sync::oneshot;

use super::actor::{Actor, Envelope, Message, Tick};
use super::signals;
use super::tree::Meter;
use crate::kernel::fault::{Code, Fault};

/// The receiving end of an address: made before the actor, and given to exactly one
/// [`ChildSpec`](super::ChildSpec), which lets every incarnation of the actor receive there.
///
/// Actors that address each other are made in two steps: all mailboxes first, then the actors, each with the
/// addresses of the others. Until the actor has started, casts to its address answer [`CastError::Gone`].
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
/// #     async fn handle(&self, _: &Context<PingMessage>, _: PingMessage, (): &mut ()) -> Result<(), ActorError> { Ok(()) }
/// # }
/// let (mailbox, pinger) = Mailbox::of::<Pinger>();
/// assert_eq!(pinger.cast(PingMessage::Ping), Err(CastError::Gone));
/// let child = ChildSpec::with_mailbox("pinger", mailbox, || Pinger);
/// # drop(child);
/// ```
pub struct Mailbox<M: Message> {
    pub(super) slot: Arc<Slot<M>>,
}

impl<M: Message> Mailbox<M> {
    /// A mailbox for at most `messages_max` messages that wait, and its address.
    pub fn new(messages_max: usize) -> (Self, Address<M>) {
        let slot = Slot::new(messages_max);
        (Self { slot: Arc::clone(&slot) }, Address::new(slot))
    }

    /// A mailbox of the size that `A` declares ([`Actor::MAILBOX_MAX`]), and its address.
    pub fn of<A: Actor<Message = M>>() -> (Self, Address<M>) {
        Self::new(A::MAILBOX_MAX)
    }
}

impl<M: Message> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("messages_max", &self.slot.mailbox_max).finish_non_exhaustive()
    }
}

/// Where to send the messages of one supervised actor.
pub struct Address<M: Message> {
    slot: Arc<Slot<M>>,
}

impl<M: Message> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self { slot: Arc::clone(&self.slot) }
    }
}

impl<M: Message> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("mailbox_max", &self.slot.mailbox_max).finish_non_exhaustive()
    }
}

impl<M: Message> Address<M> {
    pub(super) fn new(slot: Arc<Slot<M>>) -> Self {
        Self { slot }
    }

    /// Puts a message into the mailbox.
    #[inline]
    pub fn cast(&self, message: M) -> Result<(), CastError> {
        let current = self.slot.current.load();
        let Some(incarnation) = current.as_ref() else { return Err(CastError::Gone) };
        if !incarnation.meter.reserve(self.slot.mailbox_max) {
            return Err(CastError::Full { mailbox_max: self.slot.mailbox_max });
        }
        incarnation.send_reserved(Envelope::Message(message))
    }

    /// Wakes the actor: puts a message into the mailbox, or drops the message when the mailbox is full or the
    /// actor is not running. For messages that only say "look again": an actor whose mailbox is full looks
    /// anyway, and one that starts looks by itself. Drops by a full mailbox are counted
    /// ([`NOTIFICATIONS_DROPPED_TOTAL`](super::signals::NOTIFICATIONS_DROPPED_TOTAL)).
    ///
    /// A message that must arrive goes by [`cast`](Self::cast), whose error says that it did not.
    #[inline]
    pub fn notify(&self, message: M) {
        if let Err(CastError::Full { .. }) = self.cast(message) {
            let current = self.slot.current.load();
            signals::notification_dropped(
                current.as_ref().map_or("", |incarnation| incarnation.meter.kind()),
            );
        }
    }

    /// There is an incarnation that takes messages.
    pub fn is_live(&self) -> bool {
        self.slot
            .current
            .load()
            .as_ref()
            .is_some_and(|incarnation| ACTIVE_STATES.contains(&incarnation.actor.get_status()))
    }

    /// Sends the message that `build` makes around a [`Reply`], and waits for the answer until `deadline`.
    ///
    /// After a timeout the message is still in the mailbox; its handler sees [`Reply::is_closed`] and can
    /// skip the work.
    pub async fn call<T>(
        &self,
        build: impl FnOnce(Reply<T>) -> M,
        deadline: Duration,
    ) -> Result<T, CallError> {
        let (sender, receiver) = oneshot::channel();
        self.cast(build(Reply(sender)))?;
        match tokio::time::timeout(deadline, receiver).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(CallError::NoReply),
            Err(_) => Err(CallError::TimedOut { deadline }),
        }
    }
}

/// The asking side of a call, seen from the handler. Dropping it tells the caller `NoReply`.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// Answers. `false` when the caller does not wait any more, which is no error for most handlers.
    pub fn send(self, value: T) -> bool {
        self.0.send(value).is_ok()
    }

    /// The caller does not wait any more: the work can be skipped.
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
    /// The actor is not running just now.
    #[error("the actor is not running")]
    Gone,
}

/// Why a call brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The mailbox has reached its limit; the message was not sent.
    #[error("the actor's mailbox is full: {mailbox_max} messages wait")]
    Full {
        /// The limit.
        mailbox_max: usize,
    },
    /// The actor is not running just now; the message was not sent.
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

impl From<CastError> for CallError {
    fn from(error: CastError) -> Self {
        match error {
            CastError::Full { mailbox_max } => Self::Full { mailbox_max },
            CastError::Gone => Self::Gone,
        }
    }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        let (code, message) = match error {
            CallError::Full { .. } => (Code::Overloaded, "too many calls wait inside the server"),
            CallError::Gone | CallError::NoReply => (Code::Unavailable, "a part of the server is restarting"),
            CallError::TimedOut { .. } => (Code::Timeout, "a part of the server did not answer in time"),
        };
        Self::new(code, message).because(error)
    }
}

/// What an address points at: the incarnation that runs now, if one does.
pub(super) struct Slot<M: Message> {
    pub(super) current: ArcSwapOption<Incarnation<M>>,
    pub(super) mailbox_max: usize,
}

impl<M: Message> Slot<M> {
    pub(super) fn new(mailbox_max: usize) -> Arc<Self> {
        Arc::new(Self { current: ArcSwapOption::empty(), mailbox_max })
    }
}

/// One life of an actor.
pub(super) struct Incarnation<M: Message> {
    pub(super) actor: ActorRef<Envelope<M>>,
    pub(super) meter: Arc<Meter>,
}

impl<M: Message> Incarnation<M> {
    /// Sends a message whose place is reserved.
    #[inline]
    fn send_reserved(&self, envelope: Envelope<M>) -> Result<(), CastError> {
        self.actor.send_message(envelope).map_err(|_| {
            self.meter.release();
            CastError::Gone
        })
    }

    /// Sends over the limit: for the actor's own timers and tasks, which must not get lost because others fill
    /// the mailbox.
    pub(super) fn send_always(&self, message: M) -> Result<(), CastError> {
        self.meter.reserve_always();
        self.send_reserved(Envelope::Message(message))
    }

    /// Sends the message of a repeating timer over the limit.
    pub(super) fn send_tick(&self, tick: Box<Tick<M>>) -> Result<(), CastError> {
        self.meter.reserve_always();
        self.send_reserved(Envelope::Tick(tick))
    }
}
