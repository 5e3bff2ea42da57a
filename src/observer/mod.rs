//! The Tap: feeds bytes to `wire` and `session`, hands finished queries to its worker's delta, fails open.
//!
//! ```text
//!  relay ─► Guarded ─► Sitting ───► Session ─► WorkerSink ─┬─► aggregate::Counter  exact, never dropped
//!          (panics)    (limits, off)                        ├─► ring of Observed    dropped and counted when full
//!                                                           └─► queue of SlowQuery  dropped and counted when full
//! ```
//!
//! *Architecture invariant:* nothing here can stop traffic. Whatever goes wrong ends the observation of one session
//! and is counted with its reason.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]

mod desk;
mod guard;
mod ring;
mod sink;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;

use crate::aggregate::Store;
use crate::bell::Bell;
use crate::event::{
    Ahead, ConnectionState, ConnectionStatus, Direction, FlowBudget, Moment, Rest, SessionStart,
    Showing, SlowQuery, Tap, Taps,
};
use crate::session::{Lost, Session, Settings as SessionSettings};

use desk::Desk;
pub use desk::Sitting;
use guard::Gone;
pub use guard::Guarded;
pub use ring::{Bite, Reader, Ring};
use sink::Outlet;

/// What all observers of the process share, and what a reload may change.
#[derive(Debug)]
pub struct Shared {
    /// Settings of new sessions.
    pub session: ArcSwap<SessionSettings>,
    /// A query that took at least this long, in nanoseconds, goes to the slow log; `u64::MAX` turns it off.
    pub slow_threshold_ns: AtomicU64,
    /// Bytes that all sessions together may hold.
    pub session_bytes_max: AtomicUsize,
    /// Queries on their way to the slow log's writer; boxed, for there are few and room for many.
    pub slow: Arc<ArrayQueue<Box<SlowQuery>>>,
    /// Tells that writer of each.
    pub slow_bell: Arc<Bell>,
    /// What the results that the analysis has not yet let go of may take.
    pub flow: Arc<FlowBudget>,
    /// Of ten thousand events so many are dropped on purpose: how the analysis bears it can be tried out.
    pub drop_events_per_10000: AtomicU64,
    /// Whether the observer panics on purpose ([`crate::fault::Fault::ObserverPanic`]).
    pub panics: AtomicBool,
    /// Events that were offered while some were dropped on purpose.
    events_offered: AtomicU64,
    session_bytes: AtomicUsize,
}

impl Shared {
    /// `slow_queue_max` queries may wait for the slow log's writer; results on their way to the analysis may take
    /// `flow_bytes_max`.
    pub fn new(
        session: SessionSettings,
        slow_threshold_ns: u64,
        session_bytes_max: usize,
        slow_queue_max: usize,
        flow_bytes_max: usize,
    ) -> Arc<Shared> {
        Arc::new(Shared {
            session: ArcSwap::from_pointee(session),
            slow_threshold_ns: AtomicU64::new(slow_threshold_ns),
            session_bytes_max: AtomicUsize::new(session_bytes_max),
            slow: Arc::new(ArrayQueue::new(slow_queue_max.max(1))),
            slow_bell: Arc::default(),
            flow: FlowBudget::new(flow_bytes_max),
            drop_events_per_10000: AtomicU64::new(0),
            panics: AtomicBool::new(false),
            events_offered: AtomicU64::new(0),
            session_bytes: AtomicUsize::new(0),
        })
    }

    /// Whether an event that is offered now is to be dropped on purpose: the same ones in every run of the process.
    fn drops_on_purpose(&self) -> bool {
        let per_10000 = self.drop_events_per_10000.load(Ordering::Relaxed);
        if per_10000 == 0 {
            return false;
        }
        let number = self.events_offered.fetch_add(1, Ordering::Relaxed);
        // SplitMix64: any number, well mixed, so that no rhythm of the events meets one of the drops.
        let mut bits = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % 10_000 < per_10000
    }

    /// Bytes that all sessions hold now.
    pub fn session_bytes(&self) -> usize {
        self.session_bytes.load(Ordering::Relaxed)
    }
}

/// Opens the taps of one proxy worker's connections.
pub struct Observer {
    shared: Arc<Shared>,
    store: Arc<Store>,
    desk: Arc<Desk>,
}

