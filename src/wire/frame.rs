//! The message walker: cuts one direction of a stream into messages, across reads of any size.
//!
//! ```text
//!  Header (5 bytes: tag, length)   body
//!  ┌───┬───────────────┬──────────────────────────┐
//!  │ T │ length (BE)   │ length - 4 bytes         │   the length counts itself, not the tag
//!  └───┴───────────────┴──────────────────────────┘
//! ```
//!
//! The receiver says, message by message, how much of the body it wants: nothing (skipped by length, never touched),
//! a prefix (in place when it is whole in the buffer, else carried over), or all of it as a stream of pieces.
//!
//! *Architecture invariant:* nothing is allocated by an announced length; what is carried is bounded by the
//! receiver's own prefix length.

use thiserror::Error;

use super::tags;

/// Bytes of a message header: tag and length.
pub const HEADER_BYTES: usize = 5;

/// The longest message PostgreSQL can announce: its length field is a signed 32-bit number.
const LENGTH_MAX: u32 = i32::MAX as u32;

/// The header of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The message's type byte.
    pub tag: u8,
    /// Bytes of the body: the announced length without its own four bytes.
    pub body_bytes: u32,
}

impl Header {
    /// Bytes of the whole message on the wire.
    pub fn message_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }
}

/// Why bytes cannot be a PostgreSQL message stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The length is smaller than its own four bytes.
    #[error("message {tag:#04x}: length {length} is below 4")]
    LengthTooSmall {
        /// Type byte of the message.
        tag: u8,
        /// The announced length.
        length: u32,
    },
    /// The length is negative as the signed number that it is.
    #[error("message {tag:#04x}: length {length} is above 2^31-1")]
    LengthTooLarge {
        /// Type byte of the message.
        tag: u8,
        /// The announced length.
        length: u32,
    },
    /// No message of any version has such a type byte.
    #[error("{tag:#04x} is no message type")]
    ImpossibleTag {
        /// The byte found where a type byte should be.
        tag: u8,
    },
}

impl FrameError {
    /// The value of the metrics' label `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            FrameError::LengthTooSmall { .. } => "length_too_small",
            FrameError::LengthTooLarge { .. } => "length_too_large",
            FrameError::ImpossibleTag { .. } => "impossible_tag",
        }
    }
}

/// Reads the five-byte header at the start of `bytes`, or `None` while it is incomplete.
///
/// ```
/// use pgprism::wire::frame::{Header, read_header};
/// assert_eq!(read_header(b"Z\0\0\0\x05I"), Ok(Some(Header { tag: b'Z', body_bytes: 1 })));
/// assert_eq!(read_header(b"Z\0\0\0"), Ok(None));
/// assert!(read_header(b"Z\0\0\0\x03").is_err());
/// ```
#[inline]
pub fn read_header(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
    bytes
        .first_chunk()
        .map(|head| whole_header(*head))
        .transpose()
}

#[inline]
fn whole_header([tag, l0, l1, l2, l3]: [u8; HEADER_BYTES]) -> Result<Header, FrameError> {
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    // What is below 4 wraps around to more than any length is.
    let body_bytes = length.wrapping_sub(4);
    if tags::may_be(tag) && body_bytes <= LENGTH_MAX - 4 {
        return Ok(Header { tag, body_bytes });
    }
    Err(impossible(tag, length))
}

/// The body of the message of this type at the start of `input`, if it is there, whole; and what follows it.
#[inline]
pub fn message(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, l0, l1, l2, l3], behind) = input.split_first_chunk::<HEADER_BYTES>()?;
    // What is below 4 wraps around to more than any read holds.
    let body_bytes = u32::from_be_bytes([l0, l1, l2, l3]).wrapping_sub(4);
    (found == tag).then(|| behind.split_at_checked(body_bytes as usize))?
}

#[cold]
fn impossible(tag: u8, length: u32) -> FrameError {
    if !tag.is_ascii_alphanumeric() {
        FrameError::ImpossibleTag { tag }
    } else if length > LENGTH_MAX {
        FrameError::LengthTooLarge { tag, length }
    } else {
        FrameError::LengthTooSmall { tag, length }
    }
}

/// How much of a body its receiver wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Nothing: the body is skipped by its length.
    Nothing,
    /// The first bytes, at most this many, in one slice; the rest is skipped.
    Prefix(u16),
    /// Everything, in pieces as they come.
    Stream,
}

