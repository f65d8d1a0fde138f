//! The bounded training sample: the rows with the smallest hashes of their keys, whatever order they come in.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Schema};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use crate::{Context, Error, Result};

/// One training row.
#[derive(Debug, Clone)]
pub(crate) struct SampleRow {
    /// Hash of the key: orders the sample and seeds the row's random numbers.
    pub hash: u64,
    pub key: String,
    /// One value a feature; NaN stands for NULL.
    pub values: Box<[f64]>,
    /// One value a tag.
    pub tags: Box<[Option<bool>]>,
}

impl SampleRow {
    fn rank(&self) -> (u64, &str) {
        (self.hash, &self.key)
    }
}

/// The sample, ordered by (hash, key).
#[derive(Debug)]
pub(crate) struct Sample {
    pub features: Vec<String>,
    /// Flags that name segments and are not learned from.
    pub tags: Vec<String>,
    pub rows: Vec<SampleRow>,
    /// Rows of the stream.
    pub seen: u64,
}

/// Hash of a key that stays the same in every build and on every machine: FNV-1a, finished by the mixer of
/// SplitMix64 so that high bits are as good as low ones.
pub(crate) fn hash_key(key: &str) -> u64 {
    let fnv =
        key.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    mix(fnv)
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Reads a stream of training rows (first column the key, those of `tags` flags, the others features) and keeps at most
/// `limit`.
///
/// # Errors
/// [`Error::Usage`] for columns that cannot be features or tags; [`Error::Contract`] for a NULL key, or for a key of
/// the sample that occurs twice.
pub(crate) async fn collect(
    mut rows: SendableRecordBatchStream,
    limit: usize,
    tags: &[String],
) -> Result<Sample> {
    let columns = Columns::of(&rows.schema(), tags)?;
    let mut keep = Keep { limit, rows: Vec::new(), threshold: None };
    let mut seen = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.context("read the training rows")?;
        seen += batch.num_rows() as u64;
        keep.offer(&batch, &columns)?;
    }
    let schema = rows.schema();
    let names = |places: &[usize]| places.iter().map(|place| schema.field(*place).name().clone()).collect();
    Ok(Sample { features: names(&columns.features), tags: tags.to_vec(), rows: keep.finish()?, seen })
}

/// Where what stands in a row.
struct Columns {
    features: Vec<usize>,
    tags: Vec<usize>,
}

impl Columns {
    fn of(schema: &Schema, tags: &[String]) -> Result<Self> {
        let tag = |name: &String| match schema.fields().iter().skip(1).position(|field| field.name() == name)
        {
            Some(at) if *schema.field(at + 1).data_type() == DataType::Boolean => Ok(at + 1),
            Some(at) => Err(Error::Usage(format!(
                "header `tags: {name}`: column `{name}` of the training rows has type {}: a tag is true or false",
                schema.field(at + 1).data_type()
            ))),
            None => Err(Error::Usage(format!(
                "header `tags: {name}`: the training rows have no column `{name}`: select it, or take it off the list"
            ))),
        };
        let tags = tags.iter().map(tag).collect::<Result<Vec<usize>>>()?;
        let features: Vec<usize> = (1..schema.fields().len()).filter(|at| !tags.contains(at)).collect();
        if features.is_empty() {
            return Err(Error::Usage(format!(
                "training rows need a key and at least one feature, but have {} columns, of which {} are tags: select \
                 the key first",
                schema.fields().len(),
                tags.len()
            )));
        }
        for at in &features {
            check_numeric(schema.field(*at).name(), schema.field(*at).data_type())?;
        }
        Ok(Columns { features, tags })
    }
}

/// Refuses a column that is not a number: a cast would turn what it cannot read into NULL.
pub(crate) fn check_numeric(column: &str, data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::Null | DataType::Boolean => Ok(()),
        t if t.is_numeric() => Ok(()),
        t => Err(Error::Usage(format!(
            "column `{column}` of the training rows has type {t}: only numbers can be learned from, so cast or drop it"
        ))),
    }
}

/// A column as f64, NULL where it was NULL.
pub(crate) fn as_f64(column: &ArrayRef, name: &str) -> Result<ArrayRef> {
    cast(column, &DataType::Float64).context(format!("cast column `{name}` to double"))
}

/// The `limit + 1` rows of smallest rank so far, and up to twice as many: one more than wanted, so that a
/// duplicate of the last row is seen.
struct Keep {
    limit: usize,
    rows: Vec<SampleRow>,
    /// Rows of a greater hash cannot enter any more.
    threshold: Option<u64>,
}

impl Keep {
    fn offer(&mut self, batch: &RecordBatch, columns: &Columns) -> Result<()> {
        let schema = batch.schema();
        let keys = cast(batch.column(0), &DataType::Utf8)
            .context(format!("cast key column `{}` to text", schema.field(0).name()))?;
        let keys = keys.as_string::<i32>();
        if keys.null_count() > 0 {
            return Err(Error::Contract(format!(
                "key column `{}` of the training rows is NULL: filter these rows out",
                schema.field(0).name()
            )));
        }
        let features = columns.features.iter();
        let features = features
            .map(|i| as_f64(batch.column(*i), schema.field(*i).name()))
            .collect::<Result<Vec<_>>>()?;
        let tags: Vec<&BooleanArray> = columns.tags.iter().map(|i| batch.column(*i).as_boolean()).collect();
        for i in 0..batch.num_rows() {
            let key = keys.value(i);
            let hash = hash_key(key);
            if self.threshold.is_some_and(|t| hash > t) {
                continue;
            }
            let value = |column: &ArrayRef| {
                let column = column.as_primitive::<Float64Type>();
                if column.is_null(i) { f64::NAN } else { column.value(i) }
            };
            self.rows.push(SampleRow {
                hash,
                key: key.to_string(),
                values: features.iter().map(value).collect(),
                tags: tags.iter().map(|tag| tag.is_valid(i).then(|| tag.value(i))).collect(),
            });
            if self.rows.len() >= 2 * (self.limit + 1) {
                self.shrink();
            }
        }
        Ok(())
    }

