//! Models against tables: a program and a schema that were changed apart meet here before a call fails.

use forge_actors::app::model::ModelRegistration;
use forge_actors::app::schema::{ColumnActual, drift};
use forge_actors::db::database::Database;

use crate::cmd::report::{Exit, Report};

/// How the tables differ from the models of this binary, a sentence each. Meant for a migrated database:
/// tables that are still to be made differ from every model.
pub async fn differences(database: &Database) -> Result<Vec<String>, Report> {
    let read = sqlx::query_as(include_str!("sql/list_columns.sql")).fetch_all(&database.reader()).await;
    let rows: Vec<(String, String, String, bool)> = read.map_err(|error| {
        Report::new(Exit::Database, "database", "the database answers, and refuses a read").cause(error)
    })?;
    let actual = rows.into_iter().map(|(table, column, sql_type, nullable)| ColumnActual {
        table,
        column,
        sql_type,
        nullable,
    });
    let actual: Vec<_> = actual.collect();
    Ok(ModelRegistration::all().into_iter().flat_map(|model| drift(&actual, model)).collect())
}