/// What the walker calls.
pub trait Receiver {
    /// Takes the messages at the start of `input` where it knows them together, all of them whole, and returns what
    /// follows; `None`, and nothing has happened, where they are told one by one. Asked between two messages.
    #[inline]
    fn together<'a>(&mut self, _input: &'a [u8]) -> Option<&'a [u8]> {
        None
    }
    /// A message begins. Called once, when its header is complete.
    fn begin(&mut self, header: Header) -> Want;
    /// The prefix that was asked for (shorter if the body is). Called once for each message that wanted one.
    fn prefix(&mut self, header: Header, prefix: &[u8]);
    /// The next piece of a streamed body; called at least once, with `Rest::Last` when nothing follows.
    fn piece(&mut self, header: Header, piece: &[u8], rest: Rest);
    /// Whether further messages of this type may be told by their number, as long as they follow one another: asked
    /// behind one of which nothing was wanted.
    fn takes_runs(&self, _tag: u8) -> bool {
        false
    }
    /// So many messages of a type followed one another, with so many bytes in all, headers included.
    fn run(&mut self, _tag: u8, _messages: u64, _bytes: u64) {}
}

/// Whether a streamed body goes on behind a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// More pieces follow.
    More,
    /// This was the last piece.
    Last,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Between messages, or in a header of which `have` bytes came.
    Header { have: u8, bytes: [u8; HEADER_BYTES] },
    /// `left` bytes of a body nobody wants.
    Skip { left: u32 },
    /// Collecting a prefix of `want` bytes in `carry`.
    Prefix { header: Header, want: u16 },
    /// `left` bytes of a streamed body.
    Stream { header: Header, left: u32 },
}

const BETWEEN: State = State::Header {
    have: 0,
    bytes: [0; HEADER_BYTES],
};

/// Position in one direction of a stream of messages.
#[derive(Debug)]
pub struct Walker {
    state: State,
    carry: Vec<u8>,
}

impl Default for Walker {
    fn default() -> Self {
        Walker {
            state: BETWEEN,
            carry: Vec::new(),
        }
    }
}

impl Walker {
    /// Whether the last byte walked was the last byte of a message (or none was walked yet).
    pub fn at_boundary(&self) -> bool {
        matches!(self.state, State::Header { have: 0, .. })
    }

    /// Bytes held from one call to the next, for the account of the session's memory.
    pub fn carried_bytes(&self) -> usize {
        self.carry.capacity()
    }

    /// Walks over the next bytes of the stream. After an error the stream cannot be followed any more.
    pub fn walk(
        &mut self,
        mut input: &[u8],
        receiver: &mut impl Receiver,
    ) -> Result<(), FrameError> {
        while !input.is_empty() {
            input = match self.state {
                State::Header { have: 0, .. } => self.whole(input, receiver)?,
                State::Header { have, bytes } => self.header(have, bytes, input, receiver)?,
                State::Skip { left } => self.skip(left, input),
                State::Prefix { header, want } => self.prefix(header, want, input, receiver),
                State::Stream { header, left } => self.stream(header, left, input, receiver),
            };
        }
        Ok(())
    }

