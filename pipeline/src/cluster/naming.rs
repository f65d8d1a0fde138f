//! Names segments after the features and tags in which they differ most from everyone.

use std::collections::HashSet;

use super::header::{ByFeature, Header, bad};
use super::sample::Sample;
use super::scale::Matrix;
use crate::Result;

/// A deviation of less than this many standard deviations is not worth a name.
const NOTABLE: f64 = 0.25;

/// Features and tags in a name, unless more are needed to tell two segments apart.
const WORDS: usize = 2;

/// What segments are named after, as a stage's header says.
#[derive(Debug, Clone, PartialEq)]
pub struct Naming {
    /// Columns of the training rows that are true or false: not learned from, but segments that have one far more or less
    /// often than everyone are named after it. Header key `tags`: `hesitant, price_sensitive`.
    pub tags: Vec<String>,
    /// Chinese names of features and tags. Header key `titles_zh`: `orders=订单数`.
    pub titles_zh: ByFeature<String>,
}

impl Default for Naming {
    fn default() -> Self {
        Naming { tags: Vec::new(), titles_zh: ByFeature::all(String::new()) }
    }
}

impl Naming {
    /// The keys of a stage's header.
    pub(crate) const KEYS: [&'static str; 2] = ["tags", "titles_zh"];

    pub(crate) fn from_header(header: &Header) -> Result<Self> {
        let title = |text: &str| (!text.is_empty()).then(|| text.to_string());
        let titles_zh = ByFeature::from_header(header, "titles_zh", String::new(), title, "title")?;
        let Some(text) = header.get("tags") else { return Ok(Naming { titles_zh, ..Naming::default() }) };
        let tags: Vec<String> = text.split(',').map(|tag| tag.trim().to_string()).collect();
        let different: HashSet<&String> = tags.iter().collect();
        if different.len() < tags.len() || tags.iter().any(String::is_empty) {
            return Err(bad("tags", text, "names of columns, separated by commas, each once"));
        }
        Ok(Naming { tags, titles_zh })
    }

    pub(crate) fn describe(&self) -> String {
        let Naming { tags, titles_zh } = self;
        format!("tags={} titles_zh={titles_zh}", tags.join(","))
    }

    /// English and Chinese names of the groups into which the sample falls. `points` are its rows as the model scales them,
    /// `labels` the group of each, `means` the groups' means of `points`, one after the other.
    ///
    /// # Errors
    /// [`Error::Usage`] for a title of what is neither feature nor tag.
    pub(crate) fn names(
        &self,
        sample: &Sample,
        points: &Matrix,
        labels: &[Option<u32>],
        means: &[f64],
    ) -> Result<[Vec<String>; 2]> {
        let named: Vec<String> = sample.features.iter().chain(&sample.tags).cloned().collect();
        self.titles_zh.check("titles_zh", &named)?;
        let title = |name: &String| match self.titles_zh.of(name).as_str() {
            "" => name.clone(),
            title => title.to_string(),
        };
        let titles_zh: Vec<String> = named.iter().map(title).collect();
        let groups = means.len() / points.width;
        let mut deviations = deviations(points, means);
        for (group, tags) in deviations.iter_mut().zip(tag_deviations(sample, labels, groups)) {
            group.extend(tags.into_iter().map(|(tag, z)| (points.width + tag, z)));
            by_size(group);
        }
        let words = [(&named, Language::English), (&titles_zh, Language::Chinese)];
        Ok(words.map(|(titles, language)| segment_names(&deviations, titles, points.width, language)))
    }
}

/// The words of a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    English,
    Chinese,
}

impl Language {
    fn feature(self, above: bool, feature: &str) -> String {
        match (self, above) {
            (Language::English, true) => format!("high {feature}"),
            (Language::English, false) => format!("low {feature}"),
            (Language::Chinese, true) => format!("{feature}高"),
            (Language::Chinese, false) => format!("{feature}低"),
        }
    }

