//! The fields of a DataRow, and the parameters of a Bind: a count, then length and bytes of each.
//!
//! ```text
//!  ┌─────────┬─────────────┬───────────┬─────────────┬───────────┬──
//!  │ count   │ length (BE) │ bytes     │ length (BE) │ bytes     │ ...   a length of -1 is NULL
//!  └─────────┴─────────────┴───────────┴─────────────┴───────────┴──
//! ```

use super::frame::Rest;

/// Longest field that is handed over whole, bytes; a longer one comes in pieces.
pub const FIELD_BYTES_MAX: usize = 64;

/// What a [`Fields`] calls, field by field.
pub trait FieldReceiver {
    /// Whether the field at `index` is wanted; it is not NULL.
    fn wants(&mut self, index: usize) -> bool;
    /// The whole of a wanted field of at most [`FIELD_BYTES_MAX`] bytes; `None` for NULL, wanted or not.
    fn field(&mut self, index: usize, value: Option<&[u8]>);
    /// The next piece of a wanted field that is longer.
    fn long(&mut self, index: usize, piece: &[u8], rest: Rest);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Count,
    Length,
    Short { length: u8 },
    Long { left: u32 },
    Skip { left: u32 },
    Done,
    Broken,
}

/// Position in a sequence of fields, whose bytes may come in pieces of any size.
#[derive(Debug)]
pub struct Fields {
    stage: Stage,
    carry: Carry,
    index: u16,
    /// How many fields there are.
    count: u16,
    /// Fields behind this one are not looked at.
    last: u16,
}

/// The first bytes of something that a piece cut.
#[derive(Debug)]
struct Carry {
    bytes: [u8; FIELD_BYTES_MAX],
    have: u8,
}

impl Carry {
    /// The next `wanted` bytes, at most [`FIELD_BYTES_MAX`]; `None` while they are not all there.
    #[inline]
    fn take<'c, 'p: 'c>(&'c mut self, piece: &mut &'p [u8], wanted: usize) -> Option<&'c [u8]> {
        if self.have == 0
            && let Some((taken, rest)) = piece.split_at_checked(wanted)
        {
            *piece = rest;
            return Some(taken);
        }
        self.take_carried(piece, wanted)
    }

    #[cold]
    fn take_carried(&mut self, piece: &mut &[u8], wanted: usize) -> Option<&[u8]> {
        let have = usize::from(self.have);
        let (taken, rest) = piece.split_at(piece.len().min(wanted.saturating_sub(have)));
        *piece = rest;
        for (to, from) in self.bytes.iter_mut().skip(have).zip(taken) {
            *to = *from;
        }
        let have = have + taken.len();
        if have < wanted {
            self.have = have as u8;
            return None;
        }
        self.have = 0;
        self.bytes.get(..wanted)
    }
}

impl Default for Fields {
    fn default() -> Fields {
        Fields {
            stage: Stage::Done,
            carry: Carry {
                bytes: [0; FIELD_BYTES_MAX],
                have: 0,
            },
            index: 0,
            count: 0,
            last: 0,
        }
    }
}

impl Fields {
    /// A new sequence begins, in which fields behind the one at `last` do not matter.
    #[inline]
    pub fn begin(&mut self, last: u16) {
        self.stage = Stage::Count;
        self.carry.have = 0;
        self.index = 0;
        self.last = last;
    }

