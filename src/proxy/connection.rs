//! One client connection from its first byte to its last.
//!
//! [`serve`] is the story: the greeting, a seat, the upstream, the session, its end.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::cancel::{self, KnownKey};
use super::drain::{self, Drained};
use super::greeting::{self, Greeting, GreetingError, Refused};
use super::login::{LoginEnd, Watch};
use super::relay::{End, Meter, Relay, Side};
use super::seats::{Full, Seat};
use super::socket::Socket;
use super::sweep::Overdue;
use super::upstream::{self, ConnectError, Road};
use super::worker::{Accepted, Presence, Sleeper, Worker};
use super::{Target, TlsMode, UpstreamGauge};
use crate::clock::Clock;
use crate::event::{
    ConnectionState, ConnectionStatus, Direction, Moment, Rest, SessionId, SessionStart, Tap, Taps,
};
use crate::registry::{self, Connection, ConnectionError, Registered, Unobserved};
use crate::wire::sasl::MechanismFilter;
use crate::wire::startup::{SqlState, StartupMessage, error_response};

const TOO_MANY_CONNECTIONS: SqlState = SqlState(*b"53300");
const CONNECTION_FAILURE: SqlState = SqlState(*b"08006");
const PROTOCOL_VIOLATION: SqlState = SqlState(*b"08P01");
const INVALID_AUTHORIZATION: SqlState = SqlState(*b"28000");
const ADMIN_SHUTDOWN: SqlState = SqlState(*b"57P01");
const IDLE_SESSION_TIMEOUT: SqlState = SqlState(*b"57P05");

/// A client that is told in the same breath as ReadyForQuery may take the reason for a notice, as libpq does, and show
/// nothing but the end.
const APART: Duration = Duration::from_millis(20);

/// How long a client that was told why it is closed has to read it.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// Serves one client. An idle session's part of this future is a [`Session`] and little else: what only the beginning
/// and the end need is boxed and given back.
pub(super) async fn serve<T: Taps + 'static>(accepted: Accepted, worker: Rc<Worker<T>>) {
    let Some(mut session) = Box::pin(begin(accepted, &worker)).await else {
        return;
    };
    if session.watch.follows_login()
        && let Some(end) = Box::pin(log_in(&mut session)).await
    {
        return Box::pin(end_session(session, end)).await;
    }
    let end = match session.relay_until(Until::Drain).await {
        Some(end) => SessionEnd::Relay(end),
        None => match session.overdue() {
            Some(overdue) => SessionEnd::Overdue(overdue),
            None => Box::pin(drain_session(&mut session)).await,
        },
    };
    Box::pin(end_session(session, end)).await;
}

