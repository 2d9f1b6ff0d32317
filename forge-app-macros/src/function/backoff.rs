//! `backoff = fixed("5s")`, `linear("5s", max = "10m")`, `exponential("5s", max = "1h")`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Expr, ExprAssign, ExprCall, ExprLit, Lit, LitStr};

use crate::literal;

/// The longest wait when none is written, in milliseconds: an hour.
const MAX_MS: u64 = 3_600_000;
const USAGE: &str = "a backoff is `fixed(\"5s\")`, `linear(\"5s\", max = \"10m\")` or \
                     `exponential(\"5s\", max = \"1h\")`; `max` may be left out";

/// How long a job waits after a failed attempt, in milliseconds.
pub(crate) enum Backoff {
    Fixed(u64),
    Linear { step: u64, max: u64 },
    Exponential { base: u64, max: u64 },
}

impl Backoff {
    pub(crate) fn parse(value: &Expr) -> syn::Result<Self> {
        let wrong = || syn::Error::new_spanned(value, USAGE);
        let Expr::Call(ExprCall { func, args, .. }) = value else { return Err(wrong()) };
        let Expr::Path(word) = &**func else { return Err(wrong()) };
        let mut args = args.iter();
        let first = literal::wait(args.next().and_then(text).ok_or_else(wrong)?)?;
        let max = args.next().map(|argument| maximum(argument, first)).transpose()?;
        if let Some(more) = args.next() {
            return Err(syn::Error::new_spanned(more, USAGE));
        }
        let at_most = max.unwrap_or(MAX_MS.max(first));
        if word.path.is_ident("fixed") {
            return if max.is_none() {
                Ok(Self::Fixed(first))
            } else {
                Err(syn::Error::new_spanned(value, "a fixed wait has no `max`"))
            };
        }
        if word.path.is_ident("linear") {
            return Ok(Self::Linear { step: first, max: at_most });
        }
        if word.path.is_ident("exponential") {
            Ok(Self::Exponential { base: first, max: at_most })
        } else {
            Err(wrong())
        }
    }
}

/// `max = "1h"`.
fn maximum(argument: &Expr, first: u64) -> syn::Result<u64> {
    let wrong = || syn::Error::new_spanned(argument, USAGE);
    let Expr::Assign(ExprAssign { left, right, .. }) = argument else { return Err(wrong()) };
    let is_max = matches!(&**left, Expr::Path(name) if name.path.is_ident("max"));
    let literal = text(right).filter(|_| is_max).ok_or_else(wrong)?;
    let max = literal::wait(literal)?;
    if max < first {
        Err(syn::Error::new_spanned(literal, "`max` is shorter than the first wait"))
    } else {
        Ok(max)
    }
}

fn text(value: &Expr) -> Option<&LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}

impl ToTokens for Backoff {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let time = |ms: u64| quote! { ::core::time::Duration::from_millis(#ms) };
        tokens.extend(match *self {
            Self::Fixed(delay) => {
                let delay = time(delay);
                quote! { ::forge::app::RetryBackoff::Fixed(#delay) }
            }
            Self::Linear { step, max } => {
                let (step, max) = (time(step), time(max));
                quote! { ::forge::app::RetryBackoff::Linear { step: #step, max: #max } }
            }
            Self::Exponential { base, max } => {
                let (base, max) = (time(base), time(max));
                quote! { ::forge::app::RetryBackoff::Exponential { base: #base, max: #max } }
            }
        });
    }
}
