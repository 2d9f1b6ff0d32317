//! The form of a type as a number: what its JSON looks like, whatever its Rust names are.
//!
//! Two types with the same form (same fields, same kinds of values) have the same number in every build, so a
//! struct may be renamed or moved. A field that was renamed, added or given another type changes the number.
//!
//! The lowest bit says whether the type holds secrets. It is no part of the form, which has the same JSON
//! with them: what reads stored JSON of an unknown type for people looks at the bit.

use std::any::TypeId;
use std::fmt::Write as _;
use std::sync::LazyLock;

use dashmap::DashMap;
use sha2::{Digest, Sha256};
use specta::Types;
use specta::datatype::{DataType, Fields, NamedReferenceType, Reference};

use crate::app::wire_type::{Definition, Special, WireType, holds_secrets};

/// The bit of a shape that says that the type holds secrets.
const HOLDS_SECRETS: u64 = 1;

/// The forms that were asked for. Their number is that of the types in the binary.
static KNOWN: LazyLock<DashMap<TypeId, u64>> = LazyLock::new(DashMap::new);

/// The form of `T`.
pub(crate) fn shape_of<T: WireType>() -> u64 {
    shape_of_pair::<T, ()>(&[T::definition])
}

/// The form of what `H` takes and returns together.
pub(crate) fn shape_of_call<H: crate::app::Handler>() -> u64 {
    shape_of_pair::<H, H::Output>(&[H::definition, H::Output::definition])
}

/// Whether two types have the same form.
pub(crate) const fn is_same_form(one: u64, other: u64) -> bool {
    (one | HOLDS_SECRETS) == (other | HOLDS_SECRETS)
}

/// Whether the type with this shape holds secrets.
pub(crate) const fn has_secrets(shape: u64) -> bool {
    shape & HOLDS_SECRETS != 0
}

fn shape_of_pair<A: 'static, B: 'static>(definitions: &[Definition]) -> u64 {
    let key = TypeId::of::<(A, B)>();
    if let Some(shape) = KNOWN.get(&key) {
        return *shape;
    }
    let shape = hash(definitions);
    KNOWN.insert(key, shape);
    shape
}

fn hash(definitions: &[Definition]) -> u64 {
    let mut text = String::new();
    for definition in definitions {
        let mut types = Types::default();
        let root = definition(&mut types);
        let mut writer = ShapeWriter { types: &types, text: &mut text, open: Vec::new() };
        writer.write(&root);
        text.push(';');
    }
    let digest = Sha256::digest(text.as_bytes());
    let head = digest.first_chunk().copied().unwrap_or_default();
    // Zero stands for a shape that is not compared.
    let form = (u64::from_be_bytes(head) & !HOLDS_SECRETS).max(HOLDS_SECRETS + 1);
    form | u64::from(definitions.iter().any(|definition| holds_secrets(*definition)))
}

struct ShapeWriter<'a> {
    types: &'a Types,
    text: &'a mut String,
    /// The named types around the present place: a type that contains itself is written as how far out it is.
    open: Vec<String>,
}

