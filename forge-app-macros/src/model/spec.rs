//! What an attributed struct says, checked.

use proc_macro2::{Ident, Span};
use syn::{ItemStruct, LitStr, Path, Type};

/// A table.
pub(crate) struct ModelSpec {
    /// The struct without Forge's attributes.
    pub item: ItemStruct,
    pub table: String,
    pub doc: String,
    /// `reactive`, `reactive = false`.
    pub reactive: Option<bool>,
    pub columns: Vec<Column>,
    /// Those of the struct and those of single fields.
    pub indexes: Vec<Index>,
    /// Position of the `#[id]` field.
    pub id: usize,
}

/// A field.
pub(crate) struct Column {
    pub field: Ident,
    pub ty: Type,
    /// Its name in JSON.
    pub wire: String,
    /// Its name in SQL.
    pub name: String,
    /// A SQL type in place of the Rust type's own.
    pub sql: Option<String>,
    pub marks: Marks,
}

/// The attributes of a field.
#[derive(Default)]
pub(crate) struct Marks {
    pub id: Option<Span>,
    pub indexed: Option<Span>,
    pub unique: Option<Span>,
    pub updated_at: Option<Span>,
    pub sensitive: Option<Span>,
    pub default: Option<DefaultValue>,
    pub relation: Option<Relation>,
    pub name: Option<LitStr>,
    pub sql: Option<LitStr>,
}

/// `#[default = "open"]` or `#[default(sql = "now()")]`.
pub(crate) enum DefaultValue {
    /// A value, written as text.
    Value(String, Span),
    Expression(String),
}

/// `#[relation(belongs_to = Project, on_delete = cascade)]`
pub(crate) struct Relation {
    pub target: Path,
    /// A variant of `::forge::app::model::OnDelete`.
    pub on_delete: &'static str,
    pub span: Span,
}

/// What `on_delete` may say, as attributes write it and as `::forge::app::model::OnDelete` names it.
pub(crate) const ON_DELETE: [(&str, &str); 3] =
    [("restrict", "Restrict"), ("cascade", "Cascade"), ("set_null", "SetNull")];

/// An index over columns.
pub(crate) struct Index {
    pub name: String,
    pub columns: Vec<String>,
    pub unique: bool,
    pub predicate: Option<String>,
}
