//! The decisions alone: a table, and a property over any sequence of exits.

use std::time::Instant;

use proptest::prelude::{Just, Strategy as _, any, prop_assert, prop_oneof, proptest};

use super::*;
use crate::supervise::state::{ExitKind, Key, Phase, Slots, Verdict};

const WINDOW: Duration = secs(10);

fn slots(strategy: Strategy, restarts: &[Restart], restarts_max: u32, now: Instant) -> Slots {
    let backoff = Backoff::exponential(millis(100), millis(400));
    let mut slots = Slots::new(strategy, Budget { restarts_max, window: WINDOW }, backoff);
    for restart in restarts {
        let key = slots.add(*restart);
        slots.started(key, now);
    }
    slots
}

/// Child 1 of three ends. `expected` is what stops and what waits; `None` means that nothing happens.
fn check(strategy: Strategy, restarts: [Restart; 3], exit: ExitKind, expected: Option<(&[u64], &[u64])>) {
    let now = Instant::now();
    let mut slots = slots(strategy, &restarts, 5, now);
    let verdict = slots.exited(Key(1), exit, now, 1.0);
    let until = now + millis(100);
    let stop = |keys: &[u64]| keys.iter().copied().map(Key).collect();
    assert_eq!(
        verdict,
        expected.map_or(Verdict::Ended, |(stops, _)| Verdict::Restart { stop: stop(stops), until })
    );
    let waiting: Vec<_> = slots.waiting().collect();
    let expected: Vec<_> =
        expected.map_or(&[][..], |(_, waits)| waits).iter().map(|key| (Key(*key), until)).collect();
    assert_eq!(waiting, expected, "{strategy:?} {restarts:?} {exit:?}");
}

#[test]
fn strategies_choose_who_stops_and_who_waits() {
    use ExitKind::{Abnormal, Normal};
    use Restart::{Permanent, Temporary, Transient};
    use Strategy::{OneForAll, OneForOne, RestForOne};
    check(OneForOne, [Permanent; 3], Abnormal, Some((&[], &[1])));
    check(OneForOne, [Permanent; 3], Normal, Some((&[], &[1])));
    check(OneForOne, [Transient; 3], Normal, None);
    check(OneForOne, [Temporary; 3], Abnormal, None);
    check(OneForAll, [Permanent; 3], Abnormal, Some((&[2, 0], &[0, 1, 2])));
    check(OneForAll, [Temporary, Permanent, Transient], Abnormal, Some((&[2, 0], &[1, 2])));
    check(OneForAll, [Permanent, Transient, Permanent], Normal, None);
    check(RestForOne, [Permanent; 3], Abnormal, Some((&[2], &[1, 2])));
    check(RestForOne, [Permanent, Transient, Temporary], Abnormal, Some((&[2], &[1])));
}

#[test]
fn the_budget_slides_and_the_backoff_forgets_after_a_healthy_stretch() {
    let began = Instant::now();
    let mut slots = slots(Strategy::OneForOne, &[Restart::Permanent], 2, began);
    let mut crash = |at: Duration| {
        let now = began + at;
        let verdict = slots.exited(Key(0), ExitKind::Abnormal, now, 1.0);
        let left = slots.log().left(now);
        slots.started(Key(0), now);
        let delay = match verdict {
            Verdict::Restart { until, .. } => Some(until - now),
            Verdict::Ended | Verdict::GiveUp => None,
        };
        (delay, left)
    };
    assert_eq!(crash(secs(1)), (Some(millis(100)), 1));
    assert_eq!(crash(secs(2)), (Some(millis(200)), 0));
    assert_eq!(crash(secs(3)), (None, 0));
    // The first restart left the window; the child had been up for less than it, so the backoff goes on.
    assert_eq!(crash(secs(11)), (Some(millis(400)), 0));
    assert_eq!(crash(secs(30)), (Some(millis(100)), 1));
}

