//! The thread that carries lengthened connections: it reads at once and writes when the time has come.
//!
//! *Architecture invariant:* it waits in one place, for sockets, for its alarm and for new connections.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::Socket;

use super::alarm::Alarm;
use super::way::{Delivered, Filled, WAY_BYTES_MIN, Way};
use crate::clock::Clock;
use crate::event::Moment;

/// Sockets that one look at the kernel can tell of.
const EVENTS_MAX: usize = 256;

/// A thread that runs later than this is one of too many; that is not made up for.
const LATE_NS_MAX: u64 = 100_000;

/// Says that there are new connections.
const ORDERS: Token = Token(usize::MAX);
/// Says that something is due.
const ALARM: Token = Token(usize::MAX - 1);

/// How to reach the thread.
#[derive(Debug)]
pub(super) struct Line {
    orders: mpsc::Sender<Connection>,
    waker: mio::Waker,
    thread: JoinHandle<()>,
}

/// Two sockets, and what is under way between them: `ways[0]` leads from `ends[0]` to `ends[1]`.
#[derive(Debug)]
struct Connection {
    ends: [Socket; 2],
    ways: [Way; 2],
}

impl Line {
    pub(super) fn start() -> io::Result<Line> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), ORDERS)?;
        let (orders, inbox) = mpsc::channel();
        let (tell, is_ready) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("pgprism-delay".to_owned())
            .spawn(move || {
                // Made here: how exact it is, is a property of the thread.
                let alarm = match Alarm::new(poll.registry(), ALARM) {
                    Ok(alarm) => alarm,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                let _ = tell.send(Ok(()));
                Carrier::new(poll, alarm, inbox).run();
            })?;
        is_ready
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread ended at once")))?;
        Ok(Line {
            orders,
            waker,
            thread,
        })
    }

    pub(super) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Carries between two sockets until both have ended.
    pub(super) fn carry(&self, ends: [Socket; 2], one_way: Duration) -> io::Result<()> {
        let one_way_ns = u64::try_from(one_way.as_nanos()).unwrap_or(u64::MAX);
        let ways = [Way::new(one_way_ns), Way::new(one_way_ns)];
        self.orders
            .send(Connection { ends, ways })
            .map_err(|_| io::Error::other("the thread that delays has ended"))?;
        self.waker.wake()
    }
}

struct Carrier {
    poll: Poll,
    alarm: Alarm,
    clock: Clock,
    inbox: mpsc::Receiver<Connection>,
    connections: Slab<Connection>,
    /// When the next parcel of a way is due; of each at most once, but for those that are gone.
    due: BinaryHeap<Reverse<(Moment, usize)>>,
    /// Ways that had more to read.
    yielded: Vec<usize>,
    /// When the alarm should ring.
    alarm_at: Option<Moment>,
    /// How late this thread comes to run, on a running average, nanoseconds.
    late_ns: u64,
    /// What all ways hold.
    held: usize,
    scratch: Box<[u8]>,
}

/// The way that begins at one end of a slot's connection: its number, which is its socket's token too.
fn number(slot: usize, end: usize) -> usize {
    slot << 1 | end
}

fn slot_and_end(number: usize) -> (usize, usize) {
    (number >> 1, number & 1)
}