    /// The usual case, between two messages: as long as they are whole in this read, nothing is remembered of them.
    #[inline]
    fn whole<'a>(
        &mut self,
        mut input: &'a [u8],
        receiver: &mut impl Receiver,
    ) -> Result<&'a [u8], FrameError> {
        loop {
            if let Some(rest) = receiver.together(input) {
                input = rest;
                continue;
            }
            let Some((head, behind)) = input.split_first_chunk() else {
                break;
            };
            let header = whole_header(*head)?;
            let Some((body, rest)) = behind.split_at_checked(header.body_bytes as usize) else {
                return Ok(self.begin(header, behind, receiver));
            };
            input = rest;
            match receiver.begin(header) {
                Want::Nothing => {
                    if rest.first() == Some(&header.tag) && receiver.takes_runs(header.tag) {
                        input = run(header.tag, rest, receiver);
                    }
                }
                Want::Prefix(most) => {
                    receiver.prefix(header, body.get(..usize::from(most)).unwrap_or(body));
                }
                Want::Stream => receiver.piece(header, body, Rest::Last),
            }
        }
        if !input.is_empty() {
            return self.header(0, [0; HEADER_BYTES], input, receiver);
        }
        Ok(input)
    }

    /// The bytes of a header that is not there at once.
    fn header<'a>(
        &mut self,
        have: u8,
        mut bytes: [u8; HEADER_BYTES],
        input: &'a [u8],
        receiver: &mut impl Receiver,
    ) -> Result<&'a [u8], FrameError> {
        let have = usize::from(have);
        let take = input.len().min(HEADER_BYTES - have);
        let (head, rest) = input.split_at(take);
        for (slot, byte) in bytes.iter_mut().skip(have).zip(head) {
            *slot = *byte;
        }
        let now = have + take;
        if now < HEADER_BYTES {
            self.state = State::Header {
                have: now as u8,
                bytes,
            };
            return Ok(rest);
        }
        match read_header(&bytes)? {
            Some(header) => Ok(self.begin(header, rest, receiver)),
            None => Ok(rest),
        }
    }

    /// A header is complete; `rest` is what follows it in this read (perhaps nothing).
    fn begin<'a>(
        &mut self,
        header: Header,
        rest: &'a [u8],
        receiver: &mut impl Receiver,
    ) -> &'a [u8] {
        match receiver.begin(header) {
            Want::Nothing => self.skip(header.body_bytes, rest),
            Want::Prefix(most) => {
                let want = u32::from(most).min(header.body_bytes);
                match rest.get(..want as usize) {
                    Some(prefix) => {
                        receiver.prefix(header, prefix);
                        self.skip(header.body_bytes, rest)
                    }
                    None => {
                        self.carry.clear();
                        self.prefix(header, want as u16, rest, receiver)
                    }
                }
            }
            Want::Stream if header.body_bytes == 0 => {
                self.state = BETWEEN;
                receiver.piece(header, &[], Rest::Last);
                rest
            }
            Want::Stream => {
                self.state = State::Stream {
                    header,
                    left: header.body_bytes,
                };
                rest
            }
        }
    }

    #[inline]
    fn skip<'a>(&mut self, left: u32, input: &'a [u8]) -> &'a [u8] {
        match input.get(left as usize..) {
            Some(rest) => {
                self.state = BETWEEN;
                rest
            }
            None => {
                self.state = State::Skip {
                    left: left - input.len() as u32,
                };
                &[]
            }
        }
    }

    fn prefix<'a>(
        &mut self,
        header: Header,
        want: u16,
        input: &'a [u8],
        receiver: &mut impl Receiver,
    ) -> &'a [u8] {
        let missing = usize::from(want).saturating_sub(self.carry.len());
        let (head, rest) = input.split_at(missing.min(input.len()));
        self.carry.extend_from_slice(head);
        if self.carry.len() < usize::from(want) {
            self.state = State::Prefix { header, want };
            return rest;
        }
        let carried = std::mem::take(&mut self.carry);
        receiver.prefix(header, &carried);
        self.skip(header.body_bytes.saturating_sub(u32::from(want)), rest)
    }

    fn stream<'a>(
        &mut self,
        header: Header,
        left: u32,
        input: &'a [u8],
        receiver: &mut impl Receiver,
    ) -> &'a [u8] {
        match input.split_at_checked(left as usize) {
            Some((last, rest)) => {
                self.state = BETWEEN;
                receiver.piece(header, last, Rest::Last);
                rest
            }
            None => {
                self.state = State::Stream {
                    header,
                    left: left - input.len() as u32,
                };
                receiver.piece(header, input, Rest::More);
                &[]
            }
        }
    }
}

