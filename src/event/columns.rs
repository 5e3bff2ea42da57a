//! What the columns of a result are, and how long that is kept.

use std::ops::Deref;
use std::sync::Arc;

use smallvec::SmallVec;

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
///
/// Nearly all descriptions of an application are few and come again for as long as it runs: those are kept for the life
/// of the process, and each result names its own. A count of those that hold one would be a word that two threads write
/// to for each query. What comes beyond some limit is counted, and goes with the last that holds it.
#[derive(Debug, Clone)]
pub enum Columns {
    /// For the life of the process.
    Kept(&'static RowColumns),
    /// As long as somebody holds it.
    Counted(Arc<RowColumns>),
}

impl Columns {
    /// Keeps them for as long as the process runs; whoever calls it sees to it that they are few.
    pub fn kept(columns: RowColumns) -> Columns {
        Columns::Kept(Box::leak(Box::new(columns)))
    }

    /// Whether both are one and the same; what is not may be equal.
    #[inline]
    pub fn is(&self, other: &Columns) -> bool {
        std::ptr::eq::<RowColumns>(&**self, &**other)
    }
}

impl From<RowColumns> for Columns {
    fn from(columns: RowColumns) -> Columns {
        Columns::Counted(Arc::new(columns))
    }
}

impl Deref for Columns {
    type Target = RowColumns;

    #[inline]
    fn deref(&self) -> &RowColumns {
        match self {
            Columns::Kept(columns) => columns,
            Columns::Counted(columns) => columns,
        }
    }
}

impl PartialEq for Columns {
    #[inline]
    fn eq(&self, other: &Columns) -> bool {
        self.is(other) || **self == **other
    }
}

impl Eq for Columns {}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(name: &str) -> RowColumns {
        let column = RowColumn {
            name: name.into(),
            table_oid: 1,
            attribute: 1,
            type_oid: 23,
        };
        RowColumns {
            all: [column].into(),
            keys: SmallVec::from_slice(&[0]),
        }
    }

    #[test]
    fn what_is_equal_need_not_be_the_same() {
        let kept = Columns::kept(columns("id"));
        let counted = Columns::from(columns("id"));
        assert!(kept.is(&kept.clone()) && counted.is(&counted.clone()));
        assert!(kept == counted && !kept.is(&counted));
        assert_ne!(kept, Columns::from(columns("no")));
        assert_eq!(&*counted.all[0].name, "id");
    }
}
