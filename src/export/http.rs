//! The admin address: health, metrics and the JSON API.
//!
//! | path | answer |
//! |---|---|
//! | `/`, `/findings` and the other views, `/assets/…` | [`page`] |
//! | `/healthz` | the process runs |
//! | `/readyz` | it listens and reaches its upstreams |
//! | `/metrics` | [`super::metrics`] |
//! | `/api/v1/summary`, `queries`, `findings`, `units`, `connections`, `history` | [`api`] |
//! | `/api/v1/stream` | [`stream`] |
//! | `POST /api/v1/login`, `logout` | [`login`] |
//! | `POST /api/v1/settle` | waits until all that was recorded is analysed |
//! | `POST /api/v1/reset` | clears the API's figures |
//! | `POST /api/v1/findings/{id}/mute`, `unmute` | somebody does not want to hear of it |
//!
//! *Architecture invariant:* nothing here can slow traffic down: it runs on a runtime of its own, reads copies, and
//! bounds connections, streams, scrapes, request headers, answers in memory and the time each of them may take.
//! [`places`] says who gives way when there are too many, and all that is refused is counted. Who may ask what is
//! decided in [`guard`] alone. `docs/openapi.json` describes it and is compared with the running server.

mod answer;
mod api;
mod conversation;
mod error;
mod guard;
mod filter;
mod held;
mod login;
mod page;
mod places;
mod seen;
mod socket;
mod stream;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::aggregate::Store;
use crate::analysis::Feed;
use crate::clock::Clock;
use crate::export::metrics::{Metrics, MetricsError};
use crate::registry::Registry;
use crate::unit::TestId;
use answer::Budget;
use conversation::Peer;
use places::{Place, Places};

/// How long accepting rests after it failed, which it does when file descriptors run out.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How much of this process the admin address may take.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections at a time; a further one takes the place of the one that has waited longest. There are always more
    /// than scrapes and streams together.
    pub connections_max: usize,
    /// Pages of `/metrics` being sent at a time.
    pub scrapes_max: usize,
    /// Streams at a time.
    pub streams_max: usize,
    /// Bytes of all answers that are being sent.
    pub answers_bytes_max: usize,
    /// From a connection's accept, or the end of its last answer, to the end of the next request's headers.
    pub headers_within: Duration,
    /// How long a peer may leave bytes unread before the kernel ends the connection.
    pub unread_within: Duration,
    /// How long an answer may take to be sent, a stream excepted.
    pub answer_within: Duration,
    /// How long a connection may live; what it is answering then still has `last_answer_within`.
    pub connection_within: Duration,
    /// The same for one that carries a stream.
    pub stream_within: Duration,
    /// How long the answer in progress may take when a connection's time is over or the server stops.
    pub last_answer_within: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections_max: 64,
            scrapes_max: 4,
            streams_max: 16,
            answers_bytes_max: 64 * 1024 * 1024,
            headers_within: Duration::from_secs(10),
            unread_within: Duration::from_secs(15),
            answer_within: Duration::from_secs(30),
            connection_within: Duration::from_secs(300),
            stream_within: Duration::from_secs(3600),
            last_answer_within: Duration::from_secs(3),
        }
    }
}

/// Asks every listener's upstream whether it can be connected to; the error says which cannot and why.
pub type Probe =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Waits until whatever any client has been sent by now is in the figures.
pub type Seen = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Waits until all that was recorded is analysed, and ends what is open of a test; false where that cannot be.
pub type Settle =
    Arc<dyn Fn(Option<TestId>) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// What the admin address shows and whom it lets in.
pub struct Settings {
    /// Figures of queries.
    pub store: Arc<Store>,
    /// Figures of connections.
    pub registry: Arc<Registry>,
    /// The latest events.
    pub feed: Arc<Feed>,
    /// What time it is.
    pub clock: Clock,
    /// Host names accepted beside the bound address and localhost: `name` for any port, or `name:port`.
    pub hosts: Vec<String>,
    /// The token that every request but those for health must carry; `None` where the address is loopback.
    pub token: Option<String>,
    /// How `/readyz` asks.
    pub probe: Probe,
    /// How whoever reads figures waits for those of the last queries.
    pub seen: Seen,
    /// How `/api/v1/settle` waits.
    pub settle: Settle,
    /// Limits.
    pub bounds: Bounds,
}

/// What handlers share.
struct Admin {
    store: Arc<Store>,
    registry: Arc<Registry>,
    feed: Arc<Feed>,
    clock: Clock,
    metrics: Metrics,
    access: Access,
    probe: Probe,
    seen: Seen,
    settle: Settle,
    scrapes: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    budget: Budget,
    /// What had been given up before the last reset.
    losses_before: Mutex<BTreeMap<api::Loss, u64>>,
    /// The [`crate::event::Moment`] of that reset.
    reset_at: AtomicU64,
    /// Units cut before that reset.
    units_cut_before: AtomicU64,
}

impl Admin {
    /// The figures of all queries that have finished.
    fn figures(&self) -> &Store {
        self.store.collect(self.clock.now());
        &self.store
    }
}

/// What handlers know of the connection that asks.
#[derive(Clone)]
struct Connection {
    local: SocketAddr,
    place: Arc<Place>,
}

/// The admin address, ready to serve.
pub struct Server {
    router: Router,
    bounds: Bounds,
    store: Arc<Store>,
    access: Access,
}

