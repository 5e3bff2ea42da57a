//! The constants of a statement as hashes, in the order of its normalised text: the hot path's [`Text`].

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use std::sync::atomic::{AtomicU64, Ordering};

use super::text::{Literal, Quotes, Sign, Text};
use super::value::{
    CONSTANTS_MAX, Content, ContentReader, KEY_BYTES_MAX, Slot, Source, ValueKey, decimal, mix,
};

/// Statements whose end was not looked at: no two of them are known to be equal.
static TRUNCATED: AtomicU64 = AtomicU64::new(1);

/// Keeps the same constants as the normalised text does, without the text.
#[derive(Default)]
pub(super) struct Values {
    /// Without one nothing is looked at.
    key: Option<ValueKey>,
    /// The first [`CONSTANTS_MAX`] constants.
    slots: Vec<Slot>,
    /// How many constants there are.
    len: usize,
    /// All literals so far, those that were cut back included.
    all: u64,
    string: String,
    reader: ContentReader,
    trace: Option<Box<Trace>>,
}

/// What was done to know a statement's values: what has to be done with the literals of another text that is the same
/// otherwise.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// The steps that change the hash of all literals, each with the place in the text of the literal that it reads.
    ops: Vec<(Op, u64)>,
    /// For each constant the step that has its value; `None` where that is the same for each such text.
    origins: Vec<Option<usize>>,
    /// Where the literal is that is being read.
    at: u64,
    /// Both, of a statement that ended.
    ended: Option<Box<Trace>>,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// These bits, whatever the text.
    Mix(u64),
    /// A number with these signs before it.
    Number(Sign),
    /// A string.
    String,
}

impl Trace {
    pub(super) fn ops(&self) -> &[(Op, u64)] {
        &self.ops
    }

    pub(super) fn origins(&self) -> &[Option<usize>] {
        &self.origins
    }
}

/// The string that is being read, or was read last.
#[derive(Debug, Clone, Copy, Default)]
struct String {
    open: bool,
    /// Whether it is a constant at all: what belongs to a cast is none.
    counts: bool,
    /// The place of its constant.
    index: usize,
    /// Whether its content is what it says, and may be a key.
    plain: bool,
}

impl Values {
    pub(super) fn set_key(&mut self, key: Option<ValueKey>) {
        if self.key != key {
            *self = Values {
                key,
                ..Values::default()
            };
        }
    }

    pub(super) fn key(&self) -> Option<ValueKey> {
        self.key
    }

    /// Traces what is done from here on.
    pub(super) fn begin_trace(&mut self) {
        self.trace = self.key.map(|_| Box::default());
    }

    /// What was traced of the statement that ended last; there is none without a key.
    pub(super) fn end_trace(&mut self) -> Option<Box<Trace>> {
        self.trace.take()?.ended
    }

    #[inline]
    fn push(&mut self, slot: Slot, origin: Option<usize>) {
        if self.len < CONSTANTS_MAX {
            self.slots.push(slot);
            if let Some(trace) = &mut self.trace {
                trace.origins.push(origin);
            }
        }
        self.len += 1;
    }

    /// Adds to the hash of all literals; the number of this step, if it is traced.
    #[inline]
    fn mix(&mut self, bits: u64, op: Op) -> Option<usize> {
        self.all = mix(self.all, bits);
        let trace = self.trace.as_mut()?;
        trace.ops.push((op, trace.at));
        Some(trace.ops.len() - 1)
    }

    /// The constants from `from` on no longer have their own values.
    fn forget_origins(&mut self, from: usize) {
        if let Some(trace) = &mut self.trace {
            trace
                .origins
                .iter_mut()
                .skip(from)
                .for_each(|it| *it = None);
        }
    }

    /// The constant at `index` turned out to be this.
    fn set(&mut self, index: usize, content: &Content, op: Option<usize>) {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = content.slot();
        }
        if let Some(trace) = &mut self.trace
            && let Some(origin) = trace.origins.get_mut(index)
        {
            *origin = op;
        }
    }

    /// What a constant's value is, and the step that read it.
    fn literal(&mut self, key: ValueKey, literal: Literal<'_>) -> (Source, Option<usize>) {
        match literal {
            Literal::Number { raw, sign } => {
                let (source, bits) = number(key, raw, sign);
                return (source, self.mix(bits, Op::Number(sign)));
            }
            Literal::Parameter { raw, sign } => match (sign, parameter(raw)) {
                (Sign::Plus, Some(number)) => return (Source::Parameter(number), None),
                (Sign::Minus, _) => self.mix_byte(b'-'),
                (Sign::Plus, None) => {}
            },
            Literal::String { sign } => {
                self.string.index = self.len;
                self.string.plain = sign == Sign::Plus;
                if sign == Sign::Minus {
                    self.mix_byte(b'-');
                }
            }
            Literal::Keyword(first) => self.mix_byte(first),
            Literal::Name | Literal::Folded => {}
        }
        (Source::Nothing, None)
    }

    fn mix_byte(&mut self, byte: u8) {
        let bits = u64::from(byte);
        self.mix(bits, Op::Mix(bits));
    }

    #[cold]
    fn odd_escape(&mut self, byte: u8) {
        self.string.plain = false;
        self.content(&[b'\\', byte]);
    }
}

impl Text for Values {
    #[inline]
    fn begin_statement(&mut self) {
        self.slots.clear();
        self.len = 0;
        self.all = 0;
        self.string = String::default();
        if let Some(trace) = &mut self.trace {
            trace.ops.clear();
            trace.origins.clear();
        }
    }

    fn begin_inner(&mut self) {
        self.begin_statement();
    }

