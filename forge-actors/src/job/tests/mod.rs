//! Pure decisions, and the configuration.

mod leases;
mod limits;
mod planner;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::json;

use super::config::JobConfig;
use super::settler::SettlerPace;
use super::state::{Rewrite, STATUS_CHANGES, Transition, is_another_build, is_finished};
use crate::app::job::{JobStatus, RetryBackoff};
use crate::app::node::Build;
use crate::function::AttemptResult;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::limits::{CAUSE_BYTES_MAX, JOB_DELAY_MAX};
use crate::kernel::time::{hours, millis, secs};
use crate::subsystem::ConfigSection;

const BACKOFF: RetryBackoff = RetryBackoff::Exponential { base: secs(1), max: secs(60) };

fn fault() -> Fault {
    Fault::new(Code::Conflict, "x")
}

#[test]
fn the_result_of_an_attempt_decides_what_becomes_of_the_job() {
    let check = |result: AttemptResult, attempt: u32, status: JobStatus, delay: Duration, refunds: bool| {
        let transition = Transition::after(&result, attempt, 3, BACKOFF, 1.0);
        assert_eq!(
            (transition.status, transition.delay, transition.refunds_attempt),
            (status, delay, refunds),
            "{result:?}, attempt {attempt}"
        );
        let failed = !matches!(
            result,
            AttemptResult::Succeeded(_) | AttemptResult::Snoozed(_) | AttemptResult::Interrupted
        );
        assert_eq!(transition.error.is_some(), failed, "{result:?}");
        assert_eq!(transition.failure.is_some(), failed && status != JobStatus::Retry, "{result:?}");
    };
    check(AttemptResult::Succeeded(None), 1, JobStatus::Completed, Duration::ZERO, false);
    check(AttemptResult::InvalidArguments(fault()), 1, JobStatus::Failed, Duration::ZERO, false);
    check(AttemptResult::Unrepeatable(fault()), 1, JobStatus::Failed, Duration::ZERO, false);
    check(AttemptResult::HandlerError(fault()), 1, JobStatus::Retry, secs(1), false);
    check(AttemptResult::HandlerError(fault()), 2, JobStatus::Retry, secs(2), false);
    check(AttemptResult::HandlerError(fault()), 3, JobStatus::DeadLetter, Duration::ZERO, false);
    check(AttemptResult::Snoozed(secs(9)), 3, JobStatus::Pending, secs(9), true);
    check(AttemptResult::Interrupted, 3, JobStatus::Pending, Duration::ZERO, true);
}

#[test]
fn a_refused_job_waits_for_the_builds_that_have_not_refused_it() {
    let build = |name: &str| Some(name.to_owned());
    let check = |builds: &[Option<String>], refused: &[&str], expected: bool| {
        let refused: Vec<String> = refused.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(is_another_build(builds, "one", &refused), expected, "{builds:?}, {refused:?}");
    };
    check(&[build("one")], &[], false);
    check(&[build("one"), build("two")], &[], true);
    check(&[build("one"), build("two")], &["one", "two"], false);
    check(&[build("one"), build("two"), build("three")], &["two"], true);
    check(&[build("one"), None], &[], true);
    check(&[], &[], false);
    let transition = Transition::refused(&fault(), Build("one".into()), 0.5);
    assert_eq!((transition.status, transition.delay), (JobStatus::Pending, secs(4)));
    assert!(transition.refunds_attempt && transition.error.is_some());
    assert_eq!(transition.refused_by, Some(Build("one".into())));
}

#[test]
fn every_transition_is_an_arrow_of_the_diagram() {
    let arrows: BTreeSet<(&str, &str)> = STATUS_CHANGES
        .iter()
        .flat_map(|(from, to)| to.iter().map(|to| (from.as_str(), to.as_str())))
        .collect();
    for result in [
        AttemptResult::Succeeded(None),
        AttemptResult::InvalidArguments(fault()),
        AttemptResult::Unrepeatable(fault()),
        AttemptResult::HandlerError(fault()),
        AttemptResult::Snoozed(secs(1)),
        AttemptResult::Interrupted,
    ] {
        for attempt in [1, 3] {
            let status = Transition::after(&result, attempt, 3, BACKOFF, 0.5).status;
            assert!(arrows.contains(&("running", status.as_str())), "{status:?} by {result:?}");
        }
    }
    let out_of_history: Vec<_> = STATUS_CHANGES
        .iter()
        .filter(|(from, to)| is_finished(*from) && !to.is_empty())
        .map(|(from, _)| *from)
        .collect();
    assert_eq!(out_of_history, [JobStatus::Failed, JobStatus::DeadLetter, JobStatus::Cancelled]);
}

