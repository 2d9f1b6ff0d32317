//! Files of a folder: each is opened once, however many responses send it, and read part by part.
//!
//! Sharing the open file was chosen over sharing its bytes: bytes that many clients take at different speeds
//! stay in memory as a whole for the slowest of them, so the memory would grow with the files, while parts
//! grow with the responses, which the budget counts. The kernel's page cache shares the bytes, and to read
//! them again is cheap: 15 MiB take 1.9 ms at once and 3.0 ms in parts of 64 KiB, of which 1.7 ms are changes
//! of threads.
//!
//! A file that is replaced is sent to the end as it was. A file that is changed in place cuts the responses
//! that send it, so that no client gets half of each version.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use dashmap::DashMap;
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::header::HeaderValue;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::etag;
use super::response_delivery::ResponseDelivery;

/// File system calls that run at the same time, each on a thread of its own. More of them wait for each other
/// in the disk or for the same cores.
const CALLS_MAX: usize = 8;
static CALLS: Semaphore = Semaphore::const_new(CALLS_MAX);
/// Files that are remembered although no response sends them any more; beyond that they are forgotten.
const CLOSED_FILES_MAX: usize = 1_024;

/// A folder whose files are served. Clones share the open files.
#[derive(Debug, Clone)]
pub struct AssetFolder(Arc<FolderFiles>);

#[derive(Debug)]
struct FolderFiles {
    path: PathBuf,
    /// The files that responses send, by their paths without links.
    open: DashMap<PathBuf, Weak<OpenFile>>,
}

/// An open file of one version.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    version: FileVersion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: SystemTime,
}

/// The bytes of a file that a response sends.
pub(super) struct FilePart {
    pub(super) file: Arc<OpenFile>,
    pub(super) range: Range<u64>,
}

/// Reads such bytes one part after another.
pub(super) struct FileReader {
    file: Arc<OpenFile>,
    position: u64,
    /// The memory of the parts. Each part has it in turn: allocators keep what one thread allocates and
    /// another one frees, so that a new buffer for each part would cost many times its size.
    buffer: BytesMut,
    reading: Option<BoxFuture<'static, io::Result<(Bytes, BytesMut)>>>,
}

impl AssetFolder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(Arc::new(FolderFiles { path, open: DashMap::new() }))
    }

    /// Opens the first file of `names` that there is; the number is its place in the list. All file system
    /// calls of a request are made here, on one thread: each change of threads costs more than they do.
    pub(super) async fn open_first(&self, names: Vec<String>) -> Option<(usize, Arc<OpenFile>)> {
        let files = Arc::clone(&self.0);
        let open_first = move || {
            names.iter().enumerate().find_map(|(place, name)| Some((place, files.open_or_report(name)?)))
        };
        on_a_thread(open_first).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "opening a file was interrupted");
            None
        })
    }
}

impl FolderFiles {
    fn open_or_report(&self, name: &str) -> Option<Arc<OpenFile>> {
        use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
        match self.open(name) {
            Ok(file) => Some(file),
            Err(error) => {
                if !matches!(error.kind(), NotFound | NotADirectory | IsADirectory) {
                    tracing::warn!(file = name, %error, "a file cannot be served");
                }
                None
            }
        }
    }

    /// Opens a file that lies in the folder, also when links are followed.
    fn open(&self, name: &str) -> io::Result<Arc<OpenFile>> {
        let root = std::fs::canonicalize(&self.path)?;
        let path = std::fs::canonicalize(root.join(name))?;
        if !path.starts_with(&root) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the link leads out of the folder"));
        }
        let metadata = std::fs::metadata(&path)?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Opening a pipe would wait for its writer.
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file"));
        }
        let version = FileVersion::of(&metadata)?;
        let known = self.open.get(&path).and_then(|known| known.upgrade());
        if let Some(known) = known.filter(|known| known.version == version) {
            return Ok(known);
        }
        let file = File::open(&path)?;
        let version = FileVersion::of(&file.metadata()?)?;
        let opened = Arc::new(OpenFile { file, version });
        if self.open.len() >= CLOSED_FILES_MAX {
            self.open.retain(|_, known| known.strong_count() > 0);
        }
        self.open.insert(path, Arc::downgrade(&opened));
        Ok(opened)
    }
}

