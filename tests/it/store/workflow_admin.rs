//! What an administrator sees of runs and does to them: filters, pages, numbers, and each command on runs in
//! each state.

use std::collections::BTreeSet;

use forge_actors::app::workflow::StepStatus;
use forge_actors::kernel::fault::{Code, Fault};
use forge_actors::kernel::ids::RunId;
use forge_actors::kernel::time::days;
use forge_actors::workflow::admin::{
    self, ChangedRuns, RunChange, WorkflowAction, WorkflowAttribute, WorkflowFilter, WorkflowPage,
    WorkflowSearch, WorkflowStatus,
};

use super::job::Bench;

/// One run for each status, with its place in [`WorkflowStatus::ALL`] as the last digits of its id, and a
/// second one that is running and was asked to pause.
const ONE_OF_EACH: &str = r#"
    INSERT INTO forge_workflow_owners (node_id, node_name, expires_at)
    VALUES (gen_random_uuid(), 'ana', now() + interval '1 h');
    INSERT INTO forge_workflow_runs (id, workflow, version, key, status, due_at, owner_id, claim, request, ending, error, input,
                                     identity, attributes, created_at, steps)
    SELECT ('01900000-0000-7000-8000-0000000000' || n)::uuid, 'flow', 1 + n::int % 2, '"k' || n || '"',
           status::forge_workflow_status, CASE status WHEN 'waiting' THEN 'infinity' ELSE now() END,
           CASE status WHEN 'running' THEN (SELECT id FROM forge_workflow_owners) END, 3, request::forge_workflow_request,
           ending::forge_workflow_status, error::json, json_build_object('n', n), '{"subject": "ana", "tenant": "acme"}',
           jsonb_build_object('n', n::int, 'plan', 'gold'), now() - interval '1 h', 2
    FROM (VALUES
        ('00', 'ready', NULL, NULL, NULL),
        ('01', 'running', NULL, NULL, NULL),
        ('02', 'waiting', NULL, NULL, NULL),
        ('03', 'waiting', NULL, 'failed', '{"code": "REFUSED", "message": "No Funds"}'),
        ('04', 'paused', NULL, NULL, NULL),
        ('05', 'diverged', NULL, NULL, '{"code": "CONFLICT", "message": "expected step 4"}'),
        ('06', 'compensation_failed', NULL, 'cancelled', '{"code": "CANCELLED", "message": "the run was cancelled"}'),
        ('20', 'running', 'pause', NULL, NULL)
    ) AS run (n, status, request, ending, error);
    INSERT INTO forge_workflow_history (id, workflow, version, key, status, claim, error, output, input, created_at, begun_at,
                                        finished_at, expires_at, followed, attributes, steps, journal_bytes, parent_id)
    SELECT ('01900000-0000-7000-8000-0000000000' || n)::uuid, 'other', 1, NULL, status::forge_workflow_status, 4, error::json,
           CASE status WHEN 'completed' THEN '7'::json END, json_build_object('n', n), now() - interval '3 h',
           now() - interval '3 h', now() - interval '1 h', now() + interval '6 d', false,
           jsonb_build_object('n', n::int), 1, 10, '01900000-0000-7000-8000-000000000002'
    FROM (VALUES
        ('07', 'completed', NULL), ('08', 'failed', '{"code": "REFUSED", "message": "no funds at all"}'),
        ('09', 'cancelled', NULL), ('10', 'terminated', NULL), ('11', 'continued', NULL)
    ) AS run (n, status, error);
    INSERT INTO forge_workflow_steps (run_id, position, kind, status, name, shape, attempts, number, output, error, failures,
                                      started_at, finished_at, due_at, event, event_key)
    SELECT id, '1', 'call'::forge_workflow_step_kind, 'completed'::forge_workflow_step_status, 'reserve', 2, 1, 1, '"ok"'::json, NULL::json, NULL::jsonb, now(), now(),
           NULL::timestamptz, NULL, NULL
    FROM (SELECT id FROM forge_workflow_runs UNION ALL SELECT id FROM forge_workflow_history) AS run
    UNION ALL
    SELECT '01900000-0000-7000-8000-000000000002', '2', 'event', 'waiting', 'accounts.verified', 4, 1, NULL, NULL, NULL, NULL,
           now(), NULL, now() + interval '22 h', 'accounts.verified', '7'
    UNION ALL
    SELECT '01900000-0000-7000-8000-000000000006', '-1', 'compensation', 'retrying', 'reserve', 2, 20, NULL, NULL,
           '{"code": "INTERNAL", "message": "no"}', '[{"at": "2030-01-31T09:00:00Z", "error": {"code": "INTERNAL", "message": "no"}}]',
           now(), NULL, now(), NULL, NULL
    UNION ALL
    SELECT '01900000-0000-7000-8000-000000000008', '2', 'call', 'failed', 'charge', 2, 3, 2, NULL, '{"code": "REFUSED"}', NULL,
           now(), now(), NULL, NULL, NULL
