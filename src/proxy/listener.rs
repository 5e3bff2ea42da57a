//! Accepts clients, on one thread for all listeners, and hands each to the worker with the fewest connections.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::worker::{Door, run_on_thread};
use super::{Running, Shared, Stage, UpstreamGauge, upstream};
use crate::registry::ConnectionError;

/// Client sockets above `connections_max` that are let in, to be told so, or to cancel; further ones wait in the
/// kernel's queue.
const SOCKETS_ABOVE_MAX: usize = 256;
/// How long to wait when there is no room, or when `accept` failed: long enough not to spin.
const ROOM_PAUSE: Duration = Duration::from_millis(10);
const FAILURE_PAUSE: Duration = Duration::from_millis(50);
/// Clients the kernel keeps for us; it takes less where `net.core.somaxconn` is less.
const BACKLOG: i32 = 4096;

/// Listens on the first of the addresses that `listen` stands for and that can be bound.
pub(super) fn bind(listen: &str, reuse_port: bool) -> io::Result<(TcpListener, SocketAddr)> {
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
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Starts the thread that accepts.
pub(super) fn start(
    listeners: Vec<TcpListener>,
    shared: Arc<Shared>,
    doors: Vec<Door>,
    stage: watch::Receiver<Stage>,
    probe_interval: Option<Duration>,
    running: Running,
) -> io::Result<JoinHandle<()>> {
    run_on_thread("pgprism-accept".to_owned(), running, move || async move {
        let doors = Rc::new(doors);
        let mut tasks = JoinSet::new();
        for (route, listener) in listeners.into_iter().enumerate() {
            let acceptor = Acceptor {
                route,
                shared: Arc::clone(&shared),
                doors: Rc::clone(&doors),
            };
            tasks.spawn_local(acceptor.run(listener, stage.clone()));
            if let Some(interval) = probe_interval {
                tasks.spawn_local(probe(route, Arc::clone(&shared), interval, stage.clone()));
            }
        }
        drop(doors);
        while tasks.join_next().await.is_some() {}
    })
}

struct Acceptor {
    route: usize,
    shared: Arc<Shared>,
    doors: Rc<Vec<Door>>,
}

impl Acceptor {
    /// Accepts until the proxy drains; the port is free when this returns.
    async fn run(self, listener: TcpListener, mut stage: watch::Receiver<Stage>) {
        let figures = &self.shared.routes[self.route].figures;
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                tokio::select! {
                    _ = stage.wait_for(|stage| *stage != Stage::Running) => {}
                    () = self.accept_all(&listener) => {}
                }
                // Whoever the kernel has let in already would see a reset.
                if let Ok(listener) = listener.into_std() {
                    while let Ok(accepted) = listener.accept() {
                        self.hand_over(accepted);
                    }
                }
            }
            Err(error) => tracing::error!(listener = %figures.name, %error, "cannot accept"),
        }
        figures.listening.store(false, Relaxed);
    }

    async fn accept_all(&self, listener: &tokio::net::TcpListener) {
        let figures = &self.shared.routes[self.route].figures;
        let mut is_failing = false;
        loop {
            let sockets_max = self
                .shared
                .tunables
                .load()
                .connections_max
                .saturating_add(SOCKETS_ABOVE_MAX);
            if self.shared.client_sockets.load(Relaxed) >= sockets_max {
                tokio::time::sleep(ROOM_PAUSE).await;
                continue;
            }
            // It goes to its worker's runtime: out of this one's.
            let accepted = match listener.accept().await {
                Ok((stream, peer)) => stream.into_std().map(|stream| (stream, peer)),
                Err(error) => Err(error),
            };
            match accepted {
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

    fn hand_over(&self, accepted: (std::net::TcpStream, SocketAddr)) {
        if accepted.0.set_nonblocking(true).is_err() {
            return;
        }
        if let Some(door) = self.doors.iter().min_by_key(|door| door.connections()) {
            door.hand_over(accepted, &self.shared, self.route);
        }
    }
}

/// Keeps `upstream_up` true to life while no client connects: tries when nobody has for an interval.
async fn probe(
    route: usize,
    shared: Arc<Shared>,
    interval: Duration,
    mut stage: watch::Receiver<Stage>,
) {
    let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    let figures = &shared.routes[route].figures;
    loop {
        let state = figures.upstream();
        let is_recent = state
            .tried_at
            .is_some_and(|at| shared.clock.now().since(at) < interval_ns);
        let is_in_use = state.up == Some(true) && figures.upstream_connections.load(Relaxed) > 0;
        if !is_recent && !is_in_use {
            let target = shared.routes[route].target.load_full();
            let tunables = shared.tunables.load_full();
            let _gauge = UpstreamGauge::raise(Arc::clone(figures));
            let result = upstream::connect(&target, &tunables).await;
            upstream::note(figures, &result, shared.clock.now());
            if let (Ok((upstream, _)), Some(acceptor)) = (&result, target.tls.acceptor()) {
                target.binding.check(&figures.name, acceptor, upstream);
            }
        }
        tokio::select! {
            _ = stage.wait_for(|stage| *stage != Stage::Running) => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}