/// Who may ask; all copies are the same one.
#[derive(Clone)]
pub struct Access {
    guard: Arc<ArcSwap<guard::Guard>>,
    /// Stays while settings change, so that a browser need not log in again.
    session_key: guard::SessionKey,
}

impl Access {
    fn new(hosts: Vec<String>, token: Option<&str>) -> Result<Access, ServerError> {
        let session_key = guard::SessionKey::random().map_err(ServerError::NoRandom)?;
        let guard = guard::Guard::new(hosts, token, &session_key);
        Ok(Access {
            guard: Arc::new(ArcSwap::from_pointee(guard)),
            session_key,
        })
    }

    /// Sets what [`Settings::hosts`] and [`Settings::token`] set, for the next request on.
    pub fn change(&self, hosts: Vec<String>, token: Option<&str>) {
        let guard = guard::Guard::new(hosts, token, &self.session_key);
        self.guard.store(Arc::new(guard));
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The metrics could not be set up.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for the sessions of browsers: {0}")]
    NoRandom(std::io::Error),
}

impl Server {
    /// A server that shows these things.
    pub fn new(settings: Settings) -> Result<Server, ServerError> {
        let Settings {
            store,
            registry,
            feed,
            clock,
            hosts,
            token,
            probe,
            seen,
            settle,
            bounds,
        } = settings;
        let access = Access::new(hosts, token.as_deref())?;
        let admin = Arc::new(Admin {
            metrics: Metrics::new(
                Arc::clone(&store),
                Arc::clone(&registry),
                Arc::clone(&feed),
                clock,
            )?,
            access: access.clone(),
            scrapes: Arc::new(Semaphore::new(bounds.scrapes_max)),
            streams: Arc::new(Semaphore::new(bounds.streams_max)),
            budget: Budget::new(bounds.answers_bytes_max),
            losses_before: Mutex::default(),
            reset_at: AtomicU64::default(),
            units_cut_before: AtomicU64::default(),
            store: Arc::clone(&store),
            registry,
            feed,
            clock,
            probe,
            seen,
            settle,
        });
        let page = page::VIEWS
            .iter()
            .fold(Router::new(), |router, view| {
                router.route(view, get(page::document))
            })
            .route(page::ASSETS, get(page::asset));
        let figures = Router::new()
            .route("/metrics", get(api::metrics))
            .route("/api/v1/summary", get(api::summary))
            .route("/api/v1/queries", get(api::queries))
            .route("/api/v1/queries/{fingerprint}", get(api::query))
            .route("/api/v1/connections", get(api::connections))
            .route("/api/v1/history", get(api::history))
            .route("/api/v1/reset", post(api::reset))
            .route_layer(middleware::from_fn_with_state(
                Arc::clone(&admin),
                seen::first,
            ));
        let router = Router::new()
            .merge(page)
            .merge(figures)
            .route("/healthz", get(api::healthz))
            .route("/readyz", get(api::readyz))
            .route("/api/v1/findings", get(api::findings))
            .route("/api/v1/findings/{id}", get(api::finding))
            .route("/api/v1/findings/{id}/mute", post(api::mute))
            .route("/api/v1/findings/{id}/unmute", post(api::unmute))
            .route("/api/v1/units", get(api::units))
            .route("/api/v1/units/{id}", get(api::unit))
            .route("/api/v1/stream", get(stream::stream))
            .route("/api/v1/settle", post(api::settle))
            .route("/api/v1/login", post(login::login))
            .route("/api/v1/logout", post(login::logout))
            .fallback(error::no_such_path)
            .method_not_allowed_fallback(error::no_such_method)
            .layer(middleware::from_fn_with_state(
                Arc::clone(&admin),
                guard::check,
            ))
            .with_state(admin);
        Ok(Server {
            router,
            bounds,
            store,
            access,
        })
    }

    /// Who may ask: to be changed while the server runs.
    pub fn access(&self) -> Access {
        self.access.clone()
    }

    /// What answers the requests of one connection, whatever carries them; `local` is the address that it came to.
    pub fn service(&self, local: SocketAddr) -> Router {
        self.router.clone().layer(Extension(Connection {
            local,
            place: Arc::new(Places::only()),
        }))
    }

    /// Serves until `stop` is ready, then releases the port and gives answers in progress a few seconds.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let least = self.bounds.scrapes_max + self.bounds.streams_max + 1;
        let places = Places::new(self.bounds.connections_max.max(least));
        let (stopping, _) = tokio::sync::watch::channel(());
        let mut stop = std::pin::pin!(stop);
        loop {
            let accept = async {
                let (stream, _) = listener.accept().await?;
                // Those that came before get their turn: a flood of connections does not keep them from being read.
                tokio::task::yield_now().await;
                Ok::<_, std::io::Error>((stream, places.take().await))
            };
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept => accepted,
            };
            match accepted {
                Ok((stream, given)) => {
                    if given.taken_away {
                        self.store.health().admin_refused("connections");
                    }
                    let peer = Peer {
                        router: self.router.clone(),
                        bounds: self.bounds.clone(),
                        store: Arc::clone(&self.store),
                        place: Arc::new(given.place),
                    };
                    tokio::spawn(peer.converse(stream, stopping.subscribe()));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept admin connection");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
        drop(listener);
        drop(stopping);
        let last = self.bounds.last_answer_within + Duration::from_secs(1);
        let _ = timeout(last, places.all_free()).await;
    }
}
