//! The observer fails open: panics, limits and switches cost observation of one session only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Guarded, Observer, Reader, Shared, Sitting};
use crate::aggregate::{self, Store};
use crate::event::{
    ConnectionState, ConnectionStatus, Direction, Moment, Observed, Rest, SessionId, SessionStart,
    Showing, Tap, Taps,
};
use crate::session::Settings;

const CLIENT: Direction = Direction::ClientToUpstream;
const UPSTREAM: Direction = Direction::UpstreamToClient;

struct Room {
    store: Arc<Store>,
    shared: Arc<Shared>,
    observer: Observer,
}

/// Of which so many events may wait.
fn room_for(events_max: usize) -> Room {
    let room = room(1 << 20, u64::MAX);
    Room {
        observer: Observer::new(Arc::clone(&room.shared), &room.store, events_max),
        ..room
    }
}

fn room(session_bytes_max: usize, slow_threshold_ns: u64) -> Room {
    let store = Store::new(&aggregate::Settings::default());
    let shared = Shared::new(
        Settings::default(),
        slow_threshold_ns,
        session_bytes_max,
        4,
        1 << 20,
    );
    let observer = Observer::new(Arc::clone(&shared), &store, 8);
    Room {
        store,
        shared,
        observer,
    }
}

fn start(id: u64) -> SessionStart {
    SessionStart {
        id: SessionId(id),
        listener: "default".into(),
        client: "127.0.0.1".into(),
        user: "shop".into(),
        database: "shop".into(),
        application: "web".into(),
        accepted_at: Moment(0),
        opened_at: Moment(0),
        status: Arc::new(ConnectionStatus::default()),
        observe: Arc::new(AtomicBool::new(true)),
    }
}

const LOGIN: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\x12\x34abcdZ\0\0\0\x05I";
const QUERY: &[u8] = b"Q\0\0\0\x0dSELECT 1\0";
const ANSWER: &[u8] = b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";

fn reasons(store: &Store) -> Vec<(&'static str, u64)> {
    store
        .health()
        .sessions_unobserved()
        .iter()
        .map(|r| (r.reason, r.count))
        .collect()
}

fn state(status: &ConnectionStatus) -> ConnectionState {
    ConnectionState::from_number(status.state.load(Ordering::Relaxed))
}

#[test]
fn a_query_reaches_everything_that_wants_it() {
    let room = room(1 << 20, 1_000_000);
    let start = start(1);
    let status = Arc::clone(&start.status);
    let mut tap = room.observer.open(start);
    tap.relayed(UPSTREAM, LOGIN, Moment(1));
    assert_eq!(
        (state(&status), tap.rest()),
        (ConnectionState::Idle, Rest::Idle)
    );
    assert_eq!(status.backend_pid.load(Ordering::Relaxed), 0x1234);
    tap.relayed(CLIENT, QUERY, Moment(2));
    assert_eq!(state(&status), ConnectionState::Active);
    tap.relayed(UPSTREAM, ANSWER, Moment(5_000_002));
    assert_eq!(status.queries.load(Ordering::Relaxed), 1);
    room.store.collect(Moment(6_000_000));
    let summary = room.store.summary();
    assert_eq!(summary.queries, 1);
    let told = Reader::new(room.observer.ring()).take_all();
    let [Observed::Query(event)] = &told[..] else {
        panic!("the query was offered");
    };
    assert_eq!((event.rows, event.phases.database_ns), (1, 5_000_000));
    let slow = room.shared.slow.pop().unwrap();
    assert_eq!(
        (slow.line, slow.exchange.statement.fingerprint),
        (1, event.fingerprint)
    );
    tap.closed(Moment(6_000_000));
    drop(tap);
    assert_eq!(room.shared.session_bytes(), 0);
    assert_eq!(reasons(&room.store), []);
}

