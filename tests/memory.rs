//! What large values cost. Alone in its program: the memory of neighbours would be counted too.

mod support;

use std::io::{Read, Write};
use std::sync::Arc;

use pgprism::clock::Clock;
use pgprism::proxy::Proxy;
use pgprism::registry::Registry;
use support::*;

const VALUE_BYTES: usize = 100 << 20;
const GROWTH_BYTES_MAX: usize = 2 << 20;

/// Resident memory of this process.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

fn header(tag: u8) -> Vec<u8> {
    let length = u32::try_from(VALUE_BYTES + 4).unwrap();
    [&[tag][..], &length.to_be_bytes()].concat()
}

fn send_value(stream: &mut impl Write, tag: u8) {
    stream.write_all(&header(tag)).unwrap();
    for _ in 0..VALUE_BYTES / 65536 {
        stream.write_all(&[b'x'; 65536]).unwrap();
    }
}

/// Reads one message and returns the most memory that this process had meanwhile.
fn read_value(stream: &mut impl Read, tag: u8) -> usize {
    let mut received = [0; 5];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(received[..], header(tag));
    let mut buffer = [0; 65536];
    let mut resident_max = 0;
    for number in 0..VALUE_BYTES / buffer.len() {
        stream.read_exact(&mut buffer).unwrap();
        assert!(buffer.iter().all(|byte| *byte == b'x'));
        if number % 64 == 0 {
            resident_max = resident_max.max(resident_bytes());
        }
    }
    resident_max
}

#[test]
fn a_value_of_100_megabytes_each_way_costs_less_than_two() {
    let server = Server::after_login(|mut stream| {
        loop {
            let mut ready = [0];
            if stream.read_exact(&mut ready).is_err() {
                return;
            }
            if ready == *b"d" {
                send_value(&mut stream, b'D');
            } else {
                read_value(&mut stream, b'Q');
                stream.write_all(b"r").unwrap();
            }
        }
    });
    let proxy = Proxy::start(
        settings(tcp(server.address)),
        Arc::new(Registry::new()),
        Clock::start(),
        vec![Deaf],
    )
    .unwrap();
    let mut client = dial(proxy.bound_addresses()[0].1);
    client.write_all(&startup("ada")).unwrap();
    expect(&mut client, LOGIN);
    // Buffers of the test itself and of the first transfer are there before it is measured.
    client.write_all(b"d").unwrap();
    read_value(&mut client, b'D');
    let before = resident_bytes();
    client.write_all(b"d").unwrap();
    let down = read_value(&mut client, b'D').saturating_sub(before);
    client.write_all(b"u").unwrap();
    send_value(&mut client, b'Q');
    expect(&mut client, b"r");
    let up = resident_bytes().saturating_sub(before);
    println!("growth: {down} bytes down, {up} bytes up");
    assert!(down < GROWTH_BYTES_MAX && up < GROWTH_BYTES_MAX);
}
