//! The statements of the job subsystem, one by one: each makes only the changes of status of the diagram, and
//! only for the holder of the job.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forge_actors::app::JobStatus;
use forge_actors::db::migrate::runner::Runner;
use forge_actors::db::migrate::system::system_sets;
use forge_actors::job::state::STATUS_CHANGES;
use forge_actors::job::store::{Claim, ClaimSize, Claimant, JobRecord, JobStore, Promoted, Rescued};
use forge_actors::kernel::ids::{JobId, LeaseId, NodeId};
use sqlx::AssertSqlSafe;

use super::cluster::{Scratch, execute};

pub(super) const LEASE: Duration = Duration::from_secs(10);
pub(super) const QUEUE: &str = "mail";

/// The tables of jobs in a database of their own.
pub(super) struct Bench {
    pub(super) scratch: Scratch,
    pub(super) store: JobStore,
    names: Vec<String>,
}

impl Bench {
    pub(super) async fn open() -> Self {
        let scratch = Scratch::new().await;
        let sets = system_sets();
        let runner = Runner {
            database: &scratch.database,
            sets: &sets,
            node: "test",
            lock_wait: Duration::from_secs(5),
        };
        runner.up(None, |_| {}).await.unwrap();
        let store = JobStore::new(scratch.database.clone());
        Self { scratch, store, names: vec!["mail.send".to_owned()] }
    }

    /// Inserts a job of 3 attempts in a status: claimed once unless it is pending, and with one attempt begun
    /// unless it is pending or claimed.
    async fn put(&self, status: JobStatus) -> JobId {
        let id = JobId::new();
        let held = matches!(status, JobStatus::Claimed | JobStatus::Running);
        let claimed = i32::from(status != JobStatus::Pending);
        let tried = i32::from(!matches!(status, JobStatus::Pending | JobStatus::Claimed));
        let (node, lease) = if held {
            (format!("'{}'", NodeId::new()), "now() + interval '10s'")
        } else {
            ("NULL".to_owned(), "NULL")
        };
        let common =
            format!("'{id}', 'mail.send', '{QUEUE}', 50, '{}', {tried}, 3, {claimed}", status.as_str());
        self.run(&match status {
            JobStatus::Pending | JobStatus::Claimed | JobStatus::Running | JobStatus::Retry => format!(
                "INSERT INTO forge_jobs (id, name, queue, priority, status, attempt, attempts_max, claim, ready, run_at, args, node_id, lease_until)
                 VALUES ({common}, true, now(), '{{}}', {node}, {lease})"
            ),
            _ => format!(
                "INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, last_error, created_at)
                 VALUES ({common}, '{{}}', 'broke', now())"
            ),
        })
        .await;
        id
    }

    pub(super) async fn run(&self, sql: &str) {
        execute(&mut self.scratch.connect().await, sql).await;
    }

    /// Claims jobs, and begins none of them.
    async fn claim(&self, limit: usize) -> Vec<JobRecord> {
        self.claim_and_begin(limit, 0).await
    }

    /// Claims jobs, and begins the first ones.
    async fn claim_and_begin(&self, limit: usize, begin: usize) -> Vec<JobRecord> {
        let size = ClaimSize { limit, begin, bytes_max: usize::MAX };
        self.claim_sized(size, None).await
    }

    /// Claims jobs, those that may be with the batch lease `batch`.
    pub(super) async fn claim_sized(&self, size: ClaimSize, batch: Option<LeaseId>) -> Vec<JobRecord> {
        let claimant = Claimant {
            node: NodeId::new(),
            names: &self.names,
            lease: LEASE,
            batch,
            limited: &[],
            needing: &[],
        };
        self.store.claim(QUEUE, claimant, size).await.unwrap().records
    }

    /// Lets every lease run out, and rescues the jobs.
    async fn lose_nodes(&self) -> Rescued {
        self.run("UPDATE forge_jobs SET lease_until = now() - interval '1s' WHERE node_id IS NOT NULL").await;
        self.store.rescue().await.unwrap()
    }

