//! What the analysis costs for each query, ticks included: `cargo bench --bench analysis`.
//!
//! Conversations go through the observer once, as the proxy would show them; what is measured is what the analysis'
//! thread does with their events, 10,000 queries and twenty ticks a second. `-- LOAD QUERIES` measures one load once,
//! for those who count instructions: all that counts is done in `analyse`.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgprism::aggregate::{self, Store};
use pgprism::analysis::{Analysis, Settings};
use pgprism::event::{Direction, Moment, Observed, Tap, Taps};
use pgprism::observer::{Observer, Reader, Shared};
use pgprism::session;
use support::message;

/// As the proxy has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Between two queries: 10,000 a second.
const QUERY_NS: u64 = 100_000;
const TICK_NS: u64 = 50_000_000;

/// Events that are taken at a go; and bytes that others touch in between, some times what a core has for itself.
const BITE: usize = 128;
const OTHERS_BYTES: usize = 4 << 20;

/// Who asks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// One statement after the other, as `pgbench -S` sends them over one connection.
    Lone,
    /// The same over sixteen connections in turn.
    LoneOfSixteen,
    /// Over so many that what is known of one is in no near cache when its turn comes.
    LoneOfMany,
    /// Transactions of fifty selects, as bench/django_load.py sends them: a page, and a loop over its rows.
    Pages,
    /// The same, each over a connection of its own.
    Requests,
}

const LOADS: [(&str, Load); 5] = [
    ("lone", Load::Lone),
    ("lone-16", Load::LoneOfSixteen),
    ("lone-128", Load::LoneOfMany),
    ("pages", Load::Pages),
    ("requests", Load::Requests),
];

const COLUMNS: [(&str, u32); 4] = [("aid", 23), ("bid", 23), ("abalance", 23), ("filler", 1042)];
const BRANCH: [(&str, u32); 3] = [("bid", 23), ("bbalance", 23), ("filler", 1042)];
const BALANCE: [(&str, u32); 1] = [("abalance", 23)];

/// Rows of a page.
const PAGE: u64 = 24;

