//! The types whose values may be keys, by their object ids (`pg_type.dat`), and how to read their binary form.

use crate::event::ConstantCount;
use crate::sql::value::{Content, ValueHash, ValueKey};

const NAME: u32 = 19;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const OID: u32 = 26;
const BPCHAR: u32 = 1042;
const VARCHAR: u32 = 1043;
const UUID: u32 = 2950;
const INT2_ARRAY: u32 = 1005;
const INT4_ARRAY: u32 = 1007;
const TEXT_ARRAY: u32 = 1009;
const VARCHAR_ARRAY: u32 = 1015;
const INT8_ARRAY: u32 = 1016;
const UUID_ARRAY: u32 = 2951;

pub(super) fn is_number_or_uuid(type_oid: u32) -> bool {
    matches!(type_oid, INT2 | INT4 | INT8 | OID | UUID)
}

pub(super) fn is_text(type_oid: u32) -> bool {
    matches!(type_oid, TEXT | VARCHAR | BPCHAR | NAME)
}

fn is_array(type_oid: u32) -> bool {
    matches!(
        type_oid,
        INT2_ARRAY | INT4_ARRAY | TEXT_ARRAY | VARCHAR_ARRAY | INT8_ARRAY | UUID_ARRAY
    )
}

/// A value in binary format; `None` for what is no key. Type 0 is unknown: then the length tells.
#[inline]
pub(super) fn binary_value(key: ValueKey, type_oid: u32, bytes: &[u8]) -> Option<ValueHash> {
    match (type_oid, bytes) {
        (INT2 | INT4 | INT8 | 0, &[b0, b1]) => Some(key.int(i16::from_be_bytes([b0, b1]).into())),
        (OID, &[b0, b1, b2, b3]) => Some(key.int(u32::from_be_bytes([b0, b1, b2, b3]).into())),
        (INT2 | INT4 | INT8 | 0, &[b0, b1, b2, b3]) => {
            Some(key.int(i32::from_be_bytes([b0, b1, b2, b3]).into()))
        }
        (INT2 | INT4 | INT8 | 0, &[b0, b1, b2, b3, b4, b5, b6, b7]) => {
            Some(key.int(i64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7])))
        }
        (UUID | 0, bytes) if bytes.len() == 16 => {
            let bytes = <[u8; 16]>::try_from(bytes).ok()?;
            Some(key.uuid(u128::from_be_bytes(bytes)))
        }
        (type_oid, bytes) if is_text(type_oid) => key.text(bytes),
        _ => None,
    }
}

/// A parameter in binary format.
pub(super) fn binary_content(key: ValueKey, type_oid: u32, bytes: &[u8]) -> Content {
    let (value, count) = if is_array(type_oid) {
        binary_array(key, bytes)
    } else {
        (binary_value(key, type_oid, bytes), ConstantCount::One)
    };
    Content {
        value,
        count,
        bits: value.map_or_else(|| key.bits(bytes), ValueHash::bits),
    }
}

/// How many values a binary parameter stands for that is longer than any key.
pub(super) fn long_binary_count(type_oid: u32) -> ConstantCount {
    match is_array(type_oid) {
        true => ConstantCount::Several,
        false => ConstantCount::One,
    }
}

/// An array: dimensions, flags, type of its elements, then length and lower bound of each dimension, then the
/// elements, each behind its length.
fn binary_array(key: ValueKey, bytes: &[u8]) -> (Option<ValueHash>, ConstantCount) {
    let word = |index: usize| {
        let bytes = bytes.get(index * 4..)?.first_chunk::<4>()?;
        Some(i32::from_be_bytes(*bytes))
    };
    match (word(0), word(3)) {
        (Some(0), _) => (None, ConstantCount::One),
        (Some(1), Some(1)) => {
            let element = word(5)
                .and_then(|length| usize::try_from(length).ok())
                .and_then(|length| bytes.get(24..24 + length));
            let type_oid = word(2).and_then(|oid| u32::try_from(oid).ok());
            let value = element
                .zip(type_oid)
                .and_then(|(element, type_oid)| binary_value(key, type_oid, element));
            (value, ConstantCount::One)
        }
        _ => (None, ConstantCount::Several),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_hash_in_all_formats() {
        let key = ValueKey::random();
        for (type_oid, bytes) in [
            (INT2, &8i16.to_be_bytes()[..]),
            (INT4, &8i32.to_be_bytes()),
            (INT8, &8i64.to_be_bytes()),
            (OID, &8u32.to_be_bytes()),
            (0, &8i16.to_be_bytes()),
            (VARCHAR, b"8"),
        ] {
            assert_eq!(binary_value(key, type_oid, bytes), key.text(b"8"));
        }
        let uuid = 0x0f8f_ad5b_d9cb_469f_a165_7086_7728_950e_u128;
        assert_eq!(
            binary_value(key, UUID, &uuid.to_be_bytes()),
            key.text(b"0f8fad5bd9cb469fa16570867728950e")
        );
        // A timestamp has eight bytes as well.
        assert_eq!(binary_value(key, 1184, &8i64.to_be_bytes()), None);
        assert_eq!(binary_value(key, INT4, b"abc"), None);
    }

    #[test]
    fn arrays_of_one_element_are_that_element() {
        let key = ValueKey::random();
        let array = |elements: &[i32]| {
            let mut bytes = [1, 0, 23, elements.len() as i32, 1]
                .iter()
                .flat_map(|word: &i32| word.to_be_bytes())
                .collect::<Vec<_>>();
            for element in elements {
                bytes.extend_from_slice(&4i32.to_be_bytes());
                bytes.extend_from_slice(&element.to_be_bytes());
            }
            binary_content(key, INT4_ARRAY, &bytes)
        };
        assert_eq!(array(&[7]).value, Some(key.int(7)));
        assert_eq!(array(&[7]).count, ConstantCount::One);
        assert_eq!(array(&[7, 8]).count, ConstantCount::Several);
        assert_ne!(array(&[7, 8]).bits, array(&[7, 9]).bits);
        for length in 0..40 {
            binary_content(key, INT4_ARRAY, &vec![1; length]);
        }
    }
}
