//! The model of dense segments: how features are scaled, core points that stand for the members of each segment, and how
//! good the segments were when it was learned.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int32Type, Int64Type};
use datafusion::common::{Result, ScalarValue, plan_err};

use super::ids::{place_of, validate_ids};
use super::{Fieldwise, Scaling, one_integer_list, one_list, one_number_list, one_struct, one_text_list};
use crate::args::{float_list, integer_list, nullable_fields, text_list};

static QUALITY: LazyLock<Fields> = LazyLock::new(|| {
    nullable_fields(&[
        ("segment", DataType::Int32),
        ("rows", DataType::Int64),
        ("stability", DataType::Float64),
        ("probability", DataType::Float64),
    ])
});

static MODEL_TYPE: LazyLock<DataType> = LazyLock::new(|| {
    let qualities = Field::new_list_field(DataType::Struct(QUALITY.clone()), true);
    let own = [
        ("points", float_list()),
        ("places", integer_list()),
        ("radii", float_list()),
        ("segments", integer_list()),
        ("next_segment", DataType::Int32),
        ("names", text_list()),
        ("names_zh", text_list()),
        ("noise_share", DataType::Float64),
        ("largest_share", DataType::Float64),
        ("bootstrap_stability", DataType::Float64),
        ("quality", DataType::List(Arc::new(qualities))),
    ];
    let fields: Vec<_> = Scaling::fields().into_iter().chain(own).collect();
    DataType::Struct(nullable_fields(&fields))
});

/// The Arrow type of a density model: a struct of the scaling's fields, of `points` (m times d numbers, point by point),
/// `places` and `radii` (m each), `segments`, `names` and `names_zh` (k each), `next_segment`, of `noise_share`,
/// `largest_share` and `bootstrap_stability` of the training sample, and of `quality`, a row for each segment.
pub fn density_model_type() -> DataType {
    MODEL_TYPE.clone()
}

/// How good a dense segment is, by the training sample.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentQuality {
    /// The id of the segment.
    pub segment: i32,
    /// Rows of the sample in it.
    pub rows: i64,
    /// Excess of mass (Campello, Moulavi, Sander 2013): how long it lasts as density rises, times its rows.
    pub stability: f64,
    /// Mean of how deep its rows lie in it, from 0 to 1.
    pub probability: f64,
}

/// A density model over d features with k segments and m core points.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DensityModel {
    /// How features are scaled.
    pub scaling: Scaling,
    /// m times d numbers in scaled space, point by point.
    pub points: Vec<f64>,
    /// The place of each core point's segment in `segments`; never falling, and each at least once.
    pub places: Vec<i32>,
    /// How far a row may be from each core point to belong to its segment, in scaled space; from 0.
    pub radii: Vec<f64>,
    /// The ids of the k segments, ascending and from 0; a segment keeps its id when the model is trained anew.
    pub segments: Vec<i32>,
    /// The first id that no segment has ever had.
    pub next_segment: i32,
    /// The names of the k segments, English.
    pub names: Vec<String>,
    /// The names of the k segments, Chinese.
    pub names_zh: Vec<String>,
    /// Share of the training sample that is noise.
    pub noise_share: f64,
    /// Share of the training sample in the largest segment.
    pub largest_share: f64,
    /// Mean adjusted Rand index between the segments and those of halves of the sample; NULL where it was not measured.
    pub bootstrap_stability: Option<f64>,
    /// How good each of the k segments is.
    pub quality: Vec<SegmentQuality>,
}

impl DensityModel {
    /// Parses and checks a struct of [`density_model_type`].
    pub fn from_scalar(value: &ScalarValue) -> Result<Self> {
        let fields = Fieldwise::of("density", value)?;
        let model = Self {
            scaling: Scaling::read(&fields)?,
            points: fields.numbers("points")?,
            places: fields.integers("places")?,
            radii: fields.numbers("radii")?,
            segments: fields.integers("segments")?,
            next_segment: fields.integer("next_segment")?,
            names: fields.texts("names")?,
            names_zh: fields.texts("names_zh")?,
            noise_share: fields.number("noise_share")?,
            largest_share: fields.number("largest_share")?,
            bootstrap_stability: fields.optional_number("bootstrap_stability")?,
            quality: read_qualities(&fields.list("quality")?)?,
        };
        model.validate()?;
        Ok(model)
    }

