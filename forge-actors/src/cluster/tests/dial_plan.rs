use std::time::{Duration, Instant};

use crate::cluster::dial_plan::DialPlan;
use crate::kernel::ids::NodeId;
use crate::kernel::time::{millis, secs};

fn unlinked(_: NodeId) -> bool {
    false
}

#[test]
fn a_new_peer_is_dialled_at_once_and_only_once() {
    let (mut plan, now, peer) = (DialPlan::default(), Instant::now(), NodeId::new());
    plan.set_peers(&[peer], unlinked, now);
    assert_eq!(plan.take_due(now), [peer]);
    assert_eq!(plan.take_due(now), []);
    plan.connected(peer);
    plan.set_peers(&[peer], unlinked, now);
    assert_eq!((plan.take_due(now + secs(60)), plan.next_due()), (vec![], None));
}

#[test]
fn a_peer_that_is_linked_already_is_not_dialled() {
    let (mut plan, now, peer) = (DialPlan::default(), Instant::now(), NodeId::new());
    plan.set_peers(&[peer], |_| true, now);
    assert_eq!(plan.take_due(now), []);
}

#[test]
fn failures_double_the_ceiling_up_to_two_seconds() {
    let (mut plan, now, peer) = (DialPlan::default(), Instant::now(), NodeId::new());
    plan.set_peers(&[peer], unlinked, now);
    for expected in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
        assert_eq!(plan.take_due(now + secs(100)), [peer]);
        plan.failed(peer, now, 1.0);
        assert_eq!(plan.next_due(), Some(now + millis(expected)));
    }
    // Full jitter: the delay lies anywhere between zero and the ceiling.
    assert_eq!(plan.take_due(now + secs(100)), [peer]);
    plan.failed(peer, now, 0.0);
    assert_eq!(plan.next_due(), Some(now));
}

#[test]
fn only_a_stable_link_resets_the_backoff() {
    let check = |was_up_for: Option<Duration>, expected: u64| {
        let (mut plan, now, peer) = (DialPlan::default(), Instant::now(), NodeId::new());
        plan.set_peers(&[peer], unlinked, now);
        for _ in 0..3 {
            assert_eq!(plan.take_due(now + secs(9)), [peer]);
            plan.failed(peer, now, 1.0);
        }
        assert_eq!(plan.take_due(now + secs(9)), [peer]);
        plan.connected(peer);
        plan.link_ended(peer, was_up_for, now, 1.0);
        assert_eq!(plan.next_due(), Some(now + millis(expected)), "{was_up_for:?}");
    };
    check(Some(secs(5)), 100);
    check(Some(secs(4)), 800);
    check(None, 800);
}

#[test]
fn the_end_of_an_old_link_does_not_disturb_a_dial() {
    let (mut plan, now, peer) = (DialPlan::default(), Instant::now(), NodeId::new());
    plan.set_peers(&[peer], unlinked, now);
    assert_eq!(plan.take_due(now), [peer]);
    plan.link_ended(peer, Some(secs(60)), now, 0.0);
    assert_eq!(plan.take_due(now + secs(60)), []);
    plan.link_ended(NodeId::new(), None, now, 0.0);
    plan.set_peers(&[], unlinked, now);
    assert_eq!(plan.next_due(), None);
}
