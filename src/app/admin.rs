//! The admin address on a thread of its own: a slow scraper shares no runtime with traffic.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::AppError;
use crate::export::http::{Access, Server, Settings};

/// How much less urgent than traffic its thread is, in nice levels.
const NICE: i32 = 5;

/// The bound admin port, before it is served; `None` where the admin address is off.
pub(super) fn bind(address: Option<SocketAddr>) -> Result<Option<TcpListener>, AppError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound
        .map(Some)
        .map_err(|source| AppError::ListenAdmin { address, source })
}

pub(super) struct Admin {
    running: Option<Thread>,
}

struct Thread {
    address: SocketAddr,
    access: Access,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Admin {
    pub(super) fn start(
        listener: Option<TcpListener>,
        settings: Settings,
    ) -> Result<Admin, AppError> {
        let Some(listener) = listener else {
            return Ok(Admin { running: None });
        };
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            AppError::internal("start the admin address")(error)
        };
        let address = listener
            .local_addr()
            .map_err(|error| failed(error.into()))?;
        let server = Server::new(settings).map_err(|error| failed(error.into()))?;
        let access = server.access();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(error.into()))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("pgprism-admin".to_owned())
            .spawn(move || {
                // On Linux this is the thread's own; where it fails the thread is as urgent as any.
                let _ = rustix::process::nice(NICE);
                runtime.block_on(async {
                    match tokio::net::TcpListener::from_std(listener) {
                        Ok(listener) => {
                            // A sender that is gone says the same as one that sent.
                            server.serve(listener, async { drop(stopped.await) }).await;
                        }
                        Err(error) => tracing::error!(%error, "the admin address is not served"),
                    }
                });
            })
            .map_err(|error| failed(error.into()))?;
        Ok(Admin {
            running: Some(Thread {
                address,
                access,
                stop,
                thread,
            }),
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.running.as_ref().map(|thread| thread.address)
    }

    /// Who may ask it; `None` where it is off.
    pub(super) fn access(&self) -> Option<Access> {
        self.running.as_ref().map(|thread| thread.access.clone())
    }

    /// Releases the port; answers in progress get their time on their own thread.
    pub(super) fn release(self) {
        if let Some(Thread { stop, thread, .. }) = self.running {
            // The thread is not waited for: a reader that does not read must not hold up the drain.
            drop((stop, thread));
        }
    }
}
