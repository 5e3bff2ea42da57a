//! Prepared statements' parameters: what the text says of them, and the values that each Bind brings.

use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use super::asked::WordingRef;
use super::columns::Described;
use super::types;
use crate::event::{Constant, ConstantCount, Constants, Flow};
use crate::sql::value::{Content, ContentReader, Slot, Source, ValueHash, ValueKey, mix};
use crate::wire::fields::{FIELD_BYTES_MAX, FieldReceiver, Fields};
use crate::wire::frame::Rest;

/// Formats and types of more parameters or columns than that are not remembered.
const PARAMETERS_MAX: usize = 1024;

/// The constants of a prepared statement: most have few, which need no memory of their own.
pub(super) type Slots = SmallVec<[Slot; 4]>;

/// What the Parse of a statement says of its values: all that prepare the same one can share it.
#[derive(Debug)]
pub(super) struct Placeholders {
    /// Its constants: values of its text, or parameters.
    pub slots: Slots,
    /// All literals of its text together.
    pub values: u64,
    /// How many parameters there are up to the last one that is a constant of its own.
    parameters: usize,
    /// Types of its parameters as Parse gave them, 0 where it left them to the server; only of those that matter.
    given: Box<[u32]>,
    /// Bytes that a prepared statement takes with it, and with what ParameterDescription may add.
    held_bytes: usize,
}

impl Placeholders {
    /// `types` is what stands behind the text of its Parse.
    pub(super) fn new(slots: Slots, values: u64, types: &[u8]) -> Placeholders {
        let parameters = parameters(&slots);
        Placeholders {
            given: type_oids(types, parameters).collect(),
            held_bytes: size_of::<Prepared>()
                + size_of::<Placeholders>()
                + size_of_val(slots.as_slice())
                + 2 * parameters * size_of::<u32>(),
            slots,
            values,
            parameters,
        }
    }

    /// Whether these are what they would be made of.
    #[inline]
    pub(super) fn are_of(&self, slots: &[Slot], values: u64, types: &[u8]) -> bool {
        self.values == values
            && *self.slots == *slots
            && type_oids(types, self.parameters).eq(self.given.iter().copied())
    }
}

/// A prepared statement: what its Parse said, and what the server told of it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub wording: WordingRef,
    pub placeholders: Arc<Placeholders>,
    /// Types of its parameters as ParameterDescription told them.
    told: OnceLock<Box<[u32]>>,
    /// What its rows are, once it was described.
    pub rows: OnceLock<Described>,
}

impl Prepared {
    pub(super) fn new(wording: WordingRef, placeholders: Arc<Placeholders>) -> Prepared {
        Prepared {
            wording,
            placeholders,
            told: OnceLock::new(),
            rows: OnceLock::new(),
        }
    }

    /// ParameterDescription came.
    pub(super) fn told(&self, description: &[u8]) {
        let wanted = self.placeholders.parameters;
        self.told
            .get_or_init(|| type_oids(description, wanted).collect());
    }

    /// Whether it was prepared from this text and the server has told nothing of it since.
    #[inline]
    pub(super) fn is_untold_of(
        &self,
        wording: &WordingRef,
        placeholders: &Arc<Placeholders>,
    ) -> bool {
        self.wording.is(wording)
            && Arc::ptr_eq(&self.placeholders, placeholders)
            && self.told.get().is_none()
            && self.rows.get().is_none()
    }

    fn type_of(&self, index: usize) -> u32 {
        let told = self.told.get().and_then(|told| told.get(index));
        let given = self.placeholders.given.get(index);
        told.or(given).copied().unwrap_or(0)
    }

    /// Bytes it takes, those that it may share included, and what ParameterDescription may add.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        self.placeholders.held_bytes
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
#[inline]
fn type_oids(body: &[u8], wanted: usize) -> impl Iterator<Item = u32> {
    let (count, oids) = body
        .split_first_chunk::<2>()
        .map_or((0, &[][..]), |(count, oids)| {
            (usize::from(u16::from_be_bytes(*count)), oids)
        });
    let oids = oids.as_chunks::<4>().0.iter().take(count.min(wanted));
    oids.map(|oid| u32::from_be_bytes(*oid))
}

/// Format codes: of parameters, or of a result's columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Formats {
    #[default]
    Text,
    Binary,
    /// One each: a bit is set for binary.
    Each(Box<Bits>),
}

