//! What one task of the sink does: cut its sorted rows into files.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{
    CastOptions, cast, cast_with_options, filter_record_batch, is_not_null, is_null, partition,
};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Result, exec_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder};
use futures::StreamExt;
use object_store::ObjectStore;
use uuid::Uuid;

use super::layout::{Layout, Output};
use crate::lake::DataFile;
use crate::lake::partition::{partition_folder, partition_text};
use crate::lake::writer::OpenFile;

/// Folder of rejected rows below the prefix.
const QUARANTINE_FOLDER: &str = "_quarantine";

/// Who writes the files of this process.
static WRITER: OnceLock<String> = OnceLock::new();

/// Names the process in [`DataFile::writer`], once: the id of an executor.
pub fn name_writer(name: &str) {
    let _ = WRITER.set(name.to_owned());
}

/// Text of each partition column, in the order of the specification.
type Key = Vec<Option<String>>;

/// Writes every row of `input` and returns the files. On failure uploads that are under way are removed.
pub(super) async fn write(
    mut input: SendableRecordBatchStream,
    layout: Arc<Layout>,
    context: Arc<TaskContext>,
    metrics: &ExecutionPlanMetricsSet,
    partition: usize,
) -> Result<Vec<DataFile>> {
    let baseline = BaselineMetrics::new(metrics, partition);
    let bytes_written = MetricBuilder::new(metrics).counter("bytes_written", partition);
    let mut task = Task {
        store: context.runtime_env().object_store(&layout.store)?,
        memory: MemoryConsumer::new(format!("SinkExec[{partition}]")).register(context.memory_pool()),
        layout,
        bytes_written,
        writer: format!("{}/{}", WRITER.get().map_or("driver", String::as_str), Uuid::new_v4()),
        key: Key::new(),
        good: None,
        rejected: None,
        files: Vec::new(),
    };
    while let Some(batch) = input.next().await {
        let written = match batch {
            Ok(batch) => {
                let _timer = baseline.elapsed_compute().timer();
                baseline.record_output(batch.num_rows());
                task.write(&batch).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            task.abort().await;
            return Err(error);
        }
    }
    drop(input);
    match task.close().await {
        Ok(()) => Ok(task.files),
        Err(error) => {
            task.abort().await;
            Err(error)
        }
    }
}

struct Task {
    layout: Arc<Layout>,
    store: Arc<dyn ObjectStore>,
    memory: MemoryReservation,
    bytes_written: Count,
    writer: String,
    /// Partition value of the open files.
    key: Key,
    good: Option<OpenFile>,
    rejected: Option<OpenFile>,
    files: Vec<DataFile>,
}

/// Which of the two kinds of file rows go to.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Good,
    Rejected,
}

