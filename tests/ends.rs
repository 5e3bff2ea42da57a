//! How connections begin, fail and end: startup, limits, cancel, half-close, reset, drain.

#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of tests are real time, not the program's"
)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pgprism::event::{Direction, Rest};
use pgprism::proxy::{Proxy, StartError, TlsMode, UpstreamAddress};
use pgprism::registry::{ConnectionError, Registry, Unobserved};
use support::*;

// ---- startup ----

#[test]
fn encryption_is_declined_once_each() {
    let server = Server::echo();
    let running = start_before(&server);
    let mut client = running.dial();
    client.write_all(SSL_REQUEST).unwrap();
    expect(&mut client, b"N");
    client.write_all(GSSENC_REQUEST).unwrap();
    expect(&mut client, b"N");
    client.write_all(&startup("ada")).unwrap();
    expect(&mut client, LOGIN);
}

#[test]
fn a_second_request_for_encryption_ends_it() {
    let server = Server::echo();
    let running = start_before(&server);
    for request in [SSL_REQUEST, GSSENC_REQUEST] {
        let mut client = running.dial();
        client.write_all(request).unwrap();
        expect(&mut client, b"N");
        client.write_all(request).unwrap();
        assert_eq!(own_error(&read_rest(&mut client)), "08P01");
    }
    running.wait_no_connections();
    assert_eq!(running.figures().errors(ConnectionError::Startup), 2);
}

#[test]
fn bytes_behind_a_request_for_encryption_end_it() {
    let server = Server::echo();
    let running = start_before(&server);
    let mut client = running.dial();
    client
        .write_all(&[SSL_REQUEST, &startup("ada")].concat())
        .unwrap();
    assert_eq!(own_error(&read_rest(&mut client)), "08P01");
    assert_eq!(running.recorder.count(), 0);
}

#[test]
fn bad_lengths_are_closed_without_a_word() {
    let server = Server::echo();
    let running = start_before(&server);
    for length in [0, 7, 10_001, 0x1603_0102, u32::MAX] {
        let mut client = running.dial();
        client.write_all(&length.to_be_bytes()).unwrap();
        assert_eq!(read_rest(&mut client), b"", "{length}");
    }
    let mut client = running.dial();
    client.write_all(&cancel_request(b"1234567")).unwrap();
    assert_eq!(read_rest(&mut client), b"");
    assert_eq!(running.figures().errors(ConnectionError::Startup), 6);
}

#[test]
fn the_startup_message_goes_on_as_it_came() {
    let (sent, received) = mpsc::channel();
    let server = Server::start(move |mut stream| {
        sent.send(read_packet(&mut stream)).unwrap();
        stream.write_all(LOGIN).unwrap();
        read_rest(&mut stream);
    });
    let running = start_before(&server);
    // The longest there may be, of a version nobody knows yet, with options of the protocol.
    let mut body = b"user\0ada\0_pq_.unknown\0yes\0filler\0".to_vec();
    body.resize(10_000 - 8 - 2, b'x');
    body.extend(b"\0\0");
    let mut packet = 10_000u32.to_be_bytes().to_vec();
    packet.extend(0x0003_270f_u32.to_be_bytes());
    packet.extend(&body);
    let mut client = running.dial();
    client.write_all(&packet).unwrap();
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), packet);
    expect(&mut client, LOGIN);
    let record = running.recorder.session(0);
    let start = record.lock().unwrap().start.clone();
    assert_eq!((&*start.user, &*start.database), ("ada", "ada"));
    assert_eq!((&*start.client, &*start.listener), ("127.0.0.1", "default"));
    drop(client);
    running.wait_no_connections();
}

#[test]
fn bytes_behind_the_startup_message_follow_it() {
    let server = Server::echo();
    let running = start_before(&server);
    let mut client = running.dial();
    client
        .write_all(&[startup("ada"), query("SELECT 1")].concat())
        .unwrap();
    expect(&mut client, LOGIN);
    expect(&mut client, &query("SELECT 1"));
    let record = running.recorder.session(0);
    wait_until("the tap has seen both", || {
        let record = record.lock().unwrap();
        record.to_upstream == query("SELECT 1") && record.to_client.starts_with(LOGIN)
    });
}

