//! `forge-node`: the developer's command line, with the demo application linked in.

use std::process::ExitCode;

#[path = "../demo/src/lib.rs"]
mod demo;

#[global_allocator]
static ALLOCATOR: forge::__private::MiMalloc = forge::__private::MiMalloc;

fn main() -> ExitCode {
    forge::run_developer(&[&demo::APP])
}
