//! Moves the bytes of one connection, both ways, one step at a time.
//!
//! *Architecture invariants:* an idle relay holds no buffer: it reads into its thread's one scratch buffer and keeps
//! only what the sink refuses, at most as much as one read. A direction whose sink refuses does not read, so
//! back-pressure is the kernel's. It writes first and shows the bytes to the tap afterwards. It knows bytes and a
//! [`Tap`], no protocol.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::event::{Direction, Moment, Tap};

/// Bytes of one read at most, and so what one direction may have to keep.
///
/// 64 KiB moves a large result in three quarters of the time that 8 KiB need.
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// Reads of one direction in a row before the other direction, and then other connections, get their turn.
const READS_IN_A_ROW_MAX: u32 = 4;

thread_local! {
    /// Borrowed only inside [`Relay::step`], which does not give the thread to another task meanwhile.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES_MAX].into_boxed_slice());
}

/// One side's socket.
///
/// A read shorter than the buffer must mean that the source is drained, and its `poll_read` must remember that; a
/// short write likewise. Tokio's sockets do both, which saves the system calls that would only say EAGAIN. Once a write
/// has failed, though, a read must ask: what the peer said before it went may have come since.
/// What it took to write may wait inside of it until `poll_flush` is ready.
pub trait Leg: AsyncRead + AsyncWrite + Unpin {
    /// Whether it is known, without asking anybody, that a read gives nothing now, and that somebody will tell when
    /// that changes.
    fn is_drained(&self) -> bool;
    /// While nothing is read from it: whether the peer has reset the connection.
    ///
    /// Otherwise a client that sends much and is then reset would keep its upstream busy for as long as that
    /// upstream does not read.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error>;
}

/// The relay's clock, and whoever counts what it moved.
pub trait Meter {
    /// The present: read once for each read.
    fn now(&self) -> Moment;
    /// The sink of `direction` took `bytes` bytes.
    fn wrote(&self, direction: Direction, bytes: usize);
    /// The sink of `direction` has now taken all of what was read at `read_at`; `at` where the time is known again.
    fn forwarded(&self, direction: Direction, read_at: Moment, at: Option<Moment>);
}

/// One of the two peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who connected to us.
    Client,
    /// Whom we connected to.
    Upstream,
}

/// How a relay ended.
#[derive(Debug)]
pub enum End {
    /// Both peers sent FIN and both FINs were passed on.
    Finished {
        /// Who sent it first.
        first: Side,
    },
    /// A socket failed: reset, timed out, or closed while it was written to.
    Lost {
        /// Whose socket.
        side: Side,
        /// What the system said.
        error: io::Error,
    },
}

/// What came of one step of a relay.
#[derive(Debug)]
pub enum Step {
    /// Both directions wait for their sockets.
    Waiting,
    /// There is more to do, but others come first.
    Yielded,
    /// The connection is over. In a box: nearly every step ends otherwise, and is told by one whole word then, which can be
    /// read as soon as it is written.
    Ended(Box<End>),
}

/// Both sockets of a connection and what waits between them.
#[derive(Debug)]
pub struct Relay<C, U> {
    /// Who connected to us.
    pub client: C,
    /// Whom we connected to.
    pub upstream: U,
    to_upstream: Flow,
    to_client: Flow,
    last_read_at: Moment,
    /// Who sent FIN first, when one was read.
    pub(super) first_fin: Option<Side>,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    phase: Phase,
    /// What the sink refused of the last read, from `spill_start` on. Given back as soon as it is drained.
    spill: Vec<u8>,
    spill_start: usize,
    /// The sink took bytes that it has not passed on: TLS, whose records wait for its socket.
    is_unflushed: bool,
    /// When the bytes in `spill`, or those that are not flushed, were read.
    spilled_at: Moment,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Open,
    /// The source sent FIN; it is passed on once the spill is drained.
    Finishing,
    /// The FIN was passed on.
    Finished,
    /// The sink failed. What its peer had still sent is read by the other direction, then the relay ends: a server
    /// that says why it closes and is written to meanwhile must still be heard.
    Broken(io::Error),
}

