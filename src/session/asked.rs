//! A statement that was asked for, and what it has cost and returned.

use std::mem::offset_of;
use std::sync::{Arc, OnceLock};

use super::columns::Remembered;
use super::parameters::{Formats, Placeholders, Prepared};
use crate::cache::{self, Lines};
use crate::event::{Common, Constant, Flow, Moment, Phases, Protocol, Statement};
use crate::sql::tags::Tags;
use crate::sql::{NameHash, Verb};
use crate::wire::TransactionStatus;

/// What a text asks for, whoever has it executed and how often: all that ask for it share it.
///
/// With many shapes it is in no cache, and each query needs all of it: two lines of memory, and not three.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(super) struct Wording {
    /// What it is reported as: a DECLARE's SELECT, an EXECUTE's prepared statement, else itself.
    pub statement: Statement,
    pub tags: Option<Arc<Tags>>,
    /// Name of the protocol-level statement; `None` for a Query's statement.
    pub name: Option<Arc<str>>,
    /// The keyword that decides what its completion changes here: DECLARE, FETCH, PREPARE, DEALLOCATE ...
    pub verb: Verb,
    /// What most statements do not have.
    pub special: Option<Box<Special>>,
    /// What its rows were the first time.
    pub rows: OnceLock<Remembered>,
}

#[cfg(target_os = "linux")]
const _: () = assert!(size_of::<Wording>() == 128);

/// What few statements have.
#[derive(Debug, Clone, Default)]
pub(super) struct Special {
    /// The cursor or prepared statement it names.
    pub subject: Option<NameHash>,
    /// Whether a DECLAREd cursor outlives its transaction.
    pub holdable: bool,
    /// What a PREPARE prepares.
    pub prepares: Option<Box<Statement>>,
    /// Its text with all its values, where those are kept.
    pub literal_text: Option<Arc<str>>,
}

impl Special {
    /// Where there is any of it.
    pub(super) fn boxed(self) -> Option<Box<Special>> {
        let Special {
            subject,
            holdable,
            prepares,
            literal_text,
        } = &self;
        let any = subject.is_some() || *holdable || prepares.is_some() || literal_text.is_some();
        any.then(|| Box::new(self))
    }
}

impl Wording {
    /// A statement of which nothing is known but what it is.
    pub(super) fn of(statement: Statement, name: Option<Arc<str>>) -> Wording {
        Wording {
            verb: statement.verb,
            statement,
            special: None,
            rows: OnceLock::new(),
            tags: None,
            name,
        }
    }

    /// One that is kept is fetched.
    #[inline]
    pub(super) fn expect(&'static self) {
        cache::fetch_lines(&self.statement.truncated, TRUNCATED_AT, KEPT);
    }

    /// The cursor or prepared statement it names.
    #[inline]
    pub(super) fn subject(&self) -> Option<NameHash> {
        self.special.as_ref()?.subject
    }

    /// Whether a DECLAREd cursor outlives its transaction.
    pub(super) fn is_holdable(&self) -> bool {
        self.special.as_ref().is_some_and(|it| it.holdable)
    }

    /// Its text with all its values, where those are kept.
    #[inline]
    pub(super) fn literal_text(&self) -> Option<&Arc<str>> {
        self.special.as_ref()?.literal_text.as_ref()
    }
}

/// The lines of a wording that is kept, as one of its bytes sees them.
const KEPT: Lines = Lines::of(0, size_of::<Wording>());
const TRUNCATED_AT: usize = offset_of!(Wording, statement) + offset_of!(Statement, truncated);

/// Names a wording that many statements share: those that come again and again are few, as many as shapes, and are
/// kept; what is put together for one statement alone is counted.
pub(super) type WordingRef = Common<Wording>;

/// Where a statement is known from. One pointer, whatever there is to know.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Its text.
    Text(WordingRef),
    /// The Parse that prepared it (a PREPARE: of what it prepares). Only with value flow on.
    Parse(Arc<Prepared>),
}

impl Origin {
    #[inline]
    pub(super) fn of(wording: WordingRef, placeholders: Option<Arc<Placeholders>>) -> Origin {
        match placeholders {
            Some(placeholders) => Origin::Parse(Arc::new(Prepared::new(wording, placeholders))),
            None => Origin::Text(wording),
        }
    }

    /// What the statement asks for.
    #[inline]
    pub(super) fn wording(&self) -> &WordingRef {
        match self {
            Origin::Text(wording) => wording,
            Origin::Parse(prepared) => &prepared.wording,
        }
    }

    /// What is known of it as a prepared statement.
    #[inline]
    pub(super) fn prepared(&self) -> Option<&Arc<Prepared>> {
        match self {
            Origin::Text(_) => None,
            Origin::Parse(prepared) => Some(prepared),
        }
    }

