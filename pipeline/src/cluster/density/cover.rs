//! The core points that stand for the members of segments when all rows are assigned.

use strata_udfs::model::{CorePoints, DensityModel};

use super::super::scale::Matrix;
use super::super::train::side_by_side;
use super::tiles::tiles;
use crate::Result;

/// Core points that lie together in a model, each other's neighbours in space, so that a search leaves out many at once.
const TOGETHER: usize = 8;

/// Rows assigned by one job.
const ROWS: usize = 1024;

/// How many of `limit` core points each segment gets: one, and of the others a part by its size; never more than its rows.
/// `limit` is at least the number of segments.
fn shares(sizes: &[u64], limit: usize) -> Vec<usize> {
    let others = limit.saturating_sub(sizes.len()) as u64;
    let all: u64 = sizes.iter().sum();
    let share = |size: &u64| (1 + others * size / all.max(1)).min(*size) as usize;
    sizes.iter().map(share).collect()
}

/// At most `limit` rows of the sample, as core points of segments of these sizes: segment by segment.
///
/// In each segment the densest member (of equals the first) and then, again and again, the member that is farthest from
/// all taken: no choice of as many points with the farthest member less than half as far (Gonzalez 1985).
pub(super) fn core_rows(
    points: &Matrix,
    labels: &[Option<u32>],
    core: &[f64],
    sizes: &[u64],
    limit: usize,
    threads: usize,
) -> Result<Vec<Vec<usize>>> {
    let shares = shares(sizes, limit);
    side_by_side(sizes.len(), threads, |segment, _| {
        let is_member = |row: &usize| labels[*row] == Some(segment as u32);
        let members: Vec<usize> = (0..points.len()).filter(is_member).collect();
        let mut kept = farthest_first(points, core, &members, shares[segment]);
        order_in_space(points, &mut kept);
        Ok(kept)
    })
}

fn farthest_first(points: &Matrix, core: &[f64], members: &[usize], count: usize) -> Vec<usize> {
    let width = points.width;
    let own =
        Matrix { values: members.iter().flat_map(|row| points.row(*row).iter().copied()).collect(), width };
    let tiles = tiles(&own, members.len().max(1));
    let densest = (0..members.len()).min_by(|a, b| core[members[*a]].total_cmp(&core[members[*b]]));
    let (Some(tile), Some(mut next)) = (tiles.first(), densest) else { return Vec::new() };
    let mut squares = vec![0.0; tile.padded()];
    let mut nearest = vec![f64::INFINITY; members.len()];
    let mut kept = Vec::with_capacity(count);
    while kept.len() < count {
        kept.push(members[next]);
        tile.squares(own.row(next), &mut squares);
        let mut farthest = (next, 0.0);
        for (i, (nearest, squared)) in nearest.iter_mut().zip(&squares).enumerate() {
            *nearest = nearest.min(*squared);
            if *nearest > farthest.1 {
                farthest = (i, *nearest);
            }
        }
        if farthest.1 == 0.0 {
            break;
        }
        next = farthest.0;
    }
    kept
}

/// Halves the rows along the feature in which they lie widest, and the halves again, down to groups of [`TOGETHER`].
fn order_in_space(points: &Matrix, rows: &mut [usize]) {
    if rows.len() <= TOGETHER {
        return;
    }
    let extent = |f: usize| {
        let values = rows.iter().map(|row| points.row(*row)[f]);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        high - low
    };
    let widest = (1..points.width).fold((0, extent(0)), |widest, f| {
        let extent = extent(f);
        if extent > widest.1 { (f, extent) } else { widest }
    });
    rows.sort_unstable_by(|a, b| {
        points.row(*a)[widest.0].total_cmp(&points.row(*b)[widest.0]).then(a.cmp(b))
    });
    let half = (rows.len() / 2).next_multiple_of(TOGETHER).min(rows.len());
    let (lower, upper) = rows.split_at_mut(half);
    order_in_space(points, lower);
    order_in_space(points, upper);
}

