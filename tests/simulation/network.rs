//! Two connections of a proxy, in memory: what is sent arrives later and in pieces, a peer that does not read fills
//! its buffer, FIN and RST take their time.
//!
//! The proxy's ends are [`Socket`]s, which keep what tokio's sockets promise a relay: a short read means that nothing
//! more has arrived, a short write that nothing more fits, and whoever was told to wait is woken when that changes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use pgprism::proxy::relay::Leg;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::random::Random;

/// One of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Client,
    Upstream,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Client => Side::Upstream,
            Side::Upstream => Side::Client,
        }
    }
}

/// Which way on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    ToProxy,
    ToPeer,
}

/// What the network does by itself, later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Happening {
    /// Bytes, or the FIN behind them, move on.
    Tick(Side, Way),
    /// A reset reaches its end.
    Reset(Side, Way),
    /// The peer's kernel has room again.
    Room(Side),
    /// What a shutdown still had to do is done.
    Shutdown(Side),
}

/// How a proxy could be broken, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    DropsAByte,
    RepeatsAByte,
    SwapsBytes,
    ForgetsFin,
    InventsFin,
    ForgetsReaders,
    ForgetsWriters,
    SwallowsReset,
}

/// One way of one connection.
#[derive(Debug, Default)]
struct Pipe {
    /// Taken by the sender's kernel, not yet arrived.
    flight: VecDeque<u8>,
    /// Arrived, not yet read.
    inbox: VecDeque<u8>,
    capacity: usize,
    /// Bytes of one step at most.
    step_max: usize,
    is_moving: bool,
    stalled_until: u64,
    fin: Mark,
    reset: Mark,
}

/// How far a FIN or a reset has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mark {
    #[default]
    Not,
    Sent,
    Arrived,
}

impl Pipe {
    fn room(&self) -> usize {
        self.capacity
            .saturating_sub(self.flight.len() + self.inbox.len())
    }
}

#[derive(Debug, Default)]
struct Connection {
    to_proxy: Pipe,
    to_peer: Pipe,
    /// The peer's program has closed its socket: what comes now is answered by a reset.
    peer_is_gone: bool,
    proxy_is_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    waiter_for_reset: Option<Waker>,
    shutdown: Shutdown,
}

#[derive(Debug, Default)]
enum Shutdown {
    #[default]
    Not,
    Going(Option<Waker>),
    Done,
}

/// What a peer finds when it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Bytes,
    Nothing,
    Fin,
    Reset,
}

/// Both connections, and the record of what went over them.
#[derive(Debug)]
pub(crate) struct Network {
    connections: [Connection; 2],
    random: Random,
    pub(crate) now: u64,
    delay_max: u64,
    is_healed: bool,
    /// What is to happen, when; the world takes it over.
    pub(crate) agenda: Vec<(u64, Happening)>,
    /// What each peer has sent, and what the proxy has read of it and written on.
    pub(crate) sent: [Vec<u8>; 2],
    pub(crate) read_bytes: [usize; 2],
    pub(crate) written: [Vec<u8>; 2],
    /// Some socket was reset, or lost bytes because its reader was gone.
    pub(crate) was_reset: bool,
    /// The first rule that was broken.
    pub(crate) violation: Option<String>,
    sabotage: Option<(Sabotage, Side, usize)>,
    /// Polls of the proxy since something last moved.
    pub(crate) idle_polls: u32,
}

