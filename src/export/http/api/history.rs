//! `/api/v1/history`: the last hour in columns of five seconds.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::super::Admin;
use super::{List, PhasesMs};
use crate::aggregate;
use crate::export::words;

#[derive(Debug, Serialize)]
pub(in crate::export::http) struct ColumnItem {
    at: String,
    calls: u64,
    errors: u64,
    phases: PhasesMs,
    buckets: aggregate::Buckets,
}

pub(in crate::export::http) async fn history(
    State(admin): State<Arc<Admin>>,
) -> Json<List<ColumnItem>> {
    let items = admin
        .figures()
        .history()
        .into_iter()
        .map(|column| ColumnItem {
            at: words::rfc3339(&admin.clock, column.at),
            calls: column.calls,
            errors: column.errors,
            phases: PhasesMs::from(&column.phases),
            buckets: column.buckets,
        });
    let items: Vec<ColumnItem> = items.collect();
    let total = items.len();
    Json(List::from_part(items, 0, total))
}
