//! Whether a connection is checked before each request, as far as that can be believed.

/// Pauses looked back on.
const LOOK_BACK: u32 = 16;

/// What one connection has shown of one kind of check.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Checks {
    /// Checks that a query followed at once, and no error explains.
    hits: u32,
    /// The latest begins, newest lowest: 1 where a query followed a pause without a check.
    missed: u16,
    /// How many of those bits are meant.
    known: u32,
}

impl Checks {
    /// A check, and a query right behind it.
    pub(super) fn hit(&mut self) {
        self.hits = self.hits.saturating_add(1);
        self.push(0);
    }

    /// A pause as between requests, and a query behind it without a check.
    pub(super) fn miss(&mut self) {
        self.push(1);
    }

    /// So many queries were not seen: each may have come behind a pause without a check.
    pub(super) fn lost(&mut self, queries: u64) {
        (0..queries.clamp(1, u64::from(LOOK_BACK))).for_each(|_| self.miss());
    }

    fn push(&mut self, missed: u16) {
        self.missed = (self.missed << 1) | missed;
        self.known = (self.known + 1).min(LOOK_BACK);
    }

    /// Whether what follows a check, up to the next one, is one request.
    ///
    /// One check proves nothing: a view for a load balancer may send it. Two do, when all pauses of the connection
    /// were followed by one; of many, one in five may be a pause inside a request. `alike` counts the hits of all
    /// connections that are configured alike, this one included.
    pub(super) fn believed(self, alike: u32) -> bool {
        let known = u16::MAX.checked_shr(LOOK_BACK - self.known).unwrap_or(0);
        let misses = (self.missed & known).count_ones();
        let hits = self.known - misses;
        self.hits >= 1 && self.hits.max(alike) >= 2 && 4 * misses <= hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_checks_are_believed_until_pauses_come_without() {
        let mut checks = Checks::default();
        assert!(
            !checks.believed(9),
            "others' checks are not this connection's"
        );
        checks.hit();
        assert!(!checks.believed(1));
        assert!(checks.believed(2));
        checks.hit();
        assert!(checks.believed(0));
        checks.miss();
        assert!(!checks.believed(0), "one of three");
        (0..2).for_each(|_| checks.hit());
        assert!(checks.believed(0), "one of five");
        (0..LOOK_BACK).for_each(|_| checks.miss());
        assert!(!checks.believed(0));
        (0..LOOK_BACK).for_each(|_| checks.hit());
        assert!(checks.believed(0), "what is long ago is forgotten");
    }
}
