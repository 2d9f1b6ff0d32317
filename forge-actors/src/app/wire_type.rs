//! Types that cross the wire: how they are written and read as JSON, and what generators of clients know of
//! them.
//!
//! This is the only file that names specta. What the attributes expand to names specta as
//! `::forge::__private::specta`, so that a change of its interface costs this file, the derive in
//! `forge-app-macros` and the reader in `forge-ts`.
//!
//! A [`Definition`] adds a type to a graph. Registrations keep those of a handler's arguments, result and
//! error as plain function pointers: nothing is computed until a client is generated.

use std::any::type_name;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use specta::datatype::{
    DataType, Enum, Field, Generic, GenericDefinition, NamedDataType, Primitive, Reference, Struct, Variant,
};
use specta::{Type, Types};

use crate::app::arguments::Arguments;
use crate::app::enumeration::Enumeration;
use crate::app::input::{self, InputError};
use crate::app::output::{self, OutputError};
use crate::app::secret::{self, Secret};
use crate::kernel::integer::{Int53, Int64};

/// A type that crosses the wire: `#[forge::data]` makes one, as do `#[forge::model]`, `#[forge::forge_enum]`,
/// `#[forge::validated_type]` and `forge::id!`.
///
/// Whatever the attributes write about the type of an argument goes through this trait alone, so that a type
/// that does not implement it has one error. The methods are not for applications.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross the wire: clients would not know its type",
    label = "not known to clients",
    note = "write `#[forge::data]` on the struct or enum, in place of `#[derive(Serialize, Deserialize)]`"
)]
pub trait WireType: Sized + Send + 'static {
    /// Adds the type to the graph and returns how it is referred to.
    #[doc(hidden)]
    fn definition(types: &mut Types) -> DataType;

    /// The value as JSON text; equal values have equal texts. The error knows the path to what has no form in
    /// JSON.
    #[doc(hidden)]
    fn to_json(&self) -> Result<Vec<u8>, OutputError> {
        self.to_json_within(usize::MAX)
    }

    /// [`to_json`](Self::to_json), which stops at a text of more than `bytes_max` bytes.
    #[doc(hidden)]
    fn to_json_within(&self, bytes_max: usize) -> Result<Vec<u8>, OutputError>;

    /// Reads what [`to_json`](Self::to_json) has written.
    #[doc(hidden)]
    fn from_json(json: &[u8]) -> serde_json::Result<Self>;

    /// Reads what a client has sent; the error knows the path to what is wrong.
    #[doc(hidden)]
    fn read_input(json: &[u8]) -> Result<Self, InputError>;

    /// The value as a JSON value.
    #[doc(hidden)]
    fn to_value(&self) -> Result<serde_json::Value, OutputError>;

    /// Reads a JSON value; a missing one is read as `null`.
    #[doc(hidden)]
    fn from_value(value: Option<&serde_json::Value>) -> Option<Self>;

    /// Writes one field of a message.
    #[doc(hidden)]
    fn write_field<M: SerializeMap>(&self, name: &'static str, fields: &mut M) -> Result<(), M::Error>;

    /// Reads one field of a message.
    #[doc(hidden)]
    fn take_argument(arguments: &mut Arguments<'_>, name: &'static str) -> Option<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: Type + Serialize + DeserializeOwned + Send + 'static> WireType for T {
    fn definition(types: &mut Types) -> DataType {
        <T as Type>::definition(types)
    }

    fn to_json_within(&self, bytes_max: usize) -> Result<Vec<u8>, OutputError> {
        output::write(self, bytes_max)
    }

    fn from_json(json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json)
    }

    fn read_input(json: &[u8]) -> Result<Self, InputError> {
        input::read(serde_json::Deserializer::from_slice(json))
    }

    fn to_value(&self) -> Result<serde_json::Value, OutputError> {
        output::value(self)
    }

    fn from_value(value: Option<&serde_json::Value>) -> Option<Self> {
        T::deserialize(value.unwrap_or(&serde_json::Value::Null)).ok()
    }

    fn write_field<M: SerializeMap>(&self, name: &'static str, fields: &mut M) -> Result<(), M::Error> {
        fields.serialize_entry(name, self)
    }

    fn take_argument(arguments: &mut Arguments<'_>, name: &'static str) -> Option<Self> {
        arguments.take(name)
    }
}

/// Adds the type to the graph and returns how it is referred to.
pub type Definition = fn(&mut Types) -> DataType;

/// A type whose form does not follow from Rust's structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    /// A UUID that is mistaken for no other id.
    Id,
    /// A text with a length in characters.
    Text {
        /// Fewest.
        len_min: Option<usize>,
        /// Most.
        len_max: Option<usize>,
    },
    /// [`Int53`].
    Int53,
    /// [`Int64`].
    Int64,
}

impl Special {
    /// The type.
    pub fn definition(self) -> DataType {
        DataType::Reference(Reference::opaque(self))
    }
}

/// The union of a handler without errors of its own.
pub(crate) fn no_errors(_: &mut Types) -> DataType {
    DataType::Enum(Enum::default())
}

impl Type for Int53 {
    fn definition(_: &mut Types) -> DataType {
        Special::Int53.definition()
    }
}

impl Type for Int64 {
    fn definition(_: &mut Types) -> DataType {
        Special::Int64.definition()
    }
}

/// A client sends what the secret holds.
impl<T: Type> Type for Secret<T> {
    fn definition(types: &mut Types) -> DataType {
        secret::note();
        T::definition(types)
    }
}

/// Whether a secret is among the types that this one is made of.
pub(crate) fn holds_secrets(definition: Definition) -> bool {
    // A graph of its own, because in one that knows a type already that type is not visited again.
    secret::for_people(|| definition(&mut Types::default())).1
}

