//! From specta's graph to [`Shape`]s: the only file of this crate that names specta.
//!
//! A type that TypeScript cannot express without loss is refused, with the handler and the path to the field:
//! whole numbers that JavaScript would round, types of the same name, types that contain themselves without a
//! name.

use std::borrow::Cow;

use forge_actors::app::wire_type::{Definition, JOB_HANDLE, Special, WORKFLOW_HANDLE};
use forge_actors::kernel::integer::Int53;
use specta::datatype::{
    DataType, Deprecated, Enum, Field, Fields, NamedDataType, NamedReferenceType, OpaqueReference, Primitive,
    Reference,
};
use specta::{Format, Types};

use crate::problem::{Problem, Refusal};
use crate::shape::{Alternative, Declaration, Declarations, Docs, ObjectShape, Property, Shape, Text};
use crate::typescript;

/// The types of some functions, with serde's attributes applied.
pub(crate) struct Graph {
    types: Types,
}

impl Graph {
    /// Collects `definitions`, and answers how each is referred to.
    pub(crate) fn of(definitions: &[Definition]) -> Result<(Self, Vec<DataType>), Problem> {
        let mut types = Types::default();
        let roots: Vec<_> = definitions.iter().map(|definition| definition(&mut types)).collect();
        let refused = |error: specta::FormatError| Problem::of_serde(&*error);
        let mapped = specta_serde::Format.map_types(&types).map_err(refused)?.into_owned();
        let roots = roots
            .iter()
            .map(|root| specta_serde::Format.map_type(&mapped, root).map(Cow::into_owned).map_err(refused));
        let roots = roots.collect::<Result<_, _>>()?;
        Ok((Self { types: mapped }, roots))
    }
}

/// Reads types, and keeps the named ones that it meets.
pub(crate) struct Reader<'g> {
    graph: &'g Graph,
    pub(crate) declarations: Declarations,
    pub(crate) problems: Vec<Problem>,
    /// The handler, and the way from its signature to the type that is being read.
    trail: Vec<String>,
}

impl<'g> Reader<'g> {
    pub(crate) fn new(graph: &'g Graph) -> Self {
        Self { graph, declarations: Declarations::new(), problems: Vec::new(), trail: Vec::new() }
    }

    /// Reads a result or an error.
    pub(crate) fn read(&mut self, place: &[&str], root: &DataType) -> Shape {
        self.trail = place.iter().map(ToString::to_string).collect();
        self.shape(root)
    }

    /// Reads arguments: the fields of the message, whose own name stays behind. What is an `Option` may be
    /// left out.
    pub(crate) fn arguments(&mut self, place: &[&str], root: &DataType) -> Shape {
        let graph = self.graph;
        let body = match root {
            DataType::Reference(Reference::Named(reference)) => {
                graph.types.get(reference).and_then(|named| named.ty.as_ref())
            }
            _ => None,
        };
        let mut shape = self.read(place, body.unwrap_or(root));
        if let Shape::Object(object) = &mut shape {
            for property in &mut object.properties {
                property.optional |= matches!(property.shape, Shape::Nullable(_));
            }
        }
        shape
    }

    fn at<T>(&mut self, place: impl Into<String>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.trail.push(place.into());
        let value = read(self);
        self.trail.pop();
        value
    }

    /// Keeps the problem; generation ends with all of them, so what stands in the type's place does not
    /// matter.
    fn refuse(&mut self, refusal: Refusal) -> Shape {
        self.problems.push(Problem { trail: self.trail.clone(), refusal });
        Shape::Json
    }

