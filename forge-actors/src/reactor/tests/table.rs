use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::app::context::Observed;
use crate::kernel::commit::TableId;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Caller, Identity};
use crate::kernel::time::{millis, secs};
use crate::kernel::trace::TraceContext;
use crate::reactor::config::ReactivityConfig;
use crate::reactor::messages::{QueryResult, SubscriptionId, Version};
use crate::reactor::question::{ClientId, GroupId, Live, Persona, Place, Question};
use crate::reactor::relations::{Blind, Reads};
use crate::reactor::table::{STRIKES_MAX, Table};
use crate::reactor::tick::Ran;

const ORDERS: TableId = TableId(1);
const USERS: TableId = TableId(2);

/// A table, a clock, and what each client was told.
struct Desk {
    table: Table,
    now: Instant,
    config: ReactivityConfig,
    told: BTreeMap<(u64, u32), String>,
}

/// How a run goes.
struct Answer {
    body: Result<String, Code>,
    observed: Observed,
    reads: Vec<TableId>,
    blind: bool,
    whole: bool,
}

fn answer(body: impl Into<String>) -> Answer {
    Answer {
        body: Ok(body.into()),
        observed: Observed::Nothing,
        reads: vec![ORDERS],
        blind: false,
        whole: true,
    }
}

impl Desk {
    fn new() -> Self {
        Self {
            table: Table::default(),
            now: Instant::now(),
            config: ReactivityConfig::default(),
            told: BTreeMap::new(),
        }
    }

    fn subscribe(&mut self, client: u64, id: u32, name: &str, user: Option<&str>) {
        self.subscribe_as(client, id, name, persona(user, client));
    }

    fn subscribe_as(&mut self, client: u64, id: u32, name: &str, persona: Arc<Persona>) {
        let question = Arc::new(Question { name: name.into(), args: Bytes::from_static(b"{}") });
        let live = Live { question, args: Bytes::from_static(b"{}"), refresh: None, persona };
        self.table.subscribe(place(client, id), live, None);
    }

    /// Runs everything that has to run, with what splits add to it, and tells the news.
    fn tick(&mut self, mut run: impl FnMut(&str, Option<&str>) -> Answer) -> Vec<String> {
        self.table.mark_due(self.now);
        let mut ran = Vec::new();
        let mut runs = self.table.runs();
        while !runs.is_empty() {
            let mut divided = Vec::new();
            for one in runs {
                let user =
                    one.invocation.caller.identity.as_deref().map(|identity| identity.subject.as_str());
                let answer = run(&one.invocation.name, user);
                ran.push(format!("{} for {}", one.invocation.name, user.unwrap_or("nobody")));
                divided.extend(self.settle(one.group, answer));
            }
            runs = self.table.runs_of(&divided);
        }
        self.tell();
        ran
    }

    fn settle(&mut self, group: GroupId, answer: Answer) -> Vec<GroupId> {
        let blind = answer.blind.then_some(Blind::System).into_iter().collect();
        let ran = Ran {
            group,
            result: QueryResult::new(
                answer.body.map(Bytes::from).map_err(|code| Fault::new(code, "failed")),
                TraceContext::new_root(),
            ),
            observed: answer.observed,
            reads: Reads { tables: answer.reads.into_iter().collect(), blind },
            whole: answer.whole,
            took: millis(100),
        };
        self.table.settle(ran, self.now, &self.config)
    }

    fn tell(&mut self) {
        let torn = self.table.torn();
        for (client, mods) in self.table.news(&torn).mods {
            for modification in mods {
                let shown = match &modification.result.outcome {
                    Ok(body) => String::from_utf8(body.to_vec()).expect("a text"),
                    Err(fault) => fault.code().name().to_owned(),
                };
                self.told.insert((client.0, modification.subscription.0), shown);
            }
        }
    }

    /// What was told since the last look.
    fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
            .into_iter()
            .map(|((client, id), shown)| format!("{client}.{id} {shown}"))
            .collect()
    }
}

fn place(client: u64, id: u32) -> Place {
    Place { client: ClientId(client), id: SubscriptionId(id) }
}

