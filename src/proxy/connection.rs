//! One client connection from its first byte to its last, as far as something has to be waited for.
//!
//! [`begin`] is the story up to the session: the greeting, a seat, the upstream; a plain one is told by
//! [`super::newcomer`], at once. The [`super::reactor`] relays the session, its login first, and what is left to do when
//! it stops is done here again, from [`close`] on.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::cancel;
use super::drain::{self, Drained};
use super::greeting::{self, Greeting, GreetingError, Hearing, Refused};
use super::newcomer::{Arrival, Newcomer, Progress};
use super::orders::{Left, Parting};
use super::relay::{End, Relay, Side};
use super::seats::Seat;
use super::session::{Place, Session, Until, UpstreamLeg};
use super::socket::Socket;
use super::sweep::Overdue;
use super::upstream::{self, ConnectError, Road};
use super::worker::Worker;
use super::{Target, UpstreamGauge};
use crate::event::{self, Rest, Tap as _, Taps};
use crate::registry::{self, ConnectionError};
use crate::wire::sasl::MechanismFilter;
use crate::wire::startup::{SqlState, error_response};

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

/// Takes in whoever left the reactor.
pub(super) async fn take<T>(left: Left<T::Tap>, worker: Rc<Worker<T>>)
where
    T: Taps + 'static,
    T::Tap: Send,
{
    match left {
        Left::Arrival(arrival) => serve(arrival, &worker).await,
        Left::Session(mut session, parting) => match session.enter_runtime() {
            Ok(()) => close(session, parting, &worker).await,
            Err(error) => tracing::warn!(%error, "a session was lost between two threads"),
        },
    }
}

/// Serves one client until its StartupMessage is with the upstream, and gives it to the worker's reactor then. What only
/// the beginning needs is boxed and given back.
async fn serve<T>(arrival: Box<Arrival>, worker: &Worker<T>)
where
    T: Taps + 'static,
    T::Tap: Send,
{
    let begun = tokio::select! {
        begun = Box::pin(begin(arrival, worker)) => begun,
        // A drain does not wait for ever for somebody to say what it wants, or to be told that it cannot have it.
        _ = worker.last_logins() => None,
    };
    let Some(mut session) = begun else {
        return;
    };
    if worker.plan().is_some() {
        return close(session, Parting::Drain, worker).await;
    }
    match session.leave_runtime() {
        Ok(()) => worker.carry(session),
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
        Parting::Drain => match log_in(&mut session, worker).await {
            Some(end) => end,
            None => drain_session(&mut session, worker).await,
        },
    };
    end_session(session, end, &worker.place).await;
}