impl OpenFile {
    pub(super) fn len(&self) -> u64 {
        self.version.bytes
    }

    pub(super) fn tag(&self) -> HeaderValue {
        etag::of_file(self.version.bytes, self.version.modified)
    }

    /// Reads `count` bytes into `buffer`, and splits them off.
    fn read(&self, position: u64, count: usize, buffer: &mut BytesMut) -> io::Result<Bytes> {
        buffer.resize(count, 0);
        self.file.read_exact_at(buffer, position)?;
        if FileVersion::of(&self.file.metadata()?)? != self.version {
            return Err(io::Error::other("the file was changed while it was sent"));
        }
        Ok(buffer.split().freeze())
    }
}

impl FileVersion {
    fn of(metadata: &Metadata) -> io::Result<Self> {
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: metadata.modified()?,
        })
    }
}

impl FilePart {
    pub(super) fn len(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl From<FilePart> for FileReader {
    fn from(part: FilePart) -> Self {
        Self { file: part.file, position: part.range.start, buffer: BytesMut::new(), reading: None }
    }
}

impl FileReader {
    /// Reads the next `count` bytes. The part before must have been dropped. `delivery` is kept until they
    /// are read, so that they count as used.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        count: usize,
        delivery: &Arc<ResponseDelivery>,
    ) -> Poll<io::Result<Bytes>> {
        let reading = self.reading.get_or_insert_with(|| {
            let (file, position, delivery) = (Arc::clone(&self.file), self.position, Arc::clone(delivery));
            let mut buffer = std::mem::take(&mut self.buffer);
            let read = on_a_thread(move || {
                let read = file.read(position, count, &mut buffer);
                drop(delivery);
                Ok((read?, buffer))
            });
            async move { read.await? }.boxed()
        });
        let read = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        let (part, buffer) = read?;
        self.buffer = buffer;
        self.position += count as u64;
        Poll::Ready(Ok(part))
    }
}

/// Makes a file system call when its turn has come.
async fn on_a_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let turn = CALLS.acquire().await.map_err(io::Error::other)?;
    let held = move || {
        // A call goes on when its response is no longer wanted.
        let _turn = turn;
        call()
    };
    spawn_blocking(held).await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(folder: &AssetFolder, names: &[&str]) -> Option<(usize, Arc<OpenFile>)> {
        folder.open_first(names.iter().map(|name| (*name).to_owned()).collect()).await
    }

    #[tokio::test]
    async fn a_file_is_open_once_for_each_version() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a.txt");
        std::fs::write(&path, "first").expect("write");
        let folder = AssetFolder::new(home.path().to_owned());
        let (place, one) = open(&folder, &["a.txt.gz", "a.txt"]).await.expect("it is there");
        let (_, two) = open(&folder, &["a.txt"]).await.expect("it is there");
        assert!(place == 1 && Arc::ptr_eq(&one, &two));
        std::fs::write(home.path().join("new"), "second").expect("write");
        std::fs::rename(home.path().join("new"), &path).expect("rename");
        let (_, three) = open(&folder, &["a.txt"]).await.expect("it is there");
        let mut buffer = BytesMut::new();
        assert_eq!(three.read(0, 6, &mut buffer).expect("readable"), "second");
        assert_eq!(one.read(1, 4, &mut buffer).expect("the old version, to its end"), "irst");
        std::fs::write(&path, "a third one").expect("write in place");
        assert!(three.read(0, 6, &mut buffer).is_err(), "half of each version");
        drop((one, two, three));
        assert_eq!(folder.0.open.iter().filter(|known| known.strong_count() > 0).count(), 0);
    }

    #[tokio::test]
    async fn only_regular_files_of_the_folder_are_opened() {
        let home = tempfile::tempdir().expect("a folder");
        let inside = home.path().join("dist");
        std::fs::create_dir_all(inside.join("folder")).expect("a folder");
        std::fs::write(home.path().join("secret"), "secret").expect("write");
        std::os::unix::fs::symlink("../secret", inside.join("link")).expect("a link");
        let _socket = std::os::unix::net::UnixListener::bind(inside.join("socket")).expect("a socket");
        let folder = AssetFolder::new(inside);
        for name in ["missing", "folder", "folder/", "link", "socket", "../secret"] {
            assert!(open(&folder, &[name]).await.is_none(), "{name}");
        }
    }
}
