//! A query shape as people see it, and whether they may.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::sql::facts::Facts;
use crate::sql::{Fingerprint, Verb, not_shown};
use crate::wire::SqlState;

/// A query shape: one for each admitted fingerprint, shared by all who speak of it for as long as the process runs.
///
/// They are few (as many as fingerprints are admitted) and none is ever forgotten; every query names its own. A count of
/// those that hold one would be a word that all threads write to, for each query.
///
/// Its text leaves the process through [`Shape::shown`]: what the lexer took for names is only known to be names once
/// a server has parsed it. `WHERE name = 'O' Neil'` has a name in it that is a value.
///
/// In this order: each query looks whether it was parsed.
#[derive(Debug)]
#[repr(C)]
pub struct Shape {
    /// Whether a server has parsed a statement of this shape.
    pub parsed: Parsed,
    /// Its main keyword.
    pub verb: Verb,
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Normalised text: no literal survives in it, if it is SQL. At most 64 KiB.
    pub text: Arc<str>,
    /// What it touches; filled later by the analysis, with `None` when the text does not parse.
    pub facts: OnceLock<Option<Facts>>,
}

/// Whether a server has parsed a statement; once it has, it always can.
#[derive(Debug, Default)]
pub struct Parsed(AtomicBool);

impl Parsed {
    /// A server has.
    pub fn yes() -> Parsed {
        Parsed(AtomicBool::new(true))
    }
}

impl Shape {
    /// Keeps it for as long as the process runs.
    pub fn kept(shape: Shape) -> &'static Shape {
        Box::leak(Box::new(shape))
    }

    /// What it touches, as far as that is known by now and may be shown.
    #[inline]
    pub fn facts(&self) -> Option<&Facts> {
        if !self.may_be_shown() {
            return None;
        }
        self.facts.get()?.as_ref()
    }

    /// The text for people, or what stands for it until a server has parsed one such statement.
    pub fn shown(&self) -> Cow<'_, str> {
        match self.may_be_shown() {
            true => Cow::Borrowed(&self.text),
            false => Cow::Owned(not_shown(self.fingerprint)),
        }
    }

    /// The same as [`Shape::shown`], shared where it can be.
    pub fn shared(&self) -> Arc<str> {
        match self.may_be_shown() {
            true => Arc::clone(&self.text),
            false => Arc::from(not_shown(self.fingerprint)),
        }
    }

    /// A statement of this shape ended so: without an error, or with this one.
    #[inline]
    pub fn ended(&self, sqlstate: Option<SqlState>) {
        if !self.may_be_shown() && sqlstate.is_none_or(tells_of_parsing) {
            self.parsed.0.store(true, Ordering::Relaxed);
        }
    }

    fn may_be_shown(&self) -> bool {
        self.parsed.0.load(Ordering::Relaxed)
    }
}

/// Whether an error of this code is one that comes after a text was parsed.
fn tells_of_parsing(code: SqlState) -> bool {
    !matches!(
        &code.0,
        // Syntax errors, strings that do not end, junk behind numbers; names that are none; a text too deep to parse.
        b"42601" | b"42602" | b"42622" | b"54001"
        // Bytes that are no text, backslashes that a setting refuses.
        | b"22021" | b"22P05" | b"22P06"
        // A connection that was lost, a message that is none: nobody knows how far the server came.
        | [b'0', b'8', ..]
    ) && code != SqlState::UNKNOWN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape {
            fingerprint: Fingerprint(7),
            verb: Verb::Select,
            text: "SELECT canary".into(),
            facts: OnceLock::from(Some(Facts::default())),
            parsed: Parsed::default(),
        }
    }

    fn code(text: &str) -> Option<SqlState> {
        Some(SqlState::parse(text.as_bytes()))
    }

    #[test]
    fn what_no_server_has_parsed_is_not_shown() {
        let shape = shape();
        for before in [
            "42601", "42602", "42622", "54001", "22021", "22P05", "22P06", "08006", "08P01", "",
        ] {
            shape.ended(code(before));
            assert!(!shape.shown().contains("canary"), "{before}");
            assert!(!shape.shared().contains("canary"), "{before}");
            assert!(shape.facts().is_none(), "{before}");
        }
        assert!(shape.shown().contains("0000000000000007"));
    }

    #[test]
    fn what_ended_otherwise_is_and_stays() {
        for after in [
            None,
            code("23505"),
            code("42P01"),
            code("42703"),
            code("57014"),
            code("25P02"),
        ] {
            let shape = shape();
            shape.ended(after);
            assert_eq!(shape.shown(), "SELECT canary");
            // A function that runs SQL of its own making.
            shape.ended(code("42601"));
            assert_eq!(&*shape.shared(), "SELECT canary");
            assert!(shape.facts().is_some());
        }
    }
}
