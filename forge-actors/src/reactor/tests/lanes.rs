use crate::kernel::time::{millis, secs};
use crate::reactor::step::ReactorInput;

use super::world::{ERROR, Work, WorkEnd, World, duration_of};

/// Everything but the runs in lanes.
fn ticks(work: &Work) -> bool {
    !matches!(work, Work::RunInLane(..))
}

/// A world in which the queries of client 1 have run, so that their lanes are known.
fn known(queries: &[&str]) -> World {
    let mut world = World::new(4);
    for (id, query) in queries.iter().enumerate() {
        world.subscribe(1, id as u32, query, None);
    }
    world.settle();
    world.assert_newest();
    world
}

#[test]
fn a_first_run_holds_up_nobody() {
    let mut world = known(&["fast public 0"]);
    world.subscribe(1, 9, "slow public 1", None);
    world.subscribe(2, 1, "fast public 0", None);
    world.settle_while(ticks);
    assert_eq!(world.in_lanes(), ["slow public 1"]);
    for table in [0, 1, 0] {
        world.commit(table, None);
        world.poll();
        world.settle_while(ticks);
    }
    assert_eq!(world.clients[&1].view[&0], "all 0=2", "the others advance meanwhile");
    assert_eq!(world.clients[&2].view[&1], "all 0=2");
    assert!(!world.clients[&1].view.contains_key(&9));
    world.settle();
    world.assert_newest();
}

#[test]
fn who_has_a_slow_query_advances_at_its_pace_and_others_with_every_tick() {
    let mut world = known(&["fast public 0", "slow public 01"]);
    world.subscribe(2, 1, "fast public 0", None);
    world.settle();
    let before = world.clients[&1].deliveries;
    for round in 1..=5 {
        world.commit(0, None);
        world.poll();
        world.settle_while(ticks);
        assert_eq!(world.clients[&2].view[&1], format!("all 0={round}"));
        assert_eq!(world.in_lanes(), ["slow public 01"], "it runs once, in the snapshot of the first tick");
    }
    assert_eq!(world.clients[&1].deliveries, before, "its queries do not disagree");
    world.end_lane_run("slow public 01");
    assert_eq!(world.clients[&1].view[&0], "all 0=1", "both are those of the first of the snapshots");
    assert_eq!(world.clients[&1].view[&1], "all 0=1 1=0");
    world.settle();
    world.assert_newest();
    assert_eq!(world.slow_logged, ["slow public 01"]);
}

#[test]
fn a_slow_result_that_is_still_valid_is_that_of_the_newest_snapshot() {
    let mut world = known(&["fast public 0", "slow public 1"]);
    world.commit(1, None);
    world.poll();
    world.settle_while(ticks);
    world.commit(0, None);
    world.poll();
    world.settle_while(ticks);
    assert_eq!(world.clients[&1].view[&0], "all 0=0");
    world.end_lane_run("slow public 1");
    assert_eq!(world.clients[&1].view[&0], "all 0=1");
    assert_eq!(world.clients[&1].view[&1], "all 1=1");
    assert!(world.in_lanes().is_empty(), "it does not run again");
}

#[test]
fn one_caller_has_half_of_the_lanes_and_others_have_their_turn() {
    let mut world = World::new(4);
    for id in 0..20 {
        world.subscribe(1, id, &format!("slow public {} of an attacker {id}", id % 4), None);
    }
    world.settle_while(ticks);
    assert_eq!(world.in_lanes().len(), 1, "one batch for one client");
    for id in 0..20 {
        world.subscribe(2, id, &format!("slow public {} of more {id}", id % 4), None);
        world.subscribe(3, id, &format!("slow public {} of others {id}", id % 4), None);
    }
    world.settle_while(ticks);
    assert_eq!(world.in_lanes().len(), 2, "all anonymous clients of one address have half of the lanes");
    world.subscribe(7, 1, "slow public 0 of ana", Some("ana"));
    world.subscribe(8, 1, "fast public 1 of bob", Some("bob"));
    world.settle_while(ticks);
    assert!(world.in_lanes().contains(&"slow public 0 of ana"));
    assert!(world.in_lanes().contains(&"fast public 1 of bob"));
    world.end_lane_run("fast public 1 of bob");
    assert_eq!(world.clients[&8].view[&1], "all 1=0", "nobody waits for the queries of others");
}

#[test]
fn a_client_whose_queries_run_in_two_snapshots_waits_for_one_of_both() {
    let mut world = World::new(4);
    for (client, user) in [(1, "ana"), (2, "bob")] {
        world.subscribe(client, 1, "slow public 1", Some(user));
    }
    world.subscribe(1, 2, "slow public 12", Some("ana"));
    world.settle();
    world.assert_newest();
    // The one runs for both, then the other becomes stale.
    world.commit(1, None);
    world.poll();
    world.settle_while(ticks);
    assert_eq!(world.in_lanes(), ["slow public 1"], "a batch runs one query after the other");
    world.commit(2, None);
    world.poll();
    world.settle_while(ticks);
    world.settle();
    world.assert_newest();
}

