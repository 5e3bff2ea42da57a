//! The rules of the fingerprint: which tokens stay, which become a constant, which are left out.
//!
//! *Architecture invariant:* there is one implementation of the rules. The hash reads the canonical tokens, people
//! read the text; both are written here, token by token, so they cannot disagree.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

mod cast;
mod frames;
mod names;

use cast::{Cast, Seen};
use frames::{Frame, Kind};

use super::canon::{self, Canon};
use super::head::{Head, Token, Verdict};
use super::text::{Literal, Sign, Text};
use super::words::Role;

/// A bit for each reason why the next token needs a second look.
mod pending {
    /// Signs wait for the operand they belong to.
    pub(super) const SIGNS: u16 = 1;
    /// Behind a constant, or inside the cast that follows it.
    pub(super) const CAST: u16 = 1 << 1;
    /// Behind a row of VALUES, or the comma that follows it.
    pub(super) const ROWS: u16 = 1 << 2;
    /// The next name is a cursor's.
    pub(super) const NAME: u16 = 1 << 3;
    /// The head of the statement wants to see it.
    pub(super) const HEAD: u16 = 1 << 4;
    /// A type's name or ARRAY was just written: it may turn out to begin a constant.
    pub(super) const CANDIDATE: u16 = 1 << 5;
    /// The inner statement begins.
    pub(super) const INNER: u16 = 1 << 6;
    /// Behind `IN (`.
    pub(super) const LIST: u16 = 1 << 7;
}

/// A place in both outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Mark {
    canon: usize,
    text: usize,
}

/// Where a constant of several tokens began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Start {
    mark: Mark,
    gap: bool,
}

/// What kind of constant a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Constant<'a> {
    /// As it was written.
    Number(&'a [u8]),
    /// Longer than any: its digits follow.
    LongNumber,
    /// With its `$`.
    Parameter(&'a [u8]),
    String,
    /// `U&''`
    UnicodeString,
}

/// Reads the tokens of one statement and writes what is left of them.
pub(super) struct Folder<T> {
    pub(super) canon: Canon,
    pub(super) text: T,
    pub(super) head: Head,
    /// White space or a comment stands before the next token.
    pub(super) gap: bool,
    /// Where the next token begins in the text.
    pub(super) at: u64,
    /// Where the inner statement begins in the text.
    pub(super) inner_at: Option<u64>,
    /// How much of a statement counts for its identity, bytes.
    fingerprint_bytes_max: u64,
    /// Tokens that begin here or later do not count.
    pub(super) limit: u64,
    /// Parentheses (and `BEGIN ATOMIC`) that are open: a `;` inside them ends nothing.
    pub(super) depth: u32,
    pending: u16,
    /// The last token ended an operand.
    operand: bool,
    /// What the last token was, if it was a word with a role.
    role: Role,
    last: Last,
    /// Where the signs before the next operand began.
    signs: Start,
    /// What they come to.
    sign: Sign,
    cast: Cast,
    candidate: Start,
    frames: Vec<Frame>,
    /// Opened beyond `FRAMES_MAX`.
    frames_over: u32,
}

/// What the last token was, where it was no word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Dot,
    As,
    Other,
}

impl<T: Text> Folder<T> {
    pub(super) fn new(text: T, fingerprint_bytes_max: usize) -> Folder<T> {
        Folder {
            canon: Canon::new(),
            text,
            head: Head::new(),
            gap: false,
            at: 0,
            inner_at: None,
            fingerprint_bytes_max: fingerprint_bytes_max as u64,
            limit: 0,
            depth: 0,
            pending: pending::HEAD,
            operand: false,
            role: Role::None,
            last: Last::Other,
            signs: Start::default(),
            sign: Sign::Plus,
            cast: Cast::Behind,
            candidate: Start::default(),
            frames: Vec::new(),
            frames_over: 0,
        }
    }

