//! What an administrator sees of jobs: filters, pages, numbers, queues.

use forge_actors::app::JobStatus;
use forge_actors::app::job::JobHandler;
use forge_actors::job::admin::{
    self, BoundedCount, JobArgument, JobFilter, JobPage, JobSearch, JobWait, QueueRow,
};
use forge_actors::kernel::ids::{JobId, NodeId};
use forge_actors::kernel::node::WorkerInfo;

use super::job::Bench;

/// A filter of everything.
pub(super) fn any() -> JobFilter {
    JobFilter::default()
}

pub(super) fn search(filter: JobFilter) -> JobSearch {
    let handler = |name: &str, hides_arguments| JobHandler {
        name: name.to_owned(),
        queue: "mail".to_owned(),
        hides_arguments,
        capability: None,
        resources: Vec::new(),
        concurrency: None,
    };
    let handlers = [handler("mail.send", false), handler("mail.login", true), handler("tasks.sync", false)];
    JobSearch::new(filter, &handlers).unwrap()
}

pub(super) async fn list(bench: &Bench, filter: JobFilter, before: Option<JobId>, limit: u16) -> JobPage {
    admin::list(&bench.scratch.database.reader(), &search(filter), before, limit).await.unwrap()
}

/// The arguments `n` of the jobs that match, which are few.
async fn found(bench: &Bench, filter: JobFilter) -> String {
    let page = list(bench, filter.clone(), None, 100).await;
    assert_eq!((page.next, page.searched_to), (None, None), "all of them are on one page");
    let counted =
        admin::count_matches(&bench.scratch.database.reader(), &search(filter), None).await.unwrap();
    assert_eq!(counted.total as usize, page.rows.len(), "the count finds what the list finds");
    let ids: Vec<JobId> = page.rows.iter().map(|row| row.id).collect();
    assert!(ids.windows(2).all(|two| two[0] > two[1]), "newest first");
    let sql = "SELECT coalesce(string_agg(args ->> 'n', ' ' ORDER BY id), '') FROM (
                   SELECT id, args FROM forge_unfinished_jobs UNION ALL SELECT id, args FROM forge_job_history
               ) AS job WHERE id = ANY ($1)";
    sqlx::query_scalar(sql).bind(ids).fetch_one(&mut bench.scratch.connect().await).await.unwrap()
}

/// One job for each way to be, with its place as the argument `n`: the first ones wait, are held by a row and
/// by a batch lease, and the last ones are finished.
pub(super) const ONE_OF_EACH: &str = r#"
    INSERT INTO forge_jobs (id, name, queue, priority, status, attempt, attempts_max, claim, ready, run_at, args,
                            identity, node_id, lease_until, last_error, blocked_by, concurrency_key, due_at)
    SELECT ('01900000-0000-7000-8000-00000000000' || n)::uuid, name, queue, 50, status::forge_job_status, attempt, 5, 5,
           wait = 'due', CASE wait WHEN 'due' THEN now() - interval '1 min' WHEN 'scheduled' THEN now() + interval '1 h' ELSE '9999-12-31' END,
           json_build_object('n', n, 'user', n % 2, 'to', json_build_array(json_build_object('city', 'Bonn ' || n))),
           json_build_object('tenant', 't' || n % 3),
           CASE WHEN status IN ('claimed', 'running') THEN gen_random_uuid() END,
           CASE WHEN status IN ('claimed', 'running') THEN now() END, error,
           CASE wait WHEN 'blocked' THEN 'mail.send:t0' END, CASE wait WHEN 'blocked' THEN 'mail.send:t0' END,
           CASE wait WHEN 'blocked' THEN now() END
    FROM (VALUES
        (0, 'mail.send', 'mail', 'pending', 0, 'due', NULL),
        (1, 'mail.send', 'mail', 'pending', 0, 'scheduled', NULL),
        (2, 'mail.send', 'mail', 'pending', 0, 'blocked', NULL),
        (3, 'tasks.sync', 'default', 'retry', 1, 'scheduled', 'Connection refused'),
        (4, 'mail.login', 'mail', 'running', 1, 'due', NULL),
        (5, 'gone.job', 'old', 'pending', 0, 'due', 'lease expired')
    ) AS job (n, name, queue, status, attempt, wait, error);
    INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched)
    VALUES ('01900000-0000-7000-8000-000000000006', 'mail.send', 'leased', 50, 5, true, now(), '{"n": 6, "user": 0}', true);
    WITH taken AS (DELETE FROM forge_jobs job WHERE queue = 'leased' RETURNING job AS row)
    INSERT INTO forge_job_leases (id, node_id, lease_until, jobs)
    SELECT gen_random_uuid(), gen_random_uuid(), now(), array_agg(row) FROM taken;
    INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, last_error, created_at)
    SELECT ('01900000-0000-7000-8000-0000000000' || n)::uuid, 'mail.send', 'mail', 50, status::forge_job_status, 1, 5, 1,
           json_build_object('n', n, 'user', n % 2), error, now()
    FROM (VALUES
        (10, 'completed', NULL), (11, 'failed', 'no user'), (12, 'dead_letter', 'connection REFUSED by 10.0.0.1'),
        (13, 'cancelled', 'cancelled by ana')
    ) AS job (n, status, error)
