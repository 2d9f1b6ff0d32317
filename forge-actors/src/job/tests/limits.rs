//! Which jobs a claim may hold.

use std::collections::HashMap;

use chrono::DateTime;

use crate::job::limits::{
    HandlerLimits, KeyState, LimitDecision, LimitTable, LimitedJob, RateBucket, RateLimit, admit,
};
use crate::kernel::ids::JobId;
use crate::kernel::time::{Timestamp, millis, secs};

const PER: std::time::Duration = secs(64);

fn table() -> LimitTable {
    let rate = RateLimit { requests: 3, per: PER };
    let handlers = [
        ("two", HandlerLimits { concurrency: Some(2), rate: None }),
        ("three_a_minute", HandlerLimits { concurrency: None, rate: Some(rate) }),
        ("both", HandlerLimits { concurrency: Some(1), rate: Some(rate) }),
    ];
    LimitTable::new(handlers.map(|(name, limits)| (name.to_owned(), limits)))
}

fn job(name: &str, concurrency_key: Option<&str>, rate_key: Option<&str>) -> LimitedJob {
    LimitedJob {
        id: JobId::new(),
        name: name.to_owned(),
        concurrency_key: concurrency_key.map(str::to_owned),
        rate_key: rate_key.map(str::to_owned),
        begins: true,
    }
}

fn at(secs: f64) -> Timestamp {
    DateTime::from_timestamp_millis((secs * 1_000.0) as i64).expect("a moment")
}

/// The numbers of the jobs that are admitted, and the keys that block the others.
fn shown(jobs: &[LimitedJob], decision: &LimitDecision) -> (Vec<usize>, Vec<String>) {
    let place = |id: &JobId| jobs.iter().position(|job| job.id == *id).expect("one of the jobs");
    let admitted = decision.admitted.iter().map(place).collect();
    let blocked = decision.blocked.iter().map(|(id, key)| format!("{} {key}", place(id))).collect();
    (admitted, blocked)
}

#[test]
fn a_key_takes_what_its_limit_leaves_beside_what_is_held() {
    let jobs = [job("two", Some("a"), None), job("two", Some("b"), None), job("two", Some("a"), None)];
    let held = |count| KeyState { held: count, ..KeyState::default() };
    let check = |states: Vec<(&str, KeyState)>, admitted: &[usize], blocked: &[&str]| {
        let states = states.into_iter().map(|(key, state)| (key.to_owned(), state)).collect();
        let decision = admit(&table(), &jobs, states, at(0.0));
        let (found, keys) = shown(&jobs, &decision);
        assert_eq!(
            (&found[..], &keys.iter().map(String::as_str).collect::<Vec<_>>()[..]),
            (admitted, blocked)
        );
    };
    check(vec![], &[0, 1, 2], &[]);
    check(vec![("a", held(1))], &[0, 1], &["2 a"]);
    check(vec![("a", held(2)), ("b", held(2))], &[], &["0 a", "1 b", "2 a"]);
    check(vec![("a", held(7))], &[1], &["0 a", "2 a"]);
    let set = |max| KeyState { limit_override: Some(max), ..KeyState::default() };
    check(vec![("a", set(0))], &[1], &["0 a", "2 a"]);
    check(vec![("a", set(1))], &[0, 1], &["2 a"]);
}

#[test]
fn a_rate_limit_lets_no_more_pass_within_its_time_wherever_that_begins() {
    let mut state = KeyState::default();
    let mut claimed: Vec<f64> = Vec::new();
    // A job every half second, for ten times the limit's time.
    for step in 0..1_280 {
        let now = f64::from(step) / 2.0;
        let jobs = [job("three_a_minute", None, Some("r"))];
        let states = HashMap::from([("r".to_owned(), state.clone())]);
        let decision = admit(&table(), &jobs, states, at(now));
        state.buckets.clone_from(&decision.rates["r"].buckets);
        if decision.admitted.is_empty() {
            assert!(decision.rates["r"].opens_at.expect("it opens") > at(now));
        } else {
            claimed.push(now);
        }
        assert!(state.buckets.len() <= 4, "what has passed is forgotten: {:?}", state.buckets);
    }
    for window in claimed.windows(4) {
        assert!(window[3] - window[0] >= 64.0, "four within the time: {window:?}");
    }
    assert!(claimed.len() >= 28, "three for each 65 seconds: {}", claimed.len());
}

#[test]
fn a_job_that_one_limit_blocks_spends_nothing_of_the_other() {
    let jobs = [job("both", Some("c"), Some("r")), job("both", Some("c"), Some("r"))];
    let decision = admit(&table(), &jobs, HashMap::new(), at(0.5));
    assert_eq!(shown(&jobs, &decision), (vec![0], vec!["1 c".to_owned()]));
    assert_eq!(decision.rates["r"].buckets, [RateBucket { ends_at: at(1.0), claims: 1 }]);

    let spent = KeyState { buckets: vec![RateBucket { ends_at: at(1.0), claims: 3 }], ..KeyState::default() };
    let states = HashMap::from([("r".to_owned(), spent)]);
    let decision = admit(&table(), &jobs, states, at(2.0));
    assert_eq!(shown(&jobs, &decision), (vec![], vec!["0 r".to_owned(), "1 r".to_owned()]));
    assert_eq!(decision.rates["r"].opens_at, Some(at(1.0) + PER));
}

#[test]
fn handlers_without_a_limit_here_are_not_limited() {
    let jobs = [job("unknown", Some("a"), Some("r"))];
    let full = KeyState { held: 99, ..KeyState::default() };
    let decision = admit(&table(), &jobs, HashMap::from([("a".to_owned(), full)]), at(0.0) + millis(1));
    assert_eq!(decision.admitted, [jobs[0].id]);
}
