//! Rows: hashes by which tables are compared, and the most weighty value of a group.

mod canonical;
mod mode_by_weight;
mod row_digest;
mod row_hash;

pub use canonical::{SlotHasher, check_hashable, slot_hasher};
pub use mode_by_weight::{ModeByWeight, WeightTotals};
pub use row_digest::{Digest, RowDigest};
pub use row_hash::{RowHash, row_hashes};
