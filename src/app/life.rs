//! What a running process is told, and what it does then: reload, be replaced, end.
//!
//! | signal | |
//! |---|---|
//! | SIGHUP | reads the configuration again: [`super::reload`] |
//! | SIGUSR2 | starts a successor on the same sockets, then drains: [`super::handover`] |
//! | SIGTERM, SIGINT | drains; a second one ends all sessions now |

use std::io;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Running;
use super::handover::{Handed, HandoverError, Successor};
use super::sockets::ADMIN;

/// How this process leaves.
#[derive(Debug)]
pub(super) enum Leave {
    /// Nobody takes its place.
    Alone,
    /// This process is ready to.
    ToSuccessor(Successor),
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Reload,
    Replace,
    End,
}

pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    replace: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            replace: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hangup.recv() => Told::Reload,
            _ = self.replace.recv() => Told::Replace,
            _ = self.interrupt.recv() => Told::End,
            _ = self.terminate.recv() => Told::End,
        }
    }

    /// Waits until it is told to end; nothing else can be done any more.
    async fn end(&mut self) {
        loop {
            match self.next().await {
                Told::End => return,
                Told::Reload => {
                    tracing::warn!("the configuration is not read again while draining");
                }
                Told::Replace => tracing::warn!("draining: too late for a successor"),
            }
        }
    }
}

impl Running {
    /// Serves until it is told to end or a successor is ready.
    pub(super) async fn until_told_to_leave(&mut self, signals: &mut Signals) -> Leave {
        let mut successor: Option<Successor> = None;
        loop {
            let told = match &mut successor {
                None => signals.next().await,
                Some(starting) => tokio::select! {
                    told = signals.next() => told,
                    ready = starting.ready() => match (ready, successor.take()) {
                        (Ok(()), Some(ready)) => return Leave::ToSuccessor(ready),
                        (Ok(()), None) => continue,
                        (Err(error), _) => {
                            stay(&error);
                            continue;
                        }
                    },
                },
            };
            match told {
                Told::Reload => self.reload(),
                Told::Replace if successor.is_some() => {
                    tracing::warn!("a successor is starting already");
                }
                Told::Replace => successor = self.start_successor(),
                Told::End => {
                    if let Some(starting) = successor {
                        starting.abandon();
                    }
                    return Leave::Alone;
                }
            }
        }
    }

    fn start_successor(&self) -> Option<Successor> {
        if std::process::id() == 1 {
            tracing::error!(
                "process 1 cannot be replaced, its end would end the container; start another container instead"
            );
            return None;
        }
        let sockets = self.proxy.listening_sockets();
        let listeners = sockets.iter().zip(&self.config.listeners);
        let mut handed: Vec<Handed<'_>> = listeners
            .map(|(socket, listener)| Handed {
                name: &socket.listener,
                configured: listener.listen,
                socket: &socket.socket,
                is_kept_elsewhere: socket.is_kept_elsewhere,
            })
            .collect();
        if let (Some(admin), Some(configured)) = (&self.admin_socket, self.config.admin.listen) {
            handed.push(Handed {
                name: ADMIN,
                configured,
                socket: &admin.socket,
                is_kept_elsewhere: admin.is_kept_elsewhere,
            });
        }
        match Successor::start(&self.invocation, &handed) {
            Ok(successor) => {
                tracing::info!("process {} is to take over", successor.pid());
                Some(successor)
            }
            Err(error) => {
                stay(&error);
                None
            }
        }
    }

    /// Lets sessions end as they can; told again, ends them now.
    pub(super) async fn drain(&mut self, leave: Leave, signals: &mut Signals) {
        let sessions = self.registry.connections().len();
        let deadline = self.config.timeouts.drain_timeout;
        match leave {
            Leave::Alone => {
                notify(&[NotifyState::Stopping]);
                tracing::info!(
                    sessions,
                    ?deadline,
                    "draining; a second signal ends all sessions now"
                );
                self.proxy.begin_drain();
            }
            Leave::ToSuccessor(successor) => {
                let pid = successor.pid();
                notify(&[NotifyState::MainPid(pid)]);
                self.proxy.leave_to_successor();
                successor.leave_alone();
                tracing::info!(
                    sessions,
                    ?deadline,
                    "process {pid} has taken over; draining"
                );
                // The first one may be meant for both.
                tokio::select! {
                    () = self.proxy.wait() => return,
                    () = signals.end() => tracing::info!("draining; a second signal ends all sessions now"),
                }
            }
        }
        tokio::select! {
            () = self.proxy.wait() => {}
            () = signals.end() => {
                tracing::warn!("told again: ending all sessions now");
                self.proxy.end_now();
                self.proxy.wait().await;
            }
        }
    }
}

fn stay(error: &HandoverError) {
    tracing::error!("not replaced, this process goes on: {error}");
}

/// Tells systemd, where it asked to be told.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}
