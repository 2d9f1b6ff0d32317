//! Leases of nodes that run workflows: a run is never left with a lease that nobody holds.

use forge_actors::app::Secret;
use forge_actors::app::workflow_run::new_run::{IdConflict, NewRun, ParentPolicy, StartRun};
use forge_actors::change::HintHub;
use forge_actors::kernel::ids::RunId;
use forge_actors::workflow::starter::WorkflowStarter;
use forge_tests::until;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::job::Bench;

/// A statement of the engine.
macro_rules! statement {
    ($name:literal) => {
        sqlx::query(include_str!(concat!("../../../forge-actors/src/workflow/sql/", $name, ".sql")))
    };
}

async fn start(bench: &Bench) {
    let (starter, _) = WorkflowStarter::new(bench.scratch.database.clone(), HintHub::new());
    let run = NewRun {
        id: RunId::new(),
        workflow: "tour".to_owned(),
        version: 1,
        key: None,
        on_conflict: IdConflict::Return,
        input: Secret::new("{}".to_owned()),
        after_secs: 0.0,
        timeout_secs: None,
        retain_secs: None,
        attributes: None,
        followed: false,
        parent: None,
        policy: ParentPolicy::Cancel,
        signal: None,
        continues: None,
    };
    let db = bench.scratch.database.writer();
    starter.insert(&db, &run, None, "trace".to_owned()).await.unwrap();
}

async fn text(session: &mut PgConnection, sql: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(session).await.unwrap()
}

/// Releases the runs of lost leases, as the rescuer does.
async fn release(session: &mut PgConnection) -> usize {
    let release = statement!("release_runs").bind(10_i64).bind(None::<i64>);
    let release = release.bind(Vec::<RunId>::new()).bind(Vec::<i32>::new()).bind(3);
    let released = release.bind(r#"{"code":"INTERNAL","message":"lost"}"#).fetch_all(session).await;
    released.unwrap().len()
}

#[tokio::test]
async fn a_lease_that_is_given_up_beside_a_claim_leaves_no_run_behind() {
    let bench = Bench::open().await;
    start(&bench).await;
    let (mut claimer, mut keeper) = (bench.scratch.connect().await, bench.scratch.connect().await);
    let register = "INSERT INTO forge_workflow_owners (node_id, node_name, expires_at)
                    VALUES (gen_random_uuid(), 'one', now() + interval '1 h') RETURNING id";
    let lease: i64 = sqlx::query_scalar(register).fetch_one(&mut keeper).await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut claimer).await.unwrap();
    let claim = statement!("claim_runs").bind(lease).bind(vec!["tour"]).bind(vec![1]);
    let claim = claim.bind(vec![10_i64]).bind(10_i64).fetch_all(&mut claimer).await.unwrap();
    assert_eq!(claim.len(), 1);
    let resigning = tokio::spawn(async move {
        statement!("resign_owner").bind(lease).execute(&mut keeper).await.unwrap();
        statement!("forget_owners").execute(&mut keeper).await.unwrap();
        keeper
    });
    let mut session = bench.scratch.connect().await;
    let blocked = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the claim is waited for", std::time::Duration::from_secs(20), async || {
        (text(&mut bench.scratch.connect().await, blocked).await == "1").then_some(())
    })
    .await;
    sqlx::raw_sql("COMMIT").execute(&mut claimer).await.unwrap();
    let mut keeper = resigning.await.unwrap();
    let held = "SELECT status || ' ' || (lost_at IS NOT NULL) FROM forge_workflow_runs run
                JOIN forge_workflow_owners owner ON owner.id = run.owner_id";
    assert_eq!(text(&mut session, held).await, "running true", "the rescuers see it");
    assert_eq!(release(&mut keeper).await, 1);
    let stands = "SELECT status || ' ' || crashes FROM forge_workflow_runs";
    assert_eq!(text(&mut session, stands).await, "ready 0", "a lease that is given up is no crash");
    statement!("forget_owners").execute(&mut keeper).await.unwrap();
    assert_eq!(text(&mut session, "SELECT count(*)::text FROM forge_workflow_owners").await, "0");
    bench.scratch.drop().await;
}

