//! Choosing the number of segments.

use strata_udfs::model::Candidate;

use super::lloyd::{Fit, assign};
use super::quality::KmeansQuality;
use super::sample::mix;
use super::scale::{Matrix, distinct_rows};
use super::screen::Screen;
use super::settings::{ChooseBy, Gate, KmeansSettings};
use super::stability::stability;
use super::train::{best_fit, best_start};
use crate::Result;

/// Rows that candidates are judged on: the first of the sample, which are those of the smallest hashes.
pub(crate) const JUDGED_ROWS: usize = 16_384;

/// Rows, sets of even reference rows and starts of the gap statistic.
const GAP_ROWS: usize = 2_048;
const GAP_SETS: u64 = 10;
const GAP_STARTS: usize = 2;

/// Sets the reference rows apart from other random numbers of the same seed.
const EVEN: u64 = 0x6a9_57a7;

/// The candidates by rising k, the place of the chosen one, and its fit to the judged rows.
pub(crate) struct Selection {
    pub candidates: Vec<Candidate>,
    pub chosen: usize,
    pub fit: Fit,
}

/// Tries every k on the first rows of the sample, or from the most segments on until one passes the gate. Of those that
/// pass, the best by `choose_by` is chosen, the fewer segments where two are equal; if none passes, the best of all, which
/// the gate then refuses.
pub(crate) fn choose(settings: &KmeansSettings, judged: &Matrix, hashes: &[u64]) -> Result<Selection> {
    let screen = Screen::new(judged);
    let descending = settings.choose_by == ChooseBy::Most;
    let several = settings.k.start() < settings.k.end() && !descending;
    let gap_rows = several.then(|| judged.first_rows(GAP_ROWS));
    let even = gap_rows.as_ref().map(|rows| even_sets(rows, settings.seed)).unwrap_or_default();
    let most = distinct_rows(judged, *settings.k.end());
    let mut numbers: Vec<usize> = settings.k.clone().filter(|k| *k <= most).collect();
    if descending {
        numbers.reverse();
    }
    let mut tried: Vec<(Candidate, Fit)> = Vec::new();
    for k in numbers {
        let fit = best_fit(settings, k, &screen, hashes)?;
        let fit = Fit { iterations: fit.iterations, ..assign(&screen, fit.centroids, settings.threads)? };
        let quality = KmeansQuality::of(judged, &fit, judged.len() as u64, false);
        let gap = match &gap_rows {
            Some(rows) if distinct_rows(rows, k) == k => Some(gap(settings, k, rows, &even, hashes)?),
            _ => None,
        };
        let candidate = Candidate {
            k: k as i32,
            inertia: quality.inertia,
            silhouette: quality.silhouette,
            calinski_harabasz: quality.calinski_harabasz,
            davies_bouldin: quality.davies_bouldin,
            gap: gap.map(|(gap, _)| gap),
            gap_error: gap.map(|(_, error)| error),
            stability: stability(settings, &screen, hashes, &fit.labels, k)?,
            largest_share: quality.largest_share,
            smallest_share: quality.smallest_share,
            chosen: false,
            reason: String::new(),
        };
        let passes = fault(&candidate, &settings.gate).is_none();
        tried.push((candidate, fit));
        if descending && passes {
            break;
        }
    }
    if descending {
        tried.reverse();
    }
    let (mut candidates, mut fits): (Vec<Candidate>, Vec<Fit>) = tried.into_iter().unzip();
    let chosen = judge(&mut candidates, settings.choose_by, &settings.gate);
    Ok(Selection { candidates, chosen, fit: fits.swap_remove(chosen) })
}