/// A type that one of Forge's attributes declares under a name of its own.
#[doc(hidden)]
pub trait Declared: 'static {
    /// Its name.
    const NAME: &'static str;
    /// First paragraph of its documentation.
    const DOC: &'static str;
    /// `module_path!()`.
    const MODULE: &'static str;

    /// What the name stands for.
    fn body(types: &mut Types) -> DataType;
}

/// Declares `T` once, and refers to it.
#[doc(hidden)]
pub fn declared<T: Declared>(types: &mut Types) -> DataType {
    fn describe<T: Declared>(types: &mut Types, declaration: &mut NamedDataType) {
        declaration.name = T::NAME.into();
        declaration.docs = T::DOC.into();
        declaration.module_path = T::MODULE.into();
        declaration.ty = Some(T::body(types));
    }
    let (no_parameters, has_const_parameters, is_transparent) = ((&[], &[]), false, false);
    let reference = NamedDataType::init_with_sentinel(
        type_name::<T>(),
        no_parameters.0,
        no_parameters.1,
        has_const_parameters,
        is_transparent,
        types,
        describe::<T>,
        T::body,
    );
    DataType::Reference(reference)
}

/// The module and the name under which `job_handle` declares the type of handles.
pub const JOB_HANDLE: (&str, &str) = ("forge", "JobHandle");

/// The module and the name under which `workflow_handle` declares the type of handles.
pub const WORKFLOW_HANDLE: (&str, &str) = ("forge", "WorkflowHandle");

const HANDLE_PARAMETERS: [&str; 2] = ["Output", "AppError"];

/// The handle of a job whose handler returns `output` and fails with `error`.
pub(crate) fn job_handle(types: &mut Types, output: DataType, error: DataType) -> DataType {
    fn describe(_: &mut Types, declaration: &mut NamedDataType) {
        describe_handle(declaration, JOB_HANDLE);
    }
    handle(types, "forge::JobHandle", describe, output, error)
}

/// The handle of a run whose workflow returns `output` and fails with `error`.
pub(crate) fn workflow_handle(types: &mut Types, output: DataType, error: DataType) -> DataType {
    fn describe(_: &mut Types, declaration: &mut NamedDataType) {
        describe_handle(declaration, WORKFLOW_HANDLE);
    }
    handle(types, "forge::WorkflowHandle", describe, output, error)
}

fn describe_handle(declaration: &mut NamedDataType, (module, name): (&'static str, &'static str)) {
    declaration.name = name.into();
    declaration.module_path = module.into();
    let parameter = |parameter: &'static str| GenericDefinition::new(parameter.into(), None);
    declaration.generics = HANDLE_PARAMETERS.map(parameter).to_vec().into();
    declaration.ty = Some(Special::Id.definition());
}

fn handle(
    types: &mut Types,
    sentinel: &'static str,
    describe: fn(&mut Types, &mut NamedDataType),
    output: DataType,
    error: DataType,
) -> DataType {
    let [of_output, of_error] = HANDLE_PARAMETERS.map(|parameter| Generic::new(parameter.into()));
    let (has_const_parameters, is_transparent) = (false, false);
    let reference = NamedDataType::init_with_sentinel(
        sentinel,
        &[(of_output, output), (of_error, error)],
        &[],
        has_const_parameters,
        is_transparent,
        types,
        describe,
        |_| Special::Id.definition(),
    );
    DataType::Reference(reference)
}

/// The object that holds a message's arguments: name, documentation and type of each.
#[doc(hidden)]
pub fn message(arguments: Vec<(&'static str, &'static str, DataType)>) -> DataType {
    let object = arguments.into_iter().fold(Struct::named(), |object, (name, doc, ty)| {
        let mut field = Field::new(ty);
        field.docs = doc.into();
        object.field(name, field)
    });
    object.build()
}

/// The union of an enumeration's labels.
#[doc(hidden)]
pub fn labels<E: Enumeration>() -> DataType {
    let mut union = Enum::default();
    union.variants.extend(E::META.labels.iter().map(|label| ((*label).into(), Variant::unit())));
    DataType::Enum(union)
}

/// A variant of an error enum.
#[doc(hidden)]
pub struct ErrorVariant {
    /// Its code.
    pub code: &'static str,
    /// Its message.
    pub doc: &'static str,
    /// Name and type of its fields.
    pub details: Vec<(&'static str, DataType)>,
}

/// The union of an error's variants, as they stand in the envelope: `code`, `message` and `details`.
#[doc(hidden)]
pub fn error(variants: Vec<ErrorVariant>) -> DataType {
    let mut union = Enum::default();
    // The envelope's form is spelt out below, without a representation of serde's on top.
    union.attributes.insert("serde:container:untagged", true);
    union.variants.extend(variants.into_iter().map(|variant| {
        let mut code = Enum::default();
        code.variants.push((variant.code.into(), Variant::unit()));
        let fields = Variant::named()
            .docs(variant.doc.into())
            .field("code", Field::new(DataType::Enum(code)))
            .field("message", Field::new(DataType::Primitive(Primitive::str)))
            .field("details", Field::new(details(variant.details)));
        (variant.code.into(), fields.build())
    }));
    DataType::Enum(union)
}

fn details(fields: Vec<(&'static str, DataType)>) -> DataType {
    if fields.is_empty() {
        return DataType::Tuple(specta::datatype::Tuple::new(Vec::new()));
    }
    fields.into_iter().fold(Struct::named(), |object, (name, ty)| object.field(name, Field::new(ty))).build()
}
