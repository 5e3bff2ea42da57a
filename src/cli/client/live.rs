//! What is asked again and again by whoever watches a running proxy: lists in any order and through any filter, one
//! item with all its figures, and the muting of a finding.

#![allow(
    missing_docs,
    reason = "the API's fields, described in its documentation"
)]

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ClientError, Column, Finding, Phases, Proxy, Query, SentToken, Summary, Unit};

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The API's sort key; empty for the list's own order.
    pub sort: &'a str,
    /// In the API's filter language; empty for everything.
    pub filter: &'a str,
    /// Items, at most 1,000.
    pub limit: u16,
}

/// A part of a list.
#[derive(Debug)]
pub struct Part<T> {
    /// What was asked for.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: u64,
}

/// `GET /api/v1/summary`, with what changes while one looks.
#[derive(Debug, Clone, Deserialize)]
pub struct Pulse {
    #[serde(flatten)]
    pub summary: Summary,
    #[serde(default)]
    pub findings_open: u64,
}

/// An item of `GET /api/v1/queries`, with who sends it.
#[derive(Debug, Clone, Deserialize)]
pub struct Shape {
    #[serde(flatten)]
    pub query: Query,
    pub bytes: u64,
    pub phases: Phases,
    pub first_seen: String,
    pub last_seen: String,
    pub databases: Vec<String>,
    pub users: Vec<String>,
    pub applications: Vec<String>,
    pub tables: Vec<String>,
}

/// `GET /api/v1/queries/{fingerprint}`.
#[derive(Debug, Clone, Deserialize)]
pub struct ShapeDetail {
    #[serde(flatten)]
    pub shape: Shape,
    pub histogram: Vec<Bucket>,
    pub error_codes: Vec<Code>,
    pub findings: Vec<Finding>,
    pub example_units: Vec<Request>,
}

/// Queries up to a duration, and above that of the bucket before; `None` is above all.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Bucket {
    pub le_ms: Option<f64>,
    pub count: u64,
}

/// How often a query ended with an SQLSTATE.
#[derive(Debug, Clone, Deserialize)]
pub struct Code {
    pub code: String,
    pub count: u64,
}

/// An item of `GET /api/v1/units`, with who did it.
#[derive(Debug, Clone, Deserialize)]
pub struct Request {
    #[serde(flatten)]
    pub unit: Unit,
    pub state: String,
    pub controller: Option<String>,
    pub application: String,
    pub database: String,
}

/// `GET /api/v1/units/{id}`.
#[derive(Debug, Clone, Deserialize)]
pub struct RequestDetail {
    #[serde(flatten)]
    pub request: Request,
    pub timeline: Vec<super::Statement>,
}

/// An item of `GET /api/v1/connections`.
#[derive(Debug, Clone, Deserialize)]
pub struct Connection {
    pub id: u64,
    pub listener: String,
    pub client: String,
    pub upstream: String,
    pub user: String,
    pub database: String,
    pub application: String,
    pub backend_pid: Option<u64>,
    pub state: String,
    pub since: String,
    pub queries: u64,
    pub transactions: u64,
    pub observed: bool,
    pub tls: bool,
}

/// What becomes of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Muting {
    /// Nobody wants to hear of it.
    Mute,
    /// Somebody does again.
    Unmute,
}

impl Muting {
    /// What undoes it.
    pub fn other(self) -> Muting {
        match self {
            Muting::Mute => Muting::Unmute,
            Muting::Unmute => Muting::Mute,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Muting::Mute => "mute",
            Muting::Unmute => "unmute",
        }
    }
}

impl Proxy {
    /// `GET /api/v1/summary`.
    pub fn pulse(&self) -> Result<Pulse, ClientError> {
        self.read(&self.get("/api/v1/summary")?)
    }

    /// The last columns of `GET /api/v1/history`, the newest last; `count` of them at most.
    pub fn latest_columns(&self, count: usize) -> Result<Vec<Column>, ClientError> {
        let mut columns = self.history()?.items;
        Ok(columns.split_off(columns.len().saturating_sub(count)))
    }

    /// `GET /api/v1/findings`, the muted ones too.
    pub fn all_findings(&self, asked: Asked<'_>) -> Result<Part<Finding>, ClientError> {
        self.part("findings", asked)
    }

    /// `GET /api/v1/queries`.
    pub fn shapes(&self, asked: Asked<'_>) -> Result<Part<Shape>, ClientError> {
        self.part("queries", asked)
    }

    /// `GET /api/v1/units`.
    pub fn requests(&self, asked: Asked<'_>) -> Result<Part<Request>, ClientError> {
        self.part("units", asked)
    }

    /// `GET /api/v1/connections`.
    pub fn connections(&self, asked: Asked<'_>) -> Result<Part<Connection>, ClientError> {
        self.part("connections", asked)
    }

    /// One finding; `None` where it is no longer kept.
    pub fn finding(&self, id: &str) -> Result<Option<Finding>, ClientError> {
        self.one("findings", id)
    }

    /// One query shape; `None` where it is no longer kept.
    pub fn shape(&self, fingerprint: &str) -> Result<Option<ShapeDetail>, ClientError> {
        self.one("queries", fingerprint)
    }

    /// One unit with its statements; `None` where it is no longer kept.
    pub fn request(&self, id: &str) -> Result<Option<RequestDetail>, ClientError> {
        self.one("units", id)
    }

    /// `POST /api/v1/findings/{id}/mute` or `…/unmute`.
    pub fn set_muted(&self, finding: &str, muting: Muting) -> Result<(), ClientError> {
        let id = self.word(finding)?;
        let url = format!("{}/api/v1/findings/{id}/{}", self.url, muting.as_str());
        let mut request = self.agent.post(url).header("X-Pgprism", "1");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = request
            .send_empty()
            .map_err(|error| ClientError::Unreachable {
                url: self.url.clone(),
                message: error.to_string(),
            })?;
        match response.status().as_u16() {
            200..=299 => Ok(()),
            401 => Err(ClientError::Token {
                url: self.url.clone(),
                with: match self.token {
                    Some(_) => SentToken::Yes,
                    None => SentToken::No,
                },
            }),
            404 => Err(ClientError::Refused {
                url: self.url.clone(),
                message: format!("finding {id} is no longer kept"),
            }),
            status => Err(self.foreign(&format!("status {status}"))),
        }
    }

    fn part<T: DeserializeOwned>(
        &self,
        list: &str,
        asked: Asked<'_>,
    ) -> Result<Part<T>, ClientError> {
        let parameters = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("sort", asked.sort)
            .append_pair("limit", &asked.limit.to_string())
            .append_pair("q", asked.filter)
            .finish();
        let answer = self.get(&format!("/api/v1/{list}?{parameters}"))?;
        let Some(Value::Array(items)) = answer.get("items") else {
            return Err(self.foreign("a list without items"));
        };
        let items: Vec<T> = items
            .iter()
            .map(|item| self.read(item))
            .collect::<Result<_, _>>()?;
        Ok(Part {
            total: answer
                .get("total")
                .and_then(Value::as_u64)
                .unwrap_or(items.len() as u64),
            items,
        })
    }

    fn one<T: DeserializeOwned>(&self, list: &str, id: &str) -> Result<Option<T>, ClientError> {
        match self.get_if_kept(&format!("/api/v1/{list}/{}", self.word(id)?))? {
            None => Ok(None),
            Some(raw) => self.read(&raw).map(Some),
        }
    }
}
