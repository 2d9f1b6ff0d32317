//! The mesh between real node processes: how nodes link, how a broken link is noticed, and how nodes link
//! again. Backoff and limits are decided in pure code, which has its own tests.

use std::time::{Duration, Instant};

use forge_tests::{Database, Disturbance, Signal, Socket, probe, until};
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use serde_json::json;
use tokio::time::timeout;

use super::peers::{await_links, free_port, id_of, member, member_behind_proxy, pair, status};
use super::sessions::{retitle, until_snapshot};
use super::stage::PATIENCE;

/// A cut or frozen peer is noticed within this time.
const NOTICED: Duration = Duration::from_secs(10);
/// A healed cut, or a node that comes back, is linked within this time.
const REJOINED: Duration = Duration::from_secs(5);
/// A peer whose process ended is noticed within this time.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Without the mesh, a change crosses nodes within this time.
const POLLED: Duration = Duration::from_secs(5);

#[tokio::test]
async fn three_nodes_link_and_a_node_that_ends_is_noticed_at_once() {
    let database = Database::create().await;
    let port = free_port();
    let on_port = || member(&database, "third").arguments(["--mesh-port", &port.to_string()]);
    let first = member(&database, "first").start().await;
    let second = member(&database, "second").start().await;
    let mut third = on_port().start().await;
    let took = await_links(&third, &["first", "second"], REJOINED).await;
    println!("a new node is linked {took:?} after its start");
    await_links(&first, &["second", "third"], REJOINED).await;
    await_links(&second, &["first", "third"], REJOINED).await;

    third.process().signal(Signal::KILL);
    third.process().ended(PATIENCE).await;
    let took = await_links(&first, &["second"], AT_ONCE).await;
    println!("the death of a killed node is noticed after {took:?}");
    let third = on_port().start().await;
    await_links(&first, &["second", "third"], REJOINED).await;
    await_links(&second, &["first", "third"], REJOINED).await;

    let ended = third.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    await_links(&first, &["second"], AT_ONCE).await;
    // The third node ran twice: the first process was killed, the second one stopped in order.
    let rows = "select array_agg(state::text || ' ' || lost order by started_at)
        from forge_nodes where name = 'third'";
    let lost: Vec<String> = forge_tests::until("the killed process is declared dead", PATIENCE, || async {
        let rows: Vec<String> = database.value(rows).await;
        (rows[0] == "dead true").then_some(rows)
    })
    .await;
    assert_eq!(lost, ["dead true", "dead false"]);
}

#[tokio::test]
async fn a_cut_is_noticed_on_both_sides_and_heals() {
    let database = Database::create().await;
    let (old, young, proxy) = pair(&database).await;
    for (disturbance, what) in [
        (Disturbance::Stall, "both ways"),
        (Disturbance::StallUpstream, "to the old"),
        (Disturbance::StallDownstream, "to the young"),
    ] {
        let cut = Instant::now();
        proxy.set(disturbance);
        // Both sides must notice: a node must not depend on the peer to report the cut.
        let noticed = join_all([&old, &young].map(|node| await_links(node, &[], NOTICED))).await;
        // The nodes serve calls without the mesh.
        let key = json!({ "key": what });
        assert_eq!(old.call("probe.put", key, Some(&probe::token("ana"))).await.status, 200);
        let healed = Instant::now();
        proxy.set(Disturbance::None);
        let rejoined = join_all(
            [(&old, "young"), (&young, "old")]
                .map(|(node, peer)| async move { await_links(node, &[peer], REJOINED).await }),
        )
        .await;
        println!(
            "cut {what}: noticed after {noticed:?}, linked again after {rejoined:?} ({:?} in all)",
            healed - cut
        );
    }
}

