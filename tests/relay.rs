//! The bytes: equal on both sides, in order, shown to the tap once, and never more of them held than allowed.

#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of tests are real time, not the program's"
)]

mod scripted;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pgprism::event::{ConnectionState, Direction};
use pgprism::proxy::relay::READ_BYTES_MAX;
use pgprism::proxy::{ReloadError, TlsMode, UpstreamAddress};
use pgprism::registry::Unobserved;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::*;

// ---- equal bytes ----

/// How one peer sends: what, in which pieces; and how it reads.
#[derive(Debug, Clone)]
struct Peer {
    bytes: Vec<u8>,
    write_bytes: Vec<usize>,
    read_bytes: Vec<usize>,
    small_buffers: bool,
}

fn peer() -> impl Strategy<Value = Peer> {
    let size = prop_oneof![0..200usize, 0..100_000usize, 500_000..3_000_000usize];
    let piece = || prop_oneof![1..10usize, 1..5_000usize, 60_000..200_000usize];
    (
        (size, any::<u64>()),
        proptest::collection::vec(piece(), 1..20),
        proptest::collection::vec(piece(), 1..20),
        any::<bool>(),
    )
        .prop_map(
            |((size, seed), write_bytes, read_bytes, small_buffers)| Peer {
                bytes: noise(seed, size),
                write_bytes,
                read_bytes,
                small_buffers,
            },
        )
}

/// Bytes that a shift or a swap would change (xorshift64*).
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Sends and reads at the same time, then FIN; returns what it has read to the other's FIN.
fn speak(stream: &TcpStream, peer: &Peer) -> Vec<u8> {
    if peer.small_buffers {
        let socket = socket2::SockRef::from(stream);
        // Less than a segment of the loopback would make the kernel wait for its timers.
        socket.set_recv_buffer_size(100_000).unwrap();
        socket.set_send_buffer_size(100_000).unwrap();
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = stream;
            let mut rest = &peer.bytes[..];
            // Tiny pieces only at first: a byte a call for megabytes says nothing new.
            for (number, piece) in peer.write_bytes.iter().cycle().enumerate() {
                let piece = if number < 200 { *piece } else { 65536 };
                let (now, later) = rest.split_at(piece.min(rest.len()));
                stream.write_all(now).unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let mut stream = stream;
        let mut received = Vec::new();
        let mut buffer = vec![0; 200_000];
        for (number, piece) in peer.read_bytes.iter().cycle().enumerate() {
            let piece = if number < 200 { *piece } else { buffer.len() };
            match stream.read(&mut buffer[..piece]).unwrap() {
                0 => break,
                count => received.extend_from_slice(&buffer[..count]),
            }
        }
        received
    })
}

