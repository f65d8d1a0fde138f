//! Exact quantiles and means of columns that are too long to sort: a radix search over several passes.

use std::future::Future;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::Float64Type;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use strata_udfs::groups::quantile_rank;
use strata_udfs::model::{GRID, ReferenceModel};

use super::radix::{Search, from_key, to_key};
use super::sample::{as_f64, check_numeric};
use super::settings::ReferenceSettings;
use crate::{Context, Error, Result};

/// Beyond this a value does not fit the fixed-point sum: 2^62.
const MEAN_BOUND: f64 = 4_611_686_018_427_387_904.0;

/// Computes exact inverse-CDF quantiles (observed values) and exact means of `columns`, NULL and NaN left out.
///
/// Every pass opens the rows again, with `open`: two passes for most columns, four at most. Memory is half a
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
    scan(&mut searches, open().await?, Column::first_pass).await?;
    for column in &mut searches {
        column.end_first_pass(&settings.quantiles)?;
    }
    while searches.iter().any(|c| !c.done()) {
        searches.iter_mut().for_each(|c| c.passed = 0);
        scan(&mut searches, open().await?, Column::next_pass).await?;
        for column in &mut searches {
            column.end_pass()?;
        }
    }
    let model = ReferenceModel {
        columns: columns.to_vec(),
        quantiles: settings.quantiles.clone(),
        cuts: searches.iter().flat_map(Column::cuts).collect(),
        means: searches.iter().map(Column::mean).collect(),
    };
    model.validate().context("check the trained reference")?;
    Ok(model)
}

/// What speaks against keeping the reference `before`, given the one of the present rows: `None` while no cut point and no
/// mean has moved by more than the share `max_move` of its value.
pub fn moved(before: &ReferenceModel, now: &ReferenceModel, max_move: f64) -> Option<String> {
    if before.columns != now.columns || before.quantiles != now.quantiles {
        return Some("the columns or quantiles have changed".into());
    }
    let quantiles = before.quantiles.len();
    let cut = |at: usize| {
        format!("quantile {} of `{}`", before.quantiles[at % quantiles], before.columns[at / quantiles])
    };
    let mean = |at: usize| format!("the mean of `{}`", before.columns[at]);
    let far = |before: Option<f64>, now: Option<f64>| match (before, now) {
        (Some(before), Some(now)) => {
            let step = (now - before).abs();
            before != now && (step > max_move * before.abs() || !step.is_finite())
        }
        (before, now) => before.is_some() != now.is_some(),
    };
    let shown = |value: Option<f64>| value.map_or("none".to_string(), |value| value.to_string());
    let said = |what: String, before, now| {
        format!("{what} went from {} to {}, beyond `max_move: {max_move}`", shown(before), shown(now))
    };
    let cuts = before.cuts.iter().zip(&now.cuts).enumerate();
    let means = before.means.iter().zip(&now.means).enumerate();
    cuts.filter(|(_, (before, now))| far(**before, **now))
        .map(|(at, (before, now))| said(cut(at), *before, *now))
        .chain(
            means
                .filter(|(_, (before, now))| far(**before, **now))
                .map(|(at, (before, now))| said(mean(at), *before, *now)),
        )
        .next()
}

async fn scan(
    columns: &mut [Column],
    mut rows: SendableRecordBatchStream,
    pass: impl Fn(&mut Column, f64) -> Result<()>,
) -> Result<()> {
    let schema = rows.schema();
    let mut positions = Vec::with_capacity(columns.len());
    for column in columns.iter() {
        let Some((i, field)) = schema.column_with_name(&column.name) else {
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::Usage(format!(
                "the reference rows have no column `{}`; they have {}",
                column.name,
                names.join(", ")
            )));
        };
        check_numeric(&column.name, field.data_type())?;
        positions.push(i);
    }
    while let Some(batch) = rows.next().await {
        let batch = batch.context("read the reference rows")?;
        for (column, i) in columns.iter_mut().zip(&positions) {
            let values: ArrayRef = as_f64(batch.column(*i), &column.name)?;
            let values = values.as_primitive::<Float64Type>();
            for value in values.iter().flatten().filter(|v| !v.is_nan()) {
                pass(column, value)?;
            }
        }
    }
    Ok(())
}

/// What is known of one column so far.
struct Column {
    name: String,
    /// Known values, infinities included; of the first pass and of the present one.
    count: u64,
    passed: u64,
    /// Sum of the finite values in grid steps, and of the infinite ones.
    sum: i128,
    infinite: f64,
    searches: Vec<Search>,
    found: Vec<Option<u64>>,
}

impl Column {
    fn new(name: &str) -> Self {
        Column {
            name: name.into(),
            count: 0,
            passed: 0,
            sum: 0,
            infinite: 0.0,
            searches: vec![Search::everywhere()],
            found: Vec::new(),
        }
    }

    fn first_pass(&mut self, value: f64) -> Result<()> {
        self.count += 1;
        self.searches.iter_mut().for_each(|s| s.add(to_key(value)));
        if value.is_infinite() {
            self.infinite += value;
            return Ok(());
        }
        if value.abs() > MEAN_BOUND {
            return Err(Error::Contract(format!(
                "column `{}` holds {value:e}, too large for an exact mean (2^62): filter such rows out",
                self.name
            )));
        }
        self.sum = self.sum.checked_add((value * GRID).round_ties_even() as i128).ok_or_else(|| {
            Error::Contract(format!("the sum of column `{}` overflows 128 bits: scale it down", self.name))
        })?;
        Ok(())
    }

