//! The keeper of the buffer: one write and one dispatch at a time, beside each other.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::dispatch::{BufferPart, DispatchError, FileProgress};
use super::file::{BufferFile, blocking};
use super::{BufferPlace, BufferShared, WaitingAppend, store};
use crate::db::database::Database;
use crate::job::signals;
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::time::{millis, minutes, secs};
use crate::supervise::{Actor, ActorError, Context, Timer};
use crate::test_signals::{Step, pause_point};

/// Between two looks for files of processes that have ended since this one started.
const TAKEOVER_EVERY: Duration = minutes(1);
/// Between two dispatches that fail.
const BACKOFF: Backoff = Backoff::exponential(millis(250), secs(10));
/// Jobs that calls have put and that are written together.
const WRITE_MAX: usize = 1_000;

/// Messages of the keeper.
#[derive(forge_app_macros::Message)]
pub(super) enum BufferMessage {
    /// A call waits until its job is on the disk.
    Waiting,
    /// The database is up or away.
    DatabaseChanged,
    /// Files of processes that have ended.
    TakenOver(io::Result<Vec<BufferFile>>),
    /// A write has ended: the file of this process, once there is one.
    Written(Option<BufferFile>),
    /// The dispatch of a part has ended: how far the file is dispatched, and the failure that stopped it.
    Dispatched(FileProgress, Result<(), DispatchError>),
    /// Time to look for files of processes that have ended meanwhile.
    TakeoverDue,
    /// The pause after a failure is over.
    PauseEnded,
}

pub(super) struct BufferKeeper {
    shared: Arc<BufferShared>,
}

#[derive(Default)]
pub(super) struct KeeperState {
    /// The file of this process; a write has it meanwhile.
    own: Option<BufferFile>,
    /// Files of processes that have ended, the one that is dispatched first.
    left: VecDeque<BufferFile>,
    is_writing: bool,
    is_dispatching: bool,
    progress: FileProgress,
    failures: u32,
    pause: Option<Timer>,
    /// The next looks for files of processes that have ended.
    _look: Option<Timer>,
}

impl BufferKeeper {
    pub(super) fn new(shared: Arc<BufferShared>) -> Self {
        Self { shared }
    }

    fn take_over(&self, cx: &Context<BufferMessage>) {
        let folder = self.shared.place.folder.clone();
        cx.spawn_message("take over", async move {
            BufferMessage::TakenOver(blocking(move || BufferFile::take_over(&folder)).await.flatten())
        });
    }

    fn taken_over(&self, state: &mut KeeperState, files: io::Result<Vec<BufferFile>>) {
        match files {
            Ok(files) => state.left.extend(files),
            Err(error) => {
                let folder = self.shared.place.folder.display();
                tracing::warn!(%folder, %error, "reading the buffer of jobs failed");
            }
        }
    }

    fn proceed(&self, cx: &Context<BufferMessage>, state: &mut KeeperState) {
        if !state.is_writing {
            self.write(cx, state);
        }
        // A write has the file for a moment only.
        if state.is_writing {
            return;
        }
        let is_up = self.shared.database.state().borrow().is_up();
        if is_up && !state.is_dispatching && state.pause.is_none() {
            self.dispatch(cx, state);
        }
        let jobs = state.jobs();
        self.shared.jobs.store(jobs, Ordering::Relaxed);
        metrics::gauge!(signals::JOBS_BUFFERED).set(jobs as f64);
    }

    /// Writes the jobs that calls have put.
    fn write(&self, cx: &Context<BufferMessage>, state: &mut KeeperState) {
        let waiting = self.shared.waiting.take_part(|waiting| {
            let batch: Vec<_> = waiting.drain(..waiting.len().min(WRITE_MAX)).collect();
            (!batch.is_empty()).then_some(batch)
        });
        let Some(batch) = waiting else { return };
        state.is_writing = true;
        let (shared, own) = (Arc::clone(&self.shared), state.own.take());
        cx.spawn_message("write", async move {
            let before = own.as_ref().map_or(0, BufferFile::lines);
            // A panic of the write drops the file, whose lock ends with it: the next takeover finds it.
            let own = blocking(move || append(own, &shared.place, batch)).await.unwrap_or_default();
            let written = own.as_ref().map_or(0, BufferFile::lines).saturating_sub(before);
            metrics::counter!(signals::JOBS_BUFFERED_TOTAL).increment(written);
            BufferMessage::Written(own)
        });
    }