#[test]
fn a_client_that_leaves_anywhere_in_its_startup_leaves_nothing_behind() {
    let server = Server::start(|mut stream| {
        // Many connections bring no whole StartupMessage: their end is what is waited for.
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
    });
    let running = start_before(&server);
    let hello = [SSL_REQUEST, &startup("ada")].concat();
    for (number, end) in (0..=hello.len()).enumerate() {
        let mut client = running.dial();
        client.write_all(&hello[..end.min(8)]).unwrap();
        if end >= 8 {
            expect(&mut client, b"N");
            client.write_all(&hello[8..end]).unwrap();
        }
        if number % 2 == 0 {
            reset(client);
        }
    }
    running.wait_no_connections();
}

#[test]
fn a_server_that_leaves_anywhere_in_the_login_is_passed_on() {
    let end = Arc::new(Mutex::new((0, false)));
    let script = Arc::clone(&end);
    let server = Server::start(move |mut stream| {
        read_packet(&mut stream);
        let (end, is_reset) = *script.lock().unwrap();
        stream.write_all(&LOGIN[..end]).unwrap();
        if is_reset {
            // Delivered before the reset, which may overtake it otherwise.
            let _ = stream.read(&mut [0]);
            reset(stream);
        }
    });
    let running = start_before(&server);
    for end_at in 0..=LOGIN.len() {
        for is_reset in [false, true] {
            *end.lock().unwrap() = (end_at, is_reset);
            let mut client = running.dial();
            client.write_all(&startup("ada")).unwrap();
            expect(&mut client, &LOGIN[..end_at]);
            if !is_reset {
                assert_eq!(read_rest(&mut client), b"", "{end_at}");
                continue;
            }
            client.write_all(b"p").unwrap();
            // Between two messages of the login there is room for a word of ours.
            let boundaries = [0, 9, 22, 28];
            if boundaries.contains(&end_at) {
                assert_eq!(own_error(&read_rest(&mut client)), "08006", "{end_at}");
            } else {
                expect_reset(&mut client);
            }
        }
    }
    running.wait_no_connections();
}

#[test]
fn a_login_has_a_time_limit() {
    let server = Server::start(|mut stream| {
        read_packet(&mut stream);
        stream.write_all(&message(b'R', &[0, 0, 0, 3])).unwrap();
        read_rest(&mut stream);
    });
    let mut settings = settings(tcp(server.address));
    settings.tunables.timeouts.login = Duration::from_millis(100);
    let running = start(settings);
    // Before the StartupMessage it is closed without a word; afterwards libpq shows the reason.
    let mut silent = running.dial();
    assert_eq!(read_rest(&mut silent), b"");
    let mut client = running.dial();
    client.write_all(&startup("ada")).unwrap();
    expect(&mut client, &message(b'R', &[0, 0, 0, 3]));
    assert_eq!(own_error(&read_rest(&mut client)), "08006");
    drop((silent, client));
    running.wait_no_connections();
    assert_eq!(running.figures().errors(ConnectionError::LoginTimeout), 2);
}

#[test]
fn a_login_in_time_ends_the_limit() {
    let server = Server::echo();
    let mut settings = settings(tcp(server.address));
    settings.tunables.timeouts.login = Duration::from_millis(300);
    let running = start(settings);
    let mut client = running.client();
    running.wait_logins(1);
    // Another login runs into its limit, which began after this one's.
    let mut silent = running.dial();
    assert_eq!(read_rest(&mut silent), b"");
    client.write_all(b"still there").unwrap();
    expect(&mut client, b"still there");
}

#[test]
fn a_refused_login_is_counted() {
    let refusal = message(b'E', b"SFATAL\0C28P01\0Mno\0\0");
    let answer = refusal.clone();
    let server = Server::start(move |mut stream| {
        read_packet(&mut stream);
        stream.write_all(&answer).unwrap();
    });
    let running = start_before(&server);
    let mut client = running.dial();
    client.write_all(&startup("ada")).unwrap();
    assert_eq!(read_rest(&mut client), refusal);
    drop(client);
    running.wait_no_connections();
    assert_eq!(running.figures().errors(ConnectionError::LoginRefused), 1);
    assert_eq!(running.figures().connect_duration.count(), 0);
}

// ---- limits ----

