//! Paths of the actors of the job subsystem. Child ids, notes and checks name these statics.

use crate::subsystem::{ActorPath, NODE};

/// The subsystem.
pub static JOBS: ActorPath = NODE.child("jobs");
/// Finds the ends of jobs that calls wait for; on every node.
pub static JOB_ENDS: ActorPath = NODE.child("job_ends");
/// Writes jobs that calls without a transaction dispatch at the same time; on every node.
pub static JOB_DISPATCHER: ActorPath = NODE.child("job_dispatcher");
/// Keeps jobs that were dispatched while the database was away; on every node.
pub static JOB_BUFFER: ActorPath = NODE.child("job_buffer");
/// Writes results and renews leases.
pub static ACKNOWLEDGER: ActorPath = JOBS.child("acknowledger");
/// Writes what attempts say about their jobs.
pub static REPORTER: ActorPath = JOBS.child("reporter");
/// One actor for each job that can run at the same time.
pub static WORKERS: ActorPath = JOBS.child("workers");
/// Claims jobs.
pub static CLAIMER: ActorPath = JOBS.child("claimer");
/// Takes jobs from nodes whose lease has run out.
pub static RESCUER: ActorPath = JOBS.child("rescuer");
/// Lets jobs that wait for a limit be claimed again.
pub static UNBLOCKER: ActorPath = JOBS.child("unblocker");
/// Raises the priority of jobs that are due for long.
pub static AGEING: ActorPath = JOBS.child("ageing");
/// Counts the jobs that are not finished.
pub static COUNTER: ActorPath = JOBS.child("counter");
/// Copies states of jobs for their followers, and ends for the jobs that wait for them, where that was
/// missed.
pub static SETTLER: ActorPath = JOBS.child("settler");
/// Deletes old history.
pub static HISTORY_EXPIRY: ActorPath = JOBS.child("history_expiry");
