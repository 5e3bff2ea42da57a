//! The values of a statement: which `$n` they belong to, and that one value has one hash.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::fold::Folder;
use super::super::lex::Lexer;
use super::super::text::{Literal, Normalized, Text};
use super::super::value::{CONSTANTS_MAX, ConstantCount, Slot, Source, ValueKey};
use super::super::{FINGERPRINT_BYTES_MAX, OwnedScanned, Scanner, normalize};
use super::property::{text, tight_text};

fn scan_with(key: ValueKey, pieces: &[&[u8]]) -> Vec<OwnedScanned> {
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_key(Some(key));
    let mut found = Vec::new();
    scanner.begin();
    for piece in pieces {
        scanner.feed(piece, &mut |scanned| found.push(scanned.to_owned()));
    }
    scanner.end(&mut |scanned| found.push(scanned.to_owned()));
    found
}

#[track_caller]
fn one(key: ValueKey, text: &str) -> OwnedScanned {
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_key(Some(key));
    let mut found = Vec::new();
    scanner.scan(text.as_bytes(), &mut |scanned| {
        found.push(scanned.to_owned());
    });
    assert_eq!(found.len(), 1, "{text}");
    assert_eq!(found, scan_with(key, &[text.as_bytes()]), "{text}");
    found.remove(0)
}

/// `7` a value, `?` nothing, `..` several, `$1` a parameter; texts in quotes.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let key = ValueKey::random();
    let expected: Vec<Slot> = expected
        .iter()
        .map(|word| match *word {
            ".." => Slot::SEVERAL,
            "?" => Slot::NOTHING,
            word => Slot {
                source: match word.strip_prefix('$') {
                    Some(number) => Source::Parameter(number.parse().expect("a number")),
                    None => Source::Value(key.text(word.as_bytes()).expect("a key")),
                },
                count: ConstantCount::One,
            },
        })
        .collect();
    assert_eq!(
        one(key, text).slots,
        expected,
        "{text}\n{}",
        normalize(text)
    );
}

#[test]
fn each_constant_has_its_value() {
    check("SELECT a FROM t WHERE b = 7 AND c = 'x'", &["7", "x"]);
    check("SELECT a FROM t WHERE b = -7 AND c >  - - 8", &["-7", "8"]);
    check("SELECT a - 5, 3-2 LIMIT 21", &["5", "3", "2", "21"]);
    check("SELECT -$1, $2, +$3", &["?", "$2", "$3"]);
    check(
        "SELECT NULL, TRUE, 1.5, 1e3, 0x1F",
        &["?", "?", "?", "?", "?"],
    );
    check(
        "SELECT 9223372036854775807, 9223372036854775808",
        &["9223372036854775807", "?"],
    );
    check("SELECT -9223372036854775808", &["-9223372036854775808"]);
    check(
        "SELECT 'it''s', E'a\\\\b\\'c', E'\\n', N'x'",
        &["it's", "a\\b'c", "\n", "x"],
    );
    check(
        "SELECT B'101', X'1F', U&'d', $$d$$, $t$d$t$, E'\\x41'",
        &["?"; 6],
    );
    check("SELECT 'a'\n'b', 'c'", &["?", "c"]);
    check("SELECT ''", &[""]);
    check("SELECT 'x", &["x"]);
}

#[test]
fn casts_go_with_their_constant() {
    check(
        "SELECT '0f8fad5bd9cb469fa16570867728950e'::uuid",
        &["0f8fad5b-d9cb-469f-a165-70867728950e"],
    );
    check(
        "SELECT 7::int, 7::numeric(3,1), '7', uuid 'x', interval '2' day",
        &["7", "7", "7", "x", "2"],
    );
    check("SELECT U&'d!0061' UESCAPE '!', 8", &["?", "8"]);
    check("SELECT $1::int[], ($2)::bigint[]", &["$1", "$2"]);
}

