//! How somebody knows that all that clients were sent was looked at, too.
//!
//! A relaying thread writes first and shows the bytes to the taps afterwards ([`super::unseen`]). A client may act on an
//! answer between the two; who wants to know what the taps saw of it passes the fence before.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::orders::Gate;

/// All relaying threads of a proxy.
#[derive(Debug, Clone)]
pub struct Fence {
    gates: Arc<[Gate]>,
}

/// Somebody who waits for a relaying thread to come by; it lets go of this then.
pub(super) type Crossing = mpsc::Sender<Infallible>;

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
}
