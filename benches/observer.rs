//! What watching costs a worker for each query, from the tap to the ring: `cargo bench --bench observer`.
//!
//! *to the shard* is the part of it that begins with the read that ends the query (CommandComplete and ReadyForQuery,
//! read by themselves) and ends when the query is in its histogram, its shard's counts and the analysis' ring. Nothing
//! is lexed there. The second line is of many sessions whose memory is in no near cache: whether it pays to tell a tap
//! that something will come ([`Tap::expect`]).
//!
//! One argument, a mode, and another, a number of queries, run that alone: for counting instructions
//! (`valgrind --tool=callgrind --toggle-collect='*relay_to_tap*' ... prepared 10000`).
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod support;

use std::collections::VecDeque;
use std::time::Instant;

use pgprism::aggregate::{Settings as Limits, Store};
use pgprism::event::{Ahead, Direction, Moment, Observed, Tap, Taps};
use pgprism::observer::{Observer, Reader, Shared};
use pgprism::session::Settings;
use support::message;

/// As the proxy has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Queries between two ticks, at which others take what the worker has counted.
const TICK: u64 = 2_000;

/// What pgbench -S says in one of its modes, and what it is answered.
struct Conversation {
    mode: &'static str,
    first: Vec<u8>,
    first_reply: Vec<u8>,
    request: Vec<u8>,
    reply: Vec<u8>,
    /// The last messages of `reply`, bytes: CommandComplete and ReadyForQuery.
    end_bytes: usize,
}

