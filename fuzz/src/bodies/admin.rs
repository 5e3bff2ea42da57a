//! Bytes of any content sent to the admin address: always HTTP comes back, never a figure without the token, never a
//! change without the header that says that it is meant.
//!
//! Everything but the socket is the real thing: hyper's parser, the guard, the router and its handlers. The first byte
//! chooses the server: bit 0, whether a token is needed.

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use pgprism::aggregate::{self, Store};
use pgprism::analysis::{self, Analysis};
use pgprism::clock::Clock;
use pgprism::event::{Direction, Moment, SessionId, SessionStart, Tap, Taps};
use pgprism::export::http::{Bounds, Server, Settings};
use pgprism::observer::{Observer, Shared};
use pgprism::registry::{Connection, Registered, Registry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

/// What only those who have the token may read: an application's name.
const SECRET: &[u8] = b"kept-from-strangers";
const TOKEN: &str = "sesame";

/// Bytes of a request's head that the server buffers, and of one conversation's answer that are looked at.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Longer than any answer takes; a stream never ends by itself.
const PATIENCE: Duration = Duration::from_millis(200);

struct Place {
    runtime: Runtime,
    open: Server,
    closed: Server,
    store: Arc<Store>,
    clock: Clock,
    _connection: Registered,
    _analysis: Analysis,
}

thread_local! {
    static PLACE: RefCell<Place> = RefCell::new(Place::build());
}

impl Place {
    fn build() -> Place {
        let clock = Clock::start();
        let store = Store::new(&aggregate::Settings::default());
        let analysis = Analysis::new(
            Arc::clone(&store),
            Arc::default(),
            analysis::Settings::default(),
        )
        .expect("an analysis");
        let registry = Arc::new(Registry::new());
        registry.add_listener("default".into(), "127.0.0.1:6433".into(), 1);
        let connection = registry.add_connection(Connection {
            id: SessionId(1),
            listener: "default".into(),
            client: "127.0.0.1:40123".into(),
            upstream: "127.0.0.1:5432".into(),
            user: "shop".into(),
            database: "shop".into(),
            application: String::from_utf8_lossy(SECRET).into(),
            accepted_at: clock.now(),
            status: Arc::default(),
            tls: false,
        });
        let server = |token: Option<&str>| {
            Server::new(Settings {
                store: Arc::clone(&store),
                registry: Arc::clone(&registry),
                feed: analysis.feed(),
                clock,
                hosts: vec!["metrics.example".to_owned()],
                token: token.map(str::to_owned),
                seen: Arc::new(|| Box::pin(async {})),
                settle: Arc::new(|_| Box::pin(async { true })),
                probe: Arc::new(|| Box::pin(async { Err("down".to_owned()) })),
                bounds: Bounds::default(),
            })
            .expect("a server")
        };
        Place {
            runtime: Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
            open: server(None),
            closed: server(Some(TOKEN)),
            store: Arc::clone(&store),
            clock,
            _connection: connection,
            _analysis: analysis,
        }
    }

    /// So that there is something to tell, and to lose by a reset.
    fn run_a_query(&self) {
        let shared = Shared::new(
            pgprism::session::Settings::default(),
            u64::MAX,
            1 << 20,
            1,
            1 << 20,
        );
        let observer = Observer::new(shared, &self.store, 16);
        let mut tap = observer.open(SessionStart {
            id: SessionId(1),
            listener: "default".into(),
            client: "127.0.0.1".into(),
            user: "shop".into(),
            database: "shop".into(),
            application: "web".into(),
            accepted_at: Moment(0),
            opened_at: Moment(0),
            status: Arc::default(),
            observe: Arc::new(AtomicBool::new(true)),
        });
        let (client, upstream) = (Direction::ClientToUpstream, Direction::UpstreamToClient);
        tap.relayed(upstream, b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", Moment(1));
        tap.relayed(client, b"Q\0\0\0\x0dSELECT 1\0", Moment(2));
        tap.relayed(upstream, b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I", Moment(3));
        tap.closed(Moment(4));
        self.store.collect(self.clock.now());
    }

    /// Sends all of it, then FIN, and returns what came back.
    fn ask(&self, server: &Server, request: &[u8]) -> Vec<u8> {
        let local = SocketAddr::from(([10, 1, 2, 3], 9433));
        let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
        let service = TowerToHyperService::new(server.service(local));
        let serving = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(theirs), service);
        let mut answer = Vec::new();
        let asking = async {
            // An error says that the server has heard enough.
            let _ = ours.write_all(request).await;
            let _ = ours.shutdown().await;
            let _ = (&mut ours)
                .take(ANSWER_BYTES_MAX as u64)
                .read_to_end(&mut answer)
                .await;
        };
        let both = both(asking, async {
            let _ = serving.await;
        });
        // A stream goes on for as long as its reader does: what came until then is looked at.
        let _ = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, both).await });
        answer
    }
}

async fn both(asking: impl Future<Output = ()>, serving: impl Future<Output = ()>) {
    tokio::join!(asking, serving);
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// The target's body.
pub fn run(input: &[u8]) {
    let Some((&choice, request)) = input.split_first() else {
        return;
    };
    PLACE.with_borrow(|place| {
        let needs_token = choice & 1 == 1;
        let server = if needs_token {
            &place.closed
        } else {
            &place.open
        };
        if place.store.summary().queries == 0 {
            place.run_a_query();
        }
        let answer = place.ask(server, request);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1."),
            "not HTTP: {:?}",
            String::from_utf8_lossy(&answer)
        );
        assert!(
            !contains(&answer, b" 500 ") || contains(request, b" 500 "),
            "an answer that could not be made: {:?}",
            String::from_utf8_lossy(&answer)
        );
        if contains(&answer, b"HTTP/1.1 200 OK") {
            assert!(contains(&answer, b"x-content-type-options: nosniff"));
            assert!(contains(&answer, b"cache-control: no-store"));
        }
        if needs_token && !contains(request, TOKEN.as_bytes()) {
            assert!(!contains(&answer, SECRET), "told without the token");
            // A Host that is not served is named in the answer.
            assert!(
                !contains(&answer, b"pgprism_build_info")
                    || contains(request, b"pgprism_build_info"),
                "told without the token"
            );
        }
        assert!(!contains(&answer, b"access-control-allow-origin"));
        let lowercase = request.to_ascii_lowercase();
        assert!(
            place.store.summary().queries > 0 || contains(&lowercase, b"x-pgprism"),
            "changed without being meant"
        );
    });
}
