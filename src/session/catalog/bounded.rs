//! What is kept under a name: a bounded number, of which the least used gives way.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::sql::NameHash;

/// What a [`Bounded`] keeps.
pub(super) trait Entry {
    /// Bytes that it holds beside its own size; only [`Bounded::change`] changes them while it is kept.
    fn heap_bytes(&self) -> usize;
}

/// What is kept under one name, and when it was used last.
#[derive(Debug)]
pub(super) struct Kept<V> {
    pub(super) value: V,
    used: u64,
}

/// So many at most, beside the one without a name.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    /// Nearly every Bind and Execute is about it.
    unnamed: Option<Kept<V>>,
    named: HashMap<NameHash, Kept<V>, RandomState>,
    used: u64,
    max: usize,
    table_bytes: usize,
    /// What those with a name hold.
    heap_bytes: usize,
}

impl<V: Entry> Bounded<V> {
    pub(super) fn new(max: usize) -> Self {
        Bounded {
            unnamed: None,
            named: HashMap::default(),
            used: 0,
            max: max.max(1),
            table_bytes: 0,
            heap_bytes: 0,
        }
    }

    /// The one without a name; it is not used by that.
    #[inline]
    pub(super) fn unnamed(&self) -> Option<&V> {
        self.unnamed.as_ref().map(|kept| &kept.value)
    }

    /// One of those that have a name; it is not used by that.
    pub(super) fn named(&self, name: NameHash) -> Option<&V> {
        self.named.get(&name).map(|kept| &kept.value)
    }

    #[inline]
    pub(super) fn has_named(&self) -> bool {
        !self.named.is_empty()
    }

    #[inline]
    pub(super) fn take_unnamed(&mut self) -> Option<V> {
        self.unnamed.take().map(|kept| kept.value)
    }

    #[inline]
    pub(super) fn get(&mut self, name: NameHash) -> Option<&mut V> {
        self.used += 1;
        let kept = match name {
            NameHash::UNNAMED => self.unnamed.as_mut(),
            name => self.named.get_mut(&name),
        }?;
        kept.used = self.used;
        Some(&mut kept.value)
    }

    /// Changes an entry, and keeps the account of its bytes.
    #[inline]
    pub(super) fn change<R>(
        &mut self,
        name: NameHash,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let value = self.get(name)?;
        if name == NameHash::UNNAMED {
            return Some(change(value));
        }
        let before = value.heap_bytes();
        let result = change(value);
        let after = value.heap_bytes();
        self.heap_bytes = self.heap_bytes - before + after;
        Some(result)
    }

    /// Puts `value` in; returns what it replaced and what had to go to make room.
    #[inline]
    pub(super) fn insert(&mut self, name: NameHash, value: V) -> (Option<V>, Option<V>) {
        self.used += 1;
        let kept = Kept {
            value,
            used: self.used,
        };
        if name == NameHash::UNNAMED {
            let replaced = self.unnamed.replace(kept);
            return (replaced.map(|kept| kept.value), None);
        }
        self.insert_named(name, kept)
    }

    fn insert_named(&mut self, name: NameHash, kept: Kept<V>) -> (Option<V>, Option<V>) {
        self.heap_bytes += kept.value.heap_bytes();
        let evicted = if self.named.len() >= self.max && !self.named.contains_key(&name) {
            let oldest = self
                .named
                .iter()
                .min_by_key(|(_, kept)| kept.used)
                .map(|(name, _)| *name);
            oldest.and_then(|name| self.remove(name))
        } else {
            None
        };
        let replaced = self.named.insert(name, kept);
        // It grows here and nowhere else, and never shrinks.
        self.table_bytes = self.named.capacity() * (size_of::<(NameHash, Kept<V>)>() + 1);
        (self.left(replaced), evicted)
    }

    #[inline]
    pub(super) fn remove(&mut self, name: NameHash) -> Option<V> {
        match name {
            NameHash::UNNAMED => self.take_unnamed(),
            name => {
                let removed = self.named.remove(&name);
                self.left(removed)
            }
        }
    }

    /// Strikes what had a name and is no longer kept off the account.
    fn left(&mut self, entry: Option<Kept<V>>) -> Option<V> {
        let value = entry?.value;
        self.heap_bytes -= value.heap_bytes();
        Some(value)
    }

    /// Takes those out that `goes` says, the least used first.
    pub(super) fn take(&mut self, mut goes: impl FnMut(&V) -> bool) -> Vec<V> {
        let mut gone = Vec::new();
        if !self.named.is_empty() {
            let named = self.named.extract_if(|_, kept| goes(&kept.value));
            gone.extend(named.map(|(_, kept)| kept));
        }
        self.heap_bytes -= gone
            .iter()
            .map(|kept| kept.value.heap_bytes())
            .sum::<usize>();
        gone.extend(self.unnamed.take_if(|kept| goes(&kept.value)));
        gone.sort_unstable_by_key(|kept| kept.used);
        gone.into_iter().map(|kept| kept.value).collect()
    }

    pub(super) fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
        self.heap_bytes = 0;
    }

    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        self.table_bytes + self.heap_bytes + self.unnamed().map_or(0, V::heap_bytes)
    }
}
