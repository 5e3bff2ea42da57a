//! The one place that joins rooms: builds them from the settings, runs them, ends them in order.
