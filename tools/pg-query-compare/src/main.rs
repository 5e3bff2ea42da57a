//! Compares pgprism's grouping of statements with that of PostgreSQL's own parser (libpg_query's fingerprints).
//!
//! Reads JSON lines, one string each, prints the adjusted Rand index over all statements that PostgreSQL's parser
//! accepts, and the groups in which the two differ, each with the reason as far as it can be told.
//!
//! *merged*: one pgprism id where pg_query has several. *split*: several pgprism ids where pg_query has one.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, bail};
use pgprism::sql::{VerbClass, normalize, scan_all};

/// A statement, and what the two call it.
struct Statement {
    text: String,
    normalized: String,
    ours: u64,
    theirs: String,
    is_query: bool,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), examples) = (arguments.next(), arguments.next()) else {
        bail!("usage: pg-query-compare FILE.jsonl [EXAMPLES]");
    };
    let examples: usize = examples
        .map_or(Ok(3), |text| text.parse())
        .context("read EXAMPLES")?;
    let file = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let mut statements = Vec::new();
    let (mut refused, mut several) = (0, 0);
    for line in file.lines() {
        let text: String = serde_json::from_str(line).context("read a JSON string")?;
        let [scanned] = &scan_all(&text)[..] else {
            several += 1;
            continue;
        };
        // A cursor's query is the query; libpg_query says so only of the DECLARE as a whole.
        let text = match scanned.inner {
            Some(inner) => text
                .get(inner.start as usize..)
                .context("cut the inner statement")?
                .to_owned(),
            None => text,
        };
        match pg_query::fingerprint(&text, 0, 0) {
            Ok(theirs) => statements.push(Statement {
                normalized: normalize(&text),
                ours: scanned
                    .inner
                    .map_or(scanned.fingerprint, |inner| inner.fingerprint)
                    .0,
                theirs: theirs.hex,
                is_query: scanned
                    .inner
                    .map_or(scanned.verb, |inner| inner.verb)
                    .class()
                    == VerbClass::Query,
                text,
            }),
            Err(_) => refused += 1,
        }
    }
    report(&statements, refused, several, examples);
    Ok(())
}

fn report(statements: &[Statement], refused: usize, several: usize, examples: usize) {
    let mut ours: BTreeMap<u64, Vec<&Statement>> = BTreeMap::new();
    let mut theirs: BTreeMap<&str, Vec<&Statement>> = BTreeMap::new();
    for statement in statements {
        ours.entry(statement.ours).or_default().push(statement);
        theirs.entry(&statement.theirs).or_default().push(statement);
    }
    println!(
        "{} statements compared, {refused} refused by PostgreSQL's parser, {several} lines of several statements",
        statements.len()
    );
    println!(
        "{} ids by pgprism, {} by pg_query",
        ours.len(),
        theirs.len()
    );
    println!(
        "adjusted Rand index {:.5} over all",
        adjusted_rand_index(statements.iter())
    );
    // Savepoints and cursors are half of the texts and say little.
    let queries = statements.iter().filter(|statement| statement.is_query);
    println!(
        "adjusted Rand index {:.5} over queries only",
        adjusted_rand_index(queries)
    );
    let mut merged: Vec<_> = ours
        .values()
        .filter_map(|group| different(group, |statement| &statement.theirs))
        .collect();
    let mut split: Vec<_> = theirs
        .values()
        .filter_map(|group| different(group, |statement| &statement.ours))
        .collect();
    for groups in [&mut merged, &mut split] {
        groups.sort_by_key(|group| std::cmp::Reverse(group.statements));
    }
    show("merged by pgprism", &merged, examples);
    show("split by pgprism", &split, examples);
}

/// A group of one that the other divides.
struct Divided<'a> {
    /// Statements in it.
    statements: usize,
    /// One statement of each part.
    parts: Vec<&'a Statement>,
}

/// `group`, if it holds several kinds.
fn different<'a, K: std::hash::Hash + Eq>(
    group: &[&'a Statement],
    kind: impl Fn(&'a Statement) -> K,
) -> Option<Divided<'a>> {
    let mut kinds = HashMap::new();
    for statement in group {
        kinds.entry(kind(statement)).or_insert(*statement);
    }
    let mut parts: Vec<_> = kinds.into_values().collect();
    parts.sort_by(|a, b| a.text.cmp(&b.text));
    (parts.len() > 1).then_some(Divided {
        statements: group.len(),
        parts,
    })
}

