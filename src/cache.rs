//! Hints to the processor: what will be looked at soon may come into its caches while something else is done.

use std::slice::from_ref;

use prefetch_index::prefetch_index;

/// Bytes of a line of memory, which comes as a whole.
const LINE_BYTES: usize = 64;

/// Lines of one thing, a bit each, the first one lowest. A core waits for some ten at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines(u64);

impl Lines {
    /// Those of a part of so many bytes, not none, that begins `at` bytes behind the thing's first.
    pub const fn of(at: usize, bytes: usize) -> Lines {
        let (first, last) = (at / LINE_BYTES, (at + bytes - 1) / LINE_BYTES);
        Lines((u64::MAX >> (63 - last)) & (u64::MAX << first))
    }

    /// These, and those.
    pub const fn and(self, others: Lines) -> Lines {
        Lines(self.0 | others.0)
    }
}

/// Fetches the line in which `thing` begins.
#[inline(always)]
pub fn fetch<T>(thing: &T) {
    prefetch_index(from_ref(thing), 0);
}

/// Fetches lines of a thing of which `byte`, which is one, is the one `at` bytes behind its first.
#[inline(always)]
pub fn fetch_lines<B>(byte: &B, at: usize, lines: Lines) {
    const { assert!(size_of::<B>() == 1) }
    let Lines(mut left) = lines;
    while left != 0 {
        let line = LINE_BYTES * left.trailing_zeros() as usize;
        // A hint, and no access: it may point anywhere.
        prefetch_index(from_ref(byte), line.wrapping_sub(at));
        left &= left - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_the_lines_that_it_lies_in() {
        assert_eq!(Lines::of(0, 1), Lines(0b1));
        assert_eq!(Lines::of(63, 1), Lines(0b1));
        assert_eq!(Lines::of(63, 2), Lines(0b11));
        assert_eq!(Lines::of(64, 64), Lines(0b10));
        assert_eq!(Lines::of(100, 100), Lines(0b1110));
        assert_eq!(Lines::of(0, 4096), Lines(u64::MAX));
        assert_eq!(Lines::of(0, 8).and(Lines::of(128, 8)), Lines(0b101));
    }

    #[test]
    fn nothing_is_touched() {
        let alone = Box::new(true);
        fetch(&*alone);
        fetch_lines(&*alone, usize::MAX, Lines(u64::MAX));
        fetch_lines(&*alone, 0, Lines(0));
    }
}
