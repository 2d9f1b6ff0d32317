//! Hints: wake-ups that name the topics of a commit, from the actors that commit to the actors that wait.
//!
//! ```text
//!   function, job ──publish──▶ HintHub ┬─▶ receiver of the reactor (tables)
//!                                      ├─▶ receiver of the claimer (queues)
//!                                      └─▶ receiver of the mesh ──▶ peers with an interest
//! ```
//!
//! A receiver holds at most one hint, into which newer ones are merged: a slow actor is woken less often,
//! never late and never by a backlog. A lost hint costs latency only, because every actor that waits for
//! hints also polls at intervals, and reads the tables when it starts.
//!
//! A new kind of hint is a variant of [`Topic`] and of [`TopicKind`]; the compiler then asks whether hints
//! of this kind are forwarded to peers, and how they are written on the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::kernel::commit::{Receipt, TableId, Xid};
use crate::kernel::envelope::Topics;
use crate::kernel::merge_slot::MergeSlot;

/// A subject that hints are published on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// A captured table was written.
    Table(TableId),
    /// A queue got jobs that are ready.
    Queue(Arc<str>),
    /// Tables, triggers or views may have other definitions than before.
    Definitions,
}

/// The kinds of [`Topic`]. Receivers subscribe to one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicKind {
    /// [`Topic::Table`]; the reactor and the watcher of ends receive it.
    Tables,
    /// [`Topic::Queue`]; the claimer receives it.
    Queues,
    /// [`Topic::Definitions`]; the reconciler of captures receives it.
    Definitions,
}

impl Topic {
    /// The kind of this topic.
    pub fn kind(&self) -> TopicKind {
        match self {
            Self::Table(_) => TopicKind::Tables,
            Self::Queue(_) => TopicKind::Queues,
            Self::Definitions => TopicKind::Definitions,
        }
    }
}

impl TopicKind {
    /// True when hints of this kind are sent to the other nodes of the cluster.
    pub fn is_forwarded(self) -> bool {
        match self {
            Self::Tables | Self::Queues => true,
            // Every node reads DDL from the table of changes by itself.
            Self::Definitions => false,
        }
    }
}

impl From<TableId> for Topic {
    fn from(table: TableId) -> Self {
        Self::Table(table)
    }
}

impl From<Arc<str>> for Topic {
    fn from(queue: Arc<str>) -> Self {
        Self::Queue(queue)
    }
}

/// A set of topics of any kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSet(BTreeSet<Topic>);

impl TopicSet {
    /// True when the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tables of the set.
    pub fn tables(&self) -> impl Iterator<Item = TableId> {
        self.0.iter().filter_map(|topic| if let Topic::Table(table) = topic { Some(*table) } else { None })
    }

    /// The queues of the set.
    pub fn queues(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().filter_map(|topic| if let Topic::Queue(queue) = topic { Some(queue) } else { None })
    }

    /// The topics that are in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).map(Topic::clone).collect())
    }

    fn filtered(&self, wanted: impl Fn(TopicKind) -> bool) -> Self {
        Self(self.0.iter().filter(|topic| wanted(topic.kind())).map(Topic::clone).collect())
    }
}

impl<T: Into<Topic>> FromIterator<T> for TopicSet {
    fn from_iter<I: IntoIterator<Item = T>>(topics: I) -> Self {
        Self(topics.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Topic>> Extend<T> for TopicSet {
    fn extend<I: IntoIterator<Item = T>>(&mut self, topics: I) {
        self.0.extend(topics.into_iter().map(Into::into));
    }
}

/// The wire form, which nodes of the previous version read as well.
impl From<&TopicSet> for Topics {
    fn from(set: &TopicSet) -> Self {
        let mut topics = Self::default();
        for topic in &set.0 {
            match topic {
                Topic::Table(table) => drop(topics.tables.insert(*table)),
                Topic::Queue(queue) => drop(topics.queues.insert(Arc::clone(queue))),
                Topic::Definitions => debug_assert!(!topic.kind().is_forwarded()),
            }
        }
        topics
    }
}

impl From<Topics> for TopicSet {
    fn from(Topics { tables, queues }: Topics) -> Self {
        Self(tables.into_iter().map(Topic::from).chain(queues.into_iter().map(Topic::from)).collect())
    }
}

/// A wake-up: something was committed that concerns these topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hint {
    /// The newest of the transactions that caused the hint, where it is known.
    pub xid: Option<Xid>,
    /// Where the transactions wrote.
    pub topics: TopicSet,
}

impl Hint {
    /// A hint without a transaction id.
    pub fn of<T: Into<Topic>>(topics: impl IntoIterator<Item = T>) -> Self {
        Self { xid: None, topics: topics.into_iter().collect() }
    }

    /// The hint about a commit, which also woke `queues`.
    pub fn of_commit<T: Into<Topic>>(receipt: Receipt, queues: impl IntoIterator<Item = T>) -> Self {
        let Receipt { xid, tables } = receipt;
        let mut topics = TopicSet::from_iter(tables);
        topics.extend(queues);
        Self { xid, topics }
    }

    fn merge(&mut self, other: Self) {
        self.xid = self.xid.max(other.xid);
        self.topics.extend(other.topics.0);
    }
}

/// The hints of one node: publishers and receivers meet here. Cheap to clone; all clones are the same hub.
#[derive(Debug, Clone, Default)]
pub struct HintHub {
    hub: Arc<Hub>,
}

#[derive(Debug)]
struct Hub {
    subscribers: ArcSwap<Vec<Arc<Subscriber>>>,
    /// What each declarer waits for.
    declared: watch::Sender<BTreeMap<InterestOf, TopicSet>>,
    /// All of that.
    interest: watch::Sender<TopicSet>,
}

/// Who declares which topics this node waits for. One actor each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InterestOf {
    /// The claimer: the queues that its node serves.
    Claims,
    /// The ticker: the tables that live queries read.
    LiveQueries,
    /// The watcher of ends: the table of jobs' progress, while calls wait for a job.
    JobEnds,
    /// The claimer of workflows: ready runs and events.
    Workflows,
    /// The settler: the table of jobs' progress, since its node has led `job_ends`.
    Settler,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            subscribers: ArcSwap::from_pointee(Vec::new()),
            declared: watch::Sender::default(),
            interest: watch::Sender::default(),
        }
    }
}

