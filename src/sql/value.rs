//! Values as keyed hashes: comparable by value within this process, meaningless outside it.
//!
//! A value has one hash however it travels: `8` in SQL text, `'8'`, the text of a DataRow, a binary int2, int4 or
//! int8; a uuid with dashes, without them, or as 16 bytes. So what is hashed is read by its content, not by its type.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::bytes;

/// Longest text that is taken for a key, bytes; what is longer is no key of anything.
pub const KEY_BYTES_MAX: usize = 64;

/// Constants of one statement that are kept.
pub const CONSTANTS_MAX: usize = 32;

/// How many values a placeholder of a normalised text stood for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstantCount {
    /// One: `= 7`, `IN (7)`.
    One,
    /// Several: `IN (7, 8)`, further rows of VALUES.
    Several,
}

/// Where the value of a `$n` of a normalised text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It stood in the text.
    Value(ValueHash),
    /// It is the parameter of this number, from 1: Bind brings it.
    Parameter(u16),
    /// Nowhere: NULL, or no key (too long, a float, an array, several values).
    Nothing,
}

/// One `$n` of a normalised text, as the text alone tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its value.
    pub source: Source,
    /// Whether it stands for one value or for a list of several.
    pub count: ConstantCount,
}

impl Slot {
    /// A single constant without a value.
    pub const NOTHING: Slot = Slot {
        source: Source::Nothing,
        count: ConstantCount::One,
    };
    /// A list of several.
    pub const SEVERAL: Slot = Slot {
        source: Source::Nothing,
        count: ConstantCount::Several,
    };
}

/// Adds `bits` to the running hash of a statement's values; the order counts.
#[inline]
pub fn mix(all: u64, bits: u64) -> u64 {
    (all.rotate_left(23) ^ bits).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// What a text turned out to be: the content of a literal, or a parameter in text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Its value; of an array literal of one element, that element's.
    pub value: Option<ValueHash>,
    /// Whether it is an array literal of several elements.
    pub count: ConstantCount,
    /// Its keyed hash, whatever its length.
    pub bits: u64,
}

impl Content {
    /// As a constant of a statement.
    pub fn slot(&self) -> Slot {
        Slot {
            source: self.value.map_or(Source::Nothing, Source::Value),
            count: self.count,
        }
    }
}

/// Reads a text that comes in pieces; holds no more of it than a key can have.
#[derive(Default)]
pub struct ContentReader {
    /// The text, as long as it may be a key.
    short: Vec<u8>,
    /// What is longer is hashed as it comes.
    long: Option<Box<Xxh3>>,
    is_long: bool,
    first: u8,
    last: u8,
    comma: bool,
}

impl std::fmt::Debug for ContentReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContentReader").finish_non_exhaustive()
    }
}

impl ContentReader {
    /// Begins a new text.
    #[inline]
    pub fn clear(&mut self) {
        self.short.clear();
        self.is_long = false;
        self.comma = false;
    }

    /// The next piece.
    #[inline]
    pub fn push(&mut self, key: ValueKey, piece: &[u8]) {
        if !self.is_long && self.short.len() + piece.len() <= KEY_BYTES_MAX {
            self.short.extend_from_slice(piece);
        } else {
            self.push_long(key, piece);
        }
    }

    #[cold]
    fn push_long(&mut self, key: ValueKey, piece: &[u8]) {
        let long = self
            .long
            .get_or_insert_with(|| Box::new(Xxh3::with_seed(key.text_seed())));
        if !self.is_long {
            long.reset();
            long.update(&self.short);
            self.is_long = true;
            self.first = self.short.first().or(piece.first()).copied().unwrap_or(0);
            self.comma = self.short.contains(&b',');
        }
        long.update(piece);
        self.last = piece.last().copied().unwrap_or(self.last);
        if self.first == b'{' && !self.comma {
            self.comma = memchr::memchr(b',', piece).is_some();
        }
    }

