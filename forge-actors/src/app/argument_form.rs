//! What people are shown of a handler's arguments, so that they can write them by hand: the names, a word for
//! each type, and a value to begin with. The types as clients have them are in what `forge-node generate`
//! writes.

use specta::Types;
use specta::datatype::{DataType, Enum, Fields, NamedDataType, NamedReferenceType, Primitive, Reference};

use crate::app::wire_type::{Definition, Special};

/// An argument of a handler, for a person who writes it.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentForm {
    /// Its name.
    pub name: String,
    /// Its documentation; empty where the code has none.
    pub doc: String,
    /// What its value is: `text`, `whole number`, `list of text`, `one of open, done`, or the name of its
    /// type.
    pub form: String,
    /// False when it may be left out.
    pub is_required: bool,
    /// JSON to begin with, such as `0` for a number. It need not be a valid value.
    pub placeholder: String,
}

/// The arguments of a handler that an attribute has made; `None` for a message that was written by hand:
/// only serde knows its names in JSON.
pub(crate) fn argument_forms(arguments: Definition) -> Option<Vec<ArgumentForm>> {
    let mut types = Types::default();
    let DataType::Struct(message) = arguments(&mut types) else { return None };
    let fields = match &message.fields {
        Fields::Named(named) => named.fields.as_slice(),
        Fields::Unit => &[],
        Fields::Unnamed(_) => return None,
    };
    let known = fields.iter().filter_map(|(name, field)| {
        let ty = field.ty.as_ref()?;
        let TypeForm { words, placeholder } = form_of(&types, ty);
        Some(ArgumentForm {
            name: name.to_string(),
            doc: field.docs.trim().to_owned(),
            form: words,
            is_required: !field.optional && !matches!(ty, DataType::Nullable(_)),
            placeholder,
        })
    });
    Some(known.collect())
}

/// A type in words, and JSON to begin with.
struct TypeForm {
    words: String,
    placeholder: String,
}

impl TypeForm {
    fn new(words: impl Into<String>, placeholder: impl Into<String>) -> Self {
        Self { words: words.into(), placeholder: placeholder.into() }
    }
}

fn form_of(types: &Types, ty: &DataType) -> TypeForm {
    match ty {
        DataType::Primitive(primitive) => primitive_form(primitive),
        DataType::List(list) => TypeForm::new(format!("list of {}", form_of(types, &list.ty).words), "[]"),
        DataType::Tuple(tuple) if tuple.elements.is_empty() => TypeForm::new("null", "null"),
        DataType::Tuple(tuple) => {
            let parts: Vec<TypeForm> = tuple.elements.iter().map(|part| form_of(types, part)).collect();
            let all = |of: fn(&TypeForm) -> &str| parts.iter().map(of).collect::<Vec<_>>().join(", ");
            TypeForm::new(
                format!("list: {}", all(|part| &part.words)),
                format!("[{}]", all(|part| &part.placeholder)),
            )
        }
        DataType::Nullable(inner) => {
            TypeForm::new(format!("{} or null", form_of(types, inner).words), "null")
        }
        DataType::Enum(union) => union_form(union).unwrap_or_else(|| TypeForm::new("one of several", "null")),
        DataType::Reference(Reference::Opaque(opaque)) => match opaque.downcast_ref::<Special>() {
            Some(Special::Id) => TypeForm::new("id", "\"\""),
            Some(Special::Text { .. }) => TypeForm::new("text", "\"\""),
            Some(Special::Int53) => TypeForm::new("whole number", "0"),
            Some(Special::Int64) => TypeForm::new("whole number as text", "\"0\""),
            None => TypeForm::new(opaque.type_name(), "null"),
        },
        DataType::Reference(Reference::Named(reference)) => {
            let Some(named) = types.get(reference) else { return TypeForm::new("any value", "null") };
            match &reference.inner {
                NamedReferenceType::Inline { dt, .. } => {
                    known_form(named).unwrap_or_else(|| form_of(types, dt))
                }
                NamedReferenceType::Reference { .. } | NamedReferenceType::Recursive(_) => {
                    known_form(named).unwrap_or_else(|| named_form(types, named))
                }
            }
        }
        DataType::Map(_) | DataType::Struct(_) | DataType::Intersection(_) => TypeForm::new("object", "{}"),
        DataType::Generic(parameter) => TypeForm::new(parameter.name().to_string(), "null"),
    }
}

