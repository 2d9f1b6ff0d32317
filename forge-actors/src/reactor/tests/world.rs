//! A database, its clients, and the reactor's work as a list from which a test picks what ends next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::app::context::Observed;
use crate::change::{ChangeSet, Changed};
use crate::kernel::commit::{TableId, Xid};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::millis;
use crate::kernel::trace::TraceContext;
use crate::reactor::config::ReactivityConfig;
use crate::reactor::delivery::{AwaitedCommit, MutationId, QueryResult, Tick};
use crate::reactor::query_key::{BatchId, ClientId, GroupId, QueryKey};
use crate::reactor::relations::ReadTables;
use crate::reactor::state::ReactorState;
use crate::reactor::step::{ReactorEffect, ReactorInput};
use crate::reactor::tick::{FinishedRun, QueryRun, RunEnd, RunsReport};
use crate::reactor::updates::{ClientUpdate, TickUpdates};

use super::driver::{caller, key};

pub(super) const TABLES: usize = 4;
/// What a run answers that must not be delivered.
const TORN: &str = "torn";
pub(super) const ERROR: &str = "error";

/// How often each table has changed.
type Versions = [u64; TABLES];

/// A state of the database.
#[derive(Debug, Clone, Copy, Default)]
struct DatabaseState {
    versions: Versions,
    commits: u64,
}

/// Work of the reactor that is under way.
#[derive(Debug)]
pub(super) enum Work {
    Open,
    Export,
    Run(Vec<QueryRun>),
    Close,
    Import(BatchId),
    RunInLane(BatchId, Box<QueryRun>),
    CloseBatch(BatchId),
}

/// How a piece of work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkEnd {
    Well,
    Lost,
    Torn,
    Locked,
    Cut,
    NoThread,
}

#[derive(Debug, Default)]
pub(super) struct WorldClient {
    pub(super) user: Option<String>,
    pub(super) subscribed: BTreeMap<u32, String>,
    pub(super) view: BTreeMap<u32, String>,
    tick: u64,
    pub(super) deliveries: usize,
    pub(super) awaited: BTreeMap<u32, u64>,
}

pub(super) struct World {
    pub(super) state: ReactorState,
    pub(super) now: Instant,
    pub(super) work: Vec<Work>,
    pub(super) clients: BTreeMap<u64, WorldClient>,
    pub(super) slow_logged: Vec<String>,
    database: DatabaseState,
    /// The state that the last opened tick read.
    opened: DatabaseState,
    /// True when the next tick reads with a new tail.
    new_tail: bool,
    ticks: u64,
    snapshots: HashMap<u64, DatabaseState>,
    batches: HashMap<BatchId, DatabaseState>,
    last_awaited: u32,
}

impl World {
    pub(super) fn new(lanes_max: usize) -> Self {
        let config = ReactivityConfig { tick_min: Duration::ZERO, lanes_max, ..ReactivityConfig::default() };
        Self {
            state: ReactorState::new(config, BTreeMap::new(), Tick(0)),
            now: Instant::now(),
            work: Vec::new(),
            clients: BTreeMap::new(),
            slow_logged: Vec::new(),
            database: DatabaseState::default(),
            opened: DatabaseState::default(),
            new_tail: true,
            ticks: 0,
            snapshots: HashMap::new(),
            batches: HashMap::new(),
            last_awaited: 0,
        }
    }

    pub(super) fn feed(&mut self, input: ReactorInput) {
        let effects = self.state.step(self.now, input);
        self.state.table.assert_consistent();
        for effect in effects {
            match effect {
                ReactorEffect::OpenSnapshot { .. } => self.work.push(Work::Open),
                ReactorEffect::ExportSnapshot => self.work.push(Work::Export),
                ReactorEffect::RunQueries(runs) => self.work.push(Work::Run(runs)),
                ReactorEffect::CloseSnapshot => self.work.push(Work::Close),
                ReactorEffect::OpenBatch(batch) => {
                    self.batches.insert(batch, self.opened);
                    self.work.push(Work::Import(batch));
                }
                ReactorEffect::RunInLane { batch, run } => {
                    self.work.push(Work::RunInLane(batch, Box::new(run)))
                }
                ReactorEffect::CloseBatch(batch) => self.work.push(Work::CloseBatch(batch)),
                ReactorEffect::Publish { updates, .. } | ReactorEffect::Deliver(updates) => {
                    self.take(updates)
                }
                ReactorEffect::LogSlow { handler, .. } => self.slow_logged.push(handler.to_string()),
                _ => {}
            }
        }
    }

