//! `completions`: a script for the shell.

use clap::Command;

use crate::cli::Completions;

/// Prints the script on stdout.
pub fn run(args: &Completions, mut command: Command) {
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut std::io::stdout());
}