/// The core point nearest to each row, and the squared distance to it.
pub(super) fn nearest(model: &DensityModel, points: &Matrix, threads: usize) -> Result<Vec<(usize, f64)>> {
    let core = CorePoints::new(model);
    let parts = side_by_side(points.len().div_ceil(ROWS), threads, |job, _| {
        let rows = job * ROWS..((job + 1) * ROWS).min(points.len());
        let nearest = rows.map(|row| core.nearest(points.row(row)));
        Ok(nearest.map(|nearest| (nearest.point, nearest.squared)).collect::<Vec<_>>())
    })?;
    Ok(parts.concat())
}

/// The radius of each core point, by the sample: the distance to the farthest member of its segment to which it is the
/// nearest core point, and beyond it as far as its core distance, but at most half the way to the first noise to which it
/// is the nearest. So every member is within the radius of its nearest core point, if that is of its segment, and where no
/// noise was seen new rows are taken in as far as the core point's own neighbours reach.
///
/// `rows` are the sample's rows that are the core points; `core` is squared, as is `nearest`.
pub(super) fn radii(
    places: &[i32],
    rows: &[usize],
    core: &[f64],
    labels: &[Option<u32>],
    nearest: &[(usize, f64)],
) -> Vec<f64> {
    let mut member = vec![0.0f64; rows.len()];
    let mut noise = vec![f64::INFINITY; rows.len()];
    for (label, (point, squared)) in labels.iter().zip(nearest) {
        let distance = squared.sqrt();
        match label {
            Some(label) if i64::from(*label) == i64::from(places[*point]) => {
                member[*point] = member[*point].max(distance)
            }
            Some(_) => {}
            None => noise[*point] = noise[*point].min(distance),
        }
    }
    let radius = |at: usize| member[at].max(core[rows[at]].sqrt().min((member[at] + noise[at]) / 2.0));
    (0..rows.len()).map(radius).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_segment_has_its_share() {
        assert_eq!(shares(&[700, 200, 100], 13), [8, 3, 2]);
        assert_eq!(shares(&[700, 200, 3], 903), [698, 200, 3]);
        assert_eq!(shares(&[9, 9], 2), [1, 1]);
    }

    #[test]
    fn the_farthest_member_is_next() {
        let points = Matrix { values: vec![0.0, 9.0, 2.0, 2.0, 10.0, 5.0, 50.0], width: 1 };
        let labels: Vec<Option<u32>> = (0..7).map(|row| (row < 6).then_some(0)).collect();
        let core = [4.0, 1.0, 0.0, 0.0, 1.0, 9.0, 99.0];
        let rows = |limit| core_rows(&points, &labels, &core, &[6], limit, 1).unwrap();
        // From row 2 at 2, the first of the densest: 10 is 8 away, then 5 is 3, then 0 is 2, then 9 is 1.
        assert_eq!(rows(2), [[2, 4]]);
        assert_eq!(rows(4), [[2, 4, 5, 0]]);
        // Row 3 is where row 2 is.
        assert_eq!(rows(100), [[2, 4, 5, 0, 1]]);
    }

    #[test]
    fn neighbours_lie_together() {
        let points = Matrix { values: (0..32).map(|i| f64::from(i * 7 % 32)).collect(), width: 1 };
        let mut rows: Vec<usize> = (0..32).collect();
        order_in_space(&points, &mut rows);
        for (group, rows) in rows.chunks(TOGETHER).enumerate() {
            assert!(rows.iter().all(|row| points.values[*row] as usize / TOGETHER == group), "{rows:?}");
        }
    }

    #[test]
    fn radii_by_hand() {
        // Core points at 0 and 10, of one segment each; members at 3 and 12, noise at 4 and 30.
        let labels = [Some(0), Some(1), Some(0), Some(1), None, None];
        let nearest = [(0, 0.0), (1, 0.0), (0, 9.0), (1, 4.0), (0, 16.0), (1, 400.0)];
        let core = [100.0, 25.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(radii(&[0, 1], &[0, 1], &core, &labels, &nearest), [3.5, 5.0]);
        // A member that a core point of another segment takes widens nothing.
        assert_eq!(
            radii(&[0, 1], &[0, 1], &[0.0; 6], &[Some(0), Some(1), Some(1)], &nearest[..3]),
            [0.0, 0.0]
        );
    }
}