#[test]
fn what_is_shown_together_is_what_is_relayed() {
    let message = |tag: u8, body: &[u8]| {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[tag][..], &length, body].concat()
    };
    let answer = |tag: &[u8], status: u8| [message(b'C', tag), message(b'Z', &[status])].concat();
    let mut reads = vec![(UPSTREAM, LOGIN.to_vec())];
    for (query, tag, status) in [
        (&b"BEGIN\0"[..], &b"BEGIN\0"[..], b'T'),
        (b"SELECT 1\0", b"SELECT 1\0", b'T'),
        (b"COMMIT\0", b"COMMIT\0", b'I'),
        (b"SELECT 2\0", b"SELECT 7\0", b'I'),
    ] {
        reads.push((CLIENT, message(b'Q', query)));
        // In one read, and in two.
        reads.push((UPSTREAM, answer(tag, status)));
        reads.push((CLIENT, message(b'Q', query)));
        let answer = answer(tag, status);
        let (complete, ready) = answer.split_at(answer.len() - 6);
        reads.extend([complete, ready].map(|read| (UPSTREAM, read.to_vec())));
    }
    let settings = Arc::new(Settings::default());
    let told = |together: usize| {
        let room = room_for(100);
        // Values are hashed with the same key.
        room.shared.session.store(Arc::clone(&settings));
        let mut taps = [1, 2, 3].map(|id| room.observer.open(start(id)));
        // The reads of one session lie between those of the others.
        let all: Vec<_> = (0..reads.len() * taps.len())
            .map(|number| {
                (
                    number % taps.len(),
                    &reads[number / taps.len()],
                    number as u64,
                )
            })
            .collect();
        match together {
            0 => {
                for (session, (direction, bytes), at) in &all {
                    taps[*session].relayed(*direction, bytes, Moment(*at));
                }
            }
            together => {
                for some in all.chunks(together) {
                    let mut showing = room.observer.begin_showing();
                    for (session, (direction, bytes), at) in some {
                        showing.show(&mut taps[*session], *direction, bytes, Moment(*at));
                    }
                }
            }
        }
        assert!(taps.iter().all(|tap| tap.rest() == Rest::Idle));
        room.store.collect(Moment(1_000));
        let events = Reader::new(room.observer.ring()).take_all();
        let metrics = room.store.metrics();
        format!(
            "{events:?} {:?} {:?}",
            room.store.summary(),
            metrics.transactions
        )
    };
    let relayed = told(0);
    for together in [1, 2, 7, 32, 1_000] {
        assert!(told(together) == relayed, "{together} together");
    }
}

#[test]
fn each_event_has_the_facts_of_its_time() {
    let room = room_for(100);
    let mut tap = room.observer.open(start(1));
    tap.relayed(UPSTREAM, LOGIN, Moment(1));
    let mut expected = Vec::new();
    for number in 0..60u8 {
        if number % 13 == 0 {
            let name = [b'a' + number / 13];
            let status = [b"S\0\0\0\x17application_name\0", &name[..], b"\0"].concat();
            tap.relayed(UPSTREAM, &status, Moment(2));
        }
        tap.relayed(CLIENT, QUERY, Moment(2));
        tap.relayed(UPSTREAM, ANSWER, Moment(3));
        expected.push(char::from(b'a' + number / 13).to_string());
    }
    let events = Reader::new(room.observer.ring()).take_all();
    let applications = events.iter().map(|event| match event {
        Observed::Query(event) => event.facts.application.to_string(),
        Observed::Rows(_) | Observed::Closed(_) => panic!("{event:?}"),
    });
    assert_eq!(applications.collect::<Vec<_>>(), expected);
}

#[test]
fn full_queues_drop_and_count() {
    let room = room(1 << 20, 0);
    let mut tap = room.observer.open(start(1));
    tap.relayed(UPSTREAM, LOGIN, Moment(1));
    for at in 2..12 {
        tap.relayed(CLIENT, QUERY, Moment(at));
        tap.relayed(UPSTREAM, ANSWER, Moment(at));
    }
    room.store.collect(Moment(20));
    assert_eq!(room.store.summary().queries, 10);
    let dropped: u64 = room
        .store
        .health()
        .events_dropped()
        .iter()
        .map(|d| d.count)
        .sum();
    let slow: u64 = room
        .store
        .health()
        .slow_log_drops()
        .iter()
        .map(|d| d.count)
        .sum();
    assert_eq!((dropped, slow), (2, 6));
}

