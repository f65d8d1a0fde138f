//! Numbering the rows of one partition: a hash table finds the keys that repeat, and only their rows are sorted. Where
//! memory is short, the rows of a day are sorted, spilled if need be, and numbered as they come.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::{SortColumn, interleave, lexsort_to_indices};
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::BaselineMetrics;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::channel::oneshot;
use futures::{Stream, StreamExt};
use hashbrown::HashTable;

/// Bytes a row takes beside its own columns: its encoded key with offset, its place in the table, its hash.
const BYTES_PER_ROW: usize = 48;

/// One partition's work.
pub(super) struct Job {
    pub window: Arc<dyn WindowExpr>,
    pub schema: SchemaRef,
    pub sorted_by: Vec<PhysicalSortExpr>,
    /// What is held.
    pub memory: MemoryReservation,
    /// Most bytes to hold; where the rows of one value of `sorted_by` need more, they are sorted.
    pub most_bytes: usize,
    pub metrics: BaselineMetrics,
    pub context: Arc<TaskContext>,
}

/// Where the input is.
enum Input {
    Open(SendableRecordBatchStream),
    /// Rows of one value of `sorted_by`, sorted by key, and the input that goes on after them.
    Sorted(SendableRecordBatchStream, Numbering, Rest),
    Ended,
}

/// The first batch after sorted rows, and the input after that; nothing when the input ended with them.
type Rest = oneshot::Receiver<(RecordBatch, SendableRecordBatchStream)>;

/// Rows that are held, and rows that are numbered.
struct Run {
    job: Job,
    input: Input,
    held: Vec<RecordBatch>,
    numbered: VecDeque<(RecordBatch, UInt64Array)>,
}

impl Job {
    pub(super) fn run(
        self,
        input: SendableRecordBatchStream,
    ) -> impl Stream<Item = Result<RecordBatch>> + Send {
        let run = Run { job: self, input: Input::Open(input), held: Vec::new(), numbered: VecDeque::new() };
        futures::stream::try_unfold(
            run,
            |mut run| async move { Ok(run.next().await?.map(|batch| (batch, run))) },
        )
    }

    fn bytes(batch: &RecordBatch) -> usize {
        batch.get_array_memory_size() + batch.num_rows() * BYTES_PER_ROW
    }

    /// Sorts rows that are held and those of the rest that are not apart from them.
    fn sort(&self, held: Vec<RecordBatch>, rest: SendableRecordBatchStream) -> Result<Input> {
        let Some(last) = held.last().cloned() else {
            return datafusion::common::internal_err!("nothing is held");
        };
        let schema = rest.schema();
        let (go_on, after) = oneshot::channel();
        let state = (rest, last, self.sorted_by.clone(), go_on);
        let together = futures::stream::try_unfold(state, |(mut rest, last, sorted_by, go_on)| async move {
            let Some(next) = rest.next().await.transpose()? else { return Ok(None) };
            if next.num_rows() > 0 && is_apart(&sorted_by, &last, &next)? {
                // nobody waits when the query was given up
                let _ = go_on.send((next, rest));
                return Ok(None);
            }
            let last = if next.num_rows() > 0 { next.clone() } else { last };
            Ok(Some((next, (rest, last, sorted_by, go_on))))
        });
        let all = futures::stream::iter(held.into_iter().map(Ok)).chain(together);
        let stream: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema.clone(), all));
        let source = Once { schema: schema.clone(), stream: Mutex::new(Some(stream)) };
        let input = StreamingTableExec::try_new(schema, vec![Arc::new(source)], None, [], false, None)?;
        let keys = self.window.partition_by().iter().map(|key| PhysicalSortExpr::new_default(key.clone()));
        let order = self.sorted_by.iter().cloned().chain(keys).chain(self.window.order_by().iter().cloned());
        let Some(order) = LexOrdering::new(order) else {
            return datafusion::common::internal_err!("row_number without keys");
        };
        let sorted = SortExec::new(order, Arc::new(input)).with_preserve_partitioning(true);
        Ok(Input::Sorted(sorted.execute(0, self.context.clone())?, Numbering::default(), after))
    }
}

