//! Exact quantiles and means of columns that are too long to sort: a radix search over several passes.

use std::future::Future;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::Float64Type;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use strata_udfs::groups::quantile_rank;
use strata_udfs::model::ReferenceModel;

use super::radix::{Search, from_key, to_key};
use super::sample::{as_f64, check_numeric};
use super::settings::ReferenceSettings;
use super::tally::{ExactSum, tally};
use crate::{Context, Error, Result};

/// Computes exact inverse-CDF quantiles (observed values) and exact means of `columns`, NULL and NaN left out.
///
/// Every pass opens the rows again, with `open`: three passes for most columns, five at most. Memory is half a
/// megabyte a column and quantile. The result does not depend on the order of the rows; means are exact to
/// 2^-32 a value. A mean over infinities is infinite, or
/// `None` when both signs occur; so are cuts and mean of a column without any known value.
///
/// # Errors
/// [`Error::Usage`] for a column that is missing or no number; [`Error::Contract`] for a finite value
/// beyond 2^62, or when two passes see different rows.
pub async fn train_reference<F, Fut>(
    settings: &ReferenceSettings,
    columns: &[String],
    open: F,
) -> Result<ReferenceModel>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<SendableRecordBatchStream>>,
{
    let mut searches: Vec<Column> = columns.iter().map(|name| Column::new(name)).collect();
    scan(columns, &mut searches, open().await?, Column::first_pass).await?;
    for column in &mut searches {
        column.end_first_pass(&settings.quantiles)?;
    }
    while searches.iter().any(|c| !c.done()) {
        searches.iter_mut().for_each(|c| c.passed = 0);
        scan(columns, &mut searches, open().await?, Column::next_pass).await?;
        for column in &mut searches {
            column.end_pass()?;
        }
    }
    let mut model = ReferenceModel {
        columns: columns.to_vec(),
        quantiles: settings.quantiles.clone(),
        cuts: searches.iter().flat_map(Column::cuts).collect(),
        means: searches.iter().map(|column| column.sum.mean()).collect(),
        shares: Vec::new(),
    };
    model.shares = tally(&model, open().await?).await?.iter().flat_map(|column| column.shares()).collect();
    model.validate().context("check the trained reference")?;
    Ok(model)
}

/// Gives every known value of each of the columns `names` to what stands for it in `columns`; returns the number of rows.
pub(super) async fn scan<T>(
    names: &[String],
    columns: &mut [T],
    mut rows: SendableRecordBatchStream,
    pass: impl Fn(&mut T, f64) -> Result<()>,
) -> Result<u64> {
    let schema = rows.schema();
    let mut positions = Vec::with_capacity(names.len());
    for name in names {
        let Some((i, field)) = schema.column_with_name(name) else {
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::Usage(format!(
                "the reference rows have no column `{name}`; they have {}",
                names.join(", ")
            )));
        };
        check_numeric(name, field.data_type())?;
        positions.push(i);
    }
    let mut seen = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.context("read the reference rows")?;
        seen += batch.num_rows() as u64;
        for ((column, name), i) in columns.iter_mut().zip(names).zip(&positions) {
            let values: ArrayRef = as_f64(batch.column(*i), name)?;
            let values = values.as_primitive::<Float64Type>();
            for value in values.iter().flatten().filter(|v| !v.is_nan()) {
                pass(column, value)?;
            }
        }
    }
    Ok(seen)
}

/// What is known of one column so far.
struct Column {
    name: String,
    /// Of the known values, which the first pass counts.
    sum: ExactSum,
    /// Known values of the present pass.
    passed: u64,
    searches: Vec<Search>,
    found: Vec<Option<u64>>,
}

impl Column {
    fn new(name: &str) -> Self {
        Column {
            name: name.into(),
            sum: ExactSum::default(),
            passed: 0,
            searches: vec![Search::everywhere()],
            found: Vec::new(),
        }
    }

    fn first_pass(&mut self, value: f64) -> Result<()> {
        self.searches.iter_mut().for_each(|s| s.add(to_key(value)));
        self.sum.add(&self.name, value)
    }