    fn shrink(&mut self) {
        let last = self.limit;
        let (_, row, _) = self.rows.select_nth_unstable_by(last, |a, b| a.rank().cmp(&b.rank()));
        self.threshold = Some(row.hash);
        self.rows.truncate(last + 1);
    }

    fn finish(mut self) -> Result<Vec<SampleRow>> {
        self.rows.sort_unstable_by(|a, b| a.rank().cmp(&b.rank()));
        self.rows.truncate(self.limit + 1);
        if let Some(pair) = self.rows.windows(2).find(|w| w[0].key == w[1].key) {
            return Err(Error::Contract(format!(
                "key `{}` occurs more than once in the training rows: give one row per key",
                pair[0].key
            )));
        }
        self.rows.truncate(self.limit);
        Ok(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

    use super::*;

    fn stream(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
        let schema = batches[0].schema();
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok))))
    }

    fn batch(keys: impl IntoIterator<Item = i64>) -> RecordBatch {
        let keys: Vec<i64> = keys.into_iter().collect();
        let values = Float64Array::from_iter(keys.iter().map(|k| (k % 3 != 0).then_some(*k as f64)));
        RecordBatch::try_from_iter(vec![
            ("id", Arc::new(Int64Array::from(keys)) as ArrayRef),
            ("x", Arc::new(values) as ArrayRef),
        ])
        .unwrap()
    }

    fn ids(sample: &Sample) -> Vec<&str> {
        sample.rows.iter().map(|r| r.key.as_str()).collect()
    }

    #[tokio::test]
    async fn same_rows_in_any_order_and_batching() {
        let forward = collect(stream(vec![batch(0..1000)]), 50, &[]).await.unwrap();
        let backward = collect(stream((0..1000).rev().map(|i| batch([i])).collect()), 50, &[]).await.unwrap();
        assert_eq!(forward.rows.len(), 50);
        assert_eq!(forward.seen, 1000);
        assert_eq!(ids(&forward), ids(&backward));
        let mut all: Vec<(u64, String)> =
            (0..1000).map(|i| (hash_key(&i.to_string()), i.to_string())).collect();
        all.sort();
        assert_eq!(ids(&forward), all[..50].iter().map(|(_, k)| k.as_str()).collect::<Vec<_>>());
        for row in &forward.rows {
            let key: f64 = row.key.parse().unwrap();
            assert!(if key % 3.0 == 0.0 { row.values[0].is_nan() } else { row.values[0] == key });
        }
    }

    #[tokio::test]
    async fn duplicates_are_refused_even_at_the_edge() {
        let all = collect(stream(vec![batch(0..100)]), 100, &[]).await.unwrap();
        for (rank, row) in all.rows.iter().enumerate() {
            let key: i64 = row.key.parse().unwrap();
            let result = collect(stream(vec![batch(0..100), batch([key])]), 10, &[]).await;
            if rank < 10 {
                let message = result.unwrap_err().to_string();
                assert!(message.contains(&format!("key `{key}` occurs more than once")), "{message}");
            } else {
                assert_eq!(ids(&result.unwrap()), ids(&all)[..10]);
            }
        }
    }

    #[tokio::test]
    async fn refuses_null_keys_and_columns_that_are_no_numbers() {
        let nulls = RecordBatch::try_from_iter(vec![
            ("id", Arc::new(StringArray::from(vec![Some("a"), None])) as ArrayRef),
            ("x", Arc::new(Float64Array::from(vec![1.0, 2.0])) as ArrayRef),
        ])
        .unwrap();
        let error = collect(stream(vec![nulls.clone()]), 10, &[]).await.unwrap_err();
        assert!(matches!(&error, Error::Contract(m) if m.contains("`id`")), "{error}");
        let text = nulls.project(&[1, 0]).unwrap();
        let error = collect(stream(vec![text]), 10, &[]).await.unwrap_err();
        assert!(matches!(&error, Error::Usage(m) if m.contains("`id`") && m.contains("Utf8")), "{error}");
        let error = collect(stream(vec![nulls.project(&[0]).unwrap()]), 10, &[]).await.unwrap_err();
        assert!(matches!(&error, Error::Usage(m) if m.contains("at least one feature")), "{error}");
    }

    #[tokio::test]
    async fn tags_are_flags_that_stand_anywhere_and_are_no_features() {
        let rows = RecordBatch::try_from_iter(vec![
            ("id", Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef),
            ("loyal", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as ArrayRef),
            ("x", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0])) as ArrayRef),
        ])
        .unwrap();
        let read = |tags: &[&str]| {
            let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
            let rows = stream(vec![rows.clone()]);
            async move { collect(rows, 10, &tags).await }
        };
        let sample = read(&["loyal"]).await.unwrap();
        assert_eq!((sample.features, sample.tags), (vec!["x".to_string()], vec!["loyal".to_string()]));
        let mut found: Vec<_> =
            sample.rows.iter().map(|r| (r.key.as_str(), r.values[0], r.tags[0])).collect();
        found.sort_by(|a, b| a.0.cmp(b.0));
        assert_eq!(found, [("a", 1.0, Some(true)), ("b", 2.0, None), ("c", 3.0, Some(false))]);
        assert_eq!(read(&[]).await.unwrap().features, ["loyal", "x"]);
        for (tag, expected) in [("x", "Float64: a tag is true or false"), ("id", "no column `id`")] {
            let error = read(&[tag]).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
