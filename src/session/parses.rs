//! The Parse messages that come again byte for byte: what they ask for is known without reading them.
//!
//! Where a driver has the server bind, an application sends the same few texts for ever. [`Wordings`] know what each
//! shape asks for, but only once the text was read; these are looked up by the message itself.
//!
//! [`Wordings`]: super::wordings::Wordings

use std::sync::Arc;

use super::asked::{Origin, WordingRef};
use super::parameters::{Placeholders, Prepared};
use crate::sql::value::{ValueKey, mix};

/// How many are remembered, of one worker; of two that share a place the later one is.
const PLACES: usize = 256;
/// Longest body that is remembered: no longer text is familiar.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// Bytes of all of them together; beyond, all are forgotten.
const BYTES_MAX: usize = 256 * 1024;

/// Parses, names and all, whose text is read alike in every session: no string of it has a backslash. What many sessions
/// have prepared, each for itself, is kept once.
#[derive(Debug, Default)]
pub(super) struct Parses {
    /// Empty until there is something to remember.
    known: Vec<Option<Known>>,
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    body: Box<[u8]>,
    /// What the values of its text are hashed with.
    key: ValueKey,
    wording: WordingRef,
    placeholders: Arc<Placeholders>,
}

/// What a Parse that came before prepares.
#[derive(Debug)]
pub(super) enum Repeated {
    /// What the session has under its name, of which the server has told nothing that it may tell otherwise now.
    Present(Arc<Prepared>),
    /// A new one.
    New(Origin),
}

impl Parses {
    /// What a Parse of this body prepares, if it is remembered, where the session has `present` under its name.
    #[inline]
    pub(super) fn get(
        &self,
        body: &[u8],
        key: ValueKey,
        present: Option<&Arc<Prepared>>,
    ) -> Option<Repeated> {
        let known = self.known.get(place(body)?)?.as_ref()?;
        if *known.body != *body || known.key != key {
            return None;
        }
        if let Some(present) = present
            && present.is_untold_of(&known.wording, &known.placeholders)
        {
            return Some(Repeated::Present(Arc::clone(present)));
        }
        let placeholders = Arc::clone(&known.placeholders);
        let statement = Origin::of(known.wording.clone(), Some(placeholders));
        Some(Repeated::New(statement))
    }

    /// Remembers what a Parse of this body prepared.
    #[cold]
    pub(super) fn add(&mut self, body: &[u8], key: ValueKey, statement: &Origin) {
        let (Some(place), Some(prepared)) = (place(body), statement.prepared()) else {
            return;
        };
        // Without a shape there was no room for it, but there may be.
        if prepared.wording.statement.shape.is_none() {
            return;
        }
        if self.bytes + body.len() > BYTES_MAX {
            self.known.clear();
            self.bytes = 0;
        }
        self.known.resize_with(PLACES, || None);
        let Some(known) = self.known.get_mut(place) else {
            return;
        };
        let left = known.replace(Known {
            body: body.into(),
            key,
            wording: prepared.wording.clone(),
            placeholders: Arc::clone(&prepared.placeholders),
        });
        self.bytes += body.len();
        self.bytes -= left.map_or(0, |left| left.body.len());
    }
}