impl Observer {
    /// An observer that hands its queries to a worker of `store`, and `events_max` of them to the analysis.
    pub fn new(shared: Arc<Shared>, store: &Arc<Store>, events_max: usize) -> Observer {
        let fingerprint_bytes_max = shared.session.load().fingerprint_bytes_max;
        let desk = Desk::new(store, fingerprint_bytes_max, events_max);
        Observer {
            shared,
            store: Arc::clone(store),
            desk: Arc::new(desk),
        }
    }

    /// Where the analysis takes this worker's events from.
    pub fn ring(&self) -> Ring {
        Ring::at(&self.desk)
    }
}

impl Taps for Observer {
    type Tap = Guarded<SessionTap>;
    type Showing<'a> = Sitting<'a>;

    fn begin_showing(&self) -> Sitting<'_> {
        Sitting::at(&self.desk)
    }

    fn open(&self, start: SessionStart) -> Guarded<SessionTap> {
        let status = Arc::clone(&start.status);
        Guarded::new(
            SessionTap {
                desk: Arc::clone(&self.desk),
                observed: Observation::open(self, start),
            },
            Arc::clone(&self.store),
            status,
        )
    }
}

/// Whether a session is followed.
enum Watching {
    Session(Box<Session>),
    Off,
}

impl Showing<Guarded<SessionTap>> for Sitting<'_> {
    #[inline]
    fn show(
        &mut self,
        tap: &mut Guarded<SessionTap>,
        direction: Direction,
        bytes: &[u8],
        at: Moment,
    ) {
        let shown = tap.guarded(at, |tap| tap.observed.shown(self, direction, bytes, at));
        if let Err(Gone::Now) = shown {
            self.renew();
        }
    }
}

/// Observes one connection until it ends, or cannot be followed any more.
pub struct SessionTap {
    /// Where the session is looked at.
    desk: Arc<Desk>,
    observed: Observation,
}

/// One connection, as far as it is observed.
struct Observation {
    watching: Watching,
    outlet: Outlet,
    shared: Arc<Shared>,
    wanted: Arc<AtomicBool>,
    /// What this session has added to the account of all sessions' bytes.
    charged_bytes: usize,
    /// Bytes that passed since it was looked at what the session holds.
    passed_bytes: usize,
}

/// Steps of the account of all sessions' bytes.
const CHARGE_BYTES: usize = 1024;

/// A session that holds little is looked at each time that so many bytes have passed: it cannot hold much more than it
/// was sent meanwhile.
const WEIGHED_EACH: usize = 1024;

/// One that holds more than so much is looked at with every read: it may give it back, and then rest.
const HOLDS_LITTLE: usize = 4 * CHARGE_BYTES;

impl Observation {
    fn open(observer: &Observer, start: SessionStart) -> Observation {
        let shared = Arc::clone(&observer.shared);
        let outlet = Outlet::new(observer, Arc::clone(&start.status));
        start.status.observed.store(1, Ordering::Relaxed);
        let mut observed = Observation {
            watching: Watching::Session(Box::new(Session::open(
                &start,
                shared.session.load_full(),
            ))),
            outlet,
            shared,
            wanted: start.observe,
            charged_bytes: 0,
            passed_bytes: 0,
        };
        if !observed.wanted.load(Ordering::Relaxed) {
            observed.switch_off("observe_off", start.opened_at);
        }
        observed
    }

    fn switch_off(&mut self, reason: &'static str, at: Moment) {
        self.watching = Watching::Off;
        self.charge(0);
        self.outlet.store.health().session_unobserved(reason);
        mark_unobserved(&self.outlet.status, at);
    }

    fn lose(&mut self, lost: Lost, at: Moment) {
        if lost.is_decode_error() {
            self.outlet
                .store
                .health()
                .decode_error(lost.direction(), lost.reason());
        }
        self.switch_off(lost.reason(), at);
    }