    fn shape(&mut self, ty: &DataType) -> Shape {
        match ty {
            DataType::Primitive(primitive) => self.primitive(primitive),
            DataType::List(list) => {
                let item = self.at("[]", |reader| reader.shape(&list.ty));
                match list.length {
                    Some(length) => Shape::Tuple(vec![item; length]),
                    None => Shape::List(Box::new(item)),
                }
            }
            DataType::Map(map) => {
                let key = self.at("[key]", |reader| reader.shape(map.key_ty()));
                let value = self.at("[]", |reader| reader.shape(map.value_ty()));
                Shape::Map(Box::new(key), Box::new(value))
            }
            DataType::Tuple(tuple) if tuple.elements.is_empty() => Shape::Null,
            DataType::Tuple(tuple) => {
                let items = tuple.elements.iter().enumerate();
                Shape::Tuple(
                    items
                        .map(|(index, item)| self.at(format!("[{index}]"), |reader| reader.shape(item)))
                        .collect(),
                )
            }
            DataType::Nullable(inner) => {
                let inner = self.shape(inner);
                if self.is_nullable(&inner) {
                    return self.refuse(Refusal::TwoNulls);
                }
                Shape::Nullable(Box::new(inner))
            }
            DataType::Struct(object) => closed(self.fields(&object.fields)),
            DataType::Enum(union) => self.union(union),
            DataType::Intersection(parts) => merged(parts.iter().map(|part| self.shape(part)).collect()),
            DataType::Generic(parameter) => Shape::Parameter(parameter.name().to_string()),
            DataType::Reference(Reference::Opaque(opaque)) => self.opaque(opaque),
            DataType::Reference(Reference::Named(reference)) => {
                let Some(named) = self.graph.types.get(reference) else {
                    return self.refuse(Refusal::Unknown("a type that was never defined".to_owned()));
                };
                match &reference.inner {
                    NamedReferenceType::Recursive(_) => self.refuse(Refusal::Endless(named.name.to_string())),
                    NamedReferenceType::Inline { dt, .. } => match known_text(named) {
                        Some(text) => Shape::Text(text),
                        None => self.shape(dt),
                    },
                    NamedReferenceType::Reference { .. }
                        if named.module_path == "serde_json" && named.name == "Value" =>
                    {
                        Shape::Json
                    }
                    NamedReferenceType::Reference { generics, .. } => {
                        let arguments = generics.iter().map(|(_, argument)| self.shape(argument));
                        match (named.module_path.as_ref(), named.name.as_ref()) {
                            JOB_HANDLE => handle(Shape::Job, arguments),
                            WORKFLOW_HANDLE => handle(Shape::Workflow, arguments),
                            _ => {
                                let arguments = arguments.collect();
                                self.declare(named);
                                Shape::Named(named.name.to_string(), arguments)
                            }
                        }
                    }
                }
            }
        }
    }

    /// True when `null` is a value of the type.
    fn is_nullable(&self, shape: &Shape) -> bool {
        match shape {
            Shape::Null | Shape::Nullable(_) => true,
            Shape::Named(name, _) => {
                let declared = self.declarations.get(name).map(|declaration| &declaration.shape);
                matches!(declared, Some(Shape::Null | Shape::Nullable(_)))
            }
            _ => false,
        }
    }

    fn primitive(&mut self, primitive: &Primitive) -> Shape {
        let integer = |min: i64, max: i64| Shape::Integer { min, max };
        match primitive {
            Primitive::bool => Shape::Boolean,
            Primitive::str => Shape::Text(Text::ANY),
            Primitive::char => Shape::Text(Text::Plain { len_min: Some(1), len_max: Some(1) }),
            Primitive::i8 => integer(i8::MIN.into(), i8::MAX.into()),
            Primitive::i16 => integer(i16::MIN.into(), i16::MAX.into()),
            Primitive::i32 => integer(i32::MIN.into(), i32::MAX.into()),
            Primitive::u8 => integer(0, u8::MAX.into()),
            Primitive::u16 => integer(0, u16::MAX.into()),
            Primitive::u32 => integer(0, u32::MAX.into()),
            Primitive::f16 | Primitive::f32 | Primitive::f64 => Shape::Number,
            Primitive::i64 => self.refuse(Refusal::Wide("i64")),
            Primitive::i128 => self.refuse(Refusal::Wide("i128")),
            Primitive::isize => self.refuse(Refusal::Wide("isize")),
            Primitive::u64 => self.refuse(Refusal::Wide("u64")),
            Primitive::u128 => self.refuse(Refusal::Wide("u128")),
            Primitive::usize => self.refuse(Refusal::Wide("usize")),
            Primitive::f128 => self.refuse(Refusal::Wide("f128")),
        }
    }

    fn opaque(&mut self, opaque: &OpaqueReference) -> Shape {
        match opaque.downcast_ref::<Special>() {
            Some(Special::Id) => Shape::Text(Text::Id),
            Some(Special::Text { len_min, len_max }) => {
                Shape::Text(Text::Plain { len_min: *len_min, len_max: *len_max })
            }
            Some(Special::Int53) => Shape::Integer { min: Int53::MIN, max: Int53::MAX },
            Some(Special::Int64) => Shape::Text(Text::Int64),
            None => self.refuse(Refusal::Unknown(opaque.type_name().to_owned())),
        }
    }

    fn fields(&mut self, fields: &Fields) -> Shape {
        match fields {
            Fields::Unit => Shape::Null,
            Fields::Named(named) => {
                let properties = named.fields.iter().filter_map(|(name, field)| self.property(name, field));
                Shape::Object(ObjectShape { properties: properties.collect(), is_closed: false })
            }
            Fields::Unnamed(unnamed) => {
                let mut items: Vec<_> = unnamed
                    .fields
                    .iter()
                    .filter_map(|field| field.ty.as_ref())
                    .map(|ty| self.shape(ty))
                    .collect();
                if unnamed.fields.len() == 1 && items.len() == 1 {
                    items.remove(0)
                } else {
                    Shape::Tuple(items)
                }
            }
        }
    }

