//! The factors model: what many features have in common, as a few numbers a row and as tables to read.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue, plan_err};

use super::{Fieldwise, Scaling, one_list, one_number_list, one_struct, one_text_list};
use crate::args::{float_list, nullable_fields, text_list};

static LOADING_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    nullable_fields(&[
        ("factor", DataType::Int32),
        ("feature", DataType::Utf8),
        ("loading", DataType::Float64),
        ("communality", DataType::Float64),
    ])
});

static VARIANCE_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    nullable_fields(&[
        ("factor", DataType::Int32),
        ("name", DataType::Utf8),
        ("kept", DataType::Boolean),
        ("eigenvalue", DataType::Float64),
        ("eigenvalue_share", DataType::Float64),
        ("variance", DataType::Float64),
        ("variance_share", DataType::Float64),
        ("cumulative_share", DataType::Float64),
    ])
});

static REPORT_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    nullable_fields(&[
        ("feature", DataType::Utf8),
        ("rows", DataType::Int64),
        ("known", DataType::Int64),
        ("mean", DataType::Float64),
        ("deviation", DataType::Float64),
        ("minimum", DataType::Float64),
        ("maximum", DataType::Float64),
        ("constant", DataType::Boolean),
        ("nearest", DataType::Utf8),
        ("correlation", DataType::Float64),
        ("redundant", DataType::Boolean),
    ])
});

static MODEL_TYPE: LazyLock<DataType> = LazyLock::new(|| {
    let list_of = |fields: &Fields| {
        DataType::List(Arc::new(Field::new_list_field(DataType::Struct(fields.clone()), true)))
    };
    let own = [
        ("means", float_list()),
        ("score_weights", float_list()),
        ("names", text_list()),
        ("loadings", list_of(&LOADING_FIELDS)),
        ("variances", list_of(&VARIANCE_FIELDS)),
        ("report", list_of(&REPORT_FIELDS)),
    ];
    let fields: Vec<_> = Scaling::fields().into_iter().chain(own).collect();
    DataType::Struct(nullable_fields(&fields))
});

/// The Arrow type of a factors model: a struct of the scaling's fields for d features, of `means` (d), `score_weights` (m
/// times d numbers, factor by factor), `names` (m), and three tables as lists of structs: `loadings` ([`Loading`]), `variances` ([`FactorVariance`]) and `report` ([`FeatureReport`]).
pub fn factors_model_type() -> DataType {
    MODEL_TYPE.clone()
}

/// How a row of d features becomes m scores.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorScorer {
    /// How features are brought to a common unit.
    pub scaling: Scaling,
    /// The mean of each prepared feature.
    pub means: Vec<f64>,
    /// m times d numbers, factor by factor: what a unit of a prepared feature adds to a factor's score.
    pub weights: Vec<f64>,
    /// The names of the m factors.
    pub names: Vec<String>,
}

/// How much a feature has to do with a factor.
#[derive(Debug, Clone, PartialEq)]
pub struct Loading {
    /// From 1.
    pub factor: i32,
    pub feature: String,
    /// Covariance of the prepared feature and the factor of variance 1: their correlation where features are
    /// standardised.
    pub loading: f64,
    /// Share of the feature's variance that all factors together explain; 0 for a feature that does not vary.
    pub communality: f64,
}

/// How much of the features' variance a factor explains.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorVariance {
    /// From 1.
    pub factor: i32,
    /// `None` for a component that is not kept.
    pub name: Option<String>,
    /// Of the correlation or covariance matrix, the largest first.
    pub eigenvalue: f64,
    /// The eigenvalue's share of their sum.
    pub eigenvalue_share: f64,
    /// Sum of the factor's squared loadings, and its share of the variance of all features; `None` when not kept.
    pub variance: Option<(f64, f64)>,
    /// The share of this factor and those before it; `None` when not kept.
    pub cumulative_share: Option<f64>,
}

/// What the training rows hold of a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureReport {
    pub feature: String,
    /// Training rows.
    pub rows: u64,
    /// Of them, rows with a value that is neither NULL nor NaN.
    pub known: u64,
    /// Mean and standard deviation (divisor n) of finite values; `None` without any.
    pub mean_and_deviation: Option<(f64, f64)>,
    /// Least and greatest known value; `None` without any.
    pub range: Option<(f64, f64)>,
    /// Whether the prepared feature is the same for all rows.
    pub constant: bool,
    /// The other feature of largest absolute correlation (Pearson) among prepared values, and that correlation.
    pub nearest: Option<(String, f64)>,
    /// Whether that correlation says that one of the two adds nearly nothing.
    pub redundant: bool,
}

