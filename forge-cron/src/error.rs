//! Why a text is no cron expression, and where.

use std::fmt;
use std::ops::Range;

/// What is wrong with a text, and in which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// The whole text.
    pub text: String,
    /// Bytes of the text that are wrong; empty when something is missing at its end.
    pub span: Range<usize>,
    /// A sentence without its end.
    pub message: String,
}

impl ExpressionError {
    pub(crate) fn new(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { text: text.to_owned(), span, message: message.into() }
    }
}

impl fmt::Display for ExpressionError {
    /// The sentence, and below it the text with a mark under the wrong part.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chars = |range: Range<usize>| self.text.get(range).map_or(0, |part| part.chars().count());
        let (before, wrong) = (chars(0..self.span.start), chars(self.span.clone()).max(1));
        write!(f, "{}\n  {}\n  {:before$}{:^<wrong$}", self.message, self.text, "", "")
    }
}

impl std::error::Error for ExpressionError {}