fn persona(user: Option<&str>, client: u64) -> Arc<Persona> {
    let identity = |user: &str| Identity {
        subject: user.into(),
        roles: Vec::new(),
        tenant: None,
        claims: Default::default(),
    };
    let user_agent = Some(format!("agent of {client}"));
    Arc::new(Persona::new(Caller { identity: user.map(identity).map(Arc::new), ip: None, user_agent }))
}

fn changed(table: TableId) -> BTreeSet<TableId> {
    BTreeSet::from([table])
}

#[test]
fn equal_questions_are_one_run_and_unchanged_results_no_news() {
    let mut desk = Desk::new();
    for client in 1..=3 {
        desk.subscribe(client, 7, "list", Some("ana"));
    }
    desk.subscribe(1, 8, "sum", Some("ana"));
    assert_eq!(desk.tick(|name, _| answer(name)).len(), 2);
    assert_eq!(desk.news(), ["1.7 list", "1.8 sum", "2.7 list", "3.7 list"]);
    desk.table.mark(&changed(USERS));
    assert!(desk.tick(|_, _| unreachable!("nobody reads it")).is_empty());
    desk.table.mark(&changed(ORDERS));
    assert_eq!(desk.tick(|name, _| answer(if name == "sum" { "sum" } else { "list 2" })).len(), 2);
    assert_eq!(desk.news(), ["1.7 list 2", "2.7 list 2", "3.7 list 2"]);
    // Who comes later gets what is there, without a run.
    desk.subscribe(4, 1, "list", None);
    assert!(desk.tick(|_, _| unreachable!("its group is current")).is_empty());
    assert_eq!(desk.news(), ["4.1 list 2"]);
}

#[test]
fn what_is_read_follows_the_last_run() {
    let mut desk = Desk::new();
    desk.subscribe(1, 1, "list", None);
    desk.tick(|_, _| answer("a"));
    assert_eq!(desk.table.tables(), changed(ORDERS));
    desk.table.mark(&changed(ORDERS));
    desk.tick(|_, _| Answer { reads: vec![USERS], ..answer("b") });
    assert_eq!(desk.table.tables(), changed(USERS));
    assert!(!desk.table.concerns(&changed(ORDERS)) && desk.table.concerns(&changed(USERS)));
    // A run of which only a part is known adds to what is known, and is not relied on.
    desk.table.mark(&changed(USERS));
    desk.tick(|_, _| Answer { body: Err(Code::Internal), whole: false, ..answer("") });
    assert_eq!(desk.table.tables(), BTreeSet::from([ORDERS, USERS]));
    assert_eq!(desk.table.next_due(), Some(desk.now + desk.config.uncaptured_refresh));
    desk.now += secs(1);
    assert_eq!(desk.tick(|_, _| answer("c")).len(), 1);
    assert_eq!((desk.table.tables(), desk.table.next_due()), (changed(ORDERS), None));
}

#[test]
fn the_run_that_asks_splits_the_group_before_anything_is_told() {
    let mut desk = Desk::new();
    for (client, user) in [(1, "ana"), (2, "bob"), (3, "ana")] {
        desk.subscribe(client, 1, "list", Some(user));
    }
    assert_eq!(desk.tick(|_, _| answer("everybody's")), ["list for ana"]);
    assert_eq!(desk.news(), ["1.1 everybody's", "2.1 everybody's", "3.1 everybody's"]);
    desk.table.mark(&changed(ORDERS));
    let own = |_: &str, user: Option<&str>| Answer {
        observed: Observed::Identity,
        ..answer(format!("{}'s", user.unwrap_or("nobody")))
    };
    assert_eq!(desk.tick(own), ["list for ana", "list for bob"]);
    assert_eq!(desk.news(), ["1.1 ana's", "2.1 bob's", "3.1 ana's"]);
    // A run that does not ask stays what it was made for: the question is remembered.
    desk.table.mark(&changed(ORDERS));
    assert_eq!(desk.tick(|_, user| answer(format!("{} again", user.unwrap_or("nobody")))).len(), 2);
    assert_eq!(desk.news(), ["1.1 ana again", "2.1 bob again", "3.1 ana again"]);
    // One of them asks for more: all are divided further, at once.
    desk.table.mark(&changed(ORDERS));
    let peer = |_: &str, user: Option<&str>| {
        let observed = if user == Some("bob") { Observed::Peer } else { Observed::Identity };
        Answer { observed, ..answer(format!("{} at home", user.unwrap_or("nobody"))) }
    };
    desk.tick(peer);
    assert_eq!(desk.table.groups.len(), 3, "one for each client");
    assert_eq!(desk.news(), ["1.1 ana at home", "2.1 bob at home", "3.1 ana at home"]);
}

