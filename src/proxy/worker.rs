//! One thread with its own runtime, for what its connections have to wait for, and the reactor that relays them.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::listener::Entrance;
use super::orders::{Door, Gate, Handle, Left};
use super::session::{Place, Session};
use super::sweep::{self, Sweep};
use super::{Running, Shared, Stage, connection, drain, probe, reactor};
use crate::event::Taps;

/// What a worker's connections share in its runtime. Never leaves its thread.
#[derive(Debug)]
pub(super) struct Worker<T: Taps> {
    pub(super) place: Place,
    pub(super) taps: Arc<T>,
    /// Set once the proxy drains.
    draining: watch::Sender<Option<drain::Plan>>,
    /// Where sessions are relayed.
    reactor: Handle<T::Tap>,
}

impl<T: Taps> Worker<T> {
    fn begin_drain(&self) -> drain::Plan {
        let plan = drain::Plan::begin(&self.place.shared);
        self.draining.send_replace(Some(plan));
        self.reactor.drain();
        plan
    }

    /// How the proxy drains, once it does.
    pub(super) fn plan(&self) -> Option<drain::Plan> {
        *self.draining.borrow()
    }

    /// Ready once the proxy has drained for so long that nobody's login is waited for any more.
    pub(super) async fn last_logins(&self) {
        let mut draining = self.draining.subscribe();
        let plan = draining.wait_for(Option::is_some).await;
        match plan.ok().and_then(|plan| *plan) {
            Some(plan) => sleep_until(plan.last_logins()).await,
            // The sender is our own: it has not gone.
            None => std::future::pending().await,
        }
    }

    /// Gives a session to the reactor.
    pub(super) fn carry(&self, session: Box<Session<T::Tap>>) {
        self.reactor.carry(session);
    }

    /// Lets every session see whether its time is up; returns when to do so again.
    fn sweep(&self, last: &mut Sweep) -> Instant {
        let shared = &self.place.shared;
        let sweep = Sweep::now(shared);
        // Once more when the last limit was taken away.
        if sweep.is_on() || last.is_on() || self.reactor.has_logins() {
            self.reactor.sweep(sweep);
        }
        *last = sweep;
        sweep::next(&shared.tunables.load().timeouts)
    }
}

/// A worker that runs: how the reactor that accepts hands clients to it, where others wait for its own reactor, and
/// their two threads.
pub(super) type Started<T> = (Door<T>, Gate, [JoinHandle<()>; 2]);

/// What only the worker does whose reactor accepts.
pub(super) struct Reception<T: Taps> {
    pub(super) entrance: Entrance<T::Tap>,
    /// Of the probes of all listeners.
    pub(super) probe_interval: Option<Duration>,
}

/// Starts the worker `index` and its reactor, on threads of their own.
pub(super) fn start<T>(
    index: usize,
    shared: &Arc<Shared>,
    taps: T,
    stage: watch::Receiver<Stage>,
    reception: Option<Reception<T>>,
    running: impl Fn() -> Running,
) -> io::Result<Started<T::Tap>>
where
    T: Taps + Send + Sync + 'static,
    T::Tap: Send,
{
    let taps = Arc::new(taps);
    let (entrance, probe_interval) = match reception {
        Some(reception) => (Some(reception.entrance), reception.probe_interval),
        None => (None, None),
    };
    // Each of the two threads counts in a shard of its own.
    let reactor = reactor::start(
        index,
        Arc::clone(shared),
        2 * index,
        Arc::clone(&taps),
        entrance,
        running(),
    )?;
    let gate = reactor.handle.gate();
    let place = Place::new(Arc::clone(shared), 2 * index + 1);
    let thread = run_on_thread(
        format!("pgprism-worker-{index}"),
        running(),
        move || async move {
            let worker = Rc::new(Worker {
                place,
                taps,
                draining: watch::Sender::new(None),
                reactor: reactor.handle,
            });
            run(&worker, reactor.left, stage, probe_interval).await;
        },
    )?;
    Ok((reactor.door, gate, [thread, reactor.thread]))
}

/// Shards of a listener's figures that so many workers need.
pub(super) fn shards_of(workers: usize) -> usize {
    2 * workers
}

/// Serves whoever leaves the reactor until that is gone and the last connection has ended.
async fn run<T>(
    worker: &Rc<Worker<T>>,
    mut left: mpsc::UnboundedReceiver<Left<T::Tap>>,
    mut stage: watch::Receiver<Stage>,
    probe_interval: Option<Duration>,
) where
    T: Taps + 'static,
    T::Tap: Send,
{
    let mut tasks = JoinSet::new();
    if let Some(interval) = probe_interval {
        for route in 0..worker.place.shared.routes.len() {
            let shared = Arc::clone(&worker.place.shared);
            tasks.spawn_local(probe::run(route, shared, interval, stage.clone()));
        }
    }
    let mut is_relaying = true;
    let mut last_call = None;
    let mut last_sweep = Sweep::default();
    let mut next_sweep = worker.sweep(&mut last_sweep);
    // Once the proxy drains, all have left the reactor, and none goes there any more.
    while is_relaying || !tasks.is_empty() {
        tokio::select! {
            somebody = left.recv(), if is_relaying => match somebody {
                Some(left) => {
                    tasks.spawn_local(connection::take(left, Rc::clone(worker)));
                }
                None => is_relaying = false,
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            changed = stage.changed() => {
                match (changed, *stage.borrow_and_update()) {
                    (Ok(()), Stage::Prepared) => {}
                    (Ok(()), Stage::Running) => worker.reactor.open(),
                    (Ok(()), Stage::Draining) => last_call = Some(worker.begin_drain().last_call()),
                    (Ok(()), Stage::Ending) | (Err(_), _) => break,
                }
            }
            () = sleep_until(next_sweep) => next_sweep = worker.sweep(&mut last_sweep),
            // What a drain could not end gently, a connection stuck in its startup phase for one, it ends so.
            () = until(last_call), if last_call.is_some() => break,
        }
    }
    tasks.shutdown().await;
}

async fn until(instant: Option<Instant>) {
    if let Some(instant) = instant {
        sleep_until(instant).await;
    }
}

/// Runs a future that never leaves its thread on a thread of its own; returns once its runtime is built.
fn run_on_thread<F: Future<Output = ()> + 'static>(
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
