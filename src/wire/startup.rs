//! The startup phase: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage and the login's replies.
//!
//! Packets of this phase have no tag: four length bytes (themselves included), then a code or a protocol version.
//! Nothing is allocated by an announced length: the caller reads at most [`STARTUP_BYTES_MAX`] bytes, and
//! [`LoginReplies`] keeps no more than one BackendKeyData. See "Message Flow, Start-up" in the PostgreSQL manual.

use std::ops::RangeInclusive;

pub use super::SqlState;

/// The longest packet that PostgreSQL accepts in the startup phase, its length bytes included.
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// The shortest: length and code.
pub const STARTUP_BYTES_MIN: usize = 8;
/// How long a CancelRequest's secret is: 4 bytes in protocol 3.0, up to 256 in 3.2.
pub const SECRET_BYTES: RangeInclusive<usize> = 4..=256;

const CANCEL_REQUEST_CODE: u32 = 80_877_102;
const SSL_REQUEST_CODE: u32 = 80_877_103;
const GSSENC_REQUEST_CODE: u32 = 80_877_104;
const PROCESS_ID_BYTES: usize = 4;
/// PostgreSQL cuts names at NAMEDATALEN - 1 bytes: what a label says is the name that the server knows.
const NAME_BYTES_MAX: usize = 63;

/// The packet that asks a server whether it speaks TLS.
pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What is wrong with a packet of the startup phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartupError {
    /// The announced length is outside 8..=10000; PostgreSQL closes without a word.
    #[error("invalid length of startup packet: {0}")]
    Length(u32),
    /// A request whose length does not fit its code.
    #[error("startup request {code} with {length} bytes")]
    RequestLength {
        /// The request's code, e.g. 80877103 for SSLRequest.
        code: u32,
        /// Its announced length.
        length: usize,
    },
}

/// Checks a startup packet's four length bytes and returns its whole length, they included.
///
/// ```
/// use pgprism::wire::startup::{StartupError, packet_length};
/// assert_eq!(packet_length([0, 0, 0, 8]), Ok(8));
/// assert_eq!(packet_length([0, 0, 0, 7]), Err(StartupError::Length(7)));
/// assert_eq!(packet_length([0xff; 4]), Err(StartupError::Length(u32::MAX)));
/// ```
pub fn packet_length(length: [u8; 4]) -> Result<usize, StartupError> {
    let announced = u32::from_be_bytes(length);
    usize::try_from(announced)
        .ok()
        .filter(|length| (STARTUP_BYTES_MIN..=STARTUP_BYTES_MAX).contains(length))
        .ok_or(StartupError::Length(announced))
}

/// A packet of the startup phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartupPacket {
    /// The client would like TLS; answered by one byte, `S` or `N`.
    SslRequest,
    /// The client would like GSSAPI encryption; answered by one byte, `G` or `N`.
    GssEncRequest,
    /// End what the session with this key is doing; not answered.
    CancelRequest(CancelKey),
    /// The client's real first message.
    StartupMessage(StartupMessage),
}

impl StartupPacket {
    /// Reads one whole packet, its length bytes included.
    ///
    /// A StartupMessage is never refused here, whatever its version or its parameters: the server negotiates.
    ///
    /// ```
    /// use pgprism::wire::startup::StartupPacket;
    /// let packet = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    /// assert_eq!(StartupPacket::parse(&packet), Ok(StartupPacket::SslRequest));
    /// ```
    pub fn parse(packet: &[u8]) -> Result<StartupPacket, StartupError> {
        let Some((&[_, _, _, _, a, b, c, d], body)) = packet.split_first_chunk::<8>() else {
            let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
            return Err(StartupError::Length(length));
        };
        let code = u32::from_be_bytes([a, b, c, d]);
        let wrong_length = StartupError::RequestLength {
            code,
            length: packet.len(),
        };
        match code {
            SSL_REQUEST_CODE if body.is_empty() => Ok(StartupPacket::SslRequest),
            GSSENC_REQUEST_CODE if body.is_empty() => Ok(StartupPacket::GssEncRequest),
            SSL_REQUEST_CODE | GSSENC_REQUEST_CODE => Err(wrong_length),
            CANCEL_REQUEST_CODE => CancelKey::parse(body)
                .map(StartupPacket::CancelRequest)
                .ok_or(wrong_length),
            version => Ok(StartupPacket::StartupMessage(StartupMessage::parse(
                version, body,
            ))),
        }
    }
}

