//! What many have in common, and how long it is kept.

use std::ops::Deref;
use std::sync::Arc;

/// Names one thing that many share, and what it is is what counts: of its equals it is as good as any.
///
/// Nearly all that an application's queries have in common is little and comes again for as long as it runs: that is
/// kept for the life of the process, and whoever has it names it. A count of those that do would be a word that two
/// threads write to for each query, and wait for until all that was written before has reached its cache. What comes
/// beyond some limit is counted, and goes with the last that holds it.
#[derive(Debug)]
pub enum Common<T: 'static> {
    /// For the life of the process.
    Kept(&'static T),
    /// As long as somebody holds it.
    Counted(Arc<T>),
}

impl<T> Common<T> {
    /// Keeps it for as long as the process runs; whoever calls it sees to it that there are few.
    pub fn keep(it: T) -> &'static T {
        Box::leak(Box::new(it))
    }

    /// Whether both are one and the same; what is not may be equal.
    #[inline]
    pub fn is(&self, other: &Common<T>) -> bool {
        std::ptr::eq::<T>(&**self, &**other)
    }
}

impl<T> Clone for Common<T> {
    #[inline]
    fn clone(&self) -> Common<T> {
        match self {
            Common::Kept(it) => Common::Kept(it),
            Common::Counted(it) => Common::Counted(Arc::clone(it)),
        }
    }
}

impl<T> From<T> for Common<T> {
    fn from(it: T) -> Common<T> {
        Common::Counted(Arc::new(it))
    }
}

impl<T> Deref for Common<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Common::Kept(it) => it,
            Common::Counted(it) => it,
        }
    }
}

impl<T: PartialEq> PartialEq for Common<T> {
    #[inline]
    fn eq(&self, other: &Common<T>) -> bool {
        self.is(other) || **self == **other
    }
}

impl<T: Eq> Eq for Common<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_need_not_be_the_same() {
        let kept = Common::Kept(Common::keep("id".to_owned()));
        let counted = Common::from("id".to_owned());
        assert!(kept.is(&kept.clone()) && counted.is(&counted.clone()));
        assert!(kept == counted && !kept.is(&counted));
        assert_ne!(kept, Common::from("no".to_owned()));
        assert_eq!(&**kept, "id");
    }

    #[test]
    fn what_is_counted_goes_with_the_last_that_holds_it() {
        let held = Arc::new(());
        let counted = Common::from(Arc::clone(&held));
        let again = counted.clone();
        drop(counted);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(again);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
