//! Where a loop's values may come from: all columns of a unit's results, tried with the loop's first values.

use std::sync::Arc;

use super::group::{Comparison, Group, Slot, TRACKS_MAX};
use super::knowledge::{Fit, Knowledge, Named};
use super::loops::Loops;
use super::source::Source;
use super::track::{Step, Track};
use crate::event::{Moment, QueryEvent};

/// First members that may be something else.
const SKIPPED_MAX: usize = 2;

/// Members behind them whose values are looked for in a column before anything else is.
const TRIED: usize = 3;

impl Loops {
    /// The columns along which the first values of a group may run, best first, and the rows of the best one that the
    /// values come from.
    pub(super) fn search(
        &self,
        index: usize,
        knowledge: &Knowledge,
        database: &Arc<str>,
    ) -> (Vec<Track>, Vec<Option<u64>>) {
        if !self.has_any_value_of(index) {
            return (Vec::new(), Vec::new());
        }
        // The first members may be other look-ups of the same shape: of who is logged in, before the list of authors.
        let mut best = (Vec::new(), Vec::new());
        for skipped in 0..=SKIPPED_MAX {
            let found = self.search_behind(skipped, index, knowledge, database);
            let whole = found.0.first().is_some_and(|track| track.missed == 0);
            if whole || best.0.is_empty() {
                best = found;
            }
            if whole {
                break;
            }
        }
        best
    }

    /// Whether there is a column with any value of the members that are tried first. Of a shape that only repeats there
    /// hardly is.
    fn has_any_value_of(&self, index: usize) -> bool {
        let Some(group) = self.groups.get(index) else {
            return false;
        };
        let first = || group.history.iter().take(SKIPPED_MAX + TRIED);
        (0..group.slots.len()).any(|slot| {
            let values = || first().filter_map(|past| past.values.get(slot).copied().flatten());
            let mut lists = self.sources.iter().filter(|source| source.end() > 1);
            lists.any(|source| {
                let mut keys = source.key_columns();
                keys.any(|key| values().any(|value| source.has(key, value)))
            })
        })
    }

    fn search_behind(
        &self,
        skipped: usize,
        index: usize,
        knowledge: &Knowledge,
        database: &Arc<str>,
    ) -> (Vec<Track>, Vec<Option<u64>>) {
        let Some(group) = self.groups.get(index) else {
            return (Vec::new(), Vec::new());
        };
        if skipped > 0 && group.history.len() < skipped + TRIED {
            return (Vec::new(), Vec::new());
        }
        let mut found: Vec<(Rank, Track, Vec<Option<u64>>)> = Vec::new();
        for (slot_index, slot) in group.slots.iter().enumerate() {
            for (source_index, source) in self.sources.iter().enumerate() {
                // No loop runs over a single row.
                if source.end() < 2 {
                    continue;
                }
                for key in source.key_columns() {
                    // Most columns have none of the values: that is told before anything is named.
                    let mut first = group.history.iter().skip(skipped).take(TRIED);
                    let shares = first.any(|past| {
                        let value = past.values.get(slot_index).copied().flatten();
                        value.is_some_and(|value| source.has(key, value))
                    });
                    if !shares {
                        continue;
                    }
                    let parent = self.named(knowledge, database, source, key);
                    let mut track = Track::new(source_index, key, slot_index);
                    if parent.table.is_some() && parent.table == slot.column.table {
                        track.own = self.own_column(group, &parent, knowledge, database);
                    }
                    let Some((track, rows)) = replay(group, &self.sources, track, skipped, 2)
                    else {
                        continue;
                    };
                    let relation = knowledge.relation(&parent, &slot.column);
                    if source.fingerprint == group.fingerprint
                        && parent.column == slot.column.column
                    {
                        // Its own look-up key comes back with every row.
                        continue;
                    }
                    let filtered = self.is_filtered_by(source, &parent);
                    found.push((
                        Rank {
                            related: relation.fit >= Fit::Formed,
                            in_order: track.in_order,
                            fit: relation.fit,
                            to_key: relation.to_key,
                            unfiltered: !filtered,
                            matched: track.matched,
                            latest: source
                                .last_batch()
                                .map(|batch| batch.at)
                                .unwrap_or_default(),
                        },
                        track,
                        rows,
                    ));
                }
            }
        }
        found.sort_by(|(left, ..), (right, ..)| right.cmp(left));
        found.truncate(TRACKS_MAX);
        let rows = found
            .first_mut()
            .map(|(_, _, rows)| std::mem::take(rows))
            .unwrap_or_default();
        let tracks = found.into_iter().map(|(_, track, _)| track).collect();
        (tracks, rows)
    }

