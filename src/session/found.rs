//! One statement of a text as the scanner found it, and what it asks for.

use std::ops::Range;
use std::sync::Arc;

use super::asked::{Asked, Origin, Special, Wording};
use super::catalog::Catalog;
use super::parameters::{self, Placeholders, Slots};
use super::text::Carrier;
use super::wordings::Wordings;
use super::{Literals, Settings, Sink};
use crate::event::{self, Flow, Statement};
use crate::sql::scan::Scanned;
use crate::sql::tags::{self, Tags};
use crate::sql::{Dialect, Fingerprint, NameHash, Verb, VerbClass, Written, normalize_as};

/// One statement as the scanner saw it, without what it borrows.
pub(super) struct Found {
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
    pub(super) fn of(carrier: Carrier, scanned: &Scanned<'_>, settings: &Settings) -> Found {
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
pub(super) fn judge_together(found: &mut [Found]) {
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

pub(super) fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// What is needed to know a statement from its text.
pub(super) struct Context<'a, S> {
    pub catalog: &'a mut Catalog,
    pub settings: &'a Settings,
    pub sink: &'a mut S,
    /// What the log calls the statement that a Parse prepares.
    pub name: Option<Arc<str>>,
    /// Whether it has a name, by which it may be run long after its text was wanted.
    pub is_named: bool,
    pub text: &'a [u8],
    pub dialect: Dialect,
    /// What stands behind the text of a Parse.
    pub types: &'a [u8],
    /// Where plain statements are remembered, if they are.
    pub wordings: Option<&'a mut Wordings>,
}

impl<S: Sink> Context<'_, S> {
    pub(super) fn asked(&mut self, mut found: Found) -> Asked {
        if self.is_plain(&found)
            && let Some(wordings) = self.wordings.take()
        {
            return self.plain(found, wordings);
        }
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
        let special = Special {
            subject: found.subject,
            holdable: found.holdable,
            prepares,
            literal_text,
        };
        let wording = Wording {
            verb: found.verb,
            special: special.boxed(),
            tags: found.tags.map(Arc::new),
            ..Wording::of(statement, self.name.clone())
        };
        Asked {
            flow: flow.map(Box::new),
            ..Origin::of(wording.into(), placeholders).asked()
        }
    }

    /// Whether nothing is to be known of a statement but what it is.
    fn is_plain(&self, found: &Found) -> bool {
        self.settings.literals == Literals::Dropped
            && !self.is_named
            && found.inner.is_none()
            && found.subject.is_none()
            && found.tags.is_none()
            && !found.holdable
            && !found.truncated
            && !found.unreadable
    }

    /// A plain statement, of which much may be remembered.
    fn plain(&mut self, mut found: Found, wordings: &mut Wordings) -> Asked {
        let carrier = match self.name {
            Some(_) => Carrier::Parse,
            None => Carrier::Query,
        };
        let (flow, placeholders) = self.values(&mut found, None);
        let wording = wordings.get(carrier, found.fingerprint).unwrap_or_else(|| {
            let text = found.text.clone();
            let statement = self.statement(found.fingerprint, found.verb, text, &found);
            wordings.add(carrier, statement, self.name.clone())
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
pub(super) fn slice(text: &[u8], range: Range<usize>) -> &[u8] {
    text.get(range.start..range.end.min(text.len()))
        .unwrap_or(&[])
}
