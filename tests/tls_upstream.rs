//! TLS towards the upstream: what each sslmode accepts, what it refuses and in which words, and the login's mechanisms.

#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of tests are real time, not the program's"
)]

mod certificates;
mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use certificates::{Authority, Identity, client_config, server_config};
use pgprism::proxy::tls::{
    Acceptor, AcceptorFiles, ClientVerify, Connector, ConnectorFiles, MinVersion, Roots, SslMode,
};
use pgprism::proxy::{TlsMode, UpstreamAddress};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};
use support::*;

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

type TlsServer = StreamOwned<ServerConnection, TcpStream>;

/// A server that answers SSLRequest with `S` and then serves each connection by the script, inside TLS. One that the
/// proxy does not like is closed without the script.
fn tls_server(config: ServerConfig, script: impl Fn(TlsServer) + Send + Sync + 'static) -> Server {
    let config = Arc::new(config);
    Server::start(move |mut stream| {
        expect(&mut stream, SSL_REQUEST);
        stream.write_all(b"S").unwrap();
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            if stream.conn.complete_io(&mut stream.sock).is_err() {
                return;
            }
        }
        script(stream);
    })
}

/// The same, with a login, and every answer is what was asked.
fn tls_echo(config: ServerConfig) -> Server {
    tls_server(config, |mut stream| {
        if read_startup(&mut stream).is_none() {
            return;
        }
        stream.write_all(LOGIN).unwrap();
        let mut buffer = vec![0; 10_000];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..count]).unwrap();
        }
    })
}

fn read_startup(stream: &mut TlsServer) -> Option<Vec<u8>> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).ok()?;
    let length = u32::from_be_bytes(packet[..].try_into().unwrap());
    packet.resize(length as usize, 0);
    stream.read_exact(&mut packet[4..]).ok()?;
    Some(packet)
}

fn mode(sslmode: SslMode, root: Option<&Identity>) -> ConnectorFiles {
    ConnectorFiles {
        sslmode,
        host: "localhost".to_owned(),
        roots: root.map(|root| Roots::File(root.certificate_file.clone())),
        identity: None,
        sni: true,
    }
}

fn named(address: SocketAddr) -> UpstreamAddress {
    UpstreamAddress::Tcp {
        host: "localhost".to_owned(),
        port: address.port(),
    }
}

fn start_with(server: &Server, files: &ConnectorFiles) -> Running {
    let mut settings = settings(named(server.address));
    settings.listeners[0].upstream_tls = Some(Arc::new(Connector::read(files).unwrap()));
    start(settings)
}

/// Logs in and asks something; otherwise what the proxy says instead.
fn try_out(running: &Running) -> Result<(), String> {
    let mut client = running.dial();
    client.write_all(&startup("ada")).unwrap();
    let mut first = [0];
    client.read_exact(&mut first).unwrap();
    if first == *b"E" {
        let answer = [&first[..], &read_rest(&mut client)].concat();
        let sqlstate = own_error(&answer);
        let text = String::from_utf8_lossy(&answer);
        let message = text.split('\0').find_map(|field| field.strip_prefix('M'));
        return Err(format!("{sqlstate} {}", message.unwrap()));
    }
    expect(&mut client, &LOGIN[1..]);
    client.write_all(&query("SELECT 1")).unwrap();
    expect(&mut client, &query("SELECT 1"));
    Ok(())
}

#[track_caller]
fn assert_refused(running: &Running, sqlstate: &str, words: &[&str]) {
    let error = try_out(running).unwrap_err();
    assert!(error.starts_with(sqlstate), "{error}");
    for word in words {
        assert!(error.contains(word), "{error} without {word}");
    }
}

#[test]
fn without_a_root_any_certificate_will_do() {
    let ca = Authority::new();
    for identity in [
        ca.sign("signed", &["elsewhere.example"]),
        ca.self_signed("self", "localhost"),
        ca.version_1("v1", "localhost"),
    ] {
        for versions in [&[&TLS13], &[&TLS12]] {
            let server = tls_echo(server_config(&identity, &identity, versions));
            for sslmode in [SslMode::Prefer, SslMode::Require] {
                let running = start_with(&server, &mode(sslmode, None));
                try_out(&running).unwrap();
            }
        }
    }
}

