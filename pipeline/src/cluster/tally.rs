//! How the rows of today lie beside a reference: how many have each score, and what has moved too far.

use datafusion::execution::SendableRecordBatchStream;
use strata_udfs::learn::population_stability;
use strata_udfs::model::{GRID, ReferenceModel};

use super::quantiles::scan;
use super::settings::ReferenceSettings;
use crate::{Error, Result};

/// Beyond this a value does not fit the fixed-point sum: 2^62.
const MEAN_BOUND: f64 = 4_611_686_018_427_387_904.0;

/// An exact sum of values, to 2^-32 each.
#[derive(Debug, Clone, Default)]
pub(super) struct ExactSum {
    /// Values, infinities included.
    pub count: u64,
    /// Of the finite values, in grid steps.
    sum: i128,
    /// Of the infinite ones.
    infinite: f64,
}

impl ExactSum {
    /// Adds a value of the column `name`, which is not NaN.
    ///
    /// # Errors
    /// [`Error::Contract`] for a finite value beyond 2^62, or when the sum overflows.
    pub fn add(&mut self, name: &str, value: f64) -> Result<()> {
        self.count += 1;
        if value.is_infinite() {
            self.infinite += value;
            return Ok(());
        }
        if value.abs() > MEAN_BOUND {
            return Err(Error::Contract(format!(
                "column `{name}` holds {value:e}, too large for an exact mean (2^62): filter such rows out"
            )));
        }
        self.sum = self.sum.checked_add((value * GRID).round_ties_even() as i128).ok_or_else(|| {
            Error::Contract(format!("the sum of column `{name}` overflows 128 bits: scale it down"))
        })?;
        Ok(())
    }

    /// The mean; infinite over infinities, `None` of no values or when both infinities occur.
    pub fn mean(&self) -> Option<f64> {
        let mean = self.infinite + self.sum as f64 / (self.count as f64 * GRID);
        (!mean.is_nan()).then_some(mean)
    }
}

/// One column of rows beside a reference.
#[derive(Debug, Clone)]
pub struct Tally {
    column: usize,
    name: String,
    /// Rows in each bin of the reference.
    counts: Vec<u64>,
    sum: ExactSum,
}

impl Tally {
    /// The share of the rows in each bin; zeros of no rows.
    pub fn shares(&self) -> impl Iterator<Item = f64> {
        let all = self.counts.iter().sum::<u64>().max(1) as f64;
        self.counts.iter().map(move |count| *count as f64 / all)
    }
}

/// Counts rows by the bins of a reference, column by column; one pass. Does not depend on the order of the rows.
///
/// # Errors
/// [`Error::Usage`] for a column that is missing or not numeric; [`Error::Contract`] for a finite value beyond 2^62.
pub async fn tally(model: &ReferenceModel, rows: SendableRecordBatchStream) -> Result<Vec<Tally>> {
    let of_column = |(column, name): (usize, &String)| Tally {
        column,
        name: name.clone(),
        counts: vec![0; model.bins()],
        sum: ExactSum::default(),
    };
    let mut columns: Vec<Tally> = model.columns.iter().enumerate().map(of_column).collect();
    let seen = scan(&model.columns, &mut columns, rows, |tally, value| {
        tally.counts[model.bin(tally.column, value)] += 1;
        tally.sum.add(&tally.name, value)
    })
    .await?;
    for tally in &mut columns {
        tally.counts[model.bins() - 1] += seen - tally.sum.count;
    }
    Ok(columns)
}

