use std::time::Instant;

use crate::cluster::registry::Record;
use crate::kernel::time::secs;

/// After an outage everybody's row is old, and whoever is back first must not declare the others dead.
#[test]
fn a_node_judges_others_only_while_its_own_signs_of_life_arrive() {
    let (start, dead_after) = (Instant::now(), secs(10));
    let mut record = Record::default();
    let beat = |record: &mut Record, at: u64| {
        record.beaten(start + secs(at), dead_after);
        record.may_judge(start + secs(at), dead_after)
    };
    assert!((0..10).step_by(2).all(|at| !beat(&mut record, at)), "it has just begun");
    assert!((10..20).step_by(2).all(|at| beat(&mut record, at)));
    record.missed();
    assert!(!record.may_judge(start + secs(20), dead_after));
    assert!((20..30).step_by(2).all(|at| !beat(&mut record, at)), "after an outage the others need time too");
    assert!(beat(&mut record, 30));
    // A process that was stopped missed nothing that it knows of; the gap says it.
    assert!(!beat(&mut record, 50));
}
