//! What in the environment leads to PostgreSQL, and what the command gets in its place.
//!
//! ```text
//!  variables ─► Plan::make: which of them lead where (url, service, libpq) ─► a listener for each server
//!                                         the listeners are bound ─► Plan::change: what the command gets instead
//! ```
//!
//! Nothing here connects or binds. What is read are the files that libpq would read: `pg_service.conf`, `.pgpass`.
//!
//! *Architecture invariant:* no password, nor anything that may hold one, goes into a line or an error.

mod libpq;
mod passfile;
mod service;
#[cfg(test)]
mod tests;
mod url;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::config::{Address, SslMode, Upstream, UpstreamError};
use libpq::{Layers, TLS_VARIABLES};
use passfile::Moved;
use service::Service;
use url::DatabaseUrl;

/// Why it cannot be said where a variable leads.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum PlanError {
    /// `--env` names a variable that there is not.
    #[error("--env {0}: no such variable in the environment")]
    NotSet(String),
    /// `--env` names a variable that holds something else.
    #[error("--env {0}: it holds no PostgreSQL URL, such as postgres://user@host:5432/database")]
    NotAUrl(String),
    /// There is no service of that name.
    #[error(
        "{variable}: the service {name:?} is in no pg_service.conf; look at PGSERVICEFILE, or name the server with --upstream"
    )]
    NoService { variable: String, name: String },
    /// What it holds cannot be followed.
    #[error("{variable}: {error}; --upstream URL says where to connect instead")]
    Resolve {
        variable: String,
        error: ResolveError,
    },
}

/// Why a server's whereabouts are not clear.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ResolveError {
    #[error(
        "it names several hosts ({all}) and wants one that is {wanted}, which pgprism does not look for"
    )]
    SeveralHosts { all: String, wanted: String },
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("its sslmode is none that libpq knows")]
    SslMode,
    #[error("pgprism does not know {0}")]
    Unsupported(&'static str),
    #[error("it names an abstract Unix socket, which pgprism does not connect to")]
    AbstractSocket,
    #[error(transparent)]
    Upstream(UpstreamError),
}

/// The environment that the command would get.
#[derive(Clone)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(super) fn of_this_process() -> Variables {
        let readable = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Variables(readable.collect())
    }

    #[cfg(test)]
    fn new(variables: &[(&str, &str)]) -> Variables {
        let pairs = variables.iter();
        Variables(
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    /// Its value; an empty one counts as absent, as it does for libpq.
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    fn home(&self) -> Option<PathBuf> {
        match self.get("HOME") {
            Some(home) => Some(home.into()),
            None => nix::unistd::User::from_uid(nix::unistd::getuid())
                .ok()?
                .map(|user| user.dir),
        }
    }

    /// The variables that `pattern`, which may have a `*`, names.
    fn matching(&self, pattern: &str) -> Vec<String> {
        match pattern.split_once('*') {
            None => self
                .get(pattern)
                .map(|_| pattern.to_owned())
                .into_iter()
                .collect(),
            Some((before, after)) => {
                let fits = |name: &&String| {
                    name.len() >= before.len() + after.len()
                        && name.starts_with(before)
                        && name.ends_with(after)
                        && self.get(name).is_some_and(DatabaseUrl::is_one)
                };
                self.0.keys().filter(fits).cloned().collect()
            }
        }
    }
}

/// A server, and the listener that leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// The alias in Django's DATABASES, as far as the variable's name tells.
    pub(super) name: String,
    pub(super) upstream: Upstream,
}

/// Something in the environment that leads to a server.
#[derive(Debug, Clone)]
struct Lead {
    origin: Origin,
    /// Which of the plan's servers.
    server: usize,
    service: Option<Service>,
    /// Its `.pgpass`, where the password may come from there, and the server's names in it.
    passfile: Option<PathBuf>,
    names: Vec<String>,
    port: u16,
    notes: Vec<String>,
}

#[derive(Debug, Clone)]
enum Origin {
    Url {
        variable: String,
        url: DatabaseUrl,
    },
    /// The variables of libpq itself.
    Libpq,
}

/// Which servers there are, and what leads to them.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) servers: Vec<Server>,
    leads: Vec<Lead>,
    /// What is worth knowing and changes nothing.
    pub(super) hints: Vec<String>,
}

