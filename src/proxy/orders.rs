//! How others speak to a reactor, and what it gives back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};

use tokio::sync::mpsc as channel;

use super::fence::{Crossing, Rounds};
use super::newcomer::{Arrival, Newcomer};
use super::relay::End;
use super::session::Session;
use super::sweep::{Overdue, Sweep};
use crate::event::Tap;

/// How a worker speaks to its reactor. Dropping it ends the reactor, and every session in it.
#[derive(Debug)]
pub(super) struct Handle<T: Tap> {
    pub(super) orders: mpsc::Sender<Order<T>>,
    pub(super) waker: Arc<mio::Waker>,
    pub(super) gate: Gate,
    pub(super) has_logins: Arc<AtomicBool>,
}

/// What a worker wants of its reactor.
#[derive(Debug)]
pub(super) enum Order<T: Tap> {
    /// Let clients in, where this is the reactor that does.
    Open,
    Carry(Box<Session<T>>),
    Sweep(Sweep),
    Drain,
}

/// Where others than the worker wait for the reactor to come by. It does not keep it from ending.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub(super) crossings: mpsc::Sender<Crossing>,
    pub(super) waker: Arc<mio::Waker>,
    pub(super) rounds: Arc<Rounds>,
}

/// How the reactor that accepts hands clients to another worker. That one's reactor drains no further than to wait for
/// this to be dropped.
#[derive(Debug)]
pub(super) struct Door<T: Tap> {
    pub(super) arrivals: mpsc::Sender<Box<Newcomer>>,
    pub(super) waker: Arc<mio::Waker>,
    /// For those that the reactor has no use for.
    pub(super) runtime: channel::UnboundedSender<Left<T>>,
    /// Client sockets of that worker.
    pub(super) connections: Arc<AtomicUsize>,
}

/// Who leaves a reactor, for its worker's runtime.
#[derive(Debug)]
pub(super) enum Left<T: Tap> {
    /// A client that is not a session, and how far it has come.
    Arrival(Box<Arrival>),
    /// A session, and why it stops being relayed here.
    Session(Box<Session<T>>, Parting),
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
    /// Lets clients in, where this is the reactor that does.
    pub(super) fn open(&self) {
        self.order(Order::Open);
    }

    /// Relays `session`, which has left its runtime, until there is a reason for it to leave.
    pub(super) fn carry(&self, session: Box<Session<T>>) {
        self.order(Order::Carry(session));
    }

    /// Has whoever is overdue by `sweep` leave, now and whenever a session comes to rest.
    pub(super) fn sweep(&self, sweep: Sweep) {
        self.order(Order::Sweep(sweep));
    }

    /// Closes the listeners, has everybody leave, and the reactor end. No session may be carried afterwards.
    pub(super) fn drain(&self) {
        self.order(Order::Drain);
    }

    /// Whether there was somebody in it who has not logged in, at the last sweep or since.
    pub(super) fn has_logins(&self) -> bool {
        self.has_logins.load(Relaxed)
    }

    /// Where others wait for this reactor.
    pub(super) fn gate(&self) -> Gate {
        self.gate.clone()
    }

    fn order(&self, order: Order<T>) {
        // A reactor that is gone takes nothing: a session that was meant for it is closed here.
        if self.orders.send(order).is_ok() {
            wake(&self.waker);
        }
    }
}

impl<T: Tap> Drop for Handle<T> {
    fn drop(&mut self) {
        let (nobody, _) = mpsc::channel();
        drop(std::mem::replace(&mut self.orders, nobody));
        wake(&self.waker);
    }
}

impl Gate {
    /// Lets go of `crossing` once all that was written up to now was shown to its tap.
    pub(super) fn cross(&self, crossing: Crossing) {
        // A reactor that is gone has shown all.
        if self.crossings.send(crossing).is_ok() {
            wake(&self.waker);
        }
    }
}

impl<T: Tap> Door<T> {
    pub(super) fn hand_over(&self, newcomer: Box<Newcomer>) {
        // An error says that the worker has ended: the socket is closed with what comes back.
        if !newcomer.is_plain() {
            let _ = self.runtime.send(Left::Arrival(newcomer.into()));
        } else if self.arrivals.send(newcomer).is_ok() {
            wake(&self.waker);
        }
    }
}

impl<T: Tap> Drop for Door<T> {
    fn drop(&mut self) {
        let (nobody, _) = mpsc::channel();
        drop(std::mem::replace(&mut self.arrivals, nobody));
        wake(&self.waker);
    }
}

fn wake(waker: &mio::Waker) {
    if let Err(error) = waker.wake() {
        tracing::error!(%error, "cannot wake a relaying thread");
    }
}
