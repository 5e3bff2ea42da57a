//! The queue of what the server owes, in the order in which it was asked.

use super::asked::Origin;
use super::awaited::{Answered, Awaited, Closing, Group, Share, What};
use super::catalog::{Portal, Runs};
use super::cycle::{Cycle, Owed};
use super::queue::Queue;
use super::stopwatch::Mark;
use crate::cache;
use crate::event::Protocol;
use crate::sql::NameHash;

/// Whether messages that now arrive will be discarded by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Skip {
    #[default]
    Nothing,
    /// An error in an extended message: everything up to the next Sync.
    ToSync,
}

/// Whether the client is feeding a COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum CopyIn {
    #[default]
    No,
    /// CopyInResponse came, CopyDone or CopyFail did not: Sync and Flush are ignored by the server.
    Feeding,
}

/// A longer queue is given back to the allocator: one that is kept is long enough for a pipeline of some fifty queries,
/// message by message.
const SPARE_ENTRIES_MAX: usize = 256;

/// Beside so many spare queues no other is kept: so many sessions may begin to rest before others ask.
const SPARE_QUEUES_MAX: usize = 32;

/// The memory of the queues of sessions that rest, lent to the worker's next ones that ask: most rest most of the time,
/// and each queue would be half a kilobyte.
#[derive(Debug, Default)]
pub(super) struct SpareQueues(Vec<Queue>);

#[derive(Debug, Default)]
pub(super) struct Pipeline {
    queue: Queue,
    /// Replies that are owed beside one for each entry of the queue.
    folded: usize,
    statements: usize,
    heap_bytes: usize,
    skip: Skip,
    copy_in: CopyIn,
    /// ReadyForQuery that were asked for, and those that came or were dropped.
    groups_asked: u64,
    groups_answered: u64,
    /// Some entry may hold a portal that it closed or replaced while that was still to be run.
    holds_portals: bool,
}

/// Entries that are searched: a pipeline may be long, and a search for each reply is not to cost its square.
const SEARCHED_MAX: usize = 1024;

