//! The hot path: SQL text in pieces of any size to statements with their fingerprints, in one pass.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use super::familiar::Familiars;
use super::fold::Folder;
use super::lex::Lexer;
use super::outline::Outline;
use super::value::{Slot, ValueKey};
use super::values::Values;
use super::{Dialect, Fingerprint, NameHash, Verb};

/// Reads SQL text, cut anywhere, and says what each statement is.
///
/// Its buffers are reused from statement to statement; it holds a few KiB, and at most about 90 KiB however long the
/// text is. One that is given whole texts ([`Scanner::scan`]) remembers those that come again, in 512 KiB at most.
///
/// ```
/// use pgprism::sql::{Scanner, Verb};
/// let mut scanner = Scanner::new(1 << 20);
/// let mut seen = Vec::new();
/// scanner.begin();
/// scanner.feed(b"SELECT 1; UPDATE t SET a = 'x", &mut |s| seen.push((s.fingerprint, s.verb)));
/// scanner.feed(b"y' WHERE id = 7", &mut |s| seen.push((s.fingerprint, s.verb)));
/// scanner.end(&mut |s| seen.push((s.fingerprint, s.verb)));
/// assert_eq!(seen[0].1, Verb::Select);
/// assert_eq!(seen[1].1, Verb::Update);
/// ```
pub struct Scanner {
    lexer: Lexer<Values>,
    familiars: Familiars,
    /// Of a longer text only a part counts.
    bytes_max: usize,
}

/// A statement that was read, borrowed from the scanner.
#[derive(Debug)]
pub struct Scanned<'a> {
    /// Identity of its shape.
    pub fingerprint: Fingerprint,
    /// Its main keyword.
    pub verb: Verb,
    /// Its first byte (a comment counts) in the whole text.
    pub start: u64,
    /// Behind its last byte, without the `;`.
    pub end: u64,
    /// The query of a DECLARE, the statement of a PREPARE.
    pub inner: Option<Inner>,
    /// The cursor of DECLARE, FETCH, MOVE and CLOSE, the statement of PREPARE, EXECUTE and DEALLOCATE; `None` for
    /// ALL and for every other verb.
    pub subject: Option<NameHash>,
    /// Its comments one after the other, with their delimiters; at most 16 KiB, the rest is left out.
    pub comments: &'a [u8],
    /// The fingerprint covers only the first part of it.
    pub truncated: bool,
    /// DECLARE ... WITH HOLD: the cursor outlives its transaction.
    pub holdable: bool,
    /// Its constants in the order of the normalised text (that of the inner statement, where there is one): the first
    /// is `$1`. At most [`CONSTANTS_MAX`](super::value::CONSTANTS_MAX); none without a key ([`Scanner::set_key`]).
    pub slots: &'a [Slot],
    /// All literals together, those of folded lists included, as one keyed hash: equal for equal literals. 0 without
    /// a key.
    pub values: u64,
    /// It is no SQL that a server would read: names and values may stand the wrong way round.
    pub unreadable: bool,
}

/// The statement inside a DECLARE or PREPARE: it has the fingerprint that it would have alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner {
    /// Identity of its shape.
    pub fingerprint: Fingerprint,
    /// Its main keyword.
    pub verb: Verb,
    /// Its first byte in the whole text.
    pub start: u64,
}

/// A [`Scanned`] that stands alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of Scanned")]
pub struct OwnedScanned {
    pub fingerprint: Fingerprint,
    pub verb: Verb,
    pub start: u64,
    pub end: u64,
    pub inner: Option<Inner>,
    pub subject: Option<NameHash>,
    pub comments: Vec<u8>,
    pub truncated: bool,
    pub holdable: bool,
    pub slots: Vec<Slot>,
    pub values: u64,
    pub unreadable: bool,
}

impl Scanned<'_> {
    /// A copy that outlives the scanner's buffers.
    pub fn to_owned(&self) -> OwnedScanned {
        OwnedScanned {
            fingerprint: self.fingerprint,
            verb: self.verb,
            start: self.start,
            end: self.end,
            inner: self.inner,
            subject: self.subject,
            comments: self.comments.to_vec(),
            truncated: self.truncated,
            holdable: self.holdable,
            slots: self.slots.to_vec(),
            values: self.values,
            unreadable: self.unreadable,
        }
    }
}

