//! Out of file descriptors. Alone in its program: the limit is the process's.

mod support;

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike;
use pgprism::proxy::fit_connections_max;
use pgprism::registry::ConnectionError;
use support::*;

fn cpu_ms() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds()
}

#[test]
fn without_descriptors_it_waits_and_goes_on() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let limit = hard.min(512);
    setrlimit(Resource::RLIMIT_NOFILE, limit / 2, limit).unwrap();
    // Two sockets each, and room for those that are told that there is no room.
    let fitting = fit_connections_max(10_000);
    assert!((100..200).contains(&fitting), "{fitting}");
    assert_eq!(fit_connections_max(7), 7);
    assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (limit, limit));

    let server = Server::echo();
    let running = start_before(&server);
    let mut established = running.client();
    // The client's own socket first: then nothing is left for the proxy to accept it with.
    let late = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    late.connect(&running.address().into()).unwrap();
    let failures = || running.figures().errors(ConnectionError::Accept);
    wait_until("accept fails", || failures() >= 2);

    let (failed, used_ms) = (failures(), cpu_ms());
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        failures() - failed <= 11,
        "it spins: {}",
        failures() - failed
    );
    assert!(
        cpu_ms() - used_ms < 250,
        "it spins: {} ms",
        cpu_ms() - used_ms
    );
    established.write_all(b"unharmed").unwrap();
    expect(&mut established, b"unharmed");

    drop(taken);
    let mut late = std::net::TcpStream::from(late);
    late.set_read_timeout(Some(PATIENCE)).unwrap();
    late.write_all(&startup("ada")).unwrap();
    expect(&mut late, LOGIN);
}
