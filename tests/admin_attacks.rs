//! An attacker's tour of the admin address: the real program, real sockets, and requests that no honest client sends.

#![allow(
    clippy::disallowed_methods,
    reason = "a test's deadlines are real time"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing here takes longer unless it is broken.
const DEADLINE: Duration = Duration::from_secs(20);

/// Before this the server has to close what it cannot trust; silent connections it closes later.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

const TOKEN: &str = "correct-horse-battery-staple";

/// `pgprism serve`, killed at the end.
struct Program {
    child: Child,
    admin: SocketAddr,
    log: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Program {
    fn start(variables: &[(&str, &str)]) -> Program {
        let folder = tempfile::tempdir().unwrap();
        let ports = folder.path().join("ports");
        let log = folder.path().join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgprism"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PGPRISM_") {
                command.env_remove(name);
            }
        }
        let child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--upstream", "postgres://127.0.0.1:9", "--slow-log", "off"])
            .arg("--ports-file")
            .arg(&ports)
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut program = Program {
            child,
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
            _folder: folder,
        };
        let deadline = Instant::now() + DEADLINE;
        program.admin = loop {
            let text = std::fs::read_to_string(&ports).unwrap_or_default();
            if let Some(line) = text.lines().find_map(|line| line.strip_prefix("admin=")) {
                break line.parse().unwrap();
            }
            assert!(Instant::now() < deadline, "{}", program.logged());
            std::thread::yield_now();
        };
        program
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Sends these bytes and reads all there is to read until the server closes.
    fn send(&self, bytes: &[u8]) -> Vec<Answer> {
        let mut stream = self.connect();
        let began = Instant::now();
        // The server may refuse and close before it has everything.
        let _ = stream.write_all(bytes);
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        assert!(
            began.elapsed() < CLOSED_WITHIN,
            "not closed: {:?} answered by {:?}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(300)]),
            String::from_utf8_lossy(&text)
        );
        Answer::all(&text)
    }

    /// The only answer to one request, which is the last of its connection.
    #[track_caller]
    fn ask(&self, request_line: &str, headers: &[&str]) -> Answer {
        let mut text = format!("{request_line}\r\nConnection: close\r\n");
        for header in headers {
            text += header;
            text += "\r\n";
        }
        text += "\r\n";
        let mut answers = self.send(text.as_bytes());
        assert_eq!(answers.len(), 1, "{request_line} {headers:?}: {answers:?}");
        answers.remove(0)
    }

    /// The status of `/healthz`, and how long it took.
    fn health(&self) -> (u16, Duration) {
        let began = Instant::now();
        let answer = self.ask("GET /healthz HTTP/1.1", &["Host: localhost"]);
        (answer.status, began.elapsed())
    }

    /// How often the admin address refused something for this reason.
    fn refusals(&self, reason: &str) -> u64 {
        let headers = ["Host: localhost", &format!("Authorization: Bearer {TOKEN}")];
        let page = self.ask("GET /metrics HTTP/1.1", &headers).body;
        let line = format!("pgprism_admin_refused_total{{reason=\"{reason}\"}} ");
        page.lines()
            .find_map(|found| found.strip_prefix(&line))
            .map_or(0, |count| count.parse().unwrap())
    }

    fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let log = self.logged();
            assert!(!log.contains("panic"), "{log}");
            assert!(!log.contains(TOKEN), "{log}");
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// Cuts what a connection sent into its answers.
    fn all(mut bytes: &[u8]) -> Vec<Answer> {
        let mut answers = Vec::new();
        while !bytes.is_empty() {
            let end = bytes
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
                .unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(bytes)));
            let head = String::from_utf8(bytes[..end].to_vec())
                .unwrap()
                .to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse::<usize>().unwrap());
            let body = &bytes[end + 4..];
            let (body, rest) = body.split_at(length.min(body.len()));
            answers.push(Answer {
                status: head[9..12].parse().unwrap(),
                head,
                body: String::from_utf8(body.to_vec()).unwrap(),
            });
            bytes = rest;
        }
        answers
    }

    /// Whether this is an error in the form of all errors, with the headers of all answers.
    #[track_caller]
    fn is_error(&self, status: u16, code: &str, what: &str) {
        let json: Value = serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{what}: {error}: {self:?}"));
        assert_eq!(
            (self.status, json["error"]["code"].as_str()),
            (status, Some(code)),
            "{what}: {self:?}"
        );
        self.is_dressed(what);
    }

    #[track_caller]
    fn is_dressed(&self, what: &str) {
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "content-security-policy: default-src 'none';",
            "frame-ancestors 'none'",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(self.head.contains(header), "{what}: no {header}: {self:?}");
        }
        assert!(!self.head.contains("access-control"), "{what}: {self:?}");
        assert!(!self.head.contains("set-cookie"), "{what}: {self:?}");
    }
}

