//! Features of customers of planted personas, as Parquet.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;

/// Features of a customer.
pub const FEATURES: usize = 32;

/// Personas among the customers; the sizes of the largest and the smallest differ by a factor of four.
const PERSONAS: usize = 12;

/// The first of the features that are skewed, and of those that follow the feature this many places before them.
const SKEWED: usize = 16;
const CORRELATED: usize = 24;

/// Rows of a file, and of a row group; also those from whose mean and deviation all are scaled.
const FILE_ROWS: u64 = 262_144;
const GROUP_ROWS: u64 = 131_072;

/// Writes `customer_id` (0 up) and the features `f00` to `f31`, of mean about 0 and deviation about 1, in files of
/// 262,144 rows; holds one row group at a time. The rows depend on `seed` only, and fewer rows are the first of more.
///
/// Customers lie about the centres of twelve personas that overlap, so that Lloyd's iteration takes long to settle. The
/// last sixteen features are skewed, and the last eight correlated with eight others.
pub fn write(folder: &Path, rows: u64, seed: u64) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let personas = Personas::new(seed);
    let scaling = scaling(&personas.rows(0..GROUP_ROWS));
    let mut fields = vec![Field::new("customer_id", DataType::Int64, false)];
    fields.extend((0..FEATURES).map(|f| Field::new(format!("f{f:02}"), DataType::Float64, false)));
    let schema = Arc::new(Schema::new(fields));
    // numbers of 53 random bits have no dictionary
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(Some(GROUP_ROWS as usize));
    let properties = properties.build();
    for first in (0..rows).step_by(FILE_ROWS as usize) {
        let file = File::create(folder.join(format!("part-{:05}.parquet", first / FILE_ROWS)))?;
        let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties.clone()))?;
        let last = rows.min(first + FILE_ROWS);
        for from in (first..last).step_by(GROUP_ROWS as usize) {
            let range = from..last.min(from + GROUP_ROWS);
            let ids = Int64Array::from_iter_values(range.clone().map(|id| id as i64));
            let mut columns: Vec<ArrayRef> = vec![Arc::new(ids)];
            for (values, (mean, deviation)) in personas.rows(range).into_iter().zip(&scaling) {
                let scaled = values.into_iter().map(|value| (value - mean) / deviation);
                columns.push(Arc::new(Float64Array::from_iter_values(scaled)));
            }
            writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
        }
        writer.close()?;
    }
    Ok(())
}

struct Personas {
    seed: u64,
    /// Feature by feature.
    centres: Vec<[f64; FEATURES]>,
    /// Share of the customers up to and with each persona.
    shares: Vec<f64>,
}

impl Personas {
    fn new(seed: u64) -> Personas {
        let mut dice = Dice(mix(seed));
        let centres = (0..PERSONAS).map(|_| std::array::from_fn(|_| 2.0 * dice.normal())).collect();
        let weights: Vec<f64> = (0..PERSONAS).map(|p| 4.0 - 3.0 * p as f64 / (PERSONAS - 1) as f64).collect();
        let total: f64 = weights.iter().sum();
        let shares = weights.iter().scan(0.0, |sum, weight| {
            *sum += weight / total;
            Some(*sum)
        });
        Personas { seed, shares: shares.collect(), centres }
    }

    /// The features of these customers, one column each.
    fn rows(&self, ids: std::ops::Range<u64>) -> Vec<Vec<f64>> {
        let rows = (ids.end - ids.start) as usize;
        let mut columns: Vec<Vec<f64>> = (0..FEATURES).map(|_| Vec::with_capacity(rows)).collect();
        for id in ids {
            let mut dice = Dice(mix(self.seed ^ mix(id)));
            let luck = dice.uniform();
            let persona = self.shares.iter().filter(|share| **share <= luck).count().min(PERSONAS - 1);
            let mut row = [0.0; FEATURES];
            for f in 0..FEATURES {
                let own = self.centres[persona][f] + 3.0 * dice.normal();
                row[f] = match f {
                    CORRELATED.. => 0.7 * row[f - (CORRELATED - SKEWED)] + 0.4 * skewed(own),
                    SKEWED.. => skewed(own),
                    _ => own,
                };
            }
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        columns
    }
}

/// The square of what is above -4, as amounts are skewed.
fn skewed(value: f64) -> f64 {
    let above = (value + 4.0).max(0.0);
    above * above / 8.0
}

/// Mean and standard deviation of each column.
fn scaling(columns: &[Vec<f64>]) -> Vec<(f64, f64)> {
    let of = |values: &Vec<f64>| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
        (mean, variance.sqrt())
    };
    columns.iter().map(of).collect()
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Random numbers of one row.
struct Dice(u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly normal, of variance 1: the sum of three uniform numbers of 21 bits.
    fn normal(&mut self) -> f64 {
        let (bits, part) = (self.bits(), (1u64 << 21) - 1);
        let sum = (bits & part) + (bits >> 21 & part) + (bits >> 42 & part);
        2.0 * (sum as f64 / part as f64 - 1.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_rows_are_the_first_of_more() {
        let personas = Personas::new(7);
        let (few, more) = (personas.rows(0..10), personas.rows(0..1000));
        for (few, more) in few.iter().zip(&more) {
            assert_eq!(few[..], more[..10]);
        }
        assert_eq!(personas.rows(10..20)[31], more[31][10..20]);
        assert!((personas.shares[PERSONAS - 1] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nearly_normal_numbers_have_mean_0_and_variance_1() {
        let mut dice = Dice(1);
        let (mean, deviation) = scaling(&[(0..100_000).map(|_| dice.normal()).collect()])[0];
        assert!(mean.abs() < 0.01 && (deviation - 1.0).abs() < 0.01, "{mean} {deviation}");
    }
}
