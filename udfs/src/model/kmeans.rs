//! The k-means model: how features are scaled, where the centroids lie, and what was known of both when it was learned.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int32Type};
use datafusion::common::{Result, ScalarValue, plan_err};

use super::ids::{place_of, validate_ids};
use super::{Fieldwise, Scaling, one_integer_list, one_list, one_number_list, one_struct, one_text_list};
use crate::args::{float_list, integer_list, nullable_fields, text_list};

/// Bins of a feature by which drift is told: tenths of the training sample, and the rows without a value.
pub const BINS: usize = 11;

static CANDIDATE: LazyLock<Fields> = LazyLock::new(|| {
    nullable_fields(&[
        ("k", DataType::Int32),
        ("inertia", DataType::Float64),
        ("silhouette", DataType::Float64),
        ("calinski_harabasz", DataType::Float64),
        ("davies_bouldin", DataType::Float64),
        ("gap", DataType::Float64),
        ("gap_error", DataType::Float64),
        ("stability", DataType::Float64),
        ("largest_share", DataType::Float64),
        ("smallest_share", DataType::Float64),
        ("chosen", DataType::Boolean),
        ("reason", DataType::Utf8),
    ])
});

static MODEL_TYPE: LazyLock<DataType> = LazyLock::new(|| {
    let candidates = Field::new_list_field(DataType::Struct(CANDIDATE.clone()), true);
    let own = [
        ("centroids", float_list()),
        ("segments", integer_list()),
        ("next_segment", DataType::Int32),
        ("names", text_list()),
        ("names_zh", text_list()),
        ("cuts", float_list()),
        ("shares", float_list()),
        ("mean_margin", DataType::Float64),
        ("selection", DataType::List(Arc::new(candidates))),
    ];
    let fields: Vec<_> = Scaling::fields().into_iter().chain(own).collect();
    DataType::Struct(nullable_fields(&fields))
});

/// The Arrow type of a k-means model: a struct of the scaling's `features`, `transforms`, `knots`, `centre`, `scale`,
/// `clips` and `weights`, of `centroids` (k times d numbers, centroid by centroid), `segments`, `names` and `names_zh`
/// (k each), `next_segment`, of `cuts`, `shares` and `mean_margin` of the training sample, and of `selection`, a row for
/// each number of segments that was tried.
pub fn kmeans_model_type() -> DataType {
    MODEL_TYPE.clone()
}

/// A number of segments that was tried, and how it did on the training sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub k: i32,
    /// Sum of squared distances to the nearest centroid.
    pub inertia: f64,
    /// Mean silhouette, plain Euclidean (Rousseeuw 1987).
    pub silhouette: Option<f64>,
    /// Calinski-Harabasz index (1974).
    pub calinski_harabasz: Option<f64>,
    /// Davies-Bouldin index (1979).
    pub davies_bouldin: Option<f64>,
    /// Gap statistic (Tibshirani, Walther, Hastie 2001) and its standard error, when it was computed.
    pub gap: Option<f64>,
    pub gap_error: Option<f64>,
    /// Mean adjusted Rand index between the model and models of bootstrap samples.
    pub stability: Option<f64>,
    /// Share of the sample in the largest and in the smallest segment.
    pub largest_share: f64,
    pub smallest_share: f64,
    /// Whether the model has this number of segments.
    pub chosen: bool,
    /// Why it was chosen, or why not.
    pub reason: String,
}

/// A fitted k-means model over d features with k segments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KmeansModel {
    /// How features are scaled.
    pub scaling: Scaling,
    /// k times d numbers in scaled space, centroid by centroid.
    pub centroids: Vec<f64>,
    /// The ids of the k segments, ascending and from 0; a segment keeps its id when the model is trained anew.
    pub segments: Vec<i32>,
    /// The first id that no segment has ever had.
    pub next_segment: i32,
    /// The names of the k segments, English.
    pub names: Vec<String>,
    /// The names of the k segments, Chinese.
    pub names_zh: Vec<String>,
    /// Nine ascending cut points of each feature, as it comes: the tenths of the training sample.
    pub cuts: Vec<f64>,
    /// The share of the training sample in each of the [`BINS`] bins of each feature.
    pub shares: Vec<f64>,
    /// Mean margin of the training sample: distance to the runner-up minus that to the nearest; NULL for one segment.
    pub mean_margin: Option<f64>,
    /// Every number of segments that was tried.
    pub selection: Vec<Candidate>,
}