#[test]
fn a_signed_certificate_is_verified_as_far_as_the_mode_says() {
    let ca = Authority::new();
    let stranger = Authority::new();
    let right = ca.sign("right", &["localhost"]);
    let wrong_name = ca.sign("wrong", &["elsewhere.example"]);
    // As libpq: with a root certificate, `require` and `prefer` verify it too.
    for (identity, sslmode, root, refusal) in [
        (&right, SslMode::VerifyFull, &ca, None),
        (&right, SslMode::VerifyCa, &ca, None),
        (&right, SslMode::Require, &ca, None),
        (&wrong_name, SslMode::VerifyCa, &ca, None),
        (&wrong_name, SslMode::Require, &ca, None),
        (
            &wrong_name,
            SslMode::VerifyFull,
            &ca,
            Some("certificate not valid for name \"localhost\""),
        ),
        (
            &right,
            SslMode::VerifyFull,
            &stranger,
            Some("UnknownIssuer"),
        ),
        (&right, SslMode::VerifyCa, &stranger, Some("UnknownIssuer")),
        (&right, SslMode::Require, &stranger, Some("UnknownIssuer")),
    ] {
        let server = tls_echo(server_config(identity, identity, BOTH));
        let running = start_with(&server, &mode(sslmode, Some(&root.root)));
        match refusal {
            None => try_out(&running).unwrap_or_else(|error| panic!("{sslmode}: {error}")),
            Some(reason) => {
                let word = format!("sslmode={sslmode}");
                assert_refused(&running, "08006", &[&word, reason]);
                assert_eq!(running.figures().upstream.up, Some(false));
            }
        }
    }
}

#[test]
fn a_certificate_in_the_root_file_is_a_pin() {
    let ca = Authority::new();
    let same_name = Authority::new();
    for (identity, other) in [
        (
            ca.self_signed("self", "localhost"),
            same_name.self_signed("self", "localhost"),
        ),
        (
            ca.version_1("v1", "localhost"),
            same_name.version_1("v1", "localhost"),
        ),
    ] {
        for versions in [&[&TLS13], &[&TLS12]] {
            let server = tls_echo(server_config(&identity, &identity, versions));
            for sslmode in [SslMode::VerifyCa, SslMode::VerifyFull, SslMode::Require] {
                let running = start_with(&server, &mode(sslmode, Some(&identity)));
                try_out(&running).unwrap_or_else(|error| panic!("{sslmode}: {error}"));
                let running = start_with(&server, &mode(sslmode, Some(&other)));
                assert_refused(&running, "08006", &["invalid peer certificate"]);
            }
            // A pin says who it is, not where it may be.
            let mut elsewhere = mode(SslMode::VerifyFull, Some(&identity));
            elsewhere.host = "elsewhere.example".to_owned();
            let running = start_with(&server, &elsewhere);
            assert_refused(
                &running,
                "08006",
                &["sslmode=verify-full", "not valid for name"],
            );
            elsewhere.sslmode = SslMode::VerifyCa;
            try_out(&start_with(&server, &elsewhere)).unwrap();
        }
    }
}

#[test]
fn who_shows_a_certificate_without_its_key_is_refused() {
    let ca = Authority::new();
    let thief = ca.sign("thief", &["localhost"]);
    for identity in [
        ca.sign("signed", &["localhost"]),
        ca.self_signed("self", "localhost"),
        ca.version_1("v1", "localhost"),
    ] {
        for versions in [&[&TLS13], &[&TLS12]] {
            let server = tls_echo(server_config(&identity, &thief, versions));
            for files in [
                mode(SslMode::Require, None),
                mode(SslMode::Require, Some(&identity)),
                mode(SslMode::VerifyCa, Some(&identity)),
                mode(SslMode::VerifyFull, Some(&identity)),
            ] {
                let running = start_with(&server, &files);
                assert_refused(
                    &running,
                    "08006",
                    &["invalid peer certificate: BadSignature"],
                );
            }
        }
    }
}

