//! Values by key, for those who ask several times in a row for the same one: the last answer is remembered.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

/// A map whose values stay where they are, and whose last key is found again at once.
#[derive(Debug)]
pub(super) struct Places<K, V> {
    by_key: HashMap<K, usize, RandomState>,
    /// Boxed: the values are large, and half of the places may be empty.
    values: Vec<Option<(K, Box<V>)>>,
    free: Vec<usize>,
    last: Option<(K, usize)>,
}

impl<K, V> Default for Places<K, V> {
    fn default() -> Places<K, V> {
        Places {
            by_key: HashMap::default(),
            values: Vec::new(),
            free: Vec::new(),
            last: None,
        }
    }
}

impl<K: Copy + Eq + Hash, V> Places<K, V> {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Where the value of a key is, for [`Places::get_near`].
    #[inline]
    pub(super) fn place(&self, key: K) -> Option<usize> {
        match self.last {
            Some((last, place)) if last == key => Some(place),
            _ => self.by_key.get(&key).copied(),
        }
    }

    #[inline]
    pub(super) fn get(&self, key: K) -> Option<&V> {
        let (_, value) = self.values.get(self.place(key)?)?.as_ref()?;
        Some(value)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let place = self.place(key)?;
        self.last = Some((key, place));
        let (_, value) = self.values.get_mut(place)?.as_mut()?;
        Some(value)
    }

    /// The same for who knows where it is, or was.
    #[inline]
    pub(super) fn get_near(&mut self, key: K, place: usize) -> Option<&mut V> {
        let is_there = matches!(self.values.get(place), Some(Some((there, _))) if *there == key);
        if is_there {
            self.last = Some((key, place));
        }
        self.get_mut(key)
    }

    /// Puts a value at a key that has none.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let place = self.free.pop().unwrap_or(self.values.len());
        let value = Some((key, Box::new(value)));
        match self.values.get_mut(place) {
            Some(free) => *free = value,
            None => self.values.push(value),
        }
        self.by_key.insert(key, place);
    }

    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        let place = self.by_key.remove(&key)?;
        self.last = self.last.filter(|(last, _)| *last != key);
        self.free.push(place);
        let (_, value) = self.values.get_mut(place)?.take()?;
        Some(*value)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        let values = self.values.iter().flatten();
        values.map(|(key, value)| (*key, &**value))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let values = self.values.iter_mut().flatten();
        values.map(|(_, value)| &mut **value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It answers as the standard library's map does, whatever was asked before.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u8..8, 0u8..4, 0usize..9), 0..200)) {
            let mut places = Places::default();
            let mut map = BTreeMap::new();
            for (number, (key, step, near)) in steps.into_iter().enumerate() {
                match step {
                    0 => prop_assert_eq!(places.remove(key), map.remove(&key)),
                    1 if !map.contains_key(&key) => {
                        places.insert(key, number);
                        map.insert(key, number);
                    }
                    _ => prop_assert_eq!(places.get_mut(key), map.get_mut(&key)),
                }
                prop_assert_eq!(places.get_near(key, near), map.get_mut(&key));
                prop_assert_eq!(places.get(key), map.get(&key));
                prop_assert_eq!(places.len(), map.len());
                let all: BTreeMap<_, _> = places.iter().map(|(key, value)| (key, *value)).collect();
                prop_assert_eq!(&all, &map);
                prop_assert_eq!(places.values().count(), map.len());
                prop_assert_eq!(places.values_mut().count(), map.len());
            }
        }
    }
}
