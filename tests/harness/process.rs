//! A child process whose output is kept and which never outlives its value.
//!
//! It stays in the process group of the test, so that a test runner that kills a test kills its children too.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use super::until::until;

/// How long a child may take to end by itself when its value is dropped.
const GRACE: Duration = Duration::from_secs(3);

/// What a process has written so far, standard output and error in one.
#[derive(Clone, Default)]
pub struct Output {
    text: Arc<Mutex<String>>,
}

impl Output {
    /// Everything so far.
    pub fn text(&self) -> String {
        self.text.lock().expect("no reader panics").clone()
    }

    /// The first line that contains `needle`.
    pub fn line(&self, needle: &str) -> Option<String> {
        self.text().lines().find(|line| line.contains(needle)).map(str::to_owned)
    }

    fn read_from(&self, stream: impl Read + Send + 'static) -> JoinHandle<()> {
        let text = self.text.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            // Read errors end the stream as its closing does: the process is gone.
            while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                text.lock().expect("no reader panics").push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        })
    }
}

/// A running child.
pub struct Process {
    child: Child,
    pid: Pid,
    readers: Vec<JoinHandle<()>>,
    stdout: Output,
    stderr: Output,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// Standard output, whole.
    pub stdout: String,
    /// Standard error, whole.
    pub stderr: String,
}

impl Ended {
    /// The exit code; a signal's number is reported as 128 + n, as shells do.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }
}

impl Process {
    /// Starts `command`.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let (stdout, stderr) = (Output::default(), Output::default());
        let readers = vec![
            stdout.read_from(child.stdout.take().expect("stdout is piped")),
            stderr.read_from(child.stderr.take().expect("stderr is piped")),
        ];
        let pid = Pid::from_child(&child);
        Self { child, pid, readers, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Standard output so far.
    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// Standard error so far.
    pub fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// Sends a signal to the process itself.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap_or_else(|error| panic!("signal {signal:?}: {error}"));
    }

    /// It has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait for the child").is_some()
    }

    /// Waits for its end.
    pub async fn ended(&mut self, limit: Duration) -> Ended {
        let what = format!("process {} ends; its errors so far:\n{}", self.pid(), self.stderr.text());
        let status = until(&what, limit, || {
            let status = self.child.try_wait().expect("wait for the child");
            async move { status }
        })
        .await;
        for reader in self.readers.drain(..) {
            reader.join().expect("no reader panics");
        }
        Ended { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }

    /// Resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process runs");
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a running process has VmRSS");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("VmRSS is a number of kB");
        kibibytes * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First politely, so that a node stops the database that it started; each signal may come too late,
        // which is as well.
        let asked = Instant::now();
        if !self.has_ended() {
            let _ = kill_process(self.pid, Signal::TERM);
        }
        while !self.has_ended() && asked.elapsed() < GRACE {
            std::thread::sleep(Duration::from_millis(20));
        }
        if !self.has_ended() {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!(
                "--- stdout of {}\n{}--- stderr\n{}",
                self.pid(),
                self.stdout.text(),
                self.stderr.text()
            );
        }
    }
}