/// What the command gets.
#[derive(Debug)]
pub(super) struct Changes {
    /// Variables and their new values; `None` takes one away.
    pub(super) variables: BTreeMap<String, Option<String>>,
    /// One line for each.
    pub(super) lines: Vec<String>,
    /// Private files that it reads, gone when this is dropped.
    _files: Option<tempfile::TempDir>,
}

impl Plan {
    /// Finds what leads to PostgreSQL: DATABASE_URL, the variables that `named` names, and libpq's own. All of them are
    /// led to `upstream` where one was given.
    pub(super) fn make(
        variables: &Variables,
        named: &[String],
        upstream: Option<&Upstream>,
    ) -> Result<Plan, PlanError> {
        let mut plan = Plan {
            servers: Vec::new(),
            leads: Vec::new(),
            hints: Vec::new(),
        };
        for variable in urls(variables, named)? {
            let text = variables.get(&variable).unwrap_or_default();
            match DatabaseUrl::parse(text) {
                Some(url) => plan.add(Origin::Url { variable, url }, variables, upstream)?,
                None if named.contains(&variable) => return Err(PlanError::NotAUrl(variable)),
                None => plan
                    .hints
                    .push(format!("{variable}: no PostgreSQL URL, left as it is")),
            }
        }
        let of_libpq = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE"];
        let is_set = of_libpq.iter().any(|name| variables.get(name).is_some());
        if is_set || (plan.leads.is_empty() && upstream.is_some()) {
            plan.add(Origin::Libpq, variables, upstream)?;
        }
        for (name, value) in &variables.0 {
            if DatabaseUrl::is_one(value) && !plan.leads.iter().any(|lead| lead.is_of(name)) {
                plan.hints.push(format!(
                    "{name} leads to PostgreSQL too, past pgprism; --env {name} profiles it"
                ));
            }
        }
        Ok(plan)
    }

    fn add(
        &mut self,
        origin: Origin,
        variables: &Variables,
        given: Option<&Upstream>,
    ) -> Result<(), PlanError> {
        let (variable, url) = match &origin {
            Origin::Url { variable, url } => (variable.clone(), Some(url)),
            Origin::Libpq => ("PGHOST".to_owned(), None),
        };
        let service_name = url
            .and_then(|url| url.parameter("service"))
            .or_else(|| variables.get("PGSERVICE").map(str::to_owned));
        let service = match service_name {
            None => None,
            Some(name) => match Service::find(&name, variables) {
                Some(service) => Some(service),
                None if given.is_some() => None,
                None => return Err(PlanError::NoService { variable, name }),
            },
        };
        let layers = Layers {
            url,
            service: service.as_ref(),
            variables,
        };
        let (upstream, port, names, notes) = match (layers.locate(), given) {
            (Ok(located), None) => {
                let port = port_of(&located.upstream);
                (located.upstream, port, located.names, located.notes)
            }
            (Ok(located), Some(given)) => (
                given.clone(),
                port_of(&located.upstream),
                located.names,
                Vec::new(),
            ),
            (Err(_), Some(given)) => (given.clone(), 0, Vec::new(), Vec::new()),
            (Err(error), None) => return Err(PlanError::Resolve { variable, error }),
        };
        let passfile = layers.passfile().filter(|_| !layers.has_password());
        let name = match &origin {
            Origin::Url { variable, .. } => alias(variable),
            Origin::Libpq if self.servers.is_empty() => "default".to_owned(),
            Origin::Libpq => "libpq".to_owned(),
        };
        let server = self.server(&name, upstream);
        self.leads.push(Lead {
            origin,
            server,
            service,
            passfile,
            names,
            port,
            notes,
        });
        Ok(())
    }

    /// The number of the server that `upstream` leads to; a new one has `name`, or one like it.
    fn server(&mut self, name: &str, upstream: Upstream) -> usize {
        let known = self
            .servers
            .iter()
            .position(|server| server.upstream == upstream);
        known.unwrap_or_else(|| {
            let taken = |name: &str| self.servers.iter().any(|server| server.name == name);
            let mut unique = name.to_owned();
            let mut number = 2;
            while taken(&unique) {
                unique = format!("{name}_{number}");
                number += 1;
            }
            self.servers.push(Server {
                name: unique,
                upstream,
            });
            self.servers.len() - 1
        })
    }