#[test]
fn time_spent_starting_is_no_way_out_of_the_budget() {
    let began = Instant::now();
    let mut slots = slots(Strategy::OneForOne, &[Restart::Permanent], 2, began);
    let mut clock = secs(1);
    let mut crash_after_a_start_of = |took: Duration| {
        slots.spent_starting(took);
        clock += took;
        !matches!(slots.exited(Key(0), ExitKind::Abnormal, began + clock, 1.0), Verdict::GiveUp)
    };
    // Each start takes longer than the window, and fails.
    assert_eq!([secs(0), secs(15), secs(15)].map(&mut crash_after_a_start_of), [true, true, false]);
}

#[derive(Debug, Clone, Copy)]
enum Happening {
    Exit(u64, bool),
    Due(bool),
    Pass(u64),
}

fn happenings() -> impl proptest::strategy::Strategy<Value = Vec<Happening>> {
    let exit = (0..5u64, any::<bool>()).prop_map(|(key, normal)| Happening::Exit(key, normal));
    let happening =
        prop_oneof![exit, any::<bool>().prop_map(Happening::Due), (0..2_000u64).prop_map(Happening::Pass)];
    proptest::collection::vec(happening, 0..60)
}

fn check_invariants(slots: &Slots, strategy: Strategy, permanent: u64) {
    let phases: Vec<_> = (0..permanent).filter_map(|key| slots.phase(Key(key))).collect();
    let waits = |phase: &Phase| matches!(phase, Phase::Waiting { .. });
    let dues: std::collections::BTreeSet<_> = slots.waiting().map(|(_, until)| until).collect();
    match strategy {
        Strategy::OneForOne => {}
        Strategy::OneForAll | Strategy::RestForOne => {
            assert!(dues.len() <= 1, "the group has one due time");
            let first = phases.iter().position(waits).unwrap_or(phases.len());
            assert!(phases[first..].iter().all(waits), "nobody runs behind one that waits: {phases:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_sequence_of_exits_keeps_order_and_budget(
        steps in happenings(),
        strategy in prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)],
        restarts_max in 0..4u32,
    ) {
        let mut now = Instant::now();
        let mut slots = slots(strategy, &[Restart::Permanent; 5], restarts_max, now);
        let mut restarts: Vec<Instant> = Vec::new();
        for step in steps {
            match step {
                Happening::Pass(ms) => now += millis(ms),
                Happening::Exit(key, normal) => {
                    if !matches!(slots.phase(Key(key)), Some(Phase::Up { .. })) {
                        continue;
                    }
                    let exit = if normal { ExitKind::Normal } else { ExitKind::Abnormal };
                    match slots.exited(Key(key), exit, now, 0.5) {
                        Verdict::Restart { stop, .. } => {
                            restarts.push(now);
                            prop_assert!(stop.is_sorted_by(|a, b| a > b), "stops run backwards");
                            prop_assert!(!stop.contains(&Key(key)), "it has ended already");
                        }
                        Verdict::GiveUp => {
                            let recent = restarts.iter().filter(|at| now.duration_since(**at) < WINDOW).count();
                            prop_assert!(recent >= restarts_max as usize, "it gives up only when the budget is spent");
                            return Ok(());
                        }
                        Verdict::Ended => prop_assert!(false, "a permanent child never ends"),
                    }
                }
                Happening::Due(fails) => {
                    let Some(key) = slots.due(now) else { continue };
                    if !fails {
                        slots.started(key, now);
                        // The supervisor starts all that are due before it looks at anything else.
                        while let Some(key) = slots.due(now) {
                            slots.started(key, now);
                        }
                    } else if slots.exited(key, ExitKind::Abnormal, now, 0.5) == Verdict::GiveUp {
                        return Ok(());
                    } else {
                        restarts.push(now);
                    }
                }
            }
            let recent = restarts.iter().filter(|at| now.duration_since(**at) < WINDOW).count();
            prop_assert!(recent <= restarts_max as usize, "at most {restarts_max} restarts in a window");
            check_invariants(&slots, strategy, 5);
        }
    }
}
