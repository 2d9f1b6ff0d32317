//! The message struct of a handler: its definition, how it is written and read, and how a client knows it.
//!
//! The struct stands in a private module and is re-exported by a glob, so it never clashes: an item of the
//! same name that the author declares shadows the re-export. The implementations stand beside the function
//! and name the struct by its path, so they hold whatever its short name means there.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{ItemFn, Visibility};

use super::spec::{Argument, FnSpec};

/// The path of the message, as seen from beside the function.
pub(super) fn path(spec: &FnSpec) -> TokenStream {
    let (module, message) = (module(&spec.function), &spec.message);
    quote! { #module::#message }
}

/// A name that only this function has: functions of one module have different names.
fn module(function: &ItemFn) -> Ident {
    format_ident!("__message_{}", function.sig.ident.unraw())
}

/// The private module with the struct, and its re-export.
pub(super) fn definition(spec: &FnSpec, cfgs: &[&syn::Attribute]) -> TokenStream {
    let FnSpec { message, function, arguments, .. } = spec;
    let (module, vis) = (module(function), &function.vis);
    let inner = seen_from_inside(vis);
    let docs = function.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let fields = arguments.iter().map(|Argument { name, ty, docs, .. }| {
        let ty = path_from_inside(quote! { #ty }, message);
        quote! { #(#docs)* pub #name: #ty }
    });
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(missing_docs, unreachable_pub, unused_imports, reason = "the function is documented")]
        mod #module {
            use super::*;

            #(#docs)*
            #inner struct #message { #(#fields,)* }
        }

        #(#cfgs)*
        #[allow(unused_imports, reason = "a message that nobody calls by name is still called from outside")]
        #vis use #module::*;
    }
}

/// `Serialize`, `Deserialize`, `Debug` and specta's `Type`. Each refers to an argument's type by `WireType`
/// alone, so that a type which is none has one error, and that error is Forge's.
pub(super) fn implementations(spec: &FnSpec, cfgs: &[&syn::Attribute]) -> TokenStream {
    let path = path(spec);
    let message = &spec.message;
    let count = spec.arguments.len();
    let written = spec.arguments.iter().map(|Argument { name, wire, ty, .. }| {
        quote! { <#ty as ::forge::app::WireType>::write_field(&self.#name, #wire, &mut fields)?; }
    });
    let shown = spec.arguments.iter().map(|Argument { name, .. }| {
        quote! { .field(::core::stringify!(#name), (&::forge::app::message::Shown(&self.#name)).shown()) }
    });
    let declared = spec.arguments.iter().map(|Argument { wire, ty, docs, .. }| {
        let doc = crate::doc::whole(docs);
        quote! { (#wire, #doc, <#ty as ::forge::app::WireType>::definition(types)) }
    });
    let mutable = (count > 0).then(|| quote! { mut });
    quote! {
        #(#cfgs)*
        impl ::forge::__private::serde::Serialize for #path {
            fn serialize<S: ::forge::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                let #mutable fields = serializer.serialize_map(::core::option::Option::Some(#count))?;
                #(#written)*
                ::forge::__private::serde::ser::SerializeMap::end(fields)
            }
        }

        #(#cfgs)*
        impl<'de> ::forge::__private::serde::Deserialize<'de> for #path {
            fn deserialize<D: ::forge::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                ::forge::app::message::deserialize(deserializer)
            }
        }

        #(#cfgs)*
        impl ::core::fmt::Debug for #path {
            #[allow(unused_imports, reason = "which of them are used depends on the types of the arguments")]
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                use ::forge::app::message::{ShowNothing as _, ShowValue as _};
                f.debug_struct(::core::stringify!(#message))#(#shown)*.finish()
            }
        }

        #(#cfgs)*
        impl ::forge::__private::specta::Type for #path {
            #[allow(unused_variables, reason = "a message without arguments refers to no other type")]
            fn definition(
                types: &mut ::forge::__private::specta::Types,
            ) -> ::forge::__private::specta::datatype::DataType {
                ::forge::app::wire_type::message(::std::vec![#(#declared),*])
            }
        }
    }
}

/// Reads every argument before the first mistake is reported, so that the answer names all of them.
pub(super) fn decode(spec: &FnSpec) -> TokenStream {
    let wires: Vec<_> = spec.arguments.iter().map(|argument| &argument.wire).collect();
    let names: Vec<_> = spec.arguments.iter().map(|argument| &argument.name).collect();
    let types: Vec<_> = spec.arguments.iter().map(|argument| &argument.ty).collect();
    // Hygienic names: an argument may be called `args` or `arguments`.
    let locals: Vec<_> =
        (0..names.len()).map(|index| Ident::new(&format!("field_{index}"), Span::mixed_site())).collect();
    let (args, arguments) =
        (Ident::new("args", Span::mixed_site()), Ident::new("arguments", Span::mixed_site()));
    let mutable = (!names.is_empty()).then(|| quote! { mut });
    quote! {
        fn decode(#args: &[u8]) -> ::core::result::Result<Self, ::forge::kernel::fault::Fault> {
            let #mutable #arguments = ::forge::app::arguments::Arguments::parse(#args, &[#(#wires),*])?;
            #(let #locals = <#types as ::forge::app::WireType>::take_argument(&mut #arguments, #wires);)*
            #arguments.finish()?;
            ::core::result::Result::Ok(Self {
                #(#names: #locals.expect("finish() fails when an argument was refused"),)*
            })
        }
    }
}

/// The visibility of the function, for an item one module further in.
fn seen_from_inside(vis: &Visibility) -> TokenStream {
    match vis {
        Visibility::Inherited => quote! { pub(super) },
        Visibility::Public(_) => quote! { pub },
        Visibility::Restricted(restricted) => {
            let path = &restricted.path;
            let first = path.segments.first().map(|segment| segment.ident.to_string());
            match first.as_deref() {
                Some("self") if path.segments.len() == 1 => quote! { pub(super) },
                Some("super") => quote! { pub(in super::#path) },
                _ => quote! { #vis },
            }
        }
    }
}

/// A type, for use one module further in: paths that begin with `self` or `super` climb one module more, and
/// the message's own name means what it means outside.
fn path_from_inside(ty: TokenStream, message: &Ident) -> TokenStream {
    let mut out = TokenStream::new();
    let mut colons = 0;
    for token in ty {
        let continues = colons >= 2;
        colons =
            if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ':') { colons + 1 } else { 0 };
        match token {
            TokenTree::Ident(ident) if !continues && ident == "self" => {
                out.extend([TokenTree::Ident(Ident::new("super", ident.span()))]);
            }
            TokenTree::Ident(ident) if !continues && (ident == "super" || ident == *message) => {
                let parent = Ident::new("super", ident.span());
                out.extend(quote! { #parent::#ident });
            }
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), path_from_inside(group.stream(), message));
                inner.set_span(group.span());
                out.extend([TokenTree::Group(inner)]);
            }
            other => out.extend([other]),
        }
    }
    out
}
