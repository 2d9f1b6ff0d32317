//! Crons on real nodes: each time runs once whatever happens to leaders, what was missed is made up for, runs
//! that meet follow their rule, and administrators run, pause and resume.

use std::time::Duration;

use forge_actors::test_signals::Step;
use forge_tests::{Binary, Database, Ended, Node, Process, Signal, Signals, probe, until};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::Row;

use super::peers::member;
use super::sessions::metric;
use super::stage::{PATIENCE, probe_on};

const NAMES: [&str; 3] = ["forge-1", "forge-2", "forge-3"];
/// A leader is killed, then another one frozen, this many times.
const ROUNDS: usize = 2;
/// An election and a lease of a job: what may pass before a lost run has ended.
const LONG: Duration = Duration::from_secs(60);

/// What the crons of the probe did: a row for each run, so that a run that came twice is seen. No migration
/// of the probe: the version before, from which nodes are rolled, would not start on a schema that it does
/// not know.
pub(super) const TICKS: &str = "create table probe_ticks (
        cron text not null, scheduled_at timestamptz not null, catch_up boolean not null, late boolean not null,
        began_at timestamptz not null, ended_at timestamptz not null default clock_timestamp()
    );
    create index on probe_ticks (cron, scheduled_at)";

pub(super) async fn database() -> Database {
    let database = Database::create().await;
    database.execute(TICKS).await;
    database
}

/// The present leader of `crons`, and its epoch.
async fn leader(database: &Database) -> Option<(String, i64)> {
    let rows = database
        .rows("select node_name, epoch from forge_leaders where name = 'crons' and resigned_at is null")
        .await;
    rows.first().map(|row| (row.get(0), row.get(1)))
}

/// Waits for a leader with a higher epoch than `after`.
pub(super) async fn await_leader(database: &Database, after: i64) -> (String, i64) {
    until(&format!("crons are led in an epoch above {after}"), LONG, || async {
        leader(database).await.filter(|(_, epoch)| *epoch > after)
    })
    .await
}

