//! Asks a running proxy's admin address. `docs/openapi.json` says what its answers hold.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

mod live;
mod objects;
mod place;

pub use live::*;
pub use objects::*;
pub use place::Place;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of one answer: 1,000 queries with 64 KiB of text each are less.
const ANSWER_BYTES_MAX: u64 = 128 << 20;

/// Why a running proxy does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `--admin` is not something that can be asked.
    #[error(
        "--admin: `{0}` is not an address; write http://HOST:PORT, for example http://127.0.0.1:9433"
    )]
    NotAnAddress(String),
    /// Nobody answers there.
    #[error(
        "no proxy answers at {url} ({message}); start one with `pgprism serve`, or name its admin address with --admin"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What went wrong.
        message: String,
    },
    /// Somebody answers, but not a pgprism.
    #[error("what answers at {url} is not a pgprism that this one understands ({message})")]
    Foreign {
        /// Where it was asked.
        url: String,
        /// What is wrong with the answer.
        message: String,
    },
    /// It wants a token, or another one.
    #[error("the proxy at {url} wants {}; name its file with --token-file", .with.wanted())]
    Token {
        /// Where it was asked.
        url: String,
        /// Whether one was sent.
        with: SentToken,
    },
    /// It does not answer under this name.
    #[error("the proxy at {url} refuses: {message}")]
    Refused {
        /// Where it was asked.
        url: String,
        /// Its own words.
        message: String,
    },
}

/// Whether a token was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentToken {
    /// None was.
    No,
    /// One was, and it did not help.
    Yes,
}

impl SentToken {
    fn wanted(self) -> &'static str {
        match self {
            SentToken::No => "a token",
            SentToken::Yes => "another token",
        }
    }
}

/// An object as the proxy sent it, and what we read in it.
#[derive(Debug)]
pub struct Answer<T> {
    /// Whole.
    pub raw: Value,
    /// What a report shows.
    pub item: T,
}

/// A list as the proxy sent it, and what we read in it.
#[derive(Debug)]
pub struct List<T> {
    /// The items, whole.
    pub raw: Vec<Value>,
    /// What a report shows of each.
    pub items: Vec<T>,
    /// Whether the proxy has further ones.
    pub more: bool,
}

