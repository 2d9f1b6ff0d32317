use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;

use super::state::{
    CronPlan, CronRules, CronSkipReason, MISSED_AFTER, OpenRuns, PlannedRun, RunStart, WAITING_MAX, jitter_of,
};
use super::{Timetable, TimetableError};
use crate::app::CronOverlap;
use crate::app::cron::CronRun;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::CronId;
use crate::kernel::time::{Timestamp, millis, secs};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn table(expression: &str, zone: &str) -> Timetable {
    Timetable::parse(expression, zone).unwrap_or_else(|error| panic!("{expression} {zone}: {error}"))
}

/// The next times are exactly these.
fn check(expression: &str, zone: &str, after: &str, expected: &[&str]) {
    let found = table(expression, zone).upcoming(at(after), expected.len());
    let found: Vec<_> = found.iter().map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string()).collect();
    assert_eq!(found, expected, "{expression} {zone} after {after}");
}

#[test]
fn a_named_time_runs_once_on_the_day_on_which_the_clock_is_set_forward() {
    // Berlin skips 02:00 to 03:00, at 01:00 UTC.
    let berlin = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
    check("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", &berlin);
    // New York skips 02:00 to 03:00, at 07:00 UTC.
    let new_york = ["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"];
    check("30 2 * * *", "America/New_York", "2026-03-07T00:00:00Z", &new_york);
    // Lord Howe skips half an hour, 02:00 to 02:30, at 15:30 UTC of the day before.
    let lord_howe = ["2026-10-02T15:45:00Z", "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"];
    check("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T00:00:00Z", &lord_howe);
    // São Paulo skipped midnight: the 4th of November 2018 began at 01:00.
    let sao_paulo = ["2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"];
    check("0 0 * * *", "America/Sao_Paulo", "2018-11-03T00:00:00Z", &sao_paulo);
    check("@daily", "America/Sao_Paulo", "2018-11-03T00:00:00Z", &sao_paulo);
    let half_past = ["2018-11-03T03:30:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:30:00Z"];
    check("30 0 * * *", "America/Sao_Paulo", "2018-11-03T00:00:00Z", &half_past);
    // Times of one gap fall on its end, together with one that is there by itself.
    let several = ["2026-03-28T03:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"];
    check("0,20,40 2-4 * * *", "Europe/Berlin", "2026-03-28T02:59:00Z", &several[..1]);
    check("0 2-4 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &several[1..]);
    // A whole day is missing in Apia: it went from the 29th to the 31st of December 2011.
    let apia = ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"];
    check("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", &apia);
}

#[test]
fn a_named_time_runs_once_on_the_day_on_which_the_clock_is_set_back() {
    // Berlin has 02:00 to 03:00 twice, the first time until 01:00 UTC.
    let berlin = ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
    check("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", &berlin);
    // Also seen from the second half.
    check("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", &berlin[2..]);
    let new_york = ["2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"];
    check("30 1 * * *", "America/New_York", "2026-10-31T00:00:00Z", &new_york);
    // Lord Howe has 01:30 to 02:00 twice.
    let lord_howe = ["2026-04-03T14:45:00Z", "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"];
    check("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T00:00:00Z", &lord_howe);
    // São Paulo had 23:00 to 24:00 of the 17th of February 2018 twice.
    let sao_paulo = ["2018-02-17T01:30:00Z", "2018-02-18T01:30:00Z", "2018-02-19T02:30:00Z"];
    check("30 23 * * *", "America/Sao_Paulo", "2018-02-16T12:00:00Z", &sao_paulo);
    let midnight = ["2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z", "2018-02-19T03:00:00Z"];
    check("0 0 * * *", "America/Sao_Paulo", "2018-02-17T00:00:00Z", &midnight);
    // Every second of a named minute comes in the first half only.
    let table = table("* 30 2 * * *", "Europe/Berlin");
    let seconds = table.upcoming(at("2026-10-24T12:00:00Z"), 61);
    assert_eq!(seconds[59], at("2026-10-25T00:30:59Z"));
    assert_eq!(seconds[60], at("2026-10-26T01:30:00Z"));
}

#[test]
fn a_repeated_time_goes_on_through_both() {
    let forward =
        ["2026-03-29T00:00:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"];
    check("*/30 * * * *", "Europe/Berlin", "2026-03-28T23:30:00Z", &forward);
    let back =
        ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"];
    check("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", &back);
    check("*/30 2 * * *", "Europe/Berlin", "2026-10-24T22:30:00Z", &back);
    let new_york = ["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"];
    check("0 * * * *", "America/New_York", "2026-11-01T04:00:00Z", &new_york);
    // In Lord Howe the clock shows a full hour after an hour and a half, both ways.
    let forward = ["2026-10-03T14:30:00Z", "2026-10-03T16:00:00Z", "2026-10-03T17:00:00Z"];
    check("0 * * * *", "Australia/Lord_Howe", "2026-10-03T14:00:00Z", &forward);
    let back = ["2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z"];
    check("0 * * * *", "Australia/Lord_Howe", "2026-04-04T13:30:00Z", &back);
    let quarters =
        ["2026-04-04T14:30:00Z", "2026-04-04T14:45:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:15:00Z"];
    check("*/15 1 * * *", "Australia/Lord_Howe", "2026-04-04T14:15:00Z", &quarters);
    // Midnight to one was missing in São Paulo, and so are its minutes.
    let sao_paulo = ["2018-11-04T02:30:00Z", "2018-11-04T03:00:00Z", "2018-11-04T03:30:00Z"];
    check("*/30 * * * *", "America/Sao_Paulo", "2018-11-04T02:00:00Z", &sao_paulo);
    check("*/30 0 * * *", "America/Sao_Paulo", "2018-11-04T00:00:00Z", &["2018-11-05T02:00:00Z"]);
    // Every second of both hours.
    let table = table("* * 2 * * *", "Europe/Berlin");
    assert_eq!(table.upcoming(at("2026-10-24T23:59:59Z"), 7_201)[7_200], at("2026-10-26T01:00:00Z"));
}

#[test]
fn what_comes_rarely_is_found() {
    check("0 0 29 2 *", "UTC", "2026-03-01T00:00:00Z", &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]);
    // A 29th of February that is a Wednesday, a Saturday or a Sunday.
    check("0 0 29 2 */3", "UTC", "2076-03-01T00:00:00Z", &["2088-02-29T00:00:00Z"]);
    // 2100 is no leap year.
    check("*/30 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", &["2104-02-29T00:00:00Z"]);
    check("@yearly", "Asia/Kolkata", "2026-06-01T00:00:00Z", &["2026-12-31T18:30:00Z"]);
    check("0 9 * * MON-FRI", "Europe/Berlin", "2026-11-27T08:00:00Z", &["2026-11-30T08:00:00Z"]);
    check("0 0 13 * FRI", "UTC", "2026-11-01T00:00:00Z", &["2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z"]);
    check(
        "*/20 * * * * *",
        "UTC",
        "2026-11-01T00:00:00.5Z",
        &["2026-11-01T00:00:20Z", "2026-11-01T00:00:40Z"],
    );
    let end = Timestamp::MAX_UTC - TimeDelta::days(1);
    assert_eq!(table("0 0 29 2 *", "UTC").next_after(end), Err(TimetableError::TooFar { after: end }));
}

