//! One line from an error and its sources.

use std::error::Error;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use super::fault::Fault;

/// The text of `error` and the texts of its sources, joined by `: `. A source whose text is already the end
/// of the line is left out, because many errors repeat their source in their own text.
///
/// ```
/// use forge_actors::kernel::error_chain::error_chain;
/// use forge_actors::kernel::fault::{Code, Fault};
///
/// let fault = Fault::new(Code::Unavailable, "the database is not reachable")
///     .because(std::io::Error::other("connection refused"));
/// assert_eq!(error_chain(&fault), "UNAVAILABLE: the database is not reachable: connection refused");
/// ```
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = text_of(error);
    for source in sources(error) {
        let source = text_of(source);
        if !text.ends_with(&source) {
            text = format!("{text}: {source}");
        }
    }
    text
}

/// The texts of the sources of `error`, joined by `: `; `None` when there is no source.
pub fn error_causes(error: &(dyn Error + 'static)) -> Option<String> {
    error.source().map(error_chain)
}

/// The last error of the chain, which was the first to happen.
pub fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    sources(error).last().unwrap_or(error)
}

/// The text of one error. An error of Postgres names its SQLSTATE and where in the statement it is; sqlx's
/// own text ends with a line number of Postgres' source code, which reads like one of the statement. Of
/// an `INTERNAL` fault only the code is written: its message tells clients to look into the log, and this
/// line is the log.
fn text_of(error: &(dyn Error + 'static)) -> String {
    if let Some(fault) = error.downcast_ref::<Fault>()
        && fault.is_bug()
    {
        return fault.code().to_string();
    }
    let database = match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(database)) => Some(database),
        Some(_) => None,
        // The source of an error of sqlx is the box itself.
        None => error.downcast_ref::<Box<dyn DatabaseError>>(),
    };
    let postgres = database.and_then(|database| database.try_downcast_ref::<PgDatabaseError>());
    postgres.map_or_else(|| error.to_string(), text_of_database_error)
}

fn text_of_database_error(error: &PgDatabaseError) -> String {
    let position = match error.position() {
        Some(PgErrorPosition::Original(character)) => format!(" at character {character} of the statement"),
        Some(PgErrorPosition::Internal { position, query }) => {
            format!(" at character {position} of the inner statement `{query}`")
        }
        None => String::new(),
    };
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{}{position} (SQLSTATE {}){hint}", error.message(), error.code())
}

/// The sources of `error`, from the direct one to the root cause.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}
