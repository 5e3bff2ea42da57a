//! The canonical token stream of one statement: where the fingerprint's hash comes from.
//!
//! Each token is written with a NUL behind it. The last part of the stream (up to 64 KiB) stays readable, so that a
//! repeated element (a row of VALUES, an arm of CASE, an element of IN) can be compared with the one before it and
//! cut off again; what no longer fits has been hashed and is gone.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::Fingerprint;
use super::bytes;
use super::words::{self, Key};

/// Version of the rules by which text becomes canonical tokens, the seed of every fingerprint.
pub const ALGORITHM_VERSION: u64 = 1;

/// PostgreSQL's NAMEDATALEN - 1: names that agree in so many bytes are one name.
pub(super) const NAME_BYTES_MAX: usize = 63;
/// A constant, as a canonical token.
pub(super) const CONSTANT: &[u8] = b"$\0";

/// Most bytes that stay readable.
const BLOCK_BYTES: usize = 64 * 1024;
/// A quote, a name, a separator, and a little air.
const ROOM_BYTES: usize = NAME_BYTES_MAX + 17;

/// How many bytes of `name` count, as PostgreSQL cuts it: whole characters only.
pub(super) fn name_bytes(name: &[u8]) -> usize {
    if name.len() <= NAME_BYTES_MAX {
        return name.len();
    }
    let mut length = NAME_BYTES_MAX;
    while length > 0 && name.get(length).is_some_and(|byte| byte & 0xC0 == 0x80) {
        length -= 1;
    }
    length
}

/// A bare word that was copied into the room.
#[derive(Debug, Clone, Copy)]
pub(super) struct StagedWord {
    /// Its length in the text.
    pub(super) source_bytes: usize,
    /// How much of it counts.
    pub(super) staged_bytes: usize,
    /// To look it up; 0 for a word that is longer than a block.
    pub(super) key: Key,
}

/// A quoted name that was copied into the room.
#[derive(Debug, Clone, Copy)]
pub(super) struct StagedName {
    pub(super) bytes: usize,
    /// To look it up, or that of its first block.
    pub(super) key: Key,
}

/// Canonical tokens of the statement that is being read.
pub(super) struct Canon {
    bytes: Vec<u8>,
    /// How many of `bytes` are written; the rest is room.
    len: usize,
    /// Position of `bytes[0]` in the stream.
    base: usize,
    /// Where the inner statement begins in the stream.
    inner: Option<usize>,
    long: Option<Box<Long>>,
}

/// Hashes of what has left the block.
struct Long {
    whole: Xxh3,
    inner: Xxh3,
}

impl Canon {
    pub(super) fn new() -> Canon {
        Canon {
            bytes: vec![0; 4096],
            len: 0,
            base: 0,
            inner: None,
            long: None,
        }
    }

