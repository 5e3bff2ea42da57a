//! The thread that relays a worker's sessions, from their logins on, and lets clients in.
//!
//! ```text
//!  listener ─► reactor: greeting, upstream ─► login ─► read, write, show to the tap, again and again
//!                 │  ▲                                    │  (epoll, nothing between it and the sockets)
//!               Left │carry                             Left
//!                 ▼  │                                    ▼
//!  worker (a runtime): TLS, names, cancel, what has to be waited for; goodbye, drain
//! ```
//!
//! A runtime's task costs as much for each query as everything that is done with the query: registrations, wakers, a
//! timer wheel. A session needs none of that, nor does a plain beginning ([`super::newcomer`]); and a thread that has
//! to be woken for each new connection, with cold caches, costs as much as all that is done for it. The first worker's
//! reactor accepts for all.
//!
//! *Architecture invariants:* this thread waits in one place, for sockets and for orders; it has no timers but for its
//! listeners' sake and for what waits to be shown, and knows no time but that of the reads. Whoever wants anything but its bytes moved goes to the
//! worker. A panic costs the client it came in.

mod newcomers;
mod orders;

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Poll};
use slab::Slab;
use tokio::sync::mpsc as channel;

use super::fence::{Crossing, Next, Rounds};
use super::line::Line;
use super::listener::Entrance;
use super::newcomer::Newcomer;
use super::orders::{Door, Gate, Handle, Left, Order, Parting};
use super::pulse::Pulse;
use super::relay::{End, Side, Step};
use super::session::{Place, Session};
use super::sweep::Sweep;
use super::token::{self, Subject};
use super::unseen::{Unseen, WAITS_AT_MOST, When, Which};
use super::{Running, Shared, urgency};
use crate::event::{Ahead, Tap, Taps};
use orders::Orders;

/// Sockets that one look at the kernel can tell of.
const EVENTS_MAX: usize = 256;

/// A reactor that runs: how its worker speaks to it, how the reactor that accepts does, what it gives back, and its
/// thread. The receiver ends when it has given back everything and is gone.
pub(super) struct Started<T: Taps> {
    pub(super) handle: Handle<T::Tap>,
    pub(super) door: Door<T::Tap>,
    pub(super) left: channel::UnboundedReceiver<Left<T::Tap>>,
    pub(super) thread: JoinHandle<()>,
}

/// Starts the reactor of the worker `index`; with an `entrance` it is the one that accepts.
pub(super) fn start<T>(
    index: usize,
    shared: Arc<Shared>,
    shard: usize,
    taps: Arc<T>,
    entrance: Option<Entrance<T::Tap>>,
    running: Running,
) -> io::Result<Started<T>>
where
    T: Taps + Send + Sync + 'static,
    T::Tap: Send,
{
    let poll = Poll::new()?;
    let waker = Arc::new(mio::Waker::new(poll.registry(), token::ORDERS)?);
    let own_waker = Arc::clone(&waker);
    let pulse = Pulse::new(poll.registry(), token::BEAT)?;
    let (orders, inbox) = mpsc::channel();
    let (crossings, crossing) = mpsc::channel();
    let (arrivals, arriving) = mpsc::channel();
    let (outbox, left) = channel::unbounded_channel();
    let has_logins = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(Rounds::default());
    let door = Door {
        arrivals,
        waker: Arc::clone(&waker),
        runtime: outbox.clone(),
        connections: Arc::default(),
    };
    let handle = Handle {
        orders,
        waker: Arc::clone(&waker),
        gate: Gate {
            crossings,
            waker,
            rounds: Arc::clone(&rounds),
        },
        has_logins: Arc::clone(&has_logins),
    };
    let thread = std::thread::Builder::new()
        .name(format!("pgprism-relay-{index}"))
        .spawn(move || {
            let _running = running;
            urgency::interrupt_nobody();
            Reactor {
                poll,
                _waker: own_waker,
                place: Place::new(shared, shard),
                taps,
                guests: Slab::new(),
                line: Line::default(),
                speaking: VecDeque::new(),
                unseen: Unseen::new(),
                pulse,
                next: Next::Shown,
                rounds,
                sweep: Sweep::default(),
                entrance,
                has_logins,
                is_draining: false,
                inbox,
                arriving,
                crossing,
                outbox,
            }
            .run();
        })?;
    Ok(Started {
        handle,
        door,
        left,
        thread,
    })
}

