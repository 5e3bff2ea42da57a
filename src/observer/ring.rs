//! The events of one worker on their way to the analysis: a bounded queue that takes memory only as it fills.
//!
//! The writer puts them into a part, and takes another one where it is full. The reader takes a part whole, as full as it
//! is, and reads the events where they lie: an event is large, is put together there, and never moves.
//!
//! The parts are among what the writer has at its desk ([`super::desk`]): it is there while it puts events down, and the
//! reader while it changes one part for another.

use std::collections::VecDeque;
use std::iter::Take;
use std::mem::{ManuallyDrop, offset_of};
use std::slice::IterMut;
use std::sync::Arc;

use super::desk::Desk;
use crate::bell::Bell;
use crate::cache::{self, Lines};
use crate::event::{Observed, QueryEvent};

/// The lines of the place behind that of an event, as its verb sees them.
const BEHIND: Lines = Lines::of(size_of::<Place>(), size_of::<Place>());
const VERB_AT: usize = offset_of!(QueryEvent, verb);

/// Events in one part, which takes the memory for all of them with the first one.
const PART_EVENTS_MAX: usize = 128;

/// A place of an event. Who puts one there does not look first whether it is free, which it is: it would wait for memory
/// that is only written. So it drops nothing by itself ([`Part`] does).
type Place = ManuallyDrop<Option<Observed>>;

/// Some events in their order, behind those that were read: their places are empty, and so are those that are free.
#[derive(Debug, Default)]
struct Part {
    places: Vec<Place>,
    read: usize,
    written: usize,
}

impl Part {
    /// How many events are in it.
    fn len(&self) -> usize {
        self.written - self.read
    }

    /// The next free place, which is taken from now on.
    #[inline(always)]
    fn next(&mut self) -> Option<&mut Place> {
        if self.places.is_empty() {
            self.furnish();
        }
        let place = self.places.get_mut(self.written)?;
        self.written += 1;
        Some(place)
    }

    #[cold]
    fn furnish(&mut self) {
        self.places.resize_with(PART_EVENTS_MAX, Place::default);
    }

    /// The events, those that came first in front.
    fn events(&mut self) -> IterMut<'_, Place> {
        let events = self.places.get_mut(self.read..self.written);
        events.unwrap_or_default().iter_mut()
    }

    /// So many of them were read, and are gone.
    fn forget(&mut self, events: usize) {
        self.events().take(events).for_each(|event| **event = None);
        self.read += events;
        if self.read == self.written {
            (self.read, self.written) = (0, 0);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.forget(self.len());
    }
}

/// All that is written and not read.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Those before the last one, oldest first.
    full: VecDeque<Part>,
    /// The one that is written to.
    last: Part,
    /// Empty ones, with their memory.
    spare: Vec<Part>,
}

/// How many events there may be.
#[derive(Debug)]
pub(super) struct Bounds {
    parts_max: usize,
    part_events: usize,
    /// Rung while there are half as many, with each part: a reader that slept because little came has to look.
    bell: Bell,
}

/// There was no room for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RingFull;

/// The one who puts events into a [`Ring`], at work.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub bounds: &'a Bounds,
    pub parts: &'a mut Parts,
}

/// A free place in a [`Ring`].
#[derive(Debug)]
pub(super) struct Room<'a> {
    part: &'a mut Part,
}

/// The events of one worker. They are read from one thread.
#[derive(Clone)]
pub struct Ring {
    desk: Arc<Desk>,
}

/// The one who reads them.
pub struct Reader {
    ring: Ring,
    /// What it has in hand.
    part: Part,
}

/// Some events, in their order, each of which may be taken out.
#[derive(Debug)]
pub struct Bite<'a> {
    events: Take<IterMut<'a, Place>>,
    seen: usize,
}

impl Bounds {
    /// Of a ring for `max` events, or some more.
    pub(super) fn of(max: usize) -> Bounds {
        let max = max.max(1);
        let parts_max = max.div_ceil(PART_EVENTS_MAX);
        Bounds {
            parts_max,
            part_events: max.div_ceil(parts_max),
            bell: Bell::default(),
        }
    }
}

