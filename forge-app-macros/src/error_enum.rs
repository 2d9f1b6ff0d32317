//! `#[forge::error]`: an enum whose variants are codes, with a status, a sentence and typed details.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Attribute, Fields, ItemEnum, LitInt, LitStr, Token, Type, Variant};

use crate::option::{self, Entry, Key, Problems};
use crate::{case, declared, doc, pipeline, refuse};

const OWNER: &str = "`#[forge::error]`";

struct ErrorSpec {
    /// The enum without Forge's attributes.
    item: ItemEnum,
    variants: Vec<VariantSpec>,
}

struct VariantSpec {
    ident: Ident,
    code: LitStr,
    status: u16,
    message: String,
    fields: Vec<(Ident, String, Type)>,
}

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let expected = format!("{OWNER} stands on an enum");
    pipeline::attribute(item, &expected, |item| parse(options, item), lower, stripped)
}

fn stripped(mut item: ItemEnum) -> ItemEnum {
    for variant in &mut item.variants {
        variant.attrs.retain(|attribute| !attribute.path().is_ident("code"));
    }
    item
}

fn parse(options: TokenStream, item: &ItemEnum) -> syn::Result<ErrorSpec> {
    let mut problems = Problems::default();
    for entry in option::entries(options)? {
        problems.keep(entry.find::<()>(&[], OWNER));
    }
    problems.keep(refuse::generics(&item.generics, "an error enum"));
    problems.keep(refuse::derives(&item.attrs, &["Debug"], OWNER));
    if item.variants.is_empty() {
        problems.add(syn::Error::new_spanned(
            &item.ident,
            "an error enum has a variant; a handler that has no errors of its own returns `Result<T>`",
        ));
    }
    let variants: Vec<_> =
        item.variants.iter().filter_map(|variant| problems.keep(parse_variant(variant))).collect();
    for (index, variant) in variants.iter().enumerate() {
        if let Some(earlier) =
            variants[..index].iter().find(|earlier| earlier.code.value() == variant.code.value())
        {
            let message = format!("`{}` and `{}` have the same code", earlier.ident, variant.ident);
            problems.add(syn::Error::new_spanned(&variant.code, message));
        }
    }
    problems.finish()?;
    Ok(ErrorSpec { item: stripped(item.clone()), variants })
}

fn parse_variant(variant: &Variant) -> syn::Result<VariantSpec> {
    let mut problems = Problems::default();
    let message = doc::first_paragraph(&variant.attrs);
    if message.is_empty() {
        problems.add(syn::Error::new_spanned(
            &variant.ident,
            "say in a `///` comment what went wrong: it is the message that callers read",
        ));
    }
    if let Some((_, discriminant)) = &variant.discriminant {
        problems
            .add(syn::Error::new_spanned(discriminant, "a variant's identity is its code; it has no number"));
    }
    let fields = problems.keep(fields(variant));
    let code = problems.keep(code(variant));
    problems.finish()?;
    let checked = "no problem was found, so every part was read";
    let (code, status) = code.expect(checked);
    Ok(VariantSpec { ident: variant.ident.clone(), code, status, message, fields: fields.expect(checked) })
}

fn fields(variant: &Variant) -> syn::Result<Vec<(Ident, String, Type)>> {
    for field in &variant.fields {
        refuse::nested_option(&field.ty)?;
    }
    match &variant.fields {
        Fields::Unit => Ok(Vec::new()),
        Fields::Named(fields) => Ok(fields
            .named
            .iter()
            .filter_map(|field| {
                field
                    .ident
                    .as_ref()
                    .map(|ident| (ident.clone(), case::camel(&ident.unraw().to_string()), field.ty.clone()))
            })
            .collect()),
        Fields::Unnamed(fields) => Err(syn::Error::new_spanned(
            fields,
            format!(
                "name the fields, `{} {{ max: u32 }}`: they are the `details` object that clients read",
                variant.ident
            ),
        )),
    }
}

