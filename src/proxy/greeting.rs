//! What a client says first: up to its StartupMessage or CancelRequest.
//!
//! Exactly the announced bytes are read, never more: what follows a packet stays in the kernel, where the next reader
//! finds it.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::TlsMode;
use super::socket::Socket;
use crate::wire::startup::{CancelKey, StartupError, StartupMessage, StartupPacket, packet_length};

/// What the client wants.
#[derive(Debug)]
pub(super) enum Greeting {
    /// A session. `packet` is the StartupMessage as it came.
    Startup {
        message: StartupMessage,
        packet: Vec<u8>,
    },
    /// To cancel what another session does.
    Cancel { key: CancelKey, packet: Vec<u8> },
    /// Something that only the upstream shall understand: the first bytes of it.
    Opaque { packet: Vec<u8> },
}

/// Why there was no greeting.
#[derive(Debug, thiserror::Error)]
pub(super) enum GreetingError {
    /// The client went away, or connected only to see whether somebody listens.
    #[error("the client left during startup: {0}")]
    Left(#[from] io::Error),
    /// Closed without a word, as PostgreSQL does.
    #[error(transparent)]
    Malformed(#[from] StartupError),
    /// At most one SSLRequest and one GSSENCRequest are answered.
    #[error("second {request} on one connection")]
    Repeated { request: &'static str },
    /// Bytes behind a request for encryption could have been put there by somebody else.
    #[error("received unencrypted data after {request}")]
    BytesBehind { request: &'static str },
}

/// Reads up to the first packet that says what the client wants, and declines encryption on the way.
pub(super) async fn read(client: &mut Socket, tls: TlsMode) -> Result<Greeting, GreetingError> {
    let mut declined_tls = false;
    let mut declined_gss = false;
    loop {
        let mut packet = vec![0; 4];
        client.read_exact(&mut packet).await?;
        let length = match packet_length([packet[0], packet[1], packet[2], packet[3]]) {
            Ok(length) => length,
            Err(_) if tls == TlsMode::PassThrough => return Ok(Greeting::Opaque { packet }),
            Err(error) => return Err(error.into()),
        };
        packet.resize(length, 0);
        let mut read_bytes = 4;
        if tls == TlsMode::PassThrough {
            // What follows a request for encryption, even inside its announced length, is not for us to wait for.
            read_bytes = 8;
            client.read_exact(&mut packet[4..8]).await?;
            if is_request_for_encryption(&packet[..8]) {
                packet.truncate(8);
                return Ok(Greeting::Opaque { packet });
            }
        }
        client.read_exact(&mut packet[read_bytes..]).await?;
        let (request, declined) = match StartupPacket::parse(&packet) {
            Ok(StartupPacket::StartupMessage(message)) => {
                return Ok(Greeting::Startup { message, packet });
            }
            Ok(StartupPacket::CancelRequest(key)) => return Ok(Greeting::Cancel { key, packet }),
            Err(_) if tls == TlsMode::PassThrough => return Ok(Greeting::Opaque { packet }),
            Err(error) => return Err(error.into()),
            Ok(StartupPacket::SslRequest) => ("SSLRequest", &mut declined_tls),
            Ok(StartupPacket::GssEncRequest) => ("GSSENCRequest", &mut declined_gss),
        };
        if std::mem::replace(declined, true) {
            return Err(GreetingError::Repeated { request });
        }
        if client.has_unread_bytes() {
            return Err(GreetingError::BytesBehind { request });
        }
        client.write_all(b"N").await?;
    }
}

fn is_request_for_encryption(packet: &[u8]) -> bool {
    matches!(
        StartupPacket::parse(packet),
        Ok(StartupPacket::SslRequest | StartupPacket::GssEncRequest)
    )
}
