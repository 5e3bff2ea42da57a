mod findings;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::event::{Exchange, Phases, Protocol, SessionFacts, SessionId, Shape, Statement};
use crate::sql::tags::Tags;
use crate::sql::{Fingerprint, Verb};
use crate::wire::TransactionStatus;

fn slow_query(text: &str) -> SlowQuery {
    let fingerprint = Fingerprint(0x9f02_c1d4_a87b_3e51);
    SlowQuery {
        facts: Arc::new(SessionFacts {
            id: SessionId(7),
            listener: "default".into(),
            client: "10.0.0.9".into(),
            user: "shop".into(),
            database: "shopdb".into(),
            application: "gunicorn".into(),
            backend_pid: 4242,
        }),
        line: 3,
        exchange: Exchange {
            session: SessionId(7),
            sequence: 1,
            statement: Statement {
                fingerprint,
                verb: Verb::Select,
                shape: Some(Shape::kept(Shape {
                    fingerprint,
                    number: crate::event::ShapeNumber(0),
                    verb: Verb::Select,
                    text: text.into(),
                    facts: std::sync::OnceLock::new(),
                    parsed: crate::event::Parsed::yes(),
                })),
                truncated: false,
            },
            protocol: Protocol::Simple,
            requested_at: Moment(0),
            completed_at: Moment(812_104_000),
            phases: Phases {
                database_ns: 800_100_000,
                transfer_ns: 12_000_999,
                client_ns: 4_000,
                application_ns: 5_000_000,
            },
            round_trips: 1,
            rows: 61,
            request_bytes: 30,
            response_bytes: 4000,
            sqlstate: None,
            transaction_before: TransactionStatus::Idle,
            transaction_after: TransactionStatus::Idle,
            pipeline_index: 0,
            tags: None,
            literal_text: None,
            statement_name: None,
            cursor: None,
            flow: None,
        },
    }
}

fn wall() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_795_338_900_123)
}

#[track_caller]
fn check_stderr(query: &SlowQuery, expected: &str) {
    let mut out = String::new();
    lines::stderr(&mut out, query, wall());
    assert_eq!(out, expected);
}

#[test]
fn stderr_entry_is_what_postgresql_writes() {
    check_stderr(
        &slow_query("SELECT * FROM shop_book WHERE id = $1"),
        "2026-11-22 09:15:00.123 UTC [4242]: [3-1] user=shop,db=shopdb,app=gunicorn,client=10.0.0.9 \
         LOG:  duration: 812.104 ms  statement: SELECT * FROM shop_book WHERE id = $1\n\
         2026-11-22 09:15:00.123 UTC [4242]: [4-1] user=shop,db=shopdb,app=gunicorn,client=10.0.0.9 \
         CONTEXT:  pgprism fingerprint=9f02c1d4a87b3e51 rows=61 database=800.100ms transfer=12.000ms \
         client=0.004ms unit=- route=-\n",
    );
}

#[test]
fn extended_queries_name_their_statement() {
    for (name, expected) in [
        ("unnamed", "execute <unnamed>: SELECT $1"),
        ("_pg3_7", "execute _pg3_7: SELECT $1"),
        ("a: b\nLOG:  x", "execute a??b?LOG???x: SELECT $1"),
    ] {
        let mut query = slow_query("SELECT $1");
        query.exchange.statement_name = Some(name.into());
        let mut out = String::new();
        lines::stderr(&mut out, &query, wall());
        let first = out.lines().next().unwrap();
        assert!(
            first.ends_with(&format!("duration: 812.104 ms  {expected}")),
            "{first}"
        );
    }
}

#[test]
fn the_literal_text_is_written_when_it_was_kept() {
    let mut query = slow_query("SELECT $1");
    query.exchange.literal_text = Some("SELECT 'secret'\r\nFROM a\n".into());
    let mut out = String::new();
    lines::stderr(&mut out, &query, wall());
    assert!(
        out.contains("statement: SELECT 'secret'\n\tFROM a\n\t\n2026-"),
        "{out}"
    );
}