#[test]
fn at_the_limit_clients_are_told_and_cancels_are_served() {
    let (sent, cancelled) = mpsc::channel();
    let server = Server::start(move |mut stream| {
        let packet = read_packet(&mut stream);
        if packet[4..8] == cancel_request(b"")[4..8] {
            sent.send(packet).unwrap();
            return;
        }
        stream.write_all(LOGIN).unwrap();
        read_rest(&mut stream);
    });
    let mut settings = settings(tcp(server.address));
    settings.tunables.connections_max = 2;
    let running = start(settings);
    let first = running.client();
    let _second = running.client();
    let mut third = running.dial();
    third.write_all(SSL_REQUEST).unwrap();
    expect(&mut third, b"N");
    third.write_all(&startup("ada")).unwrap();
    assert_eq!(own_error(&read_rest(&mut third)), "53300");
    let mut canceller = running.dial();
    canceller
        .write_all(&cancel_request(b"\0\0\0\x07keys"))
        .unwrap();
    assert_eq!(read_rest(&mut canceller), b"");
    let request = cancelled.recv_timeout(PATIENCE).unwrap();
    assert_eq!(request, cancel_request(b"\0\0\0\x07keys"));
    assert_eq!(
        running.figures().errors(ConnectionError::ConnectionLimit),
        1
    );
    // A seat that is given back is taken by the next.
    drop(first);
    wait_until("a seat is free", || {
        running.registry.connections().len() == 1
    });
    let _fourth = running.client();
}

#[test]
fn an_unreachable_upstream_is_told() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    for upstream in [
        tcp(free),
        UpstreamAddress::Unix(folder.path().join(".s.PGSQL.5432")),
        UpstreamAddress::Tcp {
            host: "no-such-host.invalid".to_owned(),
            port: 5432,
        },
    ] {
        let running = start(settings(upstream.clone()));
        assert_eq!(running.figures().upstream.up, None);
        let mut client = running.dial();
        client.write_all(&startup("ada")).unwrap();
        assert_eq!(own_error(&read_rest(&mut client)), "08006");
        let figures = running.figures();
        assert_eq!(figures.errors(ConnectionError::UpstreamUnreachable), 1);
        assert_eq!(figures.upstream.up, Some(false));
        assert_eq!(*figures.upstream.address, upstream.to_string());
        assert!(figures.upstream.error.is_some());
        assert_eq!(running.recorder.count(), 0);
    }
}

#[test]
fn a_busy_port_is_an_error() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let mut settings = settings(tcp(busy.local_addr().unwrap()));
    settings.listeners[0].listen.clone_from(&address);
    let error = Proxy::start(
        settings,
        Arc::new(Registry::new()),
        pgprism::clock::Clock::start(),
        vec![Deaf],
    )
    .unwrap_err();
    assert!(error.to_string().contains(&address), "{error}");
    let StartError::Listen { source, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(source.kind(), std::io::ErrorKind::AddrInUse);
}

// ---- cancel ----

#[test]
fn cancels_find_their_server_by_keys_of_every_length() {
    // Each server gives out one key and hands on the CancelRequests it gets.
    let (sent, cancelled) = mpsc::channel();
    let server = |name: &'static str, key: Vec<u8>| {
        let sent = sent.clone();
        Server::start(move |mut stream| {
            let packet = read_packet(&mut stream);
            if packet[4..8] == cancel_request(b"")[4..8] {
                sent.send((name, packet)).unwrap();
                return;
            }
            stream.write_all(&login_with_key(&key)).unwrap();
            read_rest(&mut stream);
        })
    };
    let (first_key, second_key) = (vec![1; 4 + 4], vec![2; 4 + 256]);
    let first = server("first", first_key.clone());
    let second = server("second", second_key.clone());
    let mut settings = settings(tcp(first.address));
    settings
        .listeners
        .push(listener("second", tcp(second.address)));
    let running = start(settings);
    let addresses: Vec<_> = running
        .proxy
        .bound_addresses()
        .iter()
        .map(|(_, address)| *address)
        .collect();
    let log_in = |number: usize, key: &[u8]| {
        let mut client = dial(addresses[number]);
        client.write_all(&startup("ada")).unwrap();
        expect(&mut client, &login_with_key(key));
        client
    };
    let sessions = [log_in(0, &first_key), log_in(1, &second_key)];
    running.wait_logins(2);
    let cancel = |number: usize, key: &[u8]| {
        let mut client = dial(addresses[number]);
        client.write_all(&cancel_request(key)).unwrap();
        assert_eq!(read_rest(&mut client), b"");
        let (name, packet) = cancelled.recv_timeout(PATIENCE).unwrap();
        assert_eq!(packet, cancel_request(key));
        name
    };
    assert_eq!(cancel(0, &first_key), "first");
    assert_eq!(cancel(1, &second_key), "second");
    // By way of the other listener: to the server that the session uses all the same.
    assert_eq!(cancel(0, &second_key), "second");
    // An unknown key, the 3.2 kind of PostgreSQL 18: to the listener's own upstream.
    assert_eq!(cancel(0, &[9; 4 + 32]), "first");
    assert_eq!(cancel(1, &[9; 4 + 32]), "second");
    // A key is forgotten with its session.
    drop(sessions);
    running.wait_no_connections();
    assert_eq!(cancel(0, &second_key), "first");
}

