//! Elections against a real Postgres: one leader, epochs that rise, and an old leader whose writes are
//! refused.

use std::time::Duration;

use forge_actors::db::advisory_lock::LockKey;
use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::database::Database;
use forge_actors::db::election_session::ElectionSession;
use forge_actors::kernel::ids::NodeId;
use forge_actors::leader::config::LeaderConfig;
use forge_actors::leader::store::{
    LeaderEnd, LeaderInfo, LeaderState, elect, list_leaders, list_terms, lock_term,
};
use forge_actors::leader::{Leader, LeaderDeps, Leadership, Term, TermError};
use forge_actors::supervise::{Root, Strategy, SupervisorSpec, Tree};
use forge_actors::test_signals::Step;
use forge_tests::{Disturbance, Signals};
use tokio::sync::watch;

use super::change::migrate;
use super::cluster::{Scratch, execute, until};
use super::lock::Pooler;

const DUTY: Leadership = Leadership::new("duty");
const LIMIT: Duration = Duration::from_secs(30);
const STATEMENT: Duration = Duration::from_secs(5);

/// One node that stands for [`DUTY`].
struct Candidate {
    leader: Leader,
    terms: watch::Receiver<Option<Term>>,
    root: Root,
}

impl Candidate {
    async fn start(database: &Database, name: &str) -> Self {
        Self::with(database, name, LeaderConfig::default()).await
    }

    async fn with(database: &Database, name: &str, config: LeaderConfig) -> Self {
        let deps = LeaderDeps {
            node: NodeId::new(),
            node_name: name.to_owned(),
            database: database.clone(),
            config,
        };
        let (leader, child) = Leader::new(deps);
        let terms = leader.stand_for(DUTY);
        let spec = SupervisorSpec::new(Strategy::OneForOne, vec![child]);
        let root = Root::start("node", spec, Tree::new()).await.unwrap();
        Self { leader, terms, root }
    }

    fn term(&self) -> Option<Term> {
        self.terms.borrow().clone()
    }

    /// Waits until this node leads with a higher epoch than `after`.
    async fn leads(&mut self, after: i64) -> Term {
        let newer = self.terms.wait_for(|term| term.as_ref().is_some_and(|term| term.epoch > after));
        let term = tokio::time::timeout(LIMIT, newer).await.expect("elected in time").unwrap();
        term.clone().expect("a term was waited for")
    }

    async fn stop(self) {
        self.root.stop(LIMIT).await.unwrap();
    }
}

async fn migrated() -> Scratch {
    let scratch = Scratch::new().await;
    migrate(&scratch.database).await;
    scratch
}

/// The leaderships, as nodes with the default lease judge them.
async fn leaders(scratch: &Scratch) -> Vec<LeaderInfo> {
    list_leaders(&scratch.database.reader(), LeaderConfig::default().lease).await.unwrap()
}

