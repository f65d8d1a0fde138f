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
use futures::stream::{self, Fuse};
use futures::{Stream, StreamExt, TryStreamExt};

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

    /// At most so many pairs from there on, and where the next begin.
    fn linked(table: &Table, found: &[u32], from: Place, most: usize) -> (Pairs, Place) {
        let (mut right, mut left) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let Place { mut row, partner: mut there, .. } = from;
        while row < found.len() && right.len() < most {
            if there == NONE {
                there = found[row];
            }
            while there != NONE && right.len() < most {
                right.push(row as u32);
                left.push(there);
                there = table.after(there);
            }
            row += usize::from(there == NONE);
        }
        (Pairs { right: Some(right), left }, Place { row, partner: there, paired: false })
    }

    /// Those for which `holds`.
    fn filter(self, holds: &BooleanArray) -> Pairs {
        let kept: Vec<usize> =
            (0..self.left.len()).filter(|at| holds.is_valid(*at) && holds.value(*at)).collect();
        let right = kept.iter().map(|at| self.right(*at)).collect();
        Pairs { right: Some(right), left: kept.into_iter().map(|at| self.left[at]).collect() }
    }

    /// These, and one for each of the rows that stands in none, in the order of rows.
    fn with_alone(self, rows: Range<usize>, first_is_paired: bool) -> Pairs {
        let Some(paired) = self.right else { return self };
        let (mut right, mut left) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let end = rows.end as u32;
        let mut row = rows.start as u32 + u32::from(first_is_paired);
        for (at, there) in paired.into_iter().zip(self.left) {
            right.extend(row..at.min(end));
            left.resize(right.len(), NONE);
            right.push(at);
            left.push(there);
            row = row.max(at + 1);
        }
        right.extend(row..end);
        left.resize(right.len(), NONE);
        Pairs { right: Some(right), left }
    }

    fn last_right(&self) -> Option<u32> {
        self.left.len().checked_sub(1).map(|last| self.right(last))
    }

    fn right(&self, at: usize) -> u32 {
        self.right.as_ref().map_or(at as u32, |right| right[at])
    }
}

/// Where pairs go on.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    /// The next partner of that row; the first one where it is [`NONE`].
    partner: u32,
    /// Whether the row was paired before, so that it does not stand alone.
    paired: bool,
}

/// A batch whose rows are not all joined yet.
struct Work {
    batch: RecordBatch,
    found: Vec<u32>,
    at: Place,
}

/// What a partition is about.
struct Progress {
    other: Fuse<SendableRecordBatchStream>,
    work: Option<Work>,
    whole: BatchCoalescer,
    ended: bool,
    metrics: BaselineMetrics,
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
        let whole = BatchCoalescer::new(self.schema.clone(), batch_rows);
        let whole = whole.with_biggest_coalesce_batch_size(Some(batch_rows / 2));
        // nobody finds a partner
        let ended = table.is_empty && matches!(self.join_type, JoinType::Inner | JoinType::RightSemi);
        let start = Progress { other: other.fuse(), work: None, whole, ended, metrics };
        stream::try_unfold(start, move |mut now| {
            let (rules, table) = (self.clone(), table.clone());
            async move {
                loop {
                    if let Some(batch) = now.whole.next_completed_batch() {
                        return Ok(Some((batch.record_output(&now.metrics), now)));
                    }
                    if now.ended {
                        return Ok(None);
                    }
                    let next = match now.work.take() {
                        Some(work) => Some(work),
                        None => match now.other.try_next().await? {
                            Some(batch) => {
                                let _timer = now.metrics.elapsed_compute().timer();
                                let found = table.find(&batch, &rules.right_on)?;
                                let at = Place { row: 0, partner: NONE, paired: false };
                                Some(Work { batch, found, at })
                            }
                            None => None,
                        },
                    };
                    let _timer = now.metrics.elapsed_compute().timer();
                    match next {
                        Some(work) => now.work = rules.join_some(&table, work, batch_rows, &mut now.whole)?,
                        None => {
                            now.whole.finish_buffered_batch()?;
                            now.ended = true;
                        }
                    }
                }
            }
        })
    }

    /// Joins rows of a batch until there are as many pairs as a batch has rows; what is left of it.
    fn join_some(
        &self,
        table: &Table,
        mut work: Work,
        batch_rows: usize,
        out: &mut BatchCoalescer,
    ) -> Result<Option<Work>> {
        let (batch, from) = (&work.batch, work.at);
        if table.is_unique() {
            let pairs = match self.join_type {
                JoinType::Right if self.filter.is_none() => Pairs { right: None, left: work.found },
                _ => self.filtered(table, batch, Pairs::unique(work.found))?,
            };
            out.push_batch(self.joined(table, batch, pairs, 0..batch.num_rows(), false)?)?;
            return Ok(None);
        }
        let (pairs, mut next) = Pairs::linked(table, &work.found, from, batch_rows);
        let pairs = self.filtered(table, batch, pairs)?;
        if next.partner != NONE {
            let before = from.paired && from.row == next.row;
            next.paired = before || pairs.last_right() == Some(next.row as u32);
        }
        out.push_batch(self.joined(table, batch, pairs, from.row..next.row, from.paired)?)?;
        work.at = next;
        Ok((next.row < work.found.len()).then_some(work))
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

    /// The result for these rows of a batch and the pairs that they, and perhaps the next row, are in.
    fn joined(
        &self,
        table: &Table,
        batch: &RecordBatch,
        pairs: Pairs,
        rows: Range<usize>,
        first_is_paired: bool,
    ) -> Result<RecordBatch> {
        let pairs = match self.join_type {
            JoinType::Inner => pairs,
            JoinType::Right => pairs.with_alone(rows, first_is_paired),
            JoinType::RightSemi | JoinType::RightAnti => {
                let mut paired = vec![false; rows.len()];
                let pairs = (0..pairs.left.len()).map(|at| pairs.right(at) as usize);
                for row in pairs.chain(first_is_paired.then_some(rows.start)).filter(|row| *row < rows.end) {
                    paired[row - rows.start] = true;
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