    fn end_first_pass(&mut self, quantiles: &[f64]) -> Result<()> {
        self.found = vec![None; quantiles.len()];
        if self.count == 0 {
            self.searches = Vec::new();
            return Ok(());
        }
        let ranks: Vec<(u64, usize)> =
            quantiles.iter().enumerate().map(|(i, q)| (quantile_rank(*q, self.count), i)).collect();
        self.searches.iter_mut().for_each(|s| s.look_for(ranks.clone()));
        self.passed = self.count;
        self.end_pass()
    }

    fn next_pass(&mut self, value: f64) -> Result<()> {
        self.passed += 1;
        if self.passed > self.count {
            return Err(self.changed());
        }
        let key = to_key(value);
        if let Some(search) = self.searches.iter_mut().find(|s| s.matches(key)) {
            search.add(key);
        }
        Ok(())
    }

    fn end_pass(&mut self) -> Result<()> {
        if self.passed != self.count {
            return Err(self.changed());
        }
        let searches = std::mem::take(&mut self.searches);
        self.searches = searches.into_iter().flat_map(|s| s.advance(&mut self.found)).collect();
        if self.done() && self.count > 0 && self.found.iter().any(Option::is_none) {
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

    fn mean(&self) -> Option<f64> {
        let mean = self.infinite + self.sum as f64 / (self.count as f64 * GRID);
        (!mean.is_nan()).then_some(mean)
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
        assert!(passes <= 4, "{passes}");
        for (c, (name, values)) in columns.iter().enumerate() {
            for (i, q) in quantiles.iter().enumerate() {
                let cut = model.cuts[c * quantiles.len() + i];
                assert_eq!(cut.unwrap().to_bits(), reference(values, *q).to_bits(), "{name} {q}");
            }
        }
        assert_eq!(model.means[3], None);
        assert!((model.means[1].unwrap() - ties.iter().sum::<f64>() / n as f64).abs() < 1e-12);
        let backwards: Vec<Vec<f64>> =
            columns.iter().map(|(_, v)| v.iter().rev().copied().collect()).collect();
        let columns: Vec<(&str, &[f64])> =
            columns.iter().zip(&backwards).map(|((n, _), v)| (*n, v.as_slice())).collect();
        let (again, _) = train(&columns, 333, &quantiles).await;
        let bits = |m: &ReferenceModel| {
            m.cuts.iter().chain(&m.means).map(|v| v.map(f64::to_bits)).collect::<Vec<_>>()
        };
        assert_eq!(bits(&model), bits(&again));
    }

    #[tokio::test]
    async fn few_rows_take_two_passes() {
        let (model, passes) =
            train(&[("x", &[3.0, 1.0, f64::NAN, 2.0, 5.0, 4.0])], 2, &[0.2, 0.4, 0.6, 0.8]).await;
        assert_eq!(
            (model.cuts.as_slice(), model.means.as_slice(), passes),
            (&[1.0, 2.0, 3.0, 4.0].map(Some)[..], &[Some(3.0)][..], 2)
        );
        let (model, _) = train(&[("x", &[7.5])], 1, &[0.1, 0.9]).await;
        assert_eq!(model.cuts, [Some(7.5); 2]);
        let (model, _) = train(&[("x", &[f64::NEG_INFINITY, 1.0])], 1, &[0.5]).await;
        assert_eq!((model.cuts[0], model.means[0]), (Some(f64::NEG_INFINITY), Some(f64::NEG_INFINITY)));
        let (model, passes) = train(&[("x", &[f64::NAN]), ("y", &[-0.0])], 1, &[0.5]).await;
        assert_eq!((&model.cuts[..], &model.means[..]), (&[None, Some(0.0)][..], &[None, Some(0.0)][..]));
        assert!(model.validate().is_ok() && passes == 2);
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

    #[test]
    fn a_reference_has_moved_when_a_cut_or_a_mean_has() {
        let reference = |cuts: [f64; 3], means: [Option<f64>; 2]| ReferenceModel {
            columns: vec!["spend".into(), "unknown".into()],
            quantiles: vec![0.25, 0.5, 0.75],
            cuts: cuts.map(Some).into_iter().chain([None; 3]).collect(),
            means: means.to_vec(),
        };
        let before = reference([-10.0, 0.0, 100.0], [Some(40.0), None]);
        let said = |now: &ReferenceModel| moved(&before, now, 0.1).unwrap_or_default();
        // a tenth is no more than a tenth
        assert_eq!(said(&reference([-11.0, 0.0, 110.0], [Some(36.0), None])), "");
        let cut = said(&reference([-10.0, 0.0, 110.5], [Some(40.0), None]));
        assert_eq!(cut, "quantile 0.75 of `spend` went from 100 to 110.5, beyond `max_move: 0.1`");
        let mean = said(&reference([-10.0, 0.0, 100.0], [Some(35.0), None]));
        assert_eq!(mean, "the mean of `spend` went from 40 to 35, beyond `max_move: 0.1`");
        let zero = said(&reference([-10.0, 1.0, 100.0], [Some(40.0), None]));
        assert!(zero.starts_with("quantile 0.5 of `spend` went from 0 to 1,"), "{zero}");
        let known = said(&reference([-10.0, 0.0, 100.0], [Some(40.0), Some(1.0)]));
        assert!(known.starts_with("the mean of `unknown` went from none to 1,"), "{known}");
        let other = ReferenceModel { quantiles: vec![0.2, 0.5, 0.75], ..before.clone() };
        assert!(said(&other).contains("quantiles have changed"));
    }
}