impl Network {
    pub(crate) fn new(mut random: Random, sabotage: Option<Sabotage>) -> Rc<RefCell<Network>> {
        let sabotage = sabotage.map(|kind| {
            let side = random.pick(&[Side::Client, Side::Upstream]);
            (kind, side, random.size(0, 300))
        });
        let mut network = Network {
            connections: Default::default(),
            now: 0,
            delay_max: random.pick(&[1, 1_000, 100_000, 5_000_000]),
            random,
            is_healed: false,
            agenda: Vec::new(),
            sent: Default::default(),
            read_bytes: [0; 2],
            written: Default::default(),
            was_reset: false,
            violation: None,
            sabotage,
            idle_polls: 0,
        };
        for side in [Side::Client, Side::Upstream] {
            for way in [Way::ToProxy, Way::ToPeer] {
                let capacity = network
                    .random
                    .pick(&[1, 7, 64, 1500, 65_536, 200_000, 1 << 20]);
                let step_max = network.random.pick(&[1, 3, 50, 1500, 70_000, usize::MAX]);
                let pipe = network.pipe(side, way);
                pipe.capacity = capacity;
                pipe.step_max = step_max;
            }
        }
        Rc::new(RefCell::new(network))
    }

    /// For bulk: every byte alone would take for ever.
    pub(crate) fn widen(&mut self) {
        for side in [Side::Client, Side::Upstream] {
            for way in [Way::ToProxy, Way::ToPeer] {
                let pipe = self.pipe(side, way);
                pipe.capacity = pipe.capacity.max(1500);
                pipe.step_max = pipe.step_max.max(700);
            }
        }
    }

    /// Nothing fails or stalls from now on.
    pub(crate) fn heal(&mut self) {
        self.is_healed = true;
        self.delay_max = self.delay_max.min(1_000);
        for side in [Side::Client, Side::Upstream] {
            for way in [Way::ToProxy, Way::ToPeer] {
                let pipe = self.pipe(side, way);
                pipe.stalled_until = 0;
                pipe.capacity = pipe.capacity.max(65_536);
                pipe.step_max = pipe.step_max.max(65_536);
                self.set_moving(side, way);
            }
            self.wake_writer(side);
        }
    }

    pub(crate) fn stall(&mut self, side: Side, way: Way, until: u64) {
        if !self.is_healed {
            self.pipe(side, way).stalled_until = until;
        }
    }

    fn connection(&mut self, side: Side) -> &mut Connection {
        &mut self.connections[side as usize]
    }

    fn pipe(&mut self, side: Side, way: Way) -> &mut Pipe {
        let connection = self.connection(side);
        match way {
            Way::ToProxy => &mut connection.to_proxy,
            Way::ToPeer => &mut connection.to_peer,
        }
    }

    fn later(&mut self, happening: Happening) {
        let delay_max = self.delay_max;
        let at = self.now + self.random.between(0, delay_max + 1);
        self.agenda.push((at, happening));
    }

    fn set_moving(&mut self, side: Side, way: Way) {
        let pipe = self.pipe(side, way);
        let has_work = !pipe.flight.is_empty() || pipe.fin == Mark::Sent;
        if has_work && !pipe.is_moving {
            pipe.is_moving = true;
            self.later(Happening::Tick(side, way));
        }
    }

    fn wake_reader(&mut self, side: Side) {
        if self.is_sabotaged(Sabotage::ForgetsReaders, side) {
            return;
        }
        if let Some(waker) = self.connection(side).reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self, side: Side) {
        if self.is_sabotaged(Sabotage::ForgetsWriters, side) {
            return;
        }
        if let Some(waker) = self.connection(side).writer.take() {
            waker.wake();
        }
    }

    fn is_sabotaged(&self, kind: Sabotage, side: Side) -> bool {
        let moved = self.sent[side as usize].len();
        matches!(self.sabotage, Some((this, on, from)) if this == kind && on == side && moved >= from)
    }

    fn violate(&mut self, what: impl FnOnce() -> String) {
        self.violation.get_or_insert_with(what);
    }

