//! Batch leases: what holds a job, who may write about it, and that it is always in one place.

use std::collections::BTreeSet;
use std::time::Duration;

use forge_actors::app::JobStatus;
use forge_actors::job::retention::RetentionClass;
use forge_actors::job::store::{BatchRenewal, ClaimSize, Hold, JobRecord, LostJob};
use forge_actors::kernel::ids::{JobId, LeaseId};
use forge_tests::until;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::job::{Bench, LEASE, QUEUE};

const FINISH: &str = include_str!("../../../forge-actors/src/job/sql/finish_leased_jobs.sql");
const LOCK: &str = include_str!("../../../forge-actors/src/job/sql/lock_batch_leases.sql");
const RELEASE: &str = include_str!("../../../forge-actors/src/job/sql/release_jobs.sql");
const CANCEL: &str = include_str!("../../../forge-actors/src/job/sql/cancel_jobs.sql");
const RETRY: &str = include_str!("../../../forge-actors/src/job/sql/retry_jobs.sql");
const SIZE: ClaimSize = ClaimSize { limit: 100, begin: 1, bytes_max: usize::MAX };

impl Bench {
    /// Inserts `count` jobs of 3 attempts that may be claimed in batches.
    async fn put_batched(&self, count: u32) {
        self.run(&format!(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, trace, identity, batched)
             SELECT gen_random_uuid(), 'mail.send', '{QUEUE}', 50, 3, true, now(), json_build_object('n', n), 'trace ' || n, '{{\"subject\": \"ana\"}}', true
             FROM generate_series(1, {count}) n"
        ))
        .await;
    }

    /// Claims all jobs in one batch.
    async fn claim_batch(&self) -> (LeaseId, Vec<JobRecord>) {
        let lease = LeaseId::new();
        (lease, self.claim_sized(SIZE, Some(lease)).await)
    }

    async fn expire(&self) {
        self.run("UPDATE forge_job_leases SET lease_until = now() - interval '1s'").await;
    }

    /// Where the jobs are: `waits 2, held 1, completed 3`.
    async fn places(&self) -> String {
        let sql = "SELECT coalesce(string_agg(place || ' ' || n, ', ' ORDER BY place), '') FROM (
            SELECT place, count(*) AS n FROM (
                SELECT CASE WHEN node_id IS NULL THEN 'waits' ELSE 'held' END AS place FROM forge_unfinished_jobs
                UNION ALL SELECT status::text FROM forge_job_history
            ) places GROUP BY place
        ) counts";
        self.value(sql).await
    }
}

/// Writes that jobs have succeeded. Returns how many were accepted.
async fn finish(connection: &mut PgConnection, jobs: &[&JobRecord], ended: &[LeaseId]) -> usize {
    let all = |value: fn(&JobRecord) -> i32| jobs.iter().map(|job| value(job)).collect::<Vec<_>>();
    let texts =
        |value: fn(&JobRecord) -> Option<String>| jobs.iter().map(|job| value(job)).collect::<Vec<_>>();
    let statement = sqlx::query_scalar::<_, JobId>(FINISH)
        .bind(jobs.iter().filter_map(|job| job.batch()).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| job.id).collect::<Vec<_>>())
        .bind(texts(|job| Some(job.name.clone())))
        .bind(texts(|job| Some(job.queue.to_string())))
        .bind(jobs.iter().map(|job| job.priority).collect::<Vec<_>>())
        .bind(all(|job| job.attempts_begun.cast_signed() + 1))
        .bind(all(|job| job.attempts_max.cast_signed()))
        .bind(all(|job| job.claim))
        .bind(texts(|job| std::str::from_utf8(&job.args).ok().map(str::to_owned)))
        .bind(texts(|job| job.identity.clone()))
        .bind(texts(|job| job.trace.clone()))
        .bind(texts(|job| job.last_error.clone()))
        .bind(jobs.iter().map(|job| job.created_at).collect::<Vec<_>>())
        .bind(ended)
        .bind(vec![None::<String>; 0]);
    statement.fetch_all(connection).await.unwrap().len()
}

/// Takes jobs out of their leases, as an acknowledger does. Returns how many were accepted.
async fn release(connection: &mut PgConnection, jobs: &[&JobRecord], status: &str, attempt: i32) -> usize {
    let leases: Vec<LeaseId> = jobs.iter().filter_map(|job| job.batch()).collect();
    let mut tx = connection.begin().await.unwrap();
    sqlx::query(LOCK).bind(&leases).execute(&mut *tx).await.unwrap();
    let released: Vec<JobId> = sqlx::query_scalar(RELEASE)
        .bind(&leases)
        .bind(jobs.iter().map(|job| job.id).collect::<Vec<_>>())
        .bind(vec![status; jobs.len()])
        .bind(vec![Some("broke"); jobs.len()])
        .bind(vec![0.0; jobs.len()])
        .bind(vec![attempt; jobs.len()])
        .bind(vec![None::<String>; jobs.len()])
        .bind(false)
        .bind(vec![None::<String>; 0])
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    released.len()
}

