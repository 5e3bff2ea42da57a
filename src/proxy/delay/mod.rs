//! An upstream that feels further away: what passes between it and the proxy arrives half a round trip later, each way.
//!
//! ```text
//!  session ◄──► near end ═ loopback ═ far end ◄──► the delay line's thread ◄──► upstream
//!  (relay, TLS, login: as ever)                    every read waits for its time, then goes on, in order
//! ```
//!
//! The session's own path stays what it is: its upstream leg is another socket, and without a latency to add nothing of
//! this exists. TLS with the upstream goes through the line, so that a handshake takes its round trips too. A pair of
//! TCP sockets, not of Unix ones: only those can pass a reset on as what it is.
//!
//! *Architecture invariants:* the line knows bytes and ends, no protocol. What it holds is bounded, and a direction that
//! holds its share does not read: back-pressure is the kernel's, as everywhere.

mod alarm;
mod line;
mod way;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::Socket;

use line::Line;

/// The process's delay line, once one was needed.
static LINE: Mutex<Option<Arc<Line>>> = Mutex::new(None);

/// What the detour takes by itself, each way: two more sockets, and processes that sleep by the time the bytes come, where
/// a server nearby would have found them awake. Measured on a machine that does other things too: 0.17 to 0.26 ms; on an
/// idle one it is less, and what is taken off shall not be more than it is.
const DETOUR: Duration = Duration::from_micros(75);

/// Lengthens the way to `upstream`, a connected socket: what takes its place. Each round trip takes `latency` longer.
pub(super) fn lengthen(upstream: Socket, latency: Duration) -> io::Result<std::net::TcpStream> {
    let (near, far) = loopback_pair()?;
    let one_way = latency / 2;
    let one_way = one_way - DETOUR.min(one_way / 2);
    line()?.carry([far.into(), upstream], one_way)?;
    Ok(near)
}

/// The line that runs, or a new one.
fn line() -> io::Result<Arc<Line>> {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*line {
        Some(running) if running.is_running() => Ok(Arc::clone(running)),
        _ => {
            let started = Arc::new(Line::start()?);
            *line = Some(Arc::clone(&started));
            Ok(started)
        }
    }
}

/// Two connected sockets of this process, both non-blocking and without Nagle's waiting.
fn loopback_pair() -> io::Result<(std::net::TcpStream, std::net::TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = std::net::TcpStream::connect(listener.local_addr()?)?;
    let own = near.local_addr()?;
    loop {
        let (far, peer) = listener.accept()?;
        // Anybody on this machine may connect to a port: only our own connection will do.
        if peer == own {
            for end in [&near, &far] {
                end.set_nodelay(true)?;
                end.set_nonblocking(true)?;
            }
            return Ok((near, far));
        }
    }
}

#[cfg(test)]
mod tests;
