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
//! gathered, as long as they come briskly ([`Pace`]).
//!
//! *Architecture invariants:* a session's reads are shown in their order, each with the time at which it came. What is
//! large, and whatever else a tap hears, is told at once, behind what waits of its session. When the thread waits,
//! nothing waits for longer than [`WAITS_AT_MOST`].

use std::ops::Range;
use std::time::Duration;

use super::fence::Next;
use super::pace::Pace;
use crate::event::{Ahead, Direction, Moment, Rest, Tap};

/// A longer read is not copied.
const COPIED_BYTES_MAX: usize = 2 * 1024;

/// Copies are shown when there is no room for another one: they, too, are to stay in a cache.
const BYTES_MAX: usize = 16 * 1024;

/// So many reads are gathered at it.
const GATHERED_MAX: usize = 32;

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

/// Reads of all sessions of a thread, in the order in which they came.
#[derive(Debug)]
pub(super) struct Unseen {
    pace: Pace,
    reads: Vec<Read>,
    /// How many of them were taken out.
    taken: usize,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Read {
    /// Where its session sits; `None` where nobody is to be shown it any more.
    slot: Option<usize>,
    direction: Direction,
    at: Moment,
    /// Its bytes, among all of them.
    bytes: Range<usize>,
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
            taken: 0,
            bytes: Vec::with_capacity(BYTES_MAX),
        }
    }

    /// Whether what waits should be shown before more comes.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() > BYTES_MAX - COPIED_BYTES_MAX
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
        match self.pace.is_brisk() {
            true => When::Later,
            false => When::Now,
        }
    }

    /// Whether what waits goes on to wait while the thread does: more will come soon.
    #[inline]
    pub(super) fn can_wait(&self) -> bool {
        self.pace.is_brisk() && self.reads.len() < GATHERED_MAX
    }

    /// What is done with the reads that come now.
    #[inline]
    pub(super) fn next_round(&self) -> Next {
        match self.pace.is_brisk() {
            true => Next::Gathered,
            false => Next::Shown,
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

    /// Takes out what came first; nothing waits any more once there is none.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Shown<'_>> {
        while let Some(read) = self.reads.get(self.taken) {
            self.taken += 1;
            if let Some(slot) = read.slot {
                return Some(Shown {
                    slot,
                    direction: read.direction,
                    bytes: self.bytes.get(read.bytes.clone()).unwrap_or_default(),
                    at: read.at,
                });
            }
        }
        self.reads.clear();
        self.taken = 0;
        self.bytes.clear();
        None
    }

    /// The read that comes so many places behind the next one, where it is another session's: where that sits, and which
    /// way it went.
    #[inline]
    pub(super) fn behind_next(&self, places: usize) -> Option<(usize, Direction)> {
        let next = self.reads.get(self.taken)?;
        let read = self.reads.get(self.taken + places)?;
        let slot = read.slot.filter(|_| read.slot != next.slot)?;
        Some((slot, read.direction))
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
        for read in self.reads.iter_mut().skip(self.taken) {
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
        });
        Kept::Yes
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
            Kept::Yes => self.tap.expect(direction, Ahead::Sockets),
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
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What a tap heard: each read with its bytes, all else with its name.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Heard(Vec<(String, Direction, Moment, Vec<u8>)>);

    impl Heard {
        fn hear(&mut self, what: &str, direction: Direction, at: Moment, bytes: &[u8]) {
            let heard = (what.to_owned(), direction, at, bytes.to_vec());
            self.0.push(heard);
        }
    }

    impl Tap for Heard {
        fn relayed(&mut self, direction: Direction, bytes: &[u8], at: Moment) {
            self.hear("relayed", direction, at, bytes);
        }
        fn refused(&mut self, direction: Direction, at: Moment) {
            self.hear("refused", direction, at, b"");
        }
        fn accepted(&mut self, direction: Direction, at: Moment) {
            self.hear("accepted", direction, at, b"");
        }
        fn finished(&mut self, direction: Direction, at: Moment) {
            self.hear("finished", direction, at, b"");
        }
        fn closed(&mut self, at: Moment) {
            self.hear("closed", Direction::ClientToUpstream, at, b"");
        }
        fn rest(&self) -> Rest {
            Rest::Unknown
        }
    }

    fn show_all(unseen: &mut Unseen, taps: &mut BTreeMap<usize, Heard>) {
        while let Some(shown) = unseen.next() {
            let tap = taps.get_mut(&shown.slot).expect("it sits there");
            tap.relayed(shown.direction, shown.bytes, shown.at);
        }
        assert!(unseen.is_empty());
    }

    /// What a tap is told, or what becomes of what waits.
    #[derive(Debug, Clone)]
    enum Step {
        Relayed(Direction, usize),
        Refused,
        Accepted,
        Finished,
        ShowAll,
        ShowOne,
    }

    impl Step {
        fn tell(&self, tap: &mut impl Tap, at: Moment) {
            let direction = Direction::UpstreamToClient;
            match self {
                Step::Relayed(direction, length) => {
                    tap.relayed(*direction, &vec![at.0 as u8; *length], at);
                }
                Step::Refused => tap.refused(direction, at),
                Step::Accepted => tap.accepted(direction, at),
                Step::Finished => tap.finished(direction, at),
                Step::ShowAll | Step::ShowOne => {}
            }
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        let directions = vec![Direction::ClientToUpstream, Direction::UpstreamToClient];
        let lengths = prop_oneof![1usize..300, 1usize..5_000];
        prop_oneof![
            12 => (prop::sample::select(directions), lengths)
                .prop_map(|(direction, length)| Step::Relayed(direction, length)),
            1 => Just(Step::Refused),
            1 => Just(Step::Accepted),
            1 => Just(Step::Finished),
            2 => Just(Step::ShowAll),
            1 => Just(Step::ShowOne),
        ]
    }

    fn when() -> impl Strategy<Value = When> {
        prop_oneof![3 => Just(When::Later), 1 => Just(When::Now)]
    }

    proptest! {
        /// Each tap hears what it would have heard at once, in the same order, with the same times.
        #[test]
        fn a_tap_hears_all_in_its_order(
            steps in prop::collection::vec((0usize..4, when(), step()), 0..200),
        ) {
            let taps = || (0..4).map(|slot| (slot, Heard::default())).collect();
            let (mut later, mut at_once): (BTreeMap<usize, Heard>, BTreeMap<usize, Heard>) =
                (taps(), taps());
            let mut unseen = Unseen::new();
            for (number, (slot, when, step)) in steps.iter().enumerate() {
                let at = Moment(number as u64);
                let tap = later.get_mut(slot).expect("it sits there");
                step.tell(at_once.get_mut(slot).expect("it sits there"), at);
                let later_tap = &mut Later { slot: *slot, when: *when, tap, unseen: &mut unseen };
                step.tell(later_tap, at);
                match step {
                    Step::ShowAll => {
                        show_all(&mut unseen, &mut later);
                        prop_assert_eq!(&later, &at_once);
                    }
                    Step::ShowOne => {
                        unseen.show_one(*slot, tap);
                        prop_assert_eq!(&later[slot], &at_once[slot]);
                    }
                    _ => {}
                }
                prop_assert!(unseen.bytes.len() <= BYTES_MAX);
            }
            show_all(&mut unseen, &mut later);
            prop_assert_eq!(&later, &at_once);
        }
    }

    /// Counts how often it is told that something will come.
    #[derive(Default)]
    struct Expecting(Cell<usize>);

    impl Tap for Expecting {
        fn relayed(&mut self, _: Direction, _: &[u8], _: Moment) {}
        fn refused(&mut self, _: Direction, _: Moment) {}
        fn accepted(&mut self, _: Direction, _: Moment) {}
        fn finished(&mut self, _: Direction, _: Moment) {}
        fn closed(&mut self, _: Moment) {}
        fn rest(&self) -> Rest {
            Rest::Unknown
        }
        fn expect(&self, _: Direction, _: Ahead) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_tap_expects_what_waits_and_nothing_else() {
        let (mut tap, mut unseen) = (Expecting::default(), Unseen::new());
        for (when, bytes, expected) in [
            (When::Now, 10, 0),
            (When::Later, 10, 1),
            (When::Later, COPIED_BYTES_MAX + 1, 1),
            (When::Later, 20, 2),
        ] {
            let later = &mut Later {
                slot: 0,
                when,
                tap: &mut tap,
                unseen: &mut unseen,
            };
            later.relayed(Direction::ClientToUpstream, &vec![b'x'; bytes], Moment(1));
            assert_eq!(tap.0.get(), expected, "{when:?}, {bytes} bytes");
        }
    }

    #[test]
    fn the_reads_behind_the_next_one_are_foretold() {
        let mut unseen = Unseen::new();
        let (up, down) = (Direction::ClientToUpstream, Direction::UpstreamToClient);
        for (slot, direction) in [(3, up), (4, down), (3, down), (5, up), (6, up)] {
            let kept = unseen.keep(slot, direction, b"read", Moment(1));
            assert_eq!(kept, Kept::Yes);
        }
        unseen.forget(5);
        // What is there for the next one is there for another of the same session.
        let foretold = |unseen: &Unseen| [1, 2].map(|places| unseen.behind_next(places));
        assert_eq!(foretold(&unseen), [Some((4, down)), None]);
        unseen.next();
        assert_eq!(foretold(&unseen), [Some((3, down)), None]);
        unseen.next();
        assert_eq!(foretold(&unseen), [None, Some((6, up))]);
        while unseen.next().is_some() {}
        assert_eq!(foretold(&unseen), [None, None]);
    }

    /// Relays so many reads, one wake-up each and one every so many nanoseconds; the time of the last.
    fn relay(unseen: &mut Unseen, reads: usize, from: u64, every: u64) -> u64 {
        let mut tap = Heard::default();
        let mut at = from;
        for _ in 0..reads {
            at += every;
            unseen.woken();
            let when = unseen.last();
            let later = &mut Later {
                slot: 0,
                when,
                tap: &mut tap,
                unseen,
            };
            later.relayed(Direction::ClientToUpstream, b"query", Moment(at));
        }
        at
    }

    #[test]
    fn reads_wait_while_they_come_briskly() {
        let mut unseen = Unseen::new();
        relay(&mut unseen, 15, 0, 100_000);
        assert!(unseen.is_empty());
        assert_eq!((unseen.last(), unseen.can_wait()), (When::Now, false));
        assert_eq!(unseen.next_round(), Next::Shown);

        relay(&mut unseen, 3, 1_500_000, 100_000);
        assert_eq!((unseen.last(), unseen.can_wait()), (When::Later, true));
        assert_eq!(unseen.next_round(), Next::Gathered);
        assert_eq!(unseen.reads.len(), 2);

        unseen.calm_down();
        assert_eq!((unseen.last(), unseen.can_wait()), (When::Now, false));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut unseen = Unseen::new();
        relay(&mut unseen, 16, 0, 1);
        while unseen.can_wait() {
            relay(&mut unseen, 1, 0, 1);
        }
        assert_eq!(unseen.reads.len(), GATHERED_MAX);
    }
}
