//! A queue of what the server owes, whose entries are put together where they stay.
//!
//! A place that is free holds an entry all the same, one that stands for nothing: who takes a place writes into it what
//! differs. The standard library's queue takes an entry whole, which is a copy of what was just written in other pieces
//! than it was written in: a core waits with that until all that it wrote before has reached its cache.

use super::awaited::{Awaited, What};
use super::stopwatch::Mark;

/// Places that a queue has with its first entry: a query that comes alone needs two.
const PLACES_MIN: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Queue {
    places: Vec<Awaited>,
    front: usize,
    len: usize,
}

/// What stands in a free place.
const fn nothing() -> Awaited {
    Awaited {
        what: What::CopyEnd,
        requested: Mark::NEVER,
        request_bytes: 0,
    }
}

impl Queue {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries it has memory for.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.places.len()
    }

    /// Where the entry with this number is, counted from the front; it may be the next one behind the last.
    #[inline]
    fn place(&self, number: usize) -> usize {
        let place = self.front + number;
        match place >= self.places.len() {
            true => place - self.places.len(),
            false => place,
        }
    }

    /// The next place behind the last entry, which is one from now on.
    #[inline(always)]
    pub(super) fn take_place(&mut self) -> Option<&mut Awaited> {
        if self.len == self.places.len() {
            self.grow();
        }
        let place = self.place(self.len);
        let free = self.places.get_mut(place)?;
        self.len += 1;
        Some(free)
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let places = (2 * self.places.len()).max(PLACES_MIN);
        let mut more = Vec::with_capacity(places);
        more.extend(self.drain());
        self.len = more.len();
        more.resize_with(places, nothing);
        (self.places, self.front) = (more, 0);
    }

    /// Puts an entry in front of all others.
    pub(super) fn push_front(&mut self, awaited: Awaited) {
        if self.len == self.places.len() {
            self.grow();
        }
        let before = self.front.checked_sub(1);
        self.front = before.unwrap_or(self.places.len() - 1);
        self.len += 1;
        if let Some(front) = self.places.get_mut(self.front) {
            *front = awaited;
        }
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&Awaited> {
        match number < self.len {
            true => self.places.get(self.place(number)),
            false => None,
        }
    }

    #[inline]
    pub(super) fn front(&self) -> Option<&Awaited> {
        self.get(0)
    }

    #[inline]
    pub(super) fn front_mut(&mut self) -> Option<&mut Awaited> {
        match self.len {
            0 => None,
            _ => self.places.get_mut(self.front),
        }
    }

    /// Takes the first entry.
    #[inline(always)]
    pub(super) fn pop_front(&mut self) -> Option<Awaited> {
        if self.len == 0 {
            return None;
        }
        let front = self.places.get_mut(self.front)?;
        let awaited = Awaited {
            what: std::mem::replace(&mut front.what, What::CopyEnd),
            ..*front
        };
        self.front = self.place(1);
        self.len -= 1;
        Some(awaited)
    }

    /// Takes one entry out from among the others: those before it move up, nearly always one.
    pub(super) fn remove(&mut self, number: usize) {
        if number >= self.len {
            return;
        }
        for before in (0..number).rev() {
            let (place, behind) = (self.place(before), self.place(before + 1));
            self.places.swap(place, behind);
        }
        self.pop_front();
    }

    /// Takes all entries, from the front.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Awaited> + '_ {
        std::iter::from_fn(|| self.pop_front())
    }

    /// All entries, from the front.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Awaited> {
        let at = self.front.min(self.places.len());
        let (behind, from) = self.places.split_at_mut(at);
        from.iter_mut().chain(behind).take(self.len)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn entry(number: u64) -> Awaited {
        Awaited {
            request_bytes: number,
            ..nothing()
        }
    }

    proptest! {
        /// It does what the standard library's queue does.
        #[test]
        fn it_is_a_queue(steps in prop::collection::vec((0u8..8, 0usize..6), 0..200)) {
            let (mut queue, mut expected) = (Queue::default(), VecDeque::new());
            for (number, (step, place)) in (0u64..).zip(steps) {
                match step {
                    0..3 => {
                        queue.take_place().expect("a place").request_bytes = number;
                        expected.push_back(number);
                    }
                    3 => {
                        queue.push_front(entry(number));
                        expected.push_front(number);
                    }
                    4 => {
                        queue.remove(place);
                        expected.remove(place);
                    }
                    5 if place == 0 => {
                        let all: Vec<u64> = queue.drain().map(|it| it.request_bytes).collect();
                        prop_assert_eq!(all, expected.drain(..).collect::<Vec<_>>());
                    }
                    _ => {
                        let first = queue.pop_front().map(|it| it.request_bytes);
                        prop_assert_eq!(first, expected.pop_front());
                    }
                }
                prop_assert_eq!(queue.len(), expected.len());
                prop_assert_eq!(queue.is_empty(), expected.is_empty());
                prop_assert!(queue.capacity() >= queue.len());
                let front = expected.front().copied();
                prop_assert_eq!(queue.front().map(|it| it.request_bytes), front);
                prop_assert_eq!(queue.front_mut().map(|it| it.request_bytes), front);
                let got = queue.get(place).map(|it| it.request_bytes);
                prop_assert_eq!(got, expected.get(place).copied());
                let all: Vec<u64> = queue.iter_mut().map(|it| it.request_bytes).collect();
                prop_assert_eq!(all, expected.iter().copied().collect::<Vec<_>>());
            }
        }
    }
}
