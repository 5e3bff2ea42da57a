//! What the columns of a result are: RowDescriptions, each read once, and which of their columns may be keys.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::asked::Wording;
use super::types;
use crate::event::{Columns, RowColumn, RowColumns};
use crate::wire::message::{self, ColumnDescription};

/// Key-like columns of one result: the numbers and uuids of five wide tables that `select_related` joins.
pub(super) const KEY_COLUMNS_MAX: usize = 48;

/// With more than so many of those, short texts are left out: a table has few keys that are texts.
const TEXTS_WITHIN: usize = 16;

/// Longest RowDescription that is read, bytes; some thousand columns.
pub(super) const DESCRIPTION_BYTES_MAX: u16 = 48 * 1024;

/// PostgreSQL's NAMEDATALEN - 1.
const NAME_BYTES_MAX: usize = 63;

/// What the descriptions of one worker may take that are kept for the life of the process, bytes: some ten thousand.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Of those beyond, one worker remembers so many …
const COUNTED_MAX: usize = 16 * 1024;
/// … which may take together, bytes.
const COUNTED_BYTES_MAX: usize = 4 << 20;

/// A RowDescription that was read.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub columns: Columns,
    /// Which of the key columns come in binary format, a bit each.
    pub binary: u64,
    /// Which columns are the keys, a bit for each of the first 64: beside the columns themselves, which need not be in
    /// any cache. 0 where a key lies beyond, or there is none: then those tell.
    pub keys: u64,
}

impl Described {
    /// How many key columns there are.
    #[inline]
    pub(super) fn key_count(&self) -> usize {
        match self.keys {
            0 => self.columns.keys.len(),
            keys => keys.count_ones() as usize,
        }
    }
}

/// The RowDescriptions of one worker's sessions, by their bytes.
#[derive(Debug, Default)]
pub(super) struct Descriptions {
    known: HashMap<u128, Known, RandomState>,
    /// What all that were ever kept take, known or not.
    kept_bytes: usize,
    /// The hashes of those that are not kept, in the order in which they give way: see [`Descriptions::forget_one`].
    queue: VecDeque<u128>,
    counted_bytes: usize,
}

/// A RowDescription that came, by its hash.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    /// Of half the length of what all of them are known by: of these only one is asked about.
    hash: u64,
    columns: &'static RowColumns,
    binary: u64,
    keys: u64,
}

#[derive(Debug)]
struct Known {
    described: Described,
    bytes: usize,
    asked_for: AskedFor,
}

/// Whether a description was asked for since its turn to give way came, or it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AskedFor {
    Never,
    Again,
}

/// What one takes beside its names: its places in the map, of which a half may be free, and in the queue.
const KNOWN_BYTES: usize = 2 * size_of::<(u128, Known)>() + 2 * size_of::<u128>();

impl Descriptions {
    /// Those of the same worker, of which none is known: what was kept is, and there is no more room for it than before.
    pub(super) fn renewed(&self) -> Descriptions {
        Descriptions {
            kept_bytes: self.kept_bytes,
            ..Descriptions::default()
        }
    }

    /// What `body` describes, which answers this wording; `None` when it is no RowDescription.
    #[inline]
    pub(super) fn read(&mut self, wording: &Wording, body: &[u8]) -> Option<Described> {
        let hash = xxh3_64(body);
        // Until a migration the rows of a statement are what they were.
        if let Some(rows) = wording.rows.get()
            && rows.hash == hash
        {
            return Some(Described {
                columns: Columns::Kept(rows.columns),
                binary: rows.binary,
                keys: rows.keys,
            });
        }
        self.look_up(wording, hash, body)
    }

    #[cold]
    fn look_up(&mut self, wording: &Wording, hash: u64, body: &[u8]) -> Option<Described> {
        let described = self.known(xxh3_128(body), body)?;
        // A wording that held one that is counted would keep it from giving way.
        if let Columns::Kept(columns) = described.columns {
            let _ = wording.rows.set(Remembered {
                hash,
                columns,
                binary: described.binary,
                keys: described.keys,
            });
        }
        Some(described)
    }