/// What the proxy needs to know of a StartupMessage; the message itself is forwarded as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartupMessage {
    /// Major version in the upper 16 bits, minor in the lower; 3.0 is 196608.
    pub version: u32,
    /// `user`, empty where it names none.
    pub user: String,
    /// `database`, or the user where it names none.
    pub database: String,
    /// `application_name`, or empty.
    pub application: String,
    /// `replication` is neither absent nor off.
    pub is_replication: bool,
}

impl StartupMessage {
    /// Reads the parameters behind the version; what is malformed there is left to the server to refuse.
    fn parse(version: u32, mut parameters: &[u8]) -> StartupMessage {
        let mut message = StartupMessage {
            version,
            ..StartupMessage::default()
        };
        while let Some((name, rest)) = split_at_nul(parameters)
            && !name.is_empty()
            && let Some((value, rest)) = split_at_nul(rest)
        {
            match name {
                b"user" => message.user = name_of(value),
                b"database" => message.database = name_of(value),
                b"application_name" => message.application = name_of(value),
                b"replication" => {
                    message.is_replication = !matches!(value, b"false" | b"off" | b"no" | b"0");
                }
                // Options of the session and of the protocol (`_pq_.`) are between client and server.
                _ => {}
            }
            parameters = rest;
        }
        if message.database.is_empty() {
            message.database.clone_from(&message.user);
        }
        message
    }
}

fn split_at_nul(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    let (before, rest) = bytes.split_at_checked(end)?;
    Some((before, rest.split_first()?.1))
}

fn name_of(value: &[u8]) -> String {
    let name = String::from_utf8_lossy(value);
    let mut end = NAME_BYTES_MAX.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

/// What names a session in a CancelRequest: the process id and the secret of its BackendKeyData, as they came.
///
/// Opaque: 8 bytes from a server of protocol 3.0, up to 260 from one of 3.2.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CancelKey(Box<[u8]>);

impl CancelKey {
    /// Reads the body of a BackendKeyData, or of a CancelRequest behind its code; `None` when its length is wrong.
    pub fn parse(body: &[u8]) -> Option<CancelKey> {
        let secret_bytes = body.len().checked_sub(PROCESS_ID_BYTES)?;
        SECRET_BYTES
            .contains(&secret_bytes)
            .then(|| CancelKey(body.into()))
    }

    /// The CancelRequest packet that names this session.
    pub fn cancel_request(&self) -> Vec<u8> {
        let length = u32::try_from(STARTUP_BYTES_MIN + self.0.len()).unwrap_or(u32::MAX);
        let mut packet = Vec::with_capacity(STARTUP_BYTES_MIN + self.0.len());
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&CANCEL_REQUEST_CODE.to_be_bytes());
        packet.extend_from_slice(&self.0);
        packet
    }
}

impl std::fmt::Debug for CancelKey {
    /// Without the secret: who knows it can cancel.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CancelKey({} bytes)", self.0.len())
    }
}

/// What the upstream says before the first ReadyForQuery, as far as the proxy must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginReply {
    /// The client has proved who it is.
    AuthenticationOk,
    /// What a CancelRequest for this session will carry.
    BackendKeyData(CancelKey),
    /// The login was refused, or failed.
    ErrorResponse,
    /// The login is complete.
    ReadyForQuery,
}

/// Finds the login's replies in what the upstream sends, however it is cut.
///
/// ```
/// use pgprism::wire::startup::{LoginReplies, LoginReply};
/// let mut replies = LoginReplies::default();
/// assert_eq!(replies.next(&mut &b"R\0\0\0\x08\0\0"[..]), None);
/// let mut bytes = &b"\0\0Z\0\0\0\x05I"[..];
/// assert_eq!(replies.next(&mut bytes), Some(LoginReply::AuthenticationOk));
/// assert_eq!(replies.next(&mut bytes), Some(LoginReply::ReadyForQuery));
/// assert!(bytes.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct LoginReplies {
    /// The message that has begun: its header and as much of its body as matters.
    begun: Vec<u8>,
    /// Bytes of its body that are still to come and do not matter.
    skip_bytes: usize,
    /// What came is no login.
    is_lost: bool,
}

