//! A client and its upstream, connected, wherever their bytes are moved: by a task of the worker while somebody logs in
//! or is sent away, by the reactor in between.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::mem::offset_of;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use super::cancel::KnownKey;
use super::greeting::Startup;
use super::listener::Presence;
use super::login::{LoginEnd, Watch};
use super::newcomer::Newcomer;
use super::relay::{End, Meter, Relay, Side, Step};
use super::seats::Seat;
use super::socket::Socket;
use super::sweep::{Overdue, Sweep};
use super::unseen::{Later, Unseen, When};
use super::upstream::Road;
use super::{Shared, TlsMode, UpstreamGauge};
use crate::cache::{self, Lines};
use crate::event::{
    ConnectionState, ConnectionStatus, Direction, Moment, Rest, SessionId, SessionStart, Tap, Taps,
};
use crate::registry::{self, Connection, ConnectionError, Registered, Unobserved};

/// Two connected sockets and everything that is known about them.
#[derive(Debug)]
pub(super) struct Session<T: Tap> {
    pub(super) relay: Relay<Socket, Socket>,
    pub(super) watch: Watch<T>,
    pub(super) figures: Arc<registry::Listener>,
    pub(super) facts: Facts,
    /// Last: the client's socket is counted for as long as it is open.
    pub(super) presence: Presence,
}

/// What the relaying itself does not need.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) id: SessionId,
    pub(super) route: usize,
    pub(super) accepted_at: Moment,
    pub(super) login_limit: Duration,
    pub(super) road: Road,
    pub(super) key: Option<Arc<KnownKey>>,
    pub(super) _registered: Registered,
    pub(super) _gauge: UpstreamGauge,
    pub(super) _seat: Seat,
}

impl Facts {
    /// How long its login may still take.
    pub(super) fn login_left(&self, place: &Place) -> Duration {
        let taken = Duration::from_nanos(place.shared.clock.now().since(self.accepted_at));
        self.login_limit.saturating_sub(taken)
    }
}

/// A connection to the upstream, with the StartupMessage sent.
#[derive(Debug)]
pub(super) struct UpstreamLeg {
    pub(super) socket: Socket,
    pub(super) road: Road,
    pub(super) gauge: UpstreamGauge,
}

/// An address in numbers without its port.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// What [`Session::relay_until`] waits for, besides the session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The login has ended.
    Login,
    /// No request is running.
    Rest,
    /// Nothing else.
    Ended,
}

impl<T: Tap> Session<T> {
    /// What each read needs.
    const MOVED: Lines = Lines::of(
        offset_of!(Session<T>, relay),
        size_of::<Relay<Socket, Socket>>(),
    )
    .and(Lines::of(
        offset_of!(Session<T>, watch),
        size_of::<Watch<T>>(),
    ))
    .and(Lines::of(
        offset_of!(Session<T>, figures),
        size_of::<Arc<registry::Listener>>(),
    ));

    /// The session of a client and its upstream; `startup` where it is known what was sent there.
    pub(super) fn open(
        newcomer: Newcomer,
        startup: Option<Startup>,
        upstream: UpstreamLeg,
        seat: Seat,
        taps: &impl Taps<Tap = T>,
        shared: &Arc<Shared>,
    ) -> Box<Session<T>> {
        let Newcomer {
            client,
            peer,
            route,
            accepted_at,
            tunables,
            target,
            presence,
            ..
        } = newcomer;
        let UpstreamLeg {
            socket,
            road,
            gauge,
        } = upstream;
        let figures = Arc::clone(&shared.route(route).figures);
        let ip = peer.ip().to_canonical();
        let follows_login = startup.is_some();
        let (message, behind) = startup
            .map(|startup| (startup.message, startup.behind))
            .unwrap_or_default();
        let (user, database): (Arc<str>, Arc<str>) = (message.user.into(), message.database.into());
        let application: Arc<str> = message.application.into();
        let address: Arc<str> = SocketAddr::new(ip, peer.port()).to_string().into();
        let status = Arc::new(ConnectionStatus::default());
        let id = shared.registry.next_session_id();
        let registered = shared.registry.add_connection(Connection {
            id,
            listener: Arc::clone(&figures.name),
            client: Arc::clone(&address),
            upstream: Arc::clone(&road.name),
            user: Arc::clone(&user),
            database: Arc::clone(&database),
            application: Arc::clone(&application),
            accepted_at,
            status: Arc::clone(&status),
            tls: client.is_tls(),
        });
        let unobserved = match target.tls {
            TlsMode::PassThrough => Some(Unobserved::PassThrough),
            _ if figures.observe.load(Relaxed) => None,
            _ => Some(Unobserved::ObserveOff),
        };
        let opened_at = shared.clock.now();
        status.since.store(opened_at.0, Relaxed);
        let tap = match unobserved {
            Some(reason) => {
                figures.count_unobserved(reason);
                status.observed.store(0, Relaxed);
                let state = ConnectionState::Unobserved as u8;
                status.state.store(state, Relaxed);
                None
            }
            None => {
                status.observed.store(1, Relaxed);
                Some(taps.open(SessionStart {
                    id,
                    listener: Arc::clone(&figures.name),
                    client: host_of(&address).into(),
                    user,
                    database,
                    application,
                    accepted_at,
                    opened_at,
                    status,
                    observe: Arc::clone(&figures.observe),
                }))
            }
        };
        let mut watch = match follows_login {
            true => Watch::login(tap, shared),
            false => Watch::nothing(shared),
        };
        let mut relay = Relay::new(client, socket);
        if !behind.is_empty() {
            watch.refused(Direction::ClientToUpstream, opened_at);
            relay.sent_ahead(behind, opened_at);
        }
        let facts = Facts {
            id,
            route,
            accepted_at,
            login_limit: tunables.timeouts.login,
            road,
            key: None,
            _registered: registered,
            _gauge: gauge,
            _seat: seat,
        };
        Box::new(Session {
            relay,
            watch,
            figures,
            facts,
            presence,
        })
    }