#[test]
fn waits_grow_up_to_their_maximum_and_are_drawn() {
    let check = |backoff: RetryBackoff, attempt: u32, ceiling: Duration| {
        assert_eq!(backoff.ceiling(attempt), ceiling, "{backoff:?}, attempt {attempt}");
        for random in [0.0, 0.3, 1.0] {
            let delay = backoff.delay(attempt, random);
            assert!(
                delay >= ceiling / 10 && delay <= ceiling + ceiling / 10,
                "{backoff:?}, {random}: {delay:?}"
            );
        }
    };
    check(RetryBackoff::Fixed(secs(5)), 1, secs(5));
    check(RetryBackoff::Fixed(secs(5)), 900, secs(5));
    let linear = RetryBackoff::Linear { step: secs(5), max: secs(12) };
    check(linear, 1, secs(5));
    check(linear, 2, secs(10));
    check(linear, 3, secs(12));
    let exponential = RetryBackoff::Exponential { base: secs(5), max: hours(1) };
    check(exponential, 1, secs(5));
    check(exponential, 4, secs(40));
    check(exponential, 60, hours(1));
    check(exponential, u32::MAX, hours(1));
    let spread: BTreeSet<_> = (0..10).map(|random| exponential.delay(4, f64::from(random) / 10.0)).collect();
    assert_eq!(spread.len(), 10, "jobs that failed together come back one by one");
}

/// Five thousand jobs that fail at the same moment must not come back at the same moment.
#[test]
fn jobs_that_failed_together_come_back_over_the_whole_wait() {
    let backoff = RetryBackoff::Exponential { base: secs(5), max: hours(1) };
    let mut random = fastrand::Rng::with_seed(7);
    for attempt in 2..=8 {
        let mut seconds: BTreeMap<u64, u32> = BTreeMap::new();
        for _ in 0..5_000 {
            *seconds.entry(backoff.delay(attempt, random.f64()).as_secs()).or_default() += 1;
        }
        let mean = 5_000.0 / (backoff.ceiling(attempt).as_secs_f64() * 0.9);
        let most = seconds.values().copied().max().map_or(0.0, f64::from);
        assert!(most < 3.0 * mean.max(10.0), "attempt {attempt}: {most} in one second, {mean} on average");
    }
}

#[test]
fn no_wait_is_longer_than_the_database_can_add() {
    let snoozed = Transition::after(&AttemptResult::Snoozed(Duration::MAX), 1, 3, BACKOFF, 0.0);
    assert_eq!(snoozed.delay, JOB_DELAY_MAX);
    let (max, base) = (Duration::MAX, Duration::MAX);
    for backoff in [
        RetryBackoff::Fixed(max),
        RetryBackoff::Linear { step: base, max },
        RetryBackoff::Exponential { base, max },
    ] {
        assert_eq!(backoff.delay(3, 1.0), JOB_DELAY_MAX, "{backoff:?}");
    }
}

#[test]
fn a_refused_result_is_rewritten_and_names_the_refusal() {
    let refusal = Fault::new(Code::BadRequest, "refused").because("no such character");
    let failed = Fault::new(Code::Conflict, "broke \u{2713}\0");
    let retry = Transition::after(&AttemptResult::HandlerError(failed), 1, 3, BACKOFF, 1.0);
    let ascii = retry.rewritten(Rewrite::InAscii, &refusal, 1);
    assert_eq!((ascii.status, ascii.delay), (JobStatus::Retry, secs(1)), "it is tried again all the same");
    assert_eq!(ascii.error.as_deref(), Some("CONFLICT: broke \\u{2713}\\u{fffd}"));
    let failed = retry.rewritten(Rewrite::AsFailed, &refusal, 1);
    let error = failed.error.expect("a failure has a reason");
    assert_eq!((failed.status, failed.delay), (JobStatus::Failed, Duration::ZERO));
    assert!(error.is_ascii() && error.contains("`retry`: no such character; CONFLICT: broke"), "{error}");
    let completed = Transition::COMPLETED.rewritten(Rewrite::AsFailed, &refusal, 1);
    assert_eq!(
        completed.error.as_deref(),
        Some("the database refused the result `completed`: no such character")
    );
    let long = Fault::new(Code::BadRequest, "refused").because("\u{2713}".repeat(CAUSE_BYTES_MAX));
    let error = Transition::begin_refused(&long).error.expect("a failure has a reason");
    assert!(error.is_ascii() && error.len() <= CAUSE_BYTES_MAX);
}

