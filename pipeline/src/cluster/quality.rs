//! How good a clustering is, and when it is too poor to publish.

use super::lloyd::Fit;
use super::scale::Matrix;
use super::settings::Gate;
use crate::{Error, Result};

/// Rows that the silhouette compares with each other.
const SILHOUETTE_ROWS: usize = 2000;

/// Figures of a trained model, all of the space it clusters in and of the training sample.
#[derive(Debug, Clone, PartialEq)]
pub struct KmeansQuality {
    /// Sum of squared Euclidean distances to the nearest centroid.
    pub inertia: f64,
    /// Passes over the sample of the start that won, polish included.
    pub iterations: usize,
    /// Rows that the training query gave.
    pub rows: u64,
    /// Rows trained on.
    pub sample_rows: u64,
    /// Sample rows of each segment.
    pub sizes: Vec<u64>,
    /// Mean silhouette, plain Euclidean (Rousseeuw 1987; not the squared form of Spark), of the at most 2,000
    /// sample rows with the smallest key hashes. None when these fall into fewer than two segments.
    pub silhouette: Option<f64>,
    /// Calinski-Harabasz index (1974): higher is better. None for one segment, or when every row is a centroid.
    pub calinski_harabasz: Option<f64>,
    /// Davies-Bouldin index (1979): lower is better. None for one segment.
    pub davies_bouldin: Option<f64>,
    /// Share of the sample in the largest segment.
    pub largest_share: f64,
    /// Share of the sample in the smallest segment.
    pub smallest_share: f64,
    /// Mean adjusted Rand index between the model and models of bootstrap samples, where it was measured.
    pub stability: Option<f64>,
    /// With `scale: none`: the largest standard deviation of a feature over the smallest that is not zero.
    pub unscaled_spread: Option<f64>,
}

impl KmeansQuality {
    /// `fit`: the final assignment; `unscaled`: trained with `scale: none`.
    pub(crate) fn of(points: &Matrix, fit: &Fit, rows: u64, unscaled: bool) -> Self {
        let k = fit.centroids.len() / points.width;
        let mut sizes = vec![0u64; k];
        fit.labels.iter().for_each(|l| sizes[*l as usize] += 1);
        let n = points.len();
        KmeansQuality {
            inertia: fit.inertia_units(),
            iterations: fit.iterations,
            rows,
            sample_rows: n as u64,
            silhouette: silhouette(points, &fit.labels, k),
            calinski_harabasz: calinski_harabasz(points, fit, &sizes),
            davies_bouldin: davies_bouldin(points, fit, &sizes),
            largest_share: sizes.iter().max().map_or(0.0, |m| *m as f64 / n as f64),
            smallest_share: sizes.iter().min().map_or(0.0, |m| *m as f64 / n as f64),
            stability: None,
            unscaled_spread: unscaled.then(|| spread(points)),
            sizes,
        }
    }
}

impl Gate {
    /// Why a model of this quality must not be published; empty when it may.
    pub fn refusals(&self, quality: &KmeansQuality) -> Vec<String> {
        let mut refusals = Vec::new();
        if quality.sizes.len() > 1 && quality.largest_share > self.max_share {
            refusals.push(format!(
                "one segment holds {:.1} % of the rows, more than `max_share: {}`: transform or scale the features \
                 (`transform: log1p`, `scale: robust`), or choose another `k`",
                100.0 * quality.largest_share,
                self.max_share
            ));
        }
        if quality.smallest_share < self.min_share {
            refusals.push(format!(
                "one segment holds {:.3} % of the rows, less than `min_share: {}`: lower `k`, or bound outliers (`clip`)",
                100.0 * quality.smallest_share,
                self.min_share
            ));
        }
        if let Some(stability) = quality.stability.filter(|stability| *stability < self.min_stability) {
            refusals.push(format!(
                "models of resampled rows agree with the segments by an adjusted Rand index of {stability:.3}, less than \
                 `min_stability: {}`: another sample would give other segments; choose another `k`, as `k: 4..12` does, \
                 or other features",
                self.min_stability
            ));
        }
        if let Some(spread) = quality.unscaled_spread.filter(|s| *s > self.max_spread) {
            refusals.push(format!(
                "with `scale: none` one feature spreads {spread:.1} times as far as another, more than \
                 `max_spread: {}`, and alone decides the segments: set `scale: robust` or `scale: standard`",
                self.max_spread
            ));
        }
        refusals
    }
}

/// Refuses a degenerate model.
///
/// # Errors
/// [`Error::Audit`] with every reason.
pub fn gate(quality: &KmeansQuality, gate: &Gate) -> Result<()> {
    let refusals = gate.refusals(quality);
    if refusals.is_empty() { Ok(()) } else { Err(Error::Audit(refusals.join("; "))) }
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + (x - y) * (x - y))
}

fn silhouette(points: &Matrix, labels: &[u32], k: usize) -> Option<f64> {
    let n = points.len().min(SILHOUETTE_ROWS);
    let mut sizes = vec![0u64; k];
    labels[..n].iter().for_each(|l| sizes[*l as usize] += 1);
    if sizes.iter().filter(|s| **s > 0).count() < 2 {
        return None;
    }
    let mut total = 0.0;
    for i in 0..n {
        let mut sums = vec![0.0; k];
        for j in 0..n {
            sums[labels[j] as usize] += squared(points.row(i), points.row(j)).sqrt();
        }
        let own = labels[i] as usize;
        if sizes[own] == 1 {
            continue;
        }
        let within = sums[own] / (sizes[own] - 1) as f64;
        let others = (0..k).filter(|c| *c != own && sizes[*c] > 0).map(|c| sums[c] / sizes[c] as f64);
        let between = others.fold(f64::INFINITY, f64::min);
        let larger = within.max(between);
        total += if larger > 0.0 { (between - within) / larger } else { 0.0 };
    }
    Some(total / n as f64)
}

