//! Ten thousand panics: each ends one call, and nothing else notices.

use std::time::Duration;

use forge_tests::{Database, Load, probe};

use super::stage::{PATIENCE, probe_on};

const CONNECTIONS: usize = 16;
const PANICS: usize = 10_000;
const MEMORY_GROWTH_MAX: u64 = 10 * 1024 * 1024;

#[tokio::test]
async fn ten_thousand_panics_cost_nobody_else_anything() {
    let database = Database::create().await;
    let mut node = probe_on(&database).start().await;
    database
        .execute("insert into probe_rows select n, 'row ' || n, true from generate_series(1, 100) n")
        .await;
    let address = node.client().base().trim_start_matches("http://").parse().expect("the base is an address");
    let token = probe::token("ana");
    let panics = |seconds| {
        let request = Load::request("/rpc/probe.panic", "{}", Some(&token));
        Load {
            address,
            request,
            connections: CONNECTIONS,
            pace: None,
            duration: Duration::from_secs(seconds),
            status: 500,
        }
        .run()
    };
    let others = |seconds| {
        let request = Load::request("/rpc/probe.one", r#"{"id": 7}"#, Some(&token));
        let pace = Some(Duration::from_millis(40));
        Load { address, request, connections: 4, pace, duration: Duration::from_secs(seconds), status: 200 }
            .run()
    };
    // The first panics load the symbols of their backtraces, once.
    tokio::join!(panics(3), others(3));
    let before = node.process().resident_bytes();
    let quiet = others(5).await;
    let (mut panicked, mut beside) = (0, forge_tests::Measured::default());
    while panicked < PANICS {
        let (failed, served) = tokio::join!(panics(5), others(5));
        assert_eq!(failed.failures, 0, "a panicking call is answered 500");
        assert!(failed.answers() > 0, "nothing panicked");
        panicked += failed.answers();
        beside.merge(served);
    }
    let grown = node.process().resident_bytes().saturating_sub(before);
    println!(
        "{panicked} panics; p99 of others {:?}, quiet {:?}; {grown} bytes more",
        beside.quantile(0.99),
        quiet.quantile(0.99)
    );
    assert_eq!(beside.failures, 0, "other requests failed");
    assert!(grown < MEMORY_GROWTH_MAX, "{grown} bytes more after {panicked} panics");
    assert!(!node.process().has_ended());
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
