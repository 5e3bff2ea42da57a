//! What a relaying thread has sent on and not yet shown to its taps.
//!
//! ```text
//!  wake-up ─► read, write │ read, write │ read, write  ─►  show, show, show ─► wait
//!                └──────── copies of what was sent ────────►┘
//! ```
//!
//! A wake-up finds several sockets ready. Were each read shown as soon as it was sent on, the kernel's code and the
//! tap's would drive each other out of the core's caches once a read, and who is ready next would wait for the tap. So
//! a small read is copied, and all of them are shown when the last one was sent; that one, which nobody waits behind,
//! needs no copy. What its tap will look at is fetched into the caches meanwhile, and what can only be found through that
//! while the two reads before it are shown ([`Ahead`]).
//!
//! A client alone has every wake-up to itself, and a few have most of them. There the copies of many wake-ups are
//! gathered, as long as they come briskly ([`Pace`]). Of many clients a request waits for its answer, so that what its
//! session has in memory, which was driven out since the last one, is looked at once for both.
//!
//! *Architecture invariants:* a session's reads are shown in their order, each with the time at which it came. What is
//! large, and whatever else a tap hears, is told at once, behind what waits of its session. When the thread waits,
//! nothing waits for longer than [`WAITS_AT_MOST`].

use std::ops::Range;
use std::time::Duration;

use super::fence::Next;
use super::pace::{Crowd, Pace};
use crate::event::{Ahead, Direction, Moment, Rest, Tap};

/// A longer read is not copied.
const COPIED_BYTES_MAX: usize = 2 * 1024;

/// Copies are shown when there is no room for another one: they, too, are to stay in a cache.
const BYTES_MAX: usize = 16 * 1024;

/// So many reads of a few clients are gathered at it.
const GATHERED_MAX: usize = 32;

/// So many reads wait at it: each wake-up of many clients looks at all of them.
const READS_MAX: usize = 256;

/// How long a read may wait to be shown.
pub(super) const WAITS_AT_MOST: Duration = Duration::from_millis(10);

/// When a tap is shown what was just sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Nobody waits to be served, or somebody for what the tap says.
    Now,
    /// Others are served first.
    Later,
}

/// Which of the reads that wait are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those of sessions that were answered, and the answers.
    Answered,
}

/// Reads of all sessions of a thread, in the order in which they came.
#[derive(Debug)]
pub(super) struct Unseen {
    pace: Pace,
    reads: Vec<Read>,
    /// Places of those that are shown now.
    due: Vec<usize>,
    /// How many of these were taken out.
    taken: usize,
    bytes: Vec<u8>,
    latest: Latest,
}

#[derive(Debug)]
struct Read {
    /// Where its session sits; `None` where nobody is to be shown it any more.
    slot: Option<usize>,
    direction: Direction,
    at: Moment,
    /// Its bytes, among all of them.
    bytes: Range<usize>,
    /// The read of its session before it, as far as that is of interest.
    before: Option<usize>,
}

/// A read that is to be shown now to the tap of the session in `slot`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) slot: usize,
    pub(super) direction: Direction,
    pub(super) bytes: &'a [u8],
    pub(super) at: Moment,
}

impl Unseen {
    /// Nothing waits.
    pub(super) fn new() -> Unseen {
        Unseen {
            pace: Pace::CALM,
            reads: Vec::new(),
            due: Vec::new(),
            taken: 0,
            bytes: Vec::with_capacity(BYTES_MAX),
            latest: Latest::default(),
        }
    }

