//! Texts that were read before with other literals: what they are is remembered, and only their literals are read.
//!
//! An application sends few shapes, each of them thousands of times: Django writes its values into the text, so that
//! no two texts are equal, but what stands between the values is. Comparing that costs a hundredth of reading it token
//! by token.
//!
//! *Architecture invariant:* the rules are not written a second time. What a text is was found out by the lexer and the
//! folder; where each of its literals goes was traced (`values.rs`) while they did it. A literal of a text that is
//! compared is what the outline of the one that was learned says, and ends where its next part begins.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use memchr::memchr3;

use super::outline::{DIGITS_MAX, Kind, Outline, Span, TEXT_BYTES_MAX};
use super::scan::{OwnedScanned, Scanned};
use super::value::{ContentReader, Slot, ValueKey, mix};
use super::values::{Op, Trace, number};
use super::{Fingerprint, Verb, VerbClass};

/// Texts whose first bytes agree are looked through one by one.
const BUCKETS: usize = 64;
const BUCKET_MAX: usize = 16;
/// How many of their first bytes.
const START_BYTES: usize = 32;
/// Bytes that all of them may take; beyond, all are forgotten.
const BYTES_MAX: usize = 512 * 1024;
/// Fingerprints that are known to come again.
const FINGERPRINTS: usize = 512;
/// Texts that are learned of one fingerprint: lists of any length are one shape, and each length is another text.
const LEARNED_MAX: u8 = 4;

/// One text without its literals, and what it was found to be.
#[derive(Debug)]
struct Familiar {
    /// What stands between its literals, one part behind the other.
    rest: Box<[u8]>,
    /// How long each of these parts is that has a literal behind it, and what that is.
    parts: Box<[(usize, Kind)]>,
    /// The end of the first part: texts of one table differ there.
    sign: [u8; 8],
    fingerprint: Fingerprint,
    verb: Verb,
    start: u64,
    /// Bytes behind its last token.
    tail: u64,
    /// Whether its values were wanted.
    has_values: bool,
    reads: Box<[Read]>,
    /// Its constants, without the values that are read.
    slots: Box<[Slot]>,
}

/// What is done to know the values of a text: one step.
#[derive(Debug, Clone, Copy)]
struct Read {
    op: Op,
    /// Which of the text's literals it reads.
    literal: usize,
    /// Which constant that is, if it is one.
    slot: usize,
}

/// In the place of a literal or constant that there is none.
const NONE: usize = usize::MAX;

/// The texts that are remembered.
#[derive(Default)]
pub(super) struct Familiars {
    /// By their first bytes, each with those that were sent last in front; empty until there is something to remember.
    buckets: Vec<Vec<Familiar>>,
    /// Fingerprints that were read, and how many texts of each were learned.
    read: Vec<(u64, u8)>,
    held_bytes: usize,
    /// The literals of the text that was recognised last, and its constants.
    spans: Vec<Span>,
    slots: Vec<Slot>,
    reader: ContentReader,
}

