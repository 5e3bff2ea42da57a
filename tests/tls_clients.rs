//! TLS towards clients: how it begins, what is refused, what it changes for a session (nothing), and new certificates.

#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of tests are real time, not the program's"
)]

mod certificates;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use certificates::{Authority, Identity, client_config};
use pgprism::event::Direction;
use pgprism::proxy::TlsMode;
use pgprism::proxy::tls::{Acceptor, AcceptorFiles, ClientVerify, File, MinVersion};
use pgprism::registry::ConnectionError;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion};
use support::*;

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

type TlsClient = StreamOwned<ClientConnection, TcpStream>;

fn files(identity: &Identity) -> AcceptorFiles {
    AcceptorFiles {
        certificate: identity.certificate_file.clone(),
        key: identity.key_file.clone(),
        client_ca: None,
        client_verify: ClientVerify::Off,
        min_version: MinVersion::Tls12,
    }
}

fn acceptor(files: &AcceptorFiles) -> Arc<Acceptor> {
    Arc::new(Acceptor::read(files).unwrap())
}

fn start_with(server: &Server, tls: TlsMode) -> Running {
    let mut settings = settings(tcp(server.address));
    settings.listeners[0].tls = tls;
    start(settings)
}

/// TLS over `stream`, whose next byte to the proxy is the ClientHello.
fn over(stream: TcpStream, config: &ClientConfig) -> TlsClient {
    let name = "localhost".try_into().unwrap();
    let session = ClientConnection::new(Arc::new(config.clone()), name).unwrap();
    StreamOwned::new(session, stream)
}

fn request_tls(running: &Running, config: &ClientConfig) -> TlsClient {
    let mut stream = running.dial();
    stream.write_all(SSL_REQUEST).unwrap();
    expect(&mut stream, b"S");
    over(stream, config)
}

#[track_caller]
fn expect_inside(client: &mut TlsClient, bytes: &[u8]) {
    let mut received = vec![0; bytes.len()];
    client.read_exact(&mut received).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&received),
        String::from_utf8_lossy(bytes)
    );
}

fn log_in(client: &mut TlsClient) {
    client.write_all(&startup("ada")).unwrap();
    expect_inside(client, LOGIN);
}

/// What comes until the end, whichever way the end comes.
fn to_the_end(client: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    match client.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert!(
            matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::InvalidData
            ),
            "{error}"
        ),
    }
    bytes
}

#[track_caller]
fn wait_for_error(running: &Running, error: ConnectionError) {
    wait_until(error.as_str(), || {
        let errors = running.figures().connection_errors;
        errors[error as usize].1 == 1
    });
}

#[test]
fn a_session_inside_tls_is_like_any_other() {
    let ca = Authority::new();
    let server = Server::echo();
    let ours = ca.sign("proxy", &["localhost"]);
    for tls in [TlsMode::Allow, TlsMode::Require] {
        let running = start_with(&server, tls(acceptor(&files(&ours))));
        for versions in [&[&TLS13], &[&TLS12]] {
            let mut client = request_tls(&running, &client_config(&ca.root, None, versions));
            log_in(&mut client);
            let text = query("SELECT 1");
            client.write_all(&text).unwrap();
            expect_inside(&mut client, &text);
            let connections = running.registry.connections();
            assert!(connections[0].tls, "{connections:?}");
            drop(client);
            running.wait_no_connections();
        }
        let record = running.recorder.session(1);
        let record = record.lock().unwrap();
        assert_eq!(record.to_upstream, query("SELECT 1"));
        assert!(record.to_client.starts_with(LOGIN));
    }
}

#[test]
fn direct_tls_needs_the_protocols_name() {
    let ca = Authority::new();
    let server = Server::echo();
    let ours = ca.sign("proxy", &["localhost"]);
    let running = start_with(&server, TlsMode::Require(acceptor(&files(&ours))));
    let mut config = client_config(&ca.root, None, BOTH);
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    let mut client = over(running.dial(), &config);
    log_in(&mut client);
    drop(client);

    for names in [vec![], vec![b"http/1.1".to_vec()]] {
        config.alpn_protocols = names;
        let mut client = over(running.dial(), &config);
        // The handshake may be over before the proxy has seen what is missing in it.
        let _ = client.write_all(&startup("ada"));
        assert_eq!(to_the_end(&mut client), b"");
    }
    running.wait_no_connections();
    let errors = running.figures().connection_errors;
    assert_eq!(errors[ConnectionError::Startup as usize].1, 2);
    assert_eq!(running.recorder.count(), 1);
}

