//! What the benchmarks share that show a session what is said over its connection.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pgprism::event::{ConnectionStatus, Moment, SessionId, SessionStart};

/// A message of PostgreSQL's protocol.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 4;
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// What the server says at the end of a login.
pub(crate) fn login() -> Vec<u8> {
    [message(b'R', &[0; 4]), message(b'Z', b"I")].concat()
}

/// A connection of the shop's that was opened at `at`.
pub(crate) fn start(id: u64, at: u64) -> SessionStart {
    SessionStart {
        id: SessionId(id),
        listener: "default".into(),
        client: "127.0.0.1".into(),
        user: "shop".into(),
        database: "shop".into(),
        application: "".into(),
        accepted_at: Moment(at),
        opened_at: Moment(at),
        status: Arc::new(ConnectionStatus::default()),
        observe: Arc::new(AtomicBool::new(true)),
    }
}
