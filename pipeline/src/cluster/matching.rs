//! Keeps the ids of segments when a model is trained anew: each new segment takes the id of the old one whose rows it
//! has, as far as that is possible for all at once.

use super::hungarian::assignment;

/// A new segment continues an old one only if their rows overlap by this much of the rows of both (Jaccard).
const LEAST_OVERLAP: f64 = 0.2;

/// The ids that segments had before, and each row's segment then. The default is that of no model before.
#[derive(Debug, Default)]
pub(crate) struct Before<'a> {
    /// Ids, ascending.
    pub segments: &'a [i32],
    /// The first id that no segment has ever had.
    pub next_segment: i32,
    /// The place in `segments` of each row's segment, if it had one; empty when no row can be told its segment then.
    pub places: &'a [Option<usize>],
}

impl<'a> Before<'a> {
    /// Those of a model's ids and first id unused, where there is a model; ids below `ids_from` are not given again.
    pub fn of(ids: Option<(&'a [i32], i32)>, ids_from: i32, places: &'a [Option<usize>]) -> Self {
        let (segments, next_segment) = ids.unwrap_or_default();
        Before { segments, next_segment: next_segment.max(ids_from), places }
    }
}

/// The id of each of k new segments, and the first id that is then still unused. `places` is each row's new segment, if it
/// has one. The assignment overlaps most in all (Kuhn 1955); a segment without a fitting old one gets an id that none ever
/// had.
pub(crate) fn continued_ids(before: &Before, places: &[Option<u32>], k: usize) -> (Vec<i32>, i32) {
    let old = before.segments.len();
    let mut overlap = vec![0i64; k * old];
    let (mut new_sizes, mut old_sizes) = (vec![0i64; k], vec![0i64; old]);
    for (new, old_place) in places.iter().zip(before.places) {
        let (new, old_place) = (new.map(|new| new as usize), *old_place);
        new.into_iter().for_each(|new| new_sizes[new] += 1);
        old_place.into_iter().for_each(|at| old_sizes[at] += 1);
        new.zip(old_place).into_iter().for_each(|(new, at)| overlap[new * old + at] += 1);
    }
    let mut next = before.next_segment;
    let matched = match overlap.iter().any(|both| *both > 0) {
        true => assignment(k, old, |new, before| -overlap[new * old + before]),
        false => vec![None; k],
    };
    let ids = matched.into_iter().enumerate().map(|(new, matched)| {
        let fitting = matched.filter(|at| {
            let both = overlap[new * old + at];
            both > 0 && both as f64 >= LEAST_OVERLAP * (new_sizes[new] + old_sizes[*at] - both) as f64
        });
        fitting.map_or_else(
            || {
                next += 1;
                next - 1
            },
            |at| before.segments[at],
        )
    });
    (ids.collect(), next)
}

/// The segments by rising id, and the place of each in that order.
pub(crate) fn by_id(ids: &[i32]) -> (Vec<usize>, Vec<u32>) {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|segment| ids[*segment]);
    let mut ranks = vec![0u32; ids.len()];
    order.iter().enumerate().for_each(|(place, segment)| ranks[*segment] = place as u32);
    (order, ranks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(old: &[i32], before: &[usize], now: &[u32], k: usize) -> (Vec<i32>, i32) {
        let before: Vec<Option<usize>> = before.iter().map(|at| Some(*at)).collect();
        let now: Vec<Option<u32>> = now.iter().map(|at| Some(*at)).collect();
        continued_ids(&Before { segments: old, next_segment: 9, places: &before }, &now, k)
    }

    #[test]
    fn renumbered_segments_keep_their_ids() {
        assert_eq!(ids(&[2, 5, 7], &[0, 0, 1, 1, 2, 2], &[1, 1, 2, 2, 0, 0], 3), (vec![7, 2, 5], 9));
        assert_eq!(by_id(&[7, 2, 5]), (vec![1, 2, 0], vec![2, 0, 1]));
    }

    #[test]
    fn rows_of_no_segment_are_in_no_overlap_but_in_sizes() {
        let before =
            |rows: usize| -> Vec<Option<usize>> { (0..10).map(|i| (i < rows).then_some(0)).collect() };
        let now = |rows: usize| -> Vec<Option<u32>> { (0..10).map(|i| (i < rows).then_some(0)).collect() };
        let id = |old: usize, new: usize| {
            continued_ids(&Before { segments: &[4], next_segment: 9, places: &before(old) }, &now(new), 1)
        };
        // two of ten rows in common are enough, whichever way the others became noise or were it
        assert_eq!((id(10, 2), id(2, 10)), ((vec![4], 9), (vec![4], 9)));
        assert_eq!((id(10, 1), id(1, 10)), ((vec![9], 10), (vec![9], 10)));
        assert_eq!(id(0, 10), (vec![9], 10));
        // what is gone takes no id along
        let gone = Before { segments: &[2, 5], next_segment: 9, places: &[Some(0), Some(0), Some(1), None] };
        assert_eq!(continued_ids(&gone, &[Some(0), Some(0), None, None], 1), (vec![2], 9));
        assert_eq!(continued_ids(&Before::default(), &[Some(0), None, Some(1)], 2), (vec![0, 1], 2));
    }

    #[test]
    fn the_larger_part_of_a_split_keeps_the_id() {
        assert_eq!(ids(&[2, 5], &[0, 0, 0, 0, 0, 1], &[0, 0, 2, 2, 2, 1], 3), (vec![9, 5, 2], 10));
    }

    #[test]
    fn a_merged_segment_takes_the_larger_ones_id_and_a_stranger_gets_a_new_one() {
        // old 2 (4 rows) and 5 (2 rows) become one; the other new segment has one row of each of many
        assert_eq!(ids(&[2, 5], &[0, 0, 0, 0, 1, 1], &[0, 0, 0, 0, 0, 0], 2), (vec![2, 9], 10));
        // one row of ten in common is no continuation
        let before = [0; 10];
        let mut now = [0u32; 10];
        now[9] = 1;
        assert_eq!(ids(&[4, 6], &before, &now, 2), (vec![4, 9], 10));
    }

    #[test]
    fn all_at_once_beats_the_best_first() {
        // the first new segment fits both; only together do both keep an id
        let before = [0, 0, 0, 1, 1, 1, 0, 0];
        let now = [0, 0, 0, 0, 0, 0, 1, 1];
        assert_eq!(ids(&[2, 5], &before, &now, 2), (vec![5, 2], 9));
    }
}