    /// Deletes files of which nothing is left, and dispatches the next part of the file that is under way.
    fn dispatch(&self, cx: &Context<BufferMessage>, state: &mut KeeperState) {
        while let Some(file) = state.take_done() {
            let database = self.shared.database.clone();
            cx.spawn("remove", async move { remove(&database, file).await });
        }
        let Some(file) = state.file_under_way() else { return };
        let (reader, refused) = (file.reader(), file.refused_path());
        let progress = match state.progress.of(file) {
            Some(progress) => progress.clone(),
            None => FileProgress::new(file.name()),
        };
        state.progress = progress.clone();
        state.is_dispatching = true;
        let shared = Arc::clone(&self.shared);
        cx.spawn_message("dispatch", async move {
            let reader = match reader {
                Ok(reader) => Arc::new(reader),
                Err(error) => return BufferMessage::Dispatched(progress, Err(error.into())),
            };
            let mut part = BufferPart { reader, refused, progress };
            let dispatched = part.dispatch(&shared).await;
            if dispatched.is_ok() {
                pause_point(Step::JobBufferDispatched, "jobs").await;
            }
            BufferMessage::Dispatched(part.progress, dispatched)
        });
    }

    fn dispatched(
        &self,
        cx: &Context<BufferMessage>,
        state: &mut KeeperState,
        progress: FileProgress,
        dispatched: Result<(), DispatchError>,
    ) {
        state.is_dispatching = false;
        state.progress = progress;
        match dispatched {
            Ok(()) => state.failures = 0,
            Err(DispatchError::File(error)) if state.left.iter().any(|file| state.is_under_way(file)) => {
                let file = std::mem::take(&mut state.progress).name;
                tracing::warn!(
                    file,
                    %error,
                    "dispatching a file of buffered jobs failed; the next takeover tries again"
                );
                // Its lock ends, and the next takeover finds it.
                state.left.retain(|left| left.name() != file);
            }
            Err(error) => {
                if state.failures == 0 {
                    let error = error_chain(&error);
                    tracing::warn!(error, "dispatching buffered jobs failed; retrying");
                }
                state.pause =
                    Some(cx.send_after(BACKOFF.jittered(state.failures), BufferMessage::PauseEnded));
                state.failures = state.failures.saturating_add(1);
            }
        }
    }
}

impl KeeperState {
    /// The file to dispatch from: the one that is under way, or else the oldest.
    fn file_under_way(&self) -> Option<&BufferFile> {
        let mut files = self.left.iter().chain(&self.own);
        files.clone().find(|file| self.is_under_way(file)).or_else(|| files.next())
    }

    fn is_under_way(&self, file: &BufferFile) -> bool {
        self.progress.of(file).is_some()
    }

    /// Takes out a file of which nothing is left.
    fn take_done(&mut self) -> Option<BufferFile> {
        let Self { own, left, progress, .. } = self;
        let is_done = |file: &BufferFile| {
            progress.of(file).map_or(0, |progress| progress.bytes) >= file.len() || file.is_gone()
        };
        if let Some(at) = left.iter().position(is_done) {
            return left.remove(at);
        }
        own.take_if(|file| is_done(file))
    }

    /// Jobs on the disk that are not dispatched.
    fn jobs(&self) -> u64 {
        let dispatched = |file| self.progress.of(file).map_or(0, |progress| progress.lines);
        self.left.iter().chain(&self.own).map(|file| file.lines().saturating_sub(dispatched(file))).sum()
    }
}