impl Pipeline {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.skip == Skip::Nothing
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.folded
    }

    /// Whether a statement is being answered, or waits for it.
    pub(super) fn has_statement(&self) -> bool {
        self.statements > 0
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.queue.capacity() * size_of::<Awaited>() + self.heap_bytes
    }

    /// Whether the server will discard what the client sends now.
    pub(super) fn is_skipping(&self) -> bool {
        self.skip == Skip::ToSync
    }

    /// Something is about to be asked or answered.
    #[inline]
    pub(super) fn borrow(&mut self, spare: &mut SpareQueues) {
        if self.queue.capacity() == 0
            && let Some(queue) = spare.0.pop()
        {
            self.queue = queue;
        }
    }

    /// Nothing goes on for now: where nothing is owed, another session may have the queue's memory.
    #[inline]
    pub(super) fn give_back(&mut self, spare: &mut SpareQueues) {
        if !self.queue.is_empty() || self.queue.capacity() == 0 {
            return;
        }
        let queue = std::mem::take(&mut self.queue);
        if queue.capacity() <= SPARE_ENTRIES_MAX && spare.0.len() < SPARE_QUEUES_MAX {
            spare.0.push(queue);
        }
    }

    /// Puts down what `what` makes, which is put together where it stays.
    #[inline(always)]
    pub(super) fn push(
        &mut self,
        what: impl FnOnce() -> What,
        requested: Mark,
        request_bytes: u64,
    ) {
        let Some(place) = self.queue.take_place() else {
            return;
        };
        // What stood there stands for nothing, and has nothing to be dropped.
        std::mem::forget(std::mem::replace(&mut place.what, what()));
        place.requested = requested;
        place.request_bytes = request_bytes;
        let share = Share::of(&place.what);
        self.count(share);
    }

    #[inline(always)]
    fn count(&mut self, share: Share) {
        self.statements += share.statements;
        self.heap_bytes += share.heap_bytes;
        self.folded += share.folded;
        self.groups_asked += share.groups;
        self.holds_portals |= share.holds_portal;
    }

    /// The client sent Sync.
    pub(super) fn push_sync(&mut self, requested: Mark) {
        if self.copy_in == CopyIn::Feeding {
            return;
        }
        self.skip = Skip::Nothing;
        self.push(|| What::Ready(Group::Sync), requested, 0);
    }

    /// The client sent CopyDone or CopyFail: outside COPY the server drops it silently, so it is noted only where
    /// a COPY may be on its way.
    pub(super) fn copy_ends(&mut self, requested: Mark) {
        match self.copy_in {
            CopyIn::Feeding => self.copy_in = CopyIn::No,
            CopyIn::No if self.statements > 0 => self.push(|| What::CopyEnd, requested, 0),
            CopyIn::No => {}
        }
    }

    /// CopyInResponse for the front statement: the Syncs that the client has already sent behind it are ignored by
    /// the server, up to the end of the client's data.
    pub(super) fn copy_in_begins(&mut self) {
        self.copy_in = CopyIn::Feeding;
        let mut index = 1;
        while let Some(awaited) = self.queue.get(index) {
            match awaited.what {
                What::Ready(Group::Sync) => {
                    self.queue.remove(index);
                    self.groups_answered += 1;
                }
                What::CopyEnd => {
                    self.queue.remove(index);
                    self.copy_in = CopyIn::No;
                    return;
                }
                _ => index += 1,
            }
        }
    }

    /// The number of the run of requests that the client is sending: a ReadyForQuery ends each.
    pub(super) fn group_asked(&self) -> u64 {
        self.groups_asked
    }

    /// The number of the run of requests that is being answered.
    pub(super) fn group_answered(&self) -> u64 {
        self.groups_answered
    }

    /// Where the next request of the queue that replaced or closed this statement keeps what it was.
    pub(super) fn replaced_statement(&mut self, wanted: NameHash) -> Option<&mut Option<Origin>> {
        self.queue
            .iter_mut()
            .take(SEARCHED_MAX)
            .find_map(|awaited| match &mut awaited.what {
                What::Parse { name, previous }
                | What::Close(Closing::Statement { name, previous })
                    if *name == wanted =>
                {
                    Some(previous)
                }
                What::Cycle(cycle) if wanted == NameHash::UNNAMED && cycle.owed == Owed::Parse => {
                    Some(&mut cycle.replaced)
                }
                _ => None,
            })
    }

    /// Where the next request of the queue that replaced or closed this portal keeps what it was.
    pub(super) fn replaced_portal(&mut self, wanted: NameHash) -> Option<&mut Option<Box<Portal>>> {
        self.queue
            .iter_mut()
            .take(SEARCHED_MAX)
            .find_map(|awaited| awaited.what.replaced_portal(Some(wanted)))
    }

    /// Whether some request may have closed or replaced a portal that was still to be run.
    #[inline]
    pub(super) fn holds_portals(&self) -> bool {
        self.holds_portals
    }

    /// Takes the portals of runs that are over out of the requests that closed or replaced them too early.
    pub(super) fn end_transaction(&mut self) -> Vec<Portal> {
        let group = self.groups_answered;
        self.queue
            .iter_mut()
            .take(SEARCHED_MAX)
            .filter_map(|awaited| {
                let previous = awaited.what.replaced_portal(None)?;
                let ended = previous.take_if(|portal| portal.ends_with(group))?;
                Some(*ended)
            })
            .collect()
    }

    /// What is owed next, and what behind it, are fetched.
    #[inline]
    pub(super) fn expect(&self) {
        for awaited in (0..2).map_while(|number| self.queue.get(number)) {
            cache::fetch(&awaited.what);
            cache::fetch(&awaited.request_bytes);
        }
    }

    /// The values of the statement that is owed next are fetched.
    #[inline]
    pub(super) fn expect_values(&self) {
        match self.queue.front().map(|awaited| &awaited.what) {
            Some(What::Statement(asked) | What::Execute { asked, .. }) => asked.expect(),
            Some(What::Cycle(cycle)) => cycle.asked.expect(),
            Some(_) | None => {}
        }
    }

    /// What is owed next; marks of a COPY that never began are dropped on the way.
    #[inline]
    pub(super) fn front(&mut self) -> Option<&What> {
        while let Some(What::CopyEnd) = self.queue.front().map(|awaited| &awaited.what) {
            self.queue.pop_front();
        }
        self.queue.front().map(|awaited| &awaited.what)
    }

    /// What is owed next, perhaps only a mark of a COPY.
    #[inline]
    pub(super) fn waiting(&mut self) -> Option<&mut Awaited> {
        self.queue.front_mut()
    }

    /// The cycle at the front.
    #[inline]
    pub(super) fn cycle(&mut self) -> Option<&mut Cycle> {
        match &mut self.waiting()?.what {
            What::Cycle(cycle) => Some(cycle),
            _ => None,
        }
    }

    /// The cycle at the front got what it was owed next.
    #[inline]
    pub(super) fn advance(&mut self) -> Option<&mut Cycle> {
        let What::Cycle(cycle) = &mut self.queue.front_mut()?.what else {
            return None;
        };
        cycle.advance();
        self.folded -= 1;
        Some(cycle)
    }

    /// The same, where that was `owed`.
    pub(super) fn advance_over(&mut self, owed: Owed) -> Option<&mut Cycle> {
        self.front()?;
        self.cycle().filter(|cycle| cycle.owed == owed)?;
        self.advance()
    }

    /// Makes a cycle at the front what it is without one.
    #[cold]
    pub(super) fn spread_front(&mut self) {
        if self.cycle().is_none() {
            return;
        }
        let requests = self.drop_front();
        for Awaited {
            what,
            requested,
            request_bytes,
        } in requests.into_iter().rev()
        {
            self.count(Share::of(&what));
            self.queue.push_front(Awaited {
                what,
                requested,
                request_bytes,
            });
        }
    }

    /// Drops the front entry, to which a reply belongs that says no more, where `answered` finds that it does; returns
    /// what that took out of it. Not for statements and ReadyForQuery, which are counted.
    #[inline]
    pub(super) fn pass<R>(&mut self, answered: impl FnOnce(&mut What) -> Option<R>) -> Option<R> {
        self.front()?;
        let taken = answered(&mut self.queue.front_mut()?.what)?;
        self.queue.pop_front();
        Some(taken)
    }

    /// Takes the statement at the front, if one is there: it is complete. Its parts are moved once, each query has them.
    #[inline(always)]
    pub(super) fn pop_statement(&mut self) -> Option<Answered> {
        let is_statement = match self.front()? {
            What::Execute { .. } | What::Statement(_) => true,
            What::Cycle(cycle) => cycle.owed == Owed::Execute,
            _ => false,
        };
        if !is_statement {
            return None;
        }
        let Awaited {
            what,
            requested,
            request_bytes,
        } = self.queue.pop_front()?;
        let (asked, portal, protocol, described) = match what {
            What::Statement(asked) => (asked, None, Protocol::Simple, None),
            What::Cycle(cycle) => (cycle.asked, None, Protocol::Extended, cycle.described),
            What::Execute {
                portal,
                asked,
                runs,
            } => {
                let portal = (runs == Runs::InParts).then_some(portal);
                (asked, portal, Protocol::Extended, None)
            }
            _ => return None,
        };
        self.statements -= 1;
        self.copy_in = CopyIn::No;
        self.heap_bytes -= asked.held_bytes();
        Some(Answered {
            asked,
            portal,
            protocol,
            described,
            requested,
            request_bytes,
        })
    }

    /// Takes the front entry: it was answered.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Awaited> {
        let awaited = self.queue.pop_front()?;
        match &awaited.what {
            What::Execute { asked, .. } | What::Statement(asked) | What::Function(asked) => {
                self.statements -= 1;
                self.copy_in = CopyIn::No;
                self.heap_bytes -= asked.held_bytes();
            }
            What::Cycle(cycle) => {
                self.statements -= 1;
                self.copy_in = CopyIn::No;
                self.heap_bytes -= cycle.asked.held_bytes();
                self.folded -= cycle.behind();
            }
            What::Ready(_) => {
                self.groups_answered += 1;
                self.holds_portals &= !self.queue.is_empty();
            }
            _ => {}
        }
        Some(awaited)
    }

    /// Takes the front entry, a cycle as the requests that it is short for.
    fn drop_front(&mut self) -> Vec<Awaited> {
        self.pop().map(Awaited::spread).unwrap_or_default()
    }

    /// Takes every entry before the next ReadyForQuery of `group` (any group for `None`), oldest first.
    ///
    /// An error in an extended message has the server skip to a Sync that may still be on its way.
    pub(super) fn drop_group(&mut self, group: Option<Group>) -> Vec<Awaited> {
        // Nearly always there is nothing to drop: then the list is none.
        let mut dropped = Vec::new();
        while let Some(awaited) = self.queue.front() {
            if let What::Ready(found) = awaited.what
                && group.is_none_or(|wanted| wanted == found)
            {
                return dropped;
            }
            dropped.extend(self.drop_front());
        }
        if group == Some(Group::Sync) {
            self.skip = Skip::ToSync;
        }
        dropped
    }

    /// ReadyForQuery: takes its entry and whatever was left unanswered before it. `None` when nothing is ready.
    #[inline]
    pub(super) fn pop_ready(&mut self) -> Option<Vec<Awaited>> {
        let left = match self.queue.front()?.what {
            What::Ready(_) => Vec::new(),
            _ => self.drop_group(None),
        };
        self.queue.pop_front()?;
        self.groups_answered += 1;
        self.holds_portals &= !self.queue.is_empty();
        Some(left)
    }

    /// Takes all entries: the connection is over.
    pub(super) fn drop_everything(&mut self) -> Vec<Awaited> {
        self.statements = 0;
        self.heap_bytes = 0;
        self.folded = 0;
        self.queue.drain().flat_map(Awaited::spread).collect()
    }
}
