//! Models as SQL: the statements that create their tables, and how an actual table differs from its model.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::app::enumeration::EnumMeta;
use crate::app::model::{ColumnMeta, DefaultValue, IndexMeta, ModelMeta, Reference};

/// Sets the column named by its argument to the time of the transaction. One function for all tables: the
/// field is assigned through jsonb, since PL/pgSQL has no assignment to a column whose name is known at run
/// time only.
const TOUCH: &str = "\
CREATE OR REPLACE FUNCTION forge_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_populate_record(NEW, jsonb_build_object(TG_ARGV[0], now()));
END
$$;
";

/// The statements that create the enum types and tables of these models, in an order that works on an empty
/// schema.
pub fn create_sql(models: &[&ModelMeta], enums: &[&EnumMeta]) -> String {
    let mut sql = String::from(
        "-- Enum types and tables of the application's models; run once, on a schema without them.\n",
    );
    let mut enums = enums.to_vec();
    enums.sort_by_key(|meta| meta.sql_name);
    for meta in enums {
        let labels: Vec<_> = meta.labels.iter().map(|label| literal(label)).collect();
        line(&mut sql, format_args!("CREATE TYPE {} AS ENUM ({});", ident(meta.sql_name), labels.join(", ")));
    }
    if models.iter().any(|model| model.columns.iter().any(|column| column.updated_at)) {
        sql.push_str(TOUCH);
    }
    let mut created = BTreeSet::new();
    let mut postponed = Vec::new();
    for model in dependency_order(models) {
        created.insert(model.table);
        table(&mut sql, model, &created);
        let references = model
            .columns
            .iter()
            .filter_map(|column| column.references.map(|reference| (model, column, reference)));
        postponed.extend(references.filter(|(_, _, reference)| !created.contains(reference.table)));
    }
    for (model, column, reference) in postponed {
        let (table, key) = (ident(model.table), ident(column.name));
        line(
            &mut sql,
            format_args!("ALTER TABLE {table} ADD FOREIGN KEY ({key}) {};", references(&reference)),
        );
    }
    sql
}

/// Referenced tables first, otherwise by name. A cycle of references begins at its first name; the references
/// that are still missing then are added by `ALTER TABLE`.
fn dependency_order<'m>(models: &[&'m ModelMeta]) -> Vec<&'m ModelMeta> {
    let mut waiting = models.to_vec();
    waiting.sort_by_key(|model| model.table);
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let waits = |model: &ModelMeta, table: &str| {
            table != model.table && waiting.iter().any(|other| other.table == table)
        };
        let free = |model: &&ModelMeta| {
            !model
                .columns
                .iter()
                .filter_map(|column| column.references)
                .any(|reference| waits(model, reference.table))
        };
        let next = waiting.iter().position(free).unwrap_or(0);
        ordered.push(waiting.remove(next));
    }
    ordered
}

fn table(sql: &mut String, model: &ModelMeta, created: &BTreeSet<&str>) {
    let table = ident(model.table);
    let columns: Vec<_> =
        model.columns.iter().map(|column| format!("    {}", definition(column, created))).collect();
    line(sql, format_args!("CREATE TABLE {table} (\n{}\n);", columns.join(",\n")));
    for index in model.indexes {
        line(sql, format_args!("{};", create_index(&table, index)));
    }
    for column in model.columns.iter().filter(|column| column.updated_at) {
        let trigger = ident(&truncated(&format!("{}_touch", column.name)));
        let argument = literal(column.name);
        line(
            sql,
            format_args!(
                "CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} \
                 FOR EACH ROW EXECUTE FUNCTION forge_touch({argument});"
            ),
        );
    }
}

fn definition(column: &ColumnMeta, created: &BTreeSet<&str>) -> String {
    let mut sql = format!("{} {}", ident(column.name), type_name(column));
    if column.id {
        sql.push_str(" PRIMARY KEY");
    } else if !column.nullable {
        sql.push_str(" NOT NULL");
    }
    match column.default {
        Some(DefaultValue::Value(text)) => write_into(&mut sql, format_args!(" DEFAULT {}", literal(text))),
        Some(DefaultValue::Expression(expression)) => {
            write_into(&mut sql, format_args!(" DEFAULT ({expression})"))
        }
        None if column.updated_at => sql.push_str(" DEFAULT now()"),
        None => {}
    }
    if let Some(reference) = column.references.filter(|reference| created.contains(reference.table)) {
        write_into(&mut sql, format_args!(" {}", references(&reference)));
    }
    sql
}

fn create_index(table: &str, index: &IndexMeta) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let columns: Vec<_> = index.columns.iter().map(|column| ident(column)).collect();
    let predicate = index.predicate.map(|predicate| format!(" WHERE ({predicate})")).unwrap_or_default();
    format!("CREATE {unique}INDEX {} ON {table} ({}){predicate}", ident(index.name), columns.join(", "))
}

fn references(reference: &Reference) -> String {
    format!(
        "REFERENCES {} ({}) ON DELETE {}",
        ident(reference.table),
        ident(reference.column),
        reference.on_delete.as_sql()
    )
}

fn type_name(column: &ColumnMeta) -> String {
    let element = column.enumeration.map_or_else(|| column.sql.to_owned(), |meta| ident(meta.sql_name));
    if column.array { format!("{element}[]") } else { element }
}

