//! CancelRequests: each comes on a connection of its own and must reach the very server its session is on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::socket::Socket;
use super::upstream::{self, Road};
use super::{Shared, Tunables, UpstreamGauge};
use crate::event::SessionId;
use crate::wire::startup::CancelKey;

/// Where the CancelRequest of each session goes.
#[derive(Debug, Default)]
pub(super) struct CancelKeys(Mutex<HashMap<CancelKey, Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    session: SessionId,
    route: usize,
    road: Road,
}

impl CancelKeys {
    /// Two servers may have given out the same key: the listener that the request came through decides then. Where it
    /// has no such session, another listener's is meant.
    fn find(&self, route: usize, key: &CancelKey) -> Option<Road> {
        let keys = self.lock();
        let entries = keys.get(key)?;
        let own = entries.iter().find(|entry| entry.route == route);
        Some(own.or(entries.first())?.road.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CancelKey, Vec<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's key, found by CancelRequests until this is dropped.
#[derive(Debug)]
pub(super) struct KnownKey {
    shared: Arc<Shared>,
    route: usize,
    session: SessionId,
    pub(super) key: CancelKey,
    road: Road,
}

impl KnownKey {
    pub(super) fn register(
        shared: Arc<Shared>,
        route: usize,
        session: SessionId,
        key: CancelKey,
        road: Road,
    ) -> KnownKey {
        // The newest in front: a server that gives a key out again has forgotten the older session.
        shared
            .cancel_keys
            .lock()
            .entry(key.clone())
            // Nearly always the only one: room for more would be most of what a key costs.
            .or_insert_with(|| Vec::with_capacity(1))
            .insert(
                0,
                Entry {
                    session,
                    route,
                    road: road.clone(),
                },
            );
        KnownKey {
            shared,
            route,
            session,
            key,
            road,
        }
    }
}

impl Drop for KnownKey {
    fn drop(&mut self) {
        let mut keys = self.shared.cancel_keys.lock();
        if let Some(entries) = keys.get_mut(&self.key) {
            entries.retain(|entry| entry.session != self.session);
            if entries.is_empty() {
                keys.remove(&self.key);
            }
        }
    }
}

/// Carries a client's CancelRequest to its session's server, or to the listener's upstream when the key is unknown.
///
/// The client's socket is closed after the upstream's: a client that sees it closed may rely on the server having
/// dealt with the request. There is no answer, not even when the upstream cannot be reached.
pub(super) async fn serve(
    mut client: Socket,
    key: &CancelKey,
    packet: &[u8],
    shared: &Shared,
    route: usize,
) {
    let tunables = shared.tunables.load_full();
    let limit = tunables.timeouts.login;
    let road = shared.cancel_keys.find(route, key);
    let exchange = async {
        let gauge = UpstreamGauge::raise(Arc::clone(&shared.route(route).figures));
        let connected = match &road {
            Some(road) => connect_to(road, &tunables).await,
            None => {
                let target = shared.route(route).target.load_full();
                upstream::connect(&target, &tunables, tunables.timeouts.connect)
                    .await
                    .map(|(socket, _)| socket)
                    .map_err(|error| tracing::debug!(%error, "cancel request not delivered"))
                    .ok()
            }
        };
        let Some(mut upstream) = connected else {
            return;
        };
        let _ = pass_on(&mut client, &mut upstream, packet).await;
        if client.is_tls() {
            let _ = client.shutdown().await;
        }
        drop(upstream);
        drop(gauge);
    };
    let _ = timeout(limit, exchange).await;
}

/// Sends the CancelRequest of a session that we want to end ourselves, and waits until the server has dealt with it.
pub(super) async fn send(key: &KnownKey, limit: Duration) {
    let tunables = key.shared.tunables.load_full();
    let _gauge = UpstreamGauge::raise(Arc::clone(&key.shared.route(key.route).figures));
    let exchange = async {
        let Some(mut upstream) = connect_to(&key.road, &tunables).await else {
            return;
        };
        let request = key.key.cancel_request();
        if write_flushed(&mut upstream, &request).await.is_ok() {
            let _ = upstream.read(&mut [0; 64]).await;
        }
    };
    let _ = timeout(limit, exchange).await;
}

async fn connect_to(road: &Road, tunables: &Tunables) -> Option<Socket> {
    let endpoint = &road.endpoint;
    let limit = tunables.timeouts.connect;
    match timeout(limit, upstream::connect_again(road, tunables)).await {
        Ok(Ok(socket)) => Some(socket),
        Ok(Err(error)) => {
            tracing::debug!(%error, "cancel request not delivered");
            None
        }
        Err(_) => {
            tracing::debug!(%endpoint, "cancel request not delivered in time");
            None
        }
    }
}

/// Forwards the request, then whatever the server says until it closes: nothing, if it is PostgreSQL.
async fn pass_on(client: &mut Socket, upstream: &mut Socket, packet: &[u8]) -> std::io::Result<()> {
    write_flushed(upstream, packet).await?;
    let mut answer = [0; 256];
    loop {
        match upstream.read(&mut answer).await? {
            0 => return Ok(()),
            count => write_flushed(client, answer.get(..count).unwrap_or_default()).await?,
        }
    }
}

async fn write_flushed(leg: &mut Socket, bytes: &[u8]) -> std::io::Result<()> {
    leg.write_all(bytes).await?;
    leg.flush().await
}
