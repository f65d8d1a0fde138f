//! What an aggregate remembers of its groups: keys in order, each with a value.

use std::mem::size_of;
use std::ops::Range;

use datafusion::common::{Result, exec_datafusion_err};

/// Entries that may lie unsorted behind the sorted ones before they are sorted in.
const LOOSE: usize = 1 << 16;

/// A key of a group and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry<V> {
    group: u32,
    /// The code of a value, an instant, a day: what the aggregate tells apart.
    pub key: i64,
    /// A total, a count, bits; `()` for a set.
    pub value: V,
}

/// The entries of all groups: those of the front are in the order of group, key and value and folded, new ones lie
/// behind them. Sorting in waits until they are as many as those in front, so each entry is moved a few times only,
/// and a group costs nothing but its entries.
#[derive(Debug)]
pub struct Entries<V> {
    entries: Vec<Entry<V>>,
    settled: usize,
    groups: usize,
}

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self { entries: Vec::new(), settled: 0, groups: 0 }
    }
}

impl<V: Copy + Ord> Entries<V> {
    /// Makes room for this many groups in all.
    pub fn grow(&mut self, groups: usize) -> Result<()> {
        if u32::try_from(groups).is_err() {
            return Err(exec_datafusion_err!(
                "more than 4 billion groups in one partition; use more partitions"
            ));
        }
        self.groups = self.groups.max(groups);
        Ok(())
    }

    /// Adds an entry to a group for which there is room.
    #[inline]
    pub fn push(&mut self, group: usize, key: i64, value: V) {
        self.entries.push(Entry { group: group as u32, key, value });
    }

    /// Whether enough entries came to be sorted in.
    pub fn is_loose(&self) -> bool {
        self.entries.len() >= 2 * self.settled + LOOSE
    }

    /// Sorts all entries and folds neighbours of one group: `fold` takes the next one into the last, or says no.
    pub fn settle(&mut self, fold: impl Fn(&mut Entry<V>, &Entry<V>) -> bool) {
        if self.entries.len() > self.settled {
            // a stable sort knows the run in front, and merges
            self.entries.sort();
            self.entries.dedup_by(|next, last| next.group == last.group && fold(last, next));
        }
        self.settled = self.entries.len();
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

    /// Every entry.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<V>> {
        self.entries.iter_mut()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The bytes they hold.
    pub fn size(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<V>>()
    }
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

    #[test]
    fn groups_are_taken_in_turn_and_the_rest_moves_up() {
        let mut entries = Entries::default();
        entries.grow(4).unwrap();
        for (group, key) in [(2, 5), (0, 9), (2, 1), (2, 5), (3, 7), (0, 9)] {
            entries.push(group, key, ());
        }
        let same = |last: &mut Entry<()>, next: &Entry<()>| last.key == next.key;
        entries.settle(same);
        let first = entries.take(2);
        assert_eq!(first.each().map(<[_]>::len).collect::<Vec<_>>(), [1, 0]);
        entries.grow(3).unwrap();
        entries.push(2, 4, ());
        entries.push(0, 0, ());
        entries.settle(same);
        let keys = |taken: &Taken<()>| -> Vec<Vec<i64>> {
            taken.each().map(|group| group.iter().map(|entry| entry.key).collect()).collect()
        };
        assert_eq!(keys(&entries.take(3)), [vec![0, 1, 5], vec![7], vec![4]]);
        assert_eq!((entries.len(), entries.groups()), (0, 0));
    }

    #[test]
    fn entries_are_sorted_in_when_they_are_as_many_as_the_settled() {
        let mut entries = Entries::default();
        entries.grow(1).unwrap();
        let mut settled = 0;
        for key in 0..1_000_000 {
            entries.push(0, key % 1000, ());
            if entries.is_loose() {
                entries.settle(|last, next| last.key == next.key);
                settled += 1;
                assert_eq!(entries.len(), 1000);
            }
        }
        assert_eq!(settled, 1_000_000 / (LOOSE + 1000));
        assert!(entries.size() < 4 * LOOSE * size_of::<Entry<()>>());
    }
}
