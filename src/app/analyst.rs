//! The analysis' thread, and what becomes of it when it ends or stands still.
//!
//! Figures do not depend on it: the collector takes them on a thread of its own, and looks after this one. A thread
//! that ended is started again with all that the analysis knew; one that stands still cannot be ended, but it is told
//! of, here and in `/api/v1/summary`. Meanwhile the rings fill, overflow, and count.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::pace::{Load, Pace};
use crate::analysis::{Analysis, Feed, Guarded, Mark, STUCK_AFTER_NS};
use crate::bell::Bell;
use crate::clock::Clock;
use crate::event::Moment;
use crate::fault::{self, Fault, Faults};
use crate::observer::{Reader, Ring};
use crate::unit::TestId;

/// How much less urgent than traffic this thread is, in nice levels: figures come before findings. At 10 levels a machine
/// without a free core left it so little that rings overflowed at 17,000 queries a second.
const NICE: i32 = 4;

/// Events that are taken from one ring at a go.
const BITE: usize = 128;

/// So many events are taken before others go first, some 200 to 400 microseconds: a query that waits for the core waits no
/// longer. The kernel may let it wait for the rest of this thread's slice, which can be longer than the query. With a
/// quarter of them they took a quarter to two fifths more of this thread's time, and the 99th percentile was hardly another.
const TURN: usize = 512;

/// A ring that is fuller than one part of so many is emptied without letting others go first: on a machine without a
/// free core that may take long, and what finds no place is lost.
const IN_HASTE_FROM: usize = 4;

/// How soon it is started again, the first time and at most, nanoseconds: each time it waits twice as long.
const AGAIN_MIN_NS: u64 = 1_000_000_000;
const AGAIN_MAX_NS: u64 = 60_000_000_000;

/// A thread that lived so long begins again as if it were the first, nanoseconds.
const LIVED_NS: u64 = 60_000_000_000;

/// Ticks that it sleeps at most while little comes, and how long: sooner nobody misses a finding, and a ring that is
/// half full ends the sleep.
const TICKS_MAX: u32 = 4;
const LONGEST: Duration = Duration::from_millis(250);

/// Of the events that a ring has room for, one in so many is little for one round, and one in so many is much. Much
/// at a time is cheap: what is known of a unit is far away, and comes once for all events that belong to it.
const LITTLE: usize = 4;
const MUCH: usize = 2;

/// How soon it looks again while somebody waits for it, or the parser for shapes: one is parsed within a millisecond.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How long its last round may take when the process ends.
const LAST_ROUND_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Analyst {
    seat: Arc<Mutex<Seat>>,
    feed: Arc<Feed>,
    orders: Sender<Order>,
    thread: JoinHandle<()>,
    started_at: Moment,
    /// How long it waits when it ends next.
    again_ns: u64,
    /// Since when there is no thread.
    ended_at: Option<Moment>,
    told: Told,
}

/// What its thread is told.
enum Order {
    /// Much has come.
    Look,
    Settle(Wish),
    End,
}

/// Somebody waits until all that was recorded before is analysed.
struct Wish {
    /// What is open of this test ends then.
    test: Option<TestId>,
    done: oneshot::Sender<()>,
    /// Where what came before it ends; unknown until the rings were emptied once.
    mark: Option<Mark>,
}

/// Where the analysis is asked to catch up.
#[derive(Debug, Clone)]
pub(super) struct Settler(Sender<Order>);

impl Settler {
    /// Ready once all that is in the rings now is analysed, the units of `test` are over, and all of it can be read.
    /// False where the analysis cannot.
    pub(super) async fn settle(self, test: Option<TestId>) -> bool {
        let (done, is_done) = oneshot::channel();
        let wish = Wish {
            test,
            done,
            mark: None,
        };
        self.0.send(Order::Settle(wish)).is_ok() && is_done.await.is_ok()
    }
}

/// What the log was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Ticks,
    StandsStill,
}

/// What a thread takes over from the one before it.
struct Seat {
    readers: Vec<Reader>,
    clock: Clock,
    pace: Pace,
    analysis: Guarded,
    feed: Arc<Feed>,
    orders: Receiver<Order>,
    wishes: Vec<Wish>,
    faults: Faults,
    /// Threads that sat here.
    starts: u64,
}

