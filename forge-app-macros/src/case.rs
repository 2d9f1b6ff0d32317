//! Names in the cases of Rust, SQL and the wire, and the nearest known name to a misspelt one.

/// `project_id` → `projectId`; leading underscores say "unused" in Rust and nothing on the wire.
pub(crate) fn camel(snake: &str) -> String {
    let pascal = pascal(snake);
    let mut letters = pascal.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// `project_id` → `ProjectId`.
pub(crate) fn pascal(snake: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    snake.split('_').map(capital).collect()
}

/// `InProgress` → `in_progress`, `HTTPStatus` → `http_status`.
pub(crate) fn snake(pascal: &str) -> String {
    let letters: Vec<char> = pascal.chars().collect();
    let mut out = String::with_capacity(pascal.len() + 4);
    for (index, letter) in letters.iter().enumerate() {
        let after_lower = index > 0 && !letters[index - 1].is_uppercase() && letters[index - 1] != '_';
        let ends_acronym = index > 0
            && letters[index - 1].is_uppercase()
            && letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_lower || ends_acronym) {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// The name that a typing mistake probably meant: at most a third of its letters differ.
pub(crate) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let close = names.map(|name| (distance(word, name), name)).min()?;
    (close.0 <= (word.len().max(close.1.len()) / 3).max(1)).then_some(close.1)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
