//! The keeper of the buffer: one write and one dispatch at a time, beside each other.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::file::{BufferFile, LineReader, append_lines};
use super::{BufferPlace, BufferShared, WaitingAppend, store};
use crate::app::job_buffer::BufferedJob;
use crate::app::wire_type::WireType;
use crate::job::signals;
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::halving::{RefusedRow, write_by_halves};
use crate::kernel::ids::JobId;
use crate::kernel::time::{Timestamp, millis, secs};
use crate::supervise::{Actor, ActorError, Context, Timer};

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
    /// A part of a file is dispatched.
    Dispatched(Result<DispatchedPart, Fault>),
    /// The pause after a failure is over.
    PauseEnded,
}

/// A part of a file whose jobs are dispatched, or set aside.
#[derive(Debug)]
pub(super) struct DispatchedPart {
    /// Where the next part begins.
    next: u64,
    /// Its lines.
    lines: u64,
}

/// How much of one file is dispatched. The next file begins when it is done.
#[derive(Default)]
struct FileProgress {
    /// The name of the file; empty before the first part.
    name: String,
    bytes: u64,
    lines: u64,
}

/// What a dispatch reads.
struct UndispatchedPart {
    name: String,
    reader: LineReader,
    refused: PathBuf,
    start: u64,
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

    /// Dispatches the next part of the file that is under way, and leaves files that are done behind.
    fn dispatch(&self, cx: &Context<BufferMessage>, state: &mut KeeperState) {
        while let Some(file) = state.take_done() {
            cx.spawn("remove", async move {
                if let Err(error) = blocking(move || file.remove()).await.flatten() {
                    tracing::warn!(%error, "deleting a file of the buffer of jobs failed");
                }
            });
        }
        let Some(file) = state.file_under_way() else { return };
        let (name, start) = (file.name(), state.progress_of(file).0);
        if start >= file.len() {
            if file.len() > 0 {
                self.clear(cx, state);
            }
            return;
        }
        let refused = file.refused_path();
        let part =
            file.reader().map(|reader| UndispatchedPart { name: name.to_owned(), reader, refused, start });
        if state.progress.name != name {
            state.progress = FileProgress { name, ..FileProgress::default() };
        }
        state.is_dispatching = true;
        let shared = Arc::clone(&self.shared);
        cx.spawn_message("dispatch", async move {
            let part = part.map_err(Fault::internal);
            let dispatched = async { dispatch(&shared, part?).await };
            BufferMessage::Dispatched(dispatched.await)
        });
    }

    /// Leaves nothing in the file of this process, all of which is dispatched.
    fn clear(&self, cx: &Context<BufferMessage>, state: &mut KeeperState) {
        let Some(mut own) = state.own.take() else { return };
        state.progress = FileProgress::default();
        state.is_writing = true;
        cx.spawn_message("clear", async move {
            let cleared = blocking(move || own.clear().map(|()| own)).await.flatten();
            if let Err(error) = &cleared {
                // Its lock has ended. The next takeover finds it, and no job is dispatched twice.
                tracing::warn!(%error, "emptying the buffer of jobs failed");
            }
            BufferMessage::Written(cleared.ok())
        });
    }

    fn dispatched(
        &self,
        cx: &Context<BufferMessage>,
        state: &mut KeeperState,
        part: Result<DispatchedPart, Fault>,
    ) {
        state.is_dispatching = false;
        match part {
            Ok(DispatchedPart { next, lines }) => {
                state.progress.bytes = next;
                state.progress.lines += lines;
                state.failures = 0;
            }
            Err(fault) => {
                if state.failures == 0 {
                    let error = error_chain(&fault);
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
        files.clone().find(|file| file.name() == self.progress.name).or_else(|| files.next())
    }

    /// How many bytes and lines of a file are dispatched.
    fn progress_of(&self, file: &BufferFile) -> (u64, u64) {
        let FileProgress { name, bytes, lines } = &self.progress;
        if file.name() == *name { (*bytes, *lines) } else { (0, 0) }
    }

    /// Takes out a file of another process of which nothing is left.
    fn take_done(&mut self) -> Option<BufferFile> {
        let at = self.left.iter().position(|file| self.progress_of(file).0 >= file.len())?;
        self.left.remove(at)
    }

    /// Jobs on the disk that are not dispatched.
    fn jobs(&self) -> u64 {
        self.left
            .iter()
            .chain(&self.own)
            .map(|file| file.lines().saturating_sub(self.progress_of(file).1))
            .sum()
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

/// Dispatches the jobs of a part. What the database refuses, or no version can read, is set aside.
async fn dispatch(shared: &BufferShared, part: UndispatchedPart) -> Result<DispatchedPart, Fault> {
    let UndispatchedPart { name, reader, refused, start } = part;
    let read = blocking(move || reader.read(start)).await.flatten().map_err(Fault::internal)?;
    let (mut jobs, mut lines, mut aside) = (Vec::new(), Vec::new(), Vec::new());
    for line in &read.lines {
        match BufferedJob::from_json(line.as_bytes()) {
            Ok(job) => {
                jobs.push(job);
                lines.push(line);
            }
            Err(error) => {
                tracing::error!(%error, file = %refused.display(), "a buffered job is unreadable; set aside");
                aside.push(line.to_owned());
            }
        }
    }
    let now = Timestamp::from(SystemTime::now());
    let dispatch = |rows: std::ops::Range<usize>| store::dispatch(&shared.database, &name, &jobs[rows], now);
    let batch = write_by_halves(jobs.len(), dispatch).await?;
    for hint in batch.written {
        shared.hints.publish(hint);
    }
    for RefusedRow { row, fault } in batch.refused {
        let (job, error) = (&jobs[row].job, error_chain(&fault));
        tracing::error!(
            job = %job.id, handler = %job.name, error, file = %refused.display(),
            "a buffered job is refused by the database; set aside"
        );
        aside.push(lines[row].to_owned());
    }
    if !aside.is_empty() {
        blocking(move || append_lines(&refused, &aside)).await.flatten().map_err(Fault::internal)?;
    }
    Ok(DispatchedPart { next: read.next, lines: read.lines.len() as u64 })
}

/// Runs what waits for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(run).await.map_err(io::Error::other)
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
        Ok(KeeperState::default())
    }

    async fn handle(
        &self,
        cx: &Context<BufferMessage>,
        message: BufferMessage,
        state: &mut KeeperState,
    ) -> Result<(), ActorError> {
        match message {
            BufferMessage::Waiting => {}
            BufferMessage::DatabaseChanged => self.take_over(cx),
            BufferMessage::TakenOver(files) => self.taken_over(state, files),
            BufferMessage::Written(own) => {
                state.is_writing = false;
                state.own = own;
            }
            BufferMessage::Dispatched(part) => self.dispatched(cx, state, part),
            BufferMessage::PauseEnded => state.pause = None,
        }
        self.proceed(cx, state);
        Ok(())
    }
}
