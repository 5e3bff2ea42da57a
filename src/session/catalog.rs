//! What the session has prepared and opened: statements, and portals (cursors among them).

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::asked::{Asked, Origin, Progress};
use super::parameters::{Formats, Prepared};
use super::pipeline::Pipeline;
use crate::sql::NameHash;

/// An open portal: a cursor, or the target of a Bind.
#[derive(Debug, Clone)]
pub(super) struct Portal {
    /// What it runs.
    pub asked: Asked,
    /// What it has returned so far; `None` before its first answer.
    pub progress: Option<Box<Progress>>,
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

    /// Whether it has something to report, or may come to.
    fn is_unfinished(&self) -> bool {
        self.progress.is_some() || self.runs == Runs::InParts
    }

    /// A further round trip.
    pub(super) fn advance(&mut self, progress: Progress) {
        match &mut self.progress {
            Some(so_far) => so_far.add(&progress),
            None => self.progress = Some(Box::new(progress)),
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

impl Entry for Origin {
    #[inline]
    fn heap_bytes(&self) -> usize {
        self.prepared().map_or(0, |prepared| prepared.held_bytes())
    }
}

impl Entry for Portal {
    #[inline]
    fn heap_bytes(&self) -> usize {
        // What it may come to have returned is counted from the start.
        self.asked.held_bytes() + size_of::<Progress>()
    }
}

/// What is kept under one name, and when it was used last.
#[derive(Debug)]
struct Kept<V> {
    value: V,
    used: u64,
}

/// So many at most, beside the one without a name.
#[derive(Debug)]
struct Bounded<V> {
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
    fn new(max: usize) -> Self {
        Bounded {
            unnamed: None,
            named: HashMap::default(),
            used: 0,
            max: max.max(1),
            table_bytes: 0,
            heap_bytes: 0,
        }
    }

    #[inline]
    fn get(&mut self, name: NameHash) -> Option<&mut V> {
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
    fn change<R>(&mut self, name: NameHash, change: impl FnOnce(&mut V) -> R) -> Option<R> {
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
    fn insert(&mut self, name: NameHash, value: V) -> (Option<V>, Option<V>) {
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
    fn remove(&mut self, name: NameHash) -> Option<V> {
        match name {
            NameHash::UNNAMED => self.unnamed.take().map(|kept| kept.value),
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
    fn take(&mut self, mut goes: impl FnMut(&V) -> bool) -> Vec<V> {
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

    fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
        self.heap_bytes = 0;
    }

    #[inline]
    fn held_bytes(&self) -> usize {
        let unnamed = self.unnamed.as_ref();
        self.table_bytes + self.heap_bytes + unnamed.map_or(0, |kept| kept.value.heap_bytes())
    }
}

/// The portal without a name as nearly every query opens it and its transaction closes it: it runs a statement that the
/// catalog has, to its end. What is known of it is known of that statement, and is not copied before somebody asks.
#[derive(Debug)]
struct Plain {
    /// Which; it is as it was when it was bound.
    statement: NameHash,
    formats: Formats,
    group: u64,
}

#[derive(Debug)]
pub(super) struct Catalog {
    statements: Bounded<Origin>,
    /// The statement with a name that was used last, while no other is prepared or goes: it is asked for again and
    /// again, and a map is two more places in memory. That it is used is noted once: until another is, it is the last.
    latest: Option<(NameHash, Origin)>,
    portals: Bounded<Portal>,
    /// The one without a name, where it is not among those.
    plain: Option<Plain>,
}

impl Catalog {
    pub(super) fn new(statements_max: usize, portals_max: usize) -> Catalog {
        Catalog {
            statements: Bounded::new(statements_max),
            latest: None,
            portals: Bounded::new(portals_max),
            plain: None,
        }
    }

    /// The statement that is likely to be asked for is fetched.
    #[inline]
    pub(super) fn expect(&self) {
        let latest = self.latest.as_ref().map(|(_, statement)| statement);
        if let Some(statement) = latest.or(self.unnamed_statement()) {
            statement.expect();
        }
    }

    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        let plain = self.plain.as_ref();
        self.statements.held_bytes()
            + self.portals.held_bytes()
            + plain.map_or(0, |plain| {
                plain.formats.held_bytes() + size_of::<Progress>()
            })
    }

    #[inline]
    pub(super) fn statement(&mut self, name: NameHash) -> Option<&Origin> {
        if name == NameHash::UNNAMED {
            return self.unnamed_statement();
        }
        let is_latest = self.latest.as_ref().is_some_and(|it| it.0 == name);
        if !is_latest {
            let statement = self.statements.get(name)?.clone();
            self.latest = Some((name, statement));
        }
        self.latest.as_ref().map(|(_, statement)| statement)
    }

    #[inline]
    pub(super) fn unnamed_statement(&self) -> Option<&Origin> {
        self.statements.unnamed.as_ref().map(|kept| &kept.value)
    }

    /// The statement without a name, where nobody has it but the portal without a name and `beside`: to prepare it once
    /// more changes it for nobody else.
    #[inline]
    pub(super) fn free_statement(&self, beside: Option<&Arc<Prepared>>) -> Option<&Arc<Prepared>> {
        let statement = self.unnamed_statement()?.prepared()?;
        let portal = self.portals.unnamed.as_ref();
        let portal = portal.and_then(|kept| kept.value.asked.prepared());
        let holders = [beside, portal].into_iter().flatten();
        let known = holders.filter(|held| Arc::ptr_eq(held, statement)).count();
        (Arc::strong_count(statement) == 1 + known).then_some(statement)
    }

    /// Registers a prepared statement; returns what it replaced.
    #[inline]
    pub(super) fn prepare(&mut self, name: NameHash, statement: Origin) -> Option<Origin> {
        self.settle();
        self.latest = None;
        self.statements.insert(name, statement).0
    }

    pub(super) fn deallocate(&mut self, name: NameHash) -> Option<Origin> {
        self.settle();
        self.latest = None;
        self.statements.remove(name)
    }

    /// Puts back what a dropped Parse or Close had changed, and returns what was there. Later requests must be undone
    /// first.
    pub(super) fn restore_statement(
        &mut self,
        name: NameHash,
        previous: Option<Origin>,
    ) -> Option<Origin> {
        match previous {
            Some(statement) => self.prepare(name, statement),
            None => self.deallocate(name),
        }
    }

    pub(super) fn deallocate_all(&mut self) {
        self.settle();
        self.latest = None;
        self.statements.clear();
    }

    pub(super) fn portal(&mut self, name: NameHash) -> Option<&mut Portal> {
        self.settle();
        self.portals.get(name)
    }

    /// What an Execute of the portal asks for. One that runs to its end takes the values with it: nearly all do, and
    /// the portal has no further use for them.
    #[inline]
    pub(super) fn execute(&mut self, name: NameHash, runs: Runs) -> Option<(Asked, Runs)> {
        self.settle();
        match runs {
            Runs::InParts => self.portals.get(name).map(|portal| {
                portal.runs = Runs::InParts;
                (portal.asked.clone(), Runs::InParts)
            }),
            Runs::ToItsEnd => self.portals.change(name, |portal| {
                let flow = portal.asked.flow.take();
                let asked = Asked {
                    flow,
                    ..portal.asked.again()
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
        self.settle();
        let (replaced, evicted) = self.portals.insert(name, portal);
        (
            replaced.filter(Portal::is_unfinished),
            evicted.filter(Portal::is_unfinished),
        )
    }

    /// Opens the portal without a name for a statement that the catalog has, whose rows are to come in these formats,
    /// in this run of requests. Returns the one that it replaced, where that is or may come to be unfinished.
    #[inline]
    pub(super) fn open_plain(
        &mut self,
        statement: NameHash,
        formats: Formats,
        group: u64,
    ) -> Option<Box<Portal>> {
        self.plain = Some(Plain {
            statement,
            formats,
            group,
        });
        let replaced = self.portals.unnamed.take()?.value;
        replaced.is_unfinished().then(|| Box::new(replaced))
    }

    /// What it opened is about to be replaced, and has nothing to report.
    #[inline]
    pub(super) fn close_plain(&mut self) {
        self.plain = None;
    }

    /// The portal without a name becomes one like all others: somebody asks for it, or its statement changes.
    #[inline]
    fn settle(&mut self) {
        if let Some(plain) = self.plain.take() {
            self.settle_as(plain);
        }
    }

    fn settle_as(&mut self, plain: Plain) {
        let statement = match (&self.latest, plain.statement) {
            (_, NameHash::UNNAMED) => self.unnamed_statement(),
            (Some((latest, statement)), name) if *latest == name => Some(statement),
            (_, name) => self.statements.named.get(&name).map(|kept| &kept.value),
        };
        let Some(statement) = statement.cloned() else {
            return;
        };
        let portal = Portal {
            asked: Asked {
                formats: plain.formats,
                ..statement.asked()
            },
            progress: None,
            lifetime: Lifetime::Transaction,
            group: plain.group,
            runs: Runs::ToItsEnd,
        };
        self.portals.insert(NameHash::UNNAMED, portal);
    }

    /// Puts back what a dropped Bind or Close had changed, and returns what was there. Later requests must be undone
    /// first.
    pub(super) fn restore_portal(
        &mut self,
        name: NameHash,
        previous: Option<Box<Portal>>,
    ) -> Option<Box<Portal>> {
        self.settle();
        match previous {
            Some(portal) => self.portals.insert(name, *portal).0,
            None => self.portals.remove(name),
        }
        .map(Box::new)
    }

    pub(super) fn close(&mut self, name: NameHash) -> Option<Portal> {
        self.settle();
        self.portals.remove(name)
    }

    /// All portals: CLOSE ALL, DISCARD ALL, or the session's end.
    pub(super) fn take_portals(&mut self) -> Vec<Portal> {
        self.settle();
        self.portals.take(|_| true)
    }

    /// The usual end of a transaction: at most a portal without a name is open, which has nothing to report, and is
    /// closed if it belongs to the transaction. False, and nothing is done, where that is not all.
    #[inline]
    pub(super) fn ends_quietly(&mut self, group: u64) -> bool {
        if self.plain.as_ref().is_some_and(|plain| plain.group < group) {
            self.close_plain();
        }
        let portals = &mut self.portals;
        if !portals.named.is_empty() {
            return false;
        }
        match &portals.unnamed {
            Some(Kept { value, .. }) if value.progress.is_some() => return false,
            Some(Kept { value, .. }) if value.ends_with(group) => {
                portals.remove(NameHash::UNNAMED);
            }
            Some(_) | None => {}
        }
        true
    }

    /// The portals that a transaction's end closes, when `group` is the next run of requests to be answered; those
    /// that were used last come last.
    pub(super) fn end_transaction(&mut self, group: u64) -> Vec<Portal> {
        self.settle();
        let mut ended = self.portals.take(|portal| portal.ends_with(group));
        ended.retain(|portal| portal.progress.is_some());
        ended
    }
}

#[cfg(test)]
mod tests;