#[test]
fn a_server_without_tls_is_fine_for_prefer_only() {
    let server = Server::start(|mut stream| {
        expect(&mut stream, SSL_REQUEST);
        stream.write_all(b"N").unwrap();
        // On the same connection, as libpq goes on.
        let mut byte = [0];
        if !matches!(stream.peek(&mut byte), Ok(1)) {
            return;
        }
        read_packet(&mut stream);
        stream.write_all(LOGIN).unwrap();
        let mut buffer = [0; 1000];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..count]).unwrap();
        }
    });
    let ca = Authority::new();
    let running = start_with(&server, &mode(SslMode::Prefer, None));
    try_out(&running).unwrap();
    for files in [
        mode(SslMode::Require, None),
        mode(SslMode::VerifyCa, Some(&ca.root)),
        mode(SslMode::VerifyFull, Some(&ca.root)),
    ] {
        let running = start_with(&server, &files);
        let error = try_out(&running).unwrap_err();
        let expected = format!(
            "08006 pgprism: sslmode={}, but the upstream {} does not support TLS",
            files.sslmode, server.address
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn a_server_without_tls_is_asked_again_after_a_second() {
    let (asked, questions) = mpsc::channel();
    let server = Server::start(move |mut stream| {
        let mut packet = read_packet(&mut stream);
        if packet == SSL_REQUEST {
            asked.send(()).unwrap();
            stream.write_all(b"N").unwrap();
            packet = read_packet(&mut stream);
        }
        assert_eq!(packet, startup("ada"));
        stream.write_all(LOGIN).unwrap();
        read_to_end_or_reset(&mut stream);
    });
    let mut settings = settings(tcp(server.address));
    let connector = Connector::read(&mode(SslMode::Prefer, None)).unwrap();
    settings.listeners[0].upstream_tls = Some(Arc::new(connector));
    let running = start(settings);
    let begun = Instant::now();
    let _first = running.client();
    questions.recv_timeout(PATIENCE).unwrap();
    let _second = running.client();
    // A slow machine may have taken longer for the two.
    if begun.elapsed() < Duration::from_secs(1) {
        assert!(questions.try_recv().is_err());
    }
    wait_until("it is asked again", || {
        drop(running.client());
        questions.try_recv().is_ok()
    });
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn what_is_no_answer_to_the_request_is_refused() {
    for (answer, sqlstate, words) in [
        (
            &b"Sx"[..],
            "08P01",
            "sent unencrypted data behind its answer to SSLRequest",
        ),
        (b"X", "08P01", "with the byte 0x58"),
        (b"E\0\0\0\x20SFATAL\0", "08006", "with an error"),
        (b"", "08006", "closed the connection when asked for TLS"),
    ] {
        let server = Server::start(move |mut stream| {
            let mut request = [0; 8];
            if stream.read_exact(&mut request).is_ok() {
                stream.write_all(answer).unwrap();
                // The proxy may be gone already.
                let _ = stream.shutdown(Shutdown::Write);
                read_to_end_or_reset(&mut stream);
            }
        });
        let running = start_with(&server, &mode(SslMode::Require, None));
        assert_refused(&running, sqlstate, &["sslmode=require", words]);
    }
}

fn read_to_end_or_reset(stream: &mut TcpStream) {
    let mut buffer = [0; 1000];
    while let Ok(1..) = stream.read(&mut buffer) {}
}

#[test]
fn prefer_goes_on_without_tls_where_the_handshake_fails() {
    let server = Server::start(|mut stream| {
        let mut first = [0; 8];
        if stream.read_exact(&mut first).is_err() {
            return;
        }
        if first == *SSL_REQUEST {
            stream.write_all(b"S").unwrap();
            if stream.read_exact(&mut [0]).is_err() {
                return;
            }
            // An alert: handshake_failure.
            stream.write_all(b"\x15\x03\x03\0\x02\x02\x28").unwrap();
            read_to_end_or_reset(&mut stream);
            return;
        }
        let length = u32::from_be_bytes(first[..4].try_into().unwrap()) as usize;
        let mut rest = vec![0; length - 8];
        stream.read_exact(&mut rest).unwrap();
        stream.write_all(LOGIN).unwrap();
        let mut buffer = [0; 1000];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..count]).unwrap();
        }
    });
    let running = start_with(&server, &mode(SslMode::Require, None));
    assert_refused(
        &running,
        "08006",
        &["we did not agree on TLS", "HandshakeFailure"],
    );
    try_out(&start_with(&server, &mode(SslMode::Prefer, None))).unwrap();
}