impl ShapeWriter<'_> {
    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("writing into a String does not fail");
    }

    fn list<'t>(&mut self, brackets: [char; 2], parts: impl Iterator<Item = &'t DataType>) {
        self.text.push(brackets[0]);
        for part in parts {
            self.write(part);
            self.text.push(',');
        }
        self.text.push(brackets[1]);
    }

    fn write(&mut self, ty: &DataType) {
        match ty {
            DataType::Primitive(primitive) => self.push(format_args!("{primitive:?}")),
            DataType::List(list) => {
                self.push(format_args!("[{:?}:", list.length));
                self.write(&list.ty);
                self.text.push(']');
            }
            DataType::Map(map) => self.list(['<', '>'], [map.key_ty(), map.value_ty()].into_iter()),
            DataType::Tuple(tuple) => self.list(['(', ')'], tuple.elements.iter()),
            DataType::Nullable(inner) => {
                self.text.push('?');
                self.write(inner);
            }
            DataType::Struct(object) => self.fields(&object.fields),
            DataType::Enum(union) => {
                self.text.push('|');
                for (name, variant) in union.variants.iter().filter(|(_, variant)| !variant.skip) {
                    self.push(format_args!("{name}="));
                    self.fields(&variant.fields);
                }
                self.text.push('|');
            }
            DataType::Intersection(parts) => self.list(['&', '&'], parts.iter()),
            DataType::Generic(parameter) => self.push(format_args!("${}", parameter.name())),
            DataType::Reference(Reference::Opaque(opaque)) => match opaque.downcast_ref::<Special>() {
                Some(special) => self.push(format_args!("{special:?}")),
                None => self.push(format_args!("{}", opaque.type_name())),
            },
            DataType::Reference(Reference::Named(reference)) => {
                let Some(named) = self.types.get(reference) else { return self.text.push('!') };
                let name = format!("{}::{}", named.module_path, named.name);
                if let Some(outer) = self.open.iter().rposition(|open| *open == name) {
                    let out = self.open.len() - outer;
                    return self.push(format_args!("^{out}"));
                }
                // Types of other crates have a form of their own, which their name stands for.
                if ["chrono", "uuid", "serde_json"].contains(&named.module_path.as_ref()) {
                    return self.push(format_args!("{name}"));
                }
                self.open.push(name);
                match &reference.inner {
                    NamedReferenceType::Inline { dt, .. } => self.write(dt),
                    NamedReferenceType::Reference { generics, .. } => {
                        self.list(['<', '>'], generics.iter().map(|(_, argument)| argument));
                        if let Some(ty) = &named.ty {
                            self.write(ty);
                        }
                    }
                    NamedReferenceType::Recursive(_) => self.text.push('^'),
                }
                self.open.pop();
            }
        }
    }

    fn fields(&mut self, fields: &Fields) {
        match fields {
            Fields::Unit => self.text.push('.'),
            Fields::Named(named) => {
                self.text.push('{');
                for (name, field) in &named.fields {
                    let Some(ty) = &field.ty else { continue };
                    self.push(format_args!("{name}{}:", if field.optional { "?" } else { "" }));
                    self.write(ty);
                    self.text.push(',');
                }
                self.text.push('}');
            }
            Fields::Unnamed(unnamed) => {
                self.list(['(', ')'], unnamed.fields.iter().filter_map(|field| field.ty.as_ref()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::secret::Secret;
    use crate::kernel::time::Timestamp;

    mod first {
        #[forge_app_macros::data]
        pub(super) struct Person {
            pub name: String,
            pub friends: Vec<Person>,
        }
    }

    mod second {
        #[forge_app_macros::data]
        pub(super) struct Human {
            pub name: String,
            pub friends: Vec<Human>,
        }

        #[forge_app_macros::data]
        pub(super) struct Retyped {
            pub name: u32,
            pub friends: Vec<Retyped>,
        }

        #[forge_app_macros::data]
        pub(super) struct Renamed {
            pub title: String,
            pub friends: Vec<Renamed>,
        }
    }

    #[test]
    fn names_of_types_do_not_count_and_those_of_fields_do() {
        let person = shape_of::<first::Person>();
        assert_eq!(person, shape_of::<second::Human>());
        assert_ne!(person, shape_of::<second::Retyped>());
        assert_ne!(person, shape_of::<second::Renamed>());
        assert_ne!(shape_of::<Option<u32>>(), shape_of::<u32>());
        assert_ne!(shape_of::<Timestamp>(), shape_of::<String>());
    }

    #[test]
    fn a_secret_has_the_form_of_its_value_and_says_that_it_is_one() {
        let (open, secret) = (shape_of::<Vec<String>>(), shape_of::<Vec<Secret<String>>>());
        assert_eq!((has_secrets(open), has_secrets(secret)), (false, true));
        assert!(is_same_form(open, secret) && open != secret);
        assert!(!is_same_form(open, shape_of::<Vec<u32>>()));
    }
}