fn show(title: &str, groups: &[Divided<'_>], examples: usize) {
    let mut reasons: BTreeMap<&str, Vec<&Divided<'_>>> = BTreeMap::new();
    for group in groups {
        reasons.entry(reason(&group.parts)).or_default().push(group);
    }
    println!("\n{title}: {} groups", groups.len());
    for (reason, groups) in reasons {
        let statements: usize = groups.iter().map(|group| group.statements).sum();
        println!(
            "  {reason}: {} groups of {statements} statements",
            groups.len()
        );
        for group in groups.iter().take(examples) {
            println!(
                "    {} statements in {} parts",
                group.statements,
                group.parts.len()
            );
            for statement in group.parts.iter().take(2) {
                println!("      {}", cut(&statement.text, 300));
            }
        }
    }
}

fn cut(text: &str, length: usize) -> String {
    text.chars()
        .take(length)
        .collect::<String>()
        .replace('\n', " ")
}

/// Why the first two statements of a group are kept apart by one and not by the other, guessed from their texts.
fn reason(group: &[&Statement]) -> &'static str {
    let [first, second, ..] = group else {
        return "other";
    };
    let (a, b) = (
        first.normalized.to_lowercase(),
        second.normalized.to_lowercase(),
    );
    let differs = |change: &dyn Fn(&str) -> String| change(&a) != change(&b);
    let raw = |word: &str| {
        let count = |text: &str| text.to_lowercase().matches(word).count();
        count(&first.text) != count(&second.text)
    };
    let utility = |text: &str| {
        ![
            "select", "insert", "update", "delete", "with", "(", "values", "merge",
        ]
        .iter()
        .any(|word| text.starts_with(word))
    };
    if utility(&a) {
        return "utility statements";
    }
    if a == b {
        return if raw("null") {
            "NULL is a constant for pgprism, a node of its own for pg_query"
        } else if raw("true") || raw("false") {
            "TRUE and FALSE"
        } else if raw("::") {
            "the cast of a constant"
        } else if raw("array[") {
            "ARRAY of constants"
        } else if raw("interval '") || raw("date '") || raw("timestamp '") {
            "typed literals"
        } else if raw(" when ") {
            "arms of CASE"
        } else if raw("default") {
            "DEFAULT in VALUES"
        } else if raw("-") {
            "a sign before a constant"
        } else {
            "constants, otherwise"
        };
    }
    let sorted = |text: &str| {
        let mut words: Vec<_> = text
            .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '"')
            .filter(|word| !word.is_empty())
            .collect();
        words.sort_unstable();
        words.dedup();
        words.join(" ")
    };
    if !differs(&without_output_names) {
        "names of output columns (AS ...), which pg_query leaves out"
    } else if !differs(&|text| sorted(&without_output_names(text))) {
        "lists (columns, conditions, tables), which pg_query sorts and thins out"
    } else if !differs(&|text| text.replace(" as ", " ").replace(['(', ')'], "")) {
        "AS or parentheses"
    } else if !differs(&|text| {
        text.replace(" asc", "")
            .replace("inner join", "join")
            .replace("outer join", "join")
    }) {
        "words that change nothing"
    } else {
        "names that pg_query leaves out (aliases, savepoints, temporary names) or other"
    }
}

/// `text` without the names behind AS, and without ORDER BY's mention of them.
fn without_output_names(text: &str) -> String {
    let mut words = Vec::new();
    let mut after_as = false;
    for word in text.split(' ') {
        if after_as {
            words.push(if word.ends_with(',') { "," } else { "" });
        } else if word != "as" {
            words.push(word);
        }
        after_as = word == "as";
    }
    words.join(" ")
}

/// Agreement of the two groupings: 1 is perfect, 0 is chance.
fn adjusted_rand_index<'a>(statements: impl Iterator<Item = &'a Statement>) -> f64 {
    let pairs = |count: u64| (count * count.saturating_sub(1) / 2) as f64;
    let mut both: HashMap<(u64, &str), u64> = HashMap::new();
    let mut ours: HashMap<u64, u64> = HashMap::new();
    let mut theirs: HashMap<&str, u64> = HashMap::new();
    let mut total = 0;
    for statement in statements {
        total += 1;
        *both.entry((statement.ours, &statement.theirs)).or_default() += 1;
        *ours.entry(statement.ours).or_default() += 1;
        *theirs.entry(&statement.theirs).or_default() += 1;
    }
    let together: f64 = both.values().map(|count| pairs(*count)).sum();
    let ours: f64 = ours.values().map(|count| pairs(*count)).sum();
    let theirs: f64 = theirs.values().map(|count| pairs(*count)).sum();
    let all = pairs(total);
    let expected = ours * theirs / all.max(1.0);
    let most = (ours + theirs) / 2.0;
    if most == expected {
        1.0
    } else {
        (together - expected) / (most - expected)
    }
}
