//! What the events of a reactor's poll are about.

use mio::Token;

use super::relay::Side;

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
pub(super) fn of_leg(slot: usize, side: Side) -> Token {
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