/// Chooses, and says of each candidate why or why not.
fn judge(candidates: &mut [Candidate], by: ChooseBy, gate: &Gate) -> usize {
    if let ([only], false) = (&mut *candidates, by == ChooseBy::Most) {
        only.chosen = true;
        only.reason = "the header gives this number".into();
        return 0;
    }
    let faults: Vec<Option<String>> = candidates.iter().map(|candidate| fault(candidate, gate)).collect();
    let passing = faults.iter().filter(|fault| fault.is_none()).count();
    let may = |at: &usize| passing == 0 || faults[*at].is_none();
    let score = |at: usize| -> f64 {
        let candidate = &candidates[at];
        let figure = match by {
            ChooseBy::Silhouette => candidate.silhouette,
            ChooseBy::CalinskiHarabasz => candidate.calinski_harabasz,
            ChooseBy::DaviesBouldin => candidate.davies_bouldin.map(|index| -index),
            ChooseBy::Stability => candidate.stability,
            ChooseBy::Most => Some(f64::from(candidate.k)),
            ChooseBy::Gap => reaches_the_next(candidates, at).then(|| -f64::from(candidate.k)),
        };
        figure.unwrap_or(f64::NEG_INFINITY)
    };
    let allowed = (0..candidates.len()).filter(may);
    // of equals the first, which has the fewest segments
    let best = allowed.reduce(|best, at| if score(at) > score(best) { at } else { best }).unwrap_or(0);
    let all = candidates.len();
    for (at, (candidate, fault)) in candidates.iter_mut().zip(faults).enumerate() {
        candidate.chosen = at == best;
        candidate.reason = match (candidate.chosen, fault) {
            (true, None) => format!("best by {} of the {passing} of {all} that may be published", by.word()),
            (true, Some(fault)) => {
                format!("best by {} of {all}, none of which may be published: {fault}", by.word())
            }
            (false, None) => format!("not the best by {}", by.word()),
            (false, Some(fault)) => fault,
        };
    }
    best
}

/// Why a model of these figures must not be published, by what is known of candidates.
fn fault(candidate: &Candidate, gate: &Gate) -> Option<String> {
    if candidate.k > 1 && candidate.largest_share > gate.max_share {
        return Some(format!("one segment holds more than {} of the rows", gate.max_share));
    }
    if candidate.smallest_share < gate.min_share {
        return Some(format!("one segment holds less than {} of the rows", gate.min_share));
    }
    let unstable = candidate.stability.is_some_and(|stability| stability < gate.min_stability);
    unstable.then(|| format!("less stable than {}", gate.min_stability))
}

/// Tibshirani's rule: the gap is at least that of one segment more, less its standard error. The last has no next.
fn reaches_the_next(candidates: &[Candidate], at: usize) -> bool {
    match (candidates[at].gap, candidates.get(at + 1).map(|next| (next.gap, next.gap_error))) {
        (Some(gap), Some((Some(next), Some(error)))) => gap >= next - error,
        (gap, _) => gap.is_some(),
    }
}

/// Sets of as many rows, even between the least and the largest value of each feature.
fn even_sets(points: &Matrix, seed: u64) -> Vec<Matrix> {
    let width = points.width;
    let column = |f: usize| points.rows().map(move |row| row[f]);
    let bounds: Vec<(f64, f64)> = (0..width)
        .map(|f| (column(f).fold(f64::INFINITY, f64::min), column(f).fold(f64::NEG_INFINITY, f64::max)))
        .collect();
    let value = |set: u64, i: usize| {
        let (low, high) = bounds[i % width];
        let uniform = (mix(mix(mix(seed ^ EVEN) ^ set) ^ i as u64) >> 11) as f64 / (1u64 << 53) as f64;
        strata_udfs::model::on_grid(low + uniform * (high - low))
    };
    (0..GAP_SETS)
        .map(|set| Matrix { values: (0..points.values.len()).map(|i| value(set, i)).collect(), width })
        .collect()
}