#[test]
fn a_cancel_goes_to_the_address_of_its_session_not_of_the_next() {
    let (sent, cancelled) = mpsc::channel();
    let server = |name: &'static str| {
        let sent = sent.clone();
        Server::start(move |mut stream| {
            let packet = read_packet(&mut stream);
            if packet[4..8] == cancel_request(b"")[4..8] {
                sent.send(name).unwrap();
                return;
            }
            stream.write_all(LOGIN).unwrap();
            read_rest(&mut stream);
        })
    };
    let (old, new) = (server("old"), server("new"));
    let running = start_before(&old);
    let _session = running.client();
    running.wait_logins(1);
    let mut settings = running.settings.clone();
    settings.listeners[0].upstream = tcp(new.address);
    running.proxy.reload(&settings).unwrap();
    let mut canceller = running.dial();
    canceller
        .write_all(&cancel_request(b"\0\0\0\x07keys"))
        .unwrap();
    assert_eq!(read_rest(&mut canceller), b"");
    assert_eq!(cancelled.recv_timeout(PATIENCE).unwrap(), "old");
}

#[test]
fn a_cancel_is_closed_after_its_upstream() {
    let (arrive, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let server = Server::start(move |mut stream| {
        read_packet(&mut stream);
        arrive.send(()).unwrap();
        released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
    });
    let running = start_before(&server);
    let mut canceller = running.dial();
    canceller
        .write_all(&cancel_request(b"\0\0\0\x07keys"))
        .unwrap();
    arrived.recv_timeout(PATIENCE).unwrap();
    canceller
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert!(
        canceller.read(&mut [0]).is_err(),
        "closed before its upstream"
    );
    canceller.set_read_timeout(Some(PATIENCE)).unwrap();
    release.send(()).unwrap();
    assert_eq!(read_rest(&mut canceller), b"");
}

// ---- half-close and reset ----

#[test]
fn a_clients_fin_goes_on_and_replies_still_flow() {
    let server = Server::after_login(|mut stream| {
        let asked = read_rest(&mut stream);
        stream.write_all(&asked).unwrap();
        stream.write_all(b" and more").unwrap();
    });
    let running = start_before(&server);
    let mut client = running.client();
    client.write_all(b"asked").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_rest(&mut client), b"asked and more");
    let record = running.recorder.session(0);
    running.wait_no_connections();
    let record = record.lock().unwrap();
    assert_eq!(record.count(Told::Finished(Direction::ClientToUpstream)), 1);
    assert_eq!(record.count(Told::Finished(Direction::UpstreamToClient)), 1);
    assert_eq!(record.count(Told::Closed), 1);
    assert_eq!(record.told.last().unwrap().0, Told::Closed);
    assert_eq!(running.figures().errors(ConnectionError::ClientLost), 0);
}

#[test]
fn a_servers_fin_goes_on_and_the_client_is_still_heard() {
    let (sent, heard) = mpsc::channel();
    let server = Server::after_login(move |mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        sent.send(read_rest(&mut stream)).unwrap();
    });
    let running = start_before(&server);
    let mut client = running.client();
    assert_eq!(read_rest(&mut client), b"");
    client.write_all(b"still speaking").unwrap();
    drop(client);
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), b"still speaking");
    running.wait_no_connections();
}

