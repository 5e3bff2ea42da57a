//! The fields of the messages that a session looks into.
//!
//! Hot messages (Bind, Execute, CommandComplete, ReadyForQuery and the like) are read here, from a prefix of their
//! body and without allocation. Cold ones go through `pgwire`, guarded: it gets a buffer that holds exactly one
//! frame, and a panic or left-over bytes mean "undecodable". An ErrorResponse is read here although it is cold: only
//! its severity and SQLSTATE are wanted, they stand first, and its text (which may hold literals) is never copied.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{BufMut, BytesMut};
use pgwire::messages::startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey};
use pgwire::messages::{DecodeContext, Message, ProtocolVersion};

use super::{SqlState, TransactionStatus, tags};

/// Splits `body` at its first NUL: the string before it and the rest behind it.
#[inline]
pub fn cstring(body: &[u8]) -> Option<(&[u8], &[u8])> {
    // Most names are empty.
    if let [0, rest @ ..] = body {
        return Some((&[], rest));
    }
    let end = memchr::memchr(0, body)?;
    Some((body.get(..end)?, body.get(end + 1..)?))
}

/// The kind byte of Describe and Close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `S`: a prepared statement.
    Statement,
    /// `P`: a portal.
    Portal,
}

/// Kind and name of a Close or Describe.
pub fn target(body: &[u8]) -> Option<(Target, &[u8])> {
    let (kind, name) = body.split_first()?;
    let (name, _) = cstring(name)?;
    match kind {
        b'S' => Some((Target::Statement, name)),
        b'P' => Some((Target::Portal, name)),
        _ => None,
    }
}

/// The transaction status of a ReadyForQuery.
///
/// ```
/// use pgprism::wire::{TransactionStatus, message::ready_for_query};
/// assert_eq!(ready_for_query(b"T"), Some(TransactionStatus::InTransaction));
/// assert_eq!(ready_for_query(b"?"), None);
/// ```
pub fn ready_for_query(body: &[u8]) -> Option<TransactionStatus> {
    match body {
        b"I" => Some(TransactionStatus::Idle),
        b"T" => Some(TransactionStatus::InTransaction),
        b"E" => Some(TransactionStatus::Failed),
        _ => None,
    }
}

/// A CommandComplete's tag, or a prefix of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandTag<'a>(pub &'a [u8]);

impl<'a> CommandTag<'a> {
    /// Reads the body of a CommandComplete.
    #[inline]
    pub fn read(body: &'a [u8]) -> CommandTag<'a> {
        match body {
            // It is the tag and a NUL. No server puts another one into it.
            [tag @ .., 0] => CommandTag(tag),
            _ => CommandTag(cstring(body).map_or(body, |(tag, _)| tag)),
        }
    }

    /// Rows returned or changed: the last number of the tag (`SELECT 3`, `INSERT 0 3`, `COPY 3`); `None` where it has none.
    ///
    /// ```
    /// use pgprism::wire::message::CommandTag;
    /// assert_eq!(CommandTag(b"INSERT 0 3").rows(), Some(3));
    /// assert_eq!(CommandTag(b"BEGIN").rows(), None);
    /// ```
    pub fn rows(&self) -> Option<u64> {
        let digits = match self.0 {
            // Most queries return few rows.
            [.., b' ', digit @ b'0'..=b'9'] => return Some(u64::from(digit - b'0')),
            tag => tag.rsplit(|b| *b == b' ').next()?,
        };
        if digits.is_empty() || digits.len() > 20 {
            return None;
        }
        digits.iter().try_fold(0u64, |sum, b| {
            let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        })
    }
}

/// One column of a RowDescription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnDescription<'a> {
    /// Its name or alias.
    pub name: &'a [u8],
    /// Object id of its table; 0 for an expression.
    pub table_oid: u32,
    /// Its attribute number in that table; 0 for an expression.
    pub attribute: i16,
    /// Object id of its type.
    pub type_oid: u32,
    /// Whether its values come in binary format.
    pub is_binary: bool,
}

/// The columns of a RowDescription; `None` when the body is not exactly one.
///
/// ```
/// use pgprism::wire::message::row_description;
/// let body = b"\0\x01id\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0";
/// let columns = row_description(body).unwrap();
/// assert_eq!((columns[0].name, columns[0].table_oid, columns[0].type_oid), (&b"id"[..], 0x4000, 23));
/// assert_eq!(row_description(&body[..10]), None);
/// ```
pub fn row_description(body: &[u8]) -> Option<Vec<ColumnDescription<'_>>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let count = usize::from(u16::from_be_bytes(*count));
    // Each column has 19 bytes at least: what is announced is not believed.
    let mut columns = Vec::with_capacity(count.min(body.len() / 19));
    for _ in 0..count {
        let (name, behind) = cstring(rest)?;
        let (fields, behind) = behind.split_first_chunk::<18>()?;
        let &[
            t0,
            t1,
            t2,
            t3,
            a0,
            a1,
            o0,
            o1,
            o2,
            o3,
            _,
            _,
            _,
            _,
            _,
            _,
            f0,
            f1,
        ] = fields;
        columns.push(ColumnDescription {
            name,
            table_oid: u32::from_be_bytes([t0, t1, t2, t3]),
            attribute: i16::from_be_bytes([a0, a1]),
            type_oid: u32::from_be_bytes([o0, o1, o2, o3]),
            is_binary: [f0, f1] == [0, 1],
        });
        rest = behind;
    }
    rest.is_empty().then_some(columns)
}

/// How bad an ErrorResponse says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// ERROR: the statement failed, the session goes on.
    Error,
    /// FATAL or PANIC: the session ends.
    Fatal,
}

