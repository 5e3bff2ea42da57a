//! The admin address on a thread of its own: a slow scraper shares no runtime with traffic.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::AppError;
use super::sockets::Offer;
use crate::export::http::{Access, Server, Settings};

/// How much less urgent than traffic its thread is, in nice levels.
const NICE: i32 = 5;

/// The bound admin port.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) socket: TcpListener,
    /// Whether somebody else keeps it open when we close it.
    pub(super) is_kept_elsewhere: bool,
}

/// Binds the admin port, or takes the socket that is offered; `None` where the admin address is off.
pub(super) fn bind(
    address: Option<SocketAddr>,
    offer: Option<Offer>,
) -> Result<Option<Socket>, AppError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let (bound, is_kept_elsewhere) = match offer {
        Some(offer) => (Ok(offer.socket), offer.is_kept_elsewhere),
        None => (TcpListener::bind(address), false),
    };
    let bound = bound.and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(Socket {
            socket,
            is_kept_elsewhere,
        })
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
    open: Option<oneshot::Sender<()>>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Admin {
    /// Starts the thread; it answers from [`Admin::open`] on.
    pub(super) fn start(socket: &Option<Socket>, settings: Settings) -> Result<Admin, AppError> {
        let Some(Socket { socket, .. }) = socket else {
            return Ok(Admin { running: None });
        };
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            AppError::internal("start the admin address")(error)
        };
        let listener = socket.try_clone().map_err(|error| failed(error.into()))?;
        let address = listener
            .local_addr()
            .map_err(|error| failed(error.into()))?;
        let server = Server::new(settings).map_err(|error| failed(error.into()))?;
        let access = server.access();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(error.into()))?;
        let (open, opened) = oneshot::channel::<()>();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("pgprism-admin".to_owned())
            .spawn(move || {
                // On Linux this is the thread's own; where it fails the thread is as urgent as any.
                let _ = rustix::process::nice(NICE);
                runtime.block_on(async {
                    if opened.await.is_err() {
                        return;
                    }
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
                open: Some(open),
                stop,
                thread,
            }),
        })
    }

    /// Lets it answer. Two processes that answer on one address in turn would look like counters that go back and
    /// forth: a successor waits until its predecessor has stopped.
    pub(super) fn open(&mut self) {
        let open = self.running.as_mut().and_then(|thread| thread.open.take());
        if let Some(open) = open {
            // A thread that is gone has said why.
            let _ = open.send(());
        }
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
    pub(super) fn release(&mut self) {
        if let Some(Thread { stop, thread, .. }) = self.running.take() {
            // The thread is not waited for: a reader that does not read must not hold up the drain.
            drop((stop, thread));
        }
    }
}
