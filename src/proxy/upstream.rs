//! Where an upstream is, and how a leg to it is made: the name is resolved for each connection, and every address it
//! has is tried within one time limit, its TLS handshake included.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::direct::{self, Connecting};
use super::socket::Socket;
use super::tls::{Connector, SslMode};
use super::{Target, Tunables, delay};
use crate::event::Moment;
use crate::registry;
use crate::wire::startup::{SSL_REQUEST, SqlState};

/// Where an upstream is, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// A host name, or an IP address in numbers, and a port.
    Tcp {
        /// IPv6 addresses without brackets.
        host: String,
        /// 5432 where PostgreSQL was not told otherwise.
        port: u16,
    },
    /// The whole path of a Unix socket, e.g. `/run/postgresql/.s.PGSQL.5432`.
    Unix(PathBuf),
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamAddress::Tcp { host, port } if host.contains(':') => {
                write!(f, "[{host}]:{port}")
            }
            UpstreamAddress::Tcp { host, port } => write!(f, "{host}:{port}"),
            UpstreamAddress::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The very address that a leg was connected to: where its CancelRequests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Tcp(SocketAddr),
    Unix(Arc<PathBuf>),
}

impl Endpoint {
    /// Where an upstream is, if no name has to be resolved for it.
    pub(super) fn in_numbers(upstream: &UpstreamAddress) -> Option<Endpoint> {
        match upstream {
            UpstreamAddress::Unix(path) => Some(Endpoint::Unix(Arc::new(path.clone()))),
            UpstreamAddress::Tcp { host, port } => {
                let address: IpAddr = host.parse().ok()?;
                Some(Endpoint::Tcp(SocketAddr::new(address, *port)))
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => address.fmt(f),
            Endpoint::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Where a leg was connected to, and how: its CancelRequests take the same road.
#[derive(Debug, Clone)]
pub(super) struct Road {
    pub(super) endpoint: Endpoint,
    /// The same in words.
    pub(super) name: Arc<str>,
    /// Set where the leg speaks TLS.
    tls: Option<Arc<Connector>>,
}

impl Road {
    pub(super) fn plain(endpoint: Endpoint) -> Road {
        Road {
            name: endpoint.to_string().into(),
            endpoint,
            tls: None,
        }
    }

    /// The same way again: where there was TLS, there is no way without it, and the other way round.
    fn of(endpoint: Endpoint, leg: &Socket, tls: Option<&Arc<Connector>>) -> Road {
        Road {
            tls: tls.filter(|_| leg.is_tls()).cloned(),
            ..Road::plain(endpoint)
        }
    }
}

/// Why no leg could be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot resolve {host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error("cannot connect to {endpoint}: {source}")]
    Connect {
        endpoint: Endpoint,
        source: io::Error,
    },
    #[error("no answer from {address} within {:.1} s", limit.as_secs_f64())]
    TimedOut { address: String, limit: Duration },
    #[error("sslmode={sslmode}, but the upstream {endpoint} {error}")]
    Tls {
        endpoint: Endpoint,
        sslmode: SslMode,
        error: TlsError,
    },
}

impl ConnectError {
    /// What a client is told with it.
    pub(super) fn sqlstate(&self) -> SqlState {
        match self {
            ConnectError::Tls {
                error: TlsError::BytesBehind | TlsError::Answer(_),
                ..
            } => SqlState(*b"08P01"),
            _ => SqlState(*b"08006"),
        }
    }
}

/// Why there is no TLS with an upstream that was connected to.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("does not support TLS")]
    Unsupported,
    /// It would have told why; but who told it is not known before TLS.
    #[error("answered the request for TLS with an error; its own log says why")]
    Refused,
    #[error("answered the request for TLS with the byte {0:#04x}")]
    Answer(u8),
    #[error("sent unencrypted data behind its answer to SSLRequest")]
    BytesBehind,
    #[error("closed the connection when asked for TLS: {0}")]
    Closed(io::Error),
    #[error("and we did not agree on TLS: {0}")]
    Handshake(io::Error),
}

impl TlsError {
    fn at(self, endpoint: &Endpoint, connector: &Connector) -> ConnectError {
        ConnectError::Tls {
            endpoint: endpoint.clone(),
            sslmode: connector.sslmode(),
            error: self,
        }
    }
}

/// An upstream that was asked for a connection, without waiting for it.
pub(super) enum Reached {
    Connected(Socket, Road),
    /// It has not answered: [`finish`] waits for it.
    Begun(std::net::TcpStream, Road),
}

/// Asks a plain upstream for a connection; `None` where it is not plain or not near, or there was an error, which is the
/// same for whoever asks again.
pub(super) fn reach(target: &Target, tunables: &Tunables) -> Option<Reached> {
    let road = target.plain().filter(|_| tunables.add_latency.is_zero())?;
    let socket = match &road.endpoint {
        Endpoint::Tcp(address) => match direct::connect(*address) {
            Ok(Connecting::Done(stream)) => Socket::from_tcp(stream, tunables.tcp_user_timeout),
            Ok(Connecting::Begun(stream)) => return Some(Reached::Begun(stream, road.clone())),
            Err(error) => Err(error),
        },
        Endpoint::Unix(path) => direct::connect_unix(path).map(Socket::from_unix),
    };
    let socket = socket.ok()?;
    Some(Reached::Connected(socket, road.clone()))
}

/// Waits for a connection that was begun on a plain `road`, for `limit` at most.
pub(super) async fn finish(
    begun: std::net::TcpStream,
    road: Road,
    tunables: &Tunables,
    limit: Duration,
) -> Result<(Socket, Road), ConnectError> {
    let Ok(stream) = timeout(limit, connected(begun)).await else {
        let address = road.name.to_string();
        return Err(ConnectError::TimedOut { address, limit });
    };
    match stream.and_then(|stream| Socket::from_tcp(stream, tunables.tcp_user_timeout)) {
        Ok(socket) => Ok((socket, road)),
        Err(source) => Err(ConnectError::Connect {
            endpoint: road.endpoint,
            source,
        }),
    }
}

/// Connects to a listener's upstream: to the first of its addresses that accepts, all within `limit`.
///
/// An address that does not answer gets an equal share of the time that is left, so that a dead one in front does
/// not use up the time of those behind it. Returns the last address's error.
pub(super) async fn connect(
    target: &Target,
    tunables: &Tunables,
    limit: Duration,
) -> Result<(Socket, Road), ConnectError> {
    let deadline = Instant::now() + limit;
    let endpoints = timeout(limit, resolve(&target.upstream)).await;
    let Ok(endpoints) = endpoints else {
        let address = target.upstream.to_string();
        return Err(ConnectError::TimedOut { address, limit });
    };
    connect_first(endpoints?, target, deadline, tunables).await
}

async fn connect_first(
    endpoints: Vec<Endpoint>,
    target: &Target,
    deadline: Instant,
    tunables: &Tunables,
) -> Result<(Socket, Road), ConnectError> {
    let tls = target.upstream_tls.as_ref();
    let mut error = ConnectError::NoAddress {
        host: target.upstream.to_string(),
    };
    let mut left = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
    for endpoint in endpoints {
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        left = left.saturating_sub(1).max(1);
        error = match timeout(share, connect_to(&endpoint, target, tunables)).await {
            Ok(Ok(leg)) => {
                let road = Road::of(endpoint, &leg, tls);
                return Ok((leg, road));
            }
            Ok(Err(error)) => error,
            Err(_) => ConnectError::TimedOut {
                address: endpoint.to_string(),
                limit: share,
            },
        };
    }
    Err(error)
}

/// Connects where a leg was connected before, without a time limit.
pub(super) async fn connect_again(
    road: &Road,
    tunables: &Tunables,
) -> Result<Socket, ConnectError> {
    let socket = open(&road.endpoint, tunables).await?;
    match &road.tls {
        Some(connector) => secure(socket, connector, Plaintext::Refused)
            .await
            .map_err(|error| error.at(&road.endpoint, connector)),
        None => Ok(socket),
    }
}

/// Connects to one address, without a time limit; in TLS as far as its sslmode demands it and the server has it.
async fn connect_to(
    endpoint: &Endpoint,
    target: &Target,
    tunables: &Tunables,
) -> Result<Socket, ConnectError> {
    let socket = open(endpoint, tunables).await?;
    let (Some(connector), Endpoint::Tcp(_)) = (&target.upstream_tls, endpoint) else {
        return Ok(socket);
    };
    let plaintext = match connector.sslmode() {
        SslMode::Prefer => Plaintext::Accepted,
        _ => Plaintext::Refused,
    };
    match secure(socket, connector, plaintext).await {
        Ok(leg) => {
            if !leg.is_tls() {
                target.note_declined_tls();
            }
            Ok(leg)
        }
        // As libpq does: on a new connection, because nothing sensible can follow on this one.
        Err(TlsError::Closed(error) | TlsError::Handshake(error))
            if plaintext == Plaintext::Accepted =>
        {
            tracing::debug!(%endpoint, %error, "no TLS with the upstream; sslmode=prefer goes on without");
            open(endpoint, tunables).await
        }
        Err(error) => Err(error.at(endpoint, connector)),
    }
}

/// What becomes of a server that has no TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plaintext {
    Accepted,
    Refused,
}

/// Waits only where the kernel has not done it by the time it was asked, as it has on loopback.
async fn connect_tcp(address: SocketAddr) -> io::Result<std::net::TcpStream> {
    match direct::connect(address)? {
        Connecting::Done(stream) => Ok(stream),
        Connecting::Begun(stream) => connected(stream).await,
    }
}

/// Waits for what was begun.
async fn connected(begun: std::net::TcpStream) -> io::Result<std::net::TcpStream> {
    let stream = TcpStream::from_std(begun)?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => stream.into_std(),
    }
}

