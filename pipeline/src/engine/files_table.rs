//! A table that is exactly a list of files: no listing at run time, partition values given, rows known.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    CsvSource, FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result as PlanResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, Partitioning, PhysicalSortExpr, RangePartitioning, SplitPoint};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;
use object_store::path::Path;

use crate::project::Format;

/// One file of a table, or row groups of one.
#[derive(Debug, Clone)]
pub struct TableFile {
    /// Path in the store.
    pub path: Path,
    /// Size of the file.
    pub bytes: u64,
    /// First byte and the byte after the last of the row groups that are meant; `None` for the whole file.
    pub range: Option<(u64, u64)>,
    /// Rows, where known.
    pub rows: Option<u64>,
    /// One value a partition column.
    pub partition: Vec<ScalarValue>,
    /// The day of all its rows (days since 1970), where it has one.
    pub day: Option<i32>,
}

impl TableFile {
    /// Bytes that are meant.
    fn size(&self) -> u64 {
        self.range.map_or(self.bytes, |(start, end)| end - start).max(1)
    }
}

/// A table over given files.
#[derive(Debug, Clone)]
pub struct FilesTable {
    store: ObjectStoreUrl,
    schema: TableSchema,
    format: Format,
    files: Vec<TableFile>,
    day: Option<ByDayOf>,
}

/// Bytes of each day (days since 1970).
pub type DayBytes = BTreeMap<i32, u64>;

/// The first day of each range of days of about equal bytes but the first range's; `None` when a day is far more than
/// a partition's fair part.
fn firsts_of_ranges(bytes: &DayBytes, partitions: usize) -> Option<Vec<i32>> {
    let fair = bytes.values().sum::<u64>().div_ceil(partitions as u64).max(1);
    let largest = *bytes.values().max()?;
    if partitions > 1 && largest > fair + fair / 2 {
        return None;
    }
    let (mut firsts, mut before) = (Vec::new(), 0);
    for (day, bytes) in bytes {
        // a day belongs to the range in which its middle byte lies
        if (((before + bytes / 2) / fair) as usize).min(partitions - 1) > firsts.len() {
            firsts.push(*day);
        }
        before += bytes;
    }
    Some(firsts)
}

/// By what a table's files are dealt.
#[derive(Debug, Clone)]
struct ByDayOf {
    /// The column that holds the day of each file.
    column: usize,
    /// Bytes of the days of all tables that are split at the same days; `None` for those of this table.
    bytes: Option<Arc<DayBytes>>,
}

/// How the files of a table by day are dealt.
struct ByDay {
    groups: Vec<FileGroup>,
    partitioning: Partitioning,
    order: LexOrdering,
}

impl FilesTable {
    /// `file_schema`: the columns in the files, by name; `partition`: the columns whose values the files' entries give.
    pub fn new(
        store: ObjectStoreUrl,
        file_schema: SchemaRef,
        partition: Vec<FieldRef>,
        format: Format,
        mut files: Vec<TableFile>,
    ) -> Self {
        let schema = TableSchema::builder(file_schema).with_table_partition_cols(partition).build();
        files.sort_by(|a, b| (&a.path, a.range).cmp(&(&b.path, b.range)));
        FilesTable { store, schema, format, files, day: None }
    }

    /// Reads the table by day: `column` holds the day of each file. Tables with equal `bytes` are split at the same days.
    pub fn by_day(mut self, column: &str, bytes: Option<Arc<DayBytes>>) -> Self {
        let column = self.schema.table_schema().index_of(column).ok();
        self.day = column.map(|column| ByDayOf { column, bytes });
        self
    }

    fn has_ranges(&self) -> bool {
        self.files.iter().any(|file| file.range.is_some())
    }

