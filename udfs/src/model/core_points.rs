//! The core points of a density model, laid out to be searched.

use super::{DensityModel, on_grid};

/// Core points whose distances are summed side by side.
const LANES: usize = 8;

/// The core point nearest to a row, and the nearest one of any other segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearest {
    /// The nearest core point.
    pub point: usize,
    /// The squared distance to it.
    pub squared: f64,
    /// The nearest core point of another segment than the first one's, and the squared distance to it; none when the
    /// model has one segment.
    pub other: Option<(usize, f64)>,
}

/// The core points of a model, laid out to be searched.
#[derive(Debug)]
pub struct CorePoints<'a> {
    model: &'a DensityModel,
    blocks: Vec<Block>,
    /// Feature by feature, [`LANES`] points side by side; each block padded with infinity.
    columns: Vec<f64>,
}

/// Up to [`LANES`] consecutive core points of one segment, and the box that holds them.
#[derive(Debug)]
struct Block {
    first: usize,
    place: i32,
    low: Vec<f64>,
    high: Vec<f64>,
}

impl<'a> CorePoints<'a> {
    /// Of a checked model.
    pub fn new(model: &'a DensityModel) -> Self {
        let d = model.d();
        let mut core = Self { model, blocks: Vec::new(), columns: Vec::new() };
        for (at, place) in model.places.iter().enumerate() {
            let open = core.blocks.last().filter(|b| b.place == *place && at - b.first < LANES);
            if open.is_none() {
                let (low, high) = (vec![f64::INFINITY; d], vec![f64::NEG_INFINITY; d]);
                core.blocks.push(Block { first: at, place: *place, low, high });
                core.columns.resize(core.blocks.len() * LANES * d, f64::INFINITY);
            }
            let start = (core.blocks.len() - 1) * LANES * d;
            let Some(block) = core.blocks.last_mut() else { continue };
            for (f, x) in model.point(at).iter().enumerate() {
                block.low[f] = block.low[f].min(*x);
                block.high[f] = block.high[f].max(*x);
                core.columns[start + f * LANES + at - block.first] = *x;
            }
        }
        core
    }

    /// The core points nearest to a row in scaled space, which is put on the grid first, where it lay when it was learned
    /// from. Ties go to the lower point; squares are summed from the first feature to the last. Blocks whose boxes lie beyond
    /// the best so far are left out: rounding never falls where its argument rises, so that no point is nearer than its box,
    /// to the bit.
    pub fn nearest(&self, scaled: &[f64]) -> Nearest {
        let scaled: Vec<f64> = scaled.iter().copied().map(on_grid).collect();
        let bounds: Vec<f64> = self.blocks.iter().map(|block| block.squared(&scaled)).collect();
        let start = (0..bounds.len()).min_by(|a, b| bounds[*a].total_cmp(&bounds[*b])).unwrap_or(0);
        let rest = (0..bounds.len()).filter(|block| *block != start);
        let nothing = (usize::MAX, f64::INFINITY);
        let (mut best, mut own, mut other) = (nothing, -1, nothing);
        for at in std::iter::once(start).chain(rest) {
            let block = &self.blocks[at];
            let worst = if block.place == own { best.1 } else { other.1 };
            if bounds[at] > worst {
                continue;
            }
            for (lane, squared) in self.squares(at, &scaled).into_iter().enumerate() {
                let found = (block.first + lane, squared);
                if nearer(found, best) {
                    if block.place != own {
                        (other, own) = (best, block.place);
                    }
                    best = found;
                } else if block.place != own && nearer(found, other) {
                    other = found;
                }
            }
        }
        Nearest { point: best.0, squared: best.1, other: (other.1 < f64::INFINITY).then_some(other) }
    }

    /// The model that the points are of.
    pub fn model(&self) -> &'a DensityModel {
        self.model
    }

    fn squares(&self, block: usize, scaled: &[f64]) -> [f64; LANES] {
        let size = LANES * scaled.len();
        let mut sums = [0.0; LANES];
        for (x, points) in scaled.iter().zip(self.columns[block * size..].chunks_exact(LANES)) {
            for (sum, point) in sums.iter_mut().zip(points) {
                *sum += (x - point) * (x - point);
            }
        }
        sums
    }
}

/// Nearer, or as near and before.
fn nearer(a: (usize, f64), b: (usize, f64)) -> bool {
    a.1 < b.1 || (a.1 == b.1 && a.0 < b.0 && a.1 < f64::INFINITY)
}

impl Block {
    /// The squared distance from a row to the box.
    fn squared(&self, scaled: &[f64]) -> f64 {
        let sides = scaled.iter().zip(self.low.iter().zip(&self.high));
        let outside = sides.map(|(x, (low, high))| {
            if x < low {
                low - x
            } else if x > high {
                x - high
            } else {
                0.0
            }
        });
        outside.fold(0.0, |sum, x| sum + x * x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::density::tests::{model, one_segment, quality};
    use super::super::kmeans::squared_distance;
    use super::*;

    #[test]
    fn nearest_of_two_segments() {
        let model = model();
        let core = CorePoints::new(&model);
        let nearest = |row: [f64; 2]| core.nearest(&row);
        assert_eq!(nearest([1.0, 0.0]), Nearest { point: 0, squared: 1.0, other: Some((3, 101.0)) });
        // As far from two points of a segment: the first.
        assert_eq!(nearest([2.0, 0.0]).point, 0);
        // As far from both segments: the lower point.
        assert_eq!(nearest([0.0, 5.0]), Nearest { point: 0, squared: 25.0, other: Some((3, 25.0)) });
        assert_eq!(nearest([0.0, 9.0]), Nearest { point: 3, squared: 1.0, other: Some((0, 81.0)) });
        assert!(model.covers(1, 4.0) && !model.covers(2, 4.0));
        // Nearer to -2 than half a step of the grid.
        assert_eq!(nearest([-2.0 - 1e-10, 0.0]), nearest([-2.0, 0.0]));
        assert!(nearest([-2.0 - 1e-9, 0.0]).squared > 4.0);
    }

    #[test]
    fn boxes_leave_out_only_what_cannot_win() {
        // A crooked grid of values, many of them as far from one row as others.
        let value = |i: usize| ((i * 7919) % 41) as f64 / 4.0;
        let mut many = model();
        many.points = (0..600).map(value).collect();
        many.places = (0..300).map(|i| i / 60).collect();
        many.radii = vec![1.0; 300];
        (many.segments, many.next_segment) = ((0..5).collect(), 5);
        many.names = (0..5).map(|i| i.to_string()).collect();
        many.names_zh = many.names.clone();
        many.quality = many.segments.iter().map(|segment| quality(*segment, 60)).collect();
        many.validate().unwrap();
        let core = CorePoints::new(&many);
        for i in 0..500 {
            let row = [value(3 * i + 1) + 0.125, value(5 * i + 2)];
            let squares: Vec<f64> = (0..300).map(|p| squared_distance(&row, many.point(p))).collect();
            let first = |keep: &dyn Fn(usize) -> bool| {
                let points = (0..300).filter(|p| keep(*p));
                points.min_by(|a, b| squares[*a].total_cmp(&squares[*b])).unwrap()
            };
            let point = first(&|_| true);
            let other = first(&|p| many.places[p] != many.places[point]);
            let expected = Nearest { point, squared: squares[point], other: Some((other, squares[other])) };
            assert_eq!(core.nearest(&row), expected, "row {i}");
        }
    }

    #[test]
    fn one_segment_has_no_other() {
        assert_eq!(CorePoints::new(&one_segment()).nearest(&[0.0, 9.0]).other, None);
    }
}
