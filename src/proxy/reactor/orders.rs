//! What the worker has its reactor do: take sessions over, have them leave, look at whose time is up.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::TryRecvError;

use super::{Guest, Reactor};
use crate::event::Taps;
use crate::proxy::orders::{Order, Parting};
use crate::proxy::relay::Side;
use crate::proxy::session::Session;
use crate::proxy::sweep::Sweep;
use crate::proxy::token;
use crate::proxy::unseen::When;
use crate::registry::ConnectionError;

/// What follows of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orders {
    Done,
    /// Nobody will give any more.
    End,
}

impl<T: Taps> Reactor<T> {
    pub(super) fn take_orders(&mut self) -> Orders {
        loop {
            match self.inbox.try_recv() {
                Ok(Order::Open) => {
                    if let Some(entrance) = &self.entrance {
                        entrance.open(self.poll.registry());
                    }
                }
                Ok(Order::Carry(session)) => self.carry(session),
                Ok(Order::Sweep(sweep)) => self.sweep(sweep),
                Ok(Order::Drain) => self.drain(),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Orders::End,
            }
        }
        loop {
            match self.arriving.try_recv() {
                Ok(newcomer) => self.receive(newcomer),
                Err(TryRecvError::Disconnected) if self.is_draining => return Orders::End,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Orders::Done,
            }
        }
    }

    /// Has everybody leave, those that wait at the listeners included.
    fn drain(&mut self) {
        self.is_draining = true;
        if let Some(entrance) = self.entrance.take() {
            for newcomer in entrance.close(self.poll.registry()) {
                self.receive(Box::new(newcomer));
            }
        }
        for slot in self.slots() {
            self.part(slot, Parting::Drain);
        }
    }

    /// Has those leave whose time is up.
    fn sweep(&mut self, sweep: Sweep) {
        self.sweep = sweep;
        let mut has_logins = false;
        for slot in self.slots() {
            match self.guests.get(slot) {
                Some(Guest::Session(session)) => match session.swept(&sweep) {
                    Some(overdue) => self.part(slot, Parting::Overdue(overdue)),
                    None => has_logins |= session.follows_login(),
                },
                // It is closed without a word: see `accept_greeting`.
                Some(Guest::Newcomer(newcomer)) if newcomer.is_overdue(&sweep) => {
                    let figures = &self.place.shared.route(newcomer.route).figures;
                    figures.count_error(ConnectionError::LoginTimeout);
                    drop(self.guests.remove(slot));
                }
                Some(Guest::Newcomer(_) | Guest::Between) => has_logins = true,
                None => {}
            }
        }
        self.has_logins.store(has_logins, Relaxed);
    }

    fn slots(&self) -> Vec<usize> {
        self.guests.iter().map(|(slot, _)| slot).collect()
    }

    fn carry(&mut self, mut session: Box<Session<T::Tap>>) {
        if session.follows_login() {
            self.has_logins.store(true, Relaxed);
        }
        let slot = self.guests.vacant_key();
        let relay = &mut session.relay;
        let registry = self.poll.registry();
        let registered = token::register(&mut relay.client, slot, Side::Client, registry)
            .and_then(|()| token::register(&mut relay.upstream, slot, Side::Upstream, registry));
        self.guests.insert(Guest::Session(session));
        match registered {
            // What came meanwhile the kernel tells; what a TLS leg has read and not given out, nobody.
            Ok(()) => self.step(slot, When::Later),
            Err(error) => self.lose(slot, &error),
        }
    }
}
