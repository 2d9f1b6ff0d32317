//! Texts that a database can store.

/// `text` with NUL replaced, which Postgres stores in no text.
pub fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// As [`without_nul`], for all texts and names in a JSON value.
pub fn value_without_nul(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(without_nul(&text)),
        Value::Array(values) => Value::Array(values.into_iter().map(value_without_nul).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            Value::Object(
                fields.map(|(name, value)| (without_nul(&name), value_without_nul(value))).collect(),
            )
        }
        other => other,
    }
}

/// JSON text in the characters that every encoding of a database has; other ones are escaped as JSON has it.
///
/// ```
/// # use forge_actors::kernel::storable::json_in_ascii;
/// assert_eq!(json_in_ascii("\"\u{2713} \u{1f600}\""), r#""\u2713 \ud83d\ude00""#);
/// ```
pub fn json_in_ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            let mut units = [0; 2];
            escaped.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    escaped
}

/// `text` in the characters that every encoding of a database has; other ones are escaped: `\u{2713}`.
///
/// ```
/// # use forge_actors::kernel::storable::in_ascii;
/// assert_eq!(in_ascii("done \u{2713}\0\n"), "done \\u{2713}\\u{0}\n");
/// ```
pub fn in_ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && c != '\0' { escaped.push(c) } else { escaped.extend(c.escape_unicode()) }
    }
    escaped
}