/// A bit for each parameter or column.
pub(super) type Bits = [u64; PARAMETERS_MAX / 64];

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

    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Formats::Text | Formats::Binary => 0,
            Formats::Each(_) => size_of::<Bits>(),
        }
    }

    /// The rows of a result whose portal was bound with these formats.
    pub(super) fn of_rows(&self, described: &Described) -> Described {
        let binary = match self {
            Formats::Text => 0,
            Formats::Binary => u64::MAX,
            Formats::Each(_) => {
                let keys = described.columns.keys.iter().enumerate();
                keys.filter(|(_, key)| self.is_binary(usize::from(**key)))
                    .fold(0, |bits, (place, _)| bits | 1 << (place % 64))
            }
        };
        Described {
            columns: described.columns.clone(),
            binary,
            keys: described.keys,
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
                let mut bits = Box::<Bits>::default();
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

/// Reads what stands behind the names of a Bind that is whole: the same as a [`BindReader`] that is fed all of it.
pub(super) fn read_bind(
    key: ValueKey,
    prepared: &Prepared,
    body: &[u8],
) -> Option<(Box<Flow>, Formats)> {
    let (formats, body) = read_formats(body)?;
    let mut flow = unbound_flow(prepared);
    let (count, mut body) = body.split_first_chunk::<2>()?;
    for index in 0..usize::from(u16::from_be_bytes(*count)) {
        let (length, behind) = body.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        let (value, behind) = match usize::try_from(length) {
            Ok(length) => {
                let (value, behind) = behind.split_at_checked(length)?;
                (Some(value), behind)
            }
            Err(_) if length == -1 => (None, behind),
            Err(_) => return None,
        };
        body = behind;
        let content = content(key, prepared, index, formats.is_binary(index), value);
        put(&mut flow, prepared, index, &content);
    }
    let (formats, _) = read_formats(body)?;
    Some((flow, formats))
}

/// The values of a prepared statement before its parameters are known.
#[inline]
fn unbound_flow(prepared: &Prepared) -> Box<Flow> {
    flow(&prepared.placeholders.slots, prepared.placeholders.values)
}

/// The values of a statement as far as its text tells them. Filled where it stays: it is large.
#[inline]
pub(super) fn flow(slots: &[Slot], values: u64) -> Box<Flow> {
    let mut flow = Box::<Flow>::default();
    flow.values = values;
    flow.constants.extend(slots.iter().map(constant));
    flow
}

/// A whole list of format codes, and what stands behind it.
#[inline]
fn read_formats(body: &[u8]) -> Option<(Formats, &[u8])> {
    match body {
        [0, 0, behind @ ..] | [0, 1, 0, 0, behind @ ..] => Some((Formats::Text, behind)),
        [0, 1, 0, 1, behind @ ..] => Some((Formats::Binary, behind)),
        _ => {
            let mut reader = FormatsReader::default();
            let behind = reader.feed(body);
            reader.is_done().then_some((reader.formats, behind))
        }
    }
}

/// What a whole parameter is; one that is longer than a key may be is only told from others.
#[inline]
fn content(
    key: ValueKey,
    prepared: &Prepared,
    index: usize,
    is_binary: bool,
    value: Option<&[u8]>,
) -> Content {
    match value {
        None => Content {
            value: None,
            count: ConstantCount::One,
            bits: 1,
        },
        Some(bytes) if bytes.len() > FIELD_BYTES_MAX => {
            let mut content = key.long_content(bytes);
            if is_binary {
                content.count = types::long_binary_count(prepared.type_of(index));
            }
            content
        }
        Some(bytes) if is_binary => types::binary_content(key, prepared.type_of(index), bytes),
        Some(bytes) => key.content(bytes),
    }
}

/// The parameter at `index` has this value: so have the constants that it stands for.
#[inline]
fn put(flow: &mut Flow, prepared: &Prepared, index: usize, content: &Content) {
    flow.values = mix(flow.values, content.bits);
    for (constant, slot) in flow.constants.iter_mut().zip(&prepared.placeholders.slots) {
        if matches!(slot.source, Source::Parameter(number) if usize::from(number) == index + 1) {
            *constant = bound(slot, content.value, content.count);
        }
    }
}

/// What becomes of the parameters.
#[derive(Debug)]
struct Binding {
    key: ValueKey,
    prepared: Arc<Prepared>,
    formats: Formats,
    flow: Box<Flow>,
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
                flow: unbound_flow(&prepared),
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
    pub(super) fn finish(self) -> Option<(Box<Flow>, Formats)> {
        (self.stage == Stage::Done).then_some((self.binding.flow, self.result_formats.formats))
    }

    pub(super) fn held_bytes(&self) -> usize {
        size_of::<BindReader>()
            + size_of::<Flow>()
            + self.binding.flow.constants.len() * size_of::<Constant>()
            + self.binding.formats.held_bytes()
            + self.formats.formats.held_bytes()
            + self.result_formats.formats.held_bytes()
            + self.binding.long.held_bytes()
    }
}

impl Binding {
    fn put(&mut self, index: usize, content: &Content) {
        put(&mut self.flow, &self.prepared, index, content);
    }
}

impl FieldReceiver for Binding {
    fn wants(&mut self, _: usize) -> bool {
        self.long.clear();
        true
    }

    fn field(&mut self, index: usize, value: Option<&[u8]>) {
        let is_binary = self.formats.is_binary(index);
        let content = content(self.key, &self.prepared, index, is_binary, value);
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
#[inline]
pub(super) fn unbound(slots: &[Slot]) -> Constants {
    let mut constants = Constants::new();
    for slot in slots {
        constants.push(constant(slot));
    }
    constants
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
    let Placeholders {
        slots,
        values: literals,
        ..
    } = &*prepared.placeholders;
    let constants = slots
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
        values: mix(*literals, values),
        result: None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Statement;
    use crate::session::asked::Wording;
    use crate::sql::{Fingerprint, Verb};

    fn prepared() -> Arc<Prepared> {
        let slot = |source| Slot {
            source,
            count: ConstantCount::One,
        };
        let slots = [3, 1, 2].map(|number| slot(Source::Parameter(number)));
        let types = [0, 1, 0, 0, 0, 23];
        let placeholders = Placeholders::new(slots.as_slice().into(), 7, &types);
        assert!(placeholders.are_of(&slots, 7, &types));
        assert!(!placeholders.are_of(&slots, 8, &types));
        assert!(!placeholders.are_of(&slots, 7, &[0, 0]));
        assert!(!placeholders.are_of(&slots[..2], 7, &types));
        let statement = Statement {
            fingerprint: Fingerprint(7),
            verb: Verb::Select,
            shape: None,
            truncated: false,
        };
        let wording = Wording::of(statement, None);
        Arc::new(Prepared::new(wording.into(), Arc::new(placeholders)))
    }

    fn list(codes: &[u16]) -> Vec<u8> {
        let mut bytes = (codes.len() as u16).to_be_bytes().to_vec();
        bytes.extend(codes.iter().flat_map(|code| code.to_be_bytes()));
        bytes
    }

    proptest! {
        #[test]
        fn a_whole_bind_is_read_as_one_in_pieces(
            formats in prop::collection::vec(0u16..3, 0..4),
            values in prop::collection::vec(prop::option::of("[{}0-9a-z,]{0,9}|[{}a,]{60,70}"), 0..4),
            results in prop::collection::vec(0u16..2, 0..80),
            missing in 0usize..6,
            piece in 1usize..90,
        ) {
            let mut body = list(&formats);
            body.extend((values.len() as u16).to_be_bytes());
            for value in &values {
                let length = value.as_ref().map_or(-1, |value| value.len() as i32);
                body.extend(length.to_be_bytes());
                body.extend(value.iter().flat_map(|value| value.bytes()));
            }
            body.extend(list(&results));
            body.truncate(body.len().saturating_sub(missing / 4));
            let (key, prepared) = (ValueKey::random(), prepared());
            let mut reader = BindReader::new(key, Arc::clone(&prepared));
            for piece in body.chunks(piece) {
                reader.feed(piece);
            }
            prop_assert_eq!(read_bind(key, &prepared, &body), reader.finish());
        }
    }
}