/// From the first byte to two connected sockets; `None` when it did not come to a session.
async fn begin<T: Taps>(accepted: Accepted, worker: &Rc<Worker<T>>) -> Option<Session<T>> {
    let shared = Arc::clone(&worker.shared);
    let route = Arc::clone(shared.route(accepted.route));
    let tunables = shared.tunables.load_full();
    let target = route.target.load_full();
    let login_deadline = Instant::now() + tunables.timeouts.login;
    let stream = tokio::net::TcpStream::from_std(accepted.stream);
    let client = stream
        .and_then(|stream| Socket::from_tcp(stream, tunables.tcp_user_timeout))
        .ok()?;

    let greeting = timeout_at(login_deadline, greeting::read(client, &target.tls)).await;
    let (client, greeting) = accept_greeting(greeting, &route.figures).await?;
    let (message, packet) = match greeting {
        Greeting::Cancel { key, packet } => {
            cancel::serve(client, &key, &packet, &shared, accepted.route).await;
            return None;
        }
        Greeting::Startup { message, packet } => (Some(message), packet),
        Greeting::Opaque { packet } => (None, packet),
    };

    let ip = accepted.peer.ip().to_canonical();
    let seat = match Seat::take(&shared, &tunables, ip) {
        Ok(seat) => seat,
        Err(full) => {
            let (reason, text) = match full {
                Full::InAll(limit) => (
                    ConnectionError::ConnectionLimit,
                    format!("too many connections: the limit of {limit} is reached"),
                ),
                Full::ForAddress(limit) => (
                    ConnectionError::AddressLimit,
                    format!("too many connections: {ip} has reached the limit of {limit}"),
                ),
            };
            route.figures.count_error(reason);
            if message.is_some() {
                say_goodbye(client, &error_response(TOO_MANY_CONNECTIONS, &text)).await;
            }
            return None;
        }
    };

    let gauge = UpstreamGauge::raise(Arc::clone(&route.figures));
    let left = login_deadline.saturating_duration_since(Instant::now());
    let limit = tunables.timeouts.connect.min(left);
    let connected = upstream::connect(&target, &tunables, limit).await;
    upstream::note(&route.figures, &connected, shared.clock.now());
    let greeted = match connected {
        Ok((upstream, road)) => greet(upstream, road, &packet).await,
        Err(error) => Err(error),
    };
    let (mut upstream, road) = match greeted {
        Ok(greeted) => greeted,
        Err(error) => {
            route
                .figures
                .count_error(ConnectionError::UpstreamUnreachable);
            drop((seat, gauge));
            if message.is_some() {
                say_goodbye(
                    client,
                    &error_response(error.sqlstate(), &error.to_string()),
                )
                .await;
            }
            return None;
        }
    };

    match_logins(&client, &mut upstream, &target, &route.figures);

    let address = SocketAddr::new(ip, accepted.peer.port());
    let follows_login = message.is_some();
    let StartupMessage {
        user,
        database,
        application,
        ..
    } = message.unwrap_or_default();
    let (user, database): (Arc<str>, Arc<str>) = (user.into(), database.into());
    let application: Arc<str> = application.into();
    let status = Arc::new(ConnectionStatus::default());
    let id = shared.registry.next_session_id();
    let registered = shared.registry.add_connection(Connection {
        id,
        listener: Arc::clone(&route.figures.name),
        client: address.to_string().into(),
        upstream: road.endpoint.to_string().into(),
        user: Arc::clone(&user),
        database: Arc::clone(&database),
        application: Arc::clone(&application),
        accepted_at: accepted.at,
        status: Arc::clone(&status),
        tls: client.is_tls(),
    });
    let unobserved = match target.tls {
        TlsMode::PassThrough => Some(Unobserved::PassThrough),
        _ if route.figures.observe.load(Relaxed) => None,
        _ => Some(Unobserved::ObserveOff),
    };
    let opened_at = shared.clock.now();
    let tap = match unobserved {
        Some(reason) => {
            route.figures.count_unobserved(reason);
            status.observed.store(0, Relaxed);
            status.since.store(opened_at.0, Relaxed);
            status
                .state
                .store(ConnectionState::Unobserved as u8, Relaxed);
            None
        }
        None => {
            status.observed.store(1, Relaxed);
            status.since.store(opened_at.0, Relaxed);
            Some(worker.taps.open(SessionStart {
                id,
                listener: Arc::clone(&route.figures.name),
                client: ip.to_string().into(),
                user,
                database,
                application,
                accepted_at: accepted.at,
                opened_at,
                status,
                observe: Arc::clone(&route.figures.observe),
            }))
        }
    };
    Some(Session {
        relay: Relay::new(client, upstream),
        watch: if follows_login {
            Watch::login(tap, &shared)
        } else {
            Watch::nothing(&shared)
        },
        meter: SessionMeter {
            figures: Arc::clone(&route.figures),
            worker: Rc::clone(worker),
        },
        sleeper: None,
        facts: Box::new(Facts {
            id,
            route: accepted.route,
            accepted_at: accepted.at,
            login_deadline,
            login_limit: tunables.timeouts.login,
            road,
            key: None,
            _registered: registered,
            _gauge: gauge,
            _seat: seat,
        }),
        presence: accepted.presence,
    })
}

