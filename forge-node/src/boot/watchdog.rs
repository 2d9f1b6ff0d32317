//! This binary as the watchdog of an embedded database: it stops the server when the last node was killed.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use forge_actors::db::embedded::watchdog::{WatchdogProgram, watch};

use crate::boot::runtime::concurrently;
use crate::terminal::output;

/// The first argument of a watchdog. No person types it, so no help page has it.
const ARGUMENT: &str = "--postgres-watchdog";

/// The program that is the watchdog of this process. `None` when the system does not tell this binary's path.
pub fn program() -> Option<WatchdogProgram> {
    let program = std::env::current_exe().ok()?;
    Some(WatchdogProgram { program, arguments: vec![ARGUMENT.into()], variable: None })
}

/// Is the watchdog of another process, when this process was started as one; `None` when it was not.
pub fn run_if_asked() -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [first, root, data] = arguments.as_slice() else { return None };
    if first != ARGUMENT {
        return None;
    }
    let watched = async { Ok(watch(Path::new(root), Path::new(data)).await?) };
    // Standard error is the server's log.
    match concurrently(watched) {
        Ok(false) => Some(ExitCode::SUCCESS),
        Ok(true) => {
            output::notice("watchdog: stopped the server, because no process uses it any more");
            Some(ExitCode::SUCCESS)
        }
        Err(report) => {
            output::notice(report.text(false));
            Some(report.exit.into())
        }
    }
}