    fn property(&mut self, name: &str, field: &Field) -> Option<Property> {
        let shape = self.at(name, |reader| field.ty.as_ref().map(|ty| reader.shape(ty)))?;
        Some(Property {
            name: name.to_owned(),
            optional: field.optional,
            docs: docs(&field.docs, field.deprecated.as_ref()),
            shape,
        })
    }

    fn union(&mut self, union: &Enum) -> Shape {
        let mut alternatives: Vec<_> = Vec::new();
        for (name, variant) in union.variants.iter().filter(|(_, variant)| !variant.skip) {
            let shape = match &variant.fields {
                Fields::Unit => Shape::Literal(name.to_string()),
                fields => self.fields(fields),
            };
            alternatives.push(Alternative { docs: docs(&variant.docs, variant.deprecated.as_ref()), shape });
        }
        match alternatives.as_mut_slice() {
            [only] if only.docs.is_empty() => alternatives.remove(0).shape,
            _ => Shape::Union(alternatives),
        }
    }

    fn declare(&mut self, named: &NamedDataType) {
        let module = named.module_path.to_string();
        if typescript::RESERVED.contains(&named.name.as_ref()) {
            self.refuse(Refusal::SameName {
                name: named.name.to_string(),
                first: "forge".to_owned(),
                second: module,
            });
            return;
        }
        if let Some(first) = self.declarations.get(named.name.as_ref()) {
            if first.module != module {
                let first = first.module.clone();
                self.refuse(Refusal::SameName { name: named.name.to_string(), first, second: module });
            }
            return;
        }
        let declaration = Declaration {
            parameters: named.generics.iter().map(|parameter| parameter.name.to_string()).collect(),
            docs: docs(&named.docs, named.deprecated.as_ref()),
            // Stands until the body is read: a type may contain itself.
            shape: Shape::Json,
            module,
        };
        self.declarations.insert(named.name.to_string(), declaration);
        let shape = match &named.ty {
            Some(ty) => self.at(named.name.as_ref(), |reader| reader.shape(ty)),
            None => self.refuse(Refusal::Unknown(named.name.to_string())),
        };
        if let Some(declaration) = self.declarations.get_mut(named.name.as_ref()) {
            declaration.shape = shape;
        }
    }
}

/// Texts of other crates with a form of their own.
fn known_text(named: &NamedDataType) -> Option<Text> {
    match (named.module_path.as_ref(), named.name.as_ref()) {
        ("chrono", "DateTime") => Some(Text::DateTime),
        ("chrono", "NaiveDate") => Some(Text::Date),
        ("uuid", "Uuid") => Some(Text::Uuid),
        _ => None,
    }
}

/// The handle of a job or a run, from the types of its result and of its own errors.
fn handle(of: fn(Box<Shape>, Box<Shape>) -> Shape, mut arguments: impl Iterator<Item = Shape>) -> Shape {
    let (output, error) = (arguments.next(), arguments.next());
    of(Box::new(output.unwrap_or(Shape::Json)), Box::new(error.unwrap_or(Shape::Union(Vec::new()))))
}

/// A struct, whose fields serde knows before it reads them. What an enum with a tag holds is read from a
/// buffer.
fn closed(shape: Shape) -> Shape {
    match shape {
        Shape::Object(object) => Shape::Object(ObjectShape { is_closed: true, ..object }),
        shape => shape,
    }
}

/// One object in place of several, where all of them are spelt out.
fn merged(parts: Vec<Shape>) -> Shape {
    let spelt_out = parts.iter().all(|part| matches!(part, Shape::Object(_)));
    if !spelt_out {
        let says_something =
            |part: &Shape| !matches!(part, Shape::Object(object) if object.properties.is_empty());
        return Shape::Intersection(parts.into_iter().filter(says_something).collect());
    }
    let properties = parts.into_iter().flat_map(|part| match part {
        Shape::Object(object) => object.properties,
        _ => Vec::new(),
    });
    Shape::Object(ObjectShape { properties: properties.collect(), is_closed: false })
}

fn docs(text: &str, deprecated: Option<&Deprecated>) -> Docs {
    let lines: Vec<_> = text.trim().lines().map(str::trim).collect();
    let deprecated =
        deprecated.map(|deprecated| deprecated.note.as_ref().map(ToString::to_string).unwrap_or_default());
    Docs { text: lines.join("\n"), deprecated }
}
