//! Documentation comments as text.

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, MetaNameValue, Token};

/// The first paragraph, on one line; empty where there is none.
pub(crate) fn first_paragraph(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(line)
        .flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>());
    let paragraph: Vec<_> = lines.skip_while(String::is_empty).take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

/// The whole text, as it is written after each `///`.
pub(crate) fn whole(attributes: &[Attribute]) -> String {
    let text: String = attributes.iter().filter_map(line).collect();
    text.strip_suffix('\n').unwrap_or(&text).to_owned()
}

/// What `#[deprecated]` says; an empty text when it gives no reason.
pub(crate) fn deprecation(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("deprecated"))?;
    let text = |value: &Expr| match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    };
    let note = match &attribute.meta {
        Meta::Path(_) => None,
        Meta::NameValue(pair) => text(&pair.value),
        Meta::List(list) => {
            let pairs =
                list.parse_args_with(Punctuated::<MetaNameValue, Token![,]>::parse_terminated).ok()?;
            pairs.iter().find(|pair| pair.path.is_ident("note")).and_then(|pair| text(&pair.value))
        }
    };
    Some(note.unwrap_or_default())
}

fn line(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(format!("{}\n", text.value())),
            _ => None,
        },
        _ => None,
    }
}
