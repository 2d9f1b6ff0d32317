use std::collections::BTreeSet;

use super::config::LeaderConfig;
use super::leadership::Leadership;
use super::state::{Election, ElectionEffect, ElectionInput, TermEnd};
use crate::kernel::time::{days, millis, secs};
use crate::subsystem::ConfigSection;

const JOBS: Leadership = Leadership::new("jobs");
const CHANGES: Leadership = Leadership::new("changes");

fn leading() -> Election {
    let mut election = Election::default();
    election.stand_for([JOBS, CHANGES]);
    for (leadership, epoch) in [(JOBS, 7), (CHANGES, 3)] {
        let effects = election.step(ElectionInput::Elected { leadership, epoch });
        assert_eq!(effects, [ElectionEffect::Begin { leadership, epoch }]);
    }
    election
}

fn renewed(names: &[&str]) -> ElectionInput {
    ElectionInput::Renewed { lasting: names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>() }
}

#[test]
fn a_candidate_is_elected_once() {
    let mut election = leading();
    assert_eq!(election.terms(), [(CHANGES, 3), (JOBS, 7)]);
    assert!(election.wanted().is_empty());
    assert_eq!(
        election.step(ElectionInput::Elected { leadership: JOBS, epoch: 8 }),
        [
            ElectionEffect::CloseTerm { leadership: JOBS, epoch: 8 },
            ElectionEffect::Unlock { leadership: JOBS }
        ]
    );
    assert_eq!(election.terms(), [(CHANGES, 3), (JOBS, 7)]);
}

#[test]
fn a_renewal_ends_the_terms_that_it_does_not_name() {
    let mut election = leading();
    assert_eq!(election.step(renewed(&["changes", "jobs"])), []);
    assert_eq!(
        election.step(renewed(&["changes"])),
        [
            ElectionEffect::End { leadership: JOBS, epoch: 7, cause: TermEnd::Superseded },
            ElectionEffect::Unlock { leadership: JOBS }
        ]
    );
    assert_eq!((election.terms(), election.wanted()), (vec![(CHANGES, 3)], vec![JOBS]));
}

#[test]
fn a_lost_session_ends_all_terms_and_the_node_stays_a_candidate() {
    let mut election = leading();
    assert_eq!(
        election.step(ElectionInput::SessionLost),
        [
            ElectionEffect::End { leadership: CHANGES, epoch: 3, cause: TermEnd::SessionLost },
            ElectionEffect::End { leadership: JOBS, epoch: 7, cause: TermEnd::SessionLost }
        ]
    );
    assert_eq!(election.wanted(), [CHANGES, JOBS]);
    assert_eq!(election.step(ElectionInput::SessionLost), []);
}

#[test]
fn a_node_that_withdraws_ends_its_terms_in_order_and_is_not_elected_again() {
    let mut election = leading();
    let effects = election.step(ElectionInput::Withdraw);
    assert_eq!(
        effects[..3],
        [
            ElectionEffect::End { leadership: CHANGES, epoch: 3, cause: TermEnd::Resigned },
            ElectionEffect::CloseTerm { leadership: CHANGES, epoch: 3 },
            ElectionEffect::Unlock { leadership: CHANGES }
        ]
    );
    assert_eq!(effects.len(), 6);
    election.stand_for([JOBS]);
    assert!(election.wanted().is_empty() && election.terms().is_empty());
    // An answer that was under way when the node withdrew.
    assert_eq!(
        election.step(ElectionInput::Elected { leadership: JOBS, epoch: 8 }),
        [
            ElectionEffect::CloseTerm { leadership: JOBS, epoch: 8 },
            ElectionEffect::Unlock { leadership: JOBS }
        ]
    );
}

#[test]
fn a_leader_stops_itself_before_the_lock_is_freed_and_may_miss_a_renewal() {
    let config = LeaderConfig::default();
    assert_eq!(config.validate(), Vec::<String>::new());
    assert_eq!(
        (config.lease, config.renew_interval(), config.local_deadline()),
        (secs(3), secs(1), millis(2_500))
    );
    assert!(config.local_deadline() > 2 * config.renew_interval());
    let broken = LeaderConfig { lease: millis(500), retention: secs(0) }.validate();
    assert!(
        broken.len() == 2 && broken[0].contains("leader.lease") && broken[1].contains("leader.retention")
    );
    let kept = |retention| LeaderConfig { retention, ..LeaderConfig::default() }.validate();
    assert_eq!(kept(days(36_500)), Vec::<String>::new());
    assert!(kept(days(36_501))[0].contains("leader.retention"));
}

#[test]
fn names_of_locks_never_change() {
    // Two versions of Forge must mean the same lock.
    assert_eq!(JOBS.lock_key().to_string(), "system/leader/jobs");
}