#[test]
fn a_clients_reset_resets_the_upstream() {
    let (sent, ended) = mpsc::channel();
    let server = Server::after_login(move |mut stream| {
        expect_reset(&mut stream);
        sent.send(()).unwrap();
    });
    let running = start_before(&server);
    reset(running.client());
    ended.recv_timeout(PATIENCE).unwrap();
    running.wait_no_connections();
    assert_eq!(running.figures().errors(ConnectionError::ClientLost), 1);
    let record = running.recorder.session(0);
    assert_eq!(record.lock().unwrap().count(Told::Closed), 1);
}

#[test]
fn a_clients_reset_is_heard_while_the_upstream_does_not_read() {
    let (sent, ended) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let server = Server::after_login(move |mut stream| {
        released.lock().unwrap().recv_timeout(2 * PATIENCE).unwrap();
        // It has read nothing: the reset must have overtaken what waits.
        expect_reset(&mut stream);
        sent.send(()).unwrap();
    });
    let running = start_before(&server);
    let mut client = running.client();
    client.set_nonblocking(true).unwrap();
    fill(&mut client);
    let record = running.recorder.session(0);
    wait_until("the upstream refuses", || {
        let record = record.lock().unwrap();
        record.count(Told::Refused(Direction::ClientToUpstream))
            > record.count(Told::Accepted(Direction::ClientToUpstream))
    });
    reset(client);
    running.wait_no_connections();
    release.send(()).unwrap();
    ended.recv_timeout(PATIENCE).unwrap();
}

