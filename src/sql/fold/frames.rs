//! What is open: parentheses, lists, rows, arrays, CASE; and the repetition in them that is cut off.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use super::super::canon;
use super::super::text::Text;
use super::{Folder, Mark, Start};

/// Deeper nesting is read but not folded.
const FRAMES_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `(` of no interest.
    Paren,
    /// `IN (`.
    List,
    /// `(` as an element of an IN list.
    Tuple,
    /// `VALUES`, the rows of which follow.
    Rows,
    /// `(` of a row of VALUES.
    Row,
    /// `(` of a constructor of a range or an hstore.
    Call,
    /// `[` of a subscript.
    Bracket,
    /// `ARRAY[`, or `[` inside it.
    Array,
    /// `CASE`.
    Case,
    /// `BEGIN ATOMIC`.
    Atomic,
}

impl Kind {
    fn is_paren(self) -> bool {
        matches!(
            self,
            Kind::Paren | Kind::List | Kind::Tuple | Kind::Row | Kind::Call
        )
    }

    fn is_bracket(self) -> bool {
        matches!(self, Kind::Bracket | Kind::Array)
    }
}

/// Something that was opened and not yet closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Before its first token.
    pub(super) open: Start,
    /// Behind its first token.
    pub(super) content: usize,
    /// The last element that was kept, if any was.
    pub(super) previous: Option<(Mark, Mark)>,
    /// Where the present element begins.
    pub(super) element: Mark,
}

impl<T: Text> Folder<T> {
    #[inline]
    pub(super) fn top(&self) -> Option<Kind> {
        match self.frames_over {
            0 => self.frames.last().map(|frame| frame.kind),
            _ => None,
        }
    }

    pub(super) fn push(&mut self, kind: Kind, open: Start) {
        if self.frames_over > 0 || self.frames.len() >= FRAMES_MAX {
            self.frames_over = self.frames_over.saturating_add(1);
            return;
        }
        let mark = self.mark();
        self.frames.push(Frame {
            kind,
            open,
            content: mark.canon,
            previous: None,
            element: mark,
        });
    }

    /// Closes what is open up to the innermost parenthesis.
    pub(super) fn pop_paren(&mut self) -> Option<Frame> {
        if self.frames_over > 0 {
            self.frames_over -= 1;
            return None;
        }
        let index = self
            .frames
            .iter()
            .rposition(|frame| frame.kind.is_paren())?;
        self.frames.truncate(index + 1);
        if self.top() == Some(Kind::List) {
            self.end_element();
        }
        self.frames.pop()
    }

    /// Closes what is open up to the innermost bracket, but no parenthesis.
    pub(super) fn pop_bracket(&mut self) -> Option<Frame> {
        if self.frames_over > 0 {
            self.frames_over -= 1;
            return None;
        }
        let index = self
            .frames
            .iter()
            .rposition(|frame| frame.kind.is_bracket() || frame.kind.is_paren())?;
        if !self.frames.get(index)?.kind.is_bracket() {
            return None;
        }
        self.frames.truncate(index + 1);
        if self.top() == Some(Kind::Array) {
            self.end_element();
        }
        self.frames.pop()
    }

    /// Behind the `END` of a CASE or of BEGIN ATOMIC.
    pub(super) fn end_block(&mut self) {
        match self.top() {
            Some(Kind::Case) => {
                self.frames.pop();
            }
            Some(Kind::Atomic) => {
                self.frames.pop();
                self.depth = self.depth.saturating_sub(1);
            }
            Some(_) => {}
            None => self.frames_over = self.frames_over.saturating_sub(1),
        }
    }

    /// An element of the innermost frame is complete: if it equals the one before it, it is cut off.
    pub(super) fn end_element(&mut self) {
        let now = self.mark();
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let element = self.canon.between(frame.element.canon, now.canon);
        let is_constant = element == Some(canon::CONSTANT);
        if let Some((from, to)) = frame.previous {
            let repeats = element.is_some() && element == self.canon.between(from.canon, to.canon);
            if repeats && self.canon.truncate(to.canon) {
                self.text.repeat(from.text, to.text);
                frame.element = to;
                return;
            }
        }
        if frame.kind == Kind::List && is_constant {
            self.text.repeated();
        }
        frame.previous = Some((frame.element, now));
        frame.element = now;
    }

    /// Whether the innermost frame's element has just begun.
    pub(super) fn at_element(&self) -> bool {
        self.frames
            .last()
            .is_some_and(|frame| frame.element.canon == self.canon.position())
    }

    /// Whether a `(` that comes now is an element of an IN list.
    pub(super) fn begins_tuple(&self) -> bool {
        match self.top() {
            Some(Kind::List) => self.at_element(),
            Some(Kind::Tuple) => {
                let now = self.canon.position();
                matches!(
                    self.canon.between(now.saturating_sub(2), now),
                    Some(b"(\0" | b",\0")
                )
            }
            _ => false,
        }
    }

    /// Whether the content of `frame` is constants with commas between them.
    pub(super) fn is_constants(&self, frame: &Frame) -> bool {
        let Some(content) = self.canon.between(frame.content, self.canon.position()) else {
            return false;
        };
        let mut tokens = content.chunks_exact(2).enumerate();
        content.len() % 4 == 2
            && tokens.all(|(index, token)| {
                token
                    == if index % 2 == 0 {
                        canon::CONSTANT
                    } else {
                        b",\0"
                    }
            })
    }

    /// Whether it is a constructor of two or three constants.
    pub(super) fn is_constant_call(&self, frame: &Frame) -> bool {
        let length = self.canon.position() - frame.content;
        matches!(length, 6 | 10) && self.is_constants(frame)
    }
}
