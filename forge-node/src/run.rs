//! The entry points of the binaries: parse the command line, run the command, print its report.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use forge_actors::app::App;

use crate::boot::runtime::concurrently;
use crate::boot::signal::interruptible;
use crate::boot::watchdog;
use crate::cli::{
    Application, Completions, Developer, DeveloperVerb, Global, Verb, Workflows, WorkflowsStep,
};
use crate::cmd::{
    actors, call, cluster, completions, cron, dashboard, delegate, doctor, functions, generate, jobs,
    migrate, new, schema, start, workflows,
};
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::usage;

/// Runs the command line of an application's own binary.
pub fn run(apps: &'static [&'static App]) -> ExitCode {
    if let Some(code) = watchdog::run_if_asked() {
        return code;
    }
    let name = apps.first().map_or("forge-application", |app| app.name);
    let command = Application::command().name(name);
    let (matches, command) = match parsed(command) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let Application { global, verb } =
        Application::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let context = CommandContext { apps, global: &global, developer: false };
    exit_code(&global, run_verb(&verb, command, context))
}

/// Runs the command line of `forge-node`, whose linked application is the demo.
#[doc(hidden)]
pub fn run_developer(apps: &'static [&'static App]) -> ExitCode {
    if let Some(code) = watchdog::run_if_asked() {
        return code;
    }
    let (matches, command) = match parsed(Developer::command()) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let Developer { global, verb } =
        Developer::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let context = CommandContext { apps, global: &global, developer: true };
    let result = match &verb {
        DeveloperVerb::New(args) => new::run(args, context),
        DeveloperVerb::Run(verb) => {
            delegate_to_application(verb, context).map_or_else(|| run_verb(verb, command, context), Err)
        }
    };
    exit_code(&global, result)
}

/// Parses the process's arguments. Help, version and usage errors are printed here, and the error is the exit
/// code.
fn parsed(mut command: Command) -> Result<(ArgMatches, Command), ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    match command.try_get_matches_from_mut(arguments) {
        Ok(matches) => Ok((matches, command)),
        // It repeats what was typed, so it is printed without clap's colours, by way of the escapes.
        Err(error) if error.use_stderr() && usage::is_help(&error) && !wants_json => {
            output::notice(error.render().to_string());
            Err(Exit::Usage.into())
        }
        Err(error) if error.use_stderr() => {
            output::notice(usage::report(&error).text(wants_json));
            Err(Exit::Usage.into())
        }
        Err(help) => {
            // Printing fails when the reader has closed its end; the exit code is returned all the same.
            let _ = help.print();
            Err(ExitCode::SUCCESS)
        }
    }
}

/// Builds the application of this folder and replaces this process by it, when there is one and the command
/// needs its handlers. A report says why that failed; `None` means that this binary runs the command itself.
fn delegate_to_application(verb: &Verb, context: CommandContext<'_>) -> Option<Report> {
    let release = match verb {
        Verb::Start(start) => start.release,
        Verb::Migrate(_) | Verb::Schema | Verb::Functions(_) | Verb::Generate(_) | Verb::Doctor => false,
        Verb::Workflows(Workflows { step: WorkflowsStep::Check { .. } }) => false,
        // These send requests to a running node, or need no handlers.
        Verb::Call(_)
        | Verb::Actors(_)
        | Verb::Jobs(_)
        | Verb::Workflows(_)
        | Verb::Cron(_)
        | Verb::Cluster(_)
        | Verb::Dashboard(_)
        | Verb::Completions(_) => return None,
    };
    let folder = delegate::application(context)?;
    // A mistake in forge.toml is reported now, and not after the build.
    if let Verb::Start(start) = verb
        && delegate::uses_this_version(&folder)
        && let Err(report) = context.load(&start.flags())
    {
        return Some(report);
    }
    let report = delegate::become_application(&folder, release, context);
    match verb {
        // The report of an application that does not build is one of the findings of `doctor`, which then
        // goes on with the checks of this binary.
        Verb::Doctor => {
            output::notice(report.text(false));
            None
        }
        _ => Some(report),
    }
}

fn run_verb(verb: &Verb, command: Command, context: CommandContext<'_>) -> Result<(), Report> {
    match verb {
        Verb::Completions(Completions { shell }) => {
            completions::run(*shell, command);
            Ok(())
        }
        Verb::Schema => schema::run(context),
        Verb::Functions(args) => functions::run(args, context),
        Verb::Generate(args) => generate::run(args, context),
        Verb::Start(args) => concurrently(start::run(args, context)),
        Verb::Migrate(args) => concurrently(migrate::run(args, context)),
        Verb::Call(args) => concurrently(call::run(args, context)),
        Verb::Actors(args) => concurrently(actors::run(args, context)),
        Verb::Jobs(args) => concurrently(jobs::run(args, context)),
        Verb::Workflows(args) => concurrently(workflows::run(args, context)),
        Verb::Cron(args) => concurrently(cron::run(args, context)),
        Verb::Cluster(args) => concurrently(cluster::run(args, context)),
        Verb::Dashboard(args) => concurrently(dashboard::run(args, context)),
        // A build that was tried before may have taken over the signals, which then no longer end the
        // process.
        Verb::Doctor => concurrently(interruptible(doctor::run(context))),
    }
}

/// Prints the report of a failed command, and returns the exit code.
fn exit_code(global: &Global, result: Result<(), Report>) -> ExitCode {
    let written = || match output::unwritten() {
        None => Ok(()),
        Some(error) => {
            let report = Report::new(Exit::Failed, "stdout", "the output could not be written whole");
            Err(report.cause(error).help("write it to a file system that has space for it"))
        }
    };
    match result.and_then(|()| written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            output::notice(report.text(global.json));
            report.exit.into()
        }
    }
}