#[test]
fn lists_are_several_unless_they_have_one_element() {
    check("SELECT a FROM t WHERE b IN (7) AND c = 1", &["7", "1"]);
    check(
        "SELECT a FROM t WHERE b IN (7, 8, 9) AND c = 1",
        &["..", "1"],
    );
    check("SELECT a FROM t WHERE b IN ($1, $2)", &[".."]);
    check("SELECT a FROM t WHERE b IN ($1)", &["$1"]);
    check("SELECT a FROM t WHERE b IN (7, c, 8)", &["7", "8"]);
    check(
        "SELECT a FROM t WHERE (b, c) IN ((1, 2), (3, 4)) AND d = 5",
        &["..", "5"],
    );
    check(
        "SELECT a FROM t WHERE b = ANY(ARRAY[7]) AND c = ANY(ARRAY[1, 2]) AND d = 3",
        &["7", "..", "3"],
    );
    check(
        "SELECT ARRAY[[1,2],[3,4]], ARRAY[]::int[], 4",
        &["..", "?", "4"],
    );
    check("SELECT int4range(1, 5), 6", &["..", "6"]);
    check("INSERT INTO t VALUES (1, 'a') RETURNING id", &["1", "a"]);
    check(
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c') RETURNING 4",
        &["..", "..", "4"],
    );
    check(
        "UPDATE t SET a = CASE WHEN id = 1 THEN 10 WHEN id = 2 THEN 20 ELSE 0 END WHERE id IN (1, 2)",
        &["..", "..", "0", ".."],
    );
    check(
        "SELECT a FROM t WHERE b = ANY('{1,2,3}'::int2[]) AND c = ANY('{7}'::int2[])",
        &["..", "7"],
    );
    check(
        "SELECT '{\"x y\"}'::text[], '{}'::int[], '{NULL}'::int[]",
        &["x y", "?", "?"],
    );
    check(
        &format!("SELECT '{{{}1}}'::int4[]", "70000,".repeat(1000)),
        &[".."],
    );
}

#[test]
fn an_inner_statement_counts_alone() {
    check(
        "DECLARE \"c\" NO SCROLL CURSOR FOR SELECT a FROM t WHERE b = 7",
        &["7"],
    );
    check(
        "DECLARE c CURSOR WITH HOLD FOR /* x */ (SELECT a FROM t WHERE b IN (7, 8)) LIMIT 3",
        &["..", "3"],
    );
    check(
        "PREPARE p (int, numeric(3,1)) AS SELECT a FROM t WHERE b = $1 AND c = 8",
        &["$1", "8"],
    );
    check("EXECUTE p (7, 'x')", &["?", "7", "x"]);
}

#[test]
fn all_values_together_tell_statements_apart() {
    let key = ValueKey::random();
    let values = |text: &str| one(key, text).values;
    let long = "x".repeat(100_000);
    let texts = [
        "SELECT a FROM t WHERE b = 7".to_owned(),
        "SELECT a FROM t WHERE b = -7".to_owned(),
        "SELECT a FROM t WHERE b = 7.5".to_owned(),
        "SELECT a FROM t WHERE b = -7.5".to_owned(),
        "SELECT a FROM t WHERE b = NULL".to_owned(),
        "SELECT a FROM t WHERE b = TRUE".to_owned(),
        "SELECT a FROM t WHERE b = FALSE".to_owned(),
        "SELECT a FROM t WHERE b IN (7, 8)".to_owned(),
        "SELECT a FROM t WHERE b IN (8, 7)".to_owned(),
        "SELECT a FROM t WHERE b IN (7, 8, 9)".to_owned(),
        format!("SELECT a FROM t WHERE b = '{long}'"),
        format!("SELECT a FROM t WHERE b = '{long}y'"),
        format!("SELECT a FROM t WHERE b = 'y{long}'"),
        format!("SELECT a FROM t WHERE b = {}", "9".repeat(300)),
        format!("SELECT a FROM t WHERE b = {}8", "9".repeat(300)),
        "SELECT a FROM t WHERE b = $$x$$".to_owned(),
        "SELECT a FROM t WHERE b = $$y$$".to_owned(),
        "SELECT a FROM t WHERE b = 'x'\n'y'".to_owned(),
        "SELECT a FROM t WHERE b = 'x'\n'z'".to_owned(),
        "SELECT a FROM t WHERE b = E'\\x41'".to_owned(),
        "SELECT a FROM t WHERE b = E'\\x42'".to_owned(),
    ];
    for (index, text) in texts.iter().enumerate() {
        assert_eq!(values(text), values(text), "{text}");
        for other in &texts[..index] {
            assert_ne!(values(text), values(other), "{text}\n{other}");
        }
    }
    assert_eq!(values("SELECT 7, 'a''b'"), values("SELECT '7', E'a\\'b'"));
}

#[test]
fn what_is_not_read_to_its_end_equals_nothing() {
    let key = ValueKey::random();
    let values = || {
        let mut scanner = Scanner::new(10);
        scanner.set_key(Some(key));
        let mut values = 0;
        scanner.scan(b"SELECT 1, 2, 3, 4, 5", &mut |s| values = s.values);
        values
    };
    assert_ne!(values(), values());
}

#[test]
fn without_a_key_nothing_is_looked_at() {
    let found = super::one("SELECT 1, 'x', $1");
    assert_eq!((found.slots.len(), found.values), (0, 0));
}

