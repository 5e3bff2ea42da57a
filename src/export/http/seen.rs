//! Whoever reads figures finds in them every query whose answer somebody has had.
//!
//! A relaying thread sends on first and looks at it afterwards; where one client or a few ask briskly, some
//! milliseconds later.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::timeout;

use super::Admin;

/// How long it waits at most: figures that are a little older are better than none.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// Answers once what was sent up to now was looked at.
pub(super) async fn first(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
    let _ = timeout(SEEN_WITHIN, (admin.seen)()).await;
    next.run(request).await
}
