//! The server's process: whether a process id is that of the server of one cluster. The lock file of a server
//! that was killed stays behind, and its process id may be that of any program by now, another cluster's
//! server among them.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, test_kill_process};

use super::folder::Folder;

/// True when the process exists and is no zombie.
pub(super) fn is_alive(pid: Pid) -> bool {
    let exists = !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH));
    // The state follows the name, which stands in parentheses and may contain any character.
    let status = fs::read_to_string(format!("/proc/{pid}/stat"));
    let is_zombie = status
        .is_ok_and(|status| status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')));
    exists && !is_zombie
}

/// True when the process is the server of the cluster in `folder`. A server works in the folder of its
/// cluster.
pub(super) fn serves(folder: &Folder, pid: Pid) -> bool {
    if !is_alive(pid) {
        return false;
    }
    if !has_proc() {
        return command_names(pid, &folder.data);
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim().starts_with("postgres") && works_in(&pid.to_string(), &folder.data)
}

/// True when a process works in the folder of the cluster, such as a child of a server that was killed, or
/// when this system does not tell.
pub(super) fn is_in_use(folder: &Folder) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    if !has_proc() {
        return true;
    }
    let names = processes.flatten().map(|process| process.file_name().to_string_lossy().into_owned());
    let mut pids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    pids.any(|pid| works_in(&pid, &folder.data))
}

/// False on systems whose /proc does not describe processes, such as macOS.
fn has_proc() -> bool {
    fs::read_link("/proc/self/cwd").is_ok()
}

fn works_in(pid: &str, data: &Path) -> bool {
    let Ok(data) = data.canonicalize() else { return false };
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == data)
}

/// True when the command line of the process names the cluster, as that of a server which this program
/// started does.
fn command_names(pid: Pid, data: &Path) -> bool {
    let listed = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    listed.is_ok_and(|listed| {
        String::from_utf8_lossy(&listed.stdout).contains(&format!(" -D {} ", data.display()))
    })
}
