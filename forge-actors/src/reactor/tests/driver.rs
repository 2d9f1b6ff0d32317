//! Drives [`ReactorState`] as the ticker does, with runs that a test answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::app::context::Observed;
use crate::change::{ChangeSet, Changed};
use crate::kernel::commit::TableId;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Caller, Identity};
use crate::kernel::time::millis;
use crate::kernel::trace::TraceContext;
use crate::reactor::config::ReactivityConfig;
use crate::reactor::delivery::{AwaitedCommit, QueryResult, SubscriptionId, Tick, Version};
use crate::reactor::query_key::{CallerKey, ClientId, QueryKey, SubscriptionKey};
use crate::reactor::relations::{ReadTables, Untracked};
use crate::reactor::state::ReactorState;
use crate::reactor::step::{ReactorEffect, ReactorInput};
use crate::reactor::tick::{FinishedRun, QueryRun, RunEnd, RunsReport};
use crate::reactor::updates::ClientUpdate;

pub(super) const ORDERS: TableId = TableId(1);
pub(super) const USERS: TableId = TableId(2);

/// A reactor, its clock, and what has come out of it.
pub(super) struct Driver {
    pub(super) state: ReactorState,
    pub(super) now: Instant,
    pub(super) config: ReactivityConfig,
    effects: VecDeque<ReactorEffect>,
    /// What the next snapshot finds changed.
    changed: Changed,
    /// The next snapshot contains all transactions below.
    pub(super) xmax: u64,
    delivered: BTreeMap<(u64, u32), String>,
    /// Client and mutation.
    pub(super) applied: Vec<(u64, u32)>,
    /// The tables that were declared last.
    pub(super) interest: Option<BTreeSet<TableId>>,
    /// Effects of which only the name counts.
    pub(super) log: Vec<String>,
}

/// How a run ends.
pub(super) struct RunOutcome {
    pub(super) body: Result<String, Code>,
    pub(super) observed: Observed,
    pub(super) reads: Vec<TableId>,
    pub(super) untracked: bool,
    pub(super) complete: bool,
}

/// A run that answers `body` and reads the orders.
pub(super) fn answer(body: impl Into<String>) -> RunOutcome {
    RunOutcome {
        body: Ok(body.into()),
        observed: Observed::Nothing,
        reads: vec![ORDERS],
        untracked: false,
        complete: true,
    }
}

/// A run that reads who called, and answers whose rows it has read.
pub(super) fn own(_: &str, user: Option<&str>) -> RunOutcome {
    RunOutcome { observed: Observed::Identity, ..answer(format!("{}'s", user.unwrap_or("nobody"))) }
}

pub(super) fn failure(code: Code) -> RunOutcome {
    RunOutcome { body: Err(code), ..answer("") }
}

impl Driver {
    pub(super) fn new() -> Self {
        // Ticks may follow each other at once, unless a test says otherwise.
        Self::with(ReactivityConfig { tick_min: Duration::ZERO, ..ReactivityConfig::default() })
    }

    /// After a restart of the ticker, while a client awaits a commit.
    pub(super) fn awaiting(client: ClientId, commit: AwaitedCommit) -> Self {
        let mut driver = Self::new();
        let awaited = BTreeMap::from([(client, vec![commit])]);
        driver.state = ReactorState::new(driver.config.clone(), awaited, Tick(0));
        driver
    }

    /// A node without lanes: everything runs in the ticks.
    pub(super) fn with(config: ReactivityConfig) -> Self {
        let config = ReactivityConfig { lanes_max: 0, ..config };
        Self {
            state: ReactorState::new(config.clone(), BTreeMap::new(), Tick(0)),
            now: Instant::now(),
            config,
            effects: VecDeque::new(),
            changed: Changed::Tables(BTreeSet::new()),
            xmax: 100,
            delivered: BTreeMap::new(),
            applied: Vec::new(),
            interest: None,
            log: Vec::new(),
        }
    }

    pub(super) fn subscribe(&mut self, client: u64, id: u32, name: &str, user: Option<&str>) {
        let query = Arc::new(QueryKey { name: name.into(), args: Bytes::from_static(b"{}"), refresh: None });
        self.subscribe_to(client, id, query, user, None);
    }

    pub(super) fn subscribe_to(
        &mut self,
        client: u64,
        id: u32,
        query: Arc<QueryKey>,
        user: Option<&str>,
        kept: Option<Version>,
    ) {
        let caller = caller(user, client);
        self.feed(ReactorInput::Subscribe { key: key(client, id), query, caller, kept });
    }

    pub(super) fn identify(&mut self, client: u64, user: &str) {
        let caller = caller(Some(user), client);
        self.feed(ReactorInput::Identify { client: ClientId(client), caller, refused: Vec::new() });
    }

    pub(super) fn feed(&mut self, input: ReactorInput) {
        let effects = self.state.step(self.now, input);
        self.effects.extend(effects);
        if self.state.table.subscriptions.len() < 100 {
            self.state.table.assert_consistent();
        }
    }

    /// Makes the next snapshot report a change of `table`.
    pub(super) fn change(&mut self, table: TableId) {
        if let Changed::Tables(tables) = &mut self.changed {
            tables.insert(table);
        }
    }

    pub(super) fn change_everything(&mut self) {
        self.changed = Changed::Everything;
    }