impl Familiars {
    /// What `text` is, if it is remembered; its values are hashed with `key`.
    #[inline]
    pub(super) fn recognise(&mut self, text: &[u8], key: Option<ValueKey>) -> Option<Scanned<'_>> {
        let bucket = self.buckets.get_mut(bucket(text)?)?;
        let spans = &mut self.spans;
        let found = bucket
            .iter()
            .position(|known| known.has_values == key.is_some() && known.is(text, spans))?;
        if found > 0 {
            bucket.swap(found - 1, found);
        }
        let known = bucket.get(found.saturating_sub(1))?;
        self.slots.clear();
        let values = match key {
            Some(key) => known.values(text, spans, key, &mut self.slots, &mut self.reader),
            None => 0,
        };
        Some(Scanned {
            fingerprint: known.fingerprint,
            verb: known.verb,
            start: known.start,
            end: (text.len() as u64).saturating_sub(known.tail),
            inner: None,
            subject: None,
            comments: &[],
            truncated: false,
            holdable: false,
            unreadable: false,
            slots: &self.slots,
            values,
        })
    }

    /// Whether a text of this fingerprint, which had to be read, is worth learning: it was read before, and it is one
    /// of those that are remembered.
    pub(super) fn wants(&mut self, fingerprint: Fingerprint, text: &[u8]) -> bool {
        if bucket(text).is_none() {
            return false;
        }
        if self.read.is_empty() {
            self.read.resize(FINGERPRINTS, (0, 0));
        }
        let place = (fingerprint.0 % FINGERPRINTS as u64) as usize;
        match self.read.get_mut(place) {
            Some((read, learned)) if *read == fingerprint.0 => {
                *learned = learned.saturating_add(1);
                *learned <= LEARNED_MAX
            }
            Some(other) => {
                *other = (fingerprint.0, 0);
                false
            }
            None => false,
        }
    }

    /// Remembers what the lexer found `text` to be, if its literals are all that can change of it.
    pub(super) fn learn(
        &mut self,
        text: &[u8],
        outline: &Outline,
        scanned: &OwnedScanned,
        trace: Option<&Trace>,
    ) {
        let (Some(known), Some(bucket)) =
            (Familiar::of(text, outline, scanned, trace), bucket(text))
        else {
            return;
        };
        if self.held_bytes + known.held_bytes() > BYTES_MAX {
            self.buckets.clear();
            self.read.clear();
            self.held_bytes = 0;
        }
        if self.buckets.is_empty() {
            self.buckets.resize_with(BUCKETS, Vec::new);
        }
        let Some(bucket) = self.buckets.get_mut(bucket) else {
            return;
        };
        if bucket.len() >= BUCKET_MAX
            && let Some(last) = bucket.pop()
        {
            self.held_bytes -= last.held_bytes();
        }
        self.held_bytes += known.held_bytes();
        bucket.insert(0, known);
    }

    /// Bytes of memory it holds, itself left out.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
            + self.buckets.capacity() * size_of::<Vec<Familiar>>()
            + self.read.capacity() * size_of::<(u64, u8)>()
            + self.spans.capacity() * size_of::<Span>()
            + self.slots.capacity() * size_of::<Slot>()
            + self.reader.held_bytes()
    }
}

/// Where a text is looked for; `None` for one that is too short or too long to be.
#[inline]
fn bucket(text: &[u8]) -> Option<usize> {
    let start = text.first_chunk::<START_BYTES>()?;
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let (words, _) = start.as_chunks::<8>();
    let all = words
        .iter()
        .fold(0, |all, word| mix(all, u64::from_le_bytes(*word)));
    Some((all >> 32) as usize % BUCKETS)
}

impl Familiar {
    fn of(
        text: &[u8],
        outline: &Outline,
        scanned: &OwnedScanned,
        trace: Option<&Trace>,
    ) -> Option<Familiar> {
        let is_plain = scanned.verb.class() == VerbClass::Query
            && scanned.inner.is_none()
            && scanned.subject.is_none()
            && scanned.comments.is_empty()
            && !scanned.truncated
            && !scanned.holdable
            && !scanned.unreadable;
        if !is_plain {
            return None;
        }
        let (reads, slots) = match trace {
            Some(trace) => reads(outline, scanned, trace)?,
            None => (Vec::new(), Vec::new()),
        };
        let mut rest = Vec::with_capacity(text.len());
        let kinds = outline.spans().iter().map(|span| span.kind);
        let mut parts = Vec::new();
        for (part, kind) in outline
            .segments(text)
            .zip(kinds.map(Some).chain(std::iter::once(None)))
        {
            rest.extend_from_slice(part);
            parts.extend(kind.map(|kind| (part.len(), kind)));
        }
        let first = parts.first().map_or(text.len(), |(length, _)| *length);
        Some(Familiar {
            sign: *text.get(..first)?.last_chunk()?,
            rest: rest.into(),
            parts: parts.into(),
            fingerprint: scanned.fingerprint,
            verb: scanned.verb,
            start: scanned.start,
            tail: (text.len() as u64).saturating_sub(scanned.end),
            has_values: trace.is_some(),
            reads: reads.into(),
            slots: slots.into(),
        })
    }

