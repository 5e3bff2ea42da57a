//! A text that is known again is what it would be if it were read.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::outline::{Kind, Outline};
use super::super::value::ValueKey;
use super::super::{Dialect, FINGERPRINT_BYTES_MAX, OwnedScanned, Scanner, VerbClass};
use super::corpus::django;
use super::property::{text, tight_text};

/// Numbers and contents of strings that take every way through the reading of a value.
const NUMBERS: [&str; 6] = [
    "0",
    "7",
    "007",
    "123456",
    "9223372036854775807",
    "123456789012345678901234567890",
];
const STRINGS: [&str; 9] = [
    "",
    "7",
    "-7",
    "{1}",
    "{1,2}",
    "de",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "a text that is longer than any key may be, so that it is told from others and no more than that",
    "-- no comment",
];

const SETTLED: Dialect = Dialect {
    backslashes: false,
    unsettled: false,
    ascii_trails: false,
};

fn reader(key: Option<ValueKey>, dialect: Dialect) -> Scanner {
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_key(key);
    scanner.set_dialect(dialect);
    scanner
}

/// Reads token by token: only a text in one piece is ever known.
fn read(key: Option<ValueKey>, dialect: Dialect, text: &str) -> Vec<OwnedScanned> {
    let mut scanner = reader(key, dialect);
    let mut found = Vec::new();
    scanner.begin();
    scanner.feed(text.as_bytes(), &mut |one| found.push(one.to_owned()));
    scanner.end(&mut |one| found.push(one.to_owned()));
    found
}

fn scan(scanner: &mut Scanner, text: &str) -> Vec<OwnedScanned> {
    let mut found = Vec::new();
    scanner.scan(text.as_bytes(), &mut |one| found.push(one.to_owned()));
    found
}

/// The text with other literals, where it has an outline.
fn with_others(text: &str, numbers: &[&str], strings: &[&str]) -> String {
    let mut outline = Outline::default();
    if !outline.read(text.as_bytes()) {
        return text.to_owned();
    }
    let mut other = String::new();
    let mut behind = 0;
    for (place, span) in outline.spans().iter().enumerate() {
        other.push_str(&text[behind..span.start]);
        other.push_str(match span.kind {
            Kind::Number => numbers[place % numbers.len()],
            Kind::String => strings[place % strings.len()],
        });
        behind = span.end;
    }
    other.push_str(&text[behind..]);
    other
}

#[track_caller]
fn check(key: Option<ValueKey>, dialect: Dialect, text: &str, others: &[String]) {
    let mut scanner = reader(key, dialect);
    for text in std::iter::repeat_n(text, 3).chain(others.iter().map(String::as_str)) {
        assert_eq!(scan(&mut scanner, text), read(key, dialect, text), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_known_text_is_what_it_would_be_read_as(
        text in prop_oneof![text(), tight_text()],
        numbers in prop::collection::vec(select(&NUMBERS), 1..4),
        strings in prop::collection::vec(select(&STRINGS), 1..4),
        has_key in any::<bool>(),
        is_query in any::<bool>(),
        unsettled in any::<bool>(),
    ) {
        let text = if is_query { format!("SELECT {text}") } else { text };
        let key = has_key.then(ValueKey::random);
        let other = with_others(&text, &numbers, &strings);
        check(key, Dialect { unsettled, ..SETTLED }, &text, &[other]);
    }
}

#[test]
fn what_django_sends_is_known_again() {
    let key = Some(ValueKey::random());
    let (mut queries, mut known) = (0, 0);
    for text in django() {
        let others: Vec<_> = (0..6)
            .map(|turn| with_others(&text, &NUMBERS[turn..], &STRINGS[turn..]))
            .collect();
        check(key, SETTLED, &text, &others);
        if read(key, SETTLED, &text)
            .iter()
            .all(|one| one.verb.class() == VerbClass::Query && one.inner.is_none())
        {
            let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
            scanner.set_key(key);
            scan(&mut scanner, &text);
            scan(&mut scanner, &text);
            queries += 1;
            known += u32::from(scanner.knows(others[0].as_bytes()));
        }
    }
    println!("{known} of {queries} texts are known again");
    assert!(known * 10 > queries * 9, "{known} of {queries}");
}

#[test]
fn only_a_text_that_came_twice_is_remembered() {
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    let text = "SELECT a, b, c, d, e FROM t WHERE b = 7";
    scan(&mut scanner, text);
    assert!(!scanner.knows(text.as_bytes()));
    scan(&mut scanner, "SELECT a, b, c, d, e FROM t WHERE b = 8");
    assert!(scanner.knows(b"SELECT a, b, c, d, e FROM t WHERE b = 9"));
    assert!(!scanner.knows(b"SELECT a, b, c, d, e FROM t WHERE c = 9"));
    assert!(!scanner.knows(b"SELECT a, b, c, d, e FROM t WHERE b = '9'"));
    assert!(!scanner.knows(b"SELECT a, b, c, d, e FROM t WHERE b = 9.5"));
}

#[test]
fn what_a_text_may_be_without_its_strings_is_never_remembered() {
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    let text = r"SELECT a FROM t WHERE b = 'c\' AND d = 'e'";
    for _ in 0..3 {
        scan(&mut scanner, text);
        assert!(!scanner.knows(text.as_bytes()));
    }
    scanner.set_dialect(Dialect {
        backslashes: true,
        ..Dialect::default()
    });
    let plain = "SELECT a FROM t WHERE b = 'c'";
    for _ in 0..3 {
        scan(&mut scanner, plain);
        assert!(!scanner.knows(plain.as_bytes()));
    }
}

#[test]
fn a_dialect_that_may_have_changed_matters_only_with_a_backslash() {
    let mut scanner = reader(None, SETTLED);
    for text in ["SELECT a, b, c FROM t WHERE d = 'e'"; 2] {
        scan(&mut scanner, text);
    }
    scanner.set_dialect(Dialect {
        unsettled: true,
        ..SETTLED
    });
    assert!(scanner.knows(b"SELECT a, b, c FROM t WHERE d = 'f'"));
    let hides = r"SELECT a, b, c FROM t WHERE d = 'f\'";
    assert!(!scanner.knows(hides.as_bytes()));
    assert!(scan(&mut scanner, hides)[0].unreadable);
}

#[test]
fn the_memory_for_texts_is_bounded() {
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_key(Some(ValueKey::random()));
    let filler = "x".repeat(3500);
    for shape in 0..2000 {
        let text = format!("SELECT a{shape}, {filler} FROM t WHERE b = 7");
        scan(&mut scanner, &text);
        scan(&mut scanner, &text);
        assert!(scanner.knows(text.as_bytes()));
        assert!(
            scanner.held_bytes() < 700 * 1024,
            "{}",
            scanner.held_bytes()
        );
    }
}
