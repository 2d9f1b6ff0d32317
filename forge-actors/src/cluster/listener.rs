//! The mesh's listener: accepts, lets each connection greet on its own, and never waits for any of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::endpoint::EndpointMessage;
use super::gate::{Gate, Ticket};
use super::greeting::{Greeter, Newcomer, TurnedAway};
use super::port::MeshPort;
use super::room::Room;
use super::signals::Signals;
use crate::kernel::time::millis;
use crate::supervise::{Actor, ActorError, Address, Context};

/// Pause after a failed accept (file descriptors ran out).
const ACCEPT_PAUSE: Duration = millis(100);

/// Messages of the listener.
#[derive(forge_app_macros::Message)]
pub(super) enum ListenerMessage {
    /// Accepting has ended, which it never does by itself.
    Ended,
}

/// The actor.
pub(super) struct Listener {
    pub(super) room: Arc<Room>,
    pub(super) port: Arc<MeshPort>,
    pub(super) greeter: Greeter,
    pub(super) endpoint: Address<EndpointMessage>,
}

impl Actor for Listener {
    type Message = ListenerMessage;
    type State = ();
    const KIND: &'static str = "mesh listener";

    async fn start(&self, cx: &Context<ListenerMessage>) -> Result<(), ActorError> {
        let socket = self.port.accepting()?;
        let doorkeeper = Doorkeeper {
            room: Arc::clone(&self.room),
            greeter: self.greeter.clone(),
            endpoint: self.endpoint.clone(),
            gate: Gate::default(),
            greetings: JoinSet::new(),
            running: HashMap::new(),
        };
        let address = cx.address();
        cx.spawn("accept", async move {
            doorkeeper.run(socket).await;
            // A listener that is stopping needs no such news.
            let _gone = address.cast(ListenerMessage::Ended);
        });
        Ok(())
    }

    async fn handle(
        &self,
        _: &Context<ListenerMessage>,
        message: ListenerMessage,
        (): &mut (),
    ) -> Result<(), ActorError> {
        match message {
            ListenerMessage::Ended => Err("the mesh does not accept any more".into()),
        }
    }
}

/// The accept loop. Owns the greetings: they end with it.
struct Doorkeeper {
    room: Arc<Room>,
    greeter: Greeter,
    endpoint: Address<EndpointMessage>,
    gate: Gate,
    greetings: JoinSet<(Ticket, SocketAddr, Result<Newcomer, TurnedAway>)>,
    running: HashMap<Ticket, AbortHandle>,
}

impl Doorkeeper {
    async fn run(mut self, socket: TcpListener) {
        loop {
            tokio::select! {
                Some(ended) = self.greetings.join_next() => self.greeted(ended),
                accepted = socket.accept() => match accepted {
                    Ok((connection, from)) => self.greet(connection, from),
                    Err(error) => {
                        tracing::warn!(%error, "the mesh cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn greet(&mut self, connection: TcpStream, from: SocketAddr) {
        let (ticket, dropped) = self.gate.enter(from.ip());
        if let Some(oldest) = dropped.and_then(|dropped| self.running.remove(&dropped)) {
            oldest.abort();
            Signals::unknown_dropped();
        }
        let greeter = self.greeter.clone();
        let running = self.greetings.spawn(async move { (ticket, from, greeter.answer(connection).await) });
        self.running.insert(ticket, running);
    }

    fn greeted(&mut self, ended: Result<(Ticket, SocketAddr, Result<Newcomer, TurnedAway>), JoinError>) {
        // A greeting that was dropped has left the gate already.
        let Ok((ticket, from, outcome)) = ended else { return };
        self.gate.leave(ticket);
        self.running.remove(&ticket);
        match outcome {
            Ok(newcomer) => {
                if let Err(error) = self.endpoint.cast(EndpointMessage::Adopt(Box::new(newcomer))) {
                    tracing::warn!(%from, %error, "a node was not taken in");
                }
            }
            Err(TurnedAway { claimed, error }) => {
                Signals::greeting_failed("listener");
                tracing::debug!(%from, %error, "a connection to the mesh was sent away");
                // Whoever is no node of this database may say what it likes.
                if let Some(node) = claimed.filter(|_| error.is_lasting()) {
                    self.room.failed(node, &error.to_string(), true);
                }
            }
        }
    }
}
