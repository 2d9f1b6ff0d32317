//! Real browsers (`tests/browser`). On the demo's page: two people on two nodes, the keyboard, a session that
//! an administrator stops, a node that stops and comes back; invitations, behind which workflows run. In the
//! dashboard: panics of handlers, crons, jobs, workflows.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forge_tests::{Binary, Database, Node, NodeBuilder, Process, probe, until, workspace};
use serde_json::json;
use tempfile::TempDir;

use super::peers::{await_links, member};
use super::stage::PATIENCE;

/// A browser on a busy machine; each of its steps has a limit of its own.
const SCENE: Duration = Duration::from_secs(150);
/// Both nodes read the tokens that either of them writes.
const SECRET: &str = "[auth]\nsecret = \"58c0e2f7a1d94b63b7e9306d4fa81c25\"\n";

#[tokio::test]
async fn what_one_person_does_the_other_sees() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().expect("make a directory");
    let (first, second) =
        (demo(&database, &folder, "first").start().await, demo(&database, &folder, "second").start().await);
    let base = first.client().base().to_owned();
    let link = link_into(Binary::Forge, &base, folder.path()).await;
    let mut scene = play("board.mjs", &[&base, second.client().base(), &link]);
    await_line(&scene, "stop the node").await;
    assert_eq!(first.stop(PATIENCE).await.code(), 0);
    await_line(&scene, "start the node").await;
    let port =
        base.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).expect("a port");
    let first = demo(&database, &folder, "first").port(port).start().await;

    await_end(&mut scene).await;
    for node in [first, second] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

#[tokio::test]
async fn people_join_a_project_by_invitation() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().expect("make a directory");
    let node = demo(&database, &folder, "first").start().await;
    await_end(&mut play("invitations.mjs", &[node.client().base()])).await;
    let runs = "select (status = 'completed') || ' ' || (attributes ->> 'email') from forge_workflow_history
        order by id";
    until("each run has ended as the page says", PATIENCE, || async {
        let runs: Vec<String> = database.column(runs).await;
        (runs == ["true ben@example.com", "false cleo@example.com", "false cleo@example.com"]).then_some(())
    })
    .await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn the_dashboard_shows_what_panics() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().expect("make a directory");
    let started = async |name: &str| member(&database, name).directory(folder.path()).start().await;
    let (first, second) = (started("first").await, started("second").await);
    await_links(&first, &["second"], PATIENCE).await;
    let link = link_into(Binary::Probe, first.client().base(), folder.path()).await;
    let mut scene = play("journal.mjs", &[&link]);
    await_line(&scene, "let them panic").await;
    let ana = probe::token("ana");
    assert_eq!(first.call("probe.panic", json!({}), Some(&ana)).await.status, 500);
    assert_eq!(second.call("probe.put_and_panic", json!({ "key": "k" }), Some(&ana)).await.status, 500);
    assert_eq!(
        first.call("jobs.enqueue_one", json!({ "kind": "explode", "key": "k" }), Some(&ana)).await.status,
        200
    );
    await_end(&mut scene).await;
}

/// A cron with a day of runs of every kind, whose schedule does not come during the test, and forty others.
const CRONS: &str = "insert into forge_crons (
        id, name, source, handler, args, expression, timezone, overlap, catch_up, jitter_ms, queue, priority, attempts_max, next_at
    )
    select gen_random_uuid(), name, 'application', 'crons.tick', '{\"ms\":0}', '0 8 * * MON', 'Europe/Berlin', 'skip', 1, 0,
           'ticks', 50, 3, now() + interval '1 year'
    from unnest('{weekly}'::text[] || array(select 'other-' || n from generate_series(1, 40) n)) as name;
    insert into forge_cron_runs (
        cron_id, scheduled_at, last_at, times, epoch, status, reason, job_id, started_at, finished_at
    )
    select id, at, at, times, 1, status::forge_cron_status, reason::forge_cron_reason,
           case when reason is null then gen_random_uuid() end,
           case when reason is null then at + late end, case when reason is null then at + interval '1 min' end
    from forge_crons, (values
        ('completed', null, interval '1 h', interval '40 ms', 1),
        ('completed', null, interval '2 h', interval '45 s', 1),
        ('dead_letter', null, interval '3 h', interval '0', 1),
        ('failed', null, interval '4 h', interval '0', 1),
        ('skipped', 'overlap', interval '5 h', interval '0', 1),
        ('skipped', 'missed', interval '6 h', interval '0', 3)
    ) as run (status, reason, before, late, times), lateral (select now() - before as at) as time
    where name = 'weekly'";

