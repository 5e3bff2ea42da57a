//! What the fingerprint must hold together and keep apart.

mod corpus;
mod familiar;
mod property;
mod same;
mod scanning;
mod unreadable;
mod values;

use super::{OwnedScanned, normalize, scan_all};

/// The only statement of `text`.
#[track_caller]
fn one(text: &str) -> OwnedScanned {
    let mut statements = scan_all(text);
    assert_eq!(statements.len(), 1, "{text}");
    statements.remove(0)
}

/// All have one fingerprint, and so have their normalised texts, which normalising again does not change.
#[track_caller]
fn same(texts: &[&str]) {
    let first = one(texts[0]).fingerprint;
    for text in texts {
        assert_eq!(
            one(text).fingerprint,
            first,
            "\n  {}\n  {}\nare normalised to\n  {}\n  {}",
            texts[0],
            text,
            normalize(texts[0]),
            normalize(text)
        );
        stable(text);
    }
}

/// No two have one fingerprint.
#[track_caller]
fn different(texts: &[&str]) {
    for (index, text) in texts.iter().enumerate() {
        stable(text);
        for other in &texts[..index] {
            assert_ne!(
                one(text).fingerprint,
                one(other).fingerprint,
                "\n  {text}\n  {other}\nare normalised to\n  {}\n  {}",
                normalize(text),
                normalize(other)
            );
        }
    }
}

/// Normalising keeps the fingerprint and is done once and for all.
#[track_caller]
fn stable(text: &str) {
    let normalized = normalize(text);
    assert_eq!(normalize(&normalized), normalized, "of {text}");
    let before: Vec<_> = scan_all(text).iter().map(|s| s.fingerprint).collect();
    let after: Vec<_> = scan_all(&normalized)
        .iter()
        .map(|s| s.fingerprint)
        .collect();
    assert_eq!(before, after, "{text}\nis normalised to\n{normalized}");
}

#[track_caller]
fn normalized(text: &str, expected: &str) {
    assert_eq!(normalize(text), expected);
    stable(text);
}

#[test]
fn the_hash_of_the_empty_name_is_known_beforehand() {
    assert_eq!(super::NameHash::of(b""), super::NameHash::UNNAMED);
}
