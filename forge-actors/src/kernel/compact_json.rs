//! JSON that a person has written, in the form in which Forge writes it itself.

use serde::de::IgnoredAny;

/// The same JSON without blanks between its parts, its texts with the fewest escapes. Names of objects keep
/// their order and numbers their spelling. So a key that a person writes equals the one that an application
/// writes for the same value.
///
/// # Errors
/// When the text is no JSON.
///
/// ```
/// # use forge_actors::kernel::compact_json::compact_json;
/// assert_eq!(compact_json(r#" [ "a\u0062 c", { "n" : 1.0 } ] "#).unwrap(), r#"["ab c",{"n":1.0}]"#);
/// assert!(compact_json("user-7").is_err());
/// ```
pub fn compact_json(text: &str) -> serde_json::Result<String> {
    serde_json::from_str::<IgnoredAny>(text)?;
    let mut compact = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' => {
                let end = text_end(rest);
                compact.push_str(&serde_json::to_string(&serde_json::from_str::<String>(&rest[..end])?)?);
                end
            }
            ' ' | '\t' | '\n' | '\r' => first.len_utf8(),
            _ => {
                compact.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    Ok(compact)
}

/// Where the JSON text ends that `rest` begins with, its closing quote included.
fn text_end(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_a_person_writes_is_that_of_the_application() {
        for (written, expected) in [
            ("7", "7"),
            (" \"user-7\"\n", "\"user-7\""),
            (r#"["onboard", "a \"quoted\" \u00e9 / \\"]"#, r#"["onboard","a \"quoted\" é / \\"]"#),
            (r#"{"z": 1, "a": [ ]}"#, r#"{"z":1,"a":[]}"#),
            ("\"a  b\"", "\"a  b\""),
            ("null", "null"),
        ] {
            assert_eq!(compact_json(written).expect("JSON"), expected);
        }
        for wrong in ["", "user-7", "{", "1 2", "\"\\ud800\""] {
            assert!(compact_json(wrong).is_err(), "{wrong}");
        }
    }
}