    fn known(&mut self, hash: u128, body: &[u8]) -> Option<Described> {
        if let Some(known) = self.known.get_mut(&hash) {
            known.asked_for = AskedFor::Again;
            return Some(known.described.clone());
        }
        let (columns, binary) = describe(&message::row_description(body)?);
        let bytes = body.len() + columns.all.len() * size_of::<RowColumn>() + KNOWN_BYTES;
        let columns = match self.kept_bytes + bytes <= KEPT_BYTES_MAX {
            true => {
                self.kept_bytes += bytes;
                Columns::Kept(Columns::keep(columns))
            }
            false => {
                self.make_room(bytes);
                self.counted_bytes += bytes;
                self.queue.push_back(hash);
                Columns::from(columns)
            }
        };
        let described = Described {
            keys: bits_of(&columns.keys),
            columns,
            binary,
        };
        let known = Known {
            described: described.clone(),
            bytes,
            asked_for: AskedFor::Never,
        };
        self.known.insert(hash, known);
        Some(described)
    }

    /// Has room for one more that is not kept.
    fn make_room(&mut self, bytes: usize) {
        while !self.queue.is_empty()
            && (self.queue.len() >= COUNTED_MAX || self.counted_bytes + bytes > COUNTED_BYTES_MAX)
        {
            self.forget_one();
        }
    }

    /// The one that came first gives way; one that was asked for again goes to the end of the queue instead, once.
    fn forget_one(&mut self) {
        while let Some(hash) = self.queue.pop_front() {
            if let Some(known) = self.known.get_mut(&hash)
                && known.asked_for == AskedFor::Again
            {
                known.asked_for = AskedFor::Never;
                self.queue.push_back(hash);
                continue;
            }
            if let Some(known) = self.known.remove(&hash) {
                self.counted_bytes -= known.bytes;
            }
            return;
        }
    }
}

/// As a bit each, where all of them have one.
fn bits_of(keys: &[u16]) -> u64 {
    match keys.last() {
        Some(0..64) => keys.iter().fold(0, |bits, key| bits | 1 << key),
        _ => 0,
    }
}