/// Tag and length.
const HEADER_BYTES: usize = 5;
/// As much of a message's body as can matter: a BackendKeyData's, whose length is checked when it is whole.
const KEPT_BYTES_MAX: usize = PROCESS_ID_BYTES + 256 + 1;

impl LoginReplies {
    /// Takes bytes off the front of `bytes` until one reply is known or none are left.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<LoginReply> {
        while !bytes.is_empty() {
            if self.is_lost {
                *bytes = &[];
                return None;
            }
            if self.skip_bytes > 0 {
                let skipped = self.skip_bytes.min(bytes.len());
                self.skip_bytes -= skipped;
                *bytes = bytes.split_at(skipped).1;
                continue;
            }
            let Some((tag, body_bytes)) = self.header() else {
                self.take(HEADER_BYTES, bytes);
                match self.header() {
                    // Only these have a place before the first ReadyForQuery, and each has a body.
                    Some((b'R' | b'K' | b'S' | b'N' | b'v' | b'A' | b'E' | b'Z', 1..)) | None => {}
                    Some(_) => self.is_lost = true,
                }
                continue;
            };
            let kept_bytes = match tag {
                b'R' => body_bytes.min(4),
                b'K' => body_bytes.min(KEPT_BYTES_MAX),
                b'Z' => 1,
                _ => 0,
            };
            self.take(HEADER_BYTES + kept_bytes, bytes);
            if self.begun.len() < HEADER_BYTES + kept_bytes {
                return None;
            }
            let body = self.begun.get(HEADER_BYTES..).unwrap_or_default();
            let reply = match tag {
                b'R' if body == [0, 0, 0, 0] => Some(LoginReply::AuthenticationOk),
                b'K' => CancelKey::parse(body).map(LoginReply::BackendKeyData),
                b'E' => Some(LoginReply::ErrorResponse),
                b'Z' => Some(LoginReply::ReadyForQuery),
                _ => None,
            };
            self.begun.clear();
            self.skip_bytes = body_bytes - kept_bytes;
            if reply.is_some() {
                return reply;
            }
        }
        None
    }

    /// Whether the bytes so far end with a whole message of a login.
    pub fn is_between_messages(&self) -> bool {
        self.begun.is_empty() && self.skip_bytes == 0 && !self.is_lost
    }

    /// Whether what came cannot be a login; nothing more will be found in it.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Tag and length of the body of the message that has begun.
    fn header(&self) -> Option<(u8, usize)> {
        let &[tag, ref length @ ..] = self.begun.first_chunk::<HEADER_BYTES>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        Some((tag, length.saturating_sub(4)))
    }

    /// Moves bytes to `begun` until it has `wanted`, or none are left.
    fn take(&mut self, wanted: usize, bytes: &mut &[u8]) {
        let taken = wanted.saturating_sub(self.begun.len()).min(bytes.len());
        let (now, later) = bytes.split_at(taken);
        self.begun.extend_from_slice(now);
        *bytes = later;
    }
}