    /// Does what was on the agenda; true when the peer has something to look at.
    pub(crate) fn happen(&mut self, happening: Happening) -> bool {
        match happening {
            Happening::Tick(side, way) => self.tick(side, way),
            Happening::Room(_) => true,
            Happening::Reset(side, Way::ToPeer) => {
                self.pipe(side, Way::ToPeer).reset = Mark::Arrived;
                true
            }
            Happening::Reset(side, Way::ToProxy) => {
                if self.is_sabotaged(Sabotage::SwallowsReset, side) {
                    return false;
                }
                // Linux lets what had arrived be read, others do not.
                let keeps = self.random.chance(50);
                let connection = self.connection(side);
                connection.to_proxy.reset = Mark::Arrived;
                connection.to_proxy.flight.clear();
                if !keeps {
                    connection.to_proxy.inbox.clear();
                }
                if let Some(waker) = connection.waiter_for_reset.take() {
                    waker.wake();
                }
                self.wake_reader(side);
                self.wake_writer(side);
                false
            }
            Happening::Shutdown(side) => {
                let connection = self.connection(side);
                let was = std::mem::replace(&mut connection.shutdown, Shutdown::Done);
                if !matches!(connection.to_peer.fin, Mark::Not) {
                    return false;
                }
                connection.to_peer.fin = Mark::Sent;
                if let Shutdown::Going(Some(waker)) = was {
                    waker.wake();
                }
                self.set_moving(side, Way::ToPeer);
                false
            }
        }
    }

    fn tick(&mut self, side: Side, way: Way) -> bool {
        let now = self.now;
        let stalled_until = self.pipe(side, way).stalled_until;
        if stalled_until > now && !self.is_healed {
            self.agenda
                .push((stalled_until, Happening::Tick(side, way)));
            return false;
        }
        let step_max = self.pipe(side, way).step_max;
        let most = self.pipe(side, way).flight.len().min(step_max);
        let count = if self.is_healed || self.random.chance(30) {
            most
        } else {
            self.random.size(0, most) + usize::from(most > 0)
        };
        let is_gone = match way {
            Way::ToPeer => self.connection(side).peer_is_gone,
            Way::ToProxy => self.connection(side).proxy_is_gone,
        };
        let pipe = self.pipe(side, way);
        let bytes = pipe.flight.drain(..count);
        if is_gone {
            drop(bytes);
        } else {
            pipe.inbox.extend(bytes);
        }
        if pipe.flight.is_empty() && pipe.fin == Mark::Sent {
            pipe.fin = Mark::Arrived;
        }
        pipe.is_moving = false;
        self.set_moving(side, way);
        if is_gone && count > 0 {
            self.was_reset = true;
            let back = match way {
                Way::ToPeer => Way::ToProxy,
                Way::ToProxy => Way::ToPeer,
            };
            self.send_reset(side, back);
        }
        match way {
            Way::ToProxy => {
                self.wake_reader(side);
                is_gone
            }
            Way::ToPeer => {
                if is_gone {
                    self.wake_writer(side);
                }
                true
            }
        }
    }

    fn send_reset(&mut self, side: Side, way: Way) {
        let pipe = self.pipe(side, way);
        if pipe.reset == Mark::Not {
            pipe.reset = Mark::Sent;
            self.later(Happening::Reset(side, way));
        }
    }

    // ---- the peers' ends ----

    /// What the peer's kernel takes of `bytes`; 0 when it is full, all when nobody will read it.
    pub(crate) fn peer_writes(&mut self, side: Side, bytes: &[u8]) -> usize {
        let pipe = self.pipe(side, Way::ToProxy);
        let count = pipe.room().min(bytes.len());
        pipe.flight.extend(&bytes[..count]);
        self.sent[side as usize].extend_from_slice(&bytes[..count]);
        self.set_moving(side, Way::ToProxy);
        count
    }

    /// Reads at most `most` bytes.
    pub(crate) fn peer_reads(&mut self, side: Side, most: usize, into: &mut Vec<u8>) -> Found {
        let pipe = self.pipe(side, Way::ToPeer);
        let count = pipe.inbox.len().min(most);
        into.extend(pipe.inbox.drain(..count));
        let found = match (count, pipe.reset, pipe.fin) {
            (1.., ..) => Found::Bytes,
            (0, Mark::Arrived, _) => Found::Reset,
            (0, _, Mark::Arrived) if pipe.inbox.is_empty() => Found::Fin,
            (0, ..) => Found::Nothing,
        };
        if count > 0 {
            self.wake_writer(side);
        }
        found
    }