    /// The status of a job in the one place where it is.
    pub(super) async fn status(&self, id: JobId) -> JobStatus {
        let sql = "SELECT status::text FROM forge_unfinished_jobs WHERE id = $1 UNION ALL SELECT status::text FROM forge_job_history WHERE id = $1";
        let found: Vec<String> =
            sqlx::query_scalar(sql).bind(id).fetch_all(&mut self.scratch.connect().await).await.unwrap();
        assert_eq!(found.len(), 1, "a job is in one place");
        JobStatus::parse(&found[0]).unwrap()
    }

    pub(super) async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut self.scratch.connect().await)
            .await
            .unwrap()
    }
}

/// Runs a statement on one job as its caller runs it. The table shows what it changed.
async fn apply(bench: &Bench, statement: &str, id: JobId) {
    let mut connection = bench.scratch.connect().await;
    let one = |sql: &'static str| sqlx::query(sql);
    let (finish, give_back) = (
        include_str!("../../../forge-actors/src/job/sql/finish_jobs.sql"),
        include_str!("../../../forge-actors/src/job/sql/return_jobs.sql"),
    );
    match statement {
        "claim" => drop(bench.claim(10).await),
        "claim and begin" => drop(bench.claim_and_begin(10, 10).await),
        "begin" => drop(bench.store.begin(&[Claim { job: id, number: 1 }], LEASE).await.unwrap()),
        "renew" => drop(bench.store.renew(&[Claim { job: id, number: 1 }], LEASE).await.unwrap()),
        "rescue" => {
            bench
                .run(&format!("UPDATE forge_jobs SET lease_until = now() - interval '1s' WHERE id = '{id}' AND lease_until IS NOT NULL"))
                .await;
            bench.store.rescue().await.unwrap();
        }
        "rescue the last attempt" => {
            let sql = "UPDATE forge_jobs SET lease_until = now() - interval '1s', attempt = 3, claim = 3";
            bench.run(&format!("{sql} WHERE id = '{id}' AND status = 'running'")).await;
            bench.store.rescue().await.unwrap();
        }
        "complete" | "refuse" | "bury" => {
            let status =
                BTreeMap::from([("complete", "completed"), ("refuse", "failed"), ("bury", "dead_letter")])
                    [statement];
            let finish = one(finish)
                .bind(vec![id])
                .bind(vec![1])
                .bind(vec![status])
                .bind(vec![Some("broke")])
                .bind(vec![1])
                .bind(vec![None::<String>; 0])
                .bind(vec![None::<String>; 0]);
            finish.execute(&mut connection).await.unwrap();
        }
        "hand back" | "fail" => {
            let status = if statement == "fail" { "retry" } else { "pending" };
            let back =
                one(give_back).bind(vec![id]).bind(vec![1]).bind(vec![status]).bind(vec![None::<String>]);
            back.bind(vec![5.0])
                .bind(vec![i32::from(statement == "fail")])
                .bind(vec![None::<String>])
                .execute(&mut connection)
                .await
                .unwrap();
        }
        "cancel" => {
            let cancel = one(include_str!("../../../forge-actors/src/job/sql/cancel_jobs.sql"));
            cancel.bind(vec![id]).bind("ana").execute(&mut connection).await.unwrap();
        }
        "discard" => {
            let discard = one(include_str!("../../../forge-actors/src/job/sql/discard_jobs.sql"));
            discard.bind(vec![id]).bind("ana").execute(&mut connection).await.unwrap();
        }
        "retry" => {
            let retry = one(include_str!("../../../forge-actors/src/job/sql/retry_jobs.sql"));
            retry.bind(vec![id]).execute(&mut connection).await.unwrap();
        }
        other => panic!("no statement is called {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_make_the_moves_of_the_diagram_and_no_others() {
    let claims = ["claim", "claim and begin", "begin", "renew", "rescue", "rescue the last attempt"];
    let statements: Vec<&str> = claims
        .into_iter()
        .chain(["complete", "refuse", "bury", "hand back", "fail", "cancel", "discard", "retry"])
        .collect();
    let bench = Bench::open().await;
    let mut made = BTreeSet::new();
    for from in JobStatus::ALL {
        for &statement in &statements {
            let id = bench.put(from).await;
            apply(&bench, statement, id).await;
            let to = bench.status(id).await;
            let (_, allowed) = STATUS_CHANGES.iter().find(|(known, _)| *known == from).unwrap();
            assert!(to == from || allowed.contains(&to), "`{statement}` moves a job from {from:?} to {to:?}");
            if to != from {
                made.insert((from.as_str(), to.as_str()));
            }
            bench.run("TRUNCATE forge_jobs, forge_job_history").await;
        }
    }
    let drawn: BTreeSet<_> = STATUS_CHANGES
        .iter()
        .flat_map(|(from, to)| to.iter().map(|to| (from.as_str(), to.as_str())))
        .collect();
    assert_eq!(made, drawn, "every arrow is made by a statement");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_rows_are_refused() {
    let bench = Bench::open().await;
    let id = bench.put(JobStatus::Running).await;
    for wrong in [
        "status = 'completed'",
        "status = 'pending'",
        "lease_until = NULL",
        "node_id = NULL",
        "ready = false",
        "attempt = 4",
        "attempt = 0",
        "status = 'claimed', attempt = 3, claim = 3",
        "claim = 0",
        "priority = 101",
        "queue = ''",
        "run_at = 'infinity'",
        "run_at = '-infinity'",
    ] {
        let update = format!("UPDATE forge_jobs SET {wrong} WHERE id = '{id}'");
        let refused = sqlx::raw_sql(AssertSqlSafe(update)).execute(&mut bench.scratch.connect().await).await;
        let error = refused.expect_err(wrong);
        assert_eq!(
            error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(),
            Some("23514"),
            "{wrong}: {error}"
        );
    }
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_follow_priority_and_time_and_skip_what_is_not_theirs() {
    let bench = Bench::open().await;
    let put = |name: &str, queue: &str, priority: i32, run_at: &str, ready: bool| {
        let id = JobId::new();
        let sql = format!(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
             VALUES ('{id}', '{name}', '{queue}', {priority}, 3, {ready}, now() + interval '{run_at}',
                     '{{\"a\": 1}}')"
        );
        (id, sql)
    };
    let rows = [
        put("mail.send", QUEUE, 50, "-1s", true),
        put("mail.send", QUEUE, 50, "-2s", true),
        put("mail.send", QUEUE, 90, "-1s", true),
        put("mail.send", QUEUE, 100, "1h", false),
        put("mail.unknown", QUEUE, 100, "-1h", true),
        put("mail.send", "other", 100, "-1h", true),
    ];
    for (_, sql) in &rows {
        bench.run(sql).await;
    }
    let jobs = bench.claim(2).await;
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [rows[2].0, rows[1].0]);
    assert_eq!(
        (jobs[0].claim, jobs[0].attempts_begun, &jobs[0].args[..]),
        (1, 0, &br#"{"a": 1}"#[..]),
        "as it came in, byte for byte"
    );
    assert!(
        jobs[1].waited >= Duration::from_secs(2) && jobs[1].waited < Duration::from_secs(60),
        "{:?}",
        jobs[1].waited
    );
    assert_eq!(bench.claim(10).await.iter().map(|job| job.id).collect::<Vec<_>>(), [rows[0].0]);
    assert!(bench.claim(10).await.is_empty());
    bench.scratch.drop().await;
}

#[tokio::test]
async fn a_claim_ends_with_the_job_that_reaches_its_bytes() {
    let bench = Bench::open().await;
    bench
        .run(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
             SELECT gen_random_uuid(), 'mail.send', 'mail', 50, 3, true, now(), json_build_object('text', repeat('x', 1000))
             FROM generate_series(1, 10)",
        )
        .await;
    let claim = async |bytes_max| {
        let size = ClaimSize { limit: 5, begin: 1, bytes_max };
        let jobs = bench.claim_sized(size, None).await;
        (jobs.len(), jobs.iter().filter(|job| job.begun).count())
    };
    assert_eq!(claim(1).await, (1, 1), "one at least");
    assert_eq!(claim(2_500).await, (3, 1));
    assert_eq!(claim(1_000_000).await, (5, 1), "the limit holds too");
    assert_eq!(claim(1_000_000).await, (1, 1), "what was passed over is left");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_claimers_take_no_job_twice_and_leave_none() {
    let bench = Bench::open().await;
    bench
        .run(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched)
             SELECT gen_random_uuid(), 'mail.send', 'mail', 50, 3, true, now(), '{}', n % 2 = 0
             FROM generate_series(1, 2000) n",
        )
        .await;
    let claimers = (0..8).map(|_| {
        let (store, names) = (bench.store.clone(), bench.names.clone());
        tokio::spawn(async move {
            let (mut taken, node) = (Vec::new(), NodeId::new());
            loop {
                let size = ClaimSize { limit: 37, begin: 5, bytes_max: usize::MAX };
                let batch = Some(LeaseId::new());
                let claimant =
                    Claimant { node, names: &names, lease: LEASE, batch, limited: &[], needing: &[] };
                let jobs = store.claim(QUEUE, claimant, size).await.unwrap().records;
                if jobs.is_empty() {
                    return taken;
                }
                taken.extend(jobs.into_iter().map(|job| job.id));
            }
        })
    });
    let taken: Vec<JobId> =
        futures::future::join_all(claimers).await.into_iter().flat_map(|taken| taken.unwrap()).collect();
    assert_eq!(taken.len(), 2_000);
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 2_000, "one claim each");
    // The last claim of a claimer may skip rows that another claim has locked, so the table is checked.
    let sql = "SELECT count(*) FROM forge_unfinished_jobs WHERE claim = 1 AND (status = 'claimed' AND attempt = 0 OR status = 'running' AND attempt = 1)";
    assert_eq!(bench.value::<i64>(sql).await, 2_000);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_was_replaced_writes_nothing() {
    let bench = Bench::open().await;
    let id = bench.put(JobStatus::Pending).await;
    let first = bench.claim_and_begin(1, 1).await.remove(0);
    let rescued = bench.lose_nodes().await;
    assert_eq!(
        (rescued.retried, rescued.dead, rescued.queues.iter().map(|queue| &**queue).collect::<Vec<_>>()),
        (1, 0, vec![QUEUE])
    );
    // Between the rescue and the next claim the row has the old number, and no node holds it.
    for between in ["given back", "claimed by another"] {
        let late = Claim { job: id, number: first.claim };
        assert!(bench.store.renew(&[late], LEASE).await.unwrap().is_empty(), "{between}");
        assert!(bench.store.begin(&[late], LEASE).await.unwrap().is_empty(), "{between}");
        for statement in ["complete", "refuse", "bury", "hand back", "fail"] {
            let before: String = bench.value("SELECT row_to_json(forge_jobs)::text FROM forge_jobs").await;
            apply(&bench, statement, id).await;
            let after: String = bench.value("SELECT row_to_json(forge_jobs)::text FROM forge_jobs").await;
            assert_eq!(before, after, "`{statement}`, {between}");
        }
        if between == "given back" {
            let second = bench.claim_and_begin(1, 1).await.remove(0);
            assert_eq!((second.id, second.claim, second.attempts_begun), (id, 2, 2));
        }
    }
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_unnoticed_is_still_its_holders() {
    let bench = Bench::open().await;
    let id = bench.put(JobStatus::Claimed).await;
    bench.run("UPDATE forge_jobs SET lease_until = now() - interval '1h'").await;
    assert_eq!(bench.store.renew(&[Claim { job: id, number: 1 }], LEASE).await.unwrap(), [id]);
    assert_eq!(bench.store.rescue().await.unwrap(), Rescued::default(), "it was renewed");
    bench.run("UPDATE forge_jobs SET lease_until = now() - interval '1h'").await;
    assert_eq!(bench.store.begin(&[Claim { job: id, number: 1 }], LEASE).await.unwrap().len(), 1);
    assert_eq!(bench.store.rescue().await.unwrap(), Rescued::default(), "its begin has renewed it");
    assert_eq!(bench.status(id).await, JobStatus::Running);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_node_is_lost_in_its_last_attempt_is_a_dead_letter() {
    let bench = Bench::open().await;
    let id = bench.put(JobStatus::Pending).await;
    for attempt in 1..=3 {
        let job = bench.claim_and_begin(1, 1).await.remove(0);
        assert_eq!((job.id, job.begun, job.attempts_begun), (id, true, attempt));
        let rescued = bench.lose_nodes().await;
        assert_eq!((rescued.retried, rescued.dead), (usize::from(attempt < 3), usize::from(attempt == 3)));
        assert_eq!(rescued.awaited.len(), rescued.dead, "an end that another job waits for is named");
        bench.run("UPDATE forge_jobs SET ready = true, awaited = true").await;
    }
    assert_eq!(bench.status(id).await, JobStatus::DeadLetter);
    assert!(
        bench.value::<String>("SELECT last_error FROM forge_job_history").await.contains("lease expired")
    );
    // A retried job has all of its attempts, and the number of its claim goes on.
    apply(&bench, "retry", id).await;
    let job = bench.claim_and_begin(1, 1).await.remove(0);
    assert_eq!((job.attempts_begun, job.claim), (1, 4));
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_spends_the_attempts_that_it_began_and_no_others() {
    let bench = Bench::open().await;
    let (mut poison, mut neighbours) = (bench.put(JobStatus::Pending).await, Vec::new());
    for _ in 0..20 {
        neighbours.push(bench.put(JobStatus::Pending).await);
    }
    bench.run("UPDATE forge_jobs SET attempts_max = 1").await;
    bench.run(&format!("UPDATE forge_jobs SET priority = 100, attempts_max = 3 WHERE id = '{poison}'")).await;
    for loss in 1..=3 {
        let jobs = bench.claim_and_begin(30, 1).await;
        assert_eq!((jobs.len(), jobs.iter().filter(|job| job.begun).count()), (21, 1));
        assert_eq!((jobs[0].id, jobs[0].attempts_begun), (poison, loss), "the first begins");
        let rescued = bench.lose_nodes().await;
        assert_eq!((rescued.retried + rescued.dead, rescued.returned), (1, 20));
        bench.run("UPDATE forge_jobs SET ready = true").await;
    }
    assert_eq!(bench.status(poison).await, JobStatus::DeadLetter);
    let untouched = "SELECT count(*) FROM forge_jobs WHERE status = 'pending' AND attempt = 0 AND claim = 3 AND ready AND node_id IS NULL AND last_error IS NULL";
    assert_eq!(bench.value::<i64>(untouched).await, 20);

    // An attempt counts from its begin, also when the job was claimed long before.
    let claimed = bench.claim(30).await;
    assert!(claimed.iter().all(|job| !job.begun && job.attempts_begun == 0));
    poison = claimed[7].id;
    let claim = Claim { job: poison, number: claimed[7].claim };
    for answer in ["lost", "received"] {
        let begun = bench.store.begin(&[claim], LEASE).await.unwrap();
        assert_eq!(
            begun.iter().map(|begun| (begun.job, begun.attempt)).collect::<Vec<_>>(),
            [(poison, 1)],
            "{answer}"
        );
    }
    let rescued = bench.lose_nodes().await;
    assert_eq!((rescued.retried, rescued.dead, rescued.returned), (0, 1, 19));
    assert_eq!(bench.status(poison).await, JobStatus::DeadLetter);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_rescued_holds_up_no_other() {
    let bench = Bench::open().await;
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(bench.put(JobStatus::Running).await);
    }
    // One is in its last attempt, and its row is in the history already.
    bench.run(&format!("UPDATE forge_jobs SET attempt = 3, claim = 3 WHERE id = '{}'", jobs[2])).await;
    bench
        .run(&format!(
            "INSERT INTO forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, created_at)
             VALUES ('{}', 'mail.send', 'mail', 50, 'completed', 1, 3, 1, '{{}}', now())",
            jobs[2]
        ))
        .await;
    for round in 1..=2 {
        let rescued = bench.lose_nodes().await;
        assert_eq!((rescued.retried, rescued.dead), (if round == 1 { 4 } else { 0 }, 0));
        assert_eq!(rescued.refused.keys().collect::<Vec<_>>(), [&jobs[2]]);
        assert!(rescued.refused[&jobs[2]].contains("forge_job_history_pkey"), "{:?}", rescued.refused);
        let shown: String =
            bench.value(&format!("SELECT last_error FROM forge_jobs WHERE id = '{}'", jobs[2])).await;
        assert!(shown.contains("forge_job_history_pkey"), "an operator sees the reason: {shown}");
    }
    let again = bench.store.rescue().await.unwrap();
    assert!(again.refused.is_empty(), "it is not tried again at once: {:?}", again.refused);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_were_lost_together_do_not_come_back_together_for_ever() {
    let bench = Bench::open().await;
    for _ in 0..50 {
        bench.put(JobStatus::Pending).await;
    }
    assert_eq!(bench.claim_and_begin(50, 50).await.len(), 50);
    bench.lose_nodes().await;
    let ready = "SELECT count(*) FROM forge_jobs WHERE status = 'retry' AND ready";
    assert_eq!(bench.value::<i64>(ready).await, 50, "the first time at once");
    bench.claim_and_begin(50, 50).await;
    assert_eq!(bench.lose_nodes().await.retried, 50);
    let spread: f64 = bench
        .value("SELECT extract(epoch FROM max(run_at) - min(run_at))::float8 FROM forge_jobs WHERE NOT ready")
        .await;
    assert!(spread > 1.0 && spread <= 3.0, "{spread}");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn begins_and_renewals_touch_no_index() {
    let bench = Bench::open().await;
    // All rows fit on one page together with another version of each.
    for _ in 0..10 {
        bench.put(JobStatus::Pending).await;
    }
    let claims: Vec<Claim> =
        bench.claim(10).await.iter().map(|job| Claim { job: job.id, number: job.claim }).collect();
    let counted = "SELECT pg_stat_get_xact_tuples_hot_updated('forge_jobs'::regclass)";
    let mut connection = bench.scratch.connect().await;
    let begin = include_str!("../../../forge-actors/src/job/sql/begin_jobs.sql");
    let renew = include_str!("../../../forge-actors/src/job/sql/renew_leases.sql");
    execute(&mut connection, "BEGIN").await;
    for (sql, expected) in [(begin, 10), (renew, 20)] {
        let statement = sqlx::query(sql).bind(claims.iter().map(|claim| claim.job).collect::<Vec<_>>());
        let statement =
            statement.bind(claims.iter().map(|claim| claim.number).collect::<Vec<_>>()).bind(10.0);
        assert_eq!(statement.fetch_all(&mut connection).await.unwrap().len(), 10);
        let hot: i64 = sqlx::query_scalar(counted).fetch_one(&mut connection).await.unwrap();
        assert_eq!(hot, expected);
    }
    execute(&mut connection, "ROLLBACK").await;
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduled_jobs_become_ready_and_the_next_time_is_returned() {
    let bench = Bench::open().await;
    assert_eq!(bench.store.promote().await.unwrap(), Promoted::default());
    for seconds in [-5, -1, 30, 90] {
        bench
            .run(&format!(
                "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
                 VALUES (gen_random_uuid(), 'mail.send', 'mail', 50, 3, false,
                         now() + interval '{seconds}s', '{{}}')"
            ))
            .await;
    }
    assert!(bench.claim(10).await.is_empty(), "none is ready");
    let promoted = bench.store.promote().await.unwrap();
    assert_eq!(promoted.queues.iter().map(|queue| &**queue).collect::<Vec<_>>(), [QUEUE]);
    let next = promoted.next_due.unwrap();
    assert!(next > Duration::from_secs(20) && next <= Duration::from_secs(30), "{next:?}");
    assert_eq!(bench.claim(10).await.len(), 2);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_reads_its_index_in_order() {
    let bench = Bench::open().await;
    bench
        .run(
            "INSERT INTO forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
             SELECT gen_random_uuid(), 'mail.send', 'mail', 50, 3, n % 10 <> 0, now() + n * interval '1ms', '{}' FROM generate_series(1, 5000) n;
             ANALYZE forge_jobs",
        )
        .await;
    let sql = format!(
        "EXPLAIN {}",
        include_str!("../../../forge-actors/src/job/sql/claim_jobs.sql")
            .replace("$11", "'{}'")
            .replace("$10", "false")
            .replace("$1", "'mail'")
    );
    let sql = sql
        .replace("$2", "'{mail.send}'")
        .replace("$3", "10")
        .replace("$4", "gen_random_uuid()")
        .replace("$5", "10")
        .replace("$6", "3")
        .replace("$7", "1000000")
        .replace("$8", "gen_random_uuid()")
        .replace("$9", "'{}'");
    let plan: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut bench.scratch.connect().await).await.unwrap();
    let plan = plan.join("\n");
    // The outermost sort orders the few rows that were claimed.
    let cte = plan.split("CTE next").nth(1).unwrap().split("CTE numbered").next().unwrap();
    assert!(cte.contains("forge_jobs_claimable") && !cte.contains("Sort"), "{plan}");
    bench.scratch.drop().await;
}
