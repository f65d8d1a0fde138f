//! How far HDBSCAN on halves of the sample agrees with HDBSCAN on the whole.

use super::super::sample::mix;
use super::super::scale::Matrix;
use super::super::stability::adjusted_rand;
use super::super::train::side_by_side;
use super::settings::DensitySettings;
use super::train::hdbscan;
use crate::Result;

/// Sets the draws of halves apart from other random numbers that come of the rows' hashes.
const HALVES: u64 = 0x0a1f_5e75_d3c2;

/// The mean adjusted Rand index between `labels`, where noise is a label of its own, and what HDBSCAN says of
/// `settings.bootstraps` halves of the rows; `None` when none is measured. Where half of the rows lie, half as many make
/// a segment or a neighbourhood. Rows are not drawn twice: they would lie in a density without bound.
pub(super) fn stability(
    settings: &DensitySettings,
    points: &Matrix,
    hashes: &[u64],
    labels: &[Option<u32>],
) -> Result<Option<f64>> {
    let halved = DensitySettings {
        min_cluster_size: settings.min_cluster_size.div_ceil(2).max(2),
        min_samples: settings.min_samples.div_ceil(2),
        ..settings.clone()
    };
    let indices = side_by_side(settings.bootstraps, settings.threads, |draw, threads| {
        let rows = half(hashes, draw as u64);
        let values = rows.iter().flat_map(|row| points.row(*row).iter().copied()).collect();
        let (said, _) = hdbscan(&halved, &Matrix { values, width: points.width }, threads)?;
        let whole: Vec<Option<u32>> = rows.iter().map(|row| labels[*row]).collect();
        Ok(adjusted_rand(&whole, &said.labels))
    })?;
    Ok((!indices.is_empty()).then(|| indices.iter().sum::<f64>() / indices.len() as f64))
}

/// Half of the rows, and one more when they are odd, in their order. Their hashes alone decide which.
fn half(hashes: &[u64], draw: u64) -> Vec<usize> {
    let salt = mix(HALVES ^ draw);
    let mut rows: Vec<usize> = (0..hashes.len()).collect();
    rows.sort_unstable_by_key(|row| (mix(hashes[*row] ^ salt), *row));
    rows.truncate(hashes.len().div_ceil(2));
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_of_rows_whatever_their_order() {
        let hashes: Vec<u64> = (0..101).map(mix).collect();
        let backward: Vec<u64> = hashes.iter().rev().copied().collect();
        let halves = [0, 1].map(|draw| half(&hashes, draw));
        assert_ne!(halves[0], halves[1]);
        for (draw, rows) in halves.iter().enumerate() {
            assert_eq!(rows.len(), 51);
            assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
            let mut turned: Vec<usize> =
                half(&backward, draw as u64).into_iter().map(|row| 100 - row).collect();
            turned.reverse();
            assert_eq!(*rows, turned);
        }
        assert_eq!(half(&hashes[..1], 0), [0]);
        assert!(half(&[], 0).is_empty());
    }
}