/// From where the reactor left it to two connected sockets; `None` when it did not come to a session.
async fn begin<T: Taps>(arrival: Box<Arrival>, worker: &Worker<T>) -> Option<Box<Session<T::Tap>>> {
    let shared = &worker.place.shared;
    let Arrival {
        mut newcomer,
        progress,
    } = *arrival;
    let route = Arc::clone(shared.route(newcomer.route));
    let target = Arc::clone(&newcomer.target);
    let tunables = Arc::clone(&newcomer.tunables);
    let login_deadline = newcomer.login_deadline(shared);
    let ip = newcomer.ip();
    newcomer.client.refresh();
    let client = newcomer.client;

    let (client, greeting, connecting) = match progress {
        Progress::Greeting => {
            let greeting = greeting::read(client, &target.tls, newcomer.hearing);
            let greeting = timeout_at(login_deadline, greeting).await;
            let (client, greeting) = accept_greeting(greeting, &route.figures).await?;
            (client, greeting, None)
        }
        Progress::Said(Ok(greeting)) => (client, greeting, None),
        Progress::Said(Err(error)) => {
            refuse(Refused::new(error, Some(client)), &route.figures).await;
            return None;
        }
        Progress::Connecting(startup, connecting) => {
            (client, Greeting::Startup(startup), Some(connecting))
        }
    };
    let (startup, packet) = match greeting {
        Greeting::Cancel { key, packet } => {
            cancel::serve(client, &key, &packet, shared, newcomer.route).await;
            return None;
        }
        Greeting::Startup(mut startup) => {
            let packet = std::mem::take(&mut startup.packet);
            (Some(startup), packet)
        }
        Greeting::Opaque { packet } => (None, packet),
    };

    let (seat, gauge, begun) = match connecting {
        Some(connecting) => {
            let begun = (connecting.begun, connecting.road);
            (connecting.seat, connecting.gauge, Some(begun))
        }
        None => match Seat::take(shared, &tunables, ip) {
            Ok(seat) => (seat, UpstreamGauge::raise(Arc::clone(&route.figures)), None),
            Err(full) => {
                route.figures.count_error(full.reason());
                if startup.is_some() {
                    let response = error_response(TOO_MANY_CONNECTIONS, &full.words(ip));
                    say_goodbye(client, &response).await;
                }
                return None;
            }
        },
    };

    let left = login_deadline.saturating_duration_since(Instant::now());
    let limit = tunables.timeouts.connect.min(left);
    let connected = match begun {
        Some((begun, road)) => upstream::finish(begun, road, &tunables, limit).await,
        None => upstream::connect(&target, &tunables, limit).await,
    };
    upstream::note(&route.figures, &connected, shared.clock.now());
    let greeted = match connected {
        Ok((upstream, road)) => greet(upstream, road, &packet).await,
        Err(error) => Err(error),
    };
    let (mut socket, road) = match greeted {
        Ok(greeted) => greeted,
        Err(error) => {
            route
                .figures
                .count_error(ConnectionError::UpstreamUnreachable);
            drop((seat, gauge));
            if startup.is_some() {
                say_goodbye(
                    client,
                    &error_response(error.sqlstate(), &error.to_string()),
                )
                .await;
            }
            return None;
        }
    };

    match_logins(&client, &mut socket, &target, &route.figures);
    let upstream = UpstreamLeg {
        socket,
        road,
        gauge,
    };
    let newcomer = Newcomer {
        client,
        hearing: Hearing::default(),
        ..newcomer
    };
    Some(Session::open(
        newcomer,
        startup,
        upstream,
        seat,
        &*worker.taps,
        shared,
    ))
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

/// What a client has said in time, if it has.
async fn accept_greeting(
    greeting: Result<Result<(Socket, Greeting), Box<Refused>>, tokio::time::error::Elapsed>,
    figures: &registry::Listener,
) -> Option<(Socket, Greeting)> {
    match greeting {
        Ok(Ok(greeting)) => return Some(greeting),
        Ok(Err(refused)) => refuse(refused, figures).await,
        Err(_) => figures.count_error(ConnectionError::LoginTimeout),
    }
    None
}

/// Deals with clients that did not say what they want; libpq does not show what it is told before its StartupMessage,
/// so most are closed without a word, as PostgreSQL closes them.
async fn refuse(refused: Box<Refused>, figures: &registry::Listener) {
    let Refused { error, client } = *refused;
    tracing::debug!(listener = %figures.name, %error, "no session");
    let sqlstate = match error {
        GreetingError::Left(_) => return,
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
}

/// Relays until the login has ended, where it has not; `Some` when the session has ended with it. A drain waits for it
/// no longer than for others who have not logged in.
async fn log_in<T: Taps>(session: &mut Session<T::Tap>, worker: &Worker<T>) -> Option<SessionEnd> {
    if !session.follows_login() {
        return None;
    }
    let place = &worker.place;
    let left = session.facts.login_left(place);
    let ended = tokio::select! {
        ended = timeout(left, session.relay_until(Until::Login, place)) => ended,
        _ = worker.last_logins() => {
            return Some(match session.can_be_told() {
                true => SessionEnd::Drained,
                false => SessionEnd::Closed,
            });
        }
    };
    match ended {
        Ok(end) => end.map(SessionEnd::Relay),
        Err(_) => Some(SessionEnd::LoginTimeout),
    }
}

async fn drain_session<T: Taps>(session: &mut Session<T::Tap>, worker: &Worker<T>) -> SessionEnd {
    let Some(plan) = worker.plan() else {
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
