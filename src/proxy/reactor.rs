//! The thread that relays a worker's sessions, from their logins on.
//!
//! ```text
//!  worker (a runtime): greeting, TLS, upstream ──carry──► reactor: read, write, show to the tap, again and again
//!                      goodbye, drain, cancel  ◄──Left───          (epoll, nothing between it and the sockets)
//! ```
//!
//! A runtime's task costs as much for each query as everything that is done with the query: registrations, wakers, a
//! timer wheel. Once it has two sockets a session needs none of that until its end; so it leaves the runtime, or never
//! was in it: a socket that nobody had to wait for goes straight to the reactor.
//!
//! *Architecture invariants:* this thread waits in one place, for sockets and for orders; it has no timers and knows no
//! time but that of the reads. A session that wants anything but its bytes moved goes back to the worker. A panic
//! costs the session it came in.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::task::{Context, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Poll, Registry, Token};
use slab::Slab;
use tokio::sync::mpsc as channel;

use super::fence::Crossing;
use super::relay::{End, Side, Step};
use super::session::{Place, Session};
use super::sweep::{Overdue, Sweep};
use super::{Running, Shared};
use crate::event::Tap;

/// Sockets that one look at the kernel can tell of.
const EVENTS_MAX: usize = 256;

/// Says that there are orders.
const ORDERS: Token = Token(usize::MAX);

/// How the worker speaks to its reactor. Dropping it ends the reactor, and every session in it.
#[derive(Debug)]
pub(super) struct Handle<T: Tap> {
    orders: mpsc::Sender<Order<T>>,
    waker: Arc<mio::Waker>,
    gate: Gate,
}

/// Where others than the worker wait for the reactor to come by. It does not keep it from ending.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    crossings: mpsc::Sender<Crossing>,
    waker: Arc<mio::Waker>,
}

impl Gate {
    /// Lets go of `crossing` once all that was written up to now was shown to its tap.
    pub(super) fn cross(&self, crossing: Crossing) {
        // A reactor that is gone has shown all.
        if self.crossings.send(crossing).is_ok()
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "cannot wake a relaying thread");
        }
    }
}

enum Order<T: Tap> {
    Carry(Box<Session<T>>),
    Sweep(Sweep),
    Drain,
}

/// A session that the reactor gives back.
#[derive(Debug)]
pub(super) struct Left<T: Tap> {
    pub(super) session: Box<Session<T>>,
    pub(super) parting: Parting,
}

/// Why a session stops being relayed by the reactor.
#[derive(Debug)]
pub(super) enum Parting {
    /// It has ended.
    Ended(End),
    /// It has stayed too long.
    Overdue(Overdue),
    /// The proxy drains.
    Drain,
}

impl<T: Tap> Handle<T> {
    /// Relays `session`, which has left its runtime, until there is a reason for its [`Left`].
    pub(super) fn carry(&self, session: Box<Session<T>>) {
        self.order(Order::Carry(session));
    }

    /// Has sessions that are overdue by `sweep` leave, now and whenever one comes to rest.
    pub(super) fn sweep(&self, sweep: Sweep) {
        self.order(Order::Sweep(sweep));
    }

    /// Has all sessions leave, and the reactor end. No other may be carried afterwards.
    pub(super) fn drain(&self) {
        self.order(Order::Drain);
    }

    /// Where others wait for this reactor.
    pub(super) fn gate(&self) -> Gate {
        self.gate.clone()
    }

    fn order(&self, order: Order<T>) {
        // A reactor that is gone takes nothing: a session that was meant for it is closed here.
        if self.orders.send(order).is_ok() {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a relaying thread");
        }
    }
}

impl<T: Tap> Drop for Handle<T> {
    fn drop(&mut self) {
        let (nobody, _) = mpsc::channel();
        drop(std::mem::replace(&mut self.orders, nobody));
        self.wake();
    }
}

/// A reactor that runs: how to speak to it, what it gives back, and its thread. The receiver ends when it has given back
/// everything and is gone.
type Started<T> = (
    Handle<T>,
    channel::UnboundedReceiver<Left<T>>,
    JoinHandle<()>,
);

