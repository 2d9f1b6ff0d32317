//! The actor that owns the carrier of the links: takes newcomers in, tells the peers what is committed here
//! and what is wanted here.
//!
//! A newcomer whose node already has a link replaces it: the other side has given the old one up, or it would
//! not have come. The old link ends first, because the carrier lets two connections of one pair fight, and
//! the older may win.

use std::sync::Arc;
use std::time::Duration;

use super::dialer::DialerMessage;
use super::greeting::Newcomer;
use super::handshake::Cookie;
use super::link::{self, LinkActor};
use super::room::Room;
use super::transport::{Receiver, Transport};
use crate::kernel::envelope::Topics;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildError, Children, Context};

/// Time for an old link to end, and for a new one to start.
const CHANGE_DEADLINE: Duration = secs(4);

/// Messages of the endpoint.
#[derive(forge_app_macros::Message)]
pub(super) enum EndpointMessage {
    /// A node has proved what it is.
    Adopt(Box<Newcomer>),
    /// The carrier has ended by itself.
    CarrierEnded,
}

/// The actor.
pub(super) struct Endpoint {
    pub(super) room: Arc<Room>,
    pub(super) cookie: Cookie,
    pub(super) links: Children,
}

impl Endpoint {
    async fn adopt(&self, transport: &Arc<Transport>, newcomer: Newcomer) {
        let (node, name) = (newcomer.hello.node, newcomer.hello.name.clone());
        match self.links.stop_child(&link::child_id(node, &name), CHANGE_DEADLINE).await {
            Ok(()) => tracing::debug!(peer = %name, "a new connection replaces the old one"),
            Err(ChildError::Unknown { .. }) => {}
            Err(error) => {
                tracing::warn!(peer = %name, %error, "the old connection of a node did not end in time")
            }
        }
        if let Err(error) =
            self.links.start_child(LinkActor::spec(&self.room, transport, newcomer), CHANGE_DEADLINE).await
        {
            tracing::warn!(peer = %name, %error, "a node was not taken in");
            if let Some(dialer) = self.room.dialer.get() {
                // A dialer that is not there looks for itself when it starts.
                let _gone = dialer.cast(DialerMessage::Ended { node, was_up_for: None });
            }
        }
    }
}

impl Actor for Endpoint {
    type Message = EndpointMessage;
    type State = Arc<Transport>;
    const KIND: &'static str = "mesh endpoint";
    const MAILBOX_MAX: usize = 256;

    async fn start(&self, cx: &Context<EndpointMessage>) -> Result<Arc<Transport>, ActorError> {
        let receiver: Arc<dyn Receiver> = Arc::clone(&self.room) as _;
        let (transport, ended) = Transport::start(self.room.node, &self.cookie, receiver).await?;
        let address = cx.address();
        cx.spawn("carrier", async move {
            let _which = ended.await;
            // An endpoint that is stopping needs no such news.
            let _gone = address.cast(EndpointMessage::CarrierEnded);
        });
        let room = Arc::clone(&self.room);
        cx.spawn("hints", async move {
            let outgoing = room.hints.outgoing();
            loop {
                room.tell(&outgoing.next().await);
            }
        });
        let room = Arc::clone(&self.room);
        cx.spawn("interest", async move {
            let mut interest = room.hints.interest();
            while interest.changed().await.is_ok() {
                let topics = Topics::from(&*interest.borrow_and_update());
                room.say_interest(&topics);
            }
        });
        Ok(Arc::new(transport))
    }

    async fn handle(
        &self,
        _: &Context<EndpointMessage>,
        message: EndpointMessage,
        transport: &mut Arc<Transport>,
    ) -> Result<(), ActorError> {
        match message {
            EndpointMessage::Adopt(newcomer) => self.adopt(transport, *newcomer).await,
            EndpointMessage::CarrierEnded => return Err("the carrier of the mesh has ended".into()),
        }
        Ok(())
    }
}
