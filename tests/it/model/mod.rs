//! The protocols of the queue, of the leader's term and of workflows as models, of which `stateright` visits
//! every state that two nodes and three jobs, or two runs, can reach.
//!
//! What is modelled
//! - `database.rs`: the tables and the statements. A statement is one step, as Postgres runs it at READ
//!   COMMITTED: with the newest version of each row that it locks, and with its snapshot of all others. Where
//!   the snapshot may be older than the lock (`Flaw::RescueInOneStatement`, `Flaw::ReturnInOneStatement`,
//!   `Flaw::FinishWithoutLock`, a cancel), it is a step of its own.
//!   A job that has one attempt left, or was lost, is claimed on its own row. The others are claimed in
//!   batches, each with a lease row that carries its jobs (`forge-actors/src/job/sql`).
//! - `queue.rs`, `steps.rs`: what nodes remember and send, the rescuer, a person. A statement is executed at
//!   any time after it was sent, also after its node crashed or gave up waiting, or never. Its answer gets
//!   lost when the node gives up waiting first. A node that pauses is one that takes no step for a while.
//! - `properties.rs`: what must hold in every state, and examples that some state must be, so that a model
//!   in which nothing happens fails.
//! - `leader.rs`: lock, epoch, sessions, transactions of a duty.
//! - `workflow`: leases of owners, claims, the journal, events, the end of a run, in files of the same tasks.
//!
//! Clocks: a lease expires in the database at any moment. No node's clock bounds what the node does: in the
//! protocol a worker also does not start a job whose lease may be over, which only takes steps away.
//!
//! What is abstracted
//! - A finish and its commit are one step: what conflicts with the row lock of a finish waits for its commit
//!   or skips the lease.
//! - A batch of results is sent as one statement for each job: together they are one of the interleavings.
//! - A claim in a batch takes all plain jobs; which those are depends on when jobs are dispatched.
//! - A claim and its answer are one step. A claim without an answer is another one, and leaves a lease that
//!   no node knows.
//! - Postgres loses no commit. Attempts that begin without waiting for the disk are not modelled.
//! - Disturbances have a budget for each run ([`queue::Budget`]), at most two statements are under way, and a
//!   node has one batch lease at a time.

mod database;
mod leader;
mod properties;
mod queue;
mod queue_tests;
mod steps;
mod workflow;

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, Model};

/// Visits all states, of which none may break a property and some must be the examples.
fn explore<M>(model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model.checker().spawn_bfs().join();
    println!("{} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

/// The steps to the nearest state that breaks `property`, the only one of `model`.
fn search<M>(model: M, property: &'static str) -> Vec<String>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model.checker().spawn_bfs().join();
    let path = checker.assert_any_discovery(property);
    println!("broken: {property}\n{path}");
    path.into_actions().iter().map(|action| format!("{action:?}")).collect()
}