/// Skips the whole messages of one type at the start of `input`; what is odd, or cut, is left.
fn run<'a>(tag: u8, input: &'a [u8], receiver: &mut impl Receiver) -> &'a [u8] {
    let mut rest = input;
    let mut messages = 0;
    while let Some(&[found, l0, l1, l2, l3]) = rest.first_chunk::<HEADER_BYTES>() {
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if found != tag || !(4..=LENGTH_MAX).contains(&length) {
            break;
        }
        let Some(behind) = rest.get(1 + length as usize..) else {
            break;
        };
        rest = behind;
        messages += 1;
    }
    if messages > 0 {
        receiver.run(tag, messages, (input.len() - rest.len()) as u64);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Notes everything it is told; streams `Q`, wants 3 bytes of `C`, nothing of the rest.
    #[derive(Default, Debug, PartialEq, Eq)]
    struct Notes {
        begun: Vec<Header>,
        prefixes: Vec<(u8, Vec<u8>)>,
        streams: Vec<Vec<u8>>,
        open: Vec<u8>,
    }

    impl Receiver for Notes {
        fn begin(&mut self, header: Header) -> Want {
            self.begun.push(header);
            match header.tag {
                b'Q' => Want::Stream,
                b'C' => Want::Prefix(3),
                _ => Want::Nothing,
            }
        }
        fn prefix(&mut self, header: Header, prefix: &[u8]) {
            self.prefixes.push((header.tag, prefix.to_vec()));
        }
        fn piece(&mut self, _: Header, piece: &[u8], rest: Rest) {
            self.open.extend_from_slice(piece);
            if rest == Rest::Last {
                self.streams.push(std::mem::take(&mut self.open));
            }
        }
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn wants_are_served_in_place() {
        let stream: Vec<u8> = [
            message(b'Q', b"select 1\0"),
            message(b'C', b"SELECT 1\0"),
            message(b'D', b"xyz"),
            message(b'C', b"a"),
        ]
        .concat();
        let mut walker = Walker::default();
        let mut notes = Notes::default();
        walker.walk(&stream, &mut notes).unwrap();
        assert!(walker.at_boundary());
        assert_eq!(
            notes.begun.iter().map(|h| h.tag).collect::<Vec<_>>(),
            b"QCDC"
        );
        assert_eq!(notes.streams, vec![b"select 1\0".to_vec()]);
        assert_eq!(
            notes.prefixes,
            vec![(b'C', b"SEL".to_vec()), (b'C', b"a".to_vec())]
        );
    }

    #[test]
    fn impossible_headers_are_named() {
        for (bytes, reason) in [
            (&b"Z\0\0\0\x03"[..], "length_too_small"),
            (b"Z\xff\xff\xff\xff", "length_too_large"),
            (b"\0\0\0\0\x08", "impossible_tag"),
        ] {
            let error = Walker::default()
                .walk(bytes, &mut Notes::default())
                .unwrap_err();
            assert_eq!(error.reason(), reason);
        }
    }

    #[test]
    fn an_announced_gigabyte_holds_nothing() {
        let mut walker = Walker::default();
        walker
            .walk(b"C\x3f\xff\xff\xffab", &mut Notes::default())
            .unwrap();
        assert!(walker.carried_bytes() < 64);
        assert!(!walker.at_boundary());
    }

    /// Counts messages and bytes of each type that follow one another; takes runs of `D`, or none.
    struct Counted {
        runs: bool,
        seen: Vec<(u8, u64, u64)>,
    }

    impl Counted {
        fn count(&mut self, tag: u8, messages: u64, bytes: u64) {
            match self.seen.last_mut() {
                Some((last, all, all_bytes)) if *last == tag => {
                    *all += messages;
                    *all_bytes += bytes;
                }
                _ => self.seen.push((tag, messages, bytes)),
            }
        }
    }

    impl Receiver for Counted {
        fn begin(&mut self, header: Header) -> Want {
            self.count(header.tag, 1, header.message_bytes());
            Want::Nothing
        }
        fn prefix(&mut self, _: Header, _: &[u8]) {}
        fn piece(&mut self, _: Header, _: &[u8], _: Rest) {}
        fn takes_runs(&self, tag: u8) -> bool {
            self.runs && tag == b'D'
        }
        fn run(&mut self, tag: u8, messages: u64, bytes: u64) {
            self.count(tag, messages, bytes);
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_messages(
            messages in prop::collection::vec((prop::sample::select(&b"QCDXa1"[..]), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
            let mut whole = Notes::default();
            Walker::default().walk(&stream, &mut whole).unwrap();
            let mut at: Vec<usize> = cuts.iter().map(|i| i.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let mut pieces = Notes::default();
            let mut walker = Walker::default();
            for pair in at.windows(2) {
                walker.walk(&stream[pair[0]..pair[1]], &mut pieces).unwrap();
            }
            prop_assert!(walker.at_boundary());
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn a_run_is_as_many_messages_told_one_by_one(
            messages in prop::collection::vec((prop::sample::select(&b"DDDDX"[..]), prop::collection::vec(any::<u8>(), 0..9)), 0..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            tail in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let mut stream: Vec<u8> = messages.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
            stream.extend(&tail);
            let mut at: Vec<usize> = cuts.iter().map(|i| i.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let count = |runs: bool| {
                let mut counted = Counted { runs, seen: Vec::new() };
                let mut walker = Walker::default();
                let walked: Vec<_> = at
                    .windows(2)
                    .map(|pair| walker.walk(&stream[pair[0]..pair[1]], &mut counted))
                    .take_while(Result::is_ok)
                    .collect();
                (walked.len(), counted.seen)
            };
            prop_assert_eq!(count(true), count(false));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut walker = Walker::default();
            let _ = walker.walk(&bytes, &mut Notes::default());
            prop_assert!(walker.carried_bytes() <= 64);
        }
    }
}
