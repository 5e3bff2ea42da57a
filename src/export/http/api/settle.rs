//! `POST /api/v1/settle`: for who wants to read what a test did, right behind it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::super::Admin;
use super::super::error::ApiError;
use super::{parameters, written};
use crate::unit::TestId;

/// How long it waits at most.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// `?test_id=`
#[derive(Debug, Deserialize)]
pub(in crate::export::http) struct Wanted {
    test_id: Option<String>,
}

#[derive(Debug, Serialize)]
pub(in crate::export::http) struct Settled {
    settled: bool,
    events_dropped: u64,
}

pub(in crate::export::http) async fn settle(
    State(admin): State<Arc<Admin>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Settled>, ApiError> {
    let wanted = parameters(wanted)?;
    let test = written(wanted.test_id.as_deref()).map(TestId::of);
    let settled = timeout(SETTLE_WITHIN, (admin.settle)(test)).await;
    let dropped = admin.store.health().events_dropped();
    Ok(Json(Settled {
        settled: settled.unwrap_or(false),
        events_dropped: dropped.iter().map(|drops| drops.count).sum(),
    }))
}