#[derive(Debug)]
struct Subscriber {
    filter: Filter,
    pending: MergeSlot<Hint>,
}

#[derive(Debug, Clone, Copy)]
enum Filter {
    /// Hints of one kind, of this node and of its peers.
    Kind(TopicKind),
    /// Hints that this node published and that its peers may want.
    Outgoing,
}

/// Where a hint was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HintOrigin {
    ThisNode,
    Peer,
}

impl HintHub {
    /// A hub without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the receivers on this node, and through the mesh those of its peers.
    pub fn publish(&self, hint: Hint) {
        self.deliver(&hint, HintOrigin::ThisNode);
    }

    /// Wakes the receivers on this node for a hint that a peer published.
    pub fn publish_from_peer(&self, hint: Hint) {
        self.deliver(&hint, HintOrigin::Peer);
    }

    /// Wakes the receivers of this node for every topic of its interest, because hints may have been lost.
    pub fn wake_all_interested(&self) {
        let topics = TopicSet::clone(&self.hub.interest.borrow());
        self.deliver(&Hint { xid: None, topics }, HintOrigin::Peer);
    }

    fn deliver(&self, hint: &Hint, origin: HintOrigin) {
        for subscriber in self.hub.subscribers.load().iter() {
            subscriber.offer(hint, origin);
        }
    }

    /// Receives the hints of one kind from now on, until the receiver is dropped.
    pub fn subscribe(&self, kind: TopicKind) -> HintReceiver {
        self.receiver(Filter::Kind(kind))
    }

    /// Receives what this node publishes and its peers may want: the mesh forwards it.
    pub fn outgoing(&self) -> HintReceiver {
        self.receiver(Filter::Outgoing)
    }

    fn receiver(&self, filter: Filter) -> HintReceiver {
        let subscriber = Arc::new(Subscriber { filter, pending: MergeSlot::new() });
        self.hub.subscribers.rcu(|subscribers| {
            let others = subscribers.iter().map(Arc::clone);
            others.chain([Arc::clone(&subscriber)]).collect::<Vec<_>>()
        });
        HintReceiver { subscriber, hub: Arc::clone(&self.hub) }
    }

    /// Declares which topics this node waits for, in place of those that `declarer` has declared before.
    pub fn set_interest(&self, declarer: InterestOf, topics: TopicSet) {
        self.hub.declared.send_modify(|declared| {
            declared.insert(declarer, topics);
            let mut all = TopicSet::default();
            all.extend(declared.values().flat_map(|topics| topics.0.iter().map(Topic::clone)));
            // Under the lock of what is declared: of two declarers, the later one publishes both.
            self.hub.interest.send_if_modified(|interest| {
                let changed = all != *interest;
                *interest = all;
                changed
            });
        });
    }

    /// The topics of all kinds that this node waits for: peers send hints on no others.
    pub fn interest(&self) -> watch::Receiver<TopicSet> {
        self.hub.interest.subscribe()
    }
}

impl Subscriber {
    fn offer(&self, hint: &Hint, origin: HintOrigin) {
        let topics = match (self.filter, origin) {
            (Filter::Kind(wanted), _) => hint.topics.filtered(|kind| kind == wanted),
            (Filter::Outgoing, HintOrigin::ThisNode) => hint.topics.filtered(TopicKind::is_forwarded),
            (Filter::Outgoing, HintOrigin::Peer) => return,
        };
        if topics.is_empty() {
            return;
        }
        let hint = Hint { xid: hint.xid, topics };
        self.pending.put(|pending| match pending {
            Some(pending) => pending.merge(hint),
            None => *pending = Some(hint),
        });
    }
}

/// Receives hints from the moment of its subscription; dropping it ends the subscription.
#[derive(Debug)]
pub struct HintReceiver {
    subscriber: Arc<Subscriber>,
    hub: Arc<Hub>,
}

impl HintReceiver {
    /// Waits for the next hint: all that was published since the last call, merged into one. Cancelling the
    /// future loses nothing.
    pub async fn next(&self) -> Hint {
        self.subscriber.pending.take().await
    }
}

impl Drop for HintReceiver {
    fn drop(&mut self) {
        let is_other = |other: &&Arc<Subscriber>| !Arc::ptr_eq(other, &self.subscriber);
        self.hub
            .subscribers
            .rcu(|subscribers| subscribers.iter().filter(is_other).map(Arc::clone).collect::<Vec<_>>());
    }
}
