//! The one place that joins rooms: builds them from the settings, runs them, ends them in order.
//!
//! ```text
//!  threads: acceptor, one worker a core (proxy + observer) | collector (aggregate) | analyst | slow log | admin | main
//! ```
//!
//! [`serve`] reads as the life of the process; [`settings`] says which key of the configuration goes to which room.

mod admin;
mod analyst;
mod collector;
mod handover;
mod life;
mod ports;
mod reload;
mod settings;
mod sockets;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::advise::Guide;
use crate::aggregate::Store;
use crate::analysis::{Analysis, Feed};
use crate::catalog::{self, Catalog};
use crate::clock::Clock;
use crate::config::Config;
use crate::export::http::Access;
use crate::export::slow_log::{SlowLog, Writer};
use crate::fault::Faults;
use crate::observer::{Observer, Shared};
use crate::proxy::{self, Proxy, StartError};
use crate::registry::Registry;

use admin::Admin;
use analyst::Analyst;
use collector::Collector;
use handover::{Invocation, Predecessor};
use life::Signals;
use sockets::Offers;

/// How long the slow log's last lines may take when the process ends.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(2);

/// Why the proxy could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A listener's port was taken, or not ours to take.
    #[error(
        "{0}; is another pgprism running? Choose another port with --listen (port 0 takes a free one)"
    )]
    Listen(StartError),
    /// The admin port was taken.
    #[error(
        "admin: cannot listen on {address}: {source}; choose another port with --admin (port 0 takes a free one)"
    )]
    ListenAdmin {
        /// The address as configured.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The listening sockets of systemd, or of the process that this one replaces, cannot be taken.
    #[error("cannot take over listening sockets: {0}")]
    TakeOver(io::Error),
    /// The slow log's file cannot be written.
    #[error("slow log {path}: {source}; name a file that can be written with --slow-log, or - for stdout", path = path.display())]
    SlowLog {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The ports file cannot be written.
    #[error("ports file {path}: {source}", path = path.display())]
    PortsFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The proxy's own fault, or the system's refusal to start a thread.
    #[error("cannot {doing}: {source}")]
    Internal {
        /// What it was about to do.
        doing: &'static str,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AppError {
    /// The exit status it stands for: 69 for what was not available, 70 for an internal error.
    pub fn exit_status(&self) -> u8 {
        match self {
            AppError::Internal { .. } => 70,
            _ => 69,
        }
    }

    fn internal(
        doing: &'static str,
    ) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> AppError {
        move |source| AppError::Internal { doing, source }
    }
}

/// Everything that runs, and what a reload needs to reach.
struct Running {
    config: Config,
    connections_max: usize,
    registry: Arc<Registry>,
    store: Arc<Store>,
    shared: Arc<Shared>,
    proxy: Proxy,
    feed: Arc<Feed>,
    slow_log: Writer,
    access: Option<Access>,
    guide: Arc<Guide>,
    invocation: Invocation,
    /// A copy of what the admin thread listens on, for a successor.
    admin_socket: Option<admin::Socket>,
    faults: Faults,
}

/// Runs the proxy until it is told to end; [`life`] says by which signals. `faults` go wrong on purpose.
pub fn serve(config: Config, faults: &Faults) -> Result<(), AppError> {
    log_panics_once();
    let (predecessor, mut offers) = meet_predecessor().map_err(AppError::TakeOver)?;
    let invocation = Invocation::of_this_process()
        .map_err(|error| AppError::internal("find this program")(error.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AppError::internal("start the runtime")(error.into()))?;
    let _entered = runtime.enter();
    let mut signals = Signals::listen()
        .map_err(|error| AppError::internal("listen for signals")(error.into()))?;

    let clock = Clock::start();
    let registry = Arc::new(Registry::new());
    let store = Store::new(&settings::aggregate(&config));
    let shared = settings::observer(&config, faults);
    let guide = Arc::new(Guide::default());
    guide.set_models(Arc::clone(&config.advise.map));
    let slow_log = start_slow_log(&config, &shared, &store, clock, faults)?;
    let sockets = offers.take_listeners(&config);
    let admin_socket = admin::bind(config.admin.listen, offers.take_admin(&config))?;
    offers.close();

    let connections_max = proxy::fit_connections_max(config.limits.connections_max);
    let workers = match config.workers {
        0 => proxy::default_worker_count(),
        workers => workers,
    };
    let observers: Vec<Observer> = (0..workers)
        .map(|_| Observer::new(Arc::clone(&shared), &store, config.limits.ring_events_max))
        .collect();
    let rings = observers.iter().map(Observer::ring).collect();
    let proxy = Proxy::prepare(
        proxy::Settings {
            sockets,
            ..settings::proxy(&config, connections_max)
        },
        Arc::clone(&registry),
        clock,
        observers,
    )
    .map_err(|error| match error {
        StartError::Listen { .. } => AppError::Listen(error),
        _ => AppError::internal("start the proxy")(error.into()),
    })?;
    if connections_max < config.limits.connections_max {
        tracing::warn!(
            connections_max,
            "the limit of open files allows no more connections"
        );
    }
    let analyst = Analysis::new(
        Arc::clone(&store),
        Arc::clone(&guide),
        settings::analysis(&config, &registry, faults),
    )
    .and_then(|analysis| Analyst::start(analysis, rings, clock, config.tick, faults))
    .map_err(|error| AppError::internal("start the analysis")(error.into()))?;
    let feed = analyst.feed();
    let collector = Collector::start(Arc::clone(&store), clock, config.tick, analyst)
        .map_err(|error| AppError::internal("start the collector")(error.into()))?;
    slow_log.watch(Arc::clone(&feed));
    let mut admin = Admin::start(
        &admin_socket,
        settings::http(&config, &store, &registry, Arc::clone(&feed), clock),
    )?;
    let catalog = start_catalog(&config, &guide, &store)?;
    ports::announce(&config, proxy.bound_addresses(), admin.address())?;
    if let Some(predecessor) = predecessor {
        predecessor.ready();
    }
    proxy.open();
    admin.open();
    life::notify(&[NotifyState::Ready]);

    let mut running = Running {
        config,
        connections_max,
        registry,
        store,
        shared,
        proxy,
        feed,
        slow_log,
        access: admin.access(),
        guide,
        invocation,
        admin_socket,
        faults: faults.clone(),
    };
    let leave = runtime.block_on(running.until_told_to_leave(&mut signals));
    running.admin_socket = None;
    admin.release();
    drop(catalog);
    runtime.block_on(running.drain(leave, &mut signals));

    let Running {
        proxy, slow_log, ..
    } = running;
    drop(proxy);
    collector.stop();
    if !slow_log.stop(LAST_LINES_WITHIN) {
        tracing::warn!("the slow log did not take its last lines in time");
    }
    tracing::info!("ended");
    Ok(())
}

/// The process that this one replaces, where there is one, and the sockets that were there before this process.
fn meet_predecessor() -> io::Result<(Option<Predecessor>, Offers)> {
    match Predecessor::meet()? {
        Some((predecessor, offers)) => Ok((Some(predecessor), offers)),
        None => Ok((None, Offers::from_systemd()?)),
    }
}

fn start_slow_log(
    config: &Config,
    shared: &Arc<Shared>,
    store: &Arc<Store>,
    clock: Clock,
    faults: &Faults,
) -> Result<Writer, AppError> {
    let counted = Arc::clone(store);
    let dropped = move |reason| counted.health().slow_log_dropped(reason);
    let mut log = SlowLog::new(
        settings::slow_log(config, faults),
        Arc::clone(&shared.slow),
        clock,
        dropped,
    );
    log.open().map_err(|source| AppError::SlowLog {
        path: settings::slow_log_path(config),
        source,
    })?;
    Writer::start(log, config.tick)
        .map_err(|error| AppError::internal("start the slow log")(error.into()))
}

/// The catalogue connection's thread, where the configuration names a database for it.
fn start_catalog(
    config: &Config,
    guide: &Arc<Guide>,
    store: &Arc<Store>,
) -> Result<Option<Catalog>, AppError> {
    let Some(address) = &config.advise.catalog else {
        return Ok(None);
    };
    let settings = catalog::Settings::of(address.clone());
    Catalog::start(settings, Arc::clone(guide), Arc::clone(store))
        .map(Some)
        .map_err(|error| AppError::internal("start the catalogue's thread")(error.into()))
}

/// Panics that are logged one by one; of further ones, every so many.
const PANICS_LOGGED: u64 = 16;
const PANICS_BETWEEN: u64 = 1_000;

/// A panic is caught where it happens and counted; where it happened is logged, without a backtrace.
///
/// What it says is logged only where that is a constant of the program: one that was put together may quote what the
/// code was looking at, as a slice's does.
fn log_panics_once() {
    static HOOK: std::sync::Once = std::sync::Once::new();
    static PANICS: AtomicU64 = AtomicU64::new(0);
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let count = PANICS.fetch_add(1, Relaxed) + 1;
            if count > PANICS_LOGGED && !count.is_multiple_of(PANICS_BETWEEN) {
                return;
            }
            let place = panic.location().map(ToString::to_string);
            let says = panic.payload().downcast_ref::<&'static str>();
            let says = says
                .copied()
                .unwrap_or("(its message is not shown: it may quote values)");
            tracing::error!(place, count, "panic: {says}");
        }));
    });
}

/// Sets the duration from which on a query is slow, wherever it is compared.
fn set_slow_threshold(shared: &Shared, store: &Store, threshold: Duration) {
    let threshold_ns = u64::try_from(threshold.as_nanos()).unwrap_or(u64::MAX);
    store.set_slow_threshold_ns(threshold_ns);
    shared.slow_threshold_ns.store(threshold_ns, Relaxed);
}
