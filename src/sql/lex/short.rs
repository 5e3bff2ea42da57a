//! Tokens that are complete within a few hundred bytes: words, names, numbers, operators, parameters.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use memchr::memchr;

use super::super::bytes::{self, BLOCK_BYTES, Class};
use super::super::canon::{self, NAME_BYTES_MAX};
use super::super::fold::Constant;
use super::super::text::{Quotes, Text};
use super::super::words;
use super::grammar::{is_alias, is_bare, number_bytes, operator_bytes, trim_sign};
use super::{CARRY_BYTES_MAX, Lexer, State, StringEnd};

/// A number's end is looked for by the grammar up to here, by its characters behind.
const NUMBER_BYTES_MAX: usize = 256;
/// Longer tags of dollar quotes are not recognised.
const DOLLAR_TAG_BYTES_MAX: usize = 64;

/// The short tokens. Each function gets the text from the token's first byte and returns the token's length, or 0 if
/// the token could go on in the next piece.
impl<T: Text> Lexer<T> {
    #[inline]
    pub(super) fn space(&mut self, rest: &[u8]) -> usize {
        self.folder.gap = true;
        if let [b' ', next, ..] = rest
            && bytes::class(*next) != Class::Space
        {
            return 1;
        }
        let length = rest
            .iter()
            .take_while(|byte| bytes::class(**byte) == Class::Space)
            .count();
        if let Some(string) = &mut self.string {
            let space = rest.get(..length).unwrap_or_default();
            string.newline |= space.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        }
        length
    }

    #[inline]
    pub(super) fn word(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
        let staged = self.folder.canon.stage_word(rest);
        let length = staged.source_bytes;
        match (rest.get(length), rest.first()) {
            (None, _) if !last => {
                if length < CARRY_BYTES_MAX {
                    return 0;
                }
                self.state = State::Word;
            }
            (Some(b'\''), Some(b'e' | b'E')) if length == 1 => {
                return self.begin_string(at, 2, true, Constant::String, Quotes::Plain);
            }
            (Some(b'\''), Some(b'b' | b'B' | b'x' | b'X')) if length == 1 => {
                return self.begin_string(at, 2, false, Constant::String, Quotes::Odd);
            }
            (Some(b'\''), Some(b'n' | b'N')) if length == 1 => {
                let backslash = self.dialect.backslashes;
                return self.begin_string(at, 2, backslash, Constant::String, Quotes::Plain);
            }
            (Some(b'&'), Some(b'u' | b'U')) if length == 1 => match rest.get(2) {
                None if !last => return 0,
                Some(b'\'') => {
                    return self.begin_string(at, 3, false, Constant::UnicodeString, Quotes::Odd);
                }
                Some(b'"') => return self.quoted_name(rest, at, last, 2),
                _ => {}
            },
            _ => {}
        }
        if self.token(at) {
            self.folder
                .word(rest.get(..length).unwrap_or_default(), staged);
        }
        length
    }

    /// A plain string: at once if its end is in sight.
    #[inline]
    pub(super) fn string(&mut self, rest: &[u8], at: u64) -> usize {
        let backslash = self.dialect.backslashes;
        let length = self.begin_string(at, 1, backslash, Constant::String, Quotes::Plain);
        if let State::String {
            backslash: false, ..
        } = self.state
            && !self.dialect.unsettled
            && let inside = rest.get(1..).unwrap_or_default()
            && let Some(quote) = memchr(b'\'', inside)
            && inside.get(quote + 1).is_some_and(|next| *next != b'\'')
        {
            self.state = State::Between;
            self.string = Some(StringEnd {
                backslash: false,
                newline: false,
            });
            let text = &mut self.folder.text;
            text.content(inside.get(..quote).unwrap_or_default());
            text.end_string();
            return quote + 2;
        }
        length
    }

    /// A string whose opening, with its quote, has `length` bytes.
    #[inline]
    pub(super) fn begin_string(
        &mut self,
        at: u64,
        length: usize,
        backslash: bool,
        constant: Constant<'_>,
        quotes: Quotes,
    ) -> usize {
        let mut backslash = backslash;
        match self.string {
            Some(before) if before.newline && length == 1 => {
                backslash = before.backslash;
                self.folder.text.continue_string();
            }
            _ => {
                self.folder.text.literal_at(at);
                let counts = self.token(at) && self.folder.constant(constant);
                self.folder.text.begin_string(quotes, counts);
            }
        }
        self.string = None;
        self.state = State::String {
            backslash,
            quote: false,
            escaped: false,
        };
        length
    }

