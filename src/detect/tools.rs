//! Connections on which a tool is at work: `migrate`, `inspectdb`, whatever defines tables or looks them up.
//!
//! Such a tool goes statement by statement and pauses as it likes, so its units are cut anywhere: what it does right
//! behind its last look at the catalogue (Django fills its content types and permissions then) is its work, too.

use std::collections::BTreeMap;

use super::knowledge::Reads;
use crate::event::{Moment, QueryEvent, SessionId};
use crate::sql::VerbClass;
use crate::unit::Unit;

/// How long a connection stays a tool's: `migrate` computes between two steps, a request does not follow so soon.
const LASTS_NS: u64 = 1_000_000_000;
/// Connections remembered.
const CONNECTIONS_MAX: usize = 1_024;

/// Whose unit a statement is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// A test's, with an id in each statement: no pause and no neighbour says anything of it. The same tests give the
    /// same findings, on a slow machine too.
    Test,
    /// Nobody's in particular.
    Other,
}

impl Of {
    pub(super) fn unit<P>(unit: &Unit<P>) -> Of {
        if unit.is_of_test() {
            Of::Test
        } else {
            Of::Other
        }
    }
}

/// The connections of tools, with the last time that showed it.
#[derive(Debug, Default)]
pub(super) struct Tools {
    seen: BTreeMap<SessionId, Moment>,
}

impl Tools {
    /// The connection is over.
    pub(super) fn closed(&mut self, session: SessionId) {
        self.seen.remove(&session);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Takes a statement of such a unit, and what it reads; whether it is a tool's.
    ///
    /// What a test does is its own, however soon behind the making of its database it begins.
    #[inline]
    pub(super) fn are_at_work(&mut self, event: &QueryEvent, reads: Reads, of: Of) -> bool {
        let session = event.facts.id;
        let shows = event.verb.class() == VerbClass::Definition || reads == Reads::Catalogue;
        if shows {
            self.seen.insert(session, event.completed_at);
            if self.seen.len() > CONNECTIONS_MAX {
                // The oldest connection.
                self.seen.pop_first();
            }
            return true;
        }
        if self.seen.is_empty() || of == Of::Test {
            return false;
        }
        self.seen
            .get(&session)
            .is_some_and(|last| event.requested_at.since(*last) <= LASTS_NS)
    }
}