#[test]
fn no_name_or_text_begins_a_line() {
    let bad = "x\n2026-11-22 LOG:  fake\r\u{b}\u{85}\u{2028}y\u{1b}[2J";
    let mut query = slow_query(bad);
    let facts = Arc::get_mut(&mut query.facts).unwrap();
    facts.user = bad.into();
    facts.database = bad.into();
    facts.application = bad.into();
    facts.client = bad.into();
    query.exchange.statement_name = Some(bad.into());
    query.exchange.tags = Some(Arc::new(Tags {
        pairs: vec![("route".into(), bad.into())],
    }));
    let mut out = String::new();
    lines::stderr(&mut out, &query, wall());
    let rows: Vec<&str> = out.split('\n').collect();
    assert_eq!(
        rows.len(),
        4,
        "LOG, one continuation line, CONTEXT, the end: {out}"
    );
    assert!(rows[0].contains("LOG:  duration: 812.104 ms  execute "));
    assert!(
        rows[1].starts_with("\t2026-11-22 LOG:  fake"),
        "{}",
        rows[1]
    );
    assert!(
        rows[2].starts_with("2026-11-22 09:15:00.123 UTC [4242]: [4-1] user=x?2026"),
        "{}",
        rows[2]
    );
    assert_eq!(rows[3], "");
    let stray = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t') || matches!(c, '\u{2028}' | '\u{2029}')
    };
    assert_eq!(out.find(stray), None);

    let mut line = String::new();
    lines::json(&mut line, &query, wall());
    assert_eq!(line.matches('\n').count(), 1);
}

#[test]
fn application_name_is_cleaned_as_postgresql_does_and_none_is_unknown() {
    let mut query = slow_query("SELECT 1");
    let facts = Arc::get_mut(&mut query.facts).unwrap();
    facts.application = "café\tbar".into();
    facts.user = "zoë".into();
    let mut out = String::new();
    lines::stderr(&mut out, &query, wall());
    assert!(
        out.contains("user=zoë,db=shopdb,app=caf???bar,client="),
        "{out}"
    );

    Arc::get_mut(&mut query.facts).unwrap().application = "".into();
    out.clear();
    lines::stderr(&mut out, &query, wall());
    assert!(out.contains(",app=[unknown],"), "{out}");
}

#[test]
fn the_route_is_quoted_where_it_must_be() {
    for (route, expected) in [
        ("books/<int:pk>/", "route=books/<int:pk>/\n"),
        ("a b", "route=\"a b\"\n"),
        ("a\"=\\", "route=\"a\\\"=\\\\\"\n"),
        ("", "route=-\n"),
    ] {
        let mut query = slow_query("SELECT 1");
        query.exchange.tags = Some(Arc::new(Tags {
            pairs: vec![("route".into(), route.into())],
        }));
        let mut out = String::new();
        lines::stderr(&mut out, &query, wall());
        assert!(out.ends_with(expected), "{out}");
    }
}

#[test]
fn a_text_that_was_not_kept_says_so() {
    let mut query = slow_query("");
    query.exchange.statement.shape = None;
    let mut out = String::new();
    lines::stderr(&mut out, &query, wall());
    assert!(out.contains("statement: /* text not kept"), "{out}");
}

#[test]
fn json_entry_has_jsonlog_keys_and_ours() {
    let mut query = slow_query("SELECT \"a\"\nFROM b");
    query.exchange.sqlstate = Some(crate::wire::SqlState(*b"57014"));
    let mut out = String::new();
    lines::json(&mut out, &query, wall());
    let line: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        line,
        serde_json::json!({
            "timestamp": "2026-11-22 09:15:00.123 UTC",
            "user": "shop", "dbname": "shopdb", "pid": 4242, "remote_host": "10.0.0.9", "line_num": 3,
            "error_severity": "LOG",
            "message": "duration: 812.104 ms  statement: SELECT \"a\"\nFROM b",
            "application_name": "gunicorn", "backend_type": "client backend",
            "pgprism": {
                "fingerprint": "9f02c1d4a87b3e51", "rows": 61, "duration_ms": 812.104, "database_ms": 800.1,
                "transfer_ms": 12.0, "client_ms": 0.004, "listener": "default", "protocol": "simple",
                "sqlstate": "57014", "unit": null, "route": null,
            },
        })
    );
}

