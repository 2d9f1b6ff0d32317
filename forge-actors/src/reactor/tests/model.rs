//! Random schedules: whatever ends when, every client is at one snapshot, never goes back, and ends at the
//! newest state. `World` checks the first two at each delivery.

use std::time::Duration;

use crate::kernel::time::millis;
use crate::reactor::step::ReactorInput;

use super::world::{TABLES, Work, WorkEnd, World, duration_of};

const CLIENTS: u64 = 6;
const QUERIES: &[&str] = &[
    "fast public 0",
    "fast public 01",
    "fast private 2",
    "slow public 1",
    "slow public 03",
    "slow private 2",
    "slow public 12",
];

/// Pseudo-random numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn client(&mut self) -> u64 {
        self.below(CLIENTS)
    }
}

fn user_of(client: u64) -> Option<&'static str> {
    [None, Some("ana"), Some("bob")][client as usize % 3]
}

fn act(world: &mut World, numbers: &mut Numbers) {
    world.now += millis(numbers.below(40));
    match numbers.below(20) {
        0 | 1 => {
            let query = QUERIES[numbers.below(QUERIES.len() as u64) as usize];
            let client = numbers.client();
            let user = world.clients.get(&client).and_then(|known| known.user.clone());
            world.subscribe(client, numbers.below(4) as u32, query, user.as_deref().or(user_of(client)));
        }
        2 => world.unsubscribe(numbers.client(), numbers.below(4) as u32),
        3 if numbers.below(8) == 0 => {
            world.identify(numbers.client(), ["ana", "bob"][numbers.below(2) as usize])
        }
        4..=6 => world.commit(numbers.below(TABLES as u64) as usize, None),
        7 => {
            let client = numbers.client();
            world.commit(numbers.below(TABLES as u64) as usize, Some(client));
        }
        8 => world.feed(ReactorInput::TimerFired),
        9 => world.poll(),
        _ if !world.work.is_empty() => {
            let at = numbers.below(world.work.len() as u64) as usize;
            let fault = numbers.below(40);
            let end = match (&world.work[at], fault) {
                (Work::Close | Work::CloseBatch(_), _) => WorkEnd::Well,
                (_, 0) => WorkEnd::Lost,
                (Work::Run(_) | Work::RunInLane(..), 1) => WorkEnd::Torn,
                (Work::Run(_) | Work::RunInLane(..), 2) => WorkEnd::Locked,
                (Work::Run(_) | Work::RunInLane(..), 4 | 5) => WorkEnd::NoThread,
                // Without lanes, nothing is cut.
                (Work::Run(_), 3) if world.has_lanes() => WorkEnd::Cut,
                _ => WorkEnd::Well,
            };
            let odd = numbers.below(10) == 0;
            world.end(at, end, |query| if odd { millis(1) } else { duration_of(query) });
        }
        _ => {}
    }
}

/// Lets everything come to its end, without further faults.
fn come_to_rest(world: &mut World) {
    for _ in 0..40 {
        world.settle();
        world.now += Duration::from_secs(61);
        world.feed(ReactorInput::TimerFired);
        world.poll();
    }
    world.settle();
}

fn check(seed: u64, lanes: usize) {
    let (mut world, mut numbers) = (World::new(lanes), Numbers(seed));
    for _ in 0..1_500 {
        act(&mut world, &mut numbers);
    }
    come_to_rest(&mut world);
    world.assert_newest();
    assert!(world.state.table.frozen.is_empty() && world.state.table.lanes.batches.is_empty());
}

#[test]
fn on_random_schedules_every_client_is_at_one_snapshot_and_ends_at_the_newest() {
    for seed in 0..120 {
        check(seed, 1 + seed as usize % 4);
    }
}

#[test]
fn without_lanes_too() {
    for seed in 0..30 {
        check(seed, 0);
    }
}
