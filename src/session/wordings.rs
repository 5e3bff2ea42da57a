//! The wordings of the statements that come again and again: asking for one of them takes no memory.

use std::sync::Arc;

use super::asked::Wording;
use super::parameters::{Placeholders, Slots};
use super::text::Carrier;
use crate::event::Statement;
use crate::sql::Fingerprint;
use crate::sql::scan::Scanned;

/// How many are remembered, of one worker; of two that share a place the later one is.
const PLACES: usize = 4 * 1024;

/// Wordings by their fingerprints: of statements in a Query, and of prepared ones without a name.
#[derive(Debug, Default)]
pub(super) struct Wordings {
    /// Empty until there is something to remember.
    known: Vec<Option<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    wording: Arc<Wording>,
    /// What its last Parse said of its values.
    placeholders: Option<Arc<Placeholders>>,
}

impl Wordings {
    /// What a plain statement of this shape asks for, if it is remembered.
    #[inline]
    pub(super) fn get(&self, carrier: Carrier, fingerprint: Fingerprint) -> Option<Arc<Wording>> {
        let known = self.known.get(place(carrier, fingerprint))?.as_ref()?;
        known
            .is_of(carrier, fingerprint)
            .then(|| Arc::clone(&known.wording))
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
        let known = self.known.get_mut(place(Carrier::Parse, fingerprint));
        let Some(Some(known)) = known else {
            return made();
        };
        if !known.is_of(Carrier::Parse, fingerprint) {
            return made();
        }
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
        let (has_shape, place) = (
            statement.shape.is_some(),
            place(carrier, statement.fingerprint),
        );
        let wording = Arc::new(Wording::of(statement, name));
        // Without a shape there was no room for it, but there may be.
        if has_shape {
            self.known.resize(PLACES, None);
            if let Some(known) = self.known.get_mut(place) {
                *known = Some(Known {
                    wording: Arc::clone(&wording),
                    placeholders: None,
                });
            }
        }
        wording
    }
}

impl Known {
    fn is_of(&self, carrier: Carrier, fingerprint: Fingerprint) -> bool {
        let Wording {
            statement, name, ..
        } = &*self.wording;
        statement.fingerprint == fingerprint && name.is_some() == (carrier == Carrier::Parse)
    }
}

#[inline]
fn place(carrier: Carrier, fingerprint: Fingerprint) -> usize {
    (fingerprint.0 ^ carrier as u64) as usize % PLACES
}