/// A fitted factors model.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorsModel {
    pub scorer: FactorScorer,
    /// By factor, then in the features' order.
    pub loadings: Vec<Loading>,
    /// One for each eigenvalue, in their order; the first m are kept.
    pub variances: Vec<FactorVariance>,
    /// One for each feature.
    pub report: Vec<FeatureReport>,
}

impl FactorScorer {
    /// Parses and checks what scores are made from in a struct of [`factors_model_type`].
    ///
    /// # Errors
    /// For a value of another type, NULL, and parts that do not fit together.
    pub fn from_scalar(value: &ScalarValue) -> Result<Self> {
        let fields = Fieldwise::of("factors", value)?;
        let scorer = Self {
            scaling: Scaling::read(&fields)?,
            means: fields.numbers("means")?,
            weights: fields.numbers("score_weights")?,
            names: fields.texts("names")?,
        };
        scorer.validate()?;
        Ok(scorer)
    }

    /// Refuses parts that do not fit together or hold impossible numbers.
    ///
    /// # Errors
    /// That say which part.
    pub fn validate(&self) -> Result<()> {
        self.scaling.validate("factors")?;
        let (d, m) = (self.scaling.d(), self.m());
        if m == 0 {
            return plan_err!("a factors model needs at least one factor");
        }
        for (part, length, expected) in
            [("means", self.means.len(), d), ("score_weights", self.weights.len(), d * m)]
        {
            if length != expected {
                return plan_err!(
                    "the factors model of {d} features and {m} factors has {length} entries of {part}, not {expected}"
                );
            }
        }
        Ok(())
    }

    /// The number of factors.
    pub fn m(&self) -> usize {
        self.names.len()
    }

    /// The score of each factor for a row of d prepared features, each summed from the first feature to the last.
    pub fn scores<'a>(&'a self, prepared: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.weights.chunks_exact(self.scaling.d()).map(|weights| {
            let centred = prepared.iter().zip(&self.means).map(|(value, mean)| value - mean);
            centred.zip(weights).fold(0.0, |sum, (value, weight)| sum + value * weight)
        })
    }
}

impl FactorsModel {
    /// The model as a struct of [`factors_model_type`].
    pub fn to_scalar(&self) -> ScalarValue {
        let FactorScorer { scaling, means, weights, names } = &self.scorer;
        let numbers = |numbers: &[f64]| one_number_list(numbers.iter().copied().map(Some));
        let mut columns = scaling.columns();
        columns.extend([
            numbers(means),
            numbers(weights),
            one_text_list(names),
            one_table(&LOADING_FIELDS, self.loading_columns()),
            one_table(&VARIANCE_FIELDS, self.variance_columns()),
            one_table(&REPORT_FIELDS, self.report_columns()),
        ]);
        one_struct(&MODEL_TYPE, columns)
    }

    fn loading_columns(&self) -> Vec<ArrayRef> {
        let of = &self.loadings;
        vec![
            Arc::new(Int32Array::from_iter_values(of.iter().map(|row| row.factor))),
            Arc::new(StringArray::from_iter_values(of.iter().map(|row| &row.feature))),
            Arc::new(Float64Array::from_iter_values(of.iter().map(|row| row.loading))),
            Arc::new(Float64Array::from_iter_values(of.iter().map(|row| row.communality))),
        ]
    }

    fn variance_columns(&self) -> Vec<ArrayRef> {
        let of = &self.variances;
        vec![
            Arc::new(Int32Array::from_iter_values(of.iter().map(|row| row.factor))),
            Arc::new(StringArray::from_iter(of.iter().map(|row| row.name.as_ref()))),
            Arc::new(BooleanArray::from_iter(of.iter().map(|row| Some(row.variance.is_some())))),
            Arc::new(Float64Array::from_iter_values(of.iter().map(|row| row.eigenvalue))),
            Arc::new(Float64Array::from_iter_values(of.iter().map(|row| row.eigenvalue_share))),
            Arc::new(Float64Array::from_iter(of.iter().map(|row| row.variance.map(|(sum, _)| sum)))),
            Arc::new(Float64Array::from_iter(of.iter().map(|row| row.variance.map(|(_, share)| share)))),
            Arc::new(Float64Array::from_iter(of.iter().map(|row| row.cumulative_share))),
        ]
    }

