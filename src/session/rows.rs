//! The key-like values of the result that is arriving.
//!
//! *Architecture invariant:* a row is read in place, only up to its last key column, and what is kept of a result is
//! bounded in rows and hashes. A row that does not fit its description ends this for its result and nothing else.

use std::sync::Arc;

use super::columns::Described;
use super::{Settings, Sink, types};
use crate::event::{Held, Keys, RowColumn, RowColumns, RowKeys};
use crate::sql::value::{KEY_BYTES_MAX, ValueHash, ValueKey};
use crate::wire::fields::{FIELD_BYTES_MAX, FieldReceiver, Fields};
use crate::wire::frame::{Rest, Want};

const _: () = assert!(KEY_BYTES_MAX == FIELD_BYTES_MAX, "a key comes in one piece");

/// Rows whose description is known.
#[derive(Debug)]
struct Open {
    columns: Arc<RowColumns>,
    binary: u64,
    keys: Keys,
    rows: u32,
    /// Rows that are kept at most.
    rows_max: u32,
    rows_total: u64,
}

#[derive(Debug, Default)]
enum State {
    /// No row came, and no description.
    #[default]
    Closed,
    /// Nobody wants them, or one could not be read.
    Ignored,
    Open(Open),
}

/// The rows of the statement that is being answered.
#[derive(Debug, Default)]
pub(super) struct Results {
    state: State,
    fields: Fields,
}

impl Results {
    /// Whether it is not known yet if rows that come now are wanted.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Rows of this description follow; `binary`: which of their key columns are in binary format, a bit each.
    pub(super) fn open(&mut self, described: Described, settings: &Settings) {
        let per_row = described.columns.keys.len();
        let rows_max = match per_row {
            0 => 0,
            per_row => settings
                .result_rows_max
                .min(settings.result_keys_max / per_row),
        };
        self.state = State::Open(Open {
            columns: described.columns,
            binary: described.binary,
            keys: Keys::new(),
            rows: 0,
            rows_max: u32::try_from(rows_max).unwrap_or(u32::MAX),
            rows_total: 0,
        });
    }

    /// Rows that come are not wanted.
    pub(super) fn ignore(&mut self) {
        self.state = State::Ignored;
    }

    /// The statement is over, or was never asked: forgets what came.
    pub(super) fn forget(&mut self) {
        self.state = State::Closed;
    }

    /// A DataRow begins.
    #[inline]
    pub(super) fn row(&mut self) -> Want {
        let State::Open(open) = &mut self.state else {
            return Want::Nothing;
        };
        open.rows_total += 1;
        match open.columns.keys.last() {
            Some(last) if open.rows < open.rows_max => {
                self.fields.begin(*last);
                Want::Stream
            }
            _ => Want::Nothing,
        }
    }

    /// Whether nothing is wanted of the rows that follow.
    #[inline]
    pub(super) fn skips_rows(&self) -> bool {
        match &self.state {
            State::Closed => false,
            State::Open(open) => open.rows >= open.rows_max || open.columns.keys.is_empty(),
            _ => true,
        }
    }

    /// So many rows of which nothing was wanted.
    #[inline]
    pub(super) fn skipped(&mut self, rows: u64) {
        if let State::Open(open) = &mut self.state {
            open.rows_total += rows;
        }
    }

    /// A part of a DataRow.
    #[inline]
    pub(super) fn piece(&mut self, key: ValueKey, piece: &[u8], rest: Rest) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        let per_row = open.columns.keys.len();
        self.fields.feed(
            piece,
            &mut Row {
                key,
                columns: &open.columns,
                binary: open.binary,
                start: per_row * open.rows as usize,
                keys: &mut open.keys,
            },
        );
        if rest == Rest::Last {
            open.rows += 1;
            if !self.fields.is_done() || open.keys.len() != per_row * open.rows as usize {
                self.state = State::Ignored;
            }
        }
    }

    /// The statement is over: what came of its rows; `None` without a description, or without room in the account.
    pub(super) fn take(&mut self, sink: &mut impl Sink) -> Option<RowKeys> {
        let State::Open(open) = std::mem::take(&mut self.state) else {
            return None;
        };
        let mut keys = open.keys;
        keys.shrink_to_fit();
        // What has no memory of its own is bounded by the places that events wait in.
        let held = match keys.spilled() {
            true => sink.hold(keys.len() * size_of::<Option<ValueHash>>())?,
            false => Held::default(),
        };
        Some(RowKeys {
            columns: open.columns,
            keys,
            rows: open.rows,
            rows_total: open.rows_total,
            held,
        })
    }

    /// Bytes it holds, itself left out.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.state {
            State::Open(open) if open.keys.spilled() => {
                open.keys.capacity() * size_of::<Option<ValueHash>>()
            }
            State::Open(_) | State::Closed | State::Ignored => 0,
        }
    }
}

/// Receives the fields of one row.
struct Row<'a> {
    key: ValueKey,
    columns: &'a RowColumns,
    binary: u64,
    /// How many hashes there were before it.
    start: usize,
    keys: &'a mut Keys,
}

impl Row<'_> {
    /// The place of the next key column among the key columns.
    fn place(&self) -> usize {
        self.keys.len() - self.start
    }

    fn is_next(&self, index: usize) -> bool {
        self.columns
            .keys
            .get(self.place())
            .is_some_and(|key| usize::from(*key) == index)
    }
}

impl FieldReceiver for Row<'_> {
    #[inline]
    fn wants(&mut self, index: usize) -> bool {
        self.is_next(index)
    }

    #[inline]
    fn field(&mut self, index: usize, value: Option<&[u8]>) {
        if !self.is_next(index) {
            return;
        }
        let place = self.place();
        let hash = value.and_then(|value| match self.binary >> place & 1 {
            0 => self.key.text(value),
            _ => self
                .columns
                .all
                .get(index)
                .and_then(|&RowColumn { type_oid, .. }| {
                    types::binary_value(self.key, type_oid, value)
                }),
        });
        self.keys.push(hash);
    }

    fn long(&mut self, _: usize, _: &[u8], rest: Rest) {
        if rest == Rest::Last {
            self.keys.push(None);
        }
    }
}