    /// `"a"."b", "a"."c"`: what Django's statements mostly consist of, without a look around between its tokens.
    #[inline]
    pub(super) fn names(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
        // What was consumed, and how much white space stands behind that.
        let mut length = 0;
        let mut gap = 0;
        loop {
            let start = length + gap;
            let behind = rest.get(start..).unwrap_or_default();
            let name = self.quoted_name(behind, at + start as u64, last, 0);
            if name == 0 {
                return length;
            }
            length = start + name;
            if self.state != State::Between {
                return length;
            }
            self.folder.gap = false;
            gap = match rest.get(length..) {
                Some([b'.', b'"', ..]) => {
                    if self.token(at + length as u64) {
                        self.folder.dot();
                    }
                    0
                }
                Some([b',', b' ', b'"', ..]) => {
                    if self.token(at + length as u64) {
                        self.folder.comma();
                    }
                    self.folder.gap = true;
                    1
                }
                _ => return length,
            };
            length += 1;
        }
    }

    /// `"name"`, or `U&"name"` with a prefix of two bytes.
    #[inline]
    pub(super) fn quoted_name(&mut self, rest: &[u8], at: u64, last: bool, prefix: usize) -> usize {
        let inside = rest.get(prefix + 1..).unwrap_or_default();
        if prefix == 0 {
            let name = self.folder.canon.stage_simple(inside);
            let length = name.bytes;
            if length > 0 && inside.get(length) == Some(&b'"') {
                let next = inside.get(length + 1);
                if next.is_none() && !last {
                    return 0;
                }
                let plain = next != Some(&b'"') && !words::is_reserved(name.key, length);
                if plain && !matches!(inside.first(), Some(b'0'..=b'9')) {
                    if self.token(at) {
                        self.folder
                            .quoted(rest.get(..length + 2).unwrap_or_default(), length);
                    }
                    return length + 2;
                }
            }
        }
        self.odd_name(rest, inside, at, last, prefix)
    }

    /// A quoted name of any kind.
    #[cold]
    pub(super) fn odd_name(
        &mut self,
        rest: &[u8],
        inside: &[u8],
        at: u64,
        last: bool,
        prefix: usize,
    ) -> usize {
        let mut from = 0;
        let (content, length) = loop {
            let quote =
                memchr(b'"', inside.get(from..).unwrap_or_default()).map(|offset| from + offset);
            match quote {
                Some(quote) if inside.get(quote + 1) == Some(&b'"') => from = quote + 2,
                Some(quote) if quote + 1 < inside.len() || last => {
                    break (quote, prefix + quote + 2);
                }
                _ if !last && rest.len() < CARRY_BYTES_MAX => return 0,
                quote => {
                    self.state = State::QuotedName {
                        quote: quote.is_some(),
                    };
                    break (quote.unwrap_or(inside.len()), rest.len());
                }
            }
        };
        let staged = self.stage_name(inside.get(..content).unwrap_or_default(), prefix > 0);
        if self.token(at) {
            self.folder
                .quoted(rest.get(..length).unwrap_or_default(), staged);
        }
        length
    }

    /// Writes the canonical form of a quoted name into the room: bare if the bare word would be the same name.
    pub(super) fn stage_name(&mut self, content: &[u8], unicode: bool) -> usize {
        // A sign that it is no bare word, the name, and a few bytes more to see whether it is cut inside a character.
        let mut name = [0; NAME_BYTES_MAX + 8];
        let marks: &[u8] = if unicode { b"&\"" } else { b"\"" };
        let mut length = 0;
        let mut push = |byte: u8| {
            if let Some(to) = name.get_mut(length) {
                *to = byte;
                length += 1;
            }
        };
        marks.iter().for_each(|mark| push(*mark));
        let mut rest = content.iter().take(2 * NAME_BYTES_MAX + 16).peekable();
        while let Some(&byte) = rest.next() {
            push(byte);
            if byte == b'"' && rest.peek() == Some(&&b'"') {
                rest.next();
            }
        }
        let (marked, _) = name.split_at_mut(length);
        let bare = marked.get_mut(marks.len()..).unwrap_or_default();
        let length = canon::name_bytes(bare);
        let bare = bare.get_mut(..length).unwrap_or_default();
        if !unicode
            && is_bare(bare)
            && !words::is_reserved(words::key(bare.get(..BLOCK_BYTES).unwrap_or(bare)), length)
        {
            return self.folder.canon.stage(bare);
        }
        if !unicode && is_alias(bare) {
            bare.make_ascii_lowercase();
            return self.folder.canon.stage(bare);
        }
        self.folder
            .canon
            .stage(marked.get(..marks.len() + length).unwrap_or_default())
    }

