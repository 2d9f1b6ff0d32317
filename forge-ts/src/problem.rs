//! Why nothing is generated.

use std::error::Error;
use std::fmt;

/// One place in a signature that TypeScript cannot express.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The handler, and the way to the field.
    pub trail: Vec<String>,
    /// What is wrong there.
    pub refusal: Refusal,
}

/// What TypeScript cannot express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A number that JavaScript would round.
    #[error(
        "is of the type `{0}`, and JavaScript rounds numbers beyond 2^53 - 1: take `Int53` (a number up to \
         there), `Int64` (any i64, as a text) or `i32`"
    )]
    Wide(&'static str),
    /// An `Option` of what may be `null` already.
    #[error(
        "is an `Option` of a type that has the value `null` already, and JSON has one `null` for both: take \
         an enum, or two fields"
    )]
    TwoNulls,
    /// Two types of one name.
    #[error(
        "uses the type `{name}` of `{second}`, and `{first}` has one of the same name: rename one of them"
    )]
    SameName {
        /// The name.
        name: String,
        /// A module that declares it.
        first: String,
        /// Another one.
        second: String,
    },
    /// A type that contains itself, spelt out.
    #[error(
        "holds the type `{0}`, which contains itself and has no name there: take `#[serde(flatten)]` or \
         `#[specta(inline)]` away"
    )]
    Endless(String),
    /// A type with an implementation of specta's `Type` that Forge does not know.
    #[error("holds {0}, which has no form in TypeScript: declare it with `#[forge::data]`")]
    Unknown(String),
    /// Serde writes it in a form that no type describes.
    #[error("{0}")]
    Serde(String),
    /// Two functions, or a function and a module, that end up under one key.
    #[error(
        "would be `api.{0}`, where another function or module is already: give it another `name = \"..\"`"
    )]
    SameKey(String),
}

impl Problem {
    pub(crate) fn of_serde(error: &(dyn Error + 'static)) -> Self {
        Self { trail: Vec::new(), refusal: Refusal::Serde(error.to_string()) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((handler, way)) = self.trail.split_first() {
            write!(f, "`{handler}`")?;
            if !way.is_empty() {
                // A place in a list follows its list without a dot.
                write!(f, ": `{}`", way.join(".").replace(".[", "["))?;
            }
            f.write_str(" ")?;
        }
        write!(f, "{}", self.refusal)
    }
}

/// Every problem of a binary's functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub Vec<Problem>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Error for Refused {}