    #[inline(always)]
    fn position(&self) -> usize {
        self.len
    }

    #[inline]
    fn truncate(&mut self, position: usize) {
        self.len = self.len.min(position);
        self.slots.truncate(position);
        if let Some(trace) = &mut self.trace {
            trace.origins.truncate(position);
        }
    }

    fn repeat(&mut self, from: usize, to: usize) {
        let repeated = self.len > to;
        self.truncate(to);
        if repeated {
            for slot in self.slots.iter_mut().skip(from) {
                *slot = Slot::SEVERAL;
            }
            self.forget_origins(from);
        }
    }

    fn collapse(&mut self, position: usize, _gap: bool) {
        let (slot, origin) = match self.len.saturating_sub(position) {
            0 => (Slot::NOTHING, None),
            1 => (
                self.slots.get(position).copied().unwrap_or(Slot::NOTHING),
                self.trace
                    .as_ref()
                    .and_then(|trace| *trace.origins.get(position)?),
            ),
            _ => (Slot::SEVERAL, None),
        };
        self.truncate(position);
        if self.key.is_some() {
            self.push(slot, origin);
        }
    }

    #[inline(always)]
    fn token(&mut self, _raw: &[u8], _gap: bool) {}

    #[inline]
    fn constant(&mut self, _gap: bool, literal: Literal<'_>) {
        let Some(key) = self.key else { return };
        let (source, origin) = self.literal(key, literal);
        let slot = Slot {
            source,
            ..Slot::NOTHING
        };
        self.push(slot, origin);
    }

    #[inline]
    fn literal_at(&mut self, at: u64) {
        if let Some(trace) = &mut self.trace {
            trace.at = at;
        }
    }

    #[inline]
    fn begin_string(&mut self, quotes: Quotes, counts: bool) {
        if self.key.is_none() {
            return;
        }
        self.string.open = true;
        self.string.counts = counts;
        self.string.plain &= quotes == Quotes::Plain;
        self.reader.clear();
    }

    #[cold]
    fn continue_string(&mut self) {
        if self.key.is_none() {
            return;
        }
        let string = self.string;
        if string.counts {
            // Its first part was taken for the whole: as a key it is lost, as a difference it stays.
            if let Some(slot) = self.slots.get_mut(string.index) {
                *slot = Slot::NOTHING;
            }
        }
        self.string = String {
            open: true,
            plain: false,
            ..string
        };
        self.reader.clear();
    }

    #[inline]
    fn content(&mut self, part: &[u8]) {
        if let Some(key) = self.key
            && self.string.open
            && self.string.counts
        {
            self.reader.push(key, part);
        }
    }

    fn escaped(&mut self, byte: u8) {
        if !self.string.open || !self.string.counts {
            return;
        }
        match byte {
            b'n' => self.content(b"\n"),
            b't' => self.content(b"\t"),
            b'r' => self.content(b"\r"),
            b'b' => self.content(b"\x08"),
            b'f' => self.content(b"\x0c"),
            b'0'..=b'7' | b'x' | b'u' | b'U' => self.odd_escape(byte),
            _ => self.content(&[byte]),
        }
    }

    #[inline]
    fn end_string(&mut self) {
        let Some(key) = self.key else { return };
        if !std::mem::take(&mut self.string.open) || !self.string.counts {
            return;
        }
        let content = self.reader.finish(key);
        let op = self.mix(content.bits, Op::String);
        if self.string.plain {
            self.set(self.string.index, &content, op);
        }
    }

    fn values(&mut self, truncated: bool) -> (&[Slot], u64) {
        if truncated && self.key.is_some() {
            self.all = mix(self.all, TRUNCATED.fetch_add(1, Ordering::Relaxed));
        }
        if let Some(trace) = &mut self.trace {
            let ended = Trace {
                ops: trace.ops.clone(),
                origins: trace.origins.clone(),
                ..Trace::default()
            };
            trace.ended = Some(Box::new(ended));
        }
        (&self.slots, self.all)
    }

    fn held_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.reader.held_bytes()
    }

    #[inline(always)]
    fn end_statement(&mut self) {}

    #[inline(always)]
    fn repeated(&mut self) {}
}

/// The value of a number with these signs before it, and its bits for the hash of all literals.
#[inline]
pub(super) fn number(key: ValueKey, raw: &[u8], sign: Sign) -> (Source, u64) {
    match integer(raw, sign) {
        Some(value) => {
            let value = key.int(value);
            (Source::Value(value), value.bits())
        }
        None => {
            let bits = key.content(raw).bits;
            (Source::Nothing, bits ^ u64::from(sign == Sign::Minus))
        }
    }
}

/// The integer that a number and the signs before it are.
fn integer(raw: &[u8], sign: Sign) -> Option<i64> {
    if raw.is_empty() || raw.len() > KEY_BYTES_MAX {
        return None;
    }
    let zeros = match raw.len() {
        // Nineteen digits are below 10^19, which is below 2^64.
        ..=19 => 0,
        _ => raw.iter().take_while(|byte| **byte == b'0').count(),
    };
    let digits = raw.get(zeros..).filter(|digits| digits.len() <= 19)?;
    let value = decimal(digits)?;
    match sign {
        Sign::Plus => i64::try_from(value).ok(),
        Sign::Minus => 0i64.checked_sub_unsigned(value),
    }
}

/// The number of `$n`.
fn parameter(raw: &[u8]) -> Option<u16> {
    let digits = raw.get(1..).filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0u16, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        let number = number.checked_mul(10)?.checked_add(u16::from(digit))?;
        (digit <= 9).then_some(number)
    })
}
