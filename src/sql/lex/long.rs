//! Tokens of any length, which are only skipped: strings, comments, the rest of what no grammar allows.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use memchr::{memchr, memchr2};

use super::super::bytes;
use super::super::text::Text;
use super::{Lexer, State, StringEnd};

/// Most bytes of comments that are kept of one statement.
const COMMENT_BYTES_MAX: usize = 16 * 1024;

/// The long tokens, which are skipped.
impl<T: Text> Lexer<T> {
    pub(super) fn begin_comment(&mut self, rest: &[u8], at: u64) -> usize {
        self.start.get_or_insert(at);
        let opening = rest.get(..2).unwrap_or_default();
        self.keep_comment(opening);
        self.state = if opening == b"--" {
            State::LineComment
        } else {
            self.string = None;
            State::BlockComment { depth: 1, last: 0 }
        };
        2
    }

    pub(super) fn keep_comment(&mut self, bytes: &[u8]) {
        let room = COMMENT_BYTES_MAX.saturating_sub(self.comments.len());
        self.comments
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Goes on inside a long token; returns how many bytes of `rest` belong to it.
    pub(super) fn resume(&mut self, rest: &[u8]) -> usize {
        if rest.is_empty() {
            return 0;
        }
        match self.state {
            State::Between => 0,
            State::String {
                backslash,
                quote,
                escaped,
            } => self.resume_string(rest, backslash, quote, escaped),
            State::Dollar { matched } => self.resume_dollar(rest, matched),
            State::LineComment => {
                let length = memchr2(b'\n', b'\r', rest).map_or(rest.len(), |newline| {
                    self.state = State::Between;
                    newline + 1
                });
                self.keep_comment(rest.get(..length).unwrap_or_default());
                self.folder.gap = true;
                if let Some(string) = &mut self.string {
                    string.newline = true;
                }
                length
            }
            State::BlockComment { depth, last } => self.resume_block_comment(rest, depth, last),
            State::Word => self.resume_while(rest, |byte| bytes::word_lower(byte) != 0),
            State::Number => {
                let length = self.resume_while(rest, |byte| {
                    byte.is_ascii_digit() || matches!(byte, b'.' | b'_')
                });
                let text = &mut self.folder.text;
                text.content(rest.get(..length).unwrap_or_default());
                if self.state == State::Between {
                    text.end_string();
                }
                length
            }
            State::QuotedName { quote } => {
                let mut quote = quote;
                for (index, byte) in rest.iter().enumerate() {
                    if *byte == b'"' {
                        quote = !quote;
                    } else if quote {
                        self.state = State::Between;
                        return index;
                    }
                }
                self.state = State::QuotedName { quote };
                rest.len()
            }
        }
    }

    pub(super) fn resume_while(&mut self, rest: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
        match rest.iter().position(|byte| !belongs(*byte)) {
            Some(end) => {
                self.state = State::Between;
                end
            }
            None => rest.len(),
        }
    }

    fn resume_string(&mut self, rest: &[u8], backslash: bool, quote: bool, escaped: bool) -> usize {
        let length = self.string_content(rest, backslash, quote, escaped);
        if self.dialect.unsettled || (backslash && self.dialect.ascii_trails) {
            let content = rest.get(..length).unwrap_or_default();
            self.unreadable |= memchr(b'\\', content).is_some();
        }
        length
    }

    fn string_content(
        &mut self,
        rest: &[u8],
        backslash: bool,
        quote: bool,
        escaped: bool,
    ) -> usize {
        let mut index = usize::from(escaped);
        let mut quote = quote;
        let text = &mut self.folder.text;
        if escaped && let Some(&byte) = rest.first() {
            text.escaped(byte);
        }
        while let Some(behind) = rest.get(index..) {
            if quote {
                match behind.first() {
                    None => break,
                    Some(b'\'') => {
                        quote = false;
                        index += 1;
                        text.content(b"'");
                    }
                    Some(_) => {
                        text.end_string();
                        self.state = State::Between;
                        self.string = Some(StringEnd {
                            backslash,
                            newline: false,
                        });
                        return index;
                    }
                }
                continue;
            }
            let found = if backslash {
                memchr2(b'\'', b'\\', behind)
            } else {
                memchr(b'\'', behind)
            };
            let Some(offset) = found else {
                text.content(behind);
                index = rest.len();
                break;
            };
            text.content(behind.get(..offset).unwrap_or_default());
            index += offset + 1;
            if behind.get(offset) == Some(&b'\\') {
                // The escaped byte may be in the next piece.
                if let Some(&byte) = rest.get(index) {
                    text.escaped(byte);
                }
                index += 1;
            } else {
                quote = true;
            }
        }
        self.state = State::String {
            backslash,
            quote,
            escaped: index > rest.len(),
        };
        rest.len()
    }

    pub(super) fn resume_dollar(&mut self, rest: &[u8], matched: usize) -> usize {
        let mut matched = matched;
        let mut index = 0;
        while let Some(&byte) = rest.get(index) {
            if matched == 0 {
                match memchr(b'$', rest.get(index..).unwrap_or_default()) {
                    None => break,
                    Some(offset) => index += offset + 1,
                }
                matched = 1;
                continue;
            }
            if self.dollar_tag.get(matched) == Some(&byte) {
                matched += 1;
                index += 1;
                if matched == self.dollar_tag.len() {
                    self.state = State::Between;
                    // Its closing tag too: it is the same for the same text, and this is no key.
                    self.folder
                        .text
                        .content(rest.get(..index).unwrap_or_default());
                    self.folder.text.end_string();
                    return index;
                }
            } else {
                // A `$` can only be the first byte of the tag, or its last.
                matched = 0;
            }
        }
        self.folder.text.content(rest);
        self.state = State::Dollar { matched };
        rest.len()
    }

    pub(super) fn resume_block_comment(&mut self, rest: &[u8], depth: u32, last: u8) -> usize {
        let mut depth = depth;
        let mut last = last;
        let mut index = 0;
        while let Some(offset) = memchr2(b'*', b'/', rest.get(index..).unwrap_or_default()) {
            if offset > 0 {
                last = 0;
            }
            index += offset;
            let byte = rest.get(index).copied().unwrap_or(0);
            index += 1;
            match (last, byte) {
                (b'/', b'*') => {
                    depth = depth.saturating_add(1);
                    last = 0;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    last = 0;
                    if depth == 0 {
                        self.state = State::Between;
                        self.folder.gap = true;
                        self.keep_comment(rest.get(..index).unwrap_or_default());
                        return index;
                    }
                }
                _ => last = byte,
            }
        }
        if index < rest.len() {
            last = 0;
        }
        self.state = State::BlockComment { depth, last };
        self.keep_comment(rest);
        rest.len()
    }
}
