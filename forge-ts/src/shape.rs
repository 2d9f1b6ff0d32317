//! Types as generated files see them: small enough for every printer to match in full, and free of what Rust
//! and serde add.

use std::collections::BTreeMap;

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A whole number that a double holds exactly.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// Any number.
    Number,
    /// A text.
    Text(Text),
    /// One text.
    Literal(String),
    /// Any JSON.
    Json,
    /// An array.
    List(Box<Shape>),
    /// An array with a type for each place.
    Tuple(Vec<Shape>),
    /// An object with keys of one type and values of another.
    Map(Box<Shape>, Box<Shape>),
    /// The type, or `null`.
    Nullable(Box<Shape>),
    /// An object with known keys.
    Object(ObjectShape),
    /// One of several; without any, there is no value.
    Union(Vec<Alternative>),
    /// All of several, objects every one.
    Intersection(Vec<Shape>),
    /// A declared type, with a type for each of its parameters.
    Named(String, Vec<Shape>),
    /// A parameter of the declaration around it.
    Parameter(String),
    /// The handle of a job: what its handler returns, and its own errors.
    Job(Box<Shape>, Box<Shape>),
    /// The handle of a run: what its workflow returns, and its own errors.
    Workflow(Box<Shape>, Box<Shape>),
}

/// What kind of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// With a length in characters.
    Plain {
        /// Fewest.
        len_min: Option<usize>,
        /// Most.
        len_max: Option<usize>,
    },
    /// A UUID.
    Uuid,
    /// A UUID under a name that no other id has: the declaration around it.
    Id,
    /// A moment, RFC 3339.
    DateTime,
    /// A day.
    Date,
    /// The digits of a whole number of 64 bits.
    Int64,
}

impl Text {
    /// Any text.
    pub const ANY: Self = Self::Plain { len_min: None, len_max: None };
}

/// An object with known keys.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectShape {
    /// The keys.
    pub properties: Vec<Property>,
    /// An argument with any other key is refused.
    pub is_closed: bool,
}

/// A key of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// The key.
    pub name: String,
    /// It may be absent.
    pub optional: bool,
    /// Its documentation.
    pub docs: Docs,
    /// Its type.
    pub shape: Shape,
}

/// A member of a union.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    /// Its documentation.
    pub docs: Docs,
    /// Its type.
    pub shape: Shape,
}

/// Documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Docs {
    /// The text, without white space around its lines; empty where there is none.
    pub text: String,
    /// What is said about its end, if it is deprecated.
    pub deprecated: Option<String>,
}

impl Docs {
    /// Nothing is said.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.deprecated.is_none()
    }
}

/// A named type.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// Names of its type parameters.
    pub parameters: Vec<String>,
    /// Its documentation.
    pub docs: Docs,
    /// What the name stands for.
    pub shape: Shape,
    /// The Rust module that declares it.
    pub module: String,
}

/// The named types, by name.
pub type Declarations = BTreeMap<String, Declaration>;

impl Shape {
    /// Somewhere in it stands a shape that is `wanted`.
    pub(crate) fn contains(&self, wanted: fn(&Self) -> bool) -> bool {
        wanted(self) || self.parts().any(|part| part.contains(wanted))
    }

    /// The shapes that it is made of.
    pub(crate) fn parts(&self) -> Box<dyn Iterator<Item = &Shape> + '_> {
        match self {
            Self::List(inner) | Self::Nullable(inner) => Box::new(std::iter::once(&**inner)),
            Self::Map(one, other) | Self::Job(one, other) | Self::Workflow(one, other) => {
                Box::new([&**one, &**other].into_iter())
            }
            Self::Tuple(items) | Self::Intersection(items) | Self::Named(_, items) => Box::new(items.iter()),
            Self::Object(object) => Box::new(object.properties.iter().map(|property| &property.shape)),
            Self::Union(alternatives) => Box::new(alternatives.iter().map(|alternative| &alternative.shape)),
            Self::Null
            | Self::Boolean
            | Self::Integer { .. }
            | Self::Number
            | Self::Text(_)
            | Self::Literal(_)
            | Self::Json
            | Self::Parameter(_) => Box::new(std::iter::empty()),
        }
    }

    /// The shape with `arguments` in the place of parameters.
    pub fn with_arguments(&self, arguments: &BTreeMap<&str, Shape>) -> Self {
        let inner = |shape: &Shape| Box::new(shape.with_arguments(arguments));
        let property = |property: &Property| Property {
            name: property.name.to_owned(),
            optional: property.optional,
            docs: property.docs.to_owned(),
            shape: property.shape.with_arguments(arguments),
        };
        let alternative = |alternative: &Alternative| Alternative {
            docs: alternative.docs.to_owned(),
            shape: alternative.shape.with_arguments(arguments),
        };
        let all = |shapes: &[Shape]| shapes.iter().map(|shape| shape.with_arguments(arguments)).collect();
        match self {
            Self::Parameter(name) => arguments.get(name.as_str()).unwrap_or(self).clone(),
            Self::List(item) => Self::List(inner(item)),
            Self::Tuple(items) => Self::Tuple(all(items)),
            Self::Map(key, value) => Self::Map(inner(key), inner(value)),
            Self::Job(output, error) => Self::Job(inner(output), inner(error)),
            Self::Workflow(output, error) => Self::Workflow(inner(output), inner(error)),
            Self::Nullable(value) => Self::Nullable(inner(value)),
            Self::Object(object) => Self::Object(ObjectShape {
                properties: object.properties.iter().map(property).collect(),
                is_closed: object.is_closed,
            }),
            Self::Union(alternatives) => Self::Union(alternatives.iter().map(alternative).collect()),
            Self::Intersection(parts) => Self::Intersection(all(parts)),
            Self::Named(name, generics) => Self::Named(name.to_owned(), all(generics)),
            Self::Null
            | Self::Boolean
            | Self::Integer { .. }
            | Self::Number
            | Self::Text(_)
            | Self::Literal(_)
            | Self::Json => self.clone(),
        }
    }
}