    /// The text is complete.
    #[inline]
    pub fn finish(&mut self, key: ValueKey) -> Content {
        match &self.long {
            Some(long) if self.is_long => Content {
                value: None,
                count: if self.first == b'{' && self.last == b'}' && self.comma {
                    ConstantCount::Several
                } else {
                    ConstantCount::One
                },
                bits: long.digest(),
            },
            _ => key.content(&self.short),
        }
    }

    /// Bytes of memory it holds, itself left out.
    pub fn held_bytes(&self) -> usize {
        self.short.capacity() + self.long.as_ref().map_or(0, |_| size_of::<Xxh3>())
    }
}

/// Integers up to this, either side of zero, agree by chance: page sizes, flags, ids of small tables.
const SMALL_INT: u64 = 10_000;

/// Texts shorter than this agree by chance (states, names, cities), unless they have a digit: then they are somebody's
/// key from [`SHORT_KEY_BYTES`] on.
const SMALL_TEXT_BYTES: usize = 12;
const SHORT_KEY_BYTES: usize = 5;

/// The keyed hash of a value. Equal values have equal hashes within this process and no other.
///
/// Its lowest bit says whether the value is distinctive: one that hardly agrees with another by chance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueHash(NonZeroU64);

/// Without its bits: not even which values are equal is anybody's business outside the process.
impl std::fmt::Debug for ValueHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValueHash(..)")
    }
}

impl ValueHash {
    fn new(hash: u64, distinctive: bool) -> ValueHash {
        let marked = (hash & !1) | u64::from(distinctive);
        ValueHash(NonZeroU64::new(marked).unwrap_or(NonZeroU64::MIN.saturating_add(1)))
    }

    /// Whether two columns hardly share it by chance: a uuid, a long text, a large number.
    pub fn is_distinctive(self) -> bool {
        self.0.get() & 1 == 1
    }

    /// The bits, to be hashed further.
    pub fn bits(self) -> u64 {
        self.0.get()
    }
}

/// The process' own key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ValueKey {
    seed: u64,
}

/// Without its bits: who knows them can guess values.
impl std::fmt::Debug for ValueKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValueKey(..)")
    }
}

impl ValueKey {
    /// A key that nobody knows, from the operating system's randomness.
    pub fn random() -> ValueKey {
        ValueKey {
            seed: RandomState::new().hash_one(0u8),
        }
    }

    /// A seed of its own: no text equals an integer's eight bytes by accident.
    fn text_seed(self) -> u64 {
        self.seed.rotate_left(32)
    }

    /// Of a text of any length.
    #[inline]
    pub fn content(self, text: &[u8]) -> Content {
        match text {
            [b'{', element @ .., b'}'] => self.array(text, element),
            _ => {
                let value = self.text(text);
                Content {
                    value,
                    count: ConstantCount::One,
                    bits: value.map_or_else(|| self.bits(text), ValueHash::bits),
                }
            }
        }
    }

    /// Of a text that is longer than any key, whole: the same as a [`ContentReader`] makes of it.
    pub fn long_content(self, text: &[u8]) -> Content {
        let several = match text {
            [b'{', elements @ .., b'}'] => memchr::memchr(b',', elements).is_some(),
            _ => false,
        };
        Content {
            value: None,
            count: match several {
                true => ConstantCount::Several,
                false => ConstantCount::One,
            },
            bits: self.bits(text),
        }
    }

    /// Of bytes of any length, as a difference only: no value.
    #[inline]
    pub fn bits(self, text: &[u8]) -> u64 {
        xxh3_64_with_seed(text, self.text_seed())
    }