#[test]
fn the_hosts_name_is_sent_unless_it_shall_not_be() {
    let ca = Authority::new();
    let identity = ca.sign("server", &["localhost"]);
    for (host, sni, expected) in [
        ("localhost", true, Some("localhost")),
        ("localhost", false, None),
        ("127.0.0.1", true, None),
    ] {
        let (sent, received) = mpsc::channel();
        let config = server_config(&identity, &identity, BOTH);
        let server = tls_server(config, move |stream| {
            sent.send(stream.conn.server_name().map(str::to_owned))
                .unwrap();
        });
        let mut files = mode(SslMode::Require, None);
        files.host = host.to_owned();
        files.sni = sni;
        let running = start_with(&server, &files);
        let mut client = running.dial();
        client.write_all(&startup("ada")).unwrap();
        let seen = received.recv_timeout(PATIENCE).unwrap();
        assert_eq!(seen.as_deref(), expected);
    }
}

#[test]
fn a_client_certificate_is_shown_to_an_upstream_that_wants_one() {
    let ca = Authority::new();
    let identity = ca.sign("server", &["localhost"]);
    let ours = ca.sign("client", &["pgprism"]);
    let mut roots = RootCertStore::empty();
    roots.add(ca.root.der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let key = server_config(&identity, &identity, BOTH);
    let config = ServerConfig::builder_with_provider(Arc::clone(key.crypto_provider()))
        .with_protocol_versions(BOTH)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(&key.cert_resolver));
    let server = tls_echo(config);
    let mut files = mode(SslMode::VerifyFull, Some(&ca.root));
    let running = start_with(&server, &files);
    // In TLS 1.3 the server's alert comes behind what looked like success: as a lost connection.
    let error = try_out(&running).unwrap_err();
    assert!(error.contains("CertificateRequired"), "{error}");
    files.identity = Some((ours.certificate_file, ours.key_file));
    try_out(&start_with(&server, &files)).unwrap();
}

#[test]
fn an_end_without_close_notify_is_an_end() {
    let ca = Authority::new();
    let identity = ca.sign("server", &["localhost"]);
    let server = tls_server(server_config(&identity, &identity, BOTH), |mut stream| {
        read_startup(&mut stream).unwrap();
        stream.write_all(LOGIN).unwrap();
        stream.write_all(b"the last").unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        read_to_end_or_reset(&mut stream.sock);
    });
    let running = start_with(&server, &mode(SslMode::Require, None));
    let mut client = running.client();
    assert_eq!(read_rest(&mut client), b"the last");
    drop(client);
    running.wait_no_connections();
}

#[test]
fn a_clients_fin_goes_on_at_once_and_the_reply_still_comes() {
    let ca = Authority::new();
    let identity = ca.sign("server", &["localhost"]);
    let server = tls_server(server_config(&identity, &identity, BOTH), |mut stream| {
        read_startup(&mut stream).unwrap();
        stream.write_all(LOGIN).unwrap();
        let mut asked = Vec::new();
        // With close_notify, or this were an error.
        stream.read_to_end(&mut asked).unwrap();
        stream.write_all(&asked).unwrap();
    });
    let running = start_with(&server, &mode(SslMode::Require, None));
    let mut client = running.client();
    client.write_all(b"the last").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_rest(&mut client), b"the last");
    running.wait_no_connections();
}

#[test]
fn cancel_requests_take_the_sessions_road() {
    let ca = Authority::new();
    let identity = ca.sign("server", &["localhost"]);
    let (sent, received) = mpsc::channel();
    let server = tls_server(
        server_config(&identity, &identity, BOTH),
        move |mut stream| {
            let packet = read_startup(&mut stream).unwrap();
            if packet == startup("ada") {
                stream.write_all(LOGIN).unwrap();
                read_to_end_or_reset(&mut stream.sock);
            } else {
                sent.send(packet).unwrap();
            }
        },
    );
    let running = start_with(&server, &mode(SslMode::VerifyFull, Some(&ca.root)));
    let client = running.client();
    running.wait_logins(1);
    // One key that is known, and one that is not.
    for key in [&b"\0\0\0\x07keys"[..], b"\0\0\0\x08skey"] {
        let request = cancel_request(key);
        let mut canceller = running.dial();
        canceller.write_all(&request).unwrap();
        assert_eq!(received.recv_timeout(PATIENCE).unwrap(), request);
        assert_eq!(read_rest(&mut canceller), b"");
    }
    drop(client);
}

// ---- SCRAM ----

