//! A plain connection never leaves the thread that accepted it. Alone in its program: threads are told apart by name.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::io::Write;

use support::*;

/// How often the worker's runtime has waited for something.
fn waits_of_the_runtime() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let waits = tasks.filter_map(|task| {
        let status = fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let name = status.lines().next()?;
        let waits = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        // The kernel cuts names at 15 bytes.
        name.ends_with("pgprism-worker-")
            .then(|| waits.trim().parse::<u64>().unwrap())
    });
    waits.sum()
}

#[test]
fn a_plain_connection_stays_on_the_thread_that_accepted_it() {
    const CONNECTIONS: u64 = 100;
    let server = Server::echo();
    let running = start_before(&server);
    let play = |user: &str| {
        let mut client = running.dial();
        client.write_all(SSL_REQUEST).unwrap();
        expect(&mut client, b"N");
        client.write_all(&startup(user)).unwrap();
        expect(&mut client, LOGIN);
        client.write_all(b"served").unwrap();
        expect(&mut client, b"served");
    };
    play("first");
    let before = waits_of_the_runtime();
    assert!(before > 0, "no such threads");
    for _ in 0..CONNECTIONS {
        play("ada");
    }
    running.wait_no_connections();
    // It looks after limits on its own account once a second.
    let waits = waits_of_the_runtime() - before;
    assert!(waits < CONNECTIONS / 4, "{waits} waits");
    assert_eq!(running.figures().connect_duration.count(), CONNECTIONS + 1);
}
