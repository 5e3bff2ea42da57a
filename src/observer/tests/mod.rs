//! The observer fails open: panics, limits and switches cost observation of one session only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Guarded, Observer, Shared};
use crate::aggregate::{self, Store};
use crate::event::{
    ConnectionState, ConnectionStatus, Direction, Moment, Observed, Rest, SessionId, SessionStart,
    Tap, Taps,
};
use crate::session::Settings;

const CLIENT: Direction = Direction::ClientToUpstream;
const UPSTREAM: Direction = Direction::UpstreamToClient;

struct Room {
    store: Arc<Store>,
    shared: Arc<Shared>,
    observer: Observer,
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
    let Some(Observed::Query(event)) = room.observer.ring().pop() else {
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