#[test]
fn plaintext_is_taken_by_allow_and_refused_by_require() {
    let ca = Authority::new();
    let server = Server::echo();
    let ours = ca.sign("proxy", &["localhost"]);
    let running = start_with(&server, TlsMode::Allow(acceptor(&files(&ours))));
    let client = running.client();
    assert!(!running.registry.connections()[0].tls);
    drop(client);

    let running = start_with(&server, TlsMode::Require(acceptor(&files(&ours))));
    let mut client = running.dial();
    client.write_all(&startup("ada")).unwrap();
    let answer = read_rest(&mut client);
    assert_eq!(own_error(&answer), "28000");
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        text.contains("Mpgprism: this listener takes connections over TLS only"),
        "{text}"
    );
    wait_for_error(&running, ConnectionError::Startup);
}

#[test]
fn cancel_requests_are_served_in_tls_and_under_require_in_plaintext_too() {
    let (sent, received) = mpsc::channel();
    let server = Server::start(move |mut stream| {
        sent.send(read_packet(&mut stream)).unwrap();
    });
    let ca = Authority::new();
    let ours = ca.sign("proxy", &["localhost"]);
    let running = start_with(&server, TlsMode::Require(acceptor(&files(&ours))));
    let request = cancel_request(b"\0\0\0\x07keys");

    let mut client = running.dial();
    client.write_all(&request).unwrap();
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), request);
    assert_eq!(read_rest(&mut client), b"");

    let mut client = request_tls(&running, &client_config(&ca.root, None, BOTH));
    client.write_all(&request).unwrap();
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), request);
    let mut rest = Vec::new();
    // With close_notify: not even OpenSSL would call it an error.
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn bytes_behind_a_request_for_tls_are_refused() {
    let ca = Authority::new();
    let server = Server::echo();
    let ours = ca.sign("proxy", &["localhost"]);
    for behind in [&b"\x16\x03\x01"[..], &startup("ada"), SSL_REQUEST] {
        let running = start_with(&server, TlsMode::Allow(acceptor(&files(&ours))));
        let mut client = running.dial();
        client.write_all(&[SSL_REQUEST, behind].concat()).unwrap();
        assert_eq!(own_error(&read_rest(&mut client)), "08P01");
        wait_for_error(&running, ConnectionError::Startup);
        assert_eq!(running.recorder.count(), 0);
    }
}

#[test]
fn nothing_is_negotiated_again_inside_tls() {
    let ca = Authority::new();
    let server = Server::echo();
    let ours = ca.sign("proxy", &["localhost"]);
    let running = start_with(&server, TlsMode::Allow(acceptor(&files(&ours))));
    for request in [SSL_REQUEST, GSSENC_REQUEST] {
        let mut client = request_tls(&running, &client_config(&ca.root, None, BOTH));
        client.write_all(request).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(own_error(&answer), "08P01");
    }
    // GSSAPI is declined in front of it.
    let mut stream = running.dial();
    stream.write_all(GSSENC_REQUEST).unwrap();
    expect(&mut stream, b"N");
    stream.write_all(SSL_REQUEST).unwrap();
    expect(&mut stream, b"S");
    log_in(&mut over(stream, &client_config(&ca.root, None, BOTH)));
}

#[test]
fn a_handshake_has_the_logins_time_limit() {
    let ca = Authority::new();
    let server = Server::echo();
    let ours = ca.sign("proxy", &["localhost"]);
    let mut settings = settings(tcp(server.address));
    settings.listeners[0].tls = TlsMode::Allow(acceptor(&files(&ours)));
    settings.tunables.timeouts.login = Duration::from_millis(200);
    let running = start(settings);
    let mut client = running.dial();
    client.write_all(SSL_REQUEST).unwrap();
    expect(&mut client, b"S");
    client.write_all(b"\x16\x03\x01\x00").unwrap();
    assert_eq!(to_the_end(&mut client), b"");
    wait_for_error(&running, ConnectionError::LoginTimeout);
}

