//! Names segments after the features in which they differ most from everyone.

use std::collections::HashSet;

use super::header::ByFeature;
use super::scale::Matrix;

/// A deviation of less than this many standard deviations is not worth a name.
const NOTABLE: f64 = 0.25;

/// Features in a name, unless more are needed to tell two segments apart.
const FEATURES: usize = 2;

/// The words of a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

impl Language {
    fn deviation(self, above: bool, feature: &str) -> String {
        match (self, above) {
            (Language::English, true) => format!("high {feature}"),
            (Language::English, false) => format!("low {feature}"),
            (Language::Chinese, true) => format!("{feature}高"),
            (Language::Chinese, false) => format!("{feature}低"),
        }
    }

    fn everyone(self) -> &'static str {
        if self == Language::English { "everyone" } else { "全体" }
    }

    fn average(self) -> &'static str {
        if self == Language::English { "average" } else { "平均" }
    }

    fn comma(self) -> &'static str {
        if self == Language::English { ", " } else { "、" }
    }
}

/// What tells each centroid from everyone: features by falling |z|, ties in feature order. z is the centroid's distance
/// from the mean of all rows in standard deviations of all rows.
pub(crate) type Deviations = Vec<Vec<(usize, f64)>>;

/// The notable deviations of each centroid.
pub(crate) fn deviations(points: &Matrix, centroids: &[f64]) -> Deviations {
    let overall = points.moments();
    centroids.chunks_exact(points.width).map(|c| notable(c, &overall)).collect()
}

/// What features are called: by their titles, without one by their own names.
pub(crate) fn titles(features: &[String], titles: &ByFeature<String>) -> Vec<String> {
    let title = |feature: &String| match titles.of(feature).as_str() {
        "" => feature.clone(),
        title => title.to_string(),
    };
    features.iter().map(title).collect()
}

/// One unique name a centroid: up to two features with the largest |z|, as in `high frequency, low recency_days` or
/// `频次高、间隔天数低`. `titles`: what the features are called in that language.
pub(crate) fn segment_names(deviations: &Deviations, titles: &[String], language: Language) -> Vec<String> {
    if deviations.len() == 1 {
        return vec![language.everyone().into()];
    }
    let mut lengths = vec![FEATURES; deviations.len()];
    loop {
        let names: Vec<String> =
            deviations.iter().zip(&lengths).map(|(d, length)| name(d, *length, titles, language)).collect();
        let mut longer = false;
        for (i, n) in names.iter().enumerate() {
            let shared = names.iter().enumerate().any(|(j, other)| i != j && n == other);
            if shared && lengths[i] < deviations[i].len() {
                lengths[i] += 1;
                longer = true;
            }
        }
        if !longer {
            return numbered(names);
        }
    }
}

/// Features by falling |z|, ties in feature order.
fn notable(centroid: &[f64], overall: &[(f64, f64)]) -> Vec<(usize, f64)> {
    let z = centroid.iter().zip(overall).enumerate().filter(|(_, (_, (_, deviation)))| *deviation > 0.0);
    let mut z: Vec<(usize, f64)> = z.map(|(f, (c, (mean, deviation)))| (f, (c - mean) / deviation)).collect();
    z.retain(|(_, z)| z.abs() >= NOTABLE);
    z.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    z
}

fn name(deviations: &[(usize, f64)], length: usize, titles: &[String], language: Language) -> String {
    let words = deviations.iter().take(length);
    let words: Vec<String> = words.map(|(f, z)| language.deviation(*z > 0.0, &titles[*f])).collect();
    if words.is_empty() { language.average().into() } else { words.join(language.comma()) }
}

/// Gives the second and later bearers of a name a number.
fn numbered(names: Vec<String>) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    let unique = names.into_iter().map(|name| {
        let mut candidate = name.clone();
        let mut number = 1;
        while !taken.insert(candidate.clone()) {
            number += 1;
            candidate = format!("{name} {number}");
        }
        candidate
    });
    unique.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rows: &[[f64; 3]], centroids: &[[f64; 3]]) -> Vec<String> {
        let points = Matrix { values: rows.concat(), width: 3 };
        let features = ["recency_days", "frequency", "spend"].map(String::from);
        segment_names(&deviations(&points, &centroids.concat()), &features, Language::English)
    }

    #[test]
    fn chinese_names() {
        let points = Matrix { values: ROWS.concat(), width: 3 };
        let titles = ["间隔天数", "频次", "消费"].map(String::from);
        let centroids = [[-1.0, 2.0, 0.5], [0.1, 0.1, -0.2], [0.0, 0.0, -0.3]].concat();
        assert_eq!(
            segment_names(&deviations(&points, &centroids), &titles, Language::Chinese),
            ["频次高、间隔天数低", "平均", "消费低"]
        );
        assert_eq!(
            segment_names(&deviations(&points, &[5.0, 0.0, 0.0]), &titles, Language::Chinese),
            ["全体"]
        );
    }

    /// Mean 0, deviation 1 in every feature.
    const ROWS: [[f64; 3]; 2] = [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]];

    #[test]
    fn the_two_largest_deviations() {
        assert_eq!(
            names(&ROWS, &[[-1.0, 2.0, 0.5], [0.1, 0.1, -0.2], [0.0, 0.0, -0.3]]),
            ["high frequency, low recency_days", "average", "low spend"]
        );
        assert_eq!(names(&ROWS, &[[5.0, 0.0, 0.0]]), ["everyone"]);
    }

    #[test]
    fn a_third_feature_or_a_number_tells_apart() {
        assert_eq!(
            names(&ROWS, &[[2.0, 1.0, 0.5], [2.0, 1.0, -0.5], [2.0, 1.0, 0.6], [2.0, 1.0, 0.0]]),
            [
                "high recency_days, high frequency, high spend",
                "high recency_days, high frequency, low spend",
                "high recency_days, high frequency, high spend 2",
                "high recency_days, high frequency",
            ]
        );
    }

    #[test]
    fn constant_features_name_nothing() {
        let rows = [[-1.0, 7.0, -1.0], [1.0, 7.0, 1.0]];
        assert_eq!(
            names(&rows, &[[1.0, 7.0, 0.3], [-1.0, 7.0, -0.2]]),
            ["high recency_days, high spend", "low recency_days"]
        );
    }
}