    /// The model as a struct of [`density_model_type`].
    pub fn to_scalar(&self) -> ScalarValue {
        let numbers = |values: &[f64]| one_number_list(values.iter().copied().map(Some));
        let number = |value: Option<f64>| Arc::new(Float64Array::from(vec![value]));
        let mut columns = self.scaling.columns();
        columns.extend([
            numbers(&self.points),
            one_integer_list(&self.places),
            numbers(&self.radii),
            one_integer_list(&self.segments),
            Arc::new(Int32Array::from(vec![self.next_segment])) as ArrayRef,
            one_text_list(&self.names),
            one_text_list(&self.names_zh),
            number(Some(self.noise_share)),
            number(Some(self.largest_share)),
            number(self.bootstrap_stability),
            one_list(Arc::new(qualities(&self.quality))),
        ]);
        one_struct(&MODEL_TYPE, columns)
    }

    /// Refuses a model whose parts do not fit together or hold impossible numbers.
    pub fn validate(&self) -> Result<()> {
        self.scaling.validate("density")?;
        let (d, m, k) = (self.d(), self.places.len(), self.k());
        if k == 0 {
            return plan_err!("a density model needs at least one segment");
        }
        let parts = [
            ("points", self.points.len(), m * d),
            ("radii", self.radii.len(), m),
            ("names", self.names.len(), k),
            ("names_zh", self.names_zh.len(), k),
        ];
        for (part, length, expected) in parts {
            if length != expected {
                return plan_err!("the density model has {length} entries of {part}, expected {expected}");
            }
        }
        validate_ids("density", &self.segments, self.next_segment)?;
        if !self.quality.iter().map(|quality| quality.segment).eq(self.segments.iter().copied()) {
            return plan_err!(
                "the density model must have the quality of each of its segments, in their order"
            );
        }
        let first = self.places.first() == Some(&0);
        let steps =
            self.places.windows(2).all(|pair| pair[1] == pair[0] || Some(pair[1]) == pair[0].checked_add(1));
        let last = self.places.last().is_some_and(|last| usize::try_from(*last).is_ok_and(|l| l + 1 == k));
        if !(first && steps && last) {
            return plan_err!(
                "the places of the density model's core points must rise from 0 to one less than its {k} segments, \
                 without a gap"
            );
        }
        if !self.points.iter().all(|x| x.is_finite()) {
            return plan_err!("the density model has a core point that is not finite");
        }
        match self.radii.iter().find(|radius| !(**radius >= 0.0 && radius.is_finite())) {
            None => Ok(()),
            Some(radius) => plan_err!("the density model has a core point with the radius {radius}"),
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

    /// One core point, d numbers in scaled space.
    pub fn point(&self, point: usize) -> &[f64] {
        &self.points[point * self.d()..(point + 1) * self.d()]
    }

    /// Whether a row at this squared distance from its nearest core point belongs to the point's segment.
    pub fn covers(&self, point: usize, squared: f64) -> bool {
        squared.sqrt() <= self.radii[point]
    }

    /// The id of a core point's segment.
    pub fn segment(&self, point: usize) -> i32 {
        self.segments[self.places[point] as usize]
    }

    /// The place in the model of the segment with this id.
    ///
    /// # Errors
    /// When the model has no such segment.
    pub fn place(&self, segment: i32) -> Result<usize> {
        place_of("density", &self.segments, segment)
    }
}

/// The qualities as structs.
fn qualities(rows: &[SegmentQuality]) -> StructArray {
    let numbers = |of: fn(&SegmentQuality) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(rows.iter().map(of)))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.segment))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.rows))),
        numbers(|row| row.stability),
        numbers(|row| row.probability),
    ];
    StructArray::new(QUALITY.clone(), columns, None)
}