/// Writes until nothing has gone for a while.
fn fill(stream: &mut TcpStream) -> usize {
    let mut written = 0;
    let mut quiet = 0;
    while quiet < 100 {
        match stream.write(&[b'x'; 65536]) {
            Ok(count) => {
                written += count;
                quiet = 0;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                quiet += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
    written
}

#[test]
fn a_servers_reset_is_told_at_a_boundary_and_is_a_reset_elsewhere() {
    let server = Server::after_login(|mut stream| {
        let mut asked = [0; 1];
        stream.read_exact(&mut asked).unwrap();
        if asked == *b"h" {
            stream.write_all(b"D\0\0\0\x08hal").unwrap();
            stream.read_exact(&mut asked).unwrap();
        }
        reset(stream);
    });
    let running = start_before(&server);
    let mut client = running.client();
    client.write_all(b"q").unwrap();
    assert_eq!(own_error(&read_rest(&mut client)), "08006");
    let mut client = running.client();
    client.write_all(b"h").unwrap();
    expect(&mut client, b"D\0\0\0\x08hal");
    let record = running.recorder.session(1);
    record.lock().unwrap().rest = Some(Rest::InMessage);
    client.write_all(b"q").unwrap();
    expect_reset(&mut client);
    // Where nobody looks, nobody knows whether there is a boundary.
    let mut client = running.client();
    running.recorder.session(2).lock().unwrap().rest = Some(Rest::Unknown);
    client.write_all(b"q").unwrap();
    expect_reset(&mut client);
    // The server has said itself why: its word stands alone, and is not lost to a reset.
    let mut client = running.client();
    running.recorder.session(3).lock().unwrap().rest = Some(Rest::Over);
    client.write_all(b"q").unwrap();
    assert_eq!(read_rest(&mut client), b"");
    running.wait_no_connections();
    assert_eq!(running.figures().errors(ConnectionError::UpstreamLost), 4);
}

#[test]
fn a_servers_last_words_arrive_although_it_is_written_to() {
    let last_words = message(b'E', b"SFATAL\0C57P01\0Mshutting down\0\0");
    let words = last_words.clone();
    let server = Server::after_login(move |mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(&words).unwrap();
        // Closing with unread bytes makes the kernel answer with a reset.
        stream.peek(&mut [0]).unwrap();
        drop(stream);
    });
    let running = start_before(&server);
    for _ in 0..10 {
        let mut client = running.client();
        client.write_all(b"q").unwrap();
        let mut writer = client.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            while writer.write_all(&[b'x'; 4096]).is_ok() {
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let mut heard = vec![0; last_words.len()];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(heard, last_words);
        let _ = client.shutdown(Shutdown::Both);
        writing.join().unwrap();
    }
    running.wait_no_connections();
}

// ---- drain ----

/// Answers a query `wait` when it is told to, and every other one at once, with its text in a CommandComplete.
struct Backend {
    server: Server,
    finish: mpsc::Sender<()>,
    cancelled: mpsc::Receiver<()>,
}

fn backend() -> Backend {
    let (finish, finished) = mpsc::channel();
    let (cancel, cancelled) = mpsc::channel();
    let finished = Mutex::new(finished);
    let on_cancel = Mutex::new(Some(finish.clone()));
    let server = Server::start(move |mut stream| {
        let packet = read_packet(&mut stream);
        if packet == cancel_request(b"\0\0\0\x07keys") {
            cancel.send(()).unwrap();
            let finish = on_cancel.lock().unwrap().take();
            finish.unwrap().send(()).unwrap();
            return;
        }
        stream.write_all(LOGIN).unwrap();
        let mut header = [0; 5];
        while let Ok(()) = stream.read_exact(&mut header) {
            let length = u32::from_be_bytes(header[1..].try_into().unwrap()) - 4;
            let mut text = vec![0; length as usize];
            stream.read_exact(&mut text).unwrap();
            if text == b"wait\0" {
                finished.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
            let ready = match &text[..] {
                b"BEGIN\0" => READY_IN_TRANSACTION,
                _ => READY,
            };
            let answer = [message(b'C', &text), ready.to_vec()].concat();
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    });
    Backend {
        server,
        finish,
        cancelled,
    }
}

#[track_caller]
fn ask(client: &mut TcpStream, text: &str, ready: &[u8]) {
    client.write_all(&query(text)).unwrap();
    expect_answer(client, text, ready);
}

#[track_caller]
fn expect_answer(client: &mut TcpStream, text: &str, ready: &[u8]) {
    let body = format!("{text}\0");
    expect(client, &[&message(b'C', body.as_bytes()), ready].concat());
}

#[test]
fn a_drain_lets_queries_and_transactions_finish() {
    let backend = backend();
    let running = start_before(&backend.server);
    let mut idle = running.client();
    let mut busy = running.client();
    let mut in_transaction = running.client();
    ask(&mut in_transaction, "BEGIN", READY_IN_TRANSACTION);
    busy.write_all(&query("wait")).unwrap();
    wait_until("the query runs", || {
        running.recorder.session(1).lock().unwrap().to_upstream == query("wait")
    });
    let mut logging_in = running.dial();
    wait_until("the last client is accepted", || {
        running.figures().client_connections == 4
    });

    running.proxy.begin_drain();
    wait_until("the port is free", || {
        TcpListener::bind(running.address()).is_ok()
    });
    wait_until("it is known to be free", || !running.figures().listening);
    assert_eq!(own_error(&read_rest(&mut idle)), "57P01");
    // A login completes, and is then an idle session.
    logging_in.write_all(&startup("late")).unwrap();
    expect(&mut logging_in, LOGIN);
    assert_eq!(own_error(&read_rest(&mut logging_in)), "57P01");

    // The fake backend leaves its transaction with any other statement.
    ask(&mut in_transaction, "COMMIT", READY);
    backend.finish.send(()).unwrap();
    expect_answer(&mut busy, "wait", READY);
    assert_eq!(own_error(&read_rest(&mut busy)), "57P01");
    assert_eq!(own_error(&read_rest(&mut in_transaction)), "57P01");
    drop((idle, busy, in_transaction, logging_in));
    running.wait_ended();
    assert_eq!(running.figures().client_connections, 0);
    assert!(
        backend.cancelled.try_recv().is_err(),
        "nothing was cancelled"
    );
}

#[test]
fn a_drained_session_is_not_ended_between_two_queries() {
    let backend = backend();
    let mut settings = settings(tcp(backend.server.address));
    settings.tunables.timeouts.drain_idle_grace = Duration::from_millis(500);
    let running = start(settings);
    let mut client = running.client();
    running.proxy.begin_drain();
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(1000) {
        ask(&mut client, "SELECT 1", READY);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(own_error(&read_rest(&mut client)), "57P01");
}

#[test]
fn at_the_deadline_queries_are_cancelled_and_told() {
    let backend = backend();
    let mut settings = settings(tcp(backend.server.address));
    settings.tunables.timeouts.drain_timeout = Duration::from_millis(150);
    let running = start(settings);
    let mut busy = running.client();
    let mut in_transaction = running.client();
    ask(&mut in_transaction, "BEGIN", READY_IN_TRANSACTION);
    busy.write_all(&query("wait")).unwrap();
    let record = running.recorder.session(0);
    wait_until("the query runs", || {
        record.lock().unwrap().to_upstream == query("wait")
    });
    running.proxy.begin_drain();
    assert_eq!(own_error(&read_rest(&mut in_transaction)), "57P01");
    backend.cancelled.recv_timeout(PATIENCE).unwrap();
    // The answer to the cancelled query arrives, then the reason for the end.
    expect_answer(&mut busy, "wait", READY);
    assert_eq!(own_error(&read_rest(&mut busy)), "57P01");
    running.wait_ended();
}

#[test]
fn at_the_deadline_nothing_is_said_in_the_middle_of_a_message() {
    // No cancel key: the upstream does not end the query either.
    let server = Server::start(|mut stream| {
        read_packet(&mut stream);
        stream
            .write_all(&[&message(b'R', &[0; 4]), READY].concat())
            .unwrap();
        stream.read_exact(&mut [0; 1]).unwrap();
        stream.write_all(b"D\0\0\xff\xffhalf a row").unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    let mut settings = settings(tcp(server.address));
    settings.tunables.timeouts.drain_timeout = Duration::from_millis(50);
    let running = start(settings);
    let mut client = running.dial();
    client.write_all(&startup("ada")).unwrap();
    expect(&mut client, &[&message(b'R', &[0; 4]), READY].concat());
    client.write_all(b"q").unwrap();
    expect(&mut client, b"D\0\0\xff\xffhalf a row");
    running.proxy.begin_drain();
    assert_eq!(read_rest(&mut client), b"");
    running.wait_ended();
}

#[test]
fn sessions_that_nobody_observes_wait_for_the_deadline() {
    let server = Server::echo();
    let mut settings = settings(tcp(server.address));
    settings.listeners[0].observe = false;
    settings
        .listeners
        .push(listener("through", tcp(server.address)));
    settings.listeners[1].tls = TlsMode::PassThrough;
    settings.tunables.timeouts.drain_timeout = Duration::from_millis(500);
    let running = start(settings);
    let mut clients = [running.client(), dial(running.proxy.bound_addresses()[1].1)];
    clients[1].write_all(&startup("ada")).unwrap();
    expect(&mut clients[1], LOGIN);
    let begun = std::time::Instant::now();
    running.proxy.begin_drain();
    for client in &mut clients {
        // Long after the grace for idle ones.
        std::thread::sleep(Duration::from_millis(100));
        client.write_all(b"still there").unwrap();
        expect(client, b"still there");
    }
    for client in &mut clients {
        assert_eq!(read_rest(client), b"");
    }
    assert!(begun.elapsed() >= Duration::from_millis(500));
    running.wait_ended();
    assert_eq!(running.recorder.count(), 0);
    let snapshot = running.registry.snapshot();
    assert_eq!(snapshot.listeners[0].unobserved(Unobserved::ObserveOff), 1);
    assert_eq!(snapshot.listeners[1].unobserved(Unobserved::PassThrough), 1);
}

#[test]
fn ending_now_waits_for_nobody() {
    let backend = backend();
    let running = start_before(&backend.server);
    let mut busy = running.client();
    busy.write_all(&query("wait")).unwrap();
    let mut greeting = running.dial();
    running.proxy.begin_drain();
    running.proxy.end_now();
    running.wait_ended();
    assert!(matches!(busy.read(&mut [0]), Ok(0) | Err(_)));
    assert!(matches!(greeting.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(
        running
            .recorder
            .session(0)
            .lock()
            .unwrap()
            .count(Told::Closed),
        1
    );
    backend.finish.send(()).unwrap();
}

#[test]
fn a_client_that_never_says_what_it_wants_does_not_hold_the_drain() {
    let server = Server::echo();
    let mut settings = settings(tcp(server.address));
    settings.tunables.timeouts.drain_timeout = Duration::from_millis(1);
    let running = start(settings);
    let _silent = running.dial();
    wait_until("it is accepted", || {
        running.figures().client_connections == 1
    });
    running.proxy.begin_drain();
    running.wait_ended();
}