    fn tag(self, above: bool, tag: &str) -> String {
        match (self, above) {
            (_, true) => tag.to_string(),
            (Language::English, false) => format!("not {tag}"),
            (Language::Chinese, false) => format!("非{tag}"),
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

/// What tells each group from everyone: features, and after them tags, by falling |z|, ties in their order. z is the
/// distance of the group's mean from the mean of all rows in standard deviations of all rows; of a tag, of its shares.
type Deviations = Vec<Vec<(usize, f64)>>;

/// The notable deviations of each mean.
fn deviations(points: &Matrix, means: &[f64]) -> Deviations {
    let overall = points.moments();
    means.chunks_exact(points.width).map(|mean| notable(mean, &overall)).collect()
}

/// The notable deviations of each group's shares of tags, among the rows of which it is known whether they have them.
fn tag_deviations(sample: &Sample, labels: &[Option<u32>], groups: usize) -> Deviations {
    let width = sample.tags.len();
    let mut known = vec![[0u64; 2]; (groups + 1) * width];
    for (row, label) in sample.rows.iter().zip(labels) {
        for (tag, value) in row.tags.iter().enumerate() {
            let Some(value) = value else { continue };
            let counted = label.map(|label| label as usize).filter(|group| *group < groups);
            for group in counted.into_iter().chain([groups]) {
                known[group * width + tag][usize::from(*value)] += 1;
            }
        }
    }
    let share = |[without, with]: [u64; 2]| with as f64 / (without + with) as f64;
    let everyone = &known[groups * width..];
    let group = |group: usize| {
        let tags = known[group * width..(group + 1) * width].iter().zip(everyone).enumerate();
        let z = tags.map(|(tag, (here, all))| {
            let base = share(*all);
            (tag, (share(*here) - base) / (base * (1.0 - base)).sqrt())
        });
        z.filter(|(_, z)| z.is_finite() && z.abs() >= NOTABLE).collect()
    };
    (0..groups).map(group).collect()
}

/// One unique name a group: up to two features and tags with the largest |z|, as in `high frequency, not hesitant` or
/// `频次高、非犹豫型`. `titles`: what they are called in that language, `features` of them features.
fn segment_names(
    deviations: &Deviations,
    titles: &[String],
    features: usize,
    language: Language,
) -> Vec<String> {
    if deviations.len() == 1 {
        return vec![language.everyone().into()];
    }
    let mut lengths = vec![WORDS; deviations.len()];
    loop {
        let words = deviations.iter().zip(&lengths);
        let names: Vec<String> =
            words.map(|(d, length)| name(&d[..d.len().min(*length)], titles, features, language)).collect();
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
fn notable(mean: &[f64], overall: &[(f64, f64)]) -> Vec<(usize, f64)> {
    let z = mean.iter().zip(overall).enumerate().filter(|(_, (_, (_, deviation)))| *deviation > 0.0);
    let mut z: Vec<(usize, f64)> = z.map(|(f, (c, (mean, deviation)))| (f, (c - mean) / deviation)).collect();
    z.retain(|(_, z)| z.abs() >= NOTABLE);
    by_size(&mut z);
    z
}

fn by_size(z: &mut [(usize, f64)]) {
    z.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
}

fn name(deviations: &[(usize, f64)], titles: &[String], features: usize, language: Language) -> String {
    let word = |(at, z): &(usize, f64)| match *at < features {
        true => language.feature(*z > 0.0, &titles[*at]),
        false => language.tag(*z > 0.0, &titles[*at]),
    };
    let words: Vec<String> = deviations.iter().map(word).collect();
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
    use super::super::scale::tests::sample;
    use super::*;

    fn names(rows: &[[f64; 3]], centroids: &[[f64; 3]]) -> Vec<String> {
        let points = Matrix { values: rows.concat(), width: 3 };
        let features = ["recency_days", "frequency", "spend"].map(String::from);
        segment_names(&deviations(&points, &centroids.concat()), &features, 3, Language::English)
    }

    #[test]
    fn chinese_names() {
        let points = Matrix { values: ROWS.concat(), width: 3 };
        let titles = ["间隔天数", "频次", "消费"].map(String::from);
        let centroids = [[-1.0, 2.0, 0.5], [0.1, 0.1, -0.2], [0.0, 0.0, -0.3]].concat();
        assert_eq!(
            segment_names(&deviations(&points, &centroids), &titles, 3, Language::Chinese),
            ["频次高、间隔天数低", "平均", "消费低"]
        );
        assert_eq!(
            segment_names(&deviations(&points, &[5.0, 0.0, 0.0]), &titles, 3, Language::Chinese),
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

    /// Two groups of one feature: half of the first are hesitant, none of the second, one in ten of both is new; of the last
    /// row nothing is known.
    #[test]
    fn a_tag_that_is_far_more_or_less_often_names_a_group() {
        let rows: Vec<[f64; 1]> = (0..41).map(|i| [if i < 20 { 0.9 } else { 1.1 }]).collect();
        let slices: Vec<&[f64]> = rows.iter().map(|row| row.as_slice()).collect();
        let mut sample = sample(&["spend"], &slices);
        sample.tags = ["hesitant", "new"].map(String::from).to_vec();
        for (i, row) in sample.rows.iter_mut().enumerate() {
            row.tags = [i % 2 == 0 && i < 20, i % 10 == 0].map(|tag| (i < 40).then_some(tag)).into();
        }
        let points = Matrix { values: rows.concat(), width: 1 };
        let labels: Vec<Option<u32>> = (0..41).map(|i| Some(u32::from(i >= 20))).collect();
        // half against a quarter of everyone, in deviations of a quarter: .25 / sqrt(.25 * .75)
        let z = tag_deviations(&sample, &labels, 2);
        assert_eq!(z[0].len(), 1);
        assert!((z[0][0].1 - 0.25 / (0.25f64 * 0.75).sqrt()).abs() < 1e-12, "{z:?}");
        let titles = ["spend=消费", "hesitant=犹豫型"].join(",");
        let header = [("tags", "hesitant, new"), ("titles_zh", titles.as_str())];
        let header: Header = header.map(|(key, value)| (key.to_string(), value.to_string())).into();
        let naming = Naming::from_header(&header).unwrap();
        let [names, names_zh] = naming.names(&sample, &points, &labels, &[1.0, 1.1]).unwrap();
        assert_eq!(names, ["hesitant", "high spend, not hesitant"]);
        assert_eq!(names_zh, ["犹豫型", "消费高、非犹豫型"]);
        let naming = Naming {
            titles_zh: ByFeature { named: vec![("spent".into(), "费".into())], ..naming.titles_zh },
            ..naming
        };
        let error = naming.names(&sample, &points, &labels, &[1.0, 1.1]).unwrap_err();
        assert!(error.to_string().contains("`titles_zh: spent=...`"), "{error}");
    }

    #[test]
    fn tags_are_read_once_each() {
        for text in ["a, b, a", "a,,b", ""] {
            let header: Header = [("tags".to_string(), text.to_string())].into();
            let error = Naming::from_header(&header).unwrap_err();
            assert!(
                error.to_string().contains(&format!("header `tags: {text}`: give names of columns")),
                "{error}"
            );
        }
    }
}