impl Carrier {
    fn new(poll: Poll, alarm: Alarm, inbox: mpsc::Receiver<Connection>) -> Carrier {
        Carrier {
            poll,
            alarm,
            clock: Clock::start(),
            inbox,
            connections: Slab::new(),
            due: BinaryHeap::new(),
            yielded: Vec::new(),
            alarm_at: None,
            late_ns: 0,
            held: 0,
            scratch: vec![0; WAY_BYTES_MIN].into_boxed_slice(),
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let wait = self.wait();
            match wait.and_then(|wait| self.poll.poll(&mut events, wait)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "the thread that delays cannot wait for its sockets");
                    return;
                }
            }
            let mut has_orders = false;
            for event in &events {
                match event.token() {
                    ORDERS => has_orders = true,
                    ALARM => self.learn(),
                    _ => self.hear(event),
                }
            }
            self.deliver_due();
            for way in std::mem::take(&mut self.yielded) {
                self.fill(way);
            }
            // Last: a slot that has become free must not be another connection's while there are events for it.
            if has_orders {
                self.take_new();
            }
        }
    }

    /// How long the poll may wait, with the alarm set for what is due next.
    fn wait(&mut self) -> io::Result<Option<Duration>> {
        if !self.yielded.is_empty() {
            return Ok(Some(Duration::ZERO));
        }
        match self.due.peek() {
            None => Ok(None),
            Some(Reverse((due, _))) => {
                let now = self.clock.now();
                // Woken a little early, it looks at its sockets without waiting until the time has come.
                let left = due.since(now).saturating_sub(self.late_ns * 3 / 2);
                if left == 0 {
                    return Ok(Some(Duration::ZERO));
                }
                self.alarm_at = Some(Moment(now.0 + left));
                self.alarm.set(Duration::from_nanos(left))
            }
        }
    }

    /// The alarm has rung: how late, says how late everything else is that wakes this thread.
    fn learn(&mut self) {
        if let Some(asked) = self.alarm_at.take() {
            let late = self.clock.now().since(asked).min(LATE_NS_MAX);
            self.late_ns = (self.late_ns * 7 + late) / 8;
        }
    }

    fn take_new(&mut self) {
        while let Ok(connection) = self.inbox.try_recv() {
            let slot = self.connections.insert(connection);
            let registered = [0, 1].into_iter().try_for_each(|end| {
                let Some(connection) = self.connections.get(slot) else {
                    return Ok(());
                };
                let [near, far] = &connection.ends;
                let socket = if end == 0 { near } else { far };
                self.poll.registry().register(
                    &mut SourceFd(&socket.as_raw_fd()),
                    Token(number(slot, end)),
                    Interest::READABLE | Interest::WRITABLE,
                )
            });
            if let Err(error) = registered {
                tracing::warn!(%error, "a connection was lost: the kernel does not tell of it");
                self.remove(slot);
                continue;
            }
            self.fill(number(slot, 0));
            self.fill(number(slot, 1));
        }
    }

    fn hear(&mut self, event: &Event) {
        let token = event.token().0;
        let (slot, end) = slot_and_end(token);
        let now = self.clock.now();
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let [near, far] = &mut connection.ways;
        let (from, to) = if end == 0 { (near, far) } else { (far, near) };
        if event.is_read_closed() || event.is_error() {
            from.ending();
        } else if event.is_readable() {
            from.readable();
        }
        if event.is_writable() || event.is_write_closed() {
            to.writable();
        }
        self.fill(token);
        if event.is_error() {
            self.note_loss(token, now);
        }
        // What the sink has taken makes room.
        self.deliver(number(slot, 1 - end));
        self.fill(number(slot, 1 - end));
    }

    /// A reset that no read will tell of: the way is full, or has had its FIN.
    fn note_loss(&mut self, way: usize, now: Moment) {
        let (slot, end) = slot_and_end(way);
        let Some(Connection { ends, ways }) = self.connections.get_mut(slot) else {
            return;
        };
        let ([near, far], [out, back]) = (ends, ways);
        let (socket, way_out) = if end == 0 { (near, out) } else { (far, back) };
        if !matches!(socket.take_error(), Ok(None)) {
            way_out.source_lost(now);
            self.deliver(way);
        }
    }

    /// Reads what came at the beginning of a way.
    fn fill(&mut self, way: usize) {
        let (slot, end) = slot_and_end(way);
        let Some(Connection { ends, ways }) = self.connections.get_mut(slot) else {
            return;
        };
        let ([near, far], [out, back]) = (ends, ways);
        let (source, its) = if end == 0 { (near, out) } else { (far, back) };
        let (clock, late_ns) = (self.clock, self.late_ns);
        // What is read now came a little earlier.
        let arrived_at = || Moment(clock.now().0.saturating_sub(late_ns));
        let filled = its.fill(source, &mut self.scratch, &mut self.held, arrived_at);
        if filled == Filled::Yielded {
            self.yielded.push(way);
        }
        self.deliver(way);
    }

    fn deliver_due(&mut self) {
        let now = self.clock.now();
        while let Some(Reverse((due, way))) = self.due.peek().copied() {
            if due > now {
                return;
            }
            self.due.pop();
            let (slot, end) = slot_and_end(way);
            if let Some(connection) = self.connections.get_mut(slot) {
                let [out, back] = &mut connection.ways;
                let its = if end == 0 { out } else { back };
                its.is_announced = false;
                // Where there was no room there may be now.
                self.deliver(way);
                self.fill(way);
            }
        }
    }

    /// Writes what is due at the end of a way, and sees what becomes of its connection.
    fn deliver(&mut self, way: usize) {
        let (slot, end) = slot_and_end(way);
        let now = self.clock.now();
        let Some(Connection { ends, ways }) = self.connections.get_mut(slot) else {
            return;
        };
        let ([near, far], [out, back]) = (ends, ways);
        let (near, far) = (&*near, &*far);
        let (sink, its, other) = if end == 0 {
            (far, out, back)
        } else {
            (near, back, out)
        };
        match its.deliver(sink, &mut self.held, now) {
            Delivered::Until(due) => {
                if let Some(due) = due
                    && !its.is_announced
                {
                    its.is_announced = true;
                    self.due.push(Reverse((due, way)));
                }
                if its.is_over() && other.is_over() {
                    self.remove(slot);
                }
            }
            Delivered::SinkGone => {
                other.source_lost(now);
                self.deliver(number(slot, 1 - end));
            }
            Delivered::Reset => {
                for socket in [near, far] {
                    // An error says that it is dead already, or a Unix one, which knows no reset.
                    let _ = socket.set_linger(Some(Duration::ZERO));
                }
                self.remove(slot);
            }
        }
    }

    /// Closes both ends; the kernel forgets what it was to tell of them.
    fn remove(&mut self, slot: usize) {
        if let Some(connection) = self.connections.try_remove(slot) {
            self.held -= connection.ways.iter().map(Way::held).sum::<usize>();
        }
    }
}