#[test]
fn a_split_without_the_one_it_was_run_for_gives_its_answer_to_nobody() {
    let mut desk = Desk::new();
    desk.subscribe(1, 1, "list", Some("ana"));
    desk.subscribe(2, 1, "list", Some("bob"));
    let run = desk.table.runs().remove(0);
    assert_eq!(
        run.invocation.caller.identity.as_deref().map(|identity| identity.subject.as_str()),
        Some("ana")
    );
    desk.table.unsubscribe(place(1, 1));
    let divided = desk.settle(run.group, Answer { observed: Observed::Identity, ..answer("ana's") });
    desk.tell();
    assert!(desk.news().is_empty());
    assert_eq!(divided.len(), 1);
    desk.tick(|_, user| answer(user.unwrap_or("nobody")));
    assert_eq!(desk.news(), ["2.1 bob"]);
}

#[test]
fn another_caller_gets_no_more_of_the_last_ones_rows() {
    let mut desk = Desk::new();
    let own = |_: &str, user: Option<&str>| Answer {
        observed: Observed::Identity,
        ..answer(format!("{}'s", user.unwrap_or("nobody")))
    };
    desk.subscribe(1, 1, "list", Some("ana"));
    desk.subscribe(1, 2, "sum", Some("ana"));
    desk.tick(own);
    desk.news();
    desk.table.identify(place(1, 1), &persona(Some("bob"), 1));
    // A tick that ran without it tells this client nothing: the other subscription would stand at a later
    // snapshot.
    let torn = desk.table.torn();
    assert_eq!(torn, HashSet::from([ClientId(1)]));
    desk.table.identify(place(1, 2), &persona(Some("bob"), 1));
    desk.tell();
    assert!(desk.news().is_empty());
    desk.tick(own);
    assert_eq!(desk.news(), ["1.1 bob's", "1.2 bob's"]);
    assert_eq!(desk.table.groups.len(), 2, "nobody is ana any more");
}

#[test]
fn whoever_is_torn_gets_everything_together_later() {
    let mut desk = Desk::new();
    desk.subscribe(1, 1, "list", Some("ana"));
    desk.subscribe(1, 2, "own", Some("ana"));
    desk.subscribe(2, 1, "list", Some("bob"));
    let own = |body: &'static str| {
        move |name: &str, user: Option<&str>| {
            let observed = if name == "own" { Observed::Identity } else { Observed::Nothing };
            Answer {
                observed,
                ..answer(format!("{body} {}", if name == "own" { user.unwrap_or("nobody") } else { "all" }))
            }
        }
    };
    desk.tick(own("1"));
    desk.news();
    // While a tick runs, client 1 becomes bob: what it has of `own` is not in this tick.
    desk.table.mark(&changed(ORDERS));
    let runs = desk.table.runs();
    desk.table.identify(place(1, 2), &persona(Some("bob"), 1));
    for run in runs {
        let answer = own("2")(&run.invocation.name, Some("ana"));
        desk.settle(run.group, answer);
    }
    desk.tell();
    assert_eq!(desk.news(), ["2.1 2 all"]);
    desk.tick(own("3"));
    assert_eq!(desk.news(), ["1.1 2 all", "1.2 3 bob"]);
}

