//! Health, `/metrics`, and the reset.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::super::error::ApiError;
use super::super::guard::Knows;
use super::super::held::Held;
use super::super::places::Doing;
use super::super::{Admin, Connection};
use crate::export::metrics::CONTENT_TYPE;

pub(in crate::export::http) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

pub(in crate::export::http) async fn readyz(
    State(admin): State<Arc<Admin>>,
    Extension(Knows(knows)): Extension<Knows>,
) -> Response {
    let deaf: Vec<String> = admin
        .registry
        .snapshot()
        .listeners
        .iter()
        .filter(|listener| !listener.listening)
        .map(|listener| format!("listener {} is closed", listener.name))
        .collect();
    let problem = match deaf.is_empty() {
        true => (admin.probe)().await.err(),
        false => Some(deaf.join("; ")),
    };
    match problem {
        None => Json(json!({"status": "ok"})).into_response(),
        Some(problem) => {
            let problem = match knows {
                true => problem.as_str(),
                false => "what is missing is told to who shows the token",
            };
            let body = json!({"error": {"code": "not_ready", "message": problem}});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

pub(in crate::export::http) async fn metrics(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
) -> Result<Response, ApiError> {
    let permit = Arc::clone(&admin.scrapes)
        .try_acquire_owned()
        .map_err(|_| ApiError::Busy)?;
    connection.place.set(Doing::Scraping);
    admin.figures();
    let page = admin.metrics.page().map_err(|error| {
        tracing::error!(%error, "metrics");
        ApiError::Internal
    })?;
    let headers = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    Ok((headers, Body::new(Held::new(page, permit))).into_response())
}

pub(in crate::export::http) async fn reset(State(admin): State<Arc<Admin>>) -> StatusCode {
    admin.figures().reset();
    admin.forget_losses();
    StatusCode::NO_CONTENT
}
