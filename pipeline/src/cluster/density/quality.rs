//! How good dense segments are, and when they are too poor to publish.

use super::settings::DensityGate;
use crate::{Error, Result};

/// Figures of a trained density model, all of the training sample.
#[derive(Debug, Clone, PartialEq)]
pub struct DensityQuality {
    /// Rows that the training query gave.
    pub rows: u64,
    /// Rows trained on.
    pub sample_rows: u64,
    /// Sample rows of each segment.
    pub sizes: Vec<u64>,
    /// Excess of mass of each segment (Campello, Moulavi, Sander 2013): how long it lasts as density rises, times its rows.
    pub stabilities: Vec<f64>,
    /// Mean probability of the members of each segment, as scikit-learn's `probabilities_`.
    pub probabilities: Vec<f64>,
    /// Share of the sample that is noise.
    pub noise_share: f64,
    /// Share of the sample in the largest segment.
    pub largest_share: f64,
    /// Mean adjusted Rand index between the segments and those of halves of the sample, where it was measured.
    pub bootstrap_stability: Option<f64>,
    /// Core points of the model.
    pub core_points: usize,
    /// Share of the members whom the model's core points assign to their segment.
    pub members_kept: f64,
    /// Share of the noise that the model's core points leave noise; 1 without noise.
    pub noise_kept: f64,
    /// With `scale: none`: the largest standard deviation of a feature over the smallest that is not zero.
    pub unscaled_spread: Option<f64>,
}

impl DensityGate {
    /// Why a model of this quality must not be published; empty when it may.
    pub fn refusals(&self, quality: &DensityQuality) -> Vec<String> {
        let mut refusals = Vec::new();
        if quality.largest_share > self.max_share {
            refusals.push(format!(
                "one segment holds {:.1} % of the rows, more than `max_share: {}`: transform or scale the features \
                 (`transform: log1p`, `scale: robust`), or choose another `min_cluster_size`",
                100.0 * quality.largest_share,
                self.max_share
            ));
        }
        if quality.noise_share > self.max_noise {
            refusals.push(format!(
                "{:.1} % of the rows are noise, more than `max_noise: {}`: lower `min_samples` or `min_cluster_size`, \
                 or leave out features",
                100.0 * quality.noise_share,
                self.max_noise
            ));
        }
        if let Some(stability) =
            quality.bootstrap_stability.filter(|stability| *stability < self.min_stability)
        {
            refusals.push(format!(
                "segments of halves of the rows agree with those of all by an adjusted Rand index of {stability:.3}, less \
                 than `min_stability: {}`: another sample would give other segments; raise `min_samples` or \
                 `min_cluster_size`, or leave out features",
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
pub fn density_gate(quality: &DensityQuality, gate: &DensityGate) -> Result<()> {
    let refusals = gate.refusals(quality);
    if refusals.is_empty() { Ok(()) } else { Err(Error::Audit(refusals.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_names_every_reason() {
        let quality = DensityQuality {
            rows: 900,
            sample_rows: 100,
            sizes: vec![30, 10],
            stabilities: vec![2.0, 1.0],
            probabilities: vec![0.9, 0.8],
            noise_share: 0.6,
            largest_share: 0.3,
            bootstrap_stability: Some(0.25),
            core_points: 40,
            members_kept: 1.0,
            noise_kept: 1.0,
            unscaled_spread: Some(11.0),
        };
        let strict = DensityGate { max_share: 0.2, max_noise: 0.5, min_stability: 0.6, max_spread: 10.0 };
        let refusals = strict.refusals(&quality);
        assert_eq!(refusals.len(), 4, "{refusals:?}");
        let words = ["30.0 %", "`max_noise: 0.5`", "0.250, less than `min_stability: 0.6`", "11.0 times"];
        for (refusal, words) in refusals.iter().zip(words) {
            assert!(refusal.contains(words), "{refusal}");
        }
        assert!(matches!(density_gate(&quality, &strict), Err(Error::Audit(m)) if m.contains("60.0 %")));
        let lenient = DensityGate { max_share: 0.8, max_noise: 0.6, min_stability: 0.25, max_spread: 11.0 };
        assert!(density_gate(&quality, &lenient).is_ok());
        let unmeasured = DensityQuality { bootstrap_stability: None, ..quality };
        assert_eq!(strict.refusals(&unmeasured).len(), 3);
    }
}
