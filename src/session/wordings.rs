//! The wordings of the statements that come again and again: asking for one of them takes no memory.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::asked::Wording;
use super::parameters::{Placeholders, Slots};
use super::text::Carrier;
use crate::event::Statement;
use crate::sql::Fingerprint;
use crate::sql::scan::Scanned;

/// How many are remembered, of one worker and of either kind; with one more all of those are forgotten, and found again
/// as they are asked for.
const WORDINGS_MAX: usize = 16 * 1024;

/// Wordings by their fingerprints: of statements in a Query, and of prepared ones without a name.
#[derive(Debug, Default)]
pub(super) struct Wordings {
    /// No keys beside them: they have their fingerprints themselves, and the fewer bytes a place takes the more of them
    /// are in a cache.
    of_query: HashTable<Arc<Wording>>,
    of_parse: HashMap<Fingerprint, Parsed, RandomState>,
    hasher: RandomState,
}

/// One that came in a Parse.
#[derive(Debug)]
struct Parsed {
    wording: Arc<Wording>,
    /// What its last Parse said of its values.
    placeholders: Option<Arc<Placeholders>>,
}

impl Wordings {
    /// What a plain statement of this shape asks for, if it is remembered.
    #[inline]
    pub(super) fn get(&self, carrier: Carrier, fingerprint: Fingerprint) -> Option<Arc<Wording>> {
        let wording = match carrier {
            Carrier::Query => self
                .of_query
                .find(self.hasher.hash_one(fingerprint), |wording| {
                    wording.statement.fingerprint == fingerprint
                })?,
            Carrier::Parse => &self.of_parse.get(&fingerprint)?.wording,
        };
        Some(Arc::clone(wording))
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
    ) -> Arc<Wording> {
        let has_shape = statement.shape.is_some();
        let wording = Arc::new(Wording::of(statement, name));
        // Without a shape there was no room for it, but there may be.
        if has_shape {
            match carrier {
                Carrier::Query => self.add_of_query(Arc::clone(&wording)),
                Carrier::Parse => self.add_of_parse(Arc::clone(&wording)),
            }
        }
        wording
    }

    fn add_of_query(&mut self, wording: Arc<Wording>) {
        if self.of_query.len() >= WORDINGS_MAX {
            self.of_query.clear();
        }
        let hasher = &self.hasher;
        let hash = |wording: &Arc<Wording>| hasher.hash_one(wording.statement.fingerprint);
        self.of_query.insert_unique(hash(&wording), wording, hash);
    }

    fn add_of_parse(&mut self, wording: Arc<Wording>) {
        if self.of_parse.len() >= WORDINGS_MAX {
            self.of_parse.clear();
        }
        let fingerprint = wording.statement.fingerprint;
        let placeholders = None;
        let parsed = Parsed {
            wording,
            placeholders,
        };
        self.of_parse.insert(fingerprint, parsed);
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
    fn a_bounded_number_is_remembered_and_none_without_a_shape() {
        let mut wordings = Wordings::default();
        for fingerprint in 0..WORDINGS_MAX as u64 + 2 {
            wordings.add(Carrier::Query, statement(fingerprint), None);
            assert!(wordings.of_query.len() <= WORDINGS_MAX);
            let known = wordings.get(Carrier::Query, Fingerprint(fingerprint));
            assert!(known.is_some(), "the last one is there");
        }
        let shapeless = Statement {
            shape: None,
            ..statement(u64::MAX)
        };
        wordings.add(Carrier::Query, shapeless, None);
        let known = wordings.get(Carrier::Query, Fingerprint(u64::MAX));
        assert!(known.is_none());
    }
}
