//! `#[forge::error]`: an enum whose variants are codes, with a status, a sentence and typed details.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Attribute, Fields, ItemEnum, LitInt, LitStr, Token, Type, Variant};

use crate::option::{self, Entry, Key, Problems};
use crate::{case, declared, doc, refuse};

const OWNER: &str = "`#[forge::error]`";

struct Spec {
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
    let item = match syn::parse2::<ItemEnum>(item) {
        Ok(item) => item,
        Err(error) => {
            return syn::Error::new(error.span(), format!("{OWNER} stands on an enum")).to_compile_error();
        }
    };
    match parse(options, &item) {
        Ok(spec) => lower(&spec),
        Err(error) => refuse::with_item(&error, stripped(item)),
    }
}

fn stripped(mut item: ItemEnum) -> ItemEnum {
    for variant in &mut item.variants {
        variant.attrs.retain(|attribute| !attribute.path().is_ident("code"));
    }
    item
}

fn parse(options: TokenStream, item: &ItemEnum) -> syn::Result<Spec> {
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
    Ok(Spec { item: stripped(item.clone()), variants })
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

fn lower(spec: &Spec) -> TokenStream {
    let Spec { item, variants } = spec;
    let name = &item.ident;
    let codes =
        variants.iter().map(|VariantSpec { code, status, .. }| quote! { ::forge::kernel::fault::AppCode { name: #code, status: #status } });
    let code_arms = variants
        .iter()
        .enumerate()
        .map(|(index, VariantSpec { ident, .. })| quote! { Self::#ident { .. } => Self::CODES[#index], });
    let message_arms =
        variants.iter().map(|VariantSpec { ident, message, .. }| quote! { Self::#ident { .. } => #message, });
    let details_arms = variants.iter().map(details_arm);
    let wire_arms = variants.iter().map(wire_arm);
    let own_codes = variants.iter().map(own_code);
    let wire = variants.iter().map(wire_variant);
    let doc = doc::first_paragraph(&item.attrs);
    let declared =
        declared::implement(name, &doc, &quote! { ::forge::app::wire_type::error(::std::vec![#(#wire),*]) });
    quote! {
        #[derive(::core::fmt::Debug)]
        #item

        #(#own_codes)*

        impl ::forge::app::AppError for #name {
            type Fault = ::forge::app::Failure<Self>;
            const CODES: &'static [::forge::kernel::fault::AppCode] = &[#(#codes),*];

            fn code(&self) -> ::forge::kernel::fault::AppCode {
                match self { #(#code_arms)* }
            }

            fn message(&self) -> &'static str {
                match self { #(#message_arms)* }
            }

            fn details(&self) -> ::forge::__private::serde_json::Value {
                match self { #(#details_arms)* }
            }

            fn from_wire(
                code: &str,
                details: ::core::option::Option<&::forge::__private::serde_json::Value>,
            ) -> ::core::option::Option<Self> {
                match code {
                    #(#wire_arms)*
                    _ => ::core::option::Option::None,
                }
            }
        }

        impl ::core::fmt::Display for #name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(::forge::app::AppError::message(self))
            }
        }

        impl ::std::error::Error for #name {}

        #declared
    }
}

/// Forge's codes are known to the runtime, not to this crate: the check runs when the constant is evaluated,
/// on the literal's line.
fn own_code(variant: &VariantSpec) -> TokenStream {
    let code = &variant.code;
    let message =
        format!("`{}` is one of Forge's own codes, which clients match on: choose another", code.value());
    quote_spanned! { code.span() => const _: () = ::core::assert!(!::forge::app::error::is_forges_own(#code), #message); }
}

fn wire_variant(variant: &VariantSpec) -> TokenStream {
    let VariantSpec { code, message, fields, .. } = variant;
    let details = fields.iter().map(
        |(_, wire, ty)| quote! { (#wire, <#ty as ::forge::__private::specta::Type>::definition(types)) },
    );
    quote! { ::forge::app::wire_type::ErrorVariant { code: #code, doc: #message, details: ::std::vec![#(#details),*] } }
}

fn details_arm(variant: &VariantSpec) -> TokenStream {
    let VariantSpec { ident, fields, .. } = variant;
    if fields.is_empty() {
        return quote! { Self::#ident { .. } => ::forge::__private::serde_json::Value::Null, };
    }
    let names: Vec<_> = fields.iter().map(|(name, _, _)| name).collect();
    let entries = fields.iter().map(|(name, wire, _)| {
        quote! { (::std::string::String::from(#wire), ::forge::app::error::details_of(#name)) }
    });
    quote! {
        Self::#ident { #(#names),* } => ::forge::__private::serde_json::Value::Object([#(#entries),*].into_iter().collect()),
    }
}

fn wire_arm(variant: &VariantSpec) -> TokenStream {
    let VariantSpec { ident, code, fields, .. } = variant;
    let values = fields.iter().map(|(name, wire, ty)| {
        quote! { #name: ::forge::app::error::details_into::<#ty>(details.and_then(|details| details.get(#wire)))? }
    });
    quote! { #code => ::core::option::Option::Some(Self::#ident { #(#values),* }), }
}