    /// Whether all fields that matter were there.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Reads the next bytes; returns what stands behind the last field that matters.
    #[inline]
    pub fn feed<'a>(&mut self, piece: &'a [u8], receiver: &mut impl FieldReceiver) -> &'a [u8] {
        let mut piece = piece;
        loop {
            match self.stage {
                Stage::Done => return piece,
                Stage::Broken => return &[],
                Stage::Count => {
                    let Some(&[high, low]) = take::<2>(&mut self.carry, &mut piece) else {
                        return &[];
                    };
                    self.count = u16::from_be_bytes([high, low]);
                    self.stage = match self.count {
                        0 => Stage::Done,
                        _ => Stage::Length,
                    };
                }
                Stage::Length => {
                    let Some(&length) = take::<4>(&mut self.carry, &mut piece) else {
                        return &[];
                    };
                    self.length(i32::from_be_bytes(length), receiver);
                }
                Stage::Short { length } => {
                    let Some(value) = self.carry.take(&mut piece, usize::from(length)) else {
                        return &[];
                    };
                    receiver.field(usize::from(self.index), Some(value));
                    self.next();
                }
                Stage::Long { left } => {
                    let (taken, rest) = piece.split_at(piece.len().min(left as usize));
                    piece = rest;
                    let left = left - taken.len() as u32;
                    let index = usize::from(self.index);
                    if left == 0 {
                        receiver.long(index, taken, Rest::Last);
                        self.next();
                        continue;
                    }
                    if !taken.is_empty() {
                        receiver.long(index, taken, Rest::More);
                    }
                    self.stage = Stage::Long { left };
                    return &[];
                }
                Stage::Skip { left } => {
                    let (taken, rest) = piece.split_at(piece.len().min(left as usize));
                    piece = rest;
                    let left = left - taken.len() as u32;
                    if left > 0 {
                        self.stage = Stage::Skip { left };
                        return &[];
                    }
                    self.next();
                }
            }
        }
    }

    #[inline]
    fn length(&mut self, length: i32, receiver: &mut impl FieldReceiver) {
        let index = usize::from(self.index);
        match u32::try_from(length) {
            Ok(left) if !receiver.wants(index) => self.stage = Stage::Skip { left },
            Ok(length) if length as usize <= FIELD_BYTES_MAX => {
                self.stage = Stage::Short {
                    length: length as u8,
                };
            }
            Ok(left) => self.stage = Stage::Long { left },
            Err(_) if length == -1 => {
                receiver.field(index, None);
                self.next();
            }
            Err(_) => self.stage = Stage::Broken,
        }
    }

    #[inline]
    fn next(&mut self) {
        self.index += 1;
        self.stage = if self.index == self.count || self.index > self.last {
            Stage::Done
        } else {
            Stage::Length
        };
    }
}

#[inline]
fn take<'c, 'p: 'c, const N: usize>(
    carry: &'c mut Carry,
    piece: &mut &'p [u8],
) -> Option<&'c [u8; N]> {
    carry.take(piece, N)?.first_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Wants every field but each third, and puts long ones together.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Notes {
        fields: Vec<(usize, Option<Vec<u8>>)>,
        open: Vec<u8>,
    }

    impl FieldReceiver for Notes {
        fn wants(&mut self, index: usize) -> bool {
            index % 3 != 2
        }
        fn field(&mut self, index: usize, value: Option<&[u8]>) {
            self.fields.push((index, value.map(<[u8]>::to_vec)));
        }
        fn long(&mut self, index: usize, piece: &[u8], rest: Rest) {
            assert!(self.open.len() + piece.len() > 0);
            self.open.extend_from_slice(piece);
            if rest == Rest::Last {
                self.fields
                    .push((index, Some(std::mem::take(&mut self.open))));
            }
        }
    }

    fn encode(fields: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut out = (fields.len() as u16).to_be_bytes().to_vec();
        for field in fields {
            match field {
                None => out.extend_from_slice(&(-1i32).to_be_bytes()),
                Some(bytes) => {
                    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
                    out.extend_from_slice(bytes);
                }
            }
        }
        out
    }

    fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, last: u16) -> (Notes, bool, usize) {
        let (mut fields, mut notes, mut left) = (Fields::default(), Notes::default(), 0);
        fields.begin(last);
        for piece in pieces {
            left += fields.feed(piece, &mut notes).len();
        }
        (notes, fields.is_done(), left)
    }

    proptest! {
        #[test]
        fn fields_are_read_however_they_are_cut(
            fields in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..150)), 0..8),
            last in prop_oneof![Just(u16::MAX), 0u16..8],
            cut in 1usize..80,
        ) {
            let bytes = [encode(&fields), b"rest".to_vec()].concat();
            let whole = read(std::iter::once(&bytes[..]), last);
            let expected: Vec<_> = fields
                .iter()
                .cloned()
                .enumerate()
                .take(usize::from(last).saturating_add(1))
                .filter(|(index, field)| index % 3 != 2 || field.is_none())
                .collect();
            prop_assert_eq!(&whole.0.fields, &expected);
            prop_assert!(whole.1 && whole.2 >= 4);
            prop_assert_eq!(read(bytes.chunks(cut), last), whole);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 1usize..80) {
            prop_assert_eq!(read(bytes.chunks(cut), u16::MAX), read(std::iter::once(&bytes[..]), u16::MAX));
        }
    }

    #[test]
    fn an_announced_gigabyte_holds_nothing() {
        let (notes, done, _) = read(std::iter::once(&b"\0\x01\x3f\xff\xff\xffab"[..]), 9);
        assert!(notes.fields.is_empty() && notes.open == b"ab" && !done);
        let (notes, done, _) = read(std::iter::once(&b"\0\x01\xff\xff\xff\x00ab"[..]), 9);
        assert!(notes.fields.is_empty() && !done, "a length below -1");
    }
}