impl KmeansModel {
    /// Parses and checks a struct of [`kmeans_model_type`].
    pub fn from_scalar(value: &ScalarValue) -> Result<Self> {
        let fields = Fieldwise::of("k-means", value)?;
        let model = Self {
            scaling: Scaling::read(&fields)?,
            centroids: fields.numbers("centroids")?,
            segments: fields.integers("segments")?,
            next_segment: fields.integer("next_segment")?,
            names: fields.texts("names")?,
            names_zh: fields.texts("names_zh")?,
            cuts: fields.numbers("cuts")?,
            shares: fields.numbers("shares")?,
            mean_margin: fields.optional_number("mean_margin")?,
            selection: read_candidates(&fields.list("selection")?)?,
        };
        model.validate()?;
        Ok(model)
    }

    /// The model as a struct of [`kmeans_model_type`].
    pub fn to_scalar(&self) -> ScalarValue {
        let numbers = |values: &[f64]| one_number_list(values.iter().copied().map(Some));
        let mut columns = self.scaling.columns();
        columns.extend([
            numbers(&self.centroids),
            one_integer_list(&self.segments),
            Arc::new(Int32Array::from(vec![self.next_segment])) as ArrayRef,
            one_text_list(&self.names),
            one_text_list(&self.names_zh),
            numbers(&self.cuts),
            numbers(&self.shares),
            Arc::new(Float64Array::from(vec![self.mean_margin])),
            one_list(Arc::new(candidates(&self.selection))),
        ]);
        one_struct(&MODEL_TYPE, columns)
    }

    /// Refuses a model whose parts do not fit together or hold impossible numbers.
    pub fn validate(&self) -> Result<()> {
        self.scaling.validate("k-means")?;
        let (d, k) = (self.d(), self.k());
        if k == 0 {
            return plan_err!("a k-means model needs at least one segment");
        }
        let parts = [
            ("centroids", self.centroids.len(), d * k),
            ("names", self.names.len(), k),
            ("names_zh", self.names_zh.len(), k),
            ("cuts", self.cuts.len(), d * (BINS - 2)),
            ("shares", self.shares.len(), d * BINS),
        ];
        for (part, length, expected) in parts {
            if length != expected {
                return plan_err!("the k-means model has {length} entries of {part}, expected {expected}");
            }
        }
        validate_ids("k-means", &self.segments, self.next_segment)?;
        match self.centroids.iter().all(|x| x.is_finite()) {
            true => Ok(()),
            false => plan_err!("the k-means model has a centroid that is not finite"),
        }
    }

    /// The number of features.
    pub fn d(&self) -> usize {
        self.scaling.d()
    }

    /// The number of segments.
    pub fn k(&self) -> usize {
        self.segments.len()
    }

    /// One centroid, d numbers in scaled space, by its place in the model.
    pub fn centroid(&self, at: usize) -> &[f64] {
        &self.centroids[at * self.d()..(at + 1) * self.d()]
    }

    /// The nearest centroid's place in the model and its squared distance, and those of the next one, if there is more
    /// than one. Ties go to the lower place; squares are summed from the first feature to the last.
    pub fn nearest_two(&self, scaled: &[f64]) -> (usize, f64, Option<(usize, f64)>) {
        let mut two = NearestTwo::default();
        for (place, centroid) in self.centroids.chunks_exact(self.d().max(1)).enumerate() {
            two.offer(place, squared_distance(scaled, centroid));
        }
        two.found()
    }

    /// The place in the model of the segment with this id.
    ///
    /// # Errors
    /// When the model has no such segment.
    pub fn place(&self, segment: i32) -> Result<usize> {
        place_of("k-means", &self.segments, segment)
    }