#[test]
fn constants_are_bounded() {
    let key = ValueKey::random();
    let many: Vec<String> = (0..100).map(|n| format!("a{n} = {n}")).collect();
    let found = one(key, &format!("SELECT {}", many.join(", ")));
    assert_eq!(found.slots.len(), CONSTANTS_MAX);
    // A list behind the last one that is kept folds without touching those before it.
    let found = one(
        key,
        &format!("SELECT {} WHERE a IN (1, 2, 3)", many.join(", ")),
    );
    assert!(
        found
            .slots
            .iter()
            .all(|slot| slot.count == ConstantCount::One)
    );
}

/// Remembers which number each constant of the normalised text was written as.
#[derive(Default)]
struct Witness {
    text: Normalized,
    numbers: Vec<Option<i64>>,
}

impl Text for Witness {
    fn position(&self) -> usize {
        self.text.position()
    }
    fn truncate(&mut self, position: usize) {
        self.text.truncate(position);
        self.numbers.truncate(self.text.constants());
    }
    fn token(&mut self, raw: &[u8], gap: bool) {
        self.text.token(raw, gap);
    }
    fn constant(&mut self, gap: bool, literal: Literal<'_>) {
        self.text.constant(gap, literal);
        self.numbers.push(match literal {
            Literal::Number { raw, .. } => std::str::from_utf8(raw)
                .ok()
                .and_then(|raw| raw.parse().ok()),
            _ => None,
        });
        assert_eq!(self.numbers.len(), self.text.constants());
    }
    fn end_statement(&mut self) {
        self.text.end_statement();
    }
    fn repeated(&mut self) {
        self.text.repeated();
    }
}

/// Each number of the text is another one.
fn numbered(text: &str) -> String {
    let mut count = 100;
    text.split("8675309")
        .fold(String::new(), |so_far, part| match so_far.as_str() {
            "" => part.to_owned(),
            _ => {
                count += 1;
                format!("{so_far}{count}{part}")
            }
        })
}

fn agrees_with_the_text(text: &str) -> Result<(), TestCaseError> {
    let key = ValueKey::random();
    let found = scan_with(key, &[text.as_bytes()]);
    let [scanned] = &found[..] else {
        return Ok(());
    };
    let start = scanned.inner.map_or(0, |inner| inner.start as usize);
    let mut lexer = Lexer::new(Folder::new(Witness::default(), usize::MAX));
    lexer.feed(&text.as_bytes()[start..], &mut |_| {});
    lexer.end(&mut |_| {});
    let numbers = lexer.into_text().numbers;
    // What the head of a DECLARE swallows is no statement of its own: the rest may be read otherwise alone.
    if scanned.inner.is_none() {
        prop_assert_eq!(
            scanned.slots.len(),
            numbers.len().min(CONSTANTS_MAX),
            "{}",
            text
        );
        for (slot, number) in scanned.slots.iter().zip(numbers) {
            if let (Source::Value(value), Some(number)) = (slot.source, number) {
                let is_it = value == key.int(number) || value == key.int(-number);
                prop_assert!(is_it, "{} is no {}", text, number);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn constants_are_those_of_the_normalised_text(text in text()) {
        agrees_with_the_text(&numbered(&text))?;
    }

    #[test]
    fn constants_of_tight_text_too(text in tight_text()) {
        agrees_with_the_text(&numbered(&text))?;
    }

    #[test]
    fn pieces_make_no_difference_to_values(text in tight_text(), at in proptest::collection::vec(any::<Index>(), 0..8)) {
        let key = ValueKey::random();
        let mut at: Vec<_> = at.iter().map(|index| index.index(text.len() + 1)).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|ends| &text.as_bytes()[ends[0]..ends[1]]).collect();
        prop_assert_eq!(scan_with(key, &pieces), scan_with(key, &[text.as_bytes()]));
    }

    #[test]
    fn a_value_is_one_however_it_is_quoted(content in "[a-z'\\\\ 0-9{},-]{0,80}", at in any::<Index>()) {
        let key = ValueKey::random();
        let plain = format!("SELECT '{}', 1", content.replace('\'', "''"));
        let escaped = format!("SELECT  E'{}', 1", content.replace('\\', "\\\\").replace('\'', "\\'"));
        let at = at.index(escaped.len() + 1);
        let (head, tail) = escaped.as_bytes().split_at(at);
        let plain = one(key, &plain);
        let escaped = scan_with(key, &[head, tail]).remove(0);
        prop_assert_eq!(&plain.slots, &escaped.slots);
        prop_assert_eq!(plain.values, escaped.values);
        prop_assert_eq!(plain.slots[0], key.content(content.as_bytes()).slot());
    }
}
