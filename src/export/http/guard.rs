//! Who may ask what: the one place that decides.
//!
//! A page on another site can make a browser on this machine send requests here. It cannot read the answers (we
//! send no CORS headers) unless its own name is made to point here, which the check of `Host` refuses; and it cannot
//! send `X-Pgprism`, which all that changes something needs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::{Admin, Connection};

/// Bytes of a request's body; nothing here takes one yet.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// Paths that tell nothing but whether the process is well.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// The settings that decide.
pub(super) struct Guard {
    hosts: Vec<String>,
    token: Option<String>,
}

impl Guard {
    pub(super) fn new(hosts: Vec<String>, token: Option<String>) -> Guard {
        Guard {
            hosts: hosts
                .into_iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            token,
        }
    }

    fn decide(&self, request: &Request, local: SocketAddr) -> Result<(), ApiError> {
        self.check_host(request, local)?;
        self.check_token(request)?;
        if !matches!(*request.method(), Method::GET | Method::HEAD)
            && request
                .headers()
                .get("x-pgprism")
                .is_none_or(|value| value != "1")
        {
            return Err(ApiError::NoIntent);
        }
        let announced = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok());
        if announced.is_some_and(|length| {
            length
                .parse()
                .is_ok_and(|length: u64| length > BODY_BYTES_MAX)
        }) {
            return Err(ApiError::BodyTooLong(BODY_BYTES_MAX));
        }
        Ok(())
    }

    fn check_host(&self, request: &Request, local: SocketAddr) -> Result<(), ApiError> {
        let mut values = request.headers().get_all(header::HOST).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(ApiError::NoHost);
        };
        let host = value.to_str().map_err(|_| ApiError::NoHost)?;
        // A request line may carry a host of its own, which would win over the header.
        let hosts = [Some(host), request.uri().authority().map(Authority::as_str)];
        for host in hosts.into_iter().flatten() {
            if !self.serves(host, local) {
                return Err(ApiError::ForeignHost(host.chars().take(100).collect()));
            }
        }
        Ok(())
    }

    /// Whether `host` is this machine by name or by the address that was connected to, or is listed.
    fn serves(&self, host: &str, local: SocketAddr) -> bool {
        let host = host.to_ascii_lowercase();
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let name = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        if authority.as_str().contains('@') {
            return false;
        }
        let ours = match name.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || address == local.ip().to_canonical(),
            Err(_) => name == "localhost",
        };
        ours || self
            .hosts
            .iter()
            .any(|listed| *listed == host || listed == name)
    }

    fn check_token(&self, request: &Request) -> Result<(), ApiError> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        if OPEN_PATHS.contains(&request.uri().path()) {
            return Ok(());
        }
        let given = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
            .map(|(_, given)| given.trim_ascii());
        match given {
            Some(given) if same(given, token.as_bytes()) => Ok(()),
            _ => Err(ApiError::NoToken),
        }
    }
}

/// Compares without telling by its time how much of it was right.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let difference = given
        .iter()
        .zip(wanted)
        .fold(0, |difference, (a, b)| difference | (a ^ b));
    given.len() == wanted.len() && difference == 0
}

/// Lets a request through or answers it, and says to browsers what they may do with any answer.
pub(super) async fn check(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match admin.guard.0.load().decide(&request, connection.local) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, served: bool) {
        let guard = Guard::new(
            vec!["pgprism:9433".to_owned(), "Metrics.example".to_owned()],
            None,
        );
        let local = SocketAddr::from(([10, 1, 2, 3], 9433));
        assert_eq!(guard.serves(host, local), served, "{host}");
    }

    #[test]
    fn serves_this_machine_and_listed_hosts_only() {
        for host in [
            "localhost",
            "LOCALHOST:9433",
            "localhost:19433",
            "127.0.0.1:9433",
            "[::1]:9433",
            "10.1.2.3",
            "10.1.2.3:1",
            "pgprism:9433",
            "metrics.example",
            "metrics.example:80",
        ] {
            check(host, true);
        }
        for host in [
            "",
            "evil.example",
            "pgprism",
            "pgprism:80",
            "10.1.2.4",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "[::2]",
            "a b",
        ] {
            check(host, false);
        }
    }

    #[test]
    fn compares_whole_tokens() {
        assert!(same(b"secret", b"secret"));
        for given in [&b""[..], b"secre", b"secretx", b"Secret"] {
            assert!(!same(given, b"secret"));
        }
    }
}
