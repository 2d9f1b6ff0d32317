//! The grammar that all attributes share: `word`, `word = value` and `word(..)`, separated by commas.
//!
//! An attribute brings a table of [`Key`]s; a word that is not in it is refused with the list of those that
//! are.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Lit, LitInt, LitStr, Path, Token};

use crate::case;

/// One word that an attribute knows.
pub(crate) struct Key<T> {
    pub name: &'static str,
    /// How it is written, for error messages.
    pub usage: &'static str,
    pub id: T,
}

/// One option as it was written.
pub(crate) struct Entry {
    pub name: Ident,
    pub value: Value,
}

pub(crate) enum Value {
    Absent,
    Is(Box<Expr>),
    List(Vec<Entry>),
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.call(Ident::parse_any)?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Value::Is(Box::new(input.parse()?))
        } else if input.peek(syn::token::Paren) {
            let content;
            syn::parenthesized!(content in input);
            Value::List(entries_in(&content)?)
        } else {
            Value::Absent
        };
        Ok(Self { name, value })
    }
}

fn entries_in(input: ParseStream<'_>) -> syn::Result<Vec<Entry>> {
    Ok(Punctuated::<Entry, Token![,]>::parse_terminated(input)?.into_iter().collect())
}

/// Reads the tokens between an attribute's parentheses.
pub(crate) fn entries(tokens: TokenStream) -> syn::Result<Vec<Entry>> {
    entries_in.parse2(tokens)
}

/// The entries of `#[word]`, `#[word(..)]`.
pub(crate) fn entries_of(attribute: &syn::Attribute) -> syn::Result<Vec<Entry>> {
    match &attribute.meta {
        syn::Meta::Path(_) => Ok(Vec::new()),
        syn::Meta::List(list) => entries(list.tokens.clone()),
        syn::Meta::NameValue(pair) => Err(syn::Error::new_spanned(pair, "write the options in parentheses")),
    }
}

impl Entry {
    pub(crate) fn span(&self) -> Span {
        self.name.span()
    }

    /// The table's row of this word.
    pub(crate) fn find<'k, T>(&self, keys: &'k [Key<T>], owner: &str) -> syn::Result<&'k Key<T>> {
        let word = self.name.unraw().to_string();
        keys.iter()
            .find(|key| key.name == word)
            .ok_or_else(|| syn::Error::new(self.span(), unknown(&word, keys, owner)))
    }

    /// Refuses a value: the option is a word alone.
    pub(crate) fn flag<T>(&self, key: &Key<T>) -> syn::Result<()> {
        match self.value {
            Value::Absent => Ok(()),
            Value::Is(_) | Value::List(_) => {
                Err(syn::Error::new(self.span(), format!("`{}` is a word alone, without a value", key.name)))
            }
        }
    }

    /// The value as a string literal.
    pub(crate) fn string<T>(&self, key: &Key<T>) -> syn::Result<LitStr> {
        match self.literal() {
            Some(Lit::Str(text)) => Ok(text.clone()),
            _ => Err(self.misused(key)),
        }
    }

    /// The value as an integer literal.
    pub(crate) fn integer<T>(&self, key: &Key<T>) -> syn::Result<LitInt> {
        match self.literal() {
            Some(Lit::Int(number)) if number.suffix().is_empty() => Ok(number.clone()),
            _ => Err(self.misused(key)),
        }
    }

    /// The value as `true` or `false`.
    pub(crate) fn boolean<T>(&self, key: &Key<T>) -> syn::Result<bool> {
        match self.literal() {
            Some(Lit::Bool(value)) => Ok(value.value),
            _ => Err(self.misused(key)),
        }
    }

    /// The value as a path.
    pub(crate) fn path<T>(&self, key: &Key<T>) -> syn::Result<Path> {
        match &self.value {
            Value::Is(value) => match &**value {
                Expr::Path(path) if path.qself.is_none() => Ok(path.path.clone()),
                _ => Err(self.misused(key)),
            },
            _ => Err(self.misused(key)),
        }
    }

    /// The value as an expression.
    pub(crate) fn expression<T>(&self, key: &Key<T>) -> syn::Result<&Expr> {
        match &self.value {
            Value::Is(value) => Ok(value),
            _ => Err(self.misused(key)),
        }
    }

    /// The entries in the option's parentheses.
    pub(crate) fn list<T>(&self, key: &Key<T>) -> syn::Result<&[Entry]> {
        match &self.value {
            Value::List(entries) if !entries.is_empty() => Ok(entries),
            _ => Err(self.misused(key)),
        }
    }

    fn literal(&self) -> Option<&Lit> {
        match &self.value {
            Value::Is(value) => match &**value {
                Expr::Lit(ExprLit { lit, .. }) => Some(lit),
                _ => None,
            },
            _ => None,
        }
    }

    /// The error for a value of the wrong shape, on the value where there is one.
    pub(crate) fn misused<T>(&self, key: &Key<T>) -> syn::Error {
        let message = format!("`{}` is written `{}`", key.name, key.usage);
        match &self.value {
            Value::Is(value) => syn::Error::new_spanned(value, message),
            _ => syn::Error::new(self.span(), message),
        }
    }
}

fn unknown<T>(word: &str, keys: &[Key<T>], owner: &str) -> String {
    let hint = case::nearest(word, keys.iter().map(|key| key.name))
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    if keys.is_empty() {
        return format!("{owner} has no options");
    }
    format!("{owner} has no option `{word}`{hint}\n{}", valid(keys))
}

/// The words of a table, as an error lists them.
pub(crate) fn valid<T>(keys: &[Key<T>]) -> String {
    let usages: Vec<_> = keys.iter().map(|key| format!("`{}`", key.usage)).collect();
    format!("valid options: {}", usages.join(", "))
}

/// Refuses a second entry of the same word; words in `repeatable` may occur often.
pub(crate) fn once(entries: &[Entry], repeatable: &[&str]) -> syn::Result<()> {
    let mut problems = Problems::default();
    for (index, entry) in entries.iter().enumerate() {
        let again = entries[..index].iter().any(|earlier| earlier.name == entry.name);
        if again && !repeatable.iter().any(|word| entry.name == word) {
            problems.add(syn::Error::new(entry.span(), format!("`{}` is given twice", entry.name)));
        }
    }
    problems.finish()
}

/// Collects mistakes, so that one compilation shows all of them.
#[derive(Default)]
pub(crate) struct Problems(Option<syn::Error>);

impl Problems {
    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value, or `None` with the error kept.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    pub(crate) fn finish(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
