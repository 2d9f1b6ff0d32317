//! From a [`FnSpec`] to code.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::spec::{Access, FnSpec, JobOptions, Options};
use crate::data;

/// The function, its message, `impl Handler` and the registration.
pub(crate) fn handler(spec: &FnSpec) -> TokenStream {
    let function = &spec.function;
    let cfgs: Vec<_> = function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
    let name = &spec.message;
    let (message, meta, decode, run) = (message(spec), meta(spec), decode(spec), run(spec));
    let marker = format_ident!("{}", spec.kind.marker);
    let output = &spec.output;
    let error =
        spec.error.as_ref().map_or_else(|| quote! { ::forge::app::NoError }, |error| quote! { #error });
    quote! {
        #function

        #(#cfgs)*
        #message

        #(#cfgs)*
        impl ::forge::app::Handler for #name {
            type Kind = ::forge::app::#marker;
            type Output = #output;
            type Error = #error;
            const META: ::forge::app::Meta = #meta;

            #run

            #decode
        }

        #(#cfgs)*
        ::forge::register!(#name);
    }
}

fn message(spec: &FnSpec) -> TokenStream {
    let FnSpec { message, function, .. } = spec;
    let vis = &function.vis;
    let wire_type = data::wire_type();
    let docs = function.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let fields = spec.arguments.iter().map(|argument| {
        let (name, ty, wire, docs) = (&argument.name, &argument.ty, &argument.wire, &argument.docs);
        quote! {
            #(#docs)*
            #[serde(rename = #wire)]
            pub #name: #ty
        }
    });
    quote! {
        #(#docs)*
        #[allow(missing_docs, reason = "the function's documentation speaks for its arguments")]
        #[derive(
            ::core::clone::Clone,
            ::core::fmt::Debug,
            ::forge::__private::serde::Serialize,
            ::forge::__private::serde::Deserialize,
        )]
        #[serde(crate = "::forge::__private::serde")]
        #wire_type
        #vis struct #message { #(#fields,)* }
    }
}

fn meta(spec: &FnSpec) -> TokenStream {
    let Options {
        access,
        name,
        timeout_ms,
        concurrency,
        input_bytes_max,
        snapshot,
        refresh_ms,
        isolation,
        job: _,
    } = &spec.options;
    let constructor = format_ident!("{}", spec.kind.name);
    let function = spec.function.sig.ident.unraw().to_string();
    let doc = &spec.doc;
    let access = access.as_ref().map(|access| {
        let access = match access {
            Access::Public => quote! { Public },
            Access::Authenticated => quote! { Authenticated },
            Access::Role(role) => quote! { Role(#role) },
            Access::Internal => quote! { Internal },
        };
        quote! { access: ::forge::app::Access::#access, }
    });
    let job = (!spec.kind.is_callable()).then(|| job(&spec.options.job));
    let deprecated =
        spec.deprecated.as_ref().map(|note| quote! { deprecated: ::core::option::Option::Some(#note), });
    let name = name.as_ref().map(|name| quote! { name: ::core::option::Option::Some(#name), });
    let timeout = timeout_ms.map(|ms| quote! { timeout: ::core::time::Duration::from_millis(#ms), });
    let concurrency = concurrency.map(|count| quote! { concurrency: ::core::option::Option::Some(#count), });
    let input = input_bytes_max.map(|bytes| quote! { input_bytes_max: #bytes as usize, });
    let refresh = refresh_ms.map(|ms| {
        quote! { refresh: ::core::option::Option::Some(::core::time::Duration::from_millis(#ms)), }
    });
    let isolation = isolation.map(|variant| {
        let variant = format_ident!("{variant}");
        quote! { isolation: ::forge::app::Isolation::#variant, }
    });
    quote! {
        ::forge::app::Meta {
            doc: #doc,
            snapshot: #snapshot,
            #deprecated #access #name #timeout #concurrency #input #refresh #isolation #job
            ..::forge::app::Meta::#constructor(
                ::core::module_path!(),
                #function,
                ::core::file!(),
                ::core::line!(),
            )
        }
    }
}

fn job(options: &JobOptions) -> TokenStream {
    let JobOptions { queue, priority, attempts, backoff, aliases } = options;
    let queue = queue.as_ref().map(|queue| quote! { queue: #queue, });
    let priority = priority.map(|priority| quote! { priority: #priority, });
    let attempts = attempts.map(|attempts| quote! { attempts: #attempts, });
    let backoff = backoff.as_ref().map(|backoff| quote! { backoff: #backoff, });
    quote! {
        job: ::core::option::Option::Some(::forge::app::JobMeta {
            aliases: &[#(#aliases),*],
            #queue #priority #attempts #backoff
            ..::forge::app::JobMeta::DEFAULT
        }),
    }
}

fn run(spec: &FnSpec) -> TokenStream {
    // The context's type is checked here; at the place where it is written the message makes sense.
    let context = Ident::new("ctx", Span::call_site().located_at(spec.context_span));
    let function = &spec.function.sig.ident;
    let fields = spec.arguments.iter().map(|argument| {
        let name = &argument.name;
        quote! { self.#name }
    });
    let call = quote_spanned! { spec.output.span() => #function(#context, #(#fields),*).await };
    // The handler itself is what remains callable from outside for as long as it is deprecated.
    let allowed = spec.deprecated.as_ref().map(|_| quote! { #[allow(deprecated)] });
    quote! {
        #allowed
        async fn run(
            self,
            #context: &::forge::app::Ctx<Self::Kind>,
        ) -> ::forge::app::Result<Self::Output, Self::Error> {
            #call
        }
    }
}

/// Reads every argument before the first mistake is reported, so that the answer names all of them.
fn decode(spec: &FnSpec) -> TokenStream {
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
            #(let #locals = #arguments.take::<#types>(#wires);)*
            #arguments.finish()?;
            ::core::result::Result::Ok(Self {
                #(#names: #locals.expect("finish() fails when an argument was refused"),)*
            })
        }
    }
}
