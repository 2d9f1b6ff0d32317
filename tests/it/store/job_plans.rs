//! The plans of the statements that run all the time. A session keeps a plan for long, also one that was made
//! while the tables were empty.

use std::time::Duration;

use forge_actors::job::store::ClaimSize;
use forge_actors::kernel::ids::LeaseId;
use forge_tests::until;

use super::job::Bench;

const JOBS: i64 = 20_000;
/// More than the sessions of the queue: their plans are kept from the sixth execution on.
const ROUNDS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_burst_no_statement_of_the_queue_reads_the_whole_table() {
    let bench = Bench::open().await;
    let size = ClaimSize { limit: 10, begin: 3, bytes_max: usize::MAX };
    let claim_and_look = async || {
        bench.store.promote().await.unwrap();
        bench.store.rescue().await.unwrap();
        let batched = bench.claim_sized(size, Some(LeaseId::new())).await;
        batched.len() + bench.claim_sized(size, None).await.len()
    };
    for _ in 0..ROUNDS {
        assert_eq!(claim_and_look().await, 0);
    }
    // Without an ANALYZE: plans are made anew only when the statistics of a table change.
    bench
        .run(&format!(
            "ALTER TABLE forge_jobs SET (autovacuum_enabled = off);
             INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched)
             SELECT gen_random_uuid(), 'mail.send', 'mail', 50, 3, true, now(), '{{}}', n % 2 = 0 FROM generate_series(1, {JOBS}) n"
        ))
        .await;
    for _ in 0..ROUNDS {
        assert!(claim_and_look().await > 0);
    }
    // A session says what it has read when its next transaction has ended, a moment later at most.
    let counted = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'forge_jobs_claimable'";
    let enough = 2 * ROUNDS as i64;
    until("the statistics are written", Duration::from_secs(30), async || {
        bench.store.promote().await.unwrap();
        let scans: i64 = bench.value(counted).await;
        (scans >= enough).then_some(())
    })
    .await;
    let read: i64 =
        bench.value("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'forge_jobs'").await;
    assert!(read < JOBS, "{read} rows were read from beginning to end");
    bench.scratch.drop().await;
}
