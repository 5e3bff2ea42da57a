//! What one worker counted since the last tick.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use foldhash::fast::RandomState;

use super::names::{Context, NameId, OTHER};
use crate::event::{Beside, Moment, Phases, Protocol, QueryEvent, ShapeNumber, ShapeRef};
use crate::sql::{Fingerprint, Verb};
use crate::wire::SqlState;

/// Entries of a delta; one more and it is merged at once.
const ENTRIES_MAX: usize = 4 * 1024;

/// Durations staged in a delta: 160,000 queries a second at ticks of 50 ms.
const DURATIONS_MAX: usize = 8 * 1024;

/// In these parts it is told how full a delta was, and of so many of them on that is fair, and much: what is merged
/// seldom is merged cheaply, a shape at a time.
const FILL_PARTS: usize = 8;
const FILL_FAIR: usize = 2;
const FILL_MUCH: usize = 4;

/// How full the fullest delta was when it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fill {
    /// It could have been left for twice as long.
    Little,
    /// It could have been left for longer.
    Fair,
    /// With some more it would have been merged at its worker, which has other work.
    Much,
}

/// Routes of one entry within one tick; further ones are noted in a later tick.
pub(super) const ENTRY_ROUTES_MAX: usize = 8;

/// One query shape as used by one kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) fingerprint: Fingerprint,
    pub(super) context: Context,
}

/// As one word: a fingerprint is well mixed, and the map has a key of its own.
impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Context {
            database,
            user,
            application,
        } = self.context;
        let context = u64::from(database) << 32 | u64::from(user) << 16 | u64::from(application);
        state.write_u64(self.fingerprint.0 ^ context.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
}

/// What happened to one [`Key`] since the last tick. Durations and errors are staged beside it, one by one.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) verb: Verb,
    pub(super) shape: Option<ShapeRef>,
    /// Calls by [`Protocol`], in the order of [`Protocol::ALL`].
    pub(super) calls: [u32; Protocol::ALL.len()],
    pub(super) slow: u32,
    pub(super) rows: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) phases: Phases,
    pub(super) min_ns: u64,
    pub(super) max_ns: u64,
    pub(super) first: Moment,
    pub(super) last: Moment,
    routes: [NameId; ENTRY_ROUTES_MAX],
    routes_len: u8,
}

impl Entry {
    fn new(key: Key, event: &QueryEvent) -> Entry {
        Entry {
            key,
            verb: event.verb,
            shape: event.shape,
            calls: [0; Protocol::ALL.len()],
            slow: 0,
            rows: 0,
            request_bytes: 0,
            response_bytes: 0,
            phases: Phases::default(),
            min_ns: u64::MAX,
            max_ns: 0,
            first: event.completed_at,
            last: event.completed_at,
            routes: [OTHER; ENTRY_ROUTES_MAX],
            routes_len: 0,
        }
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.iter().map(|calls| u64::from(*calls)).sum()
    }

    pub(super) fn routes(&self) -> &[NameId] {
        &self.routes[..usize::from(self.routes_len)]
    }

    #[inline]
    fn add(&mut self, event: &QueryEvent, beside: &Beside<'_>, duration_ns: u64, slow: bool) {
        self.calls[protocol_index(event.protocol)] += 1;
        self.slow += u32::from(slow);
        self.rows = self.rows.saturating_add(event.rows);
        self.request_bytes = self.request_bytes.saturating_add(beside.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(beside.response_bytes);
        super::add_phases(&mut self.phases, &event.phases);
        self.min_ns = self.min_ns.min(duration_ns);
        self.max_ns = self.max_ns.max(duration_ns);
        self.first = self.first.min(event.completed_at);
        self.last = self.last.max(event.completed_at);
    }

    pub(super) fn add_route(&mut self, route: NameId) {
        let len = usize::from(self.routes_len);
        if len < ENTRY_ROUTES_MAX && !self.routes[..len].contains(&route) {
            self.routes[len] = route;
            self.routes_len += 1;
        }
    }
}

/// What happened to transactions of one listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ListenerCounts {
    pub(super) committed: u64,
    pub(super) rolled_back: u64,
    pub(super) abandoned: u64,
    pub(super) idle_in_transaction_ns: u64,
}

/// The first entry of a shape, in some round.
#[derive(Debug, Clone, Copy)]
struct First {
    round: u32,
    entry: u32,
}

