//! The one text of each query shape, shared by all workers; bounded in number and in bytes.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use foldhash::fast::RandomState;

use super::Settings;
use super::names::cut;
use crate::event::{Parsed, Shape, ShapeNumber, ShapeRef};
use crate::sql::{Fingerprint, Verb};

/// However full the budget is, a new shape may keep this much of its text.
const TEXT_BYTES_MIN: usize = 256;

/// All shapes of the process.
#[derive(Debug)]
pub(super) struct Shapes {
    known: RwLock<Known>,
    shapes_max: usize,
    text_bytes_max: usize,
    texts_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Known {
    by_fingerprint: HashMap<u64, ShapeRef, RandomState>,
    in_order: Vec<ShapeRef>,
    text_bytes: usize,
}

impl Shapes {
    pub(super) fn new(settings: &Settings) -> Shapes {
        Shapes {
            known: RwLock::default(),
            shapes_max: settings.fingerprints_max,
            text_bytes_max: settings.text_bytes_max,
            texts_bytes_max: settings.texts_bytes_max,
        }
    }

    /// How many there may be.
    pub(super) fn max(&self) -> usize {
        self.shapes_max
    }

    /// The shape of `fingerprint`; `text` is asked for only when it is new. `None` when the table is full.
    pub(super) fn get_or_add(
        &self,
        fingerprint: Fingerprint,
        verb: Verb,
        text: impl FnOnce() -> String,
    ) -> Option<ShapeRef> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = known.by_fingerprint.get(&fingerprint.0) {
            return Some(*shape);
        }
        if known.in_order.len() >= self.shapes_max {
            return None;
        }
        drop(known);
        // Built outside the lock: a long text may take a while and another worker may be faster.
        let text = text();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = known.by_fingerprint.get(&fingerprint.0) {
            return Some(*shape);
        }
        if known.in_order.len() >= self.shapes_max {
            return None;
        }
        // A new text may take a sixteenth of what is left, so that the budget never ends and never is exceeded by
        // more than TEXT_BYTES_MIN a shape.
        let left = self.texts_bytes_max.saturating_sub(known.text_bytes);
        let text = cut(
            &text,
            self.text_bytes_max.min(TEXT_BYTES_MIN.max(left / 16)),
        );
        let shape = Shape::kept(Shape {
            fingerprint,
            number: ShapeNumber(u32::try_from(known.in_order.len()).unwrap_or(u32::MAX)),
            verb,
            text: Arc::from(text),
            facts: OnceLock::new(),
            parsed: Parsed::default(),
        });
        known.text_bytes += shape.text.len();
        known.by_fingerprint.insert(fingerprint.0, shape);
        known.in_order.push(shape);
        Some(shape)
    }

    /// The shape of `fingerprint`, if it is known.
    pub(super) fn get(&self, fingerprint: Fingerprint) -> Option<ShapeRef> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_fingerprint.get(&fingerprint.0).copied()
    }

    /// At most `max` of them from the `from`th on.
    pub(super) fn from(&self, from: usize, max: usize) -> Vec<ShapeRef> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .in_order
            .iter()
            .skip(from)
            .take(max)
            .cloned()
            .collect()
    }

    pub(super) fn count(&self) -> usize {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .in_order
            .len()
    }
}
