//! Prepared statements' parameters: what the text says of them, and the values that each Bind brings.

use std::sync::{Arc, OnceLock};

use super::columns::Described;
use super::types;
use crate::event::{Constant, ConstantCount, Constants, Flow};
use crate::sql::value::{Content, ContentReader, Slot, Source, ValueHash, ValueKey, mix};
use crate::wire::fields::{FieldReceiver, Fields};
use crate::wire::frame::Rest;

/// Formats and types of more parameters or columns than that are not remembered.
const PARAMETERS_MAX: usize = 1024;

/// What is known of a prepared statement beside its identity.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Its constants: values of its text, or parameters.
    pub slots: Box<[Slot]>,
    /// All literals of its text together.
    pub values: u64,
    /// Types of its parameters as Parse gave them, 0 where it left them to the server; only of those that matter.
    given: Box<[u32]>,
    /// The same as ParameterDescription told them.
    told: OnceLock<Box<[u32]>>,
    /// What its rows are, once it was described.
    pub rows: OnceLock<Described>,
}

impl Prepared {
    /// `types` is what stands behind the text of its Parse.
    pub(super) fn new(slots: Box<[Slot]>, values: u64, types: &[u8]) -> Prepared {
        Prepared {
            given: type_oids(types, parameters(&slots)),
            slots,
            values,
            told: OnceLock::new(),
            rows: OnceLock::new(),
        }
    }

    /// ParameterDescription came.
    pub(super) fn told(&self, description: &[u8]) {
        self.told
            .get_or_init(|| type_oids(description, parameters(&self.slots)));
    }

    fn type_of(&self, index: usize) -> u32 {
        let told = self.told.get().and_then(|told| told.get(index));
        told.or(self.given.get(index)).copied().unwrap_or(0)
    }

    /// Bytes it takes; what ParameterDescription may add is counted before it comes.
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Prepared>()
            + self.slots.len() * size_of::<Slot>()
            + 2 * parameters(&self.slots) * size_of::<u32>()
    }
}

/// How many parameters there are up to the last one that is a constant of its own.
fn parameters(slots: &[Slot]) -> usize {
    let numbers = slots.iter().filter_map(|slot| match slot.source {
        Source::Parameter(number) => Some(usize::from(number)),
        Source::Value(_) | Source::Nothing => None,
    });
    numbers.max().unwrap_or(0).min(PARAMETERS_MAX)
}

/// The first type oids, at most `wanted`, of a ParameterDescription or of the end of a Parse.
fn type_oids(body: &[u8], wanted: usize) -> Box<[u32]> {
    let Some((count, oids)) = body.split_first_chunk::<2>() else {
        return Box::default();
    };
    let count = usize::from(u16::from_be_bytes(*count)).min(wanted);
    oids.as_chunks::<4>()
        .0
        .iter()
        .take(count)
        .map(|oid| u32::from_be_bytes(*oid))
        .collect()
}

/// Format codes: of parameters, or of a result's columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Formats {
    #[default]
    Text,
    Binary,
    /// One each: a bit is set for binary.
    Each(Box<[u64]>),
}

impl Formats {
    #[inline]
    pub(super) fn is_binary(&self, index: usize) -> bool {
        match self {
            Formats::Text => false,
            Formats::Binary => true,
            Formats::Each(bits) => bits
                .get(index / 64)
                .is_some_and(|word| word >> (index % 64) & 1 == 1),
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Formats::Text | Formats::Binary => 0,
            Formats::Each(bits) => size_of_val(&**bits),
        }
    }

    /// The rows of a result whose portal was bound with these formats.
    pub(super) fn of_rows(&self, described: &Described) -> Described {
        let keys = described.columns.keys.iter().enumerate();
        let binary = keys
            .filter(|(_, key)| self.is_binary(usize::from(**key)))
            .fold(0, |bits, (place, _)| bits | 1 << (place % 64));
        Described {
            columns: Arc::clone(&described.columns),
            binary,
        }
    }
}

/// Reads a list of format codes: a count, then so many of two bytes.
#[derive(Debug, Default)]
struct FormatsReader {
    /// The first byte of two.
    half: Option<u8>,
    count: Option<u16>,
    read: u16,
    formats: Formats,
}

impl FormatsReader {
    fn is_done(&self) -> bool {
        self.count == Some(self.read)
    }

