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

use super::canon::{self, Canon, StagedWord};
use super::head::{Head, Token, Verdict};
use super::text::Text;
use super::words::{self, Role, Word};

/// Deeper nesting is read but not folded.
const FRAMES_MAX: usize = 64;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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
struct Frame {
    kind: Kind,
    /// Before its first token.
    open: Start,
    /// Behind its first token.
    content: usize,
    /// The last element that was kept, if any was.
    previous: Option<(Mark, Mark)>,
    /// Where the present element begins.
    element: Mark,
}

/// What follows a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cast {
    /// Nothing yet.
    Behind,
    /// Nothing yet, behind a `U&''`: UESCAPE may come.
    BehindUnicode,
    /// `UESCAPE`.
    Escape,
    /// `::`, or `::schema.`.
    Colons,
    /// The name of a type, or a field of an interval.
    Name(Role),
    /// Inside `(...)` behind the name.
    Modifiers { role: Role, depth: u32 },
    /// Inside `[...]` behind the name.
    Subscript(Role),
    /// `timestamp with`, `timestamp without`: written, because it may be a clause of its own.
    With(Start),
    /// `timestamp with time`.
    WithTime,
}

/// What kind of token a cast is looking at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Word(Role),
    Quoted,
    Constant,
    Dot,
    Colons,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Other,
}

