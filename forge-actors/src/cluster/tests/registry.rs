use std::time::Instant;

use crate::cluster::registry::HeartbeatRecord;
use crate::kernel::time::secs;

/// After an outage the rows of all nodes are old. The first node that writes again must not declare the
/// others dead.
#[test]
fn a_node_declares_others_dead_only_while_its_own_heartbeats_succeed() {
    let (start, dead_after) = (Instant::now(), secs(10));
    let mut record = HeartbeatRecord::default();
    let beat = |record: &mut HeartbeatRecord, at: u64| {
        record.succeeded(start + secs(at), dead_after);
        record.may_declare_dead(start + secs(at), dead_after)
    };
    assert!((0..10).step_by(2).all(|at| !beat(&mut record, at)), "the node has just started");
    assert!((10..20).step_by(2).all(|at| beat(&mut record, at)));
    record.failed();
    assert!(!record.may_declare_dead(start + secs(20), dead_after));
    assert!(
        (20..30).step_by(2).all(|at| !beat(&mut record, at)),
        "after an outage the other nodes need time to write"
    );
    assert!(beat(&mut record, 30));
    // A process that was stopped saw no failure, but the gap between its heartbeats is too long.
    assert!(!beat(&mut record, 50));
}