fn conversations() -> Vec<Conversation> {
    let text = b"SELECT abalance FROM pgbench_accounts WHERE aid = ";
    let query = message(b'Q', &[&text[..], b"123456;\0"].concat());
    let parse = |name: &[u8]| message(b'P', &[name, b"\0", &text[..], b"$1;\0", &[0, 0]].concat());
    let bind = |name: &[u8]| {
        message(
            b'B',
            &[b"\0", name, b"\0\0\0\0\x01\0\0\0\x06123456\0\x01\0\0"].concat(),
        )
    };
    let run = [
        message(b'D', b"P\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
    ]
    .concat();
    let end = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    let end_bytes = end.len();
    let rows = [
        message(
            b'T',
            b"\0\x01abalance\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0",
        ),
        message(b'D', b"\0\x01\0\0\0\x010"),
        end,
    ]
    .concat();
    let parsed = message(b'1', b"");
    let bound = message(b'2', b"");
    vec![
        Conversation {
            mode: "simple",
            first: Vec::new(),
            first_reply: Vec::new(),
            request: query,
            reply: rows.clone(),
            end_bytes,
        },
        Conversation {
            mode: "extended",
            first: Vec::new(),
            first_reply: Vec::new(),
            request: [parse(b""), bind(b""), run.clone()].concat(),
            reply: [&parsed[..], &bound, &rows].concat(),
            end_bytes,
        },
        Conversation {
            mode: "prepared",
            first: [parse(b"P0_1"), message(b'S', b"")].concat(),
            first_reply: [&parsed[..], &message(b'Z', b"I")].concat(),
            request: [bind(b"P0_1"), run].concat(),
            reply: [&bound[..], &rows].concat(),
            end_bytes,
        },
    ]
}

/// What is measured.
#[inline(never)]
fn relay_to_tap(tap: &mut impl Tap, direction: Direction, bytes: &[u8], at: Moment) {
    tap.relayed(direction, bytes, at);
}

/// Sessions that ask in turn where there are many: what one of them has is in no near cache when it is its turn.
const MANY: usize = 1_000;

/// How long what is measured takes.
#[derive(Clone, Copy)]
enum Timed {
    /// All of a query, its reply in one read.
    Whole,
    /// The same, of many sessions in turn.
    Many,
    /// The end of its reply, in a read of its own.
    End,
}

/// The tap of a session that has logged in and prepared what it will ask.
fn opened(observer: &Observer, session: u64, conversation: &Conversation) -> impl Tap + use<> {
    let mut tap = observer.open(support::start(session, 0));
    tap.relayed(Direction::UpstreamToClient, &support::login(), Moment(1));
    if !conversation.first.is_empty() {
        tap.relayed(Direction::ClientToUpstream, &conversation.first, Moment(2));
        let reply = &conversation.first_reply;
        tap.relayed(Direction::UpstreamToClient, reply, Moment(3));
    }
    tap
}

/// Takes all events that wait; how many queries are among them.
fn take_queries(events: &mut Reader) -> usize {
    let mut seen = 0;
    let is_query = |event: &&mut Option<_>| matches!(event, Some(Observed::Query(_)));
    while events.bite(TICK as usize, |events| {
        seen += events.filter(is_query).count();
    }) > 0
    {}
    seen
}

/// Has so many queries observed; nanoseconds for each.
fn observe(conversation: &Conversation, queries: u64, timed: Timed) -> f64 {
    let store = Store::new(&Limits::default());
    let shared = Shared::new(Settings::default(), 100_000_000, 1 << 30, 16, 64 << 20);
    let observer = Observer::new(shared, &store, 16_384);
    let mut events = Reader::new(observer.ring());
    let sessions = match timed {
        Timed::Whole | Timed::End => 1,
        Timed::Many => MANY,
    };
    let mut taps: Vec<_> = (1..=sessions as u64)
        .map(|session| opened(&observer, session, conversation))
        .collect();
    let (reply, end) = match timed {
        Timed::Whole | Timed::Many => (&conversation.reply[..], &[][..]),
        Timed::End => conversation
            .reply
            .split_at(conversation.reply.len() - conversation.end_bytes),
    };
    let (mut at, mut seen, mut taken, mut ends) = (1000, 0, 0, 0);
    let start = Instant::now();
    for query in 1..=queries {
        at += 20_000;
        let tap = &mut taps[query as usize % sessions];
        relay_to_tap(
            tap,
            Direction::ClientToUpstream,
            &conversation.request,
            Moment(at),
        );
        at += 60_000;
        relay_to_tap(tap, Direction::UpstreamToClient, reply, Moment(at));
        if let Timed::End = timed {
            let began = Instant::now();
            relay_to_tap(tap, Direction::UpstreamToClient, end, Moment(at));
            ends += began.elapsed().as_nanos() as u64;
        }
        if query % TICK == 0 {
            let tick = Instant::now();
            store.collect(Moment(at));
            seen += take_queries(&mut events);
            taken += tick.elapsed().as_nanos() as u64;
        }
    }
    let elapsed = start.elapsed().as_nanos() as u64 - taken;
    assert_eq!(seen as u64, queries / TICK * TICK, "every query is told");
    match timed {
        Timed::Whole | Timed::Many => elapsed as f64 / queries as f64,
        Timed::End => ends as f64 / queries as f64 - clock_ns(),
    }
}

/// Sessions that ask beside each other, and of how many a wake-up brings a request, and of how many a reply: as with 128
/// clients of pgbench.
const BESIDE: usize = 128;
const AT_A_WAKE_UP: usize = 11;

/// What is touched between two wake-ups, bytes: it drives all else out of a core's own caches, as the kernel and
/// PostgreSQL do.
const DRIVES_OUT: usize = 4 << 20;

const WAKE_UP_TURNS: usize = 15;

/// Whether a tap is told that something will come before the first of a wake-up is shown.
#[derive(Clone, Copy)]
enum Told {
    No,
    Yes,
}

/// Has so many queries of [`BESIDE`] sessions observed, those of a wake-up one after the other; nanoseconds for each.
fn observe_wake_ups(conversation: &Conversation, queries: u64, told: Told) -> f64 {
    let store = Store::new(&Limits::default());
    let shared = Shared::new(Settings::default(), 100_000_000, 1 << 30, 16, 64 << 20);
    let observer = Observer::new(shared, &store, 16_384);
    let mut events = Reader::new(observer.ring());
    let mut taps: Vec<_> = (1..=BESIDE as u64)
        .map(|session| Box::new(opened(&observer, session, conversation)))
        .collect();
    let mut idle: VecDeque<usize> = (0..BESIDE).collect();
    let mut asking = VecDeque::new();
    let mut others = vec![0_u8; DRIVES_OUT];
    let mut random = 88_172_645_463_325_252_u64;
    let (mut at, mut seen, mut answered, mut took) = (1000, 0, 0, 0);
    while answered < queries {
        for place in others.iter_mut().step_by(64) {
            *place = place.wrapping_add(1);
        }
        let replies: Vec<usize> = match asking.len() >= BESIDE / 2 {
            true => asking.drain(..AT_A_WAKE_UP).collect(),
            false => Vec::new(),
        };
        let requests: Vec<usize> = (0..AT_A_WAKE_UP)
            .filter_map(|_| {
                // Xorshift: in no order that a processor could foresee.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                idle.swap_remove_back(random as usize % idle.len())
            })
            .collect();
        let asked = requests.iter().map(|it| (*it, Direction::ClientToUpstream));
        let told_back = replies.iter().map(|it| (*it, Direction::UpstreamToClient));
        let reads: Vec<_> = asked.chain(told_back).collect();
        let expect = |taps: &[Box<_>], read: Option<&(usize, Direction)>, ahead| {
            if let (Told::Yes, Some((session, direction))) = (told, read) {
                Tap::expect(&*taps[*session], *direction, ahead);
            }
        };
        let began = Instant::now();
        for read in &reads {
            expect(&taps, Some(read), Ahead::Sockets);
        }
        for (place, (session, direction)) in reads.iter().enumerate() {
            expect(&taps, reads.get(place + 2), Ahead::TwoReads);
            expect(&taps, reads.get(place + 1), Ahead::OneRead);
            at += 1_000;
            let bytes = match direction {
                Direction::ClientToUpstream => &conversation.request,
                Direction::UpstreamToClient => &conversation.reply,
            };
            relay_to_tap(&mut *taps[*session], *direction, bytes, Moment(at));
        }
        took += began.elapsed().as_nanos() as u64;
        answered += replies.len() as u64;
        asking.extend(requests);
        idle.extend(replies);
        if events.waiting() as u64 >= TICK {
            store.collect(Moment(at));
            seen += take_queries(&mut events);
        }
    }
    seen += take_queries(&mut events);
    assert_eq!(seen as u64, answered, "every query is told");
    took as f64 / answered as f64
}

/// Nanoseconds that a look at the clock and another take by themselves.
fn clock_ns() -> f64 {
    const LOOKS: u32 = 100_000;
    let looks = (0..LOOKS).map(|_| {
        let began = Instant::now();
        began.elapsed().as_nanos() as f64
    });
    looks.sum::<f64>() / f64::from(LOOKS)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|it| !it.starts_with('-'));
    let (mode, queries) = (arguments.next(), arguments.next());
    let queries = queries.map_or(200_000, |it| it.parse().expect("a number of queries"));
    for conversation in conversations() {
        if let Some(mode) = &mode {
            if mode == conversation.mode {
                let whole = observe(&conversation, queries, Timed::Whole);
                println!("{mode:12}{whole:8.0} ns a query");
            }
            continue;
        }
        let best = |timed| {
            (0..7)
                .map(|_| observe(&conversation, queries, timed))
                .fold(f64::INFINITY, f64::min)
        };
        let (whole, end, many) = (best(Timed::Whole), best(Timed::End), best(Timed::Many));
        println!(
            "{:12}{whole:8.0} ns a query,{end:8.0} ns of it to the shard;{many:8.0} ns with {MANY} sessions in turn",
            conversation.mode
        );
        // In turns: what else the machine does falls on both alike.
        let (mut untold, mut told) = (Vec::new(), Vec::new());
        for _ in 0..WAKE_UP_TURNS {
            untold.push(observe_wake_ups(&conversation, queries / 10, Told::No));
            told.push(observe_wake_ups(&conversation, queries / 10, Told::Yes));
        }
        println!(
            "{:12}{:8.0} ns with {BESIDE} sessions and the caches driven out between wake-ups, {:.0} ns where they expect it",
            "",
            median(untold),
            median(told)
        );
    }
}
