//! What the columns of a result are.

use smallvec::SmallVec;

use super::Common;

/// A RowDescription: what a result's columns are.
#[derive(Debug, PartialEq, Eq)]
pub struct RowColumns {
    /// All of them, in order; at most 1,664 (PostgreSQL's own limit).
    pub all: Box<[RowColumn]>,
    /// Which of them are key-like, as indexes into `all`; most results have few, which stand where their counts do.
    pub keys: SmallVec<[u16; 8]>,
}

/// One column of a RowDescription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowColumn {
    /// Its name or alias, cut at 63 bytes.
    pub name: Box<str>,
    /// Object id of the table it comes from; 0 for an expression.
    pub table_oid: u32,
    /// Its attribute number in that table; 0 for an expression.
    pub attribute: i16,
    /// Object id of its type.
    pub type_oid: u32,
}

/// A RowDescription that many results share.
pub type Columns = Common<RowColumns>;