/// Everything one worker counted since the last tick. Cleared, it keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Delta {
    entries: Vec<Entry>,
    /// The first entry of each shape, by its number; it is of another shape where the round is not this one.
    firsts: Vec<First>,
    /// Counts how often this was cleared.
    round: u32,
    /// All other entries: a shape as used by a further kind of client, and what has no shape.
    others: HashMap<Key, u32, RandomState>,
    /// The entry of the last query: loops ask the same again.
    last: usize,
    durations: Vec<(u32, u32)>,
    errors: Vec<(u32, SqlState)>,
    listeners: Vec<(NameId, ListenerCounts)>,
}

impl Delta {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.listeners.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.others.clear();
        self.round = self.round.wrapping_add(1);
        // After four thousand million rounds one of long ago would look like this one.
        if self.round == 0 {
            self.firsts.clear();
        }
        self.durations.clear();
        self.errors.clear();
        self.listeners.clear();
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Index of an entry and a duration in microseconds, rounded up; one for each query.
    pub(super) fn durations(&self) -> &[(u32, u32)] {
        &self.durations
    }

    /// Index of an entry and how it failed; one for each failed query.
    pub(super) fn errors(&self) -> &[(u32, SqlState)] {
        &self.errors
    }

    pub(super) fn listeners(&self) -> &[(NameId, ListenerCounts)] {
        &self.listeners
    }

    /// How far the way is to a merge at the worker itself.
    pub(super) fn fill(&self) -> Fill {
        let parts = |len: usize, max: usize| len * FILL_PARTS / max;
        match parts(self.entries.len(), ENTRIES_MAX).max(parts(self.durations.len(), DURATIONS_MAX))
        {
            0..FILL_FAIR => Fill::Little,
            FILL_FAIR..FILL_MUCH => Fill::Fair,
            _ => Fill::Much,
        }
    }

    /// How full it is: 0 while there is room, then how many times as long as it should be, rounded down.
    pub(super) fn fullness(&self) -> usize {
        (self.entries.len() / ENTRIES_MAX).max(self.durations.len() / DURATIONS_MAX)
    }

    #[inline]
    pub(super) fn record(
        &mut self,
        key: Key,
        event: &QueryEvent,
        beside: &Beside<'_>,
        slow_threshold_ns: u64,
    ) -> &mut Entry {
        let duration_ns = event.phases.duration_ns();
        let index = self.index_of(key, event);
        self.last = index;
        let number = place_of(index);
        let duration_us = u32::try_from(duration_ns.div_ceil(1_000)).unwrap_or(u32::MAX);
        self.durations.push((number, duration_us));
        if let Some(code) = event.sqlstate {
            self.errors.push((number, code));
        }
        let entry = &mut self.entries[index];
        entry.add(event, beside, duration_ns, duration_ns >= slow_threshold_ns);
        entry
    }

    #[inline]
    fn index_of(&mut self, key: Key, event: &QueryEvent) -> usize {
        if self
            .entries
            .get(self.last)
            .is_some_and(|last| last.key == key)
        {
            return self.last;
        }
        let new = self.entries.len();
        if let Some(shape) = event.shape {
            match self.first_of(shape.number()) {
                Some(first) if self.entries[first].key == key => return first,
                // It is used by another kind of client as well.
                Some(_) => {}
                None => {
                    self.set_first(shape.number(), new);
                    self.entries.push(Entry::new(key, event));
                    return new;
                }
            }
        }
        let index = *self.others.entry(key).or_insert(place_of(new)) as usize;
        if index == new {
            self.entries.push(Entry::new(key, event));
        }
        index
    }

    /// The first entry of a shape, if it has one.
    #[inline]
    fn first_of(&self, number: ShapeNumber) -> Option<usize> {
        let first = self.firsts.get(number.0 as usize)?;
        (first.round == self.round).then_some(first.entry as usize)
    }

    fn set_first(&mut self, number: ShapeNumber, index: usize) {
        let place = number.0 as usize;
        if place >= self.firsts.len() {
            let never = First {
                round: self.round.wrapping_sub(1),
                entry: 0,
            };
            self.firsts.resize(place + 1, never);
        }
        self.firsts[place] = First {
            round: self.round,
            entry: place_of(index),
        };
    }

    pub(super) fn listener(&mut self, listener: NameId) -> &mut ListenerCounts {
        let index = match self.listeners.iter().position(|(id, _)| *id == listener) {
            Some(index) => index,
            None => {
                self.listeners.push((listener, ListenerCounts::default()));
                self.listeners.len() - 1
            }
        };
        &mut self.listeners[index].1
    }
}

/// The index of an entry, as it is kept: there are some thousand of them.
fn place_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn protocol_index(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Simple => 0,
        Protocol::Extended => 1,
        Protocol::Cursor => 2,
        Protocol::Copy => 3,
        Protocol::Function => 4,
    }
}
