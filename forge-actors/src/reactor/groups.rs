//! The table of subscriptions, and of the groups that share runs. Pure: the time is passed in.
//!
//! A query has one group for all callers until a run reads who called; then it has one group for each
//! identity, and when a run reads the address or the user agent, one for each of those. What runs have read
//! is remembered for as long as the query has subscriptions.
//!
//! The phase of a group says when the group has to run, and `delivered` of a subscription says what its
//! client has. Indexes follow from them, so that a tick costs as much as has changed: `agenda` holds the
//! groups that have to run in ticks, `lanes` those that run beside them, and `undelivered` the subscriptions
//! that may have to be delivered. A subscription whose client cannot advance lies in `parked` until a group
//! that holds the client up has run.
//!
//! Invariants:
//! - Each subscription is in exactly one group: the one for its query and for the scope of its caller.
//! - A group has subscriptions, and a query has groups; otherwise they do not exist.
//! - `agenda` holds the entry `phase.due()` of each group, and nothing else.
//! - A group is in the queues of `lanes` while it is `Waiting`, and in a batch while it is `InLane`.
//! - A subscription whose `delivered` is not the version of its group's result is in `undelivered` or
//!   `parked`, unless the group waits for a lane or runs in one: its next result brings the subscription
//!   there.
//! - Every subscription that a frozen transition waits for is in a group that runs in the transition's
//!   snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::context::Observed;
use crate::kernel::commit::TableId;
use crate::kernel::fault::Fault;
use crate::kernel::invocation::is_system;
use crate::kernel::time::secs;
use crate::kernel::trace::TraceContext;

use super::config::ReactivityConfig;
use super::delivery::{QueryResult, Version};
use super::frozen::FrozenTransition;
use super::group::{Delivered, Due, Group, GroupPhase, LiveSubscription, RunPlacement, later};
use super::lanes::Lanes;
use super::query_key::{CallerKey, ClientId, GroupId, QueryKey, SharingScope, SubscriptionKey, keys_of};
use super::read_index::ReadIndex;
use super::relations::ReadTables;
use super::share_key::{ShareKey, distinct};
use super::tick::{FinishedRun, QueryRun, RunEnd};

/// Database sessions that may break in a row during runs of one group; then the group is taken for the cause.
pub(super) const FAILURES_MAX: u32 = 3;
/// Subscribers of a group whose parts of the memory are tried for its result.
const MEMBERS_ASKED_MAX: usize = 32;
/// How long a group is suspended that is taken for the cause of broken database sessions.
const BROKEN_SESSION_PAUSE: Duration = secs(60);

#[derive(Debug, Default)]
pub(super) struct SubscriptionTable {
    queries: HashMap<Arc<QueryKey>, QueryGroups>,
    pub(super) groups: HashMap<GroupId, Group>,
    /// How many of the groups are of the node's own queries.
    pub(super) system_groups: usize,
    groups_created: u64,
    pub(super) subscriptions: BTreeMap<SubscriptionKey, Box<LiveSubscription>>,
    pub(super) reads: ReadIndex,
    /// When groups have to run.
    agenda: BTreeSet<(Due, GroupId)>,
    /// Subscriptions whose clients may have another result than the group, or none.
    pub(super) undelivered: BTreeSet<SubscriptionKey>,
    /// Those of them whose clients cannot advance yet.
    pub(super) parked: BTreeSet<SubscriptionKey>,
    /// The runs in lanes.
    pub(super) lanes: Lanes,
    /// The transitions that wait for such runs.
    pub(super) frozen: BTreeMap<ClientId, FrozenTransition>,
}

/// The groups of one query.
#[derive(Debug)]
struct QueryGroups {
    /// What of their caller the runs have read by now.
    observed: Observed,
    groups: HashMap<SharingScope, GroupId>,
}

/// What [`SubscriptionTable::apply_result`] did.
#[derive(Debug, Default)]
pub(super) struct AppliedResult {
    /// The group that has the result now.
    pub(super) group: Option<GroupId>,
    /// True when it is another result than before.
    pub(super) changed: bool,
    /// New groups that have to run in the same snapshot, because the run has split a query.
    pub(super) split: Vec<GroupId>,
}

impl SubscriptionTable {
    /// A table without subscriptions, for a node with so many lanes.
    pub(super) fn new(lanes_max: usize) -> Self {
        Self { lanes: Lanes::new(lanes_max), ..Self::default() }
    }

