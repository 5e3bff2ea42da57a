//! One connection from its accept to its end: how long it may take for what.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::places::{Doing, Place};
use super::socket::Socket;
use super::{Bounds, Connection};
use crate::aggregate::Store;

/// Bytes that wait in the kernel for a peer to take them.
const UNREAD_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How often a connection's times are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whoever asks, over one connection.
pub(super) struct Peer {
    pub(super) router: Router,
    pub(super) bounds: Bounds,
    pub(super) store: Arc<Store>,
    pub(super) place: Arc<Place>,
}

/// Why a connection is ended from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its time is over, or the server stops: what it is being answered may still arrive.
    Soon,
    /// It took too long with an answer.
    Now,
}

impl Peer {
    pub(super) async fn converse(self, stream: TcpStream, mut stopping: watch::Receiver<()>) {
        let Ok(local) = stream.local_addr() else {
            return;
        };
        self.set_limits(&stream);
        let place = Arc::clone(&self.place);
        let router = self
            .router
            .clone()
            .layer(Extension(Connection { local, place }));
        let socket = Socket::new(stream, Arc::clone(&self.store));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.bounds.headers_within)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
        let mut connection = std::pin::pin!(connection);
        let end = tokio::select! {
            ended = connection.as_mut() => return self.ended(ended),
            // An error means that the sender is gone: the server stops.
            _ = stopping.changed() => End::Soon,
            () = self.place.given_up() => return,
            end = self.times_over() => end,
        };
        match end {
            End::Now => self.store.health().admin_refused("answer_time"),
            End::Soon => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(self.bounds.last_answer_within, connection).await;
            }
        }
    }

    fn set_limits(&self, stream: &TcpStream) {
        let socket = socket2::SockRef::from(stream);
        // Best effort: without it a peer that never reads holds its place until the connection's time is over.
        let _ = socket.set_tcp_user_timeout(Some(self.bounds.unread_within));
        let _ = socket.set_keepalive(true);
        let _ = socket.set_send_buffer_size(UNREAD_BYTES_MAX);
    }

    fn ended(&self, ended: Result<(), hyper::Error>) {
        let Err(error) = ended else { return };
        // One that had its answers and stays silent is what clients do that may come again.
        if error.is_timeout() && !self.place.asked() {
            self.store.health().admin_refused("headers_time");
        }
        tracing::debug!(%error, "admin connection");
    }

    /// Ready when the connection, or what it is being answered, has taken too long.
    async fn times_over(&self) -> End {
        let began = Instant::now();
        let bounds = &self.bounds;
        let every = LOOK_EVERY
            .min(bounds.answer_within)
            .min(bounds.connection_within);
        loop {
            tokio::time::sleep(every).await;
            let Some((doing, since)) = self.place.doing() else {
                continue; // Its place was given up, which is heard elsewhere.
            };
            let lives_within = match doing {
                Doing::Answering | Doing::Scraping if since.elapsed() > bounds.answer_within => {
                    return End::Now;
                }
                Doing::Waiting | Doing::Answering | Doing::Scraping => bounds.connection_within,
                Doing::Streaming => bounds.stream_within,
            };
            if began.elapsed() > lives_within {
                return End::Soon;
            }
        }
    }
}
