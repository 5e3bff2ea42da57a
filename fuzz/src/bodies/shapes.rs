//! The tokens of queries, well formed but in any order: normalising twice is normalising once, the normalised text has the fingerprint of
//! the text it came from, and no literal is left in it.
//!
//! Each byte of the input chooses a token.

use pgprism::sql::normalize;
use pgprism::sql::scan::scan_all;

/// `LEAK` stands in every literal that can hold it, and nowhere else.
const TOKENS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "LIKE",
    "IS",
    "NULL",
    "TRUE",
    "DEFAULT",
    "AS",
    "INSERT INTO",
    "VALUES",
    "RETURNING",
    "UPDATE",
    "SET",
    "DELETE FROM",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "JOIN",
    "ON",
    "GROUP BY",
    "ORDER BY",
    "LIMIT",
    "OFFSET",
    "UNION",
    "WITH",
    "EXISTS",
    "ANY",
    "ARRAY",
    "UNNEST",
    "COUNT",
    "INTERVAL",
    "DATE",
    "t",
    "\"t\"",
    "a.b",
    "\"Mixed\".\"Case\"",
    "(",
    ")",
    "[",
    "]",
    ",",
    "*",
    "=",
    "<>",
    "+",
    "-",
    "||",
    "?",
    "->>",
    "1",
    "-5",
    "2.50",
    "1e9",
    "0x1F",
    "$1",
    "'LEAK'",
    "'it''s LEAK'",
    "E'LEAK\\n'",
    "$$LEAK$$",
    "$q$LEAK$q$",
    "B'01'",
    "'LEAK'::text",
    "1::int",
    "'{LEAK}'::int[]",
    "'LEAK'::varchar(10)",
    "U&'LEAK'",
    "N'LEAK'",
    "-- note\n",
    "/* note /* nested */ */",
];

/// The target's body.
pub fn run(choices: &[u8]) {
    let words: Vec<&str> = choices
        .iter()
        .filter_map(|choice| TOKENS.get(usize::from(*choice) % TOKENS.len()).copied())
        .collect();
    let text = words.join(" ");
    let normalized = normalize(&text);
    assert_eq!(normalized, normalize(&normalized), "of {text:?}");
    assert!(
        !normalized.contains("LEAK"),
        "{text:?} became {normalized:?}"
    );
    let ids = |text: &str| -> Vec<_> {
        scan_all(text)
            .iter()
            .map(|statement| statement.fingerprint)
            .collect()
    };
    assert_eq!(
        ids(&text),
        ids(&normalized),
        "{text:?} became {normalized:?}"
    );
}
