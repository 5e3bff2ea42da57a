//! Keeps what is known of an upstream true to life while no client connects to it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Shared, Stage, UpstreamGauge, upstream};

/// An upstream that is down is tried this often at least: whoever waits for it should not wait for us.
const DOWN_PAUSE: Duration = Duration::from_millis(500);

/// So long after a session lost its upstream it is tried as often: a server that ends itself ends its sessions first,
/// and for a moment still accepts others.
const SUSPECT_FOR: Duration = Duration::from_secs(5);

/// However many sessions lose it, it is not tried more often than that.
const SUSPECT_PAUSE: Duration = Duration::from_millis(50);

/// Connects to the upstream of `route` when nobody has for `interval`, and when a session's upstream was lost.
pub(super) async fn run(
    route: usize,
    shared: Arc<Shared>,
    interval: Duration,
    mut stage: watch::Receiver<Stage>,
) {
    let figures = &shared.route(route).figures;
    let mut suspected_at: Option<Instant> = None;
    loop {
        suspected_at = suspected_at.filter(|at| at.elapsed() < SUSPECT_FOR);
        let state = figures.upstream();
        let pause = match (state.up, suspected_at) {
            (Some(false), _) | (_, Some(_)) => interval.min(DOWN_PAUSE),
            (Some(true) | None, None) => interval,
        };
        let tried_within = |limit: Duration| {
            let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
            state
                .tried_at
                .is_some_and(|at| shared.clock.now().since(at) < limit_ns)
        };
        let is_due = if suspected_at.is_some() {
            !tried_within(SUSPECT_PAUSE)
        } else {
            let is_in_use =
                state.up == Some(true) && figures.upstream_connections.load(Relaxed) > 0;
            !is_in_use && !tried_within(pause)
        };
        if is_due {
            try_to_connect(route, &shared).await;
        }
        tokio::select! {
            _ = stage.wait_for(|stage| *stage > Stage::Running) => return,
            () = tokio::time::sleep(pause) => {}
            () = shared.route(route).suspect.notified() => suspected_at = Some(Instant::now()),
        }
    }
}

async fn try_to_connect(route: usize, shared: &Arc<Shared>) {
    let figures = &shared.route(route).figures;
    let target = shared.route(route).target.load_full();
    let tunables = shared.tunables.load_full();
    let _gauge = UpstreamGauge::raise(Arc::clone(figures));
    let result = upstream::connect(&target, &tunables, tunables.timeouts.connect).await;
    upstream::note(figures, &result, shared.clock.now());
    if let (Ok((upstream, _)), Some(acceptor)) = (&result, target.tls.acceptor()) {
        target.binding.check(&figures.name, acceptor, upstream);
    }
}
