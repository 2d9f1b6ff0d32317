//! `schema`: the tables that the models describe, as SQL.

use forge_actors::app::enumeration::EnumRegistration;
use forge_actors::app::model::ModelRegistration;
use forge_actors::app::schema::create_sql;

use crate::cmd::output;
use crate::cmd::report::Report;
use crate::cmd::scene::Scene;

/// Prints the statements.
pub fn run(scene: Scene<'_>) -> Result<(), Report> {
    let models = ModelRegistration::all();
    let sql = create_sql(&models, &EnumRegistration::all());
    if scene.global.json {
        let tables: Vec<_> = models.iter().map(|model| model.table).collect();
        output::data(&serde_json::json!({ "tables": tables, "sql": sql }).to_string());
    } else {
        output::data(&sql);
    }
    Ok(())
}
