//! How far a population has moved away from the sample that a model was trained on.

use strata_udfs::learn::population_stability;
use strata_udfs::model::{BINS, KmeansModel};

use super::lloyd::parallel;
use super::sample::Sample;
use super::scale::{known_values, quantiles};
use super::settings::DriftLimits;
use super::train::side_by_side;
use crate::Result;

const CUTS: usize = BINS - 2;

/// Writes down where the sample lies: cut points, the share in each bin, the mean margin.
pub(crate) fn remember(model: &mut KmeansModel, sample: &Sample, threads: usize) -> Result<()> {
    let cuts = side_by_side(model.d(), threads, |feature, _| {
        let mut known: Vec<f64> =
            known_values(sample, feature).into_iter().filter(|value| value.is_finite()).collect();
        let tenths: [f64; CUTS] = std::array::from_fn(|i| (i + 1) as f64 / (CUTS + 1) as f64);
        Ok(if known.is_empty() { [0.0; CUTS] } else { quantiles(&mut known, tenths) })
    })?;
    model.cuts = cuts.concat();
    let all = sample.rows.len().max(1) as f64;
    let counts = side_by_side(model.d(), threads, |feature, _| Ok(counts(model, sample, feature)))?;
    model.shares = counts.into_iter().flatten().map(|n| n / all).collect();
    model.mean_margin = mean_margin(model, sample, threads);
    Ok(())
}

/// Rows of the sample in each bin of a feature.
fn counts(model: &KmeansModel, sample: &Sample, feature: usize) -> [f64; BINS] {
    let mut counts = [0.0; BINS];
    for row in &sample.rows {
        counts[model.bin(feature, Some(row.values[feature]))] += 1.0;
    }
    counts
}

/// Mean of the distance to the runner-up minus that to the nearest segment; `None` for one segment or no rows.
fn mean_margin(model: &KmeansModel, sample: &Sample, threads: usize) -> Option<f64> {
    let mut margins = vec![0.0; sample.rows.len()];
    parallel((&mut margins, &mut vec![(); sample.rows.len()]), threads, |rows, margins, _| {
        let mut scaled = vec![0.0; model.d()];
        for (row, margin) in sample.rows[rows].iter().zip(margins) {
            model.scaling.scale_into(row.values.iter().copied().map(Some), &mut scaled);
            let (_, nearest, runner_up) = model.nearest_two(&scaled);
            *margin = runner_up.map_or(0.0, |runner_up| runner_up.1.sqrt() - nearest.sqrt());
        }
    });
    let known = model.segments.len() > 1 && !margins.is_empty();
    known.then(|| margins.iter().sum::<f64>() / margins.len() as f64)
}

/// What speaks against keeping a model for the population of this sample: `None` while it is within the limits.
pub(crate) fn drift(
    model: &KmeansModel,
    sample: &Sample,
    limits: &DriftLimits,
    threads: usize,
) -> Option<String> {
    if model.scaling.features != sample.features {
        return Some("the features have changed".into());
    }
    let mut most: Option<(usize, f64)> = None;
    for feature in 0..model.d() {
        let expected = &model.shares[feature * BINS..(feature + 1) * BINS];
        let Some(index) = population_stability(expected, &counts(model, sample, feature)) else { continue };
        if most.is_none_or(|(_, most)| index > most) {
            most = Some((feature, index));
        }
    }
    if let Some((feature, index)) = most.filter(|(_, index)| *index > limits.max_drift) {
        let name = &model.scaling.features[feature];
        return Some(format!(
            "`{name}` has a stability index of {index:.3}, above `max_drift: {}`",
            limits.max_drift
        ));
    }
    let (before, now) = (model.mean_margin?, mean_margin(model, sample, threads)?);
    (now < limits.min_margin * before).then(|| {
        format!(
            "the mean margin fell from {before:.3} to {now:.3}, below `min_margin: {}` of it",
            limits.min_margin
        )
    })
}

#[cfg(test)]
mod tests {
    use strata_udfs::model::Scaling;

    use super::super::scale::tests::sample;
    use super::*;

    /// Two segments, at 0 and 10, trained on 0 to 9.
    fn trained() -> (KmeansModel, Vec<f64>) {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
        let scaling = Scaling {
            features: vec!["x".into()],
            transforms: vec![strata_udfs::model::Transform::None],
            centre: vec![0.0],
            scale: vec![1.0],
            clips: vec![100.0],
            weights: vec![1.0],
            ..Scaling::default()
        };
        let names = vec!["low".to_string(), "high".to_string()];
        let mut model = KmeansModel {
            scaling,
            centroids: vec![0.0, 10.0],
            segments: vec![0, 1],
            next_segment: 2,
            names_zh: names.clone(),
            names,
            ..KmeansModel::default()
        };
        let rows: Vec<&[f64]> = values.chunks(1).collect();
        remember(&mut model, &sample(&["x"], &rows), 2).unwrap();
        (model, values)
    }

    fn drifted(model: &KmeansModel, values: &[f64], limits: DriftLimits) -> Option<String> {
        let rows: Vec<&[f64]> = values.chunks(1).collect();
        drift(model, &sample(&["x"], &rows), &limits, 2)
    }

    #[test]
    fn the_same_population_has_not_drifted() {
        let (model, values) = trained();
        assert_eq!(model.cuts, (0..9).map(f64::from).collect::<Vec<_>>());
        assert_eq!(model.shares, [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0]);
        // |10 - x| - x: 10 8 6 4 2 0 2 4 6 8
        assert!((model.mean_margin.unwrap() - 5.0).abs() < 1e-12);
        assert!(model.validate().is_ok());
        assert_eq!(drifted(&model, &values, DriftLimits::default()), None);
    }

    #[test]
    fn what_moved_is_named() {
        let (model, values) = trained();
        let moved: Vec<f64> = values.iter().map(|x| x + 3.0).collect();
        let said = drifted(&model, &moved, DriftLimits::default()).unwrap();
        assert!(said.contains("`x`") && said.contains("max_drift: 0.25"), "{said}");
        let nothing = vec![f64::NAN; 50];
        assert!(drifted(&model, &nothing, DriftLimits::default()).unwrap().contains("`x`"));
        let between = vec![4.0, 5.0, 6.0];
        let lenient = DriftLimits { max_drift: 100.0, min_margin: 0.75 };
        assert!(drifted(&model, &between, lenient).unwrap().contains("mean margin fell from 5.000"));
        let other = drift(&model, &sample(&["y"], &[&[1.0]]), &DriftLimits::default(), 2).unwrap();
        assert!(other.contains("features have changed"), "{other}");
    }
}
