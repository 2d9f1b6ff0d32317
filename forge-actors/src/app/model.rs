//! Models: Rust structs as the source of truth for tables.

/// A Rust type that a column can hold, and the SQL type that holds it.
pub trait ColumnType {
    /// The SQL type, for example `text`.
    const SQL: &'static str;
    /// `NULL` is a value of the type.
    const NULLABLE: bool = false;
}
