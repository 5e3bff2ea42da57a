//! One thread with its own runtime, and the connections that belong to it for their life.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::reactor::{Gate, Handle, Left};
use super::session::{Place, Session};
use super::sweep::{self, Sweep};
use super::{Running, Shared, Stage, connection, drain, reactor};
use crate::event::{Moment, Taps};
use crate::registry;

/// What a worker's connections share. Never leaves its thread.
#[derive(Debug)]
pub(super) struct Worker<T: Taps> {
    pub(super) place: Place,
    pub(super) taps: T,
    /// Set once the proxy drains.
    pub(super) draining: Cell<Option<drain::Plan>>,
    /// Where sessions go once they have two sockets.
    reactor: Handle<T::Tap>,
    /// When the last login that was carried may take no longer.
    logins_until: Cell<Option<Instant>>,
}

impl<T: Taps> Worker<T> {
    fn begin_drain(&self) -> drain::Plan {
        let plan = drain::Plan::begin(&self.place.shared);
        self.draining.set(Some(plan));
        self.reactor.drain();
        plan
    }

    /// Gives a session to the reactor.
    pub(super) fn carry(&self, session: Box<Session<T::Tap>>) {
        if session.follows_login() {
            self.logins_until.set(Some(session.facts.login_deadline));
        }
        self.reactor.carry(session);
    }

    /// Lets every session see whether its time is up; returns when to do so again.
    fn sweep(&self, last: &mut Sweep) -> Instant {
        let shared = &self.place.shared;
        let sweep = Sweep::now(shared);
        let logins_until = self.logins_until.get();
        if logins_until.is_some_and(|until| until <= Instant::now()) {
            self.logins_until.set(None);
        }
        // Once more when the last limit was taken away.
        if sweep.is_on() || last.is_on() || logins_until.is_some() {
            self.reactor.sweep(sweep);
        }
        *last = sweep;
        sweep::next(&shared.tunables.load().timeouts)
    }
}

/// A client socket on its way from the acceptor to its worker.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) route: usize,
    pub(super) at: Moment,
    pub(super) presence: Presence,
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

/// Where the acceptor hands over the sockets of one worker.
///
/// The queue has no bound of its own: what is in it is counted in `client_sockets`, which has one.
#[derive(Debug)]
pub(super) struct Door {
    queue: mpsc::UnboundedSender<Accepted>,
    connections: Arc<AtomicUsize>,
}

impl Door {
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    pub(super) fn hand_over(
        &self,
        (stream, peer): (TcpStream, SocketAddr),
        shared: &Arc<Shared>,
        route: usize,
    ) {
        let figures = &shared.route(route).figures;
        shared.client_sockets.fetch_add(1, Relaxed);
        figures.client_connections.fetch_add(1, Relaxed);
        figures.connections_total.fetch_add(1, Relaxed);
        self.connections.fetch_add(1, Relaxed);
        // An error says that the worker has ended: the socket is closed with what comes back.
        let _ = self.queue.send(Accepted {
            stream,
            peer,
            route,
            at: shared.clock.now(),
            presence: Presence {
                shared: Arc::clone(shared),
                figures: Arc::clone(figures),
                at_worker: Arc::clone(&self.connections),
            },
        });
    }
}

/// A worker that runs: where it takes sockets, where others wait for its reactor, and the two threads.
pub(super) type Started = (Door, Gate, [JoinHandle<()>; 2]);

/// Starts the worker `index` and its reactor, on threads of their own.
pub(super) fn start<T>(
    index: usize,
    shared: &Arc<Shared>,
    taps: T,
    stage: watch::Receiver<Stage>,
    running: impl Fn() -> Running,
) -> io::Result<Started>
where
    T: Taps + Send + 'static,
    T::Tap: Send,
{
    let (queue, inbox) = mpsc::unbounded_channel();
    let door = Door {
        queue,
        connections: Arc::default(),
    };
    // Each of the two threads counts in a shard of its own.
    let (reactor, left, relaying) =
        reactor::start(index, Arc::clone(shared), 2 * index, running())?;
    let gate = reactor.gate();
    let place = Place::new(Arc::clone(shared), 2 * index + 1);
    let thread = run_on_thread(
        format!("pgprism-worker-{index}"),
        running(),
        move || async move {
            let worker = Rc::new(Worker {
                place,
                taps,
                draining: Cell::new(None),
                reactor,
                logins_until: Cell::new(None),
            });
            run(&worker, inbox, left, stage).await;
        },
    )?;
    Ok((door, gate, [thread, relaying]))
}

/// Shards of a listener's figures that so many workers need.
pub(super) fn shards_of(workers: usize) -> usize {
    2 * workers
}

/// Serves what comes through the door until the acceptor is gone and the last connection has ended.
async fn run<T>(
    worker: &Rc<Worker<T>>,
    mut inbox: mpsc::UnboundedReceiver<Accepted>,
    mut left: mpsc::UnboundedReceiver<Left<T::Tap>>,
    mut stage: watch::Receiver<Stage>,
) where
    T: Taps + 'static,
    T::Tap: Send,
{
    let mut connections = JoinSet::new();
    let mut is_open = true;
    let mut is_relaying = true;
    let mut last_call = None;
    let mut last_sweep = Sweep::default();
    let mut next_sweep = worker.sweep(&mut last_sweep);
    // Once the proxy drains, all sessions have left the reactor, and none goes there any more.
    while is_open || is_relaying || !connections.is_empty() {
        tokio::select! {
            accepted = inbox.recv(), if is_open => match accepted {
                Some(accepted) => {
                    connections.spawn_local(connection::serve(accepted, Rc::clone(worker)));
                }
                None => is_open = false,
            },
            session = left.recv(), if is_relaying => match session {
                Some(session) => {
                    connections.spawn_local(connection::take_back(session, Rc::clone(worker)));
                }
                None => is_relaying = false,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            changed = stage.changed() => {
                match (changed, *stage.borrow_and_update()) {
                    (Ok(()), Stage::Prepared | Stage::Running) => {}
                    (Ok(()), Stage::Draining) => last_call = Some(worker.begin_drain().last_call()),
                    (Ok(()), Stage::Ending) | (Err(_), _) => break,
                }
            }
            () = sleep_until(next_sweep) => next_sweep = worker.sweep(&mut last_sweep),
            // What a drain could not end gently, a connection stuck in its startup phase for one, it ends so.
            () = until(last_call), if last_call.is_some() => break,
        }
    }
    connections.shutdown().await;
}

async fn until(instant: Option<Instant>) {
    if let Some(instant) = instant {
        sleep_until(instant).await;
    }
}

/// Runs a future that never leaves its thread on a thread of its own; returns once its runtime is built.
pub(super) fn run_on_thread<F: Future<Output = ()> + 'static>(
    name: String,
    running: Running,
    make: impl FnOnce() -> F + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let (built, is_built) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let _running = running;
        let runtime = match Builder::new_current_thread()
            .enable_all()
            .thread_keep_alive(Duration::from_secs(10))
            .build_local(LocalOptions::default())
        {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = built.send(Err(error));
                return;
            }
        };
        let _ = built.send(Ok(()));
        runtime.block_on(make());
        // A name that is being resolved must not keep the process.
        runtime.shutdown_background();
    })?;
    is_built
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the thread ended at once")))?;
    Ok(thread)
}
