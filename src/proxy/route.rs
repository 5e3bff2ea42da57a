//! A listener as its connections see it: where they go, how, and who counts them.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::tls::{Binding, Connector, SslMode};
use super::upstream::{Endpoint, Road};
use super::{ListenerSettings, TlsMode, UpstreamAddress};
use crate::registry;

/// One listener as its connections see it.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) figures: Arc<registry::Listener>,
    pub(super) target: ArcSwap<Target>,
    /// Told when a session's upstream was lost: it may be gone for all.
    pub(super) suspect: Notify,
}

/// Where new connections of a listener go, and how.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) upstream: UpstreamAddress,
    pub(super) upstream_tls: Option<Arc<Connector>>,
    pub(super) tls: TlsMode,
    pub(super) binding: Binding,
    /// The one way there that may be in plaintext, where there is no name to resolve.
    plain: Option<Road>,
    /// When the upstream last said that it has no TLS.
    declined_tls_at: Mutex<Option<Instant>>,
}

/// An upstream that said that it has no TLS is not asked again for so long, where plaintext will do: with many new
/// connections a second, the question would be a round trip of each.
const DECLINED_FOR: Duration = Duration::from_secs(1);

impl Target {
    pub(super) fn of(listener: &ListenerSettings) -> Target {
        let upstream_tls = match listener.tls {
            TlsMode::PassThrough => None,
            _ => listener.upstream_tls.clone(),
        };
        let plain = Endpoint::in_numbers(&listener.upstream).map(Road::plain);
        Target {
            upstream: listener.upstream.clone(),
            upstream_tls,
            tls: listener.tls.clone(),
            binding: Binding::default(),
            plain,
            declined_tls_at: Mutex::default(),
        }
    }

    /// The way there that needs no more than to be connected to, as far as is known now.
    pub(super) fn plain(&self) -> Option<&Road> {
        let road = self.plain.as_ref()?;
        let is_plain = match (&road.endpoint, &self.upstream_tls) {
            (Endpoint::Unix(_), _) | (Endpoint::Tcp(_), None) => true,
            (Endpoint::Tcp(_), Some(connector)) => {
                let declined_at = *self.declined_tls_at();
                connector.sslmode() == SslMode::Prefer
                    && declined_at.is_some_and(|at| at.elapsed() < DECLINED_FOR)
            }
        };
        is_plain.then_some(road)
    }

    /// Takes note that the upstream has no TLS.
    pub(super) fn note_declined_tls(&self) {
        *self.declined_tls_at() = Some(Instant::now());
    }

    fn declined_tls_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.declined_tls_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether new connections would be made in the same way.
    pub(super) fn is_same(&self, other: &Target) -> bool {
        self.upstream == other.upstream
            && self.upstream_tls == other.upstream_tls
            && self.tls == other.tls
    }
}

/// Counts an upstream socket among those that are open, until it is dropped.
#[derive(Debug)]
pub(super) struct UpstreamGauge(Arc<registry::Listener>);

impl UpstreamGauge {
    pub(super) fn raise(figures: Arc<registry::Listener>) -> UpstreamGauge {
        figures.upstream_connections.fetch_add(1, Relaxed);
        UpstreamGauge(figures)
    }
}

impl Drop for UpstreamGauge {
    fn drop(&mut self) {
        self.0.upstream_connections.fetch_sub(1, Relaxed);
    }
}