impl Analyst {
    pub(super) fn start(
        analysis: Analysis,
        rings: Vec<Ring>,
        clock: Clock,
        tick: Duration,
        faults: &Faults,
    ) -> io::Result<Analyst> {
        let analysis = Guarded::new(analysis);
        let feed = analysis.feed();
        let (orders, taken) = channel();
        for ring in &rings {
            let orders = orders.clone();
            ring.bell().connect(move || {
                // A thread that is gone is started again.
                let _ = orders.send(Order::Look);
            });
        }
        let seat = Arc::new(Mutex::new(Seat {
            readers: rings.into_iter().map(Reader::new).collect(),
            clock,
            pace: Pace::new(tick, TICKS_MAX, LONGEST),
            analysis,
            feed: Arc::clone(&feed),
            orders: taken,
            wishes: Vec::new(),
            faults: faults.clone(),
            starts: 0,
        }));
        Ok(Analyst {
            thread: sit(&seat)?,
            seat,
            feed,
            orders,
            started_at: clock.now(),
            again_ns: AGAIN_MIN_NS,
            ended_at: None,
            told: Told::Ticks,
        })
    }

    pub(super) fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    pub(super) fn settler(&self) -> Settler {
        Settler(self.orders.clone())
    }

    /// Starts the thread again where it ended, tells where it stands still; called by the collector in each round.
    pub(super) fn look_after(&mut self, now: Moment) {
        if self.thread.is_finished() {
            let ended_at = *self.ended_at.get_or_insert_with(|| {
                if now.since(self.started_at) >= LIVED_NS {
                    self.again_ns = AGAIN_MIN_NS;
                }
                tracing::error!(
                    again_in = ?Duration::from_nanos(self.again_ns),
                    "the analysis' thread ended; figures go on, findings wait"
                );
                now
            });
            if now.since(ended_at) >= self.again_ns {
                self.start_again(now);
            }
        }
        let told = match self.feed.silent_ns(now) >= STUCK_AFTER_NS {
            true => Told::StandsStill,
            false => Told::Ticks,
        };
        if told != self.told {
            self.told = told;
            match told {
                Told::StandsStill => {
                    tracing::error!("the analysis stands still; figures go on, findings wait");
                }
                Told::Ticks => tracing::info!("the analysis goes on"),
            }
        }
    }

    fn start_again(&mut self, now: Moment) {
        match sit(&self.seat) {
            Ok(thread) => {
                self.thread = thread;
                self.started_at = now;
                self.ended_at = None;
            }
            // Threads may be scarce now and not later.
            Err(error) => {
                tracing::error!(%error, "cannot start the analysis' thread");
                self.ended_at = Some(now);
            }
        }
        self.again_ns = (self.again_ns * 2).min(AGAIN_MAX_NS);
    }

    /// Ends the thread after one last round, or leaves it to the end of the process if that takes too long.
    pub(super) fn stop(self) {
        let Analyst { orders, thread, .. } = self;
        // A thread that is gone has ended.
        let _ = orders.send(Order::End);
        let (tell, ended) = channel();
        let waiter = std::thread::Builder::new()
            .name("pgprism-last".to_owned())
            .spawn(move || {
                // A panic was told where it happened; nobody listens when the process ended first.
                let _ = thread.join();
                let _ = tell.send(());
            });
        if waiter.is_err() || ended.recv_timeout(LAST_ROUND_WITHIN).is_err() {
            tracing::warn!("the analysis did not end in time");
        }
    }
}

/// A thread that takes the seat.
fn sit(seat: &Arc<Mutex<Seat>>) -> io::Result<JoinHandle<()>> {
    let seat = Arc::clone(seat);
    std::thread::Builder::new()
        .name("pgprism-analyse".to_owned())
        .spawn(move || {
            // Held for this thread's life: nobody else wants it before that is over. A panic poisons it, and what it
            // left half done is forgotten.
            let mut seat = seat.lock().unwrap_or_else(PoisonError::into_inner);
            seat.run();
        })
}

