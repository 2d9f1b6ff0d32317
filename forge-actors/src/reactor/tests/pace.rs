use std::time::{Duration, Instant};

use crate::kernel::time::millis;
use crate::reactor::pace::{Pace, PollInterval};

#[test]
fn the_first_request_is_met_at_once_and_the_next_ones_together() {
    let (start, mut pace) = (Instant::now(), Pace::new(millis(5)));
    assert!(!pace.start(start), "no tick was requested");
    pace.request();
    assert!(pace.start(start));
    pace.request();
    pace.request();
    pace.succeeded();
    assert_eq!(pace.starts_at(), Some(start + millis(5)));
    assert!(!pace.start(start + millis(4)));
    assert!(pace.start(start + millis(5)));
    pace.succeeded();
    assert!(!pace.start(start + millis(60)), "the requests were met by one tick");
    assert_eq!(pace.starts_at(), None);
}

#[test]
fn a_lost_tick_is_repeated_with_backoff() {
    let (start, mut pace) = (Instant::now(), Pace::new(millis(5)));
    let mut waits: Vec<Duration> = Vec::new();
    pace.request();
    assert!(pace.start(start));
    for _ in 0..8 {
        pace.failed(start, 1.0);
        pace.request();
        assert!(!pace.start(start), "requests do not shorten the backoff");
        let starts = pace.starts_at().expect("it is requested again");
        waits.push(starts - start);
        assert!(pace.start(starts));
    }
    assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1_000, 1_000].map(millis));
    assert_eq!(pace.failures(), 8);
    pace.succeeded();
    assert_eq!(pace.failures(), 0);
}

#[test]
fn polls_are_frequent_while_they_find_changes() {
    let mut interval = PollInterval::new(millis(5), millis(50));
    let mut intervals = |found: &[bool]| -> Vec<u128> {
        let poll = |found: &bool| {
            interval.polled(*found);
            interval.current().as_millis()
        };
        found.iter().map(poll).collect()
    };
    assert_eq!(intervals(&[false, false, false, false, false]), [10, 20, 40, 50, 50]);
    assert_eq!(intervals(&[true, true, false]), [5, 5, 10]);
}
