//! What no single key can see: rules between keys, ranges, and what deserves a warning.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::error::{ConfigError, Reason};
use super::load::Places;
use super::value::Size;
use super::{Address, Config, Listener, Tls};

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
}

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
        warnings
    }

    pub(super) fn check(&self, places: &Places<'_>) -> Result<(), ConfigError> {
        self.check_listeners(places)?;
        self.check_admin(places)?;
        self.check_ranges(places)
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
            match listener.tls {
                Tls::Off | Tls::PassThrough => {}
                Tls::Allow => return refuse("listeners.tls", Reason::TlsNotYet("allow")),
                Tls::Require => return refuse("listeners.tls", Reason::TlsNotYet("require")),
            }
            if let Some(address) = self
                .listeners
                .iter()
                .find_map(|other| leads_to(listener, other))
            {
                return refuse("listeners.upstream", Reason::OwnAddress(address));
            }
        }
        Ok(())
    }

    fn check_admin(&self, places: &Places<'_>) -> Result<(), ConfigError> {
        if let Some(listen) = self.admin.listen
            && !listen.ip().is_loopback()
            && self.admin.token_file.is_none()
        {
            return Err(places.refuse("admin.listen", 0, Reason::AdminOpen(listen.to_string())));
        }
        match self.admin.hosts.iter().find(|host| !is_host(host)) {
            Some(host) => Err(places.refuse("admin.hosts", 0, Reason::NotAHost(host.clone()))),
            None => Ok(()),
        }
    }

    fn check_ranges(&self, places: &Places<'_>) -> Result<(), ConfigError> {
        let (limits, slow_log, timeouts) = (&self.limits, &self.slow_log, &self.timeouts);
        let counts = [
            ("workers", self.workers, 0, 256),
            (
                "slow_log.queries_per_second_max",
                slow_log.queries_per_second_max,
                0,
                1_000_000,
            ),
            ("slow_log.queue_max", slow_log.queue_max, 1, 1_000_000),
            (
                "limits.connections_max",
                limits.connections_max,
                1,
                1_000_000,
            ),
            (
                "limits.statements_per_session_max",
                limits.statements_per_session_max,
                1,
                100_000,
            ),
            (
                "limits.fingerprints_max",
                limits.fingerprints_max,
                1,
                1_000_000,
            ),
            ("limits.admitted_max", limits.admitted_max, 0, 10_000),
            (
                "limits.ring_events_max",
                limits.ring_events_max,
                1,
                1_000_000,
            ),
        ];
        for (key, value, least, most) in counts {
            if !(least..=most).contains(&value) {
                return Err(places.refuse(key, 0, out_of_range(value, least, most)));
            }
        }
        let kib = |n: u64| Size(n << 10);
        let sizes = [
            (
                "limits.fingerprint_bytes_max",
                limits.fingerprint_bytes_max,
                kib(1),
                kib(1 << 20),
            ),
            (
                "limits.text_bytes_max",
                limits.text_bytes_max,
                Size(256),
                kib(1 << 10),
            ),
            (
                "limits.session_bytes_max",
                limits.session_bytes_max,
                kib(1 << 10),
                kib(64 << 20),
            ),
        ];
        for (key, value, least, most) in sizes {
            if !(least..=most).contains(&value) {
                return Err(places.refuse(key, 0, out_of_range(value, least, most)));
            }
        }
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        let day = s(86_400);
        let durations = [
            ("tick", self.tick, ms(1), s(1)),
            (
                "slow_log.threshold",
                slow_log.threshold,
                Duration::ZERO,
                day,
            ),
            ("timeouts.connect", timeouts.connect, ms(1), day),
            ("timeouts.login", timeouts.login, ms(1), day),
            (
                "timeouts.drain_idle_grace",
                timeouts.drain_idle_grace,
                Duration::ZERO,
                day,
            ),
            (
                "timeouts.drain_timeout",
                timeouts.drain_timeout,
                Duration::ZERO,
                day,
            ),
            (
                "timeouts.tcp_user_timeout",
                timeouts.tcp_user_timeout.unwrap_or(s(1)),
                ms(1),
                day,
            ),
            ("units.unit_gap", self.units.unit_gap, ms(1), s(3600)),
        ];
        for (key, value, least, most) in durations {
            if !(least..=most).contains(&value) {
                let show = humantime::format_duration;
                return Err(places.refuse(
                    key,
                    0,
                    out_of_range(show(value), show(least), show(most)),
                ));
            }
        }
        Ok(())
    }
}

fn out_of_range<T: fmt::Display>(found: T, least: T, most: T) -> Reason {
    Reason::OutOfRange {
        found: found.to_string(),
        least: least.to_string(),
        most: most.to_string(),
    }
}

/// The address under which `listener` would connect to `other`, if it would.
fn leads_to(listener: &Listener, other: &Listener) -> Option<String> {
    let Address::Tcp { host, port } = &listener.upstream.address else {
        return None;
    };
    let ip = match host.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) if host.eq_ignore_ascii_case("localhost") => IpAddr::from([127, 0, 0, 1]),
        Err(_) => return None,
    };
    let here = other.listen.ip();
    let same = ip == here || (here.is_unspecified() && ip.is_loopback());
    (same && *port == other.listen.port()).then(|| listener.upstream.address.to_string())
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