    /// Adds a subscription. A subscription of the same key ends.
    pub(super) fn subscribe(
        &mut self,
        key: SubscriptionKey,
        query: Arc<QueryKey>,
        caller: Arc<CallerKey>,
        kept: Option<Version>,
    ) {
        self.unsubscribe(key);
        self.join(key, query, caller, Delivered::Nothing { kept });
    }

    /// Ends a subscription, if there is one of this key.
    pub(super) fn unsubscribe(&mut self, key: SubscriptionKey) -> Option<LiveSubscription> {
        let subscription = self.subscriptions.remove(&key)?;
        self.undelivered.remove(&key);
        self.parked.remove(&key);
        self.forget_frozen(key);
        // The subscription may have been what held its client up.
        self.unpark(key.client);
        if let Some(group) = self.groups.get_mut(&subscription.group) {
            group.members.remove(&key);
            if group.members.is_empty() {
                self.remove_group(subscription.group);
            }
        }
        Some(*subscription)
    }

    /// Ends all subscriptions of a client.
    pub(super) fn detach(&mut self, client: ClientId) {
        let keys: Vec<SubscriptionKey> =
            self.subscriptions.range(keys_of(client)).map(|(key, _)| *key).collect();
        for key in keys {
            self.unsubscribe(key);
        }
    }

    /// The subscriptions of a client with their queries.
    pub(super) fn queries_of(
        &self,
        client: ClientId,
    ) -> impl Iterator<Item = (SubscriptionKey, &Arc<QueryKey>)> {
        self.subscriptions.range(keys_of(client)).map(|(key, subscription)| (*key, &subscription.query))
    }

    pub(super) fn has_subscriptions(&self, client: ClientId) -> bool {
        self.subscriptions.range(keys_of(client)).next().is_some()
    }

    /// Moves the subscriptions of a client to the groups of another caller.
    pub(super) fn identify(&mut self, client: ClientId, caller: &Arc<CallerKey>) {
        let keys: Vec<SubscriptionKey> = self.queries_of(client).map(|(key, _)| key).collect();
        for key in keys {
            if let Some(LiveSubscription { query, delivered, .. }) = self.unsubscribe(key) {
                self.join(key, query, Arc::clone(caller), delivered);
            }
        }
    }

    /// Puts a subscription into the group for its caller, which may be a new one.
    fn join(
        &mut self,
        key: SubscriptionKey,
        query: Arc<QueryKey>,
        caller: Arc<CallerKey>,
        delivered: Delivered,
    ) {
        // Equal queries share the key of the first, so that a client's copy of the arguments is freed.
        let entry = self.queries.entry(query);
        let query = Arc::clone(entry.key());
        let new = || QueryGroups { observed: Observed::Nothing, groups: HashMap::new() };
        let groups = entry.or_insert_with(new);
        let id = *groups.groups.entry(caller.scope(groups.observed)).or_insert_with(|| {
            self.groups_created += 1;
            GroupId(self.groups_created)
        });
        let placement = if self.lanes.exist() { RunPlacement::FirstRun } else { RunPlacement::Tick };
        let group = self.groups.entry(id).or_insert_with(|| {
            let group = Group::new(Arc::clone(&query), Arc::clone(&caller), placement);
            self.agenda.extend(group.phase.due().map(|due| (due, id)));
            self.system_groups += usize::from(is_system(&query.name));
            group
        });
        group.members.insert(key);
        if group.phase == GroupPhase::Waiting {
            let share_key = if group.placement == RunPlacement::Locked {
                locked()
            } else {
                Arc::clone(&caller.share_key)
            };
            self.lanes.wait(id, [share_key]);
        }
        self.undelivered.insert(key);
        self.subscriptions.insert(key, Box::new(LiveSubscription { group: id, query, caller, delivered }));
    }

    /// Removes a group from all indexes. The caller takes care of its members.
    fn remove_group(&mut self, id: GroupId) -> Option<Group> {
        let group = self.groups.remove(&id)?;
        group.result.iter().for_each(|result| result.set_superseded(true));
        self.system_groups -= usize::from(is_system(&group.query.name));
        self.reads.remove(id, &group.reads.tables);
        self.lanes.leave(id);
        if let Some(due) = group.phase.due() {
            self.agenda.remove(&(due, id));
        }
        if let Some(groups) = self.queries.get_mut(&group.query) {
            groups.groups.remove(&group.caller.scope(groups.observed));
            if groups.groups.is_empty() {
                self.queries.remove(&group.query);
            }
        }
        Some(group)
    }

