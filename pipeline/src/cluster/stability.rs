//! How far models of other samples of the same population agree: bootstrap stability (Hennig 2007, with the adjusted Rand
//! index of Hubert and Arabie 1985).

use super::sample::mix;
use super::scale::{Matrix, distinct_rows};
use super::screen::Screen;
use super::settings::KmeansSettings;
use super::train::best_start;
use crate::Result;
use crate::cluster::lloyd::assign;

/// Starts of the model of a bootstrap sample, at most.
const STARTS: usize = 4;

/// Sets the draws of bootstrap samples apart from other random numbers of the same seed.
const BOOTSTRAP: u64 = 0x0b00_7572_a901;

/// The mean adjusted Rand index between `labels` and what models of `settings.bootstraps` samples, drawn with repetition
/// from the rows, say of the same rows; `None` when none is measured. Samples with fewer than k different rows are left
/// out.
pub(crate) fn stability(
    settings: &KmeansSettings,
    screen: &Screen,
    hashes: &[u64],
    labels: &[u32],
    k: usize,
) -> Result<Option<f64>> {
    let points = screen.points();
    let (mut sum, mut measured) = (0.0, 0);
    for bootstrap in 0..settings.bootstraps as u64 {
        let (sample, sample_hashes) = resample(points, hashes, settings.seed, bootstrap);
        if distinct_rows(&sample, k) < k {
            continue;
        }
        let drawn = Screen::new(&sample);
        let fit = best_start(settings, k, settings.starts.min(STARTS), &drawn, &sample_hashes)?;
        let said = assign(screen, fit.centroids, settings.threads)?;
        sum += adjusted_rand(labels, &said.labels);
        measured += 1;
    }
    Ok((measured > 0).then(|| sum / f64::from(measured)))
}

/// As many rows as there are, drawn with repetition; each draw has a hash of its own.
fn resample(points: &Matrix, hashes: &[u64], seed: u64, bootstrap: u64) -> (Matrix, Vec<u64>) {
    let n = points.len();
    let mut values = Vec::with_capacity(points.values.len());
    let mut drawn_hashes = Vec::with_capacity(n);
    for draw in 0..n as u64 {
        let bits = mix(mix(mix(seed ^ BOOTSTRAP) ^ bootstrap) ^ draw);
        let row = ((u128::from(bits) * n as u128) >> 64) as usize;
        values.extend_from_slice(points.row(row));
        drawn_hashes.push(mix(hashes[row] ^ draw));
    }
    (Matrix { values, width: points.width }, drawn_hashes)
}

/// The adjusted Rand index of two labellings: 1 when they are the same but for the names, 0 on average for unrelated ones. 1
/// when both put all rows together.
pub(crate) fn adjusted_rand<L: Ord + Copy>(a: &[L], b: &[L]) -> f64 {
    let together = pairs_alike(a.iter().zip(b).collect());
    let (in_a, in_b) = (pairs_alike(a.to_vec()), pairs_alike(b.to_vec()));
    let all = pairs(a.len());
    if all == 0.0 {
        return 1.0;
    }
    let (expected, most) = (in_a * in_b / all, (in_a + in_b) / 2.0);
    if most == expected { 1.0 } else { (together - expected) / (most - expected) }
}

fn pairs(rows: usize) -> f64 {
    (rows * rows.saturating_sub(1) / 2) as f64
}

/// Pairs of rows of the same label.
fn pairs_alike<L: Ord>(mut labels: Vec<L>) -> f64 {
    labels.sort_unstable();
    labels.chunk_by(|a, b| a == b).map(|rows| pairs(rows.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjusted_rand_by_hand_and_by_scikit_learn() {
        assert_eq!(adjusted_rand(&[0, 0, 1, 1], &[1, 1, 0, 0]), 1.0);
        // scikit-learn's example: adjusted_rand_score([0, 0, 1, 2], [0, 0, 1, 1]) == 0.57142857...
        assert!((adjusted_rand(&[0, 0, 1, 2], &[0, 0, 1, 1]) - 4.0 / 7.0).abs() < 1e-15);
        // and adjusted_rand_score([0, 0, 1, 1], [0, 1, 0, 1]) == -0.5
        assert!((adjusted_rand(&[0, 0, 1, 1], &[0, 1, 0, 1]) + 0.5).abs() < 1e-15);
        assert_eq!(adjusted_rand(&[0, 0, 0], &[0, 0, 0]), 1.0);
        assert_eq!(adjusted_rand::<u32>(&[], &[]), 1.0);
    }

    fn measured(values: Vec<f64>, k: usize) -> f64 {
        let settings = KmeansSettings { threads: 2, ..KmeansSettings::new(k) };
        let points = Matrix { values, width: 1 };
        let hashes: Vec<u64> = (0..points.len() as u64).map(mix).collect();
        let screen = Screen::new(&points);
        let fit = best_start(&settings, k, 8, &screen, &hashes).unwrap();
        let labels = assign(&screen, fit.centroids, 1).unwrap().labels;
        stability(&settings, &screen, &hashes, &labels, k).unwrap().unwrap()
    }

    #[test]
    fn clear_groups_are_stable_and_cuts_through_one_are_not() {
        let clear = (0..600u64).map(|i| (i % 3) as f64 * 100.0 + (mix(i) % 10) as f64).collect();
        assert_eq!(measured(clear, 3), 1.0);
        let even: Vec<f64> = (0..600u64).map(|i| (mix(i) >> 40) as f64).collect();
        let cut = measured(even, 7);
        assert!(cut < 0.9, "{cut}");
        let none = KmeansSettings { bootstraps: 0, ..KmeansSettings::new(2) };
        let points = Matrix { values: vec![0.0, 1.0], width: 1 };
        assert_eq!(stability(&none, &Screen::new(&points), &[1, 2], &[0, 1], 2).unwrap(), None);
    }
}
