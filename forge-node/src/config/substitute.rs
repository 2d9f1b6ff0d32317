//! `${VAR}` and `${VAR:-default}` inside the texts of a configuration file.

use super::environment::Environment;

/// Why a text's substitutions fail.
#[derive(Debug, PartialEq, Eq)]
pub enum SubstitutionError {
    /// The variable is not set and has no default.
    Unset(String),
    /// A substitution is malformed.
    Malformed(String),
}

/// Replaces the substitutions of a text. As in a shell, a default also replaces an empty variable; `$${`
/// stands for `${` itself.
///
/// # Errors
/// When a variable is not set and has no default, or a substitution is malformed.
pub fn substitute(text: &str, environment: &Environment) -> Result<String, SubstitutionError> {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            done.push_str(before);
            done.push_str("${");
            rest = &from[2..];
            continue;
        }
        done.push_str(before);
        let (inside, after) = from[2..]
            .split_once('}')
            .ok_or_else(|| SubstitutionError::Malformed(format!("`{from}` has no closing brace")))?;
        done.push_str(&value_of(inside, environment)?);
        rest = after;
    }
    done.push_str(rest);
    Ok(done)
}

fn value_of(inside: &str, environment: &Environment) -> Result<String, SubstitutionError> {
    let (name, default) =
        inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !named {
        return Err(SubstitutionError::Malformed(format!("`{name}` is no name of a variable")));
    }
    match default {
        Some(default) => Ok(environment.get_filled(name).unwrap_or(default).to_owned()),
        None => {
            environment.get(name).map(str::to_owned).ok_or_else(|| SubstitutionError::Unset(name.to_owned()))
        }
    }
}
