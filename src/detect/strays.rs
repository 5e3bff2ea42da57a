//! Members that do not go on with their group's loop: they may be a loop of their own, over another parent.
//!
//! Two lists of one page may both show their customers: one shape, two parents. A member whose value the followed
//! columns do not have waits; as soon as a loop's number of them wait and run along another column, they become a group
//! of their own, with which the shape goes on. If the first loop goes on instead, they were exceptions in it.

use std::sync::Arc;

use super::group::{Group, Member, value};
use super::knowledge::Knowledge;
use super::loops::Loops;
use super::track::{Step, Track};
use crate::event::QueryEvent;

/// Members that wait at most; a loop that has more exceptions than that is none.
const STRAYS_MAX: usize = 24;

/// A member that waits.
#[derive(Debug, Clone)]
pub(super) struct Stray {
    pub event: QueryEvent,
    pub member: Member,
    /// The application's time behind it, nanoseconds.
    pub gap_ns: u64,
}

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It waits.
    Waits,
    /// It began a loop of its own with those that waited, or it is an exception like them.
    Settled,
    /// It goes on with its group.
    GoesOn,
}

impl Loops {
    /// Takes a member whose group is followed already, as far as it does not go on with it.
    pub(super) fn stray(
        &mut self,
        index: usize,
        event: &QueryEvent,
        member: Member,
        knowledge: &Knowledge,
        least: u64,
        link: &mut dyn FnMut(u32, u32),
    ) -> Taken {
        let Some(group) = self.groups.get(index) else {
            return Taken::GoesOn;
        };
        if !is_stray(group, self, event) {
            self.take_back(index);
            return Taken::GoesOn;
        }
        let Some(group) = self.groups.get_mut(index) else {
            return Taken::GoesOn;
        };
        group.strays.push(Stray {
            event: event.clone(),
            member,
            gap_ns: 0,
        });
        let waiting = group.strays.len();
        // Tried when a loop could be there, and at each doubling of that.
        let due = (waiting as u64) >= least && (waiting as u64 / least).is_power_of_two();
        if due && self.split(index, knowledge, link) {
            return Taken::Settled;
        }
        if waiting >= STRAYS_MAX {
            self.take_back(index);
            return Taken::Settled;
        }
        Taken::Waits
    }

    /// Makes a group of those that wait, if they run along a column.
    fn split(
        &mut self,
        index: usize,
        knowledge: &Knowledge,
        link: &mut dyn FnMut(u32, u32),
    ) -> bool {
        let Some(strays) = self.groups.get(index).map(|group| group.strays.clone()) else {
            return false;
        };
        let Some(first) = strays.first() else {
            return false;
        };
        let database = Arc::clone(&first.event.facts.database);
        let mut group = Group::new(&first.event);
        for stray in &strays {
            group.add(&stray.event, stray.member);
            group.gap(stray.gap_ns);
        }
        self.groups.push(group);
        let own = self.groups.len() - 1;
        if !self.find_source(own, knowledge, &database, link) {
            self.groups.pop();
            return false;
        }
        if let Some(old) = self.groups.get_mut(index) {
            old.strays = Vec::new();
        }
        self.goes_on_with(own);
        true
    }

    /// What waits are exceptions: they count as members that missed.
    pub(super) fn take_back(&mut self, index: usize) {
        let Loops {
            groups, sources, ..
        } = self;
        let Some(group) = groups
            .get_mut(index)
            .filter(|group| !group.strays.is_empty())
        else {
            return;
        };
        for stray in std::mem::take(&mut group.strays) {
            group.add(&stray.event, stray.member);
            group.gap(stray.gap_ns);
            group.follow(sources, &stray.event);
        }
    }

    /// Nothing follows: what waits is taken back, and loops too short to have been looked at are looked at.
    pub(super) fn settle(&mut self, knowledge: &Knowledge, database: &Arc<str>, least: u64) {
        for index in 0..self.groups.len() {
            self.take_back(index);
            let wants = self.groups.get(index).is_some_and(|group| {
                group.count >= least && group.count > group.searched_at() && group.tracks.is_empty()
            });
            if wants {
                self.find_source(index, knowledge, database, &mut |_, _| {});
            }
        }
    }
}

/// Whether none of the columns that a group's values run along goes on with its next member.
fn is_stray(group: &Group, loops: &Loops, event: &QueryEvent) -> bool {
    let Some(flow) = event.flow.as_ref() else {
        return false;
    };
    // Behind a list that came since, a value that is not the next one may be that list's.
    let another_list = || {
        loops.sources.iter().any(|source| {
            source
                .last_batch()
                .is_some_and(|batch| batch.rows > 1 && batch.at > group.last_at)
        })
    };
    let is_other = |track: &Track| {
        let slot = group.slots.get(track.slot)?;
        let value = value(&flow.constants, slot)?;
        let source = loops.sources.get(track.source)?;
        Some(match track.peek(source, value) {
            Step::InOrder => false,
            Step::OutOfOrder => another_list(),
            Step::Missed => !track.is_chained(&loops.sources, value) || another_list(),
        })
    };
    !group.tracks.is_empty()
        && group
            .tracks
            .iter()
            .all(|track| is_other(track).unwrap_or(false))
}
