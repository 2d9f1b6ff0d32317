//! A file of buffered jobs: one line of JSON each, in the order of their dispatches. Only its owner writes
//! it, who holds its lock while the process lives; the file of a process that has ended is taken over by the
//! next one that starts in the folder. A file is deleted when all of it is dispatched, and no other one ever
//! has its name. Blocking: callers run it on threads that may wait.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The ending of files of jobs.
const JOBS: &str = "jobs";
/// The ending of files of lines that the database has refused.
const REFUSED: &str = "refused";
/// Lines that are read together.
const LINES_MAX: usize = 100;
/// Bytes of lines that are read together, but for the last line.
const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A file of buffered jobs.
#[derive(Debug)]
pub(super) struct BufferFile {
    path: PathBuf,
    file: File,
    /// Where its whole lines end.
    len: u64,
    /// Its lines.
    lines: u64,
}

/// A line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BufferLine {
    pub(super) text: String,
    /// Where the next line begins.
    pub(super) end: u64,
}

/// Lines that were read from a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReadLines {
    pub(super) lines: Vec<BufferLine>,
    /// Where the next ones begin.
    pub(super) next: u64,
}

impl BufferFile {
    /// Makes the file `name` in `folder`, and the folder.
    pub(super) fn create(folder: &Path, name: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = folder.join(name).with_extension(JOBS);
        let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&path)?;
        // Without the sync, a crash of the machine may leave the folder without the file.
        let made = file.try_lock().map_err(io::Error::from).and_then(|()| File::open(folder)?.sync_all());
        if let Err(error) = made {
            fs::remove_file(&path)?;
            return Err(error);
        }
        Ok(Self { path, file, len: 0, lines: 0 })
    }

    /// Takes over the files in `folder` whose processes have ended. A line that was not finished is cut off:
    /// its dispatch was not acknowledged.
    pub(super) fn take_over(folder: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != JOBS) {
                continue;
            }
            match Self::take(path.clone()) {
                Ok(taken) => files.extend(taken),
                // Another process has finished with it in this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let path = path.display();
                    tracing::warn!(%path, %error, "taking over a file of buffered jobs failed");
                }
            }
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    /// Takes over one file; `None` while its owner lives, or when it is another file by now.
    fn take(path: PathBuf) -> io::Result<Option<Self>> {
        if !fs::symlink_metadata(&path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let file = OpenOptions::new().read(true).append(true).open(&path)?;
        Self::lock(path, file)
    }

    fn lock(path: PathBuf, file: File) -> io::Result<Option<Self>> {
        // The owner may have deleted it since it was opened, and have ended its lock then.
        if file.try_lock().is_err() || fs::symlink_metadata(&path)?.ino() != file.metadata()?.ino() {
            return Ok(None);
        }
        let (len, lines) = measure(&file, u64::MAX)?;
        file.set_len(len)?;
        Ok(Some(Self { path, file, len, lines }))
    }

    /// Its name, by which the database knows it. No other file has had it.
    pub(super) fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Appends whole lines, and returns when they are on the disk. After a failure the file is as before, or
    /// is not used any more: then it is taken over later.
    pub(super) fn append(mut self, text: &[u8], lines: u64) -> (Option<Self>, io::Result<()>) {
        let is_whole = self.file.metadata().is_ok_and(|data| data.len() == self.len && data.nlink() > 0);
        let appended = if is_whole {
            (&self.file).write_all(text).and_then(|()| self.file.sync_data())
        } else {
            Err(io::Error::other("the file is not as it was written"))
        };
        if appended.is_err() {
            let kept = is_whole && self.file.set_len(self.len).is_ok();
            return (kept.then_some(self), appended);
        }
        self.len += text.len() as u64;
        self.lines += lines;
        (Some(self), Ok(()))
    }

    /// Another descriptor, with which lines are read while others are appended.
    pub(super) fn reader(&self) -> io::Result<LineReader> {
        Ok(LineReader { file: File::open(&self.path)?, end: self.len })
    }

    /// True when the file has been deleted, or moved away.
    pub(super) fn is_gone(&self) -> bool {
        let Ok(own) = self.file.metadata() else { return false };
        match fs::symlink_metadata(&self.path) {
            Ok(there) => there.ino() != own.ino(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Deletes the file, so that no crash of the machine brings it back.
    pub(super) fn remove(self) -> io::Result<()> {
        if !self.is_gone() {
            fs::remove_file(&self.path)?;
        }
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// The file beside this one for lines that the database has refused.
    pub(super) fn refused_path(&self) -> PathBuf {
        self.path.with_extension(REFUSED)
    }
}

/// Reads the lines of a file.
#[derive(Debug)]
pub(super) struct LineReader {
    file: File,
    /// Where the whole lines end.
    end: u64,
}

impl LineReader {
    /// Reads some lines from `start` on; none at the end.
    pub(super) fn read(&self, start: u64) -> io::Result<ReadLines> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))?;
        let mut reader = BufReader::new(file);
        let mut read = ReadLines { lines: Vec::new(), next: start };
        while read.lines.len() < LINES_MAX && read.next < self.end && read.next - start < READ_BYTES_MAX {
            let mut line = Vec::new();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read.next += line.len() as u64;
            let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            read.lines.push(BufferLine { text, end: read.next });
        }
        Ok(read)
    }

    /// Counts the lines before `end`.
    pub(super) fn count_lines(&self, end: u64) -> io::Result<u64> {
        (&self.file).seek(SeekFrom::Start(0))?;
        measure(&self.file, end).map(|(_, lines)| lines)
    }
}

/// Appends lines to the file at `path`, which is made when it is not there.
pub(super) fn append_lines(path: &Path, lines: &[String]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// Runs what waits for the disk on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(run).await.map_err(io::Error::other)
}

/// Where the last whole line that begins before `limit` ends, and how many there are.
fn measure(file: &File, limit: u64) -> io::Result<(u64, u64)> {
    let (mut end, mut lines) = (0, 0);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while end < limit && reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        end += line.len() as u64;
        lines += 1;
        line.clear();
    }
    Ok((end, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &BufferFile, start: u64) -> ReadLines {
        file.reader().unwrap().read(start).unwrap()
    }

    fn texts(file: &BufferFile, start: u64) -> Vec<String> {
        read(file, start).lines.into_iter().map(|line| line.text).collect()
    }

    fn appended(file: BufferFile, text: &[u8], lines: u64) -> BufferFile {
        let (file, result) = file.append(text, lines);
        result.unwrap();
        file.unwrap()
    }

    #[test]
    fn what_is_no_file_of_jobs_keeps_no_other_one_waiting() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("folder.jobs")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.jobs")).unwrap();
        drop(appended(BufferFile::create(folder.path(), "z").unwrap(), b"1\n", 1));
        let [left] = &BufferFile::take_over(folder.path()).unwrap()[..] else { panic!("one file") };
        assert_eq!((left.name().as_str(), left.lines()), ("z", 1));
    }

    #[test]
    fn lines_come_back_in_order_and_after_a_crash_without_the_unfinished_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("buffer");
        let file = BufferFile::create(&path, "a").unwrap();
        let file = appended(file, b"{\"n\":1}\n{\"n\":2}\n", 2);
        assert_eq!(texts(&file, 0), ["{\"n\":1}", "{\"n\":2}"]);
        assert_eq!(read(&file, 16), ReadLines { lines: Vec::new(), next: 16 });
        assert!(BufferFile::take_over(&path).unwrap().is_empty(), "its owner lives");
        // The process ends in the middle of an append.
        (&file.file).write_all(b"{\"n\":").unwrap();
        drop(file);
        let [left] = &BufferFile::take_over(&path).unwrap()[..] else { panic!("one file") };
        assert_eq!((left.len(), left.lines(), left.name().as_str()), (16, 2, "a"));
        let second = BufferLine { text: "{\"n\":2}".to_owned(), end: 16 };
        assert_eq!(read(left, 8), ReadLines { lines: vec![second], next: 16 });
        let count = |end| left.reader().unwrap().count_lines(end).unwrap();
        assert_eq!([0, 8, 16, 99].map(count), [0, 1, 2, 2]);
    }

    #[test]
    fn a_deleted_file_is_nobodys_not_even_of_one_who_had_opened_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jobs");
        let open = || OpenOptions::new().read(true).append(true).open(&path).unwrap();
        let file = appended(BufferFile::create(folder.path(), "a").unwrap(), b"1\n", 1);
        let (first, second) = (open(), open());
        file.remove().unwrap();
        assert!(BufferFile::take_over(folder.path()).unwrap().is_empty());
        assert!(BufferFile::take_over(&folder.path().join("none")).unwrap().is_empty());
        let error = BufferFile::lock(path.clone(), first).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let next = BufferFile::create(folder.path(), "a").unwrap();
        assert!(BufferFile::lock(path.clone(), second).unwrap().is_none());

        // Deleted by another program: it takes no jobs, which would be lost.
        fs::remove_file(&path).unwrap();
        assert!(next.is_gone());
        let (kept, appended) = next.append(b"1\n", 1);
        assert!(kept.is_none() && appended.is_err());
    }

    #[test]
    fn many_lines_are_read_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..250).map(|n| format!("{n}\n")).collect();
        let file = appended(BufferFile::create(folder.path(), "a").unwrap(), text.as_bytes(), 250);
        let (mut next, mut parts) = (0, Vec::new());
        loop {
            let part = read(&file, next);
            if part.lines.is_empty() {
                break;
            }
            parts.push(part.lines.len());
            next = part.next;
        }
        assert_eq!(parts, [100, 100, 50]);
    }
}
