//! What the session has prepared and opened: statements, and portals (cursors among them).

mod bounded;
mod portals;

use std::sync::Arc;

use super::asked::{Asked, Origin};
use super::parameters::{Formats, Prepared};
use super::pipeline::Pipeline;
use crate::sql::NameHash;
use bounded::{Bounded, Entry};
use portals::Portals;
pub(super) use portals::{Lifetime, Portal, Runs};

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

/// The statement of this name; to look is no use of it.
#[inline]
fn known<'s>(
    statements: &'s Bounded<Origin>,
    latest: &'s Option<(NameHash, Origin)>,
    name: NameHash,
) -> Option<&'s Origin> {
    match latest {
        _ if name == NameHash::UNNAMED => statements.unnamed(),
        Some((latest, statement)) if *latest == name => Some(statement),
        Some(_) | None => statements.named(name),
    }
}

impl Entry for Origin {
    #[inline]
    fn heap_bytes(&self) -> usize {
        self.prepared().map_or(0, |prepared| prepared.held_bytes())
    }
}

#[derive(Debug)]
pub(super) struct Catalog {
    statements: Bounded<Origin>,
    /// The statement with a name that was used last, while no other is prepared or goes: it is asked for again and
    /// again, and a map is two more places in memory. That it is used is noted once: until another is, it is the last.
    latest: Option<(NameHash, Origin)>,
    portals: Portals,
}

impl Catalog {
    pub(super) fn new(statements_max: usize, portals_max: usize) -> Catalog {
        Catalog {
            statements: Bounded::new(statements_max),
            latest: None,
            portals: Portals::new(portals_max),
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
        self.statements.held_bytes() + self.portals.held_bytes()
    }

    /// The portals, to be looked at or changed: a plain one becomes one like all others. `None` where none was ever open.
    #[inline]
    fn portals(&mut self) -> Option<&mut Bounded<Portal>> {
        let (statements, latest) = (&self.statements, &self.latest);
        self.portals.settled(|name| known(statements, latest, name))
    }

    /// Takes those portals out that `goes` says.
    fn take_out(&mut self, goes: impl FnMut(&Portal) -> bool) -> Vec<Portal> {
        let (statements, latest) = (&self.statements, &self.latest);
        self.portals
            .take(|name| known(statements, latest, name), goes)
    }

    /// The statements, to be changed: the portals keep theirs, and none is the latest.
    #[inline]
    fn changing(&mut self) -> &mut Bounded<Origin> {
        let (statements, latest) = (&self.statements, &self.latest);
        self.portals.settle(|name| known(statements, latest, name));
        self.latest = None;
        &mut self.statements
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
        self.statements.unnamed()
    }

    /// The statement without a name, where nobody has it but the portal without a name and `beside`: to prepare it once
    /// more changes it for nobody else.
    #[inline]
    pub(super) fn free_statement(&self, beside: Option<&Arc<Prepared>>) -> Option<&Arc<Prepared>> {
        let statement = self.unnamed_statement()?.prepared()?;
        let holders = [beside, self.portals.copied()].into_iter().flatten();
        let known = holders.filter(|held| Arc::ptr_eq(held, statement)).count();
        (Arc::strong_count(statement) == 1 + known).then_some(statement)
    }

    /// Registers a prepared statement; returns what it replaced.
    #[inline]
    pub(super) fn prepare(&mut self, name: NameHash, statement: Origin) -> Option<Origin> {
        self.changing().insert(name, statement).0
    }

    pub(super) fn deallocate(&mut self, name: NameHash) -> Option<Origin> {
        self.changing().remove(name)
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
        self.changing().clear();
    }

    pub(super) fn portal(&mut self, name: NameHash) -> Option<&mut Portal> {
        self.portals()?.get(name)
    }

    /// What an Execute of the portal asks for. One that runs to its end takes the values with it: nearly all do, and
    /// the portal has no further use for them.
    #[inline]
    pub(super) fn execute(&mut self, name: NameHash, runs: Runs) -> Option<(Asked, Runs)> {
        let portals = self.portals()?;
        match runs {
            Runs::InParts => portals.get(name).map(|portal| {
                portal.runs = Runs::InParts;
                (portal.asked.clone(), Runs::InParts)
            }),
            Runs::ToItsEnd => portals.change(name, |portal| {
                let flow = portal.asked.flow.take();
                let asked = Asked {
                    flow,
                    ..portal.asked.again()
                };
                (asked, portal.runs)
            }),
        }
    }

    /// Puts a portal among the others, of which a plain one is then one.
    fn insert_portal(
        &mut self,
        name: NameHash,
        portal: Portal,
    ) -> (Option<Portal>, Option<Portal>) {
        let (statements, latest) = (&self.statements, &self.latest);
        self.portals.settle(|name| known(statements, latest, name));
        self.portals.insert(name, portal)
    }

    /// Opens a portal. Returns the one that it replaced, and one that had to go to make room, where they are or may
    /// come to be unfinished.
    pub(super) fn open(
        &mut self,
        name: NameHash,
        portal: Portal,
    ) -> (Option<Portal>, Option<Portal>) {
        let (replaced, evicted) = self.insert_portal(name, portal);
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
        self.portals.open_plain(statement, formats, group)
    }

    /// What it opened is about to be replaced, and has nothing to report.
    #[inline]
    pub(super) fn close_plain(&mut self) {
        self.portals.close_plain();
    }

    /// Puts back what a dropped Bind or Close had changed, and returns what was there. Later requests must be undone
    /// first.
    pub(super) fn restore_portal(
        &mut self,
        name: NameHash,
        previous: Option<Box<Portal>>,
    ) -> Option<Box<Portal>> {
        match previous {
            Some(portal) => self.insert_portal(name, *portal).0,
            None => self.close(name),
        }
        .map(Box::new)
    }

    pub(super) fn close(&mut self, name: NameHash) -> Option<Portal> {
        self.portals()?.remove(name)
    }

    /// All portals: CLOSE ALL, DISCARD ALL, or the session's end.
    pub(super) fn take_portals(&mut self) -> Vec<Portal> {
        self.take_out(|_| true)
    }

    /// The usual end of a transaction: at most a portal without a name is open, which has nothing to report, and is
    /// closed if it belongs to the transaction. False, and nothing is done, where that is not all.
    #[inline]
    pub(super) fn ends_quietly(&mut self, group: u64) -> bool {
        self.portals.end_quietly(group)
    }

    /// The portals that a transaction's end closes, when `group` is the next run of requests to be answered; those
    /// that were used last come last.
    pub(super) fn end_transaction(&mut self, group: u64) -> Vec<Portal> {
        let mut ended = self.take_out(|portal| portal.ends_with(group));
        ended.retain(|portal| portal.progress.is_some());
        ended
    }
}

#[cfg(test)]
mod tests;
