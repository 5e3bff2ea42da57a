//! The web page: one document for all its views, and the files that it loads.
//!
//! The files are those of `ui/`, part of the binary; a debug build reads them from the disk each time, so that a
//! change shows when the page is loaded again. They hold no figures: the page asks the API for these, as any client
//! does, so nothing here needs a token.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::error::ApiError;

/// Paths of the page's views; each answers with the same document, which reads its path itself.
pub(super) const VIEWS: [&str; 10] = [
    "/",
    "/findings",
    "/findings/{id}",
    "/requests",
    "/requests/{id}",
    "/queries",
    "/queries/{fingerprint}",
    "/connections",
    "/live",
    "/login",
];

/// Where the files are, by their path below `ui/`.
pub(super) const ASSETS: &str = "/assets/{*path}";

const DOCUMENT: &str = "index.html";

#[derive(RustEmbed)]
#[folder = "ui/"]
struct Files;

/// Whether the path is one of the page's, for which no token is needed.
pub(super) fn serves(path: &str) -> bool {
    fn place(path: &str) -> Option<&str> {
        path.split('/').nth(1).filter(|place| !place.is_empty())
    }
    let places = VIEWS.iter().chain([&ASSETS]);
    path == "/"
        || place(path).is_some_and(|first| {
            places
                .filter_map(|path| place(path))
                .any(|place| place == first)
        })
}

/// The document.
pub(super) async fn document(headers: HeaderMap) -> Result<Response, ApiError> {
    file(DOCUMENT, &headers)
}

/// One of the files.
pub(super) async fn asset(
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    file(&path, &headers)
}

/// The file, or 304 where the browser has it.
fn file(path: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    let file = Files::get(path).ok_or(ApiError::NoSuchPath)?;
    let tag = tag(&file.metadata.sha256_hash());
    // A browser applies the headers of a 304 to what it has, the policy that follows from the type among them.
    let about = [
        (header::CONTENT_TYPE, kind(&file)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag.clone()),
    ];
    if headers.get(header::IF_NONE_MATCH) == Some(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    Ok((about, file.data).into_response())
}

/// `"<the first 16 bytes of the file's SHA-256, in hex>"`
fn tag(hash: &[u8; 32]) -> HeaderValue {
    let number = hash[..16]
        .iter()
        .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    HeaderValue::from_str(&format!("\"{number:032x}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn kind(file: &rust_embed::EmbeddedFile) -> HeaderValue {
    let kind = file.metadata.mimetype();
    let text = kind.starts_with("text/");
    let charset = if text { "; charset=utf-8" } else { "" };
    HeaderValue::from_str(&format!("{kind}{charset}"))
        .unwrap_or(HeaderValue::from_static("application/octet-stream"))
}
