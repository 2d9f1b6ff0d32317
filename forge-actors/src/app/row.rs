//! Rows as records: what `#[forge::data]` writes for `sqlx::FromRow`, and for enums without data.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgRow, PgTypeInfo, PgTypeKind};
use sqlx::types::Json;
use sqlx::{Encode, FromRow, Postgres, Row, Type};

use crate::app::model::ColumnType;

/// Reads a field of type `T`.
///
/// The methods are looked up on `&Reader<T>`: [`ReadColumn`] and [`ReadFlat`] are found first and hold for
/// types that a column, or a part of a row, can hold; [`ReadJson`] and [`ReadNothing`] need one reference
/// more and hold for the others.
pub struct Reader<T>(PhantomData<fn() -> T>);

impl<T> Reader<T> {
    /// There is one for each type.
    pub const NEW: Self = Self(PhantomData);
}

/// For types that a column can hold.
pub trait ReadColumn<T> {
    /// Reads the column.
    fn read(&self, row: &PgRow, column: &str) -> sqlx::Result<T>;
}

/// For the other types: from a `jsonb` column.
pub trait ReadJson<T> {
    /// Reads the column.
    fn read(&self, row: &PgRow, column: &str) -> sqlx::Result<T>;
}

impl<T: ColumnType> ReadColumn<T> for Reader<T> {
    fn read(&self, row: &PgRow, column: &str) -> sqlx::Result<T> {
        T::read(row, column)
    }
}

impl<T: DeserializeOwned> ReadJson<T> for &Reader<T> {
    fn read(&self, row: &PgRow, column: &str) -> sqlx::Result<T> {
        let value = row.try_get::<Option<Json<serde_json::Value>>, _>(column)?;
        let value = value.map_or(serde_json::Value::Null, |Json(value)| value);
        T::deserialize(value)
            .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
    }
}

/// For the type of a `#[serde(flatten)]` field whose own fields are columns of the same row.
pub trait ReadFlat<T> {
    /// Reads the columns.
    fn read_flat(&self, row: &PgRow) -> sqlx::Result<T>;
}

/// For the type of a `#[serde(flatten)]` field that no columns hold, for example a map.
pub trait ReadNothing<T> {
    /// Fails.
    fn read_flat(&self, row: &PgRow) -> sqlx::Result<T>;
}

impl<T: for<'r> FromRow<'r, PgRow>> ReadFlat<T> for Reader<T> {
    fn read_flat(&self, row: &PgRow) -> sqlx::Result<T> {
        T::from_row(row)
    }
}

impl<T> ReadNothing<T> for &Reader<T> {
    fn read_flat(&self, _: &PgRow) -> sqlx::Result<T> {
        let type_name = std::any::type_name::<T>();
        Err(sqlx::Error::Decode(format!("a row cannot be read into the flattened `{type_name}`").into()))
    }
}

/// A column of this type can hold labels: a text, or a Postgres enum.
pub fn holds_label(ty: &PgTypeInfo) -> bool {
    <str as Type<Postgres>>::compatible(ty) || matches!(ty.kind(), PgTypeKind::Enum(_))
}

/// Writes the label that an enum without data has in JSON.
pub fn encode_label<T: Serialize>(value: &T, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
    let label = match serde_json::to_value(value)? {
        serde_json::Value::String(label) => label,
        other => return Err(format!("{other} is no label").into()),
    };
    <&str as Encode<'_, Postgres>>::encode_by_ref(&label.as_str(), buffer)
}

/// Reads a label. The error names the type; sqlx adds the column.
pub fn decode_label<T: DeserializeOwned>(label: &str) -> Result<T, BoxDynError> {
    let read: Result<T, serde_json::Error> = T::deserialize(serde_json::Value::from(label));
    read.map_err(|error| {
        let path = std::any::type_name::<T>();
        let name = path.rsplit("::").next().unwrap_or(path);
        format!("`{label}` is no {name}: {error}").into()
    })
}