/// Passes the StartupMessage on.
async fn greet(
    mut upstream: Socket,
    road: Road,
    packet: &[u8],
) -> Result<(Socket, Road), ConnectError> {
    let sent = async {
        upstream.write_all(packet).await?;
        upstream.flush().await
    };
    match sent.await {
        Ok(()) => Ok((upstream, road)),
        Err(source) => Err(ConnectError::Connect {
            endpoint: road.endpoint,
            source,
        }),
    }
}

/// SCRAM can bind a login to the TLS that it goes through; ours are two, or one that the client does not see.
fn match_logins(
    client: &Socket,
    upstream: &mut Socket,
    target: &Target,
    figures: &registry::Listener,
) {
    match target.tls.acceptor() {
        Some(acceptor) if client.is_tls() => {
            target.binding.check(&figures.name, acceptor, upstream);
        }
        _ => upstream.filter_mechanisms(MechanismFilter::default()),
    }
}

/// Deals with clients that did not say what they want; libpq does not show what it is told before its StartupMessage,
/// so most are closed without a word, as PostgreSQL closes them.
async fn accept_greeting(
    greeting: Result<Result<(Socket, Greeting), Box<Refused>>, tokio::time::error::Elapsed>,
    figures: &registry::Listener,
) -> Option<(Socket, Greeting)> {
    let Refused { error, client } = match greeting {
        Ok(Ok(greeting)) => return Some(greeting),
        Ok(Err(refused)) => *refused,
        Err(_) => {
            figures.count_error(ConnectionError::LoginTimeout);
            return None;
        }
    };
    tracing::debug!(listener = %figures.name, %error, "no session");
    let sqlstate = match error {
        GreetingError::Left(_) => return None,
        GreetingError::Malformed(_) | GreetingError::Handshake(_) => None,
        GreetingError::Repeated { .. } | GreetingError::BytesBehind { .. } => {
            Some(PROTOCOL_VIOLATION)
        }
        GreetingError::Plaintext => Some(INVALID_AUTHORIZATION),
    };
    figures.count_error(ConnectionError::Startup);
    if let (Some(client), Some(sqlstate)) = (client, sqlstate) {
        say_goodbye(client, &error_response(sqlstate, &error.to_string())).await;
    }
    None
}

/// Relays until the login has ended; `Some` when the session has ended with it.
async fn log_in<T: Taps>(session: &mut Session<T>) -> Option<SessionEnd> {
    let deadline = session.facts.login_deadline;
    match timeout_at(deadline, session.relay_until(Until::Login)).await {
        Ok(end) => end.map(SessionEnd::Relay),
        Err(_) => Some(SessionEnd::LoginTimeout),
    }
}

async fn drain_session<T: Taps>(session: &mut Session<T>) -> SessionEnd {
    let Some(plan) = session.meter.worker.draining.get() else {
        return SessionEnd::Closed;
    };
    match drain::wait(session, plan).await {
        Drained::Ended(end) => SessionEnd::Relay(end),
        Drained::Tell => SessionEnd::Drained,
        Drained::Close => SessionEnd::Closed,
    }
}

/// How a session ended.
#[derive(Debug)]
enum SessionEnd {
    Relay(End),
    LoginTimeout,
    /// By the drain, at a place where the client can be told.
    Drained,
    /// By the drain, somewhere else.
    Closed,
    /// By a limit on its stay, while it was idle.
    Overdue(Overdue),
}

