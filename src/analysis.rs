//! `observe(event)`, `tick(now)`, `snapshot()` over the detectors; synchronous, owned by one thread.