    #[cold]
    fn array(self, text: &[u8], element: &[u8]) -> Content {
        let several = memchr::memchr(b',', element).is_some();
        let element = match element {
            [b'"', quoted @ .., b'"'] if !quoted.contains(&b'\\') => Some(quoted),
            [] | [b'{' | b'"', ..] => None,
            bare if bare.eq_ignore_ascii_case(b"null") => None,
            bare => Some(bare),
        };
        Content {
            value: element
                .filter(|_| !several && text.len() <= KEY_BYTES_MAX)
                .and_then(|element| self.text(element)),
            count: if several {
                ConstantCount::Several
            } else {
                ConstantCount::One
            },
            bits: self.bits(text),
        }
    }

    /// Of an integer.
    #[inline]
    pub fn int(self, value: i64) -> ValueHash {
        ValueHash::new(
            xxh3_64_with_seed(&value.to_le_bytes(), self.seed),
            value.unsigned_abs() > SMALL_INT,
        )
    }

    /// Of a uuid, most significant byte first.
    #[inline]
    pub fn uuid(self, value: u128) -> ValueHash {
        ValueHash::new(xxh3_64_with_seed(&value.to_be_bytes(), self.seed), true)
    }

    /// Of a text as PostgreSQL writes values and as SQL's literals contain them (unescaped): an integer or a uuid if
    /// it reads as one. `None` for what is longer than a key can be.
    #[inline]
    pub fn text(self, text: &[u8]) -> Option<ValueHash> {
        if text.len() > KEY_BYTES_MAX {
            return None;
        }
        if let Some(value) = integer(text) {
            return Some(self.int(value));
        }
        if let Some(value) = uuid(text) {
            return Some(self.uuid(value));
        }
        let hash = self.bits(text);
        let distinctive = text.len() >= SMALL_TEXT_BYTES
            || (text.len() >= SHORT_KEY_BYTES && text.iter().any(u8::is_ascii_digit));
        Some(ValueHash::new(hash, distinctive))
    }
}

/// The integer that `text` is the decimal form of, as PostgreSQL writes it.
#[inline]
fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let value = decimal(digits)?;
    if negative {
        0i64.checked_sub_unsigned(value)
    } else {
        i64::try_from(value).ok()
    }
}

/// The number that at most nineteen digits are: it is below 10^19, which is below 2^64.
#[inline]
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    Some(value)
}

/// The uuid that `text` is the form of, with dashes or without.
#[inline]
fn uuid(text: &[u8]) -> Option<u128> {
    match text.len() {
        32 => hex(text.first_chunk()?, text.last_chunk()?),
        36 => dashed_uuid(text.first_chunk()?),
        _ => None,
    }
}

fn dashed_uuid(text: &[u8; 36]) -> Option<u128> {
    let &[
        a @ ..,
        b'-',
        b0,
        b1,
        b2,
        b3,
        b'-',
        c0,
        c1,
        c2,
        c3,
        b'-',
        d0,
        d1,
        d2,
        d3,
        b'-',
        e0,
        e1,
        e2,
        e3,
        e4,
        e5,
        e6,
        e7,
        e8,
        e9,
        ea,
        eb,
    ] = text
    else {
        return None;
    };
    let [a0, a1, a2, a3, a4, a5, a6, a7] = a;
    hex(
        &[
            a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, c0, c1, c2, c3,
        ],
        &[
            d0, d1, d2, d3, e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, ea, eb,
        ],
    )
}

/// The number that 32 hexadecimal digits are.
fn hex(high: &[u8; 16], low: &[u8; 16]) -> Option<u128> {
    let (high, low) = (hex_half(*high)?, hex_half(*low)?);
    Some(u128::from(high) << 64 | u128::from(low))
}

