//! Where the folded tokens go as text for people; the hot path wants their values only (`values.rs`).

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use super::value::Slot;

/// What a constant is, as far as its first token tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Literal<'a> {
    /// A number, without the signs before it; cut where it is longer than any.
    Number {
        /// As it was written.
        raw: &'a [u8],
        /// What the signs before it make of it.
        sign: Sign,
    },
    /// `$n`.
    Parameter {
        /// With its `$`.
        raw: &'a [u8],
        /// What the signs before it make of it.
        sign: Sign,
    },
    /// A string, whose content follows.
    String {
        /// What the signs before it make of it.
        sign: Sign,
    },
    /// `NULL`, `TRUE`, `FALSE`, `DEFAULT`, by its first letter.
    Keyword(u8),
    /// The name of a cursor, savepoint or prepared statement.
    Name,
    /// A list or a tuple of constants.
    Folded,
}

/// What the signs before a constant make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Plus,
    Minus,
}

/// How a string is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// `'...'`, `E'...'`, `N'...'`: its content is what it says.
    Plain,
    /// `B'...'`, `U&'...'`, `$$...$$` and the like: it says something else, or is no key.
    Odd,
}

/// Receives each token that stays, as it was written, in the order in which the fingerprint's hash receives it, and
/// the content of strings.
pub(super) trait Text {
    /// A statement begins.
    fn begin_statement(&mut self) {}
    /// The inner statement of a DECLARE or PREPARE begins.
    fn begin_inner(&mut self) {}
    /// A position to which the text can be cut back.
    fn position(&self) -> usize;
    /// Forgets what was written behind `position`.
    fn truncate(&mut self, position: usize);
    /// Forgets what was written behind `to`: it repeated what stands between `from` and `to`.
    fn repeat(&mut self, _from: usize, to: usize) {
        self.truncate(to);
    }
    /// What was written behind `position` is one constant.
    fn collapse(&mut self, position: usize, gap: bool) {
        self.truncate(position);
        self.constant(gap, Literal::Folded);
    }
    /// A token as it was written; `gap`: white space or a comment stood before it.
    fn token(&mut self, raw: &[u8], gap: bool);
    /// A constant.
    fn constant(&mut self, gap: bool, literal: Literal<'_>);
    /// The literal that is told next begins here in the text.
    fn literal_at(&mut self, _at: u64) {}
    /// The content of a string follows; `counts`: it was the last constant, else no constant at all.
    fn begin_string(&mut self, _quotes: Quotes, _counts: bool) {}
    /// The string that ended last goes on.
    fn continue_string(&mut self) {}
    /// A part of the string's content.
    fn content(&mut self, _part: &[u8]) {}
    /// The byte behind an escaping backslash.
    fn escaped(&mut self, _byte: u8) {}
    /// The string ended, if one was open.
    fn end_string(&mut self) {}
    /// What is known of the statement's constants; `truncated`: there were more.
    fn values(&mut self, _truncated: bool) -> (&[Slot], u64) {
        (&[], 0)
    }
    /// Bytes of memory it holds for its constants.
    fn held_bytes(&self) -> usize {
        0
    }
    /// A `;` ended the statement and another follows.
    fn end_statement(&mut self);
    /// The last constant stands for any number of them.
    fn repeated(&mut self);
}

/// The normalised text: one space where there was any white space, constants numbered.
#[derive(Debug, Default)]
pub(super) struct Normalized {
    bytes: Vec<u8>,
    constants: Vec<Constant>,
    statement_ended: bool,
}

/// A constant of the text: its number is its place in the list.
#[derive(Debug)]
struct Constant {
    position: usize,
    repeated: bool,
}

impl Normalized {
    /// The text, with `$1`, `$2`, ... in the places of its constants.
    pub(super) fn finish(self) -> String {
        let mut text = Vec::with_capacity(self.bytes.len() + self.constants.len() * 3);
        let mut done = 0;
        for (index, constant) in self.constants.iter().enumerate() {
            text.extend_from_slice(self.bytes.get(done..constant.position).unwrap_or_default());
            text.extend_from_slice(format!("${}", index + 1).as_bytes());
            if constant.repeated {
                text.extend_from_slice(b" /*, ... */");
            }
            done = constant.position + 1;
        }
        text.extend_from_slice(self.bytes.get(done..).unwrap_or_default());
        match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }

    /// Separates two tokens that would be read as one if they touched.
    fn space(&mut self, next: u8, gap: bool) {
        if self.statement_ended {
            self.statement_ended = false;
            self.bytes.extend_from_slice(b"; ");
            return;
        }
        let Some(&last) = self.bytes.last() else {
            return;
        };
        let wordy =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80;
        let touches = last == b'(' || matches!(next, b')' | b',');
        if (gap && !touches) || (wordy(last) && wordy(next)) {
            self.bytes.push(b' ');
        }
    }
}

impl Text for Normalized {
    fn position(&self) -> usize {
        self.bytes.len()
    }

    fn truncate(&mut self, position: usize) {
        self.bytes.truncate(position);
        let kept = self
            .constants
            .partition_point(|constant| constant.position < position);
        self.constants.truncate(kept);
    }

    fn token(&mut self, raw: &[u8], gap: bool) {
        if let Some(&first) = raw.first() {
            self.space(first, gap);
            self.bytes.extend_from_slice(raw);
        }
    }

    fn constant(&mut self, gap: bool, _literal: Literal<'_>) {
        self.space(b'$', gap);
        self.constants.push(Constant {
            position: self.bytes.len(),
            repeated: false,
        });
        // Holds the place until `finish`; a `$` because that is what its neighbours would touch.
        self.bytes.push(b'$');
    }

    fn end_statement(&mut self) {
        self.statement_ended = !self.bytes.is_empty();
    }

    fn repeated(&mut self) {
        if let Some(constant) = self.constants.last_mut() {
            constant.repeated = true;
        }
    }
}

#[cfg(test)]
impl Normalized {
    /// How many constants it has now.
    pub(super) fn constants(&self) -> usize {
        self.constants.len()
    }
}
