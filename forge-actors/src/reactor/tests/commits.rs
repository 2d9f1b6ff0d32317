use crate::kernel::commit::Xid;
use crate::reactor::delivery::{AwaitedCommit, MutationId};
use crate::reactor::query_key::ClientId;
use crate::reactor::step::ReactorInput;

use super::driver::{Driver, ORDERS, answer, own};

fn await_commits(driver: &mut Driver, client: u64, commits: &[(u32, Option<u64>)]) {
    let awaited = commits
        .iter()
        .map(|(mutation, xid)| AwaitedCommit { mutation: MutationId(*mutation), xid: xid.map(Xid) })
        .collect();
    driver.feed(ReactorInput::AwaitCommits { client: ClientId(client), awaited });
}

#[test]
fn a_commit_is_applied_with_the_snapshot_that_contains_it() {
    let mut driver = Driver::new();
    driver.subscribe(1, 1, "list", None);
    driver.subscribe(2, 1, "list", None);
    driver.tick(|_, _| answer("1"));
    driver.delivered();
    await_commits(&mut driver, 1, &[(7, Some(100)), (8, Some(99)), (9, None)]);
    driver.change(ORDERS);
    let runs = driver.next_runs().expect("the commit that is awaited causes a tick");
    assert_eq!(
        driver.applied,
        [(1, 8), (1, 9)],
        "the present snapshot contains the one, the other wrote nothing"
    );
    driver.xmax = 101;
    driver.finish(runs, &mut |_, _| answer("2"));
    let runs = driver.next_runs();
    assert!(runs.is_none(), "the next snapshot changes nothing");
    assert_eq!(driver.applied, [(1, 8), (1, 9), (1, 7)]);
    assert_eq!(driver.delivered(), ["1.1 2", "2.1 2"]);
}

#[test]
fn a_client_without_subscriptions_waits_for_no_snapshot() {
    let mut driver = Driver::new();
    await_commits(&mut driver, 1, &[(1, Some(5_000))]);
    assert!(driver.next_runs().is_none());
    assert_eq!(driver.applied, [(1, 1)]);
}

/// After a restart of the ticker, the clients have not subscribed again yet.
#[test]
fn commits_that_were_awaited_before_a_restart_wait_for_their_snapshot() {
    let commit = AwaitedCommit { mutation: MutationId(1), xid: Some(Xid(100)) };
    let mut driver = Driver::awaiting(ClientId(1), commit);
    driver.subscribe(2, 1, "list", None);
    let runs = driver.next_runs().expect("the query runs");
    driver.finish(runs, &mut |_, _| answer("1"));
    driver.xmax = 101;
    driver.next_runs();
    assert_eq!(driver.applied, [(1, 1)]);
    assert_eq!(
        driver.log.iter().filter(|line| *line == "open").count(),
        2,
        "the second snapshot contains it"
    );
}

#[test]
fn a_client_that_is_held_back_does_not_get_its_commits_early() {
    let mut driver = Driver::new();
    driver.subscribe(1, 1, "list", Some("ana"));
    driver.tick(own);
    driver.change(ORDERS);
    driver.feed(ReactorInput::PollDue);
    let runs = driver.next_runs().expect("the query runs");
    driver.identify(1, "bob");
    await_commits(&mut driver, 1, &[(1, Some(50))]);
    driver.finish(runs, &mut own);
    let runs = driver.next_runs().expect("the query runs for bob");
    assert!(driver.applied.is_empty(), "its results are those of an earlier snapshot");
    driver.finish(runs, &mut own);
    assert!(driver.next_runs().is_none());
    assert_eq!(driver.applied, [(1, 1)]);
    assert_eq!(driver.delivered(), ["1.1 bob's"]);
}
