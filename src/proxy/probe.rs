//! Keeps what is known of an upstream true to life while no client connects to it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::watch;

use super::{Shared, Stage, UpstreamGauge, upstream};

/// An upstream that is down is tried this often at least: whoever waits for it should not wait for us.
const DOWN_PAUSE: Duration = Duration::from_millis(500);

/// Connects to the upstream of `route` when nobody has for `interval`, and when a session's upstream was lost.
pub(super) async fn run(
    route: usize,
    shared: Arc<Shared>,
    interval: Duration,
    mut stage: watch::Receiver<Stage>,
) {
    let figures = &shared.routes[route].figures;
    let mut is_suspect = false;
    loop {
        let state = figures.upstream();
        let pause = match state.up {
            Some(false) => interval.min(DOWN_PAUSE),
            Some(true) | None => interval,
        };
        let pause_ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        let is_recent = state
            .tried_at
            .is_some_and(|at| shared.clock.now().since(at) < pause_ns);
        let is_in_use = state.up == Some(true) && figures.upstream_connections.load(Relaxed) > 0;
        if is_suspect || (!is_recent && !is_in_use) {
            try_to_connect(route, &shared).await;
        }
        tokio::select! {
            _ = stage.wait_for(|stage| *stage > Stage::Running) => return,
            () = tokio::time::sleep(pause) => is_suspect = false,
            () = shared.routes[route].suspect.notified() => is_suspect = true,
        }
    }
}

async fn try_to_connect(route: usize, shared: &Arc<Shared>) {
    let figures = &shared.routes[route].figures;
    let target = shared.routes[route].target.load_full();
    let tunables = shared.tunables.load_full();
    let _gauge = UpstreamGauge::raise(Arc::clone(figures));
    let result = upstream::connect(&target, &tunables, tunables.timeouts.connect).await;
    upstream::note(figures, &result, shared.clock.now());
    if let (Ok((upstream, _)), Some(acceptor)) = (&result, target.tls.acceptor()) {
        target.binding.check(&figures.name, acceptor, upstream);
    }
}
