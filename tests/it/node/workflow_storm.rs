//! Everything at once: nodes that run sagas are killed and stopped, and their Postgres crashes.

use std::time::Instant;

use forge_tests::{Database, Node, PostgresProcess, Signal};
use futures::future::join_all;

use super::jobs::LONG;
use super::stage::PATIENCE;
use super::workflow_audit::{
    all_ended, await_recorded, ends, flow_node, journals_are_right, repeated, size, start_sagas,
};

const NODES: usize = 3;
const STEPS: u32 = 10;

/// What happens to a node, or to the database.
enum Fault {
    Kill,
    /// It goes on when the next fault comes.
    Stop,
    Crash,
}

const FAULTS: &[Fault] = &[Fault::Kill, Fault::Stop, Fault::Crash, Fault::Kill, Fault::Kill, Fault::Crash];

fn name(index: usize) -> String {
    format!("forge-{index}")
}

async fn start(database: &Database, index: usize) -> Node {
    flow_node(database, &name(index), "lease = \"3s\"").start().await
}

#[tokio::test]
async fn sagas_end_rightly_while_nodes_are_killed_and_stopped_and_postgres_crashes() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let mut nodes = join_all((0..NODES).map(|index| start(&database, index))).await;
    let (sagas, began) = (size(30, 200), Instant::now());
    start_sagas(&nodes[0], sagas, STEPS, 100).await;
    let mut stopped = Vec::new();
    for (round, fault) in (1..).zip(FAULTS) {
        await_recorded(&database, sagas * STEPS * round / (FAULTS.len() as u32 + 1), LONG).await;
        let victim = usize::from(uuid::Uuid::now_v7().as_bytes()[15]) % NODES;
        let process = nodes[victim].process();
        match fault {
            Fault::Kill => {
                process.signal(Signal::KILL);
                process.ended(PATIENCE).await;
                nodes[victim] = start(&database, victim).await;
            }
            Fault::Stop => {
                process.signal(Signal::STOP);
                stopped.push(process.pid());
                let more = sagas * STEPS * (2 * round + 1) / (2 * FAULTS.len() as u32 + 2);
                await_recorded(&database, more, LONG).await;
                nodes[victim].process().signal(Signal::CONT);
            }
            Fault::Crash => {
                postgres.crash();
                postgres.restart().await;
            }
        }
    }
    all_ended(&database, LONG).await;
    println!("{sagas} sagas have ended after {:?}", began.elapsed());
    assert_eq!(ends(&database).await, [format!("flows.saga completed: {sagas}")]);
    journals_are_right(&database, &stopped).await;
    let twice = repeated(&database, FAULTS.len() as i64).await;
    println!("{twice} of {} steps were executed twice", sagas * STEPS);
    for node in nodes {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}
