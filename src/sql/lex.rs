//! SQL text to tokens, as PostgreSQL's scanner cuts them, across pieces of any size.
//!
//! A token that a piece cuts is either one that is only skipped (a string, a comment, the rest of a long name), and
//! then the state says where the lexer stands in it; or a short one, whose first bytes are carried over.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

mod grammar;
mod long;
mod short;

use super::bytes::{self, Class};
use super::fold::Folder;
use super::scan::{Inner, Scanned};
use super::text::Text;
use super::{Dialect, Verb};

/// A short token is complete within so many bytes, or it is no short token.
const CARRY_BYTES_MAX: usize = 512;

/// Inside which long token the last piece ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Inside none.
    Between,
    /// `'...'`; backslashes escape.
    String {
        backslash: bool,
        /// The last byte was a quote: the end, or the first half of a doubled one.
        quote: bool,
        /// The last byte was an escaping backslash.
        escaped: bool,
    },
    /// `$tag$...$tag$`: so many bytes of the closing tag have been seen.
    Dollar { matched: usize },
    /// `--`
    LineComment,
    /// `/*`, so deep; the last byte if it may be half of a delimiter.
    BlockComment { depth: u32, last: u8 },
    /// The rest of a bare word that is longer than any name.
    Word,
    /// The rest of a number.
    Number,
    /// The rest of a quoted name that is longer than any name.
    QuotedName { quote: bool },
}

/// Cuts text into tokens and statements, hands the tokens to a [`Folder`].
pub(super) struct Lexer<T> {
    folder: Folder<T>,
    state: State,
    carry: Vec<u8>,
    /// Position of the next byte that is not consumed, in the whole text.
    position: u64,
    /// The closing tag of the dollar-quoted string that is being read.
    dollar_tag: Vec<u8>,
    comments: Vec<u8>,
    /// Where the statement began: its first token or comment.
    start: Option<u64>,
    /// Behind its last token or comment.
    end: u64,
    has_token: bool,
    /// Statements found in this text.
    found_count: u64,
    truncated: bool,
    /// The last token was a string: its continuation may follow on another line.
    string: Option<StringEnd>,
    /// How strings are read.
    pub(super) dialect: Dialect,
    /// The statement is no SQL: what looks like a name may be part of a value.
    unreadable: bool,
}

/// What a string that just ended could go on as.
#[derive(Debug, Clone, Copy)]
struct StringEnd {
    backslash: bool,
    newline: bool,
}

impl<T: Text> Lexer<T> {
    pub(super) fn new(folder: Folder<T>) -> Lexer<T> {
        let mut lexer = Lexer {
            folder,
            state: State::Between,
            carry: Vec::new(),
            position: 0,
            dollar_tag: Vec::new(),
            comments: Vec::new(),
            start: None,
            end: 0,
            has_token: false,
            found_count: 0,
            truncated: false,
            string: None,
            dialect: Dialect::default(),
            unreadable: false,
        };
        lexer.begin();
        lexer
    }

    pub(super) fn begin(&mut self) {
        self.state = State::Between;
        self.carry.clear();
        self.position = 0;
        self.found_count = 0;
        self.begin_statement();
    }

    fn begin_statement(&mut self) {
        self.folder.clear();
        self.folder.gap = false;
        self.comments.clear();
        self.start = None;
        self.has_token = false;
        self.truncated = false;
        self.string = None;
        self.unreadable = false;
    }