#[test]
fn what_is_no_handshake_ends_the_connection() {
    let ca = Authority::new();
    let server = Server::echo();
    let ours = ca.sign("proxy", &["localhost"]);
    let running = start_with(&server, TlsMode::Allow(acceptor(&files(&ours))));
    let mut client = running.dial();
    client.write_all(SSL_REQUEST).unwrap();
    expect(&mut client, b"S");
    client.write_all(&startup("ada")).unwrap();
    // An alert, and nothing of the protocol.
    let answer = to_the_end(&mut client);
    assert!(matches!(answer.first(), None | Some(0x15)), "{answer:?}");
    wait_for_error(&running, ConnectionError::Startup);
}

#[test]
fn client_certificates_are_asked_for_as_configured() {
    let ca = Authority::new();
    let stranger = Authority::new();
    let server = Server::echo();
    let ours = ca.sign("proxy", &["localhost"]);
    let theirs = ca.sign("client", &["ada"]);
    let strange = stranger.sign("client", &["ada"]);
    for (verify, nothing, known, unknown) in [
        (ClientVerify::Off, true, true, true),
        (ClientVerify::Optional, true, true, false),
        (ClientVerify::Required, false, true, false),
    ] {
        let mut files = files(&ours);
        files.client_ca = Some(ca.root.certificate_file.clone());
        files.client_verify = verify;
        let running = start_with(&server, TlsMode::Require(acceptor(&files)));
        for (identity, is_let_in) in [
            (None, nothing),
            (Some(&theirs), known),
            (Some(&strange), unknown),
        ] {
            let mut client = request_tls(&running, &client_config(&ca.root, identity, BOTH));
            let sent = client.write_all(&startup("ada"));
            if is_let_in {
                sent.unwrap();
                expect_inside(&mut client, LOGIN);
            } else {
                assert_eq!(to_the_end(&mut client), b"", "{verify:?}");
            }
        }
    }
}

#[test]
fn an_older_version_than_the_least_is_refused() {
    let ca = Authority::new();
    let server = Server::echo();
    let ours = ca.sign("proxy", &["localhost"]);
    let mut files = files(&ours);
    files.min_version = MinVersion::Tls13;
    let running = start_with(&server, TlsMode::Allow(acceptor(&files)));
    let mut old = request_tls(&running, &client_config(&ca.root, None, &[&TLS12]));
    let error = old.write_all(&startup("ada")).unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    log_in(&mut request_tls(
        &running,
        &client_config(&ca.root, None, &[&TLS13]),
    ));
}

#[test]
fn a_new_certificate_is_for_new_connections() {
    let ca = Authority::new();
    let server = Server::echo();
    let (first, second) = (
        ca.sign("first", &["localhost"]),
        ca.sign("second", &["localhost"]),
    );
    let running = start_with(&server, TlsMode::Allow(acceptor(&files(&first))));
    let config = client_config(&ca.root, None, BOTH);
    let seen = |client: &TlsClient| client.conn.peer_certificates().unwrap()[0].clone();
    let mut before = request_tls(&running, &config);
    log_in(&mut before);
    assert_eq!(seen(&before), first.der);

    let mut settings = running.settings.clone();
    settings.listeners[0].tls = TlsMode::Require(acceptor(&files(&second)));
    running.proxy.reload(&settings).unwrap();
    let mut after = request_tls(&running, &config);
    log_in(&mut after);
    assert_eq!(seen(&after), second.der);
    before.write_all(&query("still here")).unwrap();
    expect_inside(&mut before, &query("still here"));
}

#[test]
fn bytes_in_are_bytes_out_through_tls_even_to_a_slow_reader() {
    const BYTES: usize = 8 << 20;
    let ca = Authority::new();
    let server = Server::echo();
    let ours = ca.sign("proxy", &["localhost"]);
    let running = start_with(&server, TlsMode::Allow(acceptor(&files(&ours))));
    for versions in [&[&TLS13], &[&TLS12]] {
        let mut client = request_tls(&running, &client_config(&ca.root, None, versions));
        log_in(&mut client);
        let noise: Vec<u8> = (0..BYTES).map(|i| (i * 31 + i / 251) as u8).collect();
        // One thread does both: what comes back is not read before all was taken, or nothing more is.
        client.sock.set_nonblocking(true).unwrap();
        let mut received = Vec::new();
        let mut sent = 0;
        let mut buffer = vec![0; 10_000];
        wait_until("all came back", || {
            while sent < BYTES {
                match client.write(&noise[sent..(sent + 50_000).min(BYTES)]) {
                    Ok(count) => sent += count,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        break;
                    }
                }
            }
            let _ = client.flush();
            match client.read(&mut buffer) {
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            while let Ok(count @ 1..) = client.read(&mut buffer) {
                received.extend_from_slice(&buffer[..count]);
            }
            received.len() == BYTES
        });
        assert!(received == noise);
    }
}