#[test]
fn names_that_only_point_here_are_not_served() {
    let program = Program::start(&[("PGPRISM_ADMIN_HOSTS", "pgprism.internal")]);
    let port = program.admin.port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.1.nip.io:{port}"),
        "localhost.".to_owned(),
        "LOCALHOST.".to_owned(),
        "0.0.0.0".to_owned(),
        format!("0.0.0.0:{port}"),
        "127.1".to_owned(),
        "2130706433".to_owned(),
        "0x7f000001".to_owned(),
        "[::ffff:10.0.0.1]".to_owned(),
        "[::]".to_owned(),
        "localhost:80:80".to_owned(),
        "localhost:evil".to_owned(),
        "localhost@evil.example".to_owned(),
        "evil.example@localhost".to_owned(),
        "localhost/evil".to_owned(),
        "localhost?evil".to_owned(),
        "localhost#evil".to_owned(),
        "localhost,evil.example".to_owned(),
        "localhost evil.example".to_owned(),
        "pgprism.internal.evil.example".to_owned(),
        "xpgprism.internal".to_owned(),
        "pgprism.internal.".to_owned(),
        String::new(),
    ] {
        for path in ["/api/v1/summary", "/metrics", "/healthz", "/nowhere"] {
            let answer = program.ask(
                &format!("GET {path} HTTP/1.1"),
                &[
                    &format!("Host: {host}"),
                    "X-Forwarded-Host: localhost",
                    "Forwarded: host=localhost",
                ],
            );
            answer.is_error(403, "foreign_host", &host);
        }
    }
    for host in [
        format!("127.0.0.1:{port}"),
        "LocalHost".to_owned(),
        "[::1]".to_owned(),
        "PGPRISM.Internal:1".to_owned(),
    ] {
        let answer = program.ask(
            "GET /api/v1/summary HTTP/1.1",
            &[&format!("Host: {host}"), "X-Forwarded-Host: evil.example"],
        );
        assert_eq!(answer.status, 200, "{host}");
        answer.is_dressed(&host);
    }
    for (line, headers, status, code) in [
        ("GET /metrics HTTP/1.1", &[][..], 400, "bad_request"),
        ("GET /metrics HTTP/1.0", &[], 400, "bad_request"),
        (
            "GET /metrics HTTP/1.1",
            &["Host: localhost", "Host: localhost"],
            400,
            "bad_request",
        ),
        (
            "GET /metrics HTTP/1.1",
            &["Host: localhost", "Host: evil.example"],
            400,
            "bad_request",
        ),
        (
            "GET http://evil.example/metrics HTTP/1.1",
            &["Host: localhost"],
            403,
            "foreign_host",
        ),
        (
            "GET http://localhost@evil.example/metrics HTTP/1.1",
            &["Host: localhost"],
            403,
            "foreign_host",
        ),
        (
            "GET http://localhost/metrics HTTP/1.1",
            &["Host: evil.example"],
            403,
            "foreign_host",
        ),
        (
            "CONNECT evil.example:80 HTTP/1.1",
            &["Host: localhost"],
            403,
            "foreign_host",
        ),
    ] {
        let answer = program.ask(line, headers);
        answer.is_error(status, code, &format!("{line} {headers:?}"));
    }
    assert!(program.refusals("foreign_host") > 100);
}

