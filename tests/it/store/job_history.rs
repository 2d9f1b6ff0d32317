//! How long finished jobs are kept.

use std::time::Duration;

use forge_actors::job::retention::RetentionClass;

use super::job::Bench;

impl Bench {
    /// Deletes what is old enough of a class.
    pub(super) async fn delete_history(
        &self,
        class: &RetentionClass,
        named: &[&str],
        since: Option<Duration>,
    ) -> u64 {
        let db = self.scratch.database.writer();
        self.store.delete_history(&db, class, named, since, 1_000).await.unwrap()
    }

    async fn kept(&self) -> String {
        let sql = "SELECT coalesce(string_agg(trace, ' ' ORDER BY trace), '') FROM forge_job_history";
        self.value(sql).await
    }
}

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_class_of_history_goes_when_it_is_old() {
    let bench = Bench::open().await;
    // Named by handler, status and age in days.
    for (handler, status, age) in [
        ("mail", "completed", "6"),
        ("mail", "completed", "7.5"),
        ("mail", "cancelled", "9"),
        ("mail", "dead_letter", "8"),
        ("mail", "failed", "31"),
        ("bill", "completed", "8"),
        ("bill", "completed", "61"),
        ("bill", "dead_letter", "59"),
    ] {
        bench
            .run(&format!(
                "INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, last_error, created_at, finished_at, trace)
                 VALUES (gen_random_uuid(), '{handler}', 'q', 50, '{status}', 1, 3, 1, '{{}}', 'e', now(), now() - interval '{age} days', '{handler}-{status}-{age}')"
            ))
            .await;
    }
    let class = |kept, failed, names: Option<&str>| RetentionClass {
        kept,
        failed,
        names: names.map(|name| vec![name.to_owned()]),
    };
    let named = ["bill"];
    // Rows that were old enough two days ago were deleted then.
    assert_eq!(bench.delete_history(&class(days(7), false, None), &named, Some(days(1))).await, 1);
    assert!(bench.kept().await.contains("mail-cancelled-9"));
    assert_eq!(bench.delete_history(&class(days(7), false, None), &named, None).await, 1);
    assert_eq!(bench.delete_history(&class(days(30), true, None), &named, None).await, 1);
    assert_eq!(bench.delete_history(&class(days(60), false, Some("bill")), &named, None).await, 1);
    assert_eq!(bench.delete_history(&class(days(60), true, Some("bill")), &named, None).await, 0);
    assert_eq!(
        bench.kept().await,
        "bill-completed-8 bill-dead_letter-59 mail-completed-6 mail-dead_letter-8"
    );
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_go_with_the_last_of_their_jobs() {
    let bench = Bench::open().await;
    // A family each: both jobs are old; the waiter is kept; the job is kept; the waiter waits; the job is
    // gone.
    bench
        .run(
            "INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, created_at, finished_at)
             SELECT ('01900000-0000-7000-8000-0000000000' || suffix)::uuid, name, 'mail', 50, 'completed', 1, 1, 1, '{}', now(), now() - interval '8 d'
             FROM (VALUES ('1a', 'mail'), ('1b', 'mail'), ('2a', 'bill'), ('2b', 'mail'), ('3a', 'mail'), ('3b', 'bill'),
                          ('4b', 'mail'), ('5a', 'mail')) AS job (suffix, name);
             INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
             VALUES ('01900000-0000-7000-8000-00000000004a', 'mail', 'mail', 50, 3, true, now(), '{}');
             INSERT INTO forge_job_dependencies (waiter_id, number, job_id, name, kind, ended)
             SELECT ('01900000-0000-7000-8000-0000000000' || n || 'a')::uuid, 0, ('01900000-0000-7000-8000-0000000000' || n || 'b')::uuid,
                    'mail', 'member', 'completed'
             FROM generate_series(1, 5) n",
        )
        .await;
    let class = |kept, name: &str| RetentionClass { kept, failed: false, names: Some(vec![name.to_owned()]) };
    let left = "SELECT string_agg(substr(waiter_id::text, 35, 1), ' ' ORDER BY waiter_id) FROM forge_job_dependencies";
    assert_eq!(bench.delete_history(&class(days(7), "mail"), &[], None).await, 6);
    assert_eq!(bench.value::<String>(left).await, "2 3 4", "the other job of each is still there");
    assert_eq!(bench.delete_history(&class(days(7), "bill"), &[], None).await, 2);
    assert_eq!(bench.value::<String>(left).await, "4", "its waiter has not ended");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_buffers_go_after_their_files_and_those_of_lost_disks_after_a_year() {
    let bench = Bench::open().await;
    bench
        .run(
            "INSERT INTO forge_job_buffers (file, dispatched_bytes, updated_at, removed_at) VALUES
                ('under way', 1, now() - interval '364 days', NULL),
                ('lost', 1, now() - interval '366 days', NULL),
                ('deleted today', 1, now() - interval '366 days', now() - interval '23 hours'),
                ('deleted', 1, now() - interval '2 days', now() - interval '25 hours')",
        )
        .await;
    assert_eq!(bench.store.delete_expired(&bench.scratch.database.writer()).await.unwrap(), 2);
    let kept = "SELECT string_agg(file, ', ' ORDER BY file) FROM forge_job_buffers";
    assert_eq!(bench.value::<String>(kept).await, "deleted today, under way");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_attempts_go_with_their_jobs() {
    let bench = Bench::open().await;
    for (name, age) in [("old", 8), ("new", 1)] {
        bench
            .run(&format!(
                "WITH job AS (
                     INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, created_at, finished_at, trace)
                     VALUES (gen_random_uuid(), 'mail', 'q', 50, 'completed', 2, 3, 2, '{{}}', now(), now() - interval '{age} days', '{name}')
                     RETURNING id
                 )
                 INSERT INTO forge_failed_attempts (job_id, claim, attempt, error) SELECT id, 1, 1, '{name}' FROM job"
            ))
            .await;
    }
    let class = RetentionClass { kept: days(7), failed: false, names: None };
    assert_eq!(bench.delete_history(&class, &[], None).await, 1);
    assert_eq!(bench.kept().await, "new");
    let failed: String = bench.value("SELECT string_agg(error, ' ') FROM forge_failed_attempts").await;
    assert_eq!(failed, "new");
    bench.scratch.drop().await;
}