    fn end_first_pass(&mut self, quantiles: &[f64]) -> Result<()> {
        self.found = vec![None; quantiles.len()];
        if self.sum.count == 0 {
            self.searches = Vec::new();
            return Ok(());
        }
        let ranks: Vec<(u64, usize)> =
            quantiles.iter().enumerate().map(|(i, q)| (quantile_rank(*q, self.sum.count), i)).collect();
        self.searches.iter_mut().for_each(|s| s.look_for(ranks.clone()));
        self.passed = self.sum.count;
        self.end_pass()
    }

    fn next_pass(&mut self, value: f64) -> Result<()> {
        self.passed += 1;
        if self.passed > self.sum.count {
            return Err(self.changed());
        }
        let key = to_key(value);
        if let Some(search) = self.searches.iter_mut().find(|s| s.matches(key)) {
            search.add(key);
        }
        Ok(())
    }

    fn end_pass(&mut self) -> Result<()> {
        if self.passed != self.sum.count {
            return Err(self.changed());
        }
        let searches = std::mem::take(&mut self.searches);
        self.searches = searches.into_iter().flat_map(|s| s.advance(&mut self.found)).collect();
        if self.done() && self.sum.count > 0 && self.found.iter().any(Option::is_none) {
            return Err(self.changed());
        }
        Ok(())
    }

    fn done(&self) -> bool {
        self.searches.is_empty()
    }

    fn changed(&self) -> Error {
        Error::Contract(format!(
            "column `{}` of the reference rows changed between two passes over them: its inputs must not be \
             written to during a run",
            self.name
        ))
    }