    /// Files dealt to at most `partitions` groups of about equal bytes, the same way each time.
    fn groups(&self, partitions: usize) -> Vec<FileGroup> {
        if self.has_ranges() {
            return self.groups_of_ranges(partitions);
        }
        let mut sorted: Vec<&TableFile> = self.files.iter().collect();
        sorted.sort_by_key(|file| std::cmp::Reverse(file.bytes));
        let mut groups: Vec<(u64, Vec<PartitionedFile>)> =
            vec![(0, Vec::new()); partitions.clamp(1, sorted.len().max(1))];
        for file in sorted {
            if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, group)| (*bytes, group.len()))
            {
                *bytes += file.size();
                group.push(entry(&Joined::one(file)));
            }
        }
        groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
    }

    /// The row groups in the order of files, cut where the groups have about equal bytes.
    fn groups_of_ranges(&self, partitions: usize) -> Vec<FileGroup> {
        let fair = self.files.iter().map(TableFile::size).sum::<u64>().div_ceil(partitions as u64).max(1);
        let mut groups: Vec<Vec<&TableFile>> = vec![Vec::new(); partitions];
        let mut before = 0;
        for file in &self.files {
            groups[(((before + file.size() / 2) / fair) as usize).min(partitions - 1)].push(file);
            before += file.size();
        }
        groups.retain(|group| !group.is_empty());
        groups.into_iter().map(|files| FileGroup::new(joined(&files).iter().map(entry).collect())).collect()
    }

    /// Files of a table by day, in groups that are ranges of days of about equal bytes, each group in the order of its
    /// days: what is grouped, numbered or joined by day and something else needs no exchange then, and what is grouped
    /// ends with each day. `None` when there are too few days to fill the partitions evenly.
    fn groups_by_day(&self, partitions: usize) -> Option<ByDay> {
        let (index, bytes) = self.day.as_ref().map(|day| (day.column, &day.bytes))?;
        let mut files: Vec<(i32, &TableFile)> =
            self.files.iter().map(|file| Some((file.day?, file))).collect::<Option<_>>()?;
        files.sort_by_key(|(day, _)| *day);
        let firsts = match bytes {
            Some(bytes) => firsts_of_ranges(bytes, partitions)?,
            None => {
                let mut own = DayBytes::new();
                files.iter().for_each(|(day, file)| *own.entry(*day).or_default() += file.size());
                firsts_of_ranges(&own, partitions)?
            }
        };
        let mut groups: Vec<Vec<&TableFile>> = vec![Vec::new(); firsts.len() + 1];
        for (day, file) in files {
            groups[firsts.partition_point(|first| *first <= day)].push(file);
        }
        let split = |first: &i32| SplitPoint::new(vec![ScalarValue::Date32(Some(*first))]);
        let splits = firsts.iter().map(split).collect();
        let options = SortOptions { descending: false, nulls_first: true };
        let column = Arc::new(Column::new(self.schema.table_schema().field(index).name(), index));
        let order = LexOrdering::new([PhysicalSortExpr::new(column, options)])?;
        let of_files = |files: &Vec<&TableFile>| {
            FileGroup::new(joined(files).iter().map(|file| self.entry_of_days(index, file)).collect())
        };
        Some(ByDay {
            groups: groups.iter().map(of_files).collect(),
            partitioning: Partitioning::Range(RangePartitioning::new(order.clone(), splits)),
            order,
        })
    }

    /// A file with statistics that say which day or days it holds, so that the engine sees the order of a group.
    fn entry_of_days(&self, index: usize, file: &Joined) -> PartitionedFile {
        let mut statistics = Statistics::new_unknown(self.schema.file_schema());
        if let (Some(column), Some((first, last))) = (statistics.column_statistics.get_mut(index), file.days)
        {
            column.min_value = Precision::Exact(ScalarValue::Date32(Some(first)));
            column.max_value = Precision::Exact(ScalarValue::Date32(Some(last)));
        }
        entry(file).with_statistics(Arc::new(statistics))
    }

    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::new_unknown(self.schema.table_schema());
        if let Some(rows) = self.files.iter().map(|file| file.rows).sum::<Option<u64>>() {
            statistics.num_rows = Precision::Exact(rows as usize);
        }
        let bytes: u64 = self.files.iter().map(TableFile::size).sum();
        statistics.total_byte_size = Precision::Inexact(bytes as usize);
        statistics
    }
}

/// Row groups that lie side by side in one file, or a whole file.
struct Joined {
    file: TableFile,
    /// First and last day.
    days: Option<(i32, i32)>,
}

impl Joined {
    fn one(file: &TableFile) -> Joined {
        Joined { file: file.clone(), days: file.day.map(|day| (day, day)) }
    }
}

/// The files in the order given, where one that goes on where the last ended is one with it.
fn joined(files: &[&TableFile]) -> Vec<Joined> {
    let mut all: Vec<Joined> = Vec::new();
    for &file in files {
        if let (Some(Joined { file: last, days }), Some((start, end))) = (all.last_mut(), file.range)
            && last.path == file.path
            && last.partition == file.partition
            && let Some((_, last_end)) = &mut last.range
            && *last_end == start
        {
            *last_end = end;
            *days = days.zip(file.day).map(|((first, last), day)| (first.min(day), last.max(day)));
            continue;
        }
        all.push(Joined::one(file));
    }
    all
}

fn entry(Joined { file, .. }: &Joined) -> PartitionedFile {
    let mut entry = PartitionedFile::new(String::new(), file.bytes);
    entry.object_meta.location = file.path.clone();
    entry.range = file.range.map(|(start, end)| FileRange { start: start as i64, end: end as i64 });
    entry.with_partition_values(file.partition.clone())
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        self.schema.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let source: Arc<dyn FileSource> = match &self.format {
            Format::Parquet => {
                let options = TableParquetOptions {
                    global: state.config_options().execution.parquet.clone(),
                    ..Default::default()
                };
                let runtime = state.runtime_env();
                let source = ParquetSource::new(self.schema.clone()).with_table_parquet_options(options);
                match self.has_ranges() {
                    // a file whose row groups are read apart has its footer read once
                    true => {
                        let cache = runtime.cache_manager.get_file_metadata_cache();
                        let store = runtime.object_store(&self.store)?;
                        let reader = CachedParquetFileReaderFactory::new(store, cache);
                        Arc::new(source.with_parquet_file_reader_factory(Arc::new(reader)))
                    }
                    false => Arc::new(source),
                }
            }
            Format::Csv(options) => {
                Arc::new(CsvSource::new(self.schema.clone()).with_csv_options((**options).clone()))
            }
        };
        let partitions = state.config_options().execution.target_partitions.max(1);
        let config = FileScanConfigBuilder::new(self.store.clone(), source);
        let config = match self.groups_by_day(partitions) {
            Some(by_day) => config
                .with_file_groups(by_day.groups)
                .with_output_partitioning(Some(by_day.partitioning))
                .with_output_ordering(vec![by_day.order]),
            None => config.with_file_groups(self.groups(partitions)),
        };
        let config = config
            .with_statistics(self.statistics())
            .with_file_compression_type(FileCompressionType::UNCOMPRESSED)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
