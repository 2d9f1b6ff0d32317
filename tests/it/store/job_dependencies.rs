//! Jobs that wait for jobs: the end of the last one wakes the waiter, once.

use std::time::Duration;

use forge_actors::job::admin::{self, JobAction};
use forge_actors::kernel::ids::JobId;
use forge_tests::until;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use super::job::Bench;

const LOCK: &str = include_str!("../../../forge-actors/src/job/sql/lock_waiters.sql");
const RECORD: &str = include_str!("../../../forge-actors/src/job/sql/record_ends.sql");
const WAKE: &str = include_str!("../../../forge-actors/src/job/sql/wake_waiters.sql");
const BREAK: &str = include_str!("../../../forge-actors/src/job/sql/cancel_broken_steps.sql");
const ORPHANS: &str = include_str!("../../../forge-actors/src/job/sql/cancel_children.sql");
const LOCK_FAMILY: &str = include_str!("../../../forge-actors/src/job/sql/lock_family.sql");
const REOPEN: &str = include_str!("../../../forge-actors/src/job/sql/reopen_dependencies.sql");
const RETRY: &str = include_str!("../../../forge-actors/src/job/sql/retry_jobs.sql");
const MISSED: &str = include_str!("../../../forge-actors/src/job/sql/list_missed_ends.sql");
const EXPIRE: &str = include_str!("../../../forge-actors/src/job/sql/delete_old_history.sql");

/// Where the next look goes on, jobs that have ended, parents that were cancelled, and waiters without an
/// open dependency.
type Missed = (Option<JobId>, Option<i32>, Option<Vec<JobId>>, Option<Vec<JobId>>, Option<Vec<JobId>>);

impl Bench {
    /// Inserts a job that waits for `count` others, and those; of one `kind`.
    async fn put_family(&self, count: u32, kind: &str) -> (JobId, Vec<JobId>) {
        let parent = JobId::new();
        let members: Vec<JobId> = (0..count).map(|_| JobId::new()).collect();
        let columns = "id, name, queue, priority, attempts_max, ready, run_at, args";
        self.run(&format!(
            "INSERT INTO forge_jobs ({columns}, waits_for_jobs, due_at)
             VALUES ('{parent}', 'mail.sum', 'mail', 50, 3, false, '9999-12-31', '{{}}', true, now())"
        ))
        .await;
        for (number, member) in members.iter().enumerate() {
            self.run(&format!(
                "INSERT INTO forge_jobs ({columns}, awaited)
                 VALUES ('{member}', 'mail.send', 'mail', 50, 3, true, now(), '{{}}', true);
                 INSERT INTO forge_job_dependencies (waiter_id, number, job_id, name, kind)
                 VALUES ('{parent}', {number}, '{member}', 'mail.send', '{kind}')"
            ))
            .await;
        }
        (parent, members)
    }

    /// Ends a job, as an acknowledger does.
    async fn end(&self, job: JobId, status: &str) {
        self.run(&format!(
            "WITH gone AS (DELETE FROM forge_jobs WHERE id = '{job}' RETURNING *)
             INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, last_error, created_at)
             SELECT id, name, queue, priority, '{status}', 1, attempts_max, 1, args, 'why', created_at FROM gone"
        ))
        .await;
    }

    async fn dependencies(&self) -> String {
        let sql = "SELECT string_agg(coalesce(ended::text, 'open') || CASE WHEN broke THEN ' broke' ELSE '' END, ', ' ORDER BY waiter_id, number)
                   FROM forge_job_dependencies";
        self.value(sql).await
    }

    /// Retries a job, as a person does.
    async fn retry(&self, job: JobId) {
        let db = self.scratch.database.writer();
        let retried = admin::apply(&db, JobAction::Retry, &[job], "ana").await.unwrap();
        assert_eq!(retried.ids, [job]);
    }

    /// How the jobs of `forge_jobs` wait: those that are ready come first.
    async fn waits(&self) -> String {
        let sql = "SELECT string_agg(ready || ' ' || coalesce(waits_for_jobs::text, 'no'), ', ' ORDER BY ready DESC) FROM forge_jobs";
        self.value(sql).await
    }

    /// Waits until a session waits for a lock.
    async fn lock_waiter(&self) {
        let sql = "SELECT count(*) FROM pg_locks lock JOIN pg_stat_activity session USING (pid) WHERE NOT lock.granted AND session.datname = current_database()";
        until("a session waits", Duration::from_secs(30), || async {
            (self.value::<i64>(sql).await >= 1).then_some(())
        })
        .await;
    }
}

/// What the settler finds in `count` open dependencies after `place`.
async fn missed(connection: &mut PgConnection, place: Option<(JobId, i32)>, count: i64) -> Missed {
    let find = sqlx::query_as(MISSED).bind(place.map(|place| place.0)).bind(place.map(|place| place.1));
    find.bind(count).fetch_one(connection).await.unwrap()
}

