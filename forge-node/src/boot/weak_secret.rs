//! Secrets that a stranger knows or guesses: copied examples, words, patterns.
//!
//! The check is a net for texts that no generator made. It cannot tell a well-known sentence from a random
//! one, so what passes is not proven to be strong.

use std::collections::{BTreeMap, BTreeSet};

/// Words of examples and of habit, and rows of keyboards. No random text of hexadecimal digits has one, and
/// of base64 one in some million.
const WORDS: [&str; 16] = [
    "asdfgh",
    "azerty",
    "changeme",
    "changethis",
    "default",
    "example",
    "insecure",
    "letmein",
    "passphrase",
    "password",
    "placeholder",
    "qwerty",
    "qwertz",
    "replaceme",
    "secret",
    "zxcvbn",
];

/// Characters that people write in the place of letters.
const IN_PLACE_OF_LETTERS: [(char, char); 8] =
    [('0', 'o'), ('1', 'i'), ('3', 'e'), ('4', 'a'), ('5', 's'), ('7', 't'), ('@', 'a'), ('$', 's')];

/// Bits that a text must have at the least. 32 random hexadecimal digits are estimated at about 105, and the
/// longest text of one character at 0.
const BITS_MIN: f64 = 64.0;

/// A text of this many bytes that stood in the secret before is a repetition.
const REPEATED_BYTES: usize = 3;

/// Different bytes that a secret must have. Of 32 random hexadecimal digits, one text in 10^12 has fewer.
const DISTINCT_MIN: usize = 6;

/// Why everybody could know the secret, as a sentence's end; `None` when it looks like a random one.
pub fn weakness(secret: &str) -> Option<String> {
    let letters: String = secret.chars().filter_map(letter).collect();
    if let Some(word) = WORDS.iter().find(|word| letters.contains(**word)) {
        return Some(format!("it has the word `{word}`, as examples and habits have"));
    }
    let bytes = secret.as_bytes();
    if let Some(period) = period(bytes) {
        return Some(format!("its first {period} bytes are repeated to its end"));
    }
    let distinct = bytes.iter().collect::<BTreeSet<_>>().len();
    if distinct < DISTINCT_MIN {
        return Some(format!("it is made of {distinct} different characters alone"));
    }
    (unpredictable_bits(bytes) < BITS_MIN)
        .then(|| "it repeats itself, or counts up, so few of its bytes have to be guessed".to_owned())
}

/// The small letter that a character stands for; `None` for what only separates letters.
fn letter(c: char) -> Option<char> {
    let letter =
        IN_PLACE_OF_LETTERS.iter().find(|(written, _)| *written == c).map_or(c, |(_, letter)| *letter);
    letter.is_ascii_alphanumeric().then(|| letter.to_ascii_lowercase())
}

/// The length after which the secret repeats itself from its beginning, at least once.
fn period(secret: &[u8]) -> Option<usize> {
    (1..=secret.len() / 2).find(|&period| secret[period..] == secret[..secret.len() - period])
}

/// Entropy in bits: the smaller of that of the bytes and that of the steps between them. In `11223344` the
/// steps are `01010101`.
fn unpredictable_bits(secret: &[u8]) -> f64 {
    let steps: Vec<u8> = secret.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    bits_of(secret).min(bits_of(&steps))
}

/// Bits of the bytes that do not follow from those before them, by the frequency of each byte (Shannon).
fn bits_of(secret: &[u8]) -> f64 {
    let mut counts = BTreeMap::new();
    for byte in secret {
        *counts.entry(byte).or_insert(0_u32) += 1;
    }
    let share = |count: &u32| f64::from(*count) / secret.len().max(1) as f64;
    let bits_per_byte: f64 = counts.values().map(share).map(|share| -share * share.log2()).sum();
    let new = (0..secret.len()).filter(|&at| !continues_steps(secret, at) && !repeats(secret, at)).count();
    new as f64 * bits_per_byte
}

/// The byte is as far from the one before as that one was from its own: `aaa`, `abc`, `321`.
fn continues_steps(secret: &[u8], at: usize) -> bool {
    at >= 2 && secret[at].wrapping_sub(secret[at - 1]) == secret[at - 1].wrapping_sub(secret[at - 2])
}

/// The bytes that end here stood in the secret before.
fn repeats(secret: &[u8], at: usize) -> bool {
    let Some(start) = (at + 1).checked_sub(REPEATED_BYTES) else { return false };
    secret[..at].windows(REPEATED_BYTES).any(|earlier| *earlier == secret[start..=at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::secret;

    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    #[test]
    fn what_is_known_or_guessed_is_weak() {
        for weak in [
            "an example with at least 32 bytes",
            "Change-Me! Change-Me! Change-Me!",
            "my_super_SECRET_key_for_production_1",
            "p-a-s-s-w-o-r-d of the main database",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "0123456789abcdef0123456789abcdef",
            "00000000000000000000000000000001",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "x7k2x7k2x7k2x7k2x7k2x7k2x7k2x7k2",
            "3fa94c3fa94c3fa94c3fa94c3fa94c3fa94c",
            "11223344556677889900112233445566",
            "111222333444555666777888999000aaa",
            "abcdefghabcdefghabcdefghabcdefgh",
            "a1b2c3d4e5f6g7h8i9j0a1b2c3d4e5f6",
            "k3jd82ks0qm1xz7pk3jd82ks0qm1xz7p",
            "hunter2hunter2hunter2hunter2hunter2",
            "monkey dragon monkey dragon monkey",
            "Summer2026Summer2026Summer2026!!",
            "aabacadbaccabdabccadbbacdabacdbaabcdcbad",
            "fedcba98fedcba98fedcba9876543210",
            "qwertzuiopasdfghjklyxcvbnm123456",
            "MySup3rS3cretKeyForProdUse12345!",
            "pa55w0rdpa66w0rdletmein123monkey",
            "P@$$w0rd-of-the-main-node-98271x",
            "",
        ] {
            assert!(weakness(weak).is_some(), "{weak}: {} bits", unpredictable_bits(weak.as_bytes()));
        }
    }

    #[test]
    fn what_a_generator_makes_is_not() {
        for _ in 0..5_000 {
            let secret = secret::generate().expect("random bytes");
            let hex = secret.expose();
            let base64: String = (0..44).map(|_| char::from(BASE64[fastrand::usize(..64)])).collect();
            // Also half of it: `openssl rand -hex 16` has 128 bits, in as many bytes as a key must have.
            for text in [hex, &hex[..32], &hex.to_uppercase()[..32], &base64, &base64[..32]] {
                assert_eq!(weakness(text), None, "{text}: {} bits", unpredictable_bits(text.as_bytes()));
            }
        }
        assert_eq!(weakness("Zm9yZ2UtdG9rZW4ta2V5LTk4MTQyNzY1NQqL8x0="), None);
        assert_eq!(weakness("550e8400-e29b-41d4-a716-446655440000"), None);
    }
}
