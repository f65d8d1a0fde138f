//! What an aggregate remembers of its groups: keys in order, each with a value.

use std::mem::size_of;
use std::ops::Range;

use datafusion::common::Result;
use hashbrown::HashTable;

use super::frame::expect_countable;

/// Entries that may lie unsorted behind the sorted ones before they are sorted in.
const LOOSE: usize = 1 << 16;
/// And so many more for each sorted one: sorting moves all of them.
const LOOSE_FOR_EACH: usize = 3;
/// Entries a group from which they are sorted where they lie.
const CROWDED: usize = 256;

/// A key of a group and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry<V> {
    group: u32,
    /// The code of a value, an instant, a day: what the aggregate tells apart.
    pub key: i64,
    /// A total, a count, bits; `()` for a set.
    pub value: V,
}

impl<V: Copy> Entry<V> {
    /// Takes the next entry of the group in if it has the same key.
    #[inline]
    pub fn fold_same_key(&mut self, next: &Self, together: impl FnOnce(V, V) -> V) -> bool {
        let same = self.key == next.key;
        if same {
            self.value = together(self.value, next.value);
        }
        same
    }
}

/// Which entries of a group may become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// None.
    Never,
    /// Neighbours in the order of key and value.
    Neighbours,
    /// Those of one key.
    Keys,
    /// All.
    Groups,
}

/// The entries of all groups: those of the front are in the order of group, key and value and folded, new ones lie
/// behind them. Sorting in waits until they are several times those in front, so each entry is moved a few times only,
/// and a group costs nothing but its entries. Where most new entries fold into others, they are looked up as they come.
#[derive(Debug)]
pub struct Entries<V> {
    entries: Vec<Entry<V>>,
    settled: usize,
    groups: usize,
    folding: Folding,
    /// Whether new entries are looked up.
    looked_up: bool,
    /// Where entries lie, by group and key; made when an entry is looked up and dropped when entries move.
    places: Option<HashTable<u32>>,
}

impl<V: Copy + Ord> Entries<V> {
    /// Without any.
    pub fn new(folding: Folding) -> Self {
        let looked_up = folding == Folding::Groups;
        Self { entries: Vec::new(), settled: 0, groups: 0, folding, looked_up, places: None }
    }

    /// The same, without any.
    pub fn fresh(&self) -> Self {
        Self::new(self.folding)
    }

    /// Makes room for this many groups in all.
    pub fn grow(&mut self, groups: usize) -> Result<()> {
        expect_countable(groups)?;
        self.groups = self.groups.max(groups);
        Ok(())
    }

    /// Adds an entry to a group for which there is room. `fold` takes the second into the first, or says no.
    #[inline]
    pub fn push(
        &mut self,
        group: usize,
        key: i64,
        value: V,
        fold: impl Fn(&mut Entry<V>, &Entry<V>) -> bool,
    ) {
        let entry = Entry { group: group as u32, key, value };
        if !self.looked_up {
            self.entries.push(entry);
            return;
        }
        let Self { entries, places, .. } = self;
        let by_group = self.folding == Folding::Groups;
        let same = |other: &Entry<V>| other.group == entry.group && (by_group || other.key == key);
        let hash = |entry: &Entry<V>| spread(entry.group, if by_group { 0 } else { entry.key });
        let places = places.get_or_insert_with(|| {
            let mut places = HashTable::with_capacity(entries.len());
            for (place, entry) in entries.iter().enumerate() {
                places.insert_unique(hash(entry), place as u32, |place| hash(&entries[*place as usize]));
            }
            places
        });
        match places.find(hash(&entry), |place| same(&entries[*place as usize])) {
            Some(place) => {
                fold(&mut entries[*place as usize], &entry);
            }
            None => {
                let place = entries.len() as u32;
                places.insert_unique(hash(&entry), place, |place| hash(&entries[*place as usize]));
                entries.push(entry);
            }
        }
    }

    /// Whether enough entries came to be sorted in.
    pub fn is_loose(&self) -> bool {
        !self.looked_up && self.entries.len() - self.settled >= LOOSE_FOR_EACH * self.settled + LOOSE
    }

    /// Sorts all entries and folds neighbours of one group: `fold` takes the next one into the last, or says no.
    pub fn settle(&mut self, fold: impl Fn(&mut Entry<V>, &Entry<V>) -> bool) {
        let (before, loose) = (self.entries.len(), self.entries.len() - self.settled);
        if loose > 0 {
            self.sort();
            self.entries.dedup_by(|next, last| next.group == last.group && fold(last, next));
        }
        let left = self.entries.len();
        self.settled = left;
        self.places = None;
        // most of what came was there already
        let repeats = loose >= LOOSE && 2 * (before - left) > loose;
        self.looked_up |= self.folding == Folding::Keys && repeats;
    }

    /// Entries by group, keys and values in order within each. Where groups are many for the entries a sort is cheaper
    /// than a place for each group.
    fn sort(&mut self) {
        if self.groups > 2 * self.entries.len() {
            // a stable sort knows the run in front, and merges
            self.entries.sort();
            return;
        }
        if self.entries.len() > CROWDED * self.groups {
            // few large groups: a copy would be as large as all that is known
            self.entries.sort_unstable();
            return;
        }
        let mut ends = vec![0u32; self.groups + 1];
        for entry in &self.entries {
            ends[entry.group as usize + 1] += 1;
        }
        for group in 0..self.groups {
            ends[group + 1] += ends[group];
        }
        let mut sorted = self.entries.clone();
        for entry in &self.entries {
            let place = &mut ends[entry.group as usize];
            sorted[*place as usize] = *entry;
            *place += 1;
        }
        self.entries = sorted;
        let mut start = 0;
        for end in &ends[..self.groups] {
            self.entries[start..*end as usize].sort_by_key(|entry| (entry.key, entry.value));
            start = *end as usize;
        }
    }