"#;

pub(super) const TWO_OF_OTHER_PRIORITIES: &str =
    "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
     VALUES (gen_random_uuid(), 'mail.send', 'mail', 10, 5, true, now() - interval '2 h', '{}'),
            (gen_random_uuid(), 'mail.send', 'mail', 99, 5, true, now() - interval '2 s', '{}')";

#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_a_filter_finds_its_jobs() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    let text = |text: &str| Some(text.to_owned());
    let argument =
        |path: &str, value: &str| vec![JobArgument { path: path.to_owned(), value: value.to_owned() }];
    let statuses = |statuses: &[JobStatus]| JobFilter { statuses: statuses.to_vec(), ..any() };
    use JobStatus::{Cancelled, Claimed, Completed, DeadLetter, Failed, Pending, Retry, Running};
    for (filter, expected) in [
        (any(), "0 1 2 3 4 5 6 10 11 12 13"),
        (statuses(&[Pending]), "0 1 2 5"),
        (statuses(&[Retry]), "3"),
        (statuses(&[Running]), "4"),
        (statuses(&[Claimed]), "6"),
        (statuses(&[Claimed, Running, Retry]), "3 4 6"),
        (statuses(&[Completed]), "10"),
        (statuses(&[Failed, DeadLetter, Cancelled]), "11 12 13"),
        (statuses(&[Pending, DeadLetter]), "0 1 2 5 12"),
        (JobFilter { wait: Some(JobWait::Due), ..any() }, "0 5"),
        (JobFilter { wait: Some(JobWait::Scheduled), ..any() }, "1 3"),
        (JobFilter { wait: Some(JobWait::Scheduled), ..statuses(&[Retry, Failed]) }, "3"),
        (JobFilter { wait: Some(JobWait::Blocked), ..any() }, "2"),
        (JobFilter { queue: text("leased"), ..any() }, "6"),
        (JobFilter { handler: text("tasks.sync"), ..any() }, "3"),
        (JobFilter { args: argument("user", "1"), ..any() }, "1 3 11 13"),
        (JobFilter { args: argument("to.0.city", "Bonn 3"), ..any() }, "3"),
        (JobFilter { args: [argument("user", "0"), argument("n", "12")].concat(), ..any() }, "12"),
        // The arguments of `mail.login` hold secrets, and `gone.job` is known to no handler.
        (JobFilter { args: argument("n", "4"), ..any() }, ""),
        (JobFilter { args: argument("n", "5"), ..any() }, ""),
        (JobFilter { tenant: text("t2"), ..any() }, "2 5"),
        (JobFilter { text: text(" refused "), ..any() }, "3 12"),
        (JobFilter { text: text("tasks."), ..any() }, "3"),
        (JobFilter { text: text("01900000-0000-7000-8000-000000000010"), ..any() }, "10"),
        (JobFilter { text: text("000000012"), ..any() }, "12"),
        (JobFilter { text: text("a%_'"), ..any() }, ""),
    ] {
        assert_eq!(found(&bench, filter.clone()).await, expected, "{filter:?}");
    }
    let page = list(&bench, JobFilter { args: argument("n", "4"), ..any() }, None, 10).await;
    assert_eq!(page.unsearched, ["mail.login"]);
    let row =
        list(&bench, JobFilter { wait: Some(JobWait::Blocked), ..any() }, None, 10).await.rows.remove(0);
    assert_eq!((row.blocked_by.as_deref(), row.tenant.as_deref()), (Some("mail.send:t0"), Some("t2")));
    assert!(
        row.run_at.is_some_and(|at| at < chrono::Utc::now()),
        "when it was due, and not when the limit lets it"
    );
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_back_to_the_oldest_job_and_say_how_far_they_looked() {
    let bench = Bench::open().await;
    // Between two jobs of the queue `rare` more rows than one answer looks through.
    bench
        .run(
            "INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, created_at)
             SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'mail.send',
                    CASE WHEN n IN (1, 2, 20500) THEN 'rare' ELSE 'mail' END, 50, 'completed', 1, 5, 1, '{}', now()
             FROM generate_series(1, 20600) n;
             INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
             SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0') || '')::uuid, 'mail.send', 'rare', 50, 5, true, now(), '{}'
             FROM generate_series(30000, 30002) n",
        )
        .await;
    let rare = JobFilter { queue: Some("rare".to_owned()), ..any() };
    let numbers = |page: &JobPage| -> Vec<u128> {
        page.rows.iter().map(|row| row.id.to_string()[24..].parse().unwrap()).collect()
    };
    let first = list(&bench, rare.clone(), None, 2).await;
    assert_eq!((numbers(&first), first.searched_to), (vec![30_002, 30_001], None), "a full page");
    let second = list(&bench, rare.clone(), first.next, 100).await;
    assert_eq!(numbers(&second), [30_000, 20_500]);
    assert!(second.searched_to.is_some() && second.next.is_some(), "it did not look at all jobs");
    let third = list(&bench, rare.clone(), second.next, 100).await;
    assert_eq!((numbers(&third), third.next, third.searched_to), (vec![2, 1], None, None));

    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = list(&bench, any(), before, 1_000).await;
        assert!(page.searched_to.is_none(), "without a filter no row is looked at in vain");
        all.extend(numbers(&page));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 20_603);
    assert!(all.windows(2).all(|two| two[0] > two[1]), "none is missing, and none is there twice");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_exact_up_to_a_bound() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    let db = bench.scratch.database.reader();
    let exactly = |count| BoundedCount { count, is_more: false };
    let of = |totals: &admin::JobTotals, status: JobStatus| {
        totals.statuses.iter().find(|found| found.status == status).unwrap().count
    };
    let totals = admin::totals(&db).await.unwrap();
    let counted: Vec<u32> = totals.statuses.iter().map(|status| status.count.count).collect();
    assert_eq!(counted, [4, 1, 1, 1, 1, 1, 1, 1], "in the order of the statuses");
    assert_eq!((totals.due, totals.scheduled, totals.blocked), (exactly(2), exactly(2), exactly(1)));
    let counts = admin::count(&db).await.unwrap();
    assert_eq!(
        (counts.pending, counts.running, counts.retry, counts.failed, counts.is_more),
        (4, 2, 1, 2, false)
    );
    bench
        .run(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
             SELECT gen_random_uuid(), 'mail.send', 'mail', 50, 5, true, now(), '{}' FROM generate_series(1, 6000)",
        )
        .await;
    let totals = admin::totals(&db).await.unwrap();
    assert_eq!(totals.due, BoundedCount { count: 5_000, is_more: true });
    assert!(of(&totals, JobStatus::Pending).is_more && !of(&totals, JobStatus::Retry).is_more);
    assert!(admin::count(&db).await.unwrap().is_more);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_say_what_waits_in_them_and_who_serves_them() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    bench
        .run(
            "INSERT INTO forge_job_queues (queue, paused_at, paused_by, concurrency_max) VALUES ('idle', now(), 'ana', 3)",
        )
        .await;
    bench.run(TWO_OF_OTHER_PRIORITIES).await;
    let db = bench.scratch.database.reader();
    let handler = |capability: Option<&str>| JobHandler {
        name: "mail.send".to_owned(),
        queue: "mail".to_owned(),
        hides_arguments: false,
        capability: capability.map(str::to_owned),
        resources: Vec::new(),
        concurrency: None,
    };
    let handlers = [handler(None)];
    let worker = |names: Option<&[&str]>| WorkerInfo {
        id: NodeId::new(),
        name: "node".to_owned(),
        job_names: names.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        capabilities: Some(vec!["gpu".to_owned()]),
        resources: None,
    };
    let workers = [worker(Some(&["mail.send"]))];
    let queues = admin::queues(&db, &workers, &handlers).await.unwrap();
    let shown = |row: &QueueRow| {
        let QueueRow { queue, due, scheduled, blocked, held, handlers, unserved, .. } = row;
        let (due, scheduled, blocked) = (due.count, scheduled.count, blocked.count);
        format!(
            "{queue}: {due} {scheduled} {blocked} {held} [{}] [{}]",
            handlers.join(","),
            unserved.join(",")
        )
    };
    let expected = [
        "default: 0 1 0 0 [] []",
        "idle: 0 0 0 0 [] []",
        "leased: 0 0 0 1 [] []",
        "mail: 3 1 1 1 [mail.send] []",
        "old: 1 0 0 0 [] [gone.job]",
    ];
    assert_eq!(queues.iter().map(shown).collect::<Vec<_>>(), expected);
    let mail = &queues[3];
    let waited = chrono::Utc::now() - mail.oldest_due_at.unwrap();
    assert!(waited.num_minutes() >= 119, "the oldest one of every priority: {waited}");
    let idle = &queues[1];
    assert_eq!(
        (idle.paused_by.as_deref(), idle.concurrency_max, idle.paused_at.is_some()),
        (Some("ana"), Some(3), true)
    );
    for (capability, unserved) in [("gpu", 0), ("printer", 1)] {
        let queues = admin::queues(&db, &workers, &[handler(Some(capability))]).await.unwrap();
        assert_eq!(queues[3].unserved.len(), unserved, "a node with a {capability}");
    }
    let older = [worker(Some(&[])), worker(None)];
    let queues = admin::queues(&db, &older, &[]).await.unwrap();
    assert!(
        queues.iter().all(|row| row.unserved.is_empty()),
        "a node of an older version may have any handler"
    );
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn due_jobs_are_counted_by_how_long_they_have_waited() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    bench.run(TWO_OF_OTHER_PRIORITIES).await;
    let db = bench.scratch.database.reader();
    let counts = |waits: admin::JobWaits| -> Vec<u32> {
        waits.buckets.iter().map(|bucket| bucket.jobs.count).collect()
    };
    // Two are due since a minute, one since two seconds and one since two hours.
    assert_eq!(counts(admin::waits(&db, None).await.unwrap()), [0, 1, 0, 2, 0, 1, 0]);
    assert_eq!(counts(admin::waits(&db, Some("old")).await.unwrap()), [0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(counts(admin::waits(&db, Some("none")).await.unwrap()), [0; 7]);
    bench.scratch.drop().await;
}
