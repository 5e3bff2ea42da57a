//! Loops that a pause has cut: the unit behind it begins in the middle of one, without its parent.
//!
//! Sixteen threads of one interpreter pause anywhere for longer than people do between two pages. What such a unit
//! repeats has a parent that nobody knows any more: no guess is made about it.

use std::collections::BTreeMap;

use crate::event::{QueryEvent, SessionId};
use crate::sql::Fingerprint;

/// Connections remembered; the oldest gives way.
const CONNECTIONS_MAX: usize = 10_000;

/// The last shape of each connection.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    last: BTreeMap<SessionId, Fingerprint>,
}

impl Resumed {
    /// Takes a statement; whether it has the shape of the connection's statement before it.
    pub(super) fn repeats(&mut self, event: &QueryEvent) -> bool {
        let before = self.last.insert(event.facts.id, event.fingerprint);
        if self.last.len() > CONNECTIONS_MAX {
            self.last.pop_first();
        }
        before == Some(event.fingerprint)
    }
}
