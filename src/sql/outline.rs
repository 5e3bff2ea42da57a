//! A text's literals and what stands between them, at a glance: enough to know a text again that differs from an
//! earlier one only in its literals (`familiar.rs`).
//!
//! Only the plainest texts have an outline: one statement, no comment, literals of the two commonest kinds, each
//! delimited so that nothing but its value can change. Every other text is read token by token, as each text was the
//! first time.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use memchr::{memchr, memchr2};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bytes;

/// A longer text is not worth remembering.
pub(super) const TEXT_BYTES_MAX: usize = 4096;
/// With more literals it is a batch, whose length changes.
pub(super) const LITERALS_MAX: usize = 64;
/// More digits are no integer.
const DIGITS_MAX: usize = 64;

/// What a literal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits, and nothing else.
    Number,
    /// `'...'` without a quote or backslash inside.
    String,
}

/// A literal's place in its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) kind: Kind,
    /// Its digits; of a string what stands between its quotes.
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// Where its token begins.
    pub(super) fn token_at(&self) -> u64 {
        match self.kind {
            Kind::Number => self.start as u64,
            Kind::String => (self.start as u64).saturating_sub(1),
        }
    }
}

/// The literals of the text that was looked at last.
#[derive(Debug, Default)]
pub(super) struct Outline {
    spans: Vec<Span>,
    hash: u64,
}

/// What a token of the outline is, by its length in bytes.
enum Seen {
    /// Part of what stands between literals.
    Rest(usize),
    Literal(Span, usize),
    /// The end: only white space follows.
    End,
    /// Not for us.
    Odd,
}

impl Outline {
    /// Finds the literals of `text`; false when it has no outline.
    pub(super) fn read(&mut self, text: &[u8]) -> bool {
        self.spans.clear();
        self.hash = 0;
        if text.len() > TEXT_BYTES_MAX {
            return false;
        }
        let mut at = 0;
        let mut segment_at = 0;
        while let Some(offset) = bytes::plain_run(text.get(at..).unwrap_or_default()) {
            at += offset;
            match look(text, at) {
                Seen::Rest(length) => at += length,
                Seen::Literal(span, length) => {
                    if self.spans.len() >= LITERALS_MAX {
                        return false;
                    }
                    self.add(
                        text.get(segment_at..at).unwrap_or_default(),
                        span.kind as u64,
                    );
                    self.spans.push(span);
                    at += length;
                    segment_at = at;
                }
                Seen::End => break,
                Seen::Odd => return false,
            }
        }
        self.add(text.get(segment_at..).unwrap_or_default(), 2);
        true
    }

    #[inline]
    fn add(&mut self, segment: &[u8], kind: u64) {
        self.hash = xxh3_64_with_seed(segment, self.hash ^ kind);
    }

    /// Bytes of memory it holds, itself left out.
    pub(super) fn held_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Of all that stands between the literals, and of their kinds.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// What stands between the literals, one part more than there are literals.
    pub(super) fn segments<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let begins = std::iter::once(0).chain(self.spans.iter().map(|span| span.end));
        let ends = self.spans.iter().map(|span| span.start);
        begins
            .zip(ends.chain(std::iter::once(text.len())))
            .map(|(begin, end)| text.get(begin..end).unwrap_or_default())
    }
}

/// What stands at `at`, where a byte needs a look.
#[inline]
fn look(text: &[u8], at: usize) -> Seen {
    let rest = text.get(at..).unwrap_or_default();
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    let next = rest.get(1);
    match rest.first() {
        Some(b'0'..=b'9') => number(rest, at, before),
        Some(b'\'') => string(rest, at, before),
        Some(b'"') if before != Some(&b'&') => name(rest),
        // Inside a word it is one of its letters; else `$1` is a part of the text, and `$tag$` is read.
        Some(b'$') if before.is_some_and(is_wordy) => Seen::Rest(1),
        Some(b'$') if next.is_some_and(u8::is_ascii_digit) => {
            let digits = rest.iter().skip(1).take_while(|byte| byte.is_ascii_digit());
            Seen::Rest(1 + digits.count())
        }
        Some(b'#' | b'%' | b'&' | b'('..=b',' | b'.' | b':') => Seen::Rest(1),
        Some(b'-') if next != Some(&b'-') => Seen::Rest(1),
        Some(b'/') if next != Some(&b'*') => Seen::Rest(1),
        Some(b';') => {
            let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            match rest.iter().skip(1).all(is_space) {
                true => Seen::End,
                false => Seen::Odd,
            }
        }
        _ => Seen::Odd,
    }
}

#[inline]
fn is_wordy(byte: &u8) -> bool {
    bytes::word_lower(*byte) != 0
}

#[inline]
fn number(rest: &[u8], at: usize, before: Option<&u8>) -> Seen {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let next = rest.get(digits);
    if before.is_some_and(is_wordy) {
        return Seen::Rest(digits);
    }
    let stuck = |byte: &u8| is_wordy(byte) || matches!(byte, b'.' | b'"' | b'\'' | b'\\');
    if before == Some(&b'.') || next.is_some_and(stuck) || digits > DIGITS_MAX {
        return Seen::Odd;
    }
    let span = Span {
        kind: Kind::Number,
        start: at,
        end: at + digits,
    };
    Seen::Literal(span, digits)
}

#[inline]
fn string(rest: &[u8], at: usize, before: Option<&u8>) -> Seen {
    // `E'...'`, `U&'...'` and the like.
    if before.is_some_and(|byte| is_wordy(byte) || *byte == b'&') {
        return Seen::Odd;
    }
    let inside = rest.get(1..).unwrap_or_default();
    let Some(quote) = memchr2(b'\'', b'\\', inside) else {
        return Seen::Odd;
    };
    let behind = inside.get(quote + 1..).unwrap_or_default();
    if inside.get(quote) != Some(&b'\'') || behind.first() == Some(&b'\'') {
        return Seen::Odd;
    }
    // Behind a line's end the string may go on.
    let next = behind.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    if matches!(next, Some(b'\n' | b'\r' | 0x0b | 0x0c)) {
        return Seen::Odd;
    }
    let span = Span {
        kind: Kind::String,
        start: at + 1,
        end: at + 1 + quote,
    };
    Seen::Literal(span, quote + 2)
}

#[inline]
fn name(rest: &[u8]) -> Seen {
    let inside = rest.get(1..).unwrap_or_default();
    match memchr(b'"', inside) {
        Some(quote) if inside.get(quote + 1) != Some(&b'"') => Seen::Rest(quote + 2),
        _ => Seen::Odd,
    }
}
