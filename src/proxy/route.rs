//! A listener as its connections see it: where they go, how, and who counts them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::tls::{Binding, Connector};
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
    /// The one way there, where neither leg has TLS and there is no name to resolve.
    pub(super) plain: Option<Road>,
}

impl Target {
    pub(super) fn of(listener: &ListenerSettings) -> Target {
        let upstream_tls = match listener.tls {
            TlsMode::PassThrough => None,
            _ => listener.upstream_tls.clone(),
        };
        let plain = match (&listener.tls, &upstream_tls) {
            (TlsMode::Off, None) => Endpoint::in_numbers(&listener.upstream),
            (TlsMode::Off, Some(_)) => Endpoint::in_numbers(&listener.upstream)
                .filter(|endpoint| matches!(endpoint, Endpoint::Unix(_))),
            (TlsMode::PassThrough | TlsMode::Allow(_) | TlsMode::Require(_), _) => None,
        };
        Target {
            upstream: listener.upstream.clone(),
            upstream_tls,
            tls: listener.tls.clone(),
            binding: Binding::default(),
            plain: plain.map(Road::plain),
        }
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
