//! Listener, connection, relay, TLS, cancel, drain: moves the bytes and knows nothing of what they mean.
//!
//! Where the bytes of a connection go, from the first on:
//!
//! ```text
//!              ┌──────────────── reactor, a thread of each worker ────────────────┐
//!  client ═══► │ listener ─► newcomer ─────────────────────► session ◄══════════► │ ◄═══► upstream
//!              │ accept      SSLRequest: `N`                 login, then          │
//!              │ (the first  StartupMessage: seat, connect,  relay, tap           │
//!              │  worker's)  send it on                                           │
//!              └───────────────────┼──────────────────▲────────┼──────────────────┘
//!                                  ▼ Arrival          │ carry  ▼ Parting
//!              ┌───────── connection, in the worker's runtime, the other thread ──┐
//!              │ TLS, a name to resolve, an upstream       goodbye, drain,        │
//!              │ that takes its time, CancelRequest,       limits, errors         │
//!              │ whoever is refused                                               │
//!              └──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! *Architecture invariants:* a connection belongs to one worker for its life, and a plain one to one thread of it: the
//! reactor never waits but for sockets, and whatever has to wait for anything else is done in the runtime, and only there;
//! one step moves both directions of a session; [`relay`] knows bytes and a [`crate::event::Tap`], nothing else; whatever
//! observation does, the bytes go on. Start reading in [`newcomer`], then [`connection`].

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]

mod cancel;
mod connection;
mod delay;
mod direct;
mod drain;
mod fence;
mod greeting;
mod line;
mod listener;
mod login;
mod newcomer;
mod orders;
mod pace;
mod probe;
mod pulse;
mod reactor;
pub mod relay;
mod route;
mod seats;
mod secured;
mod session;
mod settings;
mod socket;
mod sweep;
pub mod tls;
mod token;
mod unseen;
mod upstream;
mod urgency;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::event::Taps;
use crate::registry::Registry;

pub use fence::Fence;
pub use settings::{ListenerSettings, ListeningSocket, Settings, Timeouts, TlsMode, Tunables};
pub use upstream::UpstreamAddress;

use listener::Entrance;
use route::{Route, Target, UpstreamGauge};

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address could not be bound: busy, not ours, not permitted, not resolvable.
    #[error("listener {listener}: cannot listen on {address}: {source}")]
    Listen {
        /// Name of the listener.
        listener: Arc<str>,
        /// Address as configured.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or its runtime could not be made.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
    /// `taps` was empty: there would be no worker.
    #[error("no workers")]
    NoWorkers,
}

/// Why a reload was refused; nothing was changed then.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReloadError {
    /// Listeners cannot be added, removed or renamed while the proxy runs.
    #[error("listeners cannot be added, removed or renamed by a reload")]
    Listeners,
    /// A listener's address cannot be changed while the proxy runs.
    #[error("listener {listener}: its address cannot be changed by a reload")]
    Address {
        /// Name of the listener.
        listener: Arc<str>,
    },
}

/// How many workers suit this machine: one for every two cores, and two where there are two.
///
/// A worker carries some 40,000 queries a second; the other core is for those who ask and who answer. One alone serves
/// all its clients in turn: with 8 to 128 of them the median wait is a tenth to a fifth longer than where two do. Two on
/// two cores are woken more often, for less each time, which costs a twentieth more for each query.
pub fn default_worker_count() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| workers_for(cores.get()))
}

fn workers_for(cores: usize) -> usize {
    cores.div_ceil(2).max(cores.min(2))
}

/// Raises this process's limit of file descriptors to its hard limit and returns how many connections fit: `setting`,
/// or what the limit leaves room for, whichever is less.
///
/// A connection has two sockets. Beside them there is room for the sockets above the maximum, by which a client is told
/// that there is no room and another one cancels, and for the process's own files.
pub fn fit_connections_max(setting: usize) -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return setting;
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    setting.min(connections_within(
        usize::try_from(limit).unwrap_or(usize::MAX),
    ))
}

/// Descriptors for listeners, runtimes, logs and the admin address.
const OWN_DESCRIPTORS: usize = 128;
/// Sockets above the maximum: a quarter of it, within these bounds.
const SOCKETS_ABOVE_MAX: std::ops::RangeInclusive<usize> = 32..=256;

/// Client sockets above `connections_max` that are let in, to be told so, or to cancel; further ones wait in the
/// kernel's queue.
fn sockets_above(connections_max: usize) -> usize {
    (connections_max / 4).clamp(*SOCKETS_ABOVE_MAX.start(), *SOCKETS_ABOVE_MAX.end())
}

/// The most connections whose sockets, and the sockets above them, fit into so many descriptors.
fn connections_within(descriptors: usize) -> usize {
    let free = descriptors.saturating_sub(OWN_DESCRIPTORS);
    // Two for each connection, and two for each socket above: a cancel has an upstream too.
    let with_share = free / 5 * 2;
    let with_most = free.saturating_sub(2 * SOCKETS_ABOVE_MAX.end()) / 2;
    with_share.max(with_most).max(1)
}