#[tokio::test]
async fn an_administrator_runs_and_pauses_crons() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().expect("make a directory");
    let node = member(&database, "first").directory(folder.path()).start().await;
    until("the schedule of the code is there", PATIENCE, || async {
        let count: i64 = database.value("select count(*) from forge_crons").await;
        (count == 1).then_some(())
    })
    .await;
    database.execute("delete from forge_crons").await;
    database.execute(super::crons::TICKS).await;
    let link = link_into(Binary::Probe, node.client().base(), folder.path()).await;
    let mut scene = play("crons.mjs", &[&link]);
    await_line(&scene, "create them").await;
    database.execute(CRONS).await;
    await_end(&mut scene).await;
    let actions: Vec<String> = database.column("select action from forge_audit order by id").await;
    assert_eq!(actions, ["runCron", "pauseCron", "resumeCron"]);
}

/// A function that makes ids as the nodes do: later ones are larger.
const IDS: &str = "create function test_id(at timestamptz) returns uuid language sql volatile as $$
        select (lpad(to_hex((extract(epoch from at) * 1000)::int8), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
                || '8' || substr(md5(random()::text), 1, 15))::uuid
    $$";
/// Jobs that failed a day ago, and later ones that succeeded.
const HISTORY: &str = "insert into forge_job_history (
        id, name, queue, priority, status, attempt, attempts_max, claim, args, last_error, created_at, finished_at
    )
    select test_id(at), 'jobs.quick', 'quick', 50, status::forge_job_status, 3, 3, 3, json_build_object('n', n),
           case when status = 'dead_letter' then 'UNAVAILABLE: the mail server refused' end, at, at
    from generate_series(1, 99999) n,
         lateral (select case when n <= 10000 then 'dead_letter' else 'completed' end as status,
                         now() - interval '1 h' - (100000 - n) * interval '0.1 s' as at) as job";
const SCHEDULED: &str = "insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args)
    values (test_id(now()), 'jobs.work', 'work', 50, 3, false, now() + interval '1 year', '{\"key\":\"k\",\"ms\":0}')";
const THREE: &str = "insert into forge_job_history (
        id, name, queue, priority, status, attempt, attempts_max, claim, args, created_at, finished_at
    )
    select test_id(now() - interval '30 min'), 'jobs.quick', 'quick', 50, 'completed', 1, 3, 1, '{\"n\":0}', now(), now()
    from generate_series(1, 3)";

#[tokio::test]
async fn an_administrator_finds_jobs_among_many_and_retries_ten_thousand() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().expect("make a directory");
    let node = member(&database, "first").directory(folder.path()).start().await;
    let link = link_into(Binary::Probe, node.client().base(), folder.path()).await;
    let mut scene = play("jobs.mjs", &[&link]);
    await_line(&scene, "dispatch them").await;
    for sql in [IDS, HISTORY, SCHEDULED, "analyze"] {
        database.execute(sql).await;
    }
    await_line(&scene, "more come").await;
    database.execute(THREE).await;
    await_end(&mut scene).await;
    let retried = "select count(*) from forge_job_history where status = 'completed' and name = 'jobs.quick'
        and (args->>'n')::int8 between 1 and 10000";
    until("each of them has run again", SCENE, || async {
        (database.value::<i64>(retried).await == 10_000).then_some(())
    })
    .await;
    let actions: Vec<String> =
        database.column("select action from forge_audit group by action order by min(id::text)").await;
    assert_eq!(
        actions,
        ["cloneJob", "cancelJob", "pauseQueue", "resumeQueue", "limitQueue", "retryJob", "bulkJobs"]
    );
}

