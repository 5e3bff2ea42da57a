//! What a reactor's poll tells of: whose each token is, and how the kernel is asked to tell of a leg.

use std::io;

use mio::event::Event;
use mio::{Registry, Token};

use super::relay::Side;
use super::session::Session;
use super::socket::Socket;
use crate::event::Tap;

/// There are orders.
pub(super) const ORDERS: Token = Token(usize::MAX);

/// What is still to be shown to the taps has waited for long enough.
pub(super) const BEAT: Token = Token(usize::MAX - 1);

/// The first listener's; the others' are below, far above those of any leg.
const LISTENERS: usize = usize::MAX - 2;

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Orders,
    Beat,
    /// Somebody waits at the listener of this route.
    Listener(usize),
    /// A socket of the guest in this slot.
    Leg(usize, Side),
}

/// One leg of the guest in `slot`.
fn of_leg(slot: usize, side: Side) -> Token {
    Token(slot << 1 | usize::from(side == Side::Upstream))
}

/// The listener of `route`.
pub(super) fn of_listener(route: usize) -> Token {
    Token(LISTENERS - route)
}

/// What an event with this token is about.
#[inline]
pub(super) fn subject(token: Token) -> Subject {
    match token {
        ORDERS => Subject::Orders,
        BEAT => Subject::Beat,
        Token(listener) if listener > usize::MAX / 2 => Subject::Listener(LISTENERS - listener),
        Token(leg) if leg & 1 == 0 => Subject::Leg(leg >> 1, Side::Client),
        Token(leg) => Subject::Leg(leg >> 1, Side::Upstream),
    }
}

/// Notes at a leg what the kernel told of it.
#[inline]
pub(super) fn note(leg: &mut Socket, event: &Event) {
    if let Some(direct) = leg.direct_mut() {
        direct.note(event);
    }
}

/// Has the kernel tell of a leg of the guest in `slot`.
pub(super) fn register(
    leg: &mut Socket,
    slot: usize,
    side: Side,
    registry: &Registry,
) -> io::Result<()> {
    match leg.direct_mut() {
        Some(direct) => direct.register(registry, of_leg(slot, side)),
        None => Ok(()),
    }
}

/// Has the kernel tell no more of a leg.
pub(super) fn forget(leg: &mut Socket, registry: &Registry) {
    if let Some(direct) = leg.direct_mut() {
        // An error says that it was not there: it will not be told of either way.
        let _ = direct.deregister(registry);
    }
}

/// Has the kernel tell when sinks that refused bytes have room.
pub(super) fn await_room<T: Tap>(
    session: &mut Session<T>,
    slot: usize,
    registry: &Registry,
) -> io::Result<()> {
    if let Some(client) = session.relay.client.direct_mut() {
        client.await_room(registry, of_leg(slot, Side::Client))?;
    }
    if let Some(upstream) = session.relay.upstream.direct_mut() {
        upstream.await_room(registry, of_leg(slot, Side::Upstream))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_its_subject() {
        for leg in [(0, Side::Client), (0, Side::Upstream), (7, Side::Upstream)] {
            let (slot, side) = leg;
            assert_eq!(subject(of_leg(slot, side)), Subject::Leg(slot, side));
        }
        for route in [0, 1, 1_000] {
            assert_eq!(subject(of_listener(route)), Subject::Listener(route));
        }
        assert_eq!(
            (subject(ORDERS), subject(BEAT)),
            (Subject::Orders, Subject::Beat)
        );
    }
}