    fn report_columns(&self) -> Vec<ArrayRef> {
        let of = &self.report;
        let numbers = |number: fn(&FeatureReport) -> Option<f64>| -> ArrayRef {
            Arc::new(Float64Array::from_iter(of.iter().map(number)))
        };
        vec![
            Arc::new(StringArray::from_iter_values(of.iter().map(|row| &row.feature))),
            Arc::new(Int64Array::from_iter_values(of.iter().map(|row| row.rows as i64))),
            Arc::new(Int64Array::from_iter_values(of.iter().map(|row| row.known as i64))),
            numbers(|row| row.mean_and_deviation.map(|(mean, _)| mean)),
            numbers(|row| row.mean_and_deviation.map(|(_, deviation)| deviation)),
            numbers(|row| row.range.map(|(least, _)| least)),
            numbers(|row| row.range.map(|(_, most)| most)),
            Arc::new(BooleanArray::from_iter(of.iter().map(|row| Some(row.constant)))),
            Arc::new(StringArray::from_iter(of.iter().map(|row| row.nearest.as_ref().map(|(name, _)| name)))),
            numbers(|row| row.nearest.as_ref().map(|(_, correlation)| *correlation)),
            Arc::new(BooleanArray::from_iter(of.iter().map(|row| Some(row.redundant)))),
        ]
    }
}

/// A list of one row whose items are the rows of these columns.
fn one_table(fields: &Fields, columns: Vec<ArrayRef>) -> ArrayRef {
    one_list(Arc::new(StructArray::new(fields.clone(), columns, None)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::Transform;
    use super::super::scaling::tests::plain;
    use super::*;

    pub(crate) fn model() -> FactorsModel {
        FactorsModel {
            scorer: FactorScorer {
                scaling: Scaling {
                    transforms: vec![Transform::None, Transform::Log1p],
                    ..plain(&["orders", "spend"], &[10.0, 1.0], &[5.0, 2.0], 3.0)
                },
                means: vec![0.5, 0.0],
                weights: vec![1.0, 2.0, -1.0, 0.0],
                names: vec!["high spend".into(), "low orders".into()],
            },
            loadings: vec![Loading {
                factor: 1,
                feature: "spend".into(),
                loading: 0.75,
                communality: 0.5625,
            }],
            variances: vec![FactorVariance {
                factor: 2,
                name: None,
                eigenvalue: 0.5,
                eigenvalue_share: 0.25,
                variance: None,
                cumulative_share: None,
            }],
            report: vec![FeatureReport {
                feature: "spend".into(),
                rows: 9,
                known: 7,
                mean_and_deviation: Some((1.0, 2.0)),
                range: None,
                constant: false,
                nearest: Some(("orders".into(), -0.96)),
                redundant: true,
            }],
        }
    }

    #[test]
    fn what_scores_are_made_from_survives_the_scalar() {
        let scalar = model().to_scalar();
        assert_eq!(scalar.data_type(), factors_model_type());
        assert_eq!(FactorScorer::from_scalar(&scalar).unwrap(), model().scorer);
    }

    #[test]
    fn scores_are_weighted_sums_of_what_differs_from_the_mean() {
        let scorer = model().scorer;
        assert_eq!(scorer.scores(&[1.5, 0.25]).collect::<Vec<_>>(), [1.5, -1.0]);
    }

    #[test]
    fn broken_models_are_refused() {
        type Damage = fn(&mut FactorScorer);
        let breaks: [(&str, Damage); 7] = [
            ("at least one", |m| m.names.clear()),
            ("weights", |m| m.names.truncate(1)),
            ("means", |m| m.means.truncate(1)),
            ("centre", |m| m.scaling.centre.truncate(1)),
            ("spend", |m| m.scaling.scale[1] = 0.0),
            ("clip", |m| m.scaling.clips[0] = -1.0),
            ("finite", |m| m.weights[3] = f64::NAN),
        ];
        for (word, damage) in breaks {
            let mut broken = model();
            damage(&mut broken.scorer);
            let message = FactorScorer::from_scalar(&broken.to_scalar()).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
        let null = ScalarValue::try_from(&factors_model_type()).unwrap();
        assert!(FactorScorer::from_scalar(&null).unwrap_err().to_string().contains("model is NULL"));
        let kmeans = ScalarValue::from(1.0);
        assert!(FactorScorer::from_scalar(&kmeans).unwrap_err().to_string().contains("must be a struct"));
    }
}