    fn cuts(&self) -> impl Iterator<Item = Option<f64>> {
        self.found.iter().map(|key| key.map(from_key))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

    use super::super::sample::mix;
    use super::*;

    fn stream(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
        let schema = batches[0].schema();
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok))))
    }

    fn batches(columns: &[(&str, &[f64])], size: usize) -> Vec<RecordBatch> {
        let array = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let batch = RecordBatch::try_from_iter(columns.iter().map(|(n, v)| (*n, array(v)))).unwrap();
        (0..batch.num_rows()).step_by(size).map(|i| batch.slice(i, size.min(batch.num_rows() - i))).collect()
    }

    async fn train(columns: &[(&str, &[f64])], size: usize, quantiles: &[f64]) -> (ReferenceModel, usize) {
        let names: Vec<String> = columns.iter().map(|(n, _)| n.to_string()).collect();
        let settings = ReferenceSettings { quantiles: quantiles.to_vec(), ..ReferenceSettings::default() };
        let passes = Cell::new(0);
        let open = || {
            passes.set(passes.get() + 1);
            let rows = stream(batches(columns, size));
            async move { Ok(rows) }
        };
        let model = train_reference(&settings, &names, open).await.unwrap();
        (model, passes.get())
    }

    fn reference(values: &[f64], q: f64) -> f64 {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).map(|v| v + 0.0).collect();
        sorted.sort_by(f64::total_cmp);
        sorted[quantile_rank(q, sorted.len() as u64) as usize - 1]
    }

    fn random(n: u64, make: impl Fn(u64) -> f64) -> Vec<f64> {
        (0..n).map(|i| make(mix(i))).collect()
    }

    #[tokio::test]
    async fn equals_a_sorted_reference() {
        let n = 150_000;
        let smooth = random(n, |r| (r >> 11) as f64 / 1e9 - 4e6);
        let ties = random(n, |r| (r % 7) as f64 - 3.0);
        let narrow = random(n, |r| 1.0 + (r >> 30) as f64 * f64::EPSILON);
        let wild = random(n, |r| match r % 9 {
            0 => f64::INFINITY,
            1 => f64::NEG_INFINITY,
            2 => f64::NAN,
            3 => -0.0,
            4 => 0.0,
            5 => f64::MIN_POSITIVE / 4.0,
            _ => (r >> 40) as f64 - 1e7,
        });
        let columns: [(&str, &[f64]); 4] = [("s", &smooth), ("t", &ties), ("n", &narrow), ("w", &wild)];
        let quantiles = [0.001, 0.1, 0.12, 0.25, 0.5, 0.75, 0.9, 0.999];
        let (model, passes) = train(&columns, 8192, &quantiles).await;
        assert!(passes <= 5, "{passes}");
        for (c, (name, values)) in columns.iter().enumerate() {
            for (i, q) in quantiles.iter().enumerate() {
                let cut = model.cuts[c * quantiles.len() + i];
                assert_eq!(cut.unwrap().to_bits(), reference(values, *q).to_bits(), "{name} {q}");
            }
        }
        let last_of_ties: f64 = model.shares_of(1).iter().sum();
        assert!((last_of_ties - 1.0).abs() < 1e-12 && model.shares_of(3)[9] > 0.1, "{:?}", model.shares);
        assert_eq!(model.means[3], None);
        assert!((model.means[1].unwrap() - ties.iter().sum::<f64>() / n as f64).abs() < 1e-12);
        let backwards: Vec<Vec<f64>> =
            columns.iter().map(|(_, v)| v.iter().rev().copied().collect()).collect();
        let columns: Vec<(&str, &[f64])> =
            columns.iter().zip(&backwards).map(|((n, _), v)| (*n, v.as_slice())).collect();
        let (again, _) = train(&columns, 333, &quantiles).await;
        let bits = |m: &ReferenceModel| {
            let shares = m.shares.iter().copied().map(Some);
            m.cuts
                .iter()
                .chain(&m.means)
                .copied()
                .chain(shares)
                .map(|v| v.map(f64::to_bits))
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&model), bits(&again));
    }

    #[tokio::test]
    async fn few_rows_take_three_passes() {
        let (model, passes) =
            train(&[("x", &[3.0, 1.0, f64::NAN, 2.0, 5.0, 4.0])], 2, &[0.2, 0.4, 0.6, 0.8]).await;
        assert_eq!(
            (model.cuts.as_slice(), model.means.as_slice(), passes),
            (&[1.0, 2.0, 3.0, 4.0].map(Some)[..], &[Some(3.0)][..], 3)
        );
        assert_eq!(model.shares, [1.0 / 6.0; 6]);
        let (model, _) = train(&[("x", &[7.5])], 1, &[0.1, 0.9]).await;
        assert_eq!(model.cuts, [Some(7.5); 2]);
        let (model, _) = train(&[("x", &[f64::NEG_INFINITY, 1.0])], 1, &[0.5]).await;
        assert_eq!((model.cuts[0], model.means[0]), (Some(f64::NEG_INFINITY), Some(f64::NEG_INFINITY)));
        let (model, passes) = train(&[("x", &[f64::NAN]), ("y", &[-0.0])], 1, &[0.5]).await;
        assert_eq!((&model.cuts[..], &model.means[..]), (&[None, Some(0.0)][..], &[None, Some(0.0)][..]));
        assert!(model.validate().is_ok() && passes == 3);
        assert_eq!(model.shares, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    }

    async fn refusal(columns: Vec<(&str, ArrayRef)>, name: &str) -> Error {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let open = || {
            let rows = stream(vec![batch.clone()]);
            async move { Ok(rows) }
        };
        train_reference(&ReferenceSettings::default(), &[name.to_string()], open).await.unwrap_err()
    }

    #[tokio::test]
    async fn integers_with_nulls_and_refusals() {
        let ints = || Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef;
        let error = refusal(vec![("x", ints())], "y").await;
        assert!(matches!(&error, Error::Usage(m) if m.contains("no column `y`; they have x")), "{error}");
        let error = refusal(vec![("x", Arc::new(StringArray::from(vec!["1"])))], "x").await;
        assert!(matches!(&error, Error::Usage(m) if m.contains("`x`")), "{error}");
        let error = refusal(vec![("x", Arc::new(Float64Array::from(vec![1e300])))], "x").await;
        assert!(matches!(&error, Error::Contract(m) if m.contains("1e300")), "{error}");
    }

    #[tokio::test]
    async fn rows_that_change_between_passes_are_refused() {
        let passes = Cell::new(0);
        let open = || {
            passes.set(passes.get() + 1);
            let rows = stream(batches(&[("x", &[1.0, 2.0, 3.0][..2 + passes.get() % 2])], 10));
            async move { Ok(rows) }
        };
        let error = train_reference(&ReferenceSettings::default(), &["x".into()], open).await.unwrap_err();
        assert!(error.to_string().contains("changed between two passes"), "{error}");
    }
}
