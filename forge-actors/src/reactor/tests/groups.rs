use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::app::context::Observed;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::{millis, secs};
use crate::kernel::trace::TraceContext;
use crate::reactor::config::ReactivityConfig;
use crate::reactor::delivery::{QueryResult, Version};
use crate::reactor::group::{Group, RunPlacement};
use crate::reactor::groups::FAILURES_MAX;
use crate::reactor::query_key::{ClientId, GroupId, QueryKey};
use crate::reactor::relations::ReadTables;
use crate::reactor::step::ReactorInput;
use crate::reactor::tick::{FinishedRun, RunEnd};

use super::driver::{Driver, ORDERS, RunOutcome, USERS, answer, caller, failure, key, own};

#[test]
fn equal_queries_are_one_run_and_unchanged_results_are_not_delivered() {
    let mut driver = Driver::new();
    for client in 1..=3 {
        driver.subscribe(client, 7, "list", Some("ana"));
    }
    driver.subscribe(1, 8, "sum", Some("ana"));
    assert_eq!(driver.tick(|name, _| answer(name)).len(), 2);
    assert_eq!(driver.delivered(), ["1.7 list", "1.8 sum", "2.7 list", "3.7 list"]);
    driver.change(USERS);
    assert!(driver.tick(|_, _| unreachable!("no query reads users")).is_empty());
    driver.change(ORDERS);
    assert_eq!(driver.tick(|name, _| answer(if name == "sum" { "sum" } else { "list 2" })).len(), 2);
    assert_eq!(driver.delivered(), ["1.7 list 2", "2.7 list 2", "3.7 list 2"]);
    // A later subscription gets the present result without a run.
    driver.subscribe(4, 1, "list", None);
    assert!(driver.tick(|_, _| unreachable!("its group is current")).is_empty());
    assert_eq!(driver.delivered(), ["4.1 list 2"]);
}

#[test]
fn a_change_runs_and_delivers_only_what_reads_the_table() {
    let mut driver = Driver::new();
    for group in 0..1_000 {
        for client in 0..10 {
            driver.subscribe(client, group, &format!("q{group}"), None);
        }
    }
    let reads = |name: &str| vec![if name == "q500" { USERS } else { ORDERS }];
    driver.tick(|name, _| RunOutcome { reads: reads(name), ..answer("1") });
    assert_eq!(driver.delivered().len(), 10_000);
    driver.change(USERS);
    let ran = driver.tick(|name, _| RunOutcome { reads: reads(name), ..answer("2") });
    assert_eq!(ran, ["q500 for nobody"]);
    let expected: Vec<String> = (0..10).map(|client| format!("{client}.500 2")).collect();
    assert_eq!(driver.delivered(), expected);
}

#[test]
fn reads_are_those_of_the_last_run() {
    let mut driver = Driver::new();
    driver.subscribe(1, 1, "list", None);
    driver.tick(|_, _| answer("a"));
    assert_eq!(driver.interest, Some(BTreeSet::from([ORDERS])));
    driver.change(ORDERS);
    driver.tick(|_, _| RunOutcome { reads: vec![USERS], ..answer("b") });
    assert_eq!(driver.interest, Some(BTreeSet::from([USERS])));
    let table = &driver.state.table;
    assert!(!table.concerns(&BTreeSet::from([ORDERS])) && table.concerns(&BTreeSet::from([USERS])));
    // An incomplete list of reads is added to the known reads, and the group runs again at intervals.
    driver.change(USERS);
    driver.tick(|_, _| RunOutcome { complete: false, ..failure(Code::Internal) });
    assert_eq!(driver.interest, Some(BTreeSet::from([ORDERS, USERS])));
    assert_eq!(driver.state.table.next_due(), Some(driver.now + driver.config.uncaptured_refresh));
    driver.now += secs(1);
    assert_eq!(driver.tick(|_, _| answer("c")).len(), 1);
    assert_eq!(driver.interest, Some(BTreeSet::from([ORDERS])));
    assert_eq!(driver.state.table.next_due(), None);
}