/// A RowDescription, rows with these numbers in their first columns, and the end of the query.
fn result(table: u32, columns: &[(&str, u32)], rows: &[Vec<u64>], ready: u8) -> Vec<u8> {
    let mut description = (columns.len() as u16).to_be_bytes().to_vec();
    for (attribute, (name, type_oid)) in (1u16..).zip(columns) {
        description.extend_from_slice(name.as_bytes());
        description.push(0);
        description.extend_from_slice(&table.to_be_bytes());
        description.extend_from_slice(&attribute.to_be_bytes());
        description.extend_from_slice(&type_oid.to_be_bytes());
        description.extend_from_slice(&[0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    }
    let mut reply = message(b'T', &description);
    for values in rows {
        let mut row = (columns.len() as u16).to_be_bytes().to_vec();
        for place in 0..columns.len() {
            let value = values.get(place).map_or(String::new(), u64::to_string);
            row.extend_from_slice(&(value.len() as u32).to_be_bytes());
            row.extend_from_slice(value.as_bytes());
        }
        reply.extend(message(b'D', &row));
    }
    reply.extend(done(&format!("SELECT {}", rows.len()), ready));
    reply
}

fn done(tag: &str, ready: u8) -> Vec<u8> {
    let complete = message(b'C', format!("{tag}\0").as_bytes());
    [complete, message(b'Z', &[ready])].concat()
}

/// Shows an observer what clients and servers say.
struct Stage {
    observer: Observer,
    now: u64,
    connections: u64,
    queries: u64,
}

type Open = <Observer as Taps>::Tap;

impl Stage {
    fn connect(&mut self) -> Open {
        self.connections += 1;
        let mut tap = self
            .observer
            .open(support::start(self.connections, self.now));
        let login = support::login();
        tap.relayed(Direction::UpstreamToClient, &login, Moment(self.now));
        tap
    }

    fn ask(&mut self, tap: &mut Open, text: &str, reply: &[u8]) {
        let query = message(b'Q', format!("{text}\0").as_bytes());
        tap.relayed(Direction::ClientToUpstream, &query, Moment(self.now));
        self.now += QUERY_NS / 2;
        tap.relayed(Direction::UpstreamToClient, reply, Moment(self.now));
        self.now += QUERY_NS / 2;
        self.queries += 1;
    }

    fn lone(&mut self, tap: &mut Open) {
        let aid = self.queries * 7_919 % 100_000;
        let text = format!("SELECT abalance FROM pgbench_accounts WHERE aid = {aid};");
        self.ask(tap, &text, &result(1, &BALANCE, &[vec![0]], b'I'));
    }

    fn page(&mut self, tap: &mut Open, start: u64) {
        let columns: Vec<String> = COLUMNS
            .iter()
            .map(|(name, _)| format!("\"pgbench_accounts\".\"{name}\""))
            .collect();
        let select = format!("SELECT {} FROM \"pgbench_accounts\"", columns.join(", "));
        let by_key =
            |aid: u64| format!("{select} WHERE \"pgbench_accounts\".\"aid\" = {aid} LIMIT 21");
        let account = |aid: u64| vec![aid, aid % 10 + 1, 0];
        self.ask(tap, "BEGIN", &done("BEGIN", b'T'));
        let rows: Vec<_> = (start + 1..=start + PAGE).map(account).collect();
        let text = format!(
            "{select} WHERE \"pgbench_accounts\".\"aid\" > {start} \
             ORDER BY \"pgbench_accounts\".\"aid\" ASC LIMIT {PAGE}"
        );
        self.ask(tap, &text, &result(1, &COLUMNS, &rows, b'T'));
        for row in &rows {
            let (aid, bid) = (row[0], row[1]);
            let text = format!(
                "SELECT \"pgbench_branches\".\"bid\", \"pgbench_branches\".\"bbalance\", \
                 \"pgbench_branches\".\"filler\" FROM \"pgbench_branches\" \
                 WHERE \"pgbench_branches\".\"bid\" = {bid} LIMIT 21"
            );
            self.ask(tap, &text, &result(2, &BRANCH, &[vec![bid, 0]], b'T'));
            self.ask(
                tap,
                &by_key(aid),
                &result(1, &COLUMNS, &[account(aid)], b'T'),
            );
        }
        let other = start + 100;
        self.ask(
            tap,
            &by_key(other),
            &result(1, &COLUMNS, &[account(other)], b'T'),
        );
        self.ask(tap, "COMMIT", &done("COMMIT", b'I'));
    }

    /// At least so many queries of a load.
    fn play(&mut self, load: Load, queries: u64) {
        let connections = match load {
            Load::LoneOfSixteen => 16,
            Load::LoneOfMany => 128,
            Load::Lone | Load::Pages | Load::Requests => 1,
        };
        let mut taps: Vec<Open> = (0..connections).map(|_| self.connect()).collect();
        for round in 0.. {
            if self.queries >= queries {
                break;
            }
            for tap in &mut taps {
                match load {
                    Load::Lone | Load::LoneOfSixteen | Load::LoneOfMany => self.lone(tap),
                    Load::Pages => self.page(tap, round * 37 % 50_000),
                    Load::Requests => {
                        self.page(tap, round * 37 % 50_000);
                        tap.closed(Moment(self.now));
                        *tap = self.connect();
                    }
                }
            }
        }
    }
}

/// The events of a load, and an analysis that knows its shapes.
fn prepare(load: Load, queries: u64) -> (Vec<Observed>, u64, Analysis) {
    let store = Store::new(&aggregate::Settings::default());
    let shared = Shared::new(
        session::Settings::default(),
        u64::MAX,
        1 << 30,
        1,
        usize::MAX >> 1,
    );
    let mut stage = Stage {
        observer: Observer::new(shared, &store, 2 * queries as usize + 1_000),
        now: TICK_NS,
        connections: 0,
        queries: 0,
    };
    stage.play(load, queries);
    let events = Reader::new(stage.observer.ring()).take_all();
    let mut analysis =
        Analysis::new(Arc::clone(&store), Arc::default(), Settings::default()).expect("a thread");
    let is_unknown = |shape: &pgprism::event::ShapeRef| shape.facts.get().is_none();
    while store.shapes_from(0, 100).iter().any(is_unknown) {
        analysis.tick(Moment(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    (events, stage.queries, analysis)
}

fn happened(event: &Observed) -> u64 {
    match event {
        Observed::Query(event) => event.completed_at.0,
        Observed::Rows(event) => event.completed_at.0,
        Observed::Closed(event) => event.at.0,
    }
}

/// As the analysis' thread does it: some events, then others have the core.
#[inline(never)]
fn analyse(analysis: &mut Analysis, events: Vec<Observed>, others: &mut dyn FnMut()) -> Duration {
    let mut took = Duration::ZERO;
    let mut events: Vec<_> = events.into_iter().map(Some).collect();
    let mut tick = TICK_NS;
    let mut left = &mut events[..];
    while !left.is_empty() {
        tick += TICK_NS;
        let is_due =
            |event: &Option<Observed>| event.as_ref().is_some_and(|event| happened(event) <= tick);
        let due = left.partition_point(is_due);
        let (now, later) = std::mem::take(&mut left).split_at_mut(due);
        left = later;
        for bite in now.chunks_mut(BITE) {
            others();
            let begun = Instant::now();
            analysis.observe_all(Moment(tick), bite.iter_mut());
            bite.fill_with(|| None);
            took += begun.elapsed();
        }
        others();
        let begun = Instant::now();
        analysis.tick(Moment(tick));
        took += begun.elapsed();
    }
    took
}

/// Drives what is in the caches out of them.
fn others(memory: &mut [u64]) {
    for line in memory.iter_mut().step_by(8) {
        *line = line.wrapping_add(1);
    }
    black_box(memory);
}

/// Nanoseconds for each query, where others touch so many bytes in between.
fn measure(load: Load, queries: u64, others_bytes: usize) -> f64 {
    let (events, queries, mut analysis) = prepare(load, queries);
    let mut memory = vec![0; others_bytes / 8];
    let took = analyse(&mut analysis, events, &mut || others(&mut memory));
    let snapshot = analysis.feed().snapshot();
    assert!(snapshot.statements > queries / 2, "{snapshot:?}");
    black_box(snapshot);
    took.as_nanos() as f64 / queries as f64
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [wanted, queries] = arguments.as_slice()
        && let Some((name, load)) = LOADS.iter().find(|(name, _)| name == wanted)
    {
        let ns = measure(*load, queries.parse().expect("a number"), 0);
        println!("{name}: {ns:.0} ns a query");
        return;
    }
    for (name, load) in LOADS {
        let best = (0..5)
            .map(|_| measure(load, 40_000, OTHERS_BYTES))
            .fold(f64::INFINITY, f64::min);
        println!("{name:<10} {best:>7.0} ns a query");
    }
}
