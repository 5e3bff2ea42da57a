//! Where a client of libpq would connect to, and how: the URL, the service, the variables and the defaults, in this order.

use std::path::{Path, PathBuf};

use super::service::Service;
use super::url::DatabaseUrl;
use super::{ResolveError, Variables};
use crate::config::{Address, Roots, SslMode, Upstream};

/// Folders of sockets that some libpq has as its default.
const SOCKET_FOLDERS: [&str; 3] = ["/run/postgresql", "/var/run/postgresql", "/tmp"];

/// Variables that say how TLS is spoken to the server, which is pgprism's business now.
pub(super) const TLS_VARIABLES: [&str; 13] = [
    "PGREQUIRESSL",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLSNI",
    "PGSSLCERTMODE",
    "PGSSLNEGOTIATION",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
    "PGCHANNELBINDING",
    "PGGSSENCMODE",
];

/// Where each parameter is looked for.
pub(super) struct Layers<'a> {
    pub(super) url: Option<&'a DatabaseUrl>,
    pub(super) service: Option<&'a Service>,
    pub(super) variables: &'a Variables,
}

/// What is known of a server before anybody connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) upstream: Upstream,
    /// The names that a `.pgpass` may have for it.
    pub(super) names: Vec<String>,
    /// What its user should know.
    pub(super) notes: Vec<String>,
}