/// The number that 16 hexadecimal digits are: all at once, as one wide integer.
fn hex_half(digits: [u8; 16]) -> Option<u64> {
    let (numbers, letters) = bytes::hex_digits(digits)?;
    // 'a' & 15 is 1: a letter is 9 more than its low half.
    let mut halves = (numbers & bytes::each(0x0f)) + letters * 9;
    // Two halves to a byte, then the bytes together.
    for (shift, kept) in [
        (4, u128::MAX / 0xffff * 0xff),
        (8, u128::MAX / 0xffff_ffff * 0xffff),
        (16, u128::MAX / 0xffff_ffff_ffff_ffff * 0xffff_ffff),
        (32, u128::from(u64::MAX)),
    ] {
        halves = (halves | halves >> shift) & kept;
    }
    u64::try_from(halves).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_hash_however_it_is_written() {
        let key = ValueKey::random();
        assert_eq!(key.text(b"8"), Some(key.int(8)));
        assert_eq!(key.text(b"-9223372036854775808"), Some(key.int(i64::MIN)));
        let dashed = key.text(b"0f8fad5b-d9cb-469f-a165-70867728950e");
        assert_eq!(dashed, key.text(b"0F8FAD5BD9CB469FA16570867728950E"));
        assert_eq!(
            dashed,
            Some(key.uuid(0x0f8f_ad5b_d9cb_469f_a165_7086_7728_950e))
        );
        assert_ne!(key.text(b"08"), Some(key.int(8)), "a text with its zero");
        assert_ne!(key.text(b"9223372036854775808"), Some(key.int(i64::MIN)));
        assert_eq!(key.text(&[b'x'; KEY_BYTES_MAX + 1]), None);
        assert_ne!(key.text(b""), key.text(b"0"));
        assert_ne!(
            key.text(b"-0"),
            Some(key.int(0)),
            "PostgreSQL writes no such thing, but a text may be it"
        );
    }

    proptest::proptest! {
        #[test]
        fn a_uuid_is_its_number(value in proptest::prelude::any::<u128>(), at in 0usize..36, byte in proptest::prelude::any::<u8>()) {
            let plain = format!("{value:032x}");
            let dashed = [&plain[..8], &plain[8..12], &plain[12..16], &plain[16..20], &plain[20..]].join("-");
            for text in [plain.to_uppercase(), plain.clone(), dashed.clone()] {
                proptest::prop_assert_eq!(uuid(text.as_bytes()), Some(value));
            }
            let mut text = dashed.into_bytes();
            text[at] = byte;
            let is_dash = matches!(at, 8 | 13 | 18 | 23);
            let expected = if is_dash { byte == b'-' } else { byte.is_ascii_hexdigit() };
            proptest::prop_assert_eq!(uuid(&text).is_some(), expected);
        }

        #[test]
        fn an_integer_is_what_is_written_like_one(value in proptest::prelude::any::<i64>(), text in "-?[0-9]{0,21}") {
            proptest::prop_assert_eq!(integer(value.to_string().as_bytes()), Some(value));
            let parsed = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
            proptest::prop_assert_eq!(integer(text.as_bytes()), parsed);
        }
    }

    #[test]
    fn neither_key_nor_hash_shows_its_bits() {
        let key = ValueKey::random();
        let shown = format!("{key:?} {:?}", key.int(8));
        assert_eq!(shown, "ValueKey(..) ValueHash(..)");
    }

    #[test]
    fn keys_of_two_processes_differ() {
        assert_ne!(ValueKey::random().int(8), ValueKey::random().int(8));
    }

    #[test]
    fn small_numbers_and_short_codes_are_not_distinctive() {
        let key = ValueKey::random();
        assert!(!key.int(21).is_distinctive());
        assert!(key.int(5_000_000).is_distinctive());
        assert!(key.uuid(7).is_distinctive());
        assert!(!key.text(b"de").is_some_and(ValueHash::is_distinctive));
        assert!(
            !key.text(b"cancelled")
                .is_some_and(ValueHash::is_distinctive)
        );
        assert!(key.text(b"A-104").is_some_and(ValueHash::is_distinctive));
        assert!(
            key.text(b"a-rather-long-slug")
                .is_some_and(ValueHash::is_distinctive)
        );
    }
}