/// A running proxy. Dropping it ends every connection at once; see [`Proxy::drain`] for the gentle way.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    listen: Vec<String>,
    stage: watch::Sender<Stage>,
    /// Threads that have not ended.
    running: watch::Receiver<usize>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    addresses: Vec<(Arc<str>, SocketAddr)>,
    /// Copies of the acceptor's, for a successor; empty once the drain has begun.
    sockets: Mutex<Vec<ListeningSocket>>,
    fence: Fence,
}

impl Proxy {
    /// [`Proxy::prepare`], then [`Proxy::open`].
    pub fn start<T>(
        settings: Settings,
        registry: Arc<Registry>,
        clock: Clock,
        taps: Vec<T>,
    ) -> Result<Proxy, StartError>
    where
        T: Taps + Send + Sync + 'static,
        T::Tap: Send,
    {
        let proxy = Proxy::prepare(settings, registry, clock, taps)?;
        proxy.open();
        Ok(proxy)
    }

    /// Binds all listeners, then starts one worker for each of `taps`, the first of which will accept. Until the proxy
    /// is opened, clients wait in the listeners' queues.
    pub fn prepare<T>(
        settings: Settings,
        registry: Arc<Registry>,
        clock: Clock,
        taps: Vec<T>,
    ) -> Result<Proxy, StartError>
    where
        T: Taps + Send + Sync + 'static,
        T::Tap: Send,
    {
        if taps.is_empty() {
            return Err(StartError::NoWorkers);
        }
        let mut sockets = Vec::new();
        let mut routes = Vec::new();
        let mut addresses = Vec::new();
        for listener in &settings.listeners {
            let (socket, address) =
                listener::open(listener, &settings).map_err(|source| StartError::Listen {
                    listener: Arc::clone(&listener.name),
                    address: listener.listen.clone(),
                    source,
                })?;
            let figures = registry.add_listener(
                Arc::clone(&listener.name),
                address.to_string().into(),
                worker::shards_of(taps.len()),
            );
            figures.observe.store(listener.observe, Relaxed);
            figures.set_upstream_address(listener.upstream.to_string().into());
            addresses.push((Arc::clone(&listener.name), address));
            sockets.push(socket);
            routes.push(Arc::new(Route {
                figures,
                target: ArcSwap::from_pointee(Target::of(listener)),
                suspect: Notify::new(),
            }));
        }
        note_latency(&registry, &settings.tunables);
        registry.set_connections_max(settings.tunables.connections_max);
        let shared = Arc::new(Shared {
            registry,
            clock,
            tunables: ArcSwap::from_pointee(settings.tunables),
            routes,
            cancel_keys: cancel::CancelKeys::default(),
            seats: seats::Seats::default(),
            client_sockets: AtomicUsize::new(0),
            has_successor: AtomicBool::new(false),
        });
        let (stage, _) = watch::channel(Stage::Prepared);
        let (running_count, running) = watch::channel(0);
        let mut proxy = Proxy {
            shared: Arc::clone(&shared),
            listen: settings.listeners.into_iter().map(|l| l.listen).collect(),
            stage,
            running,
            threads: Mutex::default(),
            addresses,
            sockets: Mutex::new(sockets.clone()),
            fence: Fence::new(Vec::new()),
        };
        let threads = proxy
            .threads
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let (mut doors, mut gates) = (Vec::new(), Vec::new());
        let mut sockets = Some(sockets);
        // The first one last: its reactor accepts for all, so it needs the others' doors.
        for (index, taps) in taps.into_iter().enumerate().rev() {
            let sockets = sockets.take_if(|_| index == 0);
            let reception = sockets.map(|sockets| worker::Reception {
                entrance: Entrance::new(Arc::clone(&shared), sockets, std::mem::take(&mut doors)),
                probe_interval: settings.probe_interval,
            });
            let (door, gate, its_threads) = worker::start(
                index,
                &shared,
                taps,
                proxy.stage.subscribe(),
                reception,
                || Running::begin(&running_count),
            )
            .map_err(StartError::Worker)?;
            doors.push(door);
            gates.push(gate);
            threads.extend(its_threads);
        }
        proxy.fence = Fence::new(gates);
        Ok(proxy)
    }

    /// Begins to accept.
    pub fn open(&self) {
        self.advance(Stage::Running);
    }

    /// Name and bound address of each listener, in the order of the settings.
    pub fn bound_addresses(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.addresses
    }

    /// Where who asks what was seen waits until all was.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Switches observation for the listener `name`, or for all: off at once (each tap reads the flag), on for new
    /// sessions. No session is touched. False when there is no such listener.
    pub fn set_observe(&self, name: Option<&str>, observe: bool) -> bool {
        let mut found = false;
        for route in &self.shared.routes {
            if name.is_none_or(|name| *route.figures.name == *name) {
                route.figures.observe.store(observe, Relaxed);
                found = true;
            }
        }
        found
    }

