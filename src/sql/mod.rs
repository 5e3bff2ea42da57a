//! SQL text to tokens, to a fingerprint and its normalised text, to facts and comment tags.
//!
//! *Architecture invariant:* imports nothing of ours, reads no clock, and one pass over the text does everything
//! the hot path needs: split into statements, fingerprint, name what each statement is.
//!
//! The text alone does not say how the session has set `standard_conforming_strings`: a [`Dialect`] does. A text that
//! cannot be read (a string that does not end) may have names and values the wrong way round: it is marked, so that
//! nobody is shown any of it. Reading order: `lex` (tokens), `fold` (the rules), `canon` (the hash), `scan` (the way in;
//! `outline` and `familiar` spare it what it has read before).

mod bytes;
mod words;
mod canon;
mod text;
mod head;
mod fold;
mod lex;
mod outline;
mod familiar;
pub mod scan;
pub mod tags;
pub mod facts;
pub mod statements;
pub mod value;
mod values;
#[cfg(test)]
mod tests;

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

pub use canon::ALGORITHM_VERSION;
pub use scan::{Inner, OwnedScanned, Scanned, Scanner, scan_all};

/// How much of a statement its identity covers unless the configuration says otherwise, bytes.
pub const FINGERPRINT_BYTES_MAX: usize = 1 << 20;

/// What of a session's settings decides how its strings are read; the default is PostgreSQL's since 9.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dialect {
    /// `standard_conforming_strings = off`: backslashes escape in plain strings too.
    pub backslashes: bool,
    /// The server may have changed that meanwhile and not told of it yet: a text of which it would matter is
    /// unreadable.
    pub unsettled: bool,
    /// A client encoding in which a byte that looks like ASCII may be the second half of a character: where a
    /// backslash escapes, nobody knows.
    pub ascii_trails: bool,
}

impl Dialect {
    /// Whether its strings are read as PostgreSQL reads them unless told otherwise, or will be: of a text without
    /// backslashes in its strings it does not matter which.
    #[inline]
    pub fn is_standard(self) -> bool {
        !self.backslashes && !self.ascii_trails
    }
}

/// A statement's text as it was sent, perhaps cut.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// Its bytes.
    pub text: &'a [u8],
    /// How its strings were read.
    pub dialect: Dialect,
    /// It could not be read: what stands in it may be anything.
    pub unreadable: bool,
}

impl Written<'_> {
    /// The text for people: normalised, or what stands for it.
    pub fn shown(&self, fingerprint: Fingerprint) -> String {
        if self.unreadable {
            return not_shown(fingerprint);
        }
        normalize_as(&String::from_utf8_lossy(self.text), self.dialect)
    }
}

/// What stands for a text that may hold values anywhere.
pub fn not_shown(fingerprint: Fingerprint) -> String {
    format!("/* not shown, for it is no SQL that a server has read: {fingerprint} */")
}

