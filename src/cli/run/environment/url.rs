//! `DATABASE_URL` and its like, taken apart as Django's readers and libpq do, and put together again around another
//! server. What is not changed keeps its spelling: a password's escapes, a parameter's order.

use std::borrow::Cow;

/// Schemes that mean PostgreSQL to dj-database-url, django-environ, libpq and SQLAlchemy; a driver may follow a `+`.
const SCHEMES: [&str; 11] = [
    "postgres",
    "postgresql",
    "postgis",
    "psql",
    "pgsql",
    "timescale",
    "timescaledb",
    "timescalegis",
    "cockroach",
    "cockroachdb",
    "redshift",
];

/// Parameters that say where the server is, or how TLS is spoken to it: pgprism takes them over.
const TAKEN: [&str; 19] = [
    "host",
    "hostaddr",
    "port",
    "ssl",
    "sslmode",
    "requiressl",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "sslcompression",
    "sslcertmode",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "channel_binding",
];

/// A URL that leads to PostgreSQL.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct DatabaseUrl {
    /// As it is written, a driver included.
    scheme: String,
    /// `user:password`, as it is written, without the `@`.
    login: Option<String>,
    /// `host:port`, as it is written; several are separated by commas.
    hosts: String,
    /// From the `/` on, as it is written.
    path: String,
    /// Names and values between `&`, as they are written.
    query: Vec<String>,
    /// Behind `#`, as it is written.
    fragment: Option<String>,
}

impl DatabaseUrl {
    /// `None` for what is no URL, or one of something else.
    pub(super) fn parse(text: &str) -> Option<DatabaseUrl> {
        let (scheme, rest) = text.trim().split_once("://")?;
        if !is_postgres(scheme) {
            return None;
        }
        let (rest, fragment) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment.to_owned())),
            None => (rest, None),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login.to_owned()), hosts),
            None => (None, authority),
        };
        let mut url = DatabaseUrl {
            scheme: scheme.to_owned(),
            login,
            hosts: hosts.to_owned(),
            path: path.to_owned(),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(str::to_owned)
                .collect(),
            fragment,
        };
        // As django-environ and dj-database-url write a socket's folder: `postgres://me@//cloudsql/instance/shop`.
        if url.hosts.is_empty()
            && let Some((folder, database)) = path
                .strip_prefix('/')
                .and_then(|path| path.rsplit_once('/'))
            && folder.starts_with('/')
        {
            url.hosts = folder.replace('/', "%2F").replace(':', "%3A");
            url.path = format!("/{database}");
        }
        Some(url)
    }

    /// Whether the text looks like a URL of PostgreSQL.
    pub(super) fn is_one(text: &str) -> bool {
        text.split_once("://")
            .is_some_and(|(scheme, _)| is_postgres(scheme))
    }

    /// Its hosts and ports, decoded; either may be empty.
    pub(super) fn hosts(&self) -> Vec<(String, String)> {
        let hosts = self.hosts.split(',').map(|host| {
            let end = host.rfind(']').map_or(0, |end| end + 1);
            let (name, port) = match host.get(end..).and_then(|rest| rest.rfind(':')) {
                Some(colon) => (&host[..end + colon], &host[end + colon + 1..]),
                None => (host, ""),
            };
            let bare = name
                .strip_prefix('[')
                .and_then(|name| name.strip_suffix(']'))
                .unwrap_or(name);
            (decoded(bare).into_owned(), decoded(port).into_owned())
        });
        hosts.collect()
    }

    /// The value of a parameter, decoded; the last one where it is there twice, as libpq reads it.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut values = self.query.iter().filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (decoded(key) == name).then(|| decoded(value).into_owned())
        });
        values.next_back().filter(|value| !value.is_empty())
    }

    /// Whether a password stands in it.
    pub(super) fn has_password(&self) -> bool {
        let in_login = self.login.as_ref().is_some_and(|login| {
            login
                .split_once(':')
                .is_some_and(|(_, word)| !word.is_empty())
        });
        in_login || self.parameter("password").is_some()
    }

    /// The same, leading to `host` and `port` in plaintext.
    ///
    /// `passfile` takes the place of the one that it names.
    pub(super) fn leading_to(&self, host: &str, port: u16, passfile: Option<&str>) -> String {
        let mut text = format!("{}://", self.scheme);
        if let Some(login) = &self.login {
            text.push_str(login);
            text.push('@');
        }
        match host.contains(':') {
            true => text.push_str(&format!("[{host}]:{port}")),
            false => text.push_str(&format!("{host}:{port}")),
        }
        text.push_str(&self.path);
        let kept = self.query.iter().filter(|pair| {
            let name = decoded(pair.split('=').next().unwrap_or_default());
            !TAKEN.contains(&&*name)
                && name != "gssencmode"
                && !(name == "passfile" && passfile.is_some())
        });
        let mut query: Vec<String> = kept.cloned().collect();
        if let Some(passfile) = passfile {
            query.push(encoded("passfile", passfile));
        }
        query.push(format!("{}=disable", self.plaintext_parameter()));
        text.push('?');
        text.push_str(&query.join("&"));
        if let Some(fragment) = &self.fragment {
            text.push('#');
            text.push_str(fragment);
        }
        text
    }

    /// asyncpg, through SQLAlchemy, knows no `sslmode`.
    fn plaintext_parameter(&self) -> &'static str {
        match self.scheme.ends_with("+asyncpg") {
            true => "ssl",
            false => "sslmode",
        }
    }
}

impl std::fmt::Debug for DatabaseUrl {
    /// Without the login.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://…@{}{}", self.scheme, self.hosts, self.path)
    }
}

fn is_postgres(scheme: &str) -> bool {
    let base = scheme.split('+').next().unwrap_or_default();
    SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(base))
}

/// A part of a URL without its escapes.
fn decoded(part: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy()
}

fn encoded(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish()
}