    pub(super) fn number(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
        let mut length = number_bytes(rest.get(..NUMBER_BYTES_MAX).unwrap_or(rest));
        // `.` and `e+` are looked at with what follows them.
        if !last && length + 3 > rest.len() && length < NUMBER_BYTES_MAX {
            return 0;
        }
        if length >= NUMBER_BYTES_MAX {
            length = NUMBER_BYTES_MAX;
        }
        let raw = rest.get(..length).unwrap_or(rest);
        if length < NUMBER_BYTES_MAX {
            self.folder.text.literal_at(at);
            if self.token(at) {
                self.folder.constant(Constant::Number(raw));
            }
            self.judge_behind(rest.get(length));
        } else {
            self.state = State::Number;
            let counts = self.token(at) && self.folder.constant(Constant::LongNumber);
            self.folder.text.begin_string(Quotes::Odd, counts);
            self.folder.text.content(raw);
        }
        length
    }

    pub(super) fn dollar(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
        let tag = rest.get(1..).unwrap_or_default();
        if matches!(tag.first(), Some(b'0'..=b'9')) {
            let digits = tag
                .iter()
                .take(NUMBER_BYTES_MAX)
                .take_while(|byte| byte.is_ascii_digit());
            let length = 1 + digits.count();
            if length == rest.len() && !last {
                return 0;
            }
            if self.token(at) {
                let raw = rest.get(..length).unwrap_or(rest);
                self.folder.constant(Constant::Parameter(raw));
            }
            self.judge_behind(rest.get(length));
            return length;
        }
        let is_tag = |(index, byte): (usize, &u8)| {
            *byte != b'$' && bytes::word_lower(*byte) != 0 && (index > 0 || !byte.is_ascii_digit())
        };
        let length = tag
            .iter()
            .enumerate()
            .take(DOLLAR_TAG_BYTES_MAX)
            .take_while(|item| is_tag(*item))
            .count();
        match tag.get(length) {
            None if !last => 0,
            Some(b'$') => {
                self.dollar_tag.clear();
                self.dollar_tag
                    .extend_from_slice(rest.get(..length + 2).unwrap_or_default());
                self.state = State::Dollar { matched: 0 };
                let counts = self.token(at) && self.folder.constant(Constant::String);
                self.folder.text.begin_string(Quotes::Odd, counts);
                length + 2
            }
            _ => {
                if self.token(at) {
                    self.folder.other(b"$");
                }
                // No tag, or one that is longer than any that are followed.
                self.unreadable = true;
                1
            }
        }
    }

    #[inline]
    pub(super) fn dot(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
        match rest.get(1) {
            None if !last => 0,
            Some(b'0'..=b'9') => self.number(rest, at, last),
            Some(b'.') => {
                if self.token(at) {
                    self.folder.other(b"..");
                }
                2
            }
            _ => {
                if self.token(at) {
                    self.folder.dot();
                }
                1
            }
        }
    }

    pub(super) fn colon(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
        let length = match rest.get(1) {
            None if !last => return 0,
            Some(b':' | b'=') => 2,
            _ => 1,
        };
        if self.token(at) {
            match rest.get(..length) {
                Some(b"::") => self.folder.colons(),
                raw => self.folder.other(raw.unwrap_or_default()),
            }
        }
        length
    }

    #[inline]
    pub(super) fn operator(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
        let run = operator_bytes(rest);
        if run == 0 {
            return self.begin_comment(rest, at);
        }
        // What follows its last byte may make a comment of both, even where the run is as long as it may get.
        if run == rest.len() && !last {
            return 0;
        }
        let raw = trim_sign(rest.get(..run).unwrap_or_default());
        if self.token(at) {
            self.folder.operator(raw);
        }
        raw.len()
    }

    pub(super) fn punctuation(&mut self, first: u8, at: u64) {
        // None of these stands in SQL outside of a string.
        self.unreadable |= matches!(first, b'\\' | b'{' | b'}') || first.is_ascii_control();
        if !self.token(at) {
            match first {
                b'(' => self.folder.depth = self.folder.depth.saturating_add(1),
                b')' => self.folder.depth = self.folder.depth.saturating_sub(1),
                _ => {}
            }
            return;
        }
        match first {
            b',' => self.folder.comma(),
            b'(' => self.folder.open(),
            b')' => self.folder.close(),
            b'[' => self.folder.open_bracket(),
            b']' => self.folder.close_bracket(),
            _ => self.folder.other(&[first]),
        }
    }
}