    pub(crate) fn peer_has_more(&mut self, side: Side) -> bool {
        !self.pipe(side, Way::ToPeer).inbox.is_empty()
    }

    pub(crate) fn peer_finishes(&mut self, side: Side) {
        let pipe = self.pipe(side, Way::ToProxy);
        if pipe.fin == Mark::Not {
            pipe.fin = Mark::Sent;
            self.set_moving(side, Way::ToProxy);
        }
    }

    /// The peer's program closes its socket: FIN, or a reset if it leaves something unread.
    pub(crate) fn peer_closes(&mut self, side: Side) {
        if std::mem::replace(&mut self.connection(side).peer_is_gone, true) {
            return;
        }
        if self.peer_has_more(side) {
            return self.peer_resets(side);
        }
        self.peer_finishes(side);
    }

    pub(crate) fn peer_resets(&mut self, side: Side) {
        self.connection(side).peer_is_gone = true;
        self.was_reset = true;
        self.send_reset(side, Way::ToProxy);
    }

    // ---- the proxy's ends ----

    fn closed_by_proxy(&mut self, side: Side) {
        if std::mem::replace(&mut self.connection(side).proxy_is_gone, true) {
            return;
        }
        if !self.pipe(side, Way::ToProxy).inbox.is_empty() {
            self.was_reset = true;
            return self.send_reset(side, Way::ToPeer);
        }
        let pipe = self.pipe(side, Way::ToPeer);
        if pipe.fin == Mark::Not {
            pipe.fin = Mark::Sent;
            self.set_moving(side, Way::ToPeer);
        }
    }

    fn reset_by_proxy(&mut self, side: Side) {
        self.connection(side).proxy_is_gone = true;
        self.send_reset(side, Way::ToPeer);
    }

    fn proxy_reads(
        &mut self,
        side: Side,
        buffer: &mut ReadBuf<'_>,
        waker: &Waker,
    ) -> Poll<io::Result<()>> {
        let index = side as usize;
        let pipe = self.pipe(side, Way::ToProxy);
        let count = pipe.inbox.len().min(buffer.remaining());
        if count == 0 {
            return match (pipe.reset, pipe.fin) {
                (Mark::Arrived, _) => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
                (_, Mark::Arrived) => Poll::Ready(Ok(())),
                _ => {
                    self.connection(side).reader = Some(waker.clone());
                    Poll::Pending
                }
            };
        }
        let mut bytes: Vec<u8> = pipe.inbox.drain(..count).collect();
        self.tamper(side, &mut bytes);
        let read_bytes = self.read_bytes[index] + bytes.len();
        self.read_bytes[index] = read_bytes;
        self.idle_polls = 0;
        self.later(Happening::Room(side));
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }

    /// What a broken proxy would make of what it read.
    fn tamper(&mut self, side: Side, bytes: &mut Vec<u8>) {
        let Some((kind, on, from)) = self.sabotage else {
            return;
        };
        if on != side || self.read_bytes[side as usize] < from {
            return;
        }
        let is_done = match kind {
            Sabotage::DropsAByte => bytes.pop().is_some(),
            Sabotage::RepeatsAByte if bytes.len() < 60_000 => {
                bytes.push(bytes[bytes.len() - 1]);
                true
            }
            Sabotage::SwapsBytes => match (1..bytes.len()).find(|at| bytes[*at] != bytes[at - 1]) {
                Some(at) => {
                    bytes.swap(at, at - 1);
                    true
                }
                None => false,
            },
            _ => false,
        };
        if is_done {
            self.sabotage = None;
        }
    }

