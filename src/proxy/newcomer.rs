//! A client that has no session yet, and the plain case of how it comes to one: nothing has to be waited for but the
//! client itself.
//!
//! ```text
//!  accepted ─► SSLRequest, `N` ─► StartupMessage ─► seat ─► connect ─► StartupMessage sent on ─► session
//!     │             │                   │             │         │
//!     └── TLS, a name to resolve ───────┴─ cancel ────┴─ none ──┴─ not at once ─► worker: connection.rs
//! ```
//!
//! The reactor calls this for a listener without TLS. Whatever turns out to want more than that, an upstream with TLS or
//! with a name for one, goes to the worker's runtime as it is, an [`Arrival`].

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::greeting::{Greeting, GreetingError, Heard, Hearing, Startup};
use super::listener::Presence;
use super::relay::Leg;
use super::route::Target;
use super::seats::Seat;
use super::session::{Session, UpstreamLeg};
use super::socket::Socket;
use super::sweep::Sweep;
use super::upstream::{self, Reached, Road};
use super::{Shared, TlsMode, Tunables, UpstreamGauge};
use crate::event::{Moment, Tap, Taps};

/// Bytes of one read: more than any usual StartupMessage has.
const GREETING_BYTES: usize = 1024;

/// A client that was accepted.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) client: Socket,
    pub(super) peer: SocketAddr,
    pub(super) route: usize,
    pub(super) accepted_at: Moment,
    /// What it was accepted under: a reload is for those behind it.
    pub(super) tunables: Arc<Tunables>,
    pub(super) target: Arc<Target>,
    pub(super) hearing: Hearing,
    /// Last: the client's socket is counted for as long as it is open.
    pub(super) presence: Presence,
}

/// A newcomer on its way to its worker's runtime.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) newcomer: Newcomer,
    pub(super) progress: Progress,
}

/// How far a newcomer has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// It has not said, or not wholly said, what it wants.
    Greeting,
    /// It has.
    Said(Result<Greeting, GreetingError>),
    /// Its upstream was asked for a connection, and has not answered.
    Connecting(Startup, Connecting),
}

/// What a newcomer has while its upstream is waited for.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) seat: Seat,
    pub(super) gauge: UpstreamGauge,
    pub(super) begun: TcpStream,
    pub(super) road: Road,
}

/// What became of a newcomer.
pub(super) enum Advance<T: Tap> {
    /// It has more to say.
    Waiting(Box<Newcomer>),
    /// It has a session, both of whose legs are outside of any runtime.
    Session(Box<Session<T>>),
    /// It wants more than can be done at once.
    Arrival(Box<Arrival>),
}

impl From<Box<Newcomer>> for Box<Arrival> {
    fn from(newcomer: Box<Newcomer>) -> Box<Arrival> {
        newcomer.with(Progress::Greeting)
    }
}

impl Newcomer {
    /// Whether a reactor can hear it: there will be no TLS with it.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.target.tls, TlsMode::Off)
    }

    fn with(self, progress: Progress) -> Box<Arrival> {
        Box::new(Arrival {
            newcomer: self,
            progress,
        })
    }

    /// When its login has to be complete.
    pub(super) fn login_deadline(&self, shared: &Shared) -> Instant {
        let taken = Duration::from_nanos(shared.clock.now().since(self.accepted_at));
        Instant::now() + self.tunables.timeouts.login.saturating_sub(taken)
    }

    /// Whether `sweep` finds that its login has taken too long.
    pub(super) fn is_overdue(&self, sweep: &Sweep) -> bool {
        sweep.exceeds_login(self.accepted_at, self.tunables.timeouts.login)
    }

    /// Hears what it has said by now, and goes on as it asks for. For the plain case only.
    pub(super) fn advance<T: Taps>(
        mut self: Box<Newcomer>,
        taps: &T,
        shared: &Arc<Shared>,
    ) -> Advance<T::Tap> {
        match self.hear() {
            None => Advance::Waiting(self),
            Some(Ok(Greeting::Startup(startup))) => self.begin(startup, taps, shared),
            Some(said) => Advance::Arrival(self.with(Progress::Said(said))),
        }
    }

    /// Begins the session that it asked for, if its upstream can be connected to at once.
    fn begin<T: Taps>(
        self: Box<Newcomer>,
        startup: Startup,
        taps: &T,
        shared: &Arc<Shared>,
    ) -> Advance<T::Tap> {
        let elsewhere = |newcomer: Box<Newcomer>, startup| {
            let said = Ok(Greeting::Startup(startup));
            Advance::Arrival(newcomer.with(Progress::Said(said)))
        };
        let route = shared.route(self.route);
        // Who gets none is told so elsewhere.
        let Ok(seat) = Seat::take(shared, &self.tunables, self.ip()) else {
            return elsewhere(self, startup);
        };
        let gauge = UpstreamGauge::raise(Arc::clone(&route.figures));
        let (mut socket, road) = match upstream::reach(&self.target, &self.tunables) {
            Some(Reached::Connected(socket, road)) => (socket, road),
            Some(Reached::Begun(begun, road)) => {
                let connecting = Connecting {
                    seat,
                    gauge,
                    begun,
                    road,
                };
                return Advance::Arrival(self.with(Progress::Connecting(startup, connecting)));
            }
            None => return elsewhere(self, startup),
        };
        let mut cx = Context::from_waker(Waker::noop());
        let sent = match socket.leave_runtime() {
            Ok(()) => Pin::new(&mut socket).poll_write(&mut cx, &startup.packet),
            Err(error) => Poll::Ready(Err(error)),
        };
        match sent {
            Poll::Ready(Ok(written)) if written == startup.packet.len() => {}
            // It is gone again: the next attempt says how.
            Poll::Ready(_) | Poll::Pending => return elsewhere(self, startup),
        }
        upstream::note_reached(&route.figures, &road.endpoint, shared.clock.now());
        let leg = UpstreamLeg {
            socket,
            road,
            gauge,
        };
        Advance::Session(Session::open(*self, Some(startup), leg, seat, taps, shared))
    }

    /// The address that it is counted under.
    pub(super) fn ip(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }

    /// Hears what it has said by now, and declines encryption; `None` while it has more to say.
    fn hear(&mut self) -> Option<Result<Greeting, GreetingError>> {
        let mut cx = Context::from_waker(Waker::noop());
        while !self.client.is_drained() {
            let mut bytes = [0; GREETING_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.client).poll_read(&mut cx, &mut read) {
                Poll::Pending => return None,
                Poll::Ready(Err(error)) => return Some(Err(error.into())),
                Poll::Ready(Ok(())) if read.filled().is_empty() => {
                    return Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
                }
                Poll::Ready(Ok(())) => {}
            }
            match self.hearing.take(read.filled()) {
                Heard::More => {}
                Heard::Said(said) => return Some(said),
                Heard::RequestForEncryption => {
                    // A socket that nothing was written to has room.
                    let answered = Pin::new(&mut self.client).poll_write(&mut cx, b"N");
                    if let Poll::Ready(Err(error)) = answered {
                        return Some(Err(error.into()));
                    }
                }
            }
        }
        None
    }
}
