//! Writes the crash journal's ring to `forge_crashes`.
//!
//! Once a second it takes what is new, joins equal crashes into one row with a count, and appends the batch:
//! a handler that panics ten thousand times a minute is sixty rows. Rows older than [`RETENTION`] are deleted
//! hourly.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::db::database::Database;
use crate::kernel::ids::NodeId;
use crate::kernel::time::{days, hours, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Crash, Timer, Tree};

/// Between two looks at the ring.
const FLUSH_EVERY: Duration = secs(1);
/// Between two deletions of old rows.
const EXPIRE_EVERY: Duration = hours(1);
/// How long a row is kept.
pub const RETENTION: Duration = days(30);
/// Crashes that fell out of the ring before they were written.
pub const CRASHES_LOST_TOTAL: &str = "forge_crashes_lost_total";

/// Messages of the sink.
#[derive(forge_app_macros::Message)]
pub enum CrashSinkMessage {
    /// Write what is new.
    Flush,
    /// Delete what is old.
    Expire,
}

/// The sink.
pub struct CrashSink {
    node: NodeId,
    database: Database,
    tree: Arc<Tree>,
}

/// How far the table is.
pub struct Progress {
    /// Number of the last crash that is in it.
    written: u64,
    flush_timer: Timer,
    expire_timer: Timer,
}

impl CrashSink {
    /// The child that writes `tree`'s crashes as those of `node`.
    pub fn spec(node: NodeId, database: Database, tree: Arc<Tree>) -> ChildSpec {
        ChildSpec::actor("crashes", move || Self { node, database: database.clone(), tree: tree.clone() }).0
    }

    async fn flush(&self, written: &mut u64) {
        let since = self.tree.journal().crashes_since(*written);
        let Some(last) = since.entries.last().map(|crash| crash.seq) else { return };
        if !self.database.state().borrow().is_up() {
            return;
        }
        match self.insert(&joined(since.entries)).await {
            Ok(()) => *written = last,
            // The ring keeps them; the next look tries again.
            Err(error) => return tracing::warn!(%error, "crashes are not in the table yet"),
        }
        if since.lost > 0 {
            metrics::counter!(CRASHES_LOST_TOTAL).increment(since.lost);
            tracing::warn!(lost = since.lost, "crashes fell out of the ring before they were written");
        }
    }

    async fn insert(&self, rows: &[Row]) -> sqlx::Result<()> {
        let texts = |text: fn(&Row) -> &str| rows.iter().map(text).collect::<Vec<_>>();
        let options = |text: fn(&Row) -> Option<&str>| rows.iter().map(text).collect::<Vec<_>>();
        sqlx::query(include_str!("sql/insert_crashes.sql"))
            .bind(self.node)
            .bind(texts(|row| &row.crash.path))
            .bind(texts(|row| &row.crash.kind))
            .bind(texts(|row| &row.cause))
            .bind(options(|row| row.crash.message))
            .bind(options(|row| row.crash.backtrace.as_deref()))
            .bind(
                rows.iter()
                    .map(|row| i32::try_from(row.crash.restarts).unwrap_or(i32::MAX))
                    .collect::<Vec<_>>(),
            )
            .bind(rows.iter().map(|row| row.occurrences).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.crash.at).collect::<Vec<_>>())
            .execute(&self.database.writer())
            .await?;
        Ok(())
    }

    async fn expire(&self) {
        let keep = RETENTION.as_secs_f64();
        let deleted = sqlx::query(include_str!("sql/delete_old_crashes.sql"))
            .bind(keep)
            .execute(&self.database.writer())
            .await;
        if let Err(error) = deleted {
            tracing::warn!(%error, "old crashes were not deleted");
        }
    }
}

impl Actor for CrashSink {
    type Message = CrashSinkMessage;
    type State = Progress;
    const KIND: &'static str = "crash_sink";

    async fn start(&self, cx: &Context<CrashSinkMessage>) -> Result<Progress, ActorError> {
        let flush_timer = cx.send_after(FLUSH_EVERY, CrashSinkMessage::Flush);
        let expire_timer = cx.send_after(EXPIRE_EVERY, CrashSinkMessage::Expire);
        Ok(Progress { written: 0, flush_timer, expire_timer })
    }

    async fn handle(
        &self,
        cx: &Context<CrashSinkMessage>,
        message: CrashSinkMessage,
        progress: &mut Progress,
    ) -> Result<(), ActorError> {
        match message {
            CrashSinkMessage::Flush => {
                self.flush(&mut progress.written).await;
                progress.flush_timer = cx.send_after(FLUSH_EVERY, CrashSinkMessage::Flush);
            }
            CrashSinkMessage::Expire => {
                self.expire().await;
                progress.expire_timer = cx.send_after(EXPIRE_EVERY, CrashSinkMessage::Expire);
            }
        }
        Ok(())
    }

    async fn stop(&self, _cx: &Context<CrashSinkMessage>, progress: &mut Progress) {
        self.flush(&mut progress.written).await;
    }
}

/// Equal crashes of one batch.
pub(super) struct Row {
    pub(super) crash: Crash,
    pub(super) cause: String,
    pub(super) occurrences: i32,
}

/// Joins equal crashes; the last one's time and restarts stand for all. Postgres text holds no NUL.
pub(super) fn joined(crashes: Vec<Crash>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut places = HashMap::new();
    for crash in crashes {
        let location =
            crash.location.as_ref().map(|location| format!(" (at {location})")).unwrap_or_default();
        let cause = format!("{}{location}", crash.cause.replace('\0', "\u{fffd}"));
        let place = *places.entry((crash.path.clone(), crash.message, cause.clone())).or_insert(rows.len());
        match rows.get_mut(place) {
            Some(row) => {
                row.occurrences += 1;
                row.crash = crash;
            }
            None => rows.push(Row { crash, cause, occurrences: 1 }),
        }
    }
    rows
}
