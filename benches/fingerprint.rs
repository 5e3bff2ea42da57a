//! What the fingerprint of a statement costs, on statements that Django's own tests sent: `cargo bench --bench fingerprint`.
//!
//! `PGPRISM_CORPUS` names another file (JSON lines, one string each). After divan's table it prints nanoseconds a byte.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::hint::black_box;
use std::time::Instant;

use divan::counter::BytesCount;
use pgprism::sql::value::ValueKey;
use pgprism::sql::{FINGERPRINT_BYTES_MAX, Scanner, normalize};

const CORPUS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/sql/django.jsonl"
);

/// The statements, shared by all benchmarks.
fn corpus() -> Vec<String> {
    let path = std::env::var("PGPRISM_CORPUS").unwrap_or_else(|_| CORPUS.to_owned());
    let file = std::fs::read_to_string(&path).expect("the corpus");
    file.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON string"))
        .collect()
}

/// Queries as views send them: what a proxy spends its time on.
fn queries() -> Vec<String> {
    let mut corpus = corpus();
    corpus.retain(|text| text.len() > 150 && text.starts_with("SELECT"));
    corpus
}

fn bytes(texts: &[String]) -> usize {
    texts.iter().map(String::len).sum()
}

/// With the value flow on or off.
fn scanner(value_flow: bool) -> Scanner {
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_key(value_flow.then(ValueKey::random));
    scanner
}

fn scan(scanner: &mut Scanner, texts: &[String]) {
    for text in texts {
        scanner.scan(text.as_bytes(), &mut |scanned| {
            black_box(scanned.fingerprint);
        });
    }
}

#[divan::bench(args = [false, true])]
fn every_statement(bencher: divan::Bencher<'_, '_>, value_flow: bool) {
    let texts = corpus();
    let mut scanner = scanner(value_flow);
    bencher
        .counter(BytesCount::new(bytes(&texts)))
        .bench_local(|| scan(&mut scanner, &texts));
}

#[divan::bench(args = [false, true])]
fn queries_of_views(bencher: divan::Bencher<'_, '_>, value_flow: bool) {
    let texts = queries();
    let mut scanner = scanner(value_flow);
    bencher
        .counter(BytesCount::new(bytes(&texts)))
        .bench_local(|| scan(&mut scanner, &texts));
}

#[divan::bench]
fn normalized_texts(bencher: divan::Bencher<'_, '_>) {
    let texts = corpus();
    bencher
        .counter(BytesCount::new(bytes(&texts)))
        .bench_local(|| {
            for text in &texts {
                black_box(normalize(text));
            }
        });
}

/// The best of several runs: what else the machine does only adds.
fn nanoseconds_per_byte(texts: &[String], value_flow: bool) -> f64 {
    let mut scanner = scanner(value_flow);
    let best = (0..100)
        .map(|_| {
            let start = Instant::now();
            scan(&mut scanner, texts);
            start.elapsed().as_nanos()
        })
        .min();
    best.unwrap_or(0) as f64 / bytes(texts) as f64
}

fn main() {
    divan::main();
    for (name, texts) in [
        ("every statement", corpus()),
        ("queries of views", queries()),
    ] {
        println!(
            "{name}: {:.2} ns/byte, {:.2} with the value flow; {} statements of {} bytes on average",
            nanoseconds_per_byte(&texts, false),
            nanoseconds_per_byte(&texts, true),
            texts.len(),
            bytes(&texts) / texts.len().max(1),
        );
    }
}
