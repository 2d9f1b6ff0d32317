use std::collections::BTreeSet;

use crate::kernel::commit::TableId;
use crate::kernel::time::{millis, secs};
use crate::reactor::config::ReactivityConfig;
use crate::reactor::step::{PendingHint, ReactorInput};

use super::driver::{Driver, ORDERS, RunOutcome, USERS, answer};

fn hint(driver: &Driver, table: TableId) -> ReactorInput {
    ReactorInput::Hinted(PendingHint { tables: BTreeSet::from([table]), first: driver.now })
}

/// A driver with one subscription whose result is delivered, and an empty log.
fn subscribed(config: ReactivityConfig) -> Driver {
    let mut driver = Driver::with(config);
    driver.subscribe(1, 1, "list", None);
    driver.tick(|_, _| answer("1"));
    driver.delivered();
    driver.log.clear();
    driver
}

#[test]
fn a_hint_starts_a_tick_only_when_a_query_reads_the_table() {
    let mut driver = subscribed(ReactivityConfig { tick_min: millis(0), ..ReactivityConfig::default() });
    driver.feed(hint(&driver, USERS));
    assert!(driver.next_runs().is_none() && driver.log.is_empty(), "{:?}", driver.log);
    driver.change(ORDERS);
    driver.feed(hint(&driver, ORDERS));
    let runs = driver.next_runs().expect("the query runs");
    driver.finish(runs, &mut |_, _| answer("2"));
    driver.next_runs();
    assert_eq!(driver.log, ["open", "end, polled false, found true"]);
    assert_eq!(driver.delivered(), ["1.1 2"]);
}

#[test]
fn ticks_keep_their_distance_and_follow_one_another() {
    let mut driver = subscribed(ReactivityConfig::default());
    driver.feed(hint(&driver, ORDERS));
    driver.feed(hint(&driver, ORDERS));
    assert!(driver.next_runs().is_none());
    assert_eq!(
        driver.log,
        ["timer in 5ms"],
        "the tick before began just now, and one timer serves all hints"
    );
    driver.now += millis(5);
    driver.change(ORDERS);
    driver.feed(ReactorInput::TimerFired);
    let runs = driver.next_runs().expect("the query runs");
    // A commit during the tick is not in its snapshot: another tick follows, and not before the first has
    // ended.
    driver.now += millis(20);
    driver.feed(hint(&driver, ORDERS));
    driver.feed(ReactorInput::PollDue);
    assert!(driver.next_runs().is_none());
    driver.change(ORDERS);
    driver.finish(runs, &mut |_, _| answer("2"));
    let runs = driver.next_runs().expect("the next tick has begun");
    assert_eq!(driver.delivered(), ["1.1 2"]);
    driver.finish(runs, &mut |_, _| answer("3"));
    assert!(driver.next_runs().is_none());
    assert_eq!(driver.delivered(), ["1.1 3"]);
    let end = "end, polled false, found true";
    assert_eq!(driver.log, ["timer in 5ms", "open", end, "open", end]);
}

#[test]
fn a_poll_says_whether_it_found_changes() {
    let mut driver = subscribed(ReactivityConfig { tick_min: millis(0), ..ReactivityConfig::default() });
    driver.tick(|_, _| answer("1"));
    driver.change(ORDERS);
    driver.tick(|_, _| answer("2"));
    assert_eq!(driver.log, ["open", "end, polled true, found false", "open", "end, polled true, found true"]);
}

#[test]
fn a_lost_tick_is_repeated_and_delivers_what_the_lost_one_had_found() {
    let mut driver = subscribed(ReactivityConfig { tick_min: millis(0), ..ReactivityConfig::default() });
    driver.subscribe(2, 1, "other", None);
    driver.change(ORDERS);
    let runs = driver.next_runs().expect("both queries run");
    assert_eq!(runs.len(), 2);
    driver.feed(ReactorInput::Lost { during: None, jitter: 1.0 });
    assert!(driver.next_runs().is_none());
    assert_eq!((driver.state.failures(), driver.log.pop().as_deref()), (1, Some("timer in 20ms")));
    driver.now += millis(20);
    driver.change_everything();
    driver.feed(ReactorInput::TimerFired);
    let runs = driver.next_runs().expect("the tick is repeated");
    driver.finish(runs, &mut |_, _| answer("2"));
    driver.next_runs();
    assert_eq!(driver.delivered(), ["1.1 2", "2.1 2"]);
    assert_eq!(driver.state.failures(), 0);
    assert!(driver.log.contains(&"definitions".to_owned()), "{:?}", driver.log);
}

#[test]
fn untracked_reads_are_refreshed_with_reloaded_relations() {
    let mut driver = Driver::with(ReactivityConfig { tick_min: millis(0), ..ReactivityConfig::default() });
    driver.subscribe(1, 1, "system", None);
    let read =
        |body: &'static str| move |_: &str, _: Option<&str>| RunOutcome { untracked: true, ..answer(body) };
    driver.tick(read("1"));
    let expected = ["open", "untracked in system", "end, polled false, found true", "timer in 1s"];
    assert_eq!(driver.log, expected);
    driver.log.clear();
    driver.now += secs(1);
    driver.feed(ReactorInput::TimerFired);
    let runs = driver.next_runs().expect("the refresh is due");
    driver.finish(runs, &mut read("2"));
    assert!(driver.next_runs().is_none());
    assert_eq!(driver.log, ["open, reload", "end, polled false, found false", "timer in 1s"]);
    assert_eq!(driver.delivered(), ["1.1 2"]);
}
