//! Finds values by rank among more than memory holds, digit by digit.

use strata_udfs::groups::{code_double, double_code};

/// Bits that one pass decides.
const DIGIT_BITS: u32 = 16;

/// So few values left are collected in the next pass, which is then the last for them. As many as a
/// histogram has buckets, so that either way a search holds half a megabyte at most.
const COLLECT: u64 = 1 << DIGIT_BITS;

/// The bits of a double in an order that is the order of numbers; -0 is 0.
pub(crate) fn to_key(value: f64) -> u64 {
    double_code(value) as u64 ^ 1 << 63
}

pub(crate) fn from_key(key: u64) -> f64 {
    code_double((key ^ 1 << 63) as i64)
}

/// The values that share the leading `bits` bits with `prefix`, among which some ranks are looked for.
pub(crate) struct Search {
    prefix: u64,
    bits: u32,
    /// Rank (from 1) among these values, and which quantile it is.
    ranks: Vec<(u64, usize)>,
    state: SearchState,
}

enum SearchState {
    /// How many values have each next digit.
    Histogram(Vec<u64>),
    /// The values themselves.
    Keys(Vec<u64>),
}

impl Search {
    /// A search among all values, whose number is not known yet: the ranks follow by [`Search::look_for`].
    pub fn everywhere() -> Self {
        Search::new(0, 0, Vec::new(), u64::MAX)
    }

    /// Sets the ranks to look for, ascending.
    pub fn look_for(&mut self, ranks: Vec<(u64, usize)>) {
        self.ranks = ranks;
    }

    fn new(prefix: u64, bits: u32, ranks: Vec<(u64, usize)>, count: u64) -> Self {
        let state = if count <= COLLECT {
            SearchState::Keys(Vec::with_capacity(count as usize))
        } else {
            SearchState::Histogram(vec![0; 1 << DIGIT_BITS])
        };
        Search { prefix, bits, ranks, state }
    }

    /// Whether a value is one of those searched.
    pub fn matches(&self, key: u64) -> bool {
        self.bits == 0 || (key ^ self.prefix) >> (64 - self.bits) == 0
    }

    /// Takes a value of the present pass.
    pub fn add(&mut self, key: u64) {
        match &mut self.state {
            SearchState::Histogram(counts) => counts[digit(key, self.bits)] += 1,
            SearchState::Keys(keys) => keys.push(key),
        }
    }

    /// Ends a pass: writes the keys that are known by now to `found`, and returns the searches that remain.
    pub fn advance(self, found: &mut [Option<u64>]) -> Vec<Search> {
        match self.state {
            SearchState::Keys(mut keys) => {
                keys.sort_unstable();
                for (rank, quantile) in self.ranks {
                    found[quantile] = keys.get(rank as usize - 1).copied();
                }
                Vec::new()
            }
            SearchState::Histogram(counts) => descend(self.prefix, self.bits, &self.ranks, &counts, found),
        }
    }
}

fn digit(key: u64, bits: u32) -> usize {
    (key >> (64 - DIGIT_BITS - bits)) as usize & ((1 << DIGIT_BITS) - 1)
}

/// Finds the bucket of each rank (ascending) and makes one search of those that share one.
fn descend(
    prefix: u64,
    bits: u32,
    ranks: &[(u64, usize)],
    counts: &[u64],
    found: &mut [Option<u64>],
) -> Vec<Search> {
    let next_bits = bits + DIGIT_BITS;
    let mut below = 0;
    let mut searches = Vec::new();
    for (bucket, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let inside = ranks.iter().filter(|(rank, _)| *rank > below && *rank <= below + count);
        let inside: Vec<(u64, usize)> = inside.map(|(rank, quantile)| (rank - below, *quantile)).collect();
        below += count;
        if inside.is_empty() {
            continue;
        }
        let prefix = prefix | (bucket as u64) << (64 - next_bits);
        if next_bits == 64 {
            inside.iter().for_each(|(_, quantile)| found[*quantile] = Some(prefix));
        } else {
            searches.push(Search::new(prefix, next_bits, inside, *count));
        }
    }
    searches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_the_order_of_numbers() {
        let numbers =
            [f64::NEG_INFINITY, -1e300, -1.0, -f64::MIN_POSITIVE, 0.0, 5e-324, 1.0, 1e300, f64::INFINITY];
        assert!(numbers.windows(2).all(|w| to_key(w[0]) < to_key(w[1])));
        assert!(numbers.iter().all(|v| from_key(to_key(*v)).to_bits() == v.to_bits()));
        assert_eq!(to_key(-0.0), to_key(0.0));
    }
}
