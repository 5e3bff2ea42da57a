//! Listening sockets: how they are made, and who comes in through them, for all workers at one reactor.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use socket2::{Domain, Protocol, SockRef, Type};

use super::direct;
use super::greeting::Hearing;
use super::newcomer::Newcomer;
use super::orders::Door;
use super::socket::{Socket, set_options};
use super::{ListenerSettings, ListeningSocket, Settings, Shared, sockets_above, token};
use crate::event::{Moment, Tap};
use crate::registry::{self, ConnectionError};

/// How long to wait when there is no room, or when `accept` failed: long enough not to spin.
const ROOM_PAUSE: Duration = Duration::from_millis(10);
const FAILURE_PAUSE: Duration = Duration::from_millis(50);
/// Clients the kernel keeps for us; it takes less where `net.core.somaxconn` is less.
const BACKLOG: i32 = 4096;

/// The socket of `listener`: the one that was handed to us, else one of our own. What it accepts has its options.
pub(super) fn open(
    listener: &ListenerSettings,
    settings: &Settings,
) -> io::Result<(ListeningSocket, SocketAddr)> {
    let mut handed = settings.sockets.iter();
    if let Some(handed) = handed.find(|handed| handed.listener == listener.name) {
        // Whoever made it may not have known that it will be polled.
        handed.socket.set_nonblocking(true)?;
        set_options(&SockRef::from(&handed.socket))?;
        return Ok((handed.clone(), handed.socket.local_addr()?));
    }
    let (socket, address) = bind(&listener.listen, settings.reuse_port)?;
    let own = ListeningSocket {
        listener: Arc::clone(&listener.name),
        socket: Arc::new(socket),
        is_kept_elsewhere: false,
    };
    Ok((own, address))
}

