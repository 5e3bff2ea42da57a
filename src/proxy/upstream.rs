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
    #[error("no answer from {address} within {limit:?}")]
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
    let timed_out = || ConnectError::TimedOut {
        address: upstream.to_string(),
        limit,
    };
    let deadline = Instant::now() + limit;
    let endpoints = timeout(limit, resolve(upstream))
        .await
        .map_err(|_| timed_out())??;
    let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
    let mut error = None;
    for (endpoint, left) in endpoints.into_iter().zip((1..=count).rev()) {
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        error = Some(
            match timeout(share, connect_to(&endpoint, user_timeout)).await {
                Ok(Ok(socket)) => return Ok((socket, endpoint)),
                Ok(Err(source)) => ConnectError::Connect { endpoint, source },
                Err(_) => timed_out(),
            },
        );
    }
    Err(error.unwrap_or_else(|| ConnectError::NoAddress {
        host: upstream.to_string(),
    }))
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
