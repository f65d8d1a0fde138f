//! The nearest centroids of many rows.

use super::KmeansModel;
use super::kmeans::NearestTwo;

/// Centroids whose distances are summed side by side.
const LANES: usize = 8;

/// The centroids of a model, laid out so that each feature of a row is compared with several of them at once. Finds what
/// [`KmeansModel::nearest_two`] finds, to the bit.
#[derive(Debug)]
pub struct NearestCentroids {
    /// Blocks of [`LANES`] centroids, feature by feature; the last is padded with zeros.
    blocks: Vec<f64>,
    d: usize,
    k: usize,
}

impl NearestCentroids {
    /// Of a valid model.
    pub fn new(model: &KmeansModel) -> Self {
        let (d, k) = (model.d(), model.k());
        let mut blocks = vec![0.0; k.div_ceil(LANES) * LANES * d];
        for (c, centroid) in model.centroids.chunks_exact(d.max(1)).enumerate() {
            for (f, value) in centroid.iter().enumerate() {
                blocks[(c / LANES * d + f) * LANES + c % LANES] = *value;
            }
        }
        Self { blocks, d, k }
    }

    /// The nearest centroid of a scaled row and its squared distance, and the next one, if there is more than one. Ties go
    /// to the lower index; squares are summed from the first feature to the last.
    #[inline]
    pub fn two(&self, scaled: &[f64]) -> (usize, f64, Option<(usize, f64)>) {
        let mut two = NearestTwo::default();
        for (b, block) in self.blocks.chunks_exact(LANES * self.d.max(1)).enumerate() {
            let mut sums = [0.0; LANES];
            for (x, centroids) in scaled.iter().zip(block.chunks_exact(LANES)) {
                for (sum, centroid) in sums.iter_mut().zip(centroids) {
                    *sum += (x - centroid) * (x - centroid);
                }
            }
            for (segment, squared) in (b * LANES..self.k).zip(sums) {
                two.offer(segment, squared);
            }
        }
        two.found()
    }
}

#[cfg(test)]
mod tests {
    use super::super::kmeans::tests::with_centroids;
    use super::super::scaling::tests::plain;
    use super::*;

    #[test]
    fn finds_what_one_after_the_other_finds() {
        for (d, k) in [(1, 1), (2, 2), (3, 7), (5, 8), (4, 9), (32, 12), (10, 33)] {
            let value = |i: usize| ((i * 7919 + 13) % 101) as f64 / 7.0;
            let mut centroids: Vec<f64> = (0..d * k).map(value).collect();
            // the last is equal to the first, so that there are ties
            centroids.copy_within(0..d, (k - 1) * d);
            let features: Vec<String> = (0..d).map(|f| f.to_string()).collect();
            let features: Vec<&str> = features.iter().map(String::as_str).collect();
            let scaling = plain(&features, &vec![0.0; d], &vec![1.0; d], 1e9);
            let model = with_centroids(scaling, centroids, &vec!["a segment"; k]);
            let nearest = NearestCentroids::new(&model);
            for row in 0..500 {
                let scaled: Vec<f64> = (0..d).map(|f| value(row * 31 + f * 3) * 1.01).collect();
                assert_eq!(nearest.two(&scaled), model.nearest_two(&scaled), "{d} x {k}, row {row}");
            }
            assert_eq!(nearest.two(model.centroid(k - 1)), model.nearest_two(model.centroid(0)));
        }
    }
}