    /// Whether what waits should be shown before more comes.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() > BYTES_MAX - COPIED_BYTES_MAX || self.reads.len() >= READS_MAX
    }

    /// Whether nothing waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.reads.is_empty()
    }

    /// The thread was woken.
    #[inline]
    pub(super) fn woken(&mut self) {
        self.pace.woken();
    }

    /// When the last read of a wake-up is shown.
    #[inline]
    pub(super) fn last(&self) -> When {
        match self.pace.brisk() {
            Some(_) => When::Later,
            None => When::Now,
        }
    }

    /// What is shown before the thread waits, if anything is; the rest waits meanwhile: more will come soon.
    #[inline]
    pub(super) fn before_waiting(&self) -> Option<Which> {
        match self.pace.brisk() {
            Some(Crowd::Few) if self.reads.len() < GATHERED_MAX => None,
            Some(Crowd::Many) => Some(Which::Answered),
            Some(Crowd::Few) | None => Some(Which::All),
        }
    }

    /// What is done with the reads that come now.
    #[inline]
    pub(super) fn next_round(&self) -> Next {
        match self.pace.brisk() {
            Some(_) => Next::Gathered,
            None => Next::Shown,
        }
    }

    /// A beat: what waits is to be shown now, and the pace may be another.
    #[cold]
    pub(super) fn beat(&mut self) {
        self.pace.beat();
    }

    /// Nothing waits while the thread does, until reads come briskly once more.
    #[cold]
    pub(super) fn calm_down(&mut self) {
        self.pace = Pace::CALM;
    }

    /// Chooses what is shown now, whatever was chosen before; whether that is anything.
    #[inline]
    pub(super) fn choose(&mut self, which: Which) -> bool {
        self.due.clear();
        self.taken = 0;
        let places = 0..self.reads.len();
        match which {
            Which::All => self.due.extend(places),
            Which::Answered => self.choose_answered(),
        }
        !self.due.is_empty()
    }

    /// Each answer, and before it what waits of its session: one after the other, what is looked at for both is near.
    #[inline]
    fn choose_answered(&mut self) {
        self.latest.begin();
        for place in 0..self.reads.len() {
            let Some(read) = self.reads.get_mut(place) else {
                return;
            };
            let Some(slot) = read.slot else { continue };
            read.before = self.latest.replace(slot, place);
            if read.direction == Direction::UpstreamToClient {
                self.latest.forget(slot);
                self.choose_with_those_before(place);
            }
        }
    }

    #[inline]
    fn choose_with_those_before(&mut self, place: usize) {
        let chosen = self.due.len();
        let mut next = Some(place);
        while let Some(place) = next {
            self.due.push(place);
            next = self.reads.get(place).and_then(|read| read.before);
        }
        if let Some(chosen) = self.due.get_mut(chosen..) {
            chosen.reverse();
        }
    }

    /// Takes out the first of what was chosen. Once there is none, it is forgotten what was shown.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Shown<'_>> {
        while let Some(place) = self.due.get(self.taken) {
            self.taken += 1;
            if let Some(read) = self.reads.get_mut(*place)
                && let Some(slot) = read.slot.take()
            {
                return Some(Shown {
                    slot,
                    direction: read.direction,
                    bytes: self.bytes.get(read.bytes.clone()).unwrap_or_default(),
                    at: read.at,
                });
            }
        }
        let all_shown = self.due.len() == self.reads.len();
        self.due.clear();
        self.taken = 0;
        match all_shown {
            true => self.reads.clear(),
            false => self.reads.retain(|read| read.slot.is_some()),
        }
        if self.reads.is_empty() {
            self.bytes.clear();
        }
        None
    }

    /// Makes room where what was shown has left it; whether there is some now.
    #[cold]
    pub(super) fn make_room(&mut self) -> bool {
        let mut to = 0;
        for read in &mut self.reads {
            let from = std::mem::replace(&mut read.bytes, to..to);
            to += from.len();
            read.bytes.end = to;
            self.bytes.copy_within(from, read.bytes.start);
        }
        self.bytes.truncate(to);
        // What waits most of all is to be shown, lest room is made again and again.
        self.bytes.len() <= BYTES_MAX / 2 && self.reads.len() <= READS_MAX / 2
    }

    /// The read that is shown so many places behind the next one, where it is another session's: where that sits, and
    /// which way it went.
    #[inline]
    pub(super) fn behind_next(&self, places: usize) -> Option<(usize, Direction)> {
        let due = |place: usize| self.reads.get(*self.due.get(place)?);
        let (next, read) = (due(self.taken)?, due(self.taken + places)?);
        let slot = read.slot.filter(|_| read.slot != next.slot)?;
        Some((slot, read.direction))
    }

    /// Whether a read that is kept now will be shown before the thread waits.
    #[inline]
    fn is_shown_soon(&self, direction: Direction) -> bool {
        direction == Direction::UpstreamToClient || self.pace.brisk() != Some(Crowd::Many)
    }

    /// Shows what waits of the session in `slot` to its tap.
    #[inline]
    pub(super) fn show_one(&mut self, slot: usize, tap: &mut impl Tap) {
        if !self.is_empty() {
            self.pick_out(slot, tap);
        }
    }

    #[cold]
    fn pick_out(&mut self, slot: usize, tap: &mut impl Tap) {
        for read in &mut self.reads {
            if read.slot == Some(slot) {
                read.slot = None;
                let bytes = self.bytes.get(read.bytes.clone()).unwrap_or_default();
                tap.relayed(read.direction, bytes, read.at);
            }
        }
    }

    /// Nobody is shown any more what waits of the session in `slot`.
    #[cold]
    pub(super) fn forget(&mut self, slot: usize) {
        let reads = self.reads.iter_mut();
        for read in reads.filter(|read| read.slot == Some(slot)) {
            read.slot = None;
        }
    }

    /// Keeps a read for later, if it may.
    #[inline]
    fn keep(&mut self, slot: usize, direction: Direction, bytes: &[u8], at: Moment) -> Kept {
        if bytes.len() > COPIED_BYTES_MAX || self.is_full() {
            return Kept::No;
        }
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.reads.push(Read {
            slot: Some(slot),
            direction,
            at,
            bytes: from..self.bytes.len(),
            before: None,
        });
        Kept::Yes
    }
}

