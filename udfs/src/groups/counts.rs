//! `entropy` and `quantile_disc`: what the counts of a group's values say.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants, Measure, lists};
use super::entries::{Entry, Folding, Taken};
use super::keys::Keys;
use crate::args::{expect_arity, float_list};

#[user_doc(
    doc_section(label = "Groups"),
    description = "The Shannon entropy of a group's values in bits: the negative sum of p log2 p over the shares p of the distinct values (Shannon 1948). 0 when there is one value, log2 of their number when all are as frequent. NULL is ignored; NULL when no values remain.",
    syntax_example = "entropy(value)",
    sql_example = "```sql\nselect customer_id, entropy(category) as variety from purchases group by customer_id;\n```",
    argument(name = "value", description = "A number, text, date or timestamp.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Entropy;

impl Aggregate for Entropy {
    type Measure = Counts;
    const NAME: &'static str = "entropy";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["value"])?;
        Ok(vec![Keys::coerced(Self::NAME, "value", &types[0])?])
    }

    fn returns(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn measure(types: &[DataType], _: &Constants) -> Result<Counts> {
        Ok(Counts { keys: Keys::new(&types[0]), wanted: Wanted::Entropy })
    }
}

#[user_doc(
    doc_section(label = "Groups"),
    description = "The exact quantile of a group's values: the smallest value that at least the given share of the values does not exceed, always one of them (inverse of the empirical distribution function; type 1 of Hyndman and Fan 1996; PERCENTILE_DISC of the SQL standard). Equal values are held once with their count. NULL is ignored; NULL when no values remain.",
    syntax_example = "quantile_disc(value, share)",
    alternative_syntax = "quantile_disc(value, shares)",
    sql_example = "```sql\nselect customer_id, quantile_disc(days_between_orders, 0.5) as median_gap from orders group by customer_id;\n```",
    argument(name = "value", description = "A number, date or timestamp; NaN is above all others."),
    argument(
        name = "share",
        description = "A constant from 0 to 1, or a list of such, which gives a list: values are then held once for all."
    )
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct QuantileDisc;

impl Aggregate for QuantileDisc {
    type Measure = Counts;
    const NAME: &'static str = "quantile_disc";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["value", "share"])?;
        let shares = if is_list(&types[1]) { float_list() } else { DataType::Float64 };
        match Keys::coerced(Self::NAME, "value", &types[0])? {
            DataType::Utf8 if types[0].is_null() => Ok(vec![DataType::Float64, shares]),
            DataType::Utf8 => plan_err!("quantile_disc: argument value must be a number, date or timestamp"),
            value => Ok(vec![value, shares]),
        }
    }

    fn returns(types: &[DataType]) -> Result<DataType> {
        match is_list(&types[1]) {
            true => Ok(DataType::List(Arc::new(Field::new_list_field(types[0].clone(), true)))),
            false => Ok(types[0].clone()),
        }
    }

    fn measure(types: &[DataType], constants: &Constants) -> Result<Counts> {
        let given = constants.get(1, "share")?;
        let shares = match given {
            ScalarValue::Float64(share) => share.map(|share| vec![share]),
            ScalarValue::List(list) if list.len() == 1 && list.is_valid(0) => list
                .value(0)
                .as_primitive_opt::<Float64Type>()
                .filter(|shares| shares.null_count() == 0)
                .map(|shares| shares.values().to_vec()),
            _ => None,
        };
        match shares {
            Some(shares) if shares.iter().all(|share| (0.0..=1.0).contains(share)) => {
                let wanted =
                    if is_list(&types[1]) { Wanted::Quantiles(shares) } else { Wanted::Quantile(shares[0]) };
                Ok(Counts { keys: Keys::new(&types[0]), wanted })
            }
            _ => plan_err!("quantile_disc: argument share must be from 0 to 1, not {given}"),
        }
    }
}

fn is_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _))
}

/// Rank (from 1) of the inverse-CDF quantile among `n` values: the smallest rank r with r / n >= `probability`.
/// The factor forgives the rounding of probabilities that binary cannot hold.
pub fn quantile_rank(probability: f64, n: u64) -> u64 {
    let rank = (probability * n as f64 * (1.0 - f64::EPSILON)).ceil() as u64;
    rank.clamp(1, n.max(1))
}

/// How often each value came.
#[derive(Debug)]
pub struct Counts {
    keys: Keys,
    wanted: Wanted,
}

#[derive(Debug, Clone)]
enum Wanted {
    Entropy,
    Quantile(f64),
    Quantiles(Vec<f64>),
}

impl Measure for Counts {
    type Value = i64;
    const FOLDING: Folding = Folding::Keys;

    fn fresh(&self) -> Self {
        Self { keys: self.keys.fresh(), wanted: self.wanted.clone() }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, i64)) -> Result<()> {
        let Some(values) = columns.first() else { return internal_err!("expected values") };
        self.keys.read(values, |row, code| add(row, code, 1))
    }

    fn fold(&self, last: &mut Entry<i64>, next: &Entry<i64>) -> bool {
        last.fold_same_key(next, |a, b| a + b)
    }

    fn result(&self, groups: &Taken<i64>) -> Result<ArrayRef> {
        match &self.wanted {
            Wanted::Entropy => Ok(Arc::new(groups.each().map(entropy).collect::<Float64Array>())),
            Wanted::Quantile(share) => {
                let values: Vec<_> = groups.each().map(|group| quantile(group, *share)).collect();
                self.keys.decode_options(&values)
            }
            Wanted::Quantiles(shares) => {
                let of_group = |group| shares.iter().map(move |share| quantile(group, *share));
                let values: Vec<_> = groups.each().flat_map(of_group).collect();
                lists(vec![shares.len(); groups.groups()], self.keys.decode_options(&values)?)
            }
        }
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }
}

/// Adds in the order of the counts, so that the order in which values came does not show.
fn entropy(group: &[Entry<i64>]) -> Option<f64> {
    let mut counts: Vec<i64> = group.iter().map(|entry| entry.value).collect();
    counts.sort_unstable();
    let n: i64 = counts.iter().sum();
    let bits = |count: &i64| {
        let share = *count as f64 / n as f64;
        -share * libm::log2(share)
    };
    // a sum of nothing but -0.0 is 0.0
    (n > 0).then(|| counts.iter().map(bits).sum::<f64>() + 0.0)
}

fn quantile(group: &[Entry<i64>], share: f64) -> Option<i64> {
    let n: i64 = group.iter().map(|entry| entry.value).sum();
    let rank = quantile_rank(share, n as u64) as i64;
    let mut below = 0;
    let reaches = |entry: &&Entry<i64>| {
        below += entry.value;
        below >= rank
    };
    group.iter().find(reaches).map(|entry| entry.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_the_smallest_that_reaches_the_share() {
        assert_eq!(quantile_rank(0.2, 5), 1);
        assert_eq!(quantile_rank(0.55, 100), 55);
        assert_eq!(quantile_rank(0.5, 4), 2);
        assert_eq!(quantile_rank(0.5, 5), 3);
        assert_eq!(quantile_rank(0.999, 3), 3);
        assert_eq!(quantile_rank(1e-9, 3), 1);
        for n in 1..2000 {
            for percent in 1..=100u64 {
                assert_eq!(quantile_rank(percent as f64 / 100.0, n), (percent * n).div_ceil(100));
            }
        }
    }
}