    /// Takes the first groups, whose entries are settled, away; those behind them move to the front.
    pub fn take(&mut self, groups: usize) -> Taken<V> {
        let end = self.entries.partition_point(|entry| (entry.group as usize) < groups);
        let rest = self.entries.split_off(end);
        let entries = std::mem::replace(&mut self.entries, rest);
        for entry in &mut self.entries {
            entry.group -= groups as u32;
        }
        self.settled = self.entries.len();
        self.groups -= groups;
        self.places = None;
        Taken { entries, groups }
    }

    /// Puts all groups back that `take` has just taken.
    pub fn put_back(&mut self, taken: Taken<V>) {
        (self.entries, self.groups) = (taken.entries, taken.groups);
        self.settled = self.entries.len();
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Gives keys other codes.
    pub fn recode(
        &mut self,
        recode: impl FnOnce(&mut dyn Iterator<Item = &mut i64>) -> Result<()>,
    ) -> Result<()> {
        recode(&mut self.entries.iter_mut().map(|entry| &mut entry.key))?;
        // the order of codes is not that of the old ones
        self.settled = 0;
        self.places = None;
        Ok(())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The bytes they hold.
    pub fn size(&self) -> usize {
        let places = self.places.as_ref().map_or(0, HashTable::allocation_size);
        self.entries.capacity() * size_of::<Entry<V>>() + places
    }
}

/// A hash of group and key: a multiplication, folded.
#[inline]
fn spread(group: u32, key: i64) -> u64 {
    let product = u128::from(key as u64 ^ (u64::from(group) << 32 | u64::from(group)))
        * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    (product >> 64) as u64 ^ product as u64
}

/// The settled entries of consecutive groups.
#[derive(Debug)]
pub struct Taken<V> {
    /// In the order of group, key and value.
    pub entries: Vec<Entry<V>>,
    groups: usize,
}

impl<V> Taken<V> {
    /// How many groups were taken.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// How many entries each group has.
    pub fn lengths(&self) -> Vec<usize> {
        let mut lengths = vec![0; self.groups];
        for entry in &self.entries {
            lengths[entry.group as usize] += 1;
        }
        lengths
    }

    /// The entries of each group, in the order of the groups.
    pub fn each(&self) -> impl Iterator<Item = &[Entry<V>]> {
        self.ranges().map(|range| &self.entries[range])
    }

    /// Where the entries of each group lie.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        self.lengths().into_iter().map(move |length| {
            let range = start..start + length;
            start = range.end;
            range
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(last: &mut Entry<i64>, next: &Entry<i64>) -> bool {
        last.fold_same_key(next, |a, b| a + b)
    }

    fn keys(taken: &Taken<i64>) -> Vec<Vec<(i64, i64)>> {
        taken.each().map(|group| group.iter().map(|entry| (entry.key, entry.value)).collect()).collect()
    }

    #[test]
    fn groups_are_taken_in_turn_and_the_rest_moves_up() {
        for looked_up in [false, true] {
            let mut entries = Entries::new(Folding::Keys);
            entries.looked_up = looked_up;
            entries.grow(4).unwrap();
            for (group, key) in [(2, 5), (0, 9), (2, 1), (2, 5), (3, 7), (0, 9)] {
                entries.push(group, key, 1, same);
            }
            entries.settle(same);
            let first = entries.take(2);
            assert_eq!(keys(&first), [vec![(9, 2)], vec![]]);
            entries.grow(3).unwrap();
            for (group, key) in [(2, 4), (0, 0), (0, 5)] {
                entries.push(group, key, 1, same);
            }
            entries.settle(same);
            assert_eq!(keys(&entries.take(3)), [vec![(0, 1), (1, 1), (5, 3)], vec![(7, 1)], vec![(4, 1)]]);
            assert_eq!((entries.len(), entries.groups()), (0, 0));
        }
    }

    #[test]
    fn new_entries_wait_until_they_are_as_many_as_the_settled() {
        let mut entries = Entries::new(Folding::Keys);
        entries.grow(10).unwrap();
        let mut settled = Vec::new();
        for key in 0..1_000_000 {
            entries.push(key as usize % 10, key, 1, same);
            if entries.is_loose() {
                entries.settle(same);
                settled.push(entries.len());
            }
        }
        assert_eq!(settled, [65_536, 327_680]);
        assert!(!entries.looked_up);
    }

    #[test]
    fn what_repeats_is_looked_up() {
        let mut entries = Entries::new(Folding::Keys);
        entries.grow(10).unwrap();
        let mut settled = 0;
        for key in 0..1_000_000 {
            entries.push(key as usize % 10, key % 1000, 1, same);
            if entries.is_loose() {
                entries.settle(same);
                settled += 1;
            }
        }
        assert_eq!((settled, entries.len()), (1, 1000));
        assert!(entries.size() < 4 * LOOSE * size_of::<Entry<i64>>());
        entries.settle(same);
        assert!(keys(&entries.take(10)).iter().flatten().all(|(_, count)| *count == 1000));
    }
}
