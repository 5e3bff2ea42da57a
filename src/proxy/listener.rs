//! Accepts clients, on one thread for all listeners, and hands each to the worker with the fewest connections.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::direct::accept;
use super::socket::set_options;
use super::worker::{Door, run_on_thread};
use super::{
    ListenerSettings, ListeningSocket, Running, Settings, Shared, Stage, probe, sockets_above,
};
use crate::registry::ConnectionError;

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
    let socket = Socket::new(
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

/// Starts the thread that accepts.
pub(super) fn start(
    sockets: Vec<ListeningSocket>,
    shared: Arc<Shared>,
    doors: Vec<Door>,
    stage: watch::Receiver<Stage>,
    probe_interval: Option<Duration>,
    running: Running,
) -> io::Result<JoinHandle<()>> {
    run_on_thread("pgprism-accept".to_owned(), running, move || async move {
        let doors = Rc::new(doors);
        let mut tasks = JoinSet::new();
        for (route, socket) in sockets.into_iter().enumerate() {
            let acceptor = Acceptor {
                route,
                shared: Arc::clone(&shared),
                doors: Rc::clone(&doors),
            };
            tasks.spawn_local(acceptor.run(socket, stage.clone()));
            if let Some(interval) = probe_interval {
                tasks.spawn_local(probe::run(
                    route,
                    Arc::clone(&shared),
                    interval,
                    stage.clone(),
                ));
            }
        }
        drop(doors);
        while tasks.join_next().await.is_some() {}
    })
}

/// A listener that is polled for clients, and for nothing else: what tokio's own accepts is in its runtime at once.
#[expect(
    deprecated,
    reason = "unsound for a type that changes its descriptor; its successor is unsafe"
)]
fn polled(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    AsyncFd::with_interest(listener, Interest::READABLE)
}

struct Acceptor {
    route: usize,
    shared: Arc<Shared>,
    doors: Rc<Vec<Door>>,
}

impl Acceptor {
    /// Accepts until the proxy drains; the port is free when this returns.
    async fn run(self, handed: ListeningSocket, mut stage: watch::Receiver<Stage>) {
        let figures = &self.shared.route(self.route).figures;
        let listener = handed.socket.try_clone();
        drop(handed.socket);
        match listener.and_then(polled) {
            Ok(listener) => {
                // An error says that the proxy is gone, which the next line hears too.
                let _ = stage.wait_for(|stage| *stage > Stage::Prepared).await;
                tokio::select! {
                    // In this order: once it drains, who waits in the queue may be somebody else's.
                    biased;
                    _ = stage.wait_for(|stage| *stage > Stage::Running) => {}
                    () = self.accept_all(&listener) => {}
                }
                if !handed.is_kept_elsewhere && !self.shared.has_successor.load(Relaxed) {
                    self.empty_queue(listener);
                }
            }
            Err(error) => tracing::error!(listener = %figures.name, %error, "cannot accept"),
        }
        figures.listening.store(false, Relaxed);
    }

    async fn accept_all(&self, listener: &AsyncFd<TcpListener>) {
        let figures = &self.shared.route(self.route).figures;
        let mut is_failing = false;
        loop {
            let connections_max = self.shared.tunables.load().connections_max;
            let sockets_max = connections_max.saturating_add(sockets_above(connections_max));
            if self.shared.client_sockets.load(Relaxed) >= sockets_max {
                tokio::time::sleep(ROOM_PAUSE).await;
                continue;
            }
            match listener.async_io(Interest::READABLE, accept).await {
                Ok(accepted) => {
                    is_failing = false;
                    self.hand_over(accepted);
                }
                // The client left before it was served.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    figures.count_error(ConnectionError::Accept);
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(listener = %figures.name, %error, "cannot accept for now");
                    }
                    tokio::time::sleep(FAILURE_PAUSE).await;
                }
            }
        }
    }

    /// Whoever the kernel has let in already would see a reset. Where other sockets share the port, new clients may
    /// come as fast as we accept: those that a full queue holds are all that can have been there at the beginning.
    fn empty_queue(&self, listener: AsyncFd<TcpListener>) {
        let listener = listener.into_inner();
        for _ in 0..=BACKLOG {
            match accept(&listener) {
                Ok(accepted) => self.hand_over(accepted),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return,
            }
        }
    }

    /// Gives a client, whose socket is in no runtime, to a worker.
    fn hand_over(&self, accepted: (std::net::TcpStream, SocketAddr)) {
        if let Some(door) = self.doors.iter().min_by_key(|door| door.connections()) {
            door.hand_over(accepted, &self.shared, self.route);
        }
    }
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
