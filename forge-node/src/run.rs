//! What the binaries call: parse, run the verb, report.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use forge_actors::app::App;

use crate::boot::signal::interruptible;
use crate::cli::{Application, Completions, Developer, DeveloperVerb, Global, Verb};
use crate::cmd::report::{Exit, Report};
use crate::cmd::scene::Scene;
use crate::cmd::{
    actors, call, cluster, completions, dashboard, delegate, doctor, generate, jobs, migrate, new, output,
    schema, start,
};

/// Runs the command line of an application's own binary.
pub fn run(apps: &'static [&'static App]) -> ExitCode {
    let name = apps.first().map_or("forge-application", |app| app.name);
    let command = Application::command().name(name);
    let (matches, command) = match parsed(command) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let Application { global, verb } =
        Application::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    conclude(&global, perform(&verb, command, Scene { apps, global: &global, developer: false }))
}

/// Runs the command line of `forge-node`, whose linked application is the demo.
#[doc(hidden)]
pub fn run_developer(apps: &'static [&'static App]) -> ExitCode {
    let (matches, command) = match parsed(Developer::command()) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let Developer { global, verb } =
        Developer::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let scene = Scene { apps, global: &global, developer: true };
    let outcome = match &verb {
        DeveloperVerb::New(args) => new::run(args, scene),
        DeveloperVerb::Run(verb) => elsewhere(verb, scene).map_or_else(|| perform(verb, command, scene), Err),
    };
    conclude(&global, outcome)
}

/// Parses the process's arguments. What clap wants to say itself (help, version, usage) it says, with its
/// exit code.
fn parsed(mut command: Command) -> Result<(ArgMatches, Command), ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    match command.try_get_matches_from_mut(arguments) {
        Ok(matches) => Ok((matches, command)),
        Err(error) if wants_json && error.use_stderr() => {
            let rendered = error.render().to_string();
            let message = rendered.lines().next().unwrap_or_default().trim_start_matches("error: ");
            output::notice(&Report::new(Exit::Usage, "usage", message).to_json());
            Err(Exit::Usage.into())
        }
        Err(error) => {
            // The reader may be gone; the exit code says what there is to say.
            let _ = error.print();
            Err(if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS })
        }
    }
}

/// Becomes the application of this folder, where there is one and the verb is about its handlers. Returns
/// only when that failed.
fn elsewhere(verb: &Verb, scene: Scene<'_>) -> Option<Report> {
    let release = match verb {
        Verb::Start(start) => start.release,
        Verb::Migrate(_) | Verb::Schema | Verb::Generate(_) | Verb::Doctor => false,
        // These talk to a running node, or to nobody.
        Verb::Call(_)
        | Verb::Actors(_)
        | Verb::Jobs(_)
        | Verb::Cluster(_)
        | Verb::Dashboard(_)
        | Verb::Completions(_) => return None,
    };
    let folder = delegate::application(scene)?;
    let report = delegate::become_application(&folder, release, scene);
    match verb {
        // An application that does not build is what a doctor is called for: this binary's own examination
        // goes on.
        Verb::Doctor => {
            output::notice(&report.to_string());
            None
        }
        _ => Some(report),
    }
}

fn perform(verb: &Verb, command: Command, scene: Scene<'_>) -> Result<(), Report> {
    match verb {
        Verb::Completions(Completions { shell }) => {
            completions::run(*shell, command);
            Ok(())
        }
        Verb::Schema => schema::run(scene),
        Verb::Generate(args) => generate::run(args, scene),
        Verb::Dashboard(args) => dashboard::run(args, scene),
        Verb::Start(args) => concurrently(start::run(args, scene)),
        Verb::Migrate(args) => concurrently(migrate::run(args, scene)),
        Verb::Call(args) => concurrently(call::run(args, scene)),
        Verb::Actors(args) => concurrently(actors::run(args, scene)),
        Verb::Jobs(args) => concurrently(jobs::run(args, scene)),
        Verb::Cluster(args) => concurrently(cluster::run(args, scene)),
        // A build that was tried before it may have taken the signals over, and then they end nothing by
        // themselves.
        Verb::Doctor => concurrently(interruptible(doctor::run(scene))),
    }
}

/// Stack of a worker thread. Tokio's 2 MiB are too few for an unoptimised handler that panics deep inside of
/// calls: writing down where takes stack as well, and an overflow ends the process. Untouched pages cost
/// nothing.
const STACK_BYTES: usize = 8 * 1024 * 1024;

pub(crate) fn concurrently<T>(work: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let runtime = runtime
        .map_err(|error| Report::new(Exit::Failed, "runtime", "no threads can be started").cause(error))?;
    let outcome = runtime.block_on(work);
    // What still blocks a thread (a password being hashed) must not hold the end up.
    runtime.shutdown_background();
    outcome
}

fn conclude(global: &Global, outcome: Result<(), Report>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            output::notice(&if global.json { report.to_json() } else { report.to_string() });
            report.exit.into()
        }
    }
}
