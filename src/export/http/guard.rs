//! Who may ask what: the one place that decides.
//!
//! A page on another site can make a browser on this machine send requests here. It cannot read the answers (we
//! send no CORS headers) unless its own name is made to point here, which the check of `Host` refuses; and it cannot
//! send `X-Pgprism`, which all that changes something needs. Browsers also say when a page of another site asks; then
//! nothing is answered at all, since how long an answer takes tells something too. Links from elsewhere still lead here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::answer::{Answer, SMALL_BYTES};
use super::error::{ApiError, Refused};
use super::page;
use super::places::Doing;
use super::{Admin, Connection};

/// Bytes of a request's body; nothing here takes one yet.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// Paths that need no token beside those of the page: they tell nothing but whether the process is well, or ask for
/// the token themselves.
const OPEN_PATHS: [&str; 3] = ["/healthz", "/readyz", "/api/v1/login"];

/// Carries what [`Guard::session_for`] made.
pub(super) const SESSION_COOKIE: &str = "pgprism_session";

/// What a browser may do with data: nothing but read it.
const DATA_POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a page of ours may do: use what comes from this address, and talk to nobody else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether who asks may know more than whether the process is well.
#[derive(Debug, Clone, Copy)]
pub(super) struct Knows(pub(super) bool);

/// What browsers' sessions are made from: random, the same as long as the process runs.
#[derive(Clone)]
pub(super) struct SessionKey([u8; 32]);

/// The settings that decide.
pub(super) struct Guard {
    hosts: Vec<String>,
    token: Option<Token>,
}

/// Hashes of the token, which itself is not kept: comparing hashes takes the same time whatever was sent.
struct Token {
    hash: [u8; 32],
    /// Of what a browser's cookie holds.
    session_hash: [u8; 32],
    session: String,
}

impl SessionKey {
    /// A new one.
    pub(super) fn random() -> io::Result<SessionKey> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Ok(SessionKey(key))
    }
}

impl Token {
    fn new(token: &str, key: &SessionKey) -> Token {
        let hash = hash(token.as_bytes());
        // Both parts have a fixed length, so nothing can be appended to make another session of it.
        let session: [u8; 32] = Sha256::new()
            .chain_update(key.0)
            .chain_update(hash)
            .finalize()
            .into();
        let session: String = session.iter().map(|byte| format!("{byte:02x}")).collect();
        Token {
            hash,
            session_hash: self::hash(session.as_bytes()),
            session,
        }
    }
}

impl Guard {
    pub(super) fn new(hosts: Vec<String>, token: Option<&str>, key: &SessionKey) -> Guard {
        Guard {
            hosts: hosts
                .into_iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            token: token.map(|token| Token::new(token, key)),
        }
    }

    /// What the cookie of a browser holds that knows the token; `None` where no token is needed.
    pub(super) fn session_for(&self, given: &str) -> Result<Option<String>, ApiError> {
        match &self.token {
            None => Ok(None),
            Some(token) if same(&hash(given.as_bytes()), &token.hash) => {
                Ok(Some(token.session.clone()))
            }
            Some(_) => Err(ApiError::WrongToken),
        }
    }

