//! Identifiers: UUIDv7 newtypes, declared by [`id!`](crate::id).

/// Declares UUIDv7 newtypes (RFC 9562): distinct in Rust, `uuid` in Postgres, a string on the wire.
///
/// ```
/// forge_actors::id!(pub TaskId, pub ProjectId);
/// let id = TaskId::new();
/// assert_eq!(id.to_string().parse(), Ok(id));
/// ```
#[macro_export]
macro_rules! id {
    ($($(#[$meta:meta])* $vis:vis $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[doc = concat!("Identifier (`", stringify!($name), "`), a time-ordered UUIDv7.")]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $name($crate::__private::uuid::Uuid);

        #[allow(dead_code, unreachable_pub, reason = "every identifier has the same methods, used or not")]
        impl $name {
            /// A new identifier; later ones sort after earlier ones.
            #[allow(clippy::new_without_default, reason = "each default identifier would be a new one")]
            pub fn new() -> Self {
                Self($crate::__private::uuid::Uuid::now_v7())
            }

            /// The identifier of a known UUID.
            pub const fn from_uuid(uuid: $crate::__private::uuid::Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            pub const fn as_uuid(&self) -> &$crate::__private::uuid::Uuid {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::__private::uuid::Error;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl $crate::__private::serde::Serialize for $name {
            fn serialize<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                $crate::__private::serde::Serialize::serialize(&self.0, serializer)
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                $crate::__private::serde::Deserialize::deserialize(deserializer).map(Self)
            }
        }

        impl $crate::__private::sqlx::Type<$crate::__private::sqlx::Postgres> for $name {
            fn type_info() -> $crate::__private::sqlx::postgres::PgTypeInfo {
                use $crate::__private::sqlx::{Postgres, Type};
                <$crate::__private::uuid::Uuid as Type<Postgres>>::type_info()
            }
        }

        impl $crate::__private::sqlx::postgres::PgHasArrayType for $name {
            fn array_type_info() -> $crate::__private::sqlx::postgres::PgTypeInfo {
                use $crate::__private::sqlx::postgres::PgHasArrayType;
                <$crate::__private::uuid::Uuid as PgHasArrayType>::array_type_info()
            }
        }

        impl<'q> $crate::__private::sqlx::Encode<'q, $crate::__private::sqlx::Postgres> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut $crate::__private::sqlx::postgres::PgArgumentBuffer,
            ) -> ::std::result::Result<
                $crate::__private::sqlx::encode::IsNull,
                $crate::__private::sqlx::error::BoxDynError,
            > {
                use $crate::__private::sqlx::{Encode, Postgres};
                <$crate::__private::uuid::Uuid as Encode<'q, Postgres>>::encode_by_ref(&self.0, buffer)
            }
        }

        impl<'r> $crate::__private::sqlx::Decode<'r, $crate::__private::sqlx::Postgres> for $name {
            fn decode(
                value: $crate::__private::sqlx::postgres::PgValueRef<'r>,
            ) -> ::std::result::Result<Self, $crate::__private::sqlx::error::BoxDynError> {
                use $crate::__private::sqlx::{Decode, Postgres};
                <$crate::__private::uuid::Uuid as Decode<'r, Postgres>>::decode(value).map(Self)
            }
        }

        impl $crate::app::wire_type::Declared for $name {
            const NAME: &'static str = stringify!($name);
            const DOC: &'static str = "";
            const MODULE: &'static str = module_path!();

            fn body(
                _: &mut $crate::__private::specta::Types,
            ) -> $crate::__private::specta::datatype::DataType {
                $crate::app::wire_type::Special::Id.definition()
            }
        }

        impl $crate::__private::specta::Type for $name {
            fn definition(
                types: &mut $crate::__private::specta::Types,
            ) -> $crate::__private::specta::datatype::DataType {
                $crate::app::wire_type::declared::<Self>(types)
            }
        }

        impl $crate::app::model::ColumnType for $name {
            const SQL: &'static str = "uuid";

            fn read(
                row: &$crate::__private::sqlx::postgres::PgRow,
                name: &str,
            ) -> ::std::result::Result<Self, $crate::__private::sqlx::Error> {
                $crate::__private::sqlx::Row::try_get(row, name)
            }
        }
    )+};
}

id! {
    /// Names a node for as long as its process lives.
    pub NodeId,
    /// Names one request, on the wire as `X-Request-Id`.
    pub RequestId,
    /// Names one job.
    pub JobId,
    /// A batch lease of jobs.
    pub LeaseId,
    /// Names one schedule of a cron.
    pub CronId,
    /// Names one run of a workflow.
    pub RunId,
}
