//! A frame that does not become complete reaches a limit, whatever it is made of.

use std::time::{Duration, Instant};

use crate::session::arrival::{ArrivalLimit, FrameArrival};
use crate::session::limits::FRAGMENT_HEADS_BYTES_MAX;

const BYTES_MAX: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);

fn limit(arrival: &FrameArrival, now: Instant) -> Option<ArrivalLimit> {
    arrival.limit(BYTES_MAX, TIMEOUT, now)
}

#[test]
fn fragments_without_a_payload_reach_the_limit_of_bytes() {
    let (mut arrival, now) = (FrameArrival::default(), Instant::now());
    arrival.read(BYTES_MAX + FRAGMENT_HEADS_BYTES_MAX, now);
    assert_eq!(limit(&arrival, now), None);
    arrival.read(1, now);
    assert_eq!(limit(&arrival, now), Some(ArrivalLimit::Bytes));
}

#[test]
fn pings_between_fragments_count_neither_for_nor_against_the_frame() {
    let (mut arrival, began) = (FrameArrival::default(), Instant::now());
    arrival.read(100, began);
    for second in 1..30 {
        arrival.read(16, began + Duration::from_secs(second));
        arrival.control_frame(10);
    }
    assert_eq!(limit(&arrival, began + Duration::from_secs(29)), None);
    assert_eq!(limit(&arrival, began + TIMEOUT), Some(ArrivalLimit::Time));
}

#[test]
fn a_client_that_only_answers_pings_never_reaches_a_limit() {
    let (mut arrival, began) = (FrameArrival::default(), Instant::now());
    for minute in 0..1_000_000 {
        let now = began + Duration::from_secs(60 * minute);
        arrival.read(6, now);
        arrival.control_frame(0);
        assert_eq!(limit(&arrival, now), None);
    }
}

#[test]
fn a_complete_frame_begins_anew() {
    let (mut arrival, began) = (FrameArrival::default(), Instant::now());
    arrival.read(900, began);
    arrival.completed();
    assert_eq!(limit(&arrival, began + TIMEOUT), None);
    arrival.read(900, began + TIMEOUT);
    assert_eq!(limit(&arrival, began + TIMEOUT), None);
}