/// Listens on the first of the addresses that `listen` stands for and that can be bound.
fn bind(listen: &str, reuse_port: bool) -> io::Result<(TcpListener, SocketAddr)> {
    let mut last_error = None;
    for address in listen.to_socket_addrs()? {
        match bind_address(address, reuse_port) {
            Ok(listener) => {
                let bound = listener.local_addr()?;
                return Ok((listener, bound));
            }
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

fn bind_address(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    // Connections of a proxy that ran here before do not keep the port; a proxy that runs here does.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    set_options(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// All listeners of a proxy, at the reactor that accepts: the first worker's.
///
/// A client goes to the worker with the fewest connections. One that is for this very reactor never leaves its thread.
#[derive(Debug)]
pub(super) struct Entrance<T: Tap> {
    shared: Arc<Shared>,
    /// By route.
    listeners: Vec<Listener>,
    /// Which of them is asked first, so that none starves the others.
    next: usize,
    /// Client sockets of this reactor's own worker.
    own_connections: Arc<AtomicUsize>,
    /// To the other workers.
    doors: Vec<Door<T>>,
    admission: Admission,
}

#[derive(Debug)]
struct Listener {
    handed: ListeningSocket,
    /// The kernel has told of a client, and has not said since that there is none.
    has_clients: bool,
    is_failing: bool,
}

#[derive(Debug, Clone, Copy)]
enum Admission {
    Open,
    /// There was no room, or `accept` failed.
    PausedUntil(Moment),
}

/// Who was met at the entrance.
pub(super) enum Met {
    /// A client for this reactor's worker.
    Own(Box<Newcomer>),
    /// One for another worker, which has it.
    Others,
    /// Nobody may come in now.
    Nobody,
}

/// Counts a client socket wherever it is counted, until it is dropped.
#[derive(Debug)]
pub(super) struct Presence {
    shared: Arc<Shared>,
    figures: Arc<registry::Listener>,
    at_worker: Arc<AtomicUsize>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.shared.client_sockets.fetch_sub(1, Relaxed);
        self.figures.client_connections.fetch_sub(1, Relaxed);
        self.at_worker.fetch_sub(1, Relaxed);
    }
}

impl<T: Tap> Entrance<T> {
    /// `sockets` by route, `doors` to all workers but this reactor's own.
    pub(super) fn new(
        shared: Arc<Shared>,
        sockets: Vec<ListeningSocket>,
        doors: Vec<Door<T>>,
    ) -> Entrance<T> {
        let listening = |handed| Listener {
            handed,
            has_clients: false,
            is_failing: false,
        };
        Entrance {
            shared,
            listeners: sockets.into_iter().map(listening).collect(),
            next: 0,
            own_connections: Arc::default(),
            doors,
            admission: Admission::Open,
        }
    }

    /// Has `registry` tell of clients, those that wait already included.
    pub(super) fn open(&self, registry: &Registry) {
        for (route, listener) in self.listeners.iter().enumerate() {
            let socket = listener.handed.socket.as_raw_fd();
            let token = token::of_listener(route);
            if let Err(error) = registry.register(&mut SourceFd(&socket), token, Interest::READABLE)
            {
                let figures = &self.shared.route(route).figures;
                figures.listening.store(false, Relaxed);
                tracing::error!(listener = %figures.name, %error, "cannot accept");
            }
        }
    }

    /// Takes note that somebody waits at the listener of `route`.
    pub(super) fn note(&mut self, route: usize) {
        if let Some(listener) = self.listeners.get_mut(route) {
            listener.has_clients = true;
        }
    }

    /// How long until [`Entrance::meet`] has something to do that nobody will tell of.
    pub(super) fn patience(&self) -> Option<Duration> {
        if !self.has_clients() {
            return None;
        }
        Some(match self.admission {
            Admission::Open => Duration::ZERO,
            Admission::PausedUntil(until) => {
                Duration::from_nanos(until.since(self.shared.clock.now()))
            }
        })
    }

    /// Accepts one client.
    #[inline]
    pub(super) fn meet(&mut self) -> Met {
        match self.has_clients() {
            true => self.meet_next(),
            false => Met::Nobody,
        }
    }

    /// Whether somebody may wait at one of the listeners.
    #[inline]
    fn has_clients(&self) -> bool {
        self.listeners.iter().any(|listener| listener.has_clients)
    }

    fn meet_next(&mut self) -> Met {
        if let Admission::PausedUntil(until) = self.admission {
            if self.shared.clock.now() < until {
                return Met::Nobody;
            }
            self.admission = Admission::Open;
        }
        while let Some(route) = self.next_with_clients() {
            let connections_max = self.shared.tunables.load().connections_max;
            let sockets_max = connections_max.saturating_add(sockets_above(connections_max));
            if self.shared.client_sockets.load(Relaxed) >= sockets_max {
                self.pause(ROOM_PAUSE);
                return Met::Nobody;
            }
            match self.accept(route) {
                Ok(accepted) => {
                    self.next = route + 1;
                    return self.hand_over(route, accepted);
                }
                // The client left before it was served, or there is none.
                Err(error) if is_harmless(&error) => {}
                Err(error) => {
                    self.complain(route, &error);
                    self.pause(FAILURE_PAUSE);
                    return Met::Nobody;
                }
            }
        }
        Met::Nobody
    }

    /// Stops listening, and returns who waited for this reactor's worker; the others' have theirs. The ports are free
    /// when this returns.
    ///
    /// Whoever the kernel has let in already would see a reset. Where other sockets share the port, new clients may
    /// come as fast as we accept: those that a full queue holds are all that can have been there at the beginning.
    pub(super) fn close(mut self, registry: &Registry) -> Vec<Newcomer> {
        let mut own = Vec::new();
        let has_successor = self.shared.has_successor.load(Relaxed);
        for route in 0..self.listeners.len() {
            let Some(listener) = self.listeners.get_mut(route) else {
                continue;
            };
            // An error says that it was not open yet.
            let _ = registry.deregister(&mut SourceFd(&listener.handed.socket.as_raw_fd()));
            let is_left_to_others = listener.handed.is_kept_elsewhere || has_successor;
            listener.has_clients = !is_left_to_others;
            for _ in 0..=BACKLOG {
                match self.accept(route) {
                    Ok(accepted) => match self.hand_over(route, accepted) {
                        Met::Own(newcomer) => own.push(*newcomer),
                        Met::Others | Met::Nobody => {}
                    },
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(_) => break,
                }
            }
        }
        own
    }

    /// The listener whose turn it is, of those that have clients.
    fn next_with_clients(&self) -> Option<usize> {
        let count = self.listeners.len();
        let has_clients = |route: &usize| {
            let listener = self.listeners.get(*route);
            listener.is_some_and(|listener| listener.has_clients)
        };
        (self.next..self.next + count)
            .map(|turn| turn % count)
            .find(has_clients)
    }

    /// A client of the listener, where it may have one.
    fn accept(&mut self, route: usize) -> io::Result<(TcpStream, SocketAddr)> {
        let nobody = || io::Error::from(io::ErrorKind::WouldBlock);
        let listener = self.listeners.get_mut(route).ok_or_else(nobody)?;
        if !listener.has_clients {
            return Err(nobody());
        }
        let accepted = direct::accept(&listener.handed.socket);
        match &accepted {
            Ok(_) => listener.is_failing = false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => listener.has_clients = false,
            Err(_) => {}
        }
        accepted
    }

    fn complain(&mut self, route: usize, error: &io::Error) {
        let figures = &self.shared.route(route).figures;
        figures.count_error(ConnectionError::Accept);
        if let Some(listener) = self.listeners.get_mut(route)
            && !std::mem::replace(&mut listener.is_failing, true)
        {
            tracing::warn!(listener = %figures.name, %error, "cannot accept for now");
        }
    }

    fn pause(&mut self, pause: Duration) {
        let until = self.shared.clock.now().0 + pause.as_nanos() as u64;
        self.admission = Admission::PausedUntil(Moment(until));
    }

    /// Gives a client to the worker with the fewest connections.
    fn hand_over(&self, route: usize, (stream, peer): (TcpStream, SocketAddr)) -> Met {
        let own = self.own_connections.load(Relaxed);
        let emptiest = self
            .doors
            .iter()
            .map(|door| (door.connections.load(Relaxed), door))
            .filter(|(connections, _)| *connections < own)
            .min_by_key(|(connections, _)| *connections);
        let at_worker = emptiest.map_or(&self.own_connections, |(_, door)| &door.connections);
        let newcomer = self.newcomer(route, stream, peer, Arc::clone(at_worker));
        match (newcomer, emptiest) {
            (Some(newcomer), Some((_, door))) => {
                door.hand_over(newcomer);
                Met::Others
            }
            (Some(newcomer), None) => Met::Own(newcomer),
            // It has gone already.
            (None, _) => Met::Others,
        }
    }

    fn newcomer(
        &self,
        route_number: usize,
        stream: TcpStream,
        peer: SocketAddr,
        at_worker: Arc<AtomicUsize>,
    ) -> Option<Box<Newcomer>> {
        let route = self.shared.route(route_number);
        let figures = Arc::clone(&route.figures);
        self.shared.client_sockets.fetch_add(1, Relaxed);
        figures.client_connections.fetch_add(1, Relaxed);
        figures.connections_total.fetch_add(1, Relaxed);
        at_worker.fetch_add(1, Relaxed);
        let presence = Presence {
            shared: Arc::clone(&self.shared),
            figures,
            at_worker,
        };
        let tunables = self.shared.tunables.load_full();
        let client = Socket::from_accepted(stream, tunables.tcp_user_timeout).ok()?;
        Some(Box::new(Newcomer {
            client,
            peer,
            route: route_number,
            accepted_at: self.shared.clock.now(),
            tunables,
            target: route.target.load_full(),
            hearing: Hearing::default(),
            presence,
        }))
    }
}

impl<T: Tap> Drop for Entrance<T> {
    fn drop(&mut self) {
        for route in 0..self.listeners.len() {
            let figures = &self.shared.route(route).figures;
            figures.listening.store(false, Relaxed);
        }
    }
}

fn is_harmless(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::WouldBlock
    )
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_has_the_options_of_its_listener() {
        let listener = bind_address(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        let first_probe = socket.tcp_keepalive_time().unwrap();
        assert_eq!(first_probe, Duration::from_secs(10));
    }
}
