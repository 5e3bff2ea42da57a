//! A real pgBadger reads the slow log: the same queries, durations and shapes that were written.

mod snapshots;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use pgprism::analysis::Feed;
use pgprism::clock::Clock;
use pgprism::event::{
    Exchange, Moment, Phases, Protocol, SessionFacts, SessionId, Shape, SlowQuery, Statement,
};
use pgprism::export::slow_log::lines::LOG_LINE_PREFIX;
use pgprism::export::slow_log::{Destination, Format, Settings, SlowLog};
use pgprism::sql::{Fingerprint, Verb};
use pgprism::unit::UnitRecord;
use pgprism::wire::TransactionStatus;

/// Texts as the fingerprint writes them.
const SHAPES: [&str; 7] = [
    "SELECT \"shop_book\".\"id\", \"shop_book\".\"title\" FROM \"shop_book\" WHERE \"shop_book\".\"id\" = $1 LIMIT $2",
    "SELECT id FROM shop_tag WHERE book_id IN ($1 /*, ... */)",
    "INSERT INTO shop_order (customer_id, note) VALUES ($1, $2) RETURNING id",
    "UPDATE shop_book\n   SET stock = stock - $1\n WHERE id = $2",
    "DELETE FROM shop_basket WHERE id = $1",
    "BEGIN",
    "COMMIT",
];

/// The words of a shape: pgBadger writes placeholders and white space in its own way, which changes with its versions.
fn words(shape: &str) -> String {
    shape
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || *c == '_')
        .collect()
}

fn slow_query(number: u64) -> SlowQuery {
    let shape_index = number % SHAPES.len() as u64;
    let text = SHAPES[shape_index as usize];
    let fingerprint = Fingerprint(shape_index + 1);
    let statement_name = match number % 3 {
        0 => None,
        1 => Some("unnamed".into()),
        _ => Some("_pg3_4".into()),
    };
    SlowQuery {
        facts: Arc::new(SessionFacts {
            id: SessionId(number % 4),
            listener: "default".into(),
            client: if number.is_multiple_of(2) {
                "127.0.0.1"
            } else {
                "[local]"
            }
            .into(),
            user: "shop".into(),
            database: "shopdb".into(),
            application: if number.is_multiple_of(5) {
                ""
            } else {
                "gunicorn: wörker 3"
            }
            .into(),
            backend_pid: 4000 + (number % 4) as i32,
        }),
        line: 1 + 2 * (number / 4),
        exchange: Exchange {
            session: SessionId(number % 4),
            sequence: number,
            statement: Statement {
                fingerprint,
                verb: Verb::Select,
                shape: Some(Shape::kept(Shape {
                    fingerprint,
                    number: pgprism::event::ShapeNumber(0),
                    verb: Verb::Select,
                    text: text.into(),
                    facts: std::sync::OnceLock::new(),
                    parsed: pgprism::event::Parsed::yes(),
                })),
                truncated: false,
            },
            protocol: match statement_name {
                None => Protocol::Simple,
                Some(_) => Protocol::Extended,
            },
            requested_at: Moment(0),
            completed_at: Moment(number * 1_000_000),
            phases: Phases {
                database_ns: duration_us(number) * 1000,
                ..Phases::default()
            },
            round_trips: 1,
            rows: number,
            request_bytes: 100,
            response_bytes: 100,
            sqlstate: None,
            transaction_before: TransactionStatus::Idle,
            transaction_after: TransactionStatus::Idle,
            pipeline_index: 0,
            tags: None,
            literal_text: None,
            statement_name,
            cursor: None,
            flow: None,
        },
    }
}

fn duration_us(number: u64) -> u64 {
    1 + number * 317
}

const QUERIES: u64 = 700;

/// Queries logged after a finding.
const AFTER_FINDING: u64 = 21;