/// Why a direction stopped for now.
enum Pause {
    /// It waits for its source or its sink, whose waker is registered; or it has ended.
    Waiting,
    /// It has had its share, or something changed for the other direction: poll again soon.
    Yielded,
    /// Its source failed.
    Failed(io::Error),
}

fn lost(side: Side, error: io::Error) -> Step {
    Step::Ended(Box::new(End::Lost { side, error }))
}

/// Stands in a relay that has ended.
fn ended() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl<C: Leg, U: Leg> Relay<C, U> {
    /// A relay between two connected sockets that has moved nothing yet.
    pub fn new(client: C, upstream: U) -> Relay<C, U> {
        Relay {
            client,
            upstream,
            to_upstream: Flow::default(),
            to_client: Flow::default(),
            last_read_at: Moment::default(),
            first_fin: None,
        }
    }

    /// Bytes that the client sent before there was a relay: they go first, with the next step.
    pub fn sent_ahead(&mut self, bytes: Vec<u8>, at: Moment) {
        self.to_upstream.spill = bytes;
        self.to_upstream.spilled_at = at;
        self.last_read_at = at;
    }

    /// Moves what can be moved now; not to be called again once it has ended.
    pub fn step(&mut self, cx: &mut Context<'_>, tap: &mut impl Tap, meter: &impl Meter) -> Step {
        let up_rests = self.to_upstream.is_plain() && self.client.is_drained();
        let down_rests = self.to_client.is_plain() && self.upstream.is_drained();
        if up_rests && down_rests {
            return Step::Waiting;
        }
        let (up, down) = SCRATCH.with_borrow_mut(|scratch| {
            let mut turn = Turn {
                cx: &mut *cx,
                tap,
                meter,
                scratch,
                last_read_at: &mut self.last_read_at,
                first_fin: &mut self.first_fin,
            };
            let up = match up_rests {
                true => Pause::Waiting,
                false => turn.pump(
                    Direction::ClientToUpstream,
                    &mut self.client,
                    &mut self.upstream,
                    &mut self.to_upstream,
                ),
            };
            let down = match down_rests {
                true => Pause::Waiting,
                false => turn.pump(
                    Direction::UpstreamToClient,
                    &mut self.upstream,
                    &mut self.client,
                    &mut self.to_client,
                ),
            };
            (up, down)
        });
        if let (Pause::Waiting, Pause::Waiting, Phase::Open, Phase::Open) =
            (&up, &down, &self.to_upstream.phase, &self.to_client.phase)
        {
            return Step::Waiting;
        }
        self.unusual(up, down)
    }

    /// What follows of a step after which not both directions simply wait.
    #[cold]
    fn unusual(&mut self, up: Pause, down: Pause) -> Step {
        let up_waits = matches!(up, Pause::Waiting);
        let down_waits = matches!(down, Pause::Waiting);
        let up_rests = up_waits && !self.to_upstream.holds_bytes();
        let down_rests = down_waits && !self.to_client.holds_bytes();
        let yielded = matches!(up, Pause::Yielded) || matches!(down, Pause::Yielded);
        if let Pause::Failed(error) = up {
            return lost(Side::Client, error);
        }
        if let Pause::Failed(error) = down {
            return lost(Side::Upstream, error);
        }
        match (&mut self.to_upstream.phase, &mut self.to_client.phase) {
            (Phase::Finished, Phase::Finished) => {
                let first = self.first_fin.unwrap_or(Side::Client);
                return Step::Ended(Box::new(End::Finished { first }));
            }
            // Broken in an earlier step, so that the other direction has asked its source since.
            (Phase::Broken(error), _) if up_waits && down_rests => {
                return lost(Side::Upstream, std::mem::replace(error, ended()));
            }
            (_, Phase::Broken(error)) if down_waits && up_rests => {
                return lost(Side::Client, std::mem::replace(error, ended()));
            }
            _ => {}
        }
        match yielded {
            true => Step::Yielded,
            false => Step::Waiting,
        }
    }

    /// [`Relay::step`] for a task, which is woken when there is more to do. Ready when the connection is over.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        tap: &mut impl Tap,
        meter: &impl Meter,
    ) -> Poll<End> {
        match self.step(cx, tap, meter) {
            Step::Waiting => Poll::Pending,
            Step::Yielded => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Ended(end) => Poll::Ready(*end),
        }
    }

    /// Whether bytes wait for their sink, in either direction.
    pub fn holds_bytes(&self) -> bool {
        self.to_upstream.holds_bytes() || self.to_client.holds_bytes()
    }

    /// Whether the client can be sent something that no peer sent: no FIN went to it and no bytes wait for it.
    pub fn client_is_open(&self) -> bool {
        matches!(self.to_client.phase, Phase::Open) && !self.to_client.holds_bytes()
    }

    /// Whether a FIN went to the client.
    pub fn client_is_finished(&self) -> bool {
        matches!(self.to_client.phase, Phase::Finished)
    }

    /// When bytes were last read, in either direction.
    pub fn last_read_at(&self) -> Moment {
        self.last_read_at
    }
}