/// Whether no key of `next` stands in `last`, since the input is sorted by some of the keys and these differ.
fn is_apart(sorted_by: &[PhysicalSortExpr], last: &RecordBatch, next: &RecordBatch) -> Result<bool> {
    for sort in sorted_by {
        let before = ScalarValue::try_from_array(&value(sort, last)?, last.num_rows() - 1)?;
        if before != ScalarValue::try_from_array(&value(sort, next)?, 0)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Numbers rows that come sorted by key.
#[derive(Default)]
struct Numbering {
    converter: Option<RowConverter>,
    last: Option<OwnedRow>,
    number: u64,
}

impl Numbering {
    fn number(&mut self, batch: &RecordBatch, window: &dyn WindowExpr) -> Result<UInt64Array> {
        let keys = evaluate(batch, window)?;
        let converter = match &mut self.converter {
            Some(converter) => converter,
            none => none.insert(converter_of(&keys)?),
        };
        let keys = converter.convert_columns(&keys)?;
        let numbers = (0..batch.num_rows()).map(|row| {
            let before = match row.checked_sub(1) {
                Some(before) => Some(keys.row(before)),
                None => self.last.as_ref().map(OwnedRow::row),
            };
            self.number = if before == Some(keys.row(row)) { self.number + 1 } else { 1 };
            self.number
        });
        let numbers = numbers.collect();
        self.last = batch.num_rows().checked_sub(1).map(|row| keys.row(row).owned()).or(self.last.take());
        Ok(numbers)
    }
}

impl Run {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some((batch, numbers)) = self.numbered.pop_front() {
                self.job.memory.shrink(Job::bytes(&batch).min(self.job.memory.size()));
                self.job.metrics.record_output(batch.num_rows());
                let columns: Vec<ArrayRef> =
                    batch.columns().iter().cloned().chain([Arc::new(numbers) as ArrayRef]).collect();
                return Ok(Some(RecordBatch::try_new(self.job.schema.clone(), columns)?));
            }
            match &mut self.input {
                Input::Ended => return Ok(None),
                Input::Open(rows) => match rows.next().await.transpose()? {
                    Some(batch) => self.hold(batch)?,
                    None => {
                        self.input = Input::Ended;
                        self.number()?;
                    }
                },
                Input::Sorted(rows, numbering, rest) => match rows.next().await.transpose()? {
                    Some(batch) => {
                        let numbers = numbering.number(&batch, self.job.window.as_ref())?;
                        self.numbered.push_back((batch, numbers));
                    }
                    None => match rest.try_recv().unwrap_or_default() {
                        Some((batch, rest)) => {
                            self.input = Input::Open(rest);
                            self.hold(batch)?;
                        }
                        None => self.input = Input::Ended,
                    },
                },
            }
        }
    }

    fn hold(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if let Some(last) = self.held.last()
            && is_apart(&self.job.sorted_by, last, &batch)?
        {
            self.number()?;
        }
        let bytes = Job::bytes(&batch);
        let fits =
            self.job.memory.size() + bytes <= self.job.most_bytes && self.job.memory.try_grow(bytes).is_ok();
        self.held.push(batch);
        if !fits && let Input::Open(rest) = std::mem::replace(&mut self.input, Input::Ended) {
            // rows that are numbered are handed out first; what is held now counts as the sort's
            let held = std::mem::take(&mut self.held);
            self.job.memory.resize(self.numbered.iter().map(|(batch, _)| Job::bytes(batch)).sum());
            self.input = self.job.sort(held, rest)?;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<()> {
        let _timer = self.job.metrics.elapsed_compute().timer();
        let numbers = number(&self.held, self.job.window.as_ref())?;
        self.numbered.extend(std::mem::take(&mut self.held).into_iter().zip(numbers));
        Ok(())
    }
}

fn value(sort: &PhysicalSortExpr, batch: &RecordBatch) -> Result<ArrayRef> {
    sort.expr.evaluate(batch)?.into_array(batch.num_rows())
}

/// A stream that is read once.
struct Once {
    schema: SchemaRef,
    stream: Mutex<Option<SendableRecordBatchStream>>,
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Once")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let taken = self.stream.lock().ok().and_then(|mut stream| stream.take());
        taken.unwrap_or_else(|| {
            let none = futures::stream::once(async {
                Err(DataFusionError::Internal("a stream that is read once was read again".into()))
            });
            Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), none))
        })
    }
}

