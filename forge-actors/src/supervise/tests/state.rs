//! The decisions alone: tables, and a property over any sequence of exits.

use std::time::Instant;

use proptest::prelude::{Just, Strategy as _, any, prop_assert, prop_oneof, proptest};

use super::*;
use crate::supervise::state::{
    ChildAction, ChildEvent, ChildKey, ChildState, ChildStates, ExitKind, RestartDecision, next,
};

const WINDOW: Duration = secs(10);

#[test]
fn each_event_moves_a_child_as_the_diagram_says() {
    use ChildAction::{Nothing, Refuse, Start, Stop};
    use ChildState::{Running, Stopped, Waiting};
    use Restart::{Permanent, Temporary, Transient};
    let now = Instant::now();
    let (running, waiting, later) = (Running { since: now }, Waiting { until: now }, now + secs(1));
    let started = ChildEvent::Started { now };
    let sibling = ChildEvent::SiblingEnded { restart_at: later };
    let ended = |restart_at| ChildEvent::Ended { restart_at };
    let rows = [
        (Stopped, Permanent, started, running, Nothing),
        (waiting, Transient, started, running, Nothing),
        (running, Permanent, ended(None), Stopped, Nothing),
        (running, Permanent, ended(Some(later)), Waiting { until: later }, Nothing),
        (waiting, Permanent, ended(Some(later)), Waiting { until: later }, Nothing),
        (running, Permanent, sibling, Waiting { until: later }, Stop),
        (running, Transient, sibling, Waiting { until: later }, Stop),
        (running, Temporary, sibling, Stopped, Stop),
        (waiting, Permanent, sibling, Waiting { until: later }, Nothing),
        (Stopped, Transient, sibling, Waiting { until: later }, Nothing),
        (Stopped, Temporary, sibling, Stopped, Nothing),
        (running, Permanent, ChildEvent::StopRequested, Stopped, Stop),
        (waiting, Permanent, ChildEvent::StopRequested, Stopped, Stop),
        (running, Transient, ChildEvent::RestartRequested, Stopped, Stop),
        (waiting, Permanent, ChildEvent::RestartRequested, Stopped, Stop),
        (running, Temporary, ChildEvent::RestartRequested, running, Refuse),
        (Stopped, Permanent, ChildEvent::StartRequested, Stopped, Start),
        (waiting, Permanent, ChildEvent::StartRequested, waiting, Start),
        (running, Permanent, ChildEvent::StartRequested, running, Nothing),
        (waiting, Permanent, ChildEvent::Tick { now }, waiting, Start),
        (Waiting { until: later }, Permanent, ChildEvent::Tick { now }, Waiting { until: later }, Nothing),
        (running, Permanent, ChildEvent::Tick { now }, running, Nothing),
        (Stopped, Permanent, ChildEvent::Tick { now }, Stopped, Nothing),
    ];
    for (state, restart, event, expected, action) in rows {
        assert_eq!(next(state, restart, event), (expected, action), "{state:?} {restart:?} {event:?}");
    }
}

fn running(strategy: Strategy, restarts: &[Restart], restarts_max: u32, now: Instant) -> ChildStates {
    let backoff = Backoff::exponential(millis(100), millis(400));
    let mut states = ChildStates::new(strategy, Budget { restarts_max, window: WINDOW }, backoff);
    for restart in restarts {
        let key = states.add(*restart);
        states.apply(key, ChildEvent::Started { now });
    }
    states
}

/// Child 1 of three ends. `expected` is the children that stop and those that wait; `None` means no restart.
fn check(strategy: Strategy, restarts: [Restart; 3], exit: ExitKind, expected: Option<(&[u64], &[u64])>) {
    let now = Instant::now();
    let mut states = running(strategy, &restarts, 5, now);
    let decision = states.ended(ChildKey(1), exit, now, 1.0);
    let until = now + millis(100);
    let stop = |keys: &[u64]| keys.iter().copied().map(ChildKey).collect();
    assert_eq!(
        decision,
        expected.map_or(RestartDecision::StayStopped, |(stops, _)| RestartDecision::Restart {
            stop: stop(stops),
            until
        })
    );
    let waiting: Vec<_> = states.waiting().collect();
    let expected: Vec<_> =
        expected.map_or(&[][..], |(_, waits)| waits).iter().map(|key| (ChildKey(*key), until)).collect();
    assert_eq!(waiting, expected, "{strategy:?} {restarts:?} {exit:?}");
}