/// Postgres keeps 63 bytes of a name; those of generated triggers are ASCII.
fn truncated(name: &str) -> String {
    name.chars().take(63).collect()
}

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn line(sql: &mut String, text: std::fmt::Arguments<'_>) {
    write_into(sql, text);
    sql.push('\n');
}

fn write_into(sql: &mut String, text: std::fmt::Arguments<'_>) {
    sql.write_fmt(text).expect("writing into a String does not fail");
}

/// A column as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnActual {
    /// Its table.
    pub table: String,
    /// Its name.
    pub column: String,
    /// Its type, as `format_type(atttypid, atttypmod)` writes it: `text`, `timestamp with time zone`,
    /// `task_status`, `text[]`.
    pub sql_type: String,
    /// It may hold `NULL`.
    pub nullable: bool,
}

/// How the database differs from a model, a sentence each that names the field and the remedy. Columns that
/// the model does not mention are no difference: reads leave them alone, and older programs run beside newer
/// tables.
pub fn drift(actual: &[ColumnActual], model: &ModelMeta) -> Vec<String> {
    let columns: Vec<_> = actual.iter().filter(|column| column.table == model.table).collect();
    if columns.is_empty() {
        let place = format!("{}:{}", model.file, model.line);
        return vec![format!(
            "`{}` ({place}): there is no table `{}`; create it in a migration",
            model.name, model.table
        )];
    }
    let differences = model.columns.iter().flat_map(|expected| {
        match columns.iter().find(|column| column.column == expected.name) {
            Some(column) => [wrong_type(column, expected, model), wrong_null(column, expected, model)],
            None => [Some(missing(expected, model)), None],
        }
    });
    differences.flatten().collect()
}

/// How the labels of the enum types in the database differ from those of the enums, a sentence each. `actual`
/// are (type, label); an enum whose type does not exist is left to the columns that would have the type.
pub fn label_drift(actual: &[(String, String)], meta: &EnumMeta) -> Vec<String> {
    let labels: Vec<&str> = actual
        .iter()
        .filter(|(sql_name, _)| sql_name == meta.sql_name)
        .map(|(_, label)| label.as_str())
        .collect();
    if labels.is_empty() {
        return Vec::new();
    }
    let EnumMeta { name, sql_name, labels: known, .. } = meta;
    let unknown = labels.iter().filter(|label| !known.contains(label)).map(|label| {
        format!(
            "`{name}`: the type `{sql_name}` has the label `{label}`, which the enum does not have, so that \
             a row which holds the label cannot be read; add it to the enum"
        )
    });
    let missing = known.iter().filter(|label| !labels.contains(label)).map(|label| {
        format!(
            "`{name}`: the type `{sql_name}` has no label `{label}`, so that it cannot be written; migrate \
             with ALTER TYPE {} ADD VALUE {}",
            ident(sql_name),
            literal(label)
        )
    });
    unknown.chain(missing).collect()
}

fn missing(expected: &ColumnMeta, model: &ModelMeta) -> String {
    let everything = BTreeSet::from_iter(expected.references.map(|reference| reference.table));
    let fix = format!("ALTER TABLE {} ADD COLUMN {}", ident(model.table), definition(expected, &everything));
    format!(
        "`{}.{}`: table `{}` has no column `{}`; migrate with {fix}",
        model.name, expected.field, model.table, expected.name
    )
}

fn wrong_type(column: &ColumnActual, expected: &ColumnMeta, model: &ModelMeta) -> Option<String> {
    let wanted = type_name(expected);
    if canonical(&column.sql_type) == canonical(&wanted) {
        return None;
    }
    let fix =
        format!("ALTER TABLE {} ALTER COLUMN {} TYPE {wanted}", ident(model.table), ident(expected.name));
    let (model, field, actual) = (model.name, expected.field, &column.sql_type);
    Some(format!(
        "`{model}.{field}`: the column is `{actual}` and the field is `{wanted}`; change the field, or \
         migrate with {fix}"
    ))
}

fn wrong_null(column: &ColumnActual, expected: &ColumnMeta, model: &ModelMeta) -> Option<String> {
    let alter = format!("ALTER TABLE {} ALTER COLUMN {}", ident(model.table), ident(expected.name));
    let (model, field) = (model.name, expected.field);
    match (column.nullable, expected.nullable) {
        (true, false) => Some(format!(
            "`{model}.{field}`: the column allows NULL and the field does not; make it an `Option`, or \
             migrate with {alter} SET NOT NULL"
        )),
        (false, true) => Some(format!(
            "`{model}.{field}`: the field is an `Option` and the column refuses NULL; take the `Option` off, \
             or migrate with {alter} DROP NOT NULL"
        )),
        (true, true) | (false, false) => None,
    }
}

/// One spelling for types that have several.
fn canonical(sql_type: &str) -> String {
    let lower = sql_type.trim().replace('"', "").to_lowercase();
    let (element, array) = lower.strip_suffix("[]").map_or((lower.as_str(), ""), |element| (element, "[]"));
    let (name, modifier) = element.find('(').map_or((element, ""), |at| element.split_at(at));
    let name = match name.trim_end() {
        "timestamptz" => "timestamp with time zone",
        "timestamp" => "timestamp without time zone",
        "timetz" => "time with time zone",
        "time" => "time without time zone",
        "int2" => "smallint",
        "int" | "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bool" => "boolean",
        "varchar" => "character varying",
        "char" => "character",
        "decimal" => "numeric",
        other => other,
    };
    format!("{name}{modifier}{array}")
}