    fn take(&mut self, updates: TickUpdates) {
        for ClientUpdate { client, tick, modifications, applied } in updates.clients {
            let Some(known) = self.clients.get_mut(&client.0) else { continue };
            assert!(tick.0 >= known.tick, "client {client:?} goes back from {} to {}", known.tick, tick.0);
            known.tick = tick.0;
            known.deliveries += 1;
            let state = self.snapshots.get(&tick.0).copied().unwrap_or_default();
            for mutation in applied {
                let xid = known.awaited.remove(&mutation.0).expect("named once");
                // A client without subscriptions has no results that could lack the effects.
                let visible = xid < state.commits || known.subscribed.is_empty();
                assert!(visible, "a mutation is named before its effects are visible");
            }
            for modification in modifications {
                let shown = match &modification.result.outcome {
                    Ok(body) => String::from_utf8(body.to_vec()).expect("a text"),
                    Err(_) => ERROR.to_owned(),
                };
                known.view.insert(modification.subscription.0, shown);
            }
            for (id, shown) in &known.view {
                let expected = answer(&known.subscribed[id], known.user.as_deref(), state.versions);
                assert!(
                    *shown == expected || shown == ERROR,
                    "client {client:?} at tick {}: {} shows {shown} and not {expected}",
                    tick.0,
                    known.subscribed[id],
                );
            }
        }
    }

    pub(super) fn subscribe(&mut self, client: u64, id: u32, query: &str, user: Option<&str>) {
        let known = self.clients.entry(client).or_default();
        known.user = user.map(str::to_owned);
        known.view.remove(&id);
        known.subscribed.insert(id, query.to_owned());
        let query = Arc::new(QueryKey { name: query.into(), args: Bytes::new(), refresh: None });
        let caller = caller(user, client);
        self.feed(ReactorInput::Subscribe { key: key(client, id), query, caller, kept: None });
    }

    pub(super) fn unsubscribe(&mut self, client: u64, id: u32) {
        let Some(known) = self.clients.get_mut(&client) else { return };
        known.view.remove(&id);
        if known.subscribed.remove(&id).is_some() {
            self.feed(ReactorInput::Unsubscribe(key(client, id)));
        }
    }

    pub(super) fn identify(&mut self, client: u64, user: &str) {
        let Some(known) = self.clients.get_mut(&client) else { return };
        let same = known.user.as_deref() == Some(user);
        known.user = Some(user.to_owned());
        // Whatever is private is of the former caller until the new results come.
        let private = |id: &u32| !same && known.subscribed.get(id).is_some_and(|query| is_private(query));
        let ids: Vec<u32> = known.view.keys().copied().filter(private).collect();
        for id in ids {
            known.view.remove(&id);
        }
        let input = ReactorInput::Identify {
            client: ClientId(client),
            caller: caller(Some(user), client),
            refused: Vec::new(),
        };
        self.feed(input);
    }

    /// Changes a table. With a client, it awaits the commit.
    pub(super) fn commit(&mut self, table: usize, by: Option<u64>) {
        let xid = self.database.commits;
        self.database.versions[table] += 1;
        self.database.commits += 1;
        let Some((client, known)) = by.and_then(|id| Some((id, self.clients.get_mut(&id)?))) else { return };
        self.last_awaited += 1;
        known.awaited.insert(self.last_awaited, xid);
        let commit =
            |(id, xid): (&u32, &u64)| AwaitedCommit { mutation: MutationId(*id), xid: Some(Xid(*xid)) };
        let awaited = known.awaited.iter().map(commit).collect();
        self.feed(ReactorInput::AwaitCommits { client: ClientId(client), awaited });
    }

    /// Ends one piece of work.
    pub(super) fn end(&mut self, at: usize, end: WorkEnd, took: impl Fn(&str) -> Duration) {
        let work = self.work.remove(at);
        let lost = |during| ReactorInput::Lost { during, jitter: 0.5 };
        let input = match work {
            Work::Open | Work::Export | Work::Run(_) if end == WorkEnd::Lost => {
                self.new_tail = true;
                lost(None)
            }
            Work::Import(batch) if end == WorkEnd::Lost => {
                ReactorInput::BatchLost { batch, during: None, jitter: 0.5 }
            }
            Work::RunInLane(batch, run) if end == WorkEnd::Lost => {
                ReactorInput::BatchLost { batch, during: Some(run.group), jitter: 0.5 }
            }
            Work::Open => self.open(),
            Work::Export => ReactorInput::Exported,
            Work::Close => ReactorInput::Closed,
            Work::Import(batch) => ReactorInput::BatchOpened(batch),
            Work::CloseBatch(batch) => ReactorInput::BatchClosed(batch),
            Work::Run(runs) => ReactorInput::RunsFinished(self.report(runs, self.opened, end, took)),
            Work::RunInLane(batch, run) => {
                let report = self.report(vec![*run], self.batches[&batch], end, took);
                ReactorInput::LaneRunFinished { batch, report }
            }
        };
        self.feed(input);
    }

    fn open(&mut self) -> ReactorInput {
        let changed = if std::mem::take(&mut self.new_tail) {
            Changed::Everything
        } else {
            let differ = |table: &usize| self.opened.versions[*table] != self.database.versions[*table];
            Changed::Tables((0..TABLES).filter(differ).map(|table| TableId(table as u32)).collect())
        };
        self.opened = self.database;
        self.ticks += 1;
        self.snapshots.insert(self.ticks, self.opened);
        let snapshot = format!("{0}:{0}:", self.opened.commits).parse().expect("a snapshot");
        ReactorInput::Opened(ChangeSet { snapshot, changed })
    }

