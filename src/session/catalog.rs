//! What the session has prepared and opened: statements, and portals (cursors among them).

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::asked::{Asked, Progress};
use super::pipeline::Pipeline;
use crate::sql::NameHash;

/// An open portal: a cursor, or the target of a Bind.
#[derive(Debug, Clone)]
pub(super) struct Portal {
    /// What it runs.
    pub asked: Asked,
    /// What it has returned so far; `None` before its first answer.
    pub progress: Option<Progress>,
    /// Whether it outlives its transaction.
    pub lifetime: Lifetime,
    /// The run of requests that opened it ([`Pipeline::group_asked`](super::pipeline::Pipeline::group_asked)).
    pub group: u64,
    /// Whether it was asked for a part of its rows.
    pub runs: Runs,
}

impl Portal {
    /// Whether the end of a transaction ends it, when `group` is the next run to be answered: a portal that a later
    /// run has opened belongs to that one.
    pub(super) fn ends_with(&self, group: u64) -> bool {
        self.lifetime == Lifetime::Transaction && self.group < group
    }

    /// A further round trip.
    pub(super) fn advance(&mut self, progress: Progress) {
        match &mut self.progress {
            Some(so_far) => so_far.add(&progress),
            None => self.progress = Some(progress),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    Transaction,
    Session,
}

/// The portal of this name that is being run: a request behind its Execute may have closed it, or given its name to
/// another, and keeps it until that is answered.
pub(super) fn running_portal<'a>(
    pipeline: &'a mut Pipeline,
    catalog: &'a mut Catalog,
    name: NameHash,
) -> Option<&'a mut Portal> {
    match pipeline.replaced_portal(name) {
        Some(previous) => previous.as_deref_mut(),
        None => catalog.portal(name),
    }
}

/// How far an Execute runs its portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    ToItsEnd,
    InParts,
}

/// What a [`Bounded`] keeps.
trait Entry {
    /// Bytes that it holds beside its own size; only [`Bounded::change`] changes them while it is kept.
    fn heap_bytes(&self) -> usize;
}

impl Entry for Asked {
    fn heap_bytes(&self) -> usize {
        let prepared = self.prepared.as_ref();
        self.held_bytes() + prepared.map_or(0, |prepared| prepared.held_bytes())
    }
}

impl Entry for Portal {
    fn heap_bytes(&self) -> usize {
        self.asked.held_bytes()
    }
}

#[derive(Debug)]
struct Bounded<V> {
    map: HashMap<NameHash, (V, u64), RandomState>,
    used: u64,
    max: usize,
    heap_bytes: usize,
}

impl<V: Entry> Bounded<V> {
    fn new(max: usize) -> Self {
        Bounded {
            map: HashMap::default(),
            used: 0,
            max: max.max(1),
            heap_bytes: 0,
        }
    }

    fn get(&mut self, name: NameHash) -> Option<&mut V> {
        self.used += 1;
        let used = self.used;
        self.map.get_mut(&name).map(|(value, last)| {
            *last = used;
            value
        })
    }

    /// Changes an entry, and keeps the account of its bytes.
    fn change<R>(&mut self, name: NameHash, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let value = self.get(name)?;
        let before = value.heap_bytes();
        let result = change(value);
        let after = value.heap_bytes();
        self.heap_bytes = self.heap_bytes - before + after;
        Some(result)
    }

    /// Puts `value` in; returns what it replaced and what had to go to make room.
    fn insert(&mut self, name: NameHash, value: V) -> (Option<V>, Option<V>) {
        self.used += 1;
        let evicted = if self.map.len() >= self.max && !self.map.contains_key(&name) {
            let oldest = self
                .map
                .iter()
                .min_by_key(|(_, (_, last))| *last)
                .map(|(name, _)| *name);
            oldest.and_then(|name| self.remove(name))
        } else {
            None
        };
        self.heap_bytes += value.heap_bytes();
        let replaced = self.map.insert(name, (value, self.used));
        (self.left(replaced), evicted)
    }

    fn remove(&mut self, name: NameHash) -> Option<V> {
        let removed = self.map.remove(&name);
        self.left(removed)
    }

    /// Strikes what is no longer kept off the account.
    fn left(&mut self, entry: Option<(V, u64)>) -> Option<V> {
        let (value, _) = entry?;
        self.heap_bytes -= value.heap_bytes();
        Some(value)
    }

    fn clear(&mut self) {
        self.map.clear();
        self.heap_bytes = 0;
    }