/// The columns, and which of those that may be keys come in binary format, a bit each.
fn describe(columns: &[ColumnDescription<'_>]) -> (RowColumns, u64) {
    let of_kind = |wanted: fn(u32) -> bool| {
        columns
            .iter()
            .enumerate()
            .filter(move |(_, column)| wanted(column.type_oid))
            .filter_map(|(index, _)| u16::try_from(index).ok())
    };
    let mut keys: Vec<u16> = of_kind(types::is_number_or_uuid)
        .take(KEY_COLUMNS_MAX)
        .collect();
    let texts = TEXTS_WITHIN.saturating_sub(keys.len());
    keys.extend(of_kind(types::is_text).take(texts));
    keys.sort_unstable();
    let binary = keys
        .iter()
        .enumerate()
        .filter(|(_, key)| {
            columns
                .get(usize::from(**key))
                .is_some_and(|column| column.is_binary)
        })
        .fold(0, |bits, (place, _)| bits | 1 << (place % 64));
    let all = columns
        .iter()
        .map(|column| RowColumn {
            name: String::from_utf8_lossy(column.name.get(..NAME_BYTES_MAX).unwrap_or(column.name))
                .into(),
            table_oid: column.table_oid,
            attribute: column.attribute,
            type_oid: column.type_oid,
        })
        .collect();
    let keys = SmallVec::from_slice(&keys);
    (RowColumns { all, keys }, binary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Statement;
    use crate::sql::{Fingerprint, Verb};

    fn body(columns: &[(&str, u32)]) -> Vec<u8> {
        let mut body = (columns.len() as u16).to_be_bytes().to_vec();
        for (name, type_oid) in columns {
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(&[0, 0, 0, 0x40, 0, 0, 1]);
            body.extend_from_slice(&type_oid.to_be_bytes());
            body.extend_from_slice(&[0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]);
        }
        body
    }

    /// What is asked for the first time.
    fn asked() -> Wording {
        let statement = Statement {
            fingerprint: Fingerprint(1),
            verb: Verb::Select,
            shape: None,
            truncated: false,
        };
        Wording::of(statement, None)
    }

    #[test]
    fn numbers_and_uuids_come_before_texts_and_all_in_their_order() {
        let mut columns = vec![("note", 25), ("price", 1700), ("id", 23), ("slug", 1043)];
        columns.extend(std::iter::repeat_n(("n", 20), 14));
        let described = Descriptions::default()
            .read(&asked(), &body(&columns))
            .expect("columns");
        let keys: Vec<u16> = [0, 2].into_iter().chain(4..18).collect();
        assert_eq!(*described.columns.keys, *keys);
        assert_eq!(described.columns.all.len(), 18);
    }

    #[test]
    fn keys_are_bits_where_all_of_them_have_one() {
        for (keys, bits) in [
            (&[][..], 0),
            (&[0], 1),
            (&[0, 63], 1 | 1 << 63),
            (&[0, 64], 0),
        ] {
            assert_eq!(bits_of(keys), bits, "{keys:?}");
        }
    }

    #[test]
    fn a_repeated_description_is_the_same_one() {
        let mut descriptions = Descriptions::default();
        let body = body(&[("id", 23)]);
        let first = descriptions.read(&asked(), &body).expect("columns");
        let second = descriptions.read(&asked(), &body).expect("columns");
        assert!(first.columns.is(&second.columns));
        let other = self::body(&[("no", 23)]);
        let other = descriptions.read(&asked(), &other).expect("columns");
        assert_eq!(*other.columns.all[0].name, *"no");
        let third = descriptions.read(&asked(), &body).expect("columns");
        assert!(first.columns.is(&third.columns));
        assert!(descriptions.read(&asked(), &body[1..]).is_none());
    }

    #[test]
    fn a_statement_whose_rows_change_has_the_new_ones() {
        let mut descriptions = Descriptions::default();
        let asked = asked();
        let name = |described: Described| described.columns.all[0].name.to_string();
        for column in ["id", "id", "no", "no", "id"] {
            let body = body(&[(column, 23)]);
            let described = descriptions.read(&asked, &body).expect("columns");
            assert_eq!(name(described), column);
        }
        assert_eq!(descriptions.known.len(), 2);
    }

    /// Columns of names of some length that come once.
    fn rare(n: usize, columns: usize) -> Vec<u8> {
        let names: Vec<String> = (0..columns).map(|i| format!("{n}_{i}")).collect();
        let columns: Vec<_> = names.iter().map(|name| (name.as_str(), 23)).collect();
        body(&columns)
    }

    /// Nothing more is kept for the life of the process.
    fn with_all_kept() -> Descriptions {
        Descriptions {
            kept_bytes: KEPT_BYTES_MAX,
            ..Descriptions::default()
        }
    }

    #[test]
    fn the_first_are_kept_and_what_is_kept_is_bounded() {
        let mut descriptions = Descriptions::default();
        let (first, last) = (asked(), asked());
        let kept = descriptions.read(&first, &rare(0, 1)).expect("columns");
        assert!(matches!(kept.columns, Columns::Kept(_)));
        assert!(first.rows.get().is_some());
        for n in 1..3000 {
            descriptions.read(&asked(), &rare(n, 300)).expect("columns");
            assert!(descriptions.kept_bytes <= KEPT_BYTES_MAX);
        }
        let counted = descriptions.read(&last, &rare(3000, 300)).expect("columns");
        assert!(matches!(counted.columns, Columns::Counted(_)));
        assert!(last.rows.get().is_none(), "it would not give way");
        let renewed = descriptions.renewed().read(&asked(), &rare(3000, 300));
        assert!(matches!(
            renewed.expect("columns").columns,
            Columns::Counted(_)
        ));
        let again = descriptions.read(&asked(), &rare(0, 1)).expect("columns");
        assert!(again.columns.is(&kept.columns));
    }

    #[test]
    fn of_those_beyond_what_is_asked_for_again_stays() {
        let mut descriptions = with_all_kept();
        let often = body(&[("id", 23)]);
        let first = descriptions.read(&asked(), &often).expect("columns");
        for n in 0..3 * COUNTED_MAX {
            descriptions.read(&asked(), &rare(n, 1)).expect("columns");
            if n % 100 == 0 {
                let again = descriptions.read(&asked(), &often).expect("columns");
                assert!(first.columns.is(&again.columns));
            }
        }
        assert!(descriptions.known.len() <= COUNTED_MAX);
    }

    #[test]
    fn memory_is_bounded() {
        let mut descriptions = with_all_kept();
        for n in 0..3000 {
            descriptions
                .read(&asked(), &rare(n, n % 300))
                .expect("columns");
            assert!(descriptions.counted_bytes <= COUNTED_BYTES_MAX);
            assert_eq!(descriptions.queue.len(), descriptions.known.len());
        }
        let sum: usize = descriptions.known.values().map(|known| known.bytes).sum();
        assert_eq!(descriptions.counted_bytes, sum);
    }
}