impl Seat {
    fn run(&mut self) {
        // On Linux this is the thread's own; where it fails the thread is as urgent as any.
        let _ = rustix::process::nice(NICE);
        if self.starts > 0 {
            self.analysis.resume();
        }
        self.starts += 1;
        loop {
            match self.sleep() {
                Ok(Order::Settle(wish)) => self.wishes.push(wish),
                Ok(Order::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => break,
            }
            self.round();
        }
        self.round();
    }

    /// Until it is time for the next round, or somebody wants it sooner.
    fn sleep(&self) -> Result<Order, RecvTimeoutError> {
        // Thousands of new shapes may come at once, and the parser is through with some hundred of them long before a tick.
        let has_shapes = self.analysis.is_behind() && self.analysis.has_unparsed_shapes();
        if !self.wishes.is_empty() || has_shapes {
            return self.orders.recv_timeout(LOOK_AGAIN);
        }
        let bells = || self.readers.iter().map(|reader| reader.ring().bell());
        // Between two ticks much may come.
        if self.pace.is_slow() {
            bells().for_each(Bell::listen);
        }
        let order = self.orders.recv_timeout(self.pace.wait());
        bells().for_each(Bell::ignore);
        order
    }

    /// How much there was for a round that took so many events.
    fn load(&self, taken: usize) -> Load {
        let rings = self.readers.iter().map(Reader::ring);
        let room = rings.map(Ring::capacity).min().unwrap_or_default();
        if taken > room / MUCH || self.analysis.is_behind() || self.feed.is_watched() {
            Load::Much
        } else if taken > room / LITTLE {
            Load::Fair
        } else {
            Load::Little
        }
    }

    fn round(&mut self) {
        let now = self.clock.now();
        // At most what fits into the rings: workers that fill them as fast as they are emptied do not hold up the tick.
        let rings = self.readers.iter().map(Reader::ring);
        let left: usize = rings.map(Ring::capacity).sum();
        let (mut taken, mut turn) = (0, 0);
        loop {
            let before = taken;
            for reader in &mut self.readers {
                let most = left.saturating_sub(taken).min(BITE);
                taken += reader.bite(most, |events| {
                    timed(&self.clock, &self.faults, || {
                        self.analysis.observe_all(now, events);
                    });
                });
            }
            if taken == before {
                break;
            }
            turn += taken - before;
            if turn >= TURN && self.readers.iter().all(has_time) {
                // Whoever waits for this core goes first: traffic, mostly.
                std::thread::yield_now();
                turn = 0;
            }
        }
        // A round that took all it may has perhaps left something in a ring.
        let mark = (taken < left).then(|| self.analysis.mark());
        timed(&self.clock, &self.faults, || self.analysis.tick(now));
        self.grant_wishes(mark, now);
        self.pace.slept(self.load(taken));
        if taken > 0 && self.faults.has(Fault::AnalysisDead) {
            fault::strike();
        }
    }

    /// The rings were emptied once up to `mark`, if they were.
    fn grant_wishes(&mut self, mark: Option<Mark>, now: Moment) {
        for mut wish in std::mem::take(&mut self.wishes) {
            // Who waited no longer is not waited for.
            if wish.done.is_closed() {
                continue;
            }
            wish.mark = wish.mark.or(mark);
            let granted = wish
                .mark
                .is_some_and(|mark| self.analysis.settle(mark, wish.test, now));
            if granted {
                let _ = wish.done.send(());
            } else {
                self.wishes.push(wish);
            }
        }
    }
}

/// Whether others may go first: what comes meanwhile has room.
fn has_time(reader: &Reader) -> bool {
    reader.waiting() <= reader.ring().capacity() / IN_HASTE_FROM
}

/// Calls the analysis; with [`Fault::AnalysisSlow`] it takes so many times as long, at work all the time.
fn timed(clock: &Clock, faults: &Faults, call: impl FnOnce()) {
    let Some(times) = faults.slowness() else {
        return call();
    };
    let began_at = clock.now();
    call();
    let took_ns = clock.now().since(began_at);
    let until = Moment(
        began_at
            .0
            .saturating_add(took_ns.saturating_mul(u64::from(times))),
    );
    while clock.now() < until {
        std::hint::spin_loop();
    }
}
