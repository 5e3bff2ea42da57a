//! Clients that come in: let in, heard until they are sessions, or sent on to the worker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

use super::{Guest, Reactor};
use crate::event::Taps;
use crate::proxy::listener::{Entrance, Met};
use crate::proxy::newcomer::{Advance, Arrival, Newcomer};
use crate::proxy::orders::Left;
use crate::proxy::relay::Side;
use crate::proxy::token;
use crate::proxy::unseen::When;

/// Clients that are let in, and newcomers that are heard, at one time, before sessions get their turn: each may take
/// as long as several queries.
const NEWCOMERS_IN_A_ROW_MAX: usize = 16;

impl<T: Taps> Reactor<T> {
    pub(super) fn note_clients(&mut self, route: usize) {
        if let Some(entrance) = &mut self.entrance {
            entrance.note(route);
        }
    }

    /// Lets in some of those who wait at the listeners.
    pub(super) fn let_some_in(&mut self) {
        for _ in 0..NEWCOMERS_IN_A_ROW_MAX {
            match self.entrance.as_mut().map(Entrance::meet) {
                Some(Met::Own(newcomer)) => self.receive(newcomer),
                Some(Met::Others) => {}
                Some(Met::Nobody) | None => return,
            }
        }
    }

    /// A client that was accepted, here or by another reactor.
    pub(super) fn receive(&mut self, mut newcomer: Box<Newcomer>) {
        if self.is_draining || !newcomer.is_plain() {
            return self.give_back(Left::Arrival(newcomer.into()));
        }
        self.has_logins.store(true, Relaxed);
        let slot = self.guests.vacant_key();
        let client = &mut newcomer.client;
        // What it has said already the kernel tells.
        let registered = client
            .leave_runtime()
            .and_then(|()| token::register(client, slot, Side::Client, self.poll.registry()));
        self.guests.insert(Guest::Newcomer(newcomer));
        if let Err(error) = registered {
            self.lose(slot, &error);
        }
    }

    pub(super) fn listen_to_some(&mut self) {
        for _ in 0..NEWCOMERS_IN_A_ROW_MAX {
            match self.speaking.pop_front() {
                Some(slot) => self.listen(slot),
                None => return,
            }
        }
    }

    /// Hears what the newcomer in `slot` says, and sees what becomes of it.
    fn listen(&mut self, slot: usize) {
        let Some(guest @ Guest::Newcomer(_)) = self.guests.get_mut(slot) else {
            return;
        };
        let Guest::Newcomer(newcomer) = std::mem::replace(guest, Guest::Between) else {
            return;
        };
        let (taps, shared) = (&*self.taps, &self.place.shared);
        match catch_unwind(AssertUnwindSafe(|| newcomer.advance(taps, shared))) {
            Ok(Advance::Waiting(newcomer)) => self.settle(slot, Guest::Newcomer(newcomer)),
            Ok(Advance::Session(mut session)) => {
                let upstream = &mut session.relay.upstream;
                match token::register(upstream, slot, Side::Upstream, self.poll.registry()) {
                    Ok(()) => {
                        self.settle(slot, Guest::Session(session));
                        self.step(slot, When::Later);
                    }
                    Err(error) => self.lose(slot, &error),
                }
            }
            Ok(Advance::Arrival(arrival)) => self.send_on(slot, arrival),
            Err(_) => self.drop_broken(slot),
        }
    }

    fn settle(&mut self, slot: usize, guest: Guest<T>) {
        if let Some(place) = self.guests.get_mut(slot) {
            *place = guest;
        }
    }

    /// Gives a newcomer, whose slot was `slot`, to the worker.
    pub(super) fn send_on(&mut self, slot: usize, mut arrival: Box<Arrival>) {
        drop(self.guests.try_remove(slot));
        token::forget(&mut arrival.newcomer.client, self.poll.registry());
        self.give_back(Left::Arrival(arrival));
    }
}
