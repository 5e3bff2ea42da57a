//! Where the catalogue is, with the password that nobody is shown.

use std::fmt;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// A connection string. Shows itself without its password, and without whatever else it may carry.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    config: Config,
}

/// Why a connection string cannot be used. Says nothing of the string itself: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum AddressError {
    #[error("it is not a connection string; write postgres://user:password@host:port/database")]
    Unreadable,
    #[error("it names no host")]
    NoHost,
    #[error("it names no user")]
    NoUser,
    #[error("it names no database; constraints are the database's own")]
    NoDatabase,
    #[error("its sslmode asks for TLS, which is not in this release; write disable or prefer")]
    Tls,
}

impl Address {
    /// Reads `postgres://user:password@host:port/database`.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let config = Config::from_str(text).map_err(|_| AddressError::Unreadable)?;
        match config.get_hosts() {
            [] => Err(AddressError::NoHost),
            _ if config.get_user().is_none_or(str::is_empty) => Err(AddressError::NoUser),
            _ if config.get_dbname().is_none_or(str::is_empty) => Err(AddressError::NoDatabase),
            _ => match config.get_ssl_mode() {
                SslMode::Disable | SslMode::Prefer => Ok(Address { config }),
                _ => Err(AddressError::Tls),
            },
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

impl fmt::Display for Address {
    /// `postgres://user@host:5432/database`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        write!(f, "postgres://{}@", config.get_user().unwrap_or_default())?;
        for (index, host) in config.get_hosts().iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let ports = config.get_ports();
            let port = ports.get(index).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}:{port}")?,
                #[allow(unreachable_patterns, reason = "there are no sockets on other systems")]
                Host::Unix(folder) => write!(f, "{separator}{}:{port}", folder.display())?,
                #[allow(unreachable_patterns, reason = "as above")]
                _ => write!(f, "{separator}?:{port}")?,
            }
        }
        write!(f, "/{}", config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
