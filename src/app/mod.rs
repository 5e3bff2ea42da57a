//! The one place that joins rooms: builds them from the settings, runs them, ends them in order.
//!
//! ```text
//!  threads: acceptor, one worker for two cores (proxy + observer) | collector (aggregate) | analyst | slow log | admin | main
//! ```
//!
//! [`serve`] is the life of the process, [`Service`] what runs in it; [`settings`] says which key of the configuration
//! goes to which room.

mod admin;
mod analyst;
mod collector;
mod handover;
mod life;
mod pace;
mod ports;
mod reload;
mod service;
mod settings;
mod sockets;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::Runtime;

use crate::advise::Guide;
use crate::aggregate::Store;
use crate::analysis::Feed;
use crate::catalog::{self, Catalog};
use crate::clock::Clock;
use crate::config::Config;
use crate::export::http::Access;
use crate::export::slow_log::{SlowLog, Writer};
use crate::fault::Faults;
use crate::observer::Shared;
use crate::proxy::{Proxy, StartError};
use crate::registry::Registry;

pub use service::{Service, Settled};

use handover::{Invocation, Predecessor};
use life::Signals;
use sockets::Offers;

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
    let (predecessor, offers) = meet_predecessor().map_err(AppError::TakeOver)?;
    let runtime = start_runtime()?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::listen().map_err(|error| AppError::internal("listen for signals")(error.into()))?
    };
    let mut service = Service::prepare(config, faults, runtime, offers, None)?;
    if let Some(predecessor) = predecessor {
        predecessor.ready();
    }
    service.open();
    life::notify(&[NotifyState::Ready]);
    service.live(&mut signals);
    Ok(())
}

fn start_runtime() -> Result<Runtime, AppError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AppError::internal("start the runtime")(error.into()))
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
    Writer::start(log, config.tick, Arc::clone(&shared.slow_bell))
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
