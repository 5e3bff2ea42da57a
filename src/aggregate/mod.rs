//! Bounded, exact statistics and histograms per fingerprint; workers hand in deltas, one store owns the histograms.