#[test]
fn garbage_ends_observation_with_its_reason() {
    let room = room(1 << 20, u64::MAX);
    let start = start(1);
    let status = Arc::clone(&start.status);
    let mut tap = room.observer.open(start);
    tap.relayed(UPSTREAM, LOGIN, Moment(1));
    tap.relayed(UPSTREAM, b"\0garbage", Moment(2));
    assert_eq!(
        (state(&status), tap.rest()),
        (ConnectionState::Unobserved, Rest::Unknown)
    );
    assert_eq!(status.observed.load(Ordering::Relaxed), 0);
    tap.relayed(UPSTREAM, ANSWER, Moment(3));
    tap.closed(Moment(4));
    assert_eq!(reasons(&room.store), [("impossible_tag", 1)]);
    let errors = room.store.health().decode_errors(UPSTREAM);
    assert_eq!(
        errors
            .iter()
            .map(|e| (e.reason, e.count))
            .collect::<Vec<_>>(),
        [("impossible_tag", 1)]
    );
}

#[test]
fn switching_off_touches_nothing_and_lasts_for_the_session() {
    let room = room(1 << 20, u64::MAX);
    let start = start(1);
    let (status, wanted) = (Arc::clone(&start.status), Arc::clone(&start.observe));
    let mut tap = room.observer.open(start);
    tap.relayed(UPSTREAM, LOGIN, Moment(1));
    wanted.store(false, Ordering::Relaxed);
    tap.relayed(CLIENT, QUERY, Moment(2));
    assert_eq!(state(&status), ConnectionState::Unobserved);
    wanted.store(true, Ordering::Relaxed);
    tap.relayed(UPSTREAM, ANSWER, Moment(3));
    assert_eq!(
        (state(&status), tap.rest()),
        (ConnectionState::Unobserved, Rest::Unknown)
    );
    assert_eq!(reasons(&room.store), [("observe_off", 1)]);
}

#[test]
fn the_account_of_all_sessions_has_an_end() {
    let room = room(150 << 10, u64::MAX);
    let mut taps: Vec<_> = (0..4).map(|id| room.observer.open(start(id))).collect();
    let half = [b"Q\x00\x02\x00\x00SELECT '".to_vec(), vec![b'x'; 100 << 10]].concat();
    for tap in &mut taps {
        tap.relayed(UPSTREAM, LOGIN, Moment(1));
        tap.relayed(CLIENT, &half, Moment(2));
    }
    assert!(
        room.shared.session_bytes() <= 150 << 10,
        "{}",
        room.shared.session_bytes()
    );
    let lost: u64 = reasons(&room.store)
        .iter()
        .filter(|r| r.0 == "session_memory_full")
        .map(|r| r.1)
        .sum();
    assert!((1..4).contains(&lost), "{lost}");
    drop(taps);
    assert_eq!(room.shared.session_bytes(), 0);
}

const COLUMNS: &[u8] = b"T\0\0\0\x1a\0\x01a\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0";
const ROW: &[u8] = b"D\0\0\0\x0b\0\x01\0\0\0\x017";

/// An answer with so many rows of one key each.
fn rows(count: usize) -> Vec<u8> {
    [COLUMNS, &ROW.repeat(count), ANSWER].concat()
}

