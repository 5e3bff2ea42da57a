//! Texts in which a value may stand where the lexer sees a name: each is told apart from SQL.

use super::super::{Dialect, FINGERPRINT_BYTES_MAX, OwnedScanned, Scanner, Written, normalize};
use super::{one, same};

fn scan_as(dialect: Dialect, text: &[u8], piece_bytes: usize) -> Vec<OwnedScanned> {
    let mut found = Vec::new();
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_dialect(dialect);
    scanner.begin();
    for piece in text.chunks(piece_bytes) {
        scanner.feed(piece, &mut |scanned| found.push(scanned.to_owned()));
    }
    scanner.end(&mut |scanned| found.push(scanned.to_owned()));
    found
}

/// The same whole and in pieces of any size.
#[track_caller]
fn is_unreadable(dialect: Dialect, text: &str) -> bool {
    let whole = scan_as(dialect, text.as_bytes(), text.len().max(1));
    for piece_bytes in 1..text.len().min(40) {
        let found = scan_as(dialect, text.as_bytes(), piece_bytes);
        assert_eq!(found, whole, "{text} in pieces of {piece_bytes}");
    }
    whole.iter().any(|statement| statement.unreadable)
}

#[test]
fn what_no_server_would_read() {
    let long_tag = format!("SELECT ${0}$ secret ${0}$", "t".repeat(65));
    for text in [
        "SELECT 'secret",
        "SELECT E'a\\' secret",
        "SELECT U&'secret",
        "SELECT X'secret",
        "SELECT $$ secret",
        "SELECT $a$ secret $b$",
        "SELECT 1 /* secret",
        "SELECT /* a /* b */ secret",
        "SELECT \"secret",
        "SELECT U&\"secret",
        "/* secret",
        "SELECT * FROM t WHERE a = 'O'Neil' AND b = 1",
        "SELECT 12secret",
        "SELECT 1.5e3secret",
        "SELECT $1secret",
        "SELECT 123e4567-e89b-12d3-a456-426614174000",
        "SELECT \\'secret\\'",
        "SELECT {secret}",
        "SELECT a \u{1} secret",
        "SELECT $ secret",
        &long_tag,
        "SELECT 1; SELECT 'secret",
    ] {
        assert!(is_unreadable(Dialect::default(), text), "{text}");
    }
}

#[test]
fn what_a_server_reads() {
    for text in [
        "",
        "SELECT 'it''s'",
        "SELECT 'a', 'b'::text || 'c' FROM t WHERE a='b' AND(c)IN('d')",
        "SELECT 'C:\\dir\\'",
        "SELECT E'it\\'s'",
        "SELECT 'a'\n'b'",
        "SELECT 'a' -- it's\n'b'",
        "SELECT U&'d!0061' UESCAPE '!'",
        "SELECT $$it's$$, $a$ $$ $a$",
        "CREATE FUNCTION f() RETURNS int AS $$ x $$LANGUAGE sql",
        "SELECT date'2020-01-01', interval'1'",
        "SELECT 1.5, .5, 1e3, 0x1F, 1_000, 1.",
        "SELECT a[1:2], a[$1], ($1)::int, $1::text",
        "SELECT \"a\"\"b\".\"c\"",
        "SELECT a ? 'b', a ?| b, -1, @ 2, 3!",
        "SELECT 1 -- that's a comment",
        "SELECT 1 /* it's /* nested */ */",
        "SELECT é, \"é\", 'é'",
        "SELECT a$b, t1.c2",
    ] {
        assert!(!is_unreadable(Dialect::default(), text), "{text}");
    }
}

#[test]
fn a_setting_decides_what_a_backslash_is() {
    let off = Dialect {
        backslashes: true,
        ..Dialect::default()
    };
    let text = r"SELECT 'a\' secret \' b', 'c'";
    assert!(is_unreadable(Dialect::default(), text));
    assert!(!is_unreadable(off, text));
    let written = Written {
        text: text.as_bytes(),
        dialect: off,
        unreadable: false,
    };
    assert_eq!(written.shown(one("SELECT 1").fingerprint), "SELECT $1, $2");
    // Two readings, both without fault: the wrong one would show the value.
    let text = r"SELECT 'a\'', ' secret ', ''";
    assert_eq!(
        Written {
            text: text.as_bytes(),
            ..written
        }
        .shown(one("SELECT 1").fingerprint),
        "SELECT $1, $2, $3",
    );
}

#[test]
fn a_setting_that_may_have_changed_decides_nothing() {
    let unsettled = Dialect {
        unsettled: true,
        ..Dialect::default()
    };
    assert!(is_unreadable(unsettled, r"SELECT 'a\', ' secret '"));
    assert!(!is_unreadable(unsettled, r"SELECT 'a', ' b '"));
    assert!(!is_unreadable(unsettled, "SELECT 1, $1"));
}

#[test]
fn a_backslash_may_be_half_a_character() {
    let odd = Dialect {
        ascii_trails: true,
        ..Dialect::default()
    };
    assert!(is_unreadable(odd, r"SELECT E'a\', ' secret ', E'b\'"));
    assert!(!is_unreadable(odd, r"SELECT 'a\', E'b'"));
}

#[test]
fn what_cannot_be_read_is_not_what_can() {
    let fingerprint = one("SELECT 'secret").fingerprint;
    assert_ne!(fingerprint.of_unreadable(), one("SELECT 'a'").fingerprint);
    let shown = Written {
        text: b"SELECT 'it's secret'",
        dialect: Dialect::default(),
        unreadable: true,
    }
    .shown(fingerprint);
    assert!(!shown.contains("secret"));
    assert!(shown.contains(&fingerprint.to_string()));
}

#[test]
fn words_that_are_set_are_values() {
    for (text, normalized) in [
        ("SET a.b = secret", "SET a.b = $1"),
        ("SET a.b TO 'secret'", "SET a.b TO $1"),
        ("SET LOCAL a TO \"secret\"", "SET LOCAL a TO $1"),
        ("SET SESSION a = secret", "SET SESSION a = $1"),
        (
            "SET search_path TO secret, 'secret', \"secret\"",
            "SET search_path TO $1, $2, $3",
        ),
        ("SET a TO on", "SET a TO $1"),
        (
            "ALTER ROLE r IN DATABASE d SET a = secret",
            "ALTER ROLE r IN DATABASE d SET a = $1",
        ),
        (
            "ALTER DATABASE d SET a TO secret",
            "ALTER DATABASE d SET a TO $1",
        ),
        ("ALTER SYSTEM SET a = secret", "ALTER SYSTEM SET a = $1"),
    ] {
        assert_eq!(normalize(text), normalized);
        assert_eq!(normalize(normalized), normalized);
        same(&[text, normalized]);
    }
    for kept in [
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET ROLE r",
        "SET TIME ZONE utc",
        "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
        "ALTER TABLE t RENAME COLUMN a TO b",
        "UPDATE t SET a = b",
    ] {
        assert_eq!(normalize(kept), kept);
    }
}