async fn open(endpoint: &Endpoint, tunables: &Tunables) -> Result<Socket, ConnectError> {
    let user_timeout = tunables.tcp_user_timeout;
    let opened = match endpoint {
        Endpoint::Tcp(address) => match connect_tcp(*address).await {
            Ok(stream) => Socket::from_tcp(stream, user_timeout),
            Err(error) => Err(error),
        },
        Endpoint::Unix(path) => direct::connect_unix(path).map(Socket::from_unix),
    };
    let opened = match opened {
        Ok(socket) if !tunables.add_latency.is_zero() => {
            further_away(socket, tunables.add_latency).await
        }
        opened => opened,
    };
    opened.map_err(|source| ConnectError::Connect {
        endpoint: endpoint.clone(),
        source,
    })
}

/// The same, as far away as `latency` says; connecting to it would have taken a round trip too.
async fn further_away(socket: Socket, latency: Duration) -> io::Result<Socket> {
    tokio::time::sleep(latency).await;
    let near = delay::lengthen(socket.into_raw()?, latency)?;
    Socket::from_tcp(near, None)
}

/// Asks for TLS and begins it. Nothing is read beyond the answer: what stands there already was sent by somebody who
/// did not wait for a ClientHello (CVE-2021-23222).
async fn secure(
    mut upstream: Socket,
    connector: &Connector,
    plaintext: Plaintext,
) -> Result<Socket, TlsError> {
    let asked = upstream.write_all(&SSL_REQUEST).await;
    asked.map_err(TlsError::Closed)?;
    match upstream.read_u8().await.map_err(TlsError::Closed)? {
        b'S' if upstream.has_unread_bytes() => Err(TlsError::BytesBehind),
        b'S' => connector
            .connect(upstream)
            .await
            .map_err(TlsError::Handshake),
        b'N' if plaintext == Plaintext::Accepted => Ok(upstream),
        b'N' => Err(TlsError::Unsupported),
        b'E' => Err(TlsError::Refused),
        other => Err(TlsError::Answer(other)),
    }
}

