//! Who subscribes to what, which executions that needs, and which of them are out of date. Pure: no clock, no
//! database.
//!
//! A question has one group for everybody until a run asks for its caller; then one for each identity, and
//! when a run asks for the peer, one for each peer. What was once asked for is remembered for as long as
//! anybody asks the question.
//!
//! ```text
//!   group:  dirty ──ran──▶ clean ──something it read changed · due──▶ dirty
//!             │ ▲            │
//!             │ └────due─────┤
//!             └──timed out───┴▶ resting (dirty, and not run before it is due)
//! ```
//!
//! Invariants: each subscription is in exactly one group, the one that its question's `observed` and its
//! persona name; a group without subscriptions does not exist, nor does a question without groups.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::context::Observed;
use crate::kernel::commit::TableId;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::trace::TraceContext;

use super::config::ReactivityConfig;
use super::messages::{QueryResult, SubscriptionId, Version};
use super::question::{ClientId, GroupId, Live, Persona, Place, Question, Share};
use super::relations::Reads;
use super::tick::{Ran, Run};

/// Times in a row that a session may break during a group's run, until the group is taken for the cause.
pub(super) const STRIKES_MAX: u32 = 3;
/// How long it then rests.
const STRIKES_REST: Duration = Duration::from_secs(60);
/// A query that was cut rests for so many times as long as it took.
const REST_FACTOR: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct Table {
    questions: HashMap<Arc<Question>, Asked>,
    pub(super) groups: HashMap<GroupId, Group>,
    groups_ever: u64,
    readers: HashMap<TableId, BTreeSet<GroupId>>,
    /// What changed in `readers` was not told yet.
    pub(super) readers_changed: bool,
    due: BTreeSet<(Instant, GroupId)>,
    pub(super) dirty: BTreeSet<GroupId>,
    pub(super) clients: HashMap<ClientId, Member>,
    /// Groups whose result is another one than was told.
    pub(super) touched: BTreeSet<GroupId>,
    /// Subscriptions that were told nothing yet.
    pub(super) unanswered: BTreeSet<Place>,
    /// Clients that were left out because a part of what they have was out of date.
    pub(super) behind: HashSet<ClientId>,
}

/// A question that somebody asks.
#[derive(Debug)]
struct Asked {
    observed: Observed,
    groups: HashMap<Share, GroupId>,
}

/// Subscriptions that share an execution.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) live: Live,
    pub(super) result: Option<Arc<QueryResult>>,
    reads: Reads,
    pub(super) places: BTreeSet<Place>,
    due: Option<Instant>,
    pub(super) resting: bool,
    strikes: u32,
}

/// The subscriptions of one client.
#[derive(Debug, Default)]
pub(super) struct Member {
    /// Boxed, because the map's first node has room for eleven, and most clients have few.
    pub(super) subscriptions: BTreeMap<SubscriptionId, Box<Subscription>>,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) group: GroupId,
    pub(super) live: Live,
    pub(super) told: Told,
}

/// The result that a client has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing of this subscription; the client may say that it kept a result of an earlier one.
    Nothing {
        kept: Option<Version>,
    },
    Version(Version),
}

impl Table {
    /// Adds a subscription; one of the same place ends.
    pub(super) fn subscribe(&mut self, place: Place, live: Live, kept: Option<Version>) {
        self.unsubscribe(place);
        self.join(place, live, Told::Nothing { kept });
        self.unanswered.insert(place);
    }

    /// What a subscription asks.
    pub(super) fn live(&self, place: Place) -> Option<&Live> {
        Some(&self.clients.get(&place.client)?.subscriptions.get(&place.id)?.live)
    }

    /// Ends a subscription, if there is one.
    pub(super) fn unsubscribe(&mut self, place: Place) -> Option<Subscription> {
        let member = self.clients.get_mut(&place.client)?;
        let subscription = member.subscriptions.remove(&place.id)?;
        if member.subscriptions.is_empty() {
            self.clients.remove(&place.client);
            self.behind.remove(&place.client);
        }
        self.unanswered.remove(&place);
        self.leave(place, subscription.group);
        Some(*subscription)
    }

    /// Ends all subscriptions of a client.
    pub(super) fn detach(&mut self, client: ClientId) {
        for id in self.ids_of(client) {
            self.unsubscribe(Place { client, id });
        }
    }

    pub(super) fn ids_of(&self, client: ClientId) -> Vec<SubscriptionId> {
        self.clients
            .get(&client)
            .map_or_else(Vec::new, |member| member.subscriptions.keys().copied().collect())
    }

    /// A subscription's caller is another one now.
    pub(super) fn identify(&mut self, place: Place, persona: &Arc<Persona>) {
        let unanswered = self.unanswered.contains(&place);
        if let Some(Subscription { mut live, told, .. }) = self.unsubscribe(place) {
            live.persona = Arc::clone(persona);
            self.join(place, live, told);
            if unanswered {
                self.unanswered.insert(place);
            }
        }
    }

