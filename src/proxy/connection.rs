//! One client connection from its first byte to its last.
//!
//! [`serve`] is the story up to the session: the greeting, a seat, the upstream. The [`super::reactor`] relays the
//! session, its login first, and what is left to do when it stops is done here again, from [`take_back`] on.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::cancel;
use super::drain::{self, Drained};
use super::greeting::{self, Greeting, GreetingError, Refused};
use super::login::Watch;
use super::reactor::{Left, Parting};
use super::relay::{End, Relay, Side};
use super::seats::{Full, Seat};
use super::session::{Facts, Place, Session, Until};
use super::socket::Socket;
use super::sweep::Overdue;
use super::upstream::{self, ConnectError, Road};
use super::worker::{Accepted, Worker};
use super::{Target, TlsMode, UpstreamGauge};
use crate::event::{self, ConnectionState, ConnectionStatus, Rest, SessionStart, Tap as _, Taps};
use crate::registry::{self, Connection, ConnectionError, Unobserved};
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

/// Serves one client until its StartupMessage is with the upstream, and gives it to the worker's reactor then. What only
/// the beginning needs is boxed and given back.
pub(super) async fn serve<T>(accepted: Accepted, worker: Rc<Worker<T>>)
where
    T: Taps + 'static,
    T::Tap: Send,
{
    let Some(mut session) = Box::pin(begin(accepted, &worker)).await else {
        return;
    };
    if worker.draining.get().is_some() {
        return close(session, Parting::Drain, &worker).await;
    }
    match session.leave_runtime() {
        Ok(()) => worker.carry(session),
        Err(error) => tracing::warn!(%error, "a session was lost between two threads"),
    }
}

/// Closes a session that the reactor gave back.
pub(super) async fn take_back<T>(left: Left<T::Tap>, worker: Rc<Worker<T>>)
where
    T: Taps + 'static,
    T::Tap: Send,
{
    let Left {
        mut session,
        parting,
    } = left;
    match session.enter_runtime() {
        Ok(()) => close(session, parting, &worker).await,
        Err(error) => tracing::warn!(%error, "a session was lost between two threads"),
    }
}

/// From why a session stopped being relayed to its end.
async fn close<T: Taps>(mut session: Box<Session<T::Tap>>, parting: Parting, worker: &Worker<T>) {
    let end = match parting {
        Parting::Ended(end) => SessionEnd::Relay(end),
        Parting::Overdue(Overdue::Login) => SessionEnd::LoginTimeout,
        Parting::Overdue(Overdue::Idle(limit)) => SessionEnd::Idle(limit),
        Parting::Overdue(Overdue::Old(limit)) => SessionEnd::Old(limit),
        Parting::Drain => match log_in(&mut session, &worker.place).await {
            Some(end) => end,
            None => drain_session(&mut session, worker).await,
        },
    };
    end_session(session, end, &worker.place).await;
}

/// From the first byte to two connected sockets; `None` when it did not come to a session.
async fn begin<T: Taps>(accepted: Accepted, worker: &Worker<T>) -> Option<Box<Session<T::Tap>>> {
    let shared = Arc::clone(&worker.place.shared);
    let route = Arc::clone(shared.route(accepted.route));
    let tunables = shared.tunables.load_full();
    let target = route.target.load_full();
    let login_deadline = Instant::now() + tunables.timeouts.login;
    let client = Socket::from_accepted(accepted.stream, tunables.tcp_user_timeout).ok()?;

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
    let facts = Facts {
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
    };
    let watch = if follows_login {
        Watch::login(tap, &shared)
    } else {
        Watch::nothing(&shared)
    };
    Some(Box::new(Session {
        relay: Relay::new(client, upstream),
        watch,
        figures: Arc::clone(&route.figures),
        facts,
        presence: accepted.presence,
    }))
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

/// Relays until the login has ended, where it has not; `Some` when the session has ended with it.
async fn log_in<Tap: event::Tap>(session: &mut Session<Tap>, place: &Place) -> Option<SessionEnd> {
    if !session.follows_login() {
        return None;
    }
    let deadline = session.facts.login_deadline;
    match timeout_at(deadline, session.relay_until(Until::Login, place)).await {
        Ok(end) => end.map(SessionEnd::Relay),
        Err(_) => Some(SessionEnd::LoginTimeout),
    }
}

async fn drain_session<T: Taps>(session: &mut Session<T::Tap>, worker: &Worker<T>) -> SessionEnd {
    let Some(plan) = worker.draining.get() else {
        return SessionEnd::Closed;
    };
    match drain::wait(session, plan, &worker.place).await {
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
    /// It was idle for this long.
    Idle(Duration),
    /// It has lived for this long, and was idle.
    Old(Duration),
}

/// Closes both sockets as the end demands, and tells the client why where it fits.
async fn end_session<Tap: event::Tap>(
    mut session: Box<Session<Tap>>,
    end: SessionEnd,
    place: &Place,
) {
    let figures = Arc::clone(&session.figures);
    let may_tell = session.can_be_told();
    // What ended it was said and may still be unread: a reset would take that away.
    let has_its_end = session.relay.client_is_finished()
        || (session.relay.client_is_open() && session.rest() == Rest::Over);
    session.watch.closed(place.shared.clock.now());
    if let SessionEnd::Relay(end) = &end {
        session.suspect_upstream(end, &place.shared);
    }
    let Session {
        relay,
        facts,
        presence,
        ..
    } = *session;
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
        SessionEnd::Idle(limit) => {
            figures.count_error(ConnectionError::ClientIdle);
            (
                IDLE_SESSION_TIMEOUT,
                format!("terminating connection: idle for {limit:?}, the limit"),
            )
        }
        SessionEnd::Old(limit) => {
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