    /// It will be moved what can be moved: has fetched what that needs, its tap included.
    #[inline]
    pub(super) fn expect(&self) {
        let at = offset_of!(Session<T>, relay.first_fin);
        cache::fetch_lines(&self.relay.first_fin, at, Session::<T>::MOVED);
    }

    /// Moves what can be moved now.
    #[inline]
    pub(super) fn step(&mut self, cx: &mut Context<'_>, place: &Place) -> Step {
        let meter = SessionMeter {
            figures: &self.figures,
            place,
        };
        let step = self.relay.step(cx, &mut self.watch, &meter);
        if self.watch.follows_login() {
            self.note_login(place);
        }
        step
    }

    /// [`Session::step`] in a thread that may show the taps later what it sent on; the session sits in `slot` there.
    #[inline]
    pub(super) fn step_unseen(
        &mut self,
        cx: &mut Context<'_>,
        place: &Place,
        slot: usize,
        when: When,
        unseen: &mut Unseen,
    ) -> Step {
        let meter = SessionMeter {
            figures: &self.figures,
            place,
        };
        let when = match self.watch.can_wait() {
            true => when,
            false => When::Now,
        };
        let mut later = Later {
            slot,
            when,
            tap: &mut self.watch,
            unseen,
        };
        let step = self.relay.step(cx, &mut later, &meter);
        if self.watch.follows_login() {
            self.note_login(place);
        }
        step
    }