impl Flow {
    /// Nothing waits, nothing ends: what there is to do comes from the source.
    #[inline]
    fn is_plain(&self) -> bool {
        matches!(self.phase, Phase::Open) && !self.holds_bytes()
    }

    #[inline]
    fn holds_bytes(&self) -> bool {
        !self.spill.is_empty() || self.is_unflushed
    }
}

/// One call of [`Relay::step`].
struct Turn<'a, 'b, T, M> {
    cx: &'a mut Context<'b>,
    tap: &'a mut T,
    meter: &'a M,
    scratch: &'a mut [u8],
    last_read_at: &'a mut Moment,
    first_fin: &'a mut Option<Side>,
}

impl<T: Tap, M: Meter> Turn<'_, '_, T, M> {
    fn pump(
        &mut self,
        direction: Direction,
        source: &mut impl Leg,
        sink: &mut impl Leg,
        flow: &mut Flow,
    ) -> Pause {
        if flow.holds_bytes() && !self.drain(direction, sink, flow) {
            return self.wait_for_sink(source, flow);
        }
        for _ in 0..READS_IN_A_ROW_MAX {
            match flow.phase {
                Phase::Open => {}
                Phase::Finishing => {
                    // An error says that the sink is dead; the other direction, which reads it, says how.
                    let Poll::Ready(_) = Pin::new(&mut *sink).poll_shutdown(self.cx) else {
                        return Pause::Waiting;
                    };
                    flow.phase = Phase::Finished;
                    return Pause::Waiting;
                }
                Phase::Finished | Phase::Broken(_) => return Pause::Waiting,
            }
            let mut buffer = ReadBuf::new(self.scratch);
            match Pin::new(&mut *source).poll_read(self.cx, &mut buffer) {
                Poll::Pending => return Pause::Waiting,
                Poll::Ready(Err(error)) => return Pause::Failed(error),
                Poll::Ready(Ok(())) => {}
            }
            let count = buffer.filled().len();
            let read_at = self.meter.now();
            *self.last_read_at = read_at;
            if count == 0 {
                self.first_fin.get_or_insert(match direction {
                    Direction::ClientToUpstream => Side::Client,
                    Direction::UpstreamToClient => Side::Upstream,
                });
                self.tap.finished(direction, read_at);
                flow.phase = Phase::Finishing;
            } else if !self.forward(direction, count, read_at, sink, flow) {
                return self.wait_for_sink(source, flow);
            } else if source.is_drained() {
                return Pause::Waiting;
            }
        }
        Pause::Yielded
    }

