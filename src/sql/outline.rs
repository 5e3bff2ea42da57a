//! A text's literals and what stands between them: enough to know a text again that differs from an earlier one only
//! in its literals (`familiar.rs`).
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

use super::bytes;
use memchr::{memchr, memchr2};

/// A longer text is not worth remembering.
pub(super) const TEXT_BYTES_MAX: usize = 4096;
/// With more literals it is a batch, whose length changes.
pub(super) const LITERALS_MAX: usize = 64;
/// More digits are no integer.
pub(super) const DIGITS_MAX: usize = 64;

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
        if text.len() > TEXT_BYTES_MAX {
            return false;
        }
        let mut at = 0;
        while let Some(offset) = text.get(at..).and_then(|rest| rest.iter().position(is_due)) {
            at += offset;
            match look(text, at) {
                Seen::Rest(length) => at += length,
                Seen::Literal(span, length) => {
                    if self.spans.len() >= LITERALS_MAX {
                        return false;
                    }
                    self.spans.push(span);
                    at += length;
                }
                Seen::End => break,
                Seen::Odd => return false,
            }
        }
        true
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
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

/// Whether a literal may begin with the byte, or something that may have what looks like one inside: a name, a comment.
fn is_due(byte: &u8) -> bool {
    matches!(
        byte,
        b'0'..=b'9' | b'\'' | b'"' | b'$' | b'-' | b'/' | b';' | b'\\' | 0
    )
}

/// What stands at `at`, where a byte needs a look.
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

fn is_wordy(byte: &u8) -> bool {
    bytes::word_lower(*byte) != 0
}

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

fn name(rest: &[u8]) -> Seen {
    let inside = rest.get(1..).unwrap_or_default();
    match memchr(b'"', inside) {
        Some(quote) if inside.get(quote + 1) != Some(&b'"') => Seen::Rest(quote + 2),
        _ => Seen::Odd,
    }
}