    /// True when a change of one of `tables` may change a result. While groups have to run in a tick, what
    /// they will read is not known, so the answer is true. A change of what a first run in a lane
    /// reads is found by the next poll.
    pub(super) fn concerns(&self, tables: &BTreeSet<TableId>) -> bool {
        self.has_stale_groups() || self.reads.reads_any(tables)
    }

    /// True when groups have to run in a tick.
    pub(super) fn has_stale_groups(&self) -> bool {
        self.agenda.last().is_some_and(|(due, _)| *due == Due::NextRun)
    }

    /// The groups that have to run in a tick.
    pub(super) fn stale_groups(&self) -> impl Iterator<Item = GroupId> {
        self.agenda.range((Due::NextRun, GroupId(0))..).map(|(_, id)| *id)
    }

    /// Schedules the groups with a valid result that read one of `tables` to run again.
    pub(super) fn mark(&mut self, tables: &BTreeSet<TableId>) {
        for id in self.reads.readers_of(tables).collect::<Vec<_>>() {
            self.mark_group(id);
        }
    }

    /// Schedules every group with a valid result to run again. Suspended groups keep waiting for their time.
    pub(super) fn mark_all(&mut self) {
        for id in self.groups.keys().copied().collect::<Vec<_>>() {
            self.mark_group(id);
        }
    }

    /// Schedules the groups to run again whose refresh is due at `now`, or whose suspension ends by then.
    pub(super) fn mark_due(&mut self, now: Instant) {
        while let Some((Due::At(_), id)) =
            self.agenda.first().copied().filter(|(due, _)| *due <= Due::At(now))
        {
            self.set_to_run(id);
        }
    }

    fn mark_group(&mut self, id: GroupId) {
        // A suspended group waits for its time, whatever changes.
        if matches!(self.groups.get(&id).map(|group| group.phase), Some(GroupPhase::Current { .. })) {
            self.set_to_run(id);
        }
    }

    /// Schedules a group to run again, where its placement says.
    pub(super) fn set_to_run(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get(&id) {
            self.set_phase(id, group.placement.phase_to_run());
        }
    }

