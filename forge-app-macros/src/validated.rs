//! `#[forge::validated_type]`: a text that is checked wherever one is made.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Expr, ExprLit, ExprRange, Field, Fields, ItemStruct, Lit, Path, RangeLimits, Visibility};

use crate::option::{self, Entry, Key, Problems};
use crate::postgres::{self, Codec};
use crate::{pipeline, refuse};

const OWNER: &str = "`#[forge::validated_type]`";
const WRITTEN: &[&str] =
    &["Clone", "PartialEq", "Eq", "PartialOrd", "Ord", "Hash", "Debug", "Serialize", "Deserialize"];

#[derive(Clone, Copy)]
enum ValidatedOption {
    Len,
    Trim,
    Lowercase,
    Check,
    Secret,
}

const KEYS: &[Key<ValidatedOption>] = &[
    Key { name: "len", usage: "len = 1..=200", id: ValidatedOption::Len },
    Key { name: "trim", usage: "trim", id: ValidatedOption::Trim },
    Key { name: "lowercase", usage: "lowercase", id: ValidatedOption::Lowercase },
    Key { name: "check", usage: "check = is_slug", id: ValidatedOption::Check },
    Key { name: "secret", usage: "secret", id: ValidatedOption::Secret },
];

#[derive(Default)]
struct Rules {
    len_min: Option<u64>,
    len_max: Option<u64>,
    trim: bool,
    lowercase: bool,
    check: Option<Path>,
    secret: bool,
}

struct ValidatedSpec {
    item: ItemStruct,
    rules: Rules,
}

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let expected = format!("{OWNER} stands on a struct: `pub struct Title(String);`");
    let stripped = |mut item: ItemStruct| {
        refuse::strip_derives(&mut item.attrs);
        item.generics = syn::Generics::default();
        item
    };
    pipeline::attribute(item, &expected, |item| parse(options, item), lower, stripped)
}

fn parse(options: TokenStream, item: &ItemStruct) -> syn::Result<ValidatedSpec> {
    let entries = option::entries(options)?;
    let mut problems = Problems::default();
    problems.keep(option::once(&entries, &[]));
    problems.keep(refuse::generics(&item.generics, "a validated type"));
    problems.keep(refuse::derives(&item.attrs, WRITTEN, OWNER));
    problems.keep(inner(item));
    let mut rules = Rules::default();
    for entry in &entries {
        problems.keep(read(entry, &mut rules));
    }
    problems.finish()?;
    Ok(ValidatedSpec { item: item.clone(), rules })
}

fn inner(item: &ItemStruct) -> syn::Result<()> {
    let wanted = format!("a validated type wraps one text: `struct {}(String);`", item.ident);
    let Fields::Unnamed(fields) = &item.fields else {
        return Err(syn::Error::new_spanned(&item.ident, wanted));
    };
    let mut fields = fields.unnamed.iter();
    let (Some(Field { vis, ty, .. }), None) = (fields.next(), fields.next()) else {
        return Err(syn::Error::new_spanned(&item.fields, wanted));
    };
    let is_string = match ty {
        syn::Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "String"),
        _ => false,
    };
    if !is_string {
        return Err(syn::Error::new_spanned(ty, wanted));
    }
    match vis {
        Visibility::Inherited => Ok(()),
        visible => Err(syn::Error::new_spanned(
            visible,
            "the text stays private, or it could be made without the check",
        )),
    }
}

fn read(entry: &Entry, rules: &mut Rules) -> syn::Result<()> {
    let key = entry.find(KEYS, OWNER)?;
    match key.id {
        ValidatedOption::Len => (rules.len_min, rules.len_max) = length(entry, key)?,
        ValidatedOption::Trim => {
            entry.flag(key)?;
            rules.trim = true;
        }
        ValidatedOption::Lowercase => {
            entry.flag(key)?;
            rules.lowercase = true;
        }
        ValidatedOption::Check => rules.check = Some(entry.path(key)?),
        ValidatedOption::Secret => {
            entry.flag(key)?;
            rules.secret = true;
        }
    }
    Ok(())
}

/// `1..=200`, `1..`, `..=200`.
fn length(entry: &Entry, key: &Key<ValidatedOption>) -> syn::Result<(Option<u64>, Option<u64>)> {
    let expression = entry.expression(key)?;
    let Expr::Range(ExprRange { start, limits, end, .. }) = expression else {
        return Err(entry.misused(key));
    };
    let bound = |bound: &Option<Box<Expr>>| match bound.as_deref() {
        None => Ok(None),
        Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => number.base10_parse::<u64>().map(Some),
        Some(other) => Err(syn::Error::new_spanned(other, "a length is a number")),
    };
    let (min, max) = (bound(start)?, bound(end)?);
    if max.is_some() && matches!(limits, RangeLimits::HalfOpen(_)) {
        return Err(syn::Error::new_spanned(
            expression,
            "write the longest length that is allowed, with `..=`: `len = 1..=200`",
        ));
    }
    if (min.is_none() && max.is_none()) || min.zip(max).is_some_and(|(min, max)| min > max) {
        return Err(syn::Error::new_spanned(expression, "no length, or every length, is in this range"));
    }
    Ok((min, max))
}

