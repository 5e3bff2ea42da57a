//! PostgreSQL's rules for what a token is, as functions of its bytes.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use super::super::bytes::{self, Class};
use super::super::canon::NAME_BYTES_MAX;

/// PostgreSQL's operators have at most NAMEDATALEN - 1 bytes.
const OPERATOR_BYTES_MAX: usize = NAME_BYTES_MAX;

/// Whether PostgreSQL reads `name` the same with and without quotes, keywords aside.
pub(super) fn is_bare(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'a'..=b'z' | b'_' | 0x80..))
        && name.iter().all(|byte| bytes::word_lower(*byte) == *byte)
}

/// Whether it looks like an alias that Django makes (`U0`, `T3`, `AA12`): up to 5.2 it wrote them without quotes, so
/// in lower case, later with; they name nothing outside of their statement.
pub(super) fn is_alias(name: &[u8]) -> bool {
    let letters = name
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    (1..=3).contains(&letters)
        && letters < name.len()
        && name.iter().skip(letters).all(u8::is_ascii_digit)
}

/// Length of the number at the start of `rest`, which begins with a digit or a dot and a digit.
pub(super) fn number_bytes(rest: &[u8]) -> usize {
    if let [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', digits @ ..] = rest {
        return 2 + digits
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
    }
    let mut length = 0;
    while let Some(behind) = rest.get(length..) {
        length += match behind {
            [b'0'..=b'9', ..] => 1,
            [b'_', b'0'..=b'9', ..] => 2,
            [b'.', b'.', ..] => break,
            [b'.', ..] => 1,
            [b'e' | b'E', b'0'..=b'9', ..] => 2,
            [b'e' | b'E', b'+' | b'-', b'0'..=b'9', ..] => 3,
            _ => break,
        };
    }
    length
}

/// Length of the run of operator characters at the start of `rest`, up to a comment; 0 if a comment begins there.
#[inline]
pub(super) fn operator_bytes(rest: &[u8]) -> usize {
    let mut length = 0;
    while length < OPERATOR_BYTES_MAX {
        match (rest.get(length), rest.get(length + 1)) {
            (Some(b'-'), Some(b'-')) | (Some(b'/'), Some(b'*')) => break,
            (Some(byte), _) if bytes::class(*byte) == Class::Operator => length += 1,
            _ => break,
        }
    }
    length
}

/// PostgreSQL's rule: `+` and `-` end an operator of several characters only behind one of `~!@#%^&|`?`.
#[inline]
pub(super) fn trim_sign(run: &[u8]) -> &[u8] {
    let mut raw = run;
    while let [head @ .., b'+' | b'-'] = raw
        && !head.is_empty()
        && !head.iter().any(|byte| {
            matches!(
                byte,
                b'~' | b'!' | b'@' | b'#' | b'%' | b'^' | b'&' | b'|' | b'`' | b'?'
            )
        })
    {
        raw = head;
    }
    raw
}