#[test]
fn a_clients_last_word_goes_on_at_once_and_the_reply_still_comes() {
    let ca = Authority::new();
    let server = Server::after_login(|mut stream| {
        let asked = read_rest(&mut stream);
        stream.write_all(&asked).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let ours = ca.sign("proxy", &["localhost"]);
    let running = start_with(&server, TlsMode::Allow(acceptor(&files(&ours))));
    for with_notify in [true, false] {
        let mut client = request_tls(&running, &client_config(&ca.root, None, BOTH));
        log_in(&mut client);
        client.write_all(b"the last").unwrap();
        if with_notify {
            client.conn.send_close_notify();
            client.flush().unwrap();
        }
        client.sock.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"the last", "{with_notify}");
        running.wait_no_connections();
    }
}

#[test]
fn a_client_that_does_not_read_holds_its_upstream_back() {
    let (sent, received) = mpsc::channel();
    let server = Server::after_login(move |stream| {
        stream.set_nonblocking(true).unwrap();
        let mut total = 0;
        let mut stream = stream;
        let bytes = vec![7; 1 << 16];
        let mut refusals = 0;
        while refusals < 200 {
            match stream.write(&bytes) {
                Ok(count) => (total, refusals) = (total + count, 0),
                Err(_) => {
                    refusals += 1;
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
        sent.send(total).unwrap();
    });
    let ca = Authority::new();
    let ours = ca.sign("proxy", &["localhost"]);
    let running = start_with(&server, TlsMode::Allow(acceptor(&files(&ours))));
    let mut client = request_tls(&running, &client_config(&ca.root, None, BOTH));
    log_in(&mut client);
    let total = received.recv_timeout(PATIENCE).unwrap();
    // All of it is in the kernel's buffers but what one read of the proxy was.
    assert!(total < 64 << 20, "{total}");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), total);
    let record = running.recorder.session(0);
    let record = record.lock().unwrap();
    let direction = Direction::UpstreamToClient;
    assert!(record.count(Told::Refused(direction)) > 0);
    assert_eq!(
        record.count(Told::Refused(direction)),
        record.count(Told::Accepted(direction))
    );
}

#[test]
fn files_of_no_use_are_named() {
    let ca = Authority::new();
    let (ours, other) = (
        ca.sign("proxy", &["localhost"]),
        ca.sign("other", &["localhost"]),
    );
    let folder = ca.folder.path();
    let junk = folder.join("junk");
    std::fs::write(&junk, "nothing").unwrap();
    let encrypted = folder.join("encrypted");
    std::fs::write(
        &encrypted,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    let with = |change: &dyn Fn(&mut AcceptorFiles)| {
        let mut files = files(&ours);
        change(&mut files);
        let error = Acceptor::read(&files).unwrap_err();
        (error.file().unwrap(), error.to_string())
    };
    for ((file, text), expected_file, expected) in [
        (
            with(&|f| f.certificate = folder.join("none")),
            File::Certificate,
            "none: No such file",
        ),
        (
            with(&|f| f.certificate = junk.clone()),
            File::Certificate,
            "junk: no certificate in PEM form",
        ),
        (
            with(&|f| f.key = junk.clone()),
            File::Key,
            "junk: no private key in PEM form",
        ),
        (
            with(&|f| f.key = encrypted.clone()),
            File::Key,
            "the key is encrypted",
        ),
        (
            with(&|f| f.key = other.key_file.clone()),
            File::Key,
            "other.key: is not the key of",
        ),
        (
            with(&|f| {
                f.client_ca = Some(junk.clone());
                f.client_verify = ClientVerify::Optional;
            }),
            File::ClientCa,
            "junk: no certificate in PEM form",
        ),
    ] {
        assert_eq!(file, expected_file, "{text}");
        assert!(text.contains(expected), "{text}");
    }
    // A PostgreSQL server's own certificate may be one that rustls does not read.
    acceptor(&files(&ca.version_1("old", "localhost")));
}