impl Writing<'_> {
    /// Puts an event behind all others; it is gone where there is no room.
    pub(super) fn push(&mut self, event: Observed) -> Result<(), RingFull> {
        self.room()?.put(|| event);
        Ok(())
    }

    /// Room for one event behind all others.
    #[inline(always)]
    pub(super) fn room(&mut self) -> Result<Room<'_>, RingFull> {
        if self.parts.last.written >= self.bounds.part_events {
            self.parts.make_room(self.bounds)?;
        }
        Ok(Room {
            part: &mut self.parts.last,
        })
    }
}

impl Room<'_> {
    /// Puts an event there: it is put together where it stays. Where the next one will be is fetched: its lines were the
    /// reader's last.
    #[inline(always)]
    pub(super) fn put(&mut self, event: impl FnOnce() -> Observed) -> Option<&mut Observed> {
        let place = self.part.next()?;
        *place = ManuallyDrop::new(Some(event()));
        let event = place.as_mut()?;
        if let Observed::Query(event) = event {
            cache::fetch_lines(&event.verb, VERB_AT, BEHIND);
        }
        Some(event)
    }
}

impl Parts {
    /// The last part is full: another one, if there may be one more.
    #[cold]
    fn make_room(&mut self, bounds: &Bounds) -> Result<(), RingFull> {
        let full = self.full.len() + 1;
        if full * 2 >= bounds.parts_max {
            bounds.bell.ring();
        }
        if full >= bounds.parts_max {
            return Err(RingFull);
        }
        let next = self.spare.pop().unwrap_or_default();
        let full = std::mem::replace(&mut self.last, next);
        self.full.push_back(full);
        Ok(())
    }

    /// The events that came first, for an empty part.
    fn exchange(&mut self, empty: Part) -> Part {
        match self.full.pop_front() {
            Some(first) => {
                self.spare.push(empty);
                first
            }
            None => std::mem::replace(&mut self.last, empty),
        }
    }

    fn len(&self) -> usize {
        self.full.iter().map(Part::len).sum::<usize>() + self.last.len()
    }
}

impl Ring {
    /// Where its writer sits.
    pub(super) fn at(desk: &Arc<Desk>) -> Ring {
        Ring {
            desk: Arc::clone(desk),
        }
    }

    /// Rings when half of it is full, and from then on with each part.
    pub fn bell(&self) -> &Bell {
        &self.desk.ring().bell
    }

    /// How many events are in it.
    pub fn len(&self) -> usize {
        self.desk.with_events(|parts| parts.len())
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many may be.
    pub fn capacity(&self) -> usize {
        let Bounds {
            parts_max,
            part_events,
            ..
        } = self.desk.ring();
        parts_max * part_events
    }
}

impl Reader {
    /// The reader of a ring, which has no other.
    pub fn new(ring: Ring) -> Reader {
        Reader {
            ring,
            part: Part::default(),
        }
    }

    /// What it reads.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// How many events wait, those in hand included.
    pub fn waiting(&self) -> usize {
        self.part.len() + self.ring.len()
    }

    /// Gives the events that came first, at most so many, to `take`; those that it has seen are gone then. How many.
    pub fn bite(&mut self, most: usize, take: impl FnOnce(&mut Bite<'_>)) -> usize {
        if self.part.len() == 0 {
            let empty = std::mem::take(&mut self.part);
            self.part = self.ring.desk.with_events(|parts| parts.exchange(empty));
        }
        let mut bite = Bite {
            events: self.part.events().take(most),
            seen: 0,
        };
        take(&mut bite);
        let seen = bite.seen;
        self.part.forget(seen);
        seen
    }

    /// Takes all that wait.
    pub fn take_all(&mut self) -> Vec<Observed> {
        let mut all = Vec::new();
        while self.bite(usize::MAX, |events| {
            all.extend(events.filter_map(Option::take));
        }) > 0
        {}
        all
    }
}

impl<'a> Iterator for Bite<'a> {
    type Item = &'a mut Option<Observed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let event = self.events.next()?;
        self.seen += 1;
        Some(&mut **event)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::{Settings, Store};
    use crate::event::{ClosedEvent, Moment, SessionFacts, SessionId};