/// Closes both sockets as the end demands, and tells the client why where it fits.
async fn end_session<T: Taps>(mut session: Session<T>, end: SessionEnd) {
    let figures = Arc::clone(&session.meter.figures);
    let may_tell = session.can_be_told();
    // What ended it was said and may still be unread: a reset would take that away.
    let has_its_end = session.relay.client_is_finished()
        || (session.relay.client_is_open() && session.rest() == Rest::Over);
    let now = session.clock().now();
    session.watch.closed(now);
    if let SessionEnd::Relay(
        End::Lost {
            side: Side::Upstream,
            ..
        }
        | End::Finished {
            first: Side::Upstream,
        },
    ) = end
    {
        let shared = &session.meter.worker.shared;
        shared.route(session.facts.route).suspect.notify_one();
    }
    let Session {
        relay,
        facts,
        presence,
        ..
    } = session;
    let Relay {
        client, upstream, ..
    } = relay;
    let login_limit = facts.login_limit;
    drop(facts);
    let (sqlstate, text) = match end {
        SessionEnd::Relay(End::Finished { .. }) | SessionEnd::Closed => return,
        SessionEnd::Relay(End::Lost {
            side: Side::Client,
            error,
        }) => {
            tracing::debug!(%error, "client lost");
            figures.count_error(ConnectionError::ClientLost);
            upstream.reset();
            return;
        }
        SessionEnd::Relay(End::Lost {
            side: Side::Upstream,
            error,
        }) => {
            tracing::debug!(%error, "upstream lost");
            figures.count_error(ConnectionError::UpstreamLost);
            (
                CONNECTION_FAILURE,
                format!("connection to the upstream was lost: {error}"),
            )
        }
        SessionEnd::LoginTimeout => {
            figures.count_error(ConnectionError::LoginTimeout);
            let text = format!("login was not complete within {login_limit:?}");
            (CONNECTION_FAILURE, text)
        }
        SessionEnd::Overdue(Overdue::Idle(limit)) => {
            figures.count_error(ConnectionError::ClientIdle);
            (
                IDLE_SESSION_TIMEOUT,
                format!("terminating connection: idle for {limit:?}, the limit"),
            )
        }
        SessionEnd::Overdue(Overdue::Old(limit)) => {
            figures.count_error(ConnectionError::SessionMax);
            tokio::time::sleep(APART).await;
            (
                ADMIN_SHUTDOWN,
                format!("terminating connection: open for {limit:?}, the limit"),
            )
        }
        SessionEnd::Drained => (
            ADMIN_SHUTDOWN,
            "terminating connection because the proxy is shutting down".to_owned(),
        ),
    };
    drop(upstream);
    if may_tell {
        say_goodbye(client, &error_response(sqlstate, &text)).await;
    } else if has_its_end {
        say_goodbye(client, &[]).await;
    } else {
        client.reset();
    }
    drop(presence);
}

/// Sends the client our last word, then reads until it closes: closing a socket with unread bytes would send a reset,
/// and a reset can overtake what was written.
async fn say_goodbye(mut client: Socket, response: &[u8]) {
    let goodbye = async {
        client.write_all(response).await?;
        client.shutdown().await?;
        while client.read(&mut [0; 1024]).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    // Neither a client that is gone already nor one that does not read changes anything.
    let _ = timeout(GOODBYE_LIMIT, goodbye).await;
}

/// Two connected sockets and everything that is known about them.
#[derive(Debug)]
pub(super) struct Session<T: Taps> {
    pub(super) relay: Relay<Socket, Socket>,
    watch: Watch<T::Tap>,
    meter: SessionMeter<T>,
    sleeper: Option<Sleeper<T>>,
    facts: Box<Facts>,
    /// Last: the client's socket is counted for as long as it is open.
    presence: Presence,
}

/// What the relaying itself does not need.
#[derive(Debug)]
struct Facts {
    id: SessionId,
    route: usize,
    accepted_at: Moment,
    login_deadline: Instant,
    login_limit: Duration,
    road: Road,
    key: Option<Rc<KnownKey>>,
    _registered: Registered,
    _gauge: UpstreamGauge,
    _seat: Seat,
}

/// What [`Session::relay_until`] waits for, besides the session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The login has ended.
    Login,
    /// The proxy drains, or the session has stayed too long: see [`Session::overdue`].
    Drain,
    /// No request is running.
    Rest,
    /// Nothing else.
    Ended,
}

