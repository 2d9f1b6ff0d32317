//! What a type looks like on the wire, told to generators of clients. The only file that names specta; what
//! the attributes expand to names it as `::forge::__private::specta`, so that a change of its interface costs
//! this file, the derive in `forge-app-macros` and the reader in `forge-ts`.
//!
//! A [`Definition`] adds a type to a graph. Registrations keep those of a handler's arguments, result and
//! error as plain function pointers: nothing is computed until somebody generates.

use std::any::type_name;

use specta::datatype::{DataType, Enum, Field, NamedDataType, Primitive, Reference, Struct, Variant};
use specta::{Type, Types};

use crate::app::enumeration::Enumeration;
use crate::app::error::{AppError, NoError};
use crate::app::handler::Handler;
use crate::kernel::fault::AppCode;
use crate::kernel::integer::{Int53, Int64};

/// A type that clients know.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross the wire: clients would not know its type",
    label = "not known to clients",
    note = "write `#[forge::data]` on the struct or enum, in place of `#[derive(Serialize, Deserialize)]`"
)]
pub trait WireType: Type {}

#[diagnostic::do_not_recommend]
impl<T: Type> WireType for T {}

/// Adds a type to the graph and answers how it is referred to.
pub type Definition = fn(&mut Types) -> DataType;

/// The types of a handler.
#[derive(Clone, Copy)]
pub struct Signature {
    /// The message: its fields are the arguments.
    pub args: Definition,
    /// What it answers.
    pub output: Definition,
    /// Its own errors, as they stand in the envelope; a union without members when it has none.
    pub error: Definition,
    /// Their codes.
    pub codes: &'static [AppCode],
}

impl Signature {
    /// Of a handler.
    pub const fn of<H: Handler>() -> Self {
        Self {
            args: H::definition,
            output: H::Output::definition,
            error: H::Error::definition,
            codes: H::Error::CODES,
        }
    }
}

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

impl Type for NoError {
    fn definition(_: &mut Types) -> DataType {
        DataType::Enum(Enum::default())
    }
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