    /// The report of runs, of which the first ends as `end` says.
    fn report(
        &self,
        runs: Vec<QueryRun>,
        state: DatabaseState,
        end: WorkEnd,
        took: impl Fn(&str) -> Duration,
    ) -> RunsReport {
        let mut report = RunsReport::default();
        for (index, run) in runs.into_iter().enumerate() {
            let end = if index == 0 { end } else { WorkEnd::Well };
            if report.finished.iter().any(|run| run.end == RunEnd::Locked) {
                report.unrun.push(run.group);
                continue;
            }
            let took = took(&run.invocation.name);
            let user = run.invocation.caller.identity.as_deref().map(|identity| identity.subject.as_str());
            report.finished.push(finished(run.group, &run.invocation.name, user, state.versions, end, took));
            if end == WorkEnd::Locked {
                let tables = tables_of(&run.invocation.name);
                report.locked = tables.into_iter().take(1).map(|table| TableId(table as u32)).collect();
            }
        }
        report
    }

    /// Ends all work, oldest first, until there is none.
    pub(super) fn settle(&mut self) {
        self.settle_while(|_| true);
    }

    /// Ends the work that `ends` picks, oldest first, until none is left.
    pub(super) fn settle_while(&mut self, ends: impl Fn(&Work) -> bool) {
        for _ in 0..1_000 {
            let Some(at) = self.work.iter().position(&ends) else { return };
            self.end(at, WorkEnd::Well, duration_of);
        }
        panic!("the reactor works for ever: {:?}", self.work);
    }

    pub(super) fn has_lanes(&self) -> bool {
        self.state.table.lanes.exist()
    }

    pub(super) fn poll(&mut self) {
        self.feed(ReactorInput::PollDue);
    }

    /// The queries that run in lanes.
    pub(super) fn in_lanes(&self) -> Vec<&str> {
        let runs = self.work.iter().filter_map(|work| match work {
            Work::RunInLane(_, run) => Some(&*run.invocation.name),
            _ => None,
        });
        runs.collect()
    }

    /// Ends the run of a query in a lane.
    pub(super) fn end_lane_run(&mut self, query: &str) {
        let is_run = |work: &Work| matches!(work, Work::RunInLane(_, run) if &*run.invocation.name == query);
        let at = self.work.iter().position(is_run).expect("it runs");
        self.end(at, WorkEnd::Well, duration_of);
    }

    /// Fails unless every client shows the newest state.
    pub(super) fn assert_newest(&self) {
        for (id, client) in &self.clients {
            for (subscription, query) in &client.subscribed {
                let expected = answer(query, client.user.as_deref(), self.database.versions);
                let shown = client.view.get(subscription);
                assert_eq!(shown, Some(&expected), "client {id}, {query}");
            }
            assert!(client.awaited.is_empty(), "client {id} waits for {:?}", client.awaited);
        }
    }
}

fn finished(
    group: GroupId,
    query: &Arc<str>,
    user: Option<&str>,
    versions: Versions,
    end: WorkEnd,
    took: Duration,
) -> FinishedRun {
    let (outcome, run_end) = match end {
        WorkEnd::Well | WorkEnd::Lost => (Ok(answer(query, user, versions)), RunEnd::Whole),
        WorkEnd::Torn => (Ok(TORN.to_owned()), RunEnd::Torn),
        WorkEnd::Cut => (Ok(TORN.to_owned()), RunEnd::TimedOut),
        WorkEnd::NoThread => (Err(Fault::new(Code::Overloaded, "no thread")), RunEnd::NoThread),
        WorkEnd::Locked => (Err(Fault::new(Code::Unavailable, "locked")), RunEnd::Locked),
    };
    let tables: BTreeSet<TableId> = tables_of(query).into_iter().map(|table| TableId(table as u32)).collect();
    let observed = if is_private(query) { Observed::Identity } else { Observed::Nothing };
    FinishedRun {
        group,
        handler: Arc::clone(query),
        result: Arc::new(QueryResult::new(outcome.map(Bytes::from), TraceContext::new_root())),
        observed,
        reads: ReadTables { tables, untracked: BTreeSet::new() },
        complete: !matches!(run_end, RunEnd::Locked | RunEnd::NoThread),
        took,
        end: run_end,
    }
}

/// The name of a query says what it is: `slow` or `fast`, `private` or `public`, the tables that it reads,
/// and perhaps more.
pub(super) fn duration_of(query: &str) -> Duration {
    if query.starts_with("slow") { millis(4_000) } else { millis(1) }
}

fn is_private(query: &str) -> bool {
    query.contains("private")
}

fn tables_of(query: &str) -> Vec<usize> {
    let tables = query.split(' ').nth(2).expect("a query names its tables");
    tables.chars().filter_map(|c| c.to_digit(10)).map(|table| table as usize).collect()
}

/// What a query answers in a state of the database.
fn answer(query: &str, user: Option<&str>, versions: Versions) -> String {
    let tables: Vec<String> =
        tables_of(query).into_iter().map(|table| format!("{table}={}", versions[table])).collect();
    let of = if is_private(query) { user.unwrap_or("nobody") } else { "all" };
    format!("{of} {}", tables.join(" "))
}
