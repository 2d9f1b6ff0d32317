//! Compares the models of this binary with the tables of the database, so that a difference is known before a
//! call fails.

use forge_actors::app::model::ModelRegistration;
use forge_actors::app::schema::{ColumnActual, drift};
use forge_actors::db::database::Database;

use crate::terminal::report::{Exit, Report};

/// The differences between the tables and the models of this binary, one sentence each. In a database with
/// pending migrations, missing tables are differences too.
pub async fn differences(database: &Database) -> Result<Vec<String>, Report> {
    let read = sqlx::query_as(include_str!("sql/list_columns.sql")).fetch_all(&database.reader()).await;
    let rows: Vec<(String, String, String, bool)> = read.map_err(refused_read)?;
    let actual = rows.into_iter().map(|(table, column, sql_type, nullable)| ColumnActual {
        table,
        column,
        sql_type,
        nullable,
    });
    let actual: Vec<_> = actual.collect();
    Ok(ModelRegistration::all().into_iter().flat_map(|model| drift(&actual, model)).collect())
}

/// The report about a read that failed, though the database could be reached.
pub(crate) fn refused_read(error: sqlx::Error) -> Report {
    Report::new(Exit::Database, "database", "the database refuses a read").cause(error)
}
