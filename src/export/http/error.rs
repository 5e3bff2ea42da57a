//! Errors as the API tells them: `{"error":{"code","message"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

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
    #[error("the request needs one header Host")]
    NoHost,
    #[error("the host `{0}` is not served here; `admin.hosts` lists further ones")]
    ForeignHost(String),
    #[error("a token is needed: Authorization: Bearer …")]
    NoToken,
    #[error("a request that changes something needs the header X-Pgprism: 1")]
    NoIntent,
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
            ApiError::BadParameter { .. } | ApiError::NoHost => StatusCode::BAD_REQUEST,
            ApiError::ForeignHost(_) | ApiError::NoIntent => StatusCode::FORBIDDEN,
            ApiError::NoToken => StatusCode::UNAUTHORIZED,
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
            ApiError::NoHost => "bad_request",
            ApiError::ForeignHost(_) => "foreign_host",
            ApiError::NoIntent => "header_required",
            ApiError::NoToken => "unauthorized",
            ApiError::BodyTooLong(_) => "body_too_long",
            ApiError::Busy => "busy",
            ApiError::Internal => "internal",
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code(), "message": self.to_string()}});
        let mut response = (self.status(), Json(body)).into_response();
        let headers = response.headers_mut();
        match self {
            ApiError::NoToken => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ApiError::Busy => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
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
