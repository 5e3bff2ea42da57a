//! Statement texts on their way: from the bytes of a Query or Parse to what was asked.
//!
//! A text that is whole in one read is scanned in place with the worker's own scanner; one that is cut across reads
//! takes a scanner and a buffer for as long as it lasts.

use std::ops::Range;
use std::sync::Arc;

use super::asked::{Asked, Origin, Wording};
use super::catalog::Catalog;
use super::columns::Descriptions;
use super::parameters::{self, Placeholders, Slots};
use super::parses::Parses;
use super::pipeline::SpareQueue;
use super::wordings::Wordings;
use super::{Literals, Settings, Sink};
use crate::event::{self, Flow, Statement};
use crate::sql::scan::{Scanned, Scanner};
use crate::sql::tags::{self, Tags};
use crate::sql::{
    Dialect, Fingerprint, NameHash, Verb, VerbClass, Written, name_hash, normalize_as,
};
use crate::wire::message::cstring;

/// Bytes of a prepared statement's name that are looked at; PostgreSQL cuts its own names at 63.
const NAME_BYTES_MAX: usize = 256;

/// Bytes of a Parse behind its text that are looked at: the types of its parameters.
const TYPES_BYTES_MAX: usize = 4096;

/// What one worker lends to whichever of its sessions is being looked at.
pub struct Scratch {
    scanner: Scanner,
    found: Vec<Found>,
    unnamed: Arc<str>,
    wordings: Wordings,
    parses: Parses,
    pub(super) descriptions: Descriptions,
    pub(super) queue: SpareQueue,
}

impl Scratch {
    /// For sessions whose identities cover `fingerprint_bytes_max` bytes of a statement.
    pub fn new(fingerprint_bytes_max: usize) -> Scratch {
        Scratch {
            scanner: Scanner::new(fingerprint_bytes_max),
            found: Vec::new(),
            unnamed: Arc::from("unnamed"),
            wordings: Wordings::default(),
            parses: Parses::default(),
            descriptions: Descriptions::default(),
            queue: SpareQueue::default(),
        }
    }

    /// How much of a statement its identity covers.
    pub fn fingerprint_bytes_max(&self) -> usize {
        self.scanner.bytes_max()
    }

    /// What a Parse prepares whose body came before, byte for byte.
    #[inline]
    pub(super) fn repeated(
        &self,
        body: &[u8],
        dialect: Dialect,
        settings: &Settings,
    ) -> Option<Origin> {
        match settings.literals {
            Literals::Dropped if dialect.is_standard() => self.parses.get(body, settings.values?),
            Literals::Dropped | Literals::Kept => None,
        }
    }

    /// What a prepared statement of this name is called in the log.
    pub(super) fn name(&self, wire_name: &[u8]) -> Arc<str> {
        match wire_name {
            [] => Arc::clone(&self.unnamed),
            name => Arc::from(String::from_utf8_lossy(name)),
        }
    }
}

/// One statement as the scanner saw it, without what it borrows.
struct Found {
    fingerprint: Fingerprint,
    verb: Verb,
    text: Range<usize>,
    inner: Option<(Fingerprint, Verb, usize)>,
    subject: Option<NameHash>,
    holdable: bool,
    truncated: bool,
    unreadable: bool,
    tags: Option<Tags>,
    constants: Constants,
    /// All its literals together.
    values: u64,
}

/// The constants of a statement.
enum Constants {
    /// Nobody asks for them.
    Unwanted,
    /// With all their values.
    Known(event::Constants),
    /// Those of a prepared statement.
    Slots(Slots),
}

impl Constants {
    fn of(carrier: Carrier, scanned: &Scanned<'_>, settings: &Settings) -> Constants {
        let verb = scanned.inner.map_or(scanned.verb, |inner| inner.verb);
        let has_values = verb.class() == VerbClass::Query || verb == Verb::Execute;
        match (carrier, scanned.verb) {
            _ if settings.values.is_none() => Constants::Unwanted,
            // The rows of a FETCH are described to its Parse as well.
            (Carrier::Parse, Verb::Fetch) => Constants::Slots(Slots::new()),
            _ if !has_values => Constants::Unwanted,
            (Carrier::Parse, _) | (_, Verb::Prepare) => Constants::Slots(scanned.slots.into()),
            (Carrier::Query, _) => Constants::Known(parameters::unbound(scanned.slots)),
        }
    }
}