    /// Reads what belongs to the list, returns what stands behind it.
    fn feed<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        let mut rest = piece;
        while !self.is_done()
            && let Some((&byte, behind)) = rest.split_first()
        {
            rest = behind;
            let Some(high) = self.half.take() else {
                self.half = Some(byte);
                continue;
            };
            let word = u16::from_be_bytes([high, byte]);
            match self.count {
                None => self.count = Some(word),
                Some(count) => self.code(count, word == 1),
            }
        }
        rest
    }

    fn code(&mut self, count: u16, is_binary: bool) {
        let index = usize::from(self.read);
        self.read += 1;
        match &mut self.formats {
            formats if count == 1 => {
                *formats = match is_binary {
                    true => Formats::Binary,
                    false => Formats::Text,
                };
            }
            Formats::Each(bits) => {
                if let Some(word) = bits.get_mut(index / 64) {
                    *word |= u64::from(is_binary) << (index % 64);
                }
            }
            // Text is the rule: a list is kept from its first other code on.
            Formats::Text if !is_binary || index >= PARAMETERS_MAX => {}
            formats => {
                let words = usize::from(count).min(PARAMETERS_MAX).div_ceil(64);
                let mut bits = vec![0; words].into_boxed_slice();
                if let Some(word) = bits.get_mut(index / 64) {
                    *word |= 1 << (index % 64);
                }
                *formats = Formats::Each(bits);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Formats,
    Parameters,
    ResultFormats,
    Done,
}

/// Reads a Bind behind its names, in pieces of any size.
#[derive(Debug)]
pub(super) struct BindReader {
    stage: Stage,
    formats: FormatsReader,
    result_formats: FormatsReader,
    fields: Fields,
    binding: Binding,
}

/// What becomes of the parameters.
#[derive(Debug)]
struct Binding {
    key: ValueKey,
    prepared: Arc<Prepared>,
    formats: Formats,
    constants: Constants,
    values: u64,
    long: ContentReader,
}

impl BindReader {
    pub(super) fn new(key: ValueKey, prepared: Arc<Prepared>) -> BindReader {
        let mut fields = Fields::default();
        fields.begin(u16::MAX);
        BindReader {
            stage: Stage::Formats,
            formats: FormatsReader::default(),
            result_formats: FormatsReader::default(),
            fields,
            binding: Binding {
                key,
                constants: unbound(&prepared.slots),
                values: prepared.values,
                prepared,
                formats: Formats::Text,
                long: ContentReader::default(),
            },
        }
    }

    pub(super) fn feed(&mut self, piece: &[u8]) {
        let mut piece = piece;
        if self.stage == Stage::Formats {
            piece = self.formats.feed(piece);
            if !self.formats.is_done() {
                return;
            }
            self.binding.formats = std::mem::take(&mut self.formats.formats);
            self.stage = Stage::Parameters;
        }
        if self.stage == Stage::Parameters {
            piece = self.fields.feed(piece, &mut self.binding);
            if !self.fields.is_done() {
                return;
            }
            self.stage = Stage::ResultFormats;
        }
        if self.stage == Stage::ResultFormats {
            self.result_formats.feed(piece);
            if self.result_formats.is_done() {
                self.stage = Stage::Done;
            }
        }
    }

    /// The message is complete: its statement's constants, and the formats of its result. `None` when it is no Bind.
    pub(super) fn finish(self) -> Option<(Flow, Formats)> {
        (self.stage == Stage::Done).then(|| {
            let flow = Flow {
                constants: self.binding.constants,
                values: self.binding.values,
                result: None,
            };
            (flow, self.result_formats.formats)
        })
    }

    pub(super) fn held_bytes(&self) -> usize {
        size_of::<BindReader>()
            + self.binding.constants.len() * size_of::<Constant>()
            + self.binding.formats.held_bytes()
            + self.formats.formats.held_bytes()
            + self.result_formats.formats.held_bytes()
            + self.binding.long.held_bytes()
    }
}

impl Binding {
    fn put(&mut self, index: usize, content: &Content) {
        self.values = mix(self.values, content.bits);
        for (constant, slot) in self.constants.iter_mut().zip(&self.prepared.slots) {
            if matches!(slot.source, Source::Parameter(number) if usize::from(number) == index + 1)
            {
                *constant = bound(slot, content.value, content.count);
            }
        }
    }
}

impl FieldReceiver for Binding {
    fn wants(&mut self, _: usize) -> bool {
        self.long.clear();
        true
    }

    fn field(&mut self, index: usize, value: Option<&[u8]>) {
        let content = match value {
            None => Content {
                value: None,
                count: ConstantCount::One,
                bits: 1,
            },
            Some(bytes) if self.formats.is_binary(index) => {
                types::binary_content(self.key, self.prepared.type_of(index), bytes)
            }
            Some(bytes) => self.key.content(bytes),
        };
        self.put(index, &content);
    }

    fn long(&mut self, index: usize, piece: &[u8], rest: Rest) {
        self.long.push(self.key, piece);
        if rest == Rest::Last {
            let mut content = self.long.finish(self.key);
            if self.formats.is_binary(index) {
                content.count = types::long_binary_count(self.prepared.type_of(index));
            }
            self.put(index, &content);
        }
    }
}

/// The constants of a statement as far as its text tells them.
pub(super) fn unbound(slots: &[Slot]) -> Constants {
    slots.iter().map(constant).collect()
}

fn constant(slot: &Slot) -> Constant {
    Constant {
        value: match slot.source {
            Source::Value(value) => Some(value),
            Source::Parameter(_) | Source::Nothing => None,
        },
        count: slot.count,
    }
}

/// A parameter of the text with what was bound to it.
fn bound(slot: &Slot, value: Option<ValueHash>, count: ConstantCount) -> Constant {
    Constant {
        value,
        count: match slot.count {
            ConstantCount::One => count,
            ConstantCount::Several => ConstantCount::Several,
        },
    }
}

/// The constants of a prepared statement that EXECUTE ran with `arguments`.
pub(super) fn executed(prepared: &Prepared, arguments: &[Constant], values: u64) -> Flow {
    let constants = prepared
        .slots
        .iter()
        .map(|slot| match slot.source {
            Source::Parameter(number) => {
                let argument = usize::from(number)
                    .checked_sub(1)
                    .and_then(|index| arguments.get(index));
                let nothing = bound(slot, None, ConstantCount::One);
                argument.map_or(nothing, |argument| {
                    bound(slot, argument.value, argument.count)
                })
            }
            Source::Value(_) | Source::Nothing => constant(slot),
        })
        .collect();
    Flow {
        constants,
        values: mix(prepared.values, values),
        result: None,
    }
}
