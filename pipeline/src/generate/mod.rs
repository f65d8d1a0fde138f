//! Synthetic worlds with known truth.
