//! Types that generators of clients know by a name of their own.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

/// `Declared` for a type. `body` is a `DataType`; it may add to `types`, the graph.
pub(crate) fn implement(name: &Ident, doc: &str, body: &TokenStream) -> TokenStream {
    quote! {
        impl ::forge::app::wire_type::Declared for #name {
            const NAME: &'static str = ::core::stringify!(#name);
            const DOC: &'static str = #doc;
            const MODULE: &'static str = ::core::module_path!();

            fn body(
                #[allow(unused_variables, reason = "a type that refers to no other one adds nothing")]
                types: &mut ::forge::__private::specta::Types,
            ) -> ::forge::__private::specta::datatype::DataType {
                #body
            }
        }
    }
}

/// [`implement`], and specta's `Type`, which refers to the declaration.
pub(crate) fn implement_type(name: &Ident, doc: &str, body: &TokenStream) -> TokenStream {
    let declared = implement(name, doc, body);
    quote! {
        #declared

        impl ::forge::__private::specta::Type for #name {
            fn definition(
                types: &mut ::forge::__private::specta::Types,
            ) -> ::forge::__private::specta::datatype::DataType {
                ::forge::app::wire_type::declared::<Self>(types)
            }
        }
    }
}