    /// Whether nothing in the environment leads to PostgreSQL.
    pub(super) fn is_empty(&self) -> bool {
        self.leads.is_empty()
    }

    /// What the command gets, with each server's listener at its place in `listeners`.
    pub(super) fn change(
        &self,
        variables: &Variables,
        listeners: &[SocketAddr],
    ) -> std::io::Result<Changes> {
        let mut change = Change {
            variables,
            changes: Changes {
                variables: BTreeMap::new(),
                lines: Vec::new(),
                _files: None,
            },
            services: Vec::new(),
            passfiles: BTreeMap::new(),
        };
        for lead in &self.leads {
            let upstream = &self.servers[lead.server].upstream;
            let to = reachable(listeners[lead.server]);
            change.passfile(lead, to)?;
            change.lead(lead, upstream, to);
        }
        change.finish(
            self.leads
                .iter()
                .any(|lead| matches!(lead.origin, Origin::Libpq)),
        )
    }
}

impl Lead {
    fn is_of(&self, name: &str) -> bool {
        matches!(&self.origin, Origin::Url { variable, .. } if variable == name)
    }
}

/// The changes as they are made.
struct Change<'a> {
    variables: &'a Variables,
    changes: Changes,
    services: Vec<Service>,
    /// Copies by what they are copies of.
    passfiles: BTreeMap<PathBuf, Passfile>,
}

struct Passfile {
    copy: PathBuf,
    moved: Vec<Moved>,
    /// Entries that were added.
    count: usize,
}