/// Starts the reactor of the worker `index`.
pub(super) fn start<T: Tap + Send + 'static>(
    index: usize,
    shared: Arc<Shared>,
    shard: usize,
    running: Running,
) -> io::Result<Started<T>> {
    let poll = Poll::new()?;
    let waker = Arc::new(mio::Waker::new(poll.registry(), ORDERS)?);
    let own_waker = Arc::clone(&waker);
    let (orders, inbox) = mpsc::channel();
    let (crossings, crossing) = mpsc::channel();
    let gate = Gate {
        crossings,
        waker: Arc::clone(&waker),
    };
    let (outbox, left) = channel::unbounded_channel();
    let thread = std::thread::Builder::new()
        .name(format!("pgprism-relay-{index}"))
        .spawn(move || {
            let _running = running;
            Reactor {
                poll,
                _waker: own_waker,
                place: Place::new(shared, shard),
                sessions: Slab::new(),
                yielded: Vec::new(),
                sweep: Sweep::default(),
                inbox,
                crossing,
                outbox,
            }
            .run();
        })?;
    let handle = Handle {
        orders,
        waker,
        gate,
    };
    Ok((handle, left, thread))
}

struct Reactor<T: Tap> {
    poll: Poll,
    /// Kept here too: the last word of a handle must not go with it.
    _waker: Arc<mio::Waker>,
    place: Place,
    /// By slot: see [`token`].
    sessions: Slab<Box<Session<T>>>,
    /// Slots of sessions that had more to do.
    yielded: Vec<usize>,
    sweep: Sweep,
    inbox: mpsc::Receiver<Order<T>>,
    crossing: mpsc::Receiver<Crossing>,
    outbox: channel::UnboundedSender<Left<T>>,
}

/// What follows of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orders {
    Done,
    /// Nobody will give any more.
    End,
}

/// Which leg of which slot's session an event is about.
fn token(slot: usize, side: Side) -> Token {
    Token(slot << 1 | usize::from(side == Side::Upstream))
}

fn leg_of(token: Token) -> (usize, Side) {
    let side = match token.0 & 1 {
        0 => Side::Client,
        _ => Side::Upstream,
    };
    (token.0 >> 1, side)
}

