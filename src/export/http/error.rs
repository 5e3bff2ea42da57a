//! Errors as the API tells them: `{"error":{"code","message"}}`.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::guard;

/// Why a request was not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    #[error("there is nothing at this path")]
    NoSuchPath,
    #[error("this path does not take this method")]
    NoSuchMethod,
    #[error("no query has the fingerprint `{0}`")]
    NoSuchQuery(String),
    #[error("no finding has the id `{0}`")]
    NoSuchFinding(String),
    #[error("no unit with the id `{0}` is kept; the latest are, `limits.units_max` of them")]
    NoSuchUnit(String),
    #[error("parameter `{parameter}`: {problem}")]
    BadParameter {
        parameter: &'static str,
        problem: String,
    },
    #[error("the path is no text in UTF-8")]
    BadPath,
    #[error("the request needs one header Host")]
    NoHost,
    #[error("the host `{0}` is not served here; `admin.hosts` lists further ones")]
    ForeignHost(String),
    #[error("a page of another site asks; only pages of this address may")]
    ForeignSite,
    #[error("a token is needed: Authorization: Bearer …")]
    NoToken,
    #[error("this is not the token that pgprism was started with")]
    WrongToken,
    #[error("the body has to be {{\"token\": \"…\"}}")]
    NoLogin,
    #[error("a request that changes something needs the header X-Pgprism: 1")]
    NoIntent,
    #[error("a body needs a Content-Length, and no Transfer-Encoding")]
    NoLength,
    #[error("the body may have at most {0} bytes")]
    BodyTooLong(u64),
    #[error("too many requests of this kind are being answered; try again")]
    Busy,
    #[error("the answer could not be made")]
    Internal,
}

impl ApiError {
    pub(super) fn bad_parameter(parameter: &'static str, problem: impl Into<String>) -> ApiError {
        ApiError::BadParameter {
            parameter,
            problem: problem.into(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            ApiError::NoSuchPath
            | ApiError::NoSuchQuery(_)
            | ApiError::NoSuchFinding(_)
            | ApiError::NoSuchUnit(_) => StatusCode::NOT_FOUND,
            ApiError::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::BadParameter { .. }
            | ApiError::BadPath
            | ApiError::NoHost
            | ApiError::NoLogin => StatusCode::BAD_REQUEST,
            ApiError::ForeignHost(_) | ApiError::ForeignSite | ApiError::NoIntent => {
                StatusCode::FORBIDDEN
            }
            ApiError::NoToken | ApiError::WrongToken => StatusCode::UNAUTHORIZED,
            ApiError::NoLength => StatusCode::LENGTH_REQUIRED,
            ApiError::BodyTooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ApiError::NoSuchPath
            | ApiError::NoSuchQuery(_)
            | ApiError::NoSuchFinding(_)
            | ApiError::NoSuchUnit(_) => "not_found",
            ApiError::NoSuchMethod => "method_not_allowed",
            ApiError::BadParameter { .. } => "bad_parameter",
            ApiError::BadPath | ApiError::NoHost | ApiError::NoLogin => "bad_request",
            ApiError::ForeignHost(_) => "foreign_host",
            ApiError::ForeignSite => "foreign_site",
            ApiError::NoLength => "length_required",
            ApiError::NoIntent => "header_required",
            ApiError::NoToken | ApiError::WrongToken => "unauthorized",
            ApiError::BodyTooLong(_) => "body_too_long",
            ApiError::Busy => "busy",
            ApiError::Internal => "internal",
        }
    }
}

impl ApiError {
    /// What it is counted as: nothing where a request that may be asked asks for what is not there.
    fn counted_as(&self) -> Option<Refused> {
        match self {
            ApiError::NoSuchPath
            | ApiError::NoSuchQuery(_)
            | ApiError::NoSuchFinding(_)
            | ApiError::NoSuchUnit(_)
            | ApiError::NoSuchMethod
            | ApiError::BadParameter { .. }
            | ApiError::Internal => None,
            ApiError::BadPath
            | ApiError::NoHost
            | ApiError::ForeignHost(_)
            | ApiError::ForeignSite
            | ApiError::NoToken
            | ApiError::WrongToken
            | ApiError::NoLogin
            | ApiError::NoIntent
            | ApiError::NoLength
            | ApiError::BodyTooLong(_)
            | ApiError::Busy => Some(Refused(self.code())),
        }
    }
}

/// Goes with a response that refuses, to where refusals are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused(pub(super) &'static str);

/// What is no request at all; the HTTP layer refuses it before any of our code sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("this is not a request of HTTP/1.1")]
    Request,
    #[error("the path and its parameters are too long")]
    UriTooLong,
    #[error("the headers are too many or too long")]
    HeadTooLong,
}

impl Malformed {
    fn status(self) -> StatusCode {
        match self {
            Malformed::Request => StatusCode::BAD_REQUEST,
            Malformed::UriTooLong => StatusCode::URI_TOO_LONG,
            Malformed::HeadTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }

    /// The word for programs.
    pub(super) fn code(self) -> &'static str {
        match self {
            Malformed::Request => "bad_request",
            Malformed::UriTooLong => "uri_too_long",
            Malformed::HeadTooLong => "headers_too_long",
        }
    }
}

/// The whole answer to what is no request, head and body: the last one of its connection.
pub(super) fn whole(malformed: Malformed) -> Vec<u8> {
    let body =
        json!({"error": {"code": malformed.code(), "message": malformed.to_string()}}).to_string();
    let mut response = Response::new(Body::empty());
    guard::dress(&mut response);
    let mut text = format!("HTTP/1.1 {}\r\n", malformed.status()).into_bytes();
    for (name, value) in response.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let rest = format!(
        "content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    text.extend_from_slice(rest.as_bytes());
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code(), "message": self.to_string()}});
        let mut response = (self.status(), Json(body)).into_response();
        if let Some(refused) = self.counted_as() {
            response.extensions_mut().insert(refused);
        }
        let headers = response.headers_mut();
        match self {
            ApiError::NoToken => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ApiError::Busy => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // Where a body ends is not known, or not waited for.
            ApiError::NoLength | ApiError::BodyTooLong(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

pub(super) async fn no_such_path() -> ApiError {
    ApiError::NoSuchPath
}

pub(super) async fn no_such_method() -> ApiError {
    ApiError::NoSuchMethod
}
