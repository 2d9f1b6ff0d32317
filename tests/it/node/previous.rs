//! Two versions on one database: nodes of the version before this one are replaced by nodes of this one and
//! back, as a deploy and its rollback do, by the shipped script and behind the shipped proxy, under load.
//!
//! `tests/run` builds the version before from the history. Its nodes send their pages away while the proxy
//! still routes to them, so a page that finds such a node asks again; no node of this version may do that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forge_tests::{Binary, Client, Database, Received, Socket, probe, until};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::cluster_script::{NODES, Script};
use super::stage::PATIENCE;

/// Clients that write texts. One more moves amounts, and one dispatches jobs.
const WRITERS: usize = 4;
const ACCOUNTS: usize = 4;
const BALANCE: i64 = 1_000;
const JOBS_PER_CALL: usize = 3;
/// Pause of a client before its next calls.
const PACE: Duration = Duration::from_millis(100);
/// Rounds of all clients together on a cluster of one version.
const ROUNDS: usize = 100;

/// What a client does in its round `number`.
#[derive(Clone, Copy)]
enum Duty {
    Write { writer: usize },
    Transfer,
    Dispatch,
}

impl Duty {
    fn name(self) -> &'static str {
        match self {
            Self::Write { .. } => "probe.append",
            Self::Transfer => "probe.transfer",
            Self::Dispatch => "jobs.enqueue",
        }
    }

    fn args(self, number: usize) -> Value {
        match self {
            Self::Write { writer } => json!({ "key": text(writer, number) }),
            Self::Transfer => {
                json!({ "from": number % ACCOUNTS, "to": (number + 1) % ACCOUNTS, "amount": 1 })
            }
            Self::Dispatch => json!({ "prefix": format!("job-{number}"), "count": JOBS_PER_CALL, "ms": 100 }),
        }
    }
}

fn text(writer: usize, number: usize) -> String {
    format!("{writer}-{number}")
}

/// What a client has done.
struct Rounds {
    duty: Duty,
    count: usize,
    failures: Vec<String>,
}

/// The clients.
struct Load {
    clients: JoinSet<Rounds>,
    stop: CancellationToken,
    rounds: Arc<AtomicUsize>,
}

impl Load {
    fn start(front: &Client) -> Self {
        let (stop, rounds) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let duties =
            (0..WRITERS).map(|writer| Duty::Write { writer }).chain([Duty::Transfer, Duty::Dispatch]);
        let mut clients = JoinSet::new();
        for duty in duties {
            clients.spawn(work(front.clone(), duty, stop.clone(), Arc::clone(&rounds)));
        }
        Self { clients, stop, rounds }
    }

    async fn await_more(&self, count: usize) {
        let goal = self.rounds.load(Ordering::Relaxed) + count;
        let reached = || async { (self.rounds.load(Ordering::Relaxed) >= goal).then_some(()) };
        until("rounds are done", PATIENCE, reached).await;
    }

    async fn stop(self) -> Vec<Rounds> {
        self.stop.cancel();
        self.clients.join_all().await
    }
}

/// Makes rounds until it is stopped: a mutation, the same one again as after a lost answer, and a query.
async fn work(front: Client, duty: Duty, stop: CancellationToken, rounds: Arc<AtomicUsize>) -> Rounds {
    let token = probe::token("ana");
    let mut done = Rounds { duty, count: 0, failures: Vec::new() };
    while !stop.is_cancelled() {
        let (args, key) = (duty.args(done.count), uuid::Uuid::now_v7().to_string());
        for _ in 0..2 {
            let reply = front.try_mutate(duty.name(), &args, &token, &key).await;
            done.failures.extend(failure(reply.as_ref().map(|reply| (reply.status, reply.text.as_str()))));
        }
        let reply = front.try_call("live.total", json!({}), Some(&token)).await;
        done.failures.extend(failure(reply.as_ref().map(|reply| (reply.status, reply.text.as_str()))));
        done.count += 1;
        rounds.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PACE).await;
    }
    done
}

