//! All threads of the process, from their start to their end in order, whoever says when that is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::admin::{self, Admin};
use super::analyst::Analyst;
use super::collector::Collector;
use super::handover::Invocation;
use super::life::Signals;
use super::sockets::Offers;
use super::{AppError, Running, log_panics_once, ports, settings, start_catalog, start_slow_log};
use crate::advise::Guide;
use crate::aggregate::Store;
use crate::analysis::{Analysis, Ledger};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::event::Moment;
use crate::fault::Faults;
use crate::observer::{Observer, Ring};
use crate::proxy::{self, Proxy, StartError};
use crate::registry::Registry;

/// How long the slow log's last lines may take when the process ends.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(2);

/// How often [`Service::settle`] looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// So long nothing may have changed before all is taken for analysed: the analysis describes what it found anew at most
/// four times a second.
const QUIET_NS: u64 = 300_000_000;

/// A proxy that serves, and everything around it.
pub struct Service {
    runtime: Runtime,
    running: Running,
    admin: Admin,
    catalog: Option<Catalog>,
    collector: Collector,
    rings: Vec<Ring>,
    clock: Clock,
}

/// Whether the analysis has seen everything that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It has, and all connections have ended.
    All,
    /// Connections are open, or it was too slow.
    NotAll,
}

impl Service {
    /// Starts a proxy that hears no signal: whoever started it says when it ends.
    /// All units that end are written into `ledger`, where there is one.
    pub fn start(
        config: Config,
        faults: &Faults,
        ledger: Option<Arc<Ledger>>,
    ) -> Result<Service, AppError> {
        let runtime = super::start_runtime()?;
        let mut service = Service::prepare(config, faults, runtime, Offers::default(), ledger)?;
        service.open();
        Ok(service)
    }

    /// Starts everything; clients are let in from [`Service::open`] on.
    pub(super) fn prepare(
        config: Config,
        faults: &Faults,
        runtime: Runtime,
        mut offers: Offers,
        ledger: Option<Arc<Ledger>>,
    ) -> Result<Service, AppError> {
        log_panics_once();
        let invocation = Invocation::of_this_process()
            .map_err(|error| AppError::internal("find this program")(error.into()))?;
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

        let connections_max = settings::connections_max(&config);
        let workers = match config.workers {
            0 => proxy::default_worker_count(),
            workers => workers,
        };
        let observers: Vec<Observer> = (0..workers)
            .map(|_| Observer::new(Arc::clone(&shared), &store, config.limits.ring_events_max))
            .collect();
        let rings: Vec<_> = observers.iter().map(Observer::ring).collect();
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
            settings::analysis(&config, &registry, faults, ledger),
        )
        .and_then(|analysis| Analyst::start(analysis, rings.clone(), clock, config.tick, faults))
        .map_err(|error| AppError::internal("start the analysis")(error.into()))?;
        let feed = analyst.feed();
        let settler = analyst.settler();
        let collector = Collector::start(Arc::clone(&store), clock, config.tick, analyst)
            .map_err(|error| AppError::internal("start the collector")(error.into()))?;
        slow_log.watch(Arc::clone(&feed));
        let admin = Admin::start(
            &admin_socket,
            settings::http(
                &config,
                (&store, &registry),
                Arc::clone(&feed),
                clock,
                (proxy.fence(), settler),
            ),
        )?;
        let catalog = start_catalog(&config, &guide, &store)?;
        ports::announce(&config, proxy.bound_addresses(), admin.address())?;
        let running = Running {
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
        Ok(Service {
            runtime,
            running,
            admin,
            catalog,
            collector,
            rings,
            clock,
        })
    }

    /// Lets clients in.
    pub(super) fn open(&mut self) {
        self.running.proxy.open();
        self.admin.open();
    }

    /// Name and bound address of each listener, in the order of the configuration.
    pub fn listeners(&self) -> &[(Arc<str>, SocketAddr)] {
        self.running.proxy.bound_addresses()
    }

    /// Where the admin address is, if it is on.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.address()
    }

    /// Serves until a signal says otherwise, then drains and ends.
    pub(super) fn live(mut self, signals: &mut Signals) {
        let leave = self
            .runtime
            .block_on(self.running.until_told_to_leave(signals));
        self.release();
        self.runtime.block_on(self.running.drain(leave, signals));
        self.end();
    }

    /// Waits until the last connection has ended, its last unit is closed and what is found in it can be read; at most
    /// so long. To be called when no new client is to be expected.
    pub fn settle(&self, within: Duration) -> Settled {
        let began_at = self.clock.now();
        let within_ns = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        let mut unrest_at = began_at;
        loop {
            let now = self.clock.now();
            if !self.is_at_rest(now) {
                unrest_at = now;
            }
            if now.since(unrest_at) >= QUIET_NS {
                return Settled::All;
            }
            if now.since(began_at) >= within_ns {
                return Settled::NotAll;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Whether nothing happens, and nothing waits to be analysed.
    fn is_at_rest(&self, now: Moment) -> bool {
        let Running { registry, feed, .. } = &self.running;
        registry.connections().is_empty()
            && self.rings.iter().all(|ring| ring.is_empty())
            && feed.snapshot().units_open == 0
            && feed.silent_ns(now) < QUIET_NS
    }

    /// Ends everything; connections that are open have so long to end as a drain would end them.
    pub fn stop(mut self, within: Duration) {
        self.release();
        let proxy = &self.running.proxy;
        self.runtime.block_on(async {
            proxy.begin_drain();
            if timeout(within, proxy.wait()).await.is_err() {
                proxy.end_now();
                proxy.wait().await;
            }
        });
        self.end();
    }

    /// Gives up what a successor could want.
    fn release(&mut self) {
        self.running.admin_socket = None;
        self.admin.release();
        self.catalog = None;
    }

    fn end(self) {
        let Running {
            proxy, slow_log, ..
        } = self.running;
        drop(proxy);
        self.collector.stop();
        if !slow_log.stop(LAST_LINES_WITHIN) {
            tracing::warn!("the slow log did not take its last lines in time");
        }
        tracing::info!("ended");
    }
}
