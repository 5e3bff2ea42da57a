//! Texts that were read before with other literals: what they are is remembered, and only their literals are read.
//!
//! An application sends few shapes, each of them thousands of times: Django writes its values into the text, so that
//! no two texts are equal, but what stands between the values is. Reading it token by token costs ten times as much as
//! comparing it.
//!
//! *Architecture invariant:* the rules are not written a second time. What a text is was found out by the lexer and the
//! folder; where each of its literals goes was traced (`values.rs`) while they did it.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use super::outline::{Outline, Span};
use super::scan::{OwnedScanned, Scanned};
use super::value::{ContentReader, Slot, ValueKey, mix};
use super::values::{Op, Trace, number};
use super::{Fingerprint, Verb, VerbClass};

/// Shapes remembered; one more takes another's place.
const SHAPES: usize = 256;
/// Bytes that all of them may take; beyond, all are forgotten.
const BYTES_MAX: usize = 512 * 1024;

/// One text, without its literals, and what it was found to be.
#[derive(Debug)]
struct Familiar {
    outline: u64,
    /// What stands between its literals, one part behind the other.
    rest: Box<[u8]>,
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
    /// By the lowest bits of their outlines; empty until there is something to remember.
    kept: Vec<Option<Box<Familiar>>>,
    /// Outlines that were seen once: what is sent only once is not worth more.
    seen: Vec<u64>,
    held_bytes: usize,
    /// The constants of the text that was recognised last.
    slots: Vec<Slot>,
    reader: ContentReader,
}

/// What to do with a text that is not remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfamiliar {
    /// Seen for the first time.
    Read,
    /// It comes again: read it and remember what it is.
    Learn,
}

impl Familiars {
    /// What `text` is, if it is remembered; its values are hashed with `key`.
    pub(super) fn recognise(
        &mut self,
        text: &[u8],
        outline: &Outline,
        key: Option<ValueKey>,
    ) -> Result<Scanned<'_>, Unfamiliar> {
        let place = place(outline.hash());
        let known = self.kept.get(place).and_then(Option::as_deref);
        let Some(known) = known.filter(|known| known.is(text, outline, key.is_some())) else {
            return Err(self.note(place, outline.hash()));
        };
        self.slots.clear();
        let values = match key {
            Some(key) => known.values(
                text,
                outline.spans(),
                key,
                &mut self.slots,
                &mut self.reader,
            ),
            None => 0,
        };
        Ok(Scanned {
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

    fn note(&mut self, place: usize, outline: u64) -> Unfamiliar {
        if self.seen.is_empty() {
            self.seen.resize(SHAPES, 0);
        }
        match self.seen.get_mut(place) {
            Some(seen) if *seen == outline => Unfamiliar::Learn,
            Some(seen) => {
                *seen = outline;
                Unfamiliar::Read
            }
            None => Unfamiliar::Read,
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
        let Some(known) = Familiar::of(text, outline, scanned, trace) else {
            return;
        };
        if self.held_bytes + known.held_bytes() > BYTES_MAX {
            self.kept.clear();
            self.held_bytes = 0;
        }
        if self.kept.is_empty() {
            self.kept.resize_with(SHAPES, || None);
        }
        if let Some(kept) = self.kept.get_mut(place(outline.hash())) {
            self.held_bytes += known.held_bytes();
            if let Some(before) = kept.replace(Box::new(known)) {
                self.held_bytes -= before.held_bytes();
            }
        }
    }

    /// Bytes of memory it holds, itself left out.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
            + self.kept.capacity() * size_of::<Option<Box<Familiar>>>()
            + self.seen.capacity() * size_of::<u64>()
            + self.slots.capacity() * size_of::<Slot>()
            + self.reader.held_bytes()
    }
}

fn place(outline: u64) -> usize {
    (outline % SHAPES as u64) as usize
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
        outline
            .segments(text)
            .for_each(|part| rest.extend_from_slice(part));
        Some(Familiar {
            outline: outline.hash(),
            rest: rest.into(),
            fingerprint: scanned.fingerprint,
            verb: scanned.verb,
            start: scanned.start,
            tail: (text.len() as u64).saturating_sub(scanned.end),
            has_values: trace.is_some(),
            reads: reads.into(),
            slots: slots.into(),
        })
    }

    /// Whether `text` differs from the one that is remembered in nothing but its literals.
    fn is(&self, text: &[u8], outline: &Outline, has_values: bool) -> bool {
        let mut rest = &*self.rest;
        self.outline == outline.hash()
            && self.has_values == has_values
            && outline.segments(text).all(|part| {
                let Some((same, behind)) = rest.split_at_checked(part.len()) else {
                    return false;
                };
                rest = behind;
                same == part
            })
            && rest.is_empty()
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