#[test]
fn a_group_ends_with_its_last_subscription() {
    let mut desk = Desk::new();
    for client in 1..=2 {
        desk.subscribe(client, 1, "list", None);
        desk.subscribe(client, 2, "sum", None);
    }
    desk.tick(|_, _| Answer { blind: true, ..answer("x") });
    desk.table.readers_changed = false;
    desk.table.detach(ClientId(1));
    assert_eq!(desk.table.groups.len(), 2);
    desk.subscribe(2, 2, "list", None);
    assert_eq!(desk.table.groups.len(), 1, "a place is subscribed anew");
    desk.table.detach(ClientId(2));
    let table = &desk.table;
    assert!(
        table.groups.is_empty()
            && table.clients.is_empty()
            && table.dirty.is_empty()
            && table.unanswered.is_empty()
    );
    assert!(table.tables().is_empty() && table.readers_changed && table.next_due().is_none());
}

#[test]
fn refusals_end_a_subscription_and_other_errors_do_not() {
    let mut desk = Desk::new();
    desk.subscribe(1, 1, "list", None);
    desk.tick(|_, _| Answer { body: Err(Code::Internal), ..answer("") });
    assert_eq!(desk.news(), ["1.1 INTERNAL"]);
    desk.table.mark(&changed(ORDERS));
    desk.tick(|_, _| Answer { body: Err(Code::PermissionDenied), ..answer("") });
    assert_eq!(desk.news(), ["1.1 PERMISSION_DENIED"]);
    assert!(desk.table.groups.is_empty());
}

#[test]
fn what_was_cut_rests_ten_times_as_long() {
    let mut desk = Desk::new();
    desk.subscribe(1, 1, "slow", None);
    desk.subscribe(1, 2, "list", None);
    let run = |name: &str, _: Option<&str>| {
        if name == "slow" { Answer { body: Err(Code::Timeout), ..answer("") } } else { answer("list") }
    };
    desk.tick(run);
    assert_eq!(desk.news(), ["1.1 TIMEOUT", "1.2 list"]);
    desk.table.mark(&changed(ORDERS));
    assert_eq!(desk.tick(|_, _| answer("list 2")), ["list for nobody"], "one rests, and holds up nobody");
    assert_eq!(desk.news(), ["1.2 list 2"]);
    assert_eq!(desk.table.next_due(), Some(desk.now + secs(1)));
    desk.now += secs(1);
    desk.tick(|_, _| answer("there"));
    assert_eq!(desk.news(), ["1.1 there"]);
}

#[test]
fn who_breaks_the_session_too_often_is_set_aside() {
    let mut desk = Desk::new();
    desk.subscribe(1, 1, "bad", None);
    desk.subscribe(1, 2, "good", None);
    desk.tick(|name, _| answer(name));
    desk.news();
    desk.table.mark_all();
    let bad = desk
        .table
        .runs()
        .into_iter()
        .find(|run| &*run.invocation.name == "bad")
        .expect("it has to run")
        .group;
    for _ in 0..STRIKES_MAX {
        assert!(desk.table.pending().any(|group| group == bad));
        desk.table.strike(bad, desk.now, &desk.config);
    }
    assert!(desk.table.pending().all(|group| group != bad));
    assert_eq!(desk.tick(|name, _| answer(format!("{name} 2"))), ["good for nobody"]);
    assert_eq!(desk.news(), ["1.1 INTERNAL", "1.2 good 2"]);
    desk.now += Duration::from_secs(60);
    desk.tick(|name, _| answer(name));
    assert_eq!(desk.news(), ["1.1 bad"]);
}

#[test]
fn a_kept_version_is_answered_all_the_same() {
    let mut desk = Desk::new();
    let question = Arc::new(Question { name: "list".into(), args: Bytes::new() });
    let live = Live { question, args: Bytes::new(), refresh: Some(millis(250)), persona: persona(None, 1) };
    let version_of = |outcome| QueryResult::new(outcome, TraceContext::new_root()).version;
    let version = version_of(Ok(Bytes::from_static(b"x")));
    desk.table.subscribe(place(1, 1), live, Some(version));
    desk.tick(|_, _| answer("x"));
    assert_eq!(desk.news(), ["1.1 x"]);
    assert_eq!(desk.table.next_due(), Some(desk.now + millis(250)), "it asks to run again");
    assert_ne!(version, Version(0));
    assert_ne!(version, version_of(Err(Fault::new(Code::Internal, "x"))));
}