/// An ErrorResponse of our own: FATAL, because the connection ends with it, and `pgprism: ` before the message.
///
/// ```
/// use pgprism::wire::startup::{SqlState, error_response};
/// let message = error_response(SqlState(*b"53300"), "too many connections");
/// assert_eq!(message[0], b'E');
/// assert!(message.ends_with(b"C53300\0Mpgprism: too many connections\0\0"));
/// ```
pub fn error_response(sqlstate: SqlState, message: &str) -> Vec<u8> {
    let mut fields = Vec::with_capacity(64 + message.len());
    let text = format!("pgprism: {}", message.replace('\0', " "));
    for (field, value) in [
        (b'S', "FATAL"),
        (b'V', "FATAL"),
        (b'C', sqlstate.as_str()),
        (b'M', &text),
    ] {
        fields.push(field);
        fields.extend_from_slice(value.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX);
    let mut response = Vec::with_capacity(fields.len() + HEADER_BYTES);
    response.push(b'E');
    response.extend_from_slice(&length.to_be_bytes());
    response.append(&mut fields);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(code: u32, body: &[u8]) -> Vec<u8> {
        let mut packet = u32::try_from(body.len() + 8)
            .unwrap()
            .to_be_bytes()
            .to_vec();
        packet.extend(code.to_be_bytes());
        packet.extend(body);
        packet
    }

    #[track_caller]
    fn startup(body: &[u8]) -> StartupMessage {
        match StartupPacket::parse(&packet(196_608, body)) {
            Ok(StartupPacket::StartupMessage(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lengths_end_where_postgres_ends_them() {
        for (length, good) in [
            (0, false),
            (7, false),
            (8, true),
            (10_000, true),
            (10_001, false),
        ] {
            assert_eq!(
                packet_length(u32::to_be_bytes(length)).is_ok(),
                good,
                "{length}"
            );
        }
        // A TLS ClientHello, and the first bytes of HTTP.
        assert!(packet_length([0x16, 0x03, 0x01, 0x02]).is_err());
        assert!(packet_length(*b"GET ").is_err());
    }

    #[test]
    fn requests_have_their_own_length() {
        assert_eq!(
            StartupPacket::parse(&packet(GSSENC_REQUEST_CODE, b"")),
            Ok(StartupPacket::GssEncRequest)
        );
        assert!(StartupPacket::parse(&packet(SSL_REQUEST_CODE, b"x")).is_err());
    }

    #[test]
    fn cancel_keys_of_every_length_are_opaque() {
        for (secret_bytes, good) in [(3, false), (4, true), (32, true), (256, true), (257, false)] {
            let body = vec![0xff; 4 + secret_bytes];
            let bytes = packet(CANCEL_REQUEST_CODE, &body);
            match StartupPacket::parse(&bytes) {
                Ok(StartupPacket::CancelRequest(key)) => {
                    assert!(good, "{secret_bytes}");
                    assert_eq!(key.cancel_request(), bytes);
                }
                other => assert!(!good, "{secret_bytes}: {other:?}"),
            }
        }
    }

    #[test]
    fn parameters_are_read_and_defaults_filled_in() {
        let message = startup(b"user\0ada\0application_name\0shop\0_pq_.x\0y\0\0");
        assert_eq!((&*message.user, &*message.database), ("ada", "ada"));
        assert_eq!(message.application, "shop");
        assert!(!message.is_replication);
        let message = startup(b"database\0db\0user\0ada\0replication\0database\0\0");
        assert_eq!((&*message.database, message.is_replication), ("db", true));
    }

    #[test]
    fn malformed_parameters_end_the_reading_and_nothing_else() {
        assert_eq!(startup(b"").user, "");
        assert_eq!(startup(b"user").user, "");
        assert_eq!(startup(b"user\0ada").user, "");
        assert_eq!(startup(b"user\0ada\0database").database, "ada");
        assert_eq!(startup(b"user\0\xff\xfe\0\0").user, "\u{fffd}\u{fffd}");
        let long = [b"user\0", "ä".repeat(100).as_bytes(), b"\0\0"].concat();
        assert_eq!(startup(&long).user, "ä".repeat(31));
    }

    fn login(key: &[u8]) -> Vec<u8> {
        let mut bytes = b"R\0\0\0\x0c\0\0\0\x05salt".to_vec();
        bytes.extend(b"R\0\0\0\x08\0\0\0\0S\0\0\0\x08a\0b\0");
        bytes.push(b'K');
        bytes.extend(u32::try_from(key.len() + 4).unwrap().to_be_bytes());
        bytes.extend(key);
        bytes.extend(b"N\0\0\0\x05\0Z\0\0\0\x05I");
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_cut_does_not_matter(key in proptest::collection::vec(any::<u8>(), 8..=260),
                                   cuts in proptest::collection::vec(1..40usize, 1..60)) {
            let bytes = login(&key);
            let mut replies = LoginReplies::default();
            let mut found = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                let (mut piece, later) = rest.split_at((*cut).min(rest.len()));
                while !piece.is_empty() {
                    found.extend(replies.next(&mut piece));
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(replies.is_between_messages());
            prop_assert_eq!(found, vec![
                LoginReply::AuthenticationOk,
                LoginReply::BackendKeyData(CancelKey::parse(&key).unwrap()),
                LoginReply::ReadyForQuery,
            ]);
        }

        #[test]
        fn garbage_is_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut replies = LoginReplies::default();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let _ = replies.next(&mut rest);
                prop_assert!(replies.begun.len() <= HEADER_BYTES + KEPT_BYTES_MAX);
            }
            let _ = StartupPacket::parse(&bytes);
        }
    }
}