/// Severity and SQLSTATE of an ErrorResponse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorFields {
    /// From `V`, or from `S` where the server is too old to send `V`.
    pub severity: Severity,
    /// From `C`; [`SqlState::UNKNOWN`] when absent.
    pub sqlstate: SqlState,
}

/// Reads an ErrorResponse's body, or a prefix of it. Missing fields are no error: odd servers leave them out.
pub fn error_response(body: &[u8]) -> ErrorFields {
    let mut fields = ErrorFields {
        severity: Severity::Error,
        sqlstate: SqlState::UNKNOWN,
    };
    let mut rest = body;
    while let Some((&field, value)) = rest.split_first() {
        let Some((value, behind)) = cstring(value) else {
            break;
        };
        match field {
            b'S' | b'V' if matches!(value, b"FATAL" | b"PANIC") => {
                fields.severity = Severity::Fatal;
            }
            b'C' => fields.sqlstate = SqlState::parse(value),
            _ => {}
        }
        rest = behind;
    }
    fields
}

/// What an Authentication message asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationStep {
    /// AuthenticationOk.
    Ok,
    /// Anything else: passed through, not looked at.
    Continues,
}

/// Reads an Authentication message; methods that nobody decodes (GSS, SSPI) are `Continues`.
pub fn authentication(body: &[u8]) -> AuthenticationStep {
    match decode_cold::<Authentication>(tags::backend::AUTHENTICATION, body, 4) {
        Some(Authentication::Ok) => AuthenticationStep::Ok,
        _ => AuthenticationStep::Continues,
    }
}

/// Name and value of a ParameterStatus.
pub fn parameter_status(body: &[u8]) -> Option<(String, String)> {
    let status = decode_cold::<ParameterStatus>(tags::backend::PARAMETER_STATUS, body, 2)?;
    Some((status.name, status.value))
}

/// Process id and cancel key (4 bytes in protocol 3.0, up to 256 in 3.2; opaque) of a BackendKeyData.
pub fn backend_key_data(body: &[u8]) -> Option<(i32, Vec<u8>)> {
    let data = decode_cold::<BackendKeyData>(tags::backend::BACKEND_KEY_DATA, body, 8)?;
    let key = match data.secret_key {
        SecretKey::I32(key) => key.to_be_bytes().to_vec(),
        SecretKey::Bytes(key) => key.to_vec(),
    };
    Some((data.pid, key))
}

/// Decodes one whole cold message of at least `bytes_min` with `pgwire`; a panic, an error or left-over bytes give `None`.
///
/// The minimum is checked first because `pgwire` panics on short bodies, and each panic would print its message.
fn decode_cold<M: Message>(tag: u8, body: &[u8], bytes_min: usize) -> Option<M> {
    if body.len() < bytes_min {
        return None;
    }
    let length = i32::try_from(body.len()).ok()?.checked_add(4)?;
    let mut frame = BytesMut::with_capacity(body.len() + 5);
    frame.put_u8(tag);
    frame.put_i32(length);
    frame.put_slice(body);
    let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_2);
    context.awaiting_frontend_ssl = false;
    context.awaiting_frontend_startup = false;
    let decoded = catch_unwind(AssertUnwindSafe(|| M::decode(&mut frame, &context)))
        .ok()?
        .ok()??;
    frame.is_empty().then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_give_their_rows() {
        for (tag, rows) in [
            ("SELECT 21", Some(21)),
            ("INSERT 0 5", Some(5)),
            ("FETCH 0", Some(0)),
            ("CREATE TABLE", None),
            ("", None),
            ("SELECT 99999999999999999999", None),
        ] {
            assert_eq!(
                CommandTag::read(format!("{tag}\0").as_bytes()).rows(),
                rows,
                "{tag}"
            );
        }
    }

    #[test]
    fn errors_are_read_even_when_maimed() {
        let whole = error_response(b"SFEHLER\0VERROR\0C23505\0Mduplicate\0\0");
        assert_eq!(
            whole,
            ErrorFields {
                severity: Severity::Error,
                sqlstate: SqlState(*b"23505")
            }
        );
        let fatal = error_response(b"SFATAL\0VFATAL\0C57P01\0Mend");
        assert_eq!(
            fatal,
            ErrorFields {
                severity: Severity::Fatal,
                sqlstate: SqlState(*b"57P01")
            }
        );
        assert_eq!(error_response(b"Mno code\0\0").sqlstate, SqlState::UNKNOWN);
        assert_eq!(error_response(b"").sqlstate, SqlState::UNKNOWN);
        assert_eq!(error_response(b"C1\0").sqlstate, SqlState::UNKNOWN);
    }

    #[test]
    fn cold_messages_never_panic() {
        assert_eq!(authentication(&0i32.to_be_bytes()), AuthenticationStep::Ok);
        for body in [
            &b""[..],
            b"\0",
            b"\0\0\0\x0a",
            b"\xff\xff\xff\xff",
            b"\0\0\0\x05abc",
        ] {
            assert_eq!(
                authentication(body),
                AuthenticationStep::Continues,
                "{body:?}"
            );
            let _ = (backend_key_data(body), parameter_status(body));
        }
        assert_eq!(
            parameter_status(b"application_name\0web\0"),
            Some(("application_name".into(), "web".into()))
        );
        assert_eq!(
            backend_key_data(b"\0\0\x04\xd2\x01\x02\x03\x04").map(|k| k.0),
            Some(1234)
        );
        let long: Vec<u8> = [&[0, 0, 4, 0xd2][..], &[7; 32]].concat();
        assert_eq!(backend_key_data(&long), Some((1234, vec![7; 32])));
    }
}