/// `#[code("LIMIT_REACHED", status = 409)]`
fn code(variant: &Variant) -> syn::Result<(LitStr, u16)> {
    let usage =
        format!("`#[code(\"{}\", status = 409)]`", case::snake(&variant.ident.to_string()).to_uppercase());
    let mut attributes = variant.attrs.iter().filter(|attribute| attribute.path().is_ident("code"));
    let missing = || syn::Error::new_spanned(&variant.ident, format!("the variant needs {usage}"));
    let attribute = attributes.next().ok_or_else(missing)?;
    if let Some(second) = attributes.next() {
        return Err(syn::Error::new_spanned(second, "a variant has one code"));
    }
    let (code, entries) =
        arguments(attribute).map_err(|error| syn::Error::new(error.span(), format!("write {usage}")))?;
    let name = code.value();
    let plain = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if !plain {
        return Err(syn::Error::new_spanned(
            &code,
            "a code is written in capitals, digits and `_`, for example \"LIMIT_REACHED\"",
        ));
    }
    option::once(&entries, &[])?;
    let mut status = None;
    for entry in &entries {
        status = Some(self::status(&entry.integer(entry.find(&[STATUS], "`#[code]`")?)?)?);
    }
    Ok((
        code,
        status.ok_or_else(|| {
            syn::Error::new_spanned(attribute, format!("the code needs an HTTP status: {usage}"))
        })?,
    ))
}

const STATUS: Key<()> = Key { name: "status", usage: "status = 409", id: () };

fn arguments(attribute: &Attribute) -> syn::Result<(LitStr, Vec<Entry>)> {
    attribute.parse_args_with(|input: syn::parse::ParseStream<'_>| {
        let code = input.parse::<LitStr>()?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        Ok((code, option::entries(input.parse()?)?))
    })
}

fn status(literal: &LitInt) -> syn::Result<u16> {
    literal
        .base10_parse()
        .ok()
        .filter(|status| (400..=599).contains(status))
        .ok_or_else(|| syn::Error::new_spanned(literal, "an error's HTTP status lies between 400 and 599"))
}

