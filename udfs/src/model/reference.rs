//! The reference model: quantile cut points and means of a reference population, frozen until refit.

use std::collections::HashSet;
use std::sync::LazyLock;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};

use super::{Fieldwise, one_number_list, one_struct, one_text_list};
use crate::args::{float_list, nullable_fields, text_list};

static MODEL_TYPE: LazyLock<DataType> = LazyLock::new(|| {
    DataType::Struct(nullable_fields(&[
        ("columns", text_list()),
        ("quantiles", float_list()),
        ("cuts", float_list()),
        ("means", float_list()),
        ("shares", float_list()),
    ]))
});

/// The Arrow type of a reference model: a struct of `columns`, `quantiles` (probabilities), `cuts` (an entry
/// for each column and quantile, column by column), `means` (an entry each column) and `shares` (for each column
/// one entry more than its scores, column by column).
pub fn reference_model_type() -> DataType {
    MODEL_TYPE.clone()
}

/// Cut points and means of the columns of a reference population.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReferenceModel {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The probabilities of the cut points, ascending, between 0 and 1.
    pub quantiles: Vec<f64>,
    /// The cut points, column by column, ascending; all `None` for a column without values.
    pub cuts: Vec<Option<f64>>,
    /// The mean of each column; `None` for a column without values.
    pub means: Vec<Option<f64>>,
    /// The share of the reference population that had each score, and last the share without a score, column by
    /// column: what drift is measured against.
    pub shares: Vec<f64>,
}

impl ReferenceModel {
    /// Parses and checks a struct of [`reference_model_type`].
    pub fn from_scalar(value: &ScalarValue) -> Result<Self> {
        let fields = Fieldwise::of("reference", value)?;
        let model = Self {
            columns: fields.texts("columns")?,
            quantiles: fields.numbers("quantiles")?,
            cuts: fields.optional_numbers("cuts")?,
            means: fields.optional_numbers("means")?,
            shares: fields.numbers("shares")?,
        };
        model.validate()?;
        Ok(model)
    }

    /// The model as a struct of [`reference_model_type`].
    pub fn to_scalar(&self) -> ScalarValue {
        let columns = vec![
            one_text_list(&self.columns),
            one_number_list(self.quantiles.iter().copied().map(Some)),
            one_number_list(self.cuts.iter().copied()),
            one_number_list(self.means.iter().copied()),
            one_number_list(self.shares.iter().copied().map(Some)),
        ];
        one_struct(&MODEL_TYPE, columns)
    }

    /// Refuses a model whose parts do not fit together or hold impossible numbers.
    pub fn validate(&self) -> Result<()> {
        let (columns, quantiles) = (self.columns.len(), self.quantiles.len());
        if self.cuts.len() != columns * quantiles || self.means.len() != columns {
            return plan_err!(
                "the reference model has {columns} columns and {quantiles} quantiles, but {} cuts and {} means",
                self.cuts.len(),
                self.means.len()
            );
        }
        if self.shares.len() != columns * self.bins() || self.shares.iter().any(|s| !(0.0..=1.0).contains(s))
        {
            return plan_err!(
                "the reference model has {columns} columns of {} bins, but {} shares, each of which must lie \
                 between 0 and 1",
                self.bins(),
                self.shares.len()
            );
        }
        if self.columns.iter().collect::<HashSet<_>>().len() != columns {
            return plan_err!("the reference model names a column twice: {}", self.columns.join(", "));
        }
        let probabilities = self.quantiles.iter().all(|q| 0.0 < *q && *q < 1.0);
        if !probabilities || !self.quantiles.is_sorted_by(|a, b| a < b) {
            return plan_err!("the quantiles of the reference model must ascend between 0 and 1");
        }
        for (index, column) in self.columns.iter().enumerate() {
            let cuts = self.cuts_of(index);
            let known: Vec<f64> = cuts.iter().copied().flatten().filter(|cut| !cut.is_nan()).collect();
            let complete = known.len() == cuts.len() || cuts.iter().all(Option::is_none);
            if !complete || !known.is_sorted() || self.means[index].is_some_and(f64::is_nan) {
                return plan_err!(
                    "column '{column}' of the reference model has cut points that do not ascend or NaN"
                );
            }
        }
        Ok(())
    }

