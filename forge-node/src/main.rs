//! `forge-node`: the developer's command line, with the demo application linked in.

use std::process::ExitCode;

#[path = "../demo/src/lib.rs"]
#[expect(
    unreachable_pub,
    reason = "what `forge-node new` writes from these files is a library, whose handlers are public"
)]
mod demo;

#[global_allocator]
static ALLOCATOR: forge::__private::MiMalloc = forge::__private::MiMalloc;

fn main() -> ExitCode {
    static APPS: &[&forge::app::App] = &[&demo::APP];
    forge::run_developer(APPS)
}
