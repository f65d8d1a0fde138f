//! Keeps the ids of segments when a model is trained anew: each new segment takes the id of the old one whose rows it
//! has, as far as that is possible for all at once.

use super::hungarian::assignment;

/// A new segment continues an old one only if their rows overlap by this much of the rows of both (Jaccard).
const LEAST_OVERLAP: f64 = 0.2;

/// The ids that segments had before, and each row's segment then.
#[derive(Debug)]
pub(crate) struct Before<'a> {
    /// Ids, ascending.
    pub segments: &'a [i32],
    /// The first id that no segment has ever had.
    pub next_segment: i32,
    /// The place of each row's segment in `segments`.
    pub places: &'a [usize],
}

/// The id of each of k new segments, and the first id that is then still unused. `places` is each row's new segment. The
/// assignment overlaps most in all (Kuhn 1955); a segment without a fitting old one gets an id that none ever had.
pub(crate) fn continued_ids(before: &Before, places: &[u32], k: usize) -> (Vec<i32>, i32) {
    let old = before.segments.len();
    let mut overlap = vec![0i64; k * old];
    let (mut new_sizes, mut old_sizes) = (vec![0i64; k], vec![0i64; old]);
    for (new, old_place) in places.iter().zip(before.places) {
        overlap[*new as usize * old + old_place] += 1;
        new_sizes[*new as usize] += 1;
        old_sizes[*old_place] += 1;
    }
    let mut next = before.next_segment;
    let matched = assignment(k, old, |new, before| -overlap[new * old + before]);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(old: &[i32], before: &[usize], now: &[u32], k: usize) -> (Vec<i32>, i32) {
        continued_ids(&Before { segments: old, next_segment: 9, places: before }, now, k)
    }

    #[test]
    fn renumbered_segments_keep_their_ids() {
        assert_eq!(ids(&[2, 5, 7], &[0, 0, 1, 1, 2, 2], &[1, 1, 2, 2, 0, 0], 3), (vec![7, 2, 5], 9));
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