#[test]
fn a_result_is_written_in_ascii_where_the_database_lacks_its_characters() {
    let refusal = Fault::new(Code::BadRequest, "refused").because("no such character");
    let completed = Transition::completed(Some("{\"mark\":\"\u{2713}\"}".into()));
    let ascii = completed.rewritten(Rewrite::InAscii, &refusal, 1);
    assert_eq!(
        (ascii.status, ascii.result.as_deref()),
        (JobStatus::Completed, Some(&br#"{"mark":"\u2713"}"#[..]))
    );
    assert_eq!(completed.rewritten(Rewrite::AsFailed, &refusal, 1).result, None);
}

#[test]
fn a_dispatcher_reads_code_and_sentence_of_a_failure_and_not_its_cause() {
    let fault =
        Fault::new(Code::Conflict, "taken").because("SELECT secret").with_details(json!({ "by": "ana" }));
    let failure = Transition::after(&AttemptResult::HandlerError(fault), 3, 3, BACKOFF, 1.0).failure;
    let expected = r#"{"code":"CONFLICT","message":"taken","details":{"by":"ana"},"isOwn":false}"#;
    assert_eq!(failure.as_deref(), Some(expected));
    let large = fault_with(&"x".repeat(20_000));
    let failure = Transition::after(&AttemptResult::HandlerError(large), 3, 3, BACKOFF, 1.0).failure;
    assert_eq!(failure.as_deref(), Some(r#"{"code":"CONFLICT","message":"x","details":null,"isOwn":false}"#));
}

fn fault_with(details: &str) -> Fault {
    fault().with_details(json!(details))
}

#[test]
fn a_job_that_cannot_end_waits_longer_each_time_and_says_why() {
    let refusal = Fault::new(Code::BadRequest, "refused").because("no \u{2713}");
    let after = |claim| Transition::COMPLETED.rewritten(Rewrite::AsWaiting, &refusal, claim);
    let first = after(1);
    assert_eq!((first.status, first.refunds_attempt), (JobStatus::Pending, true));
    assert_eq!(
        first.error.as_deref(),
        Some("the database refused the result `completed`: no \\u{2713}; the job cannot end, and runs again")
    );
    assert_eq!([1, 2, 3, 1_000].map(|claim| after(claim).delay), [secs(10), secs(20), secs(40), secs(3_600)]);
}

#[test]
fn a_configuration_that_could_not_run_jobs_is_refused() {
    let check = |change: &dyn Fn(&mut JobConfig), key: &str| {
        let mut config = JobConfig::default();
        change(&mut config);
        let broken = config.validate();
        assert!(broken.len() == 1 && broken[0].starts_with(key), "{broken:?}");
    };
    assert_eq!(JobConfig::default().validate(), Vec::<String>::new());
    check(&|config| config.concurrency = 0, "jobs.concurrency");
    check(&|config| config.concurrency = 1_001, "jobs.concurrency");
    check(&|config| config.queue_share = 0.0, "jobs.queue_share");
    check(&|config| config.queue_share = 1.1, "jobs.queue_share");
    check(&|config| config.lease = millis(1_999), "jobs.lease");
    check(&|config| config.lease = hours(25), "jobs.lease");
    check(&|config| config.poll_interval = millis(0), "jobs.poll_interval");
    check(&|config| config.log_lines_max = 1_001, "jobs.log_lines_max");
    check(&|config| config.retention = hours(24 * 36_501), "jobs.retention");
}

#[test]
fn the_settler_looks_less_often_while_nothing_is_open() {
    // At which of the runs, which come every 2 s, the settler checks: something is open before `open_until`,
    // and the run `sign` finds a sign.
    let check = |open_until: u64, sign: Option<u64>, expected: &[u64]| {
        let (mut pace, start) = (SettlerPace::default(), Instant::now());
        let looks = (0..12).filter(|run| {
            let now = start + secs(run * 2);
            let is_due = pace.take_due(now, sign == Some(*run));
            if is_due {
                pace.checked(now, *run < open_until);
            }
            is_due
        });
        assert_eq!(looks.collect::<Vec<_>>(), expected, "open until run {open_until}, sign {sign:?}");
    };
    check(0, None, &[0, 8]);
    check(3, None, &[0, 1, 2, 3, 11]);
    check(0, Some(2), &[0, 2, 10]);
    check(12, None, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let (mut pace, now) = (SettlerPace::default(), Instant::now());
    pace.checked(now, false);
    assert!(pace.take_due(now, true) && pace.take_due(now, false), "a look that failed is tried again");
}