/// A log into `path`, its queue, and what it dropped.
struct Bench {
    log: SlowLog,
    queue: Arc<ArrayQueue<Box<SlowQuery>>>,
    drops: Arc<Mutex<Vec<&'static str>>>,
}

impl Bench {
    fn new(path: &Path, queries_per_second_max: usize) -> Bench {
        let queue = Arc::new(ArrayQueue::new(64));
        let drops = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&drops);
        let settings = Settings {
            destination: Destination::File(path.to_owned()),
            format: Format::Stderr,
            queries_per_second_max,
            disk_full: false,
        };
        let log = SlowLog::new(
            settings,
            Arc::clone(&queue),
            Clock::start(),
            move |reason| {
                seen.lock().unwrap().push(reason);
            },
        );
        Bench { log, queue, drops }
    }

    fn offer(&self, text: &str) {
        assert!(self.queue.push(Box::new(slow_query(text))).is_ok());
    }

    fn write(&mut self, text: &str, at: Moment) {
        self.offer(text);
        self.log.tick(at);
    }

    fn drops(&self) -> Vec<&'static str> {
        self.drops.lock().unwrap().clone()
    }
}

const MS: u64 = 1_000_000;

#[track_caller]
fn texts(path: &Path) -> Vec<String> {
    let log = fs::read_to_string(path).unwrap();
    log.lines()
        .filter_map(|line| Some(line.split_once("statement: ")?.1.to_owned()))
        .collect()
}

#[test]
fn entries_are_appended_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.log");
    fs::write(&path, "before\n").unwrap();
    let mut bench = Bench::new(&path, 0);
    bench.offer("SELECT 1");
    bench.write("SELECT 2", Moment(0));
    bench.write("SELECT 3", Moment(50 * MS));
    assert_eq!(texts(&path), ["SELECT 1", "SELECT 2", "SELECT 3"]);
    assert!(fs::read_to_string(&path).unwrap().starts_with("before\n"));
    assert!(bench.drops().is_empty());
}

#[test]
fn a_second_has_its_limit_and_the_next_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.log");
    let mut bench = Bench::new(&path, 2);
    for number in 0..3 {
        bench.write(&format!("SELECT {number}"), Moment(number * 400 * MS));
    }
    assert_eq!(bench.drops(), [RATE_LIMIT]);
    bench.write("SELECT 3", Moment(1000 * MS));
    assert_eq!(texts(&path), ["SELECT 0", "SELECT 1", "SELECT 3"]);
}

#[test]
fn a_file_that_was_moved_or_removed_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.log");
    let rotated = folder.path().join("slow.log.1");
    let mut bench = Bench::new(&path, 0);
    bench.write("SELECT 1", Moment(0));
    fs::rename(&path, &rotated).unwrap();
    bench.write("SELECT 2", Moment(MS));
    assert_eq!(texts(&rotated), ["SELECT 1"]);
    assert_eq!(texts(&path), ["SELECT 2"]);
    fs::remove_file(&path).unwrap();
    bench.write("SELECT 3", Moment(2 * MS));
    assert_eq!(texts(&path), ["SELECT 3"]);
    assert!(bench.drops().is_empty());
}

#[test]
fn reopen_follows_a_new_file_of_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.log");
    let mut bench = Bench::new(&path, 0);
    bench.write("SELECT 1", Moment(0));
    bench.log.reopen();
    bench.write("SELECT 2", Moment(MS));
    assert_eq!(texts(&path), ["SELECT 1", "SELECT 2"]);
}

