//! A sink's specification, resolved against the schema of its input.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use object_store::path::Path;
use parquet::arrow::ArrowSchemaConverter;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use url::Url;

use super::SinkSpec;
use crate::lake::partition::can_partition_by;
use crate::lake::schema::storage_schema;
use crate::lake::store::{join, locate};
use crate::lake::writer::properties;
use crate::{Context, Error, Result};

/// Ascending, NULLs first.
const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: true };

/// Where the columns of the input go.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) spec: SinkSpec,
    pub(super) store: ObjectStoreUrl,
    pub(super) root: Path,
    /// Input columns that become folders.
    pub(super) partition_by: Vec<usize>,
    pub(super) sort_by: Vec<usize>,
    pub(super) quarantine: Option<usize>,
    pub(super) weight: Option<usize>,
    pub(super) good: Output,
    pub(super) rejected: Output,
}

/// The input columns that one kind of file stores, and how.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) columns: Vec<usize>,
    pub(super) schema: SchemaRef,
    pub(super) properties: WriterProperties,
}

impl Layout {
    pub(super) fn try_new(input: &Schema, spec: SinkSpec) -> Result<Layout> {
        let url = Url::parse(&spec.lake).context(format!("lake `{}` is no URL", spec.lake))?;
        let (store, root) = locate(&url)?;
        if spec.max_file_rows == 0 || spec.row_group_rows == 0 {
            return Err(Error::Usage(format!("{}: files and row groups need at least one row", spec.prefix)));
        }
        let partition_by = indices(input, &spec, &spec.partition_by, "partition")?;
        let sort_by = indices(input, &spec, &spec.sort_by, "sort")?;
        let quarantine = indices(input, &spec, spec.quarantine.as_slice(), "quarantine")?.first().copied();
        let weight = indices(input, &spec, spec.weight.as_slice(), "weight")?.first().copied();
        for &index in &partition_by {
            check_type(input, &spec, index, "partition by", can_partition_by)?;
        }
        if let Some(index) = quarantine {
            check_type(input, &spec, index, "quarantine by", DataType::is_string)?;
        }
        if let Some(index) = weight {
            check_type(input, &spec, index, "weigh by", DataType::is_integer)?;
        }
        let all: Vec<usize> = (0..input.fields().len()).collect();
        let in_folder = |index: &usize| partition_by.contains(index) && !spec.share_files;
        let stored = |index: &usize| !in_folder(index) && quarantine != Some(*index);
        let good: Vec<usize> = all.iter().copied().filter(stored).collect();
        if good.is_empty() {
            return Err(Error::Usage(format!(
                "{}: no column is left to store beside partition columns",
                spec.prefix
            )));
        }
        let good = Output::try_new(input, &spec, good, &sort_by)?;
        let rejected = Output::try_new(input, &spec, all, &sort_by)?;
        Ok(Layout { spec, store, root, partition_by, sort_by, quarantine, weight, good, rejected })
    }

    /// The order that the input must have within each partition, if any.
    pub(super) fn order(&self) -> Option<LexOrdering> {
        let names = self.spec.partition_by.iter().chain(&self.spec.sort_by);
        let indices = self.partition_by.iter().chain(&self.sort_by);
        let columns = names.zip(indices).map(|(name, &index)| Arc::new(Column::new(name, index)) as _);
        LexOrdering::new(columns.map(|column| PhysicalSortExpr::new(column, ASCENDING)))
    }

    pub(super) fn partition_columns(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        let columns = self.spec.partition_by.iter().zip(&self.partition_by);
        columns.map(|(name, &index)| Arc::new(Column::new(name, index)) as _).collect()
    }

    /// The store's path of a file and its path relative to the lake.
    pub(super) fn file_path(&self, folder: &str, file: &str) -> (Path, String) {
        let prefix = self.spec.prefix.trim_matches('/');
        let relative =
            [prefix, folder, file].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        (join(&self.root, &relative), relative)
    }
}

impl Output {
    fn try_new(input: &Schema, spec: &SinkSpec, columns: Vec<usize>, sort_by: &[usize]) -> Result<Output> {
        let schema = input.project(&columns).context("planning the sink")?;
        let schema = Arc::new(storage_schema(&schema, spec.delta_types));
        let parquet = ArrowSchemaConverter::new().convert(&schema).map_err(|e| {
            Error::Usage(format!("{}: a column cannot be stored in Parquet: {e}; cast it", spec.prefix))
        })?;
        let leaf = |column: &usize| {
            let field = columns.iter().position(|stored| stored == column)?;
            let leaf = (0..parquet.num_columns()).find(|&leaf| parquet.get_column_root_idx(leaf) == field)?;
            i32::try_from(leaf).ok()
        };
        let sorted_by = sort_by
            .iter()
            .map_while(leaf)
            .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
            .collect();
        let properties = properties(&parquet, spec.row_group_rows, sorted_by, spec.delta_types)
            .map_err(DataFusionError::from);
        Ok(Output { columns, schema, properties: properties.context("planning the sink")? })
    }
}

fn indices(input: &Schema, spec: &SinkSpec, names: &[String], role: &str) -> Result<Vec<usize>> {
    let find = |name: &String| {
        let mut found = input.fields().iter().enumerate().filter(|(_, field)| field.name() == name);
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(index),
            (None, _) => Err(Error::Usage(format!(
                "{}: {role} column `{name}` is not among the columns of the result ({})",
                spec.prefix,
                input.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
            ))),
            _ => Err(Error::Usage(format!(
                "{}: {role} column `{name}` occurs twice in the result",
                spec.prefix
            ))),
        }
    };
    names.iter().map(find).collect()
}

fn check_type(
    input: &Schema,
    spec: &SinkSpec,
    index: usize,
    verb: &str,
    fits: fn(&DataType) -> bool,
) -> Result<()> {
    let field = input.field(index);
    if fits(field.data_type()) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{}: cannot {verb} column `{}` of type {}; cast it",
        spec.prefix,
        field.name(),
        field.data_type()
    )))
}