#[test]
fn the_run_that_reads_the_caller_splits_the_query_before_anything_is_delivered() {
    let mut driver = Driver::new();
    for (client, user) in [(1, "ana"), (2, "bob"), (3, "ana")] {
        driver.subscribe(client, 1, "list", Some(user));
    }
    assert_eq!(driver.tick(|_, _| answer("everybody's")), ["list for ana"]);
    assert_eq!(driver.delivered(), ["1.1 everybody's", "2.1 everybody's", "3.1 everybody's"]);
    driver.change(ORDERS);
    assert_eq!(driver.tick(own), ["list for ana", "list for bob"]);
    assert_eq!(driver.delivered(), ["1.1 ana's", "2.1 bob's", "3.1 ana's"]);
    // A later run that does not read the caller is still a run for its caller.
    driver.change(ORDERS);
    assert_eq!(driver.tick(|_, user| answer(format!("{} again", user.unwrap_or("nobody")))).len(), 2);
    assert_eq!(driver.delivered(), ["1.1 ana again", "2.1 bob again", "3.1 ana again"]);
    // One run reads more than the identity: all groups are split further, at once.
    driver.change(ORDERS);
    driver.tick(|_, user| {
        let observed = if user == Some("bob") { Observed::Connection } else { Observed::Identity };
        RunOutcome { observed, ..answer(format!("{} at home", user.unwrap_or("nobody"))) }
    });
    assert_eq!(driver.groups(), 3, "one for each client");
    assert_eq!(driver.delivered(), ["1.1 ana at home", "2.1 bob at home", "3.1 ana at home"]);
}

#[test]
fn the_result_of_a_split_goes_to_no_other_caller_when_its_own_is_gone() {
    let mut driver = Driver::new();
    driver.subscribe(1, 1, "list", Some("ana"));
    driver.subscribe(2, 1, "list", Some("bob"));
    let runs = driver.next_runs().expect("the query runs for the first subscription");
    driver.feed(ReactorInput::Unsubscribe(key(1, 1)));
    driver.finish(runs, &mut |name, user| {
        assert_eq!(user, Some("ana"));
        own(name, user)
    });
    assert!(driver.delivered().is_empty());
    let runs = driver.next_runs().expect("the other group of the split runs");
    assert_eq!(runs.len(), 1);
    driver.finish(runs, &mut own);
    assert_eq!(driver.next_runs().map(|runs| runs.len()), None);
    assert_eq!(driver.delivered(), ["2.1 bob's"]);
}

#[test]
fn another_caller_gets_no_more_rows_of_the_former_one() {
    let mut driver = Driver::new();
    driver.subscribe(1, 1, "list", Some("ana"));
    driver.subscribe(1, 2, "sum", Some("ana"));
    driver.tick(own);
    driver.delivered();
    driver.change(ORDERS);
    driver.feed(ReactorInput::PollDue);
    let runs = driver.next_runs().expect("both queries run for ana");
    driver.identify(1, "bob");
    driver.finish(runs, &mut |_, _| answer("ana's secret"));
    assert_eq!(driver.tick(own), ["list for bob", "sum for bob"]);
    assert_eq!(driver.delivered(), ["1.1 bob's", "1.2 bob's"]);
    assert_eq!(driver.groups(), 2, "no client is ana any more");
}

