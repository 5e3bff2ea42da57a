//! `POST /api/v1/login` and `logout`: a browser that knows the token gets a cookie, which the page's requests carry.
//!
//! The cookie is no token: it is made from the token and a key of this process, so that it ends with either.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Admin;
use super::error::ApiError;
use super::guard::SESSION_COOKIE;

/// Bytes of the body: a token is shorter by far.
const LOGIN_BYTES_MAX: usize = 4 * 1024;

/// How long a browser keeps the cookie: a working day.
const SESSION_SECONDS: u32 = 12 * 60 * 60;

/// `{"token": "…"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

/// Answers the right token with the cookie.
pub(super) async fn login(
    State(admin): State<Arc<Admin>>,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = to_bytes(body, LOGIN_BYTES_MAX)
        .await
        .map_err(|_| ApiError::BodyTooLong(LOGIN_BYTES_MAX as u64))?;
    // What serde says of a body that it cannot read may quote it, and so the token.
    let login: Login = serde_json::from_slice(&bytes).map_err(|_| ApiError::NoLogin)?;
    let session = admin.access.guard.load().session_for(&login.token)?;
    Ok(match session {
        Some(session) => with_cookie(&session, SESSION_SECONDS)?.into_response(),
        // Whoever reaches this address may read it: there is no token.
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Takes the cookie back.
pub(super) async fn logout() -> Result<Response, ApiError> {
    Ok(with_cookie("", 0)?.into_response())
}

fn with_cookie(session: &str, seconds: u32) -> Result<impl IntoResponse, ApiError> {
    let cookie =
        format!("{SESSION_COOKIE}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict");
    let cookie = HeaderValue::try_from(cookie).map_err(|_| ApiError::Internal)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}
