//! A map by numbers that are hashes already: they are not hashed once more.
//!
//! It is looked at once a statement, and there are many of them (one for each unit) or it is large (one for all shapes):
//! what counts is how many bytes a number takes, and that its place is known without a look elsewhere, for what is in no
//! cache has to be waited for.

use std::num::NonZeroU64;

use smallvec::{Array, SmallVec};

use crate::cache;

/// Puts the bits of every number where the place is taken from: also numbers that differ only in a few.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Places of a map that has any.
const PLACES_MIN: usize = 8;

/// Numbers that are gathered before they are looked for in a map. Each is somewhere else in it, and not in any cache: so
/// many at a time are waited for together, and not one after the other.
pub const GATHERED_MAX: usize = 64;

/// For so many there is room once there are two of them: most lists have one, and those that have two will soon have
/// several.
const FEW: usize = 8;

/// Puts one to those that are gathered; bytes that they take more than before.
#[inline]
pub fn gather<A: Array>(gathered: &mut SmallVec<A>, one: A::Item) -> usize {
    let room = gathered.capacity();
    if gathered.len() == room {
        let next = (room * 2).max(FEW);
        gathered.reserve_exact(next - room);
    }
    gathered.push(one);
    (gathered.capacity() - room) * size_of::<A::Item>()
}

/// What is known of numbers that are hashes; 0 is taken for 1. Nothing is ever taken out.
#[derive(Debug, Clone)]
pub struct Hashes<V> {
    /// As many as a power of two, a quarter of them free: a number is at its own place, or at the next free one.
    places: Vec<Option<(NonZeroU64, V)>>,
    len: usize,
}

impl<V> Default for Hashes<V> {
    fn default() -> Hashes<V> {
        Hashes {
            places: Vec::new(),
            len: 0,
        }
    }
}

impl<V: Copy> Hashes<V> {
    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Has fetched what [`Hashes::get`] will look at first.
    #[inline]
    pub fn expect(&self, hash: u64) {
        let Some(last) = self.places.len().checked_sub(1) else {
            return;
        };
        if let Some(place) = self.places.get(own_place(number(hash), last)) {
            cache::fetch(place);
        }
    }

    /// What it knows of a number.
    #[inline]
    pub fn get(&self, hash: u64) -> Option<V> {
        let place = self.places.get(self.place(number(hash)))?;
        place.map(|(_, value)| value)
    }

    /// The same, to be changed.
    #[inline]
    pub fn get_mut(&mut self, hash: u64) -> Option<&mut V> {
        let place = self.place(number(hash));
        let known = self.places.get_mut(place)?.as_mut();
        known.map(|(_, value)| value)
    }

    /// Knows this of a number from now on.
    pub fn set(&mut self, hash: u64, value: V) {
        if let (Some(known), _) = self.entry(hash, value) {
            *known = value;
        }
    }

    /// Whether it knows a number.
    #[inline]
    pub fn contains(&self, hash: u64) -> bool {
        self.places
            .get(self.place(number(hash)))
            .is_some_and(Option::is_some)
    }

    /// What it knows of a number, which is `new` from now on where it knew nothing; and whether it knew it.
    #[inline]
    pub fn entry(&mut self, hash: u64, new: V) -> (Option<&mut V>, Known) {
        if (self.len + 1) * 4 > self.places.len() * 3 {
            self.grow();
        }
        let hash = number(hash);
        let place = self.place(hash);
        let known = match self.places.get_mut(place) {
            Some(Some(_)) => Known::Before,
            Some(free) => {
                *free = Some((hash, new));
                self.len += 1;
                Known::Now
            }
            None => Known::Now,
        };
        let value = self.places.get_mut(place).and_then(Option::as_mut);
        (value.map(|(_, value)| value), known)
    }

    /// All numbers, in no order.
    #[cfg(test)]
    fn iter(&self) -> impl Iterator<Item = (u64, V)> + '_ {
        let all = self.places.iter().copied().flatten();
        all.map(|(hash, value)| (hash.get(), value))
    }

    /// Where a number is, or would be; behind the end while there is no place at all.
    #[inline]
    fn place(&self, hash: NonZeroU64) -> usize {
        let Some(last) = self.places.len().checked_sub(1) else {
            return 0;
        };
        let mut place = own_place(hash, last);
        // One in four is free: it comes to an end.
        while let Some(Some((taken, _))) = self.places.get(place)
            && *taken != hash
        {
            place = (place + 1) & last;
        }
        place
    }

    #[cold]
    fn grow(&mut self) {
        let places = (self.places.len() * 2).max(PLACES_MIN);
        let old = std::mem::replace(&mut self.places, vec![None; places]);
        for (hash, value) in old.into_iter().flatten() {
            let place = self.place(hash);
            if let Some(free) = self.places.get_mut(place) {
                *free = Some((hash, value));
            }
        }
    }
}

/// The place that is a number's own, where the last one is this.
#[inline]
fn own_place(hash: NonZeroU64, last: usize) -> usize {
    (hash.get().wrapping_mul(SPREAD) >> 32) as usize & last
}

#[inline]
fn number(hash: u64) -> NonZeroU64 {
    NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN)
}

impl Hashes<()> {
    /// Adds a number; whether it was there.
    #[inline]
    pub fn insert(&mut self, hash: u64) -> Known {
        self.entry(hash, ()).1
    }
}

/// Whether a number was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It was.
    Before,
    /// It is from now on.
    Now,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It answers as the standard library's map does, whatever the numbers look like.
        #[test]
        fn it_is_a_map(numbers in prop::collection::vec(
            prop_oneof![0u64..40, (0u64..40).prop_map(|n| n << 32), (0u64..40).prop_map(|n| n << 58), any::<u64>()],
            0..300,
        )) {
            let mut hashes = Hashes::default();
            let mut map = HashMap::new();
            for (order, given) in numbers.iter().enumerate() {
                let number = &super::number(*given).get();
                prop_assert_eq!(hashes.contains(*given), map.contains_key(number));
                let known = map.contains_key(number);
                let expected = *map.entry(*number).or_insert(order);
                let (value, was) = hashes.entry(*given, order);
                prop_assert_eq!(value.copied(), Some(expected));
                prop_assert_eq!(was == Known::Before, known);
                prop_assert_eq!(hashes.len(), map.len());
            }
            let mut all: Vec<_> = hashes.iter().collect();
            let mut expected: Vec<_> = map.into_iter().collect();
            all.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(all, expected);
        }
    }
}