    /// Writes the first `count` bytes of the scratch buffer; false when the sink has not taken them all.
    fn forward(
        &mut self,
        direction: Direction,
        count: usize,
        read_at: Moment,
        sink: &mut impl Leg,
        flow: &mut Flow,
    ) -> bool {
        let bytes = self.scratch.get(..count).unwrap_or_default();
        let written = write(self.cx, sink, bytes, flow);
        let (taken, left) = bytes.split_at_checked(written).unwrap_or((bytes, &[]));
        let is_all = written == count && flush(self.cx, sink, flow);
        self.meter.wrote(direction, written);
        if is_all {
            self.meter.forwarded(direction, read_at, None);
        }
        if written > 0 {
            self.tap.relayed(direction, taken, read_at);
        }
        if !is_all && matches!(flow.phase, Phase::Open) {
            flow.spill = left.to_vec();
            flow.spill_start = 0;
            flow.spilled_at = read_at;
            self.tap.refused(direction, read_at);
        }
        is_all
    }

    /// Writes what waits; false when the sink has not taken it all.
    fn drain(&mut self, direction: Direction, sink: &mut impl Leg, flow: &mut Flow) -> bool {
        let spill = std::mem::take(&mut flow.spill);
        let waiting = spill.get(flow.spill_start..).unwrap_or_default();
        let written = write(self.cx, sink, waiting, flow);
        let is_all = written == waiting.len() && flush(self.cx, sink, flow);
        if written > 0 || is_all {
            let at = self.meter.now();
            if written > 0 {
                self.meter.wrote(direction, written);
                let taken = waiting.get(..written).unwrap_or(waiting);
                self.tap.relayed(direction, taken, at);
            }
            if is_all {
                self.meter.forwarded(direction, flow.spilled_at, Some(at));
                self.tap.accepted(direction, at);
                return true;
            }
        }
        if matches!(flow.phase, Phase::Broken(_)) {
            flow.is_unflushed = false;
        } else if written < waiting.len() {
            flow.spill_start += written;
            flow.spill = spill;
        }
        false
    }

    /// What a direction does whose sink does not take its bytes: nothing, but it hears of its source's reset.
    fn wait_for_sink(&mut self, source: &mut impl Leg, flow: &Flow) -> Pause {
        match flow.phase {
            Phase::Broken(_) => Pause::Yielded,
            Phase::Finishing | Phase::Finished => Pause::Waiting,
            Phase::Open => match source.poll_reset(self.cx) {
                Poll::Ready(error) => Pause::Failed(error),
                Poll::Pending => Pause::Waiting,
            },
        }
    }
}

/// Writes until all is written or the sink refuses, and returns how much it took. A failure breaks the direction.
#[inline(always)]
fn write(cx: &mut Context<'_>, sink: &mut impl Leg, bytes: &[u8], flow: &mut Flow) -> usize {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match Pin::new(&mut *sink).poll_write(cx, rest) {
            Poll::Ready(Ok(0)) => {
                flow.phase = Phase::Broken(io::ErrorKind::WriteZero.into());
                break;
            }
            Poll::Ready(Ok(count)) => written += count,
            Poll::Ready(Err(error)) => {
                flow.phase = Phase::Broken(error);
                break;
            }
            Poll::Pending => break,
        }
    }
    written
}

/// Lets the sink pass on what it took; false when it cannot yet, or has failed. A socket has nothing to pass on.
fn flush(cx: &mut Context<'_>, sink: &mut impl Leg, flow: &mut Flow) -> bool {
    match Pin::new(sink).poll_flush(cx) {
        Poll::Ready(Ok(())) => {
            flow.is_unflushed = false;
            true
        }
        Poll::Ready(Err(error)) => {
            flow.is_unflushed = false;
            flow.phase = Phase::Broken(error);
            false
        }
        Poll::Pending => {
            flow.is_unflushed = true;
            false
        }
    }
}