/// The gap statistic for k segments (Tibshirani, Walther, Hastie 2001): how much smaller the logarithm of inertia is than
/// that of even rows, and its standard error.
fn gap(
    settings: &KmeansSettings,
    k: usize,
    rows: &Matrix,
    even: &[Matrix],
    hashes: &[u64],
) -> Result<(f64, f64)> {
    let log_inertia = |points: &Matrix| -> Result<f64> {
        let fit = best_start(settings, k, GAP_STARTS, &Screen::new(points), &hashes[..points.len()])?;
        Ok(libm::log(fit.inertia_units().max(f64::MIN_POSITIVE)))
    };
    let expected = even
        .iter()
        .filter(|points| distinct_rows(points, k) == k)
        .map(log_inertia)
        .collect::<Result<Vec<f64>>>()?;
    let (mean, deviation) = super::scale::mean_and_deviation(&expected);
    let sets = expected.len().max(1) as f64;
    Ok((mean - log_inertia(rows)?, deviation * (1.0 + 1.0 / sets).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows about `centres` on a line, 200 each.
    fn blobs(centres: &[f64]) -> (Matrix, Vec<u64>) {
        let n = 200 * centres.len();
        let noise = |i: usize| (mix(i as u64) >> 40) as f64 / 16_777_216.0;
        let values = (0..n).flat_map(|i| [centres[i % centres.len()] + noise(i), noise(i + n)]);
        let values = values.map(strata_udfs::model::on_grid).collect();
        (Matrix { values, width: 2 }, (0..n as u64).map(mix).collect())
    }

    #[test]
    fn finds_the_number_of_clear_groups_by_every_figure() {
        let (points, hashes) = blobs(&[0.0, 9.0, 18.0, 30.0]);
        for (_, by) in ChooseBy::ALL.into_iter().filter(|(_, by)| *by != ChooseBy::Most) {
            let settings = KmeansSettings { k: 2..=7, choose_by: by, starts: 4, ..KmeansSettings::new(2) };
            let selection = choose(&settings, &points, &hashes).unwrap();
            let candidates = &selection.candidates;
            assert_eq!(candidates.iter().map(|c| c.k).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
            let chosen = &candidates[selection.chosen];
            if by == ChooseBy::Stability {
                // two far groups of groups may be as stable
                assert!(chosen.stability == Some(1.0) && chosen.k <= 4, "{chosen:?}");
            } else {
                assert_eq!(chosen.k, 4, "by {}: {candidates:?}", by.word());
            }
            assert!(chosen.chosen && chosen.reason.contains(by.word()), "{chosen:?}");
            assert_eq!(candidates.iter().filter(|c| c.chosen).count(), 1);
            assert!(
                candidates.iter().all(|c| c.gap.is_some() && c.stability.is_some() && !c.reason.is_empty())
            );
            assert_eq!(selection.fit.centroids.len(), 2 * chosen.k as usize);
        }
    }

    #[test]
    fn who_must_not_be_published_is_not_chosen() {
        // 90 % of the rows in one group: only a cut through it keeps every segment below 80 %
        let (points, hashes) = blobs(&[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 50.0]);
        let settings = KmeansSettings { k: 2..=4, starts: 4, ..KmeansSettings::new(2) };
        let selection = choose(&settings, &points, &hashes).unwrap();
        assert!(selection.candidates[0].reason.contains("more than 0.8"), "{:?}", selection.candidates[0]);
        assert!(selection.candidates[selection.chosen].k > 2);
        let strict = Gate { max_share: 0.01, ..Gate::default() };
        let selection = choose(&KmeansSettings { gate: strict, ..settings }, &points, &hashes).unwrap();
        assert!(selection.candidates[selection.chosen].reason.contains("none of which may be published"));
    }

    #[test]
    fn fewer_than_the_most_are_tried_while_they_must_not_be_published() {
        let (points, hashes) = blobs(&[0.0, 9.0, 18.0]);
        let settings =
            KmeansSettings { k: 2..=9, choose_by: ChooseBy::Most, starts: 4, ..KmeansSettings::new(2) };
        let gate = Gate { min_stability: 0.95, ..Gate::default() };
        let selection = choose(&KmeansSettings { gate, ..settings.clone() }, &points, &hashes).unwrap();
        let numbers: Vec<i32> = selection.candidates.iter().map(|candidate| candidate.k).collect();
        assert_eq!(
            (numbers.first(), numbers.last(), selection.chosen),
            (Some(&3), Some(&9), 0),
            "{numbers:?}"
        );
        assert!(
            selection.candidates[0].reason.contains("best by most of the 1 of 7"),
            "{:?}",
            selection.candidates[0]
        );
        assert!(selection.candidates[6].reason.contains("less stable"), "{:?}", selection.candidates[6]);
        // the first try is enough when it passes
        let lenient = Gate { min_stability: 0.0, ..Gate::default() };
        let selection = choose(&KmeansSettings { gate: lenient, ..settings }, &points, &hashes).unwrap();
        let [only] = selection.candidates.as_slice() else { panic!("one candidate") };
        assert_eq!((only.k, only.chosen, only.gap), (9, true, None));
    }

    #[test]
    fn a_number_given_is_taken_and_measured() {
        let (points, hashes) = blobs(&[0.0, 9.0]);
        let selection = choose(&KmeansSettings::new(3), &points, &hashes).unwrap();
        let [only] = selection.candidates.as_slice() else { panic!("one candidate") };
        assert!(only.chosen && only.gap.is_none() && only.stability.is_some(), "{only:?}");
        assert!(only.silhouette.is_some() && only.reason.contains("header"), "{only:?}");
    }
}
