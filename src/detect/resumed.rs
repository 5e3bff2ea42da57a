//! Loops that a pause has cut: the unit behind it begins in the middle of one, without its parent.
//!
//! Sixteen threads of one interpreter pause anywhere for longer than people do between two pages. What such a unit
//! repeats has a parent that nobody knows any more: no guess is made about it.

use std::collections::BTreeMap;

use crate::event::SessionId;
use crate::sql::Fingerprint;

/// Connections remembered; the oldest gives way.
const CONNECTIONS_MAX: usize = 10_000;

/// The shape that the last unit of each connection ended with.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    last: BTreeMap<SessionId, Fingerprint>,
}

impl Resumed {
    /// A unit ended with a statement of this shape.
    pub(super) fn ended(&mut self, session: SessionId, shape: Fingerprint) {
        self.last.insert(session, shape);
        if self.last.len() > CONNECTIONS_MAX {
            self.last.pop_first();
        }
    }

    /// The connection is over, and nothing goes on there.
    pub(super) fn closed(&mut self, session: SessionId) {
        self.last.remove(&session);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.last.len()
    }

    /// Whether a unit that begins with this shape goes on with what the connection's last unit ended with.
    pub(super) fn goes_on(&self, session: SessionId, shape: Fingerprint) -> bool {
        self.last.get(&session) == Some(&shape)
    }
}
