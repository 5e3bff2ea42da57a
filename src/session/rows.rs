//! The key-like values of the result that is arriving.
//!
//! *Architecture invariant:* a row is read in place, only up to its last key column, and what is kept of a result is
//! bounded in rows and hashes. A row that does not fit its description ends this for its result and nothing else.

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
    /// What came of them.
    result: RowKeys,
    binary: u64,
    /// As in [`Described`].
    keys: u64,
    /// Rows that are kept at most; none of a result without key columns.
    rows_max: u32,
    /// The place in a row that comes in pieces: few results have one.
    fields: Option<Box<Fields>>,
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
    row_is: RowIs,
}

/// How far the row has come that is arriving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum RowIs {
    #[default]
    New,
    Begun,
}

impl Results {
    /// Whether it is not known yet if rows that come now are wanted.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Rows of this description follow; `binary`: which of their key columns are in binary format, a bit each.
    pub(super) fn open(&mut self, described: Described, settings: &Settings) {
        let per_row = described.key_count();
        let rows_max = match per_row {
            0 => 0,
            per_row => settings
                .result_rows_max
                .min(settings.result_keys_max / per_row),
        };
        self.state = State::Open(Open {
            result: RowKeys {
                columns: described.columns,
                keys: Keys::new(),
                rows: 0,
                rows_total: 0,
                held: Held::default(),
            },
            binary: described.binary,
            keys: described.keys,
            rows_max: u32::try_from(rows_max).unwrap_or(u32::MAX),
            fields: None,
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
        open.result.rows_total += 1;
        if open.result.rows >= open.rows_max {
            return Want::Nothing;
        }
        self.row_is = RowIs::New;
        Want::Stream
    }

    /// Whether nothing is wanted of the rows that follow.
    #[inline]
    pub(super) fn skips_rows(&self) -> bool {
        match &self.state {
            State::Closed => false,
            State::Open(open) => open.result.rows >= open.rows_max,
            State::Ignored => true,
        }
    }

    /// So many rows of which nothing was wanted.
    #[inline]
    pub(super) fn skipped(&mut self, rows: u64) {
        if let State::Open(open) = &mut self.state {
            open.result.rows_total += rows;
        }
    }

    /// A part of a DataRow.
    #[inline]
    pub(super) fn piece(&mut self, key: ValueKey, piece: &[u8], rest: Rest) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        match (self.row_is, rest) {
            // The usual case: it is in the read buffer, whole.
            (RowIs::New, Rest::Last) => {
                open.result.rows += 1;
                if open.whole_row(key, piece).is_none() {
                    self.state = State::Ignored;
                }
            }
            _ => self.cut_piece(key, piece, rest),
        }
    }

    fn cut_piece(&mut self, key: ValueKey, piece: &[u8], rest: Rest) {
        let State::Open(Open {
            result,
            binary,
            fields,
            ..
        }) = &mut self.state
        else {
            return;
        };
        let fields = fields.get_or_insert_default();
        if self.row_is == RowIs::New {
            self.row_is = RowIs::Begun;
            fields.begin(result.columns.keys.last().copied().unwrap_or(0));
        }
        let per_row = result.columns.keys.len();
        fields.feed(
            piece,
            &mut Row {
                key,
                columns: &result.columns,
                binary: *binary,
                start: per_row * result.rows as usize,
                keys: &mut result.keys,
            },
        );
        if rest == Rest::Last {
            result.rows += 1;
            if !fields.is_done() || result.keys.len() != per_row * result.rows as usize {
                self.state = State::Ignored;
            }
        }
    }

    /// The statement is over: what came of its rows; `None` without a description, or without room in the account.
    #[inline]
    pub(super) fn take(&mut self, sink: &mut impl Sink) -> Option<RowKeys> {
        let State::Open(mut open) = std::mem::take(&mut self.state) else {
            return None;
        };
        // What has no memory of its own is bounded by the places that events wait in.
        if open.result.keys.spilled() {
            hold(&mut open.result, sink)?;
        }
        Some(open.result)
    }

    /// Bytes it holds, itself left out.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.state {
            State::Open(open) => {
                let keys = match open.result.keys.spilled() {
                    true => open.result.keys.capacity() * size_of::<Option<ValueHash>>(),
                    false => 0,
                };
                keys + open.fields.as_ref().map_or(0, |_| size_of::<Fields>())
            }
            State::Closed | State::Ignored => 0,
        }
    }
}

/// Charges a result to the account of those on their way; `None` where there is no room.
#[cold]
fn hold(result: &mut RowKeys, sink: &mut impl Sink) -> Option<()> {
    result.keys.shrink_to_fit();
    result.held = sink.hold(result.keys.len() * size_of::<Option<ValueHash>>())?;
    Some(())
}

impl Open {
    /// Reads the keys of a row that is whole, as [`Row`] does field by field; `None` where they are not all there.
    #[inline]
    fn whole_row(&mut self, key: ValueKey, body: &[u8]) -> Option<()> {
        let Open { result, binary, .. } = self;
        let RowKeys { columns, keys, .. } = result;
        let into = WholeRow {
            key,
            columns,
            binary: *binary,
            keys,
        };
        match self.keys {
            0 => into.read(body, columns.keys.iter().copied(), *columns.keys.last()?),
            bits => into.read(body, Ones(bits), (63 - bits.leading_zeros()) as u16),
        }
    }
}

