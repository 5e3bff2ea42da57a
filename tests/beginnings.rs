//! How a connection comes to its session, where it is not the plain case: greetings in parts, upstreams that answer
//! late or not at all, drains in the middle of it, and more clients than there is room for.

#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of tests are real time, not the program's"
)]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use pgprism::clock::Clock;
use pgprism::event::{OneByOne, SessionStart, Taps};
use pgprism::proxy::{Proxy, UpstreamAddress};
use pgprism::registry::{ConnectionError, Registry};
use support::*;

/// AuthenticationCleartextPassword: the server waits for the client.
const ASKED: &[u8] = b"R\0\0\0\x08\0\0\0\x03";

/// A server that asks everybody for a password and waits.
fn asking() -> Server {
    Server::start(|mut stream| {
        read_packet(&mut stream);
        stream.write_all(ASKED).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// A socket that listens without accepting, and the connections that fill its queue: nobody else gets in.
fn full_queue() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
    let stream = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let listener = stream();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let waiting = (0..8)
        .map(|_| {
            let client = stream();
            // Some are queued, the others wait as every later one will.
            let _ = client.connect(&address.into());
            client
        })
        .collect();
    (listener, waiting, address)
}

// ---- greetings in parts ----

#[test]
fn a_greeting_may_come_byte_by_byte() {
    let server = Server::echo();
    let running = start_before(&server);
    let mut client = running.dial();
    for byte in SSL_REQUEST {
        client.write_all(&[*byte]).unwrap();
    }
    expect(&mut client, b"N");
    for byte in startup("ada") {
        client.write_all(&[byte]).unwrap();
    }
    expect(&mut client, LOGIN);
    client.write_all(b"served").unwrap();
    expect(&mut client, b"served");
    assert_eq!(
        &*running.recorder.session(0).lock().unwrap().start.user,
        "ada"
    );
}

#[test]
fn whoever_stops_in_a_greeting_is_closed_when_the_login_is_due() {
    let server = Server::echo();
    let mut settings = settings(tcp(server.address));
    settings.tunables.timeouts.login = Duration::from_millis(200);
    let running = start(settings);
    let begun = Instant::now();
    let mut clients: Vec<TcpStream> = (0..3).map(|_| running.dial()).collect();
    clients[1].write_all(SSL_REQUEST).unwrap();
    expect(&mut clients[1], b"N");
    clients[2].write_all(&startup("ada")[..9]).unwrap();
    for client in &mut clients {
        assert_eq!(read_rest(client), b"");
    }
    assert!(begun.elapsed() >= Duration::from_millis(200));
    running.wait_no_connections();
    let figures = running.figures();
    assert_eq!(figures.errors(ConnectionError::LoginTimeout), 3);
    assert_eq!(figures.errors(ConnectionError::Startup), 0);
    assert_eq!(figures.connections_total, 3);
    assert_eq!(running.recorder.count(), 0);
}

#[test]
fn a_failure_while_a_session_is_opened_costs_that_session_alone() {
    /// Fails for one user.
    #[derive(Clone)]
    struct Fragile(Recorder);
    impl Taps for Fragile {
        type Tap = RecordingTap;
        type Showing<'a> = OneByOne;
        fn begin_showing(&self) -> OneByOne {
            OneByOne
        }
        fn open(&self, start: SessionStart) -> RecordingTap {
            assert_ne!(&*start.user, "eve", "on purpose");
            self.0.open(start)
        }
    }
    let server = Server::echo();
    let registry = Arc::new(Registry::new());
    let proxy = Proxy::start(
        settings(tcp(server.address)),
        Arc::clone(&registry),
        Clock::start(),
        vec![Fragile(Recorder::default())],
    )
    .unwrap();
    let address = proxy.bound_addresses()[0].1;
    let mut before = dial(address);
    before.write_all(&startup("ada")).unwrap();
    expect(&mut before, LOGIN);
    let mut failing = dial(address);
    failing.write_all(&startup("eve")).unwrap();
    assert!(matches!(failing.read(&mut [0]), Ok(0) | Err(_)));
    let mut behind = dial(address);
    behind.write_all(&startup("ada")).unwrap();
    expect(&mut behind, LOGIN);
    for client in [&mut before, &mut behind] {
        client.write_all(b"served").unwrap();
        expect(client, b"served");
    }
    wait_until("nothing is left of it", || {
        registry.connections().len() == 2
            && registry.snapshot().listeners[0].client_connections == 2
            && registry.snapshot().listeners[0].upstream_connections == 2
    });
}

// ---- upstreams ----

#[test]
fn an_upstream_that_accepts_late_is_waited_for() {
    let (listener, waiting, address) = full_queue();
    let running = start(settings(tcp(address)));
    let mut client = running.dial();
    client
        .write_all(&[startup("ada"), query("ahead")].concat())
        .unwrap();
    wait_until("the upstream is asked", || {
        running.figures().upstream_connections == 1
    });
    drop(waiting);
    listener.set_nonblocking(false).unwrap();
    let server = Server::start_on(TcpListener::from(listener), |mut stream| {
        let mut length = [0; 4];
        // Whoever filled the queue has gone without a word.
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let length = u32::from_be_bytes(length) as usize;
        stream.read_exact(&mut vec![0; length - 4]).unwrap();
        stream.write_all(LOGIN).unwrap();
        let ahead = query("ahead");
        expect(&mut stream, &ahead);
        stream.write_all(&ahead).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    expect(&mut client, LOGIN);
    expect(&mut client, &query("ahead"));
    // A probe that was begun meanwhile may give up later than the connection came.
    wait_until("the upstream is up", || {
        running.figures().upstream.up == Some(true)
    });
    running.wait_logins(1);
    drop(client);
    running.wait_no_connections();
    drop(server);
}

#[test]
fn an_upstream_that_does_not_answer_is_told_in_time() {
    let (_listener, _waiting, address) = full_queue();
    let mut settings = settings(tcp(address));
    settings.tunables.timeouts.connect = Duration::from_millis(100);
    let running = start(settings);
    let mut client = running.dial();
    client.write_all(&startup("ada")).unwrap();
    let told = read_rest(&mut client);
    assert_eq!(own_error(&told), "08006");
    assert!(String::from_utf8_lossy(&told).contains("no answer from"));
    drop(client);
    running.wait_no_connections();
    let figures = running.figures();
    assert_eq!(figures.errors(ConnectionError::UpstreamUnreachable), 1);
    assert_eq!(figures.upstream.up, Some(false));
}

#[test]
fn an_upstream_that_comes_back_is_connected_to_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let running = start(settings(tcp(address)));
    let mut client = running.dial();
    client.write_all(&startup("ada")).unwrap();
    assert_eq!(own_error(&read_rest(&mut client)), "08006");
    assert_eq!(running.figures().upstream.up, Some(false));
    drop(client);
    running.wait_no_connections();
    let server = Server::start_on(TcpListener::bind(address).unwrap(), |mut stream| {
        read_packet(&mut stream);
        stream.write_all(LOGIN).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let _client = running.client();
    assert_eq!(running.figures().upstream.up, Some(true));
    assert_eq!(
        running
            .figures()
            .errors(ConnectionError::UpstreamUnreachable),
        1
    );
    running.proxy.begin_drain();
    running.wait_ended();
    drop(server);
}

#[test]
fn a_name_is_resolved_and_its_sessions_are_like_any_other() {
    let server = Server::echo();
    let running = start(settings(UpstreamAddress::Tcp {
        host: "localhost".to_owned(),
        port: server.address.port(),
    }));
    let mut client = running.client();
    client.write_all(b"served").unwrap();
    expect(&mut client, b"served");
    drop(client);
    running.wait_no_connections();
    assert_eq!(running.figures().connect_duration.count(), 1);
}

// ---- drains ----

#[test]
fn a_drain_in_the_middle_of_a_greeting_lets_it_go_on() {
    let server = Server::echo();
    let running = start_before(&server);
    let mut clients: Vec<TcpStream> = (0..2).map(|_| running.dial()).collect();
    clients[0].write_all(SSL_REQUEST).unwrap();
    expect(&mut clients[0], b"N");
    let message = startup("ada");
    let (now, later) = message.split_at(11);
    clients[1].write_all(now).unwrap();
    running.proxy.begin_drain();
    wait_until("the drain has begun", || !running.figures().listening);
    // A second request is one too many, also for whoever hears the rest.
    clients[0].write_all(SSL_REQUEST).unwrap();
    assert_eq!(own_error(&read_rest(&mut clients[0])), "08P01");
    clients[1].write_all(later).unwrap();
    expect(&mut clients[1], LOGIN);
    assert_eq!(own_error(&read_rest(&mut clients[1])), "57P01");
    drop(clients);
    running.wait_ended();
}

#[test]
fn a_drain_waits_a_few_seconds_for_logins_and_no_longer() {
    let server = asking();
    let mut settings = settings(tcp(server.address));
    // Far away, so that nothing but the patience with logins can end it.
    settings.tunables.timeouts.drain_timeout = Duration::from_secs(600);
    settings.tunables.timeouts.login = Duration::from_secs(600);
    let running = start(settings);
    let mut silent = running.dial();
    let mut asked = running.dial();
    asked.write_all(&startup("ada")).unwrap();
    expect(&mut asked, ASKED);
    wait_until("both are in", || running.figures().client_connections == 2);
    running.proxy.begin_drain();
    // libpq shows no error that comes before its StartupMessage.
    assert_eq!(read_rest(&mut silent), b"");
    assert_eq!(own_error(&read_rest(&mut asked)), "57P01");
    drop((silent, asked));
    running.wait_ended();
    assert_eq!(running.figures().errors(ConnectionError::LoginTimeout), 0);
}

#[test]
fn a_client_that_keeps_its_socket_when_its_server_has_left_does_not_hold_the_drain() {
    let refusal = message(
        b'E',
        b"SFATAL\0C57P03\0Mthe database system is starting up\0\0",
    );
    let words = refusal.clone();
    let server = Server::start(move |mut stream| {
        read_packet(&mut stream);
        stream.write_all(&words).unwrap();
    });
    let mut settings = settings(tcp(server.address));
    settings.tunables.timeouts.drain_timeout = Duration::from_secs(600);
    let running = start(settings);
    let mut client = running.dial();
    client.write_all(&startup("ada")).unwrap();
    assert_eq!(read_rest(&mut client), refusal);
    running.proxy.begin_drain();
    // The client's socket is open all the while.
    running.wait_ended();
    drop(client);
}

// ---- who comes in ----

#[test]
fn clients_go_to_the_worker_with_the_fewest_connections() {
    let server = Server::echo();
    let recorders = [
        Recorder::default(),
        Recorder::default(),
        Recorder::default(),
    ];
    let proxy = Proxy::start(
        settings(tcp(server.address)),
        Arc::new(Registry::new()),
        Clock::start(),
        recorders.to_vec(),
    )
    .unwrap();
    let clients: Vec<TcpStream> = (0..9)
        .map(|_| {
            let mut client = dial(proxy.bound_addresses()[0].1);
            client.write_all(&startup("ada")).unwrap();
            expect(&mut client, LOGIN);
            client
        })
        .collect();
    assert_eq!(recorders.each_ref().map(Recorder::count), [3, 3, 3]);
    drop(clients);
}

#[test]
fn who_finds_no_room_waits_in_the_queue() {
    let server = Server::echo();
    let mut settings = settings(tcp(server.address));
    settings.tunables.connections_max = 1;
    let running = start(settings);
    let room = 1 + 32;
    let mut clients: Vec<TcpStream> = (0..room + 10).map(|_| running.dial()).collect();
    wait_until("all that fit are in", || {
        running.figures().client_connections == room as u64
    });
    // The one behind them is not heard until somebody goes.
    let mut last = clients.pop().unwrap();
    last.write_all(&startup("ada")).unwrap();
    last.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    assert!(last.read(&mut [0]).is_err());
    assert_eq!(running.figures().connections_total, room as u64);
    drop(clients);
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    expect(&mut last, LOGIN);
    wait_until("the others have gone", || {
        running.figures().client_connections == 1
    });
    assert_eq!(running.figures().connections_total, room as u64 + 10);
}

#[test]
fn a_storm_of_clients_is_served_whole() {
    let server = Server::echo();
    let mut settings = settings(tcp(server.address));
    settings.tunables.connections_max = 500;
    let running = start(settings);
    let mut established = running.client();
    let (done, finished) = mpsc::channel();
    for _ in 0..4 {
        let (done, address) = (done.clone(), running.address());
        std::thread::spawn(move || {
            let mut clients: Vec<TcpStream> = (0..50).map(|_| dial(address)).collect();
            for client in &mut clients {
                client.write_all(&startup("ada")).unwrap();
            }
            for client in &mut clients {
                expect(client, LOGIN);
            }
            done.send(()).unwrap();
        });
    }
    for _ in 0..4 {
        established.write_all(b"unharmed").unwrap();
        expect(&mut established, b"unharmed");
        finished.recv_timeout(PATIENCE).unwrap();
    }
    drop(established);
    running.wait_no_connections();
    assert_eq!(running.figures().connect_duration.count(), 201);
}
