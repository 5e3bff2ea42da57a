//! The wordings of the statements that come again and again: asking for one of them takes no memory.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::asked::{Wording, WordingRef};
use super::parameters::{Placeholders, Slots};
use super::text::Carrier;
use crate::event::Statement;
use crate::hashes::Hashes;
use crate::sql::Fingerprint;
use crate::sql::scan::Scanned;

/// How many are kept of either kind, of one worker; what comes beyond is put together anew each time.
const WORDINGS_MAX: usize = 16 * 1024;

/// Wordings by their fingerprints: of statements in a Query, and of prepared ones without a name.
#[derive(Debug)]
pub(super) struct Wordings {
    /// By fingerprint and `salt`. With thousands of shapes it is in no cache, as its wordings are: whoever looks for one
    /// waits for its place here alone.
    of_query: Hashes<&'static Wording>,
    of_parse: HashMap<Fingerprint, Parsed, RandomState>,
    /// How many were ever kept of either, known or not.
    kept: Kept,
    /// Nobody outside knows which fingerprints are neighbours.
    salt: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    of_query: usize,
    of_parse: usize,
}

/// One that came in a Parse.
#[derive(Debug)]
struct Parsed {
    wording: &'static Wording,
    /// What its last Parse said of its values.
    placeholders: Option<Arc<Placeholders>>,
}

impl Default for Wordings {
    fn default() -> Wordings {
        Wordings {
            of_query: Hashes::default(),
            of_parse: HashMap::default(),
            kept: Kept::default(),
            salt: RandomState::default().hash_one(0),
        }
    }
}

impl Wordings {
    /// Those of the same worker, of which none is known: what was kept is, and there is no more room for it than before.
    pub(super) fn renewed(&self) -> Wordings {
        Wordings {
            kept: self.kept,
            ..Wordings::default()
        }
    }

    /// A statement of this shape was found, and may be looked for.
    #[inline]
    pub(super) fn foretell(&self, carrier: Carrier, fingerprint: Fingerprint) {
        if carrier == Carrier::Query {
            self.of_query.expect(fingerprint.0 ^ self.salt);
        }
    }

    /// What a plain statement of this shape asks for, if it is remembered.
    #[inline]
    pub(super) fn get(&self, carrier: Carrier, fingerprint: Fingerprint) -> Option<WordingRef> {
        let wording = match carrier {
            Carrier::Query => self.of_query.get(fingerprint.0 ^ self.salt)?,
            Carrier::Parse => self.of_parse.get(&fingerprint)?.wording,
        };
        // It is looked at when its answer comes, or its rows do.
        wording.expect();
        Some(WordingRef::Kept(wording))
    }

    /// What a Parse of this text, with `types` behind it, says of its values: mostly the same as the last one.
    #[inline]
    pub(super) fn placeholders(
        &mut self,
        scanned: &Scanned<'_>,
        types: &[u8],
    ) -> Arc<Placeholders> {
        let Scanned {
            fingerprint,
            slots,
            values,
            ..
        } = *scanned;
        let made = || {
            let slots = Slots::from_slice(slots);
            Arc::new(Placeholders::new(slots, values, types))
        };
        let Some(known) = self.of_parse.get_mut(&fingerprint) else {
            return made();
        };
        match &known.placeholders {
            Some(last) if last.are_of(slots, values, types) => Arc::clone(last),
            _ => Arc::clone(known.placeholders.insert(made())),
        }
    }

    /// Remembers a plain statement, of which nothing is known but what it is.
    pub(super) fn add(
        &mut self,
        carrier: Carrier,
        statement: Statement,
        name: Option<Arc<str>>,
    ) -> WordingRef {
        let kept = match carrier {
            Carrier::Query => &mut self.kept.of_query,
            Carrier::Parse => &mut self.kept.of_parse,
        };
        let fingerprint = statement.fingerprint;
        // Without a shape there was no room for it, but there may be.
        let stays = statement.shape.is_some() && *kept < WORDINGS_MAX;
        let wording = Wording::of(statement, name);
        if !stays {
            return wording.into();
        }
        *kept += 1;
        let wording = WordingRef::keep(wording);
        match carrier {
            Carrier::Query => self.of_query.set(fingerprint.0 ^ self.salt, wording),
            Carrier::Parse => {
                let placeholders = None;
                let parsed = Parsed {
                    wording,
                    placeholders,
                };
                self.of_parse.insert(fingerprint, parsed);
            }
        }
        WordingRef::Kept(wording)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Parsed, Shape};
    use crate::sql::Verb;

    fn statement(fingerprint: u64) -> Statement {
        let fingerprint = Fingerprint(fingerprint);
        Statement {
            fingerprint,
            verb: Verb::Select,
            shape: Some(Shape::kept(Shape {
                fingerprint,
                number: crate::event::ShapeNumber(0),
                verb: Verb::Select,
                text: "SELECT $1".into(),
                facts: Default::default(),
                parsed: Parsed::default(),
            })),
            truncated: false,
        }
    }

    #[test]
    fn a_query_and_a_parse_of_one_shape_are_two() {
        let mut wordings = Wordings::default();
        wordings.add(Carrier::Query, statement(1), None);
        assert!(wordings.get(Carrier::Parse, Fingerprint(1)).is_none());
        wordings.add(Carrier::Parse, statement(1), Some("unnamed".into()));
        for (carrier, name) in [(Carrier::Query, None), (Carrier::Parse, Some("unnamed"))] {
            let known = wordings.get(carrier, Fingerprint(1)).expect("known");
            assert_eq!(known.name.as_deref(), name);
        }
    }

    #[test]
    fn a_bounded_number_is_kept_however_often_they_are_renewed() {
        let mut wordings = Wordings::default();
        for fingerprint in 0..WORDINGS_MAX as u64 + 2 {
            wordings.add(Carrier::Query, statement(fingerprint), None);
            wordings = wordings.renewed();
        }
        assert_eq!(wordings.kept.of_query, WORDINGS_MAX);
        wordings.add(Carrier::Query, statement(0), None);
        assert!(wordings.get(Carrier::Query, Fingerprint(0)).is_none());
        wordings.add(Carrier::Parse, statement(0), None);
        assert!(wordings.get(Carrier::Parse, Fingerprint(0)).is_some());
    }

    #[test]
    fn a_bounded_number_is_kept_and_none_without_a_shape() {
        let mut wordings = Wordings::default();
        for fingerprint in 0..WORDINGS_MAX as u64 + 2 {
            for carrier in [Carrier::Query, Carrier::Parse] {
                let added = wordings.add(carrier, statement(fingerprint), None);
                assert_eq!(added.statement.fingerprint, Fingerprint(fingerprint));
                let known = wordings.get(carrier, Fingerprint(fingerprint));
                let is_kept = fingerprint < WORDINGS_MAX as u64;
                assert_eq!(known.is_some_and(|known| known.is(&added)), is_kept);
            }
        }
        let shapeless = Statement {
            shape: None,
            ..statement(u64::MAX)
        };
        let mut wordings = Wordings::default();
        wordings.add(Carrier::Query, shapeless, None);
        let known = wordings.get(Carrier::Query, Fingerprint(u64::MAX));
        assert!(known.is_none());
    }
}