/// Where a body is looked for, by its length, its begin and its end; `None` for one that is too short or too long.
#[inline]
fn place(body: &[u8]) -> Option<usize> {
    if body.len() > BODY_BYTES_MAX {
        return None;
    }
    let (words, _) = body.last_chunk::<32>()?.as_chunks::<8>();
    let words = body.first_chunk().into_iter().chain(words);
    let all = words.fold(body.len() as u64, |all, word| {
        mix(all, u64::from_le_bytes(*word))
    });
    Some((all >> 32) as usize % PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Parsed, Shape, Statement};
    use crate::session::asked::Wording;
    use crate::session::parameters::Slots;
    use crate::sql::{Fingerprint, Verb};

    fn body(number: usize, length: usize) -> Vec<u8> {
        let mut body =
            format!("\0SELECT {number:>length$} FROM \"a_table\" WHERE id = $1").into_bytes();
        body.extend_from_slice(b"\0\0\0");
        body
    }

    fn parsed(number: u64, shape: bool) -> Origin {
        let fingerprint = Fingerprint(number);
        let shape = shape.then(|| {
            Shape::kept(Shape {
                fingerprint,
                number: crate::event::ShapeNumber(0),
                verb: Verb::Select,
                text: "SELECT".into(),
                facts: std::sync::OnceLock::new(),
                parsed: Parsed::default(),
            })
        });
        let statement = Statement {
            fingerprint,
            verb: Verb::Select,
            shape,
            truncated: false,
        };
        let placeholders = Placeholders::new(Slots::new(), number, &[0, 0]);
        Origin::of(
            Wording::of(statement, Some("unnamed".into())).into(),
            Some(Arc::new(placeholders)),
        )
    }

    fn get(parses: &Parses, body: &[u8], key: ValueKey) -> Option<Origin> {
        match parses.get(body, key, None)? {
            Repeated::New(statement) => Some(statement),
            Repeated::Present(_) => panic!("nothing is there"),
        }
    }

    fn fingerprint(statement: Option<Origin>) -> Option<u64> {
        statement.map(|statement| statement.wording().statement.fingerprint.0)
    }

    #[test]
    fn what_is_there_is_taken_again_until_the_server_has_told_of_it() {
        let (mut parses, key) = (Parses::default(), ValueKey::random());
        parses.add(&body(1, 9), key, &parsed(1, true));
        let is_present = |statement: &Origin| {
            let repeated = parses.get(&body(1, 9), key, statement.prepared());
            matches!(repeated, Some(Repeated::Present(_)))
        };
        let statement = get(&parses, &body(1, 9), key).expect("known");
        assert!(is_present(&statement));
        assert!(!is_present(&parsed(1, true)), "another text of that shape");
        let prepared = statement.prepared().expect("prepared");
        prepared.told(&[0, 1, 0, 0, 0, 23]);
        assert!(!is_present(&statement));
    }

    #[test]
    fn a_body_is_known_again_by_all_its_bytes_and_its_key() {
        let (mut parses, key) = (Parses::default(), ValueKey::random());
        parses.add(&body(1, 9), key, &parsed(1, true));
        assert_eq!(fingerprint(get(&parses, &body(1, 9), key)), Some(1));
        assert_eq!(fingerprint(get(&parses, &body(2, 9), key)), None);
        assert_eq!(
            fingerprint(get(&parses, &body(1, 9), ValueKey::random())),
            None
        );
        let mut types = body(1, 9);
        types.splice(types.len() - 2.., [0, 1, 0, 0, 0, 23]);
        assert_eq!(fingerprint(get(&parses, &types, key)), None);
        // Each has a statement of its own, which the server may describe otherwise.
        let (one, other) = (
            get(&parses, &body(1, 9), key),
            get(&parses, &body(1, 9), key),
        );
        let (one, other) = (one.expect("known"), other.expect("known"));
        assert!(!Arc::ptr_eq(
            one.prepared().expect("prepared"),
            other.prepared().expect("prepared")
        ));
    }

    #[test]
    fn what_has_no_shape_and_what_is_too_short_or_too_long_is_not_remembered() {
        let (mut parses, key) = (Parses::default(), ValueKey::random());
        parses.add(&body(1, 9), key, &parsed(1, false));
        assert_eq!(fingerprint(get(&parses, &body(1, 9), key)), None);
        for body in [&b"\0SELECT 1\0\0\0"[..], &body(1, BODY_BYTES_MAX)] {
            parses.add(body, key, &parsed(1, true));
            assert_eq!(fingerprint(get(&parses, body, key)), None);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let (mut parses, key) = (Parses::default(), ValueKey::random());
        for number in 0..3_000 {
            let body = body(number, number % 3_900);
            parses.add(&body, key, &parsed(number as u64, true));
            assert_eq!(fingerprint(get(&parses, &body, key)), Some(number as u64));
            let known = parses.known.iter().flatten();
            assert_eq!(
                parses.bytes,
                known.map(|known| known.body.len()).sum::<usize>()
            );
            assert!(parses.bytes <= BYTES_MAX);
        }
    }
}
