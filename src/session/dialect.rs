//! How a session has its strings read, as its server tells.

use crate::sql::Dialect;

/// Client encodings in which a byte below 0x80 is always the ASCII character that it looks like: PostgreSQL's own server
/// encodings. In the others (SJIS, BIG5, GBK, UHC, GB18030, JOHAB, SHIFT_JIS_2004) a backslash may end a character.
const ASCII_SAFE_ENCODINGS: [&[u8]; 35] = [
    b"UTF8",
    b"SQL_ASCII",
    b"LATIN1",
    b"LATIN2",
    b"LATIN3",
    b"LATIN4",
    b"LATIN5",
    b"LATIN6",
    b"LATIN7",
    b"LATIN8",
    b"LATIN9",
    b"LATIN10",
    b"WIN1250",
    b"WIN1251",
    b"WIN1252",
    b"WIN1253",
    b"WIN1254",
    b"WIN1255",
    b"WIN1256",
    b"WIN1257",
    b"WIN1258",
    b"WIN866",
    b"WIN874",
    b"KOI8R",
    b"KOI8U",
    b"ISO_8859_5",
    b"ISO_8859_6",
    b"ISO_8859_7",
    b"ISO_8859_8",
    b"EUC_JP",
    b"EUC_CN",
    b"EUC_KR",
    b"EUC_TW",
    b"EUC_JIS_2004",
    b"MULE_INTERNAL",
];

/// A ParameterStatus came: a setting and its value, each with a NUL behind it.
pub(super) fn told(dialect: &mut Dialect, parameter: &[u8]) {
    if let Some(value) = parameter.strip_prefix(b"standard_conforming_strings\0") {
        dialect.backslashes = !value.starts_with(b"on\0");
    } else if let Some(value) = parameter.strip_prefix(b"client_encoding\0") {
        let encoding = value.split(|byte| *byte == 0).next().unwrap_or_default();
        dialect.ascii_trails = !ASCII_SAFE_ENCODINGS.contains(&encoding);
    }
}
