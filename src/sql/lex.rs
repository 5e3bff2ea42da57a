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

use memchr::{memchr, memchr2};

use super::Verb;
use super::bytes::{self, BLOCK_BYTES, Class};
use super::canon::{self, NAME_BYTES_MAX};
use super::fold::{Constant, Folder};
use super::scan::{Inner, Scanned};
use super::text::Text;
use super::words;

/// Most bytes of comments that are kept of one statement.
const COMMENT_BYTES_MAX: usize = 16 * 1024;
/// A short token is complete within so many bytes, or it is no short token.
const CARRY_BYTES_MAX: usize = 512;
/// A number's end is looked for by the grammar up to here, by its characters behind.
const NUMBER_BYTES_MAX: usize = 256;
/// Longer tags of dollar quotes are not recognised.
const DOLLAR_TAG_BYTES_MAX: usize = 64;
/// PostgreSQL's operators have at most NAMEDATALEN - 1 bytes.
const OPERATOR_BYTES_MAX: usize = NAME_BYTES_MAX;

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

    pub(super) fn end(&mut self, found: &mut dyn FnMut(&Scanned<'_>)) {
        let carry = std::mem::take(&mut self.carry);
        self.run(&carry, true, found);
        self.carry = carry;
        self.carry.clear();
        if self.has_token || self.found_count == 0 {
            self.emit(found);
        }
        self.begin();
    }

    /// Bytes of memory it holds, itself left out.
    pub(super) fn held_bytes(&self) -> usize {
        self.carry.capacity()
            + self.dollar_tag.capacity()
            + self.comments.capacity()
            + self.folder.held_bytes()
    }

    /// The text that the folder wrote.
    pub(super) fn into_text(self) -> T {
        self.folder.text
    }

    fn emit(&mut self, found: &mut dyn FnMut(&Scanned<'_>)) {
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
                Class::Quote => self.begin_string(at, 1, false, Constant::String),
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

/// The short tokens. Each function gets the text from the token's first byte and returns the token's length, or 0 if
/// the token could go on in the next piece.
impl<T: Text> Lexer<T> {
    #[inline]
    fn space(&mut self, rest: &[u8]) -> usize {
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
    fn word(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
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
                return self.begin_string(at, 2, true, Constant::String);
            }
            (Some(b'\''), Some(b'b' | b'B' | b'x' | b'X' | b'n' | b'N')) if length == 1 => {
                return self.begin_string(at, 2, false, Constant::String);
            }
            (Some(b'&'), Some(b'u' | b'U')) if length == 1 => match rest.get(2) {
                None if !last => return 0,
                Some(b'\'') => return self.begin_string(at, 3, false, Constant::UnicodeString),
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

    /// A string whose opening, with its quote, has `length` bytes.
    #[inline]
    fn begin_string(
        &mut self,
        at: u64,
        length: usize,
        backslash: bool,
        constant: Constant,
    ) -> usize {
        let mut backslash = backslash;
        match self.string {
            Some(before) if before.newline && length == 1 => backslash = before.backslash,
            _ => {
                if self.token(at) {
                    self.folder.constant(constant);
                }
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
    fn names(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
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
    fn quoted_name(&mut self, rest: &[u8], at: u64, last: bool, prefix: usize) -> usize {
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
    fn odd_name(
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
    fn stage_name(&mut self, content: &[u8], unicode: bool) -> usize {
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

    fn number(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
        let mut length = number_bytes(rest.get(..NUMBER_BYTES_MAX).unwrap_or(rest));
        // `.` and `e+` are looked at with what follows them.
        if !last && length + 3 > rest.len() && length < NUMBER_BYTES_MAX {
            return 0;
        }
        if length >= NUMBER_BYTES_MAX {
            length = NUMBER_BYTES_MAX;
            self.state = State::Number;
        }
        if self.token(at) {
            self.folder.constant(Constant::Number);
        }
        length
    }

    fn dollar(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
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
                self.folder.constant(Constant::Parameter);
            }
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
                if self.token(at) {
                    self.folder.constant(Constant::String);
                }
                length + 2
            }
            _ => {
                if self.token(at) {
                    self.folder.other(b"$");
                }
                1
            }
        }
    }

    #[inline]
    fn dot(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
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

    fn colon(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
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
    fn operator(&mut self, rest: &[u8], at: u64, last: bool) -> usize {
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

    fn punctuation(&mut self, first: u8, at: u64) {
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

/// The long tokens, which are skipped.
impl<T: Text> Lexer<T> {
    fn begin_comment(&mut self, rest: &[u8], at: u64) -> usize {
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

    fn keep_comment(&mut self, bytes: &[u8]) {
        let room = COMMENT_BYTES_MAX.saturating_sub(self.comments.len());
        self.comments
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Goes on inside a long token; returns how many bytes of `rest` belong to it.
    fn resume(&mut self, rest: &[u8]) -> usize {
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
            State::Number => self.resume_while(rest, |byte| {
                byte.is_ascii_digit() || matches!(byte, b'.' | b'_')
            }),
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

    fn resume_while(&mut self, rest: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
        match rest.iter().position(|byte| !belongs(*byte)) {
            Some(end) => {
                self.state = State::Between;
                end
            }
            None => rest.len(),
        }
    }

    fn resume_string(&mut self, rest: &[u8], backslash: bool, quote: bool, escaped: bool) -> usize {
        let mut index = usize::from(escaped);
        let mut quote = quote;
        while let Some(behind) = rest.get(index..) {
            if quote {
                match behind.first() {
                    None => break,
                    Some(b'\'') => {
                        quote = false;
                        index += 1;
                    }
                    Some(_) => {
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
                index = rest.len();
                break;
            };
            index += offset + 1;
            if behind.get(offset) == Some(&b'\\') {
                // The escaped byte may be in the next piece.
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

    fn resume_dollar(&mut self, rest: &[u8], matched: usize) -> usize {
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
                    return index;
                }
            } else {
                // A `$` can only be the first byte of the tag, or its last.
                matched = 0;
            }
        }
        self.state = State::Dollar { matched };
        rest.len()
    }

    fn resume_block_comment(&mut self, rest: &[u8], depth: u32, last: u8) -> usize {
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

/// Whether PostgreSQL reads `name` the same with and without quotes, keywords aside.
fn is_bare(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'a'..=b'z' | b'_' | 0x80..))
        && name.iter().all(|byte| bytes::word_lower(*byte) == *byte)
}

/// Whether it looks like an alias that Django makes (`U0`, `T3`, `AA12`): up to 5.2 it wrote them without quotes, so
/// in lower case, later with; they name nothing outside of their statement.
fn is_alias(name: &[u8]) -> bool {
    let letters = name
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    (1..=3).contains(&letters)
        && letters < name.len()
        && name.iter().skip(letters).all(u8::is_ascii_digit)
}

/// Length of the number at the start of `rest`, which begins with a digit or a dot and a digit.
fn number_bytes(rest: &[u8]) -> usize {
    if let [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', digits @ ..] = rest {
        return 2 + digits
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
    }
    let mut length = 0;
    while let Some(behind) = rest.get(length..) {
        length += match behind {
            [b'0'..=b'9', ..] => 1,
            [b'_', b'0'..=b'9', ..] => 2,
            [b'.', b'.', ..] => break,
            [b'.', ..] => 1,
            [b'e' | b'E', b'0'..=b'9', ..] => 2,
            [b'e' | b'E', b'+' | b'-', b'0'..=b'9', ..] => 3,
            _ => break,
        };
    }
    length
}

/// Length of the run of operator characters at the start of `rest`, up to a comment; 0 if a comment begins there.
#[inline]
fn operator_bytes(rest: &[u8]) -> usize {
    let mut length = 0;
    while length < OPERATOR_BYTES_MAX {
        match (rest.get(length), rest.get(length + 1)) {
            (Some(b'-'), Some(b'-')) | (Some(b'/'), Some(b'*')) => break,
            (Some(byte), _) if bytes::class(*byte) == Class::Operator => length += 1,
            _ => break,
        }
    }
    length
}

/// PostgreSQL's rule: `+` and `-` end an operator of several characters only behind one of `~!@#%^&|`?`.
#[inline]
fn trim_sign(run: &[u8]) -> &[u8] {
    let mut raw = run;
    while let [head @ .., b'+' | b'-'] = raw
        && !head.is_empty()
        && !head.iter().any(|byte| {
            matches!(
                byte,
                b'~' | b'!' | b'@' | b'#' | b'%' | b'^' | b'&' | b'|' | b'`' | b'?'
            )
        })
    {
        raw = head;
    }
    raw
}