/// A proxy that can be asked.
pub struct Proxy {
    url: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Proxy {
    /// `admin` is `http://host:port`, or `host:port` as `serve --admin` takes it.
    pub fn new(admin: &str, token: Option<String>) -> Result<Proxy, ClientError> {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_WITHIN))
            .max_redirects(0)
            // The admin address is ours to reach; a proxy for the web would only leak the token.
            .proxy(None)
            .user_agent(concat!("pgprism/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Proxy {
            url: base_url(admin)?,
            token,
            agent,
        })
    }

    /// `http://host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET /api/v1/summary`.
    pub fn summary(&self) -> Result<Answer<Summary>, ClientError> {
        let raw = self.get("/api/v1/summary")?;
        Ok(Answer {
            item: self.read(&raw)?,
            raw,
        })
    }

    /// `GET /api/v1/queries`.
    pub fn queries(&self, sort: &str, limit: u16) -> Result<List<Query>, ClientError> {
        self.list(&format!("/api/v1/queries?sort={sort}&limit={limit}"))
    }

    /// `GET /api/v1/findings`: those that nobody muted, most costly first.
    pub fn findings(&self) -> Result<List<Finding>, ClientError> {
        self.list("/api/v1/findings?status=open,fixed&sort=cost&limit=1000")
    }

    /// `GET /api/v1/units`: those that took longest, of the ones that are kept.
    pub fn units(&self) -> Result<List<Unit>, ClientError> {
        self.list("/api/v1/units?sort=duration&limit=1000")
    }

    /// The latest unit that is kept of those in which a finding was seen.
    pub fn unit_of(&self, finding: &str) -> Result<Option<Unit>, ClientError> {
        let finding = self.word(finding)?;
        let list: List<Unit> = self.list(&format!("/api/v1/units?finding={finding}&limit=1"))?;
        Ok(list.items.into_iter().next())
    }

    /// `GET /api/v1/units/{id}`; `None` where it is no longer kept.
    pub fn unit(&self, id: &str) -> Result<Option<Answer<UnitDetail>>, ClientError> {
        match self.get_if_kept(&format!("/api/v1/units/{}", self.word(id)?))? {
            None => Ok(None),
            Some(raw) => Ok(Some(Answer {
                item: self.read(&raw)?,
                raw,
            })),
        }
    }

    /// `GET /api/v1/history`: the last hour, oldest first.
    pub fn history(&self) -> Result<List<Column>, ClientError> {
        self.list("/api/v1/history")
    }

    /// An id that may stand in a path.
    fn word<'w>(&self, id: &'w str) -> Result<&'w str, ClientError> {
        match !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            true => Ok(id),
            false => Err(self.foreign("an id that is no word")),
        }
    }

    fn list<T: DeserializeOwned>(&self, path: &str) -> Result<List<T>, ClientError> {
        let mut answer = self.get(path)?;
        let raw = match answer.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => return Err(self.foreign("a list without items")),
        };
        Ok(List {
            items: raw
                .iter()
                .map(|item| self.read(item))
                .collect::<Result<_, _>>()?,
            raw,
            more: answer.get("next").is_some_and(|next| !next.is_null()),
        })
    }

    fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.get_if_kept(path)?
            .ok_or_else(|| self.foreign("status 404"))
    }

    /// `None` where the proxy keeps no such thing.
    fn get_if_kept(&self, path: &str) -> Result<Option<Value>, ClientError> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let unreachable = |error: ureq::Error| ClientError::Unreachable {
            url: self.url.clone(),
            message: match error {
                ureq::Error::Io(error) => error.to_string(),
                other => other.to_string(),
            },
        };
        let mut response = request.call().map_err(unreachable)?;
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec();
        let value: Result<Value, _> = serde_json::from_slice(&body.map_err(unreachable)?);
        if status == 200 {
            return value
                .map(Some)
                .map_err(|error| self.foreign(&error.to_string()));
        }
        let message = value
            .ok()
            .and_then(|value| Some(value.get("error")?.get("message")?.as_str()?.to_owned()))
            .map(|message| message.replace(char::is_control, " "));
        if status == 404 && message.is_some() {
            return Ok(None);
        }
        Err(match (status, message) {
            (401, Some(_)) => ClientError::Token {
                url: self.url.clone(),
                with: if self.token.is_some() {
                    SentToken::Yes
                } else {
                    SentToken::No
                },
            },
            (400 | 403, Some(message)) => ClientError::Refused {
                url: self.url.clone(),
                message,
            },
            (status, Some(message)) => self.foreign(&format!("status {status}: {message}")),
            (status, None) => self.foreign(&format!("status {status}")),
        })
    }

    fn read<T: DeserializeOwned>(&self, value: &Value) -> Result<T, ClientError> {
        T::deserialize(value).map_err(|error| self.foreign(&error.to_string()))
    }

    fn foreign(&self, message: &str) -> ClientError {
        ClientError::Foreign {
            url: self.url.clone(),
            message: message.to_owned(),
        }
    }
}

/// `http://host:port` of what `--admin` or `PGPRISM_ADMIN` say.
fn base_url(admin: &str) -> Result<String, ClientError> {
    let refused = || ClientError::NotAnAddress(admin.replace(char::is_control, " "));
    let authority = match admin.split_once("://") {
        None => admin,
        Some(("http", authority)) => authority,
        Some(_) => return Err(refused()),
    };
    let authority = authority.trim().trim_end_matches('/');
    // What `serve` binds as "everywhere" is reached here as loopback.
    let authority = match authority.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => {
            let loopback = match address.ip() {
                IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
                IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            };
            SocketAddr::new(loopback, address.port()).to_string()
        }
        _ => authority.to_owned(),
    };
    let url = url::Url::parse(&format!("http://{authority}")).map_err(|_| refused())?;
    let plain = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    let named = url.host_str().is_some() && (url.port().is_some() || authority.ends_with(":80"));
    match plain && named {
        true => Ok(format!("http://{authority}")),
        false => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::base_url;

    #[test]
    fn admin_addresses_become_urls() {
        for (admin, expected) in [
            ("http://127.0.0.1:9433", Some("http://127.0.0.1:9433")),
            ("http://127.0.0.1:9433/", Some("http://127.0.0.1:9433")),
            ("127.0.0.1:9433", Some("http://127.0.0.1:9433")),
            ("pgprism:9433", Some("http://pgprism:9433")),
            ("pgprism:80", Some("http://pgprism:80")),
            ("0.0.0.0:9433", Some("http://127.0.0.1:9433")),
            ("[::]:9433", Some("http://[::1]:9433")),
            ("https://127.0.0.1:9433", None),
            ("127.0.0.1", None),
            ("off", None),
            ("", None),
            ("http://127.0.0.1:9433/api", None),
            ("http://a@127.0.0.1:9433", None),
        ] {
            assert_eq!(base_url(admin).ok().as_deref(), expected, "{admin}");
        }
    }
}