#[test]
fn a_client_that_cannot_advance_as_a_whole_gets_everything_together_later() {
    let mut driver = Driver::new();
    driver.subscribe(1, 1, "list", Some("ana"));
    driver.subscribe(1, 2, "own", Some("ana"));
    driver.subscribe(2, 1, "list", Some("bob"));
    let version = |body: &'static str| {
        move |name: &str, user: Option<&str>| {
            let own = name == "own";
            let observed = if own { Observed::Identity } else { Observed::Nothing };
            let of = if own { user.unwrap_or("nobody") } else { "all" };
            RunOutcome { observed, ..answer(format!("{body} {of}")) }
        }
    };
    driver.tick(version("1"));
    driver.delivered();
    // While a tick runs, client 1 becomes bob. Its result of `own` is not part of this tick.
    driver.change(ORDERS);
    driver.feed(ReactorInput::PollDue);
    let runs = driver.next_runs().expect("both queries run");
    driver.identify(1, "bob");
    driver.finish(runs, &mut version("2"));
    let runs = driver.next_runs().expect("the next tick follows at once");
    assert_eq!(driver.delivered(), ["2.1 2 all"]);
    driver.finish(runs, &mut version("3"));
    assert_eq!(driver.next_runs().map(|runs| runs.len()), None);
    assert_eq!(driver.delivered(), ["1.1 2 all", "1.2 3 bob"]);
}

#[test]
fn a_group_ends_with_its_last_subscription() {
    let mut driver = Driver::new();
    for client in 1..=2 {
        driver.subscribe(client, 1, "list", None);
        driver.subscribe(client, 2, "sum", None);
    }
    driver.tick(|_, _| RunOutcome { untracked: true, ..answer("x") });
    driver.feed(ReactorInput::Detach(ClientId(1)));
    assert_eq!(driver.groups(), 2);
    driver.subscribe(2, 2, "list", None);
    assert_eq!(driver.groups(), 1, "a subscription of the same key is replaced");
    driver.feed(ReactorInput::Detach(ClientId(2)));
    let table = &mut driver.state.table;
    assert!(table.groups.is_empty() && table.subscriptions.is_empty() && table.undelivered.is_empty());
    assert_eq!((table.next_due(), table.reads.take_changed_tables()), (None, Some(BTreeSet::new())));
}

#[test]
fn refusals_end_a_subscription_and_other_errors_do_not() {
    let mut driver = Driver::new();
    driver.subscribe(1, 1, "list", None);
    driver.tick(|_, _| failure(Code::Internal));
    assert_eq!(driver.delivered(), ["1.1 INTERNAL"]);
    driver.change(ORDERS);
    driver.log.clear();
    driver.tick(|_, _| failure(Code::PermissionDenied));
    assert_eq!(driver.delivered(), ["1.1 PERMISSION_DENIED"]);
    assert_eq!(driver.groups(), 0);
    assert!(driver.log.contains(&"released 1".to_owned()), "{:?}", driver.log);
}

#[test]
fn an_error_is_logged_once_while_it_stays_the_same() {
    let mut driver = Driver::new();
    driver.subscribe(1, 1, "list", None);
    for code in [Code::Internal, Code::Internal, Code::Unavailable] {
        driver.tick(|_, _| failure(code));
        driver.change(ORDERS);
    }
    let errors = driver.log.iter().filter(|line| *line == "error of list").count();
    assert_eq!(errors, 2, "{:?}", driver.log);
}

#[test]
fn a_query_that_was_cut_is_suspended_ten_times_as_long() {
    let mut driver = Driver::new();
    driver.subscribe(1, 1, "slow", None);
    driver.subscribe(1, 2, "list", None);
    driver.tick(|name, _| if name == "slow" { failure(Code::Timeout) } else { answer("list") });
    assert_eq!(driver.delivered(), ["1.1 TIMEOUT", "1.2 list"]);
    driver.change(ORDERS);
    assert_eq!(driver.tick(|_, _| answer("list 2")), ["list for nobody"], "others are not held up");
    assert_eq!(driver.delivered(), ["1.2 list 2"]);
    assert_eq!(driver.state.table.next_due(), Some(driver.now + secs(1)));
    driver.now += secs(1);
    driver.tick(|_, _| answer("there"));
    assert_eq!(driver.delivered(), ["1.1 there"]);
}