#[test]
fn pages_of_other_sites_get_nothing_done_and_nothing_told() {
    let program = Program::start(&[]);
    let host = program.admin.to_string();
    let own = &format!("Host: {host}");
    let reset = "POST /api/v1/reset HTTP/1.1";
    // What a form or a simple request of a page can send.
    for kind in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/json",
    ] {
        let kind = &format!("Content-Type: {kind}");
        program
            .ask(reset, &[own, kind, "Content-Length: 0"])
            .is_error(403, "header_required", kind);
    }
    for value in ["0", "", "true", "1, 1", "11"] {
        program
            .ask(reset, &[own, &format!("X-Pgprism: {value}")])
            .is_error(403, "header_required", value);
    }
    let other_port = format!("Origin: http://127.0.0.1:{}", program.admin.port() ^ 1);
    for origin in [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: ",
        "Origin: http://localhost:8000",
        other_port.as_str(),
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: nonsense",
    ] {
        for line in [
            reset,
            "GET /api/v1/summary HTTP/1.1",
            "OPTIONS /api/v1/reset HTTP/1.1",
        ] {
            program
                .ask(line, &[own, "X-Pgprism: 1", origin])
                .is_error(403, "foreign_site", origin);
        }
    }
    // A page of ours, and a link that somebody follows.
    let own_origin = format!("Origin: http://{host}");
    for headers in [
        &[own.as_str(), &own_origin, "Sec-Fetch-Site: same-origin"][..],
        &[own, "Sec-Fetch-Site: none"],
        &[
            own,
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Dest: document",
        ],
    ] {
        let answer = program.ask("GET /api/v1/summary HTTP/1.1", headers);
        assert_eq!(answer.status, 200, "{headers:?}");
    }
    // A page in a frame is no link.
    program
        .ask(
            "GET /api/v1/summary HTTP/1.1",
            &[
                own,
                "Sec-Fetch-Site: cross-site",
                "Sec-Fetch-Mode: navigate",
                "Sec-Fetch-Dest: iframe",
            ],
        )
        .is_error(403, "foreign_site", "frame");
    assert!(program.refusals("foreign_site") >= 25);
}

#[test]
fn methods_that_read_change_nothing_and_others_are_not_taken() {
    let program = Program::start(&[]);
    for path in ["/healthz", "/metrics", "/api/v1/summary", "/api/v1/stream"] {
        for method in ["OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "POST", "FOO"] {
            let answer = program.ask(
                &format!("{method} {path} HTTP/1.1"),
                &["Host: localhost", "X-Pgprism: 1", "X-Secret: mirrored"],
            );
            answer.is_error(405, "method_not_allowed", &format!("{method} {path}"));
            assert!(!answer.body.contains("mirrored"));
        }
        let mut stream = program.connect();
        write!(
            stream,
            "HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{path}: {text}");
        assert!(text.ends_with("\r\n\r\n"), "{path}: {text}");
    }
    for path in [
        "/api/v1/reset",
        "/api/v1/findings/0000000000000001/mute",
        "/api/v1/findings/0000000000000001/unmute",
    ] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let mut stream = program.connect();
            write!(
                stream,
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Pgprism: 1\r\n\
                 X-HTTP-Method-Override: POST\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert!(text.starts_with("HTTP/1.1 405"), "{method} {path}: {text}");
        }
    }
    for line in ["CONNECT localhost:1 HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        let answer = program.ask(line, &["Host: localhost"]);
        assert!(matches!(answer.status, 400..=499), "{line}: {answer:?}");
        answer.is_dressed(line);
    }
    for upgrade in [
        &[
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==",
        ][..],
        &["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
    ] {
        let mut headers = vec!["Host: localhost"];
        headers.extend(upgrade);
        let answer = program.ask("GET /api/v1/summary HTTP/1.1", &headers);
        assert_eq!(answer.status, 200, "it goes on as it was: {answer:?}");
    }
}