/// The qualities of a list of structs.
fn read_qualities(list: &ArrayRef) -> Result<Vec<SegmentQuality>> {
    let rows = list.as_struct_opt().filter(|rows| rows.fields() == &*QUALITY);
    let Some(rows) = rows.filter(|rows| rows.columns().iter().all(|column| column.null_count() == 0)) else {
        return plan_err!("field 'quality' of the density model is not as described");
    };
    let segments = rows.column(0).as_primitive::<Int32Type>();
    let counts = rows.column(1).as_primitive::<Int64Type>();
    let stabilities = rows.column(2).as_primitive::<Float64Type>();
    let probabilities = rows.column(3).as_primitive::<Float64Type>();
    let quality = |row| SegmentQuality {
        segment: segments.value(row),
        rows: counts.value(row),
        stability: stabilities.value(row),
        probability: probabilities.value(row),
    };
    Ok((0..rows.len()).map(quality).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::scaling::tests::plain;
    use super::*;

    /// Two features as they come; three core points of segment 0, one of segment 1.
    pub(crate) fn model() -> DensityModel {
        DensityModel {
            scaling: plain(&["x", "y"], &[0.0; 2], &[1.0; 2], 100.0),
            points: vec![0.0, 0.0, 4.0, 0.0, 8.0, 0.0, 0.0, 10.0],
            places: vec![0, 0, 0, 1],
            radii: vec![2.0, 2.0, 1.0, 3.0],
            segments: vec![0, 1],
            next_segment: 2,
            names: vec!["long".into(), "round".into()],
            names_zh: vec!["长".into(), "圆".into()],
            noise_share: 0.25,
            largest_share: 0.5,
            bootstrap_stability: Some(0.875),
            quality: vec![quality(0, 6), quality(1, 3)],
        }
    }

    pub(crate) fn quality(segment: i32, rows: i64) -> SegmentQuality {
        SegmentQuality { segment, rows, stability: 2.5, probability: 0.75 }
    }

    /// The model with all its points in one segment.
    pub(crate) fn one_segment() -> DensityModel {
        let mut one = model();
        one.places = vec![0; 4];
        one.segments.truncate(1);
        one.names.truncate(1);
        one.names_zh.truncate(1);
        one.quality.truncate(1);
        one
    }

    #[test]
    fn survives_the_scalar() {
        let scalar = model().to_scalar();
        assert_eq!(scalar.data_type(), density_model_type());
        assert_eq!(DensityModel::from_scalar(&scalar).unwrap(), model());
        let unmeasured = DensityModel { bootstrap_stability: None, ..model() };
        assert_eq!(DensityModel::from_scalar(&unmeasured.to_scalar()).unwrap(), unmeasured);
    }

    #[test]
    fn impossible_models_are_refused() {
        type Break = fn(&mut DensityModel);
        let breaks: [(&str, Break); 13] = [
            ("'y'", |m| m.scaling.scale[1] = 0.0),
            ("entries of points", |m| m.points.truncate(7)),
            ("entries of radii", |m| m.radii.truncate(1)),
            ("without a gap", |m| m.places[1] = 1),
            ("without a gap", |m| m.places = vec![0; 4]),
            ("at least one", |m| m.segments.clear()),
            ("entries of names,", |m| m.names.truncate(1)),
            ("entries of names_zh", |m| m.names_zh.clear()),
            ("ascending", |m| m.segments = vec![1, 0]),
            ("below 1", |m| m.next_segment = 1),
            ("quality", |m| m.quality[1].segment = 3),
            ("finite", |m| m.points[3] = f64::INFINITY),
            ("radius -1", |m| m.radii[0] = -1.0),
        ];
        for (word, damage) in breaks {
            let mut broken = model();
            damage(&mut broken);
            let message = broken.validate().unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
            assert!(DensityModel::from_scalar(&broken.to_scalar()).is_err());
        }
        let null = ScalarValue::try_from(&density_model_type()).unwrap();
        assert!(DensityModel::from_scalar(&null).is_err());
    }

    #[test]
    fn places_of_segments() {
        let mut refit = model();
        (refit.segments, refit.next_segment) = (vec![4, 7], 9);
        assert_eq!((refit.place(7).unwrap(), refit.segment(0), refit.segment(3)), (1, 4, 7));
        let message = refit.place(1).unwrap_err().to_string();
        assert!(message.contains("segment 1") && message.contains("4, 7"), "{message}");
    }
}