/// The enum gets a type parameter, whose default lets a hidden variant hold a fault of the system: so
/// a handler returns std's own `Result<T, TaskError>`, and `?` lifts faults into it. With `Infallible` in its
/// place the enum has exactly the variants that its author wrote, which is what a caller matches on.
fn lower(spec: &ErrorSpec) -> TokenStream {
    let ErrorSpec { item, variants } = spec;
    let name = &item.ident;
    let definition = definition(item);
    let own_codes = variants.iter().map(own_code);
    let implementation = app_error(name, variants);
    let (conversions, shown) = (conversions(name, variants), shown(name, variants));
    let wire = variants.iter().map(wire_variant);
    let doc = doc::first_paragraph(&item.attrs);
    let declared =
        declared::implement(name, &doc, &quote! { ::forge::app::wire_type::error(::std::vec![#(#wire),*]) });
    quote! {
        #definition
        #(#own_codes)*
        #implementation
        #conversions
        #shown
        #declared
    }
}

fn definition(item: &ItemEnum) -> TokenStream {
    let mut item = item.clone();
    item.generics = syn::parse_quote!(<SystemFault = ::forge::kernel::fault::Fault>);
    item.variants.push(syn::parse_quote! {
        /// A failure of the system below the handler. It exists where `?` can put one.
        #[doc(hidden)]
        __Fault(SystemFault)
    });
    item.into_token_stream()
}

fn app_error(name: &Ident, variants: &[VariantSpec]) -> TokenStream {
    let codes = variants.iter().map(|VariantSpec { code, status, .. }| {
        quote! { ::forge::kernel::fault::AppCode { name: #code, status: #status } }
    });
    let wire_arms = variants.iter().map(|variant| wire_arm(name, variant));
    quote! {
        impl ::forge::app::AppError for #name {
            type Own = #name<::core::convert::Infallible>;
            const CODES: &'static [::forge::kernel::fault::AppCode] = &[#(#codes),*];
            const DEFINITION: ::forge::app::wire_type::Definition = ::forge::app::wire_type::declared::<Self>;

            fn into_fault(self) -> ::forge::kernel::fault::Fault {
                ::core::convert::Into::into(self)
            }

            fn from_wire(
                code: &str,
                details: ::core::option::Option<&::forge::__private::serde_json::Value>,
            ) -> ::core::option::Option<Self::Own> {
                match code {
                    #(#wire_arms)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    }
}

/// What `?` lifts into the enum, and the enum as the fault that a client reads.
fn conversions(name: &Ident, variants: &[VariantSpec]) -> TokenStream {
    let sources = [
        quote! { ::forge::kernel::fault::Fault },
        quote! { ::forge::__private::sqlx::Error },
        quote! { ::forge::app::CallError<CalledError> },
    ];
    let lifted = sources.iter().enumerate().map(|(index, source)| {
        let generics = (index == 2).then(|| quote! { <CalledError: ::forge::app::AppError> });
        quote! {
            impl #generics ::core::convert::From<#source> for #name {
                fn from(error: #source) -> Self {
                    Self::__Fault(::core::convert::Into::into(error))
                }
            }
        }
    });
    let arms = variants.iter().enumerate().map(|(index, variant)| fault_arm(name, index, variant));
    quote! {
        #(#lifted)*

        impl<SystemFault> ::core::convert::From<#name<SystemFault>> for ::forge::kernel::fault::Fault
        where
            ::forge::kernel::fault::Fault: ::core::convert::From<SystemFault>,
        {
            fn from(error: #name<SystemFault>) -> Self {
                match error {
                    #(#arms)*
                    #name::__Fault(fault) => ::core::convert::From::from(fault),
                }
            }
        }
    }
}

fn fault_arm(name: &Ident, index: usize, variant: &VariantSpec) -> TokenStream {
    let VariantSpec { ident, message, fields, .. } = variant;
    let names: Vec<_> = fields.iter().map(|(name, _, _)| name).collect();
    let entries = fields
        .iter()
        .map(|(name, wire, ty)| quote! { (#wire, <#ty as ::forge::app::WireType>::to_value(&#name)) });
    quote! {
        #name::#ident { #(#names),* } => ::forge::app::error::fault_of(
            <#name as ::forge::app::AppError>::CODES[#index],
            #message,
            [#(#entries),*],
        ),
    }
}

fn shown(name: &Ident, variants: &[VariantSpec]) -> TokenStream {
    let arms = variants
        .iter()
        .map(|VariantSpec { ident, message, .. }| quote! { Self::#ident { .. } => f.write_str(#message), });
    let debugged = variants.iter().map(|VariantSpec { ident, fields, .. }| {
        let names: Vec<_> = fields.iter().map(|(name, _, _)| name).collect();
        quote! {
            Self::#ident { #(#names),* } => f.debug_struct(::core::stringify!(#ident))
                #(.field(::core::stringify!(#names), (&::forge::app::message::Shown(#names)).shown()))*
                .finish(),
        }
    });
    quote! {
        impl<SystemFault: ::core::fmt::Debug> ::core::fmt::Debug for #name<SystemFault> {
            #[allow(unused_imports, reason = "which of them are used depends on the types of the fields")]
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                use ::forge::app::message::{ShowNothing as _, ShowValue as _};
                match self {
                    #(#debugged)*
                    Self::__Fault(fault) => ::core::fmt::Debug::fmt(fault, f),
                }
            }
        }

        impl<SystemFault: ::core::fmt::Display> ::core::fmt::Display for #name<SystemFault> {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self {
                    #(#arms)*
                    Self::__Fault(fault) => ::core::fmt::Display::fmt(fault, f),
                }
            }
        }

        impl<SystemFault> ::std::error::Error for #name<SystemFault>
        where
            SystemFault: ::core::fmt::Debug + ::core::fmt::Display,
        {
        }
    }
}

/// Forge's codes are known to the runtime, not to this crate: the check runs when the constant is evaluated,
/// on the literal's line.
fn own_code(variant: &VariantSpec) -> TokenStream {
    let code = &variant.code;
    let message =
        format!("`{}` is one of Forge's own codes, which clients match on: choose another", code.value());
    quote_spanned! { code.span() =>
        const _: () = ::core::assert!(!::forge::app::error::is_forges_own(#code), #message);
    }
}

fn wire_variant(variant: &VariantSpec) -> TokenStream {
    let VariantSpec { code, message, fields, .. } = variant;
    let details = fields
        .iter()
        .map(|(_, wire, ty)| quote! { (#wire, <#ty as ::forge::app::WireType>::definition(types)) });
    quote! {
        ::forge::app::wire_type::ErrorVariant {
            code: #code,
            doc: #message,
            details: ::std::vec![#(#details),*],
        }
    }
}

fn wire_arm(name: &Ident, variant: &VariantSpec) -> TokenStream {
    let VariantSpec { ident, code, fields, .. } = variant;
    let values = fields.iter().map(|(field, wire, ty)| {
        quote! {
            #field: <#ty as ::forge::app::WireType>::from_value(
                details.and_then(|details| details.get(#wire)),
            )?
        }
    });
    quote! { #code => ::core::option::Option::Some(#name::#ident { #(#values),* }), }
}