#[test]
fn what_is_wrong_with_a_schedule_is_said_to_its_caller() {
    let fault = |expression, zone| Fault::from(Timetable::parse(expression, zone).expect_err(expression));
    let refused = fault("0 24 * * *", "UTC");
    assert_eq!(refused.code(), Code::Validation);
    assert!(
        refused.message().starts_with("expression: the hour `24` is not between"),
        "{}",
        refused.message()
    );
    let refused = fault("@daily", "Europe/Berln");
    assert_eq!(
        refused.message(),
        "timezone: there is no time zone `Europe/Berln`; did you mean `Europe/Berlin`?"
    );
}

#[test]
fn the_names_of_zones_are_those_of_the_database() {
    let mut names: Vec<_> = TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
    names.sort_unstable();
    if std::env::var_os("FORGE_BLESS").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../forge-cron/src/zones.txt");
        std::fs::write(file, names.join("\n") + "\n").expect("the file is written");
    }
    assert_eq!(names, forge_cron::zone_names().collect::<Vec<_>>(), "FORGE_BLESS=1 writes zones.txt anew");
}

/// Zones with clocks that change, by an hour or half of one, at midnight or at two.
const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo", "UTC"];

fn number(range: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = String> {
    range.prop_map(|number| number.to_string())
}

prop_compose! {
    /// A moment of the years 1990 to 2037, in which the zones above change their clocks in all ways.
    fn moment()(secs in 631_152_000_i64..2_145_916_800) -> Timestamp {
        Utc.timestamp_opt(secs, 0).single().expect("a time")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// In UTC there are no clocks to change: the reference says the same.
    #[test]
    fn without_changes_of_clocks_the_times_are_those_of_the_reference(
        minute in prop_oneof![number(0..=59), Just("*/7".to_owned()), Just("5-20/3,50".to_owned())],
        hour in prop_oneof![number(0..=23), Just("*".to_owned()), Just("8-18".to_owned())],
        day in prop_oneof![number(1..=28), Just("*".to_owned()), Just("1,15,31".to_owned())],
        month in prop_oneof![number(1..=12), Just("*".to_owned()), Just("2-11/3".to_owned())],
        weekday in prop_oneof![number(0..=7), Just("*".to_owned()), Just("MON-FRI".to_owned())],
        after in moment(),
    ) {
        let text = format!("{minute} {hour} {day} {month} {weekday}");
        let reference = croner::Cron::from_str(&text).expect("the reference reads it");
        let mut expected = after;
        for found in table(&text, "UTC").upcoming(after, 5) {
            expected = reference.find_next_occurrence(&expected, false).expect("the reference finds it");
            prop_assert_eq!(found, expected, "{} after {}", text, after);
        }
    }

    /// A named time runs once for each date: nothing is lost, nothing is doubled, and times only grow.
    #[test]
    fn a_named_time_runs_once_on_every_date(
        minute in 0_u32..60,
        hour in 0_u32..24,
        zone in prop::sample::select(&ZONES[..]),
        after in moment(),
    ) {
        let table = table(&format!("{minute} {hour} * * *"), zone);
        let times = table.upcoming(after, 400);
        prop_assert!(times.is_sorted_by(|a, b| a < b));
        let dates: Vec<_> = times.iter().map(|time| table.local(*time).date()).collect();
        prop_assert!(dates.array_windows().all(|[a, b]| a.succ_opt() == Some(*b)));
        let wanted = |time: &Timestamp| {
            let local = table.local(*time).time();
            local == chrono::NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day")
        };
        // Only on the days on which the clock is set forward does it run at another time: after the gap.
        prop_assert!(times.iter().filter(|time| !wanted(time)).count() <= 2);
    }

    /// A repeated time runs at exactly those instants whose local time fits.
    #[test]
    fn a_repeated_time_runs_whenever_the_clock_shows_it(
        step in 1_u32..30,
        zone in prop::sample::select(&ZONES[..]),
        after in moment(),
    ) {
        let table = table(&format!("*/{step} * * * *"), zone);
        let until = after + TimeDelta::days(2);
        let found: BTreeSet<_> =
            table.upcoming(after, 3_000).into_iter().take_while(|time| *time <= until).collect();
        let zone = Tz::from_str(zone).expect("a zone");
        let first = after.timestamp().div_euclid(60) + 1;
        let minutes = (first..=until.timestamp().div_euclid(60)).map(|minute| {
            Utc.timestamp_opt(minute * 60, 0).single().expect("a time")
        });
        let fits = |time: &Timestamp| {
            use chrono::Timelike;
            let local = time.with_timezone(&zone);
            local.second() == 0 && local.minute().is_multiple_of(step)
        };
        prop_assert_eq!(found, minutes.filter(fits).collect::<BTreeSet<_>>());
    }
}

const START: &str = "2026-11-01T00:00:00Z";

fn seconds(count: i64) -> Timestamp {
    at(START) + TimeDelta::seconds(count)
}

fn rules(overlap: CronOverlap, catch_up: usize) -> CronRules {
    CronRules { overlap, catch_up }
}

/// What becomes of the times of every second from the 1st to `now` seconds.
fn plan(rules: CronRules, now: i64, open: OpenRuns, times_max: usize) -> CronPlan {
    CronPlan::until(&table("* * * * * *", "UTC"), rules, seconds(1), seconds(now), open, times_max)
}

fn starts(plan: &CronPlan) -> Vec<RunStart> {
    plan.runs.iter().map(|run| run.start).collect()
}

#[test]
fn times_on_time_all_run() {
    let plan = plan(rules(CronOverlap::Allow, 0), 3, OpenRuns::default(), 100);
    let run = |second| PlannedRun {
        scheduled_at: seconds(second),
        last_at: seconds(second),
        times: 1,
        catch_up: false,
        start: RunStart::Now,
    };
    assert_eq!(plan, CronPlan { runs: vec![run(1), run(2), run(3)], next_at: Ok(seconds(4)) });
    assert_eq!(self::plan(rules(CronOverlap::Allow, 0), 0, OpenRuns::default(), 100).runs, []);
}

#[test]
fn of_the_missed_times_the_newest_run_and_the_others_are_one_row() {
    let late = i64::try_from(MISSED_AFTER.as_secs()).expect("seconds");
    // The 1st to the 100th second were missed, those after them are on time.
    let now = 100 + late + 1;
    let plan = plan(rules(CronOverlap::Allow, 3), now, OpenRuns::default(), 1_000);
    let missed = PlannedRun {
        scheduled_at: seconds(1),
        last_at: seconds(97),
        times: 97,
        catch_up: false,
        start: RunStart::Skipped(CronSkipReason::Missed),
    };
    assert_eq!(plan.runs[0], missed);
    let catch_ups: Vec<_> = plan.runs.iter().filter(|run| run.catch_up).map(|run| run.scheduled_at).collect();
    assert_eq!(catch_ups, [98, 99, 100].map(seconds));
    assert!(plan.runs[4..].iter().all(|run| run.start == RunStart::Now && !run.catch_up));
    assert_eq!((plan.runs.len() as i64, plan.next_at), (4 + late + 1, Ok(seconds(now + 1))));
    // Whoever wants none of them gets none.
    let none = self::plan(rules(CronOverlap::Allow, 0), now, OpenRuns::default(), 1_000);
    assert!(none.runs.iter().all(|run| !run.catch_up) && none.runs[0].times == 100);
}

#[test]
fn a_long_outage_is_looked_at_in_parts_and_no_time_is_lost() {
    let (rules, now) = (rules(CronOverlap::Allow, 5), 10_000);
    let (mut next, mut skipped, mut ran) = (seconds(1), 0, Vec::new());
    let table = table("* * * * * *", "UTC");
    while next <= seconds(now) {
        let CronPlan { runs, next_at } =
            CronPlan::until(&table, rules, next, seconds(now), OpenRuns::default(), 300);
        next = next_at.expect("a next time");
        for run in runs {
            match run.start {
                RunStart::Now => ran.push(run),
                _ => skipped += run.times,
            }
        }
    }
    assert_eq!(ran.iter().filter(|run| run.catch_up).count(), 5, "the newest, not those of the first part");
    assert!(ran.is_sorted_by(|a, b| a.scheduled_at < b.scheduled_at));
    assert_eq!(skipped + ran.len(), 10_000);
}

#[test]
fn a_run_beside_another_is_skipped_or_waits_or_runs() {
    use RunStart::{Now, Skipped, Waits};
    let busy = OpenRuns { dispatched: 1, waiting: 0 };
    let check = |overlap, open, expected: &[RunStart]| {
        assert_eq!(starts(&plan(rules(overlap, 0), 3, open, 100)), expected, "{overlap:?} {open:?}");
    };
    let overlap = Skipped(CronSkipReason::Overlap);
    check(CronOverlap::Skip, OpenRuns::default(), &[Now, overlap, overlap]);
    check(CronOverlap::Skip, busy, &[overlap, overlap, overlap]);
    check(CronOverlap::Queue, OpenRuns::default(), &[Now, Waits, Waits]);
    check(CronOverlap::Queue, busy, &[Waits, Waits, Waits]);
    check(CronOverlap::Allow, busy, &[Now, Now, Now]);
    let full = OpenRuns { dispatched: 1, waiting: WAITING_MAX - 1 };
    let rejected = Skipped(CronSkipReason::QueueFull);
    check(CronOverlap::Queue, full, &[Waits, rejected, rejected]);
}

#[test]
fn times_that_are_made_up_for_run_one_after_the_other() {
    let now = 1_000;
    let made_up = |overlap| {
        let plan = plan(rules(overlap, 3), now, OpenRuns::default(), 5_000);
        plan.runs.into_iter().filter(|run| run.catch_up).map(|run| run.start).collect::<Vec<_>>()
    };
    assert_eq!(made_up(CronOverlap::Skip), [RunStart::Now, RunStart::Waits, RunStart::Waits]);
    assert_eq!(made_up(CronOverlap::Queue), [RunStart::Now, RunStart::Waits, RunStart::Waits]);
    assert_eq!(made_up(CronOverlap::Allow), [RunStart::Now; 3]);
}

#[test]
fn jitter_is_the_same_for_one_time_and_spreads_the_crons() {
    let (jitter, crons) = (secs(60), (0..600).map(|_| CronId::new()).collect::<Vec<_>>());
    assert!(crons.iter().all(|cron| jitter_of(*cron, at(START), Duration::ZERO) == Duration::ZERO));
    assert_eq!(jitter_of(crons[0], at(START), jitter), jitter_of(crons[0], at(START), jitter));
    assert_ne!(jitter_of(crons[0], seconds(0), jitter), jitter_of(crons[0], seconds(60), jitter));
    let mut buckets = [0; 6];
    for cron in &crons {
        let delay = jitter_of(*cron, at(START), jitter);
        assert!(delay < jitter);
        buckets[usize::try_from(delay.as_secs() / 10).expect("a bucket")] += 1;
    }
    assert!(buckets.iter().all(|count| (50..=150).contains(count)), "{buckets:?}");
    assert!(jitter_of(crons[0], at(START), millis(1)) < millis(1));
}

#[test]
fn a_run_travels_in_the_arguments_of_its_job() {
    let run = CronRun {
        cron: CronId::new(),
        name: "reports.daily".to_owned(),
        scheduled_at: at(START),
        local_at: at(START).naive_utc(),
        due_at: seconds(30),
        catch_up: true,
        requested: false,
    };
    let (read, args) = CronRun::split(run.join(r#"{"project":7}"#).as_bytes()).expect("what was joined");
    assert_eq!((read, &args[..]), (run, &br#"{"project":7}"#[..]));
    let refused = CronRun::split(b"{}").expect_err("no run");
    assert!(refused.message().contains("a cron's jobs come from its schedules"));
}
