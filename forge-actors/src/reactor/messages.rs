//! The reactor room's public face.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::Functions;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::Fault;
use crate::kernel::invocation::{Caller, Invocation};
use crate::kernel::trace::TraceContext;
use crate::supervise::{ChildSpec, Strategy, SupervisorSpec};

use super::config::ReactivityConfig;
use super::node::{Node, Order};
use super::poller::Poller;
use super::question::{ClientId, Live, Persona, Place, Question};
use super::ticker::Ticker;

/// One subscription of a client, by the client's own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u32);

/// One mutation of a client, by the client's own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MutationId(pub u32);

/// A snapshot of the database, counted by this node; it only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

/// Names a result: equal ones have equal versions, on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    /// 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a query answered.
#[derive(Debug)]
pub struct QueryResult {
    /// Its name.
    pub version: Version,
    /// The JSON, or why there is none. `NOT_FOUND`, `UNAUTHENTICATED`, `PERMISSION_DENIED` and `VALIDATION`
    /// end the subscription.
    pub outcome: Result<Bytes, Fault>,
    /// Of the run: what clients are told with an error, and what finds its lines in the log.
    pub trace: TraceContext,
}

impl QueryResult {
    /// Writes the log lines of an error. Once for all who are told of it, and not again while runs end the
    /// same way.
    pub fn log_error(&self, function: &str) {
        if let Err(fault) = &self.outcome {
            let trace_id = &*self.trace.trace_id_hex();
            fault.log_hidden(function, trace_id);
            tracing::info!(
                function,
                trace_id,
                code = fault.code().name(),
                "a live query was answered with an error"
            );
        }
    }
}

/// A subscription has another result than before.
#[derive(Debug, Clone)]
pub struct Modification {
    /// Which.
    pub subscription: SubscriptionId,
    /// The result, shared with everybody who gets the same.
    pub result: Arc<QueryResult>,
}

/// What a client is told.
#[derive(Debug)]
pub enum Delivery {
    /// All of its subscriptions stand at a later snapshot.
    Advanced {
        /// The snapshot.
        tick: Tick,
        /// Those whose results are other ones there.
        mods: Vec<Modification>,
        /// Awaited mutations whose effects are part of it.
        applied: Vec<MutationId>,
    },
    /// The reactor restarted and knows no subscription any more: subscribe everything again. Awaited
    /// mutations are still awaited.
    Reset,
}

/// Where deliveries go. Called by the reactor's own actor: it must not block.
pub trait Sink: Send + Sync + 'static {
    /// Takes one.
    fn deliver(&self, delivery: Delivery);
}

/// What the reactor does, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReactorStats {
    /// Clients, with subscriptions or without.
    pub clients: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Executions that serve them.
    pub groups: usize,
    /// Ticks since the node started.
    pub ticks: u64,
    /// Runs of queries since the node started.
    pub executions: u64,
    /// How long the last tick took, to its deliveries.
    pub last_tick: Duration,
    /// How long the last announced commit took from its hint to the deliveries.
    pub lag: Duration,
}

/// Runs live queries. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Reactor {
    node: Arc<Node>,
}

/// What the reactor needs of the node.
pub struct ReactorDeps {
    /// Runs queries.
    pub functions: Functions,
    /// Where snapshots are taken.
    pub database: Database,
    /// Tell of commits, and are told what is of interest.
    pub hints: HintHub,
    /// Pace and bounds.
    pub config: ReactivityConfig,
}

impl Reactor {
    /// The reactor and the supervisor of its actors.
    pub fn new(needs: ReactorDeps) -> (Self, ChildSpec) {
        let node = Node::new(needs.functions, needs.database, needs.hints, needs.config);
        let (ticking, polling) = (Arc::clone(&node), Arc::clone(&node));
        let (ticker, to_ticker) = ChildSpec::actor("ticker", move || Ticker { node: Arc::clone(&ticking) });
        let (poller, to_poller) = ChildSpec::actor("poller", move || Poller { node: Arc::clone(&polling) });
        node.addresses
            .set((to_ticker, to_poller))
            .unwrap_or_else(|_| unreachable!("a new node has no addresses yet"));
        let spec = SupervisorSpec::new(Strategy::OneForOne, vec![ticker, poller]);
        (Self { node }, ChildSpec::supervisor("reactor", spec))
    }

    /// A client that is told through `sink`. It ends when the handle is dropped.
    pub fn attach(&self, sink: Arc<dyn Sink>) -> Client {
        Client { id: self.node.attach(sink), node: Arc::clone(&self.node), persona: ArcSwapOption::empty() }
    }

    /// It is there. Between two incarnations of its ticker it is not, for a moment.
    pub fn is_running(&self) -> bool {
        self.node.addresses.get().is_some_and(|(ticker, _)| ticker.is_live())
    }

    /// What it does now.
    pub fn stats(&self) -> ReactorStats {
        let counts = &self.node.counts;
        ReactorStats {
            clients: self.node.clients.len(),
            subscriptions: counts.subscriptions.load(Relaxed),
            groups: counts.groups.load(Relaxed),
            ticks: counts.ticks.load(Relaxed),
            executions: counts.executions.load(Relaxed),
            last_tick: Duration::from_micros(counts.tick_us.load(Relaxed)),
            lag: Duration::from_micros(counts.lag_us.load(Relaxed)),
        }
    }
}

/// A client's subscriptions. Dropping it ends them all.
pub struct Client {
    id: ClientId,
    node: Arc<Node>,
    /// The caller of the last subscription: most clients have one for all.
    persona: ArcSwapOption<Persona>,
}

impl Client {
    /// Subscribes: the result comes with the next tick, and again whenever it is another one. Refused at once
    /// when the handler does not exist or is no query, the caller may not, the arguments do not fit, or a
    /// limit is reached. An `id` that is in use is subscribed anew.
    ///
    /// `version` names the result that the client still has.
    pub fn subscribe(
        &self,
        id: SubscriptionId,
        invocation: Invocation,
        version: Option<Version>,
    ) -> Result<(), Fault> {
        let live = self.node.functions.prepare_live(&invocation)?;
        let place = Place { client: self.id, id };
        self.node.hold(place)?;
        let question = Arc::new(Question { name: invocation.name, args: live.args });
        let live = Live {
            question,
            args: invocation.args,
            refresh: live.refresh,
            persona: self.persona(invocation.caller),
        };
        self.node.order(Order::Subscribe { place, live, version });
        Ok(())
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, id: SubscriptionId) {
        let place = Place { client: self.id, id };
        if self.node.release(place) {
            self.node.order(Order::Unsubscribe(place));
        }
    }

    /// Has a committed mutation named in `applied` of the first delivery that shows its effects; soon when it
    /// wrote nothing.
    pub fn await_commit(&self, mutation: MutationId, receipt: &Receipt) {
        if let Some(client) = self.node.client(self.id) {
            client.expect((mutation, receipt.xid));
            self.node.order(Order::Await(self.id));
        }
    }

    /// The client is another caller now: its subscriptions are judged again, and run as this one. Those that
    /// it may not have get the refusal as their result, and end.
    pub fn identify(&self, caller: Caller) {
        self.node.order(Order::Identify { client: self.id, persona: self.persona(caller) });
    }

    fn persona(&self, caller: Caller) -> Arc<Persona> {
        if let Some(known) = self.persona.load_full().filter(|known| known.caller == caller) {
            return known;
        }
        let persona = Arc::new(Persona::new(caller));
        self.persona.store(Some(Arc::clone(&persona)));
        persona
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.node.detach(self.id);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}