#[tokio::test]
async fn a_run_whose_lease_has_no_row_is_released() {
    let bench = Bench::open().await;
    start(&bench).await;
    let mut session = bench.scratch.connect().await;
    let orphan = "UPDATE forge_workflow_runs SET status = 'running', owner_id = 4711, claim = 1";
    sqlx::raw_sql(orphan).execute(&mut session).await.unwrap();
    assert_eq!(release(&mut session).await, 1);
    assert_eq!(text(&mut session, "SELECT status::text FROM forge_workflow_runs").await, "ready");
    bench.scratch.drop().await;
}

#[tokio::test]
async fn a_run_that_loses_its_node_without_progress_waits_longer_each_time_and_is_paused() {
    let bench = Bench::open().await;
    start(&bench).await;
    let mut session = bench.scratch.connect().await;
    let lose = "UPDATE forge_workflow_runs SET status = 'running', owner_id = 4711, claim = claim + 1";
    let stands = "SELECT format('%s %s %s', status, crashes, CASE WHEN due_at <= clock_timestamp() THEN 'due' ELSE 'later' END)
                  FROM forge_workflow_runs";
    let mut seen = Vec::new();
    for _ in 0..2 {
        sqlx::raw_sql(lose).execute(&mut session).await.unwrap();
        assert_eq!(release(&mut session).await, 1);
        seen.push(text(&mut session, stands).await);
    }
    assert_eq!(seen, ["ready 1 due", "ready 2 later"]);
    // A step has ended: the next loss is the first one.
    let step = "INSERT INTO forge_workflow_steps (run_id, position, kind, status, name, shape, started_at, finished_at)
                SELECT id, '1', 'closure', 'completed', 'one', 0, clock_timestamp(), clock_timestamp() FROM forge_workflow_runs";
    sqlx::raw_sql(step).execute(&mut session).await.unwrap();
    seen.clear();
    for _ in 0..3 {
        sqlx::raw_sql(lose).execute(&mut session).await.unwrap();
        assert_eq!(release(&mut session).await, 1);
        seen.push(text(&mut session, stands).await);
    }
    assert_eq!(seen[..2], ["ready 1 due", "ready 2 later"]);
    assert!(seen[2].starts_with("paused 3"), "{seen:?}");
    assert_eq!(text(&mut session, "SELECT error ->> 'message' FROM forge_workflow_runs").await, "lost");
    let run: RunId =
        sqlx::query_scalar("SELECT id FROM forge_workflow_runs").fetch_one(&mut session).await.unwrap();
    statement!("resume_runs").bind(vec![run]).execute(&mut session).await.unwrap();
    let resumed = "SELECT format('%s %s %s', status, crashes, error IS NULL) FROM forge_workflow_runs";
    assert_eq!(text(&mut session, resumed).await, "ready 0 t", "it has all of its tries again");
    bench.scratch.drop().await;
}

