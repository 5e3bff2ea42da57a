//! What a relaying thread has sent on and not yet shown to its taps.
//!
//! ```text
//!  read, write │ read, write │ wait │ read, write │ …  ─►  show a session's, show the next one's, … ─► wait
//!     └──────────── copies of what was sent ────────────►┘
//! ```
//!
//! Were each read shown as soon as it was sent on, the kernel's code and the tap's would drive each other out of the
//! core's caches once a read, a session's memory would be fetched for its request and once more for the answer, and who
//! is ready next would wait for the tap. So small reads are copied and shown later, session by session. How much later
//! depends on the [`Pace`] at which they come: while it is calm, before the thread waits again (the last read, which
//! nobody waits behind, then needs no copy); while they come briskly, when there are enough of them.
//!
//! *Architecture invariants:* a session's reads are shown in their order, each with the time at which it came. What is
//! large, and whatever else a tap hears, is told at once, behind what waits of its session. Nothing waits for longer
//! than [`WAITS_AT_MOST`], and nothing at all where somebody asks ([`super::fence`]).

use std::time::Duration;

use crate::event::{Direction, Moment, Rest, Tap};

/// A longer read is not copied.
const COPIED_BYTES_MAX: usize = 2 * 1024;

/// Copies are shown when there is no room for another one: they, too, are to stay in a cache.
const BYTES_MAX: usize = 16 * 1024;

/// So many reads in so short a time are a brisk pace, and it goes on while there are so many from beat to beat.
const BRISK_READS: usize = 16;
const BRISK_WITHIN_NS: u64 = 4_000_000;

/// So many reads are gathered at it at least, and at most, however many sessions they are of.
const GATHERED_MIN: usize = 32;
const GATHERED_MAX: usize = 128;

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

/// How fast reads come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Whoever asks once in a while is shown at once: the thread is not woken for it once more.
    Calm { since: Moment, reads: usize },
    /// There will be more soon; so many came since the last beat.
    Brisk { reads: usize },
}

/// Reads of all sessions of a thread.
#[derive(Debug)]
pub(super) struct Unseen {
    pace: Pace,
    /// In the order in which they came.
    reads: Vec<Read>,
    bytes: Vec<u8>,
    /// The slots of their sessions, in the order of the first read of each.
    slots: Vec<usize>,
    /// How many of those were taken out.
    taken: usize,
    /// By slot: what waits of the session there.
    waiting: Vec<Option<Waiting>>,
}

/// The first and the last of a session's reads, among all of them.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Read {
    at: Moment,
    direction: Direction,
    /// Where its bytes begin and end, among all of them.
    from: u32,
    to: u32,
    /// The next one of its session.
    next: Option<u32>,
}

