//! Compares the models and enums of this binary with the tables and types of the database, so that a
//! difference is known before a call fails.

use forge_actors::app::enumeration::EnumRegistration;
use forge_actors::app::model::ModelRegistration;
use forge_actors::app::schema::{ColumnActual, drift, label_drift};
use forge_actors::db::database::Database;

use crate::terminal::report::{Exit, Report};

/// The differences between the database and the models and enums of this binary, one sentence each. In a
/// database with pending migrations, missing tables are differences too.
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
    let read = sqlx::query_as(include_str!("sql/list_labels.sql")).fetch_all(&database.reader()).await;
    let labels: Vec<(String, String)> = read.map_err(refused_read)?;
    let models = ModelRegistration::all().into_iter().flat_map(|model| drift(&actual, model));
    let enums = EnumRegistration::all().into_iter().flat_map(|meta| label_drift(&labels, meta));
    Ok(models.chain(enums).collect())
}

/// The report about a read that failed, though the database could be reached.
pub(crate) fn refused_read(error: sqlx::Error) -> Report {
    Report::new(Exit::Database, "database", "the database refuses a read").cause(error)
}
