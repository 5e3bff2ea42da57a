//! Statement texts on their way: from the bytes of a Query or Parse to what was asked.
//!
//! A text that is whole in one read is scanned in place with the worker's own scanner; one that is cut across reads
//! takes a scanner and a buffer for as long as it lasts. What each of its statements asks for is `found.rs`'s to say.

use std::sync::Arc;

use super::asked::{Asked, Origin, Wording, WordingRef};
use super::catalog::Catalog;
use super::columns::Descriptions;
use super::found::{Context, Found, judge_together, offset, slice};
use super::parameters::{self, Prepared};
use super::parses::{Parses, Repeated};
use super::pipeline::SpareQueues;
use super::wordings::Wordings;
use super::{Literals, Settings, Sink};
use crate::event::{Flow, Statement};
use crate::sql::scan::{Scanned, Scanner};
use crate::sql::{Dialect, NameHash, Written, name_hash};
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
    pub(super) queues: SpareQueues,
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
            queues: SpareQueues::default(),
        }
    }

    /// One behind a fault: what is half changed serves no other session. What was kept for the life of the process still
    /// counts as the worker's.
    pub fn renewed(&self) -> Scratch {
        Scratch {
            wordings: self.wordings.renewed(),
            descriptions: self.descriptions.renewed(),
            ..Scratch::new(self.fingerprint_bytes_max())
        }
    }

    /// How much of a statement its identity covers.
    pub fn fingerprint_bytes_max(&self) -> usize {
        self.scanner.bytes_max()
    }

    /// What a Parse prepares whose body came before, byte for byte; `present` is what its session has under that name.
    #[inline]
    pub(super) fn repeated(
        &self,
        body: &[u8],
        dialect: Dialect,
        settings: &Settings,
        present: Option<&Arc<Prepared>>,
    ) -> Option<Repeated> {
        match settings.literals {
            Literals::Dropped if dialect.is_standard() => {
                self.parses.get(body, settings.values?, present)
            }
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
            wordings: None,
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

/// Reads a body that is whole in one piece; calls `each` for its statements in order, with the values that their texts tell,
/// and returns a Parse's name. They are given in parts, which are put together where they stay.
pub(super) fn read_whole<'a, S: Sink>(
    source: Source,
    body: &'a [u8],
    scratch: &mut Scratch,
    catalog: &mut Catalog,
    settings: &Settings,
    sink: &mut S,
    mut each: impl FnMut(Origin, Option<Box<Flow>>),
) -> &'a [u8] {
    let Source { carrier, dialect } = source;
    if carrier == Carrier::Parse
        && let Some(Repeated::New(statement)) = scratch.repeated(body, dialect, settings, None)
    {
        each(statement, None);
        return cstring(body).map_or(&[], |(name, _)| name);
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
                    Wording::of(statement, Some(name)).into()
                }
            }
        });
        let (origin, flow) = familiar(carrier, wording, &scanned, settings, wordings, types);
        if let (Carrier::Parse, Some(key)) = (carrier, settings.values) {
            scratch.parses.add(whole, key, &origin);
        }
        each(origin, flow);
        return name;
    }
    let (text, _) = cstring(text).unwrap_or((text, &[]));
    let kept = text.get(..settings.text_bytes_max).unwrap_or(text);
    scratch.found.clear();
    let (found, wordings) = (&mut scratch.found, &scratch.wordings);
    scratch.scanner.read(text, &mut |scanned| {
        // When it is looked for, the text has been read and judged.
        wordings.foretell(carrier, scanned.fingerprint);
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
            wordings: Some(&mut scratch.wordings),
        }
        .asked(one);
        each(asked.origin, asked.flow);
    }
    name
}

/// A statement that was recognised: all but its values is known.
#[inline(always)]
fn familiar(
    carrier: Carrier,
    wording: WordingRef,
    scanned: &Scanned<'_>,
    settings: &Settings,
    wordings: &mut Wordings,
    types: &[u8],
) -> (Origin, Option<Box<Flow>>) {
    match carrier {
        _ if settings.values.is_none() => (Origin::Text(wording), None),
        Carrier::Parse => {
            let placeholders = wordings.placeholders(scanned, types);
            (Origin::of(wording, Some(placeholders)), None)
        }
        Carrier::Query => {
            let flow = parameters::flow(scanned.slots, scanned.values);
            (Origin::Text(wording), Some(flow))
        }
    }
}

/// The name by which the catalog knows a wire-level name.
pub(super) fn wire_name(name: &[u8]) -> NameHash {
    name_hash(name.get(..NAME_BYTES_MAX).unwrap_or(name))
}