impl Change<'_> {
    fn folder(&mut self) -> std::io::Result<PathBuf> {
        if self.changes._files.is_none() {
            // Nobody else may look into it.
            self.changes._files = Some(tempfile::Builder::new().prefix("pgprism-run-").tempdir()?);
        }
        let folder = self.changes._files.as_ref();
        Ok(folder
            .map(|folder| folder.path().to_owned())
            .unwrap_or_default())
    }

    /// Makes a copy of the lead's `.pgpass` where it has a password for the server.
    fn passfile(&mut self, lead: &Lead, (host, port): (IpAddr, u16)) -> std::io::Result<()> {
        let Some(path) = &lead.passfile else {
            return Ok(());
        };
        let moved = Moved {
            hosts: lead.names.clone(),
            port: lead.port,
            to: (host.to_string(), port),
        };
        let mut all = vec![moved];
        if let Some(known) = self.passfiles.get(path) {
            all.extend(known.moved.iter().cloned());
        }
        let Some((text, count)) = passfile::with_moved(path, &all) else {
            return Ok(());
        };
        let copy = match self.passfiles.get(path) {
            Some(known) => known.copy.clone(),
            None => {
                let name = format!("pgpass-{}", self.passfiles.len());
                self.folder()?.join(name)
            }
        };
        write_private(&copy, &text)?;
        self.passfiles.insert(
            path.clone(),
            Passfile {
                copy,
                moved: all,
                count,
            },
        );
        Ok(())
    }

    fn lead(&mut self, lead: &Lead, upstream: &Upstream, (host, port): (IpAddr, u16)) {
        let address = SocketAddr::new(host, port);
        let host = host.to_string();
        let tls = match upstream.sslmode {
            SslMode::Disable | SslMode::Prefer => String::new(),
            sslmode => format!(", sslmode={sslmode} from there on"),
        };
        let notes: String = lead.notes.iter().map(|note| format!("; {note}")).collect();
        let arrow = format!("{} -> {address}{tls}", upstream.address);
        let copy = lead
            .passfile
            .as_ref()
            .and_then(|path| self.passfiles.get(path))
            .map(|passfile| passfile.copy.to_string_lossy().into_owned());
        if let Some(service) = &lead.service {
            let passfile = copy
                .as_deref()
                .filter(|_| service.parameters.contains_key("passfile"));
            let service = service.clone().leading_to(&host, port, passfile);
            self.changes
                .lines
                .push(format!("service {}: {arrow}{notes}", service.name));
            self.services.retain(|known| known.name != service.name);
            self.services.push(service);
        }
        match &lead.origin {
            Origin::Url { variable, url } => {
                let passfile = copy
                    .as_deref()
                    .filter(|_| url.parameter("passfile").is_some());
                self.set(variable, &url.leading_to(&host, port, passfile));
                let password = match url.has_password() {
                    true => " (password not shown)",
                    false => "",
                };
                self.changes
                    .lines
                    .push(format!("{variable}: {arrow}{notes}{password}"));
            }
            Origin::Libpq => {
                self.set("PGHOST", &host);
                self.set("PGPORT", &port.to_string());
                self.take("PGHOSTADDR");
                if self.variables.get("PGSSLMODE").is_some() {
                    self.set("PGSSLMODE", "disable");
                }
                self.changes
                    .lines
                    .push(format!("PGHOST, PGPORT: {arrow}{notes}"));
            }
        }
    }

    fn finish(mut self, libpq: bool) -> std::io::Result<Changes> {
        if self.changes.variables.is_empty() {
            return Ok(self.changes);
        }
        if !libpq {
            // It would come before the host of every URL.
            self.take("PGHOSTADDR");
        }
        let taken: Vec<&str> = TLS_VARIABLES
            .into_iter()
            .filter(|name| self.variables.get(name).is_some())
            .collect();
        for name in &taken {
            self.take(name);
        }
        if !taken.is_empty() {
            self.changes.lines.push(format!(
                "{}: used towards the server, not passed to the command",
                taken.join(", ")
            ));
        }
        if !self.services.is_empty() {
            let path = self.folder()?.join("pg_service.conf");
            write_private(&path, &service::file_with(&self.services, self.variables))?;
            self.set("PGSERVICEFILE", &path.to_string_lossy());
        }
        for (path, passfile) in &self.passfiles {
            self.changes.lines.push(format!(
                "{}: {} of its entries count for pgprism too, in a private copy",
                path.display(),
                passfile.count
            ));
        }
        let user_file = match self.variables.get("PGPASSFILE") {
            Some(path) => Some(PathBuf::from(path)),
            None => self.variables.home().map(|home| home.join(".pgpass")),
        };
        let copy = user_file.and_then(|path| Some(self.passfiles.get(&path)?.copy.clone()));
        if let Some(copy) = copy {
            self.set("PGPASSFILE", &copy.to_string_lossy());
        }
        Ok(self.changes)
    }

    fn set(&mut self, name: &str, value: &str) {
        let value = Some(value.to_owned());
        self.changes.variables.insert(name.to_owned(), value);
    }

    fn take(&mut self, name: &str) {
        if self.variables.get(name).is_some() {
            self.changes.variables.insert(name.to_owned(), None);
        }
    }
}

/// DATABASE_URL, and what `named` names, each once.
fn urls(variables: &Variables, named: &[String]) -> Result<Vec<String>, PlanError> {
    let mut all = variables.matching("DATABASE_URL");
    for pattern in named {
        let found = variables.matching(pattern);
        if found.is_empty() {
            return Err(PlanError::NotSet(pattern.clone()));
        }
        for name in found {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    Ok(all)
}

/// `replica` of DATABASE_REPLICA_URL: the name that the database may have in Django's settings.
fn alias(variable: &str) -> String {
    let lower = variable.to_ascii_lowercase();
    let words: Vec<&str> = lower
        .split('_')
        .filter(|word| {
            !matches!(
                *word,
                "database" | "db" | "url" | "dsn" | "postgres" | "postgresql" | ""
            )
        })
        .collect();
    let mut name: String = words.join("_");
    name.retain(|c| c.is_ascii_alphanumeric() || c == '_');
    // A listener's name may be so long, with a number behind it.
    name.truncate(48);
    match name.as_str() {
        "" => "default".to_owned(),
        _ => name,
    }
}

fn port_of(upstream: &Upstream) -> u16 {
    match upstream.address {
        Address::Tcp { port, .. } | Address::Unix { port, .. } => port,
    }
}

/// Where a listener is reached from this machine.
pub(super) fn reachable(listener: SocketAddr) -> (IpAddr, u16) {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (ip, listener.port())
}

/// Writes a file that only its owner may read: libpq ignores a password file that others can.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}
