//! Connections that are configured alike: how they live tells what the next one will do.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;

use crate::event::SessionFacts;

/// Classes remembered; the one that was silent longest gives way.
const CLASSES_MAX: usize = 1_000;

/// Ended connections of a class looked back on.
const LIVES: u32 = 32;

/// A connection with so many units is used again and again.
pub(super) const UNITS_OF_PERSISTENT: u32 = 3;

/// Listener, user, database, application and client address, as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClassId(u64);

/// How an ended connection had lived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// One unit without a pause, closed right behind it.
    OneUnit,
    /// Several units, or pauses.
    Several,
}

/// What is known of the connections of one class.
#[derive(Debug, Clone, Default)]
pub(super) struct Class {
    /// Bit by bit, newest lowest: 1 for [`Life::Several`].
    several: u32,
    lives: u32,
    /// Open connections that had [`UNITS_OF_PERSISTENT`] units already.
    pub persistent_open: u32,
    /// Health checks that a query followed, of all its connections.
    pub health_checks: u32,
    /// The pool's checks likewise.
    pub pool_checks: u32,
    used: u64,
}

impl Class {
    fn ended(&mut self, life: Life) {
        self.several = (self.several << 1) | u32::from(life == Life::Several);
        self.lives = (self.lives + 1).min(LIVES);
    }

    fn several(&self) -> u32 {
        let known = u32::MAX.checked_shr(LIVES - self.lives).unwrap_or(0);
        (self.several & known).count_ones()
    }

    /// Whether its connections are used again and again: one that is closed early is no request then.
    ///
    /// A quarter is enough: they close seldom, those of a job beside them often.
    pub(super) fn is_persistent(&self) -> bool {
        let several = self.several() + self.persistent_open;
        4 * several > self.lives + self.persistent_open
    }

    /// Whether its connections live for one unit each, as far back as is known: `CONN_MAX_AGE=0`.
    pub(super) fn is_short_lived(&self) -> bool {
        self.lives >= 8 && 10 * (self.several() + self.persistent_open) <= self.lives
    }
}

#[derive(Debug, Default)]
pub(super) struct Classes {
    known: HashMap<ClassId, Class, RandomState>,
    used: u64,
}

impl Classes {
    pub(super) fn id(&self, facts: &SessionFacts) -> ClassId {
        let mut hasher = self.known.hasher().build_hasher();
        for part in [
            &facts.listener,
            &facts.user,
            &facts.database,
            &facts.application,
            &facts.client,
        ] {
            part.hash(&mut hasher);
        }
        ClassId(hasher.finish())
    }

    pub(super) fn get(&mut self, id: ClassId) -> &mut Class {
        self.used += 1;
        if self.known.len() >= CLASSES_MAX && !self.known.contains_key(&id) {
            let oldest = self.known.iter().min_by_key(|(_, class)| class.used);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.known.remove(&oldest);
            }
        }
        let class = self.known.entry(id).or_default();
        class.used = self.used;
        class
    }

    pub(super) fn ended(&mut self, id: ClassId, life: Life) {
        self.get(id).ended(life);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_what_most_of_its_connections_were() {
        let mut class = Class::default();
        assert!(!class.is_persistent() && !class.is_short_lived());
        (0..8).for_each(|_| class.ended(Life::OneUnit));
        assert!(class.is_short_lived());
        class.ended(Life::Several);
        assert!(!class.is_short_lived() && !class.is_persistent());
        (0..31).for_each(|_| class.ended(Life::OneUnit));
        class.persistent_open = 1;
        assert!(!class.is_persistent(), "a worker beside the requests");
        (0..9).for_each(|_| class.ended(Life::Several));
        assert!(class.is_persistent());
    }
}
