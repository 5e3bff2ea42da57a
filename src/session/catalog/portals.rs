//! The open portals, of which the one without a name is no copy of its statement before somebody asks.

use std::sync::Arc;

use super::bounded::{Bounded, Entry};
use crate::session::asked::{Asked, Origin, Progress};
use crate::session::parameters::{Formats, Prepared};
use crate::sql::NameHash;

/// An open portal: a cursor, or the target of a Bind.
#[derive(Debug, Clone)]
pub(in crate::session) struct Portal {
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
    pub(in crate::session) fn ends_with(&self, group: u64) -> bool {
        self.lifetime == Lifetime::Transaction && self.group < group
    }

    /// Whether it has something to report, or may come to.
    pub(super) fn is_unfinished(&self) -> bool {
        self.progress.is_some() || self.runs == Runs::InParts
    }

    /// A further round trip.
    pub(in crate::session) fn advance(&mut self, progress: Progress) {
        match &mut self.progress {
            Some(so_far) => so_far.add(&progress),
            None => self.progress = Some(Box::new(progress)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Lifetime {
    Transaction,
    Session,
}

/// How far an Execute runs its portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Runs {
    ToItsEnd,
    InParts,
}

impl Entry for Portal {
    #[inline]
    fn heap_bytes(&self) -> usize {
        // What it may come to have returned is counted from the start.
        self.asked.held_bytes() + size_of::<Progress>()
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

/// All that are open.
#[derive(Debug)]
pub(super) struct Portals {
    /// The one without a name, where it is not among the others.
    plain: Option<Plain>,
    /// The others, once one was asked for: few sessions open more than a plain one, and each query's end looks for them.
    others: Option<Box<Bounded<Portal>>>,
    max: usize,
}

impl Portals {
    pub(super) fn new(max: usize) -> Portals {
        Portals {
            plain: None,
            others: None,
            max,
        }
    }

    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        let plain = self.plain.as_ref();
        let others = self.others.as_deref();
        others.map_or(0, |others| size_of_val(others) + others.held_bytes())
            + plain.map_or(0, |plain| {
                plain.formats.held_bytes() + size_of::<Progress>()
            })
    }

    /// Puts a plain one among the others, as they are. `statement` tells what it runs.
    #[inline]
    pub(super) fn settle<'s>(&mut self, statement: impl FnOnce(NameHash) -> Option<&'s Origin>) {
        if let Some(plain) = self.plain.take()
            && let Some(statement) = statement(plain.statement)
        {
            self.copy(plain, statement);
        }
    }

    /// All of them, each as one like all others; `None` where none was ever open. `statement` tells what a plain one
    /// runs.
    #[inline]
    pub(super) fn settled<'s>(
        &mut self,
        statement: impl FnOnce(NameHash) -> Option<&'s Origin>,
    ) -> Option<&mut Bounded<Portal>> {
        self.settle(statement);
        self.others.as_deref_mut()
    }

    /// Opens one that is among the others. Returns the one that it replaced, and one that had to go to make room.
    #[inline]
    pub(super) fn insert(
        &mut self,
        name: NameHash,
        portal: Portal,
    ) -> (Option<Portal>, Option<Portal>) {
        let max = self.max;
        self.others
            .get_or_insert_with(|| Box::new(Bounded::new(max)))
            .insert(name, portal)
    }

    fn copy(&mut self, plain: Plain, statement: &Origin) {
        let portal = Portal {
            asked: Asked {
                formats: plain.formats,
                ..statement.clone().asked()
            },
            progress: None,
            lifetime: Lifetime::Transaction,
            group: plain.group,
            runs: Runs::ToItsEnd,
        };
        self.insert(NameHash::UNNAMED, portal);
    }

    /// Opens the one without a name for this statement, whose rows are to come in these formats, in this run of
    /// requests. Returns the one that it replaced, where that is or may come to be unfinished.
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
        let replaced = self.others.as_mut()?.take_unnamed()?;
        replaced.is_unfinished().then(|| Box::new(replaced))
    }

    #[inline]
    pub(super) fn close_plain(&mut self) {
        self.plain = None;
    }

    /// What the one without a name runs, where that was copied.
    #[inline]
    pub(super) fn copied(&self) -> Option<&Arc<Prepared>> {
        self.others.as_ref()?.unnamed()?.asked.prepared()
    }

    /// Takes those out that `goes` says, the least used first. `statement` tells what a plain one runs.
    pub(super) fn take<'s>(
        &mut self,
        statement: impl FnOnce(NameHash) -> Option<&'s Origin>,
        goes: impl FnMut(&Portal) -> bool,
    ) -> Vec<Portal> {
        self.settle(statement);
        let others = self.others.as_mut();
        others.map_or_else(Vec::new, |others| others.take(goes))
    }

    /// The usual end of a transaction: see [`Catalog::ends_quietly`](super::Catalog::ends_quietly).
    #[inline]
    pub(super) fn end_quietly(&mut self, group: u64) -> bool {
        if self.plain.as_ref().is_some_and(|plain| plain.group < group) {
            self.close_plain();
        }
        match &mut self.others {
            None => true,
            Some(others) => Portals::others_end_quietly(others, group),
        }
    }

    fn others_end_quietly(others: &mut Bounded<Portal>, group: u64) -> bool {
        if others.has_named() {
            return false;
        }
        match others.unnamed() {
            Some(portal) if portal.progress.is_some() => return false,
            Some(portal) if portal.ends_with(group) => drop(others.take_unnamed()),
            Some(_) | None => {}
        }
        true
    }
}