    /// The index of a column; an unknown one is an error that names those that exist.
    pub fn column(&self, name: &str) -> Result<usize> {
        match self.columns.iter().position(|column| column == name) {
            Some(index) => Ok(index),
            None => {
                exec_err!(
                    "column '{name}' is not in the reference model, which has {}",
                    self.columns.join(", ")
                )
            }
        }
    }

    /// The cut points of a column, ascending.
    pub fn cuts_of(&self, column: usize) -> &[Option<f64>] {
        let quantiles = self.quantiles.len();
        &self.cuts[column * quantiles..(column + 1) * quantiles]
    }

    /// Bins of a column: one for each score, and one for rows without a score.
    pub fn bins(&self) -> usize {
        self.quantiles.len() + 2
    }

    /// The bin of a column in which a value lies: that of its score, or the last one.
    pub fn bin(&self, column: usize, value: f64) -> usize {
        self.score(column, value).map_or(self.bins() - 1, |score| score as usize - 1)
    }

    /// The share of the reference population in each bin of a column.
    pub fn shares_of(&self, column: usize) -> &[f64] {
        &self.shares[column * self.bins()..(column + 1) * self.bins()]
    }

    /// 1 and one more for each cut point strictly below the value, so equal values get equal scores; `None`
    /// for NaN and for a column without values.
    pub fn score(&self, column: usize, value: f64) -> Option<i32> {
        let mut score = 1;
        for cut in self.cuts_of(column) {
            score += i32::from(value > (*cut)?);
        }
        (!value.is_nan()).then_some(score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ReferenceModel {
        ReferenceModel {
            columns: vec!["recency".into(), "spend".into(), "absent".into()],
            quantiles: vec![0.2, 0.4, 0.6, 0.8],
            cuts: [1.0, 2.0, 2.0, 4.0, -10.0, 0.0, 10.0, 100.0]
                .map(Some)
                .into_iter()
                .chain([None; 4])
                .collect(),
            means: vec![Some(2.5), Some(12.0), None],
            shares: [
                [0.2, 0.2, 0.2, 0.2, 0.2, 0.0],
                [0.25, 0.25, 0.25, 0.25, 0.0, 0.0],
                [0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
            ]
            .concat(),
        }
    }

    #[test]
    fn survives_the_scalar() {
        let scalar = model().to_scalar();
        assert_eq!(scalar.data_type(), reference_model_type());
        assert_eq!(ReferenceModel::from_scalar(&scalar).unwrap(), model());
    }

    #[test]
    fn scores_count_the_cuts_below() {
        for (value, expected) in [(0.0, 1), (1.0, 1), (1.5, 2), (2.0, 2), (3.0, 4), (4.0, 4), (5.0, 5)] {
            assert_eq!(model().score(0, value), Some(expected), "{value}");
        }
        assert_eq!(model().score(0, f64::INFINITY), Some(5));
        assert_eq!(model().score(0, f64::NAN), None);
        assert_eq!(model().score(2, 1.0), None);
        assert_eq!([0.0, 3.0, f64::NAN].map(|value| model().bin(0, value)), [0, 3, 5]);
        assert_eq!((model().bin(2, 1.0), model().shares_of(2)[5]), (5, 1.0));
    }

    #[test]
    fn an_unknown_column_is_answered_with_the_known_ones() {
        let message = model().column("frequency").unwrap_err().to_string();
        assert!(message.contains("'frequency'") && message.contains("recency, spend"), "{message}");
    }

    #[test]
    fn impossible_models_are_refused() {
        type Break = fn(&mut ReferenceModel);
        let breaks: [Break; 9] = [
            |m| m.cuts.truncate(3),
            |m| m.means.clear(),
            |m| m.shares.truncate(17),
            |m| m.shares[0] = 1.5,
            |m| m.cuts[1] = Some(0.5),
            |m| m.cuts[1] = None,
            |m| m.columns[1] = "recency".into(),
            |m| m.quantiles[0] = 0.5,
            |m| m.means[0] = Some(f64::NAN),
        ];
        for damage in breaks {
            let mut broken = model();
            damage(&mut broken);
            assert!(broken.validate().is_err(), "{broken:?}");
        }
    }
}