    /// The bin of one feature's value: the number of cut points below it; [`BINS`] - 1 for a missing value, which NaN is
    /// too.
    pub fn bin(&self, feature: usize, value: Option<f64>) -> usize {
        const CUTS: usize = BINS - 2;
        match value {
            Some(x) if !x.is_nan() => {
                self.cuts[feature * CUTS..(feature + 1) * CUTS].partition_point(|cut| *cut < x)
            }
            _ => BINS - 1,
        }
    }
}

/// The candidates as structs.
fn candidates(rows: &[Candidate]) -> StructArray {
    let numbers = |of: fn(&Candidate) -> Option<f64>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<Float64Array>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.k))),
        numbers(|row| Some(row.inertia)),
        numbers(|row| row.silhouette),
        numbers(|row| row.calinski_harabasz),
        numbers(|row| row.davies_bouldin),
        numbers(|row| row.gap),
        numbers(|row| row.gap_error),
        numbers(|row| row.stability),
        numbers(|row| Some(row.largest_share)),
        numbers(|row| Some(row.smallest_share)),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.chosen)))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.reason))),
    ];
    StructArray::new(CANDIDATE.clone(), columns, None)
}

/// The candidates of a list of structs.
fn read_candidates(list: &ArrayRef) -> Result<Vec<Candidate>> {
    let wrong = || plan_err!("field 'selection' of the k-means model is not as described");
    let Some(rows) = list.as_struct_opt().filter(|rows| rows.fields() == &*CANDIDATE) else { return wrong() };
    let numbers =
        |name: &str| rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<Float64Type>());
    let number = |name: &str, row: usize| numbers(name).filter(|n| n.is_valid(row)).map(|n| n.value(row));
    let k = rows.column(0).as_primitive::<Int32Type>();
    let chosen = rows.column(10).as_boolean();
    let reasons = rows.column(11).as_string::<i32>();
    let all = (0..rows.len()).map(|row| {
        Some(Candidate {
            k: k.value(row),
            inertia: number("inertia", row)?,
            silhouette: number("silhouette", row),
            calinski_harabasz: number("calinski_harabasz", row),
            davies_bouldin: number("davies_bouldin", row),
            gap: number("gap", row),
            gap_error: number("gap_error", row),
            stability: number("stability", row),
            largest_share: number("largest_share", row)?,
            smallest_share: number("smallest_share", row)?,
            chosen: chosen.value(row),
            reason: reasons.value(row).to_string(),
        })
    });
    match all.collect::<Option<Vec<_>>>() {
        Some(all) => Ok(all),
        None => wrong(),
    }
}

/// The nearest centroid and the next one among those offered by rising place; ties go to the lower place.
#[derive(Debug)]
pub(super) struct NearestTwo {
    winner: (usize, f64),
    runner_up: Option<(usize, f64)>,
}

impl Default for NearestTwo {
    fn default() -> Self {
        Self { winner: (0, f64::INFINITY), runner_up: None }
    }
}

impl NearestTwo {
    #[inline]
    pub fn offer(&mut self, place: usize, squared: f64) {
        if place == 0 {
            self.winner = (place, squared);
        } else if squared < self.winner.1 {
            self.runner_up = Some(self.winner);
            self.winner = (place, squared);
        } else if self.runner_up.is_none_or(|(_, best)| squared < best) {
            self.runner_up = Some((place, squared));
        }
    }

    /// Place and squared distance of the nearest, and those of the next, if there is more than one.
    pub fn found(self) -> (usize, f64, Option<(usize, f64)>) {
        (self.winner.0, self.winner.1, self.runner_up)
    }
}