#[tokio::test]
async fn a_lease_that_was_lost_while_its_process_lived_is_no_crash_of_its_runs() {
    let bench = Bench::open().await;
    start(&bench).await;
    let mut session = bench.scratch.connect().await;
    let node: uuid::Uuid =
        sqlx::query_scalar("SELECT gen_random_uuid()").fetch_one(&mut session).await.unwrap();
    let suffix = format!("#{}", &node.simple().to_string()[20..]);
    let lease = async |session: &mut PgConnection, node: uuid::Uuid| {
        let register = "INSERT INTO forge_workflow_owners (node_id, node_name, renewed_at, expires_at)
                        VALUES ($1, 'one', now() - interval '1 min', now() - interval '1 s') RETURNING id";
        sqlx::query_scalar::<_, i64>(register).bind(node).fetch_one(session).await.unwrap()
    };
    let stands = "SELECT format('%s %s %s', status, crashes, crashed_at IS NULL) FROM forge_workflow_runs";
    // Whether sessions are looked at, and the node of this session or another one.
    let cases = [
        ("an outage", false, uuid::Uuid::max(), "ready 0 t"),
        ("its node is there", true, node, "ready 0 t"),
        ("its node is gone", true, uuid::Uuid::max(), "ready 1 f"),
    ];
    let name = format!("SET application_name = 'one {suffix}'");
    sqlx::raw_sql(AssertSqlSafe(name)).execute(&mut session).await.unwrap();
    for (case, by_sessions, of, expected) in cases {
        let lease = lease(&mut session, of).await;
        let hold = "UPDATE forge_workflow_runs SET status = 'running', claim = claim + 1, owner_id = ";
        bench.run(&format!("{hold}{lease}")).await;
        let lose = statement!("lose_owners").bind(1.5).bind(by_sessions).bind(&suffix);
        assert_eq!(lose.fetch_all(&mut session).await.unwrap().len(), 1, "{case}");
        assert_eq!(release(&mut session).await, 1, "{case}");
        assert_eq!(text(&mut session, stands).await, expected, "{case}");
        statement!("forget_owners").execute(&mut session).await.unwrap();
    }
    bench.scratch.drop().await;
}

#[tokio::test]
async fn the_reason_of_a_request_to_cancel_goes_with_the_request() {
    let bench = Bench::open().await;
    start(&bench).await;
    let mut session = bench.scratch.connect().await;
    let register = "INSERT INTO forge_workflow_owners (node_id, node_name, expires_at)
                    VALUES (gen_random_uuid(), 'one', now() + interval '1 h') RETURNING id";
    let lease: i64 = sqlx::query_scalar(register).fetch_one(&mut session).await.unwrap();
    let hold = "UPDATE forge_workflow_runs SET status = 'running', claim = 1, owner_id = ";
    bench.run(&format!("{hold}{lease}")).await;
    let run: RunId =
        sqlx::query_scalar("SELECT id FROM forge_workflow_runs").fetch_one(&mut session).await.unwrap();
    statement!("request_cancel").bind(vec![run]).bind("by ana: no use").execute(&mut session).await.unwrap();
    let withdrawn = "UPDATE forge_workflow_runs SET request = NULL";
    let refused = sqlx::raw_sql(withdrawn).execute(&mut session).await.unwrap_err();
    assert!(refused.to_string().contains("forge_workflow_runs_reason"), "{refused}");
    let error = r#"{"code":"CANCELLED","message":"the run was cancelled"}"#;
    let begin = statement!("begin_ending").bind(lease).bind(run).bind(1).bind("cancelled").bind(error);
    begin.execute(&mut session).await.unwrap();
    let stands = "SELECT format('%s %s %s', error ->> 'message', request IS NULL, cancel_reason IS NULL)
                  FROM forge_workflow_runs";
    assert_eq!(text(&mut session, stands).await, "the run was cancelled by ana: no use t t");
    bench.scratch.drop().await;
}

#[tokio::test]
async fn a_check_before_a_deploy_reads_no_run_of_a_version_that_it_has_no_code_for() {
    let bench = Bench::open().await;
    let runs = "INSERT INTO forge_workflow_runs (id, workflow, version, status, due_at, input)
                SELECT gen_random_uuid(), 'tour', CASE WHEN n > 5 THEN 1 ELSE 2 END, 'waiting', 'infinity', '{}'
                FROM generate_series(1, 20000) n";
    bench.run(runs).await;
    let mut session = bench.scratch.connect().await;
    sqlx::raw_sql("VACUUM ANALYZE forge_workflow_runs").execute(&mut session).await.unwrap();
    for (name, sql) in [
        ("list", include_str!("../../../forge-actors/src/workflow/sql/list_live_runs.sql")),
        ("count", include_str!("../../../forge-actors/src/workflow/sql/count_live_versions.sql")),
    ] {
        let sql = sql.replace("$1", "'{tour}'").replace("$2", "'{2}'").replace("$3", "10");
        let sql = format!(
            "EXPLAIN {}",
            sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n")
        );
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut session).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("forge_workflow_runs_due") && !plan.contains("Seq Scan"), "{name}: {plan}");
    }
    bench.scratch.drop().await;
}