impl Found {
    fn of(carrier: Carrier, scanned: &Scanned<'_>, settings: &Settings) -> Found {
        Found {
            fingerprint: scanned.fingerprint,
            verb: scanned.verb,
            text: offset(scanned.start)..offset(scanned.end),
            inner: scanned
                .inner
                .as_ref()
                .map(|inner| (inner.fingerprint, inner.verb, offset(inner.start))),
            subject: scanned.subject,
            holdable: scanned.holdable,
            truncated: scanned.truncated,
            unreadable: scanned.unreadable,
            tags: if scanned.comments.is_empty() {
                None
            } else {
                tags::parse(scanned.comments)
            },
            constants: Constants::of(carrier, scanned, settings),
            values: scanned.values,
        }
    }
}

/// A text is read whole or not at all: where one of its statements cannot be, the others may be its values.
fn judge_together(found: &mut [Found]) {
    if !found.iter().any(|one| one.unreadable) {
        return;
    }
    for one in found {
        one.unreadable = true;
        one.tags = None;
        // Its tokens may be those of SQL that can be shown.
        one.fingerprint = one.fingerprint.of_unreadable();
        if let Some((fingerprint, _, _)) = &mut one.inner {
            *fingerprint = fingerprint.of_unreadable();
        }
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// Which message a text stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    Query,
    Parse,
}

/// Where a text comes from: what carries it, and how its session has its strings read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub carrier: Carrier,
    pub dialect: Dialect,
}

/// A text that is complete: what it asked for.
pub(super) struct Texts {
    /// Name of the statement that a Parse prepares; empty for a Query.
    pub name: Vec<u8>,
    /// Its statements in order, never empty.
    pub asked: Vec<Asked>,
}

/// The text of one Query or Parse, while it is incomplete.
pub(super) struct TextInFlight {
    source: Source,
    part: Part,
    name: Vec<u8>,
    kept: Vec<u8>,
    types: Vec<u8>,
    scanner: Box<Scanner>,
    found: Vec<Found>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Name,
    Text,
    Behind,
}