#[test]
fn a_query_that_breaks_the_session_too_often_is_suspended() {
    let mut driver = Driver::new();
    driver.subscribe(1, 1, "bad", None);
    driver.subscribe(1, 2, "good", None);
    driver.tick(|name, _| answer(name));
    driver.delivered();
    for failures in 1..=FAILURES_MAX {
        break_session_of_bad(&mut driver);
        let suspended = driver.log.contains(&"suspended bad".to_owned());
        driver.next_runs();
        assert_eq!(suspended || driver.log.contains(&"suspended bad".to_owned()), failures == FAILURES_MAX);
    }
    driver.now += secs(5);
    driver.change_everything();
    assert_eq!(driver.tick(|name, _| answer(format!("{name} 2"))), ["good for nobody"]);
    assert_eq!(driver.delivered(), ["1.1 INTERNAL", "1.2 good 2"]);
    // It breaks the session again when it is tried again: the client has this error, and the log as well.
    driver.log.clear();
    driver.now += secs(60);
    for _ in 1..=FAILURES_MAX {
        break_session_of_bad(&mut driver);
        driver.next_runs();
    }
    assert_eq!(driver.log.iter().filter(|line| *line == "suspended bad").count(), 1, "{:?}", driver.log);
    assert!(!driver.log.contains(&"error of bad".to_owned()), "{:?}", driver.log);
    driver.now += secs(60);
    driver.tick(|name, _| answer(name));
    assert_eq!(driver.delivered(), ["1.1 bad", "1.2 good"]);
}

/// The next tick's run of `bad` loses the database session.
fn break_session_of_bad(driver: &mut Driver) {
    driver.change_everything();
    driver.now += secs(5);
    driver.feed(ReactorInput::PollDue);
    let runs = driver.next_runs().expect("the tick runs or is repeated");
    let bad = runs.iter().find(|run| &*run.invocation.name == "bad").expect("it has to run").group;
    driver.feed(ReactorInput::Lost { during: Some(bad), jitter: 0.5 });
}

#[test]
fn a_version_that_the_client_kept_is_delivered_all_the_same() {
    let mut driver = Driver::new();
    let query = QueryKey { name: "list".into(), args: Bytes::new(), refresh: Some(millis(250)) };
    let version_of = |outcome| QueryResult::new(outcome, TraceContext::new_root()).version;
    let version = version_of(Ok(Bytes::from_static(b"x")));
    driver.subscribe_to(1, 1, Arc::new(query), None, Some(version));
    driver.tick(|_, _| answer("x"));
    assert_eq!(driver.delivered(), ["1.1 x"]);
    assert_eq!(driver.state.table.next_due(), Some(driver.now + millis(250)), "its handler has an interval");
    assert_ne!(version, Version(0));
    assert_ne!(version, version_of(Err(Fault::new(Code::Internal, "x"))));
}

#[test]
fn a_query_that_runs_without_a_change_leaves_the_ticks_early() {
    use RunPlacement::{FirstRun, Slow, Tick};
    let check = |refresh: Option<Duration>, placement, took, expected| {
        let query = QueryKey { name: "list".into(), args: Bytes::new(), refresh };
        let mut group = Group::new(Arc::new(query), caller(None, 1), placement);
        let run = FinishedRun {
            group: GroupId(1),
            handler: "list".into(),
            result: Arc::new(QueryResult::new(Ok(Bytes::new()), TraceContext::new_root())),
            observed: Observed::Nothing,
            reads: ReadTables::default(),
            complete: true,
            took,
            end: RunEnd::Whole,
        };
        let config = ReactivityConfig { slow_after: millis(50), ..ReactivityConfig::default() };
        let (found, _) = group.record_run(&run, Instant::now(), &config);
        assert_eq!(found, expected, "refresh {refresh:?}, {placement:?}, took {took:?}");
    };
    for (placement, took, expected) in
        [(FirstRun, 49, Tick), (Tick, 50, Slow), (Slow, 25, Slow), (Slow, 24, Tick)]
    {
        check(None, placement, millis(took), expected);
    }
    for (placement, took, expected) in
        [(FirstRun, 4, Tick), (Tick, 5, Slow), (Slow, 3, Slow), (Slow, 2, Tick)]
    {
        check(Some(secs(1)), placement, millis(took), expected);
    }
}
