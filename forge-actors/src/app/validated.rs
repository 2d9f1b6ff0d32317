//! Texts that are checked wherever a value is made; `#[forge::validated_type]` declares them.

/// A rule that the application writes itself; its error completes a sentence like [`Rules::check`].
pub type Check = fn(&str) -> Result<(), &'static str>;

/// What a text must satisfy, and how it is changed before the check.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Fewest characters (Unicode scalar values).
    pub len_min: Option<usize>,
    /// Most characters.
    pub len_max: Option<usize>,
    /// White space around the text is removed.
    pub trim: bool,
    /// The text is lower-cased.
    pub lowercase: bool,
    /// A further rule; its error completes the sentence "title …", for example "must be an e-mail address".
    pub check: Option<Check>,
}

/// Why a text was refused, as a sentence without its subject: "must have 1 to 200 characters (it has 0)".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Too short or too long.
    #[error("must have {} (it has {length})", expected(.min, .max))]
    Length {
        /// Characters of the text.
        length: usize,
        /// Fewest.
        min: Option<usize>,
        /// Most.
        max: Option<usize>,
    },
    /// The type's own rule refused it.
    #[error("{0}")]
    Check(&'static str),
}

impl Rules {
    /// Trims and lower-cases the text where the rules say so, then checks it.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn apply(&self, text: String) -> Result<String, Invalid> {
        let text = if self.trim && text.trim().len() != text.len() { text.trim().to_owned() } else { text };
        let text = if self.lowercase { text.to_lowercase() } else { text };
        let length = text.chars().count();
        if self.len_min.is_some_and(|min| length < min) || self.len_max.is_some_and(|max| length > max) {
            return Err(Invalid::Length { length, min: self.len_min, max: self.len_max });
        }
        match self.check {
            Some(check) => check(&text).map(|()| text).map_err(Invalid::Check),
            None => Ok(text),
        }
    }
}

fn expected(min: &Option<usize>, max: &Option<usize>) -> String {
    let characters =
        |count: usize| if count == 1 { "1 character".to_owned() } else { format!("{count} characters") };
    match (*min, *max) {
        (Some(min), Some(max)) if min == max => characters(min),
        (Some(min), Some(max)) => format!("{min} to {}", characters(max)),
        (Some(min), None) => format!("at least {}", characters(min)),
        (None, Some(max)) => format!("at most {}", characters(max)),
        (None, None) => "any length".to_owned(),
    }
}
