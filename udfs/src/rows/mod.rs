//! Rows: hashes by which tables are compared.

mod canonical;
mod row_digest;
mod row_hash;

pub use canonical::{SlotHasher, check_hashable, slot_hasher};
pub use row_digest::{Digest, RowDigest};
pub use row_hash::{RowHash, row_hashes};
