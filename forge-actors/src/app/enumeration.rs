//! Closed sets: one enum in Rust, Postgres, JSON and TypeScript, declared with `#[forge::forge_enum]`.

/// A Rust enum that is a Postgres enum.
pub trait Enumeration: Copy + Sized + 'static {
    /// Names and labels.
    const META: EnumMeta;
}

/// An enum type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnumMeta {
    /// Name in Rust.
    pub name: &'static str,
    /// Name in Postgres.
    pub sql_name: &'static str,
    /// First paragraph of the documentation.
    pub doc: &'static str,
    /// The labels, in order.
    pub labels: &'static [&'static str],
    /// Source file.
    pub file: &'static str,
    /// Line in the source file.
    pub line: u32,
}

/// An enum type, found at link time.
pub struct EnumRegistration {
    /// Names and labels.
    pub meta: EnumMeta,
}

inventory::collect!(EnumRegistration);

impl EnumRegistration {
    /// The registration of `E`.
    pub const fn of<E: Enumeration>() -> Self {
        Self { meta: E::META }
    }

    /// All enum types of the binary, sorted by their name in Postgres.
    pub fn all() -> Vec<&'static EnumMeta> {
        let mut all: Vec<_> =
            inventory::iter::<Self>.into_iter().map(|registration| &registration.meta).collect();
        all.sort_by_key(|meta| (meta.sql_name, meta.file, meta.line));
        all
    }
}

/// A text that is not a label of the type: bad input, or a label that a newer version has added to the
/// database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {type_name}; expected one of {}", .known.join(", "))]
pub struct UnknownLabel {
    /// The text.
    pub value: String,
    /// Name of the type in Rust.
    pub type_name: &'static str,
    /// The labels of the type.
    pub known: &'static [&'static str],
}

impl UnknownLabel {
    /// The error for `value`, which is not a label of `E`.
    pub fn of<E: Enumeration>(value: &str) -> Self {
        Self { value: value.to_owned(), type_name: E::META.name, known: E::META.labels }
    }
}
