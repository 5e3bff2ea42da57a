//! `upstream = "postgres://host:port?sslmode=prefer"`: where a listener's connections go.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::error::Reason;
use super::value::{Raw, Setting, quoted};
use crate::proxy::tls::{Roots, SslMode};

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

    /// The host, where it is one; `None` for a Unix socket.
    pub fn host(&self) -> Option<&str> {
        match self {
            Address::Tcp { host, .. } => Some(host),
            Address::Unix { .. } => None,
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

/// An upstream as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub address: Address,
    /// How much of TLS is asked of it.
    pub sslmode: SslMode,
    /// Who may sign its certificate.
    pub sslrootcert: Option<Roots>,
    /// The certificate that we show it.
    pub sslcert: Option<PathBuf>,
    /// That certificate's key.
    pub sslkey: Option<PathBuf>,
    /// Whether its name is sent with the first message of TLS.
    pub sslsni: bool,
}

impl Default for Upstream {
    fn default() -> Upstream {
        Upstream {
            address: Address::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 5432,
            },
            sslmode: SslMode::Prefer,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            sslsni: true,
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
    #[error(
        "the parameter `{0}` is not known here; host, port, sslmode, sslrootcert, sslcert, sslkey and sslsni are"
    )]
    UnknownParameter(String),
    #[error("sslmode `{0}` is not one of disable, prefer, require, verify-ca, verify-full")]
    UnknownSslMode(String),
    #[error(
        "sslmode=allow, plaintext unless the server refuses it, is not supported; write disable, or prefer"
    )]
    Allow,
    #[error(
        "sslmode={0} needs sslrootcert: a file with the certificate that signs the server's, or system"
    )]
    RootMissing(SslMode),
    #[error(
        "sslrootcert=system trusts whoever the system trusts, so that only sslmode=verify-full makes sense"
    )]
    SystemRoots,
    #[error("sslcert and sslkey belong together; give both or none")]
    HalfIdentity,
    #[error("sslsni is not 0 or 1")]
    Sni,
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
        let mut sslmode = None;
        let mut upstream = Upstream::default();
        for (name, value) in url.query_pairs() {
            match &*name {
                "host" | "hostaddr" if host.is_some() => return Err(UpstreamError::HostTwice),
                "host" | "hostaddr" if value.contains(',') => {
                    return Err(UpstreamError::SeveralHosts);
                }
                "host" | "hostaddr" => host = Some(value.into_owned()),
                "port" => port = Some(value.parse().map_err(|_| UpstreamError::Port)?),
                "sslmode" => sslmode = Some(read_sslmode(&value)?),
                "sslrootcert" if value == "system" => upstream.sslrootcert = Some(Roots::System),
                "sslrootcert" => upstream.sslrootcert = path(&value).map(Roots::File),
                "sslcert" => upstream.sslcert = path(&value),
                "sslkey" => upstream.sslkey = path(&value),
                "sslsni" => {
                    upstream.sslsni = match &*value {
                        "0" => false,
                        "1" => true,
                        _ => return Err(UpstreamError::Sni),
                    }
                }
                "user" => return Err(UpstreamError::Credentials("a user")),
                "password" | "passfile" => return Err(UpstreamError::Credentials("a password")),
                "dbname" => return Err(UpstreamError::Credentials("a database")),
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
        upstream.address = if Path::new(&host).is_absolute() {
            Address::Unix {
                folder: PathBuf::from(host),
                port,
            }
        } else {
            Address::Tcp { host, port }
        };
        upstream.sslmode = match (sslmode, &upstream.sslrootcert) {
            (None | Some(SslMode::VerifyFull), Some(Roots::System)) => SslMode::VerifyFull,
            (_, Some(Roots::System)) => return Err(UpstreamError::SystemRoots),
            (Some(sslmode @ (SslMode::VerifyCa | SslMode::VerifyFull)), None) => {
                return Err(UpstreamError::RootMissing(sslmode));
            }
            (sslmode, _) => sslmode.unwrap_or_default(),
        };
        if upstream.sslcert.is_some() != upstream.sslkey.is_some() {
            return Err(UpstreamError::HalfIdentity);
        }
        Ok(upstream)
    }
}

fn path(value: &str) -> Option<PathBuf> {
    (!value.is_empty()).then(|| PathBuf::from(value))
}

fn read_sslmode(value: &str) -> Result<SslMode, UpstreamError> {
    match value {
        "disable" => Ok(SslMode::Disable),
        "allow" => Err(UpstreamError::Allow),
        "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        other => Err(UpstreamError::UnknownSslMode(printable(other))),
    }
}

impl fmt::Display for Upstream {
    /// What would be read back, without what is the default anyway.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Address::Unix { folder, port } = &self.address {
            query.append_pair("host", &folder.to_string_lossy());
            query.append_pair("port", &port.to_string());
        }
        query.append_pair("sslmode", self.sslmode.as_str());
        match &self.sslrootcert {
            Some(Roots::File(path)) => {
                query.append_pair("sslrootcert", &path.to_string_lossy());
            }
            Some(Roots::System) => {
                query.append_pair("sslrootcert", "system");
            }
            None => {}
        }
        for (name, path) in [("sslcert", &self.sslcert), ("sslkey", &self.sslkey)] {
            if let Some(path) = path {
                query.append_pair(name, &path.to_string_lossy());
            }
        }
        if !self.sslsni {
            query.append_pair("sslsni", "0");
        }
        let query = query.finish().replace("%2F", "/");
        match &self.address {
            Address::Tcp { .. } => write!(f, "postgres://{}?{query}", self.address),
            Address::Unix { .. } => write!(f, "postgres:///?{query}"),
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