#[test]
fn results_on_their_way_have_one_account_and_give_back_what_they_took() {
    let room = room(1 << 20, u64::MAX);
    room.shared.flow.bytes_max.store(400, Ordering::Relaxed);
    let mut tap = room.observer.open(start(1));
    tap.relayed(UPSTREAM, LOGIN, Moment(1));
    for at in 2..6 {
        tap.relayed(CLIENT, QUERY, Moment(at));
        tap.relayed(UPSTREAM, &rows(20), Moment(at));
    }
    let mut results = 0;
    let events = Reader::new(room.observer.ring()).take_all();
    for event in &events {
        let Observed::Query(event) = event else {
            panic!("{event:?}");
        };
        let flow = event.flow.as_ref().expect("its constants at least");
        assert_eq!(flow.constants.len(), 1);
        results += usize::from(flow.result.is_some());
    }
    assert_eq!((events.len(), results), (4, 2));
    let dropped = room.store.health().events_dropped();
    assert_eq!(
        (dropped[0].reason, dropped[0].count, dropped.len()),
        ("flow_full", 2, 1)
    );
    assert!(room.shared.flow.bytes.load(Ordering::Relaxed) > 0);
    drop(events);
    assert_eq!(room.shared.flow.bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn a_result_without_memory_of_its_own_needs_no_room_in_the_account() {
    let room = room(1 << 20, u64::MAX);
    room.shared.flow.bytes_max.store(0, Ordering::Relaxed);
    let mut tap = room.observer.open(start(1));
    tap.relayed(UPSTREAM, LOGIN, Moment(1));
    for (at, count) in [(2, 1), (3, 8), (4, 9)] {
        tap.relayed(CLIENT, QUERY, Moment(at));
        tap.relayed(UPSTREAM, &rows(count), Moment(at));
    }
    let kept: Vec<_> = Reader::new(room.observer.ring())
        .take_all()
        .into_iter()
        .map(|event| match event {
            Observed::Query(event) => event.flow.is_some_and(|flow| flow.result.is_some()),
            _ => false,
        })
        .collect();
    assert_eq!(kept, [true, true, false]);
    assert_eq!(room.shared.flow.bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn the_end_of_a_session_comes_last_and_says_how_many_queries_there_were() {
    let room = room(1 << 20, u64::MAX);
    for lost in [false, true] {
        let mut tap = room.observer.open(start(1));
        tap.relayed(UPSTREAM, LOGIN, Moment(1));
        for at in 2..4 {
            tap.relayed(CLIENT, QUERY, Moment(at));
            tap.relayed(UPSTREAM, ANSWER, Moment(at));
        }
        if lost {
            tap.relayed(UPSTREAM, b"\0garbage", Moment(4));
        }
        tap.closed(Moment(5));
        let told = Reader::new(room.observer.ring()).take_all();
        assert!(matches!(
            &told[..],
            [Observed::Query(first), Observed::Query(second), Observed::Closed(closed)]
                if (first.sequence, second.sequence) == (0, 1)
                    && (closed.queries, closed.at) == (2 + u64::from(lost), Moment(5))
        ));
    }
    // Nobody logged in: nothing was there to end.
    room.observer.open(start(2)).closed(Moment(6));
    assert!(room.observer.ring().is_empty());
}

#[test]
fn events_are_dropped_on_purpose_as_often_as_was_asked_for() {
    let room = room(1 << 20, u64::MAX);
    room.shared
        .drop_events_per_10000
        .store(1000, Ordering::Relaxed);
    let mut tap = room.observer.open(start(1));
    tap.relayed(UPSTREAM, LOGIN, Moment(1));
    let mut events = Reader::new(room.observer.ring());
    let mut sequences = Vec::new();
    for at in 0..2000 {
        tap.relayed(CLIENT, QUERY, Moment(at + 2));
        tap.relayed(UPSTREAM, ANSWER, Moment(at + 2));
        sequences.extend(events.take_all().iter().map(|event| match event {
            Observed::Query(event) => event.sequence,
            Observed::Rows(_) | Observed::Closed(_) => panic!("{event:?}"),
        }));
    }
    let dropped = room.store.health().events_dropped();
    assert_eq!((dropped.len(), dropped[0].reason), (1, "on_purpose"));
    assert!(
        (120..280).contains(&dropped[0].count),
        "{}",
        dropped[0].count
    );
    // What is missing shows as a gap.
    assert_eq!(sequences.len() as u64 + dropped[0].count, 2000);
    assert!(sequences.is_sorted());
    room.store.collect(Moment(3000));
    assert_eq!(room.store.summary().queries, 2000);
}

/// A tap with a fault: panics at the n-th call.
struct Faulty(u32);

impl Tap for Faulty {
    fn relayed(&mut self, _: Direction, _: &[u8], _: Moment) {
        self.0 -= 1;
        assert!(self.0 > 0, "an injected fault");
    }
    fn refused(&mut self, _: Direction, _: Moment) {}
    fn accepted(&mut self, _: Direction, _: Moment) {}
    fn finished(&mut self, _: Direction, _: Moment) {}
    fn closed(&mut self, _: Moment) {}
    fn rest(&self) -> Rest {
        Rest::Idle
    }
}

#[test]
fn a_panic_costs_one_sessions_observation() {
    let room = room(1 << 20, u64::MAX);
    let status = Arc::new(ConnectionStatus::default());
    let mut faulty = Guarded::new(Faulty(2), Arc::clone(&room.store), Arc::clone(&status));
    let mut sound = room.observer.open(start(2));
    sound.relayed(UPSTREAM, LOGIN, Moment(1));
    faulty.relayed(CLIENT, QUERY, Moment(1));
    assert_eq!(faulty.rest(), Rest::Idle);
    faulty.relayed(CLIENT, QUERY, Moment(2));
    assert_eq!(
        (faulty.rest(), state(&status)),
        (Rest::Unknown, ConnectionState::Unobserved)
    );
    faulty.relayed(CLIENT, QUERY, Moment(3));
    assert_eq!(reasons(&room.store), [("panic", 1)]);
    sound.relayed(CLIENT, QUERY, Moment(4));
    sound.relayed(UPSTREAM, ANSWER, Moment(5));
    room.store.collect(Moment(6));
    assert_eq!(room.store.summary().queries, 1);
}

#[test]
fn a_panic_costs_the_scratch_that_it_may_have_left_half_changed() {
    let room = room(1 << 20, u64::MAX);
    let desk = &room.observer.desk;
    assert_eq!(Sitting::at(desk).renewals(), 0);
    let sits = || {
        let _sitting = Sitting::at(desk);
        panic!("half changed");
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(sits)).is_err());
    for _ in 0..2 {
        assert_eq!(Sitting::at(desk).renewals(), 1);
    }
}

#[test]
fn a_panic_while_several_are_shown_costs_one_session_and_the_scratch() {
    let room = room(1 << 20, u64::MAX);
    let mut taps = [1, 2].map(|id| room.observer.open(start(id)));
    for tap in &mut taps {
        tap.relayed(UPSTREAM, LOGIN, Moment(1));
    }
    let [broken, sound] = &mut taps;
    let mut showing = room.observer.begin_showing();
    showing.show(sound, CLIENT, QUERY, Moment(2));
    showing.show(broken, CLIENT, QUERY, Moment(2));
    room.shared.panics.store(true, Ordering::Relaxed);
    // Its query is counted, and then it panics.
    showing.show(broken, UPSTREAM, ANSWER, Moment(3));
    room.shared.panics.store(false, Ordering::Relaxed);
    assert_eq!(showing.renewals(), 1);
    showing.show(broken, CLIENT, QUERY, Moment(4));
    showing.show(sound, UPSTREAM, ANSWER, Moment(5));
    drop(showing);
    assert_eq!(broken.rest(), Rest::Unknown);
    assert_eq!(sound.rest(), Rest::Idle);
    assert_eq!(reasons(&room.store), [("panic", 1)]);
    room.store.collect(Moment(6));
    assert_eq!(room.store.summary().queries, 2);
    let events = Reader::new(room.observer.ring()).take_all();
    assert_eq!(events.len(), 2);
}