    fn decide(&self, request: &Request, local: SocketAddr) -> Result<(), ApiError> {
        self.check_host(request, local)?;
        check_site(request)?;
        let path = request.uri().path();
        if !OPEN_PATHS.contains(&path) && !page::serves(path) {
            self.check_token(request)?;
        }
        // Nothing here takes the others: they get 405 for an answer.
        let changes = matches!(
            *request.method(),
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE
        );
        if changes
            && request
                .headers()
                .get("x-pgprism")
                .is_none_or(|value| value != "1")
        {
            return Err(ApiError::NoIntent);
        }
        if request.headers().contains_key(header::TRANSFER_ENCODING) {
            return Err(ApiError::NoLength);
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
        // The parser takes anything for a port.
        let port = authority.as_str().strip_prefix(authority.host());
        let fits = |port: &str| {
            port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok()
        };
        if !port.is_some_and(|port| port.is_empty() || port.strip_prefix(':').is_some_and(fits)) {
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
        let headers = request.headers();
        let known = match bearer(headers) {
            Some(given) => same(&hash(given), &token.hash),
            None => session(headers).is_some_and(|given| same(&hash(given), &token.session_hash)),
        };
        if known {
            Ok(())
        } else {
            Err(ApiError::NoToken)
        }
    }
}

/// What `Authorization: Bearer …` holds, where there is one such header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    let (scheme, given) = only.as_bytes().split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| given.trim_ascii())
}

/// What the page's cookie holds, where nothing else claims to be who asks.
fn session(headers: &HeaderMap) -> Option<&[u8]> {
    if headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .find_map(|pair| {
            let pair = pair.trim_ascii().strip_prefix(SESSION_COOKIE.as_bytes())?;
            pair.strip_prefix(b"=")
        })
}

/// Refuses what a browser sends for a page that is not ours, but for following a link.
fn check_site(request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    let says = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    if let Some(origin) = says("origin") {
        let host = says("host").unwrap_or_default();
        let ours = [&b"http://"[..], b"https://"].into_iter().any(|scheme| {
            origin
                .strip_prefix(scheme)
                .is_some_and(|origin| origin.eq_ignore_ascii_case(host))
        });
        if !ours {
            return Err(ApiError::ForeignSite);
        }
    }
    let link = *request.method() == Method::GET
        && says("sec-fetch-mode") == Some(b"navigate")
        && says("sec-fetch-dest") == Some(b"document");
    match says("sec-fetch-site") {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) if link => Ok(()),
        Some(_) => Err(ApiError::ForeignSite),
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Compares without telling by its time how much of it was right.
fn same(given: &[u8; 32], wanted: &[u8; 32]) -> bool {
    given.ct_eq(wanted).into()
}

/// Lets a request through or answers it, and says to browsers what they may do with any answer.
pub(super) async fn check(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
    mut request: Request,
    next: Next,
) -> Response {
    let place = connection.place;
    place.set(Doing::Answering);
    let guard = admin.access.guard.load_full();
    let mut response = match guard.decide(&request, connection.local) {
        Ok(()) => {
            let knows = Knows(guard.check_token(&request).is_ok());
            request.extensions_mut().insert(knows);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    let mut part = None;
    let bytes = response.body().size_hint().exact();
    if let Some(bytes) = bytes.filter(|bytes| *bytes > SMALL_BYTES) {
        part = admin.budget.part(bytes);
        if part.is_none() {
            response = ApiError::Busy.into_response();
        }
    }
    if let Some(Refused(reason)) = response.extensions().get() {
        admin.store.health().admin_refused(reason);
    }
    dress(&mut response);
    response.map(|body| Body::new(Answer::new(body, place, part)))
}

/// Sets the headers that all answers have.
pub(super) fn dress(response: &mut Response) {
    let headers = response.headers_mut();
    let is_page = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let policy = match is_page {
        true => PAGE_POLICY,
        false => DATA_POLICY,
    };
    // Files of the page say themselves how long they may be kept.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, served: bool) {
        let guard = Guard::new(
            vec!["pgprism:9433".to_owned(), "Metrics.example".to_owned()],
            None,
            &SessionKey([7; 32]),
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
            "localhost:",
            "localhost:evil",
            "localhost:+80",
            "localhost:65536",
            "[::1]:evil",
        ] {
            check(host, false);
        }
    }

    #[test]
    fn compares_whole_tokens() {
        assert!(same(&hash(b"secret"), &hash(b"secret")));
        for given in [&b""[..], b"secre", b"secretx", b"Secret"] {
            assert!(!same(&hash(given), &hash(b"secret")));
        }
    }

    #[test]
    fn pages_may_use_what_is_theirs_and_data_may_do_nothing() {
        for (kind, policy) in [
            ("text/html; charset=utf-8", PAGE_POLICY),
            ("application/json", DATA_POLICY),
            ("text/plain", DATA_POLICY),
        ] {
            let mut response = ([(header::CONTENT_TYPE, kind)], "").into_response();
            dress(&mut response);
            assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], policy);
        }
    }
}
