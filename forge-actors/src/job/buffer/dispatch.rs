//! The dispatch of a part of a file: its jobs in one transaction, or in several where the database refuses
//! some of them. Each transaction notes how far the file is dispatched.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::BufferShared;
use super::file::{BufferFile, BufferLine, LineReader, ReadLines, append_lines, blocking};
use super::store::{self, LineRange, LinesOutcome};
use crate::app::job_buffer::BufferedJob;
use crate::app::wire_type::WireType;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::halving::Halving;
use crate::kernel::time::Timestamp;

/// How much of one file is dispatched or set aside: a copy of the offset in `forge_job_buffers`, with which
/// each dispatch compares it.
#[derive(Debug, Default, Clone)]
pub(super) struct FileProgress {
    /// The name of the file; empty before the first part.
    pub(super) name: String,
    /// Where the next part begins.
    pub(super) bytes: u64,
    /// The lines before it.
    pub(super) lines: u64,
    /// Before this offset, every line that must be set aside is so already.
    aside: u64,
}

/// A part of a file that is to be dispatched.
pub(super) struct BufferPart {
    /// Reads the file.
    pub(super) reader: Arc<LineReader>,
    /// The file for lines that are set aside.
    pub(super) refused: PathBuf,
    /// Says where the part begins, and is kept up to date while it is dispatched.
    pub(super) progress: FileProgress,
}

/// Why a part was not dispatched, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum DispatchError {
    #[error("a file of the buffer failed")]
    File(#[from] io::Error),
    #[error("the database failed")]
    Database(#[source] Fault),
}

/// A line that is set aside.
struct RefusedLine<'a> {
    line: &'a BufferLine,
    reason: String,
}

impl FileProgress {
    /// Of the file `name`, of which nothing is known yet.
    pub(super) fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    /// What is known of `file`, if this is about it.
    pub(super) fn of(&self, file: &BufferFile) -> Option<&Self> {
        (file.name() == self.name).then_some(self)
    }
}

impl BufferPart {
    /// Dispatches the jobs of the part. What the database refuses, or no version can read, is set aside.
    pub(super) async fn dispatch(&mut self, shared: &BufferShared) -> Result<(), DispatchError> {
        let (reader, start) = (Arc::clone(&self.reader), self.progress.bytes);
        let read = blocking(move || reader.read(start)).await.flatten()?;
        let Some(end) = self.dispatch_lines(shared, &read).await? else { return Ok(()) };
        tracing::info!(
            file = self.progress.name,
            offset = end,
            local_offset = self.progress.bytes,
            "buffer file resumed at the offset in the database"
        );
        let reader = Arc::clone(&self.reader);
        let lines = blocking(move || reader.count_lines(end)).await.flatten()?;
        self.progress.bytes = end;
        self.progress.lines = lines;
        Ok(())
    }

    /// Dispatches the jobs of some lines. Returns where the dispatched lines of the file end, when the
    /// database says that these do not begin there.
    async fn dispatch_lines(
        &mut self,
        shared: &BufferShared,
        read: &ReadLines,
    ) -> Result<Option<u64>, DispatchError> {
        let ReadLines { lines, next } = read;
        let read_jobs: Vec<_> = lines.iter().map(read_job).collect();
        let now = Timestamp::from(SystemTime::now());
        let lines_before = self.progress.lines;
        let mut halving = Halving::of(lines.len());
        let mut refused = Vec::new();
        loop {
            let (rows, to) = match halving.part() {
                Some(rows) => (rows.clone(), lines[rows.end - 1].end),
                // Every line that is left was set aside: an empty dispatch moves the offset past them.
                None if self.progress.bytes < *next => (0..0, *next),
                None => return Ok(None),
            };
            let readable: Result<Vec<_>, _> = read_jobs[rows.clone()].iter().map(Result::as_ref).collect();
            let reason = match readable {
                Ok(jobs) => {
                    // Lines are set aside before the offset passes them, so that a crash loses none.
                    self.set_aside(std::mem::take(&mut refused)).await?;
                    let range = LineRange { file: &self.progress.name, start: self.progress.bytes, end: to };
                    match store::dispatch(&shared.database, range, &jobs, now).await {
                        Ok(LinesOutcome::Dispatched(hint)) => {
                            shared.hints.publish(hint);
                            halving.written();
                            let passed = lines.partition_point(|line| line.end <= to);
                            self.progress.bytes = to;
                            self.progress.lines = lines_before + passed as u64;
                            continue;
                        }
                        Ok(LinesOutcome::OffsetMismatch(offset)) => return Ok(Some(offset)),
                        Err(fault) if fault.blames_row() && !rows.is_empty() => refusal(jobs[0], &fault),
                        Err(fault) => return Err(DispatchError::Database(fault)),
                    }
                }
                Err(error) => error.to_owned(),
            };
            // Of several lines, each half is dispatched next.
            if let Some(row) = halving.refused() {
                refused.push(RefusedLine { line: &lines[row], reason });
            }
        }
    }

    /// Sets lines aside; those that were so already, before a failure, are not written again.
    async fn set_aside(&mut self, refused: Vec<RefusedLine<'_>>) -> io::Result<()> {
        let is_new = |refused: &RefusedLine<'_>| refused.line.end > self.progress.aside;
        let new: Vec<_> = refused.into_iter().filter(is_new).collect();
        let Some(last) = new.last() else { return Ok(()) };
        let end = last.line.end;
        for RefusedLine { reason, .. } in &new {
            tracing::error!(reason, file = %self.refused.display(), "a buffered job is set aside");
        }
        let texts: Vec<_> = new.iter().map(|refused| refused.line.text.clone()).collect();
        let path = self.refused.clone();
        blocking(move || append_lines(&path, &texts)).await.flatten()?;
        self.progress.aside = end;
        Ok(())
    }
}

/// The job of a line, or why it is unreadable.
fn read_job(line: &BufferLine) -> Result<BufferedJob, String> {
    BufferedJob::from_json(line.text.as_bytes()).map_err(|error| format!("unreadable: {error}"))
}

fn refusal(refused: &BufferedJob, fault: &Fault) -> String {
    let (job, error) = (&refused.job, error_chain(fault));
    format!("the database refuses the job {} of {}: {error}", job.id, job.name)
}