impl Task {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let layout = self.layout.clone();
        if layout.partition_by.is_empty() {
            return self.write_partition(batch).await;
        }
        let columns: Vec<ArrayRef> =
            layout.partition_by.iter().map(|&index| batch.column(index).clone()).collect();
        for range in partition(&columns)?.ranges() {
            let key =
                columns.iter().map(|column| partition_text(column, range.start)).collect::<Result<Key>>()?;
            if key != self.key {
                match layout.spec.share_files {
                    true => self.cut().await?,
                    false => self.close().await?,
                }
                self.key = key;
            }
            self.write_partition(&batch.slice(range.start, range.len())).await?;
        }
        Ok(())
    }

    /// Writes rows of one partition value.
    async fn write_partition(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(rules) = self.layout.quarantine.map(|index| batch.column(index).clone()) else {
            return self.write_rows(Kind::Good, batch).await;
        };
        let rules = cast(&rules, &DataType::Utf8)?;
        if rules.null_count() < rules.len() {
            let bad = filter_record_batch(batch, &is_not_null(&rules)?)?;
            self.write_rows(Kind::Rejected, &bad).await?;
            let good = filter_record_batch(batch, &is_null(&rules)?)?;
            return self.write_rows(Kind::Good, &good).await;
        }
        self.write_rows(Kind::Good, batch).await
    }

    /// Writes rows of one kind, beginning a new file wherever one is full.
    async fn write_rows(&mut self, kind: Kind, batch: &RecordBatch) -> Result<()> {
        let mut done = 0;
        while done < batch.num_rows() {
            let open = match self.slot(kind).take() {
                Some(open) => open,
                None => self.open(kind)?,
            };
            let rows = (batch.num_rows() - done).min(self.layout.spec.max_file_rows - open.rows);
            let full = open.rows + rows == self.layout.spec.max_file_rows;
            *self.slot(kind) = Some(open);
            self.write_slice(kind, &batch.slice(done, rows)).await?;
            done += rows;
            if full {
                self.close_one(kind).await?;
            }
        }
        self.account().await
    }

    async fn write_slice(&mut self, kind: Kind, batch: &RecordBatch) -> Result<()> {
        let layout = self.layout.clone();
        let weights = self.weights(batch)?;
        let stored = output(&layout, kind).store(batch)?;
        let rules = match (kind, layout.quarantine) {
            (Kind::Rejected, Some(index)) => Some(cast(batch.column(index), &DataType::Utf8)?),
            _ => None,
        };
        let Some(file) = self.slot(kind) else {
            return exec_err!("no file is open");
        };
        let weight = |row: usize| weights.as_ref().map_or(1, |weights| weights[row]);
        file.weight += weights.as_ref().map_or(batch.num_rows() as u64, |weights| weights.iter().sum());
        for (row, rule) in rules.iter().flat_map(|rules| rules.as_string::<i32>().iter().enumerate()) {
            count(&mut file.by_rule, rule.unwrap_or_default(), weight(row));
        }
        file.write(&stored).await
    }

    /// How many input rows each row stands for; `None` when each stands for itself.
    fn weights(&self, batch: &RecordBatch) -> Result<Option<Vec<u64>>> {
        let (Some(index), Some(name)) = (self.layout.weight, &self.layout.spec.weight) else {
            return Ok(None);
        };
        let weights = cast(batch.column(index), &DataType::Int64)?;
        let weights = weights.as_primitive::<Int64Type>().iter();
        let weights: Option<Vec<u64>> = weights.map(|weight| u64::try_from(weight?).ok()).collect();
        if weights.is_none() {
            return exec_err!(
                "{}: weight column `{name}` is NULL or negative in a row; give every row the number of its input rows",
                self.layout.spec.prefix
            );
        }
        Ok(weights)
    }

    /// Tells the memory pool what the encoders hold, and ends the row groups when it has no more to give.
    async fn account(&mut self) -> Result<()> {
        let held =
            |task: &Task| task.good.iter().chain(&task.rejected).map(OpenFile::memory_bytes).sum::<usize>();
        if self.memory.try_resize(held(self)).is_err() {
            for file in self.good.iter_mut().chain(&mut self.rejected) {
                file.flush().await?;
            }
            self.memory.resize(held(self));
        }
        Ok(())
    }

    fn slot(&mut self, kind: Kind) -> &mut Option<OpenFile> {
        match kind {
            Kind::Good => &mut self.good,
            Kind::Rejected => &mut self.rejected,
        }
    }

    fn open(&self, kind: Kind) -> Result<OpenFile> {
        let (path, relative) =
            self.layout.file_path(&self.folder(kind), &format!("part-{}.parquet", Uuid::new_v4()));
        let output = output(&self.layout, kind);
        OpenFile::create(self.store.clone(), path, relative, output.schema.clone(), output.properties.clone())
    }

    fn folder(&self, kind: Kind) -> String {
        if kind == Kind::Rejected {
            return QUARANTINE_FOLDER.to_owned();
        }
        if self.layout.spec.share_files {
            return String::new();
        }
        let columns = self.layout.spec.partition_by.iter().zip(&self.key);
        let folders = columns.map(|(column, value)| partition_folder(column, value.as_deref()));
        folders.collect::<Vec<_>>().join("/")
    }

    /// Ends what has been written of the current partition value; the files stay open.
    async fn cut(&mut self) -> Result<()> {
        self.cut_one(Kind::Good).await?;
        self.cut_one(Kind::Rejected).await
    }

    async fn cut_one(&mut self, kind: Kind) -> Result<()> {
        let key = self.key.clone();
        let Some(file) = self.slot(kind).as_mut().filter(|file| file.rows_since > 0) else {
            return Ok(());
        };
        let rows = file.rows_since as u64;
        let range = file.cut().await?;
        let part = DataFile { rows, range: Some(range), ..describe(file, kind) };
        self.add(part, key);
        Ok(())
    }

    fn add(&mut self, mut part: DataFile, key: Key) {
        part.partition = self.layout.spec.partition_by.iter().cloned().zip(key).collect();
        part.writer.clone_from(&self.writer);
        self.files.push(part);
    }

    async fn close(&mut self) -> Result<()> {
        self.close_one(Kind::Good).await?;
        self.close_one(Kind::Rejected).await
    }

    async fn close_one(&mut self, kind: Kind) -> Result<()> {
        if self.layout.spec.share_files {
            self.cut_one(kind).await?;
        }
        let Some(mut file) = self.slot(kind).take() else {
            return Ok(());
        };
        let whole = DataFile { rows: file.rows as u64, ..describe(&mut file, kind) };
        let finished = file.finish().await?;
        self.bytes_written.add(usize::try_from(finished.bytes).unwrap_or(usize::MAX));
        if !self.layout.spec.share_files {
            let whole = DataFile { stats: finished.stats, ..whole.clone() };
            self.add(whole, self.key.clone());
        }
        for part in self.files.iter_mut().filter(|part| part.path == whole.path) {
            part.bytes = finished.bytes;
            part.footer.clone_from(&finished.footer);
        }
        Ok(())
    }

    async fn abort(&mut self) {
        for file in [self.good.take(), self.rejected.take()].into_iter().flatten() {
            file.abort().await;
        }
    }
}

/// What an open file tells of the rows since its last cut.
fn describe(file: &mut OpenFile, kind: Kind) -> DataFile {
    DataFile {
        path: file.relative.clone(),
        quarantined: kind == Kind::Rejected,
        weight: std::mem::take(&mut file.weight),
        by_rule: std::mem::take(&mut file.by_rule),
        ..DataFile::default()
    }
}

fn output(layout: &Layout, kind: Kind) -> &Output {
    match kind {
        Kind::Good => &layout.good,
        Kind::Rejected => &layout.rejected,
    }
}

impl Output {
    /// The columns of `batch` that are stored, in the types they are stored in.
    fn store(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.columns.iter().zip(self.schema.fields());
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let columns = columns.map(|(&index, field)| {
            let column = batch.column(index);
            match column.data_type() == field.data_type() {
                true => Ok(column.clone()),
                false => cast_with_options(column, field.data_type(), &strict),
            }
        });
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

fn count(by_rule: &mut BTreeMap<String, u64>, rule: &str, weight: u64) {
    match by_rule.get_mut(rule) {
        Some(count) => *count += weight,
        None => {
            by_rule.insert(rule.to_owned(), weight);
        }
    }
}