/// With the mesh cut, a node learns of the other's writes by polling the database: live queries stay current,
/// and dispatched jobs run.
#[tokio::test]
async fn with_the_mesh_cut_live_queries_and_jobs_cross_nodes_by_polling() {
    let database = Database::create().await;
    // Only the young node has workers, so that the jobs of the old one have to cross.
    let (old, proxy) = member_behind_proxy(&database, "old").await;
    let old = old.arguments(["--roles", "gateway,function"]).start().await;
    let young = member(&database, "young").start().await;
    await_links(&young, &["old"], PATIENCE).await;
    await_links(&old, &["young"], PATIENCE).await;
    let (mut page, _) = Socket::hello(young.client().base(), None).await;
    page.subscribe(1, "live.title", json!({ "id": 1 })).await;
    page.frame_of("transition").await;
    let token = probe::token("ana");

    let phases =
        [("linked", Disturbance::None), ("cut", Disturbance::Stall), ("noticed", Disturbance::Stall)];
    for (phase, disturbance) in phases {
        proxy.set(disturbance);
        if phase == "noticed" {
            join_all([&old, &young].map(|node| await_links(node, &[], NOTICED))).await;
        }
        let began = Instant::now();
        retitle(&old, 1, phase).await;
        let seen = timeout(POLLED, until_snapshot(&mut page, 1, &json!(phase))).await;
        assert!(seen.is_ok(), "{phase}: the live query on the other node did not see the write");
        let seen = began.elapsed();
        let began = Instant::now();
        let args = json!({ "prefix": phase, "count": 1, "ms": 0 });
        old.call("jobs.enqueue", args, Some(&token)).await.data();
        let done = format!("select count(*) from probe_effects where key = '{phase}-0' and what = 'done'");
        until("the other node runs the job", POLLED, || async {
            (database.value::<i64>(&done).await == 1).then_some(())
        })
        .await;
        println!(
            "{phase}: the live query saw the write after {seen:?}, the job ran after {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn calls_reach_another_node_and_end_with_the_link() {
    let database = Database::create().await;
    let (old, young, proxy) = pair(&database).await;
    let (other, admin) = (id_of(&old, "young").await, probe::admin_token());
    let restart = |path: &'static str| {
        let (old, other, admin) = (&old, &other, &admin);
        let args = json!({ "node": other, "path": path });
        async move { old.call("forge.restartActor", args, Some(admin)).await }
    };
    let began = Instant::now();
    assert_eq!(restart("node/cluster/mesh/dialer").await.status, 200);
    println!("a call to another node took {:?}", began.elapsed());
    // The other node's own fault comes back as it is.
    assert_eq!(restart("node/no/such/actor").await.code(), "NOT_FOUND");
    // The restarted dialer finds its link and leaves it alone.
    assert_eq!(status(&young).await["peers"][0]["linked"], true);
    proxy.set(Disturbance::Reset);
    await_links(&old, &[], NOTICED).await;
    let refused = restart("node/cluster/mesh/dialer").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "UNAVAILABLE"), "{}", refused.text);
}

/// Calls to a frozen node wait, are refused, or end with the link. Their memory has a limit.
#[tokio::test]
async fn a_frozen_peer_costs_little_memory() {
    const CALLS: usize = 2_000;
    /// Calls at a time. Each has a connection of its own, which costs memory too.
    const CALLERS: usize = 128;
    const GROWTH_MAX: u64 = 32 << 20;
    let database = Database::create().await;
    let (mut old, mut young, _proxy) = pair(&database).await;
    let (other, admin) = (id_of(&old, "young").await, probe::admin_token());
    let args = json!({ "node": other, "path": "x".repeat(8 * 1024) });
    let client = old.client().clone();
    let flood = || {
        let calls = (0..CALLS).map(|_| client.try_call("forge.restartActor", args.clone(), Some(&admin)));
        stream::iter(calls).buffer_unordered(CALLERS).collect::<Vec<_>>()
    };
    // The first run fills connections, pools and caches, so that they do not count as growth.
    assert!(flood().await.iter().all(|reply| reply.as_ref().is_ok_and(|reply| reply.status == 404)));
    let before = old.process().resident_bytes();
    young.process().signal(Signal::STOP);
    let began = Instant::now();
    let (replies, noticed) = tokio::join!(flood(), await_links(&old, &[], NOTICED));
    assert!(
        replies.iter().all(|reply| reply.as_ref().is_ok_and(|reply| reply.status >= 500)),
        "a frozen node cannot answer"
    );
    let growth = old.process().resident_bytes().saturating_sub(before);
    println!(
        "{CALLS} calls to a frozen node in {:?}: noticed after {noticed:?}, {} KiB more",
        began.elapsed(),
        growth / 1024
    );
    assert!(growth < GROWTH_MAX, "{growth} bytes more");
    young.process().signal(Signal::CONT);
    await_links(&old, &["young"], REJOINED).await;
}