/// A row's place: batch and row in it.
type Place = (u32, u32);

/// The number of each row among the rows of its key, for each batch.
fn number(batches: &[RecordBatch], window: &dyn WindowExpr) -> Result<Vec<UInt64Array>> {
    let repeats = repeated_keys(batches, window)?;
    let mut numbers: Vec<Vec<u64>> = batches.iter().map(|batch| vec![1; batch.num_rows()]).collect();
    if !repeats.is_empty() {
        for (place, number) in rank(batches, window, &repeats)? {
            numbers[place.0 as usize][place.1 as usize] = number;
        }
    }
    Ok(numbers.into_iter().map(UInt64Array::from).collect())
}

/// All rows whose key stands more than once, each with the place of its key's first row.
fn repeated_keys(batches: &[RecordBatch], window: &dyn WindowExpr) -> Result<Vec<(Place, Place)>> {
    let keys = batches.iter().map(|batch| evaluate(batch, window)).collect::<Result<Vec<_>>>()?;
    let Some(first) = keys.first() else { return Ok(Vec::new()) };
    let converter = converter_of(first)?;
    let encoded =
        keys.iter().map(|columns| converter.convert_columns(columns)).collect::<Result<Vec<Rows>, _>>()?;
    let state = RandomState::default();
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let mut table: HashTable<(u64, Place)> = HashTable::with_capacity(rows);
    let mut repeats: Vec<(Place, Place)> = Vec::new();
    let mut hashes = Vec::new();
    for (batch, columns) in keys.iter().enumerate() {
        hashes.clear();
        hashes.resize(batches[batch].num_rows(), 0);
        create_hashes(columns, &state, &mut hashes)?;
        for (row, hash) in hashes.iter().enumerate() {
            let key = encoded[batch].row(row);
            let here = (batch as u32, row as u32);
            let same = |(other, place): &(u64, Place)| {
                other == hash && encoded[place.0 as usize].row(place.1 as usize) == key
            };
            let entry = table.entry(*hash, same, |(hash, _)| *hash);
            match entry {
                hashbrown::hash_table::Entry::Occupied(first) => repeats.push((first.get().1, here)),
                hashbrown::hash_table::Entry::Vacant(vacant) => {
                    vacant.insert((*hash, here));
                }
            }
        }
    }
    let mut firsts: Vec<Place> = repeats.iter().map(|(first, _)| *first).collect();
    firsts.sort_unstable();
    firsts.dedup();
    repeats.extend(firsts.into_iter().map(|first| (first, first)));
    Ok(repeats)
}

fn converter_of(keys: &[ArrayRef]) -> Result<RowConverter> {
    let fields = keys.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    Ok(RowConverter::new(fields)?)
}

fn evaluate(batch: &RecordBatch, window: &dyn WindowExpr) -> Result<Vec<ArrayRef>> {
    window.partition_by().iter().map(|expr| expr.evaluate(batch)?.into_array(batch.num_rows())).collect()
}