/// `epoch name reason` of each ended term of [`DUTY`], oldest first.
async fn history(scratch: &Scratch) -> Vec<(i64, String, LeaderEnd)> {
    let terms = list_terms(&scratch.database.reader(), 100).await.unwrap();
    let duty = terms.into_iter().rev().filter(|term| term.name == DUTY.name());
    duty.map(|term| (term.epoch.get(), term.node_name, term.reason)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_leads_and_hands_over_in_order() {
    let scratch = migrated().await;
    let mut first = Candidate::start(&scratch.database, "first").await;
    let term = first.leads(0).await;
    assert!(term.is_held() && term.epoch == 1);
    let mut second = Candidate::start(&scratch.database, "second").await;
    let led = leaders(&scratch).await;
    let duty = led.iter().find(|leader| leader.name == DUTY.name()).expect("a row of the leadership");
    assert_eq!((duty.node_name.as_str(), duty.epoch.get(), duty.resigned_at), ("first", 1, None));
    assert_eq!(duty.state, LeaderState::Leading);

    let began = std::time::Instant::now();
    first.leader.withdraw();
    let next = second.leads(1).await;
    println!("handed over after {:?}", began.elapsed());
    assert_eq!(next.epoch, 2);
    assert!(first.term().is_none() && !term.is_held());
    assert_eq!(history(&scratch).await, [(1, "first".to_owned(), LeaderEnd::Resigned)]);
    // A node that has withdrawn does not come back when the other one goes.
    second.stop().await;
    assert_eq!(history(&scratch).await.len(), 2);
    assert!(first.term().is_none());
    first.stop().await;
    let led = leaders(&scratch).await;
    let resigned = |leader: &LeaderInfo| (leader.resigned_at.is_some(), leader.state);
    assert!(led.iter().all(|leader| resigned(leader) == (true, LeaderState::Resigned)), "{led:?}");
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_epoch_writes_is_refused() {
    let scratch = migrated().await;
    let mut outside = scratch.connect().await;
    execute(&mut outside, "CREATE TABLE written (epoch int8)").await;
    let mut old = Candidate::start(&scratch.database, "old").await;
    let term = old.leads(0).await;
    let write = async |term: &Term| -> Result<(), TermError> {
        let transaction = term.begin(&scratch.database, "duty", STATEMENT).await?;
        let insert = sqlx::query("INSERT INTO written VALUES ($1)").bind(term.epoch);
        insert.execute(&transaction.db()).await.unwrap();
        transaction.commit().await?;
        Ok(())
    };
    write(&term).await.unwrap();

    // A second leader by force: it is elected without holding the lock.
    let open = term.begin(&scratch.database, "duty", STATEMENT).await.unwrap();
    let mut session = ElectionSession::open(&scratch.database, "second", STATEMENT).await.unwrap();
    let second = NodeId::new();
    let refused = elect(&mut session, DUTY, second, "second").await.unwrap_err();
    let code = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    assert_eq!(code.as_deref(), Some("55P03"), "an election waits for open transactions: {refused}");
    sqlx::query("INSERT INTO written VALUES (1)").execute(&open.db()).await.unwrap();
    open.commit().await.unwrap();
    let epoch = elect(&mut session, DUTY, second, "second").await.unwrap();
    assert_eq!(epoch, 2);

    // Whether or not the old leader knows already: the database refuses it.
    assert!(matches!(write(&term).await, Err(TermError::Over { epoch: 1, .. })));
    let transaction = scratch.database.writer();
    assert!(!lock_term(&transaction, DUTY, 1, term.node, STATEMENT).await.unwrap());
    assert!(lock_term(&transaction, DUTY, 2, second, STATEMENT).await.unwrap());
    assert!(!lock_term(&transaction, DUTY, 2, term.node, STATEMENT).await.unwrap(), "of another node");
    // The old leader finds out with its next renewal, ends its term, and is elected anew: it holds the lock.
    let renewed = old.leads(2).await;
    assert!(!term.is_held() && renewed.is_held());
    write(&renewed).await.unwrap();
    let written: Vec<i64> =
        sqlx::query_scalar("SELECT epoch FROM written ORDER BY epoch").fetch_all(&mut outside).await.unwrap();
    assert_eq!(written, [1, 1, renewed.epoch]);
    let lost = |epoch, name: &str| (epoch, name.to_owned(), LeaderEnd::Lost);
    assert_eq!(history(&scratch).await, [lost(1, "old"), lost(2, "second")]);
    drop(session);
    old.stop().await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_is_shown_as_its_session_is_whatever_its_row_says() {
    let scratch = migrated().await;
    let mut session = ElectionSession::open(&scratch.database, "gone", STATEMENT).await.unwrap();
    assert_eq!(session.try_lock(&[LockKey::forge("leader/duty")]).await.unwrap(), [true]);
    elect(&mut session, DUTY, NodeId::new(), "gone").await.unwrap();
    let leader = async |lease: Duration| -> LeaderInfo {
        list_leaders(&scratch.database.reader(), lease).await.unwrap().remove(0)
    };
    let mut outside = scratch.connect().await;
    let age = "SET elected_at = elected_at - interval '12 s', renewed_at = renewed_at - interval '12 s'";
    execute(&mut outside, &format!("UPDATE forge_leaders {age}")).await;
    let led = leader(LIMIT).await;
    assert_eq!(led.state, LeaderState::Leading);
    assert!(
        (led.renewed_at - led.elected_at).num_seconds() >= 12,
        "renewed when the session was used: {led:?}"
    );
    until("the session was not used for so long", LIMIT, async || {
        leader(Duration::from_millis(200)).await.state == LeaderState::Expired
    })
    .await;
    assert_eq!(leader(LIMIT).await.state, LeaderState::Leading, "of a lease that lasts longer");
    drop(session);
    until("the session is gone", LIMIT, async || leader(LIMIT).await.state == LeaderState::Expired).await;
    scratch.drop().await;
}

/// The candidate has the lock, and waits for a transaction of the last leader.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_node_holds_makes_nobody_the_leader() {
    let scratch = migrated().await;
    let node = NodeId::new();
    let mut outside = scratch.connect().await;
    execute(
        &mut outside,
        &format!(
            "INSERT INTO forge_leaders (name, epoch, node_id, node_name) VALUES ('duty', 1, '{node}', 'last')"
        ),
    )
    .await;
    let lock = LockKey::forge("leader/duty").number();
    execute(&mut outside, &format!("SELECT pg_advisory_lock({lock})")).await;
    let id = node.as_uuid().simple().to_string();
    for (holder, state) in [("0123456789ab", LeaderState::Expired), (&id[20..], LeaderState::Leading)] {
        execute(&mut outside, &format!("SET application_name = 'forge any leader #{holder}'")).await;
        assert_eq!(leaders(&scratch).await[0].state, state, "{holder}");
    }
    drop(outside);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_writes_once_a_minute_that_it_leads() {
    let scratch = migrated().await;
    let config = LeaderConfig { lease: Duration::from_secs(1), ..LeaderConfig::default() };
    let mut candidate = Candidate::with(&scratch.database, "only", config).await;
    candidate.leads(0).await;
    let reader = scratch.database.reader();
    let version = async || -> String {
        sqlx::query_scalar("SELECT xmin::text FROM forge_leaders").fetch_one(&reader).await.unwrap()
    };
    let elected = version().await;
    until("the term has lasted for two leases", LIMIT, async || {
        let leader = &leaders(&scratch).await[0];
        (leader.renewed_at - leader.elected_at).num_seconds() >= 2
    })
    .await;
    assert_eq!(version().await, elected, "a renewal writes nothing");
    let mut outside = scratch.connect().await;
    for written in ["now() - interval '61 s'", "now() + interval '1 h'"] {
        let write =
            format!("UPDATE forge_leaders SET renewed_at = {written}, elected_at = now() - interval '2 min'");
        execute(&mut outside, &write).await;
        until("the row is written", LIMIT, async || {
            let fresh = "SELECT renewed_at BETWEEN now() - interval '30 s' AND now() FROM forge_leaders";
            sqlx::query_scalar(fresh).fetch_one(&reader).await.unwrap()
        })
        .await;
    }
    candidate.stop().await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_replaced_right_after_its_own_check_is_refused_by_the_database() {
    let signals = Signals::of_this_process();
    let scratch = migrated().await;
    let mut old = Candidate::start(&scratch.database, "old").await;
    let term = old.leads(0).await;
    let hold = signals.hold(Step::TermChecked, "duty.1");
    let beginning = {
        let (term, database) = (term.clone(), scratch.database.clone());
        tokio::spawn(async move { term.begin(&database, "duty", STATEMENT).await.map(drop) })
    };
    signals.reached(Step::TermChecked, "duty.1", 1).await;
    // By the old leader's clock the term lasts; by force, another node is elected all the same.
    let mut session = ElectionSession::open(&scratch.database, "second", STATEMENT).await.unwrap();
    assert_eq!(elect(&mut session, DUTY, NodeId::new(), "second").await.unwrap(), 2);
    drop(hold);
    assert!(matches!(beginning.await.unwrap(), Err(TermError::Over { epoch: 1, .. })));
    drop(session);
    old.stop().await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_stops_itself_before_another_is_elected() {
    let (behind, proxy) = Scratch::behind_proxy().await;
    let direct = Database::new(behind.options(), DatabaseConfig::default(), "direct");
    migrate(&direct).await;
    let mut cut_off = Candidate::start(&behind.database, "cut-off").await;
    let term = cut_off.leads(0).await;
    let mut other = Candidate::start(&direct, "other").await;

    let began = std::time::Instant::now();
    proxy.set(Disturbance::Stall);
    let elected = other.leads(1).await;
    println!("another leader {:?} after the cut", began.elapsed());
    assert!(!term.is_held(), "two leaders at a time");
    assert!(elected.is_held());
    until("the cut-off node publishes that it does not lead", LIMIT, async || cut_off.term().is_none()).await;
    proxy.set(Disturbance::None);
    // The healed node is a candidate again, and the present leader stays.
    let second = elected.clone();
    let mut healed = behind.database.state();
    tokio::time::timeout(LIMIT, healed.wait_for(|state| state.is_up())).await.expect("healed").unwrap();
    assert!(matches!(term.begin(&behind.database, "duty", STATEMENT).await, Err(TermError::Over { .. })));
    assert_eq!(other.term(), Some(second));
    assert!(cut_off.term().is_none());
    cut_off.stop().await;
    other.stop().await;
    direct.close().await;
    behind.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_ends_the_term_and_the_node_is_elected_anew() {
    let scratch = migrated().await;
    let mut only = Candidate::start(&scratch.database, "only").await;
    let term = only.leads(0).await;
    let mut outside = scratch.connect().await;
    execute(
        &mut outside,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'forge only leader'",
    )
    .await;
    let next = only.leads(1).await;
    assert!(!term.is_held() && next.is_held());
    assert_eq!(history(&scratch).await, [(1, "only".to_owned(), LeaderEnd::Lost)]);
    only.stop().await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_elections_fail_says_why_until_they_succeed() {
    let scratch = migrated().await;
    let mut outside = scratch.connect().await;
    execute(&mut outside, "ALTER TABLE forge_leaders RENAME TO away").await;
    let mut candidate = Candidate::start(&scratch.database, "only").await;
    until("the obstacle is shown", LIMIT, async || candidate.leader.obstacle().is_some()).await;
    let obstacle = candidate.leader.obstacle().unwrap_or_default();
    assert!(obstacle.contains("\"forge_leaders\" does not exist"), "{obstacle}");
    execute(&mut outside, "ALTER TABLE away RENAME TO forge_leaders").await;
    candidate.leads(0).await;
    until("the obstacle is gone", LIMIT, async || candidate.leader.obstacle().is_none()).await;
    candidate.stop().await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_that_cannot_begin_is_an_obstacle_only_while_this_node_could_lead() {
    let scratch = migrated().await;
    let mut outside = scratch.connect().await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
                  AS 'BEGIN RAISE EXCEPTION ''not today''; END';
                  CREATE TRIGGER refuse BEFORE INSERT ON forge_leaders
                  FOR EACH ROW WHEN (NEW.name = 'duty') EXECUTE FUNCTION refuse()";
    execute(&mut outside, refuse).await;
    let mut candidate = Candidate::start(&scratch.database, "only").await;
    let obstacle = || candidate.leader.obstacle().unwrap_or_default();
    until("the obstacle is shown", LIMIT, async || obstacle().contains("not today")).await;
    // Another session holds the lock, so nothing stands in the way of this node any more.
    let mut other = ElectionSession::open(&scratch.database, "other", LIMIT).await.unwrap();
    let key = [LockKey::forge(&format!("leader/{DUTY}"))];
    while other.try_lock(&key).await.unwrap() != [true] {
        tokio::task::yield_now().await;
    }
    until("the obstacle is gone", LIMIT, async || candidate.leader.obstacle().is_none()).await;
    execute(&mut outside, "DROP TRIGGER refuse ON forge_leaders").await;
    drop(other);
    candidate.leads(0).await;
    candidate.stop().await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_is_above_those_of_the_history() {
    let scratch = migrated().await;
    let mut outside = scratch.connect().await;
    let row =
        "INSERT INTO forge_leader_history (name, epoch, node_id, node_name, elected_at, renewed_at, reason)
               VALUES ('duty', 7, '00000000-0000-0000-0000-000000000001', 'last', now(), now(), 'lost')";
    execute(&mut outside, row).await;
    let mut candidate = Candidate::start(&scratch.database, "only").await;
    assert_eq!(candidate.leads(0).await.epoch, 8);
    candidate.stop().await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duty_waits_shortly_for_a_lock() {
    let scratch = migrated().await;
    let mut outside = scratch.connect().await;
    execute(&mut outside, "CREATE TABLE written (epoch int8)").await;
    let mut candidate = Candidate::start(&scratch.database, "only").await;
    let term = candidate.leads(0).await;
    execute(&mut outside, "BEGIN; LOCK TABLE written IN SHARE MODE").await;
    let transaction = term.begin(&scratch.database, "duty", STATEMENT).await.unwrap();
    let insert = sqlx::query("INSERT INTO written VALUES (1)").execute(&transaction.db()).await;
    let code =
        insert.unwrap_err().as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    assert_eq!(code.as_deref(), Some("55P03"), "not cut by the time limit of the statement");
    transaction.rollback().await;
    execute(&mut outside, "COMMIT").await;
    candidate.stop().await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_election_that_waits_for_a_row_costs_no_term_of_another_leadership() {
    let scratch = migrated().await;
    let mut outside = scratch.connect().await;
    let row = "INSERT INTO forge_leaders (name, epoch, node_id, node_name)
               VALUES ('locked', 1, '00000000-0000-0000-0000-000000000001', 'last')";
    execute(&mut outside, row).await;
    execute(&mut outside, "BEGIN; SELECT FROM forge_leaders WHERE name = 'locked' FOR KEY SHARE").await;
    let config = LeaderConfig { lease: Duration::from_secs(1), ..LeaderConfig::default() };
    let mut candidate = Candidate::with(&scratch.database, "only", config).await;
    let mut locked = candidate.leader.stand_for(Leadership::new("locked"));
    candidate.leads(0).await;
    until("the term has lasted for five leases", LIMIT, async || {
        let mut led = leaders(&scratch).await;
        led.retain(|leader| leader.name == DUTY.name());
        led.iter().all(|leader| (leader.renewed_at - leader.elected_at).num_seconds() >= 5)
    })
    .await;
    assert_eq!(candidate.term().map(|term| term.epoch), Some(1));
    execute(&mut outside, "COMMIT").await;
    let elected = locked.wait_for(|term| term.as_ref().is_some_and(|term| term.epoch == 2));
    drop(tokio::time::timeout(LIMIT, elected).await.expect("elected in time").unwrap());
    candidate.stop().await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_behind_a_transaction_pooler_says_so_and_leads_nothing() {
    let scratch = migrated().await;
    let pooler = Pooler::start(&scratch).await;
    let pooled = Database::new(pooler.options(&scratch), DatabaseConfig::default(), "pooled");
    let candidate = Candidate::start(&pooled, "pooled").await;
    until("the obstacle is found", LIMIT, async || candidate.leader.obstacle().is_some()).await;
    let obstacle = candidate.leader.obstacle().unwrap_or_default();
    assert!(obstacle.contains("transaction pooler") && obstacle.contains("session mode"), "{obstacle}");
    assert!(candidate.term().is_none());
    assert_eq!(leaders(&scratch).await, []);
    // The others go on, and the elector has not crashed.
    assert_eq!(candidate.root.tree().get("node/leader/elector").unwrap().restarts.get(), 0);
    let mut direct = Candidate::start(&scratch.database, "direct").await;
    direct.leads(0).await;
    candidate.stop().await;
    direct.stop().await;
    pooled.close().await;
    drop(pooler);
    scratch.drop().await;
}