    pub(super) fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&Scanned<'_>)) {
        let mut rest = piece;
        while !self.carry.is_empty() && !rest.is_empty() {
            let mut buffer = std::mem::take(&mut self.carry);
            let carried = buffer.len();
            let (taken, behind) = rest.split_at(rest.len().min(CARRY_BYTES_MAX));
            buffer.extend_from_slice(taken);
            let used = self.run(&buffer, false, found);
            if used >= carried {
                rest = rest.get(used - carried..).unwrap_or_default();
                buffer.clear();
            } else {
                buffer.drain(..used);
                rest = behind;
            }
            self.carry = buffer;
        }
        if !rest.is_empty() {
            let used = self.run(rest, false, found);
            self.carry
                .extend_from_slice(rest.get(used..).unwrap_or_default());
        }
    }

    /// A text that is whole in one piece: the same as `begin`, `feed` and `end`, without a token carried over.
    pub(super) fn whole(&mut self, text: &[u8], found: &mut dyn FnMut(&Scanned<'_>)) {
        self.begin();
        self.run(text, true, found);
        self.unreadable |= self.is_open();
        if self.has_token || self.found_count == 0 {
            self.emit(found);
        }
    }

    pub(super) fn end(&mut self, found: &mut dyn FnMut(&Scanned<'_>)) {
        let carry = std::mem::take(&mut self.carry);
        self.run(&carry, true, found);
        self.carry = carry;
        self.carry.clear();
        self.unreadable |= self.is_open();
        if self.has_token || self.found_count == 0 {
            self.emit(found);
        }
        self.begin();
    }

    /// Whether the text ended inside something that has an end of its own.
    fn is_open(&self) -> bool {
        match self.state {
            State::Between | State::LineComment | State::Word | State::Number => false,
            State::String { quote, .. } | State::QuotedName { quote } => !quote,
            State::Dollar { .. } | State::BlockComment { .. } => true,
        }
    }

    /// What stands right behind a number or parameter; a letter there belongs to something that is none.
    #[inline]
    fn judge_behind(&mut self, next: Option<&u8>) {
        let stuck = |byte: &u8| bytes::word_lower(*byte) != 0 || matches!(byte, b'"' | b'\\');
        self.unreadable |= next.is_some_and(stuck);
    }

    /// Bytes of memory it holds, itself left out.
    pub(super) fn held_bytes(&self) -> usize {
        self.carry.capacity()
            + self.dollar_tag.capacity()
            + self.comments.capacity()
            + self.folder.held_bytes()
            + self.folder.text.held_bytes()
    }

    /// Where the folder writes what it keeps.
    pub(super) fn text_mut(&mut self) -> &mut T {
        &mut self.folder.text
    }

    /// The text that the folder wrote.
    pub(super) fn into_text(self) -> T {
        self.folder.text
    }

    fn emit(&mut self, found: &mut dyn FnMut(&Scanned<'_>)) {
        // The end of the text ends a string too.
        self.folder.text.end_string();
        let (slots, values) = self.folder.text.values(self.truncated);
        let head = &self.folder.head;
        let inner = match (self.folder.inner_at, self.folder.canon.inner_fingerprint()) {
            (Some(start), Some(fingerprint)) => Some(Inner {
                fingerprint,
                verb: head.inner_verb,
                start,
            }),
            _ => None,
        };
        let start = self.start.unwrap_or(self.position);
        found(&Scanned {
            fingerprint: self.folder.canon.fingerprint(),
            verb: if self.has_token {
                head.verb
            } else {
                Verb::Empty
            },
            start,
            end: self.end.max(start),
            inner,
            subject: head.subject,
            comments: &self.comments,
            truncated: self.truncated,
            holdable: head.holdable,
            unreadable: self.unreadable,
            slots,
            values,
        });
        self.found_count += 1;
    }

    /// A token begins at `at`; false when it does not count for the identity.
    #[inline]
    fn token(&mut self, at: u64) -> bool {
        self.string = None;
        self.folder.at = at;
        at < self.folder.limit || self.token_at_limit(at)
    }

    /// The first token of the statement, or one behind the part that counts.
    #[cold]
    fn token_at_limit(&mut self, at: u64) -> bool {
        if self.has_token {
            self.truncated = true;
            return false;
        }
        self.has_token = true;
        self.start.get_or_insert(at);
        self.folder.begin_at(at);
        true
    }

    /// Reads tokens from `buffer`; returns how many bytes were consumed. What is left is the beginning of a token
    /// whose end is not there yet; with `last` nothing is left.
    fn run(&mut self, buffer: &[u8], last: bool, found: &mut dyn FnMut(&Scanned<'_>)) -> usize {
        let base = self.position;
        let mut index = 0;
        while let Some(rest) = buffer.get(index..) {
            if self.state != State::Between {
                index += self.resume(rest);
                self.end = base + index as u64;
                if self.state != State::Between {
                    break;
                }
                continue;
            }
            let Some(&first) = rest.first() else { break };
            let at = base + index as u64;
            let length = match bytes::class(first) {
                Class::Space => {
                    index += self.space(rest);
                    continue;
                }
                Class::Word => self.word(rest, at, last),
                Class::DoubleQuote => self.names(rest, at, last),
                Class::Digit => self.number(rest, at, last),
                Class::Quote => self.string(rest, at),
                Class::Dollar => self.dollar(rest, at, last),
                Class::Dot => self.dot(rest, at, last),
                Class::Operator => self.operator(rest, at, last),
                Class::Colon => self.colon(rest, at, last),
                Class::Semicolon if self.folder.depth == 0 => {
                    if self.has_token {
                        self.position = at;
                        self.emit(found);
                        self.folder.text.end_statement();
                    }
                    self.begin_statement();
                    index += 1;
                    continue;
                }
                _ => {
                    self.punctuation(first, at);
                    1
                }
            };
            if length == 0 {
                break;
            }
            self.folder.gap = false;
            index += length;
            self.end = base + index as u64;
        }
        self.position = base + index as u64;
        index
    }
}
