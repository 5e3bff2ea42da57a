//! The one thing that TLS on both legs breaks: SCRAM's channel binding.
//!
//! A client that speaks TLS to us binds its password's proof to the certificate that it sees, ours; the server compares
//! with its own. Nothing of the bytes can be changed to make that work: the list of mechanisms is signed too.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::Acceptor;
use crate::proxy::socket::Socket;

/// What a listener's user was told about channel binding.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Binding {
    is_told: AtomicBool,
}

impl Binding {
    /// Says once what will fail when clients see another certificate (`acceptor`'s) than the upstream's.
    pub(in crate::proxy) fn check(&self, listener: &str, acceptor: &Acceptor, upstream: &Socket) {
        let Some(server) = upstream.peer_certificate() else {
            return;
        };
        if acceptor.leaf().is_some_and(|own| *own == server) || self.is_told.swap(true, Relaxed) {
            return;
        }
        tracing::warn!(
            listener,
            "clients see another certificate than the upstream's: over TLS, logins by SCRAM with libpq's default, \
             channel_binding=prefer, will fail (\"SCRAM channel binding check failed\"); either give this listener the \
             server's own certificate and key (tls_certificate, tls_key), or set channel_binding=disable in the clients \
             (Django: OPTIONS = {{\"channel_binding\": \"disable\"}}), or reach the upstream in plaintext \
             (sslmode=disable) or by a Unix socket"
        );
    }
}