    /// Whether `text` differs from the one that is remembered in nothing but its literals, which are left in `spans`.
    #[inline]
    fn is(&self, text: &[u8], spans: &mut Vec<Span>) -> bool {
        let first = self.parts.first().map_or(self.rest.len(), |part| part.0);
        let sign = text.get(..first).and_then(<[u8]>::last_chunk::<8>);
        sign == Some(&self.sign) && self.compare(text, spans)
    }

    fn compare(&self, text: &[u8], spans: &mut Vec<Span>) -> bool {
        spans.clear();
        let (mut rest, mut behind) = (&*self.rest, text);
        for (length, kind) in &self.parts {
            let Some((part, parts)) = rest.split_at_checked(*length) else {
                return false;
            };
            let Some(literal) = behind.strip_prefix(part) else {
                return false;
            };
            let length = match kind {
                Kind::Number => literal
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit())
                    .count(),
                // A backslash may be read in more than one way, and a NUL ends the text.
                Kind::String => match memchr3(b'\'', b'\\', 0, literal) {
                    Some(end) if literal.get(end) == Some(&b'\'') => end,
                    _ => return false,
                },
            };
            if *kind == Kind::Number && !(1..=DIGITS_MAX).contains(&length) {
                return false;
            }
            let start = text.len() - literal.len();
            spans.push(Span {
                kind: *kind,
                start,
                end: start + length,
            });
            rest = parts;
            behind = literal.get(length..).unwrap_or_default();
        }
        rest == behind
    }

    /// Reads the literals as [`super::values::Values`] does: fills `slots`, returns all of them as one hash.
    fn values(
        &self,
        text: &[u8],
        spans: &[Span],
        key: ValueKey,
        slots: &mut Vec<Slot>,
        reader: &mut ContentReader,
    ) -> u64 {
        slots.extend_from_slice(&self.slots);
        let mut all = 0;
        for read in &self.reads {
            let span = spans.get(read.literal);
            let raw = span
                .and_then(|span| text.get(span.start..span.end))
                .unwrap_or_default();
            let slot = match read.op {
                Op::Mix(bits) => {
                    all = mix(all, bits);
                    continue;
                }
                Op::Number(sign) => {
                    let (source, bits) = number(key, raw, sign);
                    all = mix(all, bits);
                    Slot {
                        source,
                        ..Slot::NOTHING
                    }
                }
                Op::String => {
                    reader.clear();
                    reader.push(key, raw);
                    let content = reader.finish(key);
                    all = mix(all, content.bits);
                    content.slot()
                }
            };
            if let Some(place) = slots.get_mut(read.slot) {
                *place = slot;
            }
        }
        all
    }

    fn held_bytes(&self) -> usize {
        size_of::<Familiar>()
            + self.rest.len()
            + size_of_val(&*self.parts)
            + size_of_val(&*self.reads)
            + size_of_val(&*self.slots)
    }
}

/// Each step of the trace with the literal that it reads and the constant that this is; `None` where the trace tells of
/// a literal that the outline does not have.
fn reads(
    outline: &Outline,
    scanned: &OwnedScanned,
    trace: &Trace,
) -> Option<(Vec<Read>, Vec<Slot>)> {
    let mut reads = Vec::new();
    for (op, at) in trace.ops() {
        let literal = match op {
            Op::Mix(_) => NONE,
            Op::Number(_) | Op::String => {
                let spans = outline.spans();
                spans.binary_search_by_key(at, Span::token_at).ok()?
            }
        };
        reads.push(Read {
            op: *op,
            literal,
            slot: NONE,
        });
    }
    let mut slots = scanned.slots.clone();
    if trace.origins().len() != slots.len() {
        return None;
    }
    for (place, (slot, origin)) in slots.iter_mut().zip(trace.origins()).enumerate() {
        if let Some(origin) = *origin {
            reads.get_mut(origin)?.slot = place;
            *slot = Slot::NOTHING;
        }
    }
    Some((reads, slots))
}