/// Identity of a query shape: xxh3-64 of the canonical token stream (algorithm version 1).
///
/// Equal on every machine, run and server version. Written as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Of the same tokens in a text that cannot be read: it is not what they are elsewhere.
    pub(crate) fn of_unreadable(self) -> Fingerprint {
        Fingerprint(self.0.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// What kind of statement it is: the first keyword, or behind `WITH` the main one.
///
/// [`Verb::as_str`] is the value of the label `db_operation_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each variant is the SQL keyword it names")]
#[non_exhaustive]
pub enum Verb {
    Select,
    Insert,
    Update,
    Delete,
    Merge,
    Values,
    Table,
    Copy,
    Call,
    Do,
    Begin,
    Commit,
    Rollback,
    Savepoint,
    Release,
    RollbackTo,
    PrepareTransaction,
    CommitPrepared,
    RollbackPrepared,
    SetTransaction,
    Set,
    Reset,
    Show,
    Discard,
    Declare,
    Fetch,
    Move,
    Close,
    Prepare,
    Execute,
    Deallocate,
    Explain,
    Listen,
    Notify,
    Unlisten,
    Lock,
    Create,
    Alter,
    Drop,
    Truncate,
    Grant,
    Revoke,
    Comment,
    Analyze,
    Vacuum,
    Reindex,
    Cluster,
    Refresh,
    Checkpoint,
    /// Text without any token: an empty query, answered by EmptyQueryResponse.
    Empty,
    /// A replication command, or a keyword we do not know.
    Other,
}

/// Groups of verbs that belong together in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VerbClass {
    /// Reads or writes data: what detectors look at.
    Query,
    /// BEGIN, COMMIT, SAVEPOINT and their like.
    Transaction,
    /// SET, SHOW, RESET, DISCARD.
    Setting,
    /// DECLARE, FETCH, MOVE, CLOSE.
    Cursor,
    /// PREPARE, EXECUTE, DEALLOCATE.
    Prepared,
    /// Changes what the database consists of, or who may do what.
    Definition,
    /// VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT.
    Maintenance,
    /// LISTEN, NOTIFY, UNLISTEN.
    Notification,
    /// An empty query.
    Empty,
    /// EXPLAIN, LOCK, and what we do not know.
    Other,
}

impl Verb {
    /// All of them, in the order of their declaration.
    pub const ALL: [Verb; 51] = [
        Verb::Select,
        Verb::Insert,
        Verb::Update,
        Verb::Delete,
        Verb::Merge,
        Verb::Values,
        Verb::Table,
        Verb::Copy,
        Verb::Call,
        Verb::Do,
        Verb::Begin,
        Verb::Commit,
        Verb::Rollback,
        Verb::Savepoint,
        Verb::Release,
        Verb::RollbackTo,
        Verb::PrepareTransaction,
        Verb::CommitPrepared,
        Verb::RollbackPrepared,
        Verb::SetTransaction,
        Verb::Set,
        Verb::Reset,
        Verb::Show,
        Verb::Discard,
        Verb::Declare,
        Verb::Fetch,
        Verb::Move,
        Verb::Close,
        Verb::Prepare,
        Verb::Execute,
        Verb::Deallocate,
        Verb::Explain,
        Verb::Listen,
        Verb::Notify,
        Verb::Unlisten,
        Verb::Lock,
        Verb::Create,
        Verb::Alter,
        Verb::Drop,
        Verb::Truncate,
        Verb::Grant,
        Verb::Revoke,
        Verb::Comment,
        Verb::Analyze,
        Verb::Vacuum,
        Verb::Reindex,
        Verb::Cluster,
        Verb::Refresh,
        Verb::Checkpoint,
        Verb::Empty,
        Verb::Other,
    ];

    /// The keyword as SQL writes it, in upper case; `EMPTY` and `OTHER` for what has none.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Select => "SELECT",
            Verb::Insert => "INSERT",
            Verb::Update => "UPDATE",
            Verb::Delete => "DELETE",
            Verb::Merge => "MERGE",
            Verb::Values => "VALUES",
            Verb::Table => "TABLE",
            Verb::Copy => "COPY",
            Verb::Call => "CALL",
            Verb::Do => "DO",
            Verb::Begin => "BEGIN",
            Verb::Commit => "COMMIT",
            Verb::Rollback => "ROLLBACK",
            Verb::Savepoint => "SAVEPOINT",
            Verb::Release => "RELEASE",
            Verb::RollbackTo => "ROLLBACK TO",
            Verb::PrepareTransaction => "PREPARE TRANSACTION",
            Verb::CommitPrepared => "COMMIT PREPARED",
            Verb::RollbackPrepared => "ROLLBACK PREPARED",
            Verb::SetTransaction => "SET TRANSACTION",
            Verb::Set => "SET",
            Verb::Reset => "RESET",
            Verb::Show => "SHOW",
            Verb::Discard => "DISCARD",
            Verb::Declare => "DECLARE",
            Verb::Fetch => "FETCH",
            Verb::Move => "MOVE",
            Verb::Close => "CLOSE",
            Verb::Prepare => "PREPARE",
            Verb::Execute => "EXECUTE",
            Verb::Deallocate => "DEALLOCATE",
            Verb::Explain => "EXPLAIN",
            Verb::Listen => "LISTEN",
            Verb::Notify => "NOTIFY",
            Verb::Unlisten => "UNLISTEN",
            Verb::Lock => "LOCK",
            Verb::Create => "CREATE",
            Verb::Alter => "ALTER",
            Verb::Drop => "DROP",
            Verb::Truncate => "TRUNCATE",
            Verb::Grant => "GRANT",
            Verb::Revoke => "REVOKE",
            Verb::Comment => "COMMENT",
            Verb::Analyze => "ANALYZE",
            Verb::Vacuum => "VACUUM",
            Verb::Reindex => "REINDEX",
            Verb::Cluster => "CLUSTER",
            Verb::Refresh => "REFRESH",
            Verb::Checkpoint => "CHECKPOINT",
            Verb::Empty => "EMPTY",
            Verb::Other => "OTHER",
        }
    }

    /// The group it belongs to.
    pub fn class(self) -> VerbClass {
        match self {
            Verb::Select
            | Verb::Insert
            | Verb::Update
            | Verb::Delete
            | Verb::Merge
            | Verb::Values
            | Verb::Table
            | Verb::Copy
            | Verb::Call
            | Verb::Do => VerbClass::Query,
            Verb::Begin
            | Verb::Commit
            | Verb::Rollback
            | Verb::Savepoint
            | Verb::Release
            | Verb::RollbackTo
            | Verb::PrepareTransaction
            | Verb::CommitPrepared
            | Verb::RollbackPrepared
            | Verb::SetTransaction => VerbClass::Transaction,
            Verb::Set | Verb::Reset | Verb::Show | Verb::Discard => VerbClass::Setting,
            Verb::Declare | Verb::Fetch | Verb::Move | Verb::Close => VerbClass::Cursor,
            Verb::Prepare | Verb::Execute | Verb::Deallocate => VerbClass::Prepared,
            Verb::Create
            | Verb::Alter
            | Verb::Drop
            | Verb::Truncate
            | Verb::Grant
            | Verb::Revoke
            | Verb::Comment
            | Verb::Refresh => VerbClass::Definition,
            Verb::Analyze | Verb::Vacuum | Verb::Reindex | Verb::Cluster | Verb::Checkpoint => {
                VerbClass::Maintenance
            }
            Verb::Listen | Verb::Notify | Verb::Unlisten => VerbClass::Notification,
            Verb::Empty => VerbClass::Empty,
            Verb::Explain | Verb::Lock | Verb::Other => VerbClass::Other,
        }
    }
}

