#![allow(
    clippy::disallowed_methods,
    reason = "what is tested is how long things take"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// The session's end and the upstream's end of a lengthened connection.
fn connection(latency: Duration) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (upstream, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    ours.set_nodelay(true).unwrap();
    upstream.set_nodelay(true).unwrap();
    let near = lengthen(ours.into(), latency).unwrap();
    near.set_nonblocking(false).unwrap();
    for end in [&near, &upstream] {
        end.set_read_timeout(Some(PATIENCE)).unwrap();
        end.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    (near, upstream)
}

/// Answers each byte with itself until there are no more.
fn echo(mut end: impl Read + Write + Send + 'static) {
    std::thread::spawn(move || {
        let mut byte = [0];
        while let Ok(1) = end.read(&mut byte) {
            end.write_all(&byte).unwrap();
        }
    });
}

/// The fastest of many round trips: a machine that does other things too is late, and never early.
fn round_trip(near: &mut TcpStream) -> Duration {
    let times = (0..51).map(|_| {
        let began_at = Instant::now();
        near.write_all(b"x").unwrap();
        near.read_exact(&mut [0]).unwrap();
        began_at.elapsed()
    });
    times.min().expect("some")
}

#[test]
fn a_round_trip_takes_so_much_longer() {
    for latency_ms in [1, 5, 20] {
        let latency = Duration::from_millis(latency_ms);
        let (mut near, upstream) = connection(latency);
        echo(upstream);
        let measured = round_trip(&mut near);
        // Generous: the end-to-end test looks closer.
        let least = latency - Duration::from_micros(650);
        let most = latency + Duration::from_millis(2);
        assert!(
            measured >= least && measured < most,
            "{latency:?}: {measured:?}"
        );
    }
}

#[test]
fn a_unix_upstream_is_as_far_away() {
    let latency = Duration::from_millis(4);
    let (ours, upstream) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut near = lengthen(ours.into(), latency).unwrap();
    near.set_nonblocking(false).unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    echo(upstream);
    assert!(round_trip(&mut near) >= latency - Duration::from_micros(650));
}

#[test]
fn many_bytes_arrive_in_their_order_both_ways_at_once() {
    let (near, upstream) = connection(Duration::from_millis(2));
    let bytes = |seed: u64| -> Vec<u8> {
        let mut state = seed;
        (0..20_000_000 / 8)
            .flat_map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state.to_le_bytes()
            })
            .collect()
    };
    let mut threads = Vec::new();
    for (end, sent, expected) in [(near, 1, 2), (upstream, 2, 1)] {
        let mut writer = end.try_clone().unwrap();
        threads.push(std::thread::spawn(move || {
            // Pieces of all sizes, as messages are.
            let all = bytes(sent);
            let mut rest = &all[..];
            let mut size = 1;
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(size.min(rest.len()));
                writer.write_all(piece).unwrap();
                rest = behind;
                size = size % 100_000 * 3 + 7;
            }
            writer.shutdown(Shutdown::Write).unwrap();
        }));
        let mut reader = end;
        threads.push(std::thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            assert!(got == bytes(expected), "{} bytes", got.len());
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_half_close_leaves_the_other_direction_open() {
    let latency = Duration::from_millis(3);
    let (mut near, mut upstream) = connection(latency);
    let began_at = Instant::now();
    near.write_all(b"all").unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    upstream.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"all");
    assert!(began_at.elapsed() >= latency / 2 - Duration::from_micros(400));
    upstream.write_all(b"answer").unwrap();
    drop(upstream);
    let mut got = Vec::new();
    near.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"answer");
}

fn reset(end: TcpStream) {
    Socket::from(end).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_reset_is_passed_on_as_one_either_way() {
    for from_upstream in [true, false] {
        let (near, upstream) = connection(Duration::from_millis(3));
        let (dying, mut other) = match from_upstream {
            true => (upstream, near),
            false => (near, upstream),
        };
        reset(dying);
        let error = other.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_reset_reaches_an_end_that_reads_nothing() {
    let (near, mut upstream) = connection(Duration::from_millis(3));
    upstream
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    // Until nobody takes any more: all that may be under way is.
    let block = vec![0; 1 << 20];
    while upstream.write_all(&block).is_ok() {}
    reset(upstream);
    let began_at = Instant::now();
    let socket = Socket::from(near);
    loop {
        match socket.take_error().unwrap() {
            Some(error) => break assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            None => std::thread::yield_now(),
        }
        assert!(began_at.elapsed() < PATIENCE, "it is told");
    }
}

#[test]
fn an_end_that_reads_nothing_holds_the_other_back() {
    let (mut near, mut upstream) = connection(Duration::from_millis(3));
    upstream
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let block = vec![7; 1 << 20];
    let mut written = 0;
    let refused = loop {
        match upstream.write(&block) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
        assert!(written < 200 << 20, "somebody stores all of it");
    };
    assert!(matches!(
        refused.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    drop(upstream);
    // And nothing of it is lost.
    let mut got = Vec::new();
    near.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), written);
    assert!(got.iter().all(|byte| *byte == 7));
}

#[test]
fn two_hundred_connections_are_as_far_away_as_one() {
    let latency = Duration::from_millis(50);
    let mut connections: Vec<(TcpStream, TcpStream)> =
        (0..200).map(|_| connection(latency)).collect();
    let began_at = Instant::now();
    for (near, _) in &mut connections {
        near.write_all(b"ping").unwrap();
    }
    for (_, upstream) in &mut connections {
        let mut got = [0; 4];
        upstream.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"ping");
    }
    let took = began_at.elapsed();
    assert!(
        took >= latency / 2 - Duration::from_micros(400) && took < PATIENCE / 4,
        "{took:?}"
    );
}
