//! Segment learning: sample, scale, train, name.