/// A cursor's or prepared statement's name, as its hash.
///
/// ```
/// use pgprism::sql::{name_hash, scan_all};
/// let statement = &scan_all("FETCH 100 FROM Orders")[0];
/// assert_eq!(statement.subject, Some(name_hash(b"orders")));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameHash(pub u64);

impl NameHash {
    /// Of the empty name: the statement, or the portal, without one.
    pub const UNNAMED: NameHash = NameHash(0x2D06_8005_38D3_94C2);

    /// Of a name whose case is folded already.
    pub(crate) fn of(name: &[u8]) -> NameHash {
        let length = canon::name_bytes(name);
        NameHash(xxh3_64(name.get(..length).unwrap_or(name)))
    }
}

/// Hash of a name as Parse, Bind, Describe and Close carry it: verbatim, without the NUL.
#[inline]
pub fn name_hash(wire_name: &[u8]) -> NameHash {
    match wire_name {
        [] => NameHash::UNNAMED,
        name => NameHash::of(name),
    }
}

/// One statement as pg_stat_statements of PostgreSQL 18 would write it: constants are `$1`, `$2`, ..., a list of them
/// `$1 /*, ... */`, white space is one space, comments are left out. Equal shapes may differ in letter case and
/// quotes; normalising the result again changes nothing. Several statements are joined by `; `.
///
/// ```
/// use pgprism::sql::normalize;
/// assert_eq!(
///     normalize("SELECT  a FROM \"t\" WHERE id IN (1, 2, 3) AND b = -5 -- why"),
///     "SELECT a FROM \"t\" WHERE id IN ($1 /*, ... */) AND b = $2"
/// );
/// ```
pub fn normalize(text: &str) -> String {
    normalize_as(text, Dialect::default())
}

/// [`normalize`] of a session's text.
pub fn normalize_as(text: &str, dialect: Dialect) -> String {
    let mut lexer = lex::Lexer::new(fold::Folder::new(text::Normalized::default(), usize::MAX));
    lexer.dialect = dialect;
    lexer.feed(text.as_bytes(), &mut |_| {});
    lexer.end(&mut |_| {});
    lexer.into_text().finish()
}