/// What kind of constant a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Constant {
    Number,
    Parameter,
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
            cast: Cast::Behind,
            candidate: Start::default(),
            frames: Vec::new(),
            frames_over: 0,
        }
    }

    /// Begins a new statement.
    pub(super) fn clear(&mut self) {
        self.canon.clear();
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

    /// A bare word, whose canonical form waits in the room.
    #[inline]
    pub(super) fn word(&mut self, raw: &[u8], staged: StagedWord) {
        let word = words::lookup(staged.key).filter(|word| !self.is_label(word.role));
        let staged = staged.staged_bytes;
        if self.pending != 0 {
            self.pending_word(raw, staged, word);
            return;
        }
        match word {
            None => {
                self.canon.commit(staged);
                self.text.token(raw, self.gap);
                self.after(true);
            }
            Some(word) => self.keyword(raw, staged, word),
        }
    }

    /// Behind a dot every word is a name; behind AS those are that cannot begin a statement.
    fn is_label(&self, role: Role) -> bool {
        match self.last {
            Last::Dot => true,
            Last::As => matches!(
                role,
                Role::Case
                    | Role::When
                    | Role::Else
                    | Role::End
                    | Role::Null
                    | Role::Boolean
                    | Role::Array
                    | Role::Default
                    | Role::In
                    | Role::Is
                    | Role::Begin
            ),
            Last::Other => false,
        }
    }

    /// A quoted name, whose canonical form waits in the room.
    #[inline]
    pub(super) fn quoted(&mut self, raw: &[u8], staged: usize) {
        if self.pending != 0 && self.pending_quoted(raw) {
            return;
        }
        self.canon.commit(staged);
        self.text.token(raw, self.gap);
        self.after(true);
    }

    /// A literal or a parameter.
    #[inline]
    pub(super) fn constant(&mut self, constant: Constant) {
        let mut gap = self.gap;
        let mut cast = match constant {
            Constant::UnicodeString => Cast::BehindUnicode,
            _ => Cast::Behind,
        };
        if self.pending != 0 {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Constant) {
                return;
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
                gap = self.drop_signs(gap);
            }
            self.pending &= !(pending::CANDIDATE | pending::NAME | pending::SIGNS);
        }
        self.write_constant(gap);
        self.cast = cast;
    }

    /// An operator. `+` and `-` before an operand may belong to it: they are cut off again if it is a constant.
    #[inline]
    pub(super) fn operator(&mut self, raw: &[u8]) {
        let mut signs = false;
        if self.pending != 0 {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Other) {
                return;
            }
            signs = self.pending & pending::SIGNS != 0;
            self.settle_other(Token::Other);
        }
        if !self.operand && matches!(raw, b"+" | b"-") {
            if !signs {
                self.signs = self.start();
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
        if self.pending != 0 {
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
        if self.pending != 0 {
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
        if self.pending != 0 {
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
        if self.pending != 0 {
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
            if is_constant && self.cut_back(frame.open) {
                self.write_constant(frame.open.gap);
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
        if self.pending != 0 {
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
        if self.pending != 0 {
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
                && self.cut_back(frame.open)
            {
                self.write_constant(frame.open.gap);
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
        if self.pending != 0 {
            if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Other) {
                return;
            }
            self.settle_other(Token::Other);
        }
        self.canon.token(raw);
        self.text.token(raw, self.gap);
        self.after(false);
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

    #[inline]
    fn write_constant(&mut self, gap: bool) {
        self.canon.byte(b'$');
        self.text.constant(gap);
        self.after(true);
        self.cast = Cast::Behind;
        self.pending |= pending::CAST;
    }

    fn keyword(&mut self, raw: &[u8], staged: usize, word: &'static Word) {
        let before = self.canon.position();
        let top = self.top();
        match word.role {
            Role::Null
                if self.operand
                    || matches!(self.role, Role::Is | Role::IsNot | Role::Not | Role::Set) => {}
            Role::Boolean if matches!(self.role, Role::Is | Role::IsNot) => {}
            Role::Default if top != Some(Kind::Row) => {}
            Role::Null | Role::Boolean | Role::Default => {
                let gap = self.drop_signs(self.gap);
                self.pending &= !pending::CANDIDATE;
                self.write_constant(gap);
                return;
            }
            Role::When | Role::Else | Role::End if top == Some(Kind::Case) => self.end_element(),
            _ => {}
        }
        let start = if self.pending & pending::SIGNS != 0 {
            self.signs
        } else {
            self.start()
        };
        if self.canon.position() == before {
            self.canon.commit(staged);
        } else {
            self.canon.token(word.text.as_bytes());
        }
        self.text.token(raw, self.gap);
        let before = self.role;
        let was_candidate = self.pending & pending::CANDIDATE != 0;
        self.pending &= !(pending::SIGNS | pending::CANDIDATE);
        self.operand = !word.prefix;
        self.last = if word.text == "as" {
            Last::As
        } else {
            Last::Other
        };
        self.role = match word.role {
            Role::Not if before == Role::Is => Role::IsNot,
            Role::Time if matches!(before, Role::With | Role::Without) => Role::WithTime,
            role => role,
        };
        match (word.role, before) {
            (Role::Precision, Role::Double)
            | (Role::Varying, Role::Character)
            | (Role::With | Role::Without, Role::Time)
            | (Role::Time, Role::With | Role::Without)
            | (Role::Zone, Role::WithTime)
                if was_candidate =>
            {
                self.pending |= pending::CANDIDATE;
            }
            (
                Role::Type
                | Role::Time
                | Role::Double
                | Role::Character
                | Role::Interval
                | Role::Array
                | Role::Range
                | Role::Hstore,
                _,
            ) => {
                self.candidate = start;
                self.pending |= pending::CANDIDATE;
            }
            (Role::Of, Role::Current) => self.pending |= pending::NAME,
            (Role::Case, _) => self.push(Kind::Case, start),
            (Role::End, _) => self.end_block(),
            (Role::Atomic, Role::Begin) if self.frames_over == 0 => {
                self.push(Kind::Atomic, start);
                self.depth = self.depth.saturating_add(1);
            }
            _ => {}
        }
    }

    /// A bare word that needs a second look.
    fn pending_word(&mut self, raw: &[u8], staged: usize, word: Option<&'static Word>) {
        let mut name = [0; canon::NAME_BYTES_MAX];
        for (to, from) in name.iter_mut().zip(self.canon.staged(staged)) {
            *to = *from;
        }
        let name = name.get(..staged).unwrap_or_default();
        let role = word.map_or(Role::None, |word| word.role);
        if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Word(role)) {
            return;
        }
        if self.pending & pending::LIST != 0
            && matches!(name, b"select" | b"with" | b"values" | b"table")
        {
            // `IN (SELECT a, b ...)`: no list of elements.
            if let Some(frame) = self.frames.last_mut() {
                frame.kind = Kind::Paren;
            }
        }
        if self.settle(Token::Word(name)) == Verdict::Value || self.pending & pending::NAME != 0 {
            self.name_value();
            return;
        }
        match word {
            Some(word) => self.keyword(raw, staged, word),
            None => {
                self.pending &= !(pending::SIGNS | pending::CANDIDATE);
                self.canon.commit(staged);
                self.text.token(raw, self.gap);
                self.after(true);
            }
        }
    }

    /// A quoted name that needs a second look; true when nothing is left to do.
    fn pending_quoted(&mut self, raw: &[u8]) -> bool {
        if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Quoted) {
            return true;
        }
        if self.settle(Token::Quoted(raw)) == Verdict::Value || self.pending & pending::NAME != 0 {
            self.name_value();
            return true;
        }
        self.pending &= !(pending::SIGNS | pending::CANDIDATE);
        false
    }

    /// The name of a cursor, savepoint or prepared statement: a constant.
    fn name_value(&mut self) {
        let gap = self.drop_signs(self.gap);
        self.pending &= !(pending::NAME | pending::CANDIDATE);
        self.write_constant(gap);
    }

    /// What every token has to settle before it is written, but for signs and candidates.
    fn settle(&mut self, token: Token<'_>) -> Verdict {
        if self.pending & pending::INNER != 0 {
            self.pending &= !pending::INNER;
            self.canon.begin_inner();
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
        if self.pending & pending::HEAD == 0 {
            return Verdict::Keep;
        }
        let verdict = self.head.step(token, self.depth);
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

    /// Whether the token belongs to the cast behind a constant, and so goes with it.
    fn cast_takes(&mut self, seen: Seen) -> bool {
        let next = match (self.cast, seen) {
            (
                Cast::Behind
                | Cast::BehindUnicode
                | Cast::Escape
                | Cast::Colons
                | Cast::Name(_)
                | Cast::WithTime,
                Seen::Colons,
            ) => Cast::Colons,
            (Cast::BehindUnicode, Seen::Word(Role::Uescape)) => Cast::Escape,
            (Cast::Escape, Seen::Constant) => Cast::Behind,
            (Cast::Colons, Seen::Word(role)) => Cast::Name(role),
            (Cast::Colons, Seen::Quoted) => Cast::Name(Role::None),
            (Cast::Name(_), Seen::Dot) => Cast::Colons,
            (Cast::Name(role), Seen::Open) => Cast::Modifiers { role, depth: 1 },
            (Cast::Name(role), Seen::OpenBracket) => Cast::Subscript(role),
            (Cast::Name(Role::Double), Seen::Word(Role::Precision)) => Cast::Name(Role::None),
            (Cast::Name(Role::Character), Seen::Word(Role::Varying)) => Cast::Name(Role::None),
            (Cast::Name(Role::Interval), Seen::Word(Role::Field | Role::To)) => self.cast,
            (Cast::Name(Role::Time), Seen::Word(Role::With | Role::Without)) => {
                self.cast = Cast::With(self.start());
                return false;
            }
            (Cast::With(start), Seen::Word(Role::Time)) if self.cut_back(start) => {
                self.after(true);
                Cast::WithTime
            }
            (Cast::WithTime, Seen::Word(Role::Zone)) => Cast::Name(Role::None),
            (Cast::Modifiers { role, depth: 1 }, Seen::Close) => Cast::Name(role),
            (Cast::Modifiers { role, depth }, Seen::Close) => Cast::Modifiers {
                role,
                depth: depth - 1,
            },
            (Cast::Modifiers { role, depth }, Seen::Open) => Cast::Modifiers {
                role,
                depth: depth + 1,
            },
            (Cast::Modifiers { .. }, _) => self.cast,
            (Cast::Subscript(role), Seen::CloseBracket) => Cast::Name(role),
            (Cast::Subscript(_), _) => self.cast,
            _ => {
                self.pending &= !pending::CAST;
                return false;
            }
        };
        self.cast = next;
        true
    }

    #[inline]
    fn start(&self) -> Start {
        Start {
            mark: self.mark(),
            gap: self.gap,
        }
    }

    #[inline]
    fn top(&self) -> Option<Kind> {
        match self.frames_over {
            0 => self.frames.last().map(|frame| frame.kind),
            _ => None,
        }
    }

    fn push(&mut self, kind: Kind, open: Start) {
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
    fn pop_paren(&mut self) -> Option<Frame> {
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
    fn pop_bracket(&mut self) -> Option<Frame> {
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
    fn end_block(&mut self) {
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
    fn end_element(&mut self) {
        let now = self.mark();
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let element = self.canon.between(frame.element.canon, now.canon);
        let is_constant = element == Some(canon::CONSTANT);
        if let Some((from, to)) = frame.previous {
            let repeats = element.is_some() && element == self.canon.between(from.canon, to.canon);
            if repeats && self.canon.truncate(to.canon) {
                self.text.truncate(to.text);
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
    fn at_element(&self) -> bool {
        self.frames
            .last()
            .is_some_and(|frame| frame.element.canon == self.canon.position())
    }

    /// Whether a `(` that comes now is an element of an IN list.
    fn begins_tuple(&self) -> bool {
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
    fn is_constants(&self, frame: &Frame) -> bool {
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
    fn is_constant_call(&self, frame: &Frame) -> bool {
        let length = self.canon.position() - frame.content;
        matches!(length, 6 | 10) && self.is_constants(frame)
    }
}
