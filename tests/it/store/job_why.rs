//! Why a job is where it is.

use forge_actors::job::admin::{self, BoundedCount, JobCause, Surroundings};
use forge_actors::kernel::ids::{JobId, NodeId};
use forge_actors::kernel::node::WorkerInfo;

use super::job::{Bench, QUEUE};
use super::job_admin::{ONE_OF_EACH, TWO_OF_OTHER_PRIORITIES};

/// What the causes of a job are, by their labels.
async fn why(bench: &Bench, id: &str, workers: &[WorkerInfo]) -> Vec<String> {
    let around = Surroundings { nodes: &[], workers, handlers: &[] };
    let db = bench.scratch.database.reader();
    let found = admin::explain(&db, id.parse().unwrap(), around).await.unwrap().unwrap();
    let causes = found.causes.iter().map(|cause| serde_json::to_value(cause).unwrap());
    causes.map(|cause| cause["is"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_a_job_up_is_said() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    bench.run(TWO_OF_OTHER_PRIORITIES).await;
    let names = ["mail.send", "mail.login", "tasks.sync"].map(str::to_owned).to_vec();
    let (id, name) = (NodeId::new(), "node".to_owned());
    let workers = [WorkerInfo { id, name, job_names: Some(names), capabilities: None, resources: None }];
    let job = |n: u32| format!("01900000-0000-7000-8000-0000000000{n:02}");
    for (n, expected) in [
        (0, "behind"),
        (1, "scheduled"),
        (2, "concurrencyLimit"),
        (3, "retry"),
        (4, "running"),
        (5, "noHandler"),
        (6, "claimed"),
        (10, "finished"),
        (12, "finished"),
    ] {
        assert_eq!(why(&bench, &job(n), &workers).await, [expected], "{n}");
    }
    assert_eq!(why(&bench, &job(0), &[]).await, ["noWorker"]);
    let db = bench.scratch.database.writer();
    admin::limit_queue(&db, QUEUE, Some(1)).await.unwrap();
    assert_eq!(why(&bench, &job(0), &workers).await, ["queueLimit"], "one of its jobs runs");
    admin::pause_queue(&db, QUEUE, "ana").await.unwrap();
    assert_eq!(why(&bench, &job(0), &workers).await, ["queuePaused", "queueLimit"]);
    assert_eq!(why(&bench, &job(1), &workers).await, ["scheduled", "queuePaused"]);
    bench.run("UPDATE forge_jobs SET refused_by = '{a1,b2}' WHERE queue = 'old'").await;
    assert_eq!(why(&bench, &job(5), &[]).await, ["refused", "noWorker"]);
    bench
        .run("UPDATE forge_jobs SET blocked_by = 'rate:x', due_at = now() WHERE blocked_by IS NOT NULL")
        .await;
    bench
        .run("INSERT INTO forge_job_limits (key, opens_at) VALUES ('rate:x', now() + interval '1 min')")
        .await;
    let around = Surroundings { nodes: &[], workers: &workers, handlers: &[] };
    let found = admin::explain(&db, job(2).parse().unwrap(), around).await.unwrap().unwrap();
    assert!(
        matches!(&found.causes[1], JobCause::RateLimit { key, next_at: Some(_) } if key == "rate:x:[redacted]"),
        "{found:?}"
    );
    assert_eq!(admin::explain(&db, JobId::new(), around).await.unwrap(), None);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_claimed_before_one_are_counted() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    bench.run(TWO_OF_OTHER_PRIORITIES).await;
    bench
        .run(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
             SELECT gen_random_uuid(), 'mail.send', 'mail', 50, 5, true, now() - interval '1 d', '{}' FROM generate_series(1, 40)",
        )
        .await;
    let around = Surroundings { nodes: &[], workers: &[], handlers: &[] };
    let db = bench.scratch.database.reader();
    let id: JobId = "01900000-0000-7000-8000-000000000000".parse().unwrap();
    let workers = [WorkerInfo {
        id: NodeId::new(),
        name: String::new(),
        job_names: None,
        capabilities: None,
        resources: None,
    }];
    let found = admin::explain(&db, id, Surroundings { workers: &workers, ..around }).await.unwrap().unwrap();
    let jobs = BoundedCount { count: 41, is_more: false };
    assert_eq!(
        found.causes,
        [JobCause::Behind { jobs }],
        "one of a higher priority, and forty that were due before"
    );
    bench.scratch.drop().await;
}
