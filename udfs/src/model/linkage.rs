//! The linkage model: how often fields agree for two records of one person, and by chance (Fellegi and Sunter 1969).

use std::sync::{Arc, LazyLock};

use arrow::array::Float64Array;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, plan_err};

use super::{Fieldwise, one_number_list, one_struct, one_text_list};
use crate::args::{float_list, nullable_fields, text_list};

static MODEL_TYPE: LazyLock<DataType> = LazyLock::new(|| {
    DataType::Struct(nullable_fields(&[
        ("fields", text_list()),
        ("levels", float_list()),
        ("m", float_list()),
        ("u", float_list()),
        ("h", float_list()),
        ("prior", DataType::Float64),
        ("household_prior", DataType::Float64),
    ]))
});

/// The Arrow type of a linkage model: a struct of `fields`, `levels` (number of levels of each field), `m`, `u` and `h`
/// (an entry each level, field by field), `prior` and `household_prior`.
pub fn linkage_model_type() -> DataType {
    MODEL_TYPE.clone()
}

/// How often each level of agreement occurs among pairs of records of one person, of two strangers, and of two members of
/// a household.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkageModel {
    /// The names of the fields that are compared.
    pub fields: Vec<String>,
    /// Levels of agreement of each field, at least 2: level 0 is disagreement, the last one equality.
    pub levels: Vec<usize>,
    /// Probability of each level for two records of one person, field by field; above 0.
    pub m: Vec<f64>,
    /// Probability of each level for records of two strangers, field by field; above 0.
    pub u: Vec<f64>,
    /// Probability of each level for records of two members of a household, field by field; above 0.
    pub h: Vec<f64>,
    /// Probability that any two records are of one person; between 0 and 1.
    pub prior: f64,
    /// Probability that any two records are of two members of a household; 0 where households are not told apart.
    pub household_prior: f64,
}

/// What a pair's levels of agreement say, in bits: log2 of odds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MatchWeights {
    /// The odds that the two are one person's, against everything else.
    pub total: f64,
    /// The odds before any field against two strangers, then what each field adds to them.
    pub against_strangers: Vec<f64>,
    /// The same against two members of a household; empty where these are not told apart.
    pub against_household: Vec<f64>,
}

impl LinkageModel {
    /// Parses and checks a struct of [`linkage_model_type`].
    pub fn from_scalar(value: &ScalarValue) -> Result<Self> {
        let fields = Fieldwise::of("linkage", value)?;
        let model = Self {
            fields: fields.texts("fields")?,
            levels: fields.numbers("levels")?.into_iter().map(|levels| levels as usize).collect(),
            m: fields.numbers("m")?,
            u: fields.numbers("u")?,
            h: fields.numbers("h")?,
            prior: fields.number("prior")?,
            household_prior: fields.number("household_prior")?,
        };
        model.validate()?;
        Ok(model)
    }

    /// The model as a struct of [`linkage_model_type`].
    pub fn to_scalar(&self) -> ScalarValue {
        let numbers = |numbers: &[f64]| one_number_list(numbers.iter().copied().map(Some));
        let columns = vec![
            one_text_list(&self.fields),
            one_number_list(self.levels.iter().map(|levels| Some(*levels as f64))),
            numbers(&self.m),
            numbers(&self.u),
            numbers(&self.h),
            Arc::new(Float64Array::from(vec![self.prior])),
            Arc::new(Float64Array::from(vec![self.household_prior])),
        ];
        one_struct(&MODEL_TYPE, columns)
    }

    /// Refuses a model whose parts do not fit together or hold impossible probabilities.
    pub fn validate(&self) -> Result<()> {
        let entries: usize = self.levels.iter().sum();
        let probabilities = [&self.m, &self.u, &self.h];
        if self.levels.len() != self.fields.len() || probabilities.iter().any(|by| by.len() != entries) {
            return plan_err!(
                "the linkage model has {} fields with {entries} levels, but {}, {} and {} probabilities",
                self.fields.len(),
                self.m.len(),
                self.u.len(),
                self.h.len()
            );
        }
        let probability = |p: &f64| *p > 0.0 && *p <= 1.0;
        let of_pairs = self.prior > 0.0 && self.household_prior >= 0.0;
        let of_strangers = self.prior + self.household_prior < 1.0;
        if !(probabilities.into_iter().flatten().all(probability) && of_pairs && of_strangers) {
            return plan_err!("the linkage model holds a probability that is not between 0 and 1");
        }
        Ok(())
    }

    /// The logarithms of all that weights are made of, taken once for many pairs.
    pub fn weigher(&self) -> Weigher<'_> {
        let of_levels = |other: &[f64]| self.m.iter().zip(other).map(|(m, by)| libm::log2(m / by)).collect();
        let strangers = 1.0 - self.prior - self.household_prior;
        let households = self.household_prior > 0.0;
        Weigher {
            model: self,
            before: [strangers, self.household_prior].map(|other| libm::log2(self.prior / other)),
            against_strangers: of_levels(&self.u),
            against_household: if households { of_levels(&self.h) } else { Vec::new() },
        }
    }
}

/// A linkage model that weighs pairs.
#[derive(Debug, Clone)]
pub struct Weigher<'a> {
    model: &'a LinkageModel,
    /// The odds before any field, against strangers and against members of a household.
    before: [f64; 2],
    /// What each level of each field adds to either; nothing where households are not told apart.
    against_strangers: Vec<f64>,
    against_household: Vec<f64>,
}

