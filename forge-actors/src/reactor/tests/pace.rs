use std::time::{Duration, Instant};

use crate::kernel::time::millis;
use crate::reactor::pace::{Pace, Watch};

#[test]
fn the_first_wish_is_granted_at_once_and_the_next_ones_together() {
    let (start, mut pace) = (Instant::now(), Pace::new(millis(5)));
    assert!(!pace.start(start), "nobody asked");
    pace.ask();
    assert!(pace.start(start));
    pace.ask();
    pace.ask();
    assert!(!pace.start(start + millis(9)), "one tick at a time");
    assert_eq!(pace.wakes_at(), None, "its end wakes, no clock");
    pace.ended();
    assert_eq!(pace.wakes_at(), Some(start + millis(5)));
    assert!(!pace.start(start + millis(4)));
    assert!(pace.start(start + millis(5)));
    pace.ended();
    assert!(!pace.start(start + millis(60)), "three wishes were one tick");
    assert_eq!(pace.wakes_at(), None);
}

#[test]
fn a_lost_tick_is_wanted_again_later_and_later() {
    let (start, mut pace) = (Instant::now(), Pace::new(millis(5)));
    let mut waits: Vec<Duration> = Vec::new();
    pace.ask();
    assert!(pace.start(start));
    for _ in 0..8 {
        pace.failed(start, 1.0);
        pace.ask();
        assert!(!pace.start(start), "wishes do not shorten the backoff");
        let wakes = pace.wakes_at().expect("it is wanted again");
        waits.push(wakes - start);
        assert!(pace.start(wakes));
    }
    assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1_000, 1_000].map(millis));
    assert_eq!(pace.failures(), 8);
    pace.ended();
    assert_eq!(pace.failures(), 0);
}

#[test]
fn looks_are_quick_while_there_is_something_to_see() {
    let mut watch = Watch::new(millis(5), millis(50));
    let mut looks = |found: &[bool]| -> Vec<u128> {
        let look = |found: &bool| {
            watch.looked(*found);
            watch.interval().as_millis()
        };
        found.iter().map(look).collect()
    };
    assert_eq!(looks(&[false, false, false, false, false]), [10, 20, 40, 50, 50]);
    assert_eq!(looks(&[true, true, false]), [5, 5, 10]);
}