impl Layers<'_> {
    /// A parameter, and its variable, as the first layer that has it says.
    fn get(&self, name: &str, variable: &str) -> Option<String> {
        let in_url = self.url.and_then(|url| url.parameter(name));
        let in_service = || self.service?.parameters.get(name).cloned();
        in_url
            .or_else(in_service)
            .or_else(|| self.variables.get(variable).map(str::to_owned))
            .filter(|value| !value.is_empty())
    }

    /// Whether the password comes from somewhere else than a `.pgpass`.
    pub(super) fn has_password(&self) -> bool {
        self.url.is_some_and(DatabaseUrl::has_password)
            || self
                .service
                .is_some_and(|service| service.parameters.contains_key("password"))
            || self.variables.get("PGPASSWORD").is_some()
    }

    /// The `.pgpass` that would be read.
    pub(super) fn passfile(&self) -> Option<PathBuf> {
        match self.get("passfile", "PGPASSFILE") {
            Some(path) => Some(path.into()),
            None => self.variables.home().map(|home| home.join(".pgpass")),
        }
    }

    pub(super) fn locate(&self) -> Result<Located, ResolveError> {
        let mut notes = Vec::new();
        let (host, hostaddr, port) = self.endpoint(&mut notes)?;
        let sslmode = self.sslmode(&mut notes)?;
        let mut upstream = Upstream {
            address: Address::Tcp {
                host: String::new(),
                port,
            },
            sslmode,
            ..Upstream::default()
        };
        let socket_folder = host
            .as_deref()
            .filter(|host| host.starts_with(['/', '@']))
            .map(str::to_owned)
            .or_else(|| (host.is_none() && hostaddr.is_none()).then(|| default_folder(port)));
        if let Some(folder) = socket_folder {
            if folder.starts_with('@') {
                return Err(ResolveError::AbstractSocket);
            }
            upstream.address = Address::Unix {
                folder: PathBuf::from(&folder),
                port,
            };
            upstream.sslmode = SslMode::Disable;
            let mut names = vec![folder.clone()];
            if host.is_none() || SOCKET_FOLDERS.contains(&folder.as_str()) {
                names.push("localhost".to_owned());
            }
            return Ok(Located {
                upstream,
                names,
                notes,
            });
        }
        // A certificate is for a name: where one is checked, the name counts, and it is resolved as ever.
        let name = host.clone().or_else(|| hostaddr.clone());
        let address = match sslmode {
            SslMode::VerifyFull => host.or(hostaddr),
            _ => hostaddr.or(host),
        };
        upstream.address = Address::Tcp {
            host: address.unwrap_or_default(),
            port,
        };
        self.read_tls(&mut upstream, &mut notes)?;
        let upstream = upstream
            .to_string()
            .parse()
            .map_err(ResolveError::Upstream)?;
        Ok(Located {
            upstream,
            names: name.into_iter().collect(),
            notes,
        })
    }

    /// Host, its address and port; of several hosts the first.
    fn endpoint(
        &self,
        notes: &mut Vec<String>,
    ) -> Result<(Option<String>, Option<String>, u16), ResolveError> {
        let in_authority: Vec<(String, String)> =
            self.url.map(DatabaseUrl::hosts).unwrap_or_default();
        let joined = |part: fn(&(String, String)) -> &str| {
            let parts: Vec<&str> = in_authority.iter().map(part).collect();
            parts
                .iter()
                .any(|part| !part.is_empty())
                .then(|| parts.join(","))
        };
        let hosts = joined(|(host, _)| host).or_else(|| self.get("host", "PGHOST"));
        let addresses = self.get("hostaddr", "PGHOSTADDR");
        let ports = joined(|(_, port)| port).or_else(|| self.get("port", "PGPORT"));
        let count = hosts
            .as_deref()
            .or(addresses.as_deref())
            .map_or(1, |list| list.split(',').count());
        if count > 1 {
            let all = hosts.clone().or(addresses.clone()).unwrap_or_default();
            let wanted = self.get("target_session_attrs", "PGTARGETSESSIONATTRS");
            if let Some(wanted) = wanted.filter(|wanted| wanted != "any") {
                return Err(ResolveError::SeveralHosts { all, wanted });
            }
            notes.push(format!(
                "of its {count} hosts ({all}) only the first is used"
            ));
        }
        let first = |list: Option<String>| {
            list.and_then(|list| list.split(',').next().map(str::to_owned))
                .filter(|one| !one.is_empty())
        };
        let port = match first(ports) {
            None => 5432,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or(ResolveError::Port)?,
        };
        Ok((first(hosts), first(addresses), port))
    }

    fn sslmode(&self, notes: &mut Vec<String>) -> Result<SslMode, ResolveError> {
        let given = self
            .get("sslmode", "PGSSLMODE")
            .or_else(|| self.url?.parameter("ssl"));
        let system = self.get("sslrootcert", "PGSSLROOTCERT").as_deref() == Some("system");
        let required = || self.get("requiressl", "PGREQUIRESSL").as_deref() == Some("1");
        match given.as_deref() {
            None if system => Ok(SslMode::VerifyFull),
            None if required() => Ok(SslMode::Require),
            None => Ok(SslMode::Prefer),
            Some("disable") => Ok(SslMode::Disable),
            Some("allow") => {
                notes.push(
                    "sslmode=allow is taken for prefer: TLS where the server has it".to_owned(),
                );
                Ok(SslMode::Prefer)
            }
            Some("prefer") => Ok(SslMode::Prefer),
            Some("require" | "true" | "1") => Ok(SslMode::Require),
            Some("verify-ca") => Ok(SslMode::VerifyCa),
            Some("verify-full") => Ok(SslMode::VerifyFull),
            Some(_) => Err(ResolveError::SslMode),
        }
    }

    /// The files of TLS, as far as libpq would read them for this sslmode.
    fn read_tls(
        &self,
        upstream: &mut Upstream,
        notes: &mut Vec<String>,
    ) -> Result<(), ResolveError> {
        if upstream.sslmode == SslMode::Disable {
            return Ok(());
        }
        for (parameter, variable) in [("sslcrl", "PGSSLCRL"), ("sslcrldir", "PGSSLCRLDIR")] {
            if self.get(parameter, variable).is_some() {
                return Err(ResolveError::Unsupported(parameter));
            }
        }
        if self.get("sslpassword", "").is_some() {
            return Err(ResolveError::Unsupported("sslpassword"));
        }
        let default = |name: &str| {
            let path = self.variables.home()?.join(".postgresql").join(name);
            path.is_file().then_some(path)
        };
        let roots = match self.get("sslrootcert", "PGSSLROOTCERT") {
            Some(word) if word == "system" => Some(Roots::System),
            Some(path) => Some(Roots::File(path.into())),
            None => default("root.crt").map(Roots::File),
        };
        let is_there = |roots: &Roots| match roots {
            Roots::System => true,
            Roots::File(path) => Path::new(path).is_file(),
        };
        if upstream.sslmode == SslMode::Require && roots.as_ref().is_some_and(is_there) {
            // libpq does so too, for the sake of old configurations.
            upstream.sslmode = SslMode::VerifyCa;
            notes.push("sslmode=require with a root certificate is verify-ca".to_owned());
        }
        if matches!(upstream.sslmode, SslMode::VerifyCa | SslMode::VerifyFull) {
            upstream.sslrootcert = roots;
        }
        let certificate = self.get("sslcert", "PGSSLCERT").map(PathBuf::from);
        let key = self.get("sslkey", "PGSSLKEY").map(PathBuf::from);
        let identity = certificate
            .or_else(|| default("postgresql.crt"))
            .zip(key.or_else(|| default("postgresql.key")));
        if let Some((certificate, key)) = identity {
            (upstream.sslcert, upstream.sslkey) = (Some(certificate), Some(key));
        }
        upstream.sslsni = self.get("sslsni", "PGSSLSNI").as_deref() != Some("0");
        Ok(())
    }
}

/// The folder with a server's socket, or where one would be.
fn default_folder(port: u16) -> String {
    let socket = format!(".s.PGSQL.{port}");
    let found = SOCKET_FOLDERS
        .into_iter()
        .find(|folder| Path::new(folder).join(&socket).exists());
    found.unwrap_or("/run/postgresql").to_owned()
}
