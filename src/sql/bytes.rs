//! What each byte can be in SQL text, as tables.

/// What a byte begins when it stands between tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    Space,
    Word,
    Digit,
    Quote,
    DoubleQuote,
    Dollar,
    Dot,
    Comma,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Semicolon,
    Colon,
    Operator,
    Other,
}

static CLASSES: [Class; 256] = classes();
static WORD_LOWER: [u8; 256] = word_lower_table();
static SIMPLE: [bool; 256] = simple_table();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            // PostgreSQL's text has no NUL; as white space it is harmless.
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0 => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Word,
            b'0'..=b'9' => Class::Digit,
            b'\'' => Class::Quote,
            b'"' => Class::DoubleQuote,
            b'$' => Class::Dollar,
            b'.' => Class::Dot,
            b',' => Class::Comma,
            b'(' => Class::Open,
            b')' => Class::Close,
            b'[' => Class::OpenBracket,
            b']' => Class::CloseBracket,
            b';' => Class::Semicolon,
            b':' => Class::Colon,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*'
            | b'/' | b'%' | b'<' | b'>' | b'=' => Class::Operator,
            _ => Class::Other,
        };
        byte += 1;
    }
    table
}

const fn word_lower_table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            upper @ b'A'..=b'Z' => upper + 32,
            same @ (b'a'..=b'z' | b'0'..=b'9' | b'_' | b'$' | 0x80..) => same,
            _ => 0,
        };
        byte += 1;
    }
    table
}

const fn simple_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'a'..=b'z' | b'0'..=b'9' | b'_');
        byte += 1;
    }
    table
}

/// What `byte` begins.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "a byte is always below 256")]
pub(super) fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// `byte` in lower case if it can stand in a word (not necessarily first), else 0.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "a byte is always below 256")]
pub(super) fn word_lower(byte: u8) -> u8 {
    WORD_LOWER[usize::from(byte)]
}

/// Whether `byte` needs no quotes in a name and is no upper-case letter.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "a byte is always below 256")]
pub(super) fn is_simple(byte: u8) -> bool {
    SIMPLE[usize::from(byte)]
}

/// Bytes that are looked at in one go: as one wide integer.
pub(super) const BLOCK_BYTES: usize = 16;

const ONES: u128 = u128::from_le_bytes([1; BLOCK_BYTES]);
const HIGH: u128 = ONES * 0x80;

/// The high bit of each byte of `sevens` (each below 0x80) that is at least `byte`.
#[inline(always)]
const fn at_least(sevens: u128, byte: u8) -> u128 {
    // A sum of two bytes is below 0x100: nothing is carried from byte to byte.
    sevens.wrapping_add(ONES * (0x80 - byte as u128))
}

/// The high bit of each byte of `sevens` that is `first`, `last` or between them.
#[inline(always)]
const fn between(sevens: u128, first: u8, last: u8) -> u128 {
    at_least(sevens, first) & !at_least(sevens, last + 1)
}

/// How many bytes stand before the first whose high bit is missing in `bits`.
#[inline(always)]
const fn run(bits: u128) -> usize {
    ((!bits & HIGH).trailing_zeros() / 8) as usize
}

/// A block in lower case, and how many bytes at its start can stand in a word.
#[inline(always)]
pub(super) fn word_block(block: [u8; BLOCK_BYTES]) -> (u128, usize) {
    let bytes = u128::from_le_bytes(block);
    let sevens = bytes & !HIGH;
    let letters = between(sevens | (ONES * 0x20), b'a', b'z') & !bytes;
    let others =
        between(sevens, b'0', b'9') | between(sevens, b'_', b'_') | between(sevens, b'$', b'$');
    let upper = letters & !(bytes << 2) & HIGH;
    (bytes | (upper >> 2), run(letters | others | bytes))
}

/// How many bytes at the start of a block are lower-case letters, digits or underscores.
#[inline(always)]
pub(super) fn simple_block(block: [u8; BLOCK_BYTES]) -> usize {
    let bytes = u128::from_le_bytes(block);
    let sevens = bytes & !HIGH;
    let simple =
        between(sevens, b'a', b'z') | between(sevens, b'0', b'9') | between(sevens, b'_', b'_');
    run(simple & !bytes)
}

/// The first `length` bytes of a block, the rest zero.
#[inline(always)]
pub(super) fn first_bytes(block: u128, length: usize) -> u128 {
    match length {
        BLOCK_BYTES.. => block,
        _ => block & ((1 << (8 * length)) - 1),
    }
}

/// `byte` sixteen times.
#[inline(always)]
pub(super) const fn each(byte: u8) -> u128 {
    ONES * byte as u128
}

/// Sixteen hexadecimal digits as one integer, most significant first, and a 1 in each byte of it that is a letter.
#[inline(always)]
pub(super) fn hex_digits(block: [u8; BLOCK_BYTES]) -> Option<(u128, u128)> {
    let bytes = u128::from_be_bytes(block);
    let sevens = bytes & !HIGH;
    let letters = between(sevens | each(0x20), b'a', b'f');
    let digits = between(sevens, b'0', b'9') | letters;
    (digits & !bytes & HIGH == HIGH).then_some((bytes, letters >> 7 & ONES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_what_its_bytes_say() {
        for byte in 0..=255_u8 {
            for position in 0..BLOCK_BYTES {
                let mut block = [b'a'; BLOCK_BYTES];
                block[position] = byte;
                let ends_word = word_lower(byte) == 0;
                let (lower, length) = word_block(block);
                assert_eq!(
                    length,
                    if ends_word { position } else { BLOCK_BYTES },
                    "{byte} at {position}"
                );
                if !ends_word {
                    assert_eq!(lower.to_le_bytes()[position], word_lower(byte));
                }
                let expected = if is_simple(byte) {
                    BLOCK_BYTES
                } else {
                    position
                };
                assert_eq!(simple_block(block), expected, "{byte} at {position}");
            }
        }
        assert_eq!(first_bytes(u128::MAX, 2), 0xFFFF);
        assert_eq!(first_bytes(u128::MAX, 16), u128::MAX);
    }
}