/// Records the ends for the waiters. Returns how many run now, and which jobs have ended by this.
async fn settle(connection: &mut PgConnection, ended: &[JobId]) -> (usize, Vec<JobId>) {
    connection.execute(sqlx::query(LOCK).bind(ended)).await.unwrap();
    let mut waiters: Vec<JobId> =
        sqlx::query_scalar(RECORD).bind(ended).fetch_all(&mut *connection).await.unwrap();
    waiters.sort_unstable();
    waiters.dedup();
    let mut consequences: Vec<JobId> =
        sqlx::query_scalar(ORPHANS).bind(ended).fetch_all(&mut *connection).await.unwrap();
    let woken = sqlx::query(WAKE).bind(&waiters).fetch_all(&mut *connection).await.unwrap();
    consequences.extend(
        sqlx::query_scalar::<_, JobId>(BREAK).bind(&waiters).bind(ended).fetch_all(connection).await.unwrap(),
    );
    (woken.len(), consequences)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_children_that_end_at_once_the_second_one_wakes_the_parent() {
    let bench = Bench::open().await;
    let (parent, children) = bench.put_family(2, "child").await;
    for child in &children {
        bench.end(*child, "completed").await;
    }
    let mut first = bench.scratch.connect().await;
    let mut tx = first.begin().await.unwrap();
    assert_eq!(settle(&mut tx, &children[..1]).await.0, 0, "the other one is open as far as it can see");
    let second = tokio::spawn({
        let (mut other, last) = (bench.scratch.connect().await, children[1]);
        async move {
            let mut tx = other.begin().await.unwrap();
            let (woken, _) = settle(&mut tx, &[last]).await;
            tx.commit().await.unwrap();
            woken
        }
    });
    bench.lock_waiter().await;
    tx.commit().await.unwrap();
    assert_eq!(second.await.unwrap(), 1, "it has waited for the first, and sees what that one has recorded");
    let sql = format!(
        "SELECT ready AND waits_for_jobs IS NULL AND run_at <= now() FROM forge_jobs WHERE id = '{parent}'"
    );
    assert!(bench.value::<bool>(&sql).await);
    assert_eq!(bench.dependencies().await, "completed, completed");
    assert_eq!(settle(&mut first, &children).await.0, 0, "recorded twice, a parent is woken once");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_is_woken_once_however_many_settle_its_children() {
    let bench = Bench::open().await;
    let (_, children) = bench.put_family(60, "member").await;
    let settlers = children.chunks(5).enumerate().map(|(number, part)| {
        let (bench, part) = (&bench, part.to_vec());
        async move {
            let mut connection = bench.scratch.connect().await;
            let mut woken = 0;
            for child in part {
                bench.end(child, if number % 3 == 0 { "dead_letter" } else { "completed" }).await;
                let mut tx = connection.begin().await.unwrap();
                woken += settle(&mut tx, &[child]).await.0;
                tx.commit().await.unwrap();
            }
            woken
        }
    });
    let woken: usize = futures::future::join_all(settlers).await.into_iter().sum();
    assert_eq!(woken, 1);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_not_recorded_is_found() {
    let bench = Bench::open().await;
    let (parent, children) = bench.put_family(5, "child").await;
    bench.end(children[1], "completed").await;
    bench.end(children[3], "failed").await;
    let mut connection = bench.scratch.connect().await;
    let mut found = Vec::new();
    let mut place = None;
    loop {
        let (waiter, number, ended, parents, stranded) = missed(&mut connection, place, 2).await;
        found.extend(ended.unwrap_or_default());
        assert_eq!((parents, stranded), (None, None));
        place = waiter.zip(number);
        if place.is_none() {
            break;
        }
    }
    assert_eq!(found, [children[1], children[3]], "two rows at a time");
    bench.end(parent, "cancelled").await;
    let (_, _, _, parents, _) = missed(&mut connection, None, 9).await;
    assert_eq!(parents, Some(vec![parent]));
    bench.run(&format!("UPDATE forge_jobs SET status = 'claimed', claim = 1, node_id = gen_random_uuid(), lease_until = now() WHERE id = '{}'", children[0])).await;
    let (_, cancelled) = settle(&mut connection, &[parent]).await;
    assert_eq!(cancelled.len(), 2, "those that wait, and not the one that a node holds");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_chain_ends_and_waits_again() {
    let bench = Bench::open().await;
    let (second, first) = bench.put_family(1, "step").await;
    bench.run("UPDATE forge_jobs SET awaited = true").await;
    let third = JobId::new();
    bench.run(&format!(
        "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, waits_for_jobs, due_at)
         VALUES ('{third}', 'mail.sum', 'mail', 50, 3, false, '9999-12-31', '{{}}', true, now());
         INSERT INTO forge_job_dependencies (waiter_id, number, job_id, name, kind) VALUES ('{third}', 0, '{second}', 'mail.sum', 'step')"
    )).await;
    let mut connection = bench.scratch.connect().await;
    bench.end(first[0], "dead_letter").await;
    assert_eq!(settle(&mut connection, &first).await, (0, vec![second]));
    assert_eq!(settle(&mut connection, &[second]).await, (0, vec![third]));
    assert_eq!(
        bench.value::<i64>("SELECT count(*) FROM forge_job_history WHERE status = 'cancelled'").await,
        2
    );
    // Brought back: the rest waits again, one after the other.
    sqlx::query(RETRY).bind(&first).execute(&mut connection).await.unwrap();
    let back: Vec<JobId> = sqlx::query_scalar(REOPEN).bind(&first).fetch_all(&mut connection).await.unwrap();
    assert_eq!(back, [second]);
    let back: Vec<JobId> =
        sqlx::query_scalar(REOPEN).bind([second]).fetch_all(&mut connection).await.unwrap();
    assert_eq!(back, [third]);
    assert_eq!(bench.dependencies().await, "open, open");
    let awaited: String = bench.value("SELECT string_agg(coalesce(awaited::text, 'no') || ' ' || ready::text, ', ' ORDER BY waits_for_jobs NULLS FIRST, awaited) FROM forge_jobs").await;
    assert_eq!(awaited, "true true, true false, no false");
    for (job, next) in [(first[0], 1), (second, 1), (third, 0)] {
        bench.end(job, "completed").await;
        assert_eq!(settle(&mut connection, &[job]).await, (next, Vec::new()));
    }
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_was_cancelled_whole_keeps_its_order_when_it_is_brought_back() {
    let bench = Bench::open().await;
    let (second, first) = bench.put_family(1, "step").await;
    let all = [first[0], second];
    for job in all {
        bench.end(job, "cancelled").await;
    }
    let mut connection = bench.scratch.connect().await;
    settle(&mut connection, &all).await;
    let mut tx = connection.begin().await.unwrap();
    for statement in [RETRY, LOCK_FAMILY, REOPEN] {
        sqlx::query(statement).bind(all).fetch_all(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(bench.waits().await, "true no, false true", "one after the other");
    bench.end(first[0], "completed").await;
    assert_eq!(settle(&mut connection, &first).await.0, 1);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_that_waits_for_nothing_is_found() {
    let bench = Bench::open().await;
    let (parent, _) = bench.put_family(1, "member").await;
    bench.run("UPDATE forge_job_dependencies SET ended = 'completed'").await;
    let mut connection = bench.scratch.connect().await;
    let (_, _, _, _, stranded) = missed(&mut connection, None, 9).await;
    assert_eq!(stranded, Some(vec![parent]));
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_job_of_a_chain_that_is_retried_first_waits_for_a_retry_of_the_one_before() {
    // The first job has failed and so cancelled the second one, or a person has cancelled both.
    for first_end in ["dead_letter", "cancelled"] {
        let bench = Bench::open().await;
        let (second, first) = bench.put_family(1, "step").await;
        let mut connection = bench.scratch.connect().await;
        bench.end(first[0], first_end).await;
        match first_end {
            "dead_letter" => assert_eq!(settle(&mut connection, &first).await, (0, vec![second])),
            _ => {
                bench.end(second, "cancelled").await;
                settle(&mut connection, &[first[0], second]).await;
            }
        }
        bench.retry(second).await;
        assert_eq!(bench.waits().await, "false true", "{first_end}: it does not run");
        assert_eq!(
            missed(&mut connection, None, 9).await,
            (None, None, None, None, None),
            "nothing is missed"
        );
        let expired: i64 = sqlx::query_scalar(EXPIRE)
            .bind(0.0)
            .bind(9_i64)
            .bind(first_end == "dead_letter")
            .bind(None::<Vec<String>>)
            .bind(Vec::<String>::new())
            .bind(None::<f64>)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(expired, 0, "the row that can end the wait is kept");
        bench.retry(first[0]).await;
        assert_eq!(
            (bench.waits().await, bench.dependencies().await),
            ("true no, false true".into(), "open".into())
        );
        // The first job fails once more, and takes the second one along, as before.
        bench.end(first[0], "dead_letter").await;
        assert_eq!(settle(&mut connection, &first).await, (0, vec![second]));
        bench.retry(first[0]).await;
        bench.end(first[0], "completed").await;
        assert_eq!(settle(&mut connection, &first).await, (1, Vec::new()));
        bench.scratch.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_job_of_a_chain_runs_when_the_history_has_the_one_before_no_more() {
    let bench = Bench::open().await;
    let (second, first) = bench.put_family(1, "step").await;
    let mut connection = bench.scratch.connect().await;
    bench.end(first[0], "cancelled").await;
    bench.end(second, "cancelled").await;
    settle(&mut connection, &[first[0], second]).await;
    bench.run(&format!("DELETE FROM forge_job_history WHERE id = '{}'", first[0])).await;
    bench.retry(second).await;
    assert_eq!(
        (bench.waits().await, bench.dependencies().await),
        ("true no".into(), "cancelled broke".into())
    );
    bench.scratch.drop().await;
}