impl Unseen {
    /// Nothing waits.
    pub(super) fn new() -> Unseen {
        Unseen {
            pace: Pace::Calm {
                since: Moment(0),
                reads: 0,
            },
            reads: Vec::new(),
            bytes: Vec::with_capacity(BYTES_MAX),
            slots: Vec::new(),
            taken: 0,
            waiting: Vec::new(),
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

    /// When the last read of a wake-up is shown.
    #[inline]
    pub(super) fn last(&self) -> When {
        match self.pace {
            Pace::Calm { .. } => When::Now,
            Pace::Brisk { .. } => When::Later,
        }
    }

    /// Whether what waits goes on to wait while the thread does: more will come soon. A request and its answer are shown
    /// together where they can be.
    #[inline]
    pub(super) fn can_wait(&self) -> bool {
        match self.pace {
            Pace::Calm { .. } => false,
            Pace::Brisk { .. } => {
                let enough = (2 * self.slots.len()).clamp(GATHERED_MIN, GATHERED_MAX);
                self.reads.len() < enough
            }
        }
    }

    /// How often there has to be a beat for what waits.
    #[inline]
    pub(super) fn beats(&self) -> Option<Duration> {
        match self.pace {
            Pace::Calm { .. } => None,
            Pace::Brisk { .. } => Some(WAITS_AT_MOST),
        }
    }

    /// A beat: what waits is shown now, and the pace may be another.
    #[cold]
    pub(super) fn beat(&mut self) {
        match &mut self.pace {
            Pace::Brisk { reads } if *reads >= BRISK_READS => *reads = 0,
            Pace::Brisk { .. } | Pace::Calm { .. } => self.calm_down(),
        }
    }

    /// Nothing waits while the thread does.
    #[cold]
    pub(super) fn calm_down(&mut self) {
        self.pace = Pace::Calm {
            since: Moment(0),
            reads: 0,
        };
    }

    /// A read came.
    #[inline]
    fn came(&mut self, at: Moment) {
        match &mut self.pace {
            Pace::Brisk { reads } => *reads += 1,
            Pace::Calm { since, reads } => {
                *reads += 1;
                if *reads >= BRISK_READS {
                    let is_brisk = at.since(*since) <= BRISK_WITHIN_NS;
                    (*since, *reads) = (at, 0);
                    if is_brisk {
                        self.pace = Pace::Brisk { reads: 0 };
                    }
                }
            }
        }
    }

    /// The slot of the session whose reads are to be shown next, which waits no more; nothing waits any more once there
    /// is none.
    #[inline]
    pub(super) fn next(&mut self) -> Option<usize> {
        let slot = self.slots.get(self.taken).copied();
        match slot {
            Some(_) => self.taken += 1,
            None => {
                self.reads.clear();
                self.bytes.clear();
                self.slots.clear();
                self.taken = 0;
            }
        }
        slot
    }

    /// Shows what waits of the session in `slot` to its tap.
    #[inline]
    pub(super) fn show_one(&mut self, slot: usize, tap: &mut impl Tap) {
        let mut next = self.take(slot).map(|waiting| waiting.first);
        while let Some(read) = next.and_then(|next| self.reads.get(next as usize)) {
            let bytes = self.bytes.get(read.from as usize..read.to as usize);
            tap.relayed(read.direction, bytes.unwrap_or_default(), read.at);
            next = read.next;
        }
    }

    /// Nobody is shown any more what waits of the session in `slot`.
    #[cold]
    pub(super) fn forget(&mut self, slot: usize) {
        self.take(slot);
    }

    #[inline]
    fn take(&mut self, slot: usize) -> Option<Waiting> {
        self.waiting.get_mut(slot)?.take()
    }

    /// Keeps a read for later, if it may.
    #[inline]
    fn keep(&mut self, slot: usize, direction: Direction, bytes: &[u8], at: Moment) -> Kept {
        if bytes.len() > COPIED_BYTES_MAX || self.is_full() {
            return Kept::No;
        }
        if slot >= self.waiting.len() {
            self.make_place(slot);
        }
        let Some(waiting) = self.waiting.get_mut(slot) else {
            return Kept::No;
        };
        let this = self.reads.len() as u32;
        match waiting {
            Some(waiting) => {
                let last = std::mem::replace(&mut waiting.last, this);
                if let Some(last) = self.reads.get_mut(last as usize) {
                    last.next = Some(this);
                }
            }
            None => {
                *waiting = Some(Waiting {
                    first: this,
                    last: this,
                });
                self.slots.push(slot);
            }
        }
        let from = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        self.reads.push(Read {
            at,
            direction,
            from,
            to: self.bytes.len() as u32,
            next: None,
        });
        Kept::Yes
    }

    #[cold]
    fn make_place(&mut self, slot: usize) {
        self.waiting.resize_with(slot + 1, || None);
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
        self.unseen.came(at);
        let kept = match self.when {
            When::Now => Kept::No,
            When::Later => self.unseen.keep(self.slot, direction, bytes, at),
        };
        match kept {
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
mod tests {
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
        while let Some(slot) = unseen.next() {
            unseen.show_one(slot, taps.get_mut(&slot).expect("it sits there"));
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

    /// Relays so many reads of a session each, one every so many nanoseconds; the time of the last.
    fn relay(unseen: &mut Unseen, slots: std::ops::Range<usize>, from: u64, every: u64) -> u64 {
        let mut tap = Heard::default();
        let mut at = from;
        for slot in slots {
            at += every;
            let when = unseen.last();
            let later = &mut Later {
                slot,
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
        const SLOWLY: u64 = 1_000_000;
        const BRISKLY: u64 = 100_000;
        let mut unseen = Unseen::new();
        let now = relay(&mut unseen, 0..100, 0, SLOWLY);
        assert_eq!((unseen.last(), unseen.can_wait()), (When::Now, false));
        assert!(unseen.is_empty() && unseen.beats().is_none());

        let now = relay(&mut unseen, 0..3 * BRISK_READS, now, BRISKLY);
        assert_eq!((unseen.last(), unseen.can_wait()), (When::Later, true));
        assert_eq!(unseen.beats(), Some(WAITS_AT_MOST));
        // A beat behind which more came.
        unseen.beat();
        assert_eq!(unseen.last(), When::Later);
        let now = relay(&mut unseen, 0..BRISK_READS - 1, now, BRISKLY);
        unseen.beat();
        assert_eq!((unseen.last(), unseen.can_wait()), (When::Now, false));
        assert!(unseen.beats().is_none());

        relay(&mut unseen, 0..2 * BRISK_READS, now, BRISKLY);
        assert_eq!(unseen.last(), When::Later);
        unseen.calm_down();
        assert_eq!((unseen.last(), unseen.can_wait()), (When::Now, false));
    }

    #[test]
    fn so_many_wait_that_a_request_meets_its_answer() {
        let gathered = |sessions: usize| {
            let mut unseen = Unseen::new();
            relay(&mut unseen, 0..BRISK_READS, 0, 1);
            while unseen.can_wait() {
                relay(&mut unseen, 0..sessions, 0, 1);
            }
            unseen.reads.len()
        };
        assert_eq!(gathered(1), GATHERED_MIN);
        assert_eq!(gathered(8), GATHERED_MIN);
        assert_eq!(gathered(50), 100);
        assert_eq!(gathered(1_000), 1_000.min(BYTES_MAX / 5));
    }
}
