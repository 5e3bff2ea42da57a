//! What a session needs while it is answered and most of the time not: lent to whichever is, by its worker.
//!
//! An answer comes in one read, nearly always. What is put together meanwhile would be a third of what each session
//! holds, and with many of them it would be in no cache; the worker's own is.

/// Whether there is nothing in it: another session may have it.
pub(super) trait Blank {
    /// Nothing is in it that anybody will ask for.
    fn is_blank(&self) -> bool;
}

/// What a session was lent, or keeps since its answer is not over; nothing between its queries.
#[derive(Debug)]
pub(super) struct Lent<T>(Option<Box<T>>);

/// The worker's own, unless a session has it.
pub(super) type Spare<T> = Option<Box<T>>;

impl<T> Default for Lent<T> {
    fn default() -> Lent<T> {
        Lent(None)
    }
}

impl<T: Default + Blank> Lent<T> {
    /// Its session goes on.
    #[inline]
    pub(super) fn borrow(&mut self, spare: &mut Spare<T>) {
        if self.0.is_none() {
            self.0 = spare.take();
        }
    }

    /// It does not go on for now: where there is nothing in it, the next session may have it.
    #[inline]
    pub(super) fn give_back(&mut self, spare: &mut Spare<T>) {
        if self.0.as_deref().is_some_and(T::is_blank) {
            match spare {
                None => *spare = self.0.take(),
                Some(_) => self.drop_it(),
            }
        }
    }

    /// Of two that nobody needs one is kept.
    #[cold]
    fn drop_it(&mut self) {
        self.0 = None;
    }

    /// It, to put something in.
    #[inline]
    pub(super) fn here(&mut self) -> &mut T {
        self.0.get_or_insert_with(blank)
    }

    /// What is in it, if it is here.
    #[inline]
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    /// The same, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

/// One of its own: while another session keeps the worker's, or where nobody lends.
#[cold]
fn blank<T: Default>() -> Box<T> {
    Box::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Sum(u32);

    impl Blank for Sum {
        fn is_blank(&self) -> bool {
            self.0 == 0
        }
    }

    #[test]
    fn it_stays_for_as_long_as_there_is_something_in_it() {
        let mut spare = Spare::default();
        let (mut one, mut other) = (Lent::<Sum>::default(), Lent::<Sum>::default());
        one.borrow(&mut spare);
        one.here().0 = 1;
        one.give_back(&mut spare);
        assert!(spare.is_none());
        // Meanwhile another one is answered.
        other.borrow(&mut spare);
        assert_eq!(other.here().0, 0);
        other.give_back(&mut spare);
        assert!(other.get().is_none() && spare.is_some());
        one.borrow(&mut spare);
        assert_eq!(std::mem::take(&mut one.here().0), 1);
        one.give_back(&mut spare);
        assert!(one.get().is_none() && spare.is_some());
    }
}