fn sasl(names: &[&str]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 10];
    for name in names {
        body.extend(name.as_bytes());
        body.push(0);
    }
    body.push(0);
    message(b'R', &body)
}

/// A server that sends `list`, one byte a TLS record, and hands out what it gets for it.
fn sasl_server(identity: &Identity, list: Vec<u8>) -> (Server, mpsc::Receiver<Vec<u8>>) {
    let (sent, received) = mpsc::channel();
    let config = server_config(identity, identity, BOTH);
    let server = tls_server(config, move |mut stream| {
        if read_startup(&mut stream).is_none() {
            return;
        }
        for byte in &list {
            stream.write_all(&[*byte]).unwrap();
            stream.flush().unwrap();
        }
        let mut answer = vec![0; 8];
        stream.read_exact(&mut answer).unwrap();
        sent.send(answer).unwrap();
        stream.write_all(LOGIN).unwrap();
        stream.write_all(&list).unwrap();
    });
    (server, received)
}

#[test]
fn a_plaintext_client_is_not_offered_what_needs_tls() {
    let ca = Authority::new();
    let identity = ca.sign("server", &["localhost"]);
    let plus = "SCRAM-SHA-256-PLUS";
    for (offered, expected) in [
        (vec![plus, "SCRAM-SHA-256"], vec!["SCRAM-SHA-256"]),
        (vec![plus], vec![plus]),
    ] {
        let (server, received) = sasl_server(&identity, sasl(&offered));
        let running = start_with(&server, &mode(SslMode::Require, None));
        let mut client = running.dial();
        client.write_all(&startup("ada")).unwrap();
        expect(&mut client, &sasl(&expected));
        client.write_all(b"p\0\0\0\x07abc").unwrap();
        assert_eq!(received.recv_timeout(PATIENCE).unwrap(), b"p\0\0\0\x07abc");
        // Only that message, only before the login is through.
        expect(&mut client, LOGIN);
        expect(&mut client, &sasl(&offered));
    }
}

#[test]
fn a_client_inside_tls_is_offered_what_the_server_offers() {
    let ca = Authority::new();
    let identity = ca.sign("server", &["localhost"]);
    let list = sasl(&["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
    let (server, _received) = sasl_server(&identity, list.clone());
    let mut settings = settings(named(server.address));
    let listener = &mut settings.listeners[0];
    let files = mode(SslMode::Require, None);
    listener.upstream_tls = Some(Arc::new(Connector::read(&files).unwrap()));
    let files = AcceptorFiles {
        certificate: identity.certificate_file.clone(),
        key: identity.key_file,
        client_ca: None,
        client_verify: ClientVerify::Off,
        min_version: MinVersion::Tls12,
    };
    listener.tls = TlsMode::Allow(Arc::new(Acceptor::read(&files).unwrap()));
    let running = start(settings);
    let mut stream = running.dial();
    stream.write_all(SSL_REQUEST).unwrap();
    expect(&mut stream, b"S");
    let config = Arc::new(client_config(&ca.root, None, BOTH));
    let session = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut client = StreamOwned::new(session, stream);
    client.write_all(&startup("ada")).unwrap();
    let mut offered = vec![0; list.len()];
    client.read_exact(&mut offered).unwrap();
    assert_eq!(offered, list);
    client.write_all(b"p\0\0\0\x07abc").unwrap();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    assert_eq!(rest, [LOGIN, &list].concat());
}

#[test]
fn files_of_no_use_are_named() {
    let ca = Authority::new();
    let ours = ca.sign("client", &["ada"]);
    let other = ca.sign("other", &["ada"]);
    let none = PathBuf::from("/nowhere/at/all");
    let mut files = mode(SslMode::VerifyFull, None);
    files.roots = Some(Roots::File(none));
    let error = Connector::read(&files).unwrap_err().to_string();
    assert!(
        error.starts_with("/nowhere/at/all: No such file"),
        "{error}"
    );
    files.roots = Some(Roots::File(ca.root.certificate_file));
    files.identity = Some((ours.certificate_file, other.key_file));
    let error = Connector::read(&files).unwrap_err().to_string();
    assert!(error.contains("other.key: is not the key of"), "{error}");
    files.identity = None;
    files.host = "not a name".to_owned();
    let error = Connector::read(&files).unwrap_err().to_string();
    assert!(error.starts_with("`not a name` is no name"), "{error}");
}