fn primitive_form(primitive: &Primitive) -> TypeForm {
    match primitive {
        Primitive::bool => TypeForm::new("true or false", "false"),
        Primitive::str | Primitive::char => TypeForm::new("text", "\"\""),
        Primitive::f16 | Primitive::f32 | Primitive::f64 | Primitive::f128 => TypeForm::new("number", "0"),
        Primitive::i8
        | Primitive::i16
        | Primitive::i32
        | Primitive::i64
        | Primitive::i128
        | Primitive::isize
        | Primitive::u8
        | Primitive::u16
        | Primitive::u32
        | Primitive::u64
        | Primitive::u128
        | Primitive::usize => TypeForm::new("whole number", "0"),
    }
}

/// Types of other crates.
fn known_form(named: &NamedDataType) -> Option<TypeForm> {
    match (named.module_path.as_ref(), named.name.as_ref()) {
        ("chrono", "DateTime") => Some(TypeForm::new("time", "\"\"")),
        ("chrono", "NaiveDate") => Some(TypeForm::new("day", "\"\"")),
        ("uuid", "Uuid") => Some(TypeForm::new("id", "\"\"")),
        ("serde_json", "Value") => Some(TypeForm::new("any value", "null")),
        _ => None,
    }
}

/// A type of the application: an id, a text, the labels of an enum, or else its name.
fn named_form(types: &Types, named: &NamedDataType) -> TypeForm {
    let body = match &named.ty {
        Some(DataType::Enum(union)) => union_form(union),
        Some(ty @ DataType::Reference(Reference::Opaque(_))) => Some(form_of(types, ty)),
        Some(DataType::Struct(_) | DataType::Map(_)) => Some(TypeForm::new(named.name.as_ref(), "{}")),
        _ => None,
    };
    body.unwrap_or_else(|| TypeForm::new(named.name.as_ref(), "null"))
}

/// The labels of an enum that has nothing else. Those that serde's attributes rename are not known here.
fn union_form(union: &Enum) -> Option<TypeForm> {
    let is_plain = union.attributes.is_empty()
        && !union.variants.is_empty()
        && union.variants.iter().all(|(_, variant)| {
            matches!(variant.fields, Fields::Unit) && !variant.skip && variant.attributes.is_empty()
        });
    let labels: Vec<&str> = union.variants.iter().map(|(label, _)| label.as_ref()).collect();
    let first = serde_json::Value::from(*labels.first()?).to_string();
    is_plain.then(|| TypeForm::new(format!("one of {}", labels.join(", ")), first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::secret::Secret;
    use crate::app::{Result, WireType, WorkflowContext};
    use crate::kernel::ids::RunId;
    use crate::kernel::integer::Int53;
    use crate::kernel::time::Timestamp;

    #[forge_app_macros::data]
    struct Address {
        city: String,
    }

    #[forge_app_macros::forge_enum]
    enum Plan {
        Free,
        PaidYearly,
    }

    /// Everything that a workflow may be started with.
    #[forge_app_macros::workflow(name = "forms.all")]
    #[allow(clippy::too_many_arguments)]
    async fn all(
        _ctx: &WorkflowContext,
        user_id: RunId,
        count: u32,
        ratio: f64,
        note: Option<String>,
        pin: Secret<String>,
        tags: Vec<String>,
        plan: Plan,
        home: Address,
        at: Timestamp,
        total: Int53,
    ) -> Result<()> {
        drop((user_id, count, ratio, note, pin, tags, plan, home, at, total));
        Ok(())
    }

    #[test]
    fn arguments_are_described_for_people() {
        let forms = argument_forms(All::definition).expect("an attribute has made it");
        let found: Vec<String> = forms
            .iter()
            .map(|ArgumentForm { name, form, is_required, placeholder, .. }| {
                format!("{name}{}: {form} = {placeholder}", if *is_required { "" } else { "?" })
            })
            .collect();
        assert_eq!(
            found,
            [
                "userId: id = \"\"",
                "count: whole number = 0",
                "ratio: number = 0",
                "note?: text or null = null",
                "pin: text = \"\"",
                "tags: list of text = []",
                "plan: one of free, paid_yearly = \"free\"",
                "home: Address = {}",
                "at: time = \"\"",
                "total: whole number = 0",
            ]
        );
        assert_eq!(argument_forms(Address::definition), None);
    }
}
