//! The relay alone, between two legs that do exactly what a script says: every cut, every refusal, in memory.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use pgprism::event::{Direction, Moment, Rest, Tap};
use pgprism::proxy::relay::{End, Leg, Meter, READ_BYTES_MAX, Relay, Side};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a leg does next when it is asked.
#[derive(Debug, Clone)]
enum Step {
    /// Nothing for now.
    Wait,
    /// Gives, or takes, at most so many bytes.
    Some(usize),
}

#[derive(Debug)]
struct Scripted {
    /// Reading from this leg is this direction.
    reads_as: Direction,
    to_read: VecDeque<u8>,
    reads: VecDeque<Step>,
    writes: VecDeque<Step>,
    written: Rc<RefCell<Vec<u8>>>,
    is_shut: Rc<Cell<bool>>,
    watch: Rc<Watch>,
    /// It has said that there is nothing, and nobody has told that there is more.
    is_drained: bool,
    fails_at_end: bool,
    fails_after_writes: Option<usize>,
}

/// What all parts know of each other, to find a broken rule when it is broken.
#[derive(Debug, Default)]
struct Watch {
    read: [Cell<usize>; 2],
    written: [Cell<usize>; 2],
    is_refused: [Cell<bool>; 2],
    now: Cell<u64>,
}

impl Watch {
    fn held(&self, direction: Direction) -> usize {
        self.read[direction as usize].get() - self.written[direction as usize].get()
    }
}

fn add(cell: &Cell<usize>, count: usize) {
    cell.set(cell.get() + count);
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::ClientToUpstream => Direction::UpstreamToClient,
        Direction::UpstreamToClient => Direction::ClientToUpstream,
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let direction = self.reads_as;
        assert!(
            !self.watch.is_refused[direction as usize].get(),
            "read while the sink refuses"
        );
        assert_eq!(self.watch.held(direction), 0, "read while bytes wait");
        if self.is_drained {
            return Poll::Pending;
        }
        let count = match self.reads.pop_front() {
            Some(Step::Wait) => {
                self.is_drained = true;
                return Poll::Pending;
            }
            Some(Step::Some(count)) => count,
            None => usize::MAX,
        };
        if self.to_read.is_empty() && self.fails_at_end {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let count = count.min(self.to_read.len()).min(buffer.remaining());
        assert!(buffer.capacity() <= READ_BYTES_MAX);
        let bytes: Vec<u8> = self.to_read.drain(..count).collect();
        buffer.put_slice(&bytes);
        add(&self.watch.read[direction as usize], count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.is_shut.get(), "written to after the FIN");
        match &mut self.fails_after_writes {
            Some(0) => {
                // It went with a reset: all that it had to say has come.
                self.reads.clear();
                self.is_drained = false;
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let count = match self.writes.pop_front() {
            Some(Step::Wait) => return Poll::Pending,
            Some(Step::Some(count)) => count.max(1).min(bytes.len()),
            None => bytes.len(),
        };
        self.written.borrow_mut().extend_from_slice(&bytes[..count]);
        add(&self.watch.written[opposite(self.reads_as) as usize], count);
        Poll::Ready(Ok(count))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(!self.is_shut.replace(true), "two FINs");
        Poll::Ready(Ok(()))
    }
}

impl Leg for Scripted {
    fn is_drained(&self) -> bool {
        self.is_drained
    }

    fn poll_reset(&mut self, _: &mut Context<'_>) -> Poll<io::Error> {
        Poll::Pending
    }
}

/// Records, and checks that the calls come in an order that makes sense.
#[derive(Debug)]
struct Checking {
    shown: [Vec<u8>; 2],
    is_finished: [bool; 2],
    last_at: Moment,
    watch: Rc<Watch>,
}

impl Checking {
    fn at(&mut self, at: Moment) {
        assert!(at >= self.last_at, "time went back");
        self.last_at = at;
    }
}

impl Tap for Checking {
    fn relayed(&mut self, direction: Direction, bytes: &[u8], at: Moment) {
        self.at(at);
        assert!(!bytes.is_empty() && !self.is_finished[direction as usize]);
        self.shown[direction as usize].extend_from_slice(bytes);
        let written = self.watch.written[direction as usize].get();
        assert_eq!(
            self.shown[direction as usize].len(),
            written,
            "shown what was accepted, no more and no less"
        );
    }
    fn refused(&mut self, direction: Direction, at: Moment) {
        self.at(at);
        assert!(self.watch.held(direction) > 0);
        assert!(!self.watch.is_refused[direction as usize].replace(true));
    }
    fn accepted(&mut self, direction: Direction, at: Moment) {
        self.at(at);
        assert_eq!(self.watch.held(direction), 0);
        assert!(self.watch.is_refused[direction as usize].replace(false));
    }
    fn finished(&mut self, direction: Direction, at: Moment) {
        self.at(at);
        assert_eq!(self.watch.held(direction), 0);
        assert!(!std::mem::replace(
            &mut self.is_finished[direction as usize],
            true
        ));
    }
    fn closed(&mut self, _: Moment) {
        panic!("the relay does not know when the connection is closed");
    }
    fn rest(&self) -> Rest {
        Rest::Unknown
    }
}

impl Meter for Watch {
    fn now(&self) -> Moment {
        self.now.set(self.now.get() + 1);
        Moment(self.now.get())
    }
    fn wrote(&self, _: Direction, _: usize) {}
    fn forwarded(&self, direction: Direction, read_at: Moment, at: Option<Moment>) {
        assert_eq!(self.held(direction), 0);
        assert!(at.is_none_or(|at| at > read_at));
    }
}

#[derive(Debug, Clone)]
struct Script {
    bytes: Vec<u8>,
    reads: Vec<Step>,
    writes: Vec<Step>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Wait),
        (1..100usize).prop_map(Step::Some),
        (1..100_000usize).prop_map(Step::Some),
    ];
    proptest::collection::vec(step, 0..30)
}

