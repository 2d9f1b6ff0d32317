//! The table of leases.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::job::leases::LeaseTable;
use crate::job::store::{BegunAttempt, Hold, JobRecord, LostJob, RenewedBatch};
use crate::kernel::ids::{JobId, LeaseId};
use crate::kernel::time::{Timestamp, secs};

fn claimed(begun: bool) -> JobRecord {
    JobRecord {
        id: JobId::new(),
        name: "mail.send".to_owned(),
        queue: "mail".into(),
        priority: 50,
        hold: Hold::Row(1),
        begun,
        attempts_begun: u32::from(begun),
        attempts_max: 3,
        claim: 1,
        args: "{}".into(),
        identity: None,
        trace: None,
        last_error: None,
        created_at: Timestamp::default(),
        waited: Duration::ZERO,
        refused_by: Vec::new(),
        concurrency_key: None,
        rate_key: None,
        resources: &[],
        timeout: None,
        followed: false,
        awaited: false,
    }
}

#[test]
fn a_row_that_is_gone_by_its_own_commit_is_not_lost() {
    let (leases, now, lease) = (LeaseTable::default(), Instant::now(), secs(10));
    let job = leases.insert(claimed(true), now, lease);
    let claims = leases.claims();
    assert_eq!(claims, [job.claim()]);
    let nothing = HashSet::new();

    let guard = leases.begin_completion(&job.record);
    assert!(leases.claims().is_empty(), "its row may go at any moment");
    assert_eq!(leases.apply_renewal(&claims, &nothing, now, lease), 0, "a renewal that was under way");
    drop(guard);
    assert_eq!(leases.claims(), claims, "it was not committed");

    leases.begin_completion(&job.record).finished();
    assert_eq!(
        (leases.apply_renewal(&claims, &nothing, now, lease), leases.claims().len(), leases.len()),
        (0, 0, 1)
    );
    assert!(job.is_fresh(), "its handler may go on");
    drop(job);
    assert_eq!(leases.len(), 0);
}

#[test]
fn a_job_that_was_taken_over_is_cut() {
    let (leases, now, lease) = (LeaseTable::default(), Instant::now(), secs(10));
    let job = leases.insert(claimed(true), now, lease);
    assert_eq!(leases.apply_renewal(&leases.claims(), &HashSet::new(), now, lease), 1);
    assert!(job.is_lost() && !job.is_fresh());
}

#[test]
fn a_begin_counts_an_attempt_and_renews_the_lease() {
    let (leases, now) = (LeaseTable::default(), Instant::now());
    let mut job = leases.insert(claimed(false), now, Duration::ZERO);
    assert!(!job.is_fresh() && leases.begun() == 0);
    let begun = BegunAttempt { job: job.record.id, attempt: 1, waited: secs(3) };
    job.apply_begin(&begun, now, secs(10));
    assert!(job.is_fresh());
    assert_eq!(
        (leases.begun(), job.record.begun, job.record.attempts_begun, job.record.waited),
        (1, true, 1, secs(3))
    );
}

fn in_batch(lease: LeaseId) -> JobRecord {
    JobRecord { hold: Hold::Batch(lease), ..claimed(false) }
}

#[test]
fn a_batch_lease_is_renewed_until_its_last_job_is_done_and_then_deleted() {
    let (leases, now, batch) = (LeaseTable::default(), Instant::now(), LeaseId::new());
    let [mut first, second] = [(); 2].map(|()| leases.insert(in_batch(batch), now, secs(10)));
    assert!(leases.claims().is_empty(), "no row holds them");
    first.begin_unwritten();
    assert_eq!((first.record.attempts_begun, first.record.attempts_before()), (1, 0));
    let job = first.record.id;
    let renewal = leases.batch_renewal();
    assert_eq!((renewal.held, renewal.begun, renewal.finished.len()), (vec![batch], vec![(batch, job)], 0));

    first.finished();
    drop(first);
    let renewal = leases.batch_renewal();
    assert_eq!((&renewal.held, &renewal.finished), (&vec![batch], &vec![(batch, job)]));
    let renewed = vec![RenewedBatch { lease: batch, gone: HashSet::from([job]) }];
    assert_eq!(leases.apply_batch_renewal(&renewal, renewed, now, secs(20)), 0);
    assert!(leases.batch_renewal().finished.is_empty(), "it is noted");

    second.left();
    drop(second);
    assert_eq!(leases.batch_renewal().ended, [batch]);
    assert!(leases.batch_renewal().ended.is_empty(), "once");
    assert_eq!(leases.len(), 0);
}

#[test]
fn a_job_that_an_actor_has_lost_is_released_while_its_lease_lives() {
    let (leases, now, batch) = (LeaseTable::default(), Instant::now(), LeaseId::new());
    let [mut lost, kept] = [(); 2].map(|()| leases.insert(in_batch(batch), now, secs(10)));
    lost.begin_unwritten();
    let job = lost.record.id;
    let of_handler = lost.lease();
    drop(lost);
    assert!(leases.batches.abandoned().is_empty(), "its handler may still run");
    drop(of_handler);
    let abandoned = leases.batches.abandoned();
    assert_eq!(abandoned, [LostJob { lease: batch, job, attempts: 0 }]);
    kept.finished();
    drop(kept);
    assert!(leases.batch_renewal().ended.is_empty(), "it is to be released first");
    leases.batches.released(&abandoned);
    assert_eq!(leases.batch_renewal().ended, [batch]);
}

#[test]
fn a_job_that_has_left_its_batch_lease_is_cut_and_a_rescued_lease_cuts_all() {
    let (leases, now, batch) = (LeaseTable::default(), Instant::now(), LeaseId::new());
    let [first, second] = [(); 2].map(|()| leases.insert(in_batch(batch), now, secs(10)));
    let renewal = leases.batch_renewal();
    let gone = HashSet::from([first.record.id]);
    assert_eq!(
        leases.apply_batch_renewal(&renewal, vec![RenewedBatch { lease: batch, gone }], now, secs(10)),
        1
    );
    assert!(!first.is_fresh() && second.is_fresh());
    assert_eq!(
        leases.apply_batch_renewal(&renewal, Vec::new(), now, secs(10)),
        1,
        "the first is lost already"
    );
    assert!(second.is_lost());
}
