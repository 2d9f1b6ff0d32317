//! Priorities of jobs that have been due for long.

use std::time::Duration;

use forge_actors::job::store::JobStore;

use super::job::Bench;

const AFTER: Duration = Duration::from_secs(600);

/// The queues of the jobs that were raised, in order.
async fn age(bench: &Bench, store: &JobStore) -> Vec<String> {
    let raised = store.age(&bench.scratch.database.writer(), AFTER, 100).await.unwrap();
    let mut queues: Vec<_> = raised.iter().map(|queue| queue.to_string()).collect();
    queues.sort();
    queues
}

/// `queue:priority`, by the minutes since the job was due.
async fn priorities(bench: &Bench) -> String {
    let sql = "SELECT string_agg(queue || ':' || priority, ' ' ORDER BY run_at) FROM forge_jobs";
    bench.value(sql).await
}

#[tokio::test]
async fn a_job_that_is_due_for_long_is_raised_step_by_step() {
    let bench = Bench::open().await;
    let insert = |queue: &str, priority: u32, minutes: u32, ready: bool| {
        format!(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
             VALUES (gen_random_uuid(), 'mail.send', '{queue}', {priority}, 3, {ready}, now() - interval '{minutes} min', '{{}}')"
        )
    };
    let rows = [
        insert("b", 90, 25, true),
        insert("a", 0, 15, true),
        insert("a", 50, 12, true),
        insert("a", 100, 11, true),
        insert("b", 50, 9, true),
    ];
    for row in rows {
        bench.run(&row).await;
    }
    assert_eq!(age(&bench, &bench.store).await, ["a", "a", "b"]);
    assert_eq!(priorities(&bench).await, "b:100 a:25 a:75 a:100 b:50", "the youngest waits on");
    assert_eq!(age(&bench, &bench.store).await, [""; 0], "they were raised just now");
    bench.run("UPDATE forge_jobs SET aged_at = aged_at - interval '11 min'").await;
    assert_eq!(age(&bench, &bench.store).await, ["a", "a"]);
    assert_eq!(priorities(&bench).await, "b:100 a:50 a:100 a:100 b:50");
    bench.scratch.drop().await;
}