fn calinski_harabasz(points: &Matrix, fit: &Fit, sizes: &[u64]) -> Option<f64> {
    let (n, k) = (points.len(), sizes.len());
    let within = fit.inertia_units();
    if k < 2 || n <= k || within <= 0.0 {
        return None;
    }
    let mean: Vec<f64> = points.moments().into_iter().map(|(mean, _)| mean).collect();
    let parts = fit.centroids.chunks_exact(points.width).zip(sizes);
    let between: f64 = parts.map(|(centroid, size)| *size as f64 * squared(centroid, &mean)).sum();
    Some(between / (k - 1) as f64 / (within / (n - k) as f64))
}

fn davies_bouldin(points: &Matrix, fit: &Fit, sizes: &[u64]) -> Option<f64> {
    let centroids: Vec<&[f64]> = fit.centroids.chunks_exact(points.width).collect();
    let mut scatter = vec![0.0; centroids.len()];
    for (row, label) in points.rows().zip(&fit.labels) {
        scatter[*label as usize] += squared(row, centroids[*label as usize]).sqrt();
    }
    let used: Vec<usize> = (0..centroids.len()).filter(|c| sizes[*c] > 0).collect();
    if used.len() < 2 {
        return None;
    }
    used.iter().for_each(|c| scatter[*c] /= sizes[*c] as f64);
    let worst = |i: usize| {
        let ratios = used.iter().filter(|j| **j != i);
        ratios
            .map(|j| (scatter[i] + scatter[*j]) / squared(centroids[i], centroids[*j]).sqrt())
            .fold(0.0, f64::max)
    };
    Some(used.iter().map(|i| worst(*i)).sum::<f64>() / used.len() as f64)
}

pub(super) fn spread(points: &Matrix) -> f64 {
    let deviations = points.moments().into_iter().map(|(_, deviation)| deviation).filter(|d| *d > 0.0);
    let (low, high) = deviations.fold((f64::INFINITY, 0.0f64), |(low, high), d| (low.min(d), high.max(d)));
    if high > 0.0 { high / low } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::super::lloyd::assign;
    use super::super::screen::Screen;
    use super::*;

    fn quality(values: &[f64], width: usize, centroids: &[f64]) -> KmeansQuality {
        let points = Matrix { values: values.to_vec(), width };
        let fit = assign(&Screen::new(&points), centroids.to_vec(), 1).unwrap();
        KmeansQuality::of(&points, &fit, 9, true)
    }

    #[test]
    fn figures_by_hand() {
        // Two segments: {0, 2} and {10, 12}.
        let q = quality(&[0.0, 2.0, 10.0, 12.0], 1, &[1.0, 11.0]);
        assert_eq!((q.inertia, q.sizes.as_slice(), q.largest_share, q.rows), (4.0, &[2, 2][..], 0.5, 9));
        let (outer, inner) = ((11.0 - 2.0) / 11.0, (9.0 - 2.0) / 9.0);
        assert!((q.silhouette.unwrap() - (outer + inner) / 2.0).abs() < 1e-15);
        assert_eq!(q.calinski_harabasz, Some(100.0 / (4.0 / 2.0)));
        assert_eq!(q.davies_bouldin, Some(0.2));
    }

    #[test]
    fn one_segment_and_singletons() {
        let q = quality(&[0.0, 2.0], 1, &[1.0]);
        assert_eq!((q.silhouette, q.calinski_harabasz, q.davies_bouldin), (None, None, None));
        assert_eq!(Gate::default().refusals(&q), Vec::<String>::new());
        // The singleton counts 0 towards the mean, as in scikit-learn.
        let q = quality(&[0.0, 2.0, 10.0], 1, &[1.0, 10.0]);
        assert!((q.silhouette.unwrap() - (0.8 + 0.75) / 3.0).abs() < 1e-15);
    }

    #[test]
    fn the_gate_names_every_reason() {
        let mut values = vec![0.0, 0.0, 1000.0, 3.0];
        values.extend([1.0; 40]);
        let q = quality(&values, 2, &[1.0, 1.0, 1000.0, 3.0]);
        assert_eq!(q.sizes, [21, 1]);
        let q = KmeansQuality { stability: Some(0.25), ..q };
        let limits = Gate { min_share: 0.05, ..Gate::default() };
        let refusals = limits.refusals(&q);
        assert_eq!(refusals.len(), 4, "{refusals:?}");
        assert!(refusals[0].contains("95.5 %") && refusals[0].contains("max_share: 0.8"), "{}", refusals[0]);
        assert!(
            refusals[1].contains("4.545 %") && refusals[1].contains("min_share: 0.05"),
            "{}",
            refusals[1]
        );
        assert!(
            refusals[2].contains("0.250") && refusals[2].contains("min_stability: 0.6"),
            "{}",
            refusals[2]
        );
        assert!(refusals[3].contains("scale: none"), "{}", refusals[3]);
        assert!(matches!(gate(&q, &limits), Err(Error::Audit(m)) if m.contains("max_spread")));
        let lenient = Gate { max_share: 1.0, min_share: 0.0, min_stability: 0.2, max_spread: 1e6 };
        assert!(gate(&q, &lenient).is_ok());
    }
}