#[test]
fn a_vanished_folder_costs_entries_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("logs");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("slow.log");
    let mut bench = Bench::new(&path, 0);
    bench.log.open().unwrap();
    fs::remove_dir_all(&inner).unwrap();
    bench.write("SELECT 1", Moment(0));
    assert_eq!(bench.drops(), [OPEN_FAILED]);
    fs::create_dir(&inner).unwrap();
    // Within the pause nothing is tried.
    bench.write("SELECT 2", Moment(500 * MS));
    assert!(!path.exists());
    assert_eq!(bench.drops(), [OPEN_FAILED, OPEN_FAILED]);
    bench.write("SELECT 3", Moment(1000 * MS));
    assert_eq!(texts(&path), ["SELECT 3"]);
    assert_eq!(bench.drops().len(), 2);
}

#[test]
fn reopen_ends_the_pause_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("logs");
    let path = inner.join("slow.log");
    let mut bench = Bench::new(&path, 0);
    assert!(bench.log.open().is_err(), "a start can refuse this path");
    bench.write("SELECT 1", Moment(0));
    fs::create_dir(&inner).unwrap();
    bench.log.reopen();
    bench.write("SELECT 2", Moment(MS));
    assert_eq!(texts(&path), ["SELECT 2"]);
}

#[test]
fn a_full_disk_costs_entries() {
    let mut bench = Bench::new(Path::new("/dev/full"), 0);
    for number in 0..20 {
        bench.write("SELECT 1", Moment(number * 100 * MS));
    }
    assert_eq!(bench.drops(), [WRITE_FAILED; 20]);
}

#[test]
fn changed_settings_apply_to_the_next_entry() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.log"), folder.path().join("b.log"));
    let mut bench = Bench::new(&first, 0);
    bench.write("SELECT 1", Moment(0));
    bench.log.change(Settings {
        destination: Destination::File(second.clone()),
        format: Format::Json,
        queries_per_second_max: 0,
        disk_full: false,
    });
    bench.write("SELECT 2", Moment(MS));
    assert_eq!(texts(&first), ["SELECT 1"]);
    assert!(
        fs::read_to_string(&second)
            .unwrap()
            .starts_with("{\"timestamp\":")
    );
    bench.log.change(Settings {
        destination: Destination::Off,
        format: Format::Json,
        queries_per_second_max: 0,
        disk_full: false,
    });
    bench.write("SELECT 3", Moment(2 * MS));
    assert_eq!(fs::read_to_string(&second).unwrap().lines().count(), 1);
    assert!(bench.drops().is_empty());
}

/// Takes as many bytes as there is room for: a disk that fills up.
struct Disk {
    held: Vec<u8>,
    room: usize,
}

impl std::io::Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.room -= taken;
        self.held.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_torn_entry_does_not_swallow_the_next() {
    let mut disk = Disk {
        held: Vec::new(),
        room: 10,
    };
    let mut torn = false;
    assert!(sink::append(&mut disk, &mut torn, b"first\n").is_ok());
    assert!(sink::append(&mut disk, &mut torn, b"second\n").is_err());
    assert!(
        sink::append(&mut disk, &mut torn, b"third\n").is_err(),
        "still full"
    );
    disk.room = 100;
    assert!(sink::append(&mut disk, &mut torn, b"fourth\n").is_ok());
    assert_eq!(disk.held, b"first\nseco\nfourth\n");
}

#[test]
fn the_thread_writes_what_waits_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.log");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let bench = Bench::new(&path, 0);
    let log = SlowLog::new(
        bench.log.settings.clone(),
        Arc::clone(&bench.queue),
        Clock::start(),
        move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        },
    );
    // A tick that never comes: only the end can write.
    let writer = Writer::start(log, Duration::from_secs(3600), Arc::default()).unwrap();
    bench.offer("SELECT 1");
    writer.reopen();
    assert!(writer.stop(Duration::from_secs(10)));
    assert_eq!(texts(&path), ["SELECT 1"]);
    assert_eq!(count.load(Ordering::Relaxed), 0);
}