fn failure(reply: Result<(u16, &str), &reqwest::Error>) -> Option<String> {
    match reply {
        Ok((200, _)) => None,
        Ok((status, text)) => Some(format!("{status} {text}")),
        Err(error) => Some(format!("{error:?}")),
    }
}

/// A page that shows every account and the sum of all, and connects again as the client library does.
struct Page {
    base: String,
    token: String,
    shown: watch::Sender<Vec<i64>>,
    /// Dials that no node took.
    refused: Arc<AtomicUsize>,
    views: [View; 2],
}

/// A subscription of the page.
struct View {
    name: &'static str,
    data: Value,
    version: Option<String>,
    /// The node of this connection has said that this is the result, or has sent another one.
    is_confirmed: bool,
}

impl View {
    fn new(name: &'static str) -> Self {
        Self { name, data: Value::Null, version: None, is_confirmed: false }
    }
}

impl Page {
    async fn stay_connected(mut self) {
        loop {
            if !self.connect().await {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PACE).await;
            }
        }
    }

    /// One connection, until the node sends the page away. False when the node did not take it.
    async fn connect(&mut self) -> bool {
        let Ok(mut socket) = Socket::try_connect(&self.base, &[]).await else { return false };
        socket.send(json!({ "type": "hello", "proto": 1, "token": self.token })).await;
        match socket.next().await {
            Received::Frame(frame) if frame["type"] == "welcome" => {}
            Received::Frame(_) | Received::Closed(_) => return false,
        }
        for (id, view) in self.views.iter_mut().enumerate() {
            view.is_confirmed = false;
            let (name, version) = (view.name, &view.version);
            socket
                .send(json!({ "type": "sub", "id": id, "name": name, "args": {}, "version": version }))
                .await;
        }
        loop {
            match socket.next().await {
                Received::Frame(frame) if frame["type"] == "transition" => self.show(&frame),
                Received::Frame(frame) if frame["type"] == "goAway" => return true,
                other => panic!("{other:?} without goAway"),
            }
        }
    }

    fn show(&mut self, transition: &Value) {
        for result in transition["mods"].as_array().expect("a list") {
            let view = &mut self.views[result["id"].as_u64().expect("a number") as usize];
            match result.get("snapshot") {
                Some(data) => view.data = data.clone(),
                None => assert_eq!(result["unchanged"], true, "{result}"),
            }
            view.version = Some(result["version"].as_str().expect("a text").to_owned());
            view.is_confirmed = true;
        }
        if self.views.iter().all(|view| view.is_confirmed) {
            let [accounts, total] = &self.views;
            let accounts = accounts.data.as_array().expect("a list").iter();
            let balances: Vec<_> =
                accounts.map(|account| account["balance"].as_i64().expect("a number")).collect();
            assert_eq!(json!(balances.iter().sum::<i64>()), total.data, "torn: {balances:?}");
            self.shown.send_replace(balances);
        }
    }
}

