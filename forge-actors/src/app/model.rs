//! Models: Rust structs as the source of truth for tables.
//!
//! `#[forge::model]` writes a [`Model`] implementation and registers its [`ModelMeta`] at link time; what is
//! made of the metadata stands in [`schema`](crate::app::schema).

use sqlx::postgres::{PgHasArrayType, PgRow};
use sqlx::{Decode, FromRow, Postgres, Row, Type};

use crate::app::enumeration::EnumMeta;
use crate::kernel::integer::{Int53, Int64};
use crate::kernel::time::Timestamp;

/// A Rust type that a column can hold, and the SQL type that holds it. It implements sqlx's `Type`, `Encode`
/// and `Decode` too.
///
/// What the attributes write about the type of a column goes through this trait alone, so that a type which
/// does not implement it has one error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a column",
    label = "no Postgres type is known for this",
    note = "columns hold bool, i16, i32, i64, Int53, Int64, f32, f64, String, Uuid, Timestamp, NaiveDate, \
            JSON values, Vec<u8>, types of `forge::id!`, `#[forge::forge_enum]` and \
            `#[forge::validated_type]`, `#[forge::data]` enums without data, and `Option` or `Vec` of those; \
            a column that stays inside is marked `#[sensitive]`"
)]
pub trait ColumnType: Sized + 'static {
    /// The SQL type, for example `text`; of an array, the type of its elements.
    const SQL: &'static str;
    /// `NULL` is a value of the type.
    const NULLABLE: bool = false;
    /// A column of it is an array.
    const ARRAY: bool = false;
    /// The Postgres enum behind the type.
    const ENUM: Option<&'static EnumMeta> = None;

    /// A column of this type without a name and without further attributes.
    #[doc(hidden)]
    const COLUMN: ColumnMeta = ColumnMeta {
        field: "",
        name: "",
        sql: Self::SQL,
        array: Self::ARRAY,
        enumeration: Self::ENUM,
        nullable: Self::NULLABLE,
        id: false,
        default: None,
        updated_at: false,
        sensitive: false,
        references: None,
    };

    /// Reads one column of a row.
    #[doc(hidden)]
    fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error>;
}

macro_rules! column_types {
    ($($rust:ty = $sql:literal;)+) => {$(
        impl ColumnType for $rust {
            const SQL: &'static str = $sql;

            fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
                row.try_get(name)
            }
        }
    )+};
}

column_types! {
    bool = "boolean";
    i16 = "smallint";
    i32 = "integer";
    i64 = "bigint";
    Int53 = "bigint";
    Int64 = "bigint";
    f32 = "real";
    f64 = "double precision";
    String = "text";
    uuid::Uuid = "uuid";
    Timestamp = "timestamptz";
    chrono::NaiveDate = "date";
    serde_json::Value = "jsonb";
    Vec<u8> = "bytea";
}

#[diagnostic::do_not_recommend]
impl<T> ColumnType for Option<T>
where
    T: ColumnType + Type<Postgres> + for<'r> Decode<'r, Postgres>,
{
    const SQL: &'static str = T::SQL;
    const NULLABLE: bool = true;
    const ARRAY: bool = T::ARRAY;
    const ENUM: Option<&'static EnumMeta> = T::ENUM;

    fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get(name)
    }
}

#[diagnostic::do_not_recommend]
impl<T> ColumnType for Vec<T>
where
    T: ColumnType + PgHasArrayType + Type<Postgres> + for<'r> Decode<'r, Postgres>,
{
    const SQL: &'static str = T::SQL;
    const ARRAY: bool = true;
    const ENUM: Option<&'static EnumMeta> = T::ENUM;

    fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get(name)
    }
}

/// A struct that is a row of a table.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model",
    note = "declare it with `#[forge::model(table = \"..\")]`"
)]
pub trait Model: for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static {
    /// Type of the primary key.
    type Id: ColumnType;
    /// The table.
    const TABLE: &'static str;
    /// Its primary key.
    const ID_COLUMN: &'static str;
    /// Everything that is known of the table.
    const META: ModelMeta;
}

/// A model that a column of type `Column` may belong to.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a column of type `{Column}` cannot belong to `{Self}`",
    label = "not a model with ids of that type",
    note = "`belongs_to` names a struct with `#[forge::model(table = \"..\")]`, and the column has the type \
            of its id, or an `Option` of that type"
)]
pub trait OwnerOf<Column> {
    /// The table that the column refers to.
    const OWNER_TABLE: &'static str;
    /// The primary key of that table.
    const OWNER_COLUMN: &'static str;
}