#[test]
fn a_query_that_waits_for_a_lock_is_an_error_that_holds_up_nobody_and_is_tried_again() {
    let mut world = known(&["fast public 0", "fast public 1"]);
    world.commit(1, None);
    world.poll();
    let locked = |world: &mut World| {
        let is_run = |work: &Work| matches!(work, Work::Run(_) | Work::RunInLane(..));
        world.settle_while(|work| !is_run(work));
        let at = world.work.iter().position(is_run).expect("it runs");
        world.end(at, WorkEnd::Locked, duration_of);
        world.settle_while(|work| !is_run(work));
    };
    locked(&mut world);
    assert_eq!(world.in_lanes(), ["fast public 1"], "it may wait for longer in a lane");
    locked(&mut world);
    assert_eq!(world.clients[&1].view[&1], "error");
    for pause in [250, 500, 1_000, 2_000, 2_000] {
        world.commit(0, None);
        world.poll();
        world.settle_while(ticks);
        assert!(world.in_lanes().is_empty(), "it rests for a moment");
        world.now += millis(pause);
        world.feed(ReactorInput::TimerFired);
        locked(&mut world);
    }
    assert_eq!(world.clients[&1].view[&0], "all 0=5", "its other query has advanced with every tick");
    world.now += secs(2);
    world.feed(ReactorInput::TimerFired);
    world.settle();
    world.assert_newest();
}

#[test]
fn what_was_rewritten_under_a_run_is_not_delivered_and_runs_again() {
    let mut world = known(&["fast public 0", "fast public 01"]);
    world.commit(0, None);
    world.poll();
    world.settle_while(|work| !matches!(work, Work::Run(_)));
    let before = world.clients[&1].deliveries;
    world.end(0, WorkEnd::Torn, duration_of);
    assert_eq!(world.clients[&1].deliveries, before, "the other query's result waits for it");
    world.settle();
    world.assert_newest();
    assert_eq!(world.clients[&1].deliveries, before + 1);
}

#[test]
fn a_lost_batch_is_repeated_after_a_pause() {
    let mut world = known(&["fast public 0", "slow public 01"]);
    world.commit(0, None);
    world.poll();
    world.settle_while(ticks);
    world.end(0, WorkEnd::Lost, duration_of);
    assert!(world.work.is_empty(), "no batch follows at once: {:?}", world.work);
    world.now += millis(50);
    world.feed(ReactorInput::TimerFired);
    world.settle();
    world.assert_newest();
}

#[test]
fn many_first_runs_share_a_snapshot() {
    let mut world = World::new(4);
    for client in 0..100 {
        world.subscribe(client, 1, "fast private 0", Some(&format!("user {client}")));
    }
    world.settle();
    world.assert_newest();
    let mut ticks = 0;
    for client in 0..100 {
        world.subscribe(client, 2, &format!("fast public 1 for {client}"), Some(&format!("user {client}")));
    }
    while let Some(work) = world.work.first() {
        ticks += u32::from(matches!(work, Work::Open));
        world.end(0, WorkEnd::Well, duration_of);
    }
    world.assert_newest();
    assert!(ticks <= 3, "{ticks} ticks");
}

#[test]
fn a_query_that_gets_no_thread_is_an_error_and_is_not_taken_for_slow() {
    let mut world = known(&["fast public 0", "fast public 1"]);
    world.commit(0, None);
    world.poll();
    let no_run = |work: &Work| !matches!(work, Work::Run(_) | Work::RunInLane(..));
    // By the time until it is given up, it would be slow.
    let give_up = |world: &mut World| {
        world.settle_while(no_run);
        let run = world.work.iter().position(|work| !no_run(work)).expect("it waits for a thread");
        world.end(run, WorkEnd::NoThread, |_| secs(4));
    };
    give_up(&mut world);
    assert_eq!(world.clients[&1].view[&0], "all 0=0", "a lane waits for longer than a tick");
    give_up(&mut world);
    world.subscribe(1, 9, "fast public 01", None);
    give_up(&mut world);
    world.settle_while(no_run);
    assert_eq!(world.clients[&1].view[&0], ERROR, "the client sees that the result is old");
    assert_eq!(world.clients[&1].view[&9], ERROR, "and that its new query has none");
    world.now += secs(2);
    world.feed(ReactorInput::TimerFired);
    world.settle();
    world.assert_newest();
    assert!(world.slow_logged.is_empty(), "{:?}", world.slow_logged);
    world.commit(0, None);
    world.poll();
    world.settle_while(ticks);
    assert_eq!(world.clients[&1].view[&0], "all 0=2", "it runs in the ticks again");
}

#[test]
fn a_first_run_that_gets_no_thread_gives_an_error_and_is_repeated() {
    for lanes in [4, 0] {
        let mut world = World::new(lanes);
        world.subscribe(1, 0, "fast public 0", None);
        let no_run = |work: &Work| !matches!(work, Work::Run(_) | Work::RunInLane(..));
        for _ in 0..3 {
            world.settle_while(no_run);
            let run = world.work.iter().position(|work| !no_run(work)).expect("it waits for a thread");
            world.end(run, WorkEnd::NoThread, |_| secs(4));
            world.settle_while(no_run);
            assert_eq!(world.clients[&1].view[&0], ERROR);
            assert!(world.work.is_empty(), "it is not repeated at once");
            world.now += secs(2);
            world.feed(ReactorInput::TimerFired);
        }
        assert_eq!(world.clients[&1].deliveries, 1, "the same error is sent once");
        world.settle();
        world.assert_newest();
        assert!(world.slow_logged.is_empty(), "{:?}", world.slow_logged);
    }
}
