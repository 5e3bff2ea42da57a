//! SQL text to tokens, to a fingerprint and its normalised text, to facts and comment tags.
//!
//! *Architecture invariant:* imports nothing of ours, reads no clock, and one pass over the text does everything
//! the hot path needs: split into statements, fingerprint, name what each statement is.

pub mod facts;
pub mod tags;

/// Identity of a query shape: xxh3-64 of the canonical token stream (algorithm version 1).
///
/// Equal on every machine, run and server version. Written as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