/// Waits until `previous` nodes of the version before, which writes no build, and `current` ones of this one
/// are active. The proxy may route to a node a moment earlier.
async fn await_active(database: &Database, previous: usize, current: usize) {
    let active = "select format('%s, %s', count(*) filter (where to_jsonb(node) ->> 'build' is null),
                                count(*) filter (where to_jsonb(node) ->> 'build' is not null))
                  from forge_nodes node where state = 'active'";
    let expected = format!("{previous}, {current}");
    until(&format!("active nodes of both versions: {expected}"), PATIENCE, || async {
        (database.value::<String>(active).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_from_the_version_before_and_back_fails_no_call_and_no_job() {
    let database = Database::create().await;
    let mut script = Script::on(&database, Binary::PreviousProbe);
    script.run(&["up"]).await;
    await_active(&database, NODES, 0).await;
    let accounts =
        format!("insert into probe_accounts select n, {BALANCE} from generate_series(0, {ACCOUNTS} - 1) n");
    database.execute(&accounts).await;

    let front = Client::new(script.url(0));
    let load = Load::start(&front);
    let (shown, mut balances) = watch::channel(Vec::new());
    let refused = Arc::new(AtomicUsize::new(0));
    let page = Page {
        base: script.url(0),
        token: probe::token("ana"),
        shown,
        refused: Arc::clone(&refused),
        views: [View::new("live.accounts"), View::new("live.total")],
    };
    let mut pages = JoinSet::new();
    pages.spawn(page.stay_connected());
    load.await_more(ROUNDS).await;

    script.binary = Binary::Probe.path();
    script.run(&["roll"]).await;
    await_active(&database, 0, NODES).await;
    load.await_more(ROUNDS).await;
    let refused_before = refused.load(Ordering::Relaxed);

    script.binary = Binary::PreviousProbe.path();
    script.run(&["roll"]).await;
    await_active(&database, NODES, 0).await;
    load.await_more(ROUNDS).await;
    assert_eq!(
        refused.load(Ordering::Relaxed),
        refused_before,
        "this version sent a page to a node that stops"
    );

    let clients = load.stop().await;
    let failures: Vec<_> = clients.iter().flat_map(|rounds| &rounds.failures).collect();
    let count: usize = clients.iter().map(|rounds| rounds.count).sum();
    println!("{count} rounds; {refused_before} dials met a node of the version before that stopped");
    assert!(failures.is_empty(), "{} calls failed: {failures:#?}", failures.len());
    compare_with(&database, &clients).await;
    let stored: Vec<i64> = database.column("select balance from probe_accounts order by id").await;
    tokio::select! {
        seen = tokio::time::timeout(PATIENCE, balances.wait_for(|shown| *shown == stored)) => {
            seen.expect("the page shows the last change").expect("the page is open");
        }
        ended = pages.join_next() => panic!("the page ended: {ended:?}"),
    }
}

/// Every call happened once, and every job ran once, to its end.
async fn compare_with(database: &Database, clients: &[Rounds]) {
    let mut texts = Vec::new();
    let mut balances = vec![BALANCE; ACCOUNTS];
    let mut jobs = Vec::new();
    for Rounds { duty, count, .. } in clients {
        for number in 0..*count {
            match duty {
                Duty::Write { writer } => texts.push(text(*writer, number)),
                Duty::Transfer => {
                    balances[number % ACCOUNTS] -= 1;
                    balances[(number + 1) % ACCOUNTS] += 1;
                }
                Duty::Dispatch => jobs.extend((0..JOBS_PER_CALL).map(|job| format!("job-{number}-{job}"))),
            }
        }
    }
    let effects = async |what: &str| {
        let mut keys: Vec<String> =
            database.column(&format!("select key from probe_effects where what = '{what}'")).await;
        keys.sort();
        keys
    };
    texts.sort();
    jobs.sort();
    assert_eq!(effects("appended").await, texts);
    assert_eq!(database.column::<i64>("select balance from probe_accounts order by id").await, balances);

    until("every job is finished", PATIENCE, || async {
        (database.value::<i64>("select count(*) from forge_unfinished_jobs").await == 0).then_some(())
    })
    .await;
    let ends = "select status::text || ' by attempt ' || attempt || ': ' || count(*) from forge_job_history
                group by status, attempt";
    let why = database.column::<String>("select coalesce(error, '') from forge_failed_attempts").await;
    let ends = database.column::<String>(ends).await;
    assert_eq!(ends, [format!("completed by attempt 1: {}", jobs.len())], "failed attempts: {why:?}");
    assert_eq!(effects("begun").await, jobs);
    assert_eq!(effects("done").await, jobs);
    let versions = "select count(distinct build is null) from forge_job_history job join forge_nodes node on node.id = job.node_id";
    assert_eq!(database.value::<i64>(versions).await, 2, "nodes of both versions ran jobs");
}
