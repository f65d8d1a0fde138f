//! One partition of a join: each batch of the other side with the rows that its keys stand for.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{BatchCoalescer, filter_record_batch, take};
use arrow::datatypes::SchemaRef;
use datafusion::common::{JoinSide, JoinType, Result, internal_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::metrics::{BaselineMetrics, RecordOutput};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::table::{NONE, Table};

/// How rows are joined; the same for all partitions.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) join_type: JoinType,
    /// Keys of the side that is looked up, and of the other.
    pub(super) left_on: Vec<PhysicalExprRef>,
    pub(super) right_on: Vec<PhysicalExprRef>,
    pub(super) filter: Option<JoinFilter>,
    /// Where each column of the result comes from.
    pub(super) columns: Vec<ColumnIndex>,
    pub(super) schema: SchemaRef,
}

/// Pairs of rows: places in the batch, which ascend, and in the table, where [`NONE`] stands for a row of NULLs.
struct Pairs {
    /// Nothing where each row of the batch stands in one pair.
    right: Option<Vec<u32>>,
    left: Vec<u32>,
}

impl Pairs {
    /// The pairs of all rows of a batch with the rows found for them in a table of keys that stand once each.
    fn unique(found: Vec<u32>) -> Pairs {
        if !found.contains(&NONE) {
            return Pairs { right: None, left: found };
        }
        let paired = |row: &u32| found[*row as usize] != NONE;
        let right: Vec<u32> = (0..found.len() as u32).filter(paired).collect();
        let left = right.iter().map(|row| found[*row as usize]).collect();
        Pairs { right: Some(right), left }
    }

    /// The pairs of rows from `start` on, and where the next begin: whole rows until there are `most` pairs.
    fn linked(table: &Table, found: &[u32], start: usize, most: usize) -> (Pairs, usize) {
        let (mut right, mut left) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let mut row = start;
        while row < found.len() && right.len() < most {
            let mut there = found[row];
            while there != NONE {
                right.push(row as u32);
                left.push(there);
                there = table.after(there);
            }
            row += 1;
        }
        (Pairs { right: Some(right), left }, row)
    }

    /// Those for which `holds`.
    fn filter(self, holds: &BooleanArray) -> Pairs {
        let kept: Vec<usize> =
            (0..self.left.len()).filter(|at| holds.is_valid(*at) && holds.value(*at)).collect();
        let right = kept.iter().map(|at| self.right(*at)).collect();
        Pairs { right: Some(right), left: kept.into_iter().map(|at| self.left[at]).collect() }
    }

    /// These, and one for each of the rows that stands in none, in the order of rows.
    fn with_alone(self, rows: Range<usize>) -> Pairs {
        let Some(paired) = self.right else { return self };
        let (mut right, mut left) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let pairs = paired.into_iter().zip(self.left).chain([(rows.end as u32, NONE)]);
        let mut row = rows.start as u32;
        for (at, there) in pairs {
            right.extend(row..at);
            left.resize(right.len(), NONE);
            if at < rows.end as u32 {
                right.push(at);
                left.push(there);
            }
            row = at + 1;
        }
        Pairs { right: Some(right), left }
    }

    fn right(&self, at: usize) -> u32 {
        self.right.as_ref().map_or(at as u32, |right| right[at])
    }
}

impl Rules {
    /// The result of a partition, from the rows of its other side.
    pub(super) fn join(
        self: Arc<Self>,
        table: Arc<Table>,
        other: SendableRecordBatchStream,
        batch_rows: usize,
        metrics: BaselineMetrics,
    ) -> impl Stream<Item = Result<RecordBatch>> {
        let coalescer = BatchCoalescer::new(self.schema.clone(), batch_rows);
        let coalescer = coalescer.with_biggest_coalesce_batch_size(Some(batch_rows / 2));
        let start = (other.fuse(), coalescer, false);
        stream::try_unfold(start, move |(mut other, mut whole, mut ended)| {
            let (rules, table, metrics) = (self.clone(), table.clone(), metrics.clone());
            async move {
                loop {
                    if let Some(batch) = whole.next_completed_batch() {
                        return Ok(Some((batch.record_output(&metrics), (other, whole, ended))));
                    }
                    if ended {
                        return Ok(None);
                    }
                    let next = other.try_next().await?;
                    let _timer = metrics.elapsed_compute().timer();
                    match next {
                        Some(batch) => rules.join_batch(&table, &batch, batch_rows, &mut whole)?,
                        None => {
                            whole.finish_buffered_batch()?;
                            ended = true;
                        }
                    }
                }
            }
        })
    }