impl TextInFlight {
    pub(super) fn begin(source: Source, settings: &Settings) -> TextInFlight {
        let mut scanner = Box::new(Scanner::new(settings.fingerprint_bytes_max));
        scanner.set_key(settings.values);
        scanner.set_dialect(source.dialect);
        scanner.begin();
        let part = match source.carrier {
            Carrier::Query => Part::Text,
            Carrier::Parse => Part::Name,
        };
        TextInFlight {
            source,
            part,
            name: Vec::new(),
            kept: Vec::new(),
            types: Vec::new(),
            scanner,
            found: Vec::new(),
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.name.capacity()
            + self.kept.capacity()
            + self.types.capacity()
            + self.scanner.held_bytes()
            + size_of::<Self>()
    }

    /// The next bytes of the body.
    pub(super) fn feed(&mut self, mut piece: &[u8], settings: &Settings) {
        while !piece.is_empty() {
            if self.part == Part::Behind {
                return keep(&mut self.types, piece, TYPES_BYTES_MAX);
            }
            let (head, rest, ended) = match memchr::memchr(0, piece) {
                Some(end) => (
                    piece.get(..end).unwrap_or(&[]),
                    piece.get(end + 1..).unwrap_or(&[]),
                    true,
                ),
                None => (piece, &[][..], false),
            };
            match self.part {
                Part::Name => keep(&mut self.name, head, NAME_BYTES_MAX),
                Part::Text => {
                    keep(&mut self.kept, head, settings.text_bytes_max);
                    let (found, carrier) = (&mut self.found, self.source.carrier);
                    self.scanner.feed(head, &mut |scanned| {
                        found.push(Found::of(carrier, scanned, settings));
                    });
                }
                Part::Behind => {}
            }
            self.part = match (self.part, ended) {
                (part, false) => part,
                (Part::Name, true) => Part::Text,
                (_, true) => Part::Behind,
            };
            piece = rest;
        }
    }

    /// The body is complete.
    pub(super) fn finish(
        mut self,
        scratch: &Scratch,
        catalog: &mut Catalog,
        settings: &Settings,
        sink: &mut impl Sink,
    ) -> (Carrier, Texts) {
        let (found, carrier) = (&mut self.found, self.source.carrier);
        self.scanner.end(&mut |scanned| {
            found.push(Found::of(carrier, scanned, settings));
        });
        judge_together(found);
        let mut context = Context {
            catalog,
            settings,
            sink,
            name: (carrier == Carrier::Parse).then(|| scratch.name(&self.name)),
            is_named: !self.name.is_empty(),
            text: &self.kept,
            dialect: self.source.dialect,
            types: &self.types,
        };
        let asked = self
            .found
            .drain(..)
            .map(|found| context.asked(found))
            .collect();
        (
            carrier,
            Texts {
                name: self.name,
                asked,
            },
        )
    }
}

fn keep(kept: &mut Vec<u8>, piece: &[u8], most: usize) {
    let room = most.saturating_sub(kept.len());
    kept.extend_from_slice(piece.get(..room).unwrap_or(piece));
}

/// Reads a body that is whole in one piece; calls `each` for its statements in order, returns a Parse's name.
pub(super) fn read_whole<'a, S: Sink>(
    source: Source,
    body: &'a [u8],
    scratch: &mut Scratch,
    catalog: &mut Catalog,
    settings: &Settings,
    sink: &mut S,
    mut each: impl FnMut(&mut Catalog, &mut S, Asked),
) -> &'a [u8] {
    let Source { carrier, dialect } = source;
    if carrier == Carrier::Parse
        && let Some(statement) = scratch.repeated(body, dialect, settings)
    {
        each(catalog, sink, statement.asked());
        return &[];
    }
    let whole = body;
    let (name, body) = match carrier {
        Carrier::Query => (&[][..], body),
        Carrier::Parse => cstring(body).unwrap_or((body, &[])),
    };
    // A Query is its text and a NUL; one in which a NUL stands earlier is not recognised.
    let (text, types) = match (carrier, body) {
        (Carrier::Query, [text @ .., 0]) => (text, &[][..]),
        _ => cstring(body).unwrap_or((body, &[])),
    };
    scratch.scanner.set_key(settings.values);
    scratch.scanner.set_dialect(dialect);
    if settings.literals == Literals::Dropped
        && let Some(scanned) = scratch.scanner.recognise(text)
    {
        let wordings = &mut scratch.wordings;
        let known = match name {
            [] => wordings.get(carrier, scanned.fingerprint),
            _ => None,
        };
        let wording = known.unwrap_or_else(|| {
            let kept = text.get(..settings.text_bytes_max).unwrap_or(text);
            let written = Written {
                text: slice(kept, offset(scanned.start)..offset(scanned.end)),
                dialect,
                unreadable: false,
            };
            let statement = Statement {
                fingerprint: scanned.fingerprint,
                verb: scanned.verb,
                shape: sink.shape(scanned.fingerprint, scanned.verb, written),
                truncated: false,
            };
            match (carrier, name) {
                (Carrier::Query, _) => wordings.add(carrier, statement, None),
                (Carrier::Parse, []) => {
                    wordings.add(carrier, statement, Some(Arc::clone(&scratch.unnamed)))
                }
                (Carrier::Parse, name) => {
                    let name = Arc::from(String::from_utf8_lossy(name));
                    Arc::new(Wording::of(statement, Some(name)))
                }
            }
        });
        let asked = familiar(carrier, wording, &scanned, settings, wordings, types);
        if let (Carrier::Parse, [], Some(key)) = (carrier, name, settings.values) {
            scratch.parses.add(whole, key, &asked.origin);
        }
        each(catalog, sink, asked);
        return name;
    }
    let (text, _) = cstring(text).unwrap_or((text, &[]));
    let kept = text.get(..settings.text_bytes_max).unwrap_or(text);
    scratch.found.clear();
    let found = &mut scratch.found;
    scratch.scanner.read(text, &mut |scanned| {
        found.push(Found::of(carrier, scanned, settings));
    });
    judge_together(found);
    let name_of_statement = (carrier == Carrier::Parse).then(|| scratch.name(name));
    for one in scratch.found.drain(..) {
        let asked = Context {
            catalog,
            settings,
            sink,
            name: name_of_statement.clone(),
            is_named: !name.is_empty(),
            text: kept,
            dialect,
            types,
        }
        .asked(one);
        each(catalog, sink, asked);
    }
    name
}

/// A statement that was recognised: all but its values is known.
#[inline]
fn familiar(
    carrier: Carrier,
    wording: Arc<Wording>,
    scanned: &Scanned<'_>,
    settings: &Settings,
    wordings: &mut Wordings,
    types: &[u8],
) -> Asked {
    match carrier {
        _ if settings.values.is_none() => Origin::Text(wording).asked(),
        Carrier::Parse => Origin::of(wording, Some(wordings.placeholders(scanned, types))).asked(),
        Carrier::Query => Asked {
            flow: Some(parameters::flow(scanned.slots, scanned.values)),
            ..Origin::Text(wording).asked()
        },
    }
}