    /// The columns along which all members of a group run that is too short to be searched for.
    pub(super) fn first_tracks<'a>(
        &'a self,
        group: &'a Group,
        event: &'a QueryEvent,
        knowledge: &'a Knowledge,
    ) -> impl Iterator<Item = Track> + 'a {
        let places = self
            .sources
            .iter()
            .enumerate()
            .flat_map(move |(index, source)| {
                let lists = source.end() > 1 && source.fingerprint != group.fingerprint;
                let keys = source.key_columns().filter(move |_| lists);
                keys.flat_map(move |key| (0..group.slots.len()).map(move |slot| (index, key, slot)))
            });
        places.filter_map(move |(index, key, slot_index)| {
            let slot = group.slots.get(slot_index)?;
            let (track, _) = replay(
                group,
                &self.sources,
                Track::new(index, key, slot_index),
                0,
                1,
            )?;
            let source = self.sources.get(index)?;
            let parent = self.named(knowledge, &event.facts.database, source, key);
            let fits = knowledge.relation(&parent, &slot.column).fit >= Fit::Formed;
            (fits && track.missed == 0).then_some(track)
        })
    }

    pub(super) fn named(
        &self,
        knowledge: &Knowledge,
        database: &Arc<str>,
        source: &Source,
        key: usize,
    ) -> Named {
        let column = source
            .columns
            .keys
            .get(key)
            .map_or(0, |column| usize::from(*column));
        let facts = source.shape.and_then(|shape| shape.facts());
        knowledge.column(database, facts, &source.columns, column)
    }

    /// The column of that name in a group's own results.
    fn own_column(
        &self,
        group: &Group,
        column: &Named,
        knowledge: &Knowledge,
        database: &Arc<str>,
    ) -> Option<(usize, usize)> {
        let index = self.source_of(group.fingerprint)?;
        let source = self.sources.get(index)?;
        // Its look-up key comes back with every row, and names no other one.
        let is_key = |slot: &Slot| slot.column == *column;
        if group.slots.iter().any(is_key) {
            return None;
        }
        let key = source
            .key_columns()
            .find(|key| self.named(knowledge, database, source, *key) == *column)?;
        Some((index, key))
    }

    /// Whether a source's statement looks its rows up by that very column: then its values were known before.
    pub(super) fn is_filtered_by(&self, source: &Source, column: &Named) -> bool {
        self.group_of(source).is_some_and(|group| {
            group
                .slots
                .iter()
                .any(|slot| slot.column == *column && slot.comparison != Comparison::Assigned)
        })
    }
}

/// How good a column is as the source of a loop's values, best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Whether names speak for it at all.
    related: bool,
    in_order: u64,
    fit: Fit,
    /// `article_id` names an article's key rather than its number in the issue, which may be the same by chance.
    to_key: bool,
    unfiltered: bool,
    matched: u64,
    latest: Moment,
}

/// Follows the first values of a group along one column: the track, and the row of each value. `None` when they do not
/// run along it.
fn replay(
    group: &Group,
    sources: &[Source],
    mut track: Track,
    skipped: usize,
    least: u64,
) -> Option<(Track, Vec<Option<u64>>)> {
    track.skipped = skipped as u64;
    let mut allowed = (group.history.len() - skipped) / 4;
    let mut rows = vec![None; skipped];
    for past in group.history.iter().skip(skipped) {
        let value = past.values.get(track.slot).copied().flatten();
        let (step, row) = track.take(sources, value, past.requested_at);
        rows.push(row);
        if step == Step::Missed {
            allowed = allowed.checked_sub(1)?;
        }
    }
    (track.matched >= least).then_some((track, rows))
}