#[test]
fn a_token_is_needed_whole_and_in_its_place() {
    let program = Program::start(&[("PGPRISM_TOKEN", TOKEN)]);
    let longer = format!("{TOKEN}x");
    let shorter = &TOKEN[..TOKEN.len() - 1];
    let cases: Vec<Vec<String>> = vec![
        vec![],
        vec!["Authorization: Bearer ".to_owned()],
        vec![format!("Authorization: Bearer {longer}")],
        vec![format!("Authorization: Bearer {shorter}")],
        vec![format!("Authorization: Bearer {}", TOKEN.to_uppercase())],
        vec![format!("Authorization: Bearer \"{TOKEN}\"")],
        vec![format!("Authorization: Bearer {TOKEN},{TOKEN}")],
        vec![format!("Authorization: {TOKEN}")],
        vec![format!("Authorization: Basic {TOKEN}")],
        vec![format!("Authorization: Bearer {}", "x".repeat(8000))],
        vec![
            format!("Authorization: Bearer {TOKEN}"),
            format!("Authorization: Bearer {TOKEN}"),
        ],
        vec![
            format!("Authorization: Bearer x"),
            format!("Authorization: Bearer {TOKEN}"),
        ],
        vec![format!("Cookie: token={TOKEN}")],
        vec![format!("Cookie: pgprism_session={TOKEN}")],
        vec![format!("X-Authorization: Bearer {TOKEN}")],
        vec![format!("Proxy-Authorization: Bearer {TOKEN}")],
    ];
    for case in &cases {
        let mut headers = vec!["Host: localhost", "X-Pgprism: 1"];
        headers.extend(case.iter().map(String::as_str));
        for line in [
            "GET /metrics HTTP/1.1",
            "GET /api/v1/stream HTTP/1.1",
            "POST /api/v1/reset HTTP/1.1",
            "GET /healthz/ HTTP/1.1",
            "GET //healthz HTTP/1.1",
            "GET /healthz/../metrics HTTP/1.1",
            "GET /healthz%2f..%2fmetrics HTTP/1.1",
            "GET /metrics?/healthz HTTP/1.1",
            "GET /metrics;/healthz HTTP/1.1",
        ] {
            let answer = program.ask(line, &headers);
            answer.is_error(401, "unauthorized", &format!("{line} {case:?}"));
            assert!(answer.head.contains("www-authenticate: bearer"));
        }
    }
    for query in ["token", "access_token", "authorization"] {
        program
            .ask(
                &format!("GET /metrics?{query}={TOKEN} HTTP/1.1"),
                &["Host: localhost"],
            )
            .is_error(401, "unauthorized", query);
    }
    let right = &format!("Authorization: Bearer {TOKEN}");
    let own = "Host: localhost";
    assert_eq!(
        program.ask("GET /metrics HTTP/1.1", &[own, right]).status,
        200
    );
    let reset = "POST /api/v1/reset HTTP/1.1";
    program.ask(reset, &[own, right]).is_error(
        403,
        "header_required",
        "the token alone changes nothing",
    );
    assert_eq!(
        program.ask(reset, &[own, right, "X-Pgprism: 1"]).status,
        204
    );
    assert!(program.refusals("unauthorized") > 100);
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_closed() {
    let program = Program::start(&[]);
    let get =
        |rest: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{rest}").into_bytes();
    let filler = "x".repeat(1000);
    let many: String = (0..200).map(|i| format!("X-{i}: 1\r\n")).collect();
    let large: String = (0..60).map(|i| format!("X-{i}: {filler}\r\n")).collect();
    for (what, request, status, code) in [
        (
            "no HTTP",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            400,
            "bad_request",
        ),
        (
            "a StartupMessage",
            b"\0\0\0\x11\0\x03\0\0user\0eve\0\0".to_vec(),
            400,
            "bad_request",
        ),
        (
            "HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
            400,
            "bad_request",
        ),
        (
            "HTTP/3.0",
            b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n".to_vec(),
            400,
            "bad_request",
        ),
        ("HTTP/0.9", b"GET /\r\n\r\n".to_vec(), 400, "bad_request"),
        (
            "a bad method",
            b"GE\x01T / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            400,
            "bad_request",
        ),
        (
            "a NUL in the path",
            b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            400,
            "bad_request",
        ),
        (
            "a space in the path",
            b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            400,
            "bad_request",
        ),
        (
            "a NUL in a header",
            get("X: a\0b\r\n\r\n"),
            400,
            "bad_request",
        ),
        (
            "a folded header",
            get("X: a\r\n b\r\n\r\n"),
            400,
            "bad_request",
        ),
        (
            "a space before the colon",
            get("X : a\r\n\r\n"),
            400,
            "bad_request",
        ),
        (
            "a header without a colon",
            get("nonsense\r\n\r\n"),
            400,
            "bad_request",
        ),
        (
            "two lengths",
            get("Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            400,
            "bad_request",
        ),
        (
            "a signed length",
            get("Content-Length: +1\r\n\r\na"),
            400,
            "bad_request",
        ),
        (
            "a length beyond numbers",
            get("Content-Length: 99999999999999999999\r\n\r\n"),
            400,
            "bad_request",
        ),
        (
            "an unknown coding",
            get("Transfer-Encoding: gzip\r\n\r\n"),
            400,
            "bad_request",
        ),
        (
            "two codings",
            get("Transfer-Encoding: chunked, identity\r\n\r\n"),
            400,
            "bad_request",
        ),
        (
            "many headers",
            get(&format!("{many}\r\n")),
            431,
            "headers_too_long",
        ),
        (
            "large headers",
            get(&format!("{large}\r\n")),
            431,
            "headers_too_long",
        ),
        (
            "a long path",
            format!(
                "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "a/".repeat(20_000)
            )
            .into_bytes(),
            431,
            "headers_too_long",
        ),
        (
            "chunks",
            get("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            411,
            "length_required",
        ),
        (
            "chunks and a length",
            get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            411,
            "length_required",
        ),
        (
            "chunks without end",
            get("Transfer-Encoding: chunked\r\n\r\nffffffff\r\naaaa"),
            411,
            "length_required",
        ),
        (
            "a body too long",
            get("Content-Length: 100000\r\n\r\naaaa"),
            413,
            "body_too_long",
        ),
        (
            "a body that waits to be asked for",
            get("Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n"),
            413,
            "body_too_long",
        ),
    ] {
        let began = Instant::now();
        let mut stream = program.connect();
        let _ = stream.write_all(&request);
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let answers = Answer::all(&text);
        // One answer, whatever was smuggled behind it.
        assert_eq!(answers.len(), 1, "{what}: {answers:?}");
        assert!(began.elapsed() < CLOSED_WITHIN, "{what}: not closed");
        answers[0].is_error(status, code, what);
        assert_eq!(program.health().0, 200, "after {what}");
    }
    assert!(program.refusals("bad_request") >= 15);
    assert!(program.refusals("headers_too_long") >= 3);
}

#[test]
fn what_stands_behind_a_body_is_not_taken_for_a_request() {
    let program = Program::start(&[]);
    let inner = "POST /api/v1/reset HTTP/1.1\r\nHost: localhost\r\nX-Pgprism: 1\r\n\r\n";
    let outer = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{inner}\
         GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        inner.len()
    );
    let statuses: Vec<u16> = program
        .send(outer.as_bytes())
        .iter()
        .map(|answer| answer.status)
        .collect();
    assert!(
        !statuses.contains(&204),
        "the body was a request: {statuses:?}"
    );
    // Requests behind each other are answered in their order, up to the one that says it is the last.
    let request =
        |path: &str, last: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n");
    let many = request("/healthz", "").repeat(50)
        + &request("/nowhere", "Connection: close\r\n")
        + &request("/healthz", "");
    let answers = program.send(many.as_bytes());
    assert_eq!(answers.len(), 51);
    assert_eq!(answers[49].status, 200);
    assert_eq!(answers[50].status, 404);
}

#[test]
fn paths_and_parameters_lead_nowhere_else() {
    let program = Program::start(&[]);
    let long = "a".repeat(9000);
    for (target, status, code) in [
        ("//", 404, "not_found"),
        ("//metrics", 404, "not_found"),
        ("/metrics/", 404, "not_found"),
        ("/api/v1/../../metrics", 404, "not_found"),
        ("/./metrics", 404, "not_found"),
        ("/%6detrics", 404, "not_found"),
        ("/%2e%2e/%2e%2e/etc/passwd", 404, "not_found"),
        ("/..%2f..%2fetc%2fpasswd", 404, "not_found"),
        ("/../../../../etc/passwd", 404, "not_found"),
        ("/api/v1/queries/..%2fsummary", 404, "not_found"),
        ("/api/v1/queries/%00", 404, "not_found"),
        ("/api/v1/queries/%0d%0aSet-Cookie:x", 404, "not_found"),
        ("/api/v1/queries/%ff%fe", 400, "bad_request"),
        ("/api/v1/units/%c3%28", 400, "bad_request"),
        ("/api/v1/findings/%ff", 400, "bad_request"),
        (
            "/api/v1/queries/<script>alert(1)</script>",
            400,
            "bad_request",
        ),
        ("/api/v1/queries/%3Cscript%3E%22%27", 404, "not_found"),
        ("/api/v1/units/18446744073709551616", 404, "not_found"),
        ("/api/v1/units/-1", 404, "not_found"),
        ("/api/v1/units/%2B7", 404, "not_found"),
        ("/api/v1/queries?limit=-1", 400, "bad_parameter"),
        ("/api/v1/queries?limit=0", 400, "bad_parameter"),
        ("/api/v1/queries?limit=1e3", 400, "bad_parameter"),
        ("/api/v1/queries?limit=NaN", 400, "bad_parameter"),
        (
            "/api/v1/queries?limit=99999999999999999999",
            400,
            "bad_parameter",
        ),
        ("/api/v1/queries?limit=1&limit=2", 400, "bad_parameter"),
        ("/api/v1/units?limit=%00", 400, "bad_parameter"),
        ("/api/v1/units?after=-1", 400, "bad_parameter"),
        ("/api/v1/units?from=NaN", 400, "bad_parameter"),
        (
            "/api/v1/units?from=99999-01-01T00:00:00Z",
            400,
            "bad_parameter",
        ),
        ("/api/v1/findings?sort=%27%3B--", 400, "bad_parameter"),
        (
            "/api/v1/stream?events=query%0d%0aevent:%20x",
            400,
            "bad_parameter",
        ),
        ("/api/v1/stream?events=query,,", 400, "bad_parameter"),
        ("/api/v1/history?q=%zz", 200, ""),
        (
            "/api/v1/queries?limit=1000&after=18446744073709551615",
            200,
            "",
        ),
        ("/api/v1/queries?q=%00%ff%3Cscript%3E", 200, ""),
        (&format!("/api/v1/queries?q={long}"), 400, "bad_parameter"),
        (&format!("/api/v1/queries/{long}"), 404, "not_found"),
        (&format!("/{long}"), 404, "not_found"),
    ] {
        let answer = program.ask(&format!("GET {target} HTTP/1.1"), &["Host: localhost"]);
        match status {
            200 => assert_eq!(answer.status, 200, "{target}: {answer:?}"),
            _ => answer.is_error(status, code, target),
        }
        assert!(
            answer.head.contains("content-type: application/json"),
            "a browser shows none of it as a page: {answer:?}"
        );
        assert!(answer.body.len() < 4096, "{target}: {answer:?}");
        assert!(!answer.head.contains("set-cookie"), "{target}: {answer:?}");
    }
}

#[test]
fn five_hundred_that_never_finish_keep_nobody_from_the_health_check() {
    let program = Program::start(&[]);
    assert_eq!(program.health().0, 200);
    let before = program.resident_bytes();
    let mut crowd: Vec<TcpStream> = Vec::new();
    for index in 0..500 {
        let mut stream = program.connect();
        // A third says nothing, a third dribbles its headers, a third its body.
        let _ = match index % 3 {
            0 => Ok(()),
            1 => stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
            _ => stream.write_all(
                b"POST /api/v1/reset HTTP/1.1\r\nHost: localhost\r\nX-Pgprism: 1\r\nContent-Length: 9\r\n\r\na",
            ),
        };
        crowd.push(stream);
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        for stream in &mut crowd {
            // Those that were sent away say so with an error.
            let _ = stream.write_all(b"x");
        }
        let (status, took) = program.health();
        assert_eq!(status, 200);
        slowest = slowest.max(took);
    }
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    let grown = program.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
    assert!(program.refusals("connections") > 100);
    for stream in &crowd {
        let _ = stream.shutdown(Shutdown::Both);
    }
    println!("healthz at worst {slowest:?}, memory grown by {grown} bytes");
}

#[test]
fn streams_that_nobody_reads_are_few_and_leave_room() {
    let program = Program::start(&[]);
    let before = program.resident_bytes();
    let mut readers = Vec::new();
    for _ in 0..60 {
        let mut stream = program.connect();
        write!(
            stream,
            "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        .unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        readers.push((stream, head));
    }
    let served = readers
        .iter()
        .filter(|(_, head)| head == b"HTTP/1.1 200")
        .count();
    let busy = readers
        .iter()
        .filter(|(_, head)| head == b"HTTP/1.1 503")
        .count();
    assert_eq!((served, busy), (16, 44));
    assert_eq!(program.health().0, 200);
    assert_eq!(program.refusals("busy"), 44);
    let grown = program.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
}
