//! A deterministic simulation of whole connections: a client's script, a server that keeps PostgreSQL's protocol, and
//! a network that cuts, delays, stalls and resets, around the real relay and the real observer. A seed decides
//! everything; there is no clock, no socket and no thread in it.
//!
//! Two promises are checked. *Safety*, at every step: the bytes that a peer gets are those that the other sent, in
//! order; the tap is shown exactly what was written; no more than one read waits a direction; what the observer reports
//! is what the server knows that it did. *Liveness*: two seconds into its life everything that was out of order is in
//! order again, and then both connections end within a bounded number of steps, FIN and RST included.
//!
//! `PGPRISM_SIM_SEEDS=10000 cargo test --release --test simulation` runs so many seeds, `PGPRISM_SIM_SEED=17` that one.

#[path = "simulation/client.rs"]
mod client;
#[path = "simulation/expect.rs"]
mod expect;
#[path = "simulation/messages.rs"]
mod messages;
#[path = "simulation/network.rs"]
mod network;
#[path = "simulation/random.rs"]
mod random;
#[path = "simulation/server.rs"]
mod server;
#[path = "simulation/statements.rs"]
mod statements;
#[path = "simulation/world.rs"]
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use network::Sabotage;
use world::{Summary, live};

/// Seeds that failed once, each with what it found.
const FAILED_ONCE: &[(u64, &str)] = &[
    (349, "a server that waits for its socket hears of no reset"),
    (2649, "the same, in the middle of a large result"),
    (
        1329,
        "a refused Bind gives its Execute the rows of an older portal",
    ),
    (2516, "the same, and the older portal's query is lost"),
    (3480, "the same, where the name was taken"),
    (3504, "the same, and the session ends"),
    (4747, "the same, many requests later"),
    (3736, "the same, in a run of requests of its own"),
    (
        6618,
        "a portal that was replaced is not to blame for the end of its session",
    ),
];

/// How many seeds are run where nobody asks for more.
const SEEDS: u64 = 300;

fn wanted(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is no number")),
    )
}

/// Lives through `seeds` on all cores; returns the summaries and the failures.
fn live_all(seeds: std::ops::Range<u64>) -> (Vec<Summary>, Vec<(u64, String)>) {
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let working: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let (mut summaries, mut failures) = (Vec::new(), Vec::new());
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end {
                            return (summaries, failures);
                        }
                        match live(seed, None) {
                            Ok(summary) => summaries.push(summary),
                            Err(broken) => failures.push((seed, broken)),
                        }
                    }
                })
            })
            .collect();
        working
            .into_iter()
            .map(|thread| thread.join().expect("a thread of the simulation"))
            .collect()
    });
    let (mut summaries, mut failures) = (Vec::new(), Vec::new());
    for (some, others) in parts {
        summaries.extend(some);
        failures.extend(others);
    }
    failures.sort();
    (summaries, failures)
}

fn replay(seed: u64) -> String {
    format!("PGPRISM_SIM_SEED={seed} cargo test --test simulation seeds_are_clean -- --nocapture")
}

#[test]
fn seeds_are_clean() {
    if let Some(seed) = wanted("PGPRISM_SIM_SEED") {
        match live(seed, None) {
            Ok(summary) => return println!("seed {seed}: {summary:?}"),
            Err(broken) => panic!("seed {seed}: {broken}"),
        }
    }
    let count = wanted("PGPRISM_SIM_SEEDS").unwrap_or(SEEDS);
    let (summaries, failures) = live_all(0..count);
    for (seed, broken) in failures.iter().take(10) {
        println!("seed {seed}: {broken}\n  again: {}", replay(*seed));
    }
    assert!(
        failures.is_empty(),
        "{} of {count} seeds failed, the first with `{}`",
        failures.len(),
        replay(failures[0].0)
    );
    // What is never reached proves nothing.
    let sum = |count: fn(&Summary) -> usize| summaries.iter().map(count).sum::<usize>();
    let share = |is_so: fn(&Summary) -> bool| {
        summaries.iter().filter(|summary| is_so(summary)).count() as f64 / count as f64
    };
    println!(
        "{count} seeds: {} queries, {} bytes up, {} down, {} events; {:.2} of them whole, {:.2} with a reset, {:.2} with a faulty observer",
        sum(|it| it.queries),
        sum(|it| it.bytes[0]),
        sum(|it| it.bytes[1]),
        sum(|it| it.events as usize),
        share(|it| it.is_whole),
        share(|it| it.was_reset),
        share(|it| !it.was_observed),
    );
    assert!(sum(|it| it.queries) as u64 > 5 * count);
    assert!(share(|it| it.is_whole) > 0.3 && share(|it| it.was_reset) > 0.1);
}

#[test]
fn seeds_that_failed_once_are_clean() {
    for (seed, found) in FAILED_ONCE {
        if let Err(broken) = live(*seed, None) {
            panic!("seed {seed} ({found}): {broken}");
        }
    }
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..40 {
        assert_eq!(live(seed, None), live(seed, None), "seed {seed}");
    }
}

#[test]
fn a_broken_proxy_is_noticed() {
    use Sabotage::*;
    for sabotage in [
        DropsAByte,
        RepeatsAByte,
        SwapsBytes,
        ForgetsFin,
        InventsFin,
        ForgetsReaders,
        ForgetsWriters,
        SwallowsReset,
    ] {
        let noticed: Vec<_> = (0..60)
            .filter_map(|seed| live(seed, Some(sabotage)).err())
            .collect();
        println!(
            "{sabotage:?}: {} of 60, as in: {:?}",
            noticed.len(),
            noticed.first()
        );
        assert!(!noticed.is_empty(), "{sabotage:?} goes unnoticed");
    }
}
