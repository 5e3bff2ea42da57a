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

fn show(which: Which, unseen: &mut Unseen, taps: &mut BTreeMap<usize, Heard>) {
    unseen.choose(which);
    while let Some(shown) = unseen.next() {
        let tap = taps.get_mut(&shown.slot).expect("it sits there");
        tap.relayed(shown.direction, shown.bytes, shown.at);
    }
}

/// What a tap is told, or what becomes of what waits.
#[derive(Debug, Clone)]
enum Step {
    Relayed(Direction, usize),
    Refused,
    Accepted,
    Finished,
    Show(Which),
    ShowOne,
    MakeRoom,
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
            Step::Show(_) | Step::ShowOne | Step::MakeRoom => {}
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
        1 => Just(Step::Show(Which::All)),
        2 => Just(Step::Show(Which::Answered)),
        1 => Just(Step::ShowOne),
        1 => Just(Step::MakeRoom),
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
                Step::Show(Which::All) => {
                    show(Which::All, &mut unseen, &mut later);
                    prop_assert!(unseen.is_empty());
                    prop_assert_eq!(&later, &at_once);
                }
                Step::Show(Which::Answered) => {
                    show(Which::Answered, &mut unseen, &mut later);
                    let answers = |(_, heard): &(&usize, &Heard)| {
                        let reads = heard.0.iter().filter(|(_, direction, ..)| *direction == Direction::UpstreamToClient);
                        reads.count()
                    };
                    let counts = |taps: &BTreeMap<usize, Heard>| taps.iter().map(|tap| answers(&tap)).collect::<Vec<_>>();
                    prop_assert_eq!(counts(&later), counts(&at_once));
                }
                Step::MakeRoom => {
                    let had_room = !unseen.is_full();
                    prop_assert!(unseen.make_room() || !had_room || unseen.bytes.len() > BYTES_MAX / 2);
                }
                Step::ShowOne => {
                    unseen.show_one(*slot, tap);
                    prop_assert_eq!(&later[slot], &at_once[slot]);
                }
                _ => {}
            }
            prop_assert!(unseen.bytes.len() <= BYTES_MAX);
        }
        show(Which::All, &mut unseen, &mut later);
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
    unseen.choose(Which::All);
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
fn the_reads_of_a_few_wait_while_they_come_briskly() {
    let mut unseen = Unseen::new();
    relay(&mut unseen, 15, 0, 100_000);
    assert!(unseen.is_empty());
    let so = |unseen: &Unseen| (unseen.last(), unseen.before_waiting(), unseen.next_round());
    let calm = (When::Now, Some(Which::All), Next::Shown);
    assert_eq!(so(&unseen), calm);

    relay(&mut unseen, 3, 1_500_000, 100_000);
    assert_eq!(so(&unseen), (When::Later, None, Next::Gathered));
    assert_eq!(unseen.reads.len(), 2);

    unseen.calm_down();
    assert_eq!(so(&unseen), calm);
}

#[test]
fn what_waits_of_a_few_is_bounded() {
    let mut unseen = Unseen::new();
    relay(&mut unseen, 16, 0, 1);
    while unseen.before_waiting().is_none() {
        relay(&mut unseen, 1, 0, 1);
    }
    assert_eq!(unseen.before_waiting(), Some(Which::All));
    assert_eq!(unseen.reads.len(), GATHERED_MAX);
}

/// Of many: all reads came in one wake-up.
fn crowded() -> Unseen {
    let mut unseen = Unseen::new();
    (0..16).for_each(|_| unseen.pace.came(Moment(1)));
    let so = (unseen.last(), unseen.before_waiting(), unseen.next_round());
    assert_eq!(so, (When::Later, Some(Which::Answered), Next::Gathered));
    unseen
}

#[test]
fn requests_of_many_wait_for_their_answers() {
    let mut unseen = crowded();
    let (up, down) = (Direction::ClientToUpstream, Direction::UpstreamToClient);
    let keep = |unseen: &mut Unseen, slot: usize, direction: Direction| {
        let at = Moment(unseen.reads.len() as u64);
        let bytes = format!("{slot} {direction:?}");
        let tap = &mut Expecting::default();
        let later = &mut Later {
            slot,
            when: When::Later,
            tap,
            unseen,
        };
        later.relayed(direction, bytes.as_bytes(), at);
        // What is fetched long before it is looked at is driven out again.
        assert_eq!(tap.0.get(), usize::from(direction == down));
    };
    let shown = |unseen: &mut Unseen| {
        unseen.choose(Which::Answered);
        let mut shown = Vec::new();
        while let Some(one) = unseen.next() {
            let bytes = format!("{} {:?}", one.slot, one.direction);
            assert_eq!(one.bytes, bytes.as_bytes());
            shown.push((one.slot, one.direction));
        }
        shown
    };
    for (slot, direction) in [(3, up), (4, up), (5, up)] {
        keep(&mut unseen, slot, direction);
    }
    assert_eq!(shown(&mut unseen), []);
    for (slot, direction) in [(4, down), (6, up), (3, down)] {
        keep(&mut unseen, slot, direction);
    }
    assert_eq!(shown(&mut unseen), [(4, up), (4, down), (3, up), (3, down)]);
    unseen.make_room();
    for (slot, direction) in [(5, down), (3, up)] {
        keep(&mut unseen, slot, direction);
    }
    unseen.forget(6);
    assert_eq!(shown(&mut unseen), [(5, up), (5, down)]);
    for (slot, direction) in [(3, up), (3, down), (3, down), (3, up)] {
        keep(&mut unseen, slot, direction);
    }
    let all = [(3, up), (3, up), (3, down), (3, down)];
    assert_eq!(shown(&mut unseen), all);
    let left: Vec<_> = unseen.reads.iter().map(|read| read.slot).collect();
    assert_eq!(left, [Some(3)]);
}

#[test]
fn room_is_made_where_what_was_shown_left_some() {
    let mut unseen = crowded();
    let (up, down) = (Direction::ClientToUpstream, Direction::UpstreamToClient);
    let fill = |unseen: &mut Unseen, answered: usize| {
        let mut slots = 0;
        while !unseen.is_full() {
            unseen.keep(slots, up, &[slots as u8; 100], Moment(1));
            if slots < answered {
                unseen.keep(slots, down, b"answer", Moment(1));
            }
            slots += 1;
        }
        slots
    };
    fill(&mut unseen, usize::MAX);
    unseen.choose(Which::Answered);
    while unseen.next().is_some() {}
    assert!(unseen.bytes.is_empty());

    let slots = fill(&mut unseen, 100);
    unseen.choose(Which::Answered);
    while unseen.next().is_some() {}
    assert!(unseen.is_full());
    assert!(unseen.make_room());
    assert!(!unseen.is_full());
    assert_eq!(unseen.reads.len(), slots - 100);
    unseen.choose(Which::All);
    for slot in 100..slots {
        let shown = unseen.next().expect("it waits");
        assert_eq!((shown.slot, shown.bytes), (slot, &[slot as u8; 100][..]));
    }

    // Where nobody was answered there is none.
    assert!(unseen.next().is_none());
    fill(&mut unseen, 0);
    assert!(!unseen.make_room());
}