    /// Takes over what can change while the proxy runs: [`Tunables`], each listener's upstream, TLS mode and
    /// `observe`. Refused whole when anything else differs. `reuse_port` and `probe_interval` are not looked at.
    pub fn reload(&self, settings: &Settings) -> Result<(), ReloadError> {
        if settings.listeners.len() != self.shared.routes.len() {
            return Err(ReloadError::Listeners);
        }
        let known = || self.shared.routes.iter().zip(&self.listen);
        for (new, (route, listen)) in settings.listeners.iter().zip(known()) {
            if new.name != route.figures.name {
                return Err(ReloadError::Listeners);
            }
            if new.listen != *listen {
                return Err(ReloadError::Address {
                    listener: Arc::clone(&new.name),
                });
            }
        }
        for (new, (route, _)) in settings.listeners.iter().zip(known()) {
            let target = Target::of(new);
            if !route.target.load().is_same(&target) {
                route.target.store(Arc::new(target));
            }
            route
                .figures
                .set_upstream_address(new.upstream.to_string().into());
            route.figures.observe.store(new.observe, Relaxed);
        }
        note_latency(&self.shared.registry, &settings.tunables);
        self.shared
            .registry
            .set_connections_max(settings.tunables.connections_max);
        self.shared
            .tunables
            .store(Arc::new(settings.tunables.clone()));
        Ok(())
    }

    /// The sockets it listens on, for another process; none once the drain has begun.
    pub fn listening_sockets(&self) -> Vec<ListeningSocket> {
        self.lock_sockets().clone()
    }

    /// [`Proxy::begin_drain`] after another process got [`Proxy::listening_sockets`]: clients that wait in their queues
    /// are left to it.
    pub fn leave_to_successor(&self) {
        self.shared.has_successor.store(true, Relaxed);
        self.begin_drain();
    }

    /// Releases the listeners' ports and begins to end the sessions as [`drain`] says; returns at once.
    pub fn begin_drain(&self) {
        self.lock_sockets().clear();
        self.advance(Stage::Draining);
    }

    /// Ends every connection now.
    pub fn end_now(&self) {
        self.lock_sockets().clear();
        self.advance(Stage::Ending);
    }

    /// Waits until every connection has ended, after [`Proxy::begin_drain`] or [`Proxy::end_now`].
    pub async fn wait(&self) {
        let mut running = self.running.clone();
        // An error says that every sender is gone, with the threads that held them.
        let _ = running.wait_for(|count| *count == 0).await;
    }

    /// [`Proxy::begin_drain`], then [`Proxy::wait`].
    pub async fn drain(&self) {
        self.begin_drain();
        self.wait().await;
    }

    /// Goes on to `next`, never back.
    fn advance(&self, next: Stage) {
        self.stage.send_if_modified(|stage| {
            let is_later = *stage < next;
            *stage = next.max(*stage);
            is_later
        });
    }

    fn lock_sockets(&self) -> MutexGuard<'_, Vec<ListeningSocket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells readers of the registry what is added to round trips.
fn note_latency(registry: &Registry, tunables: &Tunables) {
    let nanoseconds = tunables.add_latency.as_nanos();
    registry.set_add_latency_ns(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end_now();
        let threads = self
            .threads
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A worker that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}

/// How far the proxy has come in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Everything is there; nobody is let in.
    Prepared,
    Running,
    Draining,
    Ending,
}

/// What all threads of a proxy share.
#[derive(Debug)]
struct Shared {
    registry: Arc<Registry>,
    clock: Clock,
    tunables: ArcSwap<Tunables>,
    routes: Vec<Arc<Route>>,
    cancel_keys: cancel::CancelKeys,
    /// Connections counted against `connections_max`: those whose StartupMessage came.
    seats: seats::Seats,
    /// All client sockets, those in their startup phase and those of CancelRequests included.
    client_sockets: AtomicUsize,
    /// Whether another process accepts from the same sockets.
    has_successor: AtomicBool,
}

impl Shared {
    /// The listener with this number.
    #[allow(
        clippy::indexing_slicing,
        reason = "numbers are given to listeners at the start, and no listener goes before its proxy"
    )]
    fn route(&self, number: usize) -> &Arc<Route> {
        &self.routes[number]
    }
}

/// Counts a thread among those that run, until it is dropped.
struct Running(watch::Sender<usize>);

impl Running {
    fn begin(count: &watch::Sender<usize>) -> Running {
        count.send_modify(|count| *count += 1);
        Running(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_for_every_two_cores_and_two_on_two() {
        let workers = [1, 2, 3, 4, 5, 8, 64].map(workers_for);
        assert_eq!(workers, [1, 2, 2, 2, 3, 4, 32]);
    }

    #[test]
    fn all_descriptors_that_may_be_wanted_at_the_cap_fit_into_the_limit() {
        for limit in (256..5000).chain([20_000, 65_536, 1 << 20]) {
            let connections = connections_within(limit);
            let wanted = 2 * (connections + sockets_above(connections)) + OWN_DESCRIPTORS / 2;
            assert!(wanted <= limit, "{connections} of {limit}: {wanted}");
            assert!(connections * 6 >= limit, "{connections} of {limit}: few");
        }
        assert_eq!(connections_within(64), 1);
    }
}
