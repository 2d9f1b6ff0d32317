//! `schema`: prints the CREATE statements of the tables that the models describe.

use forge_actors::app::enumeration::EnumRegistration;
use forge_actors::app::model::ModelRegistration;
use forge_actors::app::schema::create_sql;

use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::Report;
use crate::terminal::text::Text;

/// Prints the statements.
pub fn run(context: CommandContext<'_>) -> Result<(), Report> {
    let models = ModelRegistration::all();
    let sql = create_sql(&models, &EnumRegistration::all());
    if context.global.json {
        let tables: Vec<_> = models.iter().map(|model| model.table).collect();
        output::data(Text::json(&serde_json::json!({ "tables": tables, "sql": sql })));
    } else {
        output::document(&sql);
    }
    Ok(())
}
