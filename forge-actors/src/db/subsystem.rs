//! The database as a subsystem: the embedded Postgres where one is used, the monitor, and the migrator.

use std::time::Duration;

use super::commit_wait::CommitWait;
use super::config::DatabaseConfig;
use super::database::Database;
use super::long_transaction::LongTransaction;
use super::paths::{DATABASE, MIGRATOR, MONITOR, POSTGRES};
use super::state::DatabaseState;
use crate::subsystem::{
    ActorNote, Figure, FigureUnit, HealthVerdict, NodeBuilder, Part, ReadinessRule, SectionEntry, Subsystem,
};
use crate::supervise::{ChildSpec, StartError, Strategy, SupervisorSpec};

/// The children of the database, in start order, as the code that opened it made them.
pub struct DatabaseChildren(pub Vec<ChildSpec>);

/// See the module. Takes [`DatabaseChildren`] and the [`Database`] that exist before the tree.
pub struct DatabaseSubsystem;

impl Subsystem for DatabaseSubsystem {
    const ROOT: ActorNote = ActorNote::new(&DATABASE, "connection pools and migrations");
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&POSTGRES, "runs the embedded server (where no database is configured)"),
        ActorNote::new(&MONITOR, "pings the database and reports an outage"),
        ActorNote::new(&MIGRATOR, "applies migrations before anything reads the database"),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<DatabaseConfig>()];
    const CHECK: Option<ReadinessRule> = Some(ReadinessRule { name: "database", actors: &[] });

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let database = node.get::<Database>();
        let children = node.take::<DatabaseChildren>().map_or_else(Vec::new, |children| children.0);
        // One by one: the monitor goes on watching while the embedded server restarts, since it reports the
        // outage to everybody else.
        let spec = SupervisorSpec::new(Strategy::OneForOne, children);
        let part = Part::new(ChildSpec::supervisor(DATABASE.id(), spec))
            .health(database.state(), answers)
            .health(database.commits(), commits_end);
        Ok(Some(part.stats(move |stats| {
            stats.database_up = database.state().borrow().is_up();
            stats.database = Some(database.usage());
            stats.figures.extend(read_only_phase(&database.state().borrow()));
            stats.figures.extend(database.long_transaction().map(open_for_long));
        })))
    }
}

/// For how long the server has taken no writes.
fn read_only_phase(state: &DatabaseState) -> Option<Figure> {
    matches!(state, DatabaseState::ReadOnly { .. }).then(|| lasting("read-only", state.duration()))
}

fn open_for_long(long: LongTransaction) -> Figure {
    let LongTransaction { pid, name, age } = long;
    lasting(&format!("transaction of pid {pid} ({name}) open"), age)
}

fn lasting(name: &str, duration: Duration) -> Figure {
    let (subsystem, name) = (DATABASE.id().to_owned(), name.to_owned());
    Figure { subsystem, name, value: duration.as_millis() as f64, unit: FigureUnit::Ms }
}

fn commits_end(wait: &Option<CommitWait>) -> HealthVerdict {
    wait.as_ref().map_or(HealthVerdict::Well, |_| HealthVerdict::Broken(CommitWait::REASON.into()))
}

fn answers(state: &DatabaseState) -> HealthVerdict {
    match state {
        DatabaseState::Up => HealthVerdict::Well,
        DatabaseState::Unreachable { .. } => HealthVerdict::Broken("the database does not answer".into()),
        DatabaseState::ReadOnly { .. } => HealthVerdict::Broken("the database takes no writes".into()),
    }
}