impl Weigher<'_> {
    /// Writes what the level of each field says, nothing for `None`, a field that is not compared. `chances`: how often a
    /// record has the value on which both agree, which at the last level takes the place of how often strangers agree at
    /// large; members of a household agree on it at least as often.
    ///
    /// # Errors
    /// For levels or chances of another number of fields, and for a level that the model does not know.
    pub fn weigh(
        &self,
        levels: &[Option<i32>],
        chances: &[Option<f64>],
        weights: &mut MatchWeights,
    ) -> Result<()> {
        let model = self.model;
        if [levels.len(), chances.len()] != [model.fields.len(); 2] {
            return plan_err!(
                "{} levels and {} chances were given, the linkage model compares {}",
                levels.len(),
                chances.len(),
                model.fields.join(", ")
            );
        }
        let households = !self.against_household.is_empty();
        let MatchWeights { total, against_strangers, against_household } = weights;
        against_strangers.clear();
        against_household.clear();
        against_strangers.push(self.before[0]);
        if households {
            against_household.push(self.before[1]);
        }
        let mut first = 0;
        for (field, known) in model.levels.iter().enumerate() {
            let (mut stranger, mut household) = (0.0, 0.0);
            if let Some(level) = levels[field] {
                let Some(at) = usize::try_from(level).ok().filter(|level| level < known) else {
                    return plan_err!(
                        "level {level} of field '{}' is unknown to the linkage model, which has {known}; train it anew",
                        model.fields[field]
                    );
                };
                stranger = self.against_strangers[first + at];
                household = self.against_household.get(first + at).copied().unwrap_or_default();
                if let Some(chance) = chances[field].filter(|chance| at + 1 == *known && *chance > 0.0) {
                    stranger = libm::log2(model.m[first + at] / chance.min(1.0));
                    household = household.min(stranger);
                }
            }
            against_strangers.push(stranger);
            if households {
                against_household.push(household);
            }
            first += known;
        }
        *total = against_strangers.iter().sum();
        if households {
            // odds against either: the reciprocals add up
            let household: f64 = against_household.iter().sum();
            let (least, most) = (total.min(household), total.max(household));
            *total = least - libm::log2(1.0 + libm::exp2(least - most));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> LinkageModel {
        LinkageModel {
            fields: vec!["name".into(), "phone".into()],
            levels: vec![3, 2],
            m: vec![0.125, 0.125, 0.75, 0.5, 0.5],
            u: vec![0.5, 0.25, 0.25, 0.75, 0.25],
            h: vec![0.5, 0.25, 0.25, 0.5, 0.5],
            prior: 0.2,
            household_prior: 0.0,
        }
    }

    fn weights(
        model: &LinkageModel,
        levels: &[Option<i32>],
        chances: &[Option<f64>],
    ) -> Result<MatchWeights> {
        let mut weights = MatchWeights::default();
        model.weigher().weigh(levels, chances, &mut weights).map(|()| weights)
    }

    #[test]
    fn travels_as_a_struct() {
        assert_eq!(LinkageModel::from_scalar(&model().to_scalar()).unwrap(), model());
        let wrong = LinkageModel { h: vec![0.5], ..model() };
        assert!(LinkageModel::from_scalar(&wrong.to_scalar()).is_err());
        let impossible = LinkageModel { household_prior: 0.8, ..model() };
        assert!(LinkageModel::from_scalar(&impossible.to_scalar()).is_err());
    }

    #[test]
    fn weights_are_log2_of_the_ratio() {
        let against_strangers = |levels: [Option<i32>; 2], chances: [Option<f64>; 2]| {
            let weights = weights(&model(), &levels, &chances).unwrap();
            assert_eq!(weights.total, weights.against_strangers.iter().sum::<f64>());
            assert!(weights.against_household.is_empty());
            weights.against_strangers
        };
        assert_eq!(against_strangers([Some(0), Some(1)], [None, None]), [-2.0, -2.0, 1.0]);
        // only agreement on a value is rarer than agreement at large
        assert_eq!(against_strangers([Some(0), Some(1)], [Some(0.1), Some(0.125)]), [-2.0, -2.0, 2.0]);
        assert_eq!(against_strangers([None, Some(1)], [Some(0.1), None]), [-2.0, 0.0, 1.0]);
        let error = weights(&model(), &[None, Some(2)], &[None, None]).unwrap_err().to_string();
        assert!(error.contains("level 2 of field 'phone'"), "{error}");
        let error = weights(&model(), &[None], &[None, None]).unwrap_err().to_string();
        assert!(
            error.contains("1 levels and 2 chances were given, the linkage model compares name, phone"),
            "{error}"
        );
    }

    #[test]
    fn the_total_is_against_strangers_and_household_together() {
        let model = LinkageModel { prior: 0.2, household_prior: 0.1, ..model() };
        let found = weights(&model, &[Some(2), Some(1)], &[None, None]).unwrap();
        assert_eq!(found.against_household, [1.0, libm::log2(3.0), 0.0]);
        // a household agrees on a value that is frequent everywhere at least as often as strangers do
        let frequent = weights(&model, &[Some(2), Some(1)], &[Some(0.5), Some(0.125)]).unwrap();
        assert_eq!(frequent.against_household, [1.0, libm::log2(1.5), 0.0]);
        let one = 0.2 * 0.75 * 0.5;
        let (strangers, household) = (0.7 * 0.25 * 0.25, 0.1 * 0.25 * 0.5);
        assert!((found.total - libm::log2(one / (strangers + household))).abs() < 1e-12, "{found:?}");
    }
}