/// Appends jobs to the file, which is made for the first one, and answers their callers.
fn append(own: Option<BufferFile>, place: &BufferPlace, batch: Vec<WaitingAppend>) -> Option<BufferFile> {
    let BufferPlace { folder, bytes_max } = place;
    let mut len = own.as_ref().map_or(0, BufferFile::len);
    let (mut text, mut replies) = (Vec::new(), Vec::new());
    for WaitingAppend { line, reply } in batch {
        // The call has ended: nobody learns that its job is buffered.
        if reply.is_closed() {
            continue;
        }
        len += line.len() as u64 + 1;
        if len > *bytes_max {
            len -= line.len() as u64 + 1;
            let _gone = reply.send(Err(full(*bytes_max)));
            continue;
        }
        text.extend_from_slice(&line);
        text.push(b'\n');
        replies.push(reply);
    }
    if replies.is_empty() {
        return own;
    }
    let file = own.map_or_else(|| BufferFile::create(folder, &JobId::new().to_string()), Ok);
    let (file, result) = match file {
        Ok(file) => file.append(&text, replies.len() as u64),
        Err(error) => (None, Err(error)),
    };
    if let Err(error) = &result {
        tracing::warn!(folder = %folder.display(), %error, "writing the buffer of jobs failed");
    }
    for reply in replies {
        let refusal = || Fault::new(Code::Unavailable, "the disk does not take the job");
        let _gone = reply.send(result.as_ref().copied().map_err(|_| refusal()));
    }
    file
}

fn full(bytes_max: u64) -> Fault {
    let text = match bytes_max {
        0 => "the buffer of jobs is off (`jobs.buffer_bytes_max = 0`)".to_owned(),
        _ => format!("the buffer of jobs is full (`jobs.buffer_bytes_max`, {bytes_max} bytes)"),
    };
    Fault::new(Code::Unavailable, text)
}

/// Deletes a file of which nothing is left.
async fn remove(database: &Database, file: BufferFile) {
    let name = file.name();
    if file.is_gone() {
        tracing::warn!(name, "buffer file deleted by another program; its undispatched jobs are lost");
    }
    if let Err(error) = blocking(move || file.remove()).await.flatten() {
        // Its lock has ended: the next takeover finds it, and the database knows that it is dispatched.
        tracing::warn!(name, %error, "deleting a file of the buffer of jobs failed");
        return;
    }
    if let Err(fault) = store::note_removal(database, &name).await {
        let error = error_chain(&fault);
        tracing::warn!(
            name,
            error,
            "noting that a file of buffered jobs is deleted failed; its row is kept for longer"
        );
    }
}

impl Actor for BufferKeeper {
    type Message = BufferMessage;
    type State = KeeperState;
    const KIND: &'static str = "job_buffer";

    async fn start(&self, cx: &Context<BufferMessage>) -> Result<KeeperState, ActorError> {
        let (mut changes, address) = (self.shared.database.state(), cx.address());
        cx.spawn("database", async move {
            while changes.changed().await.is_ok() {
                address.notify(BufferMessage::DatabaseChanged);
            }
        });
        self.take_over(cx);
        let look = cx.send_every(TAKEOVER_EVERY, || BufferMessage::TakeoverDue);
        Ok(KeeperState { _look: Some(look), ..KeeperState::default() })
    }

    async fn handle(
        &self,
        cx: &Context<BufferMessage>,
        message: BufferMessage,
        state: &mut KeeperState,
    ) -> Result<(), ActorError> {
        match message {
            BufferMessage::Waiting => {}
            BufferMessage::DatabaseChanged | BufferMessage::TakeoverDue => self.take_over(cx),
            BufferMessage::TakenOver(files) => self.taken_over(state, files),
            BufferMessage::Written(own) => {
                state.is_writing = false;
                state.own = own;
            }
            BufferMessage::Dispatched(progress, dispatched) => {
                self.dispatched(cx, state, progress, dispatched)
            }
            BufferMessage::PauseEnded => state.pause = None,
        }
        self.proceed(cx, state);
        Ok(())
    }
}