impl<T: Taps> Session<T> {
    /// Relays until the session has ended (`Some`) or what is waited for has come (`None`). May be dropped at any
    /// time and called again.
    pub(super) async fn relay_until(&mut self, until: Until) -> Option<End> {
        poll_fn(|cx| {
            let polled = self.relay.poll(cx, &mut self.watch, &self.meter);
            if self.watch.follows_login() {
                self.note_login();
            }
            if let Poll::Ready(end) = polled {
                return Poll::Ready(Some(end));
            }
            let has_come = match until {
                Until::Login => !self.watch.follows_login(),
                Until::Drain => {
                    self.meter.worker.draining.get().is_some() || self.overdue().is_some()
                }
                Until::Rest => matches!(self.rest(), Rest::Idle | Rest::InTransaction),
                Until::Ended => false,
            };
            if has_come {
                return Poll::Ready(None);
            }
            if until == Until::Drain && self.sleeper.is_none() {
                self.sleeper = Some(self.meter.worker.sleep(cx.waker().clone()));
            }
            Poll::Pending
        })
        .await
    }

    /// Why the session has to end now, where it has: never inside a transaction, nor where nobody observes it.
    fn overdue(&self) -> Option<Overdue> {
        let sweep = self.meter.worker.sweep.get();
        if !sweep.is_on() {
            return None;
        }
        let overdue = sweep.overdue(self.facts.accepted_at, self.relay.last_read_at())?;
        (self.rest() == Rest::Idle).then_some(overdue)
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
    fn can_be_told(&self) -> bool {
        self.relay.client_is_open()
            && match self.watch.rest() {
                Rest::Idle | Rest::InTransaction | Rest::BetweenMessages => true,
                Rest::InMessage | Rest::Over | Rest::Unknown => false,
            }
    }

    pub(super) fn clock(&self) -> Clock {
        self.meter.worker.shared.clock
    }

    pub(super) fn known_key(&self) -> Option<Rc<KnownKey>> {
        self.facts.key.clone()
    }

    fn note_login(&mut self) {
        let Some((ended, key)) = self.watch.take_ended_login() else {
            return;
        };
        self.facts.key = key.map(|key| {
            Rc::new(KnownKey::register(
                Arc::clone(&self.meter.worker.shared),
                self.facts.route,
                self.facts.id,
                key,
                self.facts.road.clone(),
            ))
        });
        match ended {
            LoginEnd::Complete(at) => {
                let duration = at.since(self.facts.accepted_at);
                self.meter.figures.connect_duration.record(duration);
            }
            LoginEnd::Refused => self
                .meter
                .figures
                .count_error(ConnectionError::LoginRefused),
            LoginEnd::NotFollowed => {}
        }
    }
}

/// Counts what a session's relay moves, in its listener's figures of this worker.
#[derive(Debug)]
struct SessionMeter<T> {
    figures: Arc<registry::Listener>,
    worker: Rc<Worker<T>>,
}

impl<T> Meter for SessionMeter<T> {
    fn now(&self) -> Moment {
        self.worker.shared.clock.now()
    }

    fn wrote(&self, direction: Direction, bytes: usize) {
        self.figures
            .shard(self.worker.index)
            .add_relayed_bytes(direction, bytes as u64);
    }

    fn forwarded(&self, direction: Direction, read_at: Moment, at: Option<Moment>) {
        let (at, weight) = match at {
            // It had to wait: the time is known, and such waits are too rare to be left to chance.
            Some(at) => (at, 1),
            None => match self.worker.sample(direction) {
                Some(weight) => (self.now(), weight),
                None => return,
            },
        };
        self.figures
            .shard(self.worker.index)
            .add_latency(direction, at.since(read_at), weight);
    }
}
