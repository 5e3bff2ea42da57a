//! A query shape as people see it, and whether they may.

use std::borrow::Cow;
use std::ops::Deref;
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
    /// Its place among all of the process.
    pub number: ShapeNumber,
    /// Normalised text: no literal survives in it, if it is SQL. At most 64 KiB.
    pub text: Arc<str>,
    /// What it touches; filled later by the analysis, with `None` when the text does not parse.
    pub facts: OnceLock<Option<Facts>>,
}

/// The place of a shape among all of the process, from 0 without a gap: what somebody knows of each shape stands in a
/// list ([`ByShape`]), in which it takes less room, and so less waiting for memory, than in a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShapeNumber(pub u32);

/// Names a shape. What is known of each can be had without looking at the shape itself, which with many of them is in no
/// cache.
#[derive(Debug, Clone, Copy)]
pub struct ShapeRef {
    number: ShapeNumber,
    shape: &'static Shape,
}

impl ShapeRef {
    /// Its place among all of the process.
    #[inline]
    pub fn number(self) -> ShapeNumber {
        self.number
    }

    /// The shape, without its number beside it.
    #[inline]
    pub fn shape(self) -> &'static Shape {
        self.shape
    }
}

impl Deref for ShapeRef {
    type Target = Shape;

    #[inline]
    fn deref(&self) -> &Shape {
        self.shape
    }
}

/// What is known of shapes, of the first so many of them.
#[derive(Debug)]
pub struct ByShape<T> {
    known: Vec<Option<T>>,
    shapes_max: usize,
}

impl<T: Copy> ByShape<T> {
    /// Of no shape is anything known, and of those from the `shapes_max`th on nothing ever will be.
    pub fn new(shapes_max: usize) -> ByShape<T> {
        ByShape {
            known: Vec::new(),
            shapes_max,
        }
    }

    /// What is known of a shape.
    #[inline]
    pub fn get(&self, number: ShapeNumber) -> Option<T> {
        *self.known.get(number.0 as usize)?
    }

    /// Knows this of a shape from now on.
    pub fn set(&mut self, number: ShapeNumber, value: T) {
        let place = number.0 as usize;
        if place >= self.shapes_max {
            return;
        }
        if place >= self.known.len() {
            self.known.resize(place + 1, None);
        }
        if let Some(known) = self.known.get_mut(place) {
            *known = Some(value);
        }
    }
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
    pub fn kept(shape: Shape) -> ShapeRef {
        ShapeRef {
            number: shape.number,
            shape: Box::leak(Box::new(shape)),
        }
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
    pub fn ended(&self, sqlstate: Option<SqlState>) {
        if !self.may_be_shown() && sqlstate.is_none_or(tells_of_parsing) {
            self.parsed.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a server has parsed a statement of this shape. Once it has, it stays so.
    pub fn may_be_shown(&self) -> bool {
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
            number: ShapeNumber(0),
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
    fn what_is_known_of_shapes_is_bounded() {
        let mut known = ByShape::new(3);
        for number in [2, 0, 3, 1_000_000, 0] {
            known.set(ShapeNumber(number), number + 10);
        }
        let all: Vec<_> = (0..5).map(|n| known.get(ShapeNumber(n))).collect();
        assert_eq!(all, [Some(10), None, Some(12), None, None]);
        assert_eq!(known.known.len(), 3);
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