#[test]
fn strategies_choose_the_children_that_stop_and_wait() {
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
fn the_budget_slides_and_the_backoff_starts_anew_after_a_healthy_run() {
    let began = Instant::now();
    let mut states = running(Strategy::OneForOne, &[Restart::Permanent], 2, began);
    let mut crash = |at: Duration| {
        let now = began + at;
        let decision = states.ended(ChildKey(0), ExitKind::Abnormal, now, 1.0);
        let left = states.budget().left(now);
        states.apply(ChildKey(0), ChildEvent::Started { now });
        let delay = match decision {
            RestartDecision::Restart { until, .. } => Some(until - now),
            RestartDecision::StayStopped | RestartDecision::GiveUp => None,
        };
        (delay, left)
    };
    assert_eq!(crash(secs(1)), (Some(millis(100)), 1));
    assert_eq!(crash(secs(2)), (Some(millis(200)), 0));
    assert_eq!(crash(secs(3)), (None, 0));
    // The first restart has left the window; the child ran for less than the window, so the backoff goes on.
    assert_eq!(crash(secs(11)), (Some(millis(400)), 0));
    assert_eq!(crash(secs(30)), (Some(millis(100)), 1));
}

#[test]
fn slow_starts_do_not_escape_the_budget() {
    let began = Instant::now();
    let mut states = running(Strategy::OneForOne, &[Restart::Permanent], 2, began);
    let mut clock = secs(1);
    let mut crash_after_a_start_of = |duration: Duration| {
        states.spent_starting(duration);
        clock += duration;
        let decision = states.ended(ChildKey(0), ExitKind::Abnormal, began + clock, 1.0);
        decision != RestartDecision::GiveUp
    };
    // Each start takes longer than the window, and fails.
    assert_eq!([secs(0), secs(15), secs(15)].map(&mut crash_after_a_start_of), [true, true, false]);
}

#[derive(Debug, Clone, Copy)]
enum TestStep {
    Exit { child: u64, normal: bool },
    StartDue { fails: bool },
    Pass { ms: u64 },
}

fn test_steps() -> impl proptest::strategy::Strategy<Value = Vec<TestStep>> {
    let exit = (0..5u64, any::<bool>()).prop_map(|(child, normal)| TestStep::Exit { child, normal });
    let start = any::<bool>().prop_map(|fails| TestStep::StartDue { fails });
    let pass = (0..2_000u64).prop_map(|ms| TestStep::Pass { ms });
    proptest::collection::vec(prop_oneof![exit, start, pass], 0..60)
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)]
}

fn in_window(restarts: &[Instant], now: Instant) -> usize {
    restarts.iter().filter(|at| now.duration_since(**at) < WINDOW).count()
}

fn check_invariants(states: &ChildStates, strategy: Strategy, permanent: u64) {
    let children: Vec<_> = (0..permanent).filter_map(|key| states.state(ChildKey(key))).collect();
    let waits = |state: &ChildState| matches!(state, ChildState::Waiting { .. });
    let dues: std::collections::BTreeSet<_> = states.waiting().map(|(_, until)| until).collect();
    match strategy {
        Strategy::OneForOne => {}
        Strategy::OneForAll | Strategy::RestForOne => {
            assert!(dues.len() <= 1, "the group has one due time");
            let first = children.iter().position(waits).unwrap_or(children.len());
            assert!(children[first..].iter().all(waits), "no child runs behind one that waits: {children:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_sequence_of_exits_keeps_order_and_budget(
        steps in test_steps(),
        strategy in strategies(),
        restarts_max in 0..4u32,
    ) {
        let mut now = Instant::now();
        let mut states = running(strategy, &[Restart::Permanent; 5], restarts_max, now);
        let mut restarts: Vec<Instant> = Vec::new();
        for step in steps {
            match step {
                TestStep::Pass { ms } => now += millis(ms),
                TestStep::Exit { child, normal } => {
                    let key = ChildKey(child);
                    if !matches!(states.state(key), Some(ChildState::Running { .. })) {
                        continue;
                    }
                    let exit = if normal { ExitKind::Normal } else { ExitKind::Abnormal };
                    match states.ended(key, exit, now, 0.5) {
                        RestartDecision::Restart { stop, .. } => {
                            restarts.push(now);
                            prop_assert!(stop.is_sorted_by(|a, b| a > b), "stops run in reverse start order");
                            prop_assert!(!stop.contains(&key), "the child has ended already");
                        }
                        RestartDecision::GiveUp => {
                            let recent = in_window(&restarts, now);
                            prop_assert!(recent >= restarts_max as usize, "only a spent budget gives up");
                            return Ok(());
                        }
                        RestartDecision::StayStopped => prop_assert!(false, "a permanent child restarts"),
                    }
                }
                TestStep::StartDue { fails } => {
                    let Some(key) = states.due(now) else { continue };
                    if !fails {
                        states.apply(key, ChildEvent::Started { now });
                        // The supervisor starts all due children before it handles another event.
                        while let Some(key) = states.due(now) {
                            states.apply(key, ChildEvent::Started { now });
                        }
                    } else if states.ended(key, ExitKind::Abnormal, now, 0.5) == RestartDecision::GiveUp {
                        return Ok(());
                    } else {
                        restarts.push(now);
                    }
                }
            }
            let recent = in_window(&restarts, now);
            prop_assert!(recent <= restarts_max as usize, "at most {restarts_max} restarts in a window");
            check_invariants(&states, strategy, 5);
        }
    }
}
