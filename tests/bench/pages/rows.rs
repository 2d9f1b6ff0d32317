//! Writes the jobs that are read: jobs.sql.

use std::time::Instant;

use forge_tests::Database;

/// The queue, the handler and the tenant of few jobs.
pub(super) const RARE_QUEUE: &str = "rare";
pub(super) const RARE_HANDLER: &str = "jobs.once";
pub(super) const RARE_TENANT: &str = "tenant-rare";

/// Writes `rows` jobs of which two fifths wait, and lets the server vacuum and analyze them as it does in
/// time.
pub(super) async fn write(database: &Database, rows: u64) {
    let began = Instant::now();
    let (waiting, finished) = (rows * 2 / 5, rows * 3 / 5);
    let jobs = include_str!("jobs.sql")
        .replace("WAITING", &waiting.to_string())
        .replace("FINISHED", &finished.to_string());
    database.execute(&jobs).await;
    for table in ["forge_jobs", "forge_job_history", "forge_job_leases"] {
        database.execute(&format!("vacuum (analyze) {table}")).await;
    }
    let took = began.elapsed().as_secs_f64();
    println!("pages: {waiting} waiting and {finished} finished jobs written in {took:.0} s");
}
