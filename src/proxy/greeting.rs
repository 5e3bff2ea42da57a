//! What a client says first: up to its StartupMessage or CancelRequest, in plaintext or inside TLS.
//!
//! Where there may be TLS exactly the announced bytes are read, never more ([`read`]): what follows a packet stays in
//! the kernel, where the next reader finds it, and a handshake begins on a buffer that holds nothing. Where there is none
//! what comes is taken as it comes ([`Hearing::take`]).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::TlsMode;
use super::socket::Socket;
use super::tls::{Acceptor, Hello};
use crate::wire::startup::{
    CancelKey, STARTUP_BYTES_MIN, StartupError, StartupMessage, StartupPacket, packet_length,
};

/// Bytes that announce a packet's length.
const LENGTH_BYTES: usize = 4;

/// What is sent on in one piece, at most, of what only the upstream shall understand: more than any ClientHello.
const OPAQUE_BYTES_MAX: usize = 16 * 1024;

/// The first byte of a TLS handshake: of no startup packet, which would be 369 MB long.
const TLS_HANDSHAKE: u8 = 0x16;

/// What the client wants.
#[derive(Debug)]
pub(super) enum Greeting {
    /// A session.
    Startup(Startup),
    /// To cancel what another session does.
    Cancel { key: CancelKey, packet: Vec<u8> },
    /// Something that only the upstream shall understand: the first bytes of it.
    Opaque { packet: Vec<u8> },
}

/// A StartupMessage.
#[derive(Debug)]
pub(super) struct Startup {
    pub(super) message: StartupMessage,
    /// The same as it came.
    pub(super) packet: Vec<u8>,
    /// What the client has sent behind it already, as far as that was read.
    pub(super) behind: Vec<u8>,
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

/// How far a greeting has come: it can be heard in parts, and by one after another.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    requests: Requests,
    /// What has come of the present packet.
    packet: Vec<u8>,
}

/// Which requests for encryption came.
#[derive(Debug, Default)]
struct Requests {
    tls: bool,
    gss: bool,
}

/// What comes of bytes that were heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// There is more to come.
    More,
    /// The client waits for `N`.
    RequestForEncryption,
    /// All that there is to hear.
    Said(Result<Greeting, GreetingError>),
}

/// What a whole packet is.
enum Asked {
    Greeting(Greeting),
    Encryption { request: &'static str },
}

impl Hearing {
    /// Takes what a client sent, all that there was, to a listener without TLS.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Heard {
        self.packet.extend_from_slice(bytes);
        let Some(&length) = self.packet.first_chunk() else {
            return Heard::More;
        };
        let length = match packet_length(length) {
            Ok(length) if length > self.packet.len() => return Heard::More,
            Ok(length) => length,
            Err(error) => return Heard::Said(Err(error.into())),
        };
        let behind = self.packet.split_off(length);
        let packet = std::mem::take(&mut self.packet);
        match asked(packet, &TlsMode::Off, false, &mut self.requests) {
            Ok(Asked::Greeting(Greeting::Startup(startup))) => {
                Heard::Said(Ok(Greeting::Startup(Startup { behind, ..startup })))
            }
            Ok(Asked::Encryption { request }) if !behind.is_empty() => {
                Heard::Said(Err(GreetingError::BytesBehind { request }))
            }
            Ok(Asked::Encryption { .. }) => Heard::RequestForEncryption,
            Ok(Asked::Greeting(greeting)) => Heard::Said(Ok(greeting)),
            Err(error) => Heard::Said(Err(error)),
        }
    }
}

/// What a client asks for with `packet`, if it may ask for it here and now.
fn asked(
    packet: Vec<u8>,
    tls: &TlsMode,
    is_tls: bool,
    requests: &mut Requests,
) -> Result<Asked, GreetingError> {
    let (request, is_repeated) = match StartupPacket::parse(&packet) {
        Ok(StartupPacket::StartupMessage(_)) if !is_tls && tls.is_required() => {
            return Err(GreetingError::Plaintext);
        }
        Ok(StartupPacket::StartupMessage(message)) => {
            return Ok(Asked::Greeting(Greeting::Startup(Startup {
                message,
                packet,
                behind: Vec::new(),
            })));
        }
        // Under `require` too: libpq before 17 knows no other, and what it says is no secret for long.
        Ok(StartupPacket::CancelRequest(key)) => {
            return Ok(Asked::Greeting(Greeting::Cancel { key, packet }));
        }
        Err(_) if *tls == TlsMode::PassThrough => {
            return Ok(Asked::Greeting(Greeting::Opaque { packet }));
        }
        Err(error) => return Err(error.into()),
        Ok(StartupPacket::SslRequest) => ("SSLRequest", std::mem::replace(&mut requests.tls, true)),
        Ok(StartupPacket::GssEncRequest) => {
            ("GSSENCRequest", std::mem::replace(&mut requests.gss, true))
        }
    };
    match is_repeated || is_tls {
        true => Err(GreetingError::Repeated { request }),
        false => Ok(Asked::Encryption { request }),
    }
}

