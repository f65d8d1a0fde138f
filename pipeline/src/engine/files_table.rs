//! A table that is exactly a list of files: no listing at run time, partition values given, rows known.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    CsvSource, FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result as PlanResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;
use object_store::path::Path;

use crate::project::Format;

/// One file of a table.
#[derive(Debug, Clone)]
pub struct TableFile {
    /// Path in the store.
    pub path: Path,
    pub bytes: u64,
    /// Rows, where known.
    pub rows: Option<u64>,
    /// One value a partition column.
    pub partition: Vec<ScalarValue>,
}

/// A table over given files.
#[derive(Debug, Clone)]
pub struct FilesTable {
    store: ObjectStoreUrl,
    schema: TableSchema,
    format: Format,
    files: Vec<TableFile>,
}

impl FilesTable {
    /// `file_schema`: the columns in the files, by name; `partition`: the columns whose values the files' entries give.
    pub fn new(
        store: ObjectStoreUrl,
        file_schema: SchemaRef,
        partition: Vec<FieldRef>,
        format: Format,
        files: Vec<TableFile>,
    ) -> Self {
        let schema = TableSchema::builder(file_schema).with_table_partition_cols(partition).build();
        FilesTable { store, schema, format, files }
    }

    /// Files dealt to at most `partitions` groups of about equal bytes, the same way each time.
    fn groups(&self, partitions: usize) -> Vec<FileGroup> {
        let mut sorted: Vec<&TableFile> = self.files.iter().collect();
        sorted.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
        let mut groups: Vec<(u64, Vec<PartitionedFile>)> =
            vec![(0, Vec::new()); partitions.clamp(1, sorted.len().max(1))];
        for file in sorted {
            if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, group)| (*bytes, group.len()))
            {
                *bytes += file.bytes.max(1);
                let mut entry = PartitionedFile::new(String::new(), file.bytes);
                entry.object_meta.location = file.path.clone();
                group.push(entry.with_partition_values(file.partition.clone()));
            }
        }
        groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
    }

    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::new_unknown(self.schema.table_schema());
        if let Some(rows) = self.files.iter().map(|file| file.rows).sum::<Option<u64>>() {
            statistics.num_rows = Precision::Exact(rows as usize);
        }
        let bytes: u64 = self.files.iter().map(|file| file.bytes).sum();
        statistics.total_byte_size = Precision::Inexact(bytes as usize);
        statistics
    }
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
                Arc::new(ParquetSource::new(self.schema.clone()).with_table_parquet_options(options))
            }
            Format::Csv(options) => {
                Arc::new(CsvSource::new(self.schema.clone()).with_csv_options((**options).clone()))
            }
        };
        let groups = self.groups(state.config_options().execution.target_partitions);
        let config = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_statistics(self.statistics())
            .with_file_compression_type(FileCompressionType::UNCOMPRESSED)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