fn script() -> impl Strategy<Value = Script> {
    (0..300_000usize, any::<u8>(), steps(), steps()).prop_map(|(size, salt, reads, writes)| {
        Script {
            bytes: (0..size).map(|n| (n % 251) as u8 ^ salt).collect(),
            reads,
            writes,
        }
    })
}

struct Setup {
    relay: Relay<Scripted, Scripted>,
    tap: Checking,
    watch: Rc<Watch>,
    /// What client and upstream were given.
    written: [Rc<RefCell<Vec<u8>>>; 2],
    is_shut: [Rc<Cell<bool>>; 2],
}

fn setup(client: &Script, upstream: &Script) -> Setup {
    let watch = Rc::new(Watch::default());
    let written: [Rc<RefCell<Vec<u8>>>; 2] = Default::default();
    let is_shut: [Rc<Cell<bool>>; 2] = Default::default();
    let leg = |script: &Script, number: usize, reads_as| Scripted {
        reads_as,
        to_read: script.bytes.clone().into(),
        reads: script.reads.clone().into(),
        writes: script.writes.clone().into(),
        written: Rc::clone(&written[number]),
        is_shut: Rc::clone(&is_shut[number]),
        watch: Rc::clone(&watch),
        is_drained: false,
        fails_at_end: false,
        fails_after_writes: None,
    };
    Setup {
        relay: Relay::new(
            leg(client, 0, Direction::ClientToUpstream),
            leg(upstream, 1, Direction::UpstreamToClient),
        ),
        tap: Checking {
            shown: Default::default(),
            is_finished: Default::default(),
            last_at: Moment::default(),
            watch: Rc::clone(&watch),
        },
        watch,
        written,
        is_shut,
    }
}

impl Setup {
    fn run(&mut self) -> End {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            let polled = self.relay.poll(&mut cx, &mut self.tap, &*self.watch);
            for direction in [Direction::ClientToUpstream, Direction::UpstreamToClient] {
                assert!(self.watch.held(direction) <= READ_BYTES_MAX);
            }
            if let Poll::Ready(end) = polled {
                return end;
            }
            self.relay.client.is_drained = false;
            self.relay.upstream.is_drained = false;
        }
        panic!("it does not end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_script_gives_the_same_bytes(client in script(), upstream in script()) {
        let mut setup = setup(&client, &upstream);
        let is_finished = matches!(setup.run(), End::Finished { .. });
        prop_assert!(is_finished);
        prop_assert!(*setup.written[1].borrow() == client.bytes);
        prop_assert!(*setup.written[0].borrow() == upstream.bytes);
        prop_assert!(setup.tap.shown == [client.bytes, upstream.bytes]);
        prop_assert!(setup.is_shut.iter().all(|is_shut| is_shut.get()));
        prop_assert!(!setup.relay.holds_bytes());
        prop_assert_eq!(setup.tap.is_finished, [true, true]);
    }

    #[test]
    fn a_source_that_fails_ends_it_and_is_named(client in script(), upstream in script(), is_client: bool) {
        let mut setup = setup(&client, &upstream);
        let failing = if is_client { &mut setup.relay.client } else { &mut setup.relay.upstream };
        failing.fails_at_end = true;
        match setup.run() {
            End::Lost { side, error } => {
                prop_assert_eq!(side == Side::Client, is_client);
                prop_assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            }
            End::Finished { .. } => prop_assert!(false, "it has failed"),
        }
        prop_assert!(client.bytes.starts_with(&setup.tap.shown[0]));
        prop_assert!(upstream.bytes.starts_with(&setup.tap.shown[1]));
    }

    #[test]
    fn a_sink_that_fails_is_still_heard(client in script(), upstream in script(), writes in 0..5usize, is_client: bool) {
        let (to_failing, said) = if is_client { (&upstream, &client) } else { (&client, &upstream) };
        prop_assume!(to_failing.bytes.len() > 1000);
        let mut setup = setup(&client, &upstream);
        let failing = if is_client { &mut setup.relay.client } else { &mut setup.relay.upstream };
        // It takes no more; what it had sent by then reaches the other, unless that one ended before.
        failing.fails_after_writes = Some(writes);
        failing.fails_at_end = true;
        match setup.run() {
            End::Lost { side, .. } => prop_assert_eq!(side == Side::Client, is_client),
            End::Finished { .. } => prop_assert!(false, "it has failed"),
        }
        let heard = setup.written[usize::from(is_client)].borrow();
        prop_assert!(*heard == said.bytes, "{} of {}", heard.len(), said.bytes.len());
    }
}