/// Reads on from where `hearing` has come to, up to the first packet that says what the client wants; on the way, TLS
/// begins or is declined.
pub(super) async fn read(
    mut client: Socket,
    tls: &TlsMode,
    mut hearing: Hearing,
) -> Result<(Socket, Greeting), Box<Refused>> {
    loop {
        match next(&mut client, tls, &mut hearing).await {
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
    pub(super) fn new(error: GreetingError, client: Option<Socket>) -> Box<Refused> {
        Box::new(Refused { error, client })
    }
}

async fn next<'a>(
    client: &mut Socket,
    tls: &'a TlsMode,
    hearing: &mut Hearing,
) -> Result<Next<'a>, GreetingError> {
    let is_tls = client.is_tls();
    let acceptor = tls.acceptor().filter(|_| !is_tls);
    if let Some(acceptor) = acceptor
        && !hearing.requests.tls
        && client.peek_byte().await? == Some(TLS_HANDSHAKE)
    {
        return Ok(Next::Handshake(acceptor, Hello::Direct));
    }
    loop {
        let begun = std::mem::take(&mut hearing.packet);
        let packet = match read_packet(client, tls, begun).await? {
            Packet::Whole(packet) => packet,
            Packet::Opaque(packet) => return Ok(Next::Greeting(Greeting::Opaque { packet })),
        };
        let request = match asked(packet, tls, is_tls, &mut hearing.requests)? {
            Asked::Greeting(greeting) => return Ok(Next::Greeting(greeting)),
            Asked::Encryption { request } => request,
        };
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

/// Reads the rest of the packet of which `packet` has come.
async fn read_packet(
    client: &mut Socket,
    tls: &TlsMode,
    mut packet: Vec<u8>,
) -> Result<Packet, GreetingError> {
    read_up_to(client, &mut packet, LENGTH_BYTES).await?;
    let length = packet.first_chunk().copied().unwrap_or_default();
    let length = match packet_length(length) {
        Ok(length) => length,
        Err(_) if *tls == TlsMode::PassThrough => {
            // Together, as the client sent it: a server that has no use for it closes behind what it has read, and
            // answers what still comes with a reset.
            client.read_arrived(&mut packet, OPAQUE_BYTES_MAX);
            return Ok(Packet::Opaque(packet));
        }
        Err(error) => return Err(error.into()),
    };
    if *tls == TlsMode::PassThrough {
        // What follows a request for encryption, even inside its announced length, is not for us to wait for.
        read_up_to(client, &mut packet, STARTUP_BYTES_MIN).await?;
        if is_request_for_encryption(&packet) {
            return Ok(Packet::Opaque(packet));
        }
    }
    read_up_to(client, &mut packet, length).await?;
    Ok(Packet::Whole(packet))
}

/// Reads until `packet` has so many bytes.
async fn read_up_to(client: &mut Socket, packet: &mut Vec<u8>, bytes: usize) -> io::Result<()> {
    let read_bytes = packet.len();
    if read_bytes < bytes {
        packet.resize(bytes, 0);
    }
    if let Some(rest) = packet.get_mut(read_bytes..) {
        client.read_exact(rest).await?;
    }
    Ok(())
}

fn is_request_for_encryption(packet: &[u8]) -> bool {
    matches!(
        StartupPacket::parse(packet),
        Ok(StartupPacket::SslRequest | StartupPacket::GssEncRequest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::startup::SSL_REQUEST;

    fn startup_message() -> Vec<u8> {
        [&[0, 0, 0, 17, 0, 3, 0, 0][..], b"user\0ada\0"].concat()
    }

    /// What comes of `bytes` in reads that end at `cuts`, each answered request as `N`.
    fn hear(bytes: &[u8], cuts: &[usize]) -> (usize, Option<Result<Greeting, GreetingError>>) {
        let mut hearing = Hearing::default();
        let mut declined = 0;
        let mut from = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            match hearing.take(&bytes[from..cut]) {
                Heard::More => {}
                Heard::RequestForEncryption => declined += 1,
                Heard::Said(said) => return (declined, Some(said)),
            }
            from = cut;
        }
        (declined, None)
    }

    #[test]
    fn a_greeting_is_the_same_however_its_packets_are_cut() {
        let message = startup_message();
        let bytes = [&SSL_REQUEST[..], &message].concat();
        for cut in 1..bytes.len() {
            let mut cuts = vec![cut, 8];
            cuts.sort_unstable();
            let (declined, said) = hear(&bytes, &cuts);
            let Some(Ok(Greeting::Startup(startup))) = said else {
                panic!("cut at {cut}: {said:?}");
            };
            assert_eq!((declined, &startup.packet), (1, &message));
            assert_eq!(startup.message.user, "ada");
            assert!(startup.behind.is_empty());
        }
        let (_, said) = hear(&bytes[..bytes.len() - 1], &[8]);
        assert!(said.is_none());
    }

    #[test]
    fn what_is_behind_a_startup_message_is_kept_and_behind_a_request_refused() {
        let message = startup_message();
        let (_, said) = hear(&[&message[..], b"behind"].concat(), &[]);
        let Some(Ok(Greeting::Startup(startup))) = said else {
            panic!("{said:?}");
        };
        assert_eq!(
            (startup.packet, &startup.behind[..]),
            (message.clone(), &b"behind"[..])
        );
        let (declined, said) = hear(&[&SSL_REQUEST[..], &message].concat(), &[]);
        let error = said.unwrap().unwrap_err();
        assert!(
            matches!(error, GreetingError::BytesBehind { .. }),
            "{error}"
        );
        assert_eq!(declined, 0);
    }

    #[test]
    fn a_bad_length_is_known_as_soon_as_it_is_there() {
        let (_, said) = hear(b"GET / HTTP/1.1", &[3, 4]);
        assert!(matches!(said, Some(Err(GreetingError::Malformed(_)))));
    }
}