    /// Polls, takes the tick to its end, and returns which runs it took.
    pub(super) fn tick(&mut self, mut run: impl FnMut(&str, Option<&str>) -> RunOutcome) -> Vec<String> {
        let mut ran = Vec::new();
        self.feed(ReactorInput::PollDue);
        while let Some(runs) = self.next_runs() {
            ran.extend(runs.iter().map(|run| format!("{} for {}", run.invocation.name, user_of(run))));
            self.finish(runs, &mut run);
        }
        ran
    }

    /// Carries out effects until queries have to run, which are returned, or until nothing is left to do.
    pub(super) fn next_runs(&mut self) -> Option<Vec<QueryRun>> {
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                ReactorEffect::OpenSnapshot { reload_relations } => {
                    self.log.push(if reload_relations { "open, reload" } else { "open" }.to_owned());
                    let snapshot = format!("{0}:{0}:", self.xmax).parse().expect("a snapshot");
                    let changed = std::mem::replace(&mut self.changed, Changed::Tables(BTreeSet::new()));
                    self.feed(ReactorInput::Opened(ChangeSet { snapshot, changed }));
                }
                ReactorEffect::RunQueries(runs) => return Some(runs),
                ReactorEffect::Publish { updates, .. } => {
                    updates.clients.into_iter().for_each(|update| self.take(update))
                }
                ReactorEffect::CloseSnapshot => self.feed(ReactorInput::Closed),
                ReactorEffect::Deliver(updates) => {
                    updates.clients.into_iter().for_each(|update| self.take(update))
                }
                ReactorEffect::ExportSnapshot
                | ReactorEffect::OpenBatch(_)
                | ReactorEffect::RunInLane { .. }
                | ReactorEffect::CloseBatch(_)
                | ReactorEffect::LogSlow { .. } => unreachable!("there are no lanes"),
                ReactorEffect::DeclareInterest(tables) => self.interest = Some(tables),
                ReactorEffect::EndTick { polled, found } => {
                    self.log.push(format!("end, polled {polled}, found {found}"))
                }
                ReactorEffect::SetTimer(at) => self.log.push(format!("timer in {:?}", at - self.now)),
                ReactorEffect::LogError { handler, .. } => self.log.push(format!("error of {handler}")),
                ReactorEffect::LogSuspended { handler } => self.log.push(format!("suspended {handler}")),
                ReactorEffect::WarnUntracked { handler, .. } => {
                    self.log.push(format!("untracked in {handler}"))
                }
                ReactorEffect::Release(keys) => self.log.push(format!("released {}", keys.len())),
                ReactorEffect::PublishDefinitions => self.log.push("definitions".to_owned()),
            }
        }
        None
    }

    /// Ends runs, and takes the tick on.
    pub(super) fn finish(
        &mut self,
        runs: Vec<QueryRun>,
        run: &mut impl FnMut(&str, Option<&str>) -> RunOutcome,
    ) {
        let finished = runs.into_iter().map(|one| {
            let caller = one.invocation.caller.identity.as_deref();
            let outcome = run(&one.invocation.name, caller.map(|identity| identity.subject.as_str()));
            let untracked = outcome.untracked.then_some(Untracked::System).into_iter().collect();
            let body = outcome.body.map(Bytes::from).map_err(|code| Fault::new(code, "failed"));
            FinishedRun {
                group: one.group,
                handler: one.invocation.name,
                result: Arc::new(QueryResult::new(body, TraceContext::new_root())),
                observed: outcome.observed,
                reads: ReadTables { tables: outcome.reads.into_iter().collect(), untracked },
                complete: outcome.complete,
                took: millis(100),
                end: RunEnd::Whole,
            }
        });
        let report = RunsReport { finished: finished.collect(), ..RunsReport::default() };
        self.feed(ReactorInput::RunsFinished(report));
    }

    fn take(&mut self, update: ClientUpdate) {
        let client = update.client.0;
        for modification in update.modifications {
            let shown = match &modification.result.outcome {
                Ok(body) => String::from_utf8(body.to_vec()).expect("a text"),
                Err(fault) => fault.code().name().to_owned(),
            };
            self.delivered.insert((client, modification.subscription.0), shown);
        }
        self.applied.extend(update.applied.into_iter().map(|mutation| (client, mutation.0)));
    }

    /// What was delivered since the last call.
    pub(super) fn delivered(&mut self) -> Vec<String> {
        let delivered = std::mem::take(&mut self.delivered);
        delivered.into_iter().map(|((client, id), shown)| format!("{client}.{id} {shown}")).collect()
    }

    pub(super) fn groups(&self) -> usize {
        self.state.table.groups.len()
    }
}

fn user_of(run: &QueryRun) -> &str {
    run.invocation.caller.identity.as_deref().map_or("nobody", |identity| identity.subject.as_str())
}

pub(super) fn key(client: u64, id: u32) -> SubscriptionKey {
    SubscriptionKey { client: ClientId(client), id: SubscriptionId(id) }
}

pub(super) fn caller(user: Option<&str>, client: u64) -> Arc<CallerKey> {
    let identity = |user: &str| Identity {
        subject: user.into(),
        roles: Vec::new(),
        tenant: None,
        claims: Default::default(),
    };
    let user_agent = Some(format!("agent of {client}"));
    Arc::new(CallerKey::new(Caller { identity: user.map(identity).map(Arc::new), ip: None, user_agent }))
}
