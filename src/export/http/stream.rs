//! `/api/v1/stream`: what happens, as Server-Sent Events.
//!
//! A finding is an event when it is first seen and when its status changes.
//! A reader that is slower than the queries misses some; each event says how many were left out before it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use super::api::{FindingItem, PhasesMs, summarize};
use super::error::ApiError;
use super::places::Doing;
use super::{Admin, Connection};
use crate::event::QueryEvent;
use crate::export::news::News;
use crate::export::words;

/// How often new queries are looked for.
const QUERIES_EVERY: Duration = Duration::from_millis(200);

/// A summary comes with every so many looks: once a second.
const SUMMARY_EVERY: u32 = 5;

/// Queries sent after one look at most.
const QUERIES_MAX: usize = 256;

/// Findings sent after one look at most; further ones come after the next.
const FINDINGS_MAX: usize = 64;

/// Events that wait for a slow reader.
const WAITING_MAX: usize = 64;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    events: Option<String>,
}

/// Kinds of events a reader may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Query,
    Finding,
    Summary,
}

/// A finished query, as an event.
#[derive(Debug, Serialize)]
struct QueryFinished {
    fingerprint: String,
    query: Arc<str>,
    summary: String,
    operation: &'static str,
    at: String,
    connection: u64,
    database: Arc<str>,
    user: Arc<str>,
    application: Arc<str>,
    protocol: &'static str,
    duration_ms: f64,
    phases: PhasesMs,
    rows: u64,
    sqlstate: Option<String>,
    /// Events left out right before this one.
    missed: u64,
}

pub(super) async fn stream(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let Query(wanted) = wanted
        .map_err(|rejection| ApiError::bad_parameter("query string", rejection.body_text()))?;
    let kinds = kinds(wanted.events.as_deref().unwrap_or_default())?;
    let permit = Arc::clone(&admin.streams)
        .try_acquire_owned()
        .map_err(|_| ApiError::Busy)?;
    connection.place.set(Doing::Streaming);
    let (events, waiting) = mpsc::channel(WAITING_MAX);
    tokio::spawn(feed(admin, kinds, events, permit));
    Ok(Sse::new(ReceiverStream::new(waiting)).keep_alive(KeepAlive::new()))
}

/// All kinds for an empty list.
fn kinds(written: &str) -> Result<Vec<Kind>, ApiError> {
    if written.is_empty() {
        return Ok(vec![Kind::Query, Kind::Finding, Kind::Summary]);
    }
    let kind = |word: &str| match word {
        "query" => Ok(Kind::Query),
        "finding" => Ok(Kind::Finding),
        "summary" => Ok(Kind::Summary),
        _ => Err(ApiError::bad_parameter(
            "events",
            "a comma-separated list of query, finding, summary",
        )),
    };
    written.split(',').map(|word| kind(word.trim())).collect()
}

/// Sends events until the reader is gone.
async fn feed(
    admin: Arc<Admin>,
    kinds: Vec<Kind>,
    events: mpsc::Sender<Result<Event, Infallible>>,
    permit: OwnedSemaphorePermit,
) {
    let _permit = permit;
    // Events are only kept for those who want them.
    let mut watcher = kinds.contains(&Kind::Query).then(|| admin.feed.watch());
    let mut news = News::since(&admin.feed.snapshot());
    let mut ticks = tokio::time::interval(QUERIES_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looks: u32 = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = events.closed() => return,
        }
        if kinds.contains(&Kind::Summary) && looks.is_multiple_of(SUMMARY_EVERY) {
            let event = Event::default()
                .event("summary")
                .json_data(summarize(&admin));
            if send(&events, event).await.is_err() {
                return;
            }
        }
        looks = looks.wrapping_add(1);
        if kinds.contains(&Kind::Finding) {
            for item in news.take(&admin.feed.snapshot(), FINDINGS_MAX) {
                let event = Event::default()
                    .event("finding")
                    .json_data(FindingItem::new(&admin, &item.found));
                if send(&events, event).await.is_err() {
                    return;
                }
            }
        }
        let Some(watcher) = &mut watcher else {
            continue;
        };
        let part = watcher.read(QUERIES_MAX);
        let first = part.next - part.events.len() as u64;
        let mut missed = part.missed;
        for (number, query) in (first..).zip(part.events) {
            let finished = query_finished(&admin, &query, std::mem::take(&mut missed));
            let event = Event::default()
                .event("query")
                .id(number.to_string())
                .json_data(finished);
            if send(&events, event).await.is_err() {
                return;
            }
        }
    }
}

async fn send(
    events: &mpsc::Sender<Result<Event, Infallible>>,
    event: Result<Event, axum::Error>,
) -> Result<(), mpsc::error::SendError<Result<Event, Infallible>>> {
    match event {
        Ok(event) => events.send(Ok(event)).await,
        Err(error) => {
            tracing::error!(%error, "encode event");
            Ok(())
        }
    }
}

fn query_finished(admin: &Admin, query: &QueryEvent, missed: u64) -> QueryFinished {
    let shape = query.shape;
    QueryFinished {
        fingerprint: query.fingerprint.to_string(),
        query: shape.map_or_else(|| Arc::from(""), |shape| shape.shared()),
        summary: shape.map_or_else(
            || words::operation(query.verb).to_owned(),
            |shape| words::summary(&shape),
        ),
        operation: words::operation(query.verb),
        at: words::rfc3339(&admin.clock, query.completed_at),
        connection: query.facts.id.0,
        database: Arc::clone(&query.facts.database),
        user: Arc::clone(&query.facts.user),
        application: Arc::clone(&query.facts.application),
        protocol: query.protocol.as_str(),
        duration_ms: words::milliseconds(query.phases.duration_ns()),
        phases: PhasesMs::from(&query.phases),
        rows: query.rows,
        sqlstate: query.sqlstate.map(|code| code.as_str().to_owned()),
        missed,
    }
}
