//! Sessions of a relaying thread that have had their share and have more to do.
//!
//! The kernel tells of whoever moves much while it waits for its turn, again and again. With a place in line for each
//! time, the line grew for as long as a result flowed, and everybody else waited ever longer: hence one each.

/// Slots of sessions whose next turn comes when all others have had theirs.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<usize>);

impl Line {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The session in `slot` waits for its next turn, if it does not already: to look at all who wait is nothing beside
    /// what each of them has just moved.
    #[cold]
    pub(super) fn join(&mut self, slot: usize) {
        if !self.holds(slot) {
            self.0.push(slot);
        }
    }

    pub(super) fn holds(&self, slot: usize) -> bool {
        self.0.contains(&slot)
    }

    /// Who waited, in the order in which they came.
    pub(super) fn slots(self) -> impl Iterator<Item = usize> {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_stands_in_line_twice() {
        let mut line = Line::default();
        for slot in [3, 5, 3, 3, 5] {
            line.join(slot);
        }
        assert!(line.holds(5) && !line.holds(4));
        assert_eq!(line.slots().collect::<Vec<_>>(), [3, 5]);
    }
}