/// What is needed to know a statement from its text.
struct Context<'a, S> {
    catalog: &'a mut Catalog,
    settings: &'a Settings,
    sink: &'a mut S,
    /// What the log calls the statement that a Parse prepares.
    name: Option<Arc<str>>,
    /// Whether it has a name, by which it may be run long after its text was wanted.
    is_named: bool,
    text: &'a [u8],
    dialect: Dialect,
    /// What stands behind the text of a Parse.
    types: &'a [u8],
}

impl<S: Sink> Context<'_, S> {
    fn asked(&mut self, mut found: Found) -> Asked {
        let literal_text = match self.settings.literals {
            Literals::Dropped => None,
            Literals::Kept if self.is_named => None,
            Literals::Kept => Some(Arc::from(String::from_utf8_lossy(slice(
                self.text,
                found.text.clone(),
            )))),
        };
        let inner = found.inner.take().map(|(fingerprint, verb, start)| {
            self.statement(fingerprint, verb, start..found.text.end, &found)
        });
        let executed = match (found.verb, found.subject) {
            (Verb::Execute, Some(name)) => self.catalog.statement(name).cloned(),
            _ => None,
        };
        let (flow, placeholders) = self.values(&mut found, executed.as_ref());
        let executed = executed.map(|it| it.wording().statement.clone());
        let (statement, prepares) = match (found.verb, executed, inner) {
            (Verb::Execute, Some(executed), _) => (executed, None),
            (Verb::Declare, _, Some(query)) => (query, None),
            (verb, _, inner) => {
                let own = self.statement(found.fingerprint, verb, found.text.clone(), &found);
                (own, inner.map(Box::new))
            }
        };
        let wording = Arc::new(Wording {
            statement,
            verb: found.verb,
            subject: found.subject,
            prepares,
            holdable: found.holdable,
            tags: found.tags.map(Arc::new),
            literal_text,
            name: self.name.clone(),
        });
        Asked {
            flow: flow.map(Box::new),
            ..Origin::of(wording, placeholders).asked()
        }
    }

    /// What is known of the statement's values: all of it, or what its Bind will need.
    fn values(
        &mut self,
        found: &mut Found,
        executed: Option<&Origin>,
    ) -> (Option<Flow>, Option<Arc<Placeholders>>) {
        let constants = std::mem::replace(&mut found.constants, Constants::Unwanted);
        let executed = executed.and_then(Origin::prepared);
        match (constants, executed) {
            (Constants::Unwanted, _) => (None, None),
            (Constants::Known(arguments), Some(prepared)) => {
                let flow = self.are_arguments(found, arguments.len()).then(|| {
                    let arguments = arguments.get(1..).unwrap_or_default();
                    parameters::executed(prepared, arguments, found.values)
                });
                (flow, None)
            }
            (Constants::Known(constants), None) => {
                let flow = Flow {
                    constants,
                    values: found.values,
                    result: None,
                };
                (Some(flow), None)
            }
            (Constants::Slots(slots), _) => {
                let placeholders = Placeholders::new(slots, found.values, self.types);
                (None, Some(Arc::new(placeholders)))
            }
        }
    }

    /// Whether the arguments of an EXECUTE are its constants, one each: not of an expression.
    fn are_arguments(&self, found: &Found, constants: usize) -> bool {
        let text = String::from_utf8_lossy(slice(self.text, found.text.clone()));
        let expected: Vec<String> = (2..=constants).map(|n| format!("${n}")).collect();
        let expected = match constants {
            0 | 1 => "execute$1".to_owned(),
            _ => format!("execute$1({})", expected.join(",")),
        };
        normalize_as(&text, self.dialect)
            .to_ascii_lowercase()
            .replace(' ', "")
            == expected
    }

    fn statement(
        &mut self,
        fingerprint: Fingerprint,
        verb: Verb,
        text: Range<usize>,
        found: &Found,
    ) -> Statement {
        let written = Written {
            text: slice(self.text, text),
            dialect: self.dialect,
            unreadable: found.unreadable,
        };
        let shape = self.sink.shape(fingerprint, verb, written);
        Statement {
            fingerprint,
            verb,
            shape,
            truncated: found.truncated,
        }
    }
}

/// The part of the kept text that `range` of the whole text covers; what was not kept is missing at its end.
fn slice(text: &[u8], range: Range<usize>) -> &[u8] {
    text.get(range.start..range.end.min(text.len()))
        .unwrap_or(&[])
}

/// The name by which the catalog knows a wire-level name.
pub(super) fn wire_name(name: &[u8]) -> NameHash {
    name_hash(name.get(..NAME_BYTES_MAX).unwrap_or(name))
}
