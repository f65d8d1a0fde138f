//! Keys that lie on several days, found day by day in bounded memory.

use std::collections::BTreeSet;

use hashbrown::HashMap;

/// Maps are small enough for a processor's cache, and are visited with many keys at once.
const MAPS: usize = 256;
const WAITING: usize = 1024;

/// Bytes of a key, its day and its place in a map that has just grown.
const BYTES_A_KEY: u64 = 40;

/// How often all keys must be read, each time looking at some of them, for `rows` of them to fit in `memory` bytes.
pub fn passes(rows: u64, memory: u64) -> u64 {
    rows.saturating_mul(BYTES_A_KEY).div_ceil(memory.max(1)).max(1)
}

/// The keys of one pass, each with the last day it was seen on.
#[derive(Debug)]
pub struct Seen {
    pass: u64,
    passes: u64,
    maps: Vec<HashMap<i64, i32>>,
    waiting: Vec<Vec<(i64, i32)>>,
    keys: BTreeSet<i64>,
    days: BTreeSet<i32>,
}

impl Seen {
    pub fn new(pass: u64, passes: u64) -> Seen {
        Seen {
            pass,
            passes,
            maps: vec![HashMap::new(); MAPS],
            waiting: vec![Vec::new(); MAPS],
            keys: BTreeSet::new(),
            days: BTreeSet::new(),
        }
    }

    /// Takes the keys of a batch, each with its day.
    pub fn add(&mut self, keys: &[i64], days: &[i32]) {
        for (key, day) in keys.iter().zip(days) {
            let mixed = mix(*key);
            if self.passes > 1 && (mixed >> 16) % self.passes != self.pass {
                continue;
            }
            let map = mixed as usize % MAPS;
            self.waiting[map].push((*key, *day));
            if self.waiting[map].len() == WAITING {
                self.settle(map);
            }
        }
    }

    /// Forgets keys that were last seen before `day`.
    pub fn forget_before(&mut self, day: i32) {
        (0..MAPS).for_each(|map| self.settle(map));
        for map in &mut self.maps {
            map.retain(|_, last| *last >= day);
        }
    }

    /// The keys seen on several days, and these days.
    pub fn repeated(mut self) -> (BTreeSet<i64>, BTreeSet<i32>) {
        (0..MAPS).for_each(|map| self.settle(map));
        (self.keys, self.days)
    }

    fn settle(&mut self, map: usize) {
        for (key, day) in self.waiting[map].drain(..) {
            let last = self.maps[map].entry(key).or_insert(day);
            if *last != day {
                self.keys.insert(key);
                self.days.extend([*last, day]);
                *last = (*last).max(day);
            }
        }
    }
}

/// The finalizer of MurmurHash3, by which every bit of a key decides where it goes.
fn mix(key: i64) -> u64 {
    let mut mixed = key.cast_unsigned();
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in passes over days of 30,000 keys, a few of which come again after some days.
    fn found(passes: u64, within: i32) -> (BTreeSet<i64>, BTreeSet<i32>) {
        let (mut keys, mut days) = (BTreeSet::new(), BTreeSet::new());
        for pass in 0..passes {
            let mut seen = Seen::new(pass, passes);
            for day in 0..12 {
                let of_day: Vec<i64> = (0..30_000).map(|row| i64::from(day) << 37 | row).collect();
                seen.add(&of_day, &vec![day; of_day.len()]);
                // each day brings back a key of all days before
                let again: Vec<i64> =
                    (0..day).map(|before| i64::from(before) << 37 | i64::from(day)).collect();
                seen.add(&again, &vec![day; again.len()]);
                seen.forget_before(day + 1 - within);
            }
            let (of_pass, on_days) = seen.repeated();
            keys.extend(of_pass);
            days.extend(on_days);
        }
        (keys, days)
    }

    #[test]
    fn keys_that_come_again_within_the_days_are_found_in_any_number_of_passes() {
        let expected: BTreeSet<i64> = (0..12_i64)
            .flat_map(|day| (day - 3..day).filter(|day| *day >= 0).map(move |before| before << 37 | day))
            .collect();
        let days: BTreeSet<i32> = (0..12).collect();
        assert_eq!(found(1, 3), (expected.clone(), days.clone()));
        assert_eq!(found(7, 3), (expected, days));
        assert_eq!(found(1, 12).0.len(), 66);
    }

    #[test]
    fn keys_are_read_as_often_as_memory_needs() {
        assert_eq!(passes(0, 1 << 20), 1);
        assert_eq!(passes(1000, 40_000), 1);
        assert_eq!(passes(1001, 40_000), 2);
        assert_eq!(passes(10, 0), 400);
    }
}
