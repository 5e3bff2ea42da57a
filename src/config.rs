//! The settings of every room, read from file, environment and flags, checked before anything starts.
