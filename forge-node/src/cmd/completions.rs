//! `completions`: prints a completion script for a shell.

use clap::Command;
use clap_complete::Shell;

use crate::terminal::output;

/// Prints the script.
pub fn run(shell: Shell, mut command: Command) {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::document(&String::from_utf8_lossy(&script));
}
