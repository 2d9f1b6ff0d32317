//! How long the server worked on each claim of the node, as the server's log says: the node's own statements,
//! with what they find at that time, and no imitation of them. A node has no metric for it.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use sqlx::Executor;
use sqlx::postgres::PgConnection;

use crate::stage::Stage;

/// In the first line of sql/claim_jobs.sql.
const CLAIM: &str = "for the claimer: $1 queue";

/// A part of the server's log in which each statement is noted with its duration.
pub(super) struct ClaimLog {
    path: PathBuf,
    from: u64,
}

impl ClaimLog {
    /// Lets the server note all statements from now on.
    pub(super) async fn begin(stage: &Stage, connection: &mut PgConnection) -> anyhow::Result<Self> {
        let path = stage.postgres.log();
        let from = path.metadata()?.len();
        // Results of jobs are written with their arguments, which would fill the log.
        set(connection, "alter system set log_parameter_max_length = 0").await?;
        set(connection, "alter system set log_min_duration_statement = 0").await?;
        Ok(Self { path, from })
    }

    /// Ends it. Milliseconds of each claim, in ascending order.
    pub(super) async fn end(self, connection: &mut PgConnection) -> anyhow::Result<Vec<f64>> {
        set(connection, "alter system reset log_min_duration_statement").await?;
        let mut file = std::fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut log = Vec::new();
        file.read_to_end(&mut log)?;
        let claims = claims_in(&String::from_utf8_lossy(&log));
        anyhow::ensure!(!claims.is_empty(), "the server's log has no claim in {} bytes", log.len());
        Ok(claims)
    }
}

async fn set(connection: &mut PgConnection, setting: &'static str) -> anyhow::Result<()> {
    connection.execute(setting).await?;
    connection.execute("select pg_reload_conf()").await?;
    Ok(())
}

/// A claim is bound, which may plan it, and executed; the log has a line for each, with the server's process.
fn claims_in(log: &str) -> Vec<f64> {
    let mut bound: HashMap<&str, f64> = HashMap::new();
    let mut claims = Vec::new();
    for line in log.lines().filter(|line| line.contains(CLAIM)) {
        let Some((process, statement)) = line.split_once(" LOG:  duration: ") else { continue };
        let Some((took, step)) = statement.split_once(" ms  ") else { continue };
        let Ok(took) = took.parse::<f64>() else { continue };
        if step.starts_with("bind ") {
            bound.insert(process_id(process), took);
        } else if step.starts_with("execute ") {
            claims.push(took + bound.remove(process_id(process)).unwrap_or_default());
        }
    }
    claims.sort_by(f64::total_cmp);
    claims
}

/// The `123` of `2026-01-01 00:00:00.000 UTC [123]`.
fn process_id(prefix: &str) -> &str {
    prefix.rsplit_once('[').map_or("", |(_, process)| process.trim_end_matches(']'))
}
