//! Listener, connection, relay, cancel, drain: moves the bytes and knows nothing of what they mean.
