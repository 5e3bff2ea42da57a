//! Statements that Django 5.2's own tests sent to PostgreSQL 15.

use std::collections::HashMap;

use serde::Deserialize;

use super::super::facts::{Facts, FactsWorker};
use super::super::{OwnedScanned, Verb, VerbClass, normalize, scan_all};
use super::{same, stable};

const DJANGO: &str = include_str!("../../../tests/fixtures/sql/django.jsonl");
const DRIVERS: &str = include_str!("../../../tests/fixtures/sql/drivers.jsonl");

/// One query of the ORM as three configurations send it.
#[derive(Deserialize)]
struct Drivers {
    psycopg2: String,
    psycopg: String,
    server_side_binding: String,
}

pub(super) fn django() -> Vec<String> {
    DJANGO
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON string"))
        .collect()
}

#[test]
fn one_query_of_three_drivers_is_one() {
    let mut count = 0;
    for line in DRIVERS.lines() {
        let drivers: Drivers = serde_json::from_str(line).expect("three texts");
        same(&[
            &drivers.psycopg2,
            &drivers.psycopg,
            &drivers.server_side_binding,
        ]);
        count += 1;
    }
    assert!(count > 100);
}

#[test]
fn normalizing_is_stable() {
    for text in django() {
        stable(&text);
    }
}

#[test]
fn every_verb_is_known() {
    for text in django() {
        for statement in scan_all(&text) {
            assert!(
                !matches!(statement.verb, Verb::Other | Verb::Empty),
                "{text}"
            );
            assert!(!statement.truncated);
        }
    }
}

/// Texts of one id differ in nothing but what the rules fold: equal words, whatever the constants.
#[test]
fn an_id_has_one_text_but_for_case_and_quotes() {
    let mut texts: HashMap<_, (String, String)> = HashMap::new();
    for text in django() {
        let [
            OwnedScanned {
                fingerprint,
                inner: None,
                ..
            },
        ] = scan_all(&text)[..]
        else {
            continue;
        };
        let normalized = normalize(&text);
        let folded = normalized.to_lowercase().replace(['"', ' '], "");
        let (first, example) = texts
            .entry(fingerprint)
            .or_insert((folded.clone(), text.clone()));
        assert_eq!(*first, folded, "\n{example}\n{text}");
    }
    assert!(texts.len() > 400);
}

#[test]
fn nearly_all_queries_have_facts() {
    let worker = FactsWorker::start(2048).expect("a thread");
    let (send, receive) = std::sync::mpsc::channel::<(String, Option<Facts>)>();
    let mut queries = 0;
    for text in django() {
        for statement in scan_all(&text) {
            let inner = statement.inner.map_or(statement.verb, |inner| inner.verb);
            if inner.class() != VerbClass::Query {
                continue;
            }
            let start = statement.inner.map_or(statement.start, |inner| inner.start);
            let normalized = normalize(&text[start as usize..statement.end as usize]);
            let send = send.clone();
            queries += 1;
            worker
                .submit(normalized.clone(), move |facts| {
                    send.send((normalized, facts)).expect("a listener");
                })
                .expect("room in the queue");
        }
    }
    drop(send);
    let unknown: Vec<_> = receive
        .iter()
        .filter(|(_, facts)| facts.is_none())
        .map(|(text, _)| text)
        .collect();
    assert!(
        unknown.len() * 100 < queries * 2,
        "{} of {queries}: {unknown:#?}",
        unknown.len()
    );
}