struct Reactor<T: Taps> {
    poll: Poll,
    /// Kept here too: the last word of a handle must not go with it.
    _waker: Arc<mio::Waker>,
    place: Place,
    taps: Arc<T>,
    /// By slot: see [`token::of_leg`].
    guests: Slab<Guest<T>>,
    /// Sessions that had more to do.
    line: Line,
    /// Slots of newcomers that have said something.
    speaking: VecDeque<usize>,
    /// What was sent on, until it is shown to the taps.
    unseen: Unseen,
    pulse: Pulse,
    /// What is done with what is sent on now.
    next: Next,
    rounds: Arc<Rounds>,
    sweep: Sweep,
    /// Where clients come in, if they do here and still do.
    entrance: Option<Entrance<T::Tap>>,
    has_logins: Arc<AtomicBool>,
    /// Nobody stays: who still comes goes on to the worker.
    is_draining: bool,
    inbox: mpsc::Receiver<Order<T::Tap>>,
    arriving: mpsc::Receiver<Box<Newcomer>>,
    crossing: mpsc::Receiver<Crossing>,
    outbox: channel::UnboundedSender<Left<T::Tap>>,
}

/// Who has a slot.
enum Guest<T: Taps> {
    Session(Box<Session<T::Tap>>),
    Newcomer(Box<Newcomer>),
    /// A newcomer that is about to be a session.
    Between,
}

impl<T: Taps> Drop for Reactor<T> {
    /// Nobody waits for a thread that is gone.
    fn drop(&mut self) {
        self.rounds.are_over(Next::Shown);
    }
}

