use std::time::Instant;

use crate::cluster::registry::HeartbeatRecord;
use crate::kernel::time::secs;

/// After an outage everybody's row is old, and whoever is back first must not declare the others dead.
#[test]
fn a_node_declares_others_dead_only_while_its_own_heartbeats_succeed() {
    let (start, dead_after) = (Instant::now(), secs(10));
    let mut record = HeartbeatRecord::default();
    let beat = |record: &mut HeartbeatRecord, at: u64| {
        record.succeeded(start + secs(at), dead_after);
        record.may_declare_dead(start + secs(at), dead_after)
    };
    assert!((0..10).step_by(2).all(|at| !beat(&mut record, at)), "it has just begun");
    assert!((10..20).step_by(2).all(|at| beat(&mut record, at)));
    record.failed();
    assert!(!record.may_declare_dead(start + secs(20), dead_after));
    assert!((20..30).step_by(2).all(|at| !beat(&mut record, at)), "after an outage the others need time too");
    assert!(beat(&mut record, 30));
    // A process that was stopped missed nothing that it knows of; the gap says it.
    assert!(!beat(&mut record, 50));
}
