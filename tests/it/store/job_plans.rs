//! The plans of the statements that run all the time. A session keeps a plan for long, also one that was made
//! while the tables were empty.

use std::time::Duration;

use forge_actors::job::store::ClaimSize;
use forge_actors::kernel::ids::LeaseId;
use forge_tests::until;

use super::job::Bench;

const JOBS: i64 = 20_000;
const ROUNDS: usize = 40;
/// How often the statements of the test itself read the whole table: to make lost jobs, and to count what is
/// left.
const MADE_READS: i64 = 4;
/// What has been read of the table of jobs: by the index of claims, and from beginning to end.
const READS: &str =
    "SELECT idx_scan || ' ' || (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'forge_jobs')
    FROM pg_stat_user_indexes WHERE indexrelname = 'forge_jobs_claimable'";

#[tokio::test(flavor = "multi_thread")]
async fn after_a_burst_no_claim_reads_the_whole_table() {
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
    let before = reads_after(&bench, 2 * ROUNDS as i64).await;
    // Without an ANALYZE: plans are made anew only when the statistics of a table change.
    bench
        .run(&format!(
            "ALTER TABLE forge_jobs SET (autovacuum_enabled = off);
             INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched)
             SELECT gen_random_uuid(), 'mail.send', 'mail', 50, 3, n % 50 <> 0, now(), '{{}}', n % 2 = 0 FROM generate_series(1, {JOBS}) n;
             UPDATE forge_jobs SET status = 'claimed', claim = 1, node_id = gen_random_uuid(), lease_until = now() - interval '1 s'
             WHERE id IN (SELECT id FROM forge_jobs WHERE ready LIMIT 300)"
        ))
        .await;
    for _ in 0..ROUNDS {
        assert!(claim_and_look().await > 0);
    }
    let left = "SELECT count(*) FROM forge_jobs WHERE NOT ready OR lease_until < now()";
    assert_eq!(bench.value::<i64>(left).await, 0, "all due jobs are promoted, all lost ones rescued");
    let after = reads_after(&bench, before.0 + 2 * ROUNDS as i64).await;
    let read = after.1 - before.1 - MADE_READS * JOBS;
    assert!(read < JOBS, "{read} rows were read from beginning to end, or by the primary key");
    bench.scratch.drop().await;
}

/// The reads once the index was read so often. A session reports its statistics at the end of a transaction,
/// at most once a second.
async fn reads_after(bench: &Bench, index_scans: i64) -> (i64, i64) {
    until("the statistics are written", Duration::from_secs(30), async || {
        bench.store.promote().await.unwrap();
        let reads: String = bench.value(READS).await;
        let (scans, rows) = reads.split_once(' ').unwrap();
        let (scans, rows): (i64, i64) = (scans.parse().unwrap(), rows.parse().unwrap());
        (scans >= index_scans).then_some((scans, rows))
    })
    .await
}
