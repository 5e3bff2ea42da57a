//! How many sessions there may be, and how long one may stay.

#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of tests are real time, not the program's"
)]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pgprism::registry::ConnectionError;
use support::*;

/// A connection that comes from `source`, an address of this machine.
fn dial_from(source: &str, address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn an_address_has_a_limit_of_its_own_and_cancels_need_no_place() {
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
    settings.tunables.connections_per_address_max = 2;
    let running = start(settings.clone());
    let first = running.client();
    let _second = running.client();
    for _ in 0..3 {
        let mut third = running.dial();
        third.write_all(&startup("ada")).unwrap();
        assert_eq!(own_error(&read_rest(&mut third)), "53300");
    }
    let mut elsewhere = dial_from("127.0.0.2", running.address());
    elsewhere.write_all(&startup("ada")).unwrap();
    expect(&mut elsewhere, LOGIN);

    let mut canceller = running.dial();
    canceller
        .write_all(&cancel_request(b"\0\0\0\x07keys"))
        .unwrap();
    assert_eq!(read_rest(&mut canceller), b"");
    cancelled.recv_timeout(PATIENCE).unwrap();
    assert_eq!(running.figures().errors(ConnectionError::AddressLimit), 3);

    // A place that is given back is taken by the next, and a reload lifts the limit.
    drop(first);
    wait_until("a place is free", || {
        running.registry.connections().len() == 2
    });
    let _again = running.client();
    settings.tunables.connections_per_address_max = 0;
    running.proxy.reload(&settings).unwrap();
    let _more: Vec<TcpStream> = (0..5).map(|_| running.client()).collect();
}

/// Answers `BEGIN` with a transaction, never answers `wait`, and everything else at once.
fn backend() -> Server {
    Server::start(|mut stream| {
        read_packet(&mut stream);
        stream.write_all(LOGIN).unwrap();
        let mut header = [0; 5];
        while let Ok(()) = stream.read_exact(&mut header) {
            let length = u32::from_be_bytes(header[1..].try_into().unwrap()) - 4;
            let mut text = vec![0; length as usize];
            stream.read_exact(&mut text).unwrap();
            let answer = match &text[..] {
                b"wait\0" => continue,
                b"BEGIN\0" => READY_IN_TRANSACTION,
                _ => READY,
            };
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    })
}

#[test]
fn an_idle_session_is_ended_and_nobody_else() {
    let server = backend();
    let mut settings = settings(tcp(server.address));
    settings
        .listeners
        .push(listener("unseen", tcp(server.address)));
    settings.listeners[1].observe = false;
    let running = start(settings.clone());
    let mut idle = running.client();
    let mut in_transaction = running.client();
    in_transaction.write_all(&query("BEGIN")).unwrap();
    expect(&mut in_transaction, READY_IN_TRANSACTION);
    let mut busy = running.client();
    busy.write_all(&query("wait")).unwrap();
    let mut unseen = dial(running.proxy.bound_addresses()[1].1);
    unseen.write_all(&startup("ada")).unwrap();
    expect(&mut unseen, LOGIN);
    wait_until("the query runs", || {
        running.recorder.session(2).lock().unwrap().to_upstream == query("wait")
    });

    // Sessions that are open hear of it too.
    settings.tunables.timeouts.client_idle = Some(Duration::from_millis(200));
    running.proxy.reload(&settings).unwrap();
    assert_eq!(own_error(&read_rest(&mut idle)), "57P05");
    let began = Instant::now();
    let mut next = running.client();
    assert_eq!(own_error(&read_rest(&mut next)), "57P05");
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(
        began.elapsed() < Duration::from_millis(1200),
        "{:?}",
        began.elapsed()
    );

    for stream in [&mut in_transaction, &mut unseen] {
        stream.write_all(&query("SELECT 1")).unwrap();
    }
    expect(&mut in_transaction, READY);
    expect(&mut unseen, READY);
    assert_eq!(own_error(&read_rest(&mut in_transaction)), "57P05");
    busy.set_nonblocking(true).unwrap();
    let waiting = busy.read(&mut [0]).unwrap_err();
    assert_eq!(
        waiting.kind(),
        std::io::ErrorKind::WouldBlock,
        "it was ended"
    );
    assert_eq!(running.figures().errors(ConnectionError::ClientIdle), 3);
}

#[test]
fn an_old_session_is_ended_at_its_next_rest() {
    let server = backend();
    let mut settings = settings(tcp(server.address));
    settings.tunables.timeouts.session_max = Some(Duration::from_millis(300));
    let running = start(settings);
    let mut busy = running.client();
    let mut in_transaction = running.client();
    in_transaction.write_all(&query("BEGIN")).unwrap();
    expect(&mut in_transaction, READY_IN_TRANSACTION);
    // It is never idle for longer than a moment, and is told between two queries all the same.
    let deadline = Instant::now() + PATIENCE;
    let told = loop {
        assert!(Instant::now() < deadline, "it goes on for ever");
        let mut answer = [0; 6];
        if busy.write_all(&query("SELECT 1")).is_err() || busy.read_exact(&mut answer).is_err() {
            panic!("it was cut");
        }
        if answer != *READY {
            break [&answer[..], &read_rest(&mut busy)].concat();
        }
    };
    assert_eq!(own_error(&told), "57P01");
    // A transaction has its time.
    in_transaction
        .write_all(&query("SELECT 1; COMMIT"))
        .unwrap();
    expect(&mut in_transaction, READY);
    assert_eq!(own_error(&read_rest(&mut in_transaction)), "57P01");
    running.wait_no_connections();
    assert_eq!(running.figures().errors(ConnectionError::SessionMax), 2);
}

#[test]
fn without_limits_nothing_is_ended() {
    let server = backend();
    let running = start_before(&server);
    let mut idle = running.client();
    idle.set_read_timeout(Some(Duration::from_millis(1500)))
        .unwrap();
    // Over at least one sweep.
    assert!(idle.read(&mut [0]).is_err());
    assert_eq!(running.registry.connections().len(), 1);
}