/// A saga whose journal has another first step than its code, and runs of a workflow that no binary has code
/// for: one waits, the compensation of one has failed, one has failed.
const RUNS: &str = r#"
    insert into forge_workflow_runs (id, workflow, version, key, status, due_at, claim, ending, error, input, attributes,
                                     created_at, begun_at, steps)
    values ('01900000-0000-7000-8000-000000000005', 'flows.saga', 1, null, 'ready', now(), 0, null, null,
            '{"steps": 3, "failsAt": 0, "ms": 0}', null, now(), null, 0),
           ('01900000-0000-7000-8000-000000000001', 'gone.flow', 1, '"user-7"', 'waiting', now() + interval '22 h', 2, null, null,
            '{"order": 7}', '{"plan": "gold"}', now() - interval '2 h 2 s', now() - interval '2 h 2 s', 2),
           ('01900000-0000-7000-8000-000000000003', 'gone.flow', 1, null, 'compensation_failed', 'infinity', 2, 'failed',
            '{"code": "REFUSED", "message": "no funds"}', '{"order": 8}', null, now() - interval '4 min', now() - interval '4 min', 2);
    insert into forge_workflow_history (id, workflow, version, status, claim, error, input, created_at, expires_at, followed, steps,
                                        journal_bytes)
    values ('01900000-0000-7000-8000-000000000004', 'gone.flow', 1, 'failed', 2, '{"code": "REFUSED", "message": "no funds"}', '{}',
            now() - interval '1 h', now() + interval '7 d', false, 0, 0);
    insert into forge_workflow_steps (run_id, position, kind, status, name, shape, number, output, error, failures, started_at,
                                      finished_at, due_at, event, event_key)
    values ('01900000-0000-7000-8000-000000000005', '1', 'call', 'completed', 'reserve', 2, 1, '1', null, null, now(), now(), null,
            null, null),
           ('01900000-0000-7000-8000-000000000001', '1', 'call', 'completed', 'account', 2, 1, '7', null, null,
            now() - interval '2 h 1 s', now() - interval '2 h', null, null, null),
           ('01900000-0000-7000-8000-000000000001', '2', 'event', 'waiting', 'accounts.email_verified', 4, null, null, null, null,
            now() - interval '2 h', null, now() + interval '22 h', 'accounts.email_verified', '"user-7"'),
           ('01900000-0000-7000-8000-000000000003', '1', 'call', 'completed', 'account', 2, 1, '7', null, null,
            now() - interval '3 min', now() - interval '2 min', null, null, null),
           ('01900000-0000-7000-8000-000000000003', '-1', 'compensation', 'retrying', 'account', 2, null, null,
            '{"code": "INTERNAL", "message": "the bank is closed"}',
            jsonb_build_array(jsonb_build_object('at', now() - interval '30 s', 'error',
                                                 jsonb_build_object('code', 'INTERNAL', 'message', 'the bank is closed'))),
            now() - interval '1 min', null, null, null, null)
"#;

#[tokio::test]
async fn an_administrator_looks_at_runs_of_workflows_and_changes_them() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().expect("make a directory");
    let node = member(&database, "first").directory(folder.path()).start().await;
    let link = link_into(Binary::Probe, node.client().base(), folder.path()).await;
    let mut scene = play("workflows.mjs", &[&link]);
    await_line(&scene, "start runs").await;
    let ana = probe::token("ana");
    for (name, arguments) in [
        ("runs.drive", json!({ "runs": 1, "steps": 2000, "inFlight": 1 })),
        ("flows.start_mix", json!({ "bell": 1, "scale": 1 })),
        ("flows.start_listeners", json!({ "count": 1 })),
    ] {
        assert_eq!(node.call(name, arguments, Some(&ana)).await.status, 200, "{name}");
    }
    database.execute(RUNS).await;
    await_end(&mut scene).await;
    let actions: Vec<String> =
        database.column("select action from forge_audit group by action order by min(id::text)").await;
    assert_eq!(
        actions,
        [
            "retryWorkflow",
            "forkWorkflow",
            "pauseWorkflow",
            "resumeWorkflow",
            "signalWorkflow",
            "skipCompensation",
            "terminateWorkflow",
            "bulkWorkflows",
            "startWorkflow",
            "cancelWorkflow"
        ]
    );
}

fn demo(database: &Database, folder: &TempDir, name: &str) -> NodeBuilder {
    let node = Node::builder(Binary::Forge).database(database).directory(folder.path());
    node.file("forge.toml", SECRET).arguments(["--name", name])
}

/// What `dashboard` prints in the nodes' folder.
async fn link_into(binary: Binary, url: &str, folder: &Path) -> String {
    let mut command = Command::new(binary.path());
    let printed =
        Process::spawn(command.current_dir(folder).args(["dashboard", "--url", url])).ended(PATIENCE).await;
    assert_eq!(printed.code(), 0, "{}", printed.stderr);
    printed.stdout.trim().to_owned()
}

/// Waits until a script is as far as that, or has failed.
async fn await_line(scene: &Process, line: &str) {
    let printed = || async { (scene.stdout().line(line).is_some() || has_failed(scene)).then_some(()) };
    until(&format!("the browser says: {line}"), SCENE, printed).await;
}

async fn await_end(scene: &mut Process) {
    let ended = scene.ended(SCENE).await;
    assert_eq!(ended.code(), 0, "{}\n{}", ended.stdout, ended.stderr);
    println!("{}", ended.stdout);
}

/// It says on its standard error why.
fn has_failed(scene: &Process) -> bool {
    !scene.stderr().text().is_empty()
}

/// Starts a script of the browser's tests.
fn play(script: &str, arguments: &[&str]) -> Process {
    let folder = workspace().join("tests/browser");
    assert!(
        is_installed(&folder),
        "the browser's tests are not installed: `npm ci` in tests/browser, or tests/run"
    );
    let mut node = Command::new("node");
    Process::spawn(node.current_dir(folder).arg(script).args(arguments))
}

fn is_installed(folder: &Path) -> bool {
    folder.join("node_modules/playwright-core/package.json").is_file()
}