async fn cancel(connection: &mut PgConnection, job: JobId) -> usize {
    let cancelled = sqlx::query(CANCEL).bind(vec![job]).bind("ana").fetch_all(connection).await;
    cancelled.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_takes_plain_jobs_in_one_lease_and_others_on_their_rows() {
    let bench = Bench::open().await;
    bench.put_batched(5).await;
    bench.run("UPDATE forge_jobs SET attempts_max = 1 WHERE args ->> 'n' = '4'").await;
    bench.run("UPDATE forge_jobs SET batched = false WHERE args ->> 'n' = '5'").await;
    let (lease, jobs) = bench.claim_batch().await;
    let n = |job: &JobRecord| serde_json::from_slice::<serde_json::Value>(&job.args).unwrap()["n"].as_i64();
    let on_rows: BTreeSet<_> = jobs.iter().filter(|job| job.batch().is_none()).map(n).collect();
    assert_eq!(
        on_rows,
        BTreeSet::from([Some(4), Some(5)]),
        "the last attempt of a job is written when it begins"
    );
    let batched: Vec<&JobRecord> = jobs.iter().filter(|job| job.hold == Hold::Batch(lease)).collect();
    assert_eq!(batched.len(), 3);
    assert!(batched.iter().all(|job| !job.begun && job.attempts_begun == 0 && job.claim == 1));
    assert_eq!(bench.value::<i64>("SELECT count(*) FROM forge_jobs").await, 2);
    assert_eq!(bench.places().await, "held 5");
    assert!(bench.claim_batch().await.1.is_empty());
    assert_eq!(
        bench.value::<i64>("SELECT count(*) FROM forge_job_leases").await,
        1,
        "an empty claim writes none"
    );
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_job_is_in_the_history_as_it_was_dispatched() {
    let bench = Bench::open().await;
    bench.put_batched(3).await;
    let before: Vec<String> = rows(&bench, "forge_jobs").await;
    let (lease, jobs) = bench.claim_batch().await;
    let mut connection = bench.scratch.connect().await;
    let jobs: Vec<&JobRecord> = jobs.iter().collect();
    assert_eq!(finish(&mut connection, &jobs[..2], &[]).await, 2);
    assert_eq!(bench.places().await, "completed 2, held 1");
    assert_eq!(finish(&mut connection, &jobs, &[]).await, 1, "repeated, because the answer got lost");
    assert_eq!(bench.places().await, "completed 3");
    assert_eq!(rows(&bench, "forge_job_history").await, before);
    let ended =
        "SELECT count(*) FROM forge_job_history WHERE attempt = 1 AND claim = 1 AND node_id IS NOT NULL";
    assert_eq!(bench.value::<i64>(ended).await, 3);
    let renewal = BatchRenewal { ended: vec![lease], ..BatchRenewal::default() };
    assert!(bench.store.renew_batches(&renewal, LEASE).await.unwrap().is_empty());
    assert_eq!(bench.value::<i64>("SELECT count(*) FROM forge_job_leases").await, 0);
    bench.scratch.drop().await;
}

/// What a dispatch has written about the jobs of a table.
async fn rows(bench: &Bench, table: &str) -> Vec<String> {
    let columns = "id, name, queue, priority, attempts_max, args::text, identity::text, trace, created_at";
    let sql = format!("SELECT ROW({columns})::text FROM {table} ORDER BY id");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut bench.scratch.connect().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_returns_what_is_neither_gone_nor_finished_and_fences_the_rest() {
    let bench = Bench::open().await;
    bench.put_batched(5).await;
    let (_, jobs) = bench.claim_batch().await;
    let mut connection = bench.scratch.connect().await;
    assert_eq!(finish(&mut connection, &[&jobs[0]], &[]).await, 1);
    assert_eq!(release(&mut connection, &[&jobs[1]], "retry", 1).await, 1);
    assert_eq!(release(&mut connection, &[&jobs[2]], "failed", 1).await, 1);
    assert_eq!(bench.store.rescue().await.unwrap().count(), 0, "the lease has not run out");
    bench.expire().await;
    let rescued = bench.store.rescue().await.unwrap();
    assert_eq!((rescued.lost, rescued.count()), (2, 2));
    assert_eq!(rescued.queues.iter().map(|queue| &**queue).collect::<Vec<_>>(), [QUEUE]);
    assert_eq!(bench.places().await, "completed 1, failed 1, waits 3");
    let lost = "SELECT count(*) FROM forge_jobs WHERE losses = 1 AND NOT batched AND attempt = 0 AND ready AND claim = 1 AND last_error LIKE 'lease expired%'";
    assert_eq!(bench.value::<i64>(lost).await, 2, "a loss spends no attempt");
    // What the lost worker still writes changes nothing.
    let late: Vec<&JobRecord> = jobs.iter().collect();
    assert_eq!(finish(&mut connection, &late, &[]).await, 0);
    assert_eq!(release(&mut connection, &late, "pending", 0).await, 0);
    // A lost job begins durably from then on, and has all of its attempts.
    let again = bench.claim_sized(SIZE, Some(LeaseId::new())).await;
    let of_lost: Vec<_> = again.iter().filter(|job| job.batch().is_none()).collect();
    assert_eq!((again.len(), of_lost.len()), (3, 2));
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_sees_what_a_transaction_commits_that_it_has_waited_for() {
    let bench = Bench::open().await;
    bench.put_batched(2).await;
    let (_, jobs) = bench.claim_batch().await;
    bench.expire().await;
    // The effect and the end of a job are about to commit together.
    let mut connection = bench.scratch.connect().await;
    let mut tx = connection.begin().await.unwrap();
    assert_eq!(finish(&mut tx, &[&jobs[0]], &[]).await, 1);
    assert_eq!(bench.store.rescue().await.unwrap().count(), 0, "the lease is skipped meanwhile");
    // A release waits instead.
    let release_of_both = tokio::spawn({
        let (mut other, jobs) = (bench.scratch.connect().await, jobs.clone());
        async move { release(&mut other, &[&jobs[0], &jobs[1]], "retry", 1).await }
    });
    bench.waiters(1).await;
    tx.commit().await.unwrap();
    assert_eq!(release_of_both.await.unwrap(), 1, "the first one is completed");
    assert_eq!(bench.places().await, "completed 1, waits 1");
    bench.expire().await;
    assert_eq!(bench.store.rescue().await.unwrap().count(), 0);
    assert_eq!(bench.value::<i64>("SELECT count(*) FROM forge_job_leases").await, 0, "it holds nothing");
    bench.scratch.drop().await;
}

impl Bench {
    /// Waits until so many sessions wait for a lock.
    async fn waiters(&self, count: i64) {
        let sql = "SELECT count(*) FROM pg_locks lock JOIN pg_stat_activity session USING (pid) WHERE NOT lock.granted AND session.datname = current_database()";
        until("the sessions wait", Duration::from_secs(30), || async {
            (self.value::<i64>(sql).await >= count).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_and_an_end_that_meet_leave_one_of_them() {
    let bench = Bench::open().await;
    bench.put_batched(4).await;
    let (_, jobs) = bench.claim_batch().await;
    let mut first = bench.scratch.connect().await;
    // The end commits first: the cancel has waited for it, and changes nothing.
    let mut tx = first.begin().await.unwrap();
    assert_eq!(finish(&mut tx, &[&jobs[0]], &[]).await, 1);
    let late_cancel = tokio::spawn({
        let (mut other, job) = (bench.scratch.connect().await, jobs[0].id);
        async move { cancel(&mut other, job).await }
    });
    bench.waiters(1).await;
    tx.commit().await.unwrap();
    assert_eq!(late_cancel.await.unwrap(), 0);
    assert_eq!(bench.status(jobs[0].id).await, JobStatus::Completed);
    // The cancel commits first, and a person has the job run again before the end gets its lock.
    let mut tx = first.begin().await.unwrap();
    assert_eq!(cancel(&mut tx, jobs[1].id).await, 1);
    sqlx::query(RETRY).bind(vec![jobs[1].id]).execute(&mut *tx).await.unwrap();
    let late_end = tokio::spawn({
        let (mut other, job) = (bench.scratch.connect().await, jobs[1].clone());
        async move { finish(&mut other, &[&job], &[]).await }
    });
    bench.waiters(1).await;
    tx.commit().await.unwrap();
    assert_eq!(late_end.await.unwrap(), 0, "it has left the lease");
    assert_eq!(bench.status(jobs[1].id).await, JobStatus::Pending);
    let node = bench.value::<bool>("SELECT bool_and(node_id IS NOT NULL) FROM forge_job_history").await;
    assert!(node, "the history names the node");
    assert_eq!(bench.places().await, "completed 1, held 2, waits 1");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_prolongs_notes_and_says_what_is_gone() {
    let bench = Bench::open().await;
    bench.put_batched(4).await;
    let (lease, jobs) = bench.claim_batch().await;
    bench.expire().await;
    let mut connection = bench.scratch.connect().await;
    assert_eq!(cancel(&mut connection, jobs[3].id).await, 1);
    assert_eq!(finish(&mut connection, &[&jobs[0]], &[]).await, 1);
    let renewal = BatchRenewal {
        held: vec![lease, LeaseId::new()],
        ended: Vec::new(),
        begun: vec![(lease, jobs[1].id)],
        finished: vec![(lease, jobs[0].id)],
    };
    let renewed = bench.store.renew_batches(&renewal, LEASE).await.unwrap();
    assert_eq!(
        renewed.iter().map(|batch| batch.lease).collect::<Vec<_>>(),
        [lease],
        "the other one is unknown"
    );
    assert_eq!(renewed[0].gone, [jobs[3].id, jobs[0].id].into());
    assert_eq!(bench.store.rescue().await.unwrap().count(), 0, "it was renewed in time");
    assert_eq!(bench.status(jobs[1].id).await, JobStatus::Running);
    assert_eq!(bench.status(jobs[2].id).await, JobStatus::Claimed);
    // The history of a job goes no sooner than the lease that held it.
    bench.run("UPDATE forge_job_history SET finished_at = now() + interval '1s'").await;
    let at_once = RetentionClass { kept: Duration::ZERO, failed: false, names: None };
    let deleted = bench.delete_history(&at_once, &[], None).await;
    assert_eq!(deleted, 0);
    bench.run("TRUNCATE forge_job_history").await;
    bench.expire().await;
    assert_eq!(bench.store.rescue().await.unwrap().lost, 2);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_was_lost_is_released_once() {
    let bench = Bench::open().await;
    bench.put_batched(2).await;
    let (lease, jobs) = bench.claim_batch().await;
    let lost = [LostJob { lease, job: jobs[0].id, attempts: 0 }];
    for _ in 0..2 {
        bench.store.release_lost(&lost).await.unwrap();
        assert_eq!(bench.places().await, "held 1, waits 1");
    }
    let row = "SELECT losses || ' ' || batched || ' ' || last_error FROM forge_jobs";
    assert_eq!(bench.value::<String>(row).await, "1 false the worker that held the job was lost");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_again_keeps_what_the_statement_does_not_know() {
    let bench = Bench::open().await;
    bench.run("ALTER TABLE forge_jobs ADD COLUMN of_a_later_version text").await;
    bench.put_batched(2).await;
    bench.run("UPDATE forge_jobs SET of_a_later_version = 'kept', refused_by = '{one}'").await;
    let (_, jobs) = bench.claim_batch().await;
    let mut connection = bench.scratch.connect().await;
    assert_eq!(release(&mut connection, &[&jobs[0]], "retry", 1).await, 1);
    bench.expire().await;
    assert_eq!(bench.store.rescue().await.unwrap().lost, 1);
    let kept = "SELECT count(*) FROM forge_jobs WHERE of_a_later_version = 'kept' AND refused_by = '{one}' AND claim = 1";
    assert_eq!(bench.value::<i64>(kept).await, 2);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_database_refuses_does_not_hold_up_the_rescue_of_its_lease() {
    let bench = Bench::open().await;
    bench.put_batched(7).await;
    let (_, jobs) = bench.claim_batch().await;
    bench.run("ALTER TABLE forge_jobs ADD CONSTRAINT picky CHECK (args ->> 'n' <> '4') NOT VALID").await;
    bench.expire().await;
    let rescued = bench.store.rescue().await.unwrap();
    assert_eq!((rescued.lost, rescued.refused.len()), (6, 1));
    let refused = *rescued.refused.keys().next().unwrap();
    assert!(jobs.iter().any(|job| job.id == refused && &job.args[..] == br#"{"n" : 4}"#));
    assert_eq!(bench.places().await, "held 1, waits 6");
    let shown = "SELECT last_error FROM forge_unfinished_jobs WHERE node_id IS NOT NULL";
    assert!(bench.value::<String>(shown).await.contains("picky"), "an operator sees the reason");
    assert_eq!(bench.store.rescue().await.unwrap().count(), 0, "it is left alone for a while");
    bench.run("ALTER TABLE forge_jobs DROP CONSTRAINT picky").await;
    bench.expire().await;
    assert_eq!(bench.store.rescue().await.unwrap().lost, 1);
    assert_eq!(bench.places().await, "waits 7");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_of_the_schema_has_the_held_jobs_wait_again() {
    let bench = Bench::open().await;
    bench.put_batched(3).await;
    let (_, jobs) = bench.claim_batch().await;
    let mut connection = bench.scratch.connect().await;
    assert_eq!(finish(&mut connection, &[&jobs[0]], &[]).await, 1);
    let migration = include_str!("../../../schema/migrations/later/0003_add_job_leases.sql");
    let down = migration.split("-- @down").nth(1).unwrap();
    connection.execute(AssertSqlSafe(down.to_owned())).await.unwrap();
    assert_eq!(
        bench.value::<i64>("SELECT count(*) FROM forge_jobs WHERE ready AND node_id IS NULL").await,
        2
    );
    bench.scratch.drop().await;
}