async fn resolve(upstream: &UpstreamAddress) -> Result<Vec<Endpoint>, ConnectError> {
    // Numbers need no thread of the resolver.
    if let Some(endpoint) = Endpoint::in_numbers(upstream) {
        return Ok(vec![endpoint]);
    }
    let UpstreamAddress::Tcp { host, port } = upstream else {
        return Ok(Vec::new());
    };
    let addresses = tokio::net::lookup_host((host.as_str(), *port))
        .await
        .map_err(|source| ConnectError::Resolve {
            host: host.clone(),
            source,
        })?;
    Ok(addresses.map(Endpoint::Tcp).collect())
}

/// Writes down how an attempt to connect ended, and says so in the log when it ended otherwise than the last one.
pub(super) fn note(
    figures: &registry::Listener,
    result: &Result<(Socket, Road), ConnectError>,
    at: Moment,
) {
    match result {
        Ok((_, road)) => note_reached(figures, &road.endpoint, at),
        Err(error) => {
            let was_up = figures.set_upstream_result(Err(error.to_string()), at);
            if was_up != Some(false) {
                tracing::warn!(listener = %figures.name, %error, "upstream is not reachable");
            }
        }
    }
}

/// The same of an attempt that succeeded.
pub(super) fn note_reached(figures: &registry::Listener, endpoint: &Endpoint, at: Moment) {
    if figures.set_upstream_result(Ok(()), at) == Some(false) {
        tracing::info!(listener = %figures.name, %endpoint, "upstream is reachable again");
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::proxy::{ListenerSettings, TlsMode};

    fn target() -> Target {
        Target::of(&ListenerSettings {
            name: "default".into(),
            listen: "127.0.0.1:0".to_owned(),
            upstream: UpstreamAddress::Tcp {
                host: "several.example".to_owned(),
                port: 5432,
            },
            upstream_tls: None,
            tls: TlsMode::Off,
            observe: true,
        })
    }

    /// Tries the addresses in turn and says which accepted.
    fn connect_to_first(addresses: &[SocketAddr], limit: Duration) -> Result<String, ConnectError> {
        let endpoints = addresses.iter().copied().map(Endpoint::Tcp).collect();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                let deadline = Instant::now() + limit;
                let connected =
                    connect_first(endpoints, &target(), deadline, &Tunables::default()).await;
                connected.map(|(_, road)| road.endpoint.to_string())
            })
    }

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn refusing() -> SocketAddr {
        listening().1
    }

    /// An address that answers nothing: its queue is full.
    fn silent() -> (Vec<socket2::Socket>, SocketAddr) {
        let stream = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let listener = stream();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut sockets = vec![listener];
        for _ in 0..8 {
            let client = stream();
            // Some are queued, the others wait as every later one will.
            let _ = client.connect(&address.into());
            sockets.push(client);
        }
        (sockets, address)
    }

    #[test]
    fn the_first_address_that_accepts_is_taken() {
        let (_listener, address) = listening();
        let (_other_listener, other) = listening();
        let limit = Duration::from_secs(10);
        let found = connect_to_first(&[refusing(), address, other], limit);
        assert_eq!(found.unwrap(), address.to_string());
    }

    #[test]
    fn a_dead_address_leaves_time_for_those_behind_it() {
        let (_sockets, dead) = silent();
        let (_listener, address) = listening();
        let found = connect_to_first(&[dead, address], Duration::from_secs(1));
        assert_eq!(found.unwrap(), address.to_string());
        let error = connect_to_first(&[dead], Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    }

    #[test]
    fn the_last_error_is_told() {
        let limit = Duration::from_secs(10);
        let address = refusing();
        let error = connect_to_first(&[refusing(), address], limit).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        let error = connect_to_first(&[], limit).unwrap_err();
        assert_eq!(error.to_string(), "several.example:5432 has no address");
    }
}