fn write_log(path: &Path, format: Format) {
    let queue = Arc::new(ArrayQueue::new(QUERIES as usize));
    for number in 0..QUERIES {
        assert!(queue.push(Box::new(slow_query(number))).is_ok());
    }
    let settings = Settings {
        destination: Destination::File(path.to_owned()),
        format,
        queries_per_second_max: 0,
        disk_full: false,
    };
    let clock = Clock::start();
    let mut log = SlowLog::new(settings, Arc::clone(&queue), clock, |reason| {
        panic!("dropped: {reason}")
    });
    let feed = Arc::new(Feed::default());
    log.watch(Arc::clone(&feed));
    log.tick(clock.now());
    // A finding of a session whose queries stand before and after it.
    let mut snapshot = snapshots::snapshot();
    let facts = slow_query(QUERIES - 1).facts;
    let units = snapshot.units.iter().map(|unit| {
        Arc::new(UnitRecord {
            facts: Arc::clone(&facts),
            ..UnitRecord::clone(unit)
        })
    });
    snapshot.units = units.collect();
    feed.publish_snapshot(snapshot);
    log.tick(clock.now());
    for number in QUERIES..QUERIES + AFTER_FINDING {
        assert!(queue.push(Box::new(slow_query(number))).is_ok());
    }
    log.tick(clock.now());
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        text.matches("pgprism finding id=00000000000000f0").count(),
        1
    );
    let entry = match format {
        Format::Stderr => format!("[{}]: [0-1] user=shop,db=shopdb,", facts.backend_pid),
        Format::Json => "\"line_num\":0,".to_owned(),
    };
    assert!(
        text.contains(&entry),
        "it has the facts of its unit's session"
    );
}

/// Calls and milliseconds by normalised shape, as pgBadger counted them.
fn ask_pgbadger(log: &Path, format: &[&str]) -> BTreeMap<String, (u64, f64)> {
    let folder = log.parent().expect("a log lies in a folder");
    let report = folder.join("report.json");
    let output = Command::new("pgbadger")
        .args(["-q", "-x", "json", "--pid-dir"])
        .arg(folder)
        .arg("-o")
        .arg(&report)
        .args(format)
        .arg(log)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("pgbadger does not run ({error}): run make setup"));
    assert!(
        output.status.success() && report.exists(),
        "pgbadger failed (without libjson-xs-perl it cannot write JSON: run make setup): {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["overall_stat"]["errors_number"], 0);
    let mut shapes = BTreeMap::new();
    for database in report["normalyzed_info"].as_object().unwrap().values() {
        for (shape, figures) in database.as_object().unwrap() {
            let number = |key: &str| match &figures[key] {
                serde_json::Value::String(text) => text.parse().unwrap(),
                other => other.as_f64().unwrap(),
            };
            shapes.insert(words(shape), (number("count") as u64, number("duration")));
        }
    }
    shapes
}

#[track_caller]
fn check(counted: &BTreeMap<String, (u64, f64)>) {
    let mut expected: BTreeMap<String, (u64, f64)> = BTreeMap::new();
    for number in 0..QUERIES + AFTER_FINDING {
        let shape = SHAPES[(number % SHAPES.len() as u64) as usize];
        let entry = expected.entry(words(shape)).or_default();
        entry.0 += 1;
        entry.1 += duration_us(number) as f64 / 1000.0;
    }
    let shapes = |map: &BTreeMap<String, (u64, f64)>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(shapes(counted), shapes(&expected));
    for (shape, (calls, ms)) in &expected {
        let (counted_calls, counted_ms) = counted[shape];
        assert_eq!(counted_calls, *calls, "{shape}");
        assert!(
            (counted_ms - ms).abs() < 0.001,
            "{shape}: {counted_ms} ms, written {ms} ms"
        );
    }
}

#[test]
fn pgbadger_reads_the_stderr_format() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("slow.log");
    write_log(&log, Format::Stderr);
    check(&ask_pgbadger(
        &log,
        &["-f", "stderr", "--prefix", LOG_LINE_PREFIX],
    ));
}

#[test]
fn pgbadger_reads_the_json_format() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("slow.json");
    write_log(&log, Format::Json);
    check(&ask_pgbadger(&log, &["-f", "jsonlog"]));
}
