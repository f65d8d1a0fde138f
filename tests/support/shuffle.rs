//! Rows in another order, the same way each time.

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;

/// Numbers that look random and depend on the seed only: splitmix64 (Steele, Lea, Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number from 0 to `bound` - 1.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// The rows in a random order (Fisher and Yates).
pub fn shuffled(rows: &RecordBatch, random: &mut Random) -> RecordBatch {
    let mut order: Vec<u64> = (0..rows.num_rows() as u64).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last + 1));
    }
    take_record_batch(rows, &UInt64Array::from(order)).expect("rows can be taken")
}