fn lower(spec: &ValidatedSpec) -> TokenStream {
    let ValidatedSpec { item, rules } = spec;
    let name = &item.ident;
    let text = quote! { self.0.as_str() };
    let codec = postgres::implement(
        name,
        Codec {
            type_info: quote! {
                <&str as ::forge::__private::sqlx::Type<::forge::__private::sqlx::Postgres>>::type_info()
            },
            array_type_info: quote! {
                <&str as ::forge::__private::sqlx::postgres::PgHasArrayType>::array_type_info()
            },
            compatible: Some(quote! {
                <&str as ::forge::__private::sqlx::Type<::forge::__private::sqlx::Postgres>>::compatible(ty)
            }),
            text: &text,
            read: quote! {
                Self::parse(text).map_err(|invalid| {
                    ::std::format!("`{}`: {invalid}", ::core::stringify!(#name)).into()
                })
            },
        },
    );
    let secret = rules.secret.then(|| quote! { ::forge::app::secret::note(); });
    let serde = if rules.secret { secret_serde(name) } else { postgres::serde_text(name, &text) };
    let constructors = constructors(name, rules);
    let shown = shown(name, rules.secret);
    quote! {
        #[derive(
            ::core::clone::Clone,
            ::core::cmp::PartialEq,
            ::core::cmp::Eq,
            ::core::cmp::PartialOrd,
            ::core::cmp::Ord,
            ::core::hash::Hash,
        )]
        #item

        #constructors
        #shown
        #serde
        #codec

        impl ::forge::__private::specta::Type for #name {
            fn definition(
                _: &mut ::forge::__private::specta::Types,
            ) -> ::forge::__private::specta::datatype::DataType {
                #secret
                let ::forge::app::validated::Rules { len_min, len_max, .. } = Self::RULES;
                ::forge::app::wire_type::Special::Text { len_min, len_max }.definition()
            }
        }

        impl ::forge::app::model::ColumnType for #name {
            const SQL: &'static str = "text";

            fn read(
                row: &::forge::__private::sqlx::postgres::PgRow,
                name: &str,
            ) -> ::core::result::Result<Self, ::forge::__private::sqlx::Error> {
                ::forge::__private::sqlx::Row::try_get(row, name)
            }
        }
    }
}

fn constructors(name: &Ident, rules: &Rules) -> TokenStream {
    let optional = |value: Option<TokenStream>| {
        value.map_or_else(
            || quote! { ::core::option::Option::None },
            |value| quote! { ::core::option::Option::Some(#value) },
        )
    };
    let (len_min, len_max) = (rules.len_min.map(|len| len as usize), rules.len_max.map(|len| len as usize));
    let len_min = optional(len_min.map(|len| quote! { #len }));
    let len_max = optional(len_max.map(|len| quote! { #len }));
    let check = optional(rules.check.as_ref().map(|check| quote! { #check }));
    let Rules { trim, lowercase, .. } = rules;
    quote! {
        #[allow(dead_code, unreachable_pub, reason = "every validated type has the same methods")]
        impl #name {
            const RULES: ::forge::app::validated::Rules = ::forge::app::validated::Rules {
                len_min: #len_min,
                len_max: #len_max,
                trim: #trim,
                lowercase: #lowercase,
                check: #check,
            };

            /// Checks a text; the error is a sentence that says what is expected.
            pub fn parse(
                text: impl ::core::convert::Into<::std::string::String>,
            ) -> ::core::result::Result<Self, ::forge::app::validated::Invalid> {
                Self::RULES.apply(text.into()).map(Self)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, owned.
            pub fn into_string(self) -> ::std::string::String {
                self.0
            }
        }

        impl ::core::str::FromStr for #name {
            type Err = ::forge::app::validated::Invalid;

            fn from_str(text: &str) -> ::core::result::Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl ::core::convert::TryFrom<::std::string::String> for #name {
            type Error = ::forge::app::validated::Invalid;

            fn try_from(text: ::std::string::String) -> ::core::result::Result<Self, Self::Error> {
                Self::parse(text)
            }
        }

        impl ::core::convert::AsRef<str> for #name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    }
}

/// Written and read as a `Secret<String>`, and then checked.
fn secret_serde(name: &Ident) -> TokenStream {
    quote! {
        impl ::forge::__private::serde::Serialize for #name {
            fn serialize<S: ::forge::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                ::forge::app::secret::serialize(self.0.as_str(), serializer)
            }
        }

        impl<'de> ::forge::__private::serde::Deserialize<'de> for #name {
            fn deserialize<D: ::forge::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                let text: ::forge::app::Secret<::std::string::String> =
                    ::forge::__private::serde::Deserialize::deserialize(deserializer)?;
                Self::parse(text.into_exposed()).map_err(::forge::__private::serde::de::Error::custom)
            }
        }
    }
}

fn shown(name: &Ident, secret: bool) -> TokenStream {
    let text = if secret {
        quote! { "[redacted]" }
    } else {
        quote! { self.as_str() }
    };
    quote! {
        impl ::core::fmt::Debug for #name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_tuple(::core::stringify!(#name)).field(&#text).finish()
            }
        }

        impl ::core::fmt::Display for #name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(#text)
            }
        }
    }
}
