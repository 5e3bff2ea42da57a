//! What the paths answer, one file a resource. The shapes of the answers are in `docs/openapi.json`, field by field.

mod connections;
mod findings;
mod health;
mod history;
mod queries;
mod settle;
mod summary;
mod units;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::filter::{self, Filter};
use crate::event::Phases;
use crate::export::words;
use crate::sql::Fingerprint;

pub(super) use connections::connections;
pub(super) use findings::{FindingItem, finding, findings, mute, unmute};
pub(super) use health::{healthz, metrics, readyz, reset};
pub(super) use history::history;
pub(super) use queries::{queries, query};
pub(super) use settle::settle;
pub(super) use summary::{Loss, summarize, summary};
pub(super) use units::{unit, units};

/// Items of a list when the request does not say how many.
const LIMIT_DEFAULT: usize = 100;

/// Items of a list at most.
const LIMIT_MAX: usize = 1_000;

/// `{"items": […], "next": …, "total": …}`; `next` is what `after` has to be for the items that follow, `total` how
/// many there are in all.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    items: Vec<T>,
    next: Option<String>,
    total: usize,
}

/// `?limit=&after=&sort=&q=`, as they were written.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    after: Option<String>,
    sort: Option<String>,
    q: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct PhasesMs {
    database_ms: f64,
    transfer_ms: f64,
    client_ms: f64,
    application_ms: f64,
}

impl From<&Phases> for PhasesMs {
    fn from(phases: &Phases) -> PhasesMs {
        PhasesMs {
            database_ms: words::milliseconds(phases.database_ns),
            transfer_ms: words::milliseconds(phases.transfer_ns),
            client_ms: words::milliseconds(phases.client_ns),
            application_ms: words::milliseconds(phases.application_ns),
        }
    }
}

/// The part of the path that names an item.
pub(super) struct Written(String);

impl<S: Send + Sync> FromRequestParts<S> for Written {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Written, ApiError> {
        let Path(written) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::BadPath)?;
        Ok(Written(written))
    }
}

/// What the query string says.
fn parameters<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    query
        .map(|Query(parameters)| parameters)
        .map_err(|rejection| ApiError::bad_parameter("query string", rejection.body_text()))
}

impl<T> List<T> {
    /// The items that `page` asks for, of all of them.
    fn part<I>(all: &[I], page: &Page, item: impl Fn(&I) -> T) -> Result<List<T>, ApiError> {
        let (skip, limit) = page.range()?;
        let items = all.iter().skip(skip).take(limit).map(item).collect();
        Ok(List::from_part(items, skip, all.len()))
    }

    /// The items that were asked for, the first of them being number `skip` of `total`.
    fn from_part(items: Vec<T>, skip: usize, total: usize) -> List<T> {
        let end = skip.saturating_add(items.len());
        let more = !items.is_empty() && total > end;
        List {
            items,
            next: more.then(|| end.to_string()),
            total,
        }
    }
}

impl Page {
    /// How many items to skip and how many to give.
    fn range(&self) -> Result<(usize, usize), ApiError> {
        let number = |parameter, written: &Option<String>, default| match written.as_deref() {
            None | Some("") => Ok(default),
            Some(written) => written
                .parse()
                .map_err(|_| ApiError::bad_parameter(parameter, "a whole number is needed")),
        };
        let limit: usize = number("limit", &self.limit, LIMIT_DEFAULT)?;
        if limit == 0 || limit > LIMIT_MAX {
            return Err(ApiError::bad_parameter(
                "limit",
                format!("from 1 to {LIMIT_MAX}"),
            ));
        }
        Ok((number("after", &self.after, 0)?, limit))
    }

    /// Which items are wanted.
    fn filter<I: filter::Item>(&self) -> Result<Filter, ApiError> {
        Filter::parse::<I>(self.q.as_deref().unwrap_or_default())
    }
}

/// An empty parameter is none.
fn written(parameter: Option<&str>) -> Option<&str> {
    parameter.filter(|text| !text.is_empty())
}

/// What was written, short enough to be told back.
fn told_back(written: &str) -> String {
    written.chars().take(100).collect()
}

/// Sixteen hex digits.
fn fingerprint(written: &str) -> Option<Fingerprint> {
    let digits = written.len() == 16 && written.bytes().all(|digit| digit.is_ascii_hexdigit());
    digits
        .then(|| u64::from_str_radix(written, 16).ok().map(Fingerprint))
        .flatten()
}