    /// Relays until the session has ended (`Some`) or what is waited for has come (`None`). May be dropped at any
    /// time and called again.
    pub(super) async fn relay_until(&mut self, until: Until, place: &Place) -> Option<End> {
        poll_fn(|cx| {
            match self.step(cx, place) {
                Step::Ended(end) => return Poll::Ready(Some(*end)),
                Step::Yielded => cx.waker().wake_by_ref(),
                Step::Waiting => {}
            }
            let has_come = match until {
                Until::Login => !self.watch.follows_login(),
                Until::Rest => matches!(self.rest(), Rest::Idle | Rest::InTransaction),
                Until::Ended => false,
            };
            match has_come {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await
    }

    pub(super) fn follows_login(&self) -> bool {
        self.watch.follows_login()
    }

    /// Takes both legs out of the worker's runtime.
    pub(super) fn leave_runtime(&mut self) -> io::Result<()> {
        self.relay.client.leave_runtime()?;
        self.relay.upstream.leave_runtime()
    }

    /// Brings both legs back into the worker's runtime.
    pub(super) fn enter_runtime(&mut self) -> io::Result<()> {
        self.relay.client.enter_runtime()?;
        self.relay.upstream.enter_runtime()
    }

    /// Why `sweep` ends the session, where it does, whatever it does now.
    pub(super) fn swept(&self, sweep: &Sweep) -> Option<Overdue> {
        let facts = &self.facts;
        match self.follows_login() {
            true => sweep
                .exceeds_login(facts.accepted_at, facts.login_limit)
                .then_some(Overdue::Login),
            false => self.overdue(sweep),
        }
    }

    /// Why the session has to end now, where it has: never inside a transaction, nor where nobody observes it. Its tap
    /// must have seen all.
    pub(super) fn overdue(&self, sweep: &Sweep) -> Option<Overdue> {
        let overdue = self.out_of_time(sweep)?;
        (self.rest() == Rest::Idle).then_some(overdue)
    }

    /// Why it has to end as soon as it rests.
    #[inline]
    pub(super) fn out_of_time(&self, sweep: &Sweep) -> Option<Overdue> {
        if !sweep.is_on() {
            return None;
        }
        sweep.overdue(self.facts.accepted_at, self.relay.last_read_at())
    }

    /// What the session is in the middle of, the bytes that wait in the relay included.
    pub(super) fn rest(&self) -> Rest {
        match self.watch.rest() {
            Rest::Idle | Rest::InTransaction | Rest::BetweenMessages
                if self.relay.holds_bytes() =>
            {
                Rest::InMessage
            }
            rest => rest,
        }
    }

    /// Whether an ErrorResponse of our own fits now.
    pub(super) fn can_be_told(&self) -> bool {
        self.relay.client_is_open()
            && match self.watch.rest() {
                Rest::Idle | Rest::InTransaction | Rest::BetweenMessages => true,
                Rest::InMessage | Rest::Over | Rest::Unknown => false,
            }
    }

    /// Where the upstream went first, it may be gone for all.
    pub(super) fn suspect_upstream(&self, end: &End, shared: &Shared) {
        match end {
            End::Lost {
                side: Side::Upstream,
                ..
            }
            | End::Finished {
                first: Side::Upstream,
            } => shared.route(self.facts.route).suspect.notify_one(),
            End::Lost { .. } | End::Finished { .. } => {}
        }
    }

    fn note_login(&mut self, place: &Place) {
        let Some((ended, key)) = self.watch.take_ended_login() else {
            return;
        };
        self.facts.key = key.map(|key| {
            Arc::new(KnownKey::register(
                Arc::clone(&place.shared),
                self.facts.route,
                self.facts.id,
                key,
                self.facts.road.clone(),
            ))
        });
        match ended {
            LoginEnd::Complete(at) => {
                let duration = at.since(self.facts.accepted_at);
                self.figures.connect_duration.record(duration);
            }
            LoginEnd::Refused => self.figures.count_error(ConnectionError::LoginRefused),
            LoginEnd::NotFollowed => {}
        }
    }
}

/// A thread that relays: what its sessions share.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    /// Which shard of the listeners' figures is this thread's alone.
    shard: usize,
    /// Forwarded reads of each direction: one in [`LATENCY_SAMPLE`] is timed to its end.
    reads: [Cell<u64>; 2],
}

/// One forwarded read in this many is timed to its end: a second look at the clock for each would be a twentieth of
/// what a read costs us.
const LATENCY_SAMPLE: u64 = 8;

impl Place {
    pub(super) fn new(shared: Arc<Shared>, shard: usize) -> Place {
        Place {
            shared,
            shard,
            reads: Default::default(),
        }
    }

    /// Whether this read of `direction` is one that is timed, and how many reads it stands for.
    fn sample(&self, direction: Direction) -> Option<u64> {
        let [up, down] = &self.reads;
        let reads = match direction {
            Direction::ClientToUpstream => up,
            Direction::UpstreamToClient => down,
        };
        let count = reads.get();
        reads.set(count.wrapping_add(1));
        count
            .is_multiple_of(LATENCY_SAMPLE)
            .then_some(LATENCY_SAMPLE)
    }
}

/// Counts what a session's relay moves, in its listener's figures of this thread.
struct SessionMeter<'a> {
    figures: &'a registry::Listener,
    place: &'a Place,
}

impl Meter for SessionMeter<'_> {
    #[inline]
    fn now(&self) -> Moment {
        self.place.shared.clock.now()
    }

    #[inline]
    fn wrote(&self, direction: Direction, bytes: usize) {
        self.figures
            .shard(self.place.shard)
            .add_relayed_bytes(direction, bytes as u64);
    }

    #[inline]
    fn forwarded(&self, direction: Direction, read_at: Moment, at: Option<Moment>) {
        let (at, weight) = match at {
            // It had to wait: the time is known, and such waits are too rare to be left to chance.
            Some(at) => (at, 1),
            None => match self.place.sample(direction) {
                Some(weight) => (self.now(), weight),
                None => return,
            },
        };
        self.figures
            .shard(self.place.shard)
            .add_latency(direction, at.since(read_at), weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_address_without_its_port() {
        for (address, host) in [
            ("127.0.0.1:5432", "127.0.0.1"),
            ("[2001:db8::1]:5432", "2001:db8::1"),
        ] {
            assert_eq!(host_of(address), host);
        }
    }
}