pub(super) async fn schedule(
    node: &Node,
    name: &str,
    expression: &str,
    overlap: &str,
    catch_up: u32,
    ms: u32,
) {
    let args =
        json!({ "name": name, "expression": expression, "overlap": overlap, "catchUp": catch_up, "ms": ms });
    let reply = node.call("crons.schedule", args, Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

async fn ask(node: &Node, function: &str, args: Value) -> Value {
    let reply = node.call(function, args, Some(&probe::admin_token())).await;
    assert_eq!(reply.status, 200, "{function}: {}", reply.text);
    reply.data()
}

async fn count(database: &Database, sql: &str) -> i64 {
    database.value(&format!("select count(*) from {sql}")).await
}

/// Waits until so many more times of a cron have come.
pub(super) async fn await_times(database: &Database, more: i64) {
    let goal = count(database, "forge_cron_runs").await + more;
    until(&format!("{goal} times have come"), LONG, || async {
        (count(database, "forge_cron_runs").await >= goal).then_some(())
    })
    .await;
}

/// Pauses the cron and waits until all of its runs have ended.
pub(super) async fn finish(node: &Node, database: &Database, name: &str) {
    let reply = node.call("crons.pause", json!({ "name": name }), Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    until("all runs have ended", LONG, || async {
        let open = count(database, "forge_cron_runs where status in ('waiting', 'dispatched')").await;
        (open == 0).then_some(())
    })
    .await;
}

/// Every second between the first and the last time has one run that had one effect, and the terms of the
/// runs only grow.
pub(super) async fn each_second_ran_once(database: &Database) {
    let row = &database
        .rows(
            "select count(*), count(distinct scheduled_at),
                    extract(epoch from max(scheduled_at) - min(scheduled_at))::int8 + 1,
                    (select count(*) from forge_cron_runs where status = 'completed'),
                    (select count(*) from forge_cron_runs)
             from probe_ticks",
        )
        .await[0];
    let [ticks, distinct, seconds, completed, runs] = [0, 1, 2, 3, 4].map(|column| row.get::<i64, _>(column));
    assert!(
        ticks > 0 && [ticks, distinct, completed, runs] == [seconds; 4],
        "{ticks} effects of {distinct} times, {completed} of {runs} runs completed, in {seconds} seconds"
    );
    let back = count(
        database,
        "(select epoch - lag(epoch) over (order by scheduled_at) as step from forge_cron_runs) steps where step < 0",
    )
    .await;
    assert_eq!(back, 0, "an older term wrote after a newer one");
}

#[tokio::test]
async fn every_second_runs_once_while_leaders_are_killed_and_frozen() {
    let database = database().await;
    let mut nodes = join_all(NAMES.iter().map(|name| member(&database, name).start())).await;
    let position = |name: &str| NAMES.iter().position(|known| *known == name).expect("a node of this test");
    schedule(&nodes[0], "second", "* * * * * *", "allow", 60, 0).await;
    await_times(&database, 3).await;
    let mut epoch = 0;
    for _ in 0..ROUNDS {
        let (name, led) = await_leader(&database, epoch).await;
        nodes[position(&name)].process().signal(Signal::KILL);
        let (frozen, next) = await_leader(&database, led).await;
        await_times(&database, 2).await;
        nodes[position(&name)] = member(&database, &name).start().await;
        nodes[position(&frozen)].process().signal(Signal::STOP);
        let (_, last) = await_leader(&database, next).await;
        await_times(&database, 3).await;
        nodes[position(&frozen)].process().signal(Signal::CONT);
        nodes[position(&frozen)].await_ready(PATIENCE).await;
        epoch = last - 1;
    }
    finish(&nodes[0], &database, "second").await;
    each_second_ran_once(&database).await;
    let gaps: Vec<f64> = database
        .column(
            "select extract(epoch from created_at - scheduled_at)::float8 from forge_cron_runs
             order by 1 desc limit 5",
        )
        .await;
    println!("{} terms; the latest dispatches came after {gaps:.1?} s", epoch + 1);
}

#[tokio::test]
async fn of_ten_nodes_one_dispatches() {
    let database = database().await;
    let first = member(&database, "first").start().await;
    schedule(&first, "second", "* * * * * *", "allow", 60, 0).await;
    let names: Vec<_> = (1..10).map(|number| format!("node-{number}")).collect();
    let mut nodes = join_all(names.iter().map(|name| member(&database, name).start())).await;
    nodes.push(first);
    await_times(&database, 5).await;
    let leading =
        join_all(nodes.iter().map(|node| metric(node, "forge_leader_leading{leadership=\"crons\"}"))).await;
    assert_eq!(leading.iter().sum::<f64>(), 1.0, "{leading:?}");
    finish(&nodes[0], &database, "second").await;
    each_second_ran_once(&database).await;
    let epochs: Vec<i64> = database.column("select distinct epoch from forge_cron_runs").await;
    assert_eq!(epochs, [1]);
}

/// Freezes the leader at `step` of its transaction, and lets it go on when another node leads.
async fn frozen_at(step: Step) {
    let database = database().await;
    let signals = Signals::new();
    let mut frozen = member(&database, NAMES[0]).signals(&signals).start().await;
    schedule(&frozen, "second", "* * * * * *", "allow", 60, 0).await;
    await_times(&database, 2).await;
    let (name, epoch) = await_leader(&database, 0).await;
    let term = format!("crons.{epoch}");
    let hold = signals.hold(step, &term);
    signals.reached(step, &term, signals.count(step, &term) + 1).await;
    frozen.process().signal(Signal::STOP);
    let second = member(&database, NAMES[1]).start().await;
    await_leader(&database, epoch).await;
    await_times(&database, 3).await;
    let refused = "forge_duty_runs_total{duty=\"cron_scheduler\",outcome";
    drop(hold);
    frozen.process().signal(Signal::CONT);
    until("the transaction that was frozen has ended", LONG, || async {
        let ended = async |outcome| metric(&frozen, &format!("{refused}=\"{outcome}\"}}")).await;
        (ended("failed").await + ended("cancelled").await > 0.0).then_some(())
    })
    .await;
    finish(&second, &database, "second").await;
    each_second_ran_once(&database).await;
    assert_eq!(name, NAMES[0]);
}

#[tokio::test]
async fn a_leader_frozen_before_the_databases_check_dispatches_nothing() {
    frozen_at(Step::TermChecked).await;
}

#[tokio::test]
async fn a_leader_frozen_before_it_writes_dispatches_nothing() {
    frozen_at(Step::TermLocked).await;
}

#[tokio::test]
async fn what_was_missed_while_no_node_ran_is_made_up_for() {
    let database = database().await;
    let node = probe_on(&database).start().await;
    schedule(&node, "minute", "* * * * *", "skip", 3, 0).await;
    let code = "forge_crons where name = 'crons.yearly' and source = 'code'";
    until("the schedule of the code is there", PATIENCE, || async {
        (count(&database, code).await == 1).then_some(())
    })
    .await;
    node.stop(PATIENCE).await;
    // As if all nodes had been down for an hour, and over two turns of the year.
    database.execute("update forge_crons set next_at = date_trunc('minute', now()) - interval '1 h' where name = 'minute'").await;
    database
        .execute(
            "update forge_crons set next_at = (date_trunc('year', now() at time zone 'Europe/Berlin') - interval '3 years')
             at time zone 'Europe/Berlin' where name = 'crons.yearly'",
        )
        .await;
    let node = probe_on(&database).start().await;
    until("three missed minutes and two missed years have run", LONG, || async {
        let done = "forge_cron_runs where catch_up and status = 'completed'";
        (count(&database, done).await == 5).then_some(())
    })
    .await;
    let minute = "(select runs.* from forge_cron_runs runs join forge_crons on id = cron_id where name = 'minute') runs";
    let missed: i64 =
        database.value(&format!("select sum(times) from {minute} where reason = 'missed'")).await;
    let on_time =
        count(&database, &format!("{minute} where not catch_up and reason is distinct from 'missed'")).await;
    // The hour has 61 times. Of those that were missed the newest three ran; some may have come meanwhile, or
    // were skipped because one of the three ran.
    assert!(missed + 3 + on_time >= 61, "{missed} missed, {on_time} on time");
    let made_up: Vec<bool> =
        database.column("select catch_up and late from probe_ticks order by scheduled_at limit 3").await;
    assert_eq!(made_up, [true; 3], "their handlers know");
    let meeting =
        "probe_ticks a join probe_ticks b on a.scheduled_at < b.scheduled_at and b.began_at < a.ended_at";
    assert_eq!(count(&database, meeting).await, 0, "one after the other");
    let years: Vec<String> = database.column("select key from probe_effects order by key").await;
    assert_eq!(years.len(), 2, "{years:?}");
    assert!(years.iter().all(|year| year.ends_with("-01-01 00:00:00")), "{years:?}");
    node.stop(PATIENCE).await;
}

#[tokio::test]
async fn runs_that_meet_are_skipped_or_wait() {
    let database = database().await;
    let node = probe_on(&database).start().await;
    schedule(&node, "skipping", "* * * * * *", "skip", 0, 2_500).await;
    schedule(&node, "queueing", "*/3 * * * * *", "queue", 0, 3_500).await;
    schedule(&node, "beside", "* * * * * *", "allow", 0, 2_500).await;
    let ticks = |name: &str| format!("probe_ticks where cron = '{name}'");
    for name in ["skipping", "queueing", "beside"] {
        until(&format!("{name} has run"), LONG, || async {
            (count(&database, &ticks(name)).await >= 3).then_some(())
        })
        .await;
    }
    for name in ["skipping", "queueing", "beside"] {
        finish_cron(&node, name).await;
    }
    let meeting = async |name: &str| {
        count(
            &database,
            &format!(
                "probe_ticks a join probe_ticks b on a.cron = b.cron and a.scheduled_at < b.scheduled_at
                 and b.began_at < a.ended_at where a.cron = '{name}'"
            ),
        )
        .await
    };
    assert_eq!((meeting("skipping").await, meeting("queueing").await), (0, 0));
    assert!(meeting("beside").await > 0, "these run beside each other");
    let of = |name: &str, status: &str| {
        format!("forge_cron_runs join forge_crons on id = cron_id where name = '{name}' and {status}")
    };
    assert!(count(&database, &of("skipping", "reason = 'overlap'")).await > 0);
    assert_eq!(count(&database, &of("queueing", "status = 'skipped'")).await, 0);
    assert_eq!(count(&database, &of("beside", "status = 'skipped'")).await, 0);
    let shown = ask(&node, "forge.cron", json!({ "cron": "skipping" })).await;
    let runs = shown["runs"].as_array().expect("runs");
    assert!(runs.iter().any(|run| run["status"] == "skipped" && run["reason"] == "overlap"), "{shown:#}");
    assert!(runs.iter().any(|run| run["status"] == "completed" && run["startedAt"].is_string()), "{shown:#}");
}

async fn finish_cron(node: &Node, name: &str) {
    ask(node, "forge.pauseCron", json!({ "cron": name })).await;
}

#[tokio::test]
async fn a_schedule_without_a_handler_is_kept_and_said() {
    let database = database().await;
    let mut node = probe_on(&database).start().await;
    schedule(&node, "lost", "* * * * * *", "allow", 0, 0).await;
    await_times(&database, 1).await;
    node.stop(PATIENCE).await;
    database.execute("update forge_crons set handler = 'crons.removed' where name = 'lost'").await;
    // A schedule of the code that is named differently now keeps its row.
    database
        .execute(
            "update forge_crons set name = 'crons.annual', handler = 'crons.annual' where source = 'code'",
        )
        .await;
    let known: String = database.value("select id::text from forge_crons where source = 'code'").await;
    node = probe_on(&database).start().await;
    until("the schedule is marked", PATIENCE, || async {
        let absent: bool = database.value("select is_absent from forge_crons where name = 'lost'").await;
        absent.then_some(())
    })
    .await;
    let said = node.process().stderr().line("cron without a schedule or a handler in this binary");
    assert!(said.is_some_and(|line| line.contains("crons.removed")));
    let shown = ask(&node, "forge.cron", json!({ "cron": "lost" })).await;
    assert_eq!((&shown["cron"]["state"], &shown["cron"]["upcoming"]), (&json!("no_handler"), &json!([])));
    let renamed: Vec<String> = database
        .column("select id::text from forge_crons where source = 'code' and name = 'crons.yearly'")
        .await;
    assert_eq!(renamed, [known]);
    assert_eq!(metric(&node, "forge_cron_schedules{state=\"absent\"}").await, 1.0);
}

#[tokio::test]
async fn a_cron_is_listed_run_paused_and_resumed_from_the_shell() {
    let database = database().await;
    let node = probe_on(&database).start().await;
    schedule(&node, "weekly", "0 8 * * MON", "skip", 1, 0).await;
    until("both schedules are there", PATIENCE, || async {
        (count(&database, "forge_crons").await == 2).then_some(())
    })
    .await;
    let listed = shell(&node, &["ls"]).await;
    for line in listed.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for words in ["crons.yearly  0 0 1 1 *    active", "weekly        0 8 * * MON  active"] {
        assert!(listed.contains(words), "`{words}` is missing:\n{listed}");
    }
    let next = shell(&node, &["next", "crons.yearly", "-n", "3"]).await;
    let lines: Vec<_> = next.lines().collect();
    assert_eq!(lines.len(), 4, "{next}");
    for line in &lines[1..] {
        assert!(line.contains("-01-01 00:00:00 CET  ") && line.ends_with("-12-31 23:00:00"), "{line}");
    }

    let run = shell(&node, &["run", "crons.yearly"]).await;
    assert!(run.contains("requested by admin") && run.contains("0 0 1 1 * Europe/Berlin"), "{run}");
    until("the run that was asked for has its effect", PATIENCE, || async {
        (count(&database, "probe_effects where key = 'requested'").await == 1).then_some(())
    })
    .await;
    let paused = shell(&node, &["pause", "weekly"]).await;
    assert!(paused.contains("paused") && !paused.contains("next "), "{paused}");
    let again = ended(&node, &["pause", "weekly"]).await;
    assert!(again.code() != 0 && again.stderr.contains("the cron is paused already"), "{}", again.stderr);
    let resumed = shell(&node, &["resume", "weekly"]).await;
    assert!(resumed.contains("active") && resumed.contains("08:00:00 UTC"), "{resumed}");
    let none = ended(&node, &["show", "nothing"]).await;
    assert!(none.stderr.contains("there is no cron `nothing`"), "{}", none.stderr);
    let json: Value = serde_json::from_str(&shell(&node, &["show", "weekly", "--json"]).await).expect("JSON");
    assert_eq!((&json["cron"]["overlap"], &json["args"]), (&json!("skip"), &json!(r#"{"ms":0}"#)));

    let actions: Vec<String> =
        database.column("select action || ' ' || split_part(target, ' ', 1) || ' ' || outcome::text from forge_audit order by id").await;
    assert_eq!(
        actions,
        ["runCron crons.yearly done", "pauseCron weekly done", "resumeCron weekly done"],
        "a command that was refused has left nothing"
    );
    let refused = node.call("forge.runCron", json!({ "cron": "weekly" }), Some(&probe::token("ana"))).await;
    assert_eq!(refused.status, 403);
}

/// A run of `name`, so long before the start of the slot that contains now.
async fn insert_run(database: &Database, name: &str, before: &str, columns: &str, values: &str) {
    let at = format!("date_bin('30 minutes', now(), 'epoch') - interval '{before}'");
    let insert = format!(
        "insert into forge_cron_runs (cron_id, scheduled_at, last_at, epoch, {columns})
         select id, {at}, {at}, 1, {values} from forge_crons where name = '{name}'"
    );
    database.execute(&insert).await;
}

#[tokio::test]
async fn the_last_day_of_a_cron_is_counted_in_half_hours() {
    let database = database().await;
    let node = probe_on(&database).start().await;
    for name in ["busy", "idle", "minutely"] {
        schedule(&node, name, "0 0 29 2 *", "skip", 1, 0).await;
    }
    let ended = "status, job_id, started_at, finished_at";
    let end = |status: &str, begun: &str| {
        let at = "date_bin('30 minutes', now(), 'epoch')";
        format!("'{status}', gen_random_uuid(), {at} - interval '{begun}', {at}")
    };
    insert_run(&database, "busy", "60 min", ended, &end("completed", "59:55")).await;
    insert_run(&database, "busy", "59 min", ended, &end("completed", "50 min")).await;
    insert_run(&database, "busy", "29 min", ended, &end("dead_letter", "29 min")).await;
    insert_run(&database, "busy", "28 min", ended, &end("cancelled", "28 min")).await;
    insert_run(&database, "busy", "27 min", "status, reason", "'skipped', 'overlap'").await;
    insert_run(&database, "busy", "26 min", "status, reason", "'skipped', 'queue_full'").await;
    insert_run(&database, "busy", "25 min", ended, &end("unknown", "25 min")).await;
    insert_run(&database, "busy", "25 hours", ended, &end("completed", "25 hours")).await;
    // Five times of one row, in the last slot before the day and in the first two of it.
    insert_run(&database, "busy", "23:45", "status, reason, times", "'skipped', 'missed', 5").await;
    database
        .execute("update forge_cron_runs set last_at = last_at + interval '1 h' where reason = 'missed'")
        .await;
    database
        .execute(
            "insert into forge_cron_runs (cron_id, scheduled_at, last_at, epoch, status, job_id, started_at, finished_at)
             select id, at, at, 1, 'completed', gen_random_uuid(), at, at
             from forge_crons, generate_series(now() - interval '1500 min', now(), '1 min') as at where name = 'minutely'",
        )
        .await;
    let listed = ask(&node, "forge.crons", json!({ "search": "29 2" })).await;
    let listed = listed.as_array().expect("a list");
    let id = |name: &str| listed.iter().find(|cron| cron["name"] == name).expect("a cron")["id"].to_owned();
    let asked = json!({ "crons": [id("busy"), id("idle"), id("minutely")] });
    let days = ask(&node, "forge.cronDays", asked).await;
    assert_eq!((&days["slotMs"], &days["slots"]), (&json!(1_800_000), &json!(48)));
    let day = |name: &str| {
        let crons = days["crons"].as_array().expect("days");
        crons.iter().find(|day| day["cron"] == id(name)).expect("a day").to_owned()
    };
    let slot = |index: u32, counts: Value| {
        let zeros = ["completed", "late", "failed", "missed", "overlapped", "unfinished", "unknown"];
        let mut slot: Value = zeros.iter().map(|name| (name.to_string(), json!(0))).collect();
        slot["index"] = json!(index);
        for (name, count) in counts.as_object().expect("counts") {
            slot[name] = count.to_owned();
        }
        slot
    };
    let expected = json!([
        slot(0, json!({ "missed": 2 })),
        slot(1, json!({ "missed": 1 })),
        slot(45, json!({ "completed": 1, "late": 1 })),
        slot(46, json!({ "failed": 2, "overlapped": 2, "unknown": 1 })),
    ]);
    assert_eq!((&day("busy")["slots"], &day("busy")["knownFrom"]), (&expected, &Value::Null));
    assert_eq!(day("idle")["slots"], json!([]));
    let minutely = day("minutely");
    let sum: u64 =
        minutely["slots"].as_array().expect("slots").iter().filter_map(|s| s["completed"].as_u64()).sum();
    assert!(sum < 1_441 && sum > 1_400 && minutely["knownFrom"].is_string(), "{minutely:#}");
    let shown = ask(&node, "forge.cron", json!({ "cron": id("busy") })).await;
    let late: Vec<bool> =
        shown["runs"].as_array().expect("runs").iter().map(|run| run["isLate"] == true).collect();
    assert_eq!(late, [false, false, false, false, false, true, false, false, false], "{shown:#}");
}

#[tokio::test]
async fn crons_are_found_by_state_and_text() {
    let database = database().await;
    let node = probe_on(&database).start().await;
    for name in ["invoices", "reminders", "reports"] {
        schedule(&node, name, "0 0 29 2 *", "skip", 1, 0).await;
    }
    finish_cron(&node, "reminders").await;
    let ended = "status, job_id, finished_at";
    insert_run(&database, "reports", "1 h", ended, "'dead_letter', gen_random_uuid(), now()").await;
    insert_run(&database, "invoices", "2 h", ended, "'failed', gen_random_uuid(), now()").await;
    insert_run(&database, "invoices", "1 h", ended, "'completed', gen_random_uuid(), now()").await;
    let found = async |filter: Value| {
        let rows = ask(&node, "forge.crons", filter).await;
        let name = |row: &Value| row["name"].as_str().expect("a name").to_owned();
        rows.as_array()
            .expect("a list")
            .iter()
            .map(name)
            .filter(|name| name != "crons.yearly")
            .collect::<Vec<_>>()
    };
    assert_eq!(found(json!({ "search": "RE" })).await, ["reminders", "reports"], "in either case");
    assert_eq!(found(json!({ "search": "crons.tick 29" })).await, [""; 0], "no glob, no words");
    assert_eq!(found(json!({ "state": "paused" })).await, ["reminders"]);
    assert_eq!(found(json!({ "state": "active", "search": "29 2" })).await, ["invoices", "reports"]);
    assert_eq!(found(json!({ "failing": true })).await, ["reports"], "the newest run counts");
    database.execute("update forge_crons set is_absent = true where name = 'invoices'").await;
    assert_eq!(found(json!({ "state": "no_handler" })).await, ["invoices"]);
}

/// The output of a command that succeeds.
async fn shell(node: &Node, arguments: &[&str]) -> String {
    let ended = ended(node, arguments).await;
    assert_eq!(ended.code(), 0, "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

async fn ended(node: &Node, arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().expect("make a directory");
    let mut command = std::process::Command::new(Binary::Forge.path());
    let admin = probe::admin_token();
    let [step, rest @ ..] = arguments else { panic!("a step") };
    command.current_dir(folder.path()).args(["cron", step, "--color", "never"]).args(rest);
    command.args(["--url", node.client().base(), "--token", &admin]);
    Process::spawn(&mut command).ended(PATIENCE).await
}
