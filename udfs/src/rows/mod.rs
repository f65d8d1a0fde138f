//! Rows: hashes by which tables are compared, lists of columns, wide rows made long, fields of a row one by one and two by two.

mod canonical;
mod cross_fields;
mod make_array;
mod named_values;
mod row_digest;
mod row_hash;

pub use canonical::{SlotHasher, check_hashable, slot_hasher};
pub use cross_fields::CrossFields;
pub use make_array::{MakeArray, lists};
pub use named_values::{NamedValues, named_values};
pub use row_digest::{Digest, RowDigest};
pub use row_hash::{RowHash, row_hashes};
