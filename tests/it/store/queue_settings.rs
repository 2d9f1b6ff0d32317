//! Queues that are paused, or that have a limit, beside several claimers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use forge_actors::job::admin;
use forge_actors::job::store::{ClaimSize, Claimant, JobRecord, JobStore};
use forge_actors::kernel::ids::{LeaseId, NodeId};

use super::job::{Bench, LEASE, QUEUE};

/// Claims at most five jobs of a queue, in a batch lease.
async fn claim(store: &JobStore, queue: &str) -> Vec<JobRecord> {
    let names = ["mail.send".to_owned()];
    let batch = Some(LeaseId::new());
    let claimant =
        Claimant { node: NodeId::new(), names: &names, lease: LEASE, batch, limited: &[], needing: &[] };
    store.claim(queue, claimant, SIZE).await.unwrap().records
}

/// The same from a queue with a limit; half of the claims take rows.
async fn claim_within(store: &JobStore, queue: &str, node: NodeId, in_batch: bool) -> Option<Vec<JobRecord>> {
    let names = ["mail.send".to_owned()];
    let batch = in_batch.then(LeaseId::new);
    let claimant = Claimant { node, names: &names, lease: LEASE, batch, limited: &[], needing: &[] };
    let claimed =
        store.claim_within_limit(queue, claimant, SIZE, &Default::default(), |jobs| jobs).await.unwrap();
    claimed.map(|claim| claim.records)
}

const SIZE: ClaimSize = ClaimSize { limit: 5, begin: 5, bytes_max: usize::MAX };

async fn insert(bench: &Bench, queue: &str, count: u32) {
    bench
        .run(&format!(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched)
             SELECT gen_random_uuid(), 'mail.send', '{queue}', 50, 3, true, now(), '{{}}', true
             FROM generate_series(1, {count})"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_is_not_claimed_from_and_others_are() {
    let bench = Bench::open().await;
    insert(&bench, QUEUE, 20_000).await;
    insert(&bench, "other", 10).await;
    let db = bench.scratch.database.writer();
    let ends = Arc::new(AtomicBool::new(false));
    let claims: Arc<Mutex<Vec<(Instant, usize)>>> = Arc::default();
    let claimers: Vec<_> = (0..6)
        .map(|_| {
            let (store, ends, claims) = (bench.store.clone(), Arc::clone(&ends), Arc::clone(&claims));
            tokio::spawn(async move {
                while !ends.load(Ordering::Acquire) {
                    let began = Instant::now();
                    let claimed = claim(&store, QUEUE).await.len();
                    claims.lock().unwrap().push((began, claimed));
                }
            })
        })
        .collect();
    let enough = |claims: &Mutex<Vec<(Instant, usize)>>, count: usize| claims.lock().unwrap().len() >= count;
    forge_tests::until("the claimers are at work", LEASE, || async { enough(&claims, 30).then_some(()) })
        .await;
    assert!(admin::pause_queue(&db, QUEUE, "ana").await.unwrap());
    let paused = Instant::now();
    let before = claims.lock().unwrap().len();
    forge_tests::until("each claims again", LEASE, || async { enough(&claims, before + 60).then_some(()) })
        .await;
    ends.store(true, Ordering::Release);
    futures::future::join_all(claimers).await;
    let claims = claims.lock().unwrap().clone();
    let taken = |since: bool| -> usize {
        claims.iter().filter(|(began, _)| (*began > paused) == since).map(|(_, count)| count).sum()
    };
    assert!(taken(false) >= 30 * 5, "all of them took jobs before");
    assert_eq!(taken(true), 0, "no claim that began after the commit took one");

    assert!(!admin::pause_queue(&db, QUEUE, "bob").await.unwrap(), "it is paused already");
    assert_eq!(bench.value::<String>("SELECT paused_by FROM forge_job_queues").await, "ana");
    assert_eq!(claim(&bench.store, "other").await.len(), 5, "the other queue goes on");
    assert!(admin::resume_queue(&db, QUEUE).await.unwrap());
    assert!(!admin::resume_queue(&db, QUEUE).await.unwrap());
    assert_eq!(claim(&bench.store, QUEUE).await.len(), 5);
    assert_eq!(bench.value::<i64>("SELECT count(*) FROM forge_job_queues").await, 0, "no setting is left");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claimers_hold_as_many_jobs_of_a_queue_as_its_limit_and_no_more() {
    let bench = Bench::open().await;
    insert(&bench, QUEUE, 400).await;
    let db = bench.scratch.database.writer();
    admin::limit_queue(&db, QUEUE, Some(7)).await.unwrap();
    assert!(
        claim(&bench.store, QUEUE).await.is_empty(),
        "a claim that does not know of the limit takes nothing"
    );
    let held = "SELECT count(*) FROM forge_unfinished_jobs WHERE node_id IS NOT NULL";
    let claimers = (0..8).map(|number| {
        let (store, bench) = (bench.store.clone(), &bench);
        async move {
            let (node, mut most) = (NodeId::new(), 0);
            while bench.value::<i64>("SELECT count(*) FROM forge_unfinished_jobs").await > 0 {
                let claimed = claim_within(&store, QUEUE, node, number % 2 == 0).await.unwrap().len();
                most = most.max(bench.value::<i64>(held).await);
                if claimed > 0 {
                    let finish = format!(
                        "DELETE FROM forge_jobs WHERE node_id = '{node}'; DELETE FROM forge_job_leases WHERE node_id = '{node}'"
                    );
                    bench.run(&finish).await;
                }
            }
            most
        }
    });
    let most = futures::future::join_all(claimers).await.into_iter().max();
    assert_eq!(most, Some(7), "all slots were used, and never more");

    insert(&bench, QUEUE, 20).await;
    let node = NodeId::new();
    let mut sizes = Vec::new();
    for in_batch in [true, false, true] {
        sizes.push(claim_within(&bench.store, QUEUE, node, in_batch).await.unwrap().len());
    }
    assert_eq!(sizes, [5, 2, 0], "what batch leases and rows hold counts");
    admin::limit_queue(&db, QUEUE, Some(8)).await.unwrap();
    assert_eq!(claim_within(&bench.store, QUEUE, node, true).await.unwrap().len(), 1);
    admin::pause_queue(&db, QUEUE, "ana").await.unwrap();
    admin::limit_queue(&db, QUEUE, Some(9)).await.unwrap();
    assert!(claim_within(&bench.store, QUEUE, node, true).await.unwrap().is_empty(), "it is paused");
    admin::limit_queue(&db, QUEUE, None).await.unwrap();
    assert!(claim_within(&bench.store, QUEUE, node, true).await.is_none(), "it has no limit any more");
    assert!(claim(&bench.store, QUEUE).await.is_empty(), "and is still paused");
    admin::resume_queue(&db, QUEUE).await.unwrap();
    assert_eq!(claim(&bench.store, QUEUE).await.len(), 5);
    bench.scratch.drop().await;
}
