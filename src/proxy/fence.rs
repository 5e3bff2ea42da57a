//! How somebody knows that all that clients were sent was looked at, too.
//!
//! A relaying thread writes first and shows the bytes to the taps afterwards ([`super::unseen`]). A client may act on an
//! answer between the two; who wants to know what the taps saw of it passes the fence before, or waits without a word
//! until the threads have come that far by themselves: that takes some milliseconds at most, and costs them nothing,
//! whoever asks and however often.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::orders::Gate;

/// All relaying threads of a proxy.
#[derive(Debug, Clone)]
pub struct Fence {
    gates: Arc<[Gate]>,
}

/// Somebody who waits for a relaying thread to come by; it lets go of this then.
pub(super) type Crossing = mpsc::Sender<Infallible>;

/// How often whoever waits without a word looks: the threads show what waits after some milliseconds at most.
const LOOKS_EACH: Duration = Duration::from_millis(1);

/// And how often at most: figures are wanted most where a thread stands still.
const LOOKS_MAX: usize = 500;

/// How far a relaying thread is, written by it alone: even while it waits with everything shown, odd from before it sends
/// something on until all is shown. What was sent on before an odd number changed has been shown.
#[derive(Debug, Default)]
pub(super) struct Rounds(AtomicU64);

/// What a relaying thread does with what it sends on next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Shows it before it waits.
    Shown,
    /// Gathers it: some of it waits while the thread does.
    Gathered,
}

impl Rounds {
    /// Something may be sent on from now on.
    #[inline]
    pub(super) fn begin(&self) {
        let round = self.0.load(Ordering::Relaxed);
        if round & 1 == 0 {
            // In order with the system calls that send: whoever acts on what was sent finds it odd.
            self.0.store(round + 1, Ordering::Release);
        }
    }

    /// All that was sent on has been shown.
    #[inline]
    pub(super) fn are_over(&self, next: Next) {
        let round = self.0.load(Ordering::Relaxed);
        let following = match next {
            Next::Shown => (round + 1) & !1,
            Next::Gathered => (round + 2) | 1,
        };
        // Whoever sees it sees what was shown.
        self.0.store(following, Ordering::Release);
    }

    /// Ready once what was sent on up to now has been shown, or there is no more hope that it will be.
    async fn come_to_an_end(&self) {
        let round = self.0.load(Ordering::Acquire);
        for _ in 0..LOOKS_MAX {
            if round & 1 == 0 || self.0.load(Ordering::Acquire) != round {
                return;
            }
            tokio::time::sleep(LOOKS_EACH).await;
        }
    }
}

impl Fence {
    pub(super) fn new(gates: Vec<Gate>) -> Fence {
        Fence {
            gates: gates.into(),
        }
    }

    /// Ready once whatever any client had been sent by now was shown to its tap.
    pub async fn pass(&self) {
        let (crossing, mut all_gone) = mpsc::channel(1);
        for gate in self.gates.iter() {
            gate.cross(crossing.clone());
        }
        drop(crossing);
        // Nothing is ever sent: it ends when the last thread has let go.
        let _: Option<Infallible> = all_gone.recv().await;
    }

    /// Ready once the same is true, without asking anybody for it; a thread that stands still is not waited for for ever.
    pub async fn come_by(&self) {
        for gate in self.gates.iter() {
            gate.rounds.come_to_an_end().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_waits_goes_on_when_the_round_is_over() {
        let rounds = Rounds::default();
        rounds.come_to_an_end().await;
        for (begins, next) in [
            (true, Next::Gathered),
            (false, Next::Gathered),
            (true, Next::Shown),
            (true, Next::Shown),
        ] {
            if begins {
                rounds.begin();
            }
            let mut waits = pin!(rounds.come_to_an_end());
            assert!(timeout(3 * LOOKS_EACH, &mut waits).await.is_err());
            rounds.are_over(next);
            waits.await;
        }
        rounds.come_to_an_end().await;
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let rounds = Rounds::default();
        rounds.begin();
        let waits = rounds.come_to_an_end();
        timeout(Duration::from_secs(30), waits).await.unwrap();
    }
}
