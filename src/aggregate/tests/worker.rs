//! Workers that count beside each other, and what is left behind a panic.

use super::*;

#[test]
fn many_workers_lose_nothing() {
    let store = Store::new(&Settings::default());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|number| {
                let worker = store.worker(());
                scope.spawn(move || {
                    let facts = facts_of(number, "shop", "shop", "web");
                    let whose = &mut Whose::default();
                    // More than a delta holds, of entries and of durations, between two collections. One begins
                    // anew with each query, the others with thousands.
                    let mut counting = None;
                    for query in 0..30_000_u64 {
                        if query % (1 + 5_000 * number) == 0 {
                            counting = None;
                        }
                        let counting = counting.get_or_insert_with(|| worker.begin());
                        let mut counter = counting.counter();
                        let one = counted(&mut counter, query % 3_000, MILLISECOND, Moment(query));
                        counter.record(whose, &one.event(&facts), one.beside());
                    }
                })
            })
            .collect();
        let collector = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.collect(Moment(SECOND));
                let _ = store.queries(
                    &Listing {
                        limit: 10,
                        sort: Sort::P95Time,
                        ..Listing::default()
                    },
                    Moment(0),
                );
                let metrics = store.metrics();
                let counted: u64 = metrics
                    .series
                    .iter()
                    .map(|series| series.totals.calls())
                    .sum();
                assert_eq!(
                    counted,
                    metrics
                        .queries
                        .iter()
                        .map(|sample| sample.count)
                        .sum::<u64>()
                );
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        collector.join().unwrap();
    });
    store.collect(Moment(SECOND));
    assert_eq!(store.summary().queries, 120_000);
    assert!(
        lock(&store.workers).is_empty(),
        "the figures of workers that ended are gone"
    );
}

#[test]
fn a_panic_under_a_lock_is_not_for_good() {
    let mut bench = Bench::new(&Settings::default());
    bench.run(1, "shop", MILLISECOND);
    let (worker, store) = (&bench.worker, &bench.store);
    std::thread::scope(|scope| {
        let panicked = scope.spawn(|| {
            let _counting = worker.begin();
            let _figures = lock(&store.figures);
            panic!("injected");
        });
        assert!(panicked.join().is_err());
    });
    bench.run(1, "shop", MILLISECOND);
    bench.pass(SECOND);
    assert_eq!(bench.store.summary().queries, 2);
}

#[test]
fn what_is_beside_the_figures_is_mended_once_behind_a_panic() {
    let store = Store::new(&Settings::default());
    let worker = store.worker(0);
    let panics = || {
        let _counting = worker.begin_or_mend(|_| panic!("nothing is broken"));
        panic!("injected");
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    for _ in 0..2 {
        let mut counting = worker.begin_or_mend(|mended| *mended += 1);
        assert_eq!(*counting.beside(), 1);
    }
}

#[test]
fn the_text_of_a_shape_is_asked_for_once_in_the_process() {
    let store = Store::new(&Settings {
        fingerprints_max: 1,
        ..Settings::default()
    });
    let (one, two) = (store.worker(()), store.worker(()));
    assert!(
        one.begin()
            .counter()
            .shape(Fingerprint(1), Verb::Select, || "SELECT 1".to_owned())
            .is_some()
    );
    assert!(
        two.begin()
            .counter()
            .shape(Fingerprint(1), Verb::Select, || panic!(
                "the other worker told it"
            ))
            .is_some()
    );
    assert!(
        two.begin()
            .counter()
            .shape(Fingerprint(2), Verb::Select, || panic!(
                "there is no room for it"
            ))
            .is_none()
    );
    assert_eq!(store.shapes_from(0, 9).len(), 1);
    assert!(store.shapes_from(1, 9).is_empty());
}
