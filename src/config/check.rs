//! What no single key can see: rules between keys, and what deserves a warning.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::error::{ConfigError, Reason};
use super::load::Places;
use super::{Address, Config, Listener};

/// A configuration that is accepted, but whose user should know something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A listener is reachable from other machines while its upstream sees every client come from this one.
    OpenListener {
        /// Name of the listener.
        name: String,
        /// Where it listens.
        listen: SocketAddr,
        /// Where it leads.
        upstream: Address,
    },
    /// Statements are logged with their values.
    LiteralsLogged,
    /// Every user of this machine can read the admin token.
    TokenReadable {
        /// Its file.
        path: PathBuf,
    },
    /// The admin token is short enough to be guessed.
    TokenShort,
}

/// Characters of a token from which on guessing it is hopeless, if it was chosen by chance.
const TOKEN_CHARACTERS_MIN: usize = 16;

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::OpenListener { name, listen, upstream } => write!(
                f,
                "listener {name} on {listen} can be reached from other machines, but its upstream {upstream} sees all \
                 of them come from this one: trust, peer, ident and address rules of pg_hba.conf lose their meaning; \
                 listen on a loopback address, or let pg_hba.conf ask everybody for a password"
            ),
            Warning::LiteralsLogged => f.write_str(
                "log_literals is on: values in statements, personal data among them, are written to the slow log",
            ),
            Warning::TokenReadable { path } => write!(
                f,
                "admin.token_file: every user of this machine can read {path}; chmod 600 {path}",
                path = path.display()
            ),
            Warning::TokenShort => write!(
                f,
                "the admin token has less than {TOKEN_CHARACTERS_MIN} characters and may be guessed; \
                 openssl rand -hex 32 makes a good one"
            ),
        }
    }
}

impl Config {
    /// What the user should know before this configuration runs.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings: Vec<Warning> = self
            .listeners
            .iter()
            .filter(|listener| {
                !listener.listen.ip().is_loopback() && listener.upstream.address.is_loopback()
            })
            .map(|listener| Warning::OpenListener {
                name: listener.name.clone(),
                listen: listener.listen,
                upstream: listener.upstream.address.clone(),
            })
            .collect();
        if self.log_literals {
            warnings.push(Warning::LiteralsLogged);
        }
        if let Some(path) = &self.admin.token_file
            && std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
        {
            let path = path.clone();
            warnings.push(Warning::TokenReadable { path });
        }
        if let Some(token) = &self.admin.token
            && token.0.len() < TOKEN_CHARACTERS_MIN
        {
            warnings.push(Warning::TokenShort);
        }
        warnings
    }

    pub(super) fn check(&self, places: &Places<'_>) -> Result<(), ConfigError> {
        self.check_listeners(places)?;
        self.check_admin(places)
    }

    fn check_listeners(&self, places: &Places<'_>) -> Result<(), ConfigError> {
        if self.listeners.is_empty() {
            return Err(places.refuse("listeners.listen", 0, Reason::NoListener));
        }
        for (index, listener) in self.listeners.iter().enumerate() {
            let refuse = |key, reason| Err(places.refuse(key, index, reason));
            let earlier = &self.listeners[..index];
            if !is_name(&listener.name) {
                return refuse("listeners.name", Reason::NotAName(listener.name.clone()));
            }
            if earlier.iter().any(|other| other.name == listener.name) {
                return refuse("listeners.name", Reason::Twice(listener.name.clone()));
            }
            let busy = |other: SocketAddr| other == listener.listen && other.port() != 0;
            if earlier.iter().any(|other| busy(other.listen)) || self.admin.listen.is_some_and(busy)
            {
                return refuse(
                    "listeners.listen",
                    Reason::Twice(listener.listen.to_string()),
                );
            }
            if let Some(address) = leads_to_itself(listener) {
                return refuse("listeners.upstream", Reason::OwnAddress(address));
            }
        }
        Ok(())
    }

    fn check_admin(&self, places: &Places<'_>) -> Result<(), ConfigError> {
        if let Some(listen) = self.admin.listen
            && !listen.ip().is_loopback()
            && self.admin.token_file.is_none()
            && !places.has_token()
        {
            return Err(places.refuse("admin.listen", 0, Reason::AdminOpen(listen.to_string())));
        }
        match self.admin.hosts.iter().find(|host| !is_host(host)) {
            Some(host) => Err(places.refuse("admin.hosts", 0, Reason::NotAHost(host.clone()))),
            None => Ok(()),
        }
    }
}

/// The address under which `listener` would connect to itself, if it would.
fn leads_to_itself(listener: &Listener) -> Option<String> {
    let Address::Tcp { host, port } = &listener.upstream.address else {
        return None;
    };
    let ip = match host.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) if host.eq_ignore_ascii_case("localhost") => IpAddr::from([127, 0, 0, 1]),
        Err(_) => return None,
    };
    let here = listener.listen.ip();
    let same = ip == here || (here.is_unspecified() && ip.is_loopback());
    (same && *port == listener.listen.port()).then(|| listener.upstream.address.to_string())
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=63).contains(&name.len()) && name.chars().all(fits)
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let fits =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    !name.is_empty()
        && name.chars().all(fits)
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}
