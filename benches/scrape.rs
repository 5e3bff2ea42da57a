//! How long a query waits for a scrape: `cargo bench --bench scrape`.
//!
//! One thread observes 20,000 queries a second of 10,000 shapes, as a worker that relays them does, and takes the time of
//! each. Another one scrapes `/metrics` again and again, which no Prometheus does. A machine makes a thread wait by
//! itself, too: so the same is measured alone, and beside a thread that is as busy with something else.
//!
//! One argument is the seconds of each turn; there are five of each, in turn, and of each figure the least counts: what a
//! neighbour did is in the others.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use pgprism::aggregate::{Settings as Limits, Store};
use pgprism::analysis::Feed;
use pgprism::clock::Clock;
use pgprism::event::{Direction, Moment, Tap, Taps};
use pgprism::export::metrics::Metrics;
use pgprism::observer::{Observer, Reader, Shared};
use pgprism::registry::Registry;
use pgprism::session::Settings;
use support::message;

/// As the proxy has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SHAPES: u64 = 10_000;
const EACH: Duration = Duration::from_micros(50);
const ROUNDS: usize = 5;
const LIMIT_NS: u64 = 20_000;

/// What is done beside the queries.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Work,
    Scrapes,
}

/// What came of one turn.
struct Turn {
    took_ns: Histogram<u64>,
    scrapes: u64,
}

/// The other thread's work, as often as it goes.
fn beside(what: Beside, store: &Arc<Store>, scrapes: &AtomicU64, is_over: &AtomicBool) {
    let registry = Arc::new(Registry::new());
    let clock = Clock::start();
    let feed = Arc::new(Feed::default());
    let metrics = Metrics::new(Arc::clone(store), registry, feed, clock).expect("metrics");
    while !is_over.load(Ordering::Relaxed) {
        match what {
            Beside::Nothing => return,
            Beside::Work => {
                black_box((0..10_000u64).fold(0u64, |all, n| all.rotate_left(7) ^ black_box(n)));
            }
            Beside::Scrapes => {
                store.collect(clock.now());
                black_box(metrics.page().expect("a page"));
                scrapes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn turn(what: Beside, length: Duration) -> Turn {
    let store = Store::new(&Limits::default());
    let shared = Shared::new(Settings::default(), 100_000_000, 1 << 30, 16, 64 << 20);
    let observer = Observer::new(shared, &store, 16_384);
    let mut events = Reader::new(observer.ring());
    let mut tap = observer.open(support::start(1, 0));
    tap.relayed(Direction::UpstreamToClient, &support::login(), Moment(1));
    let requests: Vec<Vec<u8>> = (0..SHAPES)
        .map(|n| message(b'Q', format!("SELECT 1 AS c{n};\0").as_bytes()))
        .collect();
    let reply = [
        message(
            b'T',
            b"\0\x01c\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0",
        ),
        message(b'D', b"\0\x01\0\0\0\x011"),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ]
    .concat();
    let mut ask = |request: &[u8], at: u64| {
        tap.relayed(Direction::ClientToUpstream, request, Moment(at));
        tap.relayed(Direction::UpstreamToClient, &reply, Moment(at + 40_000));
    };
    for (number, request) in requests.iter().enumerate() {
        ask(request, number as u64 * 50_000);
        if number % 1_000 == 0 {
            store.collect(Moment(number as u64 * 50_000));
        }
    }
    let (scrapes, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut took_ns = Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("bounds");
    std::thread::scope(|scope| {
        scope.spawn(|| beside(what, &store, &scrapes, &is_over));
        let begun = Instant::now();
        let (mut due, mut number, mut collected) = (begun, 0u64, begun);
        while begun.elapsed() < length {
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            // A step that has to do with every number: neighbours in time are no neighbours in memory.
            number = (number + 7_919) % SHAPES;
            let request = &requests[number as usize];
            let at = 1_000_000_000 + begun.elapsed().as_nanos() as u64;
            let asked = Instant::now();
            ask(request, at);
            took_ns.saturating_record(asked.elapsed().as_nanos() as u64);
            due = due.max(asked) + EACH;
            while events.bite(1_000, |events| events.for_each(drop)) > 0 {}
            // Between two scrapes the collector does it, on another thread too; here it is not what is measured.
            if collected.elapsed() > Duration::from_millis(50) && !matches!(what, Beside::Scrapes) {
                store.collect(Moment(at));
                collected = Instant::now();
                due = due.max(collected);
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    Turn {
        took_ns,
        scrapes: scrapes.into_inner(),
    }
}

fn main() {
    let seconds = std::env::args()
        .skip(1)
        .find(|it| !it.starts_with('-'))
        .map_or(2, |it| it.parse().expect("seconds"));
    let length = Duration::from_secs(seconds);
    let turns: [(&str, Beside); 3] = [
        ("alone", Beside::Nothing),
        ("beside other work", Beside::Work),
        ("beside scrapes", Beside::Scrapes),
    ];
    let mut found: [Vec<Turn>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, what), found) in turns.iter().zip(&mut found) {
            found.push(turn(*what, length));
        }
    }
    for ((name, _), turns) in turns.iter().zip(found) {
        let least = |figure: fn(&Turn) -> u64| turns.iter().map(figure).min().unwrap_or_default();
        println!(
            "{name:20}p50 {:6.2} us, p99 {:6.2} us, p99.99 {:6.2} us, longest {:8.2} us; over 20 us {:3} of {}; {} scrapes",
            least(|turn| turn.took_ns.value_at_quantile(0.5)) as f64 / 1e3,
            least(|turn| turn.took_ns.value_at_quantile(0.99)) as f64 / 1e3,
            least(|turn| turn.took_ns.value_at_quantile(0.9999)) as f64 / 1e3,
            least(|turn| turn.took_ns.max()) as f64 / 1e3,
            least(|turn| turn.took_ns.len() - turn.took_ns.count_between(0, LIMIT_NS)),
            least(|turn| turn.took_ns.len()),
            least(|turn| turn.scrapes),
        );
    }
}