/// What speaks against keeping a reference for the rows that were tallied: `None` while it is within the limits.
pub fn outgrown(model: &ReferenceModel, rows: &[Tally], settings: &ReferenceSettings) -> Option<String> {
    rows.iter().find_map(|tally| {
        let name = &tally.name;
        let counts: Vec<f64> = tally.counts.iter().map(|count| *count as f64).collect();
        let index = population_stability(model.shares_of(tally.column), &counts);
        if let Some(index) = index.filter(|index| *index > settings.max_drift) {
            let limit = settings.max_drift;
            return Some(format!("`{name}` has a stability index of {index:.3}, above `max_drift: {limit}`"));
        }
        let (before, now) = (model.means[tally.column], tally.sum.mean());
        let far = match (before, now) {
            (Some(before), Some(now)) => {
                let step = (now - before).abs();
                before != now && (step > settings.max_move * before.abs() || !step.is_finite())
            }
            (before, now) => before.is_some() != now.is_some(),
        };
        let shown = |mean: Option<f64>| mean.map_or("none".to_string(), |mean| mean.to_string());
        far.then(|| {
            format!(
                "the mean of `{name}` went from {} to {}, beyond `max_move: {}`",
                shown(before),
                shown(now),
                settings.max_move
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores up to 10, 20, and above; `unknown` had no value.
    fn reference() -> ReferenceModel {
        ReferenceModel {
            columns: vec!["spend".into(), "unknown".into()],
            quantiles: vec![0.25, 0.75],
            cuts: vec![Some(10.0), Some(20.0), None, None],
            means: vec![Some(40.0), None],
            shares: vec![0.3, 0.4, 0.2, 0.1, 0.0, 0.0, 0.0, 1.0],
        }
    }

    /// Rows of `spend` by bin, each value `mean` of all.
    fn said(counts: [u64; 4], mean: Option<f64>, unknown: Option<f64>) -> String {
        let sum = |mean: Option<f64>| {
            let mut sum = ExactSum::default();
            mean.into_iter().for_each(|mean| sum.add("spend", mean).unwrap());
            sum
        };
        let tallies = [
            Tally { column: 0, name: "spend".into(), counts: counts.to_vec(), sum: sum(mean) },
            Tally { column: 1, name: "unknown".into(), counts: vec![0, 0, 0, 100], sum: sum(unknown) },
        ];
        outgrown(&reference(), &tallies, &ReferenceSettings::default()).unwrap_or_default()
    }

    #[test]
    fn a_reference_is_outgrown_when_shares_or_a_mean_have_moved() {
        assert_eq!(said([30, 40, 20, 10], Some(40.0), None), "");
        // a tenth is no more than a tenth, and five of a hundred move no index
        assert_eq!(said([25, 45, 20, 10], Some(44.0), None), "");
        let mean = said([30, 40, 20, 10], Some(44.5), None);
        assert_eq!(mean, "the mean of `spend` went from 40 to 44.5, beyond `max_move: 0.1`");
        // .2 ln 3 + .2 ln 2, rounded
        let scores = said([10, 40, 40, 10], Some(40.0), None);
        assert_eq!(scores, "`spend` has a stability index of 0.358, above `max_drift: 0.25`");
        let missing = said([10, 20, 10, 60], Some(40.0), None);
        assert!(missing.starts_with("`spend` has a stability index of 1."), "{missing}");
        let none = said([0, 0, 0, 100], None, None);
        assert!(none.starts_with("`spend` has a stability index of"), "{none}");
        let known = said([30, 40, 20, 10], Some(40.0), Some(1.0));
        assert_eq!(known, "the mean of `unknown` went from none to 1, beyond `max_move: 0.1`");
        assert_eq!(said([0; 4], Some(40.0), None), "", "nothing is counted");
    }

    #[test]
    fn sums_are_exact_and_bounded() {
        let mut sum = ExactSum::default();
        for value in [1e15, 0.25, -1e15] {
            sum.add("x", value).unwrap();
        }
        assert_eq!(sum.mean(), Some(0.25 / 3.0));
        assert!(sum.add("x", 1e300).unwrap_err().to_string().contains("`x` holds 1e300"));
        sum.add("x", f64::INFINITY).unwrap();
        assert_eq!(sum.mean(), Some(f64::INFINITY));
        sum.add("x", f64::NEG_INFINITY).unwrap();
        assert_eq!((sum.mean(), ExactSum::default().mean()), (None, None));
    }
}
