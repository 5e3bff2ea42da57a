//! What a client says first: up to its StartupMessage or CancelRequest, in plaintext or inside TLS.
//!
//! Exactly the announced bytes are read, never more: what follows a packet stays in the kernel, where the next reader
//! finds it, and a TLS handshake begins on a buffer that holds nothing.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::TlsMode;
use super::socket::Socket;
use super::tls::{Acceptor, Hello};
use crate::wire::startup::{CancelKey, StartupError, StartupMessage, StartupPacket, packet_length};

/// The first byte of a TLS handshake: of no startup packet, which would be 369 MB long.
const TLS_HANDSHAKE: u8 = 0x16;

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
    /// At most one SSLRequest and one GSSENCRequest are answered, and none inside TLS.
    #[error("second {request} on one connection")]
    Repeated { request: &'static str },
    /// Bytes behind a request for encryption could have been put there by somebody else.
    #[error("received unencrypted data after {request}")]
    BytesBehind { request: &'static str },
    /// The client and we did not agree on a TLS session; TLS has told it why.
    #[error("TLS handshake with the client: {0}")]
    Handshake(io::Error),
    /// A session in plaintext where TLS is asked for.
    #[error(
        "this listener takes connections over TLS only (tls = \"require\"); connect with sslmode=require or stricter"
    )]
    Plaintext,
}

/// A client without a greeting, and what is left to tell it something.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) error: GreetingError,
    pub(super) client: Option<Socket>,
}

/// What comes next.
enum Next<'a> {
    Greeting(Greeting),
    Handshake(&'a Acceptor, Hello),
}

/// Which requests for encryption came.
#[derive(Default)]
struct Requests {
    tls: bool,
    gss: bool,
}

/// Reads up to the first packet that says what the client wants; on the way, TLS begins or is declined.
pub(super) async fn read(
    mut client: Socket,
    tls: &TlsMode,
) -> Result<(Socket, Greeting), Box<Refused>> {
    let mut requests = Requests::default();
    loop {
        match next(&mut client, tls, &mut requests).await {
            Ok(Next::Greeting(greeting)) => return Ok((client, greeting)),
            Ok(Next::Handshake(acceptor, hello)) => {
                client = match acceptor.accept(client, hello).await {
                    Ok(client) => client,
                    Err(error) => return Err(Refused::new(GreetingError::Handshake(error), None)),
                };
            }
            Err(error) => return Err(Refused::new(error, Some(client))),
        }
    }
}

impl Refused {
    fn new(error: GreetingError, client: Option<Socket>) -> Box<Refused> {
        Box::new(Refused { error, client })
    }
}

async fn next<'a>(
    client: &mut Socket,
    tls: &'a TlsMode,
    requests: &mut Requests,
) -> Result<Next<'a>, GreetingError> {
    let is_tls = client.is_tls();
    let acceptor = tls.acceptor().filter(|_| !is_tls);
    if let Some(acceptor) = acceptor
        && !requests.tls
        && client.peek_byte().await? == Some(TLS_HANDSHAKE)
    {
        return Ok(Next::Handshake(acceptor, Hello::Direct));
    }
    loop {
        let packet = match read_packet(client, tls).await? {
            Packet::Whole(packet) => packet,
            Packet::Opaque(packet) => return Ok(Next::Greeting(Greeting::Opaque { packet })),
        };
        let (request, is_repeated) = match StartupPacket::parse(&packet) {
            Ok(StartupPacket::StartupMessage(_)) if !is_tls && tls.is_required() => {
                return Err(GreetingError::Plaintext);
            }
            Ok(StartupPacket::StartupMessage(message)) => {
                return Ok(Next::Greeting(Greeting::Startup { message, packet }));
            }
            // Under `require` too: libpq before 17 knows no other, and what it says is no secret for long.
            Ok(StartupPacket::CancelRequest(key)) => {
                return Ok(Next::Greeting(Greeting::Cancel { key, packet }));
            }
            Err(_) if *tls == TlsMode::PassThrough => {
                return Ok(Next::Greeting(Greeting::Opaque { packet }));
            }
            Err(error) => return Err(error.into()),
            Ok(StartupPacket::SslRequest) => {
                ("SSLRequest", std::mem::replace(&mut requests.tls, true))
            }
            Ok(StartupPacket::GssEncRequest) => {
                ("GSSENCRequest", std::mem::replace(&mut requests.gss, true))
            }
        };
        if is_repeated || is_tls {
            return Err(GreetingError::Repeated { request });
        }
        if client.has_unread_bytes() {
            return Err(GreetingError::BytesBehind { request });
        }
        match acceptor {
            Some(acceptor) if request == "SSLRequest" => {
                client.write_all(b"S").await?;
                return Ok(Next::Handshake(acceptor, Hello::Requested));
            }
            _ => client.write_all(b"N").await?,
        }
    }
}

/// A startup packet, or the beginning of something that is for the upstream alone.
enum Packet {
    Whole(Vec<u8>),
    Opaque(Vec<u8>),
}

async fn read_packet(client: &mut Socket, tls: &TlsMode) -> Result<Packet, GreetingError> {
    let mut header = [0; 4];
    client.read_exact(&mut header).await?;
    let mut packet = header.to_vec();
    let length = match packet_length(header) {
        Ok(length) => length,
        Err(_) if *tls == TlsMode::PassThrough => return Ok(Packet::Opaque(packet)),
        Err(error) => return Err(error.into()),
    };
    if *tls == TlsMode::PassThrough {
        // What follows a request for encryption, even inside its announced length, is not for us to wait for.
        let mut code = [0; 4];
        client.read_exact(&mut code).await?;
        packet.extend_from_slice(&code);
        if is_request_for_encryption(&packet) {
            return Ok(Packet::Opaque(packet));
        }
    }
    let read_bytes = packet.len();
    packet.resize(length, 0);
    if let Some(rest) = packet.get_mut(read_bytes..) {
        client.read_exact(rest).await?;
    }
    Ok(Packet::Whole(packet))
}

fn is_request_for_encryption(packet: &[u8]) -> bool {
    matches!(
        StartupPacket::parse(packet),
        Ok(StartupPacket::SslRequest | StartupPacket::GssEncRequest)
    )
}