    pub(super) fn set_phase(&mut self, id: GroupId, phase: GroupPhase) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let before = std::mem::replace(&mut group.phase, phase);
        if let Some(due) = before.due() {
            self.agenda.remove(&(due, id));
        }
        self.agenda.extend(phase.due().map(|due| (due, id)));
        if before == GroupPhase::Waiting {
            self.lanes.leave(id);
        }
        if matches!(before, GroupPhase::Waiting | GroupPhase::InLane(_)) && phase == GroupPhase::Stale {
            // `store_result` delivers a lane's result to all members because of the phase; a tick delivers
            // only to subscriptions in `undelivered`.
            self.undelivered.extend(&group.members);
        }
        if phase == GroupPhase::Waiting {
            let locked = (group.placement == RunPlacement::Locked).then(locked);
            let subscriptions = group.members.iter().filter_map(|key| self.subscriptions.get(key));
            let of_members = subscriptions.map(|subscription| Arc::clone(&subscription.caller.share_key));
            match locked {
                Some(key) => self.lanes.wait(id, [key]),
                None => self.lanes.wait(id, of_members),
            }
        }
        if phase.is_settled() && !self.parked.is_empty() {
            let clients: Vec<ClientId> = group.members.iter().map(|key| key.client).collect();
            clients.into_iter().for_each(|client| self.unpark(client));
        }
    }

    /// Makes the subscriptions of a client deliverable again, as soon as nothing holds the client up.
    pub(super) fn unpark(&mut self, client: ClientId) {
        let keys: Vec<SubscriptionKey> = self.parked.range(keys_of(client)).copied().collect();
        for key in keys {
            self.parked.remove(&key);
            self.undelivered.insert(key);
        }
    }

    /// When the next refresh is due or the next suspension ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        match self.agenda.first() {
            Some((Due::At(due), _)) => Some(*due),
            Some((Due::NextRun, _)) | None => None,
        }
    }

    /// True when a group is due at `now` that reads relations without capture.
    pub(super) fn is_untracked_due(&self, now: Instant) -> bool {
        let due = self.agenda.iter().take_while(|(due, _)| *due <= Due::At(now));
        due.filter_map(|(_, id)| self.groups.get(id)).any(|group| !group.reads.untracked.is_empty())
    }

    /// The next runs of all groups that have to run.
    pub(super) fn runs(&self) -> Vec<QueryRun> {
        self.stale_groups().filter_map(|id| self.run(id)).collect()
    }

    /// The next runs of `groups`.
    pub(super) fn runs_of(&self, groups: &[GroupId]) -> Vec<QueryRun> {
        let is_stale =
            |id: &&GroupId| self.groups.get(id).is_some_and(|group| group.phase == GroupPhase::Stale);
        groups.iter().filter(is_stale).filter_map(|id| self.run(*id)).collect()
    }

    /// The next run of a group that is not settled.
    pub(super) fn run(&self, id: GroupId) -> Option<QueryRun> {
        let group = self.groups.get(&id).filter(|group| !group.phase.is_settled())?;
        // A subscriber that has used up its own part of the memory must not take the result from the others.
        let members = group.members.iter().take(MEMBERS_ASKED_MAX);
        let subscriptions = members.filter_map(|key| self.subscriptions.get(key));
        let callers = iter::once(&group.caller).chain(subscriptions.map(|subscription| &subscription.caller));
        let shares = distinct(callers.map(|caller| &caller.share_key));
        let (invocation, former) = (group.query.invocation(&group.caller), group.result.clone());
        Some(QueryRun { group: id, invocation, shares, former })
    }

    /// Stores the result of a run. When the run read more of its caller than any run before, the query is
    /// split.
    pub(super) fn apply_result(
        &mut self,
        run: FinishedRun,
        now: Instant,
        config: &ReactivityConfig,
    ) -> AppliedResult {
        let Some(group) = self.groups.get(&run.group) else { return AppliedResult::default() };
        let known = self.queries.get(&group.query).map_or(Observed::Nothing, |groups| groups.observed);
        if run.observed <= known {
            let id = run.group;
            let changed = self.store_result(id, run, now, config);
            return AppliedResult { group: Some(id), changed, split: Vec::new() };
        }
        let (query, caller) = (Arc::clone(&group.query), Arc::clone(&group.caller));
        let scope = caller.scope(run.observed);
        self.split_by_caller(&query, run.observed);
        let Some(QueryGroups { groups, .. }) = self.queries.get(&query) else {
            return AppliedResult::default();
        };
        // The run was a call of one caller. Its result is for the group of this caller, if one is left.
        let own = groups.get(&scope).copied();
        let split = groups.values().copied().filter(|id| Some(*id) != own).collect();
        let changed = own.is_some_and(|own| self.store_result(own, run, now, config));
        AppliedResult { group: own, changed, split }
    }

    /// Puts the members of all groups of a query into groups of callers that are equal in what `observed`
    /// says.
    fn split_by_caller(&mut self, query: &Arc<QueryKey>, observed: Observed) {
        let before: Vec<GroupId> =
            self.queries.get(query).map_or_else(Vec::new, |groups| groups.groups.values().copied().collect());
        let removed = before.into_iter().filter_map(|id| self.remove_group(id));
        let members: Vec<SubscriptionKey> = removed.flat_map(|group| group.members).collect();
        self.queries.insert(Arc::clone(query), QueryGroups { observed, groups: HashMap::new() });
        for key in members {
            if let Some(subscription) = self.subscriptions.remove(&key) {
                let LiveSubscription { query, caller, delivered, .. } = *subscription;
                self.join(key, query, caller, delivered);
            }
        }
    }

    /// Stores the result of a run in a group. True when it is another one than before.
    pub(super) fn store_result(
        &mut self,
        id: GroupId,
        run: FinishedRun,
        now: Instant,
        config: &ReactivityConfig,
    ) -> bool {
        let Some(group) = self.groups.get_mut(&id) else { return false };
        let (placement, phase) = group.record_run(&run, now, config);
        // Who joined the group while it was waiting or running has no result yet.
        let delivers = matches!(group.phase, GroupPhase::Waiting | GroupPhase::InLane(_));
        let changed = group.result.as_ref().is_none_or(|result| result.version != run.result.version);
        group.failures = 0;
        group.placement = placement;
        // An equal result of a group that was split is that group's own one.
        run.result.set_superseded(false);
        if changed && let Some(former) = group.result.replace(run.result) {
            former.set_superseded(true);
        }
        if changed || delivers {
            self.undelivered.extend(&group.members);
        }
        self.set_reads(id, run.reads, run.complete);
        self.set_phase(id, phase);
        changed
    }

    /// Replaces what a group reads. An incomplete list is added to what the group read before.
    fn set_reads(&mut self, id: GroupId, mut reads: ReadTables, complete: bool) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        if !complete {
            reads.tables.extend(&group.reads.tables);
            reads.untracked.extend(std::mem::take(&mut group.reads.untracked));
        }
        if group.reads == reads {
            return;
        }
        self.reads.add(id, &reads.tables);
        let before = std::mem::replace(&mut group.reads, reads);
        let dropped: BTreeSet<TableId> = before.tables.difference(&group.reads.tables).copied().collect();
        self.reads.remove(id, &dropped);
    }

    /// Notes that the database session broke during a run of a group. After [`FAILURES_MAX`] times in a row
    /// the group gets an error and is suspended, so that the others go on. `None` while it is not suspended.
    pub(super) fn session_broke(
        &mut self,
        id: GroupId,
        now: Instant,
        config: &ReactivityConfig,
    ) -> Option<AppliedResult> {
        let group = self.groups.get_mut(&id)?;
        group.failures += 1;
        if group.failures < FAILURES_MAX {
            return None;
        }
        let fault = Fault::internal("the database session broke in each of its last runs");
        let run = FinishedRun {
            group: id,
            handler: Arc::clone(&group.query.name),
            result: Arc::new(QueryResult::new(Err(fault), TraceContext::new_root())),
            observed: Observed::Nothing,
            reads: ReadTables::default(),
            complete: false,
            took: config.query_timeout,
            end: RunEnd::Whole,
        };
        let changed = self.store_result(id, run, now, config);
        self.set_phase(id, GroupPhase::Suspended { until: later(now, BROKEN_SESSION_PAUSE) });
        Some(AppliedResult { group: Some(id), changed, split: Vec::new() })
    }
}

