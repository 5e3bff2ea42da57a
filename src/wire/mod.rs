//! Cuts bytes into PostgreSQL v3 messages and names their fields.
//!
//! *Architecture invariant:* no sockets, no clock, no allocation for a message that is skipped.
//! Hot messages are decoded by our own code; cold ones by `pgwire`, one whole frame at a time and guarded.
//! Start reading in [`frame`].

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]

pub mod fields;
pub mod frame;
pub mod message;
pub mod sasl;
pub mod startup;
pub mod tags;

/// The transaction status that a ReadyForQuery carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransactionStatus {
    /// `I`: not in a transaction block.
    #[default]
    Idle,
    /// `T`: in a transaction block.
    InTransaction,
    /// `E`: in a failed transaction block; statements are refused until it ends.
    Failed,
}

/// A five-character SQLSTATE, as an ErrorResponse's `C` field carries it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    /// What stands for a SQLSTATE that was absent or malformed.
    pub const UNKNOWN: SqlState = SqlState(*b"?????");

    /// The five characters; always ASCII letters, digits or `?`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("?????")
    }

    /// Reads an ErrorResponse's `C` field; anything but five ASCII letters or digits is [`SqlState::UNKNOWN`].
    pub fn parse(field: &[u8]) -> SqlState {
        match <[u8; 5]>::try_from(field) {
            Ok(code) if code.iter().all(u8::is_ascii_alphanumeric) => SqlState(code),
            _ => SqlState::UNKNOWN,
        }
    }
}

impl std::fmt::Debug for SqlState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
