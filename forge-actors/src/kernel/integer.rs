//! 64-bit integers for JavaScript clients, whose numbers are exact only up to 2^53 - 1.
//!
//! The client generator refuses a bare `i64` or `u64` in a handler's signature, because large values would
//! arrive silently rounded. [`Int53`] travels as a number and holds only values that are exact in JavaScript;
//! [`Int64`] travels as a text and holds every value.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A whole number between -(2^53 - 1) and 2^53 - 1: a number in JSON and TypeScript, `bigint` in Postgres.
///
/// ```
/// # use forge_actors::kernel::integer::Int53;
/// assert_eq!(Int53::try_from(9_007_199_254_740_991_i64).map(Int53::get), Ok(Int53::MAX));
/// assert!(Int53::try_from(9_007_199_254_740_992_i64).is_err());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Int53(i64);

impl Int53 {
    /// The largest value, `Number.MAX_SAFE_INTEGER`.
    pub const MAX: i64 = (1 << 53) - 1;
    /// The smallest value.
    pub const MIN: i64 = -Self::MAX;

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// A count. Counts above [`MAX`](Self::MAX) become `MAX`.
    pub const fn count(count: u64) -> Self {
        Self(if count > Self::MAX.cast_unsigned() { Self::MAX } else { count.cast_signed() })
    }

    /// A duration in whole milliseconds, at most [`MAX`](Self::MAX).
    pub fn millis(duration: Duration) -> Self {
        Self::count(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A number that an [`Int53`] cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not between -(2^53 - 1) and 2^53 - 1")]
pub struct TooLarge(pub i128);

impl TryFrom<i128> for Int53 {
    type Error = TooLarge;

    fn try_from(number: i128) -> Result<Self, TooLarge> {
        i64::try_from(number)
            .ok()
            .filter(|number| (Self::MIN..=Self::MAX).contains(number))
            .map(Self)
            .ok_or(TooLarge(number))
    }
}

impl TryFrom<i64> for Int53 {
    type Error = TooLarge;

    fn try_from(number: i64) -> Result<Self, TooLarge> {
        i128::from(number).try_into()
    }
}

impl TryFrom<u64> for Int53 {
    type Error = TooLarge;

    fn try_from(number: u64) -> Result<Self, TooLarge> {
        i128::from(number).try_into()
    }
}

impl From<i32> for Int53 {
    fn from(number: i32) -> Self {
        Self(number.into())
    }
}

impl From<u32> for Int53 {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl Serialize for Int53 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Int53 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer)?.try_into().map_err(de::Error::custom)
    }
}

/// Any `i64`: its decimal digits as a text in JSON, `` `${bigint}` `` in TypeScript, `bigint` in Postgres.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Int64(i64);

impl Int64 {
    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for Int64 {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

impl Serialize for Int64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl de::Visitor<'_> for Digits {
            type Value = Int64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of 64 bits, written as a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Int64, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

/// The text form and the Postgres type `bigint` of both integers.
macro_rules! bigint {
    ($($name:ident)+) => {$(
        impl From<$name> for i64 {
            fn from(number: $name) -> Self {
                number.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IntError;

            fn from_str(text: &str) -> Result<Self, IntError> {
                Ok(text.parse::<i64>()?.try_into()?)
            }
        }

        impl sqlx::Type<sqlx::Postgres> for $name {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                <i64 as sqlx::Type<sqlx::Postgres>>::type_info()
            }
        }

        impl sqlx::postgres::PgHasArrayType for $name {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                <i64 as sqlx::postgres::PgHasArrayType>::array_type_info()
            }
        }

        impl<'q> sqlx::Encode<'q, sqlx::Postgres> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut sqlx::postgres::PgArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                <i64 as sqlx::Encode<'q, sqlx::Postgres>>::encode_by_ref(&self.0, buffer)
            }
        }

        impl<'r> sqlx::Decode<'r, sqlx::Postgres> for $name {
            fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                Ok(<i64 as sqlx::Decode<'r, sqlx::Postgres>>::decode(value)?.try_into()?)
            }
        }
    )+};
}

bigint! {
    Int53
    Int64
}

/// Why a text is not a number of this type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntError {
    /// The text is not a whole number of 64 bits.
    #[error(transparent)]
    Digits(#[from] ParseIntError),
    /// The number is outside of the range of the type.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl From<std::convert::Infallible> for IntError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
