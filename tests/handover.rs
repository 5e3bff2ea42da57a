//! Listening sockets that outlive the proxy that accepts from them.

mod support;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use pgprism::clock::Clock;
use pgprism::proxy::{ListeningSocket, Proxy, Settings};
use pgprism::registry::Registry;
use support::*;

/// A proxy that lets nobody in yet, and clients that wait for it in its queue.
fn prepared(settings: Settings, clients: usize) -> (Proxy, Vec<TcpStream>) {
    let registry = Arc::new(Registry::new());
    let taps = vec![Recorder::default(), Recorder::default()];
    let proxy = Proxy::prepare(settings, registry, Clock::start(), taps).unwrap();
    let address = proxy.bound_addresses()[0].1;
    let clients = (0..clients)
        .map(|_| {
            let mut client = dial(address);
            client.write_all(&startup("ada")).unwrap();
            client
        })
        .collect();
    (proxy, clients)
}

fn handed(socket: TcpListener, is_kept_elsewhere: bool) -> Vec<ListeningSocket> {
    vec![ListeningSocket {
        listener: "default".into(),
        socket: Arc::new(socket),
        is_kept_elsewhere,
    }]
}

#[test]
fn whoever_waits_in_the_queue_when_a_drain_begins_is_served() {
    let server = Server::echo();
    let (proxy, mut clients) = prepared(settings(tcp(server.address)), 50);
    let address = proxy.bound_addresses()[0].1;
    proxy.open();
    proxy.begin_drain();
    for client in &mut clients {
        expect(client, LOGIN);
        assert_eq!(own_error(&read_rest(client)), "57P01");
    }
    wait_until("the port is free", || TcpListener::bind(address).is_ok());
    assert!(proxy.listening_sockets().is_empty());
}

#[test]
fn a_successor_serves_whoever_waits_in_the_queue() {
    let server = Server::echo();
    let (old, mut clients) = prepared(settings(tcp(server.address)), 50);
    let sockets = old.listening_sockets();
    assert_eq!(&*sockets[0].listener, "default");
    old.leave_to_successor();
    let next = Settings {
        sockets,
        ..settings(tcp(server.address))
    };
    let (new, _) = prepared(next, 0);
    assert_eq!(old.bound_addresses(), new.bound_addresses());
    drop(old);
    new.open();
    for client in &mut clients {
        expect(client, LOGIN);
        client.write_all(b"served").unwrap();
        expect(client, b"served");
    }
    let mut late = dial(new.bound_addresses()[0].1);
    late.write_all(&startup("ada")).unwrap();
    expect(&mut late, LOGIN);
}

#[test]
fn a_socket_that_somebody_else_keeps_keeps_its_queue() {
    let server = Server::echo();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let kept = socket.try_clone().unwrap();
    let with = |socket, is_kept_elsewhere| Settings {
        sockets: handed(socket, is_kept_elsewhere),
        ..settings(tcp(server.address))
    };
    let (first, mut clients) = prepared(with(socket, true), 20);
    first.begin_drain();
    drop(first);
    // Nobody accepts, nobody is refused; the next one serves all of them.
    let address = kept.local_addr().unwrap();
    let mut meanwhile = dial(address);
    meanwhile.write_all(&startup("ada")).unwrap();
    let (second, _) = prepared(with(kept, true), 0);
    second.open();
    for client in clients.iter_mut().chain([&mut meanwhile]) {
        expect(client, LOGIN);
    }
}