"#;

fn run(n: u128) -> RunId {
    let text = format!("01900000-0000-7000-8000-0000000000{n:02}");
    text.parse().unwrap()
}

fn any() -> WorkflowFilter {
    WorkflowFilter::default()
}

async fn list(bench: &Bench, filter: WorkflowFilter, before: Option<RunId>, limit: u16) -> WorkflowPage {
    let search = WorkflowSearch::new(filter).unwrap();
    admin::list(&bench.scratch.database.reader(), &search, before, limit).await.unwrap()
}

/// The runs that match, which are few, by the last digits of their ids.
async fn found(bench: &Bench, filter: WorkflowFilter) -> String {
    let page = list(bench, filter.clone(), None, 100).await;
    assert_eq!((page.next, page.searched_to), (None, None), "all of them are on one page");
    let search = WorkflowSearch::new(filter).unwrap();
    let counted = admin::count_matches(&bench.scratch.database.reader(), &search, None).await.unwrap();
    assert_eq!(counted.total as usize, page.rows.len(), "the count finds what the list finds");
    let ids: Vec<RunId> = page.rows.iter().map(|row| row.id).collect();
    assert!(ids.windows(2).all(|two| two[0] > two[1]), "newest first");
    let digits = |id: &RunId| id.to_string()[34..].trim_start_matches('0').to_owned();
    ids.iter().rev().map(digits).collect::<Vec<_>>().join(" ")
}

async fn apply(bench: &Bench, action: WorkflowAction, ids: &[RunId]) -> Result<ChangedRuns, Fault> {
    let change = RunChange { action, who: "ana", reason: Some("no use"), retention: days(7) };
    admin::apply(&bench.scratch.database.writer(), change, ids).await
}

