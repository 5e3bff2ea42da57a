//! What holds for every text.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::{
    FINGERPRINT_BYTES_MAX, OwnedScanned, Scanner, facts, normalize, scan_all, tags,
};

/// Stands in every literal and must stand in no output.
const SECRET: &str = "zqxjk";
const SECRET_DIGITS: &str = "8675309";

fn word() -> impl Strategy<Value = String> {
    select(&[
        "SELECT",
        "a",
        "FROM",
        "t",
        "WHERE",
        "IN",
        "(",
        ")",
        ",",
        "=",
        "AND",
        "ARRAY",
        "[",
        "]",
        "VALUES",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "IS",
        "NOT",
        "NULL",
        "TRUE",
        "false",
        "DEFAULT",
        "-",
        "+",
        "::",
        "int",
        "numeric(3,1)",
        "timestamp",
        "with",
        "time",
        "zone",
        "\"q\"",
        "\"U0\"",
        "\"Q q\"\"\"",
        "U&\"x\"",
        ".",
        "*",
        "<>",
        "!=",
        "@>",
        "?",
        "|",
        "||",
        "->",
        "#>",
        "~",
        ":",
        ":=",
        "..",
        "$1",
        "$22",
        "date",
        "interval",
        "day",
        "to",
        "double",
        "precision",
        "character",
        "varying",
        "int4range",
        "hstore",
        "daterange",
        "DECLARE",
        "c",
        "CURSOR",
        "FOR",
        "PREPARE",
        "AS",
        "FETCH",
        "SAVEPOINT",
        "ROLLBACK",
        "CLOSE",
        "CURRENT",
        "OF",
        "begin",
        "atomic",
        "LIMIT",
        "uescape",
        "é",
        "{",
        "\\",
        "`",
        "_x$1",
        "INSERT",
        "INTO",
        "BETWEEN",
        "/",
        "%",
        "<",
        "<-",
        "@-",
        "set",
        "by",
        "e",
        "u",
        "x",
        "n",
        "::pg_catalog.\"t\"[]",
        "copy",
        "stdin",
        "union",
        "Any",
        "row",
        "exists",
    ])
    .prop_map(str::to_owned)
}

fn literal() -> impl Strategy<Value = String> {
    select(&[
        "'zqxjk'",
        "'it''s zqxjk '",
        "E'zqxjk\\'zqxjk'",
        "e'\\\\zqxjk'",
        "$$zqxjk 'zqxjk$$",
        "$t$zqxjk $$ zqxjk$t$",
        "N'zqxjk'",
        "x'zqxjk'",
        "B'zqxjk'",
        "U&'zqxjk'",
        "U&'zqxjk' UESCAPE '!'",
        "8675309",
        "8675309.5",
        "0.8675309",
        ".8675309",
        "8675309e5",
        "1e8675309",
        "0x8675309",
        "8675309_000",
        "'{zqxjk}'::text[]",
        "date 'zqxjk'",
        "interval 'zqxjk' day",
        "'a'\n'zqxjk'",
        "/* zqxjk */",
        "-- zqxjk\n",
        "/*a='zqxjk'*/",
    ])
    .prop_map(str::to_owned)
}

fn gap() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => Just(" ".to_owned()),
        1 => Just("\n".to_owned()),
        1 => Just("  /* c */ ".to_owned()),
    ]
}

/// Tokens with white space between them: anything but good grammar.
pub(super) fn text() -> impl Strategy<Value = String> {
    let token = prop_oneof![4 => word(), 1 => literal()];
    proptest::collection::vec((token, gap()), 0..40).prop_map(|tokens| {
        tokens
            .into_iter()
            .map(|(token, gap)| token + &gap)
            .collect()
    })
}

