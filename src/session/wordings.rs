//! The wordings of the statements that come again and again: asking for one of them takes no memory.

use std::sync::Arc;

use super::asked::Wording;
use super::text::Carrier;
use crate::event::Statement;
use crate::sql::Fingerprint;

/// How many are remembered, of one worker; of two that share a place the later one is.
const PLACES: usize = 512;

/// Wordings by their fingerprints: of statements in a Query, and of prepared ones without a name.
#[derive(Debug, Default)]
pub(super) struct Wordings {
    /// Empty until there is something to remember.
    known: Vec<Option<Arc<Wording>>>,
}

impl Wordings {
    /// What a plain statement of this shape asks for, if it is remembered.
    #[inline]
    pub(super) fn get(&self, carrier: Carrier, fingerprint: Fingerprint) -> Option<Arc<Wording>> {
        let known = self.known.get(place(carrier, fingerprint))?.as_ref()?;
        let is_it = known.statement.fingerprint == fingerprint
            && known.name.is_some() == (carrier == Carrier::Parse);
        is_it.then(|| Arc::clone(known))
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
                *known = Some(Arc::clone(&wording));
            }
        }
        wording
    }
}

#[inline]
fn place(carrier: Carrier, fingerprint: Fingerprint) -> usize {
    (fingerprint.0 ^ carrier as u64) as usize % PLACES
}
