//! Tables on object storage: parallel sink, Delta commit, locks.
