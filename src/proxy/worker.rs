//! One thread with its own runtime, and the connections that belong to it for their life.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::sweep::{self, Sweep};
use super::{Running, Shared, Stage, connection, drain};
use crate::event::{Direction, Moment, Taps};
use crate::registry;

/// What a worker's connections share. Never leaves its thread.
#[derive(Debug)]
pub(super) struct Worker<T> {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) taps: T,
    /// Set once the proxy drains.
    pub(super) draining: Cell<Option<drain::Plan>>,
    /// What sessions compare their age and idleness with.
    pub(super) sweep: Cell<Sweep>,
    /// Wakes each relaying connection when the drain begins, and when it shall look whether its time is up.
    sleepers: RefCell<HashMap<u64, Waker>>,
    sleeper_id_last: Cell<u64>,
    /// Forwarded reads of each direction: one in [`LATENCY_SAMPLE`] is timed to its end.
    reads: [Cell<u64>; 2],
}

/// One forwarded read in this many is timed to its end: a second look at the clock for each would be a twentieth of
/// what a read costs us.
const LATENCY_SAMPLE: u64 = 8;

impl<T> Worker<T> {
    /// Whether this read of `direction` is one that is timed, and how many reads it stands for.
    pub(super) fn sample(&self, direction: Direction) -> Option<u64> {
        let [up, down] = &self.reads;
        let reads = match direction {
            Direction::ClientToUpstream => up,
            Direction::UpstreamToClient => down,
        };
        let count = reads.get();
        reads.set(count.wrapping_add(1));
        count
            .is_multiple_of(LATENCY_SAMPLE)
            .then_some(LATENCY_SAMPLE)
    }

    /// Lets the drain and the sweeps wake whoever this waker belongs to, until the returned guard is dropped.
    pub(super) fn sleep(self: &Rc<Self>, waker: Waker) -> Sleeper<T> {
        let id = self.sleeper_id_last.get() + 1;
        self.sleeper_id_last.set(id);
        self.sleepers.borrow_mut().insert(id, waker);
        Sleeper {
            worker: Rc::clone(self),
            id,
        }
    }

    fn begin_drain(&self) -> drain::Plan {
        let plan = drain::Plan::begin(&self.shared);
        self.draining.set(Some(plan));
        self.wake_sleepers();
        plan
    }

    fn wake_sleepers(&self) {
        for waker in self.sleepers.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// Lets every session see whether its time is up; returns when to do so again.
    fn sweep(&self) -> Instant {
        let sweep = Sweep::now(&self.shared);
        self.sweep.set(sweep);
        if sweep.is_on() {
            self.wake_sleepers();
        }
        sweep::next(&self.shared.tunables.load().timeouts)
    }
}

/// Keeps a waker among those that the drain wakes.
#[derive(Debug)]
pub(super) struct Sleeper<T> {
    worker: Rc<Worker<T>>,
    id: u64,
}

impl<T> Drop for Sleeper<T> {
    fn drop(&mut self) {
        self.worker.sleepers.borrow_mut().remove(&self.id);
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

/// Starts the worker `index` on a thread of its own.
pub(super) fn start<T: Taps + Send + 'static>(
    index: usize,
    shared: Arc<Shared>,
    taps: T,
    stage: watch::Receiver<Stage>,
    running: Running,
) -> io::Result<(Door, JoinHandle<()>)> {
    let (queue, inbox) = mpsc::unbounded_channel();
    let door = Door {
        queue,
        connections: Arc::default(),
    };
    let thread = run_on_thread(
        format!("pgprism-worker-{index}"),
        running,
        move || async move {
            let worker = Rc::new(Worker {
                index,
                shared,
                taps,
                draining: Cell::new(None),
                sweep: Cell::default(),
                sleepers: RefCell::default(),
                sleeper_id_last: Cell::new(0),
                reads: Default::default(),
            });
            run(&worker, inbox, stage).await;
        },
    )?;
    Ok((door, thread))
}

/// Serves what comes through the door until the acceptor is gone and the last connection has ended.
async fn run<T: Taps + 'static>(
    worker: &Rc<Worker<T>>,
    mut inbox: mpsc::UnboundedReceiver<Accepted>,
    mut stage: watch::Receiver<Stage>,
) {
    let mut connections = JoinSet::new();
    let mut is_open = true;
    let mut last_call = None;
    let mut next_sweep = worker.sweep();
    while is_open || !connections.is_empty() {
        tokio::select! {
            accepted = inbox.recv(), if is_open => match accepted {
                Some(accepted) => {
                    connections.spawn_local(connection::serve(accepted, Rc::clone(worker)));
                }
                None => is_open = false,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            changed = stage.changed() => {
                match (changed, *stage.borrow_and_update()) {
                    (Ok(()), Stage::Prepared | Stage::Running) => {}
                    (Ok(()), Stage::Draining) => last_call = Some(worker.begin_drain().last_call()),
                    (Ok(()), Stage::Ending) | (Err(_), _) => break,
                }
            }
            () = sleep_until(next_sweep) => next_sweep = worker.sweep(),
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
