//! The events of one worker on their way to the analysis: a bounded queue that takes memory only as it fills.
//!
//! It is a ring of parts. Nearly always one is enough for what comes between two ticks; the writer goes on to the next
//! one where it is full, unless the reader is still there, and the reader follows once it has emptied its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_queue::ArrayQueue;

use crate::bell::Bell;
use crate::event::Observed;

/// Events in one part.
const PART_EVENTS_MAX: usize = 512;

/// What the writer and the reader share. Events are read from one thread.
#[derive(Debug)]
pub struct Ring {
    /// Each is made when it is first needed, and stays.
    parts: Box<[OnceLock<ArrayQueue<Observed>>]>,
    part_events: usize,
    /// The part that is written to.
    written: AtomicUsize,
    /// The part that is read; those between it and the one that is written to are full or were.
    read: AtomicUsize,
    /// Rung when a part is full: a reader that slept because little came has to look.
    bell: Bell,
}

/// There was no room for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RingFull;

/// The one who puts events into a [`Ring`].
#[derive(Debug)]
pub(super) struct Writer {
    ring: Arc<Ring>,
}

impl Writer {
    /// The writer of a ring for `max` events, or some more.
    pub(super) fn new(max: usize) -> Writer {
        let max = max.max(1);
        let parts = max.div_ceil(PART_EVENTS_MAX);
        Writer {
            ring: Arc::new(Ring {
                parts: std::iter::repeat_with(OnceLock::new).take(parts).collect(),
                part_events: max.div_ceil(parts),
                written: AtomicUsize::new(0),
                read: AtomicUsize::new(0),
                bell: Bell::default(),
            }),
        }
    }

    pub(super) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring)
    }

    /// Puts an event behind all others; it is gone where there is no room.
    #[inline(always)]
    pub(super) fn push(&mut self, event: Observed) -> Result<(), RingFull> {
        let place = self.ring.written.load(Ordering::Relaxed);
        let part = self.ring.made(place).ok_or(RingFull)?;
        match part.push(event) {
            Ok(()) => Ok(()),
            Err(event) => self.push_behind(place, event),
        }
    }

    /// The part at `place` is full: goes on to the next one.
    #[cold]
    fn push_behind(&mut self, place: usize, event: Observed) -> Result<(), RingFull> {
        self.ring.bell.ring();
        let next = self.ring.behind(place);
        // What the reader has left is empty.
        if next == self.ring.read.load(Ordering::Acquire) {
            return Err(RingFull);
        }
        self.ring.written.store(next, Ordering::Release);
        let part = self.ring.made(next).ok_or(RingFull)?;
        part.push(event).map_err(|_| RingFull)
    }
}

impl Ring {
    /// Takes the event that came first.
    #[inline]
    pub fn pop(&self) -> Option<Observed> {
        loop {
            let place = self.read.load(Ordering::Relaxed);
            // Asked first: once the writer has gone on, what is not in the part will never be.
            let written = self.written.load(Ordering::Acquire);
            let event = self.part(place).and_then(ArrayQueue::pop);
            if event.is_some() {
                return event;
            }
            if place == written {
                return None;
            }
            self.read.store(self.behind(place), Ordering::Release);
        }
    }

    /// Rings each time that so many events have come as one part holds, read or not.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Events in one part.
    pub fn part_events(&self) -> usize {
        self.part_events
    }

    /// How many events are in it.
    pub fn len(&self) -> usize {
        self.parts
            .iter()
            .filter_map(OnceLock::get)
            .map(ArrayQueue::len)
            .sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many may be.
    pub fn capacity(&self) -> usize {
        self.parts.len() * self.part_events
    }

    fn part(&self, place: usize) -> Option<&ArrayQueue<Observed>> {
        self.parts.get(place)?.get()
    }

    /// The same, made if it was not yet.
    #[inline]
    fn made(&self, place: usize) -> Option<&ArrayQueue<Observed>> {
        let part = self.parts.get(place)?;
        Some(part.get_or_init(|| ArrayQueue::new(self.part_events)))
    }

    fn behind(&self, place: usize) -> usize {
        match place + 1 {
            next if next < self.parts.len() => next,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
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

    fn number(event: &Observed) -> u64 {
        match event {
            Observed::Closed(event) => event.at.0,
            Observed::Query(_) | Observed::Rows(_) => unreachable!(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// What comes out is what went in, in its order; a part may be missing of the room, as long as it is read from.
        #[test]
        fn it_is_a_bounded_queue(
            max in prop_oneof![1usize..4, 500usize..3_000],
            steps in prop::collection::vec((0usize..2_000, 0usize..2_000), 1..12),
        ) {
            let mut writer = Writer::new(max);
            let ring = writer.ring();
            let mut expected = VecDeque::new();
            let mut next = 0;
            prop_assert!((max..max + 8).contains(&ring.capacity()));
            for (pushes, pops) in steps {
                for _ in 0..pushes {
                    match writer.push(event(next)) {
                        Ok(()) => expected.push_back(next),
                        Err(RingFull) => {
                            // A part that the reader has emptied is its own until it asks for more.
                            prop_assert!(expected.len() + ring.part_events >= ring.capacity());
                        }
                    }
                    next += 1;
                    prop_assert!(expected.len() <= ring.capacity());
                }
                prop_assert_eq!(ring.len(), expected.len());
                for _ in 0..pops {
                    prop_assert_eq!(ring.pop().as_ref().map(number), expected.pop_front());
                }
            }
        }
    }

    #[test]
    fn nothing_is_lost_or_told_twice_between_two_threads() {
        const EVENTS: u64 = 50_000;
        let mut writer = Writer::new(1_500);
        let ring = writer.ring();
        let writing = std::thread::spawn(move || {
            for event in (0..EVENTS).map(event) {
                while writer.push(event.clone()).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < EVENTS {
            match ring.pop() {
                Some(event) => {
                    assert_eq!(number(&event), next);
                    next += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        writing.join().unwrap();
        assert!(ring.is_empty());
    }
}