/// The squared Euclidean distance, summed from the first entry to the last.
#[inline]
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + (x - y) * (x - y))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::Transform;
    use super::super::scaling::tests::plain;
    use super::*;

    /// A model of these centroids whose other parts are as plain as can be.
    pub(crate) fn with_centroids(scaling: Scaling, centroids: Vec<f64>, names: &[&str]) -> KmeansModel {
        let (d, k) = (scaling.d(), names.len());
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        KmeansModel {
            scaling,
            centroids,
            segments: (0..k as i32).collect(),
            next_segment: k as i32,
            names_zh: names.clone(),
            names,
            cuts: vec![0.0; d * (BINS - 2)],
            shares: vec![0.0; d * BINS],
            mean_margin: Some(1.0),
            selection: Vec::new(),
        }
    }

    fn model() -> KmeansModel {
        let mut scaling = plain(&["orders", "spend"], &[10.0, 1.0], &[5.0, 2.0], 3.0);
        scaling.transforms[1] = Transform::Log1p;
        let mut model = with_centroids(scaling, vec![0.0, 0.0, 2.0, 0.0, -2.0, 0.0], &["a", "b", "c"]);
        model.selection = vec![Candidate {
            k: 3,
            inertia: 2.5,
            silhouette: Some(0.5),
            calinski_harabasz: None,
            davies_bouldin: None,
            gap: Some(0.25),
            gap_error: Some(0.125),
            stability: None,
            largest_share: 0.5,
            smallest_share: 0.25,
            chosen: true,
            reason: "the header says so".into(),
        }];
        model
    }

    #[test]
    fn survives_the_scalar() {
        let scalar = model().to_scalar();
        assert_eq!(scalar.data_type(), kmeans_model_type());
        assert_eq!(KmeansModel::from_scalar(&scalar).unwrap(), model());
    }

    #[test]
    fn ties_go_to_the_lower_place() {
        assert_eq!(model().nearest_two(&[1.0, 0.0]), (0, 1.0, Some((1, 1.0))));
        assert_eq!(model().nearest_two(&[0.0, 0.0]), (0, 0.0, Some((1, 4.0))));
        assert_eq!(model().nearest_two(&[-1.5, 0.0]), (2, 0.25, Some((0, 2.25))));
        let mut one = model();
        one.segments.truncate(1);
        one.centroids.truncate(2);
        assert_eq!(one.nearest_two(&[3.0, 4.0]), (0, 25.0, None));
    }

    #[test]
    fn impossible_models_are_refused() {
        type Break = fn(&mut KmeansModel);
        let breaks: [(&str, Break); 9] = [
            ("spend", |m| m.scaling.scale[1] = 0.0),
            ("orders", |m| m.scaling.centre[0] = f64::MAX * 2.0),
            ("clip", |m| m.scaling.clips[0] = -1.0),
            ("weight", |m| m.scaling.weights[1] = 0.0),
            ("transforms", |m| m.scaling.transforms.clear()),
            ("centroids", |m| m.centroids.truncate(2)),
            ("at least one", |m| m.scaling.features.clear()),
            ("ascending", |m| m.segments[1] = 0),
            ("below 2", |m| m.next_segment = 2),
        ];
        for (word, damage) in breaks {
            let mut broken = model();
            damage(&mut broken);
            let message = broken.validate().unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
            assert!(KmeansModel::from_scalar(&broken.to_scalar()).is_err());
        }
        assert!(KmeansModel::from_scalar(&ScalarValue::Null).is_err());
        let null = ScalarValue::try_from(&kmeans_model_type()).unwrap();
        assert!(KmeansModel::from_scalar(&null).is_err());
    }

    #[test]
    fn places_of_segments_and_bins_of_values() {
        let mut model = model();
        model.segments = vec![0, 4, 7];
        assert_eq!(model.place(4).unwrap(), 1);
        let message = model.place(3).unwrap_err().to_string();
        assert!(message.contains("segment 3") && message.contains("0, 4, 7"), "{message}");
        assert!(model.place(-1).is_err());
        model.cuts = (0..18).map(f64::from).collect();
        let bins = [-5.0, 0.0, 0.5, 8.0, 9.0, f64::NAN].map(|x| model.bin(0, Some(x)));
        assert_eq!(bins, [0, 0, 1, 8, 9, 10]);
        assert_eq!((model.bin(1, Some(9.5)), model.bin(1, None)), (1, 10));
    }
}