    fn proxy_writes(&mut self, side: Side, bytes: &[u8], waker: &Waker) -> Poll<io::Result<usize>> {
        let from = side.other();
        let pipe = self.pipe(side, Way::ToPeer);
        if pipe.fin != Mark::Not {
            self.violate(|| format!("written to the {side:?} after its FIN"));
        }
        if self.pipe(side, Way::ToProxy).reset == Mark::Arrived {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let count = self.pipe(side, Way::ToPeer).room().min(bytes.len());
        if count == 0 {
            self.connection(side).writer = Some(waker.clone());
            return Poll::Pending;
        }
        let bytes = &bytes[..count];
        let written = &mut self.written[from as usize];
        let start = written.len();
        written.extend_from_slice(bytes);
        if self.sent[from as usize].get(start..start + count) != Some(bytes) {
            self.violate(|| {
                format!(
                    "other bytes for the {side:?}, somewhere in {start}..{}",
                    start + count
                )
            });
        }
        self.pipe(side, Way::ToPeer).flight.extend(bytes);
        self.idle_polls = 0;
        self.set_moving(side, Way::ToPeer);
        Poll::Ready(Ok(count))
    }

    fn proxy_finishes(&mut self, side: Side, waker: &Waker) -> Poll<io::Result<()>> {
        self.idle_polls = 0;
        if self.is_sabotaged(Sabotage::ForgetsFin, side) {
            return Poll::Ready(Ok(()));
        }
        if self.pipe(side.other(), Way::ToProxy).fin != Mark::Arrived {
            self.violate(|| format!("a FIN for the {side:?} that nobody sent"));
        }
        if self.pipe(side, Way::ToProxy).reset == Mark::Arrived {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        }
        let is_slow = self.random.chance(20);
        match &mut self.connection(side).shutdown {
            Shutdown::Done => Poll::Ready(Ok(())),
            Shutdown::Going(waiting) => {
                *waiting = Some(waker.clone());
                Poll::Pending
            }
            Shutdown::Not if is_slow => {
                // As a TLS leg, whose last words may have to wait.
                self.connection(side).shutdown = Shutdown::Going(Some(waker.clone()));
                self.later(Happening::Shutdown(side));
                Poll::Pending
            }
            Shutdown::Not => {
                self.happen(Happening::Shutdown(side));
                Poll::Ready(Ok(()))
            }
        }
    }

    fn proxy_waits_for_reset(&mut self, side: Side, waker: &Waker) -> Poll<io::Error> {
        if self.pipe(side, Way::ToProxy).reset == Mark::Arrived {
            return Poll::Ready(ErrorKind::ConnectionReset.into());
        }
        self.connection(side).waiter_for_reset = Some(waker.clone());
        Poll::Pending
    }

    /// Whether the proxy has been told that this side's connection failed.
    pub(crate) fn has_failed(&self, side: Side) -> bool {
        self.connections[side as usize].to_proxy.reset == Mark::Arrived
    }

    /// Whether a FIN is to be invented now.
    fn invents_fin(&self, side: Side) -> bool {
        self.is_sabotaged(Sabotage::InventsFin, side) && self.read_bytes[side as usize] > 0
    }
}

/// The proxy's end of one connection.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) side: Side,
    pub(crate) network: Rc<RefCell<Network>>,
}

impl Socket {
    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.network.borrow_mut().reset_by_proxy(self.side);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.network.borrow_mut().closed_by_proxy(self.side);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut network = self.network.borrow_mut();
        if network.invents_fin(self.side) {
            return Poll::Ready(Ok(()));
        }
        network.proxy_reads(self.side, buffer, cx.waker())
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.network
            .borrow_mut()
            .proxy_writes(self.side, bytes, cx.waker())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network
            .borrow_mut()
            .proxy_finishes(self.side, cx.waker())
    }
}

impl Leg for Socket {
    fn is_drained(&self) -> bool {
        false
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.network
            .borrow_mut()
            .proxy_waits_for_reset(self.side, cx.waker())
    }
}