    /// Begins a new statement.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.base = 0;
        self.inner = None;
        self.long = None;
    }

    /// Bytes of memory it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.long.as_ref().map_or(0, |_| size_of::<Long>())
    }

    /// Position behind the last token.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.base + self.len
    }

    /// Room for one token (at least [`ROOM_BYTES`]) at the end of the stream; nothing counts until
    /// [`Canon::commit`].
    #[inline]
    fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() - self.len < ROOM_BYTES {
            self.make_room();
        }
        self.bytes.get_mut(self.len..).unwrap_or_default()
    }

    #[cold]
    fn make_room(&mut self) {
        if self.bytes.len() < BLOCK_BYTES {
            self.bytes.resize(self.bytes.len() * 2, 0);
            return;
        }
        let written = self.bytes.get(..self.len).unwrap_or_default();
        let long = self.long.get_or_insert_with(|| {
            Box::new(Long {
                whole: Xxh3::with_seed(ALGORITHM_VERSION),
                inner: Xxh3::with_seed(ALGORITHM_VERSION),
            })
        });
        long.whole.update(written);
        if let Some(inner) = self.inner {
            let skipped = inner.saturating_sub(self.base);
            long.inner
                .update(written.get(skipped..).unwrap_or_default());
        }
        self.base += self.len;
        self.len = 0;
    }

    /// Copies the word at the start of `source` in lower case into the room. What is longer than a name can be is
    /// read but not copied.
    #[inline]
    pub(super) fn stage_word(&mut self, source: &[u8]) -> StagedWord {
        let Some(&block) = source.first_chunk() else {
            return self.stage_any_word(source);
        };
        let (lower, length) = bytes::word_block(block);
        if length == bytes::BLOCK_BYTES {
            return self.stage_any_word(source);
        }
        if let Some(start) = self.room().first_chunk_mut() {
            *start = lower.to_le_bytes();
        }
        StagedWord {
            source_bytes: length,
            staged_bytes: length,
            key: bytes::first_bytes(lower, length),
        }
    }

    /// As [`Canon::stage_word`], for one that is long or near the end of its piece.
    fn stage_any_word(&mut self, source: &[u8]) -> StagedWord {
        let mut key = [0; bytes::BLOCK_BYTES];
        let room = self.room();
        let mut length = 0;
        for (to, from) in room.iter_mut().zip(source).take(NAME_BYTES_MAX) {
            let lower = bytes::word_lower(*from);
            if lower == 0 {
                break;
            }
            *to = lower;
            if let Some(to) = key.get_mut(length) {
                *to = lower;
            }
            length += 1;
        }
        let key = if length > key.len() {
            0
        } else {
            Key::from_le_bytes(key)
        };
        if length < NAME_BYTES_MAX {
            return StagedWord {
                source_bytes: length,
                staged_bytes: length,
                key,
            };
        }
        let whole = source
            .iter()
            .take_while(|byte| bytes::word_lower(**byte) != 0);
        StagedWord {
            source_bytes: whole.count(),
            staged_bytes: name_bytes(source),
            key,
        }
    }

    /// Copies lower-case letters, digits and underscores from the start of `source` into the room, at most a name's
    /// length. What stands behind them in the room is undefined.
    #[inline]
    pub(super) fn stage_simple(&mut self, source: &[u8]) -> StagedName {
        let room = self.room();
        let mut length = 0;
        let mut key = 0;
        let mut rest = source;
        while let Some((block, behind)) = rest.split_first_chunk::<{ bytes::BLOCK_BYTES }>() {
            let run = bytes::simple_block(*block);
            let Some(to) = room.get_mut(length..).and_then(<[u8]>::first_chunk_mut) else {
                break;
            };
            *to = *block;
            if length == 0 {
                key = bytes::first_bytes(Key::from_le_bytes(*block), run);
            }
            length += run;
            if run < bytes::BLOCK_BYTES || length > NAME_BYTES_MAX {
                return StagedName {
                    bytes: length.min(NAME_BYTES_MAX),
                    key,
                };
            }
            rest = behind;
        }
        for (to, from) in room.iter_mut().skip(length).zip(rest) {
            if length == NAME_BYTES_MAX || !bytes::is_simple(*from) {
                break;
            }
            *to = *from;
            length += 1;
        }
        StagedName {
            bytes: length,
            key: words::key(self.staged(length)),
        }
    }

    /// Copies `token`, of at most 65 bytes, into the room; returns its length.
    pub(super) fn stage(&mut self, token: &[u8]) -> usize {
        let length = token.len().min(NAME_BYTES_MAX + 2);
        for (to, from) in self.room().iter_mut().zip(token).take(length) {
            *to = *from;
        }
        length
    }

    /// The first `length` bytes in the room.
    #[inline]
    pub(super) fn staged(&self, length: usize) -> &[u8] {
        self.bytes
            .get(self.len..self.len + length)
            .unwrap_or_default()
    }

    /// Makes the first `length` bytes of the room a token.
    #[inline]
    pub(super) fn commit(&mut self, length: usize) {
        let length = length.min(ROOM_BYTES - 1);
        if let Some(end) = self.bytes.get_mut(self.len + length) {
            *end = 0;
        }
        self.len += length + 1;
    }

    /// Writes a token of one byte.
    #[inline]
    pub(super) fn byte(&mut self, token: u8) {
        if let [first, second, ..] = self.room() {
            *first = token;
            *second = 0;
            self.len += 2;
        }
    }

    /// Writes a token of at most 65 bytes; what is longer is cut.
    #[inline]
    pub(super) fn token(&mut self, token: &[u8]) {
        let length = self.stage(token);
        self.commit(length);
    }

    /// Whether the stream between `from` and `to` is still readable: then its bytes.
    #[inline]
    pub(super) fn between(&self, from: usize, to: usize) -> Option<&[u8]> {
        let from = from.checked_sub(self.base)?;
        let to = to.checked_sub(self.base)?;
        self.bytes.get(..self.len)?.get(from..to)
    }

    /// Cuts the stream back to `position`; false when that part is gone.
    #[inline]
    pub(super) fn truncate(&mut self, position: usize) -> bool {
        match position.checked_sub(self.base) {
            Some(len) if len <= self.len => {
                self.len = len;
                true
            }
            _ => false,
        }
    }

    /// The inner statement begins with the next token.
    pub(super) fn begin_inner(&mut self) {
        self.inner = Some(self.position());
    }

    /// Hash of the whole stream.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let written = self.bytes.get(..self.len).unwrap_or_default();
        Fingerprint(match &self.long {
            None => xxh3_64_with_seed(written, ALGORITHM_VERSION),
            Some(long) => {
                let mut whole = long.whole.clone();
                whole.update(written);
                whole.digest()
            }
        })
    }

    /// Hash of the inner statement's part; `None` without one.
    pub(super) fn inner_fingerprint(&self) -> Option<Fingerprint> {
        let inner = self.inner?;
        let skipped = inner.saturating_sub(self.base);
        let written = self
            .bytes
            .get(..self.len)?
            .get(skipped..)
            .unwrap_or_default();
        Some(Fingerprint(match &self.long {
            Some(long) if inner < self.base => {
                let mut hash = long.inner.clone();
                hash.update(written);
                hash.digest()
            }
            _ => xxh3_64_with_seed(written, ALGORITHM_VERSION),
        }))
    }
}