    /// Begins a new statement.
    pub(super) fn clear(&mut self) {
        self.canon.clear();
        self.text.begin_statement();
        self.head = Head::new();
        self.inner_at = None;
        self.limit = 0;
        self.depth = 0;
        self.pending = pending::HEAD;
        self.operand = false;
        self.role = Role::None;
        self.last = Last::Other;
        self.frames.clear();
        self.frames_over = 0;
    }

    /// Bytes of memory it holds, its text and itself left out.
    pub(super) fn held_bytes(&self) -> usize {
        self.canon.held_bytes() + self.frames.capacity() * size_of::<Frame>()
    }

    /// The statement, or its inner statement, begins at `at`: its identity's limit counts from here.
    pub(super) fn begin_at(&mut self, at: u64) {
        self.limit = at.saturating_add(self.fingerprint_bytes_max);
    }

    /// A literal or a parameter; false when it belongs to what stands before it.
    #[inline]
    pub(super) fn constant(&mut self, constant: Constant<'_>) -> bool {
        let mut gap = self.gap;
        let mut sign = Sign::Plus;
        let mut cast = match constant {
            Constant::UnicodeString => Cast::BehindUnicode,
            _ => Cast::Behind,
        };
        if self.is_pending() {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Constant) {
                return false;
            }
            self.settle(Token::Constant);
            let is_string = matches!(constant, Constant::String | Constant::UnicodeString);
            if self.pending & pending::CANDIDATE != 0 && is_string && self.cut_back(self.candidate)
            {
                gap = self.candidate.gap;
                if self.role == Role::Interval {
                    cast = Cast::Name(Role::Interval);
                }
            } else {
                if self.pending & pending::SIGNS != 0 {
                    sign = self.sign;
                }
                gap = self.drop_signs(gap);
            }
            self.pending &= !(pending::CANDIDATE | pending::NAME | pending::SIGNS);
        }
        let literal = match constant {
            Constant::Number(raw) => Literal::Number { raw, sign },
            Constant::Parameter(raw) => Literal::Parameter { raw, sign },
            Constant::LongNumber | Constant::String | Constant::UnicodeString => {
                Literal::String { sign }
            }
        };
        self.write_constant(gap, literal);
        self.cast = cast;
        true
    }

    /// An operator. `+` and `-` before an operand may belong to it: they are cut off again if it is a constant.
    #[inline]
    pub(super) fn operator(&mut self, raw: &[u8]) {
        let mut signs = false;
        if self.is_pending() {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Other) {
                return;
            }
            signs = self.pending & pending::SIGNS != 0;
            self.settle_other(if raw == b"=" {
                Token::Equals
            } else {
                Token::Other
            });
        }
        if !self.operand && matches!(raw, b"+" | b"-") {
            if !signs {
                self.signs = self.start();
                self.sign = Sign::Plus;
            }
            if raw == b"-" {
                self.sign = match self.sign {
                    Sign::Plus => Sign::Minus,
                    Sign::Minus => Sign::Plus,
                };
            }
            self.pending |= pending::SIGNS;
        }
        match raw {
            b"!=" => self.canon.token(b"<>"),
            &[byte] => self.canon.byte(byte),
            _ => self.canon.token(raw),
        }
        self.text.token(raw, self.gap);
        self.after(false);
    }

    #[inline]
    pub(super) fn dot(&mut self) {
        if self.is_pending() {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Dot) {
                return;
            }
            self.settle_other(Token::Other);
        }
        self.canon.byte(b'.');
        self.text.token(b".", self.gap);
        self.operand = false;
        self.role = Role::None;
        self.last = Last::Dot;
    }

    #[inline]
    pub(super) fn comma(&mut self) {
        let mut rows = false;
        if self.is_pending() {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Other) {
                return;
            }
            rows = self.pending & pending::ROWS != 0;
            self.pending &= !pending::ROWS;
            self.settle_other(Token::Comma);
        }
        let elements = self.frames_over == 0
            && self.frames.last().is_some_and(|frame| {
                matches!(frame.kind, Kind::List | Kind::Array) || (rows && frame.kind == Kind::Rows)
            });
        if elements && !rows {
            self.end_element();
        }
        self.canon.byte(b',');
        self.text.token(b",", self.gap);
        self.after(false);
        if elements {
            let mark = self.mark();
            if let Some(frame) = self.frames.last_mut() {
                frame.element = mark;
            }
            if rows {
                self.pending |= pending::ROWS;
            }
        }
    }

    pub(super) fn open(&mut self) {
        self.depth = self.depth.saturating_add(1);
        let mut kind = Kind::Paren;
        let mut start = self.start();
        if self.is_pending() {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Open) {
                return;
            }
            if self.pending & pending::ROWS != 0 {
                self.pending &= !pending::ROWS;
                // Behind the comma only: `(` straight behind a row is no row.
                if self.operand {
                    self.frames.pop();
                } else {
                    kind = Kind::Row;
                }
            }
            let candidate = self.pending & pending::CANDIDATE != 0;
            self.settle_other(Token::Open);
            if candidate && matches!(self.role, Role::Range | Role::Hstore) {
                kind = Kind::Call;
                start = self.candidate;
            }
        }
        if kind == Kind::Paren {
            match self.role {
                Role::In => kind = Kind::List,
                Role::Values => {
                    self.push(Kind::Rows, start);
                    kind = Kind::Row;
                }
                _ if self.begins_tuple() => kind = Kind::Tuple,
                _ => {}
            }
        }
        self.canon.byte(b'(');
        self.text.token(b"(", self.gap);
        self.after(false);
        self.push(kind, start);
        if kind == Kind::List {
            self.pending |= pending::LIST;
        }
    }

    pub(super) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.is_pending() {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Close) {
                return;
            }
            self.settle_other(Token::Close);
        }
        let frame = self.pop_paren();
        if let Some(frame) = frame {
            let is_constant = match frame.kind {
                Kind::Tuple => self.is_constants(&frame),
                Kind::Call => self.is_constant_call(&frame),
                _ => false,
            };
            if is_constant && self.collapse(frame.open) {
                return;
            }
        }
        self.canon.byte(b')');
        self.text.token(b")", self.gap);
        self.after(true);
        if frame.is_some_and(|frame| frame.kind == Kind::Row) && self.top() == Some(Kind::Rows) {
            self.end_element();
            self.pending |= pending::ROWS;
        }
    }

    pub(super) fn open_bracket(&mut self) {
        let mut candidate = false;
        if self.is_pending() {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::OpenBracket) {
                return;
            }
            candidate = self.pending & pending::CANDIDATE != 0 && self.role == Role::Array;
            self.settle_other(Token::Other);
        }
        let (kind, start) = if candidate {
            (Kind::Array, self.candidate)
        } else {
            let start = self.start();
            if self.top() == Some(Kind::Array) && self.at_element() {
                (Kind::Array, start)
            } else {
                (Kind::Bracket, start)
            }
        };
        self.canon.byte(b'[');
        self.text.token(b"[", self.gap);
        self.after(false);
        self.push(kind, start);
    }

    pub(super) fn close_bracket(&mut self) {
        if self.is_pending() {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::CloseBracket) {
                return;
            }
            self.settle_other(Token::Other);
        }
        if let Some(frame) = self.pop_bracket()
            && frame.kind == Kind::Array
        {
            let now = self.canon.position();
            let content = self.canon.between(frame.content, now);
            if content.is_some_and(|content| content.is_empty() || content == canon::CONSTANT)
                && self.collapse(frame.open)
            {
                return;
            }
        }
        self.canon.byte(b']');
        self.text.token(b"]", self.gap);
        self.after(true);
    }

    /// `::`
    pub(super) fn colons(&mut self) {
        if self.pending != 0 {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Colons) {
                return;
            }
            self.settle_other(Token::Other);
        }
        self.canon.token(b"::");
        self.text.token(b"::", self.gap);
        self.after(false);
    }

    /// `:`, `:=`, `..`, a `;` inside parentheses, and bytes that mean nothing in SQL.
    pub(super) fn other(&mut self, raw: &[u8]) {
        if self.is_pending() {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Other) {
                return;
            }
            self.settle_other(Token::Other);
        }
        self.canon.token(raw);
        self.text.token(raw, self.gap);
        self.after(false);
    }

    /// Whether the token needs a second look. Behind a constant only `::` does (which does not ask here).
    #[inline]
    fn is_pending(&mut self) -> bool {
        if self.pending == pending::CAST && self.cast == Cast::Behind {
            self.pending = 0;
        }
        self.pending != 0
    }

    #[inline]
    fn after(&mut self, operand: bool) {
        self.operand = operand;
        self.role = Role::None;
        self.last = Last::Other;
    }

    #[inline]
    fn mark(&self) -> Mark {
        Mark {
            canon: self.canon.position(),
            text: self.text.position(),
        }
    }

    fn cut_back(&mut self, start: Start) -> bool {
        let cut = self.canon.truncate(start.mark.canon);
        if cut {
            self.text.truncate(start.mark.text);
        }
        cut
    }

    /// Makes a constant of what was written since `start`; false when that is gone already.
    fn collapse(&mut self, start: Start) -> bool {
        let cut = self.canon.truncate(start.mark.canon);
        if cut {
            self.text.collapse(start.mark.text, start.gap);
            self.end_constant();
        }
        cut
    }

    #[inline]
    fn write_constant(&mut self, gap: bool, literal: Literal<'_>) {
        self.text.constant(gap, literal);
        self.end_constant();
    }

    #[inline]
    fn end_constant(&mut self) {
        self.canon.byte(b'$');
        self.after(true);
        self.cast = Cast::Behind;
        self.pending |= pending::CAST;
    }

    /// What every token has to settle before it is written, but for signs and candidates.
    fn settle(&mut self, token: Token<'_>) -> Verdict {
        self.settle_place();
        if self.pending & pending::HEAD == 0 {
            return Verdict::Keep;
        }
        let verdict = self.head.step(token, self.depth);
        self.heed(verdict)
    }

    /// As [`Folder::settle`], for a bare word, whose canonical form waits in the room.
    fn settle_word(&mut self, staged: usize) -> Verdict {
        self.settle_place();
        if self.pending & pending::HEAD == 0 {
            return Verdict::Keep;
        }
        let verdict = self
            .head
            .step(Token::Word(self.canon.staged(staged)), self.depth);
        self.heed(verdict)
    }

    /// Where the token stands: at the beginning of an inner statement, behind the last row, no more behind `IN (`.
    fn settle_place(&mut self) {
        if self.pending & pending::INNER != 0 {
            self.pending &= !pending::INNER;
            self.canon.begin_inner();
            self.text.begin_inner();
            self.inner_at = Some(self.at);
            self.begin_at(self.at);
            self.after(false);
        }
        if self.pending & pending::ROWS != 0 {
            self.pending &= !pending::ROWS;
            if self.top() == Some(Kind::Rows) {
                self.frames.pop();
            }
        }
        self.pending &= !pending::LIST;
    }

    fn heed(&mut self, verdict: Verdict) -> Verdict {
        if self.head.is_done() {
            self.pending &= !pending::HEAD;
        }
        if verdict == Verdict::InnerFollows {
            self.pending |= pending::INNER;
        }
        verdict
    }

    /// As [`Folder::settle`], for a token that is neither a name nor a constant.
    fn settle_other(&mut self, token: Token<'_>) {
        self.settle(token);
        self.pending &= !(pending::NAME | pending::SIGNS | pending::CANDIDATE);
    }

    /// Cuts off the signs before a constant; whether white space stands before the whole.
    fn drop_signs(&mut self, gap: bool) -> bool {
        if self.pending & pending::SIGNS == 0 {
            return gap;
        }
        self.pending &= !pending::SIGNS;
        if self.cut_back(self.signs) {
            self.signs.gap
        } else {
            gap
        }
    }

    #[inline]
    fn start(&self) -> Start {
        Start {
            mark: self.mark(),
            gap: self.gap,
        }
    }
}
