//! The database work of the ticker, as tasks beside the actor. Each takes what it works on out of the state,
//! and brings it back with its message.

use std::sync::Arc;

use crate::function::LiveLimits;
use crate::supervise::Context;

use super::messages::TickerMessage;
use super::query_key::BatchId;
use super::tick::{BATCH_THREAD_WAIT_MAX, QueryRun, TICK_THREAD_WAIT_MAX};
use super::ticker::{Ticker, TickerState};

impl Ticker {
    pub(super) fn open_snapshot(
        &self,
        cx: &Context<TickerMessage>,
        state: &mut TickerState,
        reload_relations: bool,
    ) {
        let (shared, tail) = (Arc::clone(&self.shared), state.tail.take().unwrap_or_default());
        let rewritten = std::mem::take(&mut state.rewritten);
        cx.spawn_message("open", async move {
            let opened = shared.executor.open(tail, reload_relations, rewritten).await;
            TickerMessage::SnapshotOpened(Box::new(opened))
        });
    }

    pub(super) fn export_snapshot(&self, cx: &Context<TickerMessage>, state: &mut TickerState) {
        let Some(transaction) = state.transaction.take() else { return };
        let shared = Arc::clone(&self.shared);
        cx.spawn_message("export", async move {
            let exported = shared.executor.export(&transaction).await;
            TickerMessage::SnapshotExported(Box::new(exported.map(|snapshot| (transaction, snapshot))))
        });
    }

    pub(super) fn open_batch(&self, cx: &Context<TickerMessage>, state: &TickerState, batch: BatchId) {
        let Some(exported) = state.exported.as_ref().map(Arc::clone) else { return };
        let (shared, locked) = (Arc::clone(&self.shared), Arc::clone(&state.locked));
        cx.spawn_message("import", async move {
            let opened = shared.executor.import(&exported, &locked).await;
            TickerMessage::BatchOpened(batch, Box::new(opened))
        });
    }

    pub(super) fn run_in_lane(
        &self,
        cx: &Context<TickerMessage>,
        state: &mut TickerState,
        batch: BatchId,
        run: QueryRun,
    ) {
        let Some(transaction) = state.batches.remove(&batch) else { return };
        let (shared, relations) = (Arc::clone(&self.shared), Arc::clone(&state.relations));
        cx.spawn_message("run in lane", async move {
            let run_max = shared.executor.config.query_timeout;
            let limits = LiveLimits { run_max, thread_wait_max: BATCH_THREAD_WAIT_MAX };
            let finished = shared.executor.run(transaction, relations, vec![run], limits).await;
            TickerMessage::LaneRunFinished(batch, Box::new(finished))
        });
    }

    pub(super) fn run_queries(
        &self,
        cx: &Context<TickerMessage>,
        state: &mut TickerState,
        runs: Vec<QueryRun>,
    ) {
        let Some(transaction) = state.transaction.take() else { return };
        let (shared, relations) = (Arc::clone(&self.shared), Arc::clone(&state.relations));
        cx.spawn_message("run", async move {
            let config = &shared.executor.config;
            // Without lanes, there is no other place for a slow query.
            let limits = if config.lanes_max == 0 {
                LiveLimits { run_max: config.query_timeout, thread_wait_max: BATCH_THREAD_WAIT_MAX }
            } else {
                let run_max = config.query_timeout.min(config.tick_budget);
                LiveLimits { run_max, thread_wait_max: TICK_THREAD_WAIT_MAX }
            };
            let finished = shared.executor.run(transaction, relations, runs, limits).await;
            TickerMessage::RunsFinished(Box::new(finished))
        });
    }

    pub(super) fn close_snapshot(&self, cx: &Context<TickerMessage>, state: &mut TickerState) {
        let Some(transaction) = state.transaction.take() else { return };
        cx.spawn_message("close", async move {
            transaction.close().await;
            TickerMessage::SnapshotClosed
        });
    }

    pub(super) fn close_batch(&self, cx: &Context<TickerMessage>, state: &mut TickerState, batch: BatchId) {
        let Some(transaction) = state.batches.remove(&batch) else { return };
        cx.spawn_message("close batch", async move {
            transaction.close().await;
            TickerMessage::BatchClosed(batch)
        });
    }
}
