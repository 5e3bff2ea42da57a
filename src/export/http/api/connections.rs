//! `/api/v1/connections`: client connections that are open.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Serialize;

use super::super::Admin;
use super::super::error::ApiError;
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

pub(in crate::export::http) async fn connections(
    State(admin): State<Arc<Admin>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<List<ConnectionItem>>, ApiError> {
    let page = parameters(page)?;
    let (skip, limit) = page.range()?;
    let connections = admin.registry.connections();
    let more = connections.len() > skip.saturating_add(limit);
    let chosen = connections.iter().skip(skip).take(limit);
    let items = chosen
        .map(|connection| connection_item(&admin, connection))
        .collect();
    Ok(Json(List {
        items,
        next: more.then(|| (skip + limit).to_string()),
    }))
}

fn connection_item(admin: &Admin, connection: &registry::Connection) -> ConnectionItem {
    let status = &connection.status;
    let application = status
        .application
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .clone();
    let since = status.since.load(Relaxed);
    let pid = status.backend_pid.load(Relaxed);
    ConnectionItem {
        id: connection.id.0,
        listener: Arc::clone(&connection.listener),
        client: Arc::clone(&connection.client),
        upstream: Arc::clone(&connection.upstream),
        user: Arc::clone(&connection.user),
        database: Arc::clone(&connection.database),
        application: application.unwrap_or_else(|| Arc::clone(&connection.application)),
        backend_pid: (pid != 0).then_some(pid),
        state: ConnectionState::from_number(status.state.load(Relaxed)).as_str(),
        since: words::rfc3339(&admin.clock, Moment(since).max(connection.accepted_at)),
        queries: status.queries.load(Relaxed),
        transactions: status.transactions.load(Relaxed),
        observed: status.observed.load(Relaxed) == 1,
        tls: connection.tls,
    }
}