    fn join_batch(
        &self,
        table: &Table,
        batch: &RecordBatch,
        batch_rows: usize,
        out: &mut BatchCoalescer,
    ) -> Result<()> {
        let found = table.find(batch, &self.right_on)?;
        if table.is_unique() {
            let pairs = match self.join_type {
                JoinType::Right if self.filter.is_none() => Pairs { right: None, left: found },
                _ => self.filtered(table, batch, Pairs::unique(found))?,
            };
            out.push_batch(self.joined(table, batch, pairs, 0..batch.num_rows())?)?;
            return Ok(());
        }
        let mut row = 0;
        while row < found.len() {
            let (pairs, end) = Pairs::linked(table, &found, row, batch_rows);
            let pairs = self.filtered(table, batch, pairs)?;
            out.push_batch(self.joined(table, batch, pairs, row..end)?)?;
            row = end;
        }
        Ok(())
    }

    /// The pairs for which the filter holds.
    fn filtered(&self, table: &Table, batch: &RecordBatch, pairs: Pairs) -> Result<Pairs> {
        let Some(filter) = &self.filter else { return Ok(pairs) };
        let rows = self.columns_of(filter.column_indices(), table, batch, &pairs)?;
        let options = RecordBatchOptions::new().with_row_count(Some(pairs.left.len()));
        let rows = RecordBatch::try_new_with_options(filter.schema().clone(), rows, &options)?;
        let holds = filter.expression().evaluate(&rows)?.into_array(rows.num_rows())?;
        match holds.as_boolean_opt() {
            Some(holds) => Ok(pairs.filter(holds)),
            None => internal_err!("a filter of a join gave {}", holds.data_type()),
        }
    }

    /// The result for these rows of a batch and the pairs they are in.
    fn joined(
        &self,
        table: &Table,
        batch: &RecordBatch,
        pairs: Pairs,
        rows: Range<usize>,
    ) -> Result<RecordBatch> {
        let pairs = match self.join_type {
            JoinType::Inner => pairs,
            JoinType::Right => pairs.with_alone(rows),
            JoinType::RightSemi | JoinType::RightAnti => {
                let mut paired = vec![false; rows.len()];
                for at in 0..pairs.left.len() {
                    paired[pairs.right(at) as usize - rows.start] = true;
                }
                let keep = self.join_type == JoinType::RightSemi;
                let kept: BooleanArray = paired.iter().map(|paired| Some(*paired == keep)).collect();
                let batch = batch.slice(rows.start, rows.len());
                return Ok(filter_record_batch(&self.projected(&batch)?, &kept)?);
            }
            other => return internal_err!("a {other} join looks up no rows"),
        };
        let columns = self.columns_of(&self.columns, table, batch, &pairs)?;
        let options = RecordBatchOptions::new().with_row_count(Some(pairs.left.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    /// The columns of the result in a batch of the other side, where it has no others.
    fn projected(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.columns.iter().map(|column| batch.column(column.index).clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    /// Columns of pairs; those of the batch as they are where each of its rows stands in one pair.
    fn columns_of(
        &self,
        columns: &[ColumnIndex],
        table: &Table,
        batch: &RecordBatch,
        pairs: &Pairs,
    ) -> Result<Vec<ArrayRef>> {
        let valid = pairs.left.contains(&NONE);
        let valid = valid.then(|| pairs.left.iter().map(|left| *left != NONE).collect::<NullBuffer>());
        let left = UInt32Array::new(pairs.left.clone().into(), valid);
        let right = pairs.right.clone().map(|right| UInt32Array::new(right.into(), None));
        let column = |column: &ColumnIndex| match column.side {
            JoinSide::Left => Ok(take(table.rows.column(column.index), &left, None)?),
            JoinSide::Right => Ok(match &right {
                Some(right) => take(batch.column(column.index), right, None)?,
                None => batch.column(column.index).clone(),
            }),
            JoinSide::None => internal_err!("a join that looks up rows marks none"),
        };
        columns.iter().map(column).collect()
    }
}