    fn event(number: u64) -> Observed {
        Observed::Closed(ClosedEvent {
            facts: Arc::new(SessionFacts {
                id: SessionId(1),
                listener: "default".into(),
                client: "web".into(),
                user: "shop".into(),
                database: "shop".into(),
                application: "".into(),
                backend_pid: 0,
            }),
            at: Moment(number),
            queries: 0,
        })
    }

    fn desk(max: usize) -> Arc<Desk> {
        let store = Store::new(&Settings::default());
        Arc::new(Desk::new(&store, 1024, max))
    }

    fn push(desk: &Desk, event: Observed) -> Result<(), RingFull> {
        let bounds = desk.ring();
        desk.with_events(|parts| Writing { bounds, parts }.push(event))
    }

    fn number(event: &Observed) -> u64 {
        match event {
            Observed::Closed(event) => event.at.0,
            Observed::Query(_) | Observed::Rows(_) => unreachable!(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// What comes out is what went in, in its order, however much is taken at a go.
        #[test]
        fn it_is_a_bounded_queue(
            max in prop_oneof![1usize..4, 500usize..3_000],
            steps in prop::collection::vec((0usize..2_000, 0usize..2_000), 1..12),
            bitten in 1usize..700,
        ) {
            let desk = desk(max);
            let ring = Ring::at(&desk);
            let mut expected = VecDeque::new();
            let mut next = 0;
            let mut reader = Reader::new(ring.clone());
            prop_assert!((max..max + max.div_ceil(PART_EVENTS_MAX)).contains(&ring.capacity()));
            for (pushes, pops) in steps {
                for _ in 0..pushes {
                    let pushed = push(&desk, event(next));
                    match pushed {
                        Ok(()) => expected.push_back(next),
                        Err(RingFull) => {
                            prop_assert_eq!(ring.len(), ring.capacity());
                        }
                    }
                    next += 1;
                    prop_assert!(ring.len() <= ring.capacity());
                }
                prop_assert_eq!(reader.waiting(), expected.len());
                let mut left = pops;
                loop {
                    let mut seen = Vec::new();
                    let count = reader.bite(left, |bite| seen.extend(bite.by_ref().take(bitten).map(|event| {
                        number(event.as_ref().expect("nobody took it"))
                    })));
                    prop_assert_eq!(count, seen.len());
                    for number in &seen {
                        prop_assert_eq!(Some(*number), expected.pop_front());
                    }
                    left -= count;
                    if count == 0 {
                        prop_assert!(left == 0 || expected.is_empty());
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn what_nobody_reads_goes_with_the_ring() {
        let Observed::Closed(closed) = event(0) else {
            unreachable!()
        };
        let desk = desk(3 * PART_EVENTS_MAX);
        let mut reader = Reader::new(Ring::at(&desk));
        for _ in 0..2 * PART_EVENTS_MAX + 7 {
            let event = Observed::Closed(closed.clone());
            push(&desk, event).expect("there is room");
        }
        let read = reader.bite(PART_EVENTS_MAX - 5, |bite| bite.for_each(drop));
        assert_eq!(read, PART_EVENTS_MAX - 5);
        let waiting = PART_EVENTS_MAX + 5 + 7;
        assert_eq!(Arc::strong_count(&closed.facts), 1 + waiting);
        drop((reader, desk));
        assert_eq!(Arc::strong_count(&closed.facts), 1);
    }

    #[test]
    fn nothing_is_lost_or_told_twice_between_two_threads() {
        const EVENTS: u64 = 50_000;
        let desk = desk(1_500);
        let ring = Ring::at(&desk);
        let writing = std::thread::spawn(move || {
            for event in (0..EVENTS).map(event) {
                while push(&desk, event.clone()).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        let mut reader = Reader::new(ring.clone());
        let mut next = 0;
        while next < EVENTS {
            let seen = reader.bite(100, |bite| {
                for event in bite {
                    assert_eq!(event.as_ref().map(number), Some(next));
                    next += 1;
                }
            });
            if seen == 0 {
                std::thread::yield_now();
            }
        }
        writing.join().unwrap();
        assert!(ring.is_empty());
    }
}
