//! Relations as tables over the files that one run reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::NaiveDate;
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::ScalarValue;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as PlanResult;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit, try_cast, when};

use super::raw::{RawFile, SourceFiles};
use crate::engine::{DayBytes, FilesTable, TableFile};
use crate::lake::{DataFile, Lake};
use crate::project::{Format, Source, Stage};
use crate::{Context, Error, Result};

/// The raw files of a source as a table. With a cut, only rows known before it (µs) are seen; rows that say neither when
/// they became known nor when they happened are seen too. With the bytes of a job's days, files are read in the order of their days, and all
/// tables of the job are split at the same days.
pub fn source_table(
    lake: &Lake,
    source: &Source,
    files: &SourceFiles,
    cut: Option<i64>,
    days: Option<&Arc<DayBytes>>,
) -> Result<Arc<dyn TableProvider>> {
    if files.files.is_empty() {
        return Ok(Arc::new(EmptyTable::new(source.schema.clone())));
    }
    let mut kinds: BTreeMap<String, Vec<&RawFile>> = BTreeMap::new();
    for file in &files.files {
        kinds.entry(format!("{:?}", file.coarse)).or_default().push(file);
    }
    let format = files.format(source);
    let mut tables = kinds.values().map(|files| files_table(lake, source, files, format.clone(), days));
    let table = match (tables.next(), tables.next()) {
        (Some(table), None) => table?,
        (first, second) => together(source, first.into_iter().chain(second).chain(tables))?,
    };
    match cut.filter(|cut| files.is_cut_by(*cut)).and_then(|cut| known_before(source, cut)) {
        Some(known) => {
            let plan = LogicalPlanBuilder::scan(&source.name, provider_as_source(table), None)
                .and_then(|scan| scan.filter(known))
                .and_then(LogicalPlanBuilder::build)
                .context(format!("cannot read {}", source.name))?;
            Ok(Arc::new(ViewTable::new(plan, None)))
        }
        None => Ok(table),
    }
}

