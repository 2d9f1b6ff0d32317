//! What only a cron's attribute says: the expression in front, and its options. What a node would refuse does
//! not compile.

use forge_cron::{Expression, is_zone, zone_names};
use proc_macro2::{TokenStream, TokenTree};
use syn::{Lit, LitStr, Path};

use super::spec::OVERLAPS;
use crate::case;

/// Takes the text in front of the options, with the comma behind it.
pub(super) fn leading_literal(tokens: TokenStream) -> syn::Result<(Option<LitStr>, TokenStream)> {
    let mut rest = tokens.clone().into_iter();
    let Some(TokenTree::Literal(literal)) = rest.next() else { return Ok((None, tokens)) };
    let Lit::Str(text) = Lit::new(literal.clone()) else {
        return Err(syn::Error::new(literal.span(), "a schedule is a text, for example \"0 9 * * MON-FRI\""));
    };
    match rest.next() {
        None => Ok((Some(text), TokenStream::new())),
        Some(TokenTree::Punct(comma)) if comma.as_char() == ',' => Ok((Some(text), rest.collect())),
        Some(other) => {
            Err(syn::Error::new(other.span(), "a comma stands between the schedule and its options"))
        }
    }
}

/// Checks the expression.
pub(super) fn check(literal: &LitStr) -> syn::Result<()> {
    Expression::parse(&literal.value())
        .map(drop)
        .map_err(|error| syn::Error::new_spanned(literal, error.to_string()))
}

/// `timezone = "Europe/Berlin"`.
pub(super) fn timezone(literal: &LitStr) -> syn::Result<String> {
    let name = literal.value();
    if is_zone(&name) {
        return Ok(name);
    }
    let near = zone_names()
        .find(|zone| zone.eq_ignore_ascii_case(&name) || zone.rsplit('/').next() == Some(name.as_str()))
        .or_else(|| case::nearest(&name, zone_names()));
    let hint = near.map(|zone| format!("; did you mean `{zone}`?")).unwrap_or_default();
    let message = format!(
        "there is no time zone `{name}`{hint}\na zone has a name of the IANA database, for \
                           example \"Europe/Berlin\" or \"UTC\""
    );
    Err(syn::Error::new_spanned(literal, message))
}

/// `overlap = queue`: a variant of `::forge::app::CronOverlap`.
pub(super) fn overlap(path: &Path) -> syn::Result<&'static str> {
    let found = OVERLAPS.iter().find(|(word, _)| path.is_ident(word));
    let wrong = || {
        syn::Error::new_spanned(
            path,
            "`overlap` is one of `skip`, `queue`, `allow`: what becomes of a run while the one before it is \
             not finished",
        )
    };
    Ok(found.ok_or_else(wrong)?.1)
}