async fn text(bench: &Bench, sql: &str) -> String {
    let found: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(&mut bench.scratch.connect().await)
        .await
        .unwrap();
    found.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_a_filter_finds_its_runs() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    let text = |text: &str| Some(text.to_owned());
    let statuses = |statuses: &[WorkflowStatus]| WorkflowFilter { statuses: statuses.to_vec(), ..any() };
    let attribute =
        |name: &str, value: &str| vec![WorkflowAttribute { name: name.to_owned(), value: value.to_owned() }];
    use WorkflowStatus::{
        Compensating, CompensationFailed, Completed, Diverged, Failed, Paused, Running, Waiting,
    };
    let hour = |hours: i64| Some(chrono::Utc::now() - chrono::TimeDelta::hours(hours));
    for (filter, expected) in [
        (any(), " 1 2 3 4 5 6 7 8 9 10 11 20"),
        (WorkflowFilter { is_ended: Some(false), ..any() }, " 1 2 3 4 5 6 20"),
        (WorkflowFilter { is_ended: Some(true), ..any() }, "7 8 9 10 11"),
        (statuses(&[Waiting]), "2"),
        (statuses(&[Compensating]), "3"),
        (statuses(&[Paused, Diverged, CompensationFailed]), "4 5 6"),
        (statuses(&[Failed]), "8"),
        (statuses(&[Failed, Running, Completed]), "1 7 8 20"),
        (WorkflowFilter { workflow: text("other"), ..any() }, "7 8 9 10 11"),
        (WorkflowFilter { version: Some(2), ..any() }, "1 3 5"),
        (WorkflowFilter { key: text("k04"), ..any() }, "4"),
        (WorkflowFilter { key: text("\"k04\""), ..any() }, "4"),
        (WorkflowFilter { id: Some(run(9)), ..any() }, "9"),
        (WorkflowFilter { id: Some(run(9)), ..statuses(&[Failed]) }, ""),
        (WorkflowFilter { parent: Some(run(2)), ..statuses(&[Failed]) }, "8"),
        (WorkflowFilter { attributes: attribute("n", "5"), ..any() }, "5"),
        (WorkflowFilter { attributes: attribute("plan", "gold"), ..statuses(&[Paused, Failed]) }, "4"),
        (WorkflowFilter { attributes: attribute("n", "\"5\""), ..any() }, ""),
        (WorkflowFilter { text: text("FUNDS"), ..any() }, "3 8"),
        (WorkflowFilter { text: text("refused"), ..statuses(&[Failed]) }, "8"),
        (WorkflowFilter { text: text("01900000-0000-7000-8000-000000000010"), ..any() }, "10"),
        (WorkflowFilter { text: text("k05"), ..any() }, "5"),
        (WorkflowFilter { text: text("a%_'"), ..any() }, ""),
    ] {
        assert_eq!(found(&bench, filter.clone()).await, expected, "{filter:?}");
    }
    // The ids of these runs are two years older than their start.
    let started = WorkflowFilter { started_from: hour(2), started_before: hour(0), ..any() };
    assert_eq!(
        list(&bench, started, None, 10).await.rows.len(),
        0,
        "runs are looked for by the time in their ids"
    );
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_back_to_the_oldest_run_and_say_how_far_they_looked() {
    let bench = Bench::open().await;
    // One run a second, since a long time ago; the first ten are of a rare workflow.
    bench
        .run(
            "INSERT INTO forge_workflow_history (id, workflow, version, status, claim, input, created_at, expires_at, followed,
                                                 steps, journal_bytes)
             SELECT (lpad(to_hex(1700000000000 + n * 1000), 12, '0') || '70008000000000000000')::uuid,
                    CASE WHEN n < 10 THEN 'rare' ELSE 'flow' END, 1, 'completed', 1, '{}', to_timestamp(1700000000 + n),
                    now(), false, 0, 0
             FROM generate_series(0, 20499) AS n",
        )
        .await;
    let (mut before, mut seen) = (None, 0);
    loop {
        let page = list(&bench, any(), before, 1_000).await;
        assert_eq!(page.searched_to, None, "no row was left out");
        seen += page.rows.len();
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, 20_500);
    let rare = || WorkflowFilter { workflow: Some("rare".to_owned()), ..any() };
    let page = list(&bench, rare(), None, 100).await;
    assert_eq!(page.rows.len(), 0);
    let (next, searched_to) = (page.next.unwrap(), page.searched_to.unwrap());
    assert_eq!(searched_to.timestamp(), 1_700_000_500);
    let page = list(&bench, rare(), Some(next), 100).await;
    assert_eq!((page.rows.len(), page.next, page.searched_to), (10, None, None));
    let moment = |secs: i64| chrono::DateTime::from_timestamp(1_700_000_000 + secs, 0);
    let between = WorkflowFilter { started_from: moment(10_000), started_before: moment(10_050), ..any() };
    let page = list(&bench, between, None, 100).await;
    assert_eq!((page.rows.len(), page.next), (50, None));
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_counted_by_status_and_version_and_shown_with_their_journal() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    let db = bench.scratch.database.reader();
    let totals = admin::totals(&db).await.unwrap();
    let counts: Vec<u32> = totals.statuses.iter().map(|status| status.count.count).collect();
    assert_eq!(counts, [1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert!(totals.statuses.iter().all(|status| !status.count.is_more));
    let of = |version: i32| {
        let found =
            totals.versions.iter().filter(|found| found.workflow == "flow" && found.version == version);
        found.map(|found| found.count.count).sum::<u32>()
    };
    assert_eq!((of(1), of(2)), (5, 3));

    let detail = admin::find(&db, run(2)).await.unwrap().unwrap();
    assert_eq!((detail.subject.as_deref(), detail.tenant.as_deref()), (Some("ana"), Some("acme")));
    assert_eq!((detail.journal.len(), detail.steps_before, detail.children.len()), (2, 0, 5));
    let [wait] = &*detail.waits else { panic!("one wait: {:?}", detail.waits) };
    assert_eq!((wait.event.as_deref(), wait.key.as_deref()), (Some("accounts.verified"), Some("7")));
    assert!(wait.until.is_some_and(|until| until > wait.since) && detail.run.due_at.is_none());
    let detail = admin::find(&db, run(1)).await.unwrap().unwrap();
    assert_eq!(detail.run.node.as_deref(), Some("ana"));
    let detail = admin::find(&db, run(6)).await.unwrap().unwrap();
    let positions: Vec<&str> = detail.journal.iter().map(|step| &*step.position).collect();
    assert_eq!((positions, detail.ending), (vec!["1", "-1"], Some(WorkflowStatus::Cancelled)));
    let failed = &detail.journal[1];
    assert_eq!((failed.compensates.as_deref(), failed.failed_attempts.len()), (Some("1"), 1));
    assert!(admin::find(&db, run(99)).await.unwrap().is_none());

    // Positions are compared as numbers, and long values are left to `find_step`.
    bench
        .run(
            "INSERT INTO forge_workflow_steps (run_id, position, kind, status, name, shape, number, output, started_at, finished_at)
             SELECT '01900000-0000-7000-8000-000000000000', position, 'call', 'completed', 's', 2, 2,
                    to_json(repeat('x', 5000)), now(), now()
             FROM unnest(ARRAY['10', '9', '2.0.11', '2.0.2', '-2.0.2']) AS position",
        )
        .await;
    let detail = admin::find(&db, run(0)).await.unwrap().unwrap();
    let positions: Vec<&str> = detail.journal.iter().map(|step| &*step.position).collect();
    assert_eq!(positions, ["1", "2.0.2", "-2.0.2", "2.0.11", "9", "10"]);
    for (before, expected) in [("9", &positions[..4]), ("-2.0.2", &positions[..2]), ("1", &[])] {
        let earlier = admin::list_steps(&db, run(0), Some(before)).await.unwrap();
        let found: Vec<&str> = earlier.steps.iter().map(|step| &*step.position).collect();
        assert_eq!((&*found, earlier.steps_before), (expected, 0), "{before}");
    }
    let refused = admin::list_steps(&db, run(0), Some("2.x")).await.unwrap_err();
    assert_eq!(refused.code(), Code::BadRequest);
    let long = &detail.journal[5];
    assert_eq!((long.output.as_deref(), long.output_bytes), (None, Some(5_002)));
    let step = admin::find_step(&db, run(0), "10").await.unwrap().unwrap();
    assert_eq!((step.output.map(|output| output.len()), step.status), (Some(5_002), StepStatus::Completed));
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_shown_as_under_way_or_interrupted_until_the_journal_or_another_claim_says_more() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    // The runs 0 to 2 are ready, running and waiting, and have been claimed three times.
    bench
        .run(
            "INSERT INTO forge_workflow_attempts (run_id, position, owner_id, claim, kind, name, attempt, began_at)
             SELECT ('01900000-0000-7000-8000-00000000000' || run)::uuid, position, owner.id + other, claim, 'call', 's', attempt,
                    now() - interval '12 s'
             FROM forge_workflow_owners owner,
                  (VALUES (0, '2', 7, 3, 1), (1, '2', 0, 3, 1), (1, '1', 0, 3, 2), (1, '3', 0, 2, 1), (2, '2', 7, 3, 2),
                          (2, '3', 7, 2, 1), (8, '3', 7, 4, 1)) AS attempt (run, position, other, claim, attempt)",
        )
        .await;
    let db = bench.scratch.database.reader();
    let shown = async |n: u128| {
        let steps = admin::find(&db, run(n)).await.unwrap().unwrap().journal.into_iter();
        let text = |step: admin::WorkflowStep| {
            format!("{} {} {}", step.position, step.status.as_str(), step.attempts)
        };
        steps.map(text).collect::<Vec<_>>()
    };
    assert_eq!(shown(0).await, ["1 completed 1", "2 interrupted 1"], "nobody owns the run");
    assert_eq!(shown(1).await, ["1 completed 1", "2 running 1"], "3 is of an earlier claim, 1 has ended");
    assert_eq!(shown(2).await, ["1 completed 1", "2 interrupted 2"], "the first attempt is in the journal");
    assert_eq!(shown(8).await, ["1 completed 1", "2 failed 3"], "the run has ended");
    let step = admin::find_step(&db, run(0), "2").await.unwrap().unwrap();
    assert_eq!((step.attempt_at, step.finished_at), (Some(step.started_at), None));
    bench.run("UPDATE forge_workflow_owners SET expires_at = now() - interval '1 s'").await;
    assert_eq!(shown(1).await, ["1 completed 1", "2 interrupted 1"], "the lease has run out");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_changes_the_runs_in_the_states_that_it_applies_to() {
    let bench = Bench::open().await;
    let all: Vec<RunId> = (0..12).chain([20]).map(run).collect();
    for (action, expected) in [
        (WorkflowAction::Cancel, [0, 1, 2, 4, 5, 20].as_slice()),
        (WorkflowAction::Terminate, &[0, 1, 2, 3, 4, 5, 6, 20]),
        (WorkflowAction::Pause, &[0, 1, 2]),
        (WorkflowAction::Resume, &[4, 20]),
        (WorkflowAction::Retry, &[5, 6, 8, 9, 10]),
    ] {
        bench
            .run(
                "TRUNCATE forge_workflow_owners, forge_workflow_runs, forge_workflow_history, forge_workflow_steps,
                          forge_workflow_events, forge_workflow_keys",
            )
            .await;
        bench.run(ONE_OF_EACH).await;
        let changed: BTreeSet<RunId> = apply(&bench, action, &all).await.unwrap().ids.into_iter().collect();
        assert_eq!(changed, expected.iter().map(|n| run(*n)).collect(), "{action:?}");
        let again = apply(&bench, action, &all).await.unwrap().ids;
        assert_eq!(again, [], "{action:?}: a second time changes nothing");
        for id in &all {
            let row = ChangedRuns::default().of_one(&bench.scratch.database.reader(), action, *id).await;
            let refused = row.unwrap_err();
            assert_eq!(refused.code(), Code::Conflict, "{action:?} {id}: {refused}");
        }
        let states = "SELECT string_agg(right(id::text, 2) || ' ' || state, ', ' ORDER BY id) FROM (
                          SELECT id, status::text || coalesce(' ' || request::text, '') AS state FROM forge_workflow_runs
                          UNION ALL SELECT id, status::text FROM forge_workflow_history
                      ) AS run WHERE id <= '01900000-0000-7000-8000-000000000006'
                                  OR id = '01900000-0000-7000-8000-000000000020'";
        let expected = match action {
            WorkflowAction::Cancel => {
                "00 ready cancel, 01 running cancel, 02 ready cancel, 03 waiting, 04 ready cancel, 05 ready cancel, \
                 06 compensation_failed, 20 running cancel"
            }
            WorkflowAction::Terminate => {
                "00 terminated, 01 terminated, 02 terminated, 03 terminated, 04 terminated, 05 terminated, \
                 06 terminated, 20 terminated"
            }
            WorkflowAction::Pause => {
                "00 paused, 01 running pause, 02 paused, 03 waiting, 04 paused, 05 diverged, 06 compensation_failed, \
                 20 running pause"
            }
            WorkflowAction::Resume => {
                "00 ready, 01 running, 02 waiting, 03 waiting, 04 ready, 05 diverged, 06 compensation_failed, \
                 20 running"
            }
            WorkflowAction::Retry => {
                "00 ready, 01 running, 02 waiting, 03 waiting, 04 paused, 05 ready, 06 ready, 20 running pause"
            }
        };
        assert_eq!(text(&bench, states).await, expected, "{action:?}");
    }
    let missing =
        ChangedRuns::default().of_one(&bench.scratch.database.reader(), WorkflowAction::Pause, run(99)).await;
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_run_tells_those_that_wait_and_asks_its_children_to_cancel() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    // Two children of run 2: one is cancelled with it, one goes on. Another run waits for its end.
    bench
        .run(
            "UPDATE forge_workflow_runs SET parent_id = '01900000-0000-7000-8000-000000000002', parent_policy = 'cancel'
             WHERE id = '01900000-0000-7000-8000-000000000004';
             UPDATE forge_workflow_runs SET parent_id = '01900000-0000-7000-8000-000000000002', parent_policy = 'abandon'
             WHERE id = '01900000-0000-7000-8000-000000000000';
             UPDATE forge_workflow_runs SET awaited = true, retain_secs = 60
             WHERE id = '01900000-0000-7000-8000-000000000002'",
        )
        .await;
    let changed = apply(&bench, WorkflowAction::Terminate, &[run(2)]).await.unwrap();
    assert!(changed.wakes_claimers && changed.wakes_routers);
    let sql = "SELECT error ->> 'message' FROM forge_workflow_history WHERE id = '01900000-0000-7000-8000-000000000002'
               AND expires_at < now() + interval '2 min'";
    assert_eq!(text(&bench, sql).await, "terminated by ana: no use");
    let sql = "SELECT string_agg(event || ' ' || right(key, 2), ',') FROM forge_workflow_events";
    assert_eq!(text(&bench, sql).await, "forge.run 02");
    let sql =
        "SELECT string_agg(position || ' ' || status::text, ',' ORDER BY position) FROM forge_workflow_steps
               WHERE run_id = '01900000-0000-7000-8000-000000000002'";
    assert_eq!(text(&bench, sql).await, "1 completed,2 abandoned");
    let sql = "SELECT string_agg(right(id::text, 2) || ' ' || status::text || coalesce(' ' || request::text, ''), ',' ORDER BY id)
               FROM forge_workflow_runs WHERE parent_id IS NOT NULL";
    assert_eq!(text(&bench, sql).await, "00 ready,04 ready cancel");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_run_is_brought_back_with_the_steps_before_the_named_one() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    bench
        .run(
            "UPDATE forge_workflow_history SET key = '\"order 1\"', deadline_at = created_at + interval '2 h'
             WHERE id = '01900000-0000-7000-8000-000000000008';
             INSERT INTO forge_workflow_keys VALUES ('other', '', '\"order 1\"', '01900000-0000-7000-8000-000000000007')",
        )
        .await;
    let retry = async |n: u128, from: Option<&str>| {
        admin::retry_from(&bench.scratch.database.writer(), run(n), from).await.map_err(|fault| fault.code())
    };
    assert_eq!(retry(8, None).await, Err(Code::Conflict), "another run has the id of the application");
    bench.run("UPDATE forge_workflow_keys SET run_id = '01900000-0000-7000-8000-000000000008'").await;
    assert_eq!(retry(8, Some("nothing")).await, Err(Code::NotFound));
    for n in [2, 7, 11, 99] {
        assert_eq!(retry(n, None).await, Ok(false), "{n}");
    }
    assert_eq!(retry(8, None).await, Ok(true));
    assert_eq!(retry(8, None).await, Ok(false), "it has not ended any more");
    let sql =
        "SELECT status::text || ' ' || claim || ' ' || (error IS NULL) || ' ' || (deadline_at > now()) || ' '
                      || parent_policy::text || ' ' || round(retain_secs / 86400)
               FROM forge_workflow_runs WHERE id = '01900000-0000-7000-8000-000000000008'";
    assert_eq!(text(&bench, sql).await, "ready 4 true true abandon 6");
    let sql = "SELECT string_agg(position, ',') FROM forge_workflow_steps WHERE run_id = '01900000-0000-7000-8000-000000000008'";
    assert_eq!(text(&bench, sql).await, "1", "the step that had failed runs again");
    // A terminated run waits again for what it waited for.
    apply(&bench, WorkflowAction::Terminate, &[run(2)]).await.unwrap();
    assert_eq!(retry(2, None).await, Ok(true));
    let sql =
        "SELECT string_agg(position || ' ' || status::text, ',' ORDER BY position) FROM forge_workflow_steps
               WHERE run_id = '01900000-0000-7000-8000-000000000002'";
    assert_eq!(text(&bench, sql).await, "1 completed,2 waiting");
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_compensation_is_retried_with_all_attempts_or_skipped() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    let state = "SELECT run.status::text || ' ' || step.status::text || ' ' || step.attempts || ' ' || (step.due_at IS NULL)
                 FROM forge_workflow_runs run JOIN forge_workflow_steps step ON step.run_id = run.id
                 WHERE run.id = '01900000-0000-7000-8000-000000000006' AND step.position = '-1'";
    assert_eq!(apply(&bench, WorkflowAction::Retry, &[run(6)]).await.unwrap().ids, [run(6)]);
    assert_eq!(text(&bench, state).await, "ready retrying 0 true");
    let skip = async |n: u128| {
        let db = bench.scratch.database.writer();
        admin::skip_compensation(&db, run(n), "ana", "paid back by hand").await.map_err(|fault| fault.code())
    };
    assert_eq!(skip(6).await, Err(Code::Conflict), "it is tried again");
    bench
        .run("UPDATE forge_workflow_runs SET status = 'compensation_failed' WHERE ending = 'cancelled'")
        .await;
    assert_eq!(skip(6).await, Ok("reserve".to_owned()));
    assert_eq!(text(&bench, state).await, "ready skipped 0 true");
    let sql = "SELECT output ->> 'reason' FROM forge_workflow_steps WHERE position = '-1'";
    assert_eq!(text(&bench, sql).await, "paid back by hand");
    assert_eq!((skip(2).await, skip(99).await), (Err(Code::Conflict), Err(Code::NotFound)));
    bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_has_the_first_steps_of_another_run_and_no_id_of_the_application() {
    let bench = Bench::open().await;
    bench.run(ONE_OF_EACH).await;
    let db = bench.scratch.database.writer();
    let forked = admin::fork(&db, run(8), None, Some(2)).await.unwrap();
    assert_eq!(forked.steps, 1);
    let detail = admin::find(&db, forked.id).await.unwrap().unwrap();
    assert_eq!(
        (detail.run.version, detail.run.key, detail.run.parent, detail.continues),
        (2, None, None, None)
    );
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&detail.attributes.unwrap()).unwrap(),
        serde_json::json!({ "n": 8, "forkedFrom": run(8).to_string() })
    );
    assert_eq!(detail.journal.iter().map(|step| &*step.position).collect::<Vec<_>>(), ["1"]);
    let sql = format!("SELECT claim::text FROM forge_workflow_runs WHERE id = '{}'", forked.id);
    assert_eq!(text(&bench, &sql).await, "1", "its journal is read at its first claim");
    // A run that waits is forked without its wait, from the beginning with no step.
    let forked = admin::fork(&db, run(2), None, None).await.unwrap();
    assert_eq!((forked.steps, admin::fork(&db, run(2), Some("1"), None).await.unwrap().steps), (1, 0));
    let detail = admin::find(&db, forked.id).await.unwrap().unwrap();
    assert_eq!((detail.run.version, detail.waits.len(), detail.run.status), (1, 0, WorkflowStatus::Ready));
    assert_eq!(admin::fork(&db, run(99), None, None).await.unwrap_err().code(), Code::NotFound);
    bench.scratch.drop().await;
}