/// The places of a word's bits that are set.
struct Ones(u64);

impl Iterator for Ones {
    type Item = u16;

    #[inline]
    fn next(&mut self) -> Option<u16> {
        let place = self.0.trailing_zeros() as u16;
        let found = (self.0 != 0).then_some(place);
        self.0 &= self.0.wrapping_sub(1);
        found
    }
}

/// Where the keys of a row go that is whole.
struct WholeRow<'a> {
    key: ValueKey,
    columns: &'a RowColumns,
    binary: u64,
    keys: &'a mut Keys,
}

impl WholeRow<'_> {
    /// Reads the fields of these columns, of which `last` is the last one.
    #[inline]
    fn read(self, body: &[u8], indexes: impl Iterator<Item = u16>, last: u16) -> Option<()> {
        let (count, mut fields) = body.split_first_chunk::<2>()?;
        if last >= u16::from_be_bytes(*count) {
            return None;
        }
        let mut next = 0;
        for (place, index) in indexes.enumerate() {
            while next < index {
                fields = split_field(fields)?.1;
                next += 1;
            }
            let (value, behind) = split_field(fields)?;
            fields = behind;
            next += 1;
            let is_binary = self.binary >> (place % 64) & 1 == 1;
            let value = value.filter(|value| value.len() <= KEY_BYTES_MAX);
            let hash =
                value.and_then(|value| value_of(self.key, self.columns, is_binary, index, value));
            self.keys.push(hash);
        }
        Some(())
    }
}

/// The first of some fields, `None` for NULL, and those behind it.
#[inline]
fn split_field(fields: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, behind) = fields.split_first_chunk::<4>()?;
    match i32::from_be_bytes(*length) {
        -1 => Some((None, behind)),
        length => {
            let (value, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
            Some((Some(value), behind))
        }
    }
}

/// The hash of a value of the column at `index`; `None` for what is no key.
#[inline]
fn value_of(
    key: ValueKey,
    columns: &RowColumns,
    is_binary: bool,
    index: u16,
    value: &[u8],
) -> Option<ValueHash> {
    match is_binary {
        false => key.text(value),
        true => {
            let RowColumn { type_oid, .. } = columns.all.get(usize::from(index))?;
            types::binary_value(key, *type_oid, value)
        }
    }
}

/// Receives the fields of one row that comes in pieces.
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
        let is_binary = self.binary >> place & 1 == 1;
        let hash = value
            .and_then(|value| value_of(self.key, self.columns, is_binary, index as u16, value));
        self.keys.push(hash);
    }

    fn long(&mut self, _: usize, _: &[u8], rest: Rest) {
        if rest == Rest::Last {
            self.keys.push(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smallvec::SmallVec;

    use super::*;
    use crate::event::Columns;

    /// So many columns, all of them numbers; `keys` are those that are keys.
    fn described(columns: u16, keys: &[u16]) -> Described {
        let column = |index: u16| RowColumn {
            name: format!("c{index}").into(),
            table_oid: 0,
            attribute: 0,
            type_oid: 23,
        };
        Described {
            columns: Columns::from(RowColumns {
                all: (0..columns).map(column).collect(),
                keys: SmallVec::from_slice(keys),
            }),
            binary: 0,
            keys: keys.iter().fold(0, |bits, key| bits | 1 << key),
        }
    }

    fn row_of(values: &[Option<u8>]) -> Vec<u8> {
        let mut body = (values.len() as u16).to_be_bytes().to_vec();
        for value in values {
            match value.map(|value| value.to_string()) {
                None => body.extend_from_slice(&(-1i32).to_be_bytes()),
                Some(text) => {
                    body.extend_from_slice(&(text.len() as i32).to_be_bytes());
                    body.extend_from_slice(text.as_bytes());
                }
            }
        }
        body
    }

    proptest! {
        /// Which columns are keys is the same whether their bits say it or their list.
        #[test]
        fn bits_say_what_the_list_does(
            values in prop::collection::vec(prop::option::of(any::<u8>()), 1..64),
            keys in prop::collection::btree_set(0u16..64, 0..6),
        ) {
            let key = ValueKey::random();
            let keys: Vec<u16> = keys.into_iter().collect();
            let with_bits = described(values.len() as u16, &keys);
            let with_list = Described { keys: 0, ..with_bits.clone() };
            prop_assert_eq!(with_bits.key_count(), with_list.key_count());
            let [one, other] = [with_bits, with_list].map(|described| {
                let mut results = Results::default();
                results.open(described, &Settings::default());
                if results.row() == Want::Stream {
                    results.piece(key, &row_of(&values), Rest::Last);
                }
                match results.state {
                    State::Open(open) => Some(open.result),
                    State::Closed | State::Ignored => None,
                }
            });
            prop_assert_eq!(one, other);
        }
    }
}
