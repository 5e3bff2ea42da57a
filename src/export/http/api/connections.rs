//! `/api/v1/connections`: client connections that are open.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Serialize;

use super::super::Admin;
use super::super::error::ApiError;
use super::super::filter::{Item, Key};
use super::{List, Page, parameters};
use crate::event::{ConnectionState, Moment};
use crate::export::words;
use crate::registry;

#[derive(Debug, Serialize)]
pub(in crate::export::http) struct ConnectionItem {
    id: u64,
    listener: Arc<str>,
    client: Arc<str>,
    upstream: Arc<str>,
    user: Arc<str>,
    database: Arc<str>,
    application: Arc<str>,
    backend_pid: Option<u64>,
    state: &'static str,
    since: String,
    queries: u64,
    transactions: u64,
    observed: bool,
    tls: bool,
}

/// What connections are sorted by; greatest first, but for the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// As they came.
    Id,
    /// Those in a transaction and idle first, the longest of them first; then those that are busy; then the others.
    State,
    Queries,
    Transactions,
}

pub(in crate::export::http) async fn connections(
    State(admin): State<Arc<Admin>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<List<ConnectionItem>>, ApiError> {
    let page = parameters(page)?;
    let sort = sort(page.sort.as_deref())?;
    let filter = page.filter::<Seen>()?;
    let now = admin.clock.now();
    let connections = admin.registry.connections();
    let mut chosen: Vec<Seen> = connections
        .iter()
        .map(|connection| Seen::new(connection, now))
        .filter(|seen| filter.keeps(seen))
        .collect();
    chosen.sort_by_key(|seen| {
        std::cmp::Reverse(match sort {
            Sort::Id => (0, 0),
            Sort::State => (urgency(seen.state), now.since(seen.since)),
            Sort::Queries => (0, seen.queries),
            Sort::Transactions => (0, seen.transactions),
        })
    });
    List::part(&chosen, &page, |seen| seen.item(&admin)).map(Json)
}

fn sort(written: Option<&str>) -> Result<Sort, ApiError> {
    Ok(match written {
        None | Some("" | "id") => Sort::Id,
        Some("state") => Sort::State,
        Some("queries") => Sort::Queries,
        Some("transactions") => Sort::Transactions,
        Some(_) => {
            let known = "one of id, state, queries, transactions";
            return Err(ApiError::bad_parameter("sort", known));
        }
    })
}

/// How soon somebody should look at a connection.
fn urgency(state: ConnectionState) -> u8 {
    match state {
        ConnectionState::IdleInTransactionAborted => 3,
        ConnectionState::IdleInTransaction => 2,
        ConnectionState::Active => 1,
        _ => 0,
    }
}

/// A connection with its changing figures, read once.
struct Seen<'c> {
    connection: &'c registry::Connection,
    application: Arc<str>,
    state: ConnectionState,
    since: Moment,
    state_ns: u64,
    queries: u64,
    transactions: u64,
}

impl<'c> Seen<'c> {
    fn new(connection: &'c registry::Connection, now: Moment) -> Seen<'c> {
        let status = &connection.status;
        let application = status
            .application
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        let since = Moment(status.since.load(Relaxed)).max(connection.accepted_at);
        Seen {
            connection,
            application: application.unwrap_or_else(|| Arc::clone(&connection.application)),
            state: ConnectionState::from_number(status.state.load(Relaxed)),
            since,
            state_ns: now.since(since),
            queries: status.queries.load(Relaxed),
            transactions: status.transactions.load(Relaxed),
        }
    }

    fn item(&self, admin: &Admin) -> ConnectionItem {
        let connection = self.connection;
        let pid = connection.status.backend_pid.load(Relaxed);
        ConnectionItem {
            id: connection.id.0,
            listener: Arc::clone(&connection.listener),
            client: Arc::clone(&connection.client),
            upstream: Arc::clone(&connection.upstream),
            user: Arc::clone(&connection.user),
            database: Arc::clone(&connection.database),
            application: Arc::clone(&self.application),
            backend_pid: (pid != 0).then_some(pid),
            state: self.state.as_str(),
            since: words::rfc3339(&admin.clock, self.since),
            queries: self.queries,
            transactions: self.transactions,
            observed: connection.status.observed.load(Relaxed) == 1,
            tls: connection.tls,
        }
    }
}

impl Item for Seen<'_> {
    const KEYS: &'static [Key] = &[
        Key::Database,
        Key::User,
        Key::Application,
        Key::State,
        Key::Duration,
        Key::Number,
    ];

    fn any_text(&self, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
        let connection = self.connection;
        [
            &*connection.listener,
            &connection.client,
            &connection.upstream,
            &connection.user,
            &connection.database,
            &self.application,
            self.state.as_str(),
        ]
        .into_iter()
        .any(wanted)
    }

    fn any_word(&self, key: Key, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
        wanted(match key {
            Key::Database => &self.connection.database,
            Key::User => &self.connection.user,
            Key::Application => &self.application,
            _ => self.state.as_str(),
        })
    }

    /// How long it has been in its state.
    fn duration_ns(&self) -> u64 {
        self.state_ns
    }

    /// Queries.
    fn number(&self) -> u64 {
        self.queries
    }

    fn failed(&self) -> bool {
        false
    }
}
