//! The Tap: feeds bytes to `wire` and `session`, hands finished queries to its worker's delta, fails open.
