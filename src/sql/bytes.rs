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