fn locked() -> Arc<ShareKey> {
    Arc::new(ShareKey::Locked)
}

#[cfg(test)]
impl SubscriptionTable {
    /// Fails unless the indexes are what the fields of groups and subscriptions say.
    pub(super) fn assert_consistent(&self) {
        let entry = |(id, group): (&GroupId, &Group)| Some((group.phase.due()?, *id));
        assert_eq!(self.agenda, self.groups.iter().filter_map(entry).collect());
        let of_node = self.groups.values().filter(|group| is_system(&group.query.name)).count();
        assert_eq!(self.system_groups, of_node);
        for (key, subscription) in &self.subscriptions {
            let group = &self.groups[&subscription.group];
            assert!(group.members.contains(key), "{key:?} is no member of its group");
            let version = group.result.as_ref().map(|result| Delivered::Version(result.version));
            let has_result = version.is_none_or(|version| version == subscription.delivered);
            let is_due = self.undelivered.contains(key) || self.parked.contains(key);
            let runs_in_lane = matches!(group.phase, GroupPhase::Waiting | GroupPhase::InLane(_));
            assert!(has_result || is_due || runs_in_lane, "{key:?} is never delivered");
        }
        let waiting = self.groups.iter().filter(|(_, group)| group.phase == GroupPhase::Waiting);
        self.lanes.assert_waiting(&waiting.map(|(id, _)| *id).collect());
        for (client, frozen) in &self.frozen {
            assert!(!frozen.waits.is_empty(), "{client:?} waits for nothing");
            assert!(self.is_frozen_whole(frozen), "{client:?} waits for a run of another snapshot");
        }
        let members: usize = self.groups.values().map(|group| group.members.len()).sum();
        assert_eq!(members, self.subscriptions.len());
        assert!(self.undelivered.iter().all(|key| self.subscriptions.contains_key(key)));
        let groups: usize = self.queries.values().map(|query| query.groups.len()).sum();
        assert_eq!(groups, self.groups.len());
    }
}
