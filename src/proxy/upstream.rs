//! Where an upstream is, and how a leg to it is made: the name is resolved for each connection, and every address it
//! has is tried within one time limit.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::socket::Socket;
use crate::event::Moment;
use crate::registry;

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

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => address.fmt(f),
            Endpoint::Unix(path) => write!(f, "{}", path.display()),
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
}

/// Connects to `upstream`: to the first of its addresses that accepts, all within `limit`.
///
/// An address that does not answer gets an equal share of the time that is left, so that a dead one in front does
/// not use up the time of those behind it. Returns the last address's error.
pub(super) async fn connect(
    upstream: &UpstreamAddress,
    limit: Duration,
    user_timeout: Option<Duration>,
) -> Result<(Socket, Endpoint), ConnectError> {
    let deadline = Instant::now() + limit;
    let endpoints = timeout(limit, resolve(upstream)).await;
    let Ok(endpoints) = endpoints else {
        let address = upstream.to_string();
        return Err(ConnectError::TimedOut { address, limit });
    };
    connect_first(endpoints?, upstream, deadline, user_timeout).await
}

async fn connect_first(
    endpoints: Vec<Endpoint>,
    upstream: &UpstreamAddress,
    deadline: Instant,
    user_timeout: Option<Duration>,
) -> Result<(Socket, Endpoint), ConnectError> {
    let mut error = ConnectError::NoAddress {
        host: upstream.to_string(),
    };
    let mut left = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
    for endpoint in endpoints {
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        left = left.saturating_sub(1).max(1);
        error = match timeout(share, connect_to(&endpoint, user_timeout)).await {
            Ok(Ok(socket)) => return Ok((socket, endpoint)),
            Ok(Err(source)) => ConnectError::Connect { endpoint, source },
            Err(_) => ConnectError::TimedOut {
                address: endpoint.to_string(),
                limit: share,
            },
        };
    }
    Err(error)
}

/// Connects to one address, without a time limit.
pub(super) async fn connect_to(
    endpoint: &Endpoint,
    user_timeout: Option<Duration>,
) -> io::Result<Socket> {
    match endpoint {
        Endpoint::Tcp(address) => {
            Socket::from_tcp(TcpStream::connect(address).await?, user_timeout)
        }
        Endpoint::Unix(path) => Ok(Socket::from_unix(UnixStream::connect(&**path).await?)),
    }
}

async fn resolve(upstream: &UpstreamAddress) -> Result<Vec<Endpoint>, ConnectError> {
    let (host, port) = match upstream {
        UpstreamAddress::Unix(path) => return Ok(vec![Endpoint::Unix(Arc::new(path.clone()))]),
        UpstreamAddress::Tcp { host, port } => (host, *port),
    };
    // Numbers need no thread of the resolver.
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![Endpoint::Tcp(SocketAddr::new(address, port))]);
    }
    let addresses = tokio::net::lookup_host((host.as_str(), port))
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
    result: &Result<(Socket, Endpoint), ConnectError>,
    at: Moment,
) {
    let was_up = figures.upstream().up;
    match result {
        Ok((_, endpoint)) => {
            if was_up == Some(false) {
                tracing::info!(listener = %figures.name, %endpoint, "upstream is reachable again");
            }
            figures.set_upstream_result(Ok(()), at);
        }
        Err(error) => {
            if was_up != Some(false) {
                tracing::warn!(listener = %figures.name, %error, "upstream is not reachable");
            }
            figures.set_upstream_result(Err(error.to_string()), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn upstream() -> UpstreamAddress {
        UpstreamAddress::Tcp {
            host: "several.example".to_owned(),
            port: 5432,
        }
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
                let connected = connect_first(endpoints, &upstream(), deadline, None).await;
                connected.map(|(_, endpoint)| endpoint.to_string())
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