impl<T: Taps> Reactor<T> {
    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "a relaying thread cannot wait for its sockets");
                    return;
                }
            }
            self.rounds.begin();
            self.unseen.woken();
            let line = std::mem::take(&mut self.line);
            let (mut has_orders, mut is_beat) = (false, false);
            let mut told = events.iter().peekable();
            while let Some(event) = told.next() {
                match token::subject(event.token()) {
                    Subject::Leg(slot, side) => {
                        let when = match told.peek() {
                            Some(next) => {
                                self.expect(next);
                                When::Later
                            }
                            None => self.unseen.last(),
                        };
                        self.hear(slot, side, event, when);
                    }
                    Subject::Listener(route) => self.note_clients(route),
                    Subject::Orders => has_orders = true,
                    Subject::Beat => is_beat = true,
                }
            }
            for slot in line.slots() {
                // Whoever is in line again has had a turn, of which the kernel told.
                if !self.line.holds(slot) {
                    self.step(slot, When::Later);
                }
            }
            self.listen_to_some();
            // Last: a slot that has become free must not be somebody else's while there are events for it.
            self.let_some_in();
            if is_beat {
                self.pulse.has_beaten();
                self.unseen.beat();
            }
            let which = match self.next {
                Next::Gathered if !has_orders && !is_beat => self.unseen.before_waiting(),
                Next::Gathered | Next::Shown => Some(Which::All),
            };
            which.into_iter().for_each(|which| self.show(which));
            if has_orders {
                // What was written has been shown.
                self.crossing.try_iter().for_each(drop);
                if self.take_orders() == Orders::End {
                    return;
                }
                self.show(Which::All);
            }
            if self.unseen.is_empty() {
                self.begin_round();
            }
        }
    }

    /// All was shown: says what is done with what is sent on next, and has a beat come if that may wait. Without one
    /// nothing does.
    #[inline]
    fn begin_round(&mut self) {
        self.next = self.unseen.next_round();
        if self.next == Next::Gathered
            && let Err(error) = self.pulse.beat_within(WAITS_AT_MOST)
        {
            tracing::debug!(%error, "a relaying thread has no timer");
            self.unseen.calm_down();
            self.next = Next::Shown;
        }
        self.rounds.are_over(self.next);
    }

    /// How long to wait for the kernel to tell something.
    #[inline]
    fn patience(&self) -> Option<Duration> {
        match &self.entrance {
            _ if !self.line.is_empty() || !self.speaking.is_empty() => Some(Duration::ZERO),
            Some(entrance) => entrance.patience(),
            None => None,
        }
    }

    #[inline]
    fn hear(&mut self, slot: usize, side: Side, event: &Event, when: When) {
        match (self.guests.get_mut(slot), side) {
            (Some(Guest::Session(session)), Side::Client) => {
                token::note(&mut session.relay.client, event);
                self.step(slot, when);
            }
            (Some(Guest::Session(session)), Side::Upstream) => {
                token::note(&mut session.relay.upstream, event);
                self.step(slot, when);
            }
            (Some(Guest::Newcomer(newcomer)), _) => {
                token::note(&mut newcomer.client, event);
                self.speaking.push_back(slot);
            }
            (Some(Guest::Between) | None, _) => {}
        }
    }

    /// Has fetched what `event`, the next one, needs.
    #[inline]
    fn expect(&self, event: &Event) {
        if let Subject::Leg(slot, _) = token::subject(event.token())
            && let Some(Guest::Session(session)) = self.guests.get(slot)
        {
            session.expect();
        }
    }

    /// Shows the taps what was sent on.
    #[inline]
    fn show(&mut self, which: Which) {
        while self.unseen.choose(which) {
            let mut seen_by = None;
            let show = AssertUnwindSafe(|| {
                let mut showing = self.taps.begin_showing();
                loop {
                    self.foretell(2, Ahead::TwoReads);
                    self.foretell(1, Ahead::OneRead);
                    let Some(shown) = self.unseen.next() else {
                        return;
                    };
                    seen_by = Some(shown.slot);
                    if let Some(Guest::Session(session)) = self.guests.get_mut(shown.slot) {
                        let watch = &mut session.watch;
                        watch.shown(&mut showing, shown.direction, shown.bytes, shown.at);
                    }
                }
            });
            if catch_unwind(show).is_ok() {
                return;
            }
            // Before the first of them was shown: that one is not tried once more.
            let slot = seen_by.or_else(|| Some(self.unseen.next()?.slot));
            slot.into_iter().for_each(|slot| self.drop_broken(slot));
        }
    }

    /// Tells a tap of the read that it will be shown so many reads behind the next one.
    #[inline]
    fn foretell(&self, reads: usize, ahead: Ahead) {
        if let Some((slot, direction)) = self.unseen.behind_next(reads)
            && let Some(Guest::Session(session)) = self.guests.get(slot)
        {
            session.watch.expect(direction, ahead);
        }
    }

    /// Drops the guest in `slot`, which panicked: it said so on stderr; its sockets close.
    #[cold]
    fn drop_broken(&mut self, slot: usize) {
        self.unseen.forget(slot);
        drop(self.guests.try_remove(slot));
    }

    /// Takes the guest out of `slot`; a session's tap has seen all then.
    fn leave(&mut self, slot: usize) -> Option<Guest<T>> {
        let mut guest = self.guests.try_remove(slot)?;
        if let Guest::Session(session) = &mut guest {
            self.unseen.show_one(slot, &mut session.watch);
        }
        Some(guest)
    }

    /// Moves what the session in `slot` can move now, and sees what becomes of it.
    #[inline]
    fn step(&mut self, slot: usize, when: When) {
        if self.unseen.is_full() && !self.unseen.make_room() {
            self.show(Which::All);
        }
        let Some(Guest::Session(session)) = self.guests.get_mut(slot) else {
            return;
        };
        let mut cx = Context::from_waker(Waker::noop());
        let step = catch_unwind(AssertUnwindSafe(|| {
            session.step_unseen(&mut cx, &self.place, slot, when, &mut self.unseen)
        }));
        match step {
            Ok(Step::Waiting) => {}
            Ok(Step::Yielded) => self.line.join(slot),
            Ok(Step::Ended(end)) => return self.end(slot, *end),
            Err(_) => return self.drop_broken(slot),
        }
        if session.relay.holds_bytes()
            && let Err(error) = token::await_room(session, slot, self.poll.registry())
        {
            return self.lose(slot, &error);
        }
        if session.out_of_time(&self.sweep).is_some() {
            self.unseen.show_one(slot, &mut session.watch);
            if let Some(overdue) = session.overdue(&self.sweep) {
                self.part(slot, Parting::Overdue(overdue));
            }
        }
    }

    /// An end that both sides have seen needs nobody's word any more.
    fn end(&mut self, slot: usize, end: End) {
        match end {
            End::Finished { .. } => {
                if let Some(Guest::Session(session)) = self.leave(slot) {
                    session.suspect_upstream(&end, &self.place.shared);
                }
            }
            End::Lost { .. } => self.part(slot, Parting::Ended(end)),
        }
    }

    fn part(&mut self, slot: usize, parting: Parting) {
        let mut session = match self.leave(slot) {
            Some(Guest::Session(session)) => session,
            Some(Guest::Newcomer(newcomer)) => return self.send_on(slot, newcomer.into()),
            Some(Guest::Between) | None => return,
        };
        token::forget(&mut session.relay.client, self.poll.registry());
        token::forget(&mut session.relay.upstream, self.poll.registry());
        self.give_back(Left::Session(session, parting));
    }

    fn give_back(&self, left: Left<T::Tap>) {
        // An error says that the worker has ended: the sockets are closed with what comes back.
        let _ = self.outbox.send(left);
    }

    fn lose(&mut self, slot: usize, error: &io::Error) {
        tracing::warn!(%error, "a client was lost: the kernel does not tell of it");
        drop(self.leave(slot));
    }
}