impl<T: Tap> Reactor<T> {
    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let timeout = (!self.yielded.is_empty()).then_some(Duration::ZERO);
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "a relaying thread cannot wait for its sockets");
                    return;
                }
            }
            let yielded = std::mem::take(&mut self.yielded);
            let mut has_orders = false;
            for event in &events {
                match event.token() {
                    ORDERS => has_orders = true,
                    _ => self.hear(event),
                }
            }
            for slot in yielded {
                self.step(slot);
            }
            // Last: a slot that has become free must not be another session's while there are events for it.
            if has_orders {
                // What a step wrote it has shown before it returned.
                self.crossing.try_iter().for_each(drop);
                if self.take_orders() == Orders::End {
                    return;
                }
            }
        }
    }

    #[inline]
    fn hear(&mut self, event: &Event) {
        let (slot, side) = leg_of(event.token());
        let Some(session) = self.sessions.get_mut(slot) else {
            return;
        };
        let leg = match side {
            Side::Client => &mut session.relay.client,
            Side::Upstream => &mut session.relay.upstream,
        };
        if let Some(direct) = leg.direct_mut() {
            direct.note(event);
        }
        self.step(slot);
    }

    /// Moves what the session in `slot` can move now, and sees what becomes of it.
    #[inline]
    fn step(&mut self, slot: usize) {
        let Some(session) = self.sessions.get_mut(slot) else {
            return;
        };
        let mut cx = Context::from_waker(Waker::noop());
        let step = catch_unwind(AssertUnwindSafe(|| session.step(&mut cx, &self.place)));
        match step {
            Ok(Step::Waiting) => {}
            Ok(Step::Yielded) => self.yielded.push(slot),
            Ok(Step::Ended(end)) => return self.end(slot, end),
            // It said so on stderr; its sockets close.
            Err(_) => return drop(self.sessions.remove(slot)),
        }
        if session.relay.holds_bytes()
            && let Err(error) = await_room(session, slot, self.poll.registry())
        {
            tracing::warn!(%error, "a session was lost: the kernel does not tell of it");
            return drop(self.sessions.remove(slot));
        }
        if let Some(overdue) = session.overdue(&self.sweep) {
            self.part(slot, Parting::Overdue(overdue));
        }
    }

    /// An end that both sides have seen needs nobody's word any more.
    fn end(&mut self, slot: usize, end: End) {
        match end {
            End::Finished { .. } => {
                if let Some(session) = self.sessions.try_remove(slot) {
                    session.suspect_upstream(&end, &self.place.shared);
                }
            }
            End::Lost { .. } => self.part(slot, Parting::Ended(end)),
        }
    }

    fn part(&mut self, slot: usize, parting: Parting) {
        let Some(mut session) = self.sessions.try_remove(slot) else {
            return;
        };
        let registry = self.poll.registry();
        for leg in [&mut session.relay.client, &mut session.relay.upstream] {
            if let Some(direct) = leg.direct_mut() {
                // An error says that it was not there: it will not be told of either way.
                let _ = direct.deregister(registry);
            }
        }
        // An error says that the worker has ended: the session is closed with what comes back.
        let _ = self.outbox.send(Left { session, parting });
    }

    fn take_orders(&mut self) -> Orders {
        loop {
            match self.inbox.try_recv() {
                Ok(Order::Carry(session)) => self.carry(session),
                Ok(Order::Sweep(sweep)) => {
                    self.sweep = sweep;
                    self.for_all(|reactor, slot| {
                        let session = reactor.sessions.get(slot);
                        let overdue = session.and_then(|session| session.swept(&sweep));
                        if let Some(overdue) = overdue {
                            reactor.part(slot, Parting::Overdue(overdue));
                        }
                    });
                }
                Ok(Order::Drain) => {
                    self.for_all(|reactor, slot| reactor.part(slot, Parting::Drain));
                    return Orders::End;
                }
                Err(TryRecvError::Empty) => return Orders::Done,
                Err(TryRecvError::Disconnected) => return Orders::End,
            }
        }
    }

    fn for_all(&mut self, call: impl Fn(&mut Self, usize)) {
        let slots: Vec<usize> = self.sessions.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            call(self, slot);
        }
    }

    fn carry(&mut self, session: Box<Session<T>>) {
        let slot = self.sessions.insert(session);
        let Some(session) = self.sessions.get_mut(slot) else {
            return;
        };
        if let Err(error) = register(session, slot, self.poll.registry()) {
            tracing::warn!(%error, "a session was lost: the kernel does not tell of it");
            return drop(self.sessions.remove(slot));
        }
        // What came meanwhile the kernel tells; what a TLS leg has read and not given out, nobody.
        self.step(slot);
    }
}

fn register<T: Tap>(session: &mut Session<T>, slot: usize, registry: &Registry) -> io::Result<()> {
    if let Some(client) = session.relay.client.direct_mut() {
        client.register(registry, token(slot, Side::Client))?;
    }
    if let Some(upstream) = session.relay.upstream.direct_mut() {
        upstream.register(registry, token(slot, Side::Upstream))?;
    }
    Ok(())
}

/// Has the kernel tell when sinks that refused bytes have room.
fn await_room<T: Tap>(
    session: &mut Session<T>,
    slot: usize,
    registry: &Registry,
) -> io::Result<()> {
    if let Some(client) = session.relay.client.direct_mut() {
        client.await_room(registry, token(slot, Side::Client))?;
    }
    if let Some(upstream) = session.relay.upstream.direct_mut() {
        upstream.await_room(registry, token(slot, Side::Upstream))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_its_leg() {
        for (slot, side) in [(0, Side::Client), (0, Side::Upstream), (7, Side::Upstream)] {
            assert_eq!(leg_of(token(slot, side)), (slot, side));
            assert_ne!(token(slot, side), ORDERS);
        }
    }
}