    fn held_bytes(&self) -> usize {
        self.map.capacity() * (size_of::<(NameHash, (V, u64))>() + 1) + self.heap_bytes
    }
}

#[derive(Debug)]
pub(super) struct Catalog {
    statements: Bounded<Asked>,
    portals: Bounded<Portal>,
}

impl Catalog {
    pub(super) fn new(statements_max: usize, portals_max: usize) -> Catalog {
        Catalog {
            statements: Bounded::new(statements_max),
            portals: Bounded::new(portals_max),
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.statements.held_bytes() + self.portals.held_bytes()
    }

    pub(super) fn statement(&mut self, name: NameHash) -> Option<&Asked> {
        self.statements.get(name).map(|asked| &*asked)
    }

    /// Registers a prepared statement; returns what it replaced.
    pub(super) fn prepare(&mut self, name: NameHash, asked: Asked) -> Option<Asked> {
        self.statements.insert(name, asked).0
    }

    pub(super) fn deallocate(&mut self, name: NameHash) -> Option<Asked> {
        self.statements.remove(name)
    }

    /// Puts back what a dropped Parse or Close had changed, and returns what was there. Later requests must be undone
    /// first.
    pub(super) fn restore_statement(
        &mut self,
        name: NameHash,
        previous: Option<Asked>,
    ) -> Option<Asked> {
        match previous {
            Some(asked) => self.statements.insert(name, asked).0,
            None => self.statements.remove(name),
        }
    }

    pub(super) fn deallocate_all(&mut self) {
        self.statements.clear();
    }

    pub(super) fn portal(&mut self, name: NameHash) -> Option<&mut Portal> {
        self.portals.get(name)
    }

    /// What an Execute of the portal asks for. One that runs to its end takes the values with it: nearly all do, and
    /// the portal has no further use for them.
    pub(super) fn execute(&mut self, name: NameHash, runs: Runs) -> Option<(Asked, Runs)> {
        match runs {
            Runs::InParts => self.portals.get(name).map(|portal| {
                portal.runs = Runs::InParts;
                (portal.asked.clone(), Runs::InParts)
            }),
            Runs::ToItsEnd => self.portals.change(name, |portal| {
                let flow = portal.asked.flow.take();
                let asked = Asked {
                    flow,
                    ..portal.asked.clone()
                };
                (asked, portal.runs)
            }),
        }
    }

    /// Opens a portal. Returns the one that it replaced, and one that had to go to make room, where they are or may
    /// come to be unfinished.
    pub(super) fn open(
        &mut self,
        name: NameHash,
        portal: Portal,
    ) -> (Option<Portal>, Option<Portal>) {
        let unfinished =
            |portal: &Portal| portal.progress.is_some() || portal.runs == Runs::InParts;
        let (replaced, evicted) = self.portals.insert(name, portal);
        (replaced.filter(unfinished), evicted.filter(unfinished))
    }

    /// Puts back what a dropped Bind or Close had changed, and returns what was there. Later requests must be undone
    /// first.
    pub(super) fn restore_portal(
        &mut self,
        name: NameHash,
        previous: Option<Box<Portal>>,
    ) -> Option<Box<Portal>> {
        match previous {
            Some(portal) => self.portals.insert(name, *portal).0,
            None => self.portals.remove(name),
        }
        .map(Box::new)
    }

    pub(super) fn close(&mut self, name: NameHash) -> Option<Portal> {
        self.portals.remove(name)
    }

    /// All portals: CLOSE ALL, DISCARD ALL, or the session's end.
    pub(super) fn take_portals(&mut self) -> Vec<Portal> {
        self.portals.heap_bytes = 0;
        let mut portals: Vec<_> = self.portals.map.drain().map(|(_, it)| it).collect();
        portals.sort_unstable_by_key(|(_, used)| *used);
        portals.into_iter().map(|(portal, _)| portal).collect()
    }

    /// The portals that a transaction's end closes, when `group` is the next run of requests to be answered; those
    /// that were used last come last.
    pub(super) fn end_transaction(&mut self, group: u64) -> Vec<Portal> {
        let mut ended = Vec::new();
        let heap_bytes = &mut self.portals.heap_bytes;
        self.portals.map.retain(|_, (portal, used)| {
            let ends = portal.ends_with(group);
            if ends {
                *heap_bytes -= portal.heap_bytes();
            }
            if ends && portal.progress.is_some() {
                ended.push((*used, portal.clone()));
            }
            !ends
        });
        ended.sort_unstable_by_key(|(used, _)| *used);
        ended.into_iter().map(|(_, portal)| portal).collect()
    }
}