/// Where the last read of each session is.
#[derive(Debug, Default)]
struct Latest {
    /// By slot: in which look at the reads it was found, and where.
    by_slot: Vec<(u64, usize)>,
    look: u64,
}

impl Latest {
    /// Of no session is there one.
    #[inline]
    fn begin(&mut self) {
        self.look += 1;
    }

    /// Of this session it is there now; where it was before.
    #[inline]
    fn replace(&mut self, slot: usize, place: usize) -> Option<usize> {
        match self.by_slot.get_mut(slot) {
            Some(latest) => {
                let (look, before) = std::mem::replace(latest, (self.look, place));
                (look == self.look).then_some(before)
            }
            None => {
                self.add(slot, place);
                None
            }
        }
    }

    #[cold]
    fn add(&mut self, slot: usize, place: usize) {
        self.by_slot.resize(slot, (0, 0));
        self.by_slot.push((self.look, place));
    }

    /// Of this session there is none.
    #[inline]
    fn forget(&mut self, slot: usize) {
        if let Some((look, _)) = self.by_slot.get_mut(slot) {
            *look = 0;
        }
    }
}

/// Whether a read waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Yes,
    No,
}

/// The tap of the session in `slot`, which sees later what can wait.
pub(super) struct Later<'a, T: Tap> {
    pub(super) slot: usize,
    pub(super) when: When,
    pub(super) tap: &'a mut T,
    pub(super) unseen: &'a mut Unseen,
}

impl<T: Tap> Later<'_, T> {
    /// The tap, which has seen all that was to come before what it hears now.
    #[inline]
    fn now(&mut self) -> &mut T {
        self.unseen.show_one(self.slot, self.tap);
        self.tap
    }
}

impl<T: Tap> Tap for Later<'_, T> {
    #[inline(always)]
    fn relayed(&mut self, direction: Direction, bytes: &[u8], at: Moment) {
        self.unseen.pace.came(at);
        let kept = match self.when {
            When::Now => Kept::No,
            When::Later => self.unseen.keep(self.slot, direction, bytes, at),
        };
        match kept {
            Kept::Yes if self.unseen.is_shown_soon(direction) => {
                self.tap.expect(direction, Ahead::Sockets);
            }
            Kept::Yes => {}
            Kept::No => self.now().relayed(direction, bytes, at),
        }
    }

    fn refused(&mut self, direction: Direction, at: Moment) {
        self.now().refused(direction, at);
    }

    fn accepted(&mut self, direction: Direction, at: Moment) {
        self.now().accepted(direction, at);
    }

    fn finished(&mut self, direction: Direction, at: Moment) {
        self.now().finished(direction, at);
    }

    fn closed(&mut self, at: Moment) {
        self.now().closed(at);
    }

    /// As far as it has seen.
    fn rest(&self) -> Rest {
        self.tap.rest()
    }
}

#[cfg(test)]
mod tests;
