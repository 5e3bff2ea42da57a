//! `upstream = "postgres://host:port?sslmode=prefer"`: where a listener's connections go.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::error::Reason;
use super::value::{Raw, Setting, quoted};

/// Where the upstream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host name or IP address (without brackets) and a port; a name is resolved for each new connection.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// The folder of a Unix socket and the port in its name.
    Unix {
        /// The folder, for example `/run/postgresql`.
        folder: PathBuf,
        /// The port in `.s.PGSQL.5432`.
        port: u16,
    },
}

impl Address {
    /// Path of the Unix socket, as libpq builds it; `None` for TCP.
    pub fn socket_path(&self) -> Option<PathBuf> {
        match self {
            Address::Unix { folder, port } => Some(folder.join(format!(".s.PGSQL.{port}"))),
            Address::Tcp { .. } => None,
        }
    }

    /// Whether it can only be this machine: a Unix socket, a loopback address, or the name `localhost`.
    pub fn is_loopback(&self) -> bool {
        match self {
            Address::Unix { .. } => true,
            Address::Tcp { host, .. } => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix { folder, port } => {
                write!(f, "{}", folder.join(format!(".s.PGSQL.{port}")).display())
            }
        }
    }
}

/// libpq's `sslmode` towards the upstream, as far as this release speaks it: all three connect in plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// Plaintext first.
    Allow,
    /// TLS where both can; this release cannot.
    #[default]
    Prefer,
}

/// An upstream as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub address: Address,
    /// How to speak to it.
    pub sslmode: SslMode,
}

impl Default for Upstream {
    fn default() -> Upstream {
        Upstream {
            address: Address::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 5432,
            },
            sslmode: SslMode::Prefer,
        }
    }
}

/// Why an upstream is refused. No variant holds the text: there may be a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text says what it means")]
pub enum UpstreamError {
    #[error(
        "not a URL of the form \"postgres://host:5432\" or \"postgres:///?host=/run/postgresql\""
    )]
    NotAUrl,
    #[error(
        "the URL holds {0}, which the client brings itself; leave it out, for example \"postgres://127.0.0.1:5432\""
    )]
    Credentials(&'static str),
    #[error(
        "the URL names no host; write \"postgres://host:5432\" or \"postgres:///?host=/run/postgresql\""
    )]
    NoHost,
    #[error("the URL names several hosts; give one, and a listener to each of the others")]
    SeveralHosts,
    #[error("the URL names the host twice")]
    HostTwice,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("the parameter `{0}` is not known here; host, port and sslmode are")]
    UnknownParameter(String),
    #[error("sslmode `{0}` is not one of disable, allow, prefer, require, verify-ca, verify-full")]
    UnknownSslMode(String),
    #[error(
        "{0}: TLS towards the upstream is not in this release; use sslmode=prefer on a network you trust, \
         or tls = \"pass-through\" to carry the client's own TLS (not observed)"
    )]
    TlsNotYet(String),
}

/// A part of the text that may be printed: a short word, so that no password can hide in it.
fn printable(word: &str) -> String {
    word.chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .take(32)
        .collect()
}

impl std::str::FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Upstream, UpstreamError> {
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))
            .ok_or(UpstreamError::NotAUrl)?;
        // Before anything else is looked at: what follows a failed parse may be printed, this never.
        if rest.contains('@') {
            return Err(UpstreamError::Credentials("a user or a password"));
        }
        let (authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains(',') {
            return Err(UpstreamError::SeveralHosts);
        }
        let url = url::Url::parse(text).map_err(|error| match error {
            url::ParseError::InvalidPort => UpstreamError::Port,
            _ => UpstreamError::NotAUrl,
        })?;
        if !matches!(url.path(), "" | "/") {
            return Err(UpstreamError::Credentials("a database"));
        }
        if url.fragment().is_some() {
            return Err(UpstreamError::NotAUrl);
        }

        let mut host = match url.host() {
            Some(url::Host::Ipv6(ip)) => Some(ip.to_string()),
            Some(other) => Some(other.to_string()).filter(|host| !host.is_empty()),
            None => None,
        };
        let mut port = url.port();
        let mut sslmode = SslMode::default();
        for (name, value) in url.query_pairs() {
            match &*name {
                "host" | "hostaddr" if host.is_some() => return Err(UpstreamError::HostTwice),
                "host" | "hostaddr" if value.contains(',') => {
                    return Err(UpstreamError::SeveralHosts);
                }
                "host" | "hostaddr" => host = Some(value.into_owned()),
                "port" => port = Some(value.parse().map_err(|_| UpstreamError::Port)?),
                "sslmode" => sslmode = read_sslmode(&value)?,
                "user" => return Err(UpstreamError::Credentials("a user")),
                "password" | "passfile" => return Err(UpstreamError::Credentials("a password")),
                "dbname" => return Err(UpstreamError::Credentials("a database")),
                name if name.starts_with("ssl") => {
                    return Err(UpstreamError::TlsNotYet(printable(name)));
                }
                name => return Err(UpstreamError::UnknownParameter(printable(name))),
            }
        }
        // `postgres://%2Frun%2Fpostgresql` is libpq's other way to name a socket's folder.
        let host = host
            .map(|host| host.replace("%2F", "/").replace("%2f", "/"))
            .filter(|host| !host.is_empty())
            .ok_or(UpstreamError::NoHost)?;
        let port = match port {
            Some(0) => return Err(UpstreamError::Port),
            Some(port) => port,
            None => 5432,
        };
        let address = if Path::new(&host).is_absolute() {
            Address::Unix {
                folder: PathBuf::from(host),
                port,
            }
        } else {
            Address::Tcp { host, port }
        };
        Ok(Upstream { address, sslmode })
    }
}

fn read_sslmode(value: &str) -> Result<SslMode, UpstreamError> {
    match value {
        "disable" => Ok(SslMode::Disable),
        "allow" => Ok(SslMode::Allow),
        "prefer" => Ok(SslMode::Prefer),
        "require" | "verify-ca" | "verify-full" => {
            Err(UpstreamError::TlsNotYet(format!("sslmode={value}")))
        }
        other => Err(UpstreamError::UnknownSslMode(printable(other))),
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sslmode = match self.sslmode {
            SslMode::Disable => "disable",
            SslMode::Allow => "allow",
            SslMode::Prefer => "prefer",
        };
        match &self.address {
            Address::Tcp { .. } => write!(f, "postgres://{}?sslmode={sslmode}", self.address),
            Address::Unix { folder, port } => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query.append_pair("host", &folder.to_string_lossy());
                query.append_pair("port", &port.to_string());
                query.append_pair("sslmode", sslmode);
                write!(f, "postgres:///?{}", query.finish().replace("%2F", "/"))
            }
        }
    }
}

impl Setting for Upstream {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        let (Raw::Words(text) | Raw::Text(text)) = raw else {
            return Err(UpstreamError::NotAUrl.into());
        };
        *self = text.trim().parse()?;
        Ok(())
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}