    fn observed(&self, question: &Arc<Question>) -> Observed {
        self.questions.get(question).map_or(Observed::Nothing, |asked| asked.observed)
    }

    /// Puts a subscription into the group where it belongs, which may be a new one.
    fn join(&mut self, place: Place, live: Live, told: Told) {
        let fresh = || Asked { observed: Observed::Nothing, groups: HashMap::new() };
        let asked = self.questions.entry(Arc::clone(&live.question)).or_insert_with(fresh);
        let share = live.persona.share(asked.observed);
        let id = *asked.groups.entry(share).or_insert_with(|| {
            self.groups_ever += 1;
            GroupId(self.groups_ever)
        });
        let group = self.groups.entry(id).or_insert_with(|| {
            self.dirty.insert(id);
            Group::new(Live::clone(&live))
        });
        group.places.insert(place);
        if matches!(told, Told::Version(_)) && group.result.is_some() {
            // What this client has may be another result than the group's.
            self.behind.insert(place.client);
        }
        self.clients
            .entry(place.client)
            .or_default()
            .subscriptions
            .insert(place.id, Box::new(Subscription { group: id, live, told }));
    }

    fn leave(&mut self, place: Place, id: GroupId) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.places.remove(&place);
        if group.places.is_empty() {
            self.dissolve(id);
        }
    }

    /// Ends a group; its places are somebody else's business.
    fn dissolve(&mut self, id: GroupId) -> Option<Group> {
        let group = self.groups.remove(&id)?;
        self.forget_reads(id, &group.reads);
        if let Some(due) = group.due {
            self.due.remove(&(due, id));
        }
        self.dirty.remove(&id);
        self.touched.remove(&id);
        if let Some(asked) = self.questions.get_mut(&group.live.question) {
            asked.groups.remove(&group.live.persona.share(asked.observed));
            if asked.groups.is_empty() {
                self.questions.remove(&group.live.question);
            }
        }
        Some(group)
    }

    /// True when a change of one of `tables` may change a result, also when that is not known yet.
    pub(super) fn concerns(&self, tables: &BTreeSet<TableId>) -> bool {
        self.is_behind() || tables.iter().any(|table| self.readers.contains_key(table))
    }

    /// True when something has to run.
    pub(super) fn is_behind(&self) -> bool {
        self.pending().next().is_some()
    }

    /// Tables that some group reads.
    pub(super) fn tables(&self) -> BTreeSet<TableId> {
        self.readers.keys().copied().collect()
    }

    /// Everything may have changed.
    pub(super) fn mark_all(&mut self) {
        self.dirty.extend(self.groups.keys());
    }

    /// Some tables have changed.
    pub(super) fn mark(&mut self, tables: &BTreeSet<TableId>) {
        for groups in tables.iter().filter_map(|table| self.readers.get(table)) {
            self.dirty.extend(groups);
        }
    }

    /// It has become later.
    pub(super) fn mark_due(&mut self, now: Instant) {
        while let Some((_, id)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.pop_first();
            if let Some(group) = self.groups.get_mut(&id) {
                (group.due, group.resting) = (None, false);
                self.dirty.insert(id);
            }
        }
    }

    /// True when groups that nobody reports changes of are due by then.
    pub(super) fn is_blind_due(&self, now: Instant) -> bool {
        let due = self.due.iter().take_while(|(due, _)| *due <= now);
        due.filter_map(|(_, id)| self.groups.get(id)).any(|group| !group.reads.blind.is_empty())
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// What has to run before anything is told.
    pub(super) fn runs(&self) -> Vec<Run> {
        self.pending().map(|id| self.run(id)).collect()
    }

    /// What has to run of `groups`.
    pub(super) fn runs_of(&self, groups: &[GroupId]) -> Vec<Run> {
        groups
            .iter()
            .filter(|id| self.dirty.contains(id) && self.groups.contains_key(id))
            .map(|id| self.run(*id))
            .collect()
    }

    fn run(&self, id: GroupId) -> Run {
        Run { group: id, invocation: self.groups[&id].live.invocation() }
    }

    /// Groups that are out of date and may run.
    pub(super) fn pending(&self) -> impl Iterator<Item = GroupId> {
        self.dirty.iter().copied().filter(|id| !self.groups[id].resting)
    }

    /// A group has run. When the run asked for more of its caller than any before, the question's groups are
    /// divided, and what has to run in the same snapshot is returned.
    pub(super) fn settle(&mut self, ran: Ran, now: Instant, config: &ReactivityConfig) -> Vec<GroupId> {
        let Some(group) = self.groups.get(&ran.group) else { return Vec::new() };
        let (question, persona) = (Arc::clone(&group.live.question), Arc::clone(&group.live.persona));
        if ran.observed <= self.observed(&question) {
            self.conclude(ran.group, ran, now, config);
            return Vec::new();
        }
        let observed = ran.observed;
        let parts = self.divide(&question, observed);
        // The run speaks for its own persona, if somebody still is that.
        let own = self
            .questions
            .get(&question)
            .and_then(|asked| asked.groups.get(&persona.share(observed)).copied());
        if let Some(own) = own {
            self.conclude(own, ran, now, config);
        }
        parts.into_iter().filter(|part| Some(*part) != own).collect()
    }

    /// Puts the subscriptions of a question into groups of those that are alike in what `observed` says.
    fn divide(&mut self, question: &Arc<Question>, observed: Observed) -> Vec<GroupId> {
        let before: Vec<GroupId> = self
            .questions
            .get(question)
            .into_iter()
            .flat_map(|asked| asked.groups.values().copied())
            .collect();
        let places: Vec<Place> =
            before.iter().filter_map(|id| self.dissolve(*id)).flat_map(|group| group.places).collect();
        self.questions.insert(Arc::clone(question), Asked { observed, groups: HashMap::new() });
        for place in places {
            let member = self.clients.get_mut(&place.client);
            let subscription = member.and_then(|member| member.subscriptions.remove(&place.id));
            if let Some(Subscription { live, told, .. }) = subscription.map(|boxed| *boxed) {
                self.join(place, live, told);
            }
        }
        self.questions.get(question).into_iter().flat_map(|asked| asked.groups.values().copied()).collect()
    }

    fn conclude(&mut self, id: GroupId, ran: Ran, now: Instant, config: &ReactivityConfig) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        self.dirty.remove(&id);
        let timed_out = matches!(&ran.result.outcome, Err(fault) if fault.code() == Code::Timeout);
        let later = |pause: Duration| now.checked_add(pause);
        let refresh = group.live.refresh;
        let due = match () {
            () if timed_out => later(ran.took * REST_FACTOR),
            // What it read is not known, so it cannot wait for a change of it.
            () if !ran.whole => later(config.uncaptured_refresh),
            () if refresh.is_some() => refresh.and_then(later),
            () if !ran.reads.blind.is_empty() => later(config.uncaptured_refresh),
            () => None,
        };
        (group.resting, group.strikes) = (timed_out, 0);
        if group.result.as_ref().is_none_or(|result| result.version != ran.result.version) {
            ran.result.log_error(&group.live.question.name);
            group.result = Some(Arc::new(ran.result));
            self.touched.insert(id);
        }
        self.note_reads(id, ran.reads, ran.whole);
        self.set_due(id, due);
    }

    fn set_due(&mut self, id: GroupId, due: Option<Instant>) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut group.due, due) {
            self.due.remove(&(before, id));
        }
        self.due.extend(due.map(|due| (due, id)));
    }

    /// Replaces what a group reads; what a half-known run read is added to what is known.
    fn note_reads(&mut self, id: GroupId, mut reads: Reads, whole: bool) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        if !whole {
            reads.tables.extend(&group.reads.tables);
            reads.blind.extend(std::mem::take(&mut group.reads.blind));
        }
        if group.reads == reads {
            return;
        }
        let before = std::mem::replace(&mut group.reads, reads);
        self.forget_reads(id, &before);
        for table in &self.groups[&id].reads.tables {
            self.readers.entry(*table).or_insert_with(|| {
                self.readers_changed = true;
                BTreeSet::new()
            });
            self.readers.entry(*table).or_default().insert(id);
        }
    }

    fn forget_reads(&mut self, id: GroupId, reads: &Reads) {
        for table in &reads.tables {
            let Some(groups) = self.readers.get_mut(table) else { continue };
            groups.remove(&id);
            if groups.is_empty() {
                self.readers.remove(table);
                self.readers_changed = true;
            }
        }
    }

    /// The session broke during a group's run. When that happens too often, the group gets an error and
    /// rests, so that the others go on.
    pub(super) fn strike(&mut self, id: GroupId, now: Instant, config: &ReactivityConfig) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.strikes += 1;
        if group.strikes < STRIKES_MAX {
            return;
        }
        tracing::error!(handler = %group.live.question.name, "the database session broke in each of this live query's last runs; it rests");
        let fault = Fault::internal("the database session broke in each of its last runs");
        let ran = Ran {
            group: id,
            result: QueryResult::new(Err(fault), TraceContext::new_root()),
            observed: Observed::Nothing,
            reads: Reads::default(),
            whole: false,
            took: config.query_timeout,
        };
        self.conclude(id, ran, now, config);
        if let Some(group) = self.groups.get_mut(&id) {
            group.resting = true;
        }
        self.set_due(id, now.checked_add(STRIKES_REST));
    }
}

impl Group {
    fn new(live: Live) -> Self {
        Self {
            live,
            result: None,
            reads: Reads::default(),
            places: BTreeSet::new(),
            due: None,
            resting: false,
            strikes: 0,
        }
    }
}