/// The numbers of the rows given, each with its key's first place.
fn rank(
    batches: &[RecordBatch],
    window: &dyn WindowExpr,
    repeats: &[(Place, Place)],
) -> Result<Vec<(Place, u64)>> {
    let group = |place: &Place| (u64::from(place.0) << 32) | u64::from(place.1);
    let groups: UInt64Array = repeats.iter().map(|(first, _)| Some(group(first))).collect();
    let indices: Vec<(usize, usize)> = repeats.iter().map(|(_, (b, r))| (*b as usize, *r as usize)).collect();
    let mut columns = vec![SortColumn { values: Arc::new(groups) as ArrayRef, options: None }];
    for sort in window.order_by() {
        let values = batches
            .iter()
            .map(|batch| sort.expr.evaluate(batch)?.into_array(batch.num_rows()))
            .collect::<Result<Vec<_>>>()?;
        let values: Vec<&dyn arrow::array::Array> = values.iter().map(|array| array.as_ref()).collect();
        columns.push(SortColumn { values: interleave(&values, &indices)?, options: Some(sort.options) });
    }
    let order = lexsort_to_indices(&columns, None)?;
    let groups = columns[0].values.as_primitive::<arrow::datatypes::UInt64Type>();
    let mut ranked = Vec::with_capacity(repeats.len());
    let (mut last, mut number) = (None, 0);
    for index in order.values().iter().map(|index| *index as usize) {
        let group = groups.value(index);
        number = if last == Some(group) { number + 1 } else { 1 };
        last = Some(group);
        ranked.push((repeats[index].1, number));
    }
    Ok(ranked)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::datasource::MemTable;
    use datafusion::prelude::{SessionConfig, SessionContext, col};

    use crate::engine::session::optimizer_rules;

    const FEW_AND_MANY_COPIES: &str = "select k, v, n from (
        select value % 7000 as k, value as v,
            row_number() over (partition by nullif(value % 7000, 3), value % 2 order by value % 5 desc, value) as n
        from generate_series(1, 60000)) where n > 1 order by k, v, n";

    /// Days in order, of which every third has forty times as many rows as the other two together.
    const DAYS: &str = "select case when value % 12300 < 12000 then value / 12300 * 3
                else value / 12300 * 3 + 1 + value % 2 end as day, value as v
        from generate_series(1, 60000) order by day, v % 11";

    const BY_DAY: &str = "select day, v, n from (
        select day, v, row_number() over (partition by day, v % 300 order by v % 7 desc, v) as n from days)
        where n > 1 order by day, v, n";

    /// A session that numbers rows by the window or by hashing.
    fn session(hashing: bool, partitions: usize, memory: Option<usize>) -> SessionContext {
        let config = SessionConfig::new()
            .with_target_partitions(partitions)
            .with_batch_size(500)
            .with_sort_spill_reservation_bytes(64 << 10);
        let mut runtime = datafusion::execution::runtime_env::RuntimeEnvBuilder::new();
        if let Some(bytes) = memory {
            runtime = runtime.with_memory_pool(std::sync::Arc::new(
                datafusion::execution::memory_pool::FairSpillPool::new(bytes),
            ));
        }
        let builder = datafusion::execution::session_state::SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime.build_arc().unwrap())
            .with_default_features();
        let state = if hashing {
            builder.with_physical_optimizer_rules(optimizer_rules()).build()
        } else {
            builder.build()
        };
        SessionContext::new_with_state(state)
    }

    /// Rows and plan of a query.
    async fn rows(query: &str, context: &SessionContext) -> (String, String) {
        let frame = context.sql(query).await.unwrap();
        let plan = frame.clone().create_physical_plan().await.unwrap();
        let shown = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
        let batches = frame.collect().await.unwrap();
        (arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string(), shown)
    }

    #[tokio::test]
    async fn hashing_numbers_rows_as_the_window_does() {
        let (expected, plan) = rows(FEW_AND_MANY_COPIES, &session(false, 3, None)).await;
        assert!(!plan.contains("RowNumberExec"), "{plan}");
        let (hashed, plan) = rows(FEW_AND_MANY_COPIES, &session(true, 3, None)).await;
        assert!(plan.contains("RowNumberExec"), "{plan}");
        assert_eq!(hashed, expected);
        assert!(expected.lines().count() > 1000);
    }

    #[tokio::test]
    async fn rows_that_do_not_fit_are_sorted_and_spilled() {
        let (expected, _) = rows(FEW_AND_MANY_COPIES, &session(false, 3, None)).await;
        let (spilled, _) = rows(FEW_AND_MANY_COPIES, &session(true, 3, Some(3 << 20))).await;
        assert_eq!(spilled, expected);
    }

    #[tokio::test]
    async fn after_a_day_that_does_not_fit_the_next_is_hashed_again() {
        let days = session(false, 1, None).sql(DAYS).await.unwrap().collect().await.unwrap();
        let run = async |hashing, memory| {
            let context = session(hashing, 1, memory);
            let table = MemTable::try_new(days[0].schema(), vec![days.clone()]).unwrap();
            let table = table.with_sort_order(vec![vec![col("day").sort(true, false)]]);
            context.register_table("days", Arc::new(table)).unwrap();
            rows(BY_DAY, &context).await
        };
        let (expected, _) = run(false, None).await;
        assert!(expected.lines().count() > 1000);
        for memory in [None, Some(4 << 20)] {
            let (found, plan) = run(true, memory).await;
            assert!(plan.contains("sorted_by=[day"), "{plan}");
            assert_eq!(found, expected, "{memory:?}");
        }
    }
}