    /// The same, which was all of it.
    #[inline]
    pub(super) fn into_prepared(self) -> Option<Arc<Prepared>> {
        match self {
            Origin::Text(_) => None,
            Origin::Parse(prepared) => Some(prepared),
        }
    }

    /// What only one session has of it is fetched.
    #[inline]
    pub(super) fn expect(&self) {
        if let Origin::Parse(prepared) = self {
            cache::fetch(&**prepared);
        }
    }

    /// The statement that this PREPARE prepares.
    pub(super) fn prepared_statement(&self) -> Option<Origin> {
        let special = self.wording().special.as_ref()?;
        let statement = special.prepares.as_deref()?.clone();
        let wording = Wording {
            tags: self.wording().tags.clone(),
            ..Wording::of(statement, None)
        };
        let placeholders = self.prepared().map(|it| Arc::clone(&it.placeholders));
        Some(Origin::of(wording.into(), placeholders))
    }

    /// The statement, asked for without values.
    #[inline]
    pub(super) fn asked(self) -> Asked {
        self.asked_with(None)
    }

    /// The statement, asked for with the values that its text tells.
    #[inline(always)]
    pub(super) fn asked_with(self, flow: Option<Box<Flow>>) -> Asked {
        Asked {
            origin: self,
            flow,
            formats: Formats::Text,
        }
    }
}

/// One statement that was asked for: small, since it moves from place to place.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub origin: Origin,
    /// Its values, as far as they are known; the rows of a statement without are not looked at.
    pub flow: Option<Box<Flow>>,
    /// The formats of its result, as Bind asked for them.
    pub formats: Formats,
}

impl Asked {
    /// What it asks for.
    #[inline]
    pub(super) fn wording(&self) -> &WordingRef {
        self.origin.wording()
    }

    /// What is known of it as a prepared statement.
    #[inline]
    pub(super) fn prepared(&self) -> Option<&Arc<Prepared>> {
        self.origin.prepared()
    }

    /// The same once more, without the values of this time.
    #[inline]
    pub(super) fn again(&self) -> Asked {
        Asked {
            formats: self.formats.clone(),
            ..self.origin.clone().asked()
        }
    }

    /// Whether the rows that answer it are looked at: they are its own, or those of a cursor.
    pub(super) fn has_rows(&self) -> bool {
        self.flow.is_some() || self.wording().verb == Verb::Fetch
    }

    /// What it points to is fetched.
    #[inline]
    pub(super) fn expect(&self) {
        self.origin.expect();
        if let Some(flow) = &self.flow {
            cache::fetch(&flow.constants);
            cache::fetch(&flow.values);
            cache::fetch(&flow.result);
        }
    }

    /// Bytes that it holds for its values.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        flow_bytes(self.flow.as_deref()) + self.formats.held_bytes()
    }
}

/// Bytes that the values of a statement hold.
#[inline]
fn flow_bytes(flow: Option<&Flow>) -> usize {
    flow.map_or(0, |flow| {
        size_of::<Flow>() + flow.constants.len() * size_of::<Constant>()
    })
}

/// What a query has cost and returned so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub requested_at: Moment,
    pub completed_at: Moment,
    pub phases: Phases,
    pub round_trips: u32,
    pub rows: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub transaction_before: TransactionStatus,
    pub pipeline_index: u32,
    pub protocol: Protocol,
    /// The cursor or portal that returned its rows in parts.
    pub cursor: Option<NameHash>,
}

impl Progress {
    /// The same without rows: a DECLARE, MOVE or CLOSE returns none, whatever number its tag has.
    pub(super) fn without_rows(self) -> Progress {
        Progress { rows: 0, ..self }
    }

    /// The first round trip of a cursor: its DECLARE.
    pub(super) fn of_a_cursor(self, cursor: NameHash) -> Progress {
        Progress {
            protocol: Protocol::Cursor,
            cursor: Some(cursor),
            ..self.without_rows()
        }
    }

    /// Both round trips together.
    pub(super) fn and(mut self, more: &Progress) -> Progress {
        self.add(more);
        self
    }

    /// A further round trip of the same query.
    pub(super) fn add(&mut self, more: &Progress) {
        self.completed_at = more.completed_at;
        self.phases.database_ns += more.phases.database_ns;
        self.phases.transfer_ns += more.phases.transfer_ns;
        self.phases.client_ns += more.phases.client_ns;
        self.phases.application_ns += more.phases.application_ns;
        self.round_trips = self.round_trips.saturating_add(more.round_trips);
        self.rows += more.rows;
        self.request_bytes += more.request_bytes;
        self.response_bytes += more.response_bytes;
    }
}