#[diagnostic::do_not_recommend]
impl<M: Model, Column: RefersTo<M::Id>> OwnerOf<Column> for M {
    const OWNER_TABLE: &'static str = M::TABLE;
    const OWNER_COLUMN: &'static str = M::ID_COLUMN;
}

/// A column that refers to a row by its id: the id itself, or an `Option` of it.
#[doc(hidden)]
pub trait RefersTo<Id> {}
impl<Id> RefersTo<Id> for Id {}
impl<Id> RefersTo<Id> for Option<Id> {}

/// A table, as its model describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelMeta {
    /// Name of the struct.
    pub name: &'static str,
    /// Name of the table.
    pub table: &'static str,
    /// First paragraph of the documentation.
    pub doc: &'static str,
    /// The columns, in the order of the fields.
    pub columns: &'static [ColumnMeta],
    /// The indexes besides the primary key's: those of the struct's attribute and those of single fields.
    pub indexes: &'static [IndexMeta],
    /// Whether changes of the table reach live queries; `None` means what the setting `capture.default` says.
    pub reactive: Option<bool>,
    /// Source file.
    pub file: &'static str,
    /// Line in the source file.
    pub line: u32,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnMeta {
    /// Name of the field.
    pub field: &'static str,
    /// Name of the column.
    pub name: &'static str,
    /// SQL type; of an array, the type of its elements.
    pub sql: &'static str,
    /// The column is an array.
    pub array: bool,
    /// The Postgres enum behind the type.
    pub enumeration: Option<&'static EnumMeta>,
    /// `NULL` is allowed.
    pub nullable: bool,
    /// The primary key.
    pub id: bool,
    /// What an `INSERT` that leaves the column out writes.
    pub default: Option<DefaultValue>,
    /// A trigger sets it to the time of each update.
    pub updated_at: bool,
    /// Neither JSON nor `Debug` show it.
    pub sensitive: bool,
    /// The row that the column refers to.
    pub references: Option<Reference>,
}

/// A default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// A value, as text; SQL quotes it.
    Value(&'static str),
    /// An expression, verbatim.
    Expression(&'static str),
}

/// A foreign key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The table it points to.
    pub table: &'static str,
    /// Its primary key.
    pub column: &'static str,
    /// What happens to the referring row when the row that it refers to is deleted.
    pub on_delete: OnDelete,
}

/// What happens to a row when the row it belongs to is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// The deletion is refused.
    Restrict,
    /// The row is deleted too.
    Cascade,
    /// The row stays, and its reference becomes `NULL`.
    SetNull,
}

impl OnDelete {
    /// As in `ON DELETE ..`.
    pub const fn as_sql(self) -> &'static str {
        match self {
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
        }
    }
}

/// An index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexMeta {
    /// Its name.
    pub name: &'static str,
    /// Its columns, in order.
    pub columns: &'static [&'static str],
    /// No two rows have equal values in these columns.
    pub unique: bool,
    /// The index holds only rows for which this SQL condition is true.
    pub predicate: Option<&'static str>,
}

/// A model, found at link time.
pub struct ModelRegistration {
    /// The table.
    pub meta: ModelMeta,
}

inventory::collect!(ModelRegistration);

impl ModelRegistration {
    /// The registration of `M`.
    pub const fn of<M: Model>() -> Self {
        Self { meta: M::META }
    }

    /// All models of the binary, sorted by table: link order differs between builds.
    pub fn all() -> Vec<&'static ModelMeta> {
        let mut all: Vec<_> =
            inventory::iter::<Self>.into_iter().map(|registration| &registration.meta).collect();
        all.sort_by_key(|meta| (meta.table, meta.file, meta.line));
        all
    }
}

/// Whether a column can hold this text, as far as the labels of its enum decide it.
#[doc(hidden)]
pub const fn may_hold(enumeration: Option<&'static EnumMeta>, array: bool, text: &str) -> bool {
    let Some(meta) = enumeration else { return true };
    if array {
        return true;
    }
    let mut index = 0;
    while index < meta.labels.len() {
        if same(meta.labels[index], text) {
            return true;
        }
        index += 1;
    }
    false
}

/// String equality in constants.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}