#[tokio::test]
async fn a_run_that_is_paused_while_it_is_compensated_keeps_why_it_is() {
    let bench = Bench::open().await;
    start(&bench).await;
    let mut session = bench.scratch.connect().await;
    let lose = "UPDATE forge_workflow_runs SET status = 'running', owner_id = 4711, crashes = 2, crashed_at = clock_timestamp(),
                    ending = 'failed', error = '{\"code\":\"CONFLICT\",\"message\":\"sold out\"}'";
    sqlx::raw_sql(lose).execute(&mut session).await.unwrap();
    assert_eq!(release(&mut session).await, 1);
    let why = "SELECT format('%s %s %s', status, error ->> 'message', error -> 'cause' ->> 'message') FROM forge_workflow_runs";
    assert_eq!(text(&mut session, why).await, "paused lost sold out");
    let run: RunId =
        sqlx::query_scalar("SELECT id FROM forge_workflow_runs").fetch_one(&mut session).await.unwrap();
    statement!("resume_runs").bind(vec![run]).execute(&mut session).await.unwrap();
    assert_eq!(text(&mut session, why).await, "ready sold out ");
    bench.scratch.drop().await;
}

#[tokio::test]
async fn a_child_that_goes_on_while_its_parent_ends_is_cancelled_too() {
    let bench = Bench::open().await;
    start(&bench).await;
    start(&bench).await;
    let (mut child_node, mut parent_node) = (bench.scratch.connect().await, bench.scratch.connect().await);
    let register = "INSERT INTO forge_workflow_owners (node_id, node_name, expires_at)
                    VALUES (gen_random_uuid(), 'one', now() + interval '1 h') RETURNING id";
    let lease: i64 = sqlx::query_scalar(register).fetch_one(&mut child_node).await.unwrap();
    let runs: Vec<RunId> = sqlx::query_scalar("SELECT id FROM forge_workflow_runs ORDER BY id")
        .fetch_all(&mut child_node)
        .await
        .unwrap();
    let (parent, child) = (runs[0], runs[1]);
    let held = "UPDATE forge_workflow_runs SET status = 'running', claim = 1, begun_at = now(), owner_id = ";
    bench.run(&format!("{held}{lease}")).await;
    let family = format!(
        "UPDATE forge_workflow_runs SET parent_id = '{parent}', parent_policy = 'cancel' WHERE id = '{child}'"
    );
    bench.run(&family).await;
    sqlx::raw_sql("BEGIN").execute(&mut child_node).await.unwrap();
    let goes_on = statement!("continue_run").bind(lease).bind(child).bind(1).bind(RunId::new()).bind("{}");
    let goes_on = goes_on.bind(60.0).bind(1).bind(10_i64).bind(1_000_i64);
    assert!(goes_on.fetch_optional(&mut child_node).await.unwrap().is_some());
    let cancelling = tokio::spawn(async move {
        let cancel = || statement!("cancel_own_children").bind(lease).bind(parent).bind(1);
        let first = cancel().fetch_one(&mut parent_node).await.unwrap();
        let second = cancel().fetch_one(&mut parent_node).await.unwrap();
        let of = |row: &sqlx::postgres::PgRow| -> (bool, bool, bool) {
            (row.get("is_held"), row.get("asked"), row.get("is_missed"))
        };
        (of(&first), of(&second))
    });
    let blocked = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the child is waited for", std::time::Duration::from_secs(20), async || {
        (text(&mut bench.scratch.connect().await, blocked).await == "1").then_some(())
    })
    .await;
    sqlx::raw_sql("COMMIT").execute(&mut child_node).await.unwrap();
    let (first, second) = cancelling.await.unwrap();
    assert_eq!((first, second), ((true, false, true), (true, true, false)));
    let requests =
        "SELECT string_agg(request::text, ' ') FROM forge_workflow_runs WHERE parent_id IS NOT NULL";
    assert_eq!(text(&mut child_node, requests).await, "cancel");
    bench.scratch.drop().await;
}
