//! Documentation comments as text.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The first paragraph, on one line; empty where there is none.
pub(crate) fn first_paragraph(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(line).flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>());
    let paragraph: Vec<_> = lines.skip_while(String::is_empty).take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
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