#[test]
fn bytes_in_are_bytes_out_both_ways() {
    let mut runner = TestRunner::new(Config {
        cases: 25,
        max_shrink_time: 30_000,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(
            &(peer(), peer(), any::<bool>()),
            |(mine, theirs, logs_in)| {
                let (sent, received) = mpsc::channel();
                let script = theirs.clone();
                // Half of the servers are none: what they say from the first byte on is noise.
                let server = Server::start(move |mut stream| {
                    read_packet(&mut stream);
                    if logs_in {
                        stream.write_all(LOGIN).unwrap();
                    }
                    sent.send(speak(&stream, &script)).unwrap();
                });
                let running = start_before(&server);
                let client = if logs_in {
                    running.client()
                } else {
                    let mut client = running.dial();
                    client.write_all(&startup("ada")).unwrap();
                    client
                };
                let got = speak(&client, &mine);
                prop_assert!(got == theirs.bytes, "client got other bytes");
                let got = received.recv_timeout(PATIENCE).unwrap();
                prop_assert!(got == mine.bytes, "server got other bytes");
                drop(client);
                running.wait_no_connections();

                let record = running.recorder.session(0);
                let record = record.lock().unwrap();
                let login = if logs_in { LOGIN } else { b"" };
                prop_assert!(record.to_upstream == mine.bytes, "tap saw other bytes");
                prop_assert!(record.to_client == [login, &theirs.bytes].concat());
                prop_assert!(record.told.is_sorted_by_key(|(_, at)| *at));
                for direction in [Direction::ClientToUpstream, Direction::UpstreamToClient] {
                    let refused = record.count(Told::Refused(direction));
                    prop_assert_eq!(refused, record.count(Told::Accepted(direction)));
                    prop_assert_eq!(record.count(Told::Finished(direction)), 1);
                }
                prop_assert_eq!(record.count(Told::Closed), 1);
                let bytes = running.figures().relayed_bytes;
                prop_assert_eq!(bytes[0], record.to_upstream.len() as u64);
                prop_assert_eq!(bytes[1], record.to_client.len() as u64);
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn lengths_that_lie_go_through_as_they_are() {
    let lies: Vec<Vec<u8>> = vec![
        b"D\x7f\xff\xff\xffrow".to_vec(),
        b"D\0\0\0\0".to_vec(),
        b"Z\xff\xff\xff\xffI".to_vec(),
        b"K\0\0\0\x04".to_vec(),
        b"K\0\x01\0\0key".to_vec(),
        b"R\0\0\0\x03".to_vec(),
        vec![0; 300],
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b"\x15\x03\x03\0\x02\x02\x28".to_vec(),
    ];
    for login in [b"".as_slice(), LOGIN] {
        for lie in &lies {
            let told = [login, lie].concat();
            let script = told.clone();
            let server = Server::start(move |mut stream| {
                read_packet(&mut stream);
                stream.write_all(&script).unwrap();
                let heard = read_rest(&mut stream);
                stream.write_all(&heard).unwrap();
            });
            let running = start_before(&server);
            let mut client = running.dial();
            client.write_all(&startup("ada")).unwrap();
            client.write_all(lie).unwrap();
            expect(&mut client, &told);
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_rest(&mut client), *lie);
        }
    }
}

// ---- back-pressure ----

#[test]
fn who_does_not_read_stops_the_sender_and_loses_nothing() {
    const TOTAL: usize = 64 << 20;
    let (sent, progress) = mpsc::channel();
    let server = Server::after_login(move |mut stream| {
        stream.set_nonblocking(true).unwrap();
        let bytes = noise(7, 1 << 20);
        let mut written = 0;
        let mut quiet_since = Instant::now();
        while written < TOTAL {
            let from = written % bytes.len();
            match stream.write(&bytes[from..]) {
                Ok(count) => {
                    written += count;
                    quiet_since = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if quiet_since.elapsed() > Duration::from_millis(200) {
                        let _ = sent.send(written);
                        quiet_since = Instant::now();
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    let running = start_before(&server);
    let mut client = running.client();
    let stuck_at = progress.recv_timeout(PATIENCE).unwrap();
    assert!(stuck_at < TOTAL / 2, "{stuck_at} bytes went somewhere");

    // The proxy waits: it has read at most one buffer more than the client's kernel took, and reads no more.
    let record = running.recorder.session(0);
    let shown = || record.lock().unwrap().to_client.len();
    let before = shown();
    assert!(before <= stuck_at + LOGIN.len());
    {
        let record = record.lock().unwrap();
        let refused = record.count(Told::Refused(Direction::UpstreamToClient));
        let accepted = record.count(Told::Accepted(Direction::UpstreamToClient));
        assert_eq!(refused, accepted + 1, "it is refused now");
    }
    progress.recv_timeout(PATIENCE).unwrap();
    assert_eq!(shown(), before);

    // A byte at a time, then all.
    let bytes = noise(7, 1 << 20);
    let mut received = 0;
    let mut one = [0];
    while received < 1000 {
        client.read_exact(&mut one).unwrap();
        assert_eq!(one[0], bytes[received]);
        received += 1;
    }
    let mut buffer = vec![0; 1 << 18];
    while received < TOTAL {
        let count = client.read(&mut buffer).unwrap();
        assert!(count > 0, "closed after {received}");
        for (place, byte) in buffer[..count].iter().enumerate() {
            assert_eq!(*byte, bytes[(received + place) % bytes.len()]);
        }
        received += count;
    }
    assert_eq!(read_rest(&mut client), b"");
    let latency = &running.figures().added_latency[1];
    assert!(latency.counts[11..].iter().sum::<u64>() > 0, "{latency:?}");
}

#[test]
fn a_large_result_does_not_starve_its_neighbours() {
    let server = Server::after_login(|mut stream| {
        let mut asked = [0];
        stream.read_exact(&mut asked).unwrap();
        if asked == *b"p" {
            while stream.write_all(&asked).is_ok() && stream.read_exact(&mut asked).is_ok() {}
            return;
        }
        // Until the reader has had enough.
        while stream.write_all(&[0; 65536]).is_ok() {}
    });
    let running = start_deaf_before(&server);
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut client = running.client();
            client.write_all(b"l").unwrap();
            let stop = client.try_clone().unwrap();
            let reading = std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 18];
                while client.read(&mut buffer).is_ok_and(|count| count > 0) {}
            });
            (stop, reading)
        })
        .collect();
    wait_until("results flow", || {
        running.figures().relayed_bytes[1] > 50 << 20
    });
    // One neighbour at each worker.
    let relayed = || running.figures().relayed_bytes[1];
    let mut overtaken_by = Vec::new();
    for _ in 0..2 {
        let mut client = running.client();
        for _ in 0..50 {
            let before = relayed();
            client.write_all(b"p").unwrap();
            expect(&mut client, b"p");
            overtaken_by.push(relayed() - before);
        }
    }
    // Each turn of a result moves at most 256 KiB; the rest is how long threads wait for a core.
    overtaken_by.sort_unstable();
    let median = overtaken_by[overtaken_by.len() / 2];
    assert!(median < 16 << 20, "{median} bytes while one byte waits");
    for (stop, reading) in readers {
        let _ = stop.shutdown(Shutdown::Both);
        reading.join().unwrap();
    }
    running.wait_no_connections();
}

// ---- where it goes ----

#[test]
fn an_upstream_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".s.PGSQL.5432");
    let listening = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listening.accept().unwrap();
        let mut packet = vec![0; startup("ada").len()];
        stream.read_exact(&mut packet).unwrap();
        assert_eq!(packet, startup("ada"));
        stream.write_all(LOGIN).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        stream.write_all(&heard).unwrap();
    });
    let running = start(settings(UpstreamAddress::Unix(path.clone())));
    let mut client = running.client();
    assert_eq!(
        *running.registry.connections()[0].upstream,
        *path.to_str().unwrap()
    );
    let bytes = noise(3, 3_000_000);
    std::thread::scope(|scope| {
        let mut writer = client.try_clone().unwrap();
        let bytes = &bytes;
        scope.spawn(move || {
            writer.write_all(bytes).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        assert!(read_rest(&mut client) == *bytes);
    });
    server.join().unwrap();
    running.wait_no_connections();
}

#[test]
fn each_listener_has_its_own_upstream_and_figures() {
    let say = |words: &'static [u8]| {
        Server::after_login(move |mut stream| {
            stream.write_all(words).unwrap();
            read_rest(&mut stream);
        })
    };
    let (first, second) = (say(b"first"), say(b"second"));
    let mut settings = settings(tcp(first.address));
    settings
        .listeners
        .push(listener("replica", tcp(second.address)));
    let running = start(settings);
    let bound = running.proxy.bound_addresses();
    assert_eq!((&*bound[0].0, &*bound[1].0), ("default", "replica"));
    let mut clients: Vec<_> = bound
        .iter()
        .map(|(_, address)| {
            let mut client = dial(*address);
            client.write_all(&startup("ada")).unwrap();
            expect(&mut client, LOGIN);
            client
        })
        .collect();
    expect(&mut clients[0], b"first");
    expect(&mut clients[1], b"second");
    // Written first, looked at afterwards.
    wait_until("both logins and all bytes are noted", || {
        let listeners = running.registry.snapshot().listeners;
        listeners.iter().zip([5, 6]).all(|(one, words)| {
            one.connect_duration.count() == 1 && one.relayed_bytes[1] == LOGIN.len() as u64 + words
        })
    });
    let listeners = running.registry.snapshot().listeners;
    for (listener, words) in listeners.iter().zip([5, 6]) {
        assert_eq!(listener.client_connections, 1);
        assert_eq!(listener.upstream_connections, 1);
        assert_eq!(listener.connections_total, 1);
        assert_eq!(listener.upstream.up, Some(true));
        assert_eq!(listener.relayed_bytes[1], LOGIN.len() as u64 + words);
    }
    let connections = running.registry.connections();
    assert_eq!(&*connections[1].listener, "replica");
    assert_eq!(
        *connections[1].client,
        clients[1].local_addr().unwrap().to_string()
    );
    assert_eq!(*connections[1].upstream, second.address.to_string());
    assert_eq!(&*connections[1].user, "ada");
    assert_eq!(&*connections[1].database, "shop");
    assert_eq!(&*connections[1].application, "tests");
    drop(clients);
    running.wait_no_connections();
}

#[test]
fn a_reload_moves_new_sessions_and_leaves_old_ones() {
    let (old, new) = (
        Server::echo(),
        Server::after_login(|mut stream| {
            stream.write_all(b"new").unwrap();
            read_rest(&mut stream);
        }),
    );
    let running = start_before(&old);
    let mut first = running.client();
    let mut settings = running.settings.clone();
    settings.listeners[0].upstream = tcp(new.address);
    running.proxy.reload(&settings).unwrap();
    let mut second = running.client();
    expect(&mut second, b"new");
    first.write_all(b"old").unwrap();
    expect(&mut first, b"old");

    settings.listeners[0].listen = "127.0.0.1:1".to_owned();
    settings.listeners[0].upstream = tcp(old.address);
    let refused = running.proxy.reload(&settings).unwrap_err();
    let listener = "default".into();
    assert_eq!(refused, ReloadError::Address { listener });
    settings.listeners.clear();
    assert_eq!(running.proxy.reload(&settings), Err(ReloadError::Listeners));
    let mut third = running.client();
    expect(&mut third, b"new");
}

// ---- whether it is observed ----

#[test]
fn observation_is_switched_without_touching_a_session() {
    let server = Server::echo();
    let running = start_before(&server);
    let mut first = running.client();
    let record = running.recorder.session(0);
    let flag = record.lock().unwrap().start.observe.clone();
    assert!(flag.load(Ordering::Relaxed));

    assert!(running.proxy.set_observe(None, false));
    assert!(!running.proxy.set_observe(Some("no such"), true));
    assert!(!flag.load(Ordering::Relaxed), "the tap sees it at once");
    let mut second = running.client();
    assert_eq!(running.recorder.count(), 1, "no tap for the new session");
    assert_eq!(running.figures().unobserved(Unobserved::ObserveOff), 1);
    let status = running.registry.connections()[1].status.clone();
    assert_eq!(status.observed.load(Ordering::Relaxed), 0);
    assert_eq!(
        status.state.load(Ordering::Relaxed),
        ConnectionState::Unobserved as u8
    );
    for client in [&mut first, &mut second] {
        client.write_all(b"still there").unwrap();
        expect(client, b"still there");
    }

    assert!(running.proxy.set_observe(Some("default"), true));
    let _third = running.client();
    running.recorder.session(1);
}

#[test]
fn what_is_passed_through_is_passed_through_from_the_first_byte() {
    let server = Server::start(|mut stream| {
        let heard = read_rest(&mut stream);
        stream.write_all(&heard).unwrap();
    });
    let mut settings = settings(tcp(server.address));
    settings.listeners[0].tls = TlsMode::PassThrough;
    let running = start(settings);
    let client_hello = [b"\x16\x03\x01\x02\0\x01".as_slice(), &noise(5, 600)].concat();
    let cases: [Vec<u8>; 5] = [
        [SSL_REQUEST, &client_hello].concat(),
        client_hello,
        [GSSENC_REQUEST, SSL_REQUEST, &startup("ada")].concat(),
        startup("ada"),
        b"\0\0\0\x0c\x04\xd2\x16\x2fodd".to_vec(),
    ];
    for hello in &cases {
        let mut client = running.dial();
        client.write_all(hello).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(read_rest(&mut client) == *hello, "{hello:?}");
    }
    assert_eq!(running.recorder.count(), 0);
    let unobserved = running.figures().unobserved(Unobserved::PassThrough);
    assert_eq!(unobserved, cases.len() as u64);
}

#[test]
fn one_read_is_one_time() {
    let server = Server::echo();
    let running = start_before(&server);
    let mut client = running.client();
    client.write_all(&vec![b'x'; 3 * READ_BYTES_MAX]).unwrap();
    expect(&mut client, &vec![b'x'; 3 * READ_BYTES_MAX]);
    let record = running.recorder.session(0);
    let record = record.lock().unwrap();
    for (told, at) in &record.told {
        if let Told::Relayed(_, bytes) = told {
            assert!(*bytes <= READ_BYTES_MAX);
            assert!(*at >= record.start.opened_at);
        }
    }
    assert!(record.start.opened_at >= record.start.accepted_at);
}

#[test]
fn who_asks_what_was_seen_waits_while_a_tap_looks() {
    let (tell, told) = mpsc::channel();
    let server = Server::after_login(move |mut stream| {
        let mut asked = [0; 5];
        stream.read_exact(&mut asked).unwrap();
        tell.send(asked).unwrap();
        read_rest(&mut stream);
    });
    let running = start_before(&server);
    let mut client = running.client();
    let record = running.recorder.session(0);
    wait_until("the login is seen", || {
        record.lock().unwrap().to_client.ends_with(LOGIN)
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let come_by = |within: Duration| {
        let fence = running.proxy.fence();
        runtime.block_on(async { tokio::time::timeout(within, fence.come_by()).await })
    };

    // Its tap cannot go on.
    let held = record.lock().unwrap();
    client.write_all(b"asked").unwrap();
    assert_eq!(&told.recv_timeout(PATIENCE).unwrap(), b"asked");
    assert!(come_by(Duration::from_millis(20)).is_err());
    drop(held);
    come_by(PATIENCE).expect("the tap has looked");
    assert_eq!(record.lock().unwrap().to_upstream, b"asked");

    // Nobody waits for threads that are gone.
    drop(client);
    running.proxy.begin_drain();
    running.wait_ended();
    come_by(PATIENCE).expect("there are none");
}

#[test]
fn each_tap_sees_its_session_in_order_among_many() {
    const CLIENTS: usize = 40;
    const ROUNDS: usize = 60;
    let said = |client: usize, round: usize| format!("{client:02} says {round:03};").into_bytes();
    let server = Server::echo();
    let running = start_before(&server);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let mut stream = running.client();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    stream.write_all(&said(client, round)).unwrap();
                    expect(&mut stream, &said(client, round));
                }
            });
        }
    });
    // Each session was opened when its client had logged in: they are in the clients' order.
    running.wait_no_connections();
    for client in 0..CLIENTS {
        let record = running.recorder.session(client);
        let record = record.lock().unwrap();
        let all: Vec<u8> = (0..ROUNDS).flat_map(|round| said(client, round)).collect();
        assert_eq!(record.to_upstream, all, "client {client}");
        assert_eq!(record.to_client, [LOGIN, &all].concat(), "client {client}");
        let ways = record.told.iter().filter_map(|(told, _)| match told {
            Told::Relayed(direction, _) => Some(*direction),
            _ => None,
        });
        let (up, down) = (Direction::ClientToUpstream, Direction::UpstreamToClient);
        let expected = std::iter::once(down).chain((0..ROUNDS).flat_map(|_| [up, down]));
        assert!(ways.eq(expected), "client {client}");
        assert!(
            record.told.is_sorted_by_key(|(_, at)| *at),
            "client {client}"
        );
    }
}
