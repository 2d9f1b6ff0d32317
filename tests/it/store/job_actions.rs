//! What an administrator does to jobs: to some of them, and to all that match.

use forge_actors::app::JobStatus;
use forge_actors::db::transaction::TransactionOptions;
use forge_actors::job::admin::{self, JobAction, JobFilter, NewBulk};
use forge_actors::kernel::ids::JobId;

use super::job::{Bench, LEASE};
use super::job_admin::{ONE_OF_EACH, any, list, search};

#[tokio::test(flavor = "multi_thread")]
async fn an_action_changes_the_jobs_that_it_applies_to() {
    for (action, changed) in [
        (JobAction::Retry, "0 1 2 3 5 11 12 13"),
        (JobAction::Cancel, "0 1 2 3 4 5 6"),
        (JobAction::Discard, "0 1 2 3 5 11 12"),
    ] {
        let bench = Bench::open().await;
        bench.run(ONE_OF_EACH).await;
        let db = bench.scratch.database.writer();
        let all = list(&bench, any(), None, 100).await.rows;
        let ids: Vec<JobId> = all.iter().map(|row| row.id).collect();
        let found = admin::apply(&db, action, &ids, "ana").await.unwrap();
        let numbers = "SELECT coalesce(string_agg(args ->> 'n', ' ' ORDER BY id), '') FROM (
                           SELECT id, args FROM forge_unfinished_jobs UNION ALL SELECT id, args FROM forge_job_history
                       ) AS job WHERE id = ANY ($1)";
        let sql = sqlx::query_scalar(numbers).bind(&found.ids);
        let found: String = sql.fetch_one(&mut bench.scratch.connect().await).await.unwrap();
        assert_eq!(found, changed, "{action:?}");
        for row in &all {
            let expected = changed.split(' ').any(|n| row.id.to_string().ends_with(&format!("{n:0>2}")));
            assert_eq!(action.applies_to(row.status), expected, "{action:?} {:?}", row.status);
        }
        let after = list(&bench, any(), None, 100).await.rows;
        assert_eq!(after.len(), all.len(), "no job is lost");
        if action == JobAction::Discard {
            let error = |n: &str| {
                let row = after.iter().find(|row| row.id.to_string().ends_with(n)).unwrap();
                (row.status, row.last_error.clone().unwrap_or_default())
            };
            assert_eq!(
                error("12"),
                (JobStatus::Cancelled, "discarded by ana: connection REFUSED by 10.0.0.1".to_owned())
            );
            assert_eq!(error("00"), (JobStatus::Cancelled, "discarded by ana".to_owned()));
        }
        bench.scratch.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_due_keeps_its_place_when_it_is_tried_again() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    let db = bench.scratch.database.writer();
    let ids: Vec<JobId> = list(&bench, any(), None, 100).await.rows.iter().map(|row| row.id).collect();
    admin::apply(&db, JobAction::Retry, &ids, "ana").await.unwrap();
    let due = "SELECT string_agg(args ->> 'n', ' ' ORDER BY run_at, id) FROM forge_jobs WHERE ready AND node_id IS NULL";
    // 0 and 5 were due before; 2 was blocked by a limit, which its next claim looks at again.
    assert_eq!(bench.value::<String>(due).await, "0 5 2 1 3 11 12 13");
    bench.scratch.drop().await;
}

/// A bulk whose job waits in its table, as a dispatch of it leaves it.
async fn begin_bulk(bench: &Bench, action: JobAction, filter: &JobFilter) -> JobId {
    let job = JobId::new();
    bench
        .run(&format!(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
             VALUES ('{job}', 'forge.bulk_jobs', 'forge.bulk', 50, 5, true, now(), '{{}}')"
        ))
        .await;
    let bulk = NewBulk { job, action, filter, who: "ana", expected: None };
    admin::begin_bulk(&bench.scratch.database.writer(), bulk).await.unwrap();
    job
}

/// Does the next batch in a transaction of its own. Returns whether there is another one.
async fn batch(bench: &Bench, job: JobId) -> bool {
    let options = TransactionOptions::new("test", LEASE);
    let tx = bench.scratch.database.begin(options).await.unwrap();
    let batch = admin::bulk_batch(&tx.db(), job, &[]).await.unwrap();
    tx.commit().await.unwrap();
    batch.goes_on
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_changes_each_job_once_however_often_it_is_interrupted() {
    let bench = Bench::open().await;
    bench
        .run(
            "INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, last_error, created_at)
             SELECT gen_random_uuid(), 'mail.send', 'mail', 50,
                    CASE WHEN n % 10 = 0 THEN 'completed' ELSE 'dead_letter' END::forge_job_status, 3, 3, 3, '{}', 'broke', now()
             FROM generate_series(1, 2000) n",
        )
        .await;
    let filter = JobFilter { queue: Some("mail".to_owned()), ..any() };
    let (db, of_queue) = (bench.scratch.database.reader(), search(filter.clone()));
    let matches = admin::count_matches(&db, &of_queue, Some(JobAction::Retry)).await.unwrap();
    assert_eq!((matches.total, matches.actionable), (2_000, 1_800));
    let job = begin_bulk(&bench, JobAction::Retry, &filter).await;
    bench
        .run(
            "INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, last_error, created_at)
             VALUES (gen_random_uuid(), 'mail.send', 'mail', 50, 'failed', 1, 3, 1, '{}', 'later', now() + interval '1 s')",
        )
        .await;
    // A batch that does not commit changes nothing, and is done again.
    let tx = bench.scratch.database.begin(TransactionOptions::new("test", LEASE)).await.unwrap();
    admin::bulk_batch(&tx.db(), job, &[]).await.unwrap();
    tx.rollback().await;
    let mut batches = 1;
    while batch(&bench, job).await {
        batches += 1;
    }
    assert_eq!(batches, 4, "1,800 jobs in batches of 500");
    let progress = admin::find_bulk(&bench.scratch.database.reader(), job).await.unwrap().unwrap();
    assert_eq!((progress.done, progress.skipped, progress.ended_at.is_some()), (1_800, 0, true));
    assert_eq!(
        bench.value::<i64>("SELECT count(*) FROM forge_jobs WHERE queue = 'mail' AND attempt = 0").await,
        1_800
    );
    assert_eq!(
        bench
            .value::<String>(
                "SELECT string_agg(last_error, ' ') FROM forge_job_history WHERE status = 'failed'"
            )
            .await,
        "later",
        "what was dispatched after the bulk began is left alone"
    );
    assert!(!batch(&bench, job).await, "it has ended");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_whose_job_was_ended_stops_before_its_next_batch() {
    let bench = Bench::open().await;
    bench
        .run(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
             SELECT gen_random_uuid(), 'mail.send', 'mail', 50, 3, true, now(), '{}' FROM generate_series(1, 1200)",
        )
        .await;
    let job = begin_bulk(&bench, JobAction::Cancel, &any()).await;
    assert!(batch(&bench, job).await);
    let db = bench.scratch.database.writer();
    assert_eq!(
        admin::apply(&db, JobAction::Cancel, &[job], "bob").await.unwrap().ids,
        [job],
        "it spared its own job"
    );
    assert!(!batch(&bench, job).await);
    let ended = admin::end_bulk(&db, job).await.unwrap().unwrap();
    assert_eq!((ended.done, ended.skipped), (500, 0));
    assert_eq!(bench.value::<i64>("SELECT count(*) FROM forge_jobs").await, 700);
    assert_eq!(admin::end_bulk(&db, job).await.unwrap(), None);
    bench.scratch.drop().await;
}