/// Tokens that touch: they may run into each other.
pub(super) fn tight_text() -> impl Strategy<Value = String> {
    let token = prop_oneof![4 => word(), 1 => literal(), 2 => Just(" ".to_owned())];
    proptest::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

fn fingerprints(text: &str) -> Vec<u64> {
    scan_all(text)
        .iter()
        .map(|scanned| scanned.fingerprint.0)
        .collect()
}

fn scan(pieces: &[&[u8]]) -> Vec<OwnedScanned> {
    let mut found = Vec::new();
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.begin();
    for piece in pieces {
        scanner.feed(piece, &mut |scanned| found.push(scanned.to_owned()));
    }
    scanner.end(&mut |scanned| found.push(scanned.to_owned()));
    found
}

fn cut(bytes: &[u8], at: &[Index]) -> Vec<OwnedScanned> {
    let mut at: Vec<_> = at
        .iter()
        .map(|index| index.index(bytes.len() + 1))
        .collect();
    at.push(0);
    at.push(bytes.len());
    at.sort_unstable();
    let pieces: Vec<_> = at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
    scan(&pieces)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normalizing_is_done_once_and_keeps_the_fingerprint(text in text()) {
        let normalized = normalize(&text);
        prop_assert_eq!(&normalize(&normalized), &normalized, "of {}", text);
        let scanned = scan_all(&text);
        if scanned.len() == 1 {
            prop_assert_eq!(fingerprints(&normalized), fingerprints(&text), "{} is normalised to {}", text, normalized);
        }
    }

    #[test]
    fn normalizing_tight_text_too(text in tight_text()) {
        let normalized = normalize(&text);
        prop_assert_eq!(&normalize(&normalized), &normalized, "of {}", text);
    }

    #[test]
    fn no_literal_survives(text in text()) {
        let normalized = normalize(&text);
        prop_assert!(!normalized.contains(SECRET) && !normalized.contains(SECRET_DIGITS), "{} is normalised to {}", text, normalized);
    }

    #[test]
    fn pieces_make_no_difference(text in tight_text(), at in proptest::collection::vec(any::<Index>(), 0..8)) {
        prop_assert_eq!(cut(text.as_bytes(), &at), scan(&[text.as_bytes()]));
        prop_assert_eq!(scan_all(&text), scan(&[text.as_bytes()]));
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in proptest::collection::vec(any::<Index>(), 0..8)) {
        let whole = scan(&[&bytes]);
        prop_assert_eq!(cut(&bytes, &at), whole);
        for scanned in scan(&[&bytes]) {
            prop_assert!(scanned.start <= scanned.end && scanned.end <= bytes.len() as u64);
        }
        let text = String::from_utf8_lossy(&bytes);
        let normalized = normalize(&text);
        prop_assert_eq!(normalize(&normalized), normalized);
        let _ = tags::parse(&bytes);
    }

    #[test]
    fn facts_never_panic(text in text()) {
        let _ = facts::extract(&normalize(&text));
    }
}

#[test]
fn memory_is_bounded() {
    let endless: [(&str, &str); 9] = [
        ("SELECT '", "text "),
        ("SELECT \"", "name"),
        ("SELECT /*", "comment "),
        ("SELECT --", "comment "),
        ("SELECT a", "bcd"),
        ("SELECT 1", "23"),
        ("SELECT (", "(a, "),
        ("SELECT ", "column_with_a_name, "),
        ("SELECT $tag$", "$ta $tag "),
    ];
    for (start, repeated) in endless {
        let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
        scanner.begin();
        let mut count = 0;
        scanner.feed(start.as_bytes(), &mut |_| count += 1);
        let piece = repeated.repeat(1000);
        let mut most = 0;
        for _ in 0..1000 {
            scanner.feed(piece.as_bytes(), &mut |_| count += 1);
            most = most.max(scanner.held_bytes());
        }
        assert!(most < 128 * 1024, "{start}: {most} bytes");
        scanner.end(&mut |_| count += 1);
        assert_eq!(count, 1, "{start}");
    }
    assert!(
        size_of::<Scanner>() < 1024,
        "{} bytes",
        size_of::<Scanner>()
    );
}