/// Files whose columns have the same types.
fn files_table(
    lake: &Lake,
    source: &Source,
    files: &[&RawFile],
    format: Format,
    days: Option<&Arc<DayBytes>>,
) -> Result<Arc<dyn TableProvider>> {
    let partition: Vec<_> =
        source.day.iter().map(|day| Arc::new(Field::new(day, DataType::Date32, true))).collect();
    let entries = files.iter().map(|file| TableFile {
        path: file.path.clone(),
        bytes: file.bytes,
        range: None,
        rows: file.rows,
        day: file.day.map(date32),
        partition: file.day.map(|day| ScalarValue::Date32(Some(date32(day)))).into_iter().collect(),
    });
    let coarse = files.first().map(|file| file.coarse.clone()).unwrap_or_default();
    let stored = |field: &Arc<Field>| match coarse.get(field.name()) {
        Some(data_type) => Arc::new(Field::new(field.name(), data_type.clone(), true)),
        None => field.clone(),
    };
    let schema = Schema::new(source.file_schema().fields().iter().map(stored).collect::<Vec<_>>());
    let store = lake.object_store_url();
    let mut table = FilesTable::new(store, Arc::new(schema), partition, format, entries.collect());
    if let (Some(column), Some(bytes)) = (&source.day, days) {
        table = table.by_day(column, Some(bytes.clone()));
    }
    if coarse.is_empty() {
        return Ok(Arc::new(table));
    }
    let columns = source.schema.fields().iter().map(|field| match coarse.get(field.name()) {
        Some(data_type) => in_micros(field.name(), data_type),
        None => Ok(col(format!("\"{}\"", field.name()))),
    });
    let plan = LogicalPlanBuilder::scan(&source.name, provider_as_source(Arc::new(table)), None)
        .and_then(|scan| scan.project(columns.collect::<PlanResult<Vec<_>>>()?))
        .and_then(LogicalPlanBuilder::build)
        .context(format!("cannot read {}", source.name))?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// Instants in microseconds: the ends of what these can hold for those that they cannot.
fn in_micros(column: &str, stored: &DataType) -> PlanResult<Expr> {
    let name = col(format!("\"{column}\""));
    let zero = lit(ScalarValue::new_zero(stored)?);
    let micros = |micros: i64| lit(ScalarValue::TimestampMicrosecond(Some(micros), None));
    let end = when(name.clone().lt(zero.clone()), micros(i64::MIN))
        .when(name.clone().gt(zero), micros(i64::MAX))
        .end()?;
    let exact = try_cast(name, DataType::Timestamp(TimeUnit::Microsecond, None));
    Ok(coalesce(vec![exact, end]).alias(column))
}

/// All rows of several tables.
fn together(
    source: &Source,
    tables: impl Iterator<Item = Result<Arc<dyn TableProvider>>>,
) -> Result<Arc<dyn TableProvider>> {
    let mut all: Option<LogicalPlanBuilder> = None;
    for table in tables {
        let scan = LogicalPlanBuilder::scan(&source.name, provider_as_source(table?), None);
        let joined = match all {
            None => scan,
            Some(all) => scan.and_then(|scan| all.union(scan.build()?)),
        };
        all = Some(joined.context(format!("cannot read {}", source.name))?);
    }
    let all = all.ok_or_else(|| Error::other(format!("{} has no files", source.name)))?;
    let plan = all.build().context(format!("cannot read {}", source.name))?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// Whether a row became known before an instant (µs); `None` for a source whose rows never say.
pub fn known_before(source: &Source, cut: i64) -> Option<Expr> {
    let cut = lit(ScalarValue::TimestampMicrosecond(Some(cut), None));
    source.known_by().rev().fold(None, |otherwise: Option<Expr>, known| {
        let unsaid = known.instant.clone().is_null();
        let unsaid = otherwise.map_or(unsaid.clone(), |otherwise| unsaid.and(otherwise));
        Some(known.instant.clone().lt(cut.clone()).or(unsaid))
    })
}

/// Files that a sink wrote, as a table with the columns of `schema`: those that the files store, and those whose
/// values stand in the files' partition entries.
pub fn written_table(lake: &Lake, schema: &SchemaRef, files: &[&DataFile]) -> Result<Arc<dyn TableProvider>> {
    table_of(lake, schema, files, None, None)
}

/// The rows that a stage kept; those of a stage by day in the order of days, so that what is grouped by day and
/// something else needs no exchange. With the bytes of a job's days, all tables of the job are split at the same days.
pub fn stage_table(
    lake: &Lake,
    stage: &Stage,
    files: &[&DataFile],
    days: Option<&Arc<DayBytes>>,
) -> Result<Arc<dyn TableProvider>> {
    let column = stage.day.as_deref().filter(|_| stage.by_day);
    table_of(lake, &stage.result_schema(), files, column, days)
}

fn table_of(
    lake: &Lake,
    schema: &SchemaRef,
    files: &[&DataFile],
    by_day: Option<&str>,
    days: Option<&Arc<DayBytes>>,
) -> Result<Arc<dyn TableProvider>> {
    let Some(first) = files.first() else { return Ok(Arc::new(EmptyTable::new(schema.clone()))) };
    let stores_all = first.quarantined || first.range.is_some();
    let in_folder = |field: &&Arc<Field>| first.partition.contains_key(field.name()) && !stores_all;
    let partition: Vec<Arc<Field>> = schema.fields().iter().filter(in_folder).cloned().collect();
    let stored: Vec<Arc<Field>> = schema.fields().iter().filter(|f| !in_folder(f)).cloned().collect();
    let entries: Vec<TableFile> = files
        .iter()
        .map(|file| {
            let values = partition.iter().map(|field| partition_value(field, &file.partition));
            Ok(TableFile {
                path: lake.path(&file.path),
                bytes: file.bytes,
                range: file.range,
                rows: Some(file.rows),
                day: by_day.and_then(|day| file.partition.get(day)?.as_deref()?.parse().ok()).map(date32),
                partition: values.collect::<Result<_>>()?,
            })
        })
        .collect::<Result<_>>()?;
    let mut table = FilesTable::new(
        lake.object_store_url(),
        Arc::new(Schema::new(stored)),
        partition,
        Format::Parquet,
        entries,
    );
    if let Some(day) = by_day {
        table = table.by_day(day, days.cloned());
    }
    in_order_of(schema, table)
}

/// Partition columns come last in a table of files; this puts the columns back in the order of `schema`.
fn in_order_of(schema: &SchemaRef, table: FilesTable) -> Result<Arc<dyn TableProvider>> {
    let actual = table.schema();
    if actual.fields().iter().map(|f| f.name()).eq(schema.fields().iter().map(|f| f.name())) {
        return Ok(Arc::new(table));
    }
    let columns = schema.fields().iter().map(|field| col(format!("\"{}\"", field.name())));
    let plan = LogicalPlanBuilder::scan("files", provider_as_source(Arc::new(table)), None)
        .and_then(|scan| scan.project(columns.collect::<Vec<_>>()))
        .and_then(LogicalPlanBuilder::build)
        .context("cannot order the columns of a result")?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

fn partition_value(field: &Field, values: &BTreeMap<String, Option<String>>) -> Result<ScalarValue> {
    match values.get(field.name()) {
        Some(Some(text)) => ScalarValue::try_from_string(text.clone(), &text_type(field.data_type()))
            .and_then(|value| value.cast_to(field.data_type()))
            .context(format!("partition column {}: `{text}` is no {}", field.name(), field.data_type())),
        Some(None) => ScalarValue::try_from(field.data_type()).context("cannot make NULL"),
        None => Err(Error::other(format!("a file has no value of partition column {}", field.name()))),
    }
}

/// The type in which partition text is read before it is cast: instants are written in UTC.
fn text_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, None),
        other => other.clone(),
    }
}

/// Days since 1970.
pub fn date32(day: NaiveDate) -> i32 {
    day.signed_duration_since(NaiveDate::default()).num_days() as i32
}
