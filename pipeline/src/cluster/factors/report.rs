//! What the sample holds of each feature: how much is missing, what does not vary, which features say the same.

use strata_udfs::model::FeatureReport;

use super::super::sample::Sample;
use super::super::scale::mean_and_deviation;
use super::moments::Moments;

/// From this absolute correlation on, one of two features adds nearly nothing: over 90 % of its variance is the other's.
pub(crate) const REDUNDANT: f64 = 0.95;

/// One entry each feature of the sample. `moments` are those of the prepared features: transformed, scaled, clipped, a
/// missing value at the centre.
pub(crate) fn report(sample: &Sample, moments: &Moments) -> Vec<FeatureReport> {
    let of_feature = |(f, name): (usize, &String)| {
        let known: Vec<f64> = sample.rows.iter().map(|row| row.values[f]).filter(|v| !v.is_nan()).collect();
        let finite: Vec<f64> = known.iter().copied().filter(|v| v.is_finite()).collect();
        let least = known.iter().copied().reduce(f64::min);
        let nearest = nearest(moments, f);
        FeatureReport {
            feature: name.clone(),
            rows: sample.rows.len() as u64,
            known: known.len() as u64,
            mean_and_deviation: (!finite.is_empty()).then(|| mean_and_deviation(&finite)),
            range: least.zip(known.iter().copied().reduce(f64::max)),
            constant: moments.variance(f) == 0.0,
            redundant: nearest.is_some_and(|(_, r)| r.abs() >= REDUNDANT),
            nearest: nearest.map(|(other, r)| (sample.features[other].clone(), r)),
        }
    };
    sample.features.iter().enumerate().map(of_feature).collect()
}

/// The other feature of largest absolute correlation, the first of equals.
fn nearest(moments: &Moments, feature: usize) -> Option<(usize, f64)> {
    let others = (0..moments.means.len()).filter(|other| *other != feature);
    let correlations = others.filter_map(|other| Some((other, moments.correlation(feature, other)?)));
    correlations.reduce(|best, next| if next.1.abs() > best.1.abs() { next } else { best })
}

/// A line each feature that does not vary and each pair of features that say nearly the same.
pub(crate) fn notes(features: &[String], moments: &Moments) -> Vec<String> {
    let mut notes = Vec::new();
    for (f, feature) in features.iter().enumerate() {
        if moments.variance(f) == 0.0 {
            notes.push(format!("feature `{feature}` is the same for all rows and tells none of them apart"));
        }
        for (other, name) in features.iter().enumerate().skip(f + 1) {
            if let Some(r) = moments.correlation(f, other).filter(|r| r.abs() >= REDUNDANT) {
                notes.push(format!(
                    "features `{feature}` and `{name}` say nearly the same (correlation {r:.3}): one of them is enough"
                ));
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::super::preparation::Preparation;
    use super::super::super::scale::{learn_scaling, tests::sample};
    use super::*;

    #[test]
    fn constants_doubles_and_missing_values_are_told() {
        let nan = f64::NAN;
        let rows: [&[f64]; 4] = [
            &[1.0, -2.0, 7.0, nan, 5.0],
            &[2.0, -4.0, 7.0, nan, 1.0],
            &[3.0, -6.0, nan, nan, f64::INFINITY],
            &[4.0, -8.0, 7.0, nan, 3.0],
        ];
        let sample = sample(&["a", "b", "same", "unknown", "other"], &rows);
        let (_, points) = learn_scaling(&Preparation::default(), &sample, 1).unwrap();
        let moments = Moments::of(&points);
        let found = report(&sample, &moments);
        let names: Vec<&str> = found.iter().map(|row| row.feature.as_str()).collect();
        assert_eq!(names, sample.features);
        assert_eq!(
            found.iter().map(|row| (row.rows, row.known)).collect::<Vec<_>>(),
            [(4, 4), (4, 4), (4, 3), (4, 0), (4, 4)]
        );
        assert_eq!(found[0].mean_and_deviation, Some((2.5, 1.25f64.sqrt())));
        assert_eq!(found[1].range, Some((-8.0, -2.0)));
        assert_eq!((found[3].mean_and_deviation, found[3].range), (None, None));
        assert_eq!(
            (found[4].mean_and_deviation.unwrap().0, found[4].range),
            (3.0, Some((1.0, f64::INFINITY)))
        );
        let flags: Vec<(bool, bool)> = found.iter().map(|row| (row.constant, row.redundant)).collect();
        assert_eq!(flags, [(false, true), (false, true), (true, false), (true, false), (false, false)]);
        let (name, r) = found[0].nearest.clone().unwrap();
        assert!(name == "b" && (r + 1.0).abs() < 1e-15, "{name} {r}");
        assert_eq!(found[2].nearest, None);
        let said = notes(&sample.features, &moments);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("`a` and `b`") && said[0].contains("-1.000"), "{said:?}");
        assert!(said[1].contains("`same`") && said[2].contains("`unknown`"), "{said:?}");
    }
}