impl Scanner {
    /// The identity covers the first `fingerprint_bytes_max` bytes of each statement.
    pub fn new(fingerprint_bytes_max: usize) -> Scanner {
        Scanner {
            lexer: Lexer::new(Folder::new(Values::default(), fingerprint_bytes_max)),
            familiars: Familiars::default(),
            bytes_max: fingerprint_bytes_max,
        }
    }

    /// Has the values of the texts that follow hashed with `key`, or not looked at.
    pub fn set_key(&mut self, key: Option<ValueKey>) {
        self.lexer.text_mut().set_key(key);
    }

    /// How the strings of the texts that follow are read.
    pub fn set_dialect(&mut self, dialect: Dialect) {
        self.lexer.dialect = dialect;
    }

    /// How much of a statement the identity covers.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Bytes of memory it holds, itself included.
    pub fn held_bytes(&self) -> usize {
        size_of::<Scanner>() + self.lexer.held_bytes() + self.familiars.held_bytes()
    }

    /// A text that is whole in one piece: the same as [`Scanner::begin`], [`Scanner::feed`] and [`Scanner::end`].
    pub fn scan(&mut self, text: &[u8], found: &mut dyn FnMut(&Scanned<'_>)) {
        match self.recognise(text) {
            Some(scanned) => found(&scanned),
            None => self.read(text, found),
        }
    }

    /// What a whole text is, if that is remembered: one statement without comments that works on data.
    #[inline]
    pub fn recognise(&mut self, text: &[u8]) -> Option<Scanned<'_>> {
        if self.may_be_familiar(text) {
            let key = self.lexer.text_mut().key();
            self.familiars.recognise(text, key)
        } else {
            None
        }
    }

    /// Texts with a backslash in a string are not remembered, and only of those it would matter that the dialect is
    /// not settled.
    #[inline]
    fn may_be_familiar(&self, text: &[u8]) -> bool {
        self.lexer.dialect.is_standard() && text.len() <= self.bytes_max
    }

    /// Reads a whole text that is not remembered, and remembers it if it comes again.
    pub fn read(&mut self, text: &[u8], found: &mut dyn FnMut(&Scanned<'_>)) {
        if !self.may_be_familiar(text) {
            return self.lexer.whole(text, found);
        }
        let mut fingerprint = Fingerprint(0);
        self.lexer.whole(text, &mut |scanned| {
            fingerprint = scanned.fingerprint;
            found(scanned);
        });
        if self.familiars.wants(fingerprint, text) {
            self.learn(text);
        }
    }

    /// Reads a text once more to remember what it is.
    #[cold]
    fn learn(&mut self, text: &[u8]) {
        let mut outline = Outline::default();
        if !outline.read(text) {
            return;
        }
        self.lexer.text_mut().begin_trace();
        let mut statements = Vec::new();
        self.lexer.whole(text, &mut |scanned| {
            statements.push(scanned.to_owned());
        });
        let trace = self.lexer.text_mut().end_trace();
        if let [only] = statements.as_slice() {
            self.familiars.learn(text, &outline, only, trace.as_deref());
        }
    }

    /// Whether the text would be known without reading it.
    #[cfg(test)]
    pub(super) fn knows(&mut self, text: &[u8]) -> bool {
        self.recognise(text).is_some()
    }

    /// A new text begins: the string of a Query or a Parse. What was not ended is forgotten.
    pub fn begin(&mut self) {
        self.lexer.begin();
    }

    /// The next piece of the text. `found` is called for each statement that a `;` ended.
    pub fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&Scanned<'_>)) {
        self.lexer.feed(piece, found);
    }

    /// The text is complete: `found` is called for the last statement, if it had a token, and for a text without
    /// any token, which is a statement with [`Verb::Empty`].
    pub fn end(&mut self, found: &mut dyn FnMut(&Scanned<'_>)) {
        self.lexer.end(found);
    }
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner").finish_non_exhaustive()
    }
}

/// All statements of a text.
pub fn scan_all(text: &str) -> Vec<OwnedScanned> {
    let mut statements = Vec::new();
    let mut scanner = Scanner::new(super::FINGERPRINT_BYTES_MAX);
    scanner.scan(text.as_bytes(), &mut |scanned| {
        statements.push(scanned.to_owned());
    });
    statements
}