    /// Looks at what was relayed.
    #[inline(always)]
    fn shown(&mut self, sitting: &mut Sitting<'_>, direction: Direction, bytes: &[u8], at: Moment) {
        let Watching::Session(session) = &mut self.watching else {
            return;
        };
        if !self.wanted.load(Ordering::Relaxed) {
            return self.switch_off("observe_off", at);
        }
        let (scratch, mut sink) = sitting.lend(&mut self.outlet);
        if let Err(lost) = session.relayed(direction, bytes, at, scratch, &mut sink) {
            return self.lose(lost, at);
        }
        self.outlet.show(session, at);
        self.passed_bytes = self.passed_bytes.saturating_add(bytes.len());
        if self.passed_bytes >= WEIGHED_EACH || self.charged_bytes > HOLDS_LITTLE {
            self.weigh(at);
        }
    }

    /// Looks at what the session holds.
    fn weigh(&mut self, at: Moment) {
        self.passed_bytes = 0;
        let Watching::Session(session) = &self.watching else {
            return;
        };
        let held_bytes = session.held_bytes();
        // In steps: an account that all workers share is not for what a query takes and gives back at once.
        if held_bytes > self.charged_bytes || held_bytes + 2 * CHARGE_BYTES < self.charged_bytes {
            self.holds(held_bytes, at);
        }
    }

    /// The session holds more than is accounted for, or much less.
    #[cold]
    fn holds(&mut self, held_bytes: usize, at: Moment) {
        self.charge(held_bytes.next_multiple_of(CHARGE_BYTES));
        if self.shared.session_bytes() > self.shared.session_bytes_max.load(Ordering::Relaxed) {
            self.switch_off("session_memory_full", at);
        }
    }

    /// Keeps the account of what sessions hold between reads.
    fn charge(&mut self, held_bytes: usize) {
        if held_bytes > self.charged_bytes {
            self.shared
                .session_bytes
                .fetch_add(held_bytes - self.charged_bytes, Ordering::Relaxed);
        } else if held_bytes < self.charged_bytes {
            self.shared
                .session_bytes
                .fetch_sub(self.charged_bytes - held_bytes, Ordering::Relaxed);
        }
        self.charged_bytes = held_bytes;
    }

    fn closed(&mut self, mut sitting: Sitting<'_>, at: Moment) {
        let (_, mut sink) = sitting.lend(&mut self.outlet);
        match &mut self.watching {
            Watching::Session(session) => session.closed(at, &mut sink),
            Watching::Off => sink.closed_unobserved(at),
        }
        drop(sitting);
        self.watching = Watching::Off;
        self.charge(0);
    }
}

impl Tap for SessionTap {
    fn relayed(&mut self, direction: Direction, bytes: &[u8], at: Moment) {
        if let Watching::Off = self.observed.watching {
            return;
        }
        let mut sitting = Sitting::at(&self.desk);
        self.observed.shown(&mut sitting, direction, bytes, at);
    }

    fn refused(&mut self, direction: Direction, at: Moment) {
        if let (Watching::Session(session), Direction::UpstreamToClient) =
            (&mut self.observed.watching, direction)
        {
            session.refused(at);
        }
    }

    fn accepted(&mut self, direction: Direction, at: Moment) {
        if let (Watching::Session(session), Direction::UpstreamToClient) =
            (&mut self.observed.watching, direction)
        {
            session.accepted(at);
        }
    }

    fn finished(&mut self, _: Direction, _: Moment) {}

    fn closed(&mut self, at: Moment) {
        self.observed.closed(Sitting::at(&self.desk), at);
    }

    #[inline]
    fn expect(&self, direction: Direction, ahead: Ahead) {
        if let Watching::Session(session) = &self.observed.watching {
            session.expect(direction, ahead);
        }
        if (direction, ahead) == (Direction::UpstreamToClient, Ahead::Sockets) {
            self.observed.outlet.expect();
        }
    }

    fn rest(&self) -> Rest {
        match &self.observed.watching {
            Watching::Session(session) => session.rest(),
            Watching::Off => Rest::Unknown,
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.charge(0);
    }
}

/// Shows in the list of connections that nobody knows any more what this one does.
fn mark_unobserved(status: &ConnectionStatus, at: Moment) {
    status.observed.store(0, Ordering::Relaxed);
    status
        .state
        .store(ConnectionState::Unobserved as u8, Ordering::Relaxed);
    status.since.store(at.0, Ordering::Relaxed);
}
